//! `password-recovery`: windows that open, last and end, and all that refuses to open one.

use std::time::Duration;

use serde_json::{Value, json};
use shared::domain::record::Verdict;
use simulator::aws::{Password, SignIn};
use simulator::organization::{
    AccessKey, CredentialStatus, Feature, LastUsed, LoginProfile, MfaDevice, RootCredentials, SigningCertificate,
};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::root_activity::{as_told, put, remember_window, sample, told};
use crate::stage::{
    ACQUIRED, EXEMPT, MANAGEMENT, NOW, PASSWORD_RECOVERY, ROOT_ACTIVITY, SCHEDULED_AUDIT, SHOP, SUSPENDED, Stage,
    auditing, enforcing, id, organization, unguarded_shop,
};

/// An account that is in no organization.
const FOREIGN: &str = "123412341234";

pub(crate) fn open(account: &str, minutes: u32) -> Value {
    json!({
        "action": "open", "account": account, "minutes": minutes, "reason": "lost the password", "ticket": "OPS-1",
    })
}

pub(crate) fn close(account: &str) -> Value {
    json!({"action": "close", "account": account, "reason": "the owner is done"})
}

/// The shop without root credentials, where root may do what it likes.
async fn unguarded() -> Stage {
    Stage::set(unguarded_shop(RootCredentials::default()), enforcing()).await
}

async fn ask(stage: &Stage, request: &Value) -> Result<Value, String> {
    stage.ask(PASSWORD_RECOVERY, request).await
}

fn date(value: &Value) -> OffsetDateTime {
    OffsetDateTime::parse(value.as_str().unwrap(), &Rfc3339).unwrap()
}

/// A key that was used a moment ago.
fn key_in_use(id: &str, create_date: OffsetDateTime) -> AccessKey {
    let last_used = Some(LastUsed { date: NOW, service: "s3".to_owned(), region: "us-east-1".to_owned() });
    AccessKey { id: id.to_owned(), status: CredentialStatus::Active, create_date, last_used }
}

fn device(serial_number: &str) -> MfaDevice {
    MfaDevice { serial_number: serial_number.to_owned(), enable_date: NOW }
}

/// Everything that an owner can make in a window, the key already in use.
pub(crate) fn made_in_the_window(stage: &Stage) {
    let now = stage.now();
    stage.aws.with_organization(|organization| {
        let root = &mut organization.accounts.get_mut(&id(SHOP)).unwrap().root;
        root.login_profile = Some(LoginProfile { create_date: now });
        root.access_keys.push(key_in_use("AKIAMADEMEANWHILEEXAMPLE", now));
        root.signing_certificates.push(SigningCertificate {
            id: "MADEMEANWHILE00000000000EXAMPLE".to_owned(),
            status: CredentialStatus::Active,
            upload_date: now,
        });
        root.mfa_devices.push(device("GAHT00MEANWHILE"));
    });
}

/// The owner sets a password, signs in, and makes everything that root can make; the key is used at once.
fn owner_recovers(stage: &Stage) {
    let mut root = stage.aws.root_user(&id(SHOP));
    root.complete_password_recovery().unwrap();
    assert_eq!(root.sign_in(Password::Right), SignIn::Success);
    let key = root.create_access_key().unwrap();
    root.upload_signing_certificate().unwrap();
    root.enable_mfa().unwrap();
    let now = stage.now();
    stage.aws.with_organization(|organization| {
        let root = &mut organization.accounts.get_mut(&id(SHOP)).unwrap().root;
        let key = root.access_keys.iter_mut().find(|one| one.id == key).unwrap();
        key.last_used = key_in_use("", now).last_used;
    });
}

/// The calls of the function in order, reads included: `sts:AssumeRoot`.
fn actions(stage: &Stage) -> Vec<String> {
    stage.aws.calls().iter().map(simulator::aws::CallRecord::action).collect()
}

fn check_order(stage: &Stage, expected: &[&str]) {
    let actions = actions(stage);
    let mut rest = actions.iter();
    for action in expected {
        assert!(rest.any(|called| called == action), "`{action}` is not where it should be in {actions:#?}");
    }
}

