//! What CloudTrail logs of root sessions, and what GuardDuty finds.

use std::time::Duration;

use super::*;

const READ: &str = "IAMAuditRootUserCredentials";

/// The events whose time has come.
fn emitted(aws: &Aws, events: &mut mpsc::UnboundedReceiver<Value>) -> Vec<Value> {
    aws.emit_due();
    std::iter::from_fn(|| events.try_recv().ok()).collect()
}

/// The next events that are due, at their time.
fn next(aws: &Aws, events: &mut mpsc::UnboundedReceiver<Value>) -> Vec<Value> {
    let wait = aws.next_due().expect("nothing is due") - aws.clock().now();
    aws.clock().advance(wait.try_into().unwrap_or_default());
    emitted(aws, events)
}

/// All events that are due, each at its time.
fn all(aws: &Aws, events: &mut mpsc::UnboundedReceiver<Value>) -> Vec<Value> {
    let mut all = Vec::new();
    while aws.next_due().is_some() {
        all.extend(next(aws, events));
    }
    all
}

fn findings(events: &[Value]) -> Vec<Value> {
    events.iter().filter(|event| event["detail-type"] == "GuardDuty Finding").cloned().collect()
}

fn watching(watch: Watch) -> (Aws, mpsc::UnboundedReceiver<Value>) {
    let aws = aws();
    aws.watch(watch);
    let events = aws.events();
    (aws, events)
}

