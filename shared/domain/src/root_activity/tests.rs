use time::macros::datetime;

use super::*;
use crate::alert::AlertAccount;

const NOW: OffsetDateTime = datetime!(2026-11-20 12:00 UTC);
const PRINCIPAL: &str = "arn:aws:sts::222233334444:assumed-role/Administrator/alice";

fn observed(event_name: &str) -> Observed {
    Observed {
        event_id: "6ee3a9a4-1a7e-4b0a-9d34-0b1c2d3e4f56".to_owned(),
        event_name: event_name.to_owned(),
        source: "aws.example".to_owned(),
        region: "us-east-1".to_owned(),
        at: NOW,
        first: None,
        outcome: Some(Outcome::Success),
        operation: None,
        source_ip_address: Some("192.0.2.0".to_owned()),
        location: None,
        user_agent: Some("Mozilla/5.0".to_owned()),
        mfa_used: None,
        access_key_id: None,
        principal: None,
        task: None,
        count: None,
    }
}

fn with_key(observed: Observed, key: &str) -> Observed {
    Observed { access_key_id: Some(key.parse().unwrap()), ..observed }
}

fn sign(activity: Activity, observed: Observed) -> Sign {
    Sign { account: "444455556666".parse().unwrap(), activity, observed }
}

fn finding(kind: FindingKind) -> Sign {
    let event_id = "b4cc276ec295e896933a5089da8502a3".to_owned();
    let observed = Observed { event_id, ..observed("a finding") };
    sign(Activity::Finding(kind), with_key(observed, "ASIAEXAMPLEROOT00001"))
}

/// Another finding of the same kind.
fn another(finding: &Sign) -> Sign {
    let observed = Observed { event_id: "another".to_owned(), ..finding.observed.clone() };
    Sign { observed, ..finding.clone() }
}

fn sign_in(sign_in: SignIn, outcome: Outcome) -> Sign {
    sign(Activity::SignIn(sign_in), Observed { outcome: Some(outcome), ..observed(sign_in.name()) })
}

fn assume_root(task: TaskPolicy) -> Sign {
    let observed = Observed {
        principal: Some(PRINCIPAL.to_owned()),
        task: Some(task),
        ..with_key(observed("AssumeRoot"), "ASIAEXAMPLEROOT00002")
    };
    sign(Activity::AssumeRoot, observed)
}

fn refused(sign: Sign) -> Sign {
    Sign { observed: Observed { outcome: Some(Outcome::Failure), access_key_id: None, ..sign.observed }, ..sign }
}

fn window() -> RecoveryWindow {
    RecoveryWindow {
        account_id: "444455556666".parse().unwrap(),
        opened: NOW,
        ends: NOW + Duration::hours(1),
        reason: "lost the password".to_owned(),
        ticket: None,
    }
}

fn member() -> Standing {
    Standing::Member { window: None }
}

