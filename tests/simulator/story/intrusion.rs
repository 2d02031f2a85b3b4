//! Somebody signs in as the root user of a member account: from how he came by a password to what is left of it.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use simulator::aws::{Password, SignIn, Watch};
use simulator::clock::Clock;
use simulator::deployment::Deployment;
use simulator::organization::{AccountId, RootCredentials};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::aftermath::{self, Aftermath};
use super::by_hand;
use super::console::Console;
use super::news::{self, ACTIVITY};
use super::record::Credentials;
use super::stage::{REGION, ROOT_ACTIVITY, Stage, changed_an_account};
use super::traces::Traces;

/// Where GuardDuty is on: in the home of the stack, in the Region of IAM, and in one more.
pub(crate) const GUARD_DUTY_REGIONS: [&str; 3] = [REGION, "us-east-1", "eu-north-1"];

/// Where the intruder comes from: an address for examples, RFC 5737.
const ADDRESS: &str = "192.0.2.66";
const CLIENT: &str = "Mozilla/5.0 (X11; Linux x86_64)";

/// How long each of the intruder's steps takes: he has a script.
const STEP: Duration = Duration::from_secs(2);

/// `MaximumBatchingWindowInSeconds` of `root-activity`: here no time passes while a batch fills.
const BATCHING_WINDOW: Duration = Duration::from_secs(10);

/// A root session that somebody opened by hand, and all that followed.
pub(crate) struct OpenedByHand {
    pub(crate) keys: by_hand::Keys,
    pub(crate) aftermath: Aftermath,
}

/// The use of a root user, and all that followed.
pub(crate) struct Intrusion {
    pub(crate) account: AccountId,
    /// What the root user had when the intruder was done.
    pub(crate) left_behind: RootCredentials,
    began: OffsetDateTime,
    pub(crate) aftermath: Aftermath,
}

/// As AWS's own documentation says that it is watched.
pub(crate) fn watch() -> Watch {
    Watch::in_regions(&GUARD_DUTY_REGIONS)
}

/// Has an administrator give the account a password back, past Unroot.
pub(crate) async fn prepare(stage: &Stage, deployment: &Deployment, account: &AccountId) -> Result<OpenedByHand> {
    let happen = async || by_hand::give_password_back(stage, account).await;
    let (keys, aftermath) = aftermath::follow(stage, deployment, ROOT_ACTIVITY, happen).await?;
    Ok(OpenedByHand { keys, aftermath })
}

/// Has somebody who reads the account's mail do what he can.
pub(crate) async fn follow(stage: &Stage, deployment: &Deployment, account: &AccountId) -> Result<Intrusion> {
    let clock = stage.aws.clock();
    let began = clock.now();
    let happen = async || {
        let mut root = stage.aws.root_user(account).from(ADDRESS, CLIENT);
        root.request_password_recovery()?;
        clock.advance(STEP);
        root.complete_password_recovery()?;
        clock.advance(STEP);
        ensure!(root.sign_in(Password::Right) == SignIn::Success, "the password is wrong");
        clock.advance(STEP);
        root.enable_mfa()?;
        clock.advance(STEP);
        root.create_access_key()?;
        let left_behind = stage.aws.organization().account(account).map(|account| account.root.clone());
        until_batched(clock, began);
        left_behind.with_context(|| format!("{account} is gone"))
    };
    let (left_behind, aftermath) = aftermath::follow(stage, deployment, ROOT_ACTIVITY, happen).await?;
    ensure!(!aftermath.records.is_empty(), "nobody looked at {account}: {:?}", deployment.outcomes(ROOT_ACTIVITY)?);
    Ok(Intrusion { account: account.clone(), left_behind, began, aftermath })
}

/// Lets time pass until the first event is there, and what comes within the window.
pub(crate) fn until_batched(clock: &Clock, began: OffsetDateTime) {
    let batched = began + watch().trail_delay + BATCHING_WINDOW;
    clock.advance(Duration::try_from(batched - clock.now()).unwrap_or_default());
}

pub(crate) fn show_session(console: &Console, opened: &OpenedByHand) {
    let OpenedByHand { aftermath, .. } = opened;
    let mut facts = vec![("by hand", format!("AssumeRoot for {}, then CreateLoginProfile", by_hand::TASK))];
    let routes = aftermath.routes().into_iter().filter(|route| route.contains("AssumeRoot"));
    facts.extend(routes.map(|route| ("rule", route)));
    facts.extend(aftermath.told.iter().map(|event| ("told", news::headline_with_severity(event))));
    console.facts(facts);
}

pub(crate) fn show(console: &Console, intrusion: &Intrusion, own: &Traces) {
    let Intrusion { left_behind, aftermath, .. } = intrusion;
    let mut facts = vec![("left behind", Credentials::from(left_behind).to_string())];
    let others = aftermath.events.iter().filter(|event| !own.have(event));
    facts.extend(aftermath::described(others).into_iter().map(|event| ("event", event)));
    facts.extend(aftermath.routes().into_iter().map(|route| ("rule", route)));
    facts.push(("function", format!("{ROOT_ACTIVITY}{}", answered(intrusion))));
    let mut records = aftermath.records.iter();
    facts.extend(records.next().map(|record| ("verdict", record.verdict.name().to_owned())));
    let later = records.next_back();
    facts.extend(later.map(|record| ("verdict", format!("{} when the findings came", record.verdict.name()))));
    let changes = aftermath.calls.iter().filter(|call| changed_an_account(call));
    facts.extend(changes.map(|call| ("change", call.action())));
    console.facts(facts);
}

/// `, within 30 simulated seconds of the first step, 15 of them CloudTrail's`. Events have whole seconds.
fn answered(intrusion: &Intrusion) -> String {
    let Intrusion { began, aftermath, .. } = intrusion;
    let told = aftermath.told.iter().find(|event| event.get("detail-type").is_some_and(|kind| kind == ACTIVITY));
    let at = told.and_then(|event| event.get("time")?.as_str());
    let took = at.and_then(|at| Some(OffsetDateTime::parse(at, &Rfc3339).ok()? - began.replace_nanosecond(0).ok()?));
    let trail = watch().trail_delay.as_secs();
    let words = |took: time::Duration| {
        let seconds = (took.whole_seconds() / 5 + 1) * 5;
        format!(", within {seconds} simulated seconds of the first step, {trail} of them CloudTrail's")
    };
    took.map(words).unwrap_or_default()
}
