//! DynamoDB.

use super::*;

const TABLE: &str = "unroot-test";
const ARN: &str = "arn:aws:dynamodb:us-east-1:222233334444:table/unroot-test";

fn aws_with_table() -> Aws {
    let aws = aws();
    let key = |name: &str, kind| KeyAttribute { name: name.to_owned(), kind };
    let arn = aws.create_table(TableSettings {
        account: AUDIT.to_owned(),
        region: "us-east-1".to_owned(),
        name: TABLE.to_owned(),
        partition_key: key("pk", KeyType::S),
        sort_key: Some(key("sk", KeyType::N)),
        time_to_live: Some("expires".to_owned()),
    });
    assert_eq!(arn, ARN);
    aws
}

fn key(pk: &str, sk: u32) -> Value {
    json!({"pk": {"S": pk}, "sk": {"N": sk.to_string()}})
}

fn with(mut item: Value, name: &str, value: Value) -> Value {
    item[name] = value;
    item
}

/// The answer of an operation that must succeed.
async fn done(aws: &Aws, operation: &str, input: Value) -> Value {
    let reply = call(aws, &auditor(aws), &format!("dynamodb:{operation}"), input).await;
    assert_eq!(reply.code, "Success", "{operation}: {}", reply.body);
    serde_json::from_str(&reply.body).unwrap()
}

/// The code and the message of an operation that must fail.
async fn failed(aws: &Aws, operation: &str, input: Value) -> (String, String) {
    let reply = call(aws, &auditor(aws), &format!("dynamodb:{operation}"), input).await;
    assert_ne!(reply.code, "Success", "{operation}: {}", reply.body);
    let error: Value = serde_json::from_str(&reply.body).unwrap();
    (reply.code, error["message"].as_str().unwrap().to_owned())
}

async fn put(aws: &Aws, item: Value) {
    done(aws, "PutItem", json!({"TableName": TABLE, "Item": item})).await;
}

fn put_if_new(item: &Value) -> Value {
    json!({"Put": {
        "TableName": TABLE,
        "Item": item,
        "ConditionExpression": "attribute_not_exists(pk)",
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }})
}

#[tokio::test]
async fn an_item_is_put_read_and_deleted() {
    let aws = aws_with_table();
    let item = with(key("a", 1), "list", json!({"L": [{"BOOL": true}, {"NULL": true}, {"N": "2.50"}]}));
    put(&aws, item.clone()).await;
    let get = |projection: Option<&str>| {
        let mut input = json!({"TableName": ARN, "Key": key("a", 1)});
        if let Some(projection) = projection {
            input["ProjectionExpression"] = json!(projection);
        }
        input
    };
    let read = done(&aws, "GetItem", get(None)).await;
    assert_eq!(
        read,
        json!({"Item": with(item.clone(), "list", json!({"L": [{"BOOL": true}, {"NULL": true}, {"N": "2.5"}]}))})
    );
    assert_eq!(done(&aws, "GetItem", get(Some("pk"))).await, json!({"Item": {"pk": {"S": "a"}}}));
    assert_eq!(aws.items(TABLE), [json!({"pk": "a", "sk": 1, "list": [true, null, 2.5]})]);
    let old = json!({"TableName": TABLE, "Key": key("a", 1), "ReturnValues": "ALL_OLD"});
    assert_eq!(done(&aws, "DeleteItem", old.clone()).await["Attributes"]["pk"], json!({"S": "a"}));
    assert_eq!(done(&aws, "DeleteItem", old).await, json!({}), "an item that is not there is deleted all the same");
    assert_eq!(done(&aws, "GetItem", get(None)).await, json!({}));
    assert!(aws.calls().iter().all(|call| !call.mutating), "no account was changed");
}

#[tokio::test]
async fn an_expired_item_is_still_there() {
    let aws = aws_with_table();
    aws.put_item(TABLE, &json!({"pk": "a", "sk": 1, "expires": 1})).unwrap();
    assert_eq!(
        done(&aws, "GetItem", json!({"TableName": TABLE, "Key": key("a", 1)})).await["Item"]["expires"]["N"],
        "1"
    );
}

