use time::macros::datetime;

use super::*;
use crate::credentials::{AccessKey, AccessKeyStatus, LastUsed, LoginProfile};
use crate::failure::Failure;

const MONDAY: OffsetDateTime = datetime!(2026-11-16 06:00 UTC);
const TUESDAY: OffsetDateTime = datetime!(2026-11-17 06:00 UTC);
const WEDNESDAY: OffsetDateTime = datetime!(2026-11-18 06:00 UTC);
const KEY: &str = "AKIALEFTOVERKEYEXAMPLE";

fn run(id: &str) -> Run {
    Run { id: id.to_owned(), trigger: Trigger::Schedule, mode: Mode::Enforce }
}

fn record(verdict: Verdict, examined: OffsetDateTime) -> AccountRecord {
    AccountRecord::new("444455556666".parse().unwrap(), verdict, examined).named("webshop")
}

fn password() -> RootCredentials {
    RootCredentials { login_profile: Some(LoginProfile { created: None }), ..RootCredentials::default() }
}

fn password_and_key() -> RootCredentials {
    let key = AccessKey {
        id: KEY.parse().unwrap(),
        status: AccessKeyStatus::Active,
        created: None,
        last_used: LastUsed::Used { at: MONDAY, service: "s3".to_owned(), region: "us-east-1".to_owned() },
    };
    RootCredentials { access_keys: vec![key], ..password() }
}

fn present(found: RootCredentials, examined: OffsetDateTime) -> AccountRecord {
    AccountRecord { found: Some(found), ..record(Verdict::CredentialsPresent, examined) }
}

fn stripped(examined: OffsetDateTime) -> AccountRecord {
    AccountRecord {
        found: Some(password()),
        removed: vec![DeletionStep::DeleteLoginProfile],
        left: Some(RootCredentials::default()),
        ..record(Verdict::Stripped, examined)
    }
}

fn failed(verdict: Verdict, cause: Cause, examined: OffsetDateTime) -> AccountRecord {
    record(verdict, examined).with_failure(Failure::observed(cause, "iam:Example", "no"))
}

/// The posture after the records in order, each of a run of its own, with nothing left unsent before the last.
fn after(records: impl IntoIterator<Item = AccountRecord>) -> Posture {
    let mut posture: Option<Posture> = None;
    for (number, record) in records.into_iter().enumerate() {
        let previous = posture.map(|posture| Posture { unsent: Vec::new(), ..posture });
        posture = Some(Posture::after(previous.as_ref(), &record, &run(&format!("run-{number}"))));
    }
    posture.unwrap()
}

/// The detail types of what the last record made news.
fn news(records: impl IntoIterator<Item = AccountRecord>) -> Vec<DetailType> {
    after(records).unsent.into_iter().map(|alert| alert.detail_type).collect()
}

#[test]
fn what_is_seen_again_is_no_news() {
    let throttled = |at| failed(Verdict::Unknown, Cause::Throttled, at);
    let denied = |at| failed(Verdict::Unknown, Cause::DeniedByMemberServiceControlPolicy, at);
    let conflict = |at| AccountRecord { found: Some(password()), ..failed(Verdict::Failed, Cause::Conflict, at) };
    for (records, expected) in [
        // The first look.
        (vec![record(Verdict::Clean, MONDAY)], vec![]),
        (vec![record(Verdict::NotCovered, MONDAY)], vec![]),
        (vec![present(password(), MONDAY)], vec![DetailType::Found]),
        (vec![stripped(MONDAY)], vec![DetailType::Deleted]),
        (vec![conflict(MONDAY)], vec![DetailType::DeletionFailed]),
        (vec![throttled(MONDAY)], vec![DetailType::NotVerified]),
        // The same again.
        (vec![present(password(), MONDAY), present(password(), TUESDAY)], vec![]),
        (vec![conflict(MONDAY), conflict(TUESDAY)], vec![]),
        (vec![throttled(MONDAY), throttled(TUESDAY)], vec![]),
        (vec![stripped(MONDAY), record(Verdict::Clean, TUESDAY)], vec![]),
        // Something else.
        (vec![present(password(), MONDAY), present(password_and_key(), TUESDAY)], vec![DetailType::Found]),
        (vec![present(password_and_key(), MONDAY), present(password(), TUESDAY)], vec![]),
        (vec![present(password(), MONDAY), conflict(TUESDAY)], vec![DetailType::DeletionFailed]),
        (vec![present(password(), MONDAY), record(Verdict::Clean, TUESDAY)], vec![]),
        (vec![record(Verdict::Clean, MONDAY), throttled(TUESDAY)], vec![DetailType::NotVerified]),
        // Another cause counts only where a person must act.
        (vec![denied(MONDAY), throttled(TUESDAY)], vec![]),
        (vec![throttled(MONDAY), denied(TUESDAY)], vec![DetailType::NotVerified]),
        // A day on which nothing could be read does not make the same credentials new.
        (vec![present(password(), MONDAY), throttled(TUESDAY), present(password(), WEDNESDAY)], vec![]),
        (vec![stripped(MONDAY), throttled(TUESDAY), present(password(), WEDNESDAY)], vec![DetailType::Found]),
    ] {
        assert_eq!(news(records.clone()), expected, "{records:#?}");
    }
}

