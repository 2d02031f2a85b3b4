use serde_json::json;

use super::*;

fn matches(pattern: &Value, event: &Value) -> bool {
    EventPattern::parse(pattern).unwrap().matches(event)
}

#[test]
fn conditions_match_as_documented() {
    for (condition, value, expected) in [
        (json!("a"), json!("a"), true),
        (json!("a"), json!("A"), false),
        (json!("a"), json!(["b", "a"]), true),
        (json!("a"), json!(["b", ["a"]]), true),
        (json!("300"), json!(300), false),
        (json!(300), json!(300), true),
        (json!(300), json!(300.0), false),
        (json!(null), json!(null), true),
        (json!(null), json!(""), false),
        (json!(true), json!(true), true),
        (json!({"prefix": "ab"}), json!("abc"), true),
        (json!({"prefix": "ab"}), json!("cab"), false),
        (json!({"prefix": {"equals-ignore-case": "AB"}}), json!("abC"), true),
        (json!({"suffix": "bc"}), json!("abc"), true),
        (json!({"suffix": "bc"}), json!("bcd"), false),
        (json!({"suffix": {"equals-ignore-case": ".PNG"}}), json!("a.png"), true),
        (json!({"equals-ignore-case": "AlIcE"}), json!("aLiCe"), true),
        (json!({"equals-ignore-case": "AlIcE"}), json!("aLiCe2"), false),
        (json!({"wildcard": "dir/*.png"}), json!("dir/sub/a.png"), true),
        (json!({"wildcard": "dir/*.png"}), json!("dir/a.png.bak"), false),
        (json!({"wildcard": "*a*"}), json!("a"), true),
        (json!({"wildcard": "a*a"}), json!("a"), false),
        (json!({"wildcard": "no star"}), json!("no star"), true),
        (json!({"wildcard": r"a\*b"}), json!("a*b"), true),
        (json!({"wildcard": r"a\*b"}), json!("axb"), false),
        (json!({"anything-but": "a"}), json!("b"), true),
        (json!({"anything-but": "a"}), json!("a"), false),
        (json!({"anything-but": "a"}), json!(["a", "b"]), true),
        (json!({"anything-but": ["a", "b"]}), json!("b"), false),
        (json!({"anything-but": ["a", "b"]}), json!("c"), true),
        (json!({"anything-but": 7}), json!(8), true),
        (json!({"anything-but": [7, 8]}), json!(8), false),
        (json!({"anything-but": {"prefix": "a"}}), json!("ab"), false),
        (json!({"anything-but": {"prefix": ["a", "b"]}}), json!("ca"), true),
        (json!({"anything-but": {"suffix": ".txt"}}), json!("a.png"), true),
        (json!({"anything-but": {"equals-ignore-case": ["A", "B"]}}), json!("b"), false),
        (json!({"anything-but": {"wildcard": "*/lib/*"}}), json!("a/lib/b"), false),
        (json!({"exists": true}), json!(null), true),
        (json!({"exists": true}), json!([]), false),
        (json!({"exists": true}), json!({"not": "a leaf"}), false),
        (json!({"exists": false}), json!("a"), false),
        (json!({"numeric": ["=", 3]}), json!(3.0), true),
        (json!({"numeric": ["<", 3]}), json!(3), false),
        (json!({"numeric": ["<=", 3]}), json!(3), true),
        (json!({"numeric": [">", 0, "<=", 5]}), json!(5), true),
        (json!({"numeric": [">", 0, "<=", 5]}), json!(0), false),
        (json!({"numeric": [">", 0]}), json!("1"), false),
        (json!({"cidr": "10.0.0.0/24"}), json!("10.0.0.255"), true),
        (json!({"cidr": "10.0.0.0/24"}), json!("10.0.1.0"), false),
        (json!({"cidr": "0.0.0.0/0"}), json!("10.0.1.0"), true),
        (json!({"cidr": "2001:db8::/32"}), json!("2001:db8:1::"), true),
        (json!({"cidr": "10.0.0.0/24"}), json!("AWS Internal"), false),
    ] {
        let pattern = json!({ "field": [condition] });
        let event = json!({ "field": value });
        assert_eq!(matches(&pattern, &event), expected, "{pattern} and {event}");
    }
}