#[tokio::test]
async fn what_does_not_fit_the_table_is_refused() {
    let aws = aws_with_table();
    let large = with(key("a", 1), "x", json!({"S": "x".repeat(400 * 1024)}));
    for (item, problem) in [
        (json!({"pk": {"S": "a"}}), "One or more parameter values were invalid: Missing the key sk in the item"),
        (
            json!({"pk": {"N": "1"}, "sk": {"N": "1"}}),
            "One or more parameter values were invalid: Type mismatch for key pk expected: S actual: N",
        ),
        (
            key("", 1),
            "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty \
             string value. Key: pk",
        ),
        (key(&"x".repeat(2049), 1), "One or more parameter values were invalid: Size of hashkey has exceeded"),
        (large, "Item size has exceeded the maximum allowed size"),
        (with(key("a", 1), "x", json!({})), "Supplied AttributeValue is empty"),
        (
            with(key("a", 1), "x", json!({"S": "a", "N": "1"})),
            "Supplied AttributeValue has more than one datatypes set",
        ),
        (
            with(key("a", 1), "x", json!({"SS": []})),
            "One or more parameter values were invalid: An string set  may not",
        ),
        (
            with(key("a", 1), "x", json!({"NS": ["1", "1.0"]})),
            "One or more parameter values were invalid: Input collection",
        ),
    ] {
        let (code, message) = failed(&aws, "PutItem", json!({"TableName": TABLE, "Item": item})).await;
        assert_eq!(code, "ValidationException");
        assert!(message.starts_with(problem), "{message}");
    }
    for wrong in [
        json!({"pk": {"S": "a"}}),
        with(key("a", 1), "x", json!({"N": "1"})),
        json!({"pk": {"S": "a"}, "sk": {"S": "1"}}),
    ] {
        let (_, message) = failed(&aws, "GetItem", json!({"TableName": TABLE, "Key": wrong})).await;
        assert_eq!(message, "The provided key element does not match the schema");
    }
    let (code, message) = failed(&aws, "GetItem", json!({"TableName": "nowhere", "Key": key("a", 1)})).await;
    assert_eq!((code.as_str(), message.as_str()), ("ResourceNotFoundException", "Requested resource not found"));
    assert!(aws.items(TABLE).is_empty());
}

#[tokio::test]
async fn a_condition_that_does_not_hold_leaves_the_item() {
    let aws = aws_with_table();
    put(&aws, with(key("a", 1), "v", json!({"N": "5"}))).await;
    let newer = |v: u32| {
        json!({
            "TableName": TABLE,
            "Item": with(key("a", 1), "v", json!({"N": v.to_string()})),
            "ConditionExpression": "v < :v",
            "ExpressionAttributeValues": {":v": {"N": v.to_string()}},
        })
    };
    let reply = call(
        &aws,
        &auditor(&aws),
        "dynamodb:PutItem",
        with(newer(4), "ReturnValuesOnConditionCheckFailure", json!("ALL_OLD")),
    )
    .await;
    let error: Value = serde_json::from_str(&reply.body).unwrap();
    assert_eq!((reply.code.as_str(), &error["Item"]["v"]), ("ConditionalCheckFailedException", &json!({"N": "5"})));
    done(&aws, "PutItem", newer(10)).await;
    assert_eq!(aws.items(TABLE)[0]["v"], 10);
}

#[tokio::test]
async fn a_transaction_is_done_whole_or_not_at_all() {
    let aws = aws_with_table();
    put(&aws, key("a", 1)).await;
    let input = json!({"TransactItems": [put_if_new(&key("b", 1)), put_if_new(&key("a", 1))]});
    let reply = call(&aws, &auditor(&aws), "dynamodb:TransactWriteItems", input).await;
    assert_eq!(reply.code, "TransactionCanceledException");
    let error: Value = serde_json::from_str(&reply.body).unwrap();
    assert_eq!(
        error["CancellationReasons"],
        json!([
            {"Code": "None"},
            {"Code": "ConditionalCheckFailed", "Message": "The conditional request failed", "Item": key("a", 1)},
        ])
    );
    assert!(error["message"].as_str().unwrap().ends_with("[None, ConditionalCheckFailed]"));
    assert_eq!(aws.items(TABLE).len(), 1);
    let check = json!({"ConditionCheck": {"TableName": TABLE, "Key": key("a", 1), "ConditionExpression": "attribute_exists(pk)"}});
    let delete = json!({"Delete": {"TableName": TABLE, "Key": key("c", 1)}});
    done(&aws, "TransactWriteItems", json!({"TransactItems": [check, delete, put_if_new(&key("b", 1))]})).await;
    assert_eq!(aws.items(TABLE).len(), 2);
    let permissions = aws.calls().pop().unwrap().permissions;
    let actions = ["dynamodb:ConditionCheckItem", "dynamodb:DeleteItem", "dynamodb:PutItem"];
    assert_eq!(permissions, actions.map(|action| (action.to_owned(), ARN.to_owned())));
}

