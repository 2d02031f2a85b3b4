//! The owner of an account forgot its root password: a recovery window, from the operator's request to what is left at its
//! end.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use simulator::aws::{Password, Schedule, SignIn};
use simulator::deployment::Deployment;
use simulator::organization::{AccountId, RootCredentials};

use super::aftermath::{self, Aftermath};
use super::console::Console;
use super::intrusion;
use super::news;
use super::record::{self, Credentials};
use super::request;
use super::stage::{PASSWORD_RECOVERY, ROOT_ACTIVITY, SCHEDULED_AUDIT, Stage, changed_an_account};
use super::traces::{self, Traces};

/// `payments`, whose root user held something at first.
pub(crate) const ACCOUNT: &str = "444455558888";

/// For how long the operator opens the window: a day. The functions have the machine's clock, and the simulated one, by
/// which schedules fire, is hours ahead of it by then.
const MINUTES: u32 = 24 * 60;

/// A recovery window that is open.
pub(crate) struct Opened {
    answer: Value,
    schedule: Schedule,
}

/// The owner at work, and what Unroot made of it.
pub(crate) struct Used {
    /// What the root user had when the owner was done.
    pub(crate) holds: RootCredentials,
    pub(crate) aftermath: Aftermath,
    /// What an audit of the account says meanwhile.
    audited: String,
}

/// An operator lets the owner of an account recover its root password.
pub(crate) async fn open(stage: &Stage, deployment: &Deployment, account: &AccountId) -> Result<Opened> {
    let answer = request::granted(deployment, PASSWORD_RECOVERY, &opening(account)).await?;
    let mut schedules = stage.aws.schedules().into_iter();
    let schedule = schedules.find(|schedule| schedule.input.contains(account.as_str()));
    Ok(Opened {
        answer,
        schedule: schedule.with_context(|| format!("the end of {account}'s window is not scheduled"))?,
    })
}

/// The owner does what he came for, and meanwhile somebody asks for an audit of the account.
pub(crate) async fn used(stage: &Stage, deployment: &Deployment, account: &AccountId) -> Result<Used> {
    let clock = stage.aws.clock();
    let began = clock.now();
    let happen = async || {
        let mut root = stage.aws.root_user(account);
        root.request_password_recovery()?;
        root.complete_password_recovery()?;
        ensure!(root.sign_in(Password::Right) == SignIn::Success, "the password is wrong");
        root.enable_mfa()?;
        root.create_access_key()?;
        let holds = stage.aws.organization().account(account).map(|account| account.root.clone());
        intrusion::until_batched(clock, began);
        holds.with_context(|| format!("{account} is gone"))
    };
    let (holds, aftermath) = aftermath::follow(stage, deployment, ROOT_ACTIVITY, happen).await?;
    let report = request::granted(deployment, SCHEDULED_AUDIT, &json!({"accounts": [account]})).await?;
    let records = record::read_lines(report.get("accounts").and_then(Value::as_array).into_iter().flatten())?;
    let record = records.first().with_context(|| format!("the audit has no record of {account}: {report}"))?;
    let audited = format!("{}: {}", record.verdict.name(), record.reason.as_deref().unwrap_or_default());
    Ok(Used { holds, aftermath, audited })
}

/// Lets the time pass until the window's schedule fires, and follows what comes of it.
pub(crate) async fn end(stage: &Stage, deployment: &Deployment, opened: &Opened) -> Result<Aftermath> {
    let happen = async || {
        let clock = stage.aws.clock();
        clock.advance(Duration::try_from(opened.schedule.at - clock.now()).unwrap_or_default());
        Ok(())
    };
    let ((), aftermath) = aftermath::follow(stage, deployment, PASSWORD_RECOVERY, happen).await?;
    ensure!(!aftermath.records.is_empty(), "nobody closed it: {:?}", deployment.outcomes(PASSWORD_RECOVERY)?);
    Ok(aftermath)
}

/// What is left of the window that should not be: in the function's list, among the schedules, and in the account.
pub(crate) async fn left(stage: &Stage, deployment: &Deployment, account: &AccountId) -> Result<Vec<String>> {
    let list = request::granted(deployment, PASSWORD_RECOVERY, &json!({"action": "list"})).await?;
    let windows = list.get("windows").and_then(Value::as_array).with_context(|| format!("no windows in {list}"))?;
    let mut left: Vec<_> = windows.iter().map(|window| format!("a window is not closed: {window}")).collect();
    left.extend(stage.aws.schedules().into_iter().map(|schedule| format!("a schedule is left: {}", schedule.name)));
    let root = stage.aws.organization().account(account).map(|account| account.root.clone()).unwrap_or_default();
    left.extend((!root.is_empty()).then(|| format!("{account} holds {}", Credentials::from(&root))));
    Ok(left)
}

pub(crate) fn show_opened(console: &Console, account: &AccountId, opened: &Opened) -> Result<()> {
    let Opened { answer, schedule } = opened;
    // With places for line breaks.
    let asked = opening(account).to_string().replace(",\"", ", \"");
    let verified = format!("{}: {}", request::text(answer, "action")?, request::text(answer, "verified")?);
    console.facts([
        ("request", format!("{PASSWORD_RECOVERY} {asked}")),
        ("answer", verified),
        ("next", request::text(answer, "next")?.to_owned()),
        ("schedule", format!("{}, {}", schedule.name, schedule.expression)),
    ]);
    Ok(())
}

pub(crate) fn show_used(console: &Console, used: &Used, own: &Traces) {
    let Used { holds, aftermath, audited } = used;
    let mut facts = vec![("holds", Credentials::from(holds).to_string())];
    let findings = aftermath.events.iter().filter(|event| !own.have(event) && traces::is_finding(event));
    facts.extend(aftermath::described(findings).into_iter().map(|finding| ("finding", finding)));
    facts.extend(aftermath.told.iter().map(|event| ("told", news::headline_with_severity(event))));
    facts.push(("mailed", news::mailed(&aftermath.told)));
    facts.push(("audit", audited.clone()));
    console.facts(facts);
}

pub(crate) fn show_end(console: &Console, aftermath: &Aftermath) {
    let mut facts = vec![("function", format!("{PASSWORD_RECOVERY}, when the schedule had sent its message"))];
    facts.extend(aftermath.records.last().map(|record| ("verdict", record.verdict.name().to_owned())));
    let changes = aftermath.calls.iter().filter(|call| changed_an_account(call));
    facts.extend(changes.map(|call| ("change", call.action())));
    facts.push(("mailed", news::mailed(&aftermath.told)));
    console.facts(facts);
}

fn opening(account: &AccountId) -> Value {
    let reason = "the owner forgot his password";
    json!({"action": "open", "account": account, "minutes": MINUTES, "reason": reason, "ticket": "OPS-4711"})
}