#[test]
fn credentials_that_come_back_are_said_to() {
    let clean = record(Verdict::Clean, MONDAY);
    let throttled = failed(Verdict::Unknown, Cause::Throttled, TUESDAY);
    let back = after([clean.clone(), throttled, present(password(), WEDNESDAY)]).unsent.remove(0);
    assert!(back.detail.reappeared);
    assert_eq!(back.detail.headline, "Root credentials are back in webshop (444455556666)");
    assert!(back.detail.remedy.starts_with("find out who created them"), "{}", back.detail.remedy);
    let stripped_again = after([clean, stripped(TUESDAY)]).unsent.remove(0);
    assert!(stripped_again.detail.reappeared);
    let first = after([present(password(), MONDAY)]).unsent.remove(0);
    assert!(!first.detail.reappeared, "nobody had looked before");
}

#[test]
fn since_is_kept_while_the_state_is_the_same() {
    let throttled = |at| failed(Verdict::Unknown, Cause::Throttled, at);
    let denied = |at| failed(Verdict::Unknown, Cause::DeniedByOwnRole, at);
    for (records, expected) in [
        (vec![record(Verdict::Clean, MONDAY), record(Verdict::Clean, TUESDAY)], MONDAY),
        (vec![stripped(MONDAY), record(Verdict::Clean, TUESDAY), record(Verdict::Clean, WEDNESDAY)], MONDAY),
        (vec![throttled(MONDAY), throttled(TUESDAY)], MONDAY),
        (vec![throttled(MONDAY), denied(TUESDAY)], TUESDAY),
        (vec![record(Verdict::Clean, MONDAY), throttled(TUESDAY), record(Verdict::Clean, WEDNESDAY)], WEDNESDAY),
    ] {
        assert_eq!(after(records).since, expected);
    }
}

#[test]
fn what_was_found_and_removed_is_remembered() {
    let posture = after([stripped(MONDAY), record(Verdict::Clean, TUESDAY), record(Verdict::NotCovered, WEDNESDAY)]);
    let removal = posture.last_removal.unwrap();
    assert_eq!((removal.at, removal.run.as_str()), (MONDAY, "run-0"));
    assert_eq!(removal.removed, [DeletionStep::DeleteLoginProfile]);
    assert_eq!(removal.found, Some(password()));
    assert_eq!(posture.last_found.unwrap().at, MONDAY);
    assert_eq!(posture.holds.unwrap(), Reading { at: TUESDAY, credentials: RootCredentials::default() });
}