#[tokio::test]
async fn a_transaction_is_refused_for_what_it_may_not_contain() {
    let aws = aws_with_table();
    let items = |items: Vec<Value>| json!({"TransactItems": items});
    let many = (0..101).map(|number| put_if_new(&key("a", number))).collect();
    let large = |number| put_if_new(&with(key("a", number), "x", json!({"S": "x".repeat(390_000)})));
    for (input, code, problem) in [
        (items(Vec::new()), "ValidationException", "1 validation error detected: Value '[]' at 'transactItems'"),
        (items(many), "ValidationException", "1 validation error detected: Value at 'transactItems'"),
        (items((0..12).map(large).collect()), "ValidationException", "The aggregate size"),
        (
            items(vec![put_if_new(&key("a", 1)); 2]),
            "ValidationException",
            "Transaction request cannot include multiple",
        ),
        (items(vec![json!({"Update": {}})]), "NotSimulated", "the simulator does not have `Update`"),
        (items(vec![json!({})]), "ValidationException", "TransactItems can only contain one of"),
        (
            items(vec![put_if_new(&json!({"pk": {"S": "a"}}))]),
            "TransactionCanceledException",
            "Transaction cancelled, please refer cancellation reasons for specific reasons [ValidationError]",
        ),
    ] {
        let (actual, message) = failed(&aws, "TransactWriteItems", input).await;
        assert_eq!(actual, code, "{message}");
        assert!(message.starts_with(problem), "{message}");
    }
    assert!(aws.items(TABLE).is_empty());
}

#[tokio::test]
async fn a_token_makes_a_transaction_happen_once() {
    let aws = aws_with_table();
    let with_token = |item: &Value| json!({"TransactItems": [put_if_new(item)], "ClientRequestToken": "token"});
    done(&aws, "TransactWriteItems", with_token(&key("a", 1))).await;
    done(&aws, "TransactWriteItems", with_token(&key("a", 1))).await;
    let (code, _) = failed(&aws, "TransactWriteItems", with_token(&key("a", 2))).await;
    assert_eq!(code, "IdempotentParameterMismatchException");
    aws.clock().advance(Duration::from_mins(10));
    let (code, _) = failed(&aws, "TransactWriteItems", with_token(&key("a", 1))).await;
    assert_eq!(code, "TransactionCanceledException");
}

#[tokio::test]
async fn batches_have_limits_and_no_duplicates() {
    let aws = aws_with_table();
    let get = |keys: Vec<Value>| json!({"RequestItems": {TABLE: {"Keys": keys}}});
    let write = |keys: Vec<Value>| {
        let requests: Vec<_> = keys.into_iter().map(|item| json!({"PutRequest": {"Item": item}})).collect();
        json!({"RequestItems": {TABLE: requests}})
    };
    let keys = |most| (0..most).map(|number| key("a", number)).collect::<Vec<_>>();
    assert_eq!(done(&aws, "BatchWriteItem", write(keys(25))).await, json!({"UnprocessedItems": {}}));
    let read = done(&aws, "BatchGetItem", get(keys(100))).await;
    assert_eq!((read["Responses"][TABLE].as_array().unwrap().len(), &read["UnprocessedKeys"]), (25, &json!({})));
    for (operation, input) in [
        ("BatchGetItem", get(keys(101))),
        ("BatchGetItem", get(vec![key("a", 1); 2])),
        ("BatchGetItem", get(Vec::new())),
        ("BatchWriteItem", write(keys(26))),
        ("BatchWriteItem", write(vec![key("a", 1); 2])),
        ("BatchWriteItem", write(Vec::new())),
    ] {
        assert_eq!(failed(&aws, operation, input).await.0, "ValidationException");
    }
    let delete = json!({"RequestItems": {TABLE: [{"DeleteRequest": {"Key": key("a", 1)}}]}});
    done(&aws, "BatchWriteItem", delete).await;
    assert_eq!(aws.items(TABLE).len(), 24);
}

#[tokio::test]
async fn a_batch_answers_sixteen_megabytes_at_most() {
    let aws = aws_with_table();
    for number in 0..45 {
        aws.put_item(TABLE, &json!({"pk": "a", "sk": number, "x": "x".repeat(400_000)})).unwrap();
    }
    let keys: Vec<_> = (0..45).map(|number| key("a", number)).collect();
    let read = done(&aws, "BatchGetItem", json!({"RequestItems": {TABLE: {"Keys": keys}}})).await;
    let answered = read["Responses"][TABLE].as_array().unwrap().len();
    let left = read["UnprocessedKeys"][TABLE]["Keys"].as_array().unwrap().len();
    assert_eq!((answered, left), (41, 4));
}

