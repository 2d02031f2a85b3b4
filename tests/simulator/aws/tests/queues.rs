//! The policies of members' queues, and the root sessions that unlock them.

use super::*;

const TASK: &str = "SQSUnlockQueuePolicy";
/// Denies everyone everything, in eu-west-1.
const LOCKED: &str = "https://sqs.eu-west-1.amazonaws.com/444455556666/orders";
const LOCKED_ARN: &str = "arn:aws:sqs:eu-west-1:444455556666:orders";
/// Lets the audit account send, in us-east-1.
const NEWSLETTER: &str = "https://sqs.us-east-1.amazonaws.com/444455556666/newsletter";

async fn call_there(aws: &Aws, caller: &Credentials, operation: &str, mut input: Value) -> Reply {
    input["QueueUrl"] = json!(LOCKED);
    call_in(aws, "eu-west-1", caller, &format!("sqs:{operation}"), &input).await
}

#[tokio::test]
async fn a_root_session_removes_a_policy_that_denies_everyone() {
    let aws = aws();
    let session = root_session(&aws, SHOP, TASK).await;
    let administrator = aws.administrator(&account(SHOP));
    let get =
        async |caller| call_there(&aws, caller, "GetQueueAttributes", json!({"AttributeNames": ["Policy"]})).await;
    let set = async |caller, policy: &str| {
        call_there(&aws, caller, "SetQueueAttributes", json!({"Attributes": {"Policy": policy}})).await.code
    };
    assert_eq!(get(&administrator).await.code, "AccessDenied");
    assert_eq!(set(&administrator, "").await, "AccessDenied");
    let saved: Value = serde_json::from_str(&get(&session).await.body).unwrap();
    let saved = saved["Attributes"]["Policy"].as_str().unwrap();
    assert_eq!(aws.queues().policy(LOCKED_ARN).unwrap().text(), saved);
    assert_eq!(set(&session, "").await, "Success");
    assert_eq!((get(&session).await.body.as_str(), get(&administrator).await.body.as_str()), ("{}", "{}"));
    assert_eq!(set(&administrator, saved).await, "Success", "and he locks himself out");
    assert_eq!(get(&administrator).await.code, "AccessDenied");

    let changes: Vec<_> = aws.calls().into_iter().filter(|call| call.mutating).collect();
    assert_eq!(changes.len(), 3, "{changes:?}");
    assert_eq!((changes[1].account.as_str(), changes[1].region.as_str()), (SHOP, "eu-west-1"));
    assert_eq!(changes[1].permissions, [("sqs:SetQueueAttributes".to_owned(), LOCKED_ARN.to_owned())]);
}

#[tokio::test]
async fn the_task_leaves_a_root_session_nothing_else() {
    let aws = aws();
    let session = root_session(&aws, SHOP, TASK).await;
    for operation in ["PurgeQueue", "AddPermission", "RemovePermission", "SendMessage", "ReceiveMessage"] {
        let reply = call_there(&aws, &session, operation, json!({})).await;
        assert_eq!(reply.code, "AccessDenied", "{operation}");
        assert!(reply.body.contains("explicit deny in a session policy"), "{}", reply.body);
    }
    let audit = root_session(&aws, SHOP, "IAMAuditRootUserCredentials").await;
    assert_eq!(call_there(&aws, &audit, "GetQueueAttributes", json!({})).await.code, "AccessDenied");
}