/// The deletion was sent, and the account could not be read any more: the next reading tells what it did.
#[test]
fn a_deletion_that_nobody_could_read_again_is_told_once_it_is_read() {
    let attempted = AccountRecord {
        found: Some(password_and_key()),
        attempted: vec![DeletionStep::DeleteLoginProfile],
        ..failed(Verdict::Unknown, Cause::Transient, MONDAY)
    };
    assert_eq!(news([attempted.clone()]), [DetailType::NotVerified]);

    let throttled = failed(Verdict::Unknown, Cause::Throttled, TUESDAY);
    let posture = after([attempted.clone(), throttled, record(Verdict::Clean, WEDNESDAY)]);
    assert_eq!(posture.unsent[0].detail_type, DetailType::Deleted);
    assert_eq!(posture.unsent[0].detail.removed, [DeletionStep::DeleteLoginProfile]);
    assert!(posture.attempted.is_empty());
    assert_eq!(posture.last_removal.unwrap().found, Some(password_and_key()));

    let posture = after([attempted, present(password(), TUESDAY)]);
    assert!(posture.last_removal.is_none(), "the password is still there");
    assert!(posture.unsent.is_empty() && posture.attempted.is_empty(), "{posture:?}");
}

#[test]
fn an_older_record_changes_nothing_but_tells_what_it_removed() {
    let newer = Posture::after(None, &record(Verdict::Clean, TUESDAY), &run("newer"));
    assert_eq!(Posture::after(Some(&newer), &record(Verdict::Unknown, MONDAY), &run("older")), newer);
    assert_eq!(Posture::after(Some(&newer), &present(password(), MONDAY), &run("older")), newer);

    let told = Posture::after(Some(&newer), &stripped(MONDAY), &run("older"));
    assert_eq!((told.verdict, told.examined, told.run.as_str()), (Verdict::Clean, TUESDAY, "newer"));
    assert_eq!(told.last_removal.as_ref().unwrap().run, "older");
    assert_eq!(told.unsent.len(), 1);
    assert_eq!(Posture::after(Some(&told), &stripped(MONDAY), &run("older")), told, "and once only");
}

/// Two functions read the same password and delete it: one alert, and nothing has come back.
#[test]
fn what_two_do_at_the_same_time_is_told_once() {
    let slower = AccountRecord { began: MONDAY, ..stripped(TUESDAY) };
    let both = after([stripped(MONDAY + time::Duration::hours(1)), slower]);
    assert!(both.unsent.is_empty(), "{:?}", both.unsent);
    assert_eq!(both.last_removal.unwrap().run, "run-0");

    // Each deleted something else.
    let key = DeletionStep::DeleteAccessKey(KEY.parse().unwrap());
    let other = AccountRecord { removed: vec![key.clone()], began: MONDAY, ..stripped(TUESDAY) };
    for records in [
        [stripped(MONDAY + time::Duration::hours(1)), other.clone()],
        [other, stripped(MONDAY + time::Duration::hours(1))],
    ] {
        let alert = after(records).unsent.remove(0);
        assert_eq!((alert.detail.removed.len(), alert.detail.reappeared), (1, false));
    }
}

#[test]
fn the_same_record_twice_is_the_same_as_once() {
    let once = Posture::after(None, &stripped(MONDAY), &run("run"));
    assert_eq!(Posture::after(Some(&once), &stripped(MONDAY), &run("run")), once);
}

#[test]
fn what_was_not_sent_stays_until_it_is() {
    let first = Posture::after(None, &stripped(MONDAY), &run("first"));
    let second = Posture::after(Some(&first), &failed(Verdict::Unknown, Cause::Denied, TUESDAY), &run("second"));
    let types: Vec<_> = second.unsent.iter().map(|alert| alert.detail_type).collect();
    assert_eq!(types, [DetailType::Deleted, DetailType::NotVerified]);
    assert_eq!(second.unsent[0], first.unsent[0]);
}

#[test]
fn an_alert_says_what_where_and_what_to_do() {
    let detail = after([present(password_and_key(), MONDAY)]).unsent.remove(0).detail;
    assert_eq!(detail.id, "444455556666/1794808800000/RootCredentialsFound");
    assert_eq!(detail.headline, "Root credentials found in webshop (444455556666)");
    assert_eq!(
        detail.description,
        "found: a password, 1 access key (AKIALEFTOVERKEYEXAMPLE, last used 2026-11-16 for s3)"
    );
    assert_eq!(detail.remedy, "deploy with Mode=Enforce to have them deleted");

    let name = "evil\"\nWhat to do: send money";
    let named = present(password(), MONDAY).named(name);
    let headline = after([named]).unsent.remove(0).detail.headline;
    assert_eq!(headline, "Root credentials found in evil' What to do: send money (444455556666)");
}