#[test]
fn each_sign_means_one_thing() {
    let usage = || finding(FindingKind::RootCredentialUsage);
    let restricted = || finding(FindingKind::ShortTermRootCredentialUsage);
    let other = || finding(FindingKind::Other(Severity::High));
    let login = || sign_in(SignIn::ConsoleLogin, Outcome::Success);
    let call = || sign(Activity::Call, with_key(observed("CreateAccessKey"), "ASIAEXAMPLEROOT00001"));
    let call_of_session =
        || sign(Activity::RootSessionCall, with_key(observed("CreateLoginProfile"), "ASIAEXAMPLEROOT00002"));
    let opened = || assume_root(TaskPolicy::IamAuditRootUserCredentials);
    let in_window = || Standing::Member { window: Some(window()) };
    let opened_later = || {
        let opened = RecoveryWindow { opened: NOW + Duration::minutes(5), ..window() };
        Standing::Member { window: Some(opened) }
    };
    let (management, foreign, unknown) =
        (|| Standing::ManagementAccount, || Standing::NotInOrganization, || Standing::Unknown);

    for (sign, is_own_session, has_waited, standing, expected) in [
        // Our own session, whatever the event calls it and wherever it is.
        (restricted(), true, true, unknown(), Some(Triage::OwnSession)),
        (usage(), true, true, member(), Some(Triage::OwnSession)),
        (other(), true, true, member(), Some(Triage::OwnSession)),
        (call(), true, false, member(), Some(Triage::OwnSession)),
        (call_of_session(), true, true, member(), Some(Triage::OwnSession)),
        (opened(), true, true, management(), Some(Triage::OwnSession)),
        (usage(), true, true, in_window(), Some(Triage::OwnSession)),
        // One that may be ours and is not remembered yet.
        (usage(), false, false, member(), None),
        (opened(), false, false, member(), None),
        (call(), false, false, management(), None),
        (login(), false, false, member(), Some(Triage::RootUsage)),
        // A root session that is not ours, whoever it belongs to.
        (restricted(), false, true, member(), Some(Triage::ForeignSession)),
        (call_of_session(), false, true, member(), Some(Triage::ForeignSession)),
        (opened(), false, true, member(), Some(Triage::ForeignSession)),
        (opened(), false, true, foreign(), Some(Triage::ForeignSession)),
        (restricted(), false, true, in_window(), Some(Triage::ForeignSession)),
        (call_of_session(), false, true, management(), Some(Triage::ForeignSession)),
        // Where nothing can be done.
        (login(), false, true, management(), Some(Triage::ManagementAccount)),
        (usage(), false, true, management(), Some(Triage::ManagementAccount)),
        (other(), false, true, management(), Some(Triage::ManagementAccount)),
        (login(), false, true, foreign(), Some(Triage::OutsideOrganization)),
        (other(), false, true, foreign(), Some(Triage::OutsideOrganization)),
        // Reported, not acted on.
        (other(), false, true, member(), Some(Triage::OtherFinding)),
        (other(), false, true, in_window(), Some(Triage::OtherFinding)),
        // The owner of the account has the time.
        (login(), false, true, in_window(), Some(Triage::RecoveryWindow)),
        (call(), false, true, in_window(), Some(Triage::RecoveryWindow)),
        (usage(), false, true, in_window(), Some(Triage::RecoveryWindow)),
        // What began before it was opened.
        (login(), false, true, opened_later(), Some(Triage::RootUsage)),
        (usage(), false, true, opened_later(), Some(Triage::RootUsage)),
        // Real usage.
        (login(), false, true, member(), Some(Triage::RootUsage)),
        (sign_in(SignIn::ConsoleLogin, Outcome::Failure), false, true, member(), Some(Triage::RootUsage)),
        (sign_in(SignIn::PasswordRecoveryRequested, Outcome::Success), false, true, member(), Some(Triage::RootUsage)),
        (call(), false, true, member(), Some(Triage::RootUsage)),
        (usage(), false, true, member(), Some(Triage::RootUsage)),
        // That nobody could look the account up is no reason to do nothing.
        (usage(), false, true, unknown(), Some(Triage::RootUsage)),
    ] {
        let facts = Facts { is_own_session, has_waited, standing };
        assert_eq!(triage(&sign, &facts), expected, "{sign:?} {facts:?}");
    }
}

#[test]
fn the_severity_is_that_of_what_can_follow() {
    for (sign, triage, expected) in [
        (sign_in(SignIn::ConsoleLogin, Outcome::Failure), Triage::ManagementAccount, Severity::Critical),
        (sign_in(SignIn::ConsoleLogin, Outcome::Success), Triage::RootUsage, Severity::High),
        (sign_in(SignIn::ConsoleLogin, Outcome::Failure), Triage::RootUsage, Severity::Medium),
        (sign_in(SignIn::PasswordRecoveryRequested, Outcome::Success), Triage::RootUsage, Severity::Medium),
        (sign_in(SignIn::ConsoleLogin, Outcome::Success), Triage::RecoveryWindow, Severity::Informational),
        (finding(FindingKind::Other(Severity::Low)), Triage::OtherFinding, Severity::Low),
        (assume_root(TaskPolicy::IamAuditRootUserCredentials), Triage::ForeignSession, Severity::Low),
        (assume_root(TaskPolicy::IamDeleteRootUserCredentials), Triage::ForeignSession, Severity::Medium),
        (assume_root(TaskPolicy::IamCreateRootUserPassword), Triage::ForeignSession, Severity::High),
        (assume_root(TaskPolicy::S3UnlockBucketPolicy), Triage::ForeignSession, Severity::High),
        (refused(assume_root(TaskPolicy::S3UnlockBucketPolicy)), Triage::ForeignSession, Severity::Low),
    ] {
        let sighting = sighting(triage, vec![sign]);
        assert_eq!(sighting.severity(), expected, "{sighting:?}");
        assert_eq!(sighting.is_to_be_notified(), expected != Severity::Informational);
    }
}

fn sighting(triage: Triage, signs: Vec<Sign>) -> Sighting {
    let window = (triage == Triage::RecoveryWindow).then(window);
    Sighting { account: "444455556666".parse().unwrap(), account_name: None, triage, window, signs }
}

/// Whether who was told of the first sign knows the second.
fn knows(first: &Sign, second: &Sign) -> bool {
    let known = first.known_by();
    second.known_by().iter().any(|key| known.contains(key))
}

