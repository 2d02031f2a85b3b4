//! `root-activity`: what each sign of root activity leads to, from the event on the bus where AWS puts it to the mail.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use shared::domain::record::Verdict;
use shared::domain::root_activity::Triage;
use simulator::aws::{Fault, FaultKind, Password, SignIn, Watch};
use simulator::deployment::Bus;
use simulator::organization::{CredentialStatus, FULL_AWS_ACCESS, LastUsed};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::stage::{
    ACQUIRED, AUDIT, BEING_SET_UP, EXEMPT, MANAGEMENT, ROOT_ACTIVITY, SHOP, Stage, auditing, enforcing, id,
    organization, organization_with, sample_organization,
};

const ACTIVITY: &str = "Root Activity Detected";
const DELETED: &str = "Root Credentials Deleted";

pub(crate) fn sample(name: &str) -> Value {
    let path = format!("{}/fixtures/events/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The sample as it would be of another account.
fn sample_of(name: &str, account: &str) -> Value {
    serde_json::from_str(&sample(name).to_string().replace(SHOP, account)).unwrap()
}

/// The sample with other values at some places.
fn changed(name: &str, changes: &[(&str, Value)]) -> Value {
    let mut event = sample(name);
    for (pointer, value) in changes {
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        event.pointer_mut(parent).unwrap()[field] = value.clone();
    }
    event
}

/// Puts the events where AWS puts them, and lets everything that follows happen.
pub(crate) async fn put(stage: &Stage, events: &[Value]) {
    for event in events {
        stage.deployment.put_event(Bus::Default, event);
    }
    stage.deployment.settle().await.unwrap();
}

/// What the signs were taken for, in order, and on which account.
fn triage(stage: &Stage) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let signs = stage.logged(ROOT_ACTIVITY, "RootActivity").into_iter();
    signs.map(|line| (text(&line["triage"]), text(&line["accountId"]))).collect()
}

/// What was told about root activity: account, kind, severity, and whether people had a message.
pub(crate) fn told(stage: &Stage) -> Vec<(String, String, String, bool)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let events = stage.events().into_iter().filter(|event| event["detail-type"] == ACTIVITY);
    let events = events.map(|event| {
        let detail = &event["detail"];
        let notify = detail["notify"] == true;
        (text(&detail["account"]["id"]), text(&detail["activity"]["kind"]), text(&detail["severity"]), notify)
    });
    events.collect()
}

pub(crate) fn as_told(account: &str, kind: &str, severity: &str, notify: bool) -> (String, String, String, bool) {
    (account.to_owned(), kind.to_owned(), severity.to_owned(), notify)
}

pub(crate) fn mails(stage: &Stage) -> Vec<String> {
    stage.deployment.published("AlertTopic").unwrap().into_iter().map(|message| message.text).collect()
}

/// Remembers a session as one of ours.
fn remember_session(stage: &Stage, key: &str) {
    stage.remember(&json!({
        "pk": format!("session#{key}"), "sk": "session", "accessKeyId": key, "accountId": SHOP,
        "task": "IAMAuditRootUserCredentials", "opened": "2026-11-15T02:20:00Z", "function": "unroot-scheduled-audit",
    }));
}

fn text(at: OffsetDateTime) -> String {
    at.format(&Rfc3339).unwrap()
}

pub(crate) fn remember_window(stage: &Stage, account: &str, opened: OffsetDateTime, ends: OffsetDateTime) {
    stage.remember(&json!({
        "pk": "recovery-window", "sk": account, "accountId": account, "opened": text(opened), "ends": text(ends),
        "reason": "lost the password",
    }));
}

/// One that was open already when AWS's samples were made.
fn open_window(stage: &Stage, account: &str) {
    let opened = time::macros::datetime!(2026-11-01 00:00 UTC);
    remember_window(stage, account, opened, stage.now() + time::Duration::hours(1));
}

/// Puts a sign of each kind.
pub(crate) async fn one_of_each(stage: &Stage) {
    let login = "signin-root-console-login-failure";
    remember_session(stage, "ASIAEXAMPLEROOT00001");
    open_window(stage, BEING_SET_UP);
    stage.deployment.put_event(Bus::Unroot, &sample_of(login, "123412341234"));
    let other = ("/detail/type", json!("UnauthorizedAccess:IAMUser/ConsoleLoginSuccess.B"));
    let key = ("/detail/resource/accessKeyDetails/accessKeyId", json!("ASIAEXAMPLEROOT00009"));
    let events = [
        sample("guardduty-root-credential-usage"),
        sample("cloudtrail-assume-root-call"),
        sample_of(login, MANAGEMENT),
        changed("guardduty-root-credential-usage", &[other, key]),
        sample_of(login, BEING_SET_UP),
        sample(login),
    ];
    put(stage, &events).await;
    let kinds: BTreeSet<_> = triage(stage).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds.len(), Triage::ALL.len() - 1, "{kinds:?}, and our own");
}

