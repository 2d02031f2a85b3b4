//! The promises of the README: one test each, by its name; `secrets_stay_inside` is among
//! the tests of the programs. The fault sweep holds them against every fault, and the explorer against everything.

use serde_json::json;
use shared::domain::failure::Cause;
use shared::domain::record::Verdict;
use simulator::aws::{Fault, FaultKind, Outcome};
use simulator::deployment::Bus;
use simulator::lambda::{Accident, Mishap};
use simulator::organization::AccountState;

use crate::stage::{
    ACCOUNT_JOINED, ACQUIRED, EXEMPT, MANAGEMENT, SCHEDULED_AUDIT, SHOP, SUSPENDED, Stage, auditing, enforcing, id,
    organization, organization_with, sample_organization,
};

#[tokio::test(start_paused = true)]
async fn never_claims_more_than_it_saw() {
    // Every deletion is answered with success, and every reading with an error.
    for operation in ["iam:GetLoginProfile", "iam:ListAccessKeys"] {
        let stage = Stage::enforcing().await;
        stage.aws.inject(Fault::at(operation, FaultKind::Error500).in_account(id(SHOP)).skip(1));
        let record = stage.request(json!({"accounts": [SHOP]})).await.unwrap().accounts.remove(0);
        assert_eq!(record.verdict, Verdict::Unknown);
        assert!(record.removed.is_empty() && !record.attempted.is_empty(), "{record:?}");
    }

    // Every deletion is answered with success, and the account is shown as it was before.
    let stage = Stage::enforcing().await;
    let lagging = Fault::at("iam:*", FaultKind::Stale(100)).in_account(id(SHOP));
    stage.aws.inject(lagging);
    let record = stage.request(json!({"accounts": [SHOP]})).await.unwrap().accounts.remove(0);
    assert_eq!(record.verdict, Verdict::Failed);
    assert!(record.removed.is_empty(), "{record:?}");

    // One kind of credential cannot be read, before or after the deletions.
    for operation in ["iam:GetLoginProfile", "iam:ListAccessKeys", "iam:ListSigningCertificates", "iam:ListMFADevices"]
    {
        for readings in [0, 1] {
            let stage = Stage::enforcing().await;
            stage.aws.inject(Fault::at(operation, FaultKind::Denied).skip(readings));
            let record = stage.request(json!({"accounts": [SHOP]})).await.unwrap().accounts.remove(0);
            assert_eq!(record.verdict, Verdict::Unknown, "{operation} after {readings}");
            assert!(record.removed.is_empty() && record.left.is_none(), "{record:?}");
        }
    }

    // An answer comes, but nothing is in it, the lists after the deletions included.
    for (operation, readings) in [
        ("sts:AssumeRoot", 0),
        ("iam:GetAccountSummary", 0),
        ("organizations:DescribeAccount", 0),
        ("iam:ListAccessKeys", 0),
        ("iam:ListAccessKeys", 1),
        ("iam:ListSigningCertificates", 1),
        ("iam:ListMFADevices", 1),
    ] {
        let stage = Stage::enforcing().await;
        stage.aws.inject(Fault::at(operation, FaultKind::Hollow).skip(readings));
        let record = stage.request(json!({"accounts": [SHOP]})).await.unwrap().accounts.remove(0);
        assert_eq!(record.verdict, Verdict::Unknown, "{operation}");
        assert_eq!(record.failure.unwrap().cause, Cause::UnreadableAnswer, "{operation}");
    }

    // The list of accounts ends before its end: the management account is not on it.
    let stage = Stage::enforcing().await;
    stage.aws.with_organization(|organization| organization.accounts.remove(&id(MANAGEMENT)));
    let error = stage.request(json!({"everything": true})).await.unwrap_err();
    assert!(error.starts_with("ListingBroken") && error.contains("without the management account"), "{error}");

    // The list of accounts has no accounts.
    let stage = Stage::enforcing().await;
    stage.aws.inject(Fault::at("organizations:ListAccounts", FaultKind::Hollow));
    let error = stage.request(json!({"everything": true})).await.unwrap_err();
    assert!(error.starts_with("ListingBroken") && error.contains("UnreadableAnswer"), "{error}");

    // No account can be read at all.
    let stage = Stage::enforcing().await;
    stage.aws.inject(Fault::at("iam:GetAccountSummary", FaultKind::Throttle));
    let report = stage.request(json!({"everything": true})).await.unwrap();
    assert_eq!(report.totals.of(Verdict::Clean), 0);
    stage.check_promises(&organization());
}

