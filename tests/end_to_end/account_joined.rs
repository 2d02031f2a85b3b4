//! `account-joined`: which events it answers, how it waits, and that it does nothing twice.

use std::time::Duration;

use serde_json::{Value, json};
use shared::domain::record::Verdict;
use simulator::aws::NewAccount;
use simulator::deployment::Bus;
use simulator::organization::{AccountState, LoginProfile, RootCredentials};

use crate::stage::{ACCOUNT_JOINED, ACQUIRED, EXEMPT, MANAGEMENT, NOW, SHOP, Stage, auditing, id, organization};

fn password() -> RootCredentials {
    RootCredentials { login_profile: Some(LoginProfile { create_date: NOW }), ..RootCredentials::default() }
}

fn account(name: &str, root: RootCredentials) -> NewAccount {
    NewAccount { name: name.to_owned(), root, ..NewAccount::default() }
}

fn sample(name: &str) -> Value {
    let path = format!("{}/fixtures/events/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The sample with another account in it.
fn announcing(name: &str, account: &str) -> Value {
    let text = sample(name).to_string();
    serde_json::from_str(&text.replace("444455556666", account).replace("555566667777", account)).unwrap()
}

fn reasons(stage: &Stage) -> Vec<String> {
    let dead = stage.deployment.dead_letters(ACCOUNT_JOINED).unwrap();
    dead.iter().map(|message| message.attributes["ErrorMessage"]["StringValue"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn an_invited_account_is_stripped() {
    let stage = Stage::enforcing().await;
    let invited = stage.aws.invite_account(account("invited", password()));
    stage.deployment.settle().await.unwrap();
    assert_eq!(stage.verdicts(ACCOUNT_JOINED)[invited.as_str()], Verdict::Stripped);
    assert!(stage.root_of(invited.as_str()).is_empty());
    assert_eq!(stage.changes(), [format!("iam:DeleteLoginProfile {invited}")]);
}

#[tokio::test(start_paused = true)]
async fn a_created_account_is_verified() {
    let stage = Stage::enforcing().await;
    let created = stage.aws.create_account(account("created", RootCredentials::default()));
    stage.deployment.settle().await.unwrap();
    assert_eq!(stage.verdicts(ACCOUNT_JOINED)[created.as_str()], Verdict::Clean);
    assert!(stage.changes().is_empty());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_stripped_in_audit_mode() {
    let stage = Stage::set(organization(), auditing()).await;
    let invited = stage.aws.invite_account(account("invited", password()));
    stage.deployment.settle().await.unwrap();
    assert_eq!(stage.verdicts(ACCOUNT_JOINED)[invited.as_str()], Verdict::CredentialsPresent);
    assert!(!stage.root_of(invited.as_str()).is_empty());
}

/// Each of the four events leads to the account, through the rules of both templates.
#[tokio::test(start_paused = true)]
async fn every_announcement_leads_to_the_account() {
    for event in [
        "organizations-create-account-result-succeeded",
        "organizations-account-joined-created",
        "organizations-account-joined-invited",
        "controltower-create-managed-account-succeeded",
    ] {
        let stage = Stage::enforcing().await;
        stage.deployment.put_event(Bus::Default, &announcing(event, SHOP));
        stage.deployment.settle().await.unwrap();
        assert_eq!(stage.verdicts(ACCOUNT_JOINED)[SHOP], Verdict::Stripped, "{event}");
        stage.check_promises(&organization());
    }
}

/// A created account is announced twice, a managed one three times: it is stripped once.
#[tokio::test(start_paused = true)]
async fn an_account_that_is_announced_several_times_is_stripped_once() {
    let stage = Stage::enforcing().await;
    for event in [
        "organizations-create-account-result-succeeded",
        "organizations-account-joined-created",
        "controltower-create-managed-account-succeeded",
        "organizations-account-joined-created",
    ] {
        stage.deployment.put_event(Bus::Default, &announcing(event, SHOP));
    }
    stage.deployment.settle().await.unwrap();
    assert!(stage.root_of(SHOP).is_empty());
    assert_eq!(stage.changes().len(), 7, "{:?}", stage.changes());
    assert_eq!(stage.sessions().len(), 2, "what comes together is looked at once: {:?}", stage.sessions());
    let stripped = stage.logged(ACCOUNT_JOINED, "AccountRecord");
    let stripped = stripped.iter().filter(|record| record["verdict"] == "Stripped").count();
    assert_eq!(stripped, 1);
}

#[tokio::test(start_paused = true)]
async fn an_account_that_is_not_ready_is_tried_again_for_more_than_an_hour() {
    let stage = Stage::enforcing().await;
    let begin = stage.aws.clock().now();
    let slow = NewAccount { ready_after: Duration::from_mins(50), ..account("slow", password()) };
    let slow = stage.aws.create_account(slow);
    stage.deployment.settle().await.unwrap();
    // Its two announcements come again side by side: one finds something, the other nothing any more.
    assert!(stage.logged(ACCOUNT_JOINED, "AccountRecord").iter().any(|record| record["verdict"] == "Stripped"));
    assert!(stage.root_of(slow.as_str()).is_empty());
    assert!(stage.aws.clock().now() - begin >= Duration::from_mins(50));

    let begin = stage.aws.clock().now();
    let never = NewAccount { ready_after: Duration::from_hours(100), ..account("never", password()) };
    let never = stage.aws.invite_account(never);
    stage.deployment.settle().await.unwrap();
    assert_eq!(stage.verdicts(ACCOUNT_JOINED)[never.as_str()], Verdict::Unknown);
    assert!(stage.aws.clock().now() - begin >= Duration::from_hours(1), "given up too soon");
    assert_eq!(stage.deployment.dead_letters(ACCOUNT_JOINED).unwrap().len(), 1, "and not lost");
}

#[tokio::test(start_paused = true)]
async fn an_account_that_is_not_active_yet_is_waited_for() {
    let stage = Stage::enforcing().await;
    let pending = stage.aws.invite_account(account("pending", password()));
    stage.aws.with_organization(|organization| {
        organization.accounts.get_mut(&pending).unwrap().state = AccountState::PendingActivation;
    });
    let settled = tokio::spawn({
        let aws = stage.aws.clone();
        let pending = pending.clone();
        async move {
            // Active once the function has asked three times.
            while aws.calls().iter().filter(|call| call.operation == "DescribeAccount").count() < 3 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            aws.with_organization(|organization| {
                organization.accounts.get_mut(&pending).unwrap().state = AccountState::Active;
            });
        }
    });
    stage.deployment.settle().await.unwrap();
    settled.await.unwrap();
    assert_eq!(stage.verdicts(ACCOUNT_JOINED)[pending.as_str()], Verdict::Stripped);
}

/// A service control policy does not go away by waiting: a person is told at once.
#[tokio::test(start_paused = true)]
async fn what_only_a_person_can_mend_is_set_aside_with_its_remedy() {
    let stage = Stage::enforcing().await;
    stage.deployment.put_event(Bus::Default, &announcing("organizations-account-joined-invited", ACQUIRED));
    stage.deployment.settle().await.unwrap();
    let reasons = reasons(&stage);
    assert_eq!(reasons.len(), 1);
    assert!(reasons[0].contains("DeniedByMemberServiceControlPolicy"), "{}", reasons[0]);
    assert!(reasons[0].contains("aws:AssumedRoot"), "{}", reasons[0]);
    assert_eq!(stage.deployment.outcomes(ACCOUNT_JOINED).unwrap().len(), 1, "tried once");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_covered_is_left_alone() {
    let stage = Stage::enforcing().await;
    stage.aws.with_organization(|organization| {
        organization.accounts.get_mut(&id(EXEMPT)).unwrap().root = password();
    });
    stage.deployment.put_event(Bus::Default, &announcing("organizations-account-joined-invited", EXEMPT));
    stage.deployment.settle().await.unwrap();
    assert_eq!(stage.verdicts(ACCOUNT_JOINED)[EXEMPT], Verdict::NotCovered);
    assert!(stage.sessions().is_empty());
    assert!(reasons(&stage).is_empty());
}

/// The bus lets nobody but the management account in, the rule looks again, and so does the function.
#[tokio::test(start_paused = true)]
async fn an_event_of_another_account_is_refused() {
    let stage = Stage::enforcing().await;
    let mut forged = announcing("organizations-account-joined-invited", SHOP);
    forged["account"] = json!(ACQUIRED);
    assert!(stage.deployment.put_event(Bus::Unroot, &forged).is_empty(), "matched by a rule");
    stage.deployment.send(ACCOUNT_JOINED, &forged.to_string()).unwrap();
    stage.deployment.settle().await.unwrap();
    assert!(stage.sessions().is_empty());
    let reasons = reasons(&stage);
    assert!(reasons[0].starts_with(&format!("`account` is {ACQUIRED}")), "{reasons:?}");
}

#[tokio::test(start_paused = true)]
async fn a_malformed_event_is_set_aside_and_never_guessed_at() {
    let stage = Stage::enforcing().await;
    let created = announcing("organizations-create-account-result-succeeded", SHOP);
    let with = |pointer: &str, value: Value| {
        let mut event = created.clone();
        *event.pointer_mut(pointer).unwrap() = value;
        event.to_string()
    };
    let status = "/detail/serviceEventDetails/createAccountStatus";
    let messages = [
        ("{".to_owned(), "the message is not an EventBridge event"),
        (
            with(&format!("{status}/accountId"), json!("4444")),
            "`detail.serviceEventDetails.createAccountStatus.accountId`",
        ),
        (with(&format!("{status}/accountId"), json!(MANAGEMENT)), "the management account itself"),
        (with(&format!("{status}/state"), json!("MAYBE")), "`detail.serviceEventDetails.createAccountStatus.state`"),
    ];
    for (message, _) in &messages {
        stage.deployment.send(ACCOUNT_JOINED, message).unwrap();
    }
    stage.deployment.settle().await.unwrap();
    let reasons = reasons(&stage);
    for (message, expected) in &messages {
        assert!(reasons.iter().any(|reason| reason.contains(expected)), "{message}: {reasons:?}");
    }
    assert_eq!(reasons.len(), messages.len());
    assert!(stage.sessions().is_empty());
}

/// What the rule should not have let through is acknowledged, and said aloud.
#[tokio::test(start_paused = true)]
async fn an_unrelated_event_is_ignored_loudly() {
    let stage = Stage::enforcing().await;
    for event in ["guardduty-root-credential-usage", "organizations-close-account-result"] {
        stage.deployment.send(ACCOUNT_JOINED, &sample(event).to_string()).unwrap();
    }
    stage.deployment.put_event(Bus::Default, &sample("organizations-create-account-result-failed"));
    stage.deployment.settle().await.unwrap();
    let log = stage.output();
    assert!(log.contains("ignored: not an event of a new account"), "{log}");
    assert!(log.contains("no account was created"), "{log}");
    assert!(stage.aws.calls().iter().all(|call| call.service == "sqs"), "{:?}", stage.aws.calls());
    assert!(reasons(&stage).is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_account_that_is_in_no_organization_is_given_up_after_waiting() {
    let stage = Stage::enforcing().await;
    let event = announcing("organizations-account-joined-invited", "000000000001");
    stage.deployment.put_event(Bus::Default, &event);
    stage.deployment.settle().await.unwrap();
    assert_eq!(stage.verdicts(ACCOUNT_JOINED)["000000000001"], Verdict::Unknown);
    assert_eq!(stage.deployment.dead_letters(ACCOUNT_JOINED).unwrap().len(), 1);
    assert!(stage.sessions().is_empty());
}