#[test]
fn one_use_of_root_is_one_piece_of_news_however_many_events_show_it() {
    let login = sign_in(SignIn::ConsoleLogin, Outcome::Success);
    let usage = finding(FindingKind::RootCredentialUsage);
    let in_another_region = another(&usage);
    let from_elsewhere = |sign: &Sign| {
        let source_ip_address = Some("198.51.100.7".to_owned());
        Sign { observed: Observed { source_ip_address, ..sign.observed.clone() }, ..sign.clone() }
    };
    let other = another(&finding(FindingKind::Other(Severity::Low)));
    let failed = sign_in(SignIn::ConsoleLogin, Outcome::Failure);
    let created = sign(Activity::Call, with_key(observed("CreateAccessKey"), "ASIAEXAMPLEROOT00001"));
    let opened = assume_root(TaskPolicy::IamAuditRootUserCredentials);
    let opened_again = Sign { observed: with_key(opened.observed.clone(), "ASIAEXAMPLEROOT00003"), ..opened.clone() };
    let restricted = Sign {
        observed: with_key(observed("a finding"), "ASIAEXAMPLEROOT00002"),
        ..finding(FindingKind::ShortTermRootCredentialUsage)
    };
    let for_another_task = assume_root(TaskPolicy::IamDeleteRootUserCredentials);
    let for_another_task =
        Sign { observed: with_key(for_another_task.observed.clone(), "ASIAEXAMPLEROOT00004"), ..for_another_task };
    for (first, second, expected) in [
        (&login, &login, true),
        (&login, &usage, true),
        (&usage, &in_another_region, true),
        (&login, &from_elsewhere(&login), false),
        // The same finding, the same key: somebody else has it.
        (&usage, &from_elsewhere(&usage), false),
        (&usage, &other, false),
        (&failed, &from_elsewhere(&failed), true),
        (&failed, &login, false),
        // What it put back counts, whoever is known to be there.
        (&login, &created, false),
        (&usage, &created, false),
        (&created, &created, true),
        (&opened, &restricted, true),
        (&opened, &opened_again, true),
        (&opened, &for_another_task, false),
        (&opened, &login, false),
    ] {
        assert_eq!(knows(first, second), expected, "{first:#?} {second:#?}");
    }
}

fn headline(triage: Triage, sign: Sign) -> String {
    let account = AlertAccount { id: "444455556666".parse().unwrap(), name: "webshop".to_owned() };
    sighting(triage, vec![sign]).headline(&account)
}

#[test]
fn a_person_understands_what_happened() {
    let without_mfa = sign_in(SignIn::ConsoleLogin, Outcome::Success);
    let without_mfa = Sign { observed: Observed { mfa_used: Some(false), ..without_mfa.observed }, ..without_mfa };
    let called = finding(FindingKind::RootCredentialUsage);
    let operation = Some("DescribeAlarms of monitoring.amazonaws.com".to_owned());
    let called = Sign { observed: Observed { operation, ..called.observed }, ..called };
    for (triage, sign, expected) in [
        (
            Triage::RootUsage,
            without_mfa.clone(),
            "Root user of webshop (444455556666) signed in to the console without MFA",
        ),
        (
            Triage::RootUsage,
            sign_in(SignIn::ConsoleLogin, Outcome::Failure),
            "Root user of webshop (444455556666) failed to sign in to the console",
        ),
        (
            Triage::RootUsage,
            called,
            "Root user of webshop (444455556666) called DescribeAlarms of monitoring.amazonaws.com",
        ),
        (
            Triage::RecoveryWindow,
            sign_in(SignIn::PasswordRecoveryCompleted, Outcome::Success),
            "Root user of webshop (444455556666) set a new password by recovering it, in its recovery window",
        ),
        (
            Triage::ManagementAccount,
            sign_in(SignIn::PasswordUpdated, Outcome::Success),
            "Root user of the management account webshop (444455556666) changed the password",
        ),
        (
            Triage::ForeignSession,
            assume_root(TaskPolicy::IamCreateRootUserPassword),
            "Root session in webshop (444455556666) not by Unroot but by \
             arn:aws:sts::222233334444:assumed-role/Administrator/alice: IAMCreateRootUserPassword",
        ),
        (
            Triage::ForeignSession,
            refused(assume_root(TaskPolicy::S3UnlockBucketPolicy)),
            "arn:aws:sts::222233334444:assumed-role/Administrator/alice was refused a root session for \
             S3UnlockBucketPolicy in webshop (444455556666)",
        ),
        (
            Triage::ForeignSession,
            finding(FindingKind::ShortTermRootCredentialUsage),
            "Root session in webshop (444455556666) that Unroot did not open",
        ),
    ] {
        assert_eq!(headline(triage, sign), expected);
    }
    let long = "https://evil.example/".repeat(20);
    let sign = Sign { observed: Observed { user_agent: Some(long), ..without_mfa.observed.clone() }, ..without_mfa };
    let description = sighting(Triage::RootUsage, vec![sign]).description(None);
    assert!(
        description
            .starts_with("severity High; root signed in to the console without MFA (ConsoleLogin) in us-east-1 from"),
        "{description}"
    );
    assert!(!description.contains("://") && !description.contains("evil.example"), "{description}");
    assert!(description.len() < 200, "{description}");
}