/// In `Audit` mode the plan is reported, no delete session is opened, and the role could not open one.
#[tokio::test(start_paused = true)]
async fn plan_then_act() {
    let stage = Stage::set(organization(), auditing()).await;
    stage.scheduled_audit().await;
    let record = stage.records(SCHEDULED_AUDIT).remove(SHOP).unwrap();
    assert_eq!(record.verdict, Verdict::CredentialsPresent);
    assert_eq!(record.planned.len(), 7);
    assert!(stage.changes().is_empty());
    assert_eq!(stage.root_of(SHOP), organization().accounts[&id(SHOP)].root);

    // A function that wants to delete all the same is refused by its own role.
    let stage = Stage::set(organization(), auditing().with_variable("MODE", "Enforce")).await;
    stage.scheduled_audit().await;
    let record = stage.records(SCHEDULED_AUDIT).remove(SHOP).unwrap();
    assert_eq!(record.verdict, Verdict::Failed);
    assert!(stage.changes().is_empty());
    let calls = stage.aws.calls();
    let refused: Vec<_> = calls.iter().filter(|call| call.operation == "AssumeRoot" && call.account == SHOP).collect();
    assert!(matches!(refused.last().unwrap().outcome, Outcome::Error { .. }), "{refused:?}");
}

/// No password, key or certificate can be deleted: no MFA device is deactivated.
#[tokio::test(start_paused = true)]
async fn mfa_last() {
    for operation in ["iam:DeleteLoginProfile", "iam:DeleteAccessKey", "iam:DeleteSigningCertificate"] {
        let stage = Stage::enforcing().await;
        stage.aws.inject(Fault::at(operation, FaultKind::Denied));
        stage.scheduled_audit().await;
        let record = stage.records(SCHEDULED_AUDIT).remove(SHOP).unwrap();
        assert_eq!(record.verdict, Verdict::Failed, "{operation}");
        assert_eq!(stage.root_of(SHOP).mfa_devices.len(), 3, "{operation}");
        assert_eq!(record.held_back.len(), 3, "{operation}: the report says why MFA stays");
        stage.check_promises(&organization());
    }
}

/// What is not covered is never changed, whoever asks and whatever is there.
#[tokio::test(start_paused = true)]
async fn hands_off() {
    let shop = organization().accounts[&id(SHOP)].root.clone();
    let with_credentials_everywhere = organization_with(|organization| {
        for account in organization.accounts.values_mut() {
            account.root = shop.clone();
        }
    });
    let units = enforcing().with_parameter("OrganizationalUnitIds", "ou-a1b2-develop1");
    let stage = Stage::set(with_credentials_everywhere.clone(), units).await;
    stage.scheduled_audit().await;
    let _ = stage.request(json!({"accounts": [MANAGEMENT, EXEMPT, SUSPENDED, SHOP]})).await.unwrap();
    for event in ["organizations-account-joined-invited", "organizations-create-account-result-succeeded"] {
        for account in [MANAGEMENT, EXEMPT, SUSPENDED, SHOP] {
            let path = format!("{}/fixtures/events/{event}.json", env!("CARGO_MANIFEST_DIR"));
            let event = std::fs::read_to_string(path).unwrap();
            let event = event.replace("444455556666", account).replace("555566667777", account);
            stage.deployment.put_event(Bus::Default, &serde_json::from_str(&event).unwrap());
        }
    }
    stage.deployment.settle().await.unwrap();
    for account in [MANAGEMENT, EXEMPT, SUSPENDED, SHOP] {
        assert_eq!(stage.root_of(account), shop, "{account}");
        assert!(!stage.sessions().iter().any(|session| session.ends_with(account)), "{account}");
    }
    stage.check_promises(&with_credentials_everywhere);
}