#[tokio::test]
async fn a_queue_is_found_in_its_account_and_region_only() {
    let aws = aws();
    let session = root_session(&aws, SHOP, TASK).await;
    let input = json!({"QueueUrl": LOCKED, "AttributeNames": ["All"]});
    let elsewhere = call_in(&aws, "us-east-1", &session, "sqs:GetQueueAttributes", &input).await;
    assert_eq!(elsewhere.code, "QueueDoesNotExist");
    let nowhere = json!({"QueueUrl": "https://sqs.us-east-1.amazonaws.com/444455556666/nowhere"});
    assert_eq!(call(&aws, &session, "sqs:GetQueueAttributes", nowhere).await.code, "QueueDoesNotExist");
    let listed = call(&aws, &session, "sqs:ListQueues", json!({})).await;
    assert!(listed.body.contains("newsletter") && !listed.body.contains("orders"), "{}", listed.body);
    let named = call_in(&aws, "eu-west-1", &session, "sqs:GetQueueUrl", &json!({"QueueName": "orders"})).await;
    assert!(named.body.contains(LOCKED), "{}", named.body);

    let stranger = root_session(&aws, "555566667777", TASK).await;
    for operation in ["GetQueueAttributes", "SetQueueAttributes"] {
        let reply = call_there(&aws, &stranger, operation, json!({})).await;
        assert_eq!(reply.code, "AccessDenied", "{operation}");
    }
    // Its policy lets the audit account send, and nothing else.
    let send = json!({"QueueUrl": NEWSLETTER, "MessageBody": "a"});
    assert_eq!(call(&aws, &auditor(&aws), "sqs:SendMessage", send).await.code, "Success");
    let purge = json!({"QueueUrl": NEWSLETTER});
    assert_eq!(call(&aws, &auditor(&aws), "sqs:PurgeQueue", purge).await.code, "AccessDenied");
}

#[tokio::test]
async fn the_change_of_an_attribute_may_be_seen_late() {
    let aws = aws();
    let session = root_session(&aws, SHOP, TASK).await;
    call_there(&aws, &session, "SetQueueAttributes", json!({"Attributes": {"Policy": ""}})).await;
    aws.inject(Fault::at("sqs:GetQueueAttributes", FaultKind::Stale(1)).times(1));
    let get = async || call_there(&aws, &session, "GetQueueAttributes", json!({"AttributeNames": ["Policy"]})).await;
    assert!(get().await.body.contains("LockOut"));
    assert_eq!(get().await.body, "{}");
    let locked = "\"Statement\"";
    aws.reset(aws.organization());
    assert!(aws.queues().policy(LOCKED_ARN).unwrap().text().contains(locked));
}

/// Without the header the SDKs would not know the error.
#[tokio::test]
async fn an_absent_queue_has_the_code_of_old_in_a_header() {
    let aws = aws();
    let mut request = hyper::Request::post("/")
        .header("host", "localhost")
        .header("x-amz-target", "AmazonSQS.GetQueueUrl")
        .body(Bytes::from_static(br#"{"QueueName": "nowhere"}"#))
        .unwrap();
    auditor(&aws).sign(&mut request, "us-east-1", "sqs", aws.clock().now()).unwrap();
    let (head, body) = request.into_parts();
    let Reaction::Answer(response) = aws.react(&Request { head, body }) else { panic!("no answer") };
    assert_eq!(response.headers()["x-amzn-query-error"], "AWS.SimpleQueueService.NonExistentQueue;Sender");
}

#[tokio::test]
async fn cloud_trail_logs_the_attributes_that_a_root_session_sets() {
    let aws = aws();
    aws.watch(Watch { trail_delay: Duration::ZERO, ..Watch::default() });
    let session = root_session(&aws, SHOP, TASK).await;
    let mut events = aws.events();
    call_there(&aws, &session, "SetQueueAttributes", json!({"Attributes": {"Policy": ""}})).await;
    let event = events.try_recv().unwrap();
    assert_eq!((&event["source"], &event["region"]), (&json!("aws.sqs"), &json!("eu-west-1")));
    let detail = &event["detail"];
    let seen = [&detail["eventName"], &detail["readOnly"], &detail["requestParameters"]];
    let parameters = json!({"queueUrl": LOCKED, "attributes": {"Policy": ""}});
    assert_eq!(seen, [&json!("SetQueueAttributes"), &json!(false), &parameters]);
}