#[tokio::test]
async fn a_query_reads_a_partition_in_order_and_in_pages() {
    let aws = aws_with_table();
    for number in [10, 9, 2, 1] {
        aws.put_item(TABLE, &json!({"pk": "a", "sk": number, "v": number % 2})).unwrap();
        aws.put_item(TABLE, &json!({"pk": "b", "sk": number})).unwrap();
    }
    let query = |more: Value| {
        let mut input = json!({
            "TableName": TABLE,
            "KeyConditionExpression": "pk = :pk",
            "ExpressionAttributeValues": {":pk": {"S": "a"}},
        });
        for (member, value) in more.as_object().unwrap() {
            input[member] = value.clone();
        }
        input
    };
    let sort_keys = |page: &Value| -> Vec<String> {
        page["Items"].as_array().unwrap().iter().map(|item| item["sk"]["N"].as_str().unwrap().to_owned()).collect()
    };
    let all = done(&aws, "Query", query(json!({}))).await;
    assert_eq!(
        (sort_keys(&all), all.get("LastEvaluatedKey")),
        (["1", "2", "9", "10"].map(str::to_owned).to_vec(), None)
    );
    let last = done(&aws, "Query", query(json!({"ScanIndexForward": false, "Limit": 1}))).await;
    assert_eq!((sort_keys(&last), &last["LastEvaluatedKey"]), (vec!["10".to_owned()], &key("a", 10)));
    let next = done(&aws, "Query", query(json!({"ScanIndexForward": false, "ExclusiveStartKey": key("a", 10)}))).await;
    assert_eq!(sort_keys(&next), ["9", "2", "1"]);
    let exact = done(&aws, "Query", query(json!({"Limit": 4}))).await;
    assert_eq!(exact["LastEvaluatedKey"], key("a", 10), "DynamoDB does not look whether more follows");
    let odd = query(json!({
        "KeyConditionExpression": "pk = :pk AND sk BETWEEN :low AND :high",
        "FilterExpression": "v = :odd",
        "ExpressionAttributeValues": {":pk": {"S": "a"}, ":low": {"N": "2"}, ":high": {"N": "10"}, ":odd": {"N": "1"}},
    }));
    let odd = done(&aws, "Query", odd).await;
    assert_eq!((sort_keys(&odd), &odd["Count"], &odd["ScannedCount"]), (vec!["9".to_owned()], &json!(1), &json!(3)));
    let scan = done(&aws, "Scan", json!({"TableName": TABLE, "Select": "COUNT"})).await;
    assert_eq!(scan, json!({"Count": 8, "ScannedCount": 8}));
}

#[tokio::test]
async fn a_page_is_a_megabyte_at_most() {
    let aws = aws_with_table();
    for number in 0..3 {
        aws.put_item(TABLE, &json!({"pk": "a", "sk": number, "x": "x".repeat(400_000)})).unwrap();
    }
    let first = done(&aws, "Scan", json!({"TableName": TABLE})).await;
    assert_eq!((&first["Count"], &first["LastEvaluatedKey"]), (&json!(2), &key("a", 1)));
    let second = done(&aws, "Scan", json!({"TableName": TABLE, "ExclusiveStartKey": key("a", 1)})).await;
    assert_eq!((&second["Count"], second.get("LastEvaluatedKey")), (&json!(1), None));
}

#[tokio::test]
async fn a_query_is_refused_that_does_not_ask_for_one_partition() {
    let aws = aws_with_table();
    for (condition, problem) in [
        ("sk = :sk", "Query condition missed key schema element: pk"),
        ("pk > :pk", "Query key condition not supported"),
        ("pk = :pk OR sk = :sk", "Invalid operator used in KeyConditionExpression: OR"),
        ("pk = :pk AND sk <> :sk", "Invalid operator used in KeyConditionExpression: <>"),
        ("pk = :pk AND v = :sk", "Query condition missed key schema element: sk"),
        ("pk = :pk AND sk > :sk AND sk < :sk", "KeyConditionExpressions must only contain one condition per key"),
        ("pk = :sk", "One or more parameter values were invalid: Condition parameter type does not match schema type"),
    ] {
        let mut values = json!({":pk": {"S": "a"}, ":sk": {"N": "1"}});
        values.as_object_mut().unwrap().retain(|name, _| condition.contains(name));
        let input =
            json!({"TableName": TABLE, "KeyConditionExpression": condition, "ExpressionAttributeValues": values});
        assert_eq!(failed(&aws, "Query", input).await, ("ValidationException".to_owned(), problem.to_owned()));
    }
    let filter = json!({
        "TableName": TABLE, "KeyConditionExpression": "pk = :pk", "FilterExpression": "attribute_exists(sk)",
        "ExpressionAttributeValues": {":pk": {"S": "a"}},
    });
    assert!(failed(&aws, "Query", filter).await.1.starts_with("Filter Expression can only contain non-primary key"));
}