/// The roles refuse a root session in the management account and in exempt accounts even if the functions ask for one.
#[tokio::test(start_paused = true)]
async fn hands_off_is_enforced_by_the_roles_too() {
    let stage = Stage::set(organization(), enforcing().with_variable("EXEMPT_ACCOUNT_IDS", "")).await;
    stage.scheduled_audit().await;
    assert_eq!(stage.verdicts(SCHEDULED_AUDIT)[EXEMPT], Verdict::Unknown);
    assert!(!stage.sessions().iter().any(|session| session.ends_with(EXEMPT)));
}

/// An event says that an account joined; whether it did, and whether it may be touched, AWS is asked.
#[tokio::test(start_paused = true)]
async fn events_are_hints() {
    let stage = Stage::enforcing().await;
    stage.aws.with_organization(|organization| {
        organization.accounts.get_mut(&id(SHOP)).unwrap().state = AccountState::PendingClosure;
        organization.accounts.remove(&id(ACQUIRED));
    });
    for account in [SHOP, ACQUIRED] {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/events/organizations-account-joined-invited.json");
        let event = std::fs::read_to_string(path).unwrap().replace("555566667777", account);
        stage.deployment.put_event(Bus::Default, &serde_json::from_str(&event).unwrap());
    }
    stage.deployment.settle().await.unwrap();
    assert_eq!(stage.verdicts(ACCOUNT_JOINED)[SHOP], Verdict::NotCovered);
    assert_eq!(stage.verdicts(ACCOUNT_JOINED)[ACQUIRED], Verdict::Unknown);
    assert!(stage.sessions().is_empty());
}

/// The function is killed in the middle of an audit: its message comes back, and the end is the same.
#[tokio::test(start_paused = true)]
async fn nothing_is_lost() {
    // The process ends when some accounts have been stripped already.
    let before = sample_organization(60);
    let killed = Stage::set(before.clone(), enforcing()).await;
    killed.accidents.plan(1, Accident { mishap: Mishap::Crash, after: 300 });
    killed.scheduled_audit().await;
    assert_eq!(killed.accidents.happened(), 1, "the process never ended: the test proves nothing");
    let calm = Stage::set(before.clone(), enforcing()).await;
    calm.scheduled_audit().await;
    assert_eq!(killed.aws.organization().accounts, calm.aws.organization().accounts);
    killed.check_promises(&before);

    // The rest of an audit cannot be handed on at once.
    let slow = Stage::slow(sample_organization(400)).await;
    slow.aws.inject(Fault::at("sqs:SendMessage", FaultKind::Error500).times(3));
    slow.scheduled_audit().await;
    assert_eq!(slow.aws.fault_hits(), 3, "nothing was handed on: the test proves nothing");
    let last = slow.logged(SCHEDULED_AUDIT, "AuditReport").pop().unwrap();
    assert_eq!(last["completeness"]["state"], "Complete");
    assert_eq!(last["totals"]["accounts"], slow.aws.organization().accounts.len());

    // A message that cannot succeed cannot be put aside either: then the queue itself does it.
    let stage = Stage::enforcing().await;
    stage.aws.inject(Fault::at("sqs:SendMessage", FaultKind::Error500));
    stage.deployment.send(SCHEDULED_AUDIT, "not json").unwrap();
    stage.deployment.settle().await.unwrap();
    assert_eq!(stage.deployment.dead_letters(SCHEDULED_AUDIT).unwrap().len(), 1);

    // A message that fails for ever ends in the dead-letter queue.
    let stage = Stage::enforcing().await;
    stage.aws.inject(Fault::at("organizations:DescribeOrganization", FaultKind::Error500));
    stage.scheduled_audit().await;
    assert_eq!(stage.deployment.dead_letters(SCHEDULED_AUDIT).unwrap().len(), 1);
    assert!(stage.deployment.waiting(SCHEDULED_AUDIT).unwrap().is_empty());
}
