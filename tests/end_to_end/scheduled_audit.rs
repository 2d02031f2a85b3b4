//! `scheduled-audit`: what it covers, what it says, and what it does with a request that it cannot do.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use shared::domain::failure::Cause;
use shared::domain::record::{Completeness, Verdict};
use shared::domain::task::TaskPolicy;
use simulator::aws::{Fault, FaultKind};
use simulator::organization::{Feature, IAM_SERVICE, Organization, RootCredentials};

use crate::stage::{
    ACQUIRED, AUDIT, BEING_SET_UP, EXEMPT, MANAGEMENT, NOW, SCHEDULED_AUDIT, SHOP, STS_OFF, SUSPENDED, Stage, auditing,
    enforcing, id, organization, organization_with, patient, sample_organization,
};

#[tokio::test(start_paused = true)]
async fn audits_the_whole_organization_and_strips_what_it_finds() {
    let stage = Stage::enforcing().await;
    stage.scheduled_audit().await;
    let expected = BTreeMap::from([
        (MANAGEMENT, Verdict::NotCovered),
        (AUDIT, Verdict::Clean),
        (SHOP, Verdict::Stripped),
        (EXEMPT, Verdict::NotCovered),
        (STS_OFF, Verdict::Clean),
        (BEING_SET_UP, Verdict::Unknown),
        (ACQUIRED, Verdict::Unknown),
        (SUSPENDED, Verdict::NotCovered),
    ]);
    let expected: BTreeMap<_, _> = expected.into_iter().map(|(id, verdict)| (id.to_owned(), verdict)).collect();
    assert_eq!(stage.verdicts(SCHEDULED_AUDIT), expected);
    insta::assert_json_snapshot!(stage.changes(), @r#"
    [
      "iam:DeleteLoginProfile 444455556666",
      "iam:DeleteAccessKey 444455556666",
      "iam:DeleteAccessKey 444455556666",
      "iam:DeleteSigningCertificate 444455556666",
      "iam:DeactivateMFADevice 444455556666",
      "iam:DeactivateMFADevice 444455556666",
      "iam:DeactivateMFADevice 444455556666"
    ]
    "#);
    assert!(stage.root_of(SHOP).is_empty());
    assert!(!stage.root_of(ACQUIRED).is_empty());
    stage.check_promises(&organization());

    let report = stage.logged(SCHEDULED_AUDIT, "AuditReport").pop().unwrap();
    assert_eq!(report["completeness"]["state"], "Complete");
    assert_eq!(report["totals"]["accounts"], 8);
    assert_eq!(
        report["totals"]["removed"],
        json!({
            "loginProfiles": 1, "accessKeys": 2, "signingCertificates": 1, "mfaDevices": 3
        })
    );
}

#[tokio::test(start_paused = true)]
async fn a_clean_account_costs_two_calls() {
    let stage = Stage::enforcing().await;
    stage.request(json!({"accounts": [AUDIT]})).await.unwrap();
    let calls = stage.aws.calls();
    let calls: Vec<_> =
        calls.iter().filter(|call| call.account == AUDIT && ["sts", "iam"].contains(&call.service.as_str())).collect();
    let calls: Vec<_> = calls.iter().map(|call| call.action()).collect();
    assert_eq!(calls, ["iam:ListOrganizationsFeatures", "sts:AssumeRoot", "iam:GetAccountSummary"]);
}

#[tokio::test(start_paused = true)]
async fn every_cause_has_its_remedy() {
    let stage = Stage::enforcing().await;
    stage.scheduled_audit().await;
    let records = stage.records(SCHEDULED_AUDIT);
    let cause = |account: &str| records[account].failure.as_ref().map(|failure| failure.cause);
    assert_eq!(cause(ACQUIRED), Some(Cause::DeniedByMemberServiceControlPolicy));
    assert_eq!(cause(BEING_SET_UP), Some(Cause::AssumeRootNotAuthorized));
    assert!(records[ACQUIRED].remedy.as_deref().unwrap().contains(r#""Null": {"aws:AssumedRoot": "true"}"#));
    let reason = |account: &str| records[account].reason.clone().unwrap();
    assert!(reason(MANAGEMENT).starts_with("the management account"), "{}", reason(MANAGEMENT));
    assert!(reason(EXEMPT).starts_with("exempt"), "{}", reason(EXEMPT));
    assert_eq!(reason(SUSPENDED), "its state is SUSPENDED, not ACTIVE");
}

/// A Region that is off in the member costs one more call, in the Region that cannot be off.
#[tokio::test(start_paused = true)]
async fn an_account_without_sts_in_our_region_is_audited_from_another() {
    let stage = Stage::enforcing().await;
    let report = stage.request(json!({"accounts": [STS_OFF]})).await.unwrap();
    assert_eq!(report.accounts[0].verdict, Verdict::Clean);
    let calls = stage.aws.calls();
    let regions: Vec<_> = calls.iter().filter(|call| call.operation == "AssumeRoot").map(|call| &call.region).collect();
    assert_eq!(regions, ["eu-central-1", "us-east-1"]);
}

#[tokio::test(start_paused = true)]
async fn a_second_audit_finds_nothing_left_to_do() {
    let stage = Stage::enforcing().await;
    stage.scheduled_audit().await;
    let changes = stage.changes();
    stage.scheduled_audit().await;
    assert_eq!(stage.changes(), changes);
    assert_eq!(stage.verdicts(SCHEDULED_AUDIT)[SHOP], Verdict::Clean);
}

#[tokio::test(start_paused = true)]
async fn a_key_in_use_is_held_back_with_the_mfa_that_protects_it() {
    let organization = organization_with(|organization| {
        let root = &mut organization.accounts.get_mut(&id(SHOP)).unwrap().root;
        root.access_keys[0].last_used.as_mut().unwrap().date = NOW - time::Duration::days(1);
    });
    let stage = Stage::set(organization.clone(), enforcing()).await;
    let report = stage.request(json!({"accounts": [SHOP]})).await.unwrap();
    let record = &report.accounts[0];
    assert_eq!(record.verdict, Verdict::CredentialsPresent);
    assert_eq!((record.removed.len(), record.held_back.len()), (3, 4), "{record:?}");
    assert!(record.remedy.as_deref().unwrap().contains("HoldBackKeysUsedWithinDays"));
    let left = stage.root_of(SHOP);
    assert_eq!((left.access_keys.len(), left.mfa_devices.len()), (1, 3));
    assert!(left.login_profile.is_none() && left.signing_certificates.is_empty());
    stage.check_promises(&organization);
}

#[tokio::test(start_paused = true)]
async fn no_key_is_held_back_if_the_deployment_says_so() {
    let organization = organization_with(|organization| {
        let root = &mut organization.accounts.get_mut(&id(SHOP)).unwrap().root;
        root.access_keys[0].last_used.as_mut().unwrap().date = NOW;
    });
    let stage = Stage::set(organization, enforcing().with_parameter("HoldBackKeysUsedWithinDays", "0")).await;
    stage.scheduled_audit().await;
    assert!(stage.root_of(SHOP).is_empty());
}

#[tokio::test(start_paused = true)]
async fn only_chosen_units_are_touched() {
    let options = enforcing().with_parameter("OrganizationalUnitIds", "ou-a1b2-develop1,ou-a1b2-security1");
    let stage = Stage::set(organization(), options).await;
    stage.scheduled_audit().await;
    let verdicts = stage.verdicts(SCHEDULED_AUDIT);
    assert_eq!(verdicts[SHOP], Verdict::NotCovered);
    assert_eq!((verdicts[AUDIT], verdicts[STS_OFF]), (Verdict::Clean, Verdict::Clean));
    assert!(stage.changes().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_request_narrows_the_audit_to_units_with_all_below_them() {
    let stage = Stage::enforcing().await;
    let report = stage.request(json!({"organizationalUnits": ["ou-a1b2-workload"]})).await.unwrap();
    let audited: Vec<_> = report.accounts.iter().map(|record| record.account_id.as_str()).collect();
    assert_eq!(audited, [SHOP, EXEMPT, STS_OFF, BEING_SET_UP]);
    assert_eq!(stage.root_of(SHOP), RootCredentials::default());
}

#[tokio::test(start_paused = true)]
async fn a_request_names_accounts_of_any_kind() {
    let stage = Stage::enforcing().await;
    let request = json!({"accounts": [SHOP, MANAGEMENT, EXEMPT, "000000000001"]});
    let report = stage.request(request).await.unwrap();
    let verdicts: Vec<_> = report.accounts.iter().map(|record| record.verdict).collect();
    assert_eq!(verdicts, [Verdict::NotCovered, Verdict::NotCovered, Verdict::Stripped, Verdict::NotCovered]);
    assert_eq!(report.accounts[0].reason.as_deref(), Some("not an account of this organization"));
    assert_eq!(report.totals.accounts, 4);
}

#[tokio::test(start_paused = true)]
async fn a_request_can_be_stricter_than_the_deployment() {
    let stage = Stage::enforcing().await;
    let report = stage.request(json!({"accounts": [SHOP], "mode": "Audit"})).await.unwrap();
    assert_eq!(report.accounts[0].verdict, Verdict::CredentialsPresent);
    assert_eq!(report.accounts[0].planned.len(), 7);
    assert_eq!(stage.sessions(), [format!("IAMAuditRootUserCredentials {SHOP}")]);
}

#[tokio::test(start_paused = true)]
async fn a_bad_request_is_refused_and_changes_nothing() {
    let stage = Stage::set(organization(), auditing()).await;
    for (request, expected) in [
        (json!({}), "InvalidRequest: the request names nothing"),
        (json!({"everything": true, "accounts": [SHOP]}), "InvalidRequest: the request contradicts itself"),
        (json!({"accounts": ["4444"]}), "InvalidRequest: `accounts[0]` in the request: `4444` is not an account id"),
        (
            json!({"everything": true, "mode": "enforce"}),
            "InvalidRequest: `mode` in the request: unknown variant `enforce`",
        ),
        (json!({"everything": true, "mode": "Enforce"}), "InvalidRequest: `mode`: the function is deployed in `Audit`"),
        (json!([true, null, null, null]), "InvalidRequest: the request is not a JSON object"),
        (
            json!({"organizationalUnits": ["ou-a1b2-nowhere0"]}),
            "InvalidRequest: `organizationalUnits`: there is no organizational unit ou-a1b2-nowhere0",
        ),
    ] {
        let error = stage.request(request.clone()).await.unwrap_err();
        assert!(error.starts_with(expected), "{request}: {error}");
    }
    assert!(stage.sessions().is_empty());
}

/// A message that cannot succeed is not tried again: it is put aside at once, whole, with the reason.
#[tokio::test(start_paused = true)]
async fn a_bad_message_is_set_aside_at_once() {
    let stage = Stage::enforcing().await;
    for body in ["not json", r#"{"accounts": ["4444"]}"#, "{}"] {
        stage.deployment.send(SCHEDULED_AUDIT, body).unwrap();
    }
    stage.deployment.settle().await.unwrap();
    assert_eq!(stage.deployment.outcomes(SCHEDULED_AUDIT).unwrap().len(), 3, "each was tried once");
    let dead = stage.deployment.dead_letters(SCHEDULED_AUDIT).unwrap();
    let reason = |body: &str| {
        let message = dead.iter().find(|message| message.body == body).unwrap();
        message.attributes["ErrorMessage"].to_string()
    };
    assert_eq!(dead.len(), 3);
    for (body, expected) in [
        ("not json", "the message is not JSON"),
        (r#"{"accounts": ["4444"]}"#, "`accounts[0]`"),
        ("{}", "names nothing"),
    ] {
        assert!(reason(body).contains(expected), "{body}: {}", reason(body));
    }
}

/// What is wrong with the organization is said once, with the command that mends it, and no account is tried.
#[tokio::test(start_paused = true)]
async fn an_organization_that_is_not_set_up_is_one_error() {
    type Change = fn(&mut Organization);
    let cases: [(&str, Change, &str); 3] = [
        (
            "RootCredentialsManagementDisabled",
            |organization| {
                organization.features.remove(&Feature::RootCredentialsManagement);
            },
            "aws iam enable-organizations-root-credentials-management",
        ),
        (
            "TrustedAccessDisabled",
            |organization| {
                organization.trusted_services.clear();
            },
            "aws organizations enable-aws-service-access --service-principal iam.amazonaws.com",
        ),
        (
            "NotDelegatedAdministrator",
            |organization| {
                organization.delegated_administrators.remove(IAM_SERVICE);
            },
            "aws organizations register-delegated-administrator --service-principal iam.amazonaws.com",
        ),
    ];
    for (cause, change, command) in cases {
        let stage = Stage::enforcing().await;
        stage.aws.with_organization(change);
        stage.scheduled_audit().await;
        assert!(stage.sessions().is_empty(), "{cause}: no account is tried");
        assert!(stage.logged(SCHEDULED_AUDIT, "AccountRecord").is_empty(), "{cause}");
        let dead = stage.deployment.dead_letters(SCHEDULED_AUDIT).unwrap();
        assert_eq!(dead.len(), 1, "{cause}");
        let reason = dead[0].attributes["ErrorMessage"].to_string();
        assert!(reason.contains(cause) && reason.contains(command), "{cause}: {reason}");
        let error = stage.request(json!({"everything": true})).await.unwrap_err();
        assert!(error.starts_with("OrganizationNotReady") && error.contains(command), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn another_management_account_than_the_parameter_is_one_error() {
    let stage = Stage::set(organization(), enforcing().with_parameter("ManagementAccountId", "000000000001")).await;
    let error = stage.request(json!({"everything": true})).await.unwrap_err();
    let expected = "InvalidSettings: `MANAGEMENT_ACCOUNT_ID` is 000000000001, but the management account of \
                    o-aa111bb222 is 111122223333";
    assert!(error.starts_with(expected), "{error}");
    assert!(stage.sessions().is_empty());
}

/// The rest of an audit that does not fit in an invocation goes through the queue, as a cursor.
#[tokio::test(start_paused = true)]
async fn an_audit_that_runs_out_of_time_is_continued() {
    let mut organization = sample_organization(400);
    for account in organization.accounts.values_mut() {
        account.root = RootCredentials::default();
    }
    let members = organization.accounts.len();
    let stage = Stage::slow(organization).await;
    stage.scheduled_audit().await;
    let reports = stage.logged(SCHEDULED_AUDIT, "AuditReport");
    assert!(reports.len() > 1, "not continued: {:?}", stage.deployment.outcomes(SCHEDULED_AUDIT));
    let states: Vec<_> = reports.iter().map(|report| report["completeness"]["state"].as_str().unwrap()).collect();
    let (last, earlier) = states.split_last().unwrap();
    assert!(*last == "Complete" && earlier.iter().all(|state| *state == "Continues"), "{states:?}");
    let runs: Vec<_> = reports.iter().map(|report| &report["run"]).collect();
    assert!(runs.windows(2).all(|pair| pair[0] == pair[1]), "{runs:?}");
    assert_eq!(reports.last().unwrap()["totals"]["accounts"], members, "each account once");
    assert_eq!(stage.verdicts(SCHEDULED_AUDIT).len(), members);
    assert!(stage.deployment.dead_letters(SCHEDULED_AUDIT).unwrap().is_empty());
}

/// The list of accounts breaks off: the audit says so, comes again, and is complete then.
#[tokio::test(start_paused = true)]
async fn a_list_that_breaks_off_is_never_a_complete_audit() {
    let stage = Stage::set(sample_organization(60), enforcing()).await;
    stage.aws.inject(Fault::at("organizations:ListAccounts", FaultKind::Error500).skip(1).times(3));
    let error = stage.request(json!({"everything": true})).await.unwrap_err();
    assert!(error.starts_with("ListingBroken: organizations:ListAccounts failed: Transient"), "{error}");
    let report = stage.logged(SCHEDULED_AUDIT, "AuditReport").pop().unwrap();
    assert_eq!(report["completeness"]["state"], "Broken");
    stage.aws.inject(Fault::at("organizations:ListAccounts", FaultKind::Error500).skip(1).times(3));
    stage.scheduled_audit().await;
    let report = stage.logged(SCHEDULED_AUDIT, "AuditReport").pop().unwrap();
    assert_eq!(report["completeness"]["state"], "Complete");
}

/// The summary counts something that no list shows, and goes on doing so: nothing is changed, nothing is claimed.
#[tokio::test(start_paused = true)]
async fn answers_that_contradict_each_other_are_not_believed() {
    let stage = Stage::enforcing().await;
    stage.aws.with_organization(|organization| {
        let root = &mut organization.accounts.get_mut(&id(SHOP)).unwrap().root;
        root.login_profile = None;
    });
    // The summary still counts the password that was there a moment ago, for as long as anybody asks.
    let lagging = Fault::at("iam:GetAccountSummary", FaultKind::Stale(1));
    stage.aws.inject(lagging);
    stage.request(json!({"accounts": [SHOP]})).await.unwrap();
    assert!(stage.root_of(SHOP).is_empty());
    let report = stage.request(json!({"accounts": [SHOP]})).await.unwrap();
    let record = &report.accounts[0];
    assert_eq!(record.verdict, Verdict::Unknown);
    assert_eq!(record.failure.as_ref().unwrap().cause, Cause::ContradictoryAnswers);
    stage.aws.clear_faults();
    assert_eq!(stage.request(json!({"accounts": [SHOP]})).await.unwrap().accounts[0].verdict, Verdict::Clean);
}

#[tokio::test(start_paused = true)]
async fn the_report_counts_the_sessions_that_were_opened() {
    let stage = Stage::enforcing().await;
    let report = stage.request(json!({"accounts": [SHOP, AUDIT]})).await.unwrap();
    assert_eq!(report.completeness, Completeness::Complete);
    let opened =
        BTreeMap::from([(TaskPolicy::IamAuditRootUserCredentials, 2), (TaskPolicy::IamDeleteRootUserCredentials, 1)]);
    assert_eq!(report.totals.sessions, opened);
    assert_eq!(stage.sessions().len(), 3);
    let _: Value = serde_json::to_value(&report).unwrap();
}

/// What could not be read for a cause that passes is read again before the report.
#[tokio::test(start_paused = true)]
async fn a_passing_failure_gets_a_second_look() {
    let stage = Stage::enforcing().await;
    stage.aws.inject(Fault::at("iam:GetAccountSummary", FaultKind::Error500).in_account(id(SHOP)).times(3));
    let report = stage.request(json!({"accounts": [SHOP, AUDIT]})).await.unwrap();
    assert_eq!(report.totals.of(Verdict::Unknown), 0, "{report:?}");
    assert_eq!((report.totals.accounts, report.accounts.len()), (2, 2));
    assert_eq!(report.accounts[1].verdict, Verdict::Stripped);
    assert_eq!(report.accounts[1].sessions.len(), 3, "the session of the first look counts");
    let lines = stage.logged(SCHEDULED_AUDIT, "AccountRecord");
    let of_shop: Vec<_> = lines.iter().filter(|line| line["accountId"] == SHOP).map(|line| &line["verdict"]).collect();
    assert_eq!(of_shop, ["Unknown", "Stripped"]);
}

/// One account that never ends does not take the others with it: it is given up before the invocation is over.
#[tokio::test(start_paused = true)]
async fn an_account_that_takes_too_long_is_given_up_in_time() {
    let stage = Stage::set(organization(), patient(SCHEDULED_AUDIT)).await;
    stage.aws.inject(Fault::at("iam:GetAccountSummary", FaultKind::Timeout).in_account(id(SHOP)));
    let report = stage.request(json!({"everything": true})).await.unwrap();
    assert_eq!((report.totals.accounts, report.totals.of(Verdict::Clean)), (8, 2));
    let shop = report.accounts.iter().find(|record| record.account_id.as_str() == SHOP).unwrap();
    assert_eq!(shop.verdict, Verdict::Unknown);
    assert_eq!(shop.failure.as_ref().unwrap().cause, Cause::OutOfTime);
}

/// A cursor that AWS refuses is no reason to lose the rest of the audit.
#[tokio::test(start_paused = true)]
async fn a_continuation_with_a_refused_cursor_starts_over() {
    let stage = Stage::enforcing().await;
    let continuation = json!({"continuation": {
        "run": "run", "started": "2026-11-20T00:00:00Z", "hasSeenManagementAccount": true, "totals": {"accounts": 5},
        "alerts": {}, "parts": 0, "isRepeated": false, "request": {"selection": "everything", "mode": "Enforce", "trigger": "Schedule"},
        "cursor": {"page": "a token of yesterday"},
    }});
    stage.deployment.send(SCHEDULED_AUDIT, &continuation.to_string()).unwrap();
    stage.deployment.settle().await.unwrap();
    let report = stage.logged(SCHEDULED_AUDIT, "AuditReport").pop().unwrap();
    assert_eq!(report["completeness"]["state"], "Complete", "{report}");
    assert_eq!(report["totals"]["accounts"], 8);
    assert!(stage.root_of(SHOP).is_empty());
}

/// IAM shows for a moment what is gone already: it is read again before anything is said.
#[tokio::test(start_paused = true)]
async fn a_reading_that_lags_behind_is_repeated() {
    let stage = Stage::enforcing().await;
    for operation in ["iam:GetLoginProfile", "iam:ListMFADevices"] {
        stage.aws.inject(Fault::at(operation, FaultKind::Stale(100)).skip(1).times(2));
    }
    let record = stage.request(json!({"accounts": [SHOP]})).await.unwrap().accounts.remove(0);
    assert_eq!(record.verdict, Verdict::Stripped, "{record:?}");
}

/// A deletion that meets another change is tried again by itself, which the SDK does not do.
#[tokio::test(start_paused = true)]
async fn a_deletion_that_meets_another_change_is_repeated() {
    for operation in
        ["iam:DeleteLoginProfile", "iam:DeleteAccessKey", "iam:DeleteSigningCertificate", "iam:DeactivateMFADevice"]
    {
        let stage = Stage::enforcing().await;
        stage.aws.inject(Fault::at(operation, FaultKind::Conflict).times(2));
        let record = stage.request(json!({"accounts": [SHOP]})).await.unwrap().accounts.remove(0);
        assert_eq!(record.verdict, Verdict::Stripped, "{operation}: {record:?}");
    }
}

/// More throttles than the SDK has retries for by default: each account is tried again until it is through.
#[tokio::test(start_paused = true)]
async fn no_account_is_given_up_because_others_were_throttled() {
    let options = auditing().with_variable("AWS_MAX_ATTEMPTS", "40");
    let stage = Stage::set(sample_organization(100), options).await;
    stage.aws.inject(Fault::at("sts:AssumeRoot", FaultKind::Throttle).times(150));
    let report = stage.request(json!({"everything": true})).await.unwrap();
    assert_eq!(report.totals.causes.get(&Cause::Throttled), None, "{:?}", report.totals);
}