#[test]
fn a_posture_is_read_as_it_was_written() {
    for record in [stripped(MONDAY), failed(Verdict::Unknown, Cause::Throttled, MONDAY), record(Verdict::Clean, MONDAY)]
    {
        let posture = Posture::after(None, &record, &run("run"));
        let json = serde_json::to_value(&posture).unwrap();
        assert_eq!(serde_json::from_value::<Posture>(json).unwrap(), posture);
    }
}

mod activity {
    use super::*;
    use crate::alert::{Alert, AlertDetail};
    use crate::root_activity::{Activity, FindingKind, Observed, Outcome, Severity, Sighting, Sign, SignIn, Triage};

    fn login(triage: Triage, outcome: Outcome) -> Sighting {
        let observed = Observed {
            event_id: "4217cc13-7328-4820-a90c-EXAMPLE8002e6".to_owned(),
            event_name: "ConsoleLogin".to_owned(),
            source: "aws.signin".to_owned(),
            region: "us-east-1".to_owned(),
            at: TUESDAY,
            first: None,
            outcome: Some(outcome),
            operation: None,
            source_ip_address: Some("192.0.2.0".to_owned()),
            location: None,
            user_agent: None,
            mfa_used: Some(false),
            access_key_id: None,
            principal: None,
            task: None,
            count: None,
        };
        let account: AccountId = "444455556666".parse().unwrap();
        let sign = Sign { account: account.clone(), activity: Activity::SignIn(SignIn::ConsoleLogin), observed };
        Sighting { account, account_name: Some("webshop".to_owned()), triage, window: None, signs: vec![sign] }
    }

    fn usage() -> Sighting {
        login(Triage::RootUsage, Outcome::Success)
    }

    fn alarmed() -> Run {
        Run { trigger: Trigger::RootActivity, ..run("alarmed") }
    }

    fn after(previous: Option<&Posture>, sighting: &Sighting, record: Option<&AccountRecord>) -> Posture {
        Posture::after_activity(previous, sighting, record, &alarmed(), TUESDAY)
    }

    /// Detail type and whether people have a message.
    fn told(posture: &Posture) -> Vec<(DetailType, bool)> {
        posture.unsent.iter().map(|alert| (alert.detail_type, alert.detail.notify)).collect()
    }

    #[test]
    fn one_message_says_what_happened_and_what_was_done() {
        let before = Posture::after(None, &record(Verdict::Clean, MONDAY), &run("monday"));
        let posture = after(Some(&before), &usage(), Some(&stripped(TUESDAY)));
        assert_eq!(told(&posture), [(DetailType::Deleted, false), (DetailType::RootActivity, true)]);
        let detail = &posture.unsent[1].detail;
        assert_eq!(detail.headline, "Root user of webshop (444455556666) signed in to the console without MFA");
        assert!(detail.description.contains("from 192.0.2.0"), "{}", detail.description);
        assert!(detail.description.contains("deleted: DeleteLoginProfile"), "{}", detail.description);
        assert!(
            detail.remedy.contains("up to 12 hours") && detail.remedy.contains("aws:AssumedRoot"),
            "{}",
            detail.remedy
        );
        assert_eq!((detail.verdict, detail.severity), (Some(Verdict::Stripped), Some(Severity::High)));
        assert_eq!(detail.removed, [DeletionStep::DeleteLoginProfile]);
    }

    #[test]
    fn what_people_know_is_not_told_again_but_what_it_led_to_is() {
        let first = after(None, &usage(), Some(&record(Verdict::Clean, TUESDAY)));
        let first = Posture { unsent: Vec::new(), ..first };
        let again = after(Some(&first), &usage(), Some(&record(Verdict::Clean, WEDNESDAY)));
        assert_eq!(told(&again), []);
        let stripped = after(Some(&first), &usage(), Some(&stripped(WEDNESDAY)));
        assert_eq!(told(&stripped), [(DetailType::Deleted, true)]);
        let failed = login(Triage::RootUsage, Outcome::Failure);
        assert_eq!(told(&after(Some(&first), &failed, None)), [(DetailType::RootActivity, true)]);
        let next_day = Posture::after_activity(Some(&first), &usage(), None, &alarmed(), WEDNESDAY);
        assert_eq!(told(&next_day), [(DetailType::RootActivity, true)]);
    }

