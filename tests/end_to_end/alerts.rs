//! What people are told: each change once, whatever fails on the way, and nothing that they know already.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use shared::domain::record::Verdict;
use simulator::aws::{Fault, FaultKind, NewAccount};
use simulator::organization::{LoginProfile, RootCredentials};

use crate::stage::{
    ACQUIRED, BEING_SET_UP, NOW, SCHEDULED_AUDIT, SHOP, Stage, auditing, enforcing, id, organization, patient,
    sample_organization,
};

const FOUND: &str = "Root Credentials Found";
const DELETED: &str = "Root Credentials Deleted";
const NOT_VERIFIED: &str = "Root Credentials Not Verified";
const COMPLETED: &str = "Root Access Audit Completed";

/// The alerts by account, in order of the accounts; audits that are completed are left out.
fn alerts(stage: &Stage) -> Vec<(String, String)> {
    let about_accounts = stage.events().into_iter().filter(|event| event["detail-type"] != COMPLETED);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut alerts: Vec<_> =
        about_accounts.map(|event| (text(&event["detail"]["account"]["id"]), text(&event["detail-type"]))).collect();
    alerts.sort();
    alerts
}

fn expected(alerts: &[(&str, &str)]) -> Vec<(String, String)> {
    alerts.iter().map(|(account, detail_type)| ((*account).to_owned(), (*detail_type).to_owned())).collect()
}

fn put_a_password_back(stage: &Stage, account: &str) {
    stage.aws.with_organization(|organization| {
        let root = &mut organization.accounts.get_mut(&id(account)).unwrap().root;
        root.login_profile = Some(LoginProfile { create_date: NOW });
    });
}

#[tokio::test(start_paused = true)]
async fn what_is_new_is_told_once() {
    let stage = Stage::enforcing().await;
    stage.scheduled_audit().await;
    let first = expected(&[(SHOP, DELETED), (BEING_SET_UP, NOT_VERIFIED), (ACQUIRED, NOT_VERIFIED)]);
    assert_eq!(alerts(&stage), first);
    stage.scheduled_audit().await;
    stage.request(json!({"accounts": [SHOP, ACQUIRED]})).await.unwrap();
    assert_eq!(alerts(&stage), first, "nothing has changed");

    put_a_password_back(&stage, SHOP);
    stage.scheduled_audit().await;
    let back = stage.events().into_iter().filter(|event| event["detail"]["reappeared"] == true);
    let headlines: Vec<_> = back.map(|event| event["detail"]["headline"].clone()).collect();
    assert_eq!(headlines, [format!("Root credentials were back in shop ({SHOP}) and are deleted")]);
}

#[tokio::test(start_paused = true)]
async fn in_audit_mode_credentials_are_told_when_they_are_found() {
    let stage = Stage::set(organization(), auditing()).await;
    stage.scheduled_audit().await;
    let first = expected(&[(SHOP, FOUND), (BEING_SET_UP, NOT_VERIFIED), (ACQUIRED, NOT_VERIFIED)]);
    assert_eq!(alerts(&stage), first);
    stage.scheduled_audit().await;
    assert_eq!(alerts(&stage), first);
}

#[tokio::test(start_paused = true)]
async fn an_account_that_joins_is_told_if_it_had_something() {
    let stage = Stage::enforcing().await;
    let root = organization().accounts[&id(SHOP)].root.clone();
    stage.aws.invite_account(NewAccount {
        id: Some(id("123412341234")),
        name: "new".to_owned(),
        root,
        ..NewAccount::default()
    });
    stage.aws.create_account(NewAccount::default());
    stage.deployment.settle().await.unwrap();
    assert_eq!(alerts(&stage), expected(&[("123412341234", DELETED)]));
    let event = stage.events().remove(0);
    assert_eq!(event["detail"]["trigger"], "AccountJoined");
    stage.scheduled_audit().await;
    let again = alerts(&stage).into_iter().filter(|(account, _)| account == "123412341234").count();
    assert_eq!(again, 1);
}

/// Everything that a person is told is told in words, about an account with its name, and not more than once.
#[tokio::test(start_paused = true)]
async fn many_changes_are_one_message() {
    let patient = enforcing().with_variable("REQUEST_TIMEOUT_MS", "5000");
    let stage = Stage::set(sample_organization(400), patient).await;
    stage.scheduled_audit().await;
    let events = stage.events();
    let (completed, alerts): (Vec<_>, Vec<_>) = events.iter().partition(|event| event["detail-type"] == COMPLETED);
    let notified = alerts.iter().filter(|event| event["detail"]["notify"] == true).count();
    assert_eq!(notified, 20, "of {}", alerts.len());
    let [completed] = completed.as_slice() else { panic!("{completed:?}") };
    let counts = &completed["detail"]["alerts"];
    assert_eq!(counts, &json!({"raised": alerts.len(), "notNotified": alerts.len() - 20}));
    assert_eq!(completed["detail"]["notify"], true);

    stage.scheduled_audit().await;
    let second = stage.events().pop().unwrap();
    assert_eq!((&second["detail-type"], &second["detail"]["notify"]), (&json!(COMPLETED), &json!(false)));
    assert_eq!(second["detail"]["alerts"]["raised"], 0);
}

