//! `scheduled-audit`: audits the whole organization, or the organizational units or accounts of a request, strips what
//! it finds if it is deployed to, and reports one record for each account.
//!
//! It is invoked by its queue, which the schedule and its own continuations feed, or directly with a request. An audit
//! that does not fit in one invocation hands the rest to the queue as a cursor.

mod audit;
mod evidence;
mod history;
mod listing;
mod overdue;
mod readiness;
mod work;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsMessage};
use serde_json::Value;
use shared::domain::alert::{AuditCompletedDetail, DetailType};
use shared::domain::record::{AccountRecord, AuditReport, Completeness, Verdict};
use shared::domain::request::Selection;
use shared::runtime::{self, Disposition, Function, FunctionError, Invocation, Problem};
use tracing::info;

use crate::audit::{Share, audit};
use crate::history::History;
use crate::work::{Delivery, Work};

/// An answer of Lambda has at most 6 MB
/// (<https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>).
const LONGEST_ANSWER: usize = 5_000_000;

pub async fn handle(function: Function, invocation: Invocation) -> Result<Value, FunctionError> {
    let Some(messages) = runtime::messages(&invocation.payload) else {
        let (run_id, asked) = (invocation.request_id.as_str(), function.aws.now());
        let delivery = Delivery { run: run_id, asked, is_repeated: false };
        let report = run(&function, &invocation, &invocation.payload, &delivery).await?;
        return answer(report);
    };
    let mut response = SqsBatchResponse::default();
    for message in messages? {
        let disposition = decide(&function, &invocation, &message).await;
        function.dispose(&message, disposition, &mut response).await;
    }
    runtime::answer(&response)
}

async fn decide(function: &Function, invocation: &Invocation, message: &SqsMessage) -> Disposition {
    let body = message.body.as_deref().unwrap_or_default();
    // A message that comes again is the same run: it writes the same evidence and sends the same alerts.
    let run_id = message.message_id.as_deref().unwrap_or(&invocation.request_id);
    let now = function.aws.now();
    let delivery = Delivery {
        run: run_id,
        // The clock of SQS is not ours: no audit begins after its own end.
        asked: runtime::sent_at(message).map_or(now, |sent| sent.min(now)),
        is_repeated: runtime::receive_count(message) > 1,
    };
    let done = match serde_json::from_str(body) {
        Ok(body) => run(function, invocation, &body, &delivery).await,
        Err(error) => Err(Problem::lasting("InvalidRequest", format!("the message is not JSON: {error}"))),
    };
    match done {
        Ok(_) => Disposition::Acknowledge,
        Err(problem) => problem.disposition(message),
    }
}

/// Does a request, or one invocation's share of it, leaves the evidence, and hands on the rest.
async fn run(
    function: &Function,
    invocation: &Invocation,
    body: &Value,
    delivery: &Delivery<'_>,
) -> Result<AuditReport, Problem> {
    let work = Work::parse(body, function.settings.mode, delivery)
        .map_err(|invalid| Problem::lasting("InvalidRequest", invalid.to_string()))?;
    info!(run = work.run, request = ?work.request, cursor = ?work.cursor, "audit");
    let history = History::read(function, &work).await?;
    let Share { report, work, rest, problem } = audit(function, invocation, work).await?;
    let concluded = match (problem, rest) {
        (Some(problem), _) => Err(problem),
        (None, Some(rest)) => hand_on(function, &report, &rest).await,
        (None, None) => conclude(function, &report, &work, &history).await,
    };
    concluded.map_err(|problem| with_what_was_done(problem, &report))?;
    Ok(report)
}

/// Leaves the records of this share for the last invocation, and has the next one go on.
async fn hand_on(function: &Function, report: &AuditReport, rest: &Work) -> Result<(), Problem> {
    evidence::write_part(function, report, rest).await?;
    let queues = function.settings.queues.as_ref();
    let queues = queues.ok_or_else(|| Problem::lasting("NotHandedOn", "`QUEUE_URL` is not set".to_owned()))?;
    let handed_on = function.aws.send_message(&queues.own, &rest.message()).await;
    handed_on.map_err(|failure| Problem::after("NotHandedOn", &failure))
}

