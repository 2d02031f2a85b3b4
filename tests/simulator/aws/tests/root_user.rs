//! What a person with root's credentials can do, and what is logged of it.

use super::*;
use crate::organization::{LoginProfile, RootCredentials};

/// A member that no policy binds.
const FREE: &str = "123412341234";

/// The organization with that member, which has a password, and the events from then on.
fn world() -> (Aws, mpsc::UnboundedReceiver<Value>) {
    let aws = aws();
    aws.create_account(NewAccount { id: Some(account(FREE)), ..NewAccount::default() });
    with_password(&aws, FREE);
    let events = aws.events();
    (aws, events)
}

fn with_password(aws: &Aws, id: &str) {
    aws.with_organization(|organization| {
        let account = organization.accounts.get_mut(&account(id)).unwrap();
        account.root = RootCredentials {
            login_profile: Some(LoginProfile { create_date: account.joined_at }),
            ..RootCredentials::default()
        };
    });
}

fn root_of(aws: &Aws, id: &str) -> RootCredentials {
    aws.organization().accounts[&account(id)].root.clone()
}

/// The events since the last time: nothing delays them while nobody watches.
fn emitted(events: &mut mpsc::UnboundedReceiver<Value>) -> Vec<Value> {
    std::iter::from_fn(|| events.try_recv().ok()).collect()
}

fn names(events: &[Value]) -> Vec<String> {
    let name = |event: &Value| {
        let outcome = event["detail"]["responseElements"][event["detail"]["eventName"].as_str().unwrap()].as_str();
        let error = event["detail"]["errorCode"].as_str();
        let outcome = outcome.or(error).map(|outcome| format!(" {outcome}")).unwrap_or_default();
        format!("{}{outcome}", event["detail"]["eventName"].as_str().unwrap())
    };
    events.iter().map(name).collect()
}

#[tokio::test]
async fn a_sign_in_is_logged_where_it_takes_place() {
    let (aws, mut events) = world();
    let mut root = aws.root_user(&account(FREE)).signing_in_at("us-west-2").from("203.0.113.9", "curl/8");
    assert_eq!(root.sign_in(Password::Wrong), SignIn::Failure);
    assert_eq!(root.sign_in(Password::Right), SignIn::Success);
    root.enable_mfa().unwrap();
    assert_eq!(root.sign_in(Password::Right), SignIn::Success);
    let events = emitted(&mut events);
    assert_eq!(
        names(&events),
        ["ConsoleLogin Failure", "ConsoleLogin Success", "EnableMFADevice", "ConsoleLogin Success"]
    );
    for event in [&events[0], &events[1], &events[3]] {
        assert_eq!((&event["account"], &event["region"]), (&json!(FREE), &json!("us-west-2")));
        let detail = &event["detail"];
        assert_eq!((&detail["sourceIPAddress"], &detail["userAgent"]), (&json!("203.0.113.9"), &json!("curl/8")));
        assert_eq!(detail["userIdentity"]["arn"], format!("arn:aws:iam::{FREE}:root"));
        assert_eq!((&detail["awsRegion"], &detail["recipientAccountId"]), (&json!("us-west-2"), &json!(FREE)));
    }
    assert_eq!(events[1]["detail"]["additionalEventData"]["MFAUsed"], "No");
    let with_mfa = &events[3]["detail"]["additionalEventData"];
    assert_eq!(with_mfa["MFAUsed"], "Yes");
    assert_eq!(with_mfa["MFAIdentifier"], root_of(&aws, FREE).mfa_devices[0].serial_number);
    assert_eq!(events[2]["region"], "us-east-1", "IAM is there");
}

#[tokio::test]
async fn without_a_login_profile_nobody_signs_in_or_recovers() {
    let aws = aws();
    let mut events = aws.events();
    aws.with_organization(|organization| {
        organization.accounts.get_mut(&account(SHOP)).unwrap().root = RootCredentials::default();
    });
    let mut root = aws.root_user(&account(SHOP));
    assert_eq!(root.sign_in(Password::Right), SignIn::Failure);
    assert_eq!(root.request_password_recovery(), Err(NotPossible::NoLoginProfile));
    assert_eq!(root.complete_password_recovery(), Err(NotPossible::NoLoginProfile));
    assert_eq!(root.create_access_key(), Err(NotPossible::NotSignedIn));
    assert_eq!(names(&emitted(&mut events)), ["ConsoleLogin Failure"]);
    assert!(root_of(&aws, SHOP).is_empty());
}