#[test]
fn patterns_combine_as_documented() {
    let event = json!({
        "source": "aws.organizations",
        "detail": {"name": "CreateAccountResult", "users": [{"id": 1, "type": "a"}, {"id": 2, "type": "b"}]},
    });
    for (pattern, expected) in [
        (json!({"source": ["aws.sso", "aws.organizations"]}), true),
        (json!({"source": ["aws.organizations"], "detail": {"name": ["Other"]}}), false),
        (json!({"source": ["aws.organizations"], "detail": {"name": ["CreateAccountResult"]}}), true),
        (json!({"detail": {"absent": [{"exists": false}]}}), true),
        (json!({"absent": {"below": [{"exists": false}]}}), true),
        (json!({"absent": {"below": [{"exists": true}]}}), false),
        (json!({"detail": {"absent": [{"anything-but": "a"}]}}), false),
        (json!({"detail": {"users": {"id": [1], "type": ["a"]}}}), true),
        // The fields of two elements of a list are not mixed.
        (json!({"detail": {"users": {"id": [1], "type": ["b"]}}}), false),
        (json!({"$or": [{"source": ["other"]}, {"detail": {"name": [{"prefix": "Create"}]}}]}), true),
        (json!({"source": ["other"], "$or": [{"source": ["x"]}, {"detail": {"name": [{"prefix": "Create"}]}}]}), false),
        (json!({"detail": {"$or": [{"name": ["x"]}, {"users": {"id": [3]}}]}}), false),
    ] {
        assert_eq!(matches(&pattern, &event), expected, "{pattern}");
    }
}

#[test]
fn what_put_rule_refuses_is_an_error() {
    for (pattern, message) in [
        (json!([]), "at ``: must be an object"),
        (json!({}), "at ``: an empty object matches nothing"),
        (json!({"source": "aws.s3"}), "at `source`: must be an object or a list, and is \"aws.s3\""),
        (json!({"detail": {"n": 1}}), "at `detail.n`: must be an object or a list, and is 1"),
        (json!({"source": []}), "at `source`: an empty list matches nothing"),
        (json!({"detail": {}}), "at `detail`: an empty object matches nothing"),
        (json!({"source": [["a"]]}), "at `source`: a list in a list"),
        (json!({"a": [{"matches": "x"}]}), "at `a.matches`: unknown operator"),
        (json!({"a": [{"prefix": "x", "suffix": "y"}]}), "at `a`: an object in a list must have exactly one operator"),
        (json!({"a": [{"prefix": ["x"]}]}), "at `a.prefix`: must be a string, and is [\"x\"]"),
        (json!({"a": [{"exists": "true"}]}), "at `a.exists`: must be true or false"),
        (json!({"a": [{"wildcard": "a**"}]}), "at `a.wildcard`: two asterisks in a row"),
        (
            json!({"a": [{"anything-but": ["a", 1]}]}),
            "at `a.anything-but`: must be a string, a number, a list of only one of them, or an operator",
        ),
        (json!({"a": [{"anything-but": {"like": "a"}}]}), "at `a.anything-but.like`: unknown operator"),
        (
            json!({"a": [{"numeric": ["<", 5, ">", 0]}]}),
            "at `a.numeric`: must be one comparison, or a lower and then a higher upper bound",
        ),
        (json!({"a": [{"numeric": ["!=", 5]}]}), "at `a.numeric`: unknown comparison `!=`"),
        (json!({"a": [{"cidr": "10.0.0.0/33"}]}), "at `a.cidr`: `10.0.0.0/33` is not a network like 10.0.0.0/24"),
        (json!({"$or": [{"a": [1]}]}), "at `$or`: must be a list of at least two objects"),
    ] {
        let error = EventPattern::parse(&pattern).unwrap_err().to_string();
        assert_eq!(error, format!("event pattern is not valid {message}"), "{pattern}");
    }
}