/// The strip is done, and cannot be remembered, told or proven for a while: the log says so at once, the message comes
/// again, and in the end each account was told of once.
#[tokio::test(start_paused = true)]
async fn a_change_is_told_once_whatever_fails_on_the_way() {
    for operation in ["dynamodb:TransactWriteItems", "dynamodb:BatchGetItem", "events:PutEvents", "s3:PutObject"] {
        let is_batch = ["dynamodb:BatchGetItem", "events:PutEvents"].contains(&operation);
        for (kind, times) in [
            (FaultKind::Error500, 3),
            (FaultKind::Throttle, 7),
            (FaultKind::Denied, 2),
            (FaultKind::Error503, 30),
            (FaultKind::Partial, 2),
            (FaultKind::Partial, 30),
        ] {
            if kind == FaultKind::Partial && !is_batch {
                continue;
            }
            let stage = Stage::enforcing().await;
            stage.aws.inject(Fault::at(operation, kind).times(times));
            stage.scheduled_audit().await;
            stage.aws.clear_faults();
            stage.scheduled_audit().await;
            let told = alerts(&stage);
            let first = expected(&[(SHOP, DELETED), (BEING_SET_UP, NOT_VERIFIED), (ACQUIRED, NOT_VERIFIED)]);
            assert_eq!(told, first, "{operation} {kind:?} {times}");
            let record =
                stage.logged(SCHEDULED_AUDIT, "AccountRecord").into_iter().find(|line| line["verdict"] == "Stripped");
            assert_eq!(record.unwrap()["accountId"], SHOP);
        }
    }
}

/// Without state nothing can be told apart from what was told before, but what was deleted cannot be found again.
#[tokio::test(start_paused = true)]
async fn what_was_deleted_is_told_even_if_it_cannot_be_remembered() {
    let stage = Stage::enforcing().await;
    stage.aws.inject(Fault::at("dynamodb:TransactWriteItems", FaultKind::Denied));
    let error = stage.request(json!({"accounts": [SHOP]})).await.unwrap_err();
    assert!(error.starts_with("StateNotWritten") && error.contains(SHOP), "{error}");
    assert_eq!(alerts(&stage), expected(&[(SHOP, DELETED)]));
    stage.aws.clear_faults();
    stage.request(json!({"accounts": [SHOP]})).await.unwrap();
    assert_eq!(alerts(&stage), expected(&[(SHOP, DELETED)]));
}

/// An alert that could not be sent is kept, and sent by whoever looks at the account next.
#[tokio::test(start_paused = true)]
async fn an_alert_that_could_not_be_sent_is_sent_by_the_next_look() {
    for kind in [FaultKind::Denied, FaultKind::Error500, FaultKind::Partial] {
        let stage = Stage::enforcing().await;
        stage.aws.inject(Fault::at("events:PutEvents", kind));
        let error = stage.request(json!({"accounts": [SHOP]})).await.unwrap_err();
        assert!(error.starts_with("AlertsNotSent") && error.contains(SHOP), "{kind:?}: {error}");
        assert!(alerts(&stage).is_empty());
        stage.aws.clear_faults();
        for _ in 0..2 {
            stage.request(json!({"accounts": [SHOP]})).await.unwrap();
            assert_eq!(alerts(&stage), expected(&[(SHOP, DELETED)]), "{kind:?}");
        }
    }
}

/// What the SDK does not try again, the end of the run does: an answer that cannot be read is no reason to do a whole
/// audit once more.
#[tokio::test(start_paused = true)]
async fn what_fails_for_a_moment_is_made_good_in_the_same_run() {
    for operation in ["dynamodb:BatchGetItem", "dynamodb:TransactWriteItems", "events:PutEvents"] {
        for (kind, times) in [(FaultKind::Error500, 3), (FaultKind::Garbled, 2), (FaultKind::Conflict, 3)] {
            // Nothing else collides.
            if kind == FaultKind::Conflict && operation != "dynamodb:TransactWriteItems" {
                continue;
            }
            let stage = Stage::enforcing().await;
            // The first reading is of the audit before: there the run has not begun.
            let skip = u32::from(operation == "dynamodb:BatchGetItem");
            stage.aws.inject(Fault::at(operation, kind).skip(skip).times(times));
            let done = stage.request(json!({"accounts": [SHOP]})).await;
            assert!(done.is_ok(), "{operation} {kind:?}: {done:?}");
            let ids: BTreeSet<_> = stage.events().iter().map(|event| event["detail"]["id"].to_string()).collect();
            assert_eq!(ids.len(), 2, "{operation} {kind:?}: {ids:?}");
            let remembered = |kind: &str| stage.state().iter().filter(|item| item["sk"] == kind).count();
            assert_eq!((remembered("posture"), remembered("session")), (1, 2), "{operation} {kind:?}");
        }
    }
}