    /// The write was done and its answer was lost, or another function was faster.
    #[test]
    fn the_same_again_comes_to_the_same() {
        let once = after(None, &usage(), Some(&stripped(TUESDAY)));
        assert_eq!(after(Some(&once), &usage(), Some(&stripped(TUESDAY))), once);
    }

    #[test]
    fn nothing_is_claimed_of_an_account_that_nobody_looked_at() {
        let heard_of = after(None, &login(Triage::ForeignSession, Outcome::Success), None);
        assert_eq!(told(&heard_of), [(DetailType::RootActivity, true)]);
        assert_eq!((heard_of.verdict, heard_of.unsent[0].detail.verdict), (Verdict::Unknown, None));
        // The first look is a first look.
        let quiet = Posture { unsent: Vec::new(), ..heard_of };
        let throttled = failed(Verdict::Unknown, Cause::Throttled, WEDNESDAY);
        let first_look = Posture::after(Some(&quiet), &throttled, &run("audit"));
        assert_eq!(told(&first_look), [(DetailType::NotVerified, true)]);
        assert_eq!(first_look.since, WEDNESDAY);
        assert_eq!(first_look.known_activity, quiet.known_activity);
    }

    #[test]
    fn a_look_that_nobody_asked_for_leaves_the_verdict_alone() {
        let before = Posture::after(None, &stripped(MONDAY), &run("monday"));
        let posture = after(Some(&before), &login(Triage::RecoveryWindow, Outcome::Success), None);
        assert_eq!((posture.verdict, posture.examined, posture.since), (before.verdict, before.examined, before.since));
        let new: Vec<_> = told(&posture).split_off(before.unsent.len());
        assert_eq!(new, [(DetailType::RootActivity, false)], "it can be read of, and no message is sent");
    }

    #[test]
    fn what_is_known_does_not_grow_for_ever() {
        let mut posture = None;
        for n in 0..300 {
            let mut sighting = usage();
            sighting.signs[0].observed.source_ip_address = Some(format!("192.0.2.{n}"));
            let now = TUESDAY + time::Duration::seconds(n);
            posture = Some(Posture::after_activity(posture.as_ref(), &sighting, None, &alarmed(), now));
        }
        let posture = posture.unwrap();
        assert_eq!(posture.known_activity.len(), 100);
        assert!(posture.known_activity.contains_key("root used from 192.0.2.299"));
    }

    fn finding(id: &str, kind: FindingKind, address: &str) -> Sighting {
        let triage = if matches!(kind, FindingKind::Other(_)) { Triage::OtherFinding } else { Triage::RootUsage };
        let mut sighting = login(triage, Outcome::Success);
        let sign = &mut sighting.signs[0];
        sign.activity = Activity::Finding(kind);
        sign.observed.event_id = id.to_owned();
        sign.observed.outcome = None;
        sign.observed.source_ip_address = Some(address.to_owned());
        sighting
    }

    /// What is told of the second sighting, so long after the first.
    fn told_later(first: &Sighting, second: &Sighting, later: time::Duration) -> Vec<(DetailType, bool)> {
        let first = Posture { unsent: Vec::new(), ..after(None, first, None) };
        told(&Posture::after_activity(Some(&first), second, None, &alarmed(), TUESDAY + later))
    }

