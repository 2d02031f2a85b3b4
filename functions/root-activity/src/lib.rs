//! `root-activity`: somebody used root somewhere in the organization. Who, and what is there to take away?
//!
//! Our own root sessions look like root in every log. They are known by the ids of their access keys and lead to nothing
//! but a metric; that alone keeps this function from answering itself for ever. What a sign means is decided by
//! `shared::domain::root_activity::triage`.
//!
//! The messages of an invocation are looked at together: one use of root shows up in several events, and each account is
//! examined once. People are told first of what needs no examination.

mod accounts;
mod answer;
mod batch;

use std::collections::BTreeSet;

use aws_lambda_events::sqs::SqsBatchResponse;
use serde_json::Value;
use shared::aws::Aws;
use shared::domain::failure::Failure;
use shared::domain::id::AccessKeyId;
use shared::runtime::{self, Function, FunctionError, Invocation, Problem};
use shared::window_watch::WindowWatch;

use batch::Batch;

pub async fn handle(function: Function, invocation: Invocation) -> Result<Value, FunctionError> {
    handle_knowing(async |aws, keys| aws.own_sessions(keys).await, function, invocation).await
}

/// Handles an invocation with another way to tell which keys are of sessions that we opened.
pub async fn handle_knowing<K>(
    own_sessions: K,
    mut function: Function,
    invocation: Invocation,
) -> Result<Value, FunctionError>
where
    K: AsyncFn(&Aws, &BTreeSet<AccessKeyId>) -> Result<BTreeSet<AccessKeyId>, Failure>,
{
    // INVARIANT (never reacts to itself): what it opens is known to be its own before it shows up in any log.
    function.aws = function.aws.remembering_sessions_at_once();
    let messages = runtime::messages_of_queue(&invocation.payload)?;
    let mut batch = Batch::read(&messages, function.aws.now());
    let known = match own_sessions(&function.aws, &batch.keys()).await {
        Ok(own) => WindowWatch::begin(&function.aws, function.settings.tuning).await.map(|windows| (own, windows)),
        Err(failure) => Err(failure),
    };
    // Without knowing our own sessions nothing is done, and all comes again.
    match known {
        Ok((own, windows)) => answer::answer(&function, &invocation, &mut batch, &own, &windows).await,
        Err(failure) => batch.put_off(&Problem::after("StateNotRead", &failure)),
    }
    let mut response = SqsBatchResponse::default();
    for (message, disposition) in messages.iter().zip(batch.dispositions()) {
        function.dispose(message, disposition, &mut response).await;
    }
    runtime::answer(&response)
}