#[tokio::test]
async fn a_session_puts_credentials_back() {
    let (aws, mut events) = world();
    let mut root = aws.root_user(&account(FREE));
    root.request_password_recovery().unwrap();
    root.complete_password_recovery().unwrap();
    root.sign_in(Password::Right);
    let key = root.create_access_key().unwrap();
    root.create_access_key().unwrap();
    let refused = root.create_access_key().unwrap_err();
    assert!(matches!(&refused, NotPossible::Refused { code, .. } if code == "LimitExceeded"), "{refused}");
    let certificate = root.upload_signing_certificate().unwrap();
    root.update_password().unwrap();
    root.update_email("new@example.com").unwrap();
    let credentials = root_of(&aws, FREE);
    assert_eq!((credentials.access_keys.len(), &credentials.access_keys[0].id), (2, &key));
    assert_eq!(credentials.signing_certificates[0].id, certificate);
    assert_eq!(aws.organization().accounts[&account(FREE)].email, "new@example.com");
    let events = emitted(&mut events);
    assert_eq!(
        names(&events),
        [
            "PasswordRecoveryRequested Success",
            "PasswordRecoveryCompleted Success",
            "ConsoleLogin Success",
            "CreateAccessKey",
            "CreateAccessKey",
            "CreateAccessKey LimitExceeded",
            "UploadSigningCertificate",
            "PasswordUpdated Success",
            "EmailUpdated Success",
        ]
    );
    let created = &events[3]["detail"];
    assert_eq!(created["responseElements"]["accessKey"]["accessKeyId"], key);
    assert_eq!(
        (&created["userIdentity"]["type"], &created["eventSource"]),
        (&json!("Root"), &json!("iam.amazonaws.com"))
    );
    let session = created["userIdentity"]["accessKeyId"].as_str().unwrap();
    assert!(session.starts_with("ASIA") && session.ends_with("EXAMPLE"), "{session}");
    assert!(created["userIdentity"]["sessionContext"].get("assumedRoot").is_none());
    assert_eq!(events[5]["detail"]["responseElements"], Value::Null);
    // SHOP is the account of the samples.
    assert!(events.iter().all(|event| !event.to_string().contains(SHOP)), "something of a sample is left");
    assert!(events[7]["detail"].get("additionalEventData").is_none());
}

/// A console session goes on when the password is gone; a deleted key is of no use.
#[tokio::test]
async fn what_outlives_the_credentials() {
    let (aws, mut events) = world();
    let mut console = aws.root_user(&account(FREE));
    console.sign_in(Password::Right);
    let key = console.create_access_key().unwrap();
    let mut script = aws.root_user(&account(FREE));
    script.use_access_key(&key);
    script.call("ec2", "DescribeInstances", "eu-west-1").unwrap();
    let used = root_of(&aws, FREE).access_keys[0].last_used.clone().unwrap();
    assert_eq!((used.service.as_str(), used.region.as_str()), ("ec2", "eu-west-1"));
    let logged = emitted(&mut events).pop().unwrap();
    let identity = &logged["detail"]["userIdentity"];
    assert_eq!((&identity["type"], &identity["accessKeyId"]), (&json!("Root"), &json!(key)));
    assert!(identity.get("sessionContext").is_none(), "{identity}");
    assert!(logged["detail"].get("sessionCredentialFromConsole").is_none());
    assert_eq!((&logged["region"], &logged["detail"]["readOnly"]), (&json!("eu-west-1"), &json!(true)));

    aws.with_organization(|organization| {
        organization.accounts.get_mut(&account(FREE)).unwrap().root = RootCredentials::default();
    });
    assert_eq!(script.call("ec2", "DescribeInstances", "eu-west-1"), Err(NotPossible::NoSuchAccessKey(key)));
    assert_eq!(console.call("ec2", "DescribeInstances", "eu-west-1"), Ok(()));
}

#[tokio::test]
async fn a_service_control_policy_binds_the_root_user_of_a_member() {
    let aws = aws();
    let mut events = aws.events();
    for id in [UNDER_SCP, MANAGEMENT] {
        with_password(&aws, id);
        let mut root = aws.root_user(&account(id));
        assert_eq!(root.sign_in(Password::Right), SignIn::Success, "no policy binds a sign-in");
        let outcome = root.create_access_key();
        assert_eq!(outcome.is_ok(), id == MANAGEMENT, "{outcome:?}");
    }
    assert_eq!(
        names(&emitted(&mut events)),
        ["ConsoleLogin Success", "CreateAccessKey AccessDenied", "ConsoleLogin Success", "CreateAccessKey"]
    );
    assert!(root_of(&aws, UNDER_SCP).access_keys.is_empty());
}

/// A call of a regional service is seen in its Region only.
#[tokio::test]
async fn guard_duty_finds_the_use_of_root_credentials() {
    let (aws, mut events) = world();
    aws.watch(Watch::in_regions(&["eu-central-1", "eu-north-1"]));
    let mut root = aws.root_user(&account(FREE)).from("203.0.113.9", "Mozilla/5.0");
    root.sign_in(Password::Right);
    root.call("monitoring", "DescribeAlarms", "eu-north-1").unwrap();
    let mut found = Vec::new();
    while let Some(due) = aws.next_due() {
        aws.clock().advance((due - aws.clock().now()).try_into().unwrap_or_default());
        aws.emit_due();
        found.extend(emitted(&mut events).into_iter().filter(|event| event["source"] == "aws.guardduty"));
    }
    let [finding] = &found[..] else { panic!("not one finding: {found:?}") };
    let detail = &finding["detail"];
    assert_eq!((&finding["region"], &detail["region"]), (&json!("eu-north-1"), &json!("eu-north-1")));
    assert_eq!((&finding["account"], &detail["accountId"]), (&json!(AUDIT), &json!(FREE)));
    assert_eq!(detail["type"], "Policy:IAMUser/RootCredentialUsage");
    assert_eq!(
        detail["description"],
        "The API DescribeAlarms was invoked using root credentials from IP address 203.0.113.9."
    );
    let key = detail["resource"]["accessKeyDetails"]["accessKeyId"].as_str().unwrap();
    assert!(key.starts_with("ASIA0"), "{key}");
    assert!(!finding.to_string().contains(SHOP), "something of the sample is left: {finding}");
}
