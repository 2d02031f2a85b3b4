//! What is remembered of the accounts and of the sessions, at what price.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use shared::domain::record::Verdict;
use simulator::aws::{NewAccount, Outcome};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::stage::{ACQUIRED, SCHEDULED_AUDIT, SHOP, Stage, enforcing, id, organization, sample_organization};

fn items(stage: &Stage, sort_key: &str) -> Vec<Value> {
    stage.state().into_iter().filter(|item| item["sk"] == sort_key).collect()
}

fn posture(stage: &Stage, account: &str) -> Value {
    items(stage, "posture").into_iter().find(|item| item["accountId"] == account).unwrap()
}

#[tokio::test(start_paused = true)]
async fn each_account_has_a_posture() {
    let stage = Stage::enforcing().await;
    stage.scheduled_audit().await;
    assert_eq!(items(&stage, "posture").len(), organization().accounts.len());
    let shop = posture(&stage, SHOP);
    assert_eq!(
        (&shop["verdict"], &shop["trigger"], &shop["accountName"]),
        (&json!("Stripped"), &json!("Schedule"), &json!("shop"))
    );
    assert_eq!(shop["lastRemoval"]["removed"].as_array().unwrap().len(), 7);
    let keys = shop["lastFound"]["credentials"]["accessKeys"].as_array().unwrap();
    assert!(keys.iter().any(|key| key["lastUsed"]["state"] == "used"), "{keys:?}");
    let acquired = posture(&stage, ACQUIRED);
    assert_eq!(
        (&acquired["verdict"], &acquired["cause"]),
        (&json!("Unknown"), &json!("DeniedByMemberServiceControlPolicy"))
    );

    stage.scheduled_audit().await;
    let again = posture(&stage, SHOP);
    assert_eq!(again["verdict"], "Clean");
    assert_eq!((&again["since"], &again["lastRemoval"]), (&shop["since"], &shop["lastRemoval"]));
    assert_ne!(again["examined"], shop["examined"]);
}

#[tokio::test(start_paused = true)]
async fn every_root_session_is_remembered() {
    let stage = Stage::enforcing().await;
    stage.aws.create_account(NewAccount::default());
    stage.deployment.settle().await.unwrap();
    stage.scheduled_audit().await;
    // In a root session the caller is the member's root user.
    let root_calls = stage.aws.calls().into_iter().filter(|call| call.caller.ends_with(":root"));
    let used: BTreeSet<_> = root_calls.map(|call| call.access_key_id).collect();
    let sessions = items(&stage, "session");
    let remembered: BTreeSet<_> =
        sessions.iter().map(|item| item["accessKeyId"].as_str().unwrap().to_owned()).collect();
    assert!(!used.is_empty() && used.is_subset(&remembered), "{used:?} {remembered:?}");
    let opened = stage
        .aws
        .calls()
        .iter()
        .filter(|call| call.operation == "AssumeRoot" && call.outcome == Outcome::Success)
        .count();
    assert_eq!(remembered.len(), opened);
    for item in &sessions {
        assert!(item["function"].as_str().unwrap().starts_with("unroot-"), "{item}");
        let opened = OffsetDateTime::parse(item["opened"].as_str().unwrap(), &Rfc3339).unwrap();
        assert_eq!(item["expiresAt"], (opened + time::Duration::days(90)).unix_timestamp());
    }
    let secrets = stage.state().iter().any(|item| item.to_string().to_lowercase().contains("secret"));
    assert!(!secrets);
}

/// At most 0.1 calls an account, in the worst case for state: credentials everywhere.
#[tokio::test(start_paused = true)]
async fn an_audit_adds_few_calls_for_state() {
    for everywhere in [false, true] {
        let mut organization = sample_organization(400);
        if everywhere {
            let leftovers = self::organization().accounts[&id(SHOP)].root.clone();
            for account in organization.accounts.values_mut() {
                account.root = leftovers.clone();
            }
        }
        let patient =
            enforcing().with_variable("REQUEST_TIMEOUT_MS", "10000").with_variable("RETRY_BACKOFF_MS", "1000");
        let stage = Stage::set(organization, patient).await;
        let began = stage.now();
        stage.scheduled_audit().await;
        // However many accounts there are: sessions are written and windows read every ten seconds.
        let by_the_clock = 2 * ((stage.now() - began).whole_seconds().unsigned_abs() / 10);
        let calls = stage.aws.calls().iter().filter(|call| call.service == "dynamodb").count() as u64;
        assert!(calls <= 40 + by_the_clock, "{calls} calls for 400 accounts, credentials everywhere: {everywhere}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_account_in_a_recovery_window_is_left_alone() {
    let stage = Stage::enforcing().await;
    let now = stage.now();
    let window = |ends: OffsetDateTime| {
        json!({
            "pk": "recovery-window", "sk": SHOP, "accountId": SHOP, "reason": "lost the password",
            "opened": (now - time::Duration::hours(1)).format(&Rfc3339).unwrap(), "ends": ends.format(&Rfc3339).unwrap(),
        })
    };
    stage.remember(&window(now + time::Duration::hours(1)));
    stage.scheduled_audit().await;
    let record = stage.records(SCHEDULED_AUDIT).remove(SHOP).unwrap();
    assert_eq!(record.verdict, Verdict::NotCovered);
    assert!(record.reason.unwrap().starts_with("in a recovery window until"));
    assert!(!stage.sessions().iter().any(|session| session.ends_with(SHOP)));

    stage.remember(&window(now - Duration::from_secs(1)));
    stage.scheduled_audit().await;
    assert!(stage.root_of(SHOP).is_empty());
}

/// A window that is opened while an audit is under way is respected by it.
#[tokio::test(start_paused = true)]
async fn a_window_is_seen_before_each_deletion() {
    let stage = Stage::enforcing().await;
    // Reading the account takes longer than a reading of the windows counts.
    stage.aws.set_latency(Duration::from_secs(3));
    let now = stage.now();
    let window = json!({
        "pk": "recovery-window", "sk": SHOP, "accountId": SHOP, "reason": "lost the password",
        "opened": now.format(&Rfc3339).unwrap(),
        "ends": (now + time::Duration::hours(1)).format(&Rfc3339).unwrap(),
    });
    let open_it = async {
        let is_being_read =
            || stage.aws.calls().iter().any(|call| call.operation == "ListSigningCertificates" && call.account == SHOP);
        while !is_being_read() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        stage.remember(&window);
    };
    tokio::join!(stage.scheduled_audit(), open_it);
    assert!(stage.changes().is_empty(), "{:?}", stage.changes());
    let record = stage.records(SCHEDULED_AUDIT).remove(SHOP).unwrap();
    assert_eq!(record.verdict, Verdict::NotCovered);
    assert!(record.found.is_some(), "what was found is said all the same");
}

/// Whoever cannot know which accounts are in a recovery window touches none.
#[tokio::test(start_paused = true)]
async fn nothing_is_touched_while_the_windows_cannot_be_read() {
    let stage = Stage::enforcing().await;
    stage.aws.inject("dynamodb:Query=error500".parse().unwrap());
    stage
        .aws
        .create_account(NewAccount { root: organization().accounts[&id(SHOP)].root.clone(), ..NewAccount::default() });
    stage.scheduled_audit().await;
    assert!(stage.sessions().is_empty());
    let waiting = [SCHEDULED_AUDIT, crate::stage::ACCOUNT_JOINED];
    for function in waiting {
        assert!(
            !stage.deployment.dead_letters(function).unwrap().is_empty(),
            "{function} gives up where a person sees it"
        );
    }
}
