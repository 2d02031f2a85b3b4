//! `account-joined`: looks at an account that an event announces as new, and strips what root credentials it finds.
//!
//! The event only says where to look. Several events announce the same account, in any order and more than once: each
//! looks, and only the first finds something to do. An account that is not ready comes back through the queue, for more
//! than an hour.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsMessage};
use serde_json::Value;
use shared::aws::queue::Rejection;
use shared::domain::account::AccountState;
use shared::domain::id::AccountId;
use shared::domain::notification::Notifier;
use shared::domain::record::{AccountRecord, Totals, Verdict};
use shared::domain::trigger::Trigger;
use shared::events::account_joined::{self, Announcement};
use shared::examine::Examiner;
use shared::recorder::Recorder;
use shared::runtime::{self, Disposition, Function, FunctionError, Invocation, Problem};
use shared::window_watch::WindowWatch;
use tokio::time::Instant;
use tracing::{info, warn};

/// No account is begun in this last part of an invocation: examining one takes seconds.
const LAST_START: Duration = Duration::from_secs(30);

pub async fn handle(function: Function, invocation: Invocation) -> Result<Value, FunctionError> {
    let messages = runtime::messages_of_queue(&invocation.payload)?;
    let run = function.run(&invocation, Trigger::AccountJoined);
    let notifier = Notifier::new(run.trigger);
    let (decisions, recorded) = Recorder::while_working(&function.aws, run, notifier, &invocation, async |recorder| {
        Batch::new(&function, &invocation, recorder).decide_all(&messages).await
    })
    .await;
    let mut response = SqsBatchResponse::default();
    for (message, decision) in messages.iter().zip(decisions) {
        let disposition = decision.once_recorded(recorded.problem.as_ref(), message);
        function.dispose(message, disposition, &mut response).await;
    }
    runtime::answer(&response)
}

/// The messages of one invocation. An account that several of them announce is looked at once.
struct Batch<'a> {
    function: &'a Function,
    invocation: &'a Invocation,
    recorder: &'a Recorder,
    examined: BTreeMap<AccountId, Disposition>,
    done: Totals,
}

impl<'a> Batch<'a> {
    fn new(function: &'a Function, invocation: &'a Invocation, recorder: &'a Recorder) -> Self {
        Self { function, invocation, recorder, examined: BTreeMap::new(), done: Totals::default() }
    }

    /// What becomes of each message, in order, once all of it is recorded.
    async fn decide_all(mut self, messages: &[SqsMessage]) -> Vec<Disposition> {
        let mut decisions = Vec::new();
        for message in messages {
            decisions.push(self.decide(message).await);
        }
        self.function.metrics().work(&self.done);
        decisions
    }

    async fn decide(&mut self, message: &SqsMessage) -> Disposition {
        let body = message.body.as_deref().unwrap_or_default();
        let management_account = &self.function.settings.scope.management_account;
        let (account, event_name) = match account_joined::parse(body, management_account) {
            Ok(Announcement::Joined { account, event_name }) => (account, event_name),
            Ok(Announcement::NotCreated { event_name, reason }) => {
                info!(event_name, reason, "no account was created");
                return Disposition::Acknowledge;
            }
            Ok(Announcement::Unrelated { description }) => {
                warn!(event = description, "ignored: not an event of a new account, check the rule that sent it");
                return Disposition::Acknowledge;
            }
            Err(malformed) => {
                return Disposition::SetAside(Rejection {
                    error_type: "MalformedEvent",
                    message: malformed.to_string(),
                });
            }
        };
        info!(%account, event_name, "announced");
        if let Some(disposition) = self.examined.get(&account) {
            return disposition.clone();
        }
        if self.invocation.last_start(LAST_START) < Instant::now() {
            return Disposition::Retry { after: Duration::ZERO };
        }
        let disposition = self.examine(&account, message).await;
        self.examined.insert(account, disposition.clone());
        disposition
    }

    async fn examine(&mut self, id: &AccountId, message: &SqsMessage) -> Disposition {
        let Function { aws, settings, .. } = self.function;
        let windows = match WindowWatch::begin(aws, settings.tuning).await {
            Ok(windows) => windows,
            Err(failure) => return Problem::after("StateNotRead", &failure).disposition(message),
        };
        let account = match aws.describe_account(id).await {
            Ok(account) => account,
            Err(failure) => {
                let record = AccountRecord::unknown(id.clone(), failure, aws.now());
                return self.conclude(record, message);
            }
        };
        if account.state == AccountState::PendingActivation {
            info!(account = %id, "not active yet");
            return Disposition::Retry { after: runtime::wait_after(runtime::receive_count(message)) };
        }
        let examiner = Examiner {
            aws,
            scope: &settings.scope,
            windows: &windows,
            hold_back: settings.hold_back,
            mode: settings.mode,
            until: self.invocation.work_until(),
        };
        let record = examiner.examine(&account).await;
        self.conclude(record, message)
    }

    fn conclude(&mut self, record: AccountRecord, message: &SqsMessage) -> Disposition {
        self.function.log.account_record(&self.invocation.request_id, &record);
        self.done.add(&record);
        let disposition = Disposition::after(&record, message);
        // An account that is not ready yet is no news for anyone, unless something was done to it.
        let comes_again = matches!(disposition, Disposition::Retry { .. });
        if !comes_again || record.verdict != Verdict::Unknown || !record.attempted.is_empty() {
            self.recorder.record(record);
        }
        disposition
    }
}
