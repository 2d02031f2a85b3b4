//! A scheduled audit: the schedule fires, the accounts pass by, and what came of it.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::Value;
use simulator::aws::{CallRecord, Outcome};
use simulator::clock::Clock;
use simulator::deployment::Deployment;

use super::console::{Console, NO_BREAK};
use super::record::{self, AccountRecord, Credentials, HeldBackReason, Verdict};
use super::stage::{SCHEDULED_AUDIT, Stage, changed_an_account};

/// How often the progress bar moves.
const TICK: Duration = Duration::from_millis(100);

/// What an audit said and did.
pub(crate) struct Audit {
    /// One for each account, in the order of their ids.
    pub(crate) records: Vec<AccountRecord>,
    pub(crate) calls: Vec<CallRecord>,
    /// What AWS emitted.
    pub(crate) events: Vec<Value>,
    /// Until it was complete. What follows from its events is not its own time.
    took: Duration,
}

/// Has the schedule come, and follows what happens until nothing is left to do.
///
/// Fails if the audit did not see the whole organization.
pub(crate) async fn run(console: &Console, stage: &Stage, deployment: &Deployment) -> Result<Audit> {
    let logged_before = deployment.log_length(SCHEDULED_AUDIT)?;
    let calls_before = stage.aws.calls().len();
    let mut emitted = stage.aws.events();
    let mut lines = Vec::new();
    let mut took = None;

    let began = tokio::time::Instant::now();
    let mut progress = console.progress(stage.aws.organization().accounts.len());
    let mut tick = tokio::time::interval(TICK);
    deployment.fire_schedules()?;
    let mut settling = std::pin::pin!(deployment.settle());
    loop {
        tokio::select! {
            settled = &mut settling => break settled?,
            _ = tick.tick() => {
                lines.extend(deployment.logs_from(SCHEDULED_AUDIT, logged_before + lines.len())?);
                progress.show(lines.iter().filter(|line| record::is_record(line)).count());
                if took.is_none() && lines.iter().any(is_complete) {
                    took = Some(began.elapsed());
                }
            }
        }
    }
    progress.finish();
    let took = took.unwrap_or_else(|| began.elapsed());
    lines.extend(deployment.logs_from(SCHEDULED_AUDIT, logged_before + lines.len())?);

    ensure!(
        lines.iter().any(is_complete),
        "the audit did not come to its end: {:?}",
        deployment.outcomes(SCHEDULED_AUDIT)?
    );
    let mut records = record::read(&lines)?;
    records.sort_by(|one, other| one.account_id.cmp(&other.account_id));
    let events = std::iter::from_fn(|| emitted.try_recv().ok()).collect();
    Ok(Audit { records, calls: stage.aws.calls().split_off(calls_before), events, took })
}

/// Whether it is the report of an audit that came to its end.
fn is_complete(line: &Value) -> bool {
    line.pointer("/completeness/state").and_then(Value::as_str) == Some("Complete")
}

pub(crate) fn show(console: &Console, audit: &Audit) {
    let Audit { records, calls, took, .. } = audit;
    let verdicts = Verdict::count(records).into_iter().map(|(verdict, count)| (verdict.name(), count));
    let mut table = console.table();
    table.add_row([
        column("verdict", verdicts),
        column("found", Credentials::found(records).by_kind()),
        column("removed", Credentials::removed(records).by_kind()),
    ]);
    console.show(&table);
    console.blank();

    let held_back = held_back(records);
    let changes = calls.iter().filter(|call| changed_an_account(call)).count();
    let mut facts = vec![("accounts", format!("{} in {:.1} s", records.len(), took.as_secs_f64()))];
    facts.extend(by_operation(calls).into_iter().map(|calls| ("calls", calls)));
    facts.push(("changes", format!("{changes} calls that changed an account")));
    if !held_back.is_empty() {
        facts.push(("held back", held_back.join("\n")));
    }
    console.facts(facts);
}

/// Lines of a name and a number, under a title.
fn column<'a>(title: &str, rows: impl IntoIterator<Item = (&'a str, usize)>) -> String {
    let rows: Vec<_> = rows.into_iter().collect();
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    let rows = rows.iter().map(|(name, number)| format!("\n{name:width$} {number:>5}"));
    rows.fold(title.to_owned(), |column, row| column + &row)
}

/// A line for each service, `sts: AssumeRoot 283`, the most frequent operation first, and what was throttled.
fn by_operation(calls: &[CallRecord]) -> Vec<String> {
    let mut services = BTreeMap::<&str, BTreeMap<&str, usize>>::new();
    for call in calls {
        *services.entry(&call.service).or_default().entry(&call.operation).or_default() += 1;
    }
    let throttled = calls.iter().filter(|call| is_throttled(call)).count();
    let throttled = (throttled > 0).then(|| format!("{throttled} of these throttled, and made again"));
    services.into_iter().map(|(service, operations)| in_service(service, operations)).chain(throttled).collect()
}

fn in_service(service: &str, operations: BTreeMap<&str, usize>) -> String {
    let mut operations: Vec<_> = operations.into_iter().collect();
    operations.sort_by_key(|(_, number)| std::cmp::Reverse(*number));
    let operations = operations.into_iter().map(|(operation, number)| format!("{operation}{NO_BREAK}{number}"));
    format!("{service}: {}", operations.collect::<Vec<_>>().join(", "))
}

fn is_throttled(call: &CallRecord) -> bool {
    matches!(&call.outcome, Outcome::Error { code, .. } if code.starts_with("Throttling") || code.starts_with("TooMany"))
}

/// A line for each access key that is held back.
fn held_back(records: &[AccountRecord]) -> Vec<String> {
    let all = records.iter().flat_map(|record| record.held_back.iter().map(move |held_back| (record, held_back)));
    all.filter_map(|(record, held_back)| match &held_back.reason {
        HeldBackReason::UsedRecently { last_used, service } => {
            let key = held_back.id.as_deref().unwrap_or_default();
            let hours = (Clock::of_machine().now() - *last_used).whole_hours();
            Some(format!("{}: {key}, used {hours} hours ago for {service}", record.account()))
        }
        // The key that an MFA device protects has its own line.
        HeldBackReason::ProtectsWhatIsLeft => None,
    })
    .collect()
}
