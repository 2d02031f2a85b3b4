//! The wiring that all functions share: settings, clients, logging, the Lambda runtime, and messages from a queue.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsMessage};
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;
use tokio::time::Instant;
use tracing::{error, info, warn};

use crate::aws::Aws;
use crate::aws::alerts::OutgoingEvent;
use crate::aws::queue::Rejection;
use crate::config::Settings;
use crate::domain::account::Account;
use crate::domain::alert::DetailType;
use crate::domain::failure::{Failure, Recovery};
use crate::domain::id::AccountId;
use crate::domain::posture::Run;
use crate::domain::record::{AccountRecord, Verdict};
use crate::domain::recovery_window::RecoveryWindows;
use crate::domain::scope::{Coverage, CoveredAccount};
use crate::domain::trigger::Trigger;
use crate::metrics::Metrics;
use crate::telemetry::{self, Log};

/// What every handler is given.
#[derive(Clone, Debug)]
pub struct Function {
    pub settings: Settings,
    pub aws: Aws,
    pub log: Log,
}

/// An invocation: its payload, its id, and when Lambda ends it.
#[derive(Clone, Debug)]
pub struct Invocation {
    pub payload: Value,
    pub request_id: String,
    pub deadline: Instant,
    /// The time from the start to the deadline.
    pub time_allowed: Duration,
}

/// An error that Lambda is told, with a stable type for alarms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionError {
    pub error_type: &'static str,
    pub message: String,
}

/// Why work could not be done, or not to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// A stable name, such as `InvalidRequest`.
    pub error_type: &'static str,
    pub message: String,
    /// What can help.
    pub recovery: Recovery,
}

/// What becomes of a message from the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// It is done with.
    Acknowledge,
    /// It comes again after the time, until the queue has delivered it as often as its redrive policy allows.
    Retry { after: Duration },
    /// It can never succeed as things are: it goes to the dead-letter queue at once.
    SetAside(Rejection),
}

/// Runs the handler until Lambda ends the process. Returns an error, and so fails the start, if a setting is wrong.
pub async fn run<H, F>(handler: H) -> Result<(), lambda_runtime::Error>
where
    H: Fn(Function, Invocation) -> F,
    F: Future<Output = Result<Value, FunctionError>>,
{
    telemetry::init();
    let settings = Settings::from_environment().inspect_err(|error| error!(%error, "not started"))?;
    let aws = Aws::from_environment(&settings).await;
    let log = Log::to_standard_output(aws.clock().clone());
    let function = Function { settings, aws, log };
    let handle = service_fn(|event: LambdaEvent<Value>| {
        let invocation = Invocation::new(event, function.aws.now());
        Box::pin(handler(function.clone(), invocation))
    });
    lambda_runtime::run(handle).await
}

impl Invocation {
    pub fn new(event: LambdaEvent<Value>, now: OffsetDateTime) -> Self {
        let deadline = OffsetDateTime::UNIX_EPOCH + Duration::from_millis(event.context.deadline);
        let time_allowed = Duration::try_from(deadline - now).unwrap_or_default();
        Self {
            payload: event.payload,
            request_id: event.context.request_id,
            deadline: Instant::now() + time_allowed,
            time_allowed,
        }
    }

    /// When the last piece of work may be begun: so long before the end, or a quarter of a short invocation.
    pub fn last_start(&self, before_the_end: Duration) -> Instant {
        self.deadline - before_the_end.min(self.time_allowed / 4)
    }

    /// When the reporting of what happened ends, so that the function can still answer.
    pub fn report_until(&self) -> Instant {
        self.deadline - Duration::from_secs(2).min(self.time_allowed / 16)
    }

    /// When the store is given up, so that what was deleted can still be told without it.
    pub fn record_until(&self) -> Instant {
        let (from, to) = (self.work_until(), self.report_until());
        from + (to - from) / 8 * 5
    }

    /// When work on an account ends, so that what happened can still be reported.
    pub fn work_until(&self) -> Instant {
        self.deadline - Duration::from_secs(10).min(self.time_allowed / 8)
    }
}

