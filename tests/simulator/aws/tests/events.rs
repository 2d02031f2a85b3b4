//! Events that clients put on buses.

use super::*;

fn entry(source: &str, detail: &str) -> Value {
    json!({"Source": source, "DetailType": "Example", "Detail": detail, "EventBusName": "unroot"})
}

async fn put(aws: &Aws, credentials: &Credentials, entries: &Value) -> Reply {
    call_in(aws, "eu-central-1", credentials, "events:PutEvents", &json!({ "Entries": entries })).await
}

fn answer(reply: &Reply) -> Value {
    assert_eq!(reply.code, "Success", "{}", reply.body);
    serde_json::from_str(&reply.body).unwrap()
}

#[tokio::test]
async fn an_event_reaches_the_bus_as_rules_see_it() {
    let aws = aws();
    let mut events = aws.put_events();
    let mut given = entry("unroot", r#"{"a": 1}"#);
    given["Time"] = json!(1_795_219_200.5);
    given["Resources"] = json!(["arn:aws:iam::444455556666:root"]);
    let answer = answer(&put(&aws, &auditor(&aws), &json!([given])).await);
    let PutEvent { bus_arn, event } = events.try_recv().unwrap();
    assert_eq!(bus_arn, "arn:aws:events:eu-central-1:222233334444:event-bus/unroot");
    assert_eq!(answer, json!({"FailedEntryCount": 0, "Entries": [{"EventId": event["id"]}]}));
    let expected = json!({
        "version": "0",
        "id": event["id"],
        "detail-type": "Example",
        "source": "unroot",
        "account": AUDIT,
        "time": "2026-11-21T00:00:00Z",
        "region": "eu-central-1",
        "resources": ["arn:aws:iam::444455556666:root"],
        "detail": {"a": 1},
    });
    assert_eq!(event, expected);
}

#[tokio::test]
async fn each_entry_fails_for_itself() {
    let aws = aws();
    let mut events = aws.put_events();
    let entries = json!([
        {"DetailType": "Example", "Detail": "{}"},
        {"Source": "unroot", "DetailType": "", "Detail": "{}"},
        {"Source": "unroot", "DetailType": "Example"},
        entry("unroot", "no JSON"),
        entry("unroot", "[]"),
        entry("aws.iam", "{}"),
        entry("unroot", "{}"),
    ]);
    let answer = answer(&put(&aws, &auditor(&aws), &entries).await);
    assert_eq!(answer["FailedEntryCount"], 6);
    let results = answer["Entries"].as_array().unwrap();
    let codes: Vec<_> = results.iter().map(|result| result["ErrorCode"].as_str().unwrap_or("none")).collect();
    let expected = [
        "InvalidArgument",
        "InvalidArgument",
        "InvalidArgument",
        "MalformedDetail",
        "MalformedDetail",
        "NotAuthorizedForSourceException",
        "none",
    ];
    assert_eq!(codes, expected);
    assert_eq!(results[0]["ErrorMessage"], "Parameter Source is not valid. Reason: Source is a required argument.");
    assert!(events.try_recv().is_ok());
    assert!(events.try_recv().is_err(), "the others are nowhere");
}

#[tokio::test]
async fn a_request_has_its_limits() {
    let aws = aws();
    let mut events = aws.put_events();
    let large = format!("\"{}\"", "x".repeat(200_000));
    for (entries, message) in [
        (json!([]), "1 validation error detected: Value at 'entries' failed to satisfy constraint"),
        (json!(vec![entry("unroot", "{}"); 11]), "1 validation error detected: Value at 'entries'"),
        (json!(vec![entry("unroot", &large); 6]), "Total size of the entries in the request is over the limit."),
    ] {
        let reply = put(&aws, &auditor(&aws), &entries).await;
        assert_eq!(reply.code, "ValidationException");
        assert!(reply.body.contains(message), "{}", reply.body);
    }
    assert!(events.try_recv().is_err());
    assert_eq!(answer(&put(&aws, &auditor(&aws), &json!(vec![entry("a", "{}"); 10])).await)["FailedEntryCount"], 0);
}

#[tokio::test]
async fn the_caller_needs_the_permission_on_the_bus() {
    let aws = aws();
    let mut events = aws.put_events();
    let bus = "arn:aws:events:eu-central-1:222233334444:event-bus/unroot";
    let condition = json!({"StringEquals": {"events:source": "unroot"}});
    let statement = json!([{"Effect": "Allow", "Action": "events:PutEvents", "Resource": bus, "Condition": condition}]);
    let caller = principal(&aws, &statement);
    let mut elsewhere = entry("unroot", "{}");
    elsewhere["EventBusName"] = json!("default");
    for entries in [json!([entry("other", "{}")]), json!([entry("unroot", "{}"), elsewhere])] {
        let reply = put(&aws, &caller, &entries).await;
        assert_eq!(reply.code, "AccessDeniedException", "{}", reply.body);
    }
    assert!(events.try_recv().is_err(), "one entry that is denied takes all along");
    let mut by_arn = entry("unroot", "{}");
    by_arn["EventBusName"] = json!(bus);
    assert_eq!(put(&aws, &caller, &json!([by_arn, entry("unroot", "{}")])).await.code, "Success");
    let permission = ("events:PutEvents".to_owned(), bus.to_owned());
    let asked = aws.calls().pop().unwrap().permissions;
    assert!(!asked.is_empty() && asked.iter().all(|asked| *asked == permission), "{asked:?}");
}

#[tokio::test]
async fn faults_hit_events_too() {
    let aws = aws();
    let mut events = aws.put_events();
    let entries = json!([entry("unroot", "{}"), entry("unroot", "{}"), entry("unroot", "{}")]);
    for (fault, code) in [
        ("throttle", "ThrottlingException"),
        ("error500", "InternalException"),
        ("denied", "AccessDeniedException"),
        ("drop", "Disconnect"),
    ] {
        aws.inject(format!("events:PutEvents={fault},times=1").parse().unwrap());
        assert_eq!(put(&aws, &auditor(&aws), &entries).await.code, code);
        assert!(events.try_recv().is_err(), "{fault}");
    }
    aws.inject("events:PutEvents=partial,times=2".parse().unwrap());
    let partial = answer(&put(&aws, &auditor(&aws), &entries).await);
    assert_eq!(partial["FailedEntryCount"], 2);
    assert_eq!(
        partial["Entries"][2],
        json!({"ErrorCode": "InternalFailure", "ErrorMessage": "Internal Service Failure"})
    );
    assert!(events.try_recv().is_ok() && events.try_recv().is_err(), "one of three was put");
    let one = answer(&put(&aws, &auditor(&aws), &json!([entry("unroot", "{}")])).await);
    assert_eq!(one["FailedEntryCount"], 1);
    aws.inject("events:PutEvents=drop-after,times=1".parse().unwrap());
    assert_eq!(put(&aws, &auditor(&aws), &entries).await.code, "Disconnect");
    assert_eq!(std::iter::from_fn(|| events.try_recv().ok()).count(), 3, "it was done");
}