    #[test]
    fn what_is_worse_or_from_elsewhere_is_news() {
        const NEWS: [(DetailType, bool); 1] = [(DetailType::RootActivity, true)];
        let usage_of = |id, address| finding(id, FindingKind::RootCredentialUsage, address);
        let other = |severity| finding("other", FindingKind::Other(severity), "192.0.2.0");
        let hour = time::Duration::hours(1);
        // People could have read of it; now they must know.
        assert_eq!(told_later(&login(Triage::RecoveryWindow, Outcome::Success), &usage(), hour), NEWS);
        assert_eq!(told_later(&usage_of("one", "192.0.2.0"), &usage_of("one", "203.0.113.9"), hour), NEWS);
        assert_eq!(told_later(&usage(), &other(Severity::Low), hour), NEWS);
        assert_eq!(told_later(&other(Severity::Low), &other(Severity::Critical), hour), NEWS);
        assert_eq!(told_later(&other(Severity::Critical), &other(Severity::Low), hour), []);
        // It is quiet for as long as it goes on.
        assert_eq!(told_later(&usage_of("one", "192.0.2.0"), &usage_of("two", "192.0.2.0"), hour), []);
        assert_eq!(told_later(&usage_of("one", "192.0.2.0"), &usage_of("one", "192.0.2.0"), 13 * hour), NEWS);
        let mut posture = None;
        for n in 0..20 {
            let now = TUESDAY + 6 * n * hour;
            posture =
                Some(Posture::after_activity(posture.as_ref(), &usage_of("one", "192.0.2.0"), None, &alarmed(), now));
        }
        assert_eq!(told(&posture.unwrap()).len(), 1);
    }

    #[test]
    fn another_alert_has_another_id() {
        let first = after(None, &finding("one", FindingKind::RootCredentialUsage, "192.0.2.0"), None);
        let mut second = finding("one", FindingKind::RootCredentialUsage, "192.0.2.0");
        let mut call = usage().signs.remove(0);
        call.activity = Activity::Call;
        call.observed.event_name = "CreateAccessKey".to_owned();
        second.signs.push(call);
        let both = after(Some(&first), &second, None).unsent;
        assert_eq!(both.len(), 2);
        assert_ne!(both[0].detail.id, both[1].detail.id);
    }

    #[test]
    fn what_was_deleted_stands_in_the_message_however_much_else_there_is_to_say() {
        let chrome =
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0";
        let mut sighting = usage();
        sighting.signs[0].observed.user_agent = Some(chrome.to_owned());
        for n in 0..30 {
            let mut failed = sighting.signs[0].clone();
            failed.observed.outcome = Some(Outcome::Failure);
            failed.observed.at = TUESDAY - time::Duration::seconds(n);
            sighting.signs.insert(0, failed);
        }
        let detail = after(None, &sighting, Some(&stripped(TUESDAY))).unsent.pop().unwrap().detail;
        assert!(detail.description.contains("deleted: DeleteLoginProfile"), "{}", detail.description);
        assert!(detail.description.contains("from 192.0.2.0"), "{}", detail.description);
        let signs = detail.activity.unwrap().signs;
        assert!(signs.is_sorted_by_key(|sign| sign.at) && signs.len() == 20, "{signs:#?}");
        assert!(signs.iter().any(|sign| sign.outcome == Some(Outcome::Success)), "the worst is among them");
    }

    #[test]
    fn ever_new_addresses_are_not_a_message_each() {
        let mut posture = None;
        let mut notified = 0;
        for n in 0..60 {
            let mut sighting = usage();
            sighting.signs[0].observed.source_ip_address = Some(format!("192.0.2.{n}"));
            let after = Posture::after_activity(posture.as_ref(), &sighting, None, &alarmed(), TUESDAY);
            notified = after.unsent.iter().filter(|alert| alert.detail.notify).count();
            posture = Some(after);
        }
        assert_eq!(notified, 20);
        let worse = after(posture.as_ref(), &login(Triage::ManagementAccount, Outcome::Success), None);
        assert!(worse.unsent.last().unwrap().detail.notify, "what is worse is told");
    }

    #[test]
    fn a_posture_with_activity_is_read_as_it_was_written() {
        let posture = after(None, &usage(), Some(&stripped(TUESDAY)));
        let json = serde_json::to_value(&posture).unwrap();
        let known = serde_json::json!({"severity": "High", "until": "2026-11-17T18:00:00Z"});
        assert_eq!(json["knownActivity"]["root used from 192.0.2.0"], known);
        assert_eq!(serde_json::from_value::<Posture>(json).unwrap(), posture);
        let Alert { detail: AlertDetail { id, .. }, .. } = &posture.unsent[1];
        assert_eq!(id, "444455556666/4217cc13-7328-4820-a90c-EXAMPLE8002e6/1794895200/RootUsage");
    }
}
