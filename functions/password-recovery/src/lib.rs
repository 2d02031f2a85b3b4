//! `password-recovery`: for a time, the owner of an account may set a new root password; then everything goes again.
//!
//! A window is opened in this order: it is written, so that every function leaves the account alone; its end is scheduled;
//! and only when all have seen it is a login profile created. It is closed in the other order, and the window goes last.
//! Whatever fails on the way, asking again goes on, and a window that is not closed in time is closed by the next audit.

mod window;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsMessage};
use serde_json::Value;
use shared::aws::queue::Rejection;
use shared::domain::operator_answer::Answer;
use shared::domain::operator_request::{InvalidRequest, RecoveryRequest};
use shared::runtime::{self, Disposition, Function, FunctionError, Invocation, Problem};
use tracing::info;

pub async fn handle(mut function: Function, invocation: Invocation) -> Result<Value, FunctionError> {
    // The log shows its sessions as root within minutes.
    function.aws = function.aws.remembering_sessions_at_once();
    let Some(messages) = runtime::messages(&invocation.payload) else {
        let request = RecoveryRequest::parse(&invocation.payload).map_err(invalid)?;
        return runtime::answer(&answer(&function, &invocation, request).await?);
    };
    let mut response = SqsBatchResponse::default();
    for message in &messages? {
        let disposition = end(&function, &invocation, message).await;
        function.dispose(message, disposition, &mut response).await;
    }
    runtime::answer(&response)
}

/// The schedule sends that a window is to end, and nothing else.
async fn end(function: &Function, invocation: &Invocation, message: &SqsMessage) -> Disposition {
    let body = serde_json::from_str(message.body.as_deref().unwrap_or_default()).unwrap_or(Value::Null);
    let request = match RecoveryRequest::parse(&body) {
        Ok(request @ RecoveryRequest::End { .. }) => request,
        Ok(_) => return refused("the queue takes only the ends of windows, invoke the function for anything else"),
        Err(error) => return refused(&error.to_string()),
    };
    match answer(function, invocation, request).await {
        Ok(_) => Disposition::Acknowledge,
        Err(problem) => problem.disposition(message),
    }
}

async fn answer(function: &Function, invocation: &Invocation, request: RecoveryRequest) -> Result<Answer, Problem> {
    info!(request_id = invocation.request_id, ?request, "request");
    match request {
        RecoveryRequest::Open { account, minutes, why } => {
            window::open(function, invocation, &account, minutes, why).await
        }
        RecoveryRequest::Close { account, why } => window::close(function, invocation, &account, &why, None).await,
        RecoveryRequest::End { account, opened, ends } => {
            let why = window::its_time_is_over();
            window::close(function, invocation, &account, &why, Some((opened, ends))).await
        }
        RecoveryRequest::List => window::list(function).await,
    }
}

fn refused(message: &str) -> Disposition {
    Disposition::SetAside(Rejection { error_type: "InvalidRequest", message: message.to_owned() })
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn invalid(error: InvalidRequest) -> FunctionError {
    FunctionError { error_type: "InvalidRequest", message: error.to_string() }
}
