use serde_json::json;
use time::macros::datetime;

use super::*;

const SENT: OffsetDateTime = datetime!(2026-11-15 21:00 UTC);
const TARGET: &str = "/detail/requestParameters/targetPrincipal";

macro_rules! sample {
    ($name:literal) => {
        include_str!(concat!("../../../../tests/fixtures/events/", $name, ".json"))
    };
}

fn read(body: &str) -> Result<RootEvent, MalformedEvent> {
    parse(body, SENT)
}

fn sign(body: &str) -> Sign {
    match read(body).unwrap() {
        RootEvent::Sign(sign) => *sign,
        RootEvent::Unrelated { description } => panic!("{description}"),
    }
}

/// The sample with other values at some places.
fn changed(sample: &str, changes: &[(&str, Value)]) -> String {
    let mut event: Value = serde_json::from_str(sample).unwrap();
    for (pointer, value) in changes {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        event.pointer_mut(parent).unwrap()[name] = value.clone();
    }
    event.to_string()
}

#[test]
fn a_finding_says_which_key_was_used_where_from() {
    let sign = sign(sample!("guardduty-root-credential-usage"));
    let id = "b4cc276ec295e896933a5089da8502a3";
    assert_eq!(sign.account.as_str(), "444455556666", "the member, not the administrator that has the finding");
    assert_eq!(sign.activity, Activity::Finding(FindingKind::RootCredentialUsage));
    let observed = serde_json::to_value(&sign.observed).unwrap();
    assert_eq!(
        observed,
        json!({
            "eventId": id,
            "eventName": "Policy:IAMUser/RootCredentialUsage",
            "source": "aws.guardduty",
            "region": "eu-north-1",
            "at": "2026-11-15T02:26:07Z",
            "first": "2026-11-15T02:22:46Z",
            "operation": "DescribeAlarms of monitoring.amazonaws.com",
            "sourceIpAddress": "198.51.100.7",
            "location": "Chennai, India",
            "accessKeyId": "ASIAEXAMPLEROOT00001",
            "count": 110,
        })
    );
}

#[test]
fn every_sample_is_what_it_is() {
    let call_of_session = sample!("cloudtrail-root-session-create-login-profile");
    let assumed_root = "/detail/userIdentity/sessionContext/assumedRoot";
    for (body, account, expected) in [
        (
            sample!("signin-root-console-login-success-no-mfa").to_owned(),
            "444455556666",
            Activity::SignIn(SignIn::ConsoleLogin),
        ),
        (
            sample!("signin-root-password-recovery-requested").to_owned(),
            "444455556666",
            Activity::SignIn(SignIn::PasswordRecoveryRequested),
        ),
        (
            sample!("signin-root-password-recovery-completed").to_owned(),
            "444455556666",
            Activity::SignIn(SignIn::PasswordRecoveryCompleted),
        ),
        (sample!("cloudtrail-real-root-enable-mfa-device").to_owned(), "444455556666", Activity::Call),
        (call_of_session.to_owned(), "444455556666", Activity::RootSessionCall),
        // A string, not a boolean; and AWS leaves it out where it does not say.
        (changed(call_of_session, &[(assumed_root, json!("false"))]), "444455556666", Activity::Call),
        (changed(call_of_session, &[(assumed_root, json!(null))]), "444455556666", Activity::Call),
        (sample!("cloudtrail-assume-root-call").to_owned(), "444455556666", Activity::AssumeRoot),
    ] {
        let sign = sign(&body);
        assert_eq!((sign.account.as_str(), &sign.activity), (account, &expected), "{body}");
    }
    let short_term = sign(sample!("guardduty-short-term-root-credential-usage"));
    let kind = FindingKind::ShortTermRootCredentialUsage;
    assert_eq!(short_term.activity, Activity::Finding(kind), "{short_term:?}");
}

#[test]
fn a_sign_in_says_whether_it_came_to_anything() {
    let failed = sign(sample!("signin-root-console-login-failure")).observed;
    assert_eq!((failed.outcome, failed.mfa_used), (Some(Outcome::Failure), Some(false)));
    assert_eq!(failed.access_key_id, None, "it is empty in the event");
    let signed_in = sign(sample!("signin-root-console-login-success-no-mfa")).observed;
    assert_eq!(signed_in.outcome, Some(Outcome::Success));
    assert_eq!(signed_in.source_ip_address.as_deref(), Some("192.0.2.0"));
}