impl Function {
    pub fn metrics(&self) -> Metrics<'_> {
        Metrics { stack_name: &self.settings.stack_name, log: &self.log }
    }

    /// A run that is one invocation.
    pub fn run(&self, invocation: &Invocation, trigger: Trigger) -> Run {
        Run { id: invocation.request_id.clone(), trigger, mode: self.settings.mode }
    }

    /// Puts an event on the bus, for who comes again if it is not taken. What nobody could tell later goes through the
    /// `Recorder`, which keeps it.
    pub async fn announce(&self, detail_type: DetailType, detail: &impl Serialize) -> Result<(), Problem> {
        let not_sent = |failure: Failure| Problem::after("AlertsNotSent", &failure);
        let event = OutgoingEvent::new(detail_type, detail).map_err(not_sent)?;
        self.aws.put_events(&[event]).await.failure.map_or(Ok(()), |failure| Err(not_sent(failure)))
    }

    /// The account, if it may be touched: what an operator asks for is refused before any root session is opened.
    pub async fn cover(&self, id: &AccountId, windows: &RecoveryWindows) -> Result<(Account, CoveredAccount), Problem> {
        let account = self.aws.describe_account(id).await;
        let account = account.map_err(|failure| Problem::after("AccountNotFound", &failure))?;
        let refused = |reason: String| Err(Problem::lasting("NotCovered", format!("account {id} {reason}")));
        match self.settings.scope.cover(&account, windows, self.aws.now()) {
            Coverage::Covered(covered) => Ok((account, covered)),
            Coverage::NotCovered(reason) => refused(format!("is not covered: {reason}")),
            Coverage::Undecided(undecided) => refused(format!("cannot be decided on: {undecided}")),
        }
    }

    /// Carries out what was decided about a message, and reports it to the queue as failed if it is to come again.
    ///
    /// INVARIANT (nothing is lost): a message is acknowledged only if it is done with or lies in the dead-letter queue.
    pub async fn dispose(&self, message: &SqsMessage, disposition: Disposition, response: &mut SqsBatchResponse) {
        let id = message.message_id.clone().unwrap_or_default();
        match disposition {
            Disposition::Acknowledge => {}
            Disposition::Retry { after } => {
                self.retry_after(message, after).await;
                response.add_failure(id);
            }
            Disposition::SetAside(rejection) => {
                let body = message.body.as_deref().unwrap_or_default();
                let Some(queues) = &self.settings.queues else { return response.add_failure(id) };
                match self.aws.set_aside(&queues.dead_letters, body, &rejection).await {
                    Ok(()) => {
                        error!(
                            message_id = id,
                            error_type = rejection.error_type,
                            error = rejection.message,
                            "set aside"
                        );
                    }
                    Err(failure) => {
                        error!(message_id = id, %failure, rejection = rejection.message, "not set aside, comes again");
                        response.add_failure(id);
                    }
                }
            }
        }
    }

    async fn retry_after(&self, message: &SqsMessage, after: Duration) {
        let handle = message.receipt_handle.as_deref().unwrap_or_default();
        let seconds = i32::try_from(after.as_secs()).unwrap_or(i32::MAX);
        let Some(queues) = &self.settings.queues else { return };
        match self.aws.receive_again_in(&queues.own, handle, seconds).await {
            Ok(()) => info!(message_id = message.message_id, seconds, "comes again"),
            // Then it comes again after the queue's visibility timeout.
            Err(failure) => warn!(message_id = message.message_id, %failure, "the wait could not be set"),
        }
    }
}

impl Disposition {
    /// What becomes of a message that led to a look at an account.
    pub fn after(record: &AccountRecord, message: &SqsMessage) -> Self {
        match (record.verdict, &record.failure) {
            (Verdict::Failed | Verdict::Unknown, Some(failure)) => {
                let problem = Problem::after("AccountNotExamined", failure);
                let named = format!("account {}: {}", record.account_id, problem.message);
                Problem { message: named, ..problem }.disposition(message)
            }
            (Verdict::Failed | Verdict::Unknown, None) => Self::Retry { after: wait_after(receive_count(message)) },
            (Verdict::Clean | Verdict::Stripped | Verdict::CredentialsPresent | Verdict::NotCovered, _) => {
                Self::Acknowledge
            }
        }
    }

    /// The same, unless what was seen is not remembered or not told: then the message comes again, and so does what it
    /// leads to.
    #[must_use]
    pub fn once_recorded(self, problem: Option<&Problem>, message: &SqsMessage) -> Self {
        match (self, problem) {
            (Self::Acknowledge, Some(problem)) => problem.clone().disposition(message),
            (Self::SetAside(_), Some(problem)) if problem.recovery != Recovery::Person => {
                problem.clone().disposition(message)
            }
            (disposition, _) => disposition,
        }
    }
}

impl fmt::Display for FunctionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.error_type, self.message)
    }
}

impl Problem {
    /// What a call to AWS left undone.
    pub fn after(error_type: &'static str, failure: &Failure) -> Self {
        let message = format!("{failure}; remedy: {}", failure.cause.remedy());
        Self { error_type, message, recovery: failure.cause.recovery() }
    }

