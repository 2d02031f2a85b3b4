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
use shared::domain::failure::{Failure, Recovery};
use shared::domain::id::AccountId;
use shared::domain::record::{AccountRecord, Verdict};
use shared::events::account_joined::{self, Announcement};
use shared::examine::Examiner;
use shared::runtime::{self, Disposition, Function, FunctionError, Invocation};
use shared::telemetry;
use time::OffsetDateTime;
use tokio::time::Instant;
use tracing::{info, warn};

/// No account is begun in this last part of an invocation: examining one takes seconds.
const LAST_START: Duration = Duration::from_secs(30);

pub async fn handle(function: Function, invocation: Invocation) -> Result<Value, FunctionError> {
    let messages = runtime::messages(&invocation.payload).unwrap_or_else(|| {
        Err(FunctionError {
            error_type: "MalformedEvent",
            message: "no `Records` in the event: this function is invoked by its queue".to_owned(),
        })
    })?;
    let mut response = SqsBatchResponse::default();
    let mut examined = BTreeMap::new();
    for message in &messages {
        let disposition = decide(&function, &invocation, message, &mut examined).await;
        function.dispose(message, disposition, &mut response).await;
    }
    runtime::answer(&response)
}

/// Handles one message. An account that another message of the batch announced is not looked at twice.
async fn decide(
    function: &Function,
    invocation: &Invocation,
    message: &SqsMessage,
    examined: &mut BTreeMap<AccountId, Disposition>,
) -> Disposition {
    let body = message.body.as_deref().unwrap_or_default();
    let (account, event_name) = match account_joined::parse(body, &function.settings.scope.management_account) {
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
            return Disposition::SetAside(Rejection { error_type: "MalformedEvent", message: malformed.to_string() });
        }
    };
    info!(%account, event_name, "announced");
    if let Some(disposition) = examined.get(&account) {
        return disposition.clone();
    }
    if invocation.last_start(LAST_START) < Instant::now() {
        return Disposition::Retry { after: Duration::ZERO };
    }
    let disposition = examine(function, invocation, &account, runtime::receive_count(message)).await;
    examined.insert(account, disposition.clone());
    disposition
}

async fn examine(function: &Function, invocation: &Invocation, id: &AccountId, receive_count: u32) -> Disposition {
    let account = match function.aws.describe_account(id).await {
        Ok(account) => account,
        Err(failure) => {
            telemetry::account_record(
                &invocation.request_id,
                &AccountRecord::unknown(id.clone(), failure.clone(), OffsetDateTime::now_utc()),
            );
            return after_failure(id, &failure, receive_count);
        }
    };
    if account.state == AccountState::PendingActivation {
        info!(account = %id, "not active yet");
        return Disposition::Retry { after: runtime::wait_after(receive_count) };
    }
    let settings = &function.settings;
    let examiner = Examiner {
        aws: &function.aws,
        scope: &settings.scope,
        hold_back: settings.hold_back,
        mode: settings.mode,
        until: invocation.work_until(),
    };
    let record = examiner.examine(&account).await;
    telemetry::account_record(&invocation.request_id, &record);
    match (&record.verdict, &record.failure) {
        (Verdict::Failed | Verdict::Unknown, Some(failure)) => after_failure(id, failure, receive_count),
        (Verdict::Failed | Verdict::Unknown, None) => Disposition::Retry { after: runtime::wait_after(receive_count) },
        (Verdict::Clean | Verdict::Stripped | Verdict::CredentialsPresent | Verdict::NotCovered, _) => {
            Disposition::Acknowledge
        }
    }
}

fn after_failure(account: &AccountId, failure: &Failure, receive_count: u32) -> Disposition {
    match failure.cause.recovery() {
        Recovery::Retry | Recovery::Wait => Disposition::Retry { after: runtime::wait_after(receive_count) },
        Recovery::Person => Disposition::SetAside(Rejection {
            error_type: "AccountNotExamined",
            message: format!("account {account}: {failure}; {}", failure.cause.remedy()),
        }),
    }
}