/// A role of the audit account that may do everything.
fn role_session(aws: &Aws) -> Credentials {
    let policy = serde_json::from_value(json!({"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}));
    let role = Role::new(&format!("arn:aws:iam::{AUDIT}:role/unroot-worker"), vec![policy.unwrap()]).unwrap();
    aws.role_session(role, "unroot-worker-function")
}

fn assume(target: &str) -> Value {
    json!({"TargetPrincipal": target, "TaskPolicyArn.arn": format!("{TASKS}{READ}"), "DurationSeconds": "300"})
}

#[tokio::test]
async fn nothing_is_logged_unless_somebody_watches() {
    let aws = aws();
    let mut events = aws.events();
    root_session(&aws, SHOP, READ).await;
    assert_eq!(aws.next_due(), None);
    assert_eq!(emitted(&aws, &mut events), [] as [Value; 0]);
}

#[tokio::test]
async fn opening_a_root_session_is_logged_where_and_by_whom_it_is_opened() {
    let (aws, mut events) = watching(Watch::default());
    let role = role_session(&aws);
    let reply = call_in(&aws, "eu-central-1", &role, "sts:AssumeRoot", &assume(SHOP)).await;
    assert_eq!(emitted(&aws, &mut events), [] as [Value; 0], "not at once");
    let [event] = &next(&aws, &mut events)[..] else { panic!("not one event") };
    let detail = &event["detail"];
    assert_eq!(
        (&event["account"], &event["region"], &event["source"]),
        (&json!(AUDIT), &json!("eu-central-1"), &json!("aws.sts"))
    );
    assert_eq!((&detail["eventName"], &detail["readOnly"]), (&json!("AssumeRoot"), &json!(false)));
    assert_eq!(detail["responseElements"]["credentials"]["accessKeyId"], reply.text("AccessKeyId"));
    assert_eq!(
        detail["requestParameters"],
        json!({"targetPrincipal": SHOP, "taskPolicyArn": {"arn": format!("{TASKS}{READ}")}, "durationSeconds": 300})
    );
    let identity = &detail["userIdentity"];
    assert_eq!(identity["accessKeyId"], role.access_key_id);
    assert_eq!(identity["arn"], format!("arn:aws:sts::{AUDIT}:assumed-role/unroot-worker/unroot-worker-function"));
    let issuer = &identity["sessionContext"]["sessionIssuer"];
    assert_eq!(issuer["arn"], format!("arn:aws:iam::{AUDIT}:role/unroot-worker"));
    assert_eq!(issuer["userName"], "unroot-worker");
    assert!(!event.to_string().contains("RootGuard"), "something of the sample is left: {event}");
    assert!(!event.to_string().contains("2026-11-15"), "something of the sample is left: {event}");
}

#[tokio::test]
async fn an_iam_user_has_no_session_and_a_refusal_no_answer() {
    let (aws, mut events) = watching(Watch { assume_root: Access::ReadOnly, ..Watch::default() });
    let user = auditor(&aws);
    call_in(&aws, "us-east-1", &user, "sts:AssumeRoot", &assume(MANAGEMENT)).await;
    let [event] = &next(&aws, &mut events)[..] else { panic!("not one event") };
    let detail = &event["detail"];
    assert_eq!(detail["readOnly"], true);
    assert_eq!(detail["errorCode"], "AccessDenied");
    assert!(detail["errorMessage"].as_str().unwrap().contains("is not authorized to perform: sts:AssumeRoot"));
    assert_eq!(detail["responseElements"], Value::Null);
    let identity = &detail["userIdentity"];
    assert_eq!((&identity["type"], &identity["userName"]), (&json!("IAMUser"), &json!("administrator")));
    assert!(identity.get("sessionContext").is_none(), "{identity}");
}

#[tokio::test]
async fn what_is_done_in_a_root_session_is_logged_in_the_member() {
    let (aws, mut events) = watching(Watch { trail_delay: Duration::ZERO, ..Watch::default() });
    let session = root_session(&aws, SHOP, "IAMDeleteRootUserCredentials").await;
    call(&aws, &session, "iam:GetLoginProfile", json!({})).await;
    call(&aws, &session, "iam:DeleteAccessKey", json!({"AccessKeyId": "AKIANOTHEREEXAMPLE"})).await;
    let [_, read, denied] = &emitted(&aws, &mut events)[..] else { panic!("not three events") };
    for event in [read, denied] {
        let detail = &event["detail"];
        assert_eq!((&event["account"], &event["region"]), (&json!(SHOP), &json!("us-east-1")));
        assert_eq!((&detail["userIdentity"]["type"], &event["source"]), (&json!("Root"), &json!("aws.iam")));
        assert_eq!(detail["userIdentity"]["accessKeyId"], session.access_key_id);
        assert_eq!(detail["userIdentity"]["sessionContext"]["assumedRoot"], "true");
        assert_eq!(detail["recipientAccountId"], SHOP);
    }
    assert_eq!((&read["detail"]["eventName"], &read["detail"]["readOnly"]), (&json!("GetLoginProfile"), &json!(true)));
    assert_eq!(read["detail"]["requestParameters"], Value::Null);
    assert_eq!(denied["detail"]["requestParameters"], json!({"accessKeyId": "AKIANOTHEREEXAMPLE"}));
    assert_eq!(
        (&denied["detail"]["readOnly"], &denied["detail"]["errorCode"]),
        (&json!(false), &json!("NoSuchEntity"))
    );

    aws.watch(Watch { trail_delay: Duration::ZERO, assumed_root: AssumedRoot::Missing, ..Watch::default() });
    let session = root_session(&aws, SHOP, "IAMCreateRootUserPassword").await;
    aws.with_organization(|organization| {
        organization.accounts.get_mut(&account(SHOP)).unwrap().root.login_profile = None;
    });
    call(&aws, &session, "iam:CreateLoginProfile", json!({})).await;
    let events = emitted(&aws, &mut events);
    let detail = &events[1]["detail"];
    assert_eq!(detail["eventName"], "CreateLoginProfile");
    assert!(detail["userIdentity"]["sessionContext"].get("assumedRoot").is_none(), "{detail}");
    assert!(!detail["responseElements"]["loginProfile"]["createDate"].as_str().unwrap().starts_with("Nov 15"));
}

/// IAM is global: each detector sees its calls, and says that they were in us-east-1.
#[tokio::test]
async fn a_root_session_is_found_in_each_region_and_again_when_it_goes_on() {
    let regions = ["eu-central-1", "us-east-1", "eu-north-1"];
    let (aws, mut events) = watching(Watch::in_regions(&regions));
    let start = aws.clock().now();
    let session = root_session(&aws, SHOP, READ).await;
    for _ in 0..3 {
        call(&aws, &session, "iam:GetAccountSummary", json!({})).await;
    }
    // It is quiet while nothing new occurs.
    let first = findings(&all(&aws, &mut events));
    assert!(aws.clock().now() - start >= Duration::from_mins(5));
    let mut found: Vec<_> = first.iter().map(|finding| finding["region"].as_str().unwrap()).collect();
    found.sort_unstable();
    assert_eq!(found, ["eu-central-1", "eu-north-1", "us-east-1"]);
    for finding in &first {
        let detail = &finding["detail"];
        assert_eq!((&finding["account"], &detail["accountId"]), (&json!(AUDIT), &json!(SHOP)));
        assert_eq!(detail["type"], "Policy:IAMUser/ShortTermRootCredentialUsage");
        assert_eq!((&detail["region"], &detail["service"]["count"]), (&json!("us-east-1"), &json!(3)));
        assert_eq!(detail["resource"]["accessKeyDetails"]["accessKeyId"], session.access_key_id);
        assert_eq!(detail["service"]["action"]["awsApiCallAction"]["api"], "GetAccountSummary");
        assert_eq!(detail["title"], "The API GetAccountSummary was invoked using short term root credentials.");
        assert!(detail["description"].as_str().unwrap().ends_with("from IP address 192.0.2.1."));
    }
    let ids: std::collections::BTreeSet<_> = first.iter().map(|finding| finding["detail"]["id"].to_string()).collect();
    assert_eq!(ids.len(), 3);

    // Later it is the same finding, and told at the next tick.
    let published = aws.clock().now();
    aws.clock().advance(Duration::from_mins(20));
    let later = root_session(&aws, SHOP, READ).await;
    call(&aws, &later, "iam:GetUser", json!({})).await;
    let again = findings(&all(&aws, &mut events));
    let waited = aws.clock().now() - published;
    assert!(waited >= Duration::from_mins(359) && waited < Duration::from_mins(361), "{waited}");
    assert_eq!(again.len(), 3);
    for (before, after) in first.iter().zip(&again) {
        assert_eq!(before["region"], after["region"]);
        let (before, after) = (&before["detail"], &after["detail"]);
        assert_eq!((&before["id"], &before["createdAt"]), (&after["id"], &after["createdAt"]));
        assert_ne!(before["updatedAt"], after["updatedAt"]);
        assert_ne!(before["service"]["eventLastSeen"], after["service"]["eventLastSeen"]);
        assert_eq!(before["service"]["eventFirstSeen"], after["service"]["eventFirstSeen"]);
        assert_eq!(after["service"]["count"], 4);
        assert_eq!(after["resource"]["accessKeyDetails"]["accessKeyId"], later.access_key_id);
    }
}

#[tokio::test]
async fn a_root_session_may_be_taken_for_real_credentials() {
    let watch = Watch::in_regions(&["eu-central-1"]);
    let (aws, mut events) = watching(Watch { session_finding: SessionFinding::RootCredentialUsage, ..watch });
    let session = root_session(&aws, SHOP, READ).await;
    call(&aws, &session, "iam:GetUser", json!({})).await;
    let found = findings(&all(&aws, &mut events));
    assert_eq!(found[0]["detail"]["type"], "Policy:IAMUser/RootCredentialUsage");
    assert_eq!(found[0]["detail"]["resource"]["accessKeyDetails"]["accessKeyId"], session.access_key_id);
}

#[tokio::test]
async fn an_event_may_come_twice() {
    let (aws, mut events) = watching(Watch { delivery: Delivery::Twice, ..Watch::default() });
    root_session(&aws, SHOP, READ).await;
    let [one, other] = &next(&aws, &mut events)[..] else { panic!("not two events") };
    assert_eq!(one, other);
}

#[tokio::test]
async fn what_a_filter_archives_is_not_told() {
    let (aws, mut events) = watching(Watch::in_regions(&["eu-central-1", "us-east-1"]));
    let criteria = [("/type".to_owned(), vec!["Policy:IAMUser/ShortTermRootCredentialUsage".to_owned()])];
    aws.filter_findings(FindingFilter { region: "us-east-1".to_owned(), criteria: criteria.into() });
    let session = root_session(&aws, SHOP, READ).await;
    call(&aws, &session, "iam:GetUser", json!({})).await;
    let found = findings(&all(&aws, &mut events));
    let regions: Vec<_> = found.iter().map(|finding| &finding["region"]).collect();
    assert_eq!(regions, ["eu-central-1"]);
}

#[tokio::test]
async fn a_reset_forgets_what_was_due_and_watches_on() {
    let (aws, mut events) = watching(Watch::in_regions(&["eu-central-1"]));
    root_session(&aws, SHOP, READ).await;
    aws.reset(Organization::from_json(include_str!("../../../fixtures/organization.json")).unwrap());
    assert_eq!(aws.next_due(), None);
    root_session(&aws, SHOP, READ).await;
    assert_eq!(next(&aws, &mut events).len(), 1);
}