#[tokio::test]
async fn who_may_not_use_a_table_is_denied() {
    let aws = aws_with_table();
    aws.put_item(TABLE, &json!({"pk": "a", "sk": 1})).unwrap();
    let reader = principal(&aws, &json!({"Effect": "Allow", "Action": "dynamodb:GetItem", "Resource": ARN}));
    let input = json!({"TableName": TABLE, "Key": key("a", 1)});
    assert_eq!(call(&aws, &reader, "dynamodb:GetItem", input.clone()).await.code, "Success");
    let transaction = json!({"TransactItems": [put_if_new(&key("b", 1))]});
    let denied = call(&aws, &reader, "dynamodb:TransactWriteItems", transaction).await;
    assert_eq!(denied.code, "AccessDeniedException");
    assert!(
        denied.body.contains(&format!("is not authorized to perform: dynamodb:PutItem on resource: {ARN} because"))
    );
    let elsewhere = aws.administrator(&account(SHOP));
    let by_arn = json!({"TableName": ARN, "Key": key("a", 1)});
    assert_eq!(call(&aws, &elsewhere, "dynamodb:GetItem", by_arn).await.code, "AccessDeniedException");
    assert_eq!(call(&aws, &elsewhere, "dynamodb:GetItem", input).await.code, "ResourceNotFoundException");
}

#[tokio::test]
async fn faults_at_tables_are_those_that_dynamodb_has() {
    let aws = aws_with_table();
    put(&aws, key("a", 1)).await;
    let inject = |operation: &str, kind| aws.inject(Fault::at(&format!("dynamodb:{operation}"), kind).times(1));
    for (kind, code) in [
        (FaultKind::Throttle, "ThrottlingException"),
        (FaultKind::Error500, "InternalServerError"),
        (FaultKind::Error503, "ServiceUnavailable"),
        (FaultKind::Denied, "AccessDeniedException"),
        (FaultKind::Conflict, "TransactionCanceledException"),
    ] {
        inject("TransactWriteItems", kind);
        let input = json!({"TransactItems": [put_if_new(&key("b", 1)), put_if_new(&key("b", 2))]});
        let (actual, message) = failed(&aws, "TransactWriteItems", input).await;
        assert_eq!(actual, code);
        assert!(kind != FaultKind::Conflict || message.ends_with("[TransactionConflict, None]"), "{message}");
    }
    inject("PutItem", FaultKind::Conflict);
    let input = json!({"TableName": TABLE, "Item": key("b", 1)});
    assert_eq!(failed(&aws, "PutItem", input).await.0, "TransactionConflictException");
    assert_eq!(aws.items(TABLE).len(), 1, "nothing was done");

    put(&aws, key("a", 2)).await;
    inject("*", FaultKind::Stale(1));
    let consistent = json!({"TableName": TABLE, "Key": key("a", 2), "ConsistentRead": true});
    assert!(done(&aws, "GetItem", consistent).await.get("Item").is_some(), "such a read is never stale");
    let eventual = json!({"TableName": TABLE, "Key": key("a", 2)});
    assert!(done(&aws, "GetItem", eventual.clone()).await.get("Item").is_none());
    assert!(done(&aws, "GetItem", eventual).await.get("Item").is_some());

    inject("*", FaultKind::Partial);
    let keys = json!({"RequestItems": {TABLE: {"Keys": [key("a", 1), key("a", 2)], "ConsistentRead": true}}});
    let half = done(&aws, "BatchGetItem", keys).await;
    assert_eq!(half["Responses"][TABLE].as_array().unwrap().len(), 1);
    assert_eq!(half["UnprocessedKeys"], json!({TABLE: {"Keys": [key("a", 2)], "ConsistentRead": true}}));
    inject("*", FaultKind::Partial);
    let requests = [key("c", 1), key("c", 2), key("c", 3)].map(|item| json!({"PutRequest": {"Item": item}}));
    let half = done(&aws, "BatchWriteItem", json!({"RequestItems": {TABLE: requests}})).await;
    assert_eq!(half["UnprocessedItems"], json!({TABLE: [{"PutRequest": {"Item": key("c", 3)}}]}));
}

#[tokio::test]
async fn a_reset_empties_tables_and_keeps_them() {
    let aws = aws_with_table();
    put(&aws, key("a", 1)).await;
    aws.reset(aws.organization());
    assert!(aws.items(TABLE).is_empty());
    put(&aws, key("a", 1)).await;
    assert_eq!(aws.items(TABLE).len(), 1);
}