fn check_closed(stage: &Stage) {
    assert_eq!((stage.windows(), stage.aws.schedules()), (Vec::new(), Vec::new()));
    assert!(stage.deployment.dead_letters(PASSWORD_RECOVERY).unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_window_opens_is_respected_and_closes_when_asked() {
    let stage = unguarded().await;
    let opened = ask(&stage, &open(SHOP, 60)).await.unwrap();
    assert_eq!((&opened["action"], &opened["window"]["ticket"]), (&json!("RecoveryOpened"), &json!("OPS-1")));
    let window = &opened["window"];
    assert_eq!(date(&window["ends"]) - date(&window["opened"]), time::Duration::minutes(60));
    assert_eq!(stage.sessions(), [format!("IAMCreateRootUserPassword {SHOP}")]);
    assert_eq!(stage.changes(), [format!("iam:CreateLoginProfile {SHOP}")]);
    let [schedule] = &stage.aws.schedules()[..] else { panic!("not one schedule") };
    assert_eq!(schedule.at, date(&window["ends"]));
    check_order(
        &stage,
        &[
            "organizations:DescribeAccount",
            "dynamodb:TransactWriteItems",
            "scheduler:CreateSchedule",
            "sts:AssumeRoot",
            "iam:CreateLoginProfile",
            "iam:GetLoginProfile",
            "events:PutEvents",
        ],
    );
    let listed = ask(&stage, &json!({"action": "list"})).await.unwrap();
    assert_eq!(listed["windows"], json!([window]));

    owner_recovers(&stage);
    stage.deployment.settle().await.unwrap();
    put(&stage, &[sample("guardduty-root-credential-usage")]).await;
    let made = stage.root_of(SHOP);
    stage.scheduled_audit().await;
    assert_eq!(stage.verdicts(SCHEDULED_AUDIT)[SHOP], Verdict::NotCovered);
    let record = &stage.records(SCHEDULED_AUDIT)[SHOP];
    assert!(record.reason.as_ref().unwrap().starts_with("in a recovery window until "), "{record:?}");
    let told = told(&stage);
    // The finding is older than the window, and in the window it is none the less.
    assert!(told.contains(&as_told(SHOP, "RecoveryWindow", "Informational", false)), "{told:?}");
    assert!(!stage.verdicts(ROOT_ACTIVITY).values().any(|verdict| *verdict == Verdict::Stripped));
    assert_eq!(stage.root_of(SHOP), made, "left alone");

    let closed = ask(&stage, &close(SHOP)).await.unwrap();
    assert_eq!((&closed["action"], &closed["window"]), (&json!("RecoveryClosed"), window));
    assert_eq!(closed["done"].as_array().unwrap().len(), 5, "four credentials and the window: {closed}");
    assert!(stage.root_of(SHOP).is_empty(), "{:?}", stage.root_of(SHOP));
    check_closed(&stage);
    assert_eq!(ask(&stage, &json!({"action": "list"})).await.unwrap()["windows"], json!([]));
    assert_eq!(ask(&stage, &close(SHOP)).await.unwrap()["action"], "Nothing");
    assert_eq!(stage.tasks_told(), [format!("RecoveryOpened {SHOP}"), format!("RecoveryClosed {SHOP}")]);
}

#[tokio::test(start_paused = true)]
async fn a_window_ends_by_its_schedule() {
    let stage = unguarded().await;
    ask(&stage, &open(SHOP, 15)).await.unwrap();
    owner_recovers(&stage);
    stage.deployment.settle().await.unwrap();
    assert!(!stage.root_of(SHOP).is_empty(), "it lasts");
    stage.aws.clock().advance(Duration::from_mins(16));
    stage.deployment.settle().await.unwrap();
    assert!(stage.root_of(SHOP).is_empty(), "{:?}", stage.root_of(SHOP));
    check_closed(&stage);
    let tasks = stage.tasks_told();
    assert_eq!(tasks, [format!("RecoveryOpened {SHOP}"), format!("RecoveryClosed {SHOP}")]);
    let events = stage.events();
    let closed = events.iter().find(|event| event["detail"]["task"]["action"] == "RecoveryClosed").unwrap();
    assert_eq!(closed["detail"]["task"]["reason"], "its time is over");
    assert_eq!(closed["detail"]["trigger"], "WindowEnded");
}

#[tokio::test(start_paused = true)]
async fn a_window_is_extended_and_its_old_end_changes_nothing() {
    let stage = unguarded().await;
    let first = ask(&stage, &open(SHOP, 60)).await.unwrap();
    let old_end = stage.aws.schedules()[0].input.clone();
    let shorter = ask(&stage, &open(SHOP, 30)).await.unwrap_err();
    assert!(shorter.starts_with("AlreadyOpen: a recovery window is open in 444455556666 until "), "{shorter}");
    let second = ask(&stage, &open(SHOP, 120)).await.unwrap();
    assert_eq!(second["action"], "RecoveryExtended");
    assert_eq!(second["window"]["opened"], first["window"]["opened"]);
    assert_eq!(date(&stage.windows()[0]["ends"]), date(&second["window"]["ends"]));
    let [schedule] = &stage.aws.schedules()[..] else { panic!("not one schedule") };
    assert_eq!(schedule.at, date(&second["window"]["ends"]));

    stage.deployment.send(PASSWORD_RECOVERY, &old_end).unwrap();
    stage.aws.clock().advance(Duration::from_mins(61));
    stage.deployment.settle().await.unwrap();
    assert!(stage.root_of(SHOP).login_profile.is_some());
    assert_eq!((stage.windows().len(), stage.aws.schedules().len()), (1, 1));
    stage.aws.clock().advance(Duration::from_hours(1));
    stage.deployment.settle().await.unwrap();
    assert!(stage.root_of(SHOP).is_empty());
    check_closed(&stage);
    let expected = ["RecoveryOpened", "RecoveryExtended", "RecoveryClosed"].map(|action| format!("{action} {SHOP}"));
    assert_eq!(stage.tasks_told(), expected);
    // What comes after the end, too.
    stage.deployment.send(PASSWORD_RECOVERY, &old_end).unwrap();
    stage.deployment.settle().await.unwrap();
    check_closed(&stage);
}

/// A key that production used before the window is held back, one that was made in it is not.
#[tokio::test(start_paused = true)]
async fn what_was_held_back_before_stays() {
    const OLD: &str = "AKIAPRODUCTIONEXAMPLE";
    let before = NOW - time::Duration::days(90);
    let root = RootCredentials {
        access_keys: vec![key_in_use(OLD, before)],
        mfa_devices: vec![device("GAHT12345678")],
        ..RootCredentials::default()
    };
    let stage = Stage::set(unguarded_shop(root.clone()), enforcing()).await;
    ask(&stage, &open(SHOP, 60)).await.unwrap();
    owner_recovers(&stage);
    assert_eq!(stage.root_of(SHOP).access_keys.len(), 2);
    let closed = ask(&stage, &close(SHOP)).await.unwrap();
    let verified = closed["verified"].as_str().unwrap();
    assert!(verified.starts_with("what is left was there before the window: held back: "), "{closed}");
    assert!(closed["next"].as_str().unwrap().contains("HoldBackKeysUsedWithinDays"), "{closed}");
    let left = stage.root_of(SHOP);
    assert_eq!(left.access_keys, root.access_keys);
    assert!(left.login_profile.is_none() && left.signing_certificates.is_empty(), "{left:?}");
    assert!(left.mfa_devices.contains(&root.mfa_devices[0]), "it protects the key: {left:?}");
    check_closed(&stage);
}

/// What was there when the window opened goes as well: it would have gone without it.
#[tokio::test(start_paused = true)]
async fn a_password_that_is_there_already_is_no_obstacle() {
    let stage = Stage::enforcing().await;
    ask(&stage, &open(SHOP, 60)).await.unwrap();
    ask(&stage, &close(SHOP)).await.unwrap();
    assert!(stage.root_of(SHOP).is_empty());
    stage.check_promises(&organization());
}

/// No schedule came: the next audit closes the window, and says so once.
#[tokio::test(start_paused = true)]
async fn an_overdue_window_is_closed_by_the_next_audit() {
    let stage = Stage::set(unguarded_shop(RootCredentials::default()), enforcing()).await;
    let now = stage.now();
    remember_window(&stage, SHOP, now - time::Duration::hours(2), now - time::Duration::minutes(1));
    made_in_the_window(&stage);
    for _ in 0..2 {
        stage.scheduled_audit().await;
        assert!(stage.root_of(SHOP).is_empty(), "{:?}", stage.root_of(SHOP));
        assert!(stage.windows().is_empty());
        assert_eq!(stage.tasks_told(), [format!("RecoveryOverdue {SHOP}")]);
    }

    // Nothing may be deleted here, so the window stays for an audit that may.
    let stage = Stage::set(unguarded_shop(RootCredentials::default()), auditing()).await;
    remember_window(&stage, SHOP, now - time::Duration::hours(2), now - time::Duration::minutes(1));
    made_in_the_window(&stage);
    stage.scheduled_audit().await;
    assert_eq!(stage.verdicts(SCHEDULED_AUDIT)[SHOP], Verdict::CredentialsPresent);
    assert_eq!((stage.windows().len(), stage.tasks_told().len(), stage.changes().len()), (1, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_is_refused_before_anything_is_done() {
    let stage = Stage::enforcing().await;
    for (request, expected) in [
        (json!("open"), "InvalidRequest: the request is not a JSON object"),
        (json!({"action": "delete"}), "InvalidRequest: `action` in the request: unknown variant `delete`"),
        (open("4444", 60), "InvalidRequest: `account` in the request: `4444`"),
        (open(SHOP, 14), "InvalidRequest: `minutes` in the request: 14: use 15 to 1440"),
        (open(SHOP, 1441), "InvalidRequest: `minutes` in the request: 1441"),
        (json!({"action": "open", "account": SHOP, "minutes": 60}), "InvalidRequest: `reason` in the request: missing"),
        (
            json!({"action": "close", "account": SHOP, "reason": "x", "minutes": 60}),
            "InvalidRequest: `minutes` in the request: not a field of this action",
        ),
        (json!({"action": "list", "account": SHOP}), "InvalidRequest: `account` in the request: not a field"),
        (open(MANAGEMENT, 60), "NotCovered: account 111122223333 is not covered: the management account"),
        (open(EXEMPT, 60), "NotCovered: account 555566667777 is not covered: exempt"),
        (open(SUSPENDED, 60), "NotCovered: account 999900001111 is not covered: its state is SUSPENDED"),
        (open(FOREIGN, 60), "AccountNotFound: "),
    ] {
        let error = ask(&stage, &request).await.unwrap_err();
        assert!(error.starts_with(expected), "{request}: {error}");
    }
    assert!(stage.sessions().is_empty() && stage.changes().is_empty(), "{:?}", stage.sessions());
    assert!(stage.windows().is_empty() && stage.aws.schedules().is_empty() && stage.events().is_empty());
}

#[tokio::test(start_paused = true)]
async fn in_audit_mode_no_window_opens() {
    let stage = Stage::set(organization(), auditing()).await;
    let error = ask(&stage, &open(SHOP, 60)).await.unwrap_err();
    assert!(error.starts_with("NotPossible: deployed in `Audit` mode"), "{error}");
    assert_eq!(actions(&stage), Vec::<String>::new());
}

/// The window is there and ends; what AWS does not allow is told with its remedy.
#[tokio::test(start_paused = true)]
async fn what_aws_does_not_allow_is_told_with_its_remedy() {
    let stage = Stage::set(unguarded_shop(RootCredentials::default()), enforcing()).await;
    stage.aws.with_organization(|organization| organization.features.remove(&Feature::RootCredentialsManagement));
    let error = ask(&stage, &open(SHOP, 60)).await.unwrap_err();
    assert!(error.starts_with("NotOpened: "), "{error}");
    assert!(error.contains("aws iam enable-organizations-root-credentials-management"), "{error}");
    assert!(stage.root_of(SHOP).is_empty() && stage.sessions().is_empty());
    assert_eq!((stage.windows().len(), stage.aws.schedules().len()), (1, 1), "asking again goes on, or it ends");
    stage.aws.with_organization(|organization| organization.features.insert(Feature::RootCredentialsManagement));
    stage.aws.clock().advance(Duration::from_mins(61));
    stage.deployment.settle().await.unwrap();
    check_closed(&stage);

    let stage = Stage::enforcing().await;
    let error = ask(&stage, &open(ACQUIRED, 60)).await.unwrap_err();
    assert!(error.starts_with("NotOpened: ") && error.contains("\"aws:AssumedRoot\""), "{error}");
    assert!(stage.changes().is_empty(), "{:?}", stage.changes());
    assert_eq!(stage.tasks_told(), Vec::<String>::new());
    let error = ask(&stage, &close(ACQUIRED)).await.unwrap_err();
    assert!(error.starts_with("NotClosed: ") && error.contains("\"aws:AssumedRoot\""), "{error}");
    assert_eq!(stage.windows().len(), 1, "not closed, as nobody has seen that it is clean");
}

#[tokio::test(start_paused = true)]
async fn the_queue_takes_only_the_ends_of_windows() {
    let stage = unguarded().await;
    let end_of_nothing = json!({
        "action": "end", "account": SHOP, "opened": "2026-11-20T12:00:00Z", "ends": "2026-11-20T13:00:00Z",
    });
    for message in [open(SHOP, 60).to_string(), close(SHOP).to_string(), "not what it should be".to_owned()] {
        stage.deployment.send(PASSWORD_RECOVERY, &message).unwrap();
    }
    stage.deployment.send(PASSWORD_RECOVERY, &end_of_nothing.to_string()).unwrap();
    stage.deployment.settle().await.unwrap();
    assert_eq!(stage.deployment.dead_letters(PASSWORD_RECOVERY).unwrap().len(), 3);
    assert!(stage.sessions().is_empty() && stage.windows().is_empty() && stage.root_of(SHOP).is_empty());
}