/// Every sample of AWS's events, put where it belongs, through the patterns of the templates.
#[tokio::test(start_paused = true)]
async fn every_sample_ends_as_the_triage_says() {
    let samples = std::fs::read_dir(format!("{}/fixtures/events", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let names =
        samples.filter_map(|entry| Some(entry.unwrap().file_name().to_str()?.strip_suffix(".json")?.to_owned()));
    let mut seen = Vec::new();
    for name in names.filter(|name| !name.starts_with("sqs-wrapped")) {
        let expected = match name.as_str() {
            "guardduty-root-credential-usage"
            | "cloudtrail-real-root-enable-mfa-device"
            | "signin-root-console-login-success-no-mfa"
            | "signin-root-password-recovery-completed" => Some(("RootUsage", "High")),
            "signin-root-console-login-failure" | "signin-root-password-recovery-requested" => {
                Some(("RootUsage", "Medium"))
            }
            "guardduty-short-term-root-credential-usage" | "cloudtrail-assume-root-call" => {
                Some(("ForeignSession", "Medium"))
            }
            // What root sessions call, whoever opened them, and what is not about root.
            _ => None,
        };
        let stage = Stage::enforcing().await;
        put(&stage, &[sample(&name)]).await;
        let signs: Vec<_> = expected.iter().map(|(kind, _)| ((*kind).to_owned(), SHOP.to_owned())).collect();
        assert_eq!(triage(&stage), signs, "{name}");
        let events: Vec<_> = expected.iter().map(|(kind, severity)| as_told(SHOP, kind, severity, true)).collect();
        assert_eq!(told(&stage), events, "{name}");
        if expected.is_some() {
            let is_stripped = expected.is_some_and(|(kind, _)| kind == "RootUsage");
            assert_eq!(stage.root_of(SHOP).is_empty(), is_stripped, "{name}");
            assert_eq!(stage.sessions().len(), if is_stripped { 2 } else { 0 }, "{name}");
            assert_eq!(mails(&stage).len(), 1, "{name}: {:?}", mails(&stage));
        }
        assert!(stage.deployment.dead_letters(ROOT_ACTIVITY).unwrap().is_empty(), "{name}");
        stage.check_promises(&organization());
        seen.push((name, expected.is_some()));
    }
    assert_eq!(seen.iter().filter(|(_, is_sign)| *is_sign).count(), 8, "{seen:?}");
    assert!(seen.len() > 20, "{seen:?}");
}

/// Somebody signs in as root and makes an access key: both go, and one mail says it all.
#[tokio::test(start_paused = true)]
async fn a_root_login_is_answered() {
    let stage = Stage::enforcing().await;
    stage.aws.watch(Watch::in_regions(&["eu-central-1", "us-east-1", "eu-north-1"]));
    let mut root = stage.aws.root_user(&id(SHOP)).from("192.0.2.66", "Mozilla/5.0 (X11; Linux x86_64)");
    assert_eq!(root.sign_in(Password::Right), SignIn::Success);
    stage.deployment.settle().await.unwrap();

    assert_eq!(stage.verdicts(ROOT_ACTIVITY)[SHOP], Verdict::Stripped);
    assert!(stage.root_of(SHOP).is_empty());
    let mails = mails(&stage);
    let [mail] = mails.as_slice() else { panic!("{mails:#?}") };
    for expected in [
        "Root user of shop (444455556666) signed in to the console",
        "severity High",
        "from 192.0.2.66 with Mozilla/5.0 (X11; Linux x86_64)",
        "deleted: DeleteLoginProfile, DeleteAccessKey",
        "up to 12 hours",
        "Null aws:AssumedRoot true",
    ] {
        assert!(mail.contains(expected), "`{expected}` is not in {mail}");
    }
    let detail_types: Vec<_> = stage.events().iter().map(|event| event["detail-type"].clone()).collect();
    assert_eq!(detail_types, [DELETED, ACTIVITY]);
    stage.check_promises(&organization());
}

/// The console session lives on: what it puts back is deleted again, also a key that is already used.
#[tokio::test(start_paused = true)]
async fn what_a_console_session_puts_back_is_deleted_again() {
    // Where no policy stops it, as AWS recommends.
    let unguarded = organization_with(|organization| {
        for unit in organization.units.values_mut() {
            unit.service_control_policies = vec![FULL_AWS_ACCESS.to_owned()];
        }
    });
    let stage = Stage::set(unguarded, enforcing()).await;
    let mut root = stage.aws.root_user(&id(SHOP));
    root.sign_in(Password::Right);
    stage.deployment.settle().await.unwrap();
    assert!(stage.root_of(SHOP).is_empty());

    let key = root.create_access_key().unwrap();
    stage.aws.with_organization(|organization| {
        let root = &mut organization.accounts.get_mut(&id(SHOP)).unwrap().root;
        root.access_keys[0].last_used = Some(LastUsed {
            date: root.access_keys[0].create_date,
            service: "s3".to_owned(),
            region: "us-east-1".to_owned(),
        });
    });
    stage.deployment.settle().await.unwrap();
    assert!(stage.root_of(SHOP).is_empty(), "nothing depends on {key} yet");
    assert_eq!(triage(&stage).len(), 2);
    assert_eq!(mails(&stage).len(), 2, "what was put back is news");
}

#[tokio::test(start_paused = true)]
async fn in_audit_mode_people_are_told_and_nothing_is_deleted() {
    let stage = Stage::set(organization(), auditing()).await;
    put(&stage, &[sample("signin-root-console-login-success-no-mfa")]).await;
    assert_eq!(stage.verdicts(ROOT_ACTIVITY)[SHOP], Verdict::CredentialsPresent);
    assert!(stage.changes().is_empty());
    assert_eq!(told(&stage), [as_told(SHOP, "RootUsage", "High", true)]);
    let mails = mails(&stage);
    assert_eq!(mails.len(), 1, "{mails:?}");
    assert!(mails[0].contains("CredentialsPresent: found: "), "{}", mails[0]);
}

/// The key decides, whatever the event calls it.
#[tokio::test(start_paused = true)]
async fn a_session_of_ours_leads_to_nothing() {
    for name in
        ["guardduty-root-credential-usage", "guardduty-short-term-root-credential-usage", "cloudtrail-assume-root-call"]
    {
        let stage = Stage::enforcing().await;
        for key in ["ASIAEXAMPLEROOT00001", "ASIAEXAMPLEROOT00002"] {
            remember_session(&stage, key);
        }
        put(&stage, &[sample(name)]).await;
        assert!(stage.sessions().is_empty() && stage.events().is_empty(), "{name}");
        let metrics = stage.deployment.metrics().unwrap();
        let own =
            metrics.iter().filter(|metric| metric.dimensions.get("Triage").is_some_and(|kind| kind == "OwnSession"));
        assert_eq!(own.map(|metric| metric.value).collect::<Vec<_>>(), [1.0], "{name}");
    }
}

/// It is minutes old in AWS; here it comes before the session is remembered.
#[tokio::test(start_paused = true)]
async fn a_key_that_is_too_new_to_be_known_is_asked_for_again() {
    let stage = Stage::enforcing().await;
    let now = text(stage.now());
    let event = changed("cloudtrail-assume-root-call", &[("/detail/eventTime", json!(now))]);
    put(&stage, &[event]).await;
    let waited = stage.deployment.logs(ROOT_ACTIVITY).unwrap().into_iter();
    let waited = waited.filter(|line| line.to_string().contains("too new to be known")).count();
    assert_eq!(waited, 1);
    assert_eq!(triage(&stage), [("ForeignSession".to_owned(), SHOP.to_owned())], "nobody remembered it");
}

#[tokio::test(start_paused = true)]
async fn where_nothing_can_be_done_people_are_told() {
    let stage = Stage::enforcing().await;
    let login = "signin-root-console-login-failure";
    // From an account that left a moment ago: its policy let the event pass.
    let foreign = sample_of(login, "123412341234");
    stage.deployment.put_event(Bus::Unroot, &foreign);
    put(&stage, &[sample_of(login, MANAGEMENT)]).await;
    let mut told = told(&stage);
    told.sort();
    let expected = [
        as_told(MANAGEMENT, "ManagementAccount", "Critical", true),
        as_told("123412341234", "OutsideOrganization", "Medium", true),
    ];
    assert_eq!(told, expected);
    assert!(stage.sessions().is_empty());
    assert!(mails(&stage).iter().any(|mail| mail.contains("Root user of the management account 111122223333")));
}

/// Those that are exempt are left alone, and people are told all the same.
#[tokio::test(start_paused = true)]
async fn hands_off_but_not_silent() {
    let stage = Stage::enforcing().await;
    let before = stage.root_of(EXEMPT);
    put(&stage, &[sample_of("signin-root-console-login-success-no-mfa", EXEMPT)]).await;
    assert_eq!(told(&stage), [as_told(EXEMPT, "RootUsage", "High", true)]);
    assert_eq!((stage.root_of(EXEMPT), stage.sessions().len()), (before, 0));
    assert!(mails(&stage)[0].contains("NotCovered: exempt by the parameter"), "{:?}", mails(&stage));
}

#[tokio::test(start_paused = true)]
async fn in_a_recovery_window_root_may_be_used() {
    let stage = Stage::enforcing().await;
    open_window(&stage, SHOP);
    let before = stage.root_of(SHOP);
    put(&stage, &[sample("signin-root-password-recovery-completed"), sample("guardduty-root-credential-usage")]).await;
    assert_eq!(told(&stage), [as_told(SHOP, "RecoveryWindow", "Informational", false)]);
    assert_eq!((stage.root_of(SHOP), stage.sessions().len(), mails(&stage).len()), (before, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn another_finding_about_root_is_told_and_not_acted_on() {
    let stage = Stage::enforcing().await;
    let other = changed(
        "guardduty-root-credential-usage",
        &[
            ("/detail/type", json!("UnauthorizedAccess:IAMUser/ConsoleLoginSuccess.B")),
            ("/detail/severity", json!(8.0)),
        ],
    );
    put(&stage, &[other]).await;
    assert_eq!(told(&stage), [as_told(SHOP, "OtherFinding", "High", true)]);
    assert!(stage.sessions().is_empty());
}

/// An account that cannot be read is no account where nothing is: people are told at once, and the event comes again.
#[tokio::test(start_paused = true)]
async fn an_account_that_cannot_be_read_is_told_at_once() {
    let stage = Stage::enforcing().await;
    put(&stage, &[sample_of("signin-root-console-login-success-no-mfa", ACQUIRED)]).await;
    assert_eq!(stage.verdicts(ROOT_ACTIVITY)[ACQUIRED], Verdict::Unknown);
    let mails = mails(&stage);
    assert_eq!(mails.len(), 1, "{mails:?}");
    assert!(mails[0].contains("service control policy"), "{}", mails[0]);
    assert_eq!(stage.deployment.dead_letters(ROOT_ACTIVITY).unwrap().len(), 1, "and waits for a person");
    put(&stage, &[sample_of("signin-root-console-login-failure", ACQUIRED)]).await;
    assert_eq!(stage.deployment.dead_letters(ROOT_ACTIVITY).unwrap().len(), 1, "anyone can try");

    let stage = Stage::enforcing().await;
    stage.aws.inject(Fault::at("organizations:DescribeAccount", FaultKind::Error500).times(6));
    put(&stage, &[sample("signin-root-console-login-success-no-mfa")]).await;
    assert!(stage.root_of(SHOP).is_empty(), "it came again until it could be looked up");
    assert_eq!(told(&stage).len(), 1, "{:?}", stage.events());
}

/// GuardDuty tells the same in each Region, and again with a higher count, and EventBridge tells everything twice.
#[tokio::test(start_paused = true)]
async fn one_use_of_root_is_told_once() {
    let stage = Stage::enforcing().await;
    let finding = |region: &str, id: &str, count: u64| {
        let mut finding = changed(
            "guardduty-root-credential-usage",
            &[("/region", json!(region)), ("/detail/id", json!(id)), ("/detail/service/count", json!(count))],
        );
        finding["detail"]["region"] = json!(region);
        finding
    };
    for _ in 0..2 {
        put(&stage, &[finding("eu-central-1", "one", 1), finding("eu-north-1", "other", 2)]).await;
    }
    put(&stage, &[finding("eu-central-1", "one", 400)]).await;
    assert_eq!(told(&stage), [as_told(SHOP, "RootUsage", "High", true)]);
    assert_eq!(mails(&stage).len(), 1);
    // And yet each time somebody looked.
    assert_eq!(triage(&stage).len(), 5);
    assert!(stage.logged(ROOT_ACTIVITY, "AccountRecord").len() >= 3);
    // From elsewhere it is somebody else.
    let mut elsewhere = finding("eu-central-1", "one", 401);
    elsewhere["detail"]["service"]["action"]["awsApiCallAction"]["remoteIpDetails"]["ipAddressV4"] =
        json!("203.0.113.9");
    put(&stage, &[elsewhere]).await;
    assert_eq!(mails(&stage).len(), 2);
}

/// The console opens a session in each account for whoever opens its page.
#[tokio::test(start_paused = true)]
async fn who_looks_at_all_accounts_is_one_mail() {
    let stage = Stage::set(sample_organization(40), enforcing()).await;
    let accounts: Vec<_> = stage.aws.organization().accounts.keys().cloned().collect();
    let events: Vec<_> = accounts
        .iter()
        .enumerate()
        .map(|(n, account)| {
            let key = format!("ASIAFOREIGN{n:05}EXAMPLE");
            let mut event = changed("cloudtrail-assume-root-call", &[("/account", json!(MANAGEMENT))]);
            event["detail"]["requestParameters"]["targetPrincipal"] = json!(account);
            event["detail"]["responseElements"]["credentials"]["accessKeyId"] = json!(key);
            let task = "arn:aws:iam::aws:policy/root-task/IAMAuditRootUserCredentials";
            event["detail"]["requestParameters"]["taskPolicyArn"]["arn"] = json!(task);
            event["region"] = json!("us-east-1");
            event
        })
        .collect();
    put(&stage, &events).await;
    assert_eq!(told(&stage).len(), accounts.len(), "each account has its event");
    let first = mails(&stage);
    assert_eq!(first.len(), 1, "for {} accounts", accounts.len());
    assert!(first[0].contains("other accounts"), "{}", first[0]);
    assert!(stage.sessions().is_empty());
    // It goes on for minutes, in an invocation of its own each time.
    for event in &events[..5] {
        let mut event = event.clone();
        event["detail"]["responseElements"]["credentials"]["accessKeyId"] = json!("ASIAFOREIGN00099EXAMPLE");
        put(&stage, &[event]).await;
    }
    assert_eq!(mails(&stage).len(), 1);
}

/// Organizations hangs: nothing needs to be asked to know the management account, and nobody waits for the others.
#[tokio::test(start_paused = true)]
async fn a_service_that_hangs_silences_nobody() {
    let stage = Stage::set(sample_organization(20), enforcing()).await;
    stage.aws.inject(Fault::at("organizations:DescribeAccount", FaultKind::Timeout));
    let login = "signin-root-console-login-success-no-mfa";
    let accounts: Vec<_> = stage.aws.organization().accounts.keys().cloned().collect();
    let accounts = accounts.iter().filter(|account| account.as_str() != MANAGEMENT).take(12);
    let events: Vec<_> = accounts.map(|account| sample_of(login, account.as_str())).collect();
    put(&stage, &[events, vec![sample_of(login, MANAGEMENT)]].concat()).await;
    let told = told(&stage);
    assert!(told.contains(&as_told(MANAGEMENT, "ManagementAccount", "Critical", true)), "{told:?}");
    assert_eq!(told.len(), 13, "{told:?}");
}

/// A key that is 20 hours old and in use.
fn new_key_in_use(stage: &Stage) {
    let now = stage.now();
    stage.aws.with_organization(|organization| {
        let root = &mut organization.accounts.get_mut(&id(SHOP)).unwrap().root;
        root.access_keys.truncate(1);
        let key = &mut root.access_keys[0];
        key.create_date = now - time::Duration::hours(20);
        key.status = CredentialStatus::Active;
        let date = now - time::Duration::minutes(5);
        key.last_used = Some(LastUsed { date, service: "s3".to_owned(), region: "us-east-1".to_owned() });
    });
}

/// Anyone can fail to sign in, and no production stops for it; who got in has made the keys since.
#[tokio::test(start_paused = true)]
async fn a_key_in_use_goes_only_if_it_was_made_after_somebody_got_in() {
    for (name, at, expected) in [
        ("signin-root-console-login-failure", time::Duration::hours(-21), 1),
        ("guardduty-root-credential-usage", time::Duration::hours(-21), 1),
        ("signin-root-console-login-success-no-mfa", time::Duration::minutes(-10), 1),
        ("signin-root-console-login-success-no-mfa", time::Duration::hours(-21), 0),
    ] {
        let stage = Stage::enforcing().await;
        new_key_in_use(&stage);
        let at = text(stage.now() + at);
        let pointer =
            if name.starts_with("guardduty") { "/detail/service/eventFirstSeen" } else { "/detail/eventTime" };
        put(&stage, &[changed(name, &[(pointer, json!(at))])]).await;
        assert_eq!(stage.root_of(SHOP).access_keys.len(), expected, "{name} {at}: {:?}", stage.changes());
    }
}

/// The owner recovers in the window; who goes on in the console after it has closed is told.
#[tokio::test(start_paused = true)]
async fn a_session_that_goes_on_after_its_window_is_told() {
    let stage = Stage::enforcing().await;
    let now = stage.now();
    let login = |id: &str| {
        let time = ("/detail/eventTime", json!(text(now)));
        changed("signin-root-console-login-success-no-mfa", &[("/detail/eventID", json!(id)), time])
    };
    remember_window(&stage, SHOP, now - time::Duration::hours(1), now + time::Duration::hours(1));
    put(&stage, &[login("one")]).await;
    assert_eq!((told(&stage), mails(&stage).len()), (vec![as_told(SHOP, "RecoveryWindow", "Informational", false)], 0));
    remember_window(&stage, SHOP, now - time::Duration::hours(2), now - time::Duration::hours(1));
    put(&stage, &[login("another")]).await;
    assert_eq!(mails(&stage).len(), 1, "{:?}", told(&stage));
}

#[tokio::test(start_paused = true)]
async fn without_the_state_nothing_is_done_and_nothing_is_lost() {
    let stage = Stage::enforcing().await;
    remember_session(&stage, "ASIAEXAMPLEROOT00001");
    stage.aws.inject(Fault::at("dynamodb:BatchGetItem", FaultKind::Error500).times(9));
    put(&stage, &[sample("guardduty-root-credential-usage")]).await;
    assert!(stage.aws.fault_hits() == 9 && stage.sessions().is_empty() && told(&stage).is_empty(), "it is ours");

    let stage = Stage::enforcing().await;
    stage.aws.inject(Fault::at("dynamodb:*", FaultKind::Denied));
    put(&stage, &[sample("guardduty-root-credential-usage")]).await;
    assert!(stage.sessions().is_empty(), "it may be ours");
    assert_eq!(stage.deployment.dead_letters(ROOT_ACTIVITY).unwrap().len(), 1);
}

/// What happened is told even if it cannot be remembered: somebody may be at work.
#[tokio::test(start_paused = true)]
async fn root_activity_is_told_even_if_it_cannot_be_remembered() {
    let stage = Stage::enforcing().await;
    stage.aws.inject(Fault::at("dynamodb:TransactWriteItems", FaultKind::Denied));
    put(&stage, &[sample("signin-root-console-login-success-no-mfa")]).await;
    let ids: BTreeSet<_> = stage
        .events()
        .iter()
        .filter(|event| event["detail-type"] == ACTIVITY)
        .map(|e| e["detail"]["id"].to_string())
        .collect();
    assert_eq!(ids.len(), 1, "{:?}", stage.events());
    assert_eq!(stage.deployment.dead_letters(ROOT_ACTIVITY).unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_set_aside_and_what_is_no_sign_is_done_with() {
    let stage = Stage::enforcing().await;
    let queue = |event: &Value| stage.deployment.send(ROOT_ACTIVITY, &event.to_string()).unwrap();
    queue(&changed("guardduty-root-credential-usage", &[("/detail/accountId", json!("4444"))]));
    queue(&json!("not an event"));
    queue(&sample("organizations-create-account-result-succeeded"));
    queue(&sample_of("signin-root-console-login-failure", AUDIT));
    stage.deployment.settle().await.unwrap();
    let dead = stage.deployment.dead_letters(ROOT_ACTIVITY).unwrap();
    let reason = |message: &simulator::queues::Message| {
        message.attributes["ErrorMessage"]["StringValue"].as_str().unwrap().to_owned()
    };
    let mut reasons: Vec<_> = dead.iter().map(reason).collect();
    reasons.sort();
    assert_eq!(reasons.len(), 2, "{reasons:?}");
    assert!(reasons[0].starts_with("`detail.accountId`: `4444` is not an account id"), "{reasons:?}");
    assert!(reasons[1].starts_with("the message is not an EventBridge event"), "{reasons:?}");
    assert_eq!(triage(&stage), [("RootUsage".to_owned(), AUDIT.to_owned())], "the audit account is a member too");
}