/// Leaves the evidence of the whole audit, and says that it is there.
async fn conclude(function: &Function, report: &AuditReport, work: &Work, history: &History) -> Result<(), Problem> {
    if let Completeness::Broken { failure, .. } = &report.completeness {
        return Err(Problem::after("ListingBroken", failure));
    }
    let location = evidence::write(function, report, work, history).await?;
    let is_of_everything = matches!(report.selection, Selection::Everything);
    if is_of_everything {
        history.remember(function, report, &location).await?;
    }
    let uri = location.uri(&function.settings.stores.evidence_bucket);
    let is_news = work.is_repeated || (is_of_everything && history.is_empty());
    let detail = AuditCompletedDetail::new(report, work.alerts, is_news, uri);
    function.announce(DetailType::AuditCompleted, &detail).await?;
    if is_of_everything {
        function.metrics().complete_audit(report);
    }
    Ok(())
}

/// Says with the problem what was deleted all the same.
fn with_what_was_done(problem: Problem, report: &AuditReport) -> Problem {
    const MOST: usize = 20;
    let stripped: Vec<_> = report.accounts.iter().filter(|record| !record.removed.is_empty()).collect();
    if stripped.is_empty() {
        return problem;
    }
    let named: Vec<_> = stripped.iter().take(MOST).map(|record| record.account_id.as_str()).collect();
    let more = if stripped.len() > MOST { " and others" } else { "" };
    let Problem { message, .. } = &problem;
    let message =
        format!("{message}; root credentials were deleted all the same, in {}{more}: see the log", named.join(", "));
    Problem { message, ..problem }
}

/// The report as Lambda can return it: if it would be too long, without clean accounts, and if need be without any. All
/// of them are in the log.
fn answer(mut report: AuditReport) -> Result<Value, FunctionError> {
    let all = report.accounts.len();
    let leave_out: [fn(&AccountRecord) -> bool; 3] = [|_| false, |record| record.verdict == Verdict::Clean, |_| true];
    let mut answer = Value::Null;
    for is_left_out in leave_out {
        report.accounts.retain(|record| !is_left_out(record));
        report.accounts_left_out = u64::try_from(all - report.accounts.len()).unwrap_or(u64::MAX);
        answer = runtime::answer(&report)?;
        if answer.to_string().len() <= LONGEST_ANSWER {
            break;
        }
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use shared::domain::failure::{Cause, Failure};
    use shared::domain::record::{SCHEMA_VERSION, Totals};
    use shared::domain::request::Mode;
    use shared::domain::trigger::Trigger;
    use time::OffsetDateTime;

    use super::*;

    fn record(number: usize, verdict: Verdict) -> AccountRecord {
        let failure = Failure::observed(Cause::Transient, "sts:AssumeRoot", "x".repeat(300));
        let id = format!("{number:012}").parse().unwrap();
        AccountRecord { verdict, ..AccountRecord::unknown(id, failure, OffsetDateTime::UNIX_EPOCH) }
    }

    fn answered(accounts: Vec<AccountRecord>) -> AuditReport {
        let report = AuditReport {
            schema_version: SCHEMA_VERSION,
            run: "run".to_owned(),
            started: OffsetDateTime::UNIX_EPOCH,
            finished: OffsetDateTime::UNIX_EPOCH,
            organization: "o-aa111bb222".parse().unwrap(),
            management_account: "111122223333".parse().unwrap(),
            mode: Mode::Audit,
            trigger: Trigger::Request,
            selection: Selection::Everything,
            completeness: Completeness::Complete,
            totals: Totals::default(),
            accounts,
            accounts_left_out: 0,
        };
        serde_json::from_value(answer(report).unwrap()).unwrap()
    }

    #[test]
    fn an_answer_that_is_too_long_for_lambda_is_shortened() {
        let left = |verdicts: &[(usize, Verdict)]| {
            let records =
                verdicts.iter().flat_map(|(count, verdict)| (0..*count).map(|number| record(number, *verdict)));
            let report = answered(records.collect());
            (report.accounts.len(), report.accounts_left_out)
        };
        assert_eq!(left(&[(100, Verdict::Clean), (10, Verdict::Unknown)]), (110, 0));
        assert_eq!(left(&[(9_000, Verdict::Clean), (10, Verdict::Unknown)]), (10, 9_000));
        assert_eq!(left(&[(10, Verdict::Clean), (9_000, Verdict::Unknown)]), (0, 9_010));
    }
}