#[test]
fn a_call_of_assume_root_names_who_for_what_and_the_session() {
    let sample = sample!("cloudtrail-assume-root-call");
    let observed = sign(sample).observed;
    let principal = "arn:aws:sts::222233334444:assumed-role/RootGuardFunctionRole/root-guard-worker";
    assert_eq!(observed.principal.as_deref(), Some(principal));
    assert_eq!(observed.task, Some(TaskPolicy::IamDeleteRootUserCredentials));
    assert_eq!(observed.access_key_id.unwrap().as_str(), "ASIAEXAMPLEROOT00002", "the session's, not the caller's");

    let by_arn = changed(sample, &[(TARGET, json!("arn:aws:iam::555566667777:root"))]);
    assert_eq!(sign(&by_arn).account.as_str(), "555566667777");

    let refused = ("/detail/errorCode", json!("AccessDenied"));
    let answer = ("/detail/responseElements", json!(null));
    let denied = sign(&changed(sample, &[refused.clone(), answer.clone()]));
    assert_eq!((denied.observed.outcome, denied.observed.access_key_id), (Some(Outcome::Failure), None));
    let nobody = changed(sample, &[refused, answer, (TARGET, json!("arn:aws:iam::4444:user/x"))]);
    assert!(matches!(read(&nobody), Ok(RootEvent::Unrelated { .. })), "nothing happened in any account");
}

#[test]
fn any_finding_about_roots_key_counts_and_no_other() {
    let sample = sample!("guardduty-root-credential-usage");
    let other = ("/detail/type", json!("UnauthorizedAccess:IAMUser/ConsoleLoginSuccess.B"));
    for (number, severity) in
        [(2.0, Severity::Low), (5.0, Severity::Medium), (8.0, Severity::High), (9.5, Severity::Critical)]
    {
        let finding = changed(sample, &[other.clone(), ("/detail/severity", json!(number))]);
        let kind = FindingKind::Other(severity);
        assert_eq!(sign(&finding).activity, Activity::Finding(kind));
    }
    let of_a_user = ("/detail/resource/accessKeyDetails/userType", json!("IAMUser"));
    assert!(matches!(read(&changed(sample, &[other, of_a_user])), Ok(RootEvent::Unrelated { .. })));
}

#[test]
fn other_events_are_unrelated() {
    for body in [
        sample!("organizations-create-account-result-succeeded"),
        sample!("eventbridge-scheduled-rule"),
        sample!("cloudtrail-root-session-delete-login-profile"),
        sample!("cloudtrail-root-session-delete-bucket-policy"),
    ] {
        assert!(matches!(read(body), Ok(RootEvent::Unrelated { .. })), "{body}");
    }
    let by_a_user = ("/detail/userIdentity/type", json!("IAMUser"));
    for sample in [sample!("signin-root-console-login-failure"), sample!("cloudtrail-real-root-enable-mfa-device")] {
        let event = changed(sample, std::slice::from_ref(&by_a_user));
        assert!(matches!(read(&event), Ok(RootEvent::Unrelated { .. })));
    }
}

#[test]
fn a_malformed_event_is_refused_by_the_name_of_its_field() {
    let finding = sample!("guardduty-root-credential-usage");
    let login = sample!("signin-root-console-login-failure");
    for (event, expected) in [
        (changed(finding, &[("/detail/accountId", json!("4444"))]), "`detail.accountId`: `4444` is not an account id"),
        (changed(finding, &[("/detail/accountId", json!(null))]), "`detail.accountId`: missing"),
        (changed(login, &[("/account", json!(null))]), "`account`: missing"),
        (
            changed(login, &[("/account", json!("999999999999"))]),
            "`detail.userIdentity.accountId`: 444455556666, but the event came from 999999999999",
        ),
        (
            changed(sample!("cloudtrail-assume-root-call"), &[(TARGET, json!("nobody"))]),
            "`detail.requestParameters.targetPrincipal`: `nobody` is not an account id",
        ),
        ("[]".to_owned(), "the message is not an EventBridge event"),
    ] {
        let error = read(&event).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn a_finding_without_an_id_is_still_a_sign() {
    let finding = changed(sample!("guardduty-root-credential-usage"), &[("/detail/id", json!(null))]);
    let envelope = "cd2d702e-ab31-411b-9344-793ce56b1bc7";
    assert_eq!(sign(&finding).observed.event_id, envelope);
}

#[test]
fn what_an_event_leaves_out_is_left_out() {
    let bare = json!({
        "source": "aws.signin", "detail-type": "AWS Console Sign In via CloudTrail", "account": "444455556666",
        "detail": {"eventName": "ConsoleLogin", "userIdentity": {"type": "Root"}},
    });
    let sign = sign(&bare.to_string());
    assert_eq!((sign.observed.at, sign.observed.outcome, sign.observed.source_ip_address), (SENT, None, None));
}