    /// What only a person can mend.
    pub fn lasting(error_type: &'static str, message: String) -> Self {
        Self { error_type, message, recovery: Recovery::Person }
    }

    /// What becomes of the message that led to it.
    pub fn disposition(self, message: &SqsMessage) -> Disposition {
        let Self { error_type, message: text, recovery } = self;
        match recovery {
            Recovery::Retry | Recovery::Wait => {
                error!(error_type, error = text, "comes again");
                Disposition::Retry { after: wait_after(receive_count(message)) }
            }
            Recovery::Person => Disposition::SetAside(Rejection { error_type, message: text }),
        }
    }
}

impl From<Problem> for FunctionError {
    fn from(problem: Problem) -> Self {
        Self { error_type: problem.error_type, message: problem.message }
    }
}

impl From<FunctionError> for Diagnostic {
    fn from(error: FunctionError) -> Self {
        Self { error_type: error.error_type.to_owned(), error_message: error.message }
    }
}

/// What a function answers, as Lambda takes it.
pub fn answer(answer: &impl Serialize) -> Result<Value, FunctionError> {
    serde_json::to_value(answer)
        .map_err(|error| FunctionError { error_type: "UnwritableResponse", message: error.to_string() })
}

/// The messages of an invocation by a queue, for a function that nothing else invokes.
pub fn messages_of_queue(payload: &Value) -> Result<Vec<SqsMessage>, FunctionError> {
    messages(payload).unwrap_or_else(|| {
        Err(FunctionError {
            error_type: "MalformedEvent",
            message: "no `Records` in the event: this function is invoked by its queue".to_owned(),
        })
    })
}

/// The messages of an event source mapping, or nothing if the payload is not from a queue.
pub fn messages(payload: &Value) -> Option<Result<Vec<SqsMessage>, FunctionError>> {
    payload.get("Records")?;
    let event = serde_json::from_value::<aws_lambda_events::sqs::SqsEvent>(payload.clone());
    Some(event.map(|event| event.records).map_err(|error| FunctionError {
        error_type: "MalformedEvent",
        message: format!("`Records` is not an event of SQS: {error}"),
    }))
}

/// How long to wait after the n-th delivery of a message: most of what passes by itself does so within minutes, and with
/// the 15 deliveries of the template's queues the last one comes more than an hour after the first.
pub fn wait_after(receive_count: u32) -> Duration {
    const FIRST: Duration = Duration::from_secs(30);
    const LONGEST: Duration = Duration::from_mins(6);
    let doubled = FIRST.saturating_mul(2_u32.saturating_pow(receive_count.saturating_sub(1)));
    doubled.min(LONGEST)
}

/// When the message was put into the queue.
pub fn sent_at(message: &SqsMessage) -> Option<OffsetDateTime> {
    let milliseconds: i128 = message.attributes.get("SentTimestamp")?.parse().ok()?;
    OffsetDateTime::from_unix_timestamp_nanos(milliseconds * 1_000_000).ok()
}

/// How often the queue has delivered the message, this time included.
pub fn receive_count(message: &SqsMessage) -> u32 {
    let count = message.attributes.get("ApproximateReceiveCount");
    count.and_then(|count| count.parse().ok()).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invocation_ends_at_the_time_that_lambda_names() {
        let now = time::macros::datetime!(2026-11-20 12:00 UTC);
        let mut context = lambda_runtime::Context::default();
        context.deadline = 1_795_176_120_000;
        let invocation = Invocation::new(LambdaEvent { payload: Value::Null, context: context.clone() }, now);
        assert_eq!(invocation.time_allowed, Duration::from_mins(2));
        let ends = [invocation.work_until(), invocation.record_until(), invocation.report_until(), invocation.deadline];
        let before_the_end = ends.map(|end| invocation.deadline - end);
        assert_eq!(before_the_end.map(|time| time.as_secs()), [10, 5, 2, 0]);
        let late = Invocation::new(LambdaEvent { payload: Value::Null, context }, now + Duration::from_hours(1));
        assert_eq!(late.time_allowed, Duration::ZERO);
    }

    #[test]
    fn the_deliveries_of_a_message_spread_over_more_than_an_hour() {
        let waits: Vec<_> = (1..15).map(wait_after).collect();
        let first: Vec<_> = waits.iter().take(5).map(Duration::as_secs).collect();
        assert_eq!(first, [30, 60, 120, 240, 360]);
        assert!(waits.iter().sum::<Duration>() >= Duration::from_hours(1), "{waits:?}");
    }
}
