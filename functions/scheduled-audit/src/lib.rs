//! `scheduled-audit`: audits the whole organization, or the organizational units or accounts of a request, strips what
//! it finds if it is deployed to, and reports one record for each account.
//!
//! It is invoked by its queue, which the schedule and its own continuations feed, or directly with a request. An audit
//! that does not fit in one invocation hands the rest to the queue as a cursor.

mod audit;
mod listing;
mod readiness;
mod work;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsMessage};
use serde_json::Value;
use shared::aws::queue::Rejection;
use shared::domain::failure::{Failure, Recovery};
use shared::domain::record::{AccountRecord, AuditReport, Completeness, Verdict};
use shared::runtime::{self, Disposition, Function, FunctionError, Invocation};
use time::OffsetDateTime;
use tracing::{error, info};

use crate::audit::{Share, audit};
use crate::readiness::NotReady;
use crate::work::Work;

/// An answer of Lambda has at most 6 MB
/// (<https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>).
const LONGEST_ANSWER: usize = 5_000_000;

pub async fn handle(function: Function, invocation: Invocation) -> Result<Value, FunctionError> {
    let Some(messages) = runtime::messages(&invocation.payload) else {
        let report = run(&function, &invocation, &invocation.payload).await?;
        return answer(report);
    };
    let mut response = SqsBatchResponse::default();
    for message in messages? {
        let disposition = decide(&function, &invocation, &message).await;
        function.dispose(&message, disposition, &mut response).await;
    }
    runtime::answer(&response)
}

/// Why an audit could not be done, or not to its end.
enum AuditError {
    Rejected(Rejection),
    Retryable(Rejection),
}

async fn decide(function: &Function, invocation: &Invocation, message: &SqsMessage) -> Disposition {
    let body = message.body.as_deref().unwrap_or_default();
    let done = match serde_json::from_str(body) {
        Ok(body) => run(function, invocation, &body).await,
        Err(error) => Err(AuditError::Rejected(Rejection {
            error_type: "InvalidRequest",
            message: format!("the message is not JSON: {error}"),
        })),
    };
    match done {
        Ok(_) => Disposition::Acknowledge,
        Err(AuditError::Rejected(rejection)) => Disposition::SetAside(rejection),
        Err(AuditError::Retryable(rejection)) => {
            error!(error_type = rejection.error_type, error = rejection.message, "comes again");
            Disposition::Retry { after: runtime::wait_after(runtime::receive_count(message)) }
        }
    }
}

/// Does a request, or one invocation's share of it, and hands on the rest.
async fn run(function: &Function, invocation: &Invocation, body: &Value) -> Result<AuditReport, AuditError> {
    let now = OffsetDateTime::now_utc();
    let work = Work::parse(body, function.settings.mode, &invocation.request_id, now)
        .map_err(|invalid| reject("InvalidRequest", invalid.to_string()))?;
    info!(run = work.run, request = ?work.request, cursor = ?work.cursor, "audit");
    let Share { report, rest } = audit(function, invocation, work).await.map_err(not_ready)?;
    if let Some(rest) = rest {
        let handed_on = function.aws.send_message(&function.settings.queue, &rest.message()).await;
        handed_on.map_err(|failure| after("NotHandedOn", &failure))?;
    }
    match &report.completeness {
        Completeness::Complete | Completeness::Continues => Ok(report),
        Completeness::Broken { failure, .. } => Err(after("ListingBroken", failure)),
    }
}

fn not_ready(error: NotReady) -> AuditError {
    let message = error.to_string();
    match error {
        NotReady::Organization(failure) if failure.cause.recovery() != Recovery::Person => {
            AuditError::Retryable(Rejection { error_type: "OrganizationNotRead", message })
        }
        NotReady::Organization(_) => reject("OrganizationNotReady", message),
        NotReady::OtherManagementAccount(..) | NotReady::NoSuchConfiguredUnit(_) => reject("InvalidSettings", message),
        NotReady::NoSuchRequestedUnit(_) => reject("InvalidRequest", message),
    }
}

fn reject(error_type: &'static str, message: String) -> AuditError {
    AuditError::Rejected(Rejection { error_type, message })
}

fn after(error_type: &'static str, failure: &Failure) -> AuditError {
    let rejection = Rejection { error_type, message: format!("{failure}; remedy: {}", failure.cause.remedy()) };
    match failure.cause.recovery() {
        Recovery::Retry | Recovery::Wait => AuditError::Retryable(rejection),
        Recovery::Person => AuditError::Rejected(rejection),
    }
}

impl From<AuditError> for FunctionError {
    fn from(error: AuditError) -> Self {
        let (AuditError::Rejected(rejection) | AuditError::Retryable(rejection)) = error;
        Self { error_type: rejection.error_type, message: rejection.message }
    }
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
