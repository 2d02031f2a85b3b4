use serde_json::json;

use super::super::attribute::item;
use super::*;

fn names(names: &Value) -> Option<BTreeMap<String, String>> {
    serde_json::from_value(names.clone()).unwrap()
}

fn parse(expression: &str, values: &Value) -> Result<Condition, ApiError> {
    let names = names(&json!({"#status": "status"})).filter(|_| expression.contains('#'));
    let values = values.as_object().filter(|values| !values.is_empty());
    let placeholders = Placeholders::read(names, values, true)?;
    let condition = placeholders.condition("ConditionExpression", expression)?;
    placeholders.are_all_used()?;
    Ok(condition)
}

#[test]
fn conditions_hold_as_in_dynamodb() {
    let account = json!({
        "pk": {"S": "account#1"}, "n": {"N": "10"}, "status": {"S": "Clean"}, "nothing": {"NULL": true},
        "texts": {"SS": ["a", "b"]}, "parts": {"L": [{"N": "1"}, {"M": {"k": {"S": "v"}}}]}, "octets": {"B": "AQID"},
    });
    let account = item(account.as_object().unwrap()).unwrap();
    let v = |value: Value| json!({":v": value});
    for (expression, values, expected) in [
        ("attribute_exists(pk) AND attribute_not_exists(nope)", json!({}), true),
        ("attribute_exists(nothing)", json!({}), true),
        ("attribute_exists(parts[1].k) AND attribute_not_exists(parts[2])", json!({}), true),
        ("n > :v", v(json!({"N": "9"})), true),
        ("n = :v", v(json!({"N": "1e1"})), true),
        ("n >= :v", v(json!({"S": "1"})), false),
        ("n <> :v", v(json!({"S": "10"})), true),
        // What is not there differs from everything, and is neither less nor more.
        ("nope <> :v", v(json!({"N": "1"})), true),
        ("nope < :v OR nope >= :v OR nope = :v", v(json!({"N": "1"})), false),
        ("NOT nope = :v", v(json!({"N": "1"})), true),
        ("#status IN (:v, :w)", json!({":v": {"S": "Failed"}, ":w": {"S": "Clean"}}), true),
        ("n BETWEEN :v AND :w", json!({":v": {"N": "2"}, ":w": {"N": "10"}}), true),
        ("begins_with(pk, :v) and contains(pk, :v)", v(json!({"S": "account"})), true),
        ("begins_with(n, :v)", v(json!({"S": "1"})), false),
        ("contains(texts, :v)", v(json!({"S": "b"})), true),
        ("contains(parts, :v)", v(json!({"N": "1.0"})), true),
        ("contains(octets, :v)", v(json!({"B": "AgM="})), true),
        ("texts = :v", v(json!({"SS": ["b", "a"]})), true),
        ("size(texts) = :v", v(json!({"N": "2"})), true),
        ("size(nope) > :v", v(json!({"N": "0"})), false),
        ("attribute_type(nothing, :v)", v(json!({"S": "NULL"})), true),
        // AND binds closer than OR, NOT closer than AND.
        ("attribute_exists(pk) OR attribute_exists(pk) AND attribute_exists(nope)", json!({}), true),
        ("(attribute_exists(pk) OR attribute_exists(pk)) AND attribute_exists(nope)", json!({}), false),
        ("NOT attribute_exists(nope) AND attribute_exists(nope)", json!({}), false),
    ] {
        assert_eq!(parse(expression, &values).unwrap().holds(&account), expected, "{expression}");
    }
}

#[test]
fn what_dynamodb_refuses_is_refused() {
    let one = json!({":v": {"N": "1"}});
    for (expression, values, problem) in [
        ("", &json!({}), "Invalid ConditionExpression: The expression can not be empty;"),
        ("n =", &json!({}), "Invalid ConditionExpression: Syntax error; token: \"<EOF>\", near: \"=\""),
        ("n == :v", &one, "Invalid ConditionExpression: Syntax error; token: \"=\", near: \"= = :v\""),
        ("n = :v n = :v", &one, "Invalid ConditionExpression: Syntax error; token: \"n\", near: \":v n =\""),
        ("(n = :v", &one, "Invalid ConditionExpression: Syntax error; token: \"<EOF>\""),
        ("((n = :v))", &one, "Invalid ConditionExpression: The expression has redundant parentheses;"),
        (
            "status = :v",
            &one,
            "Invalid ConditionExpression: Attribute name is a reserved keyword; reserved keyword: status",
        ),
        (
            "n = :w",
            &one,
            "Invalid ConditionExpression: An expression attribute value used in expression is not defined; attribute value: :w",
        ),
        (
            "#n = :v",
            &one,
            "Invalid ConditionExpression: An expression attribute name used in the document path is not defined; attribute name: #n",
        ),
        ("attribute_exists(n)", &one, "Value provided in ExpressionAttributeValues unused in expressions: keys: {:v}"),
        ("exists(n)", &json!({}), "Invalid ConditionExpression: Invalid function name; function: exists"),
        ("attribute_exists(:v)", &one, "Invalid ConditionExpression: Operator or function requires a document path"),
        (
            "begins_with(n)",
            &json!({}),
            "Invalid ConditionExpression: Incorrect number of operands for operator or function",
        ),
        ("begins_with(n, :v)", &one, "Invalid ConditionExpression: Incorrect operand type for operator or function"),
        (
            "attribute_type(n, :v)",
            &json!({":v": {"S": "X"}}),
            "Invalid ConditionExpression: Invalid attribute type name found; type: X",
        ),
        (
            "n BETWEEN :v AND :w",
            &json!({":v": {"N": "2"}, ":w": {"N": "1"}}),
            "Invalid ConditionExpression: The BETWEEN operator requires upper bound",
        ),
        ("n = n", &json!({}), "Invalid ConditionExpression: The first operand must be distinct"),
        (
            "n = :v",
            &json!({":v": {"N": "x"}}),
            "ExpressionAttributeValues contains invalid value: The parameter cannot be converted",
        ),
        (
            "n = :v",
            &json!({"v": {"N": "1"}}),
            "ExpressionAttributeValues contains invalid key: Syntax error; key: \"v\"",
        ),
    ] {
        let error = parse(expression, values).unwrap_err();
        assert!(error.message.starts_with(problem), "{expression}: {error}");
    }
    let empty = Placeholders::read(names(&json!({})), None, true).unwrap_err();
    assert_eq!(empty.message, "ExpressionAttributeNames must not be empty");
    let needless = Placeholders::read(None, one.as_object(), false).unwrap_err();
    assert_eq!(needless.message, "ExpressionAttributeValues can only be specified when using expressions");
}

#[test]
fn parentheses_that_enclose_more_than_one_term_are_needed() {
    let one = json!({":v": {"N": "1"}});
    let condition = parse("((n = :v) OR (n <> :v)) AND (size(n) > :v)", &one).unwrap();
    assert!(!condition.holds(&Item::new()));
}

#[test]
fn a_projection_names_attributes() {
    let placeholders = Placeholders::read(names(&json!({"#status": "status"})), None, true).unwrap();
    let attributes = placeholders.projection("pk, #status").unwrap();
    assert_eq!(attributes.into_iter().collect::<Vec<_>>(), ["pk", "status"]);
    assert!(placeholders.projection("pk, pk").unwrap_err().message.contains("Two document paths overlap"));
}