/// Who is told of only 20 changes one by one is told of the others by the message about the audit, even if that is
/// another delivery of the same request.
#[tokio::test(start_paused = true)]
async fn a_repeated_audit_has_a_message() {
    let stage = Stage::set(sample_organization(60), enforcing()).await;
    stage.scheduled_audit().await;
    let before = stage.events().len();
    stage.aws.with_organization(|organization| {
        for account in organization.accounts.values_mut() {
            account.root.login_profile = Some(LoginProfile { create_date: NOW });
        }
    });
    stage.aws.inject("s3:PutObject=error500,times=3".parse().unwrap());
    stage.scheduled_audit().await;
    let events = stage.events().split_off(before);
    assert!(events.iter().any(|event| event["detail"]["notify"] == false), "more than 20 changes");
    let completed: Vec<_> = events.iter().filter(|event| event["detail-type"] == COMPLETED).collect();
    assert_eq!(completed.len(), 1);
    assert_eq!(completed[0]["detail"]["notify"], true);
}

/// The store does not even answer: what was deleted is told before the invocation ends.
#[tokio::test(start_paused = true)]
async fn what_was_deleted_is_told_even_if_the_state_hangs() {
    let stage = Stage::set(organization(), patient(SCHEDULED_AUDIT)).await;
    stage.aws.inject(Fault::at("dynamodb:TransactWriteItems", FaultKind::Timeout));
    let error = stage.request(json!({"accounts": [SHOP]})).await.unwrap_err();
    assert!(error.starts_with("StateNotWritten") && error.contains(SHOP), "{error}");
    assert_eq!(alerts(&stage), expected(&[(SHOP, DELETED)]));
    stage.aws.clear_faults();
    stage.scheduled_audit().await;
    assert_eq!(stage.state().iter().filter(|item| item["sk"] == "session").count(), stage.sessions().len());
}

/// An examination that runs out of time between the deletions and the reading has still deleted.
#[tokio::test(start_paused = true)]
async fn what_an_examination_did_is_told_even_if_its_time_runs_out() {
    let stage = Stage::set(organization(), patient(SCHEDULED_AUDIT)).await;
    stage.aws.inject(Fault::at("iam:ListAccessKeys", FaultKind::Timeout).in_account(id(SHOP)).skip(1));
    let record = stage.request(json!({"accounts": [SHOP]})).await.unwrap().accounts.remove(0);
    assert_eq!((record.verdict, record.attempted.len()), (Verdict::Unknown, 4), "{record:?}");
    stage.aws.clear_faults();
    stage.scheduled_audit().await;
    let events = stage.events();
    let removed = events.iter().filter(|event| event["detail-type"] == DELETED);
    let removed: usize = removed.map(|event| event["detail"]["removed"].as_array().unwrap().len()).sum();
    assert_eq!(removed, 7, "{events:#?}");
}

/// An account that joins with credentials that cannot be deleted is told of, though its message comes again.
#[tokio::test(start_paused = true)]
async fn credentials_that_stay_are_told_of_before_the_last_try() {
    let stage = Stage::enforcing().await;
    let account = "123412341234";
    for operation in ["DeleteLoginProfile", "DeleteAccessKey", "DeleteSigningCertificate"] {
        stage.aws.inject(format!("iam:{operation}=throttle,account={account}").parse().unwrap());
    }
    let root = organization().accounts[&id(SHOP)].root.clone();
    stage.aws.invite_account(NewAccount {
        id: Some(id(account)),
        name: "new".to_owned(),
        root,
        ..NewAccount::default()
    });
    stage.deployment.settle().await.unwrap();
    assert_eq!(alerts(&stage), expected(&[(account, "Root Credentials Deletion Failed")]));
}

/// Two functions that look at the same accounts at once: nothing is told twice, and nothing seems to have come back.
#[tokio::test(start_paused = true)]
async fn functions_side_by_side_tell_the_same_once() {
    let stage = Stage::enforcing().await;
    let mut strip = organization().accounts[&id(SHOP)].root.clone();
    strip.mfa_devices.clear();
    for n in 0..5 {
        let account = format!("12341234123{n}");
        stage.aws.invite_account(NewAccount {
            id: Some(id(&account)),
            name: account,
            root: strip.clone(),
            ..NewAccount::default()
        });
    }
    stage.deployment.fire_schedules().unwrap();
    stage.deployment.settle().await.unwrap();
    // Each may have deleted a part of it: a credential is told of by one of them. An event may come twice, with its id.
    let mut told: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    for event in stage.events().iter().filter(|event| event["detail-type"] == DELETED) {
        let account = event["detail"]["account"]["id"].as_str().unwrap().to_owned();
        for step in event["detail"]["removed"].as_array().unwrap() {
            told.entry((account.clone(), step.to_string())).or_default().insert(event["detail"]["id"].to_string());
        }
    }
    told.retain(|(account, _), _| account.starts_with("1234"));
    assert!(told.len() == 5 * 4 && told.values().all(|ids| ids.len() == 1), "{told:#?}");
    assert!(stage.events().iter().all(|event| event["detail"]["reappeared"] != true), "{:#?}", stage.events());
    for (account, _) in told.keys() {
        assert_eq!(stage.root_of(account), RootCredentials::default());
    }
}
