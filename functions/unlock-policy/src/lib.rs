//! `unlock-policy`: a bucket or a queue whose policy locks everyone out gets rid of it.
//!
//! INVARIANT (nothing is lost): the policy lies in the evidence bucket before it is taken away.

mod target;

use serde_json::Value;
use shared::domain::operator_request::UnlockRequest;
use shared::runtime::{self, Function, FunctionError, Invocation};
use tracing::info;

pub async fn handle(mut function: Function, invocation: Invocation) -> Result<Value, FunctionError> {
    // The log shows its session as root within minutes.
    function.aws = function.aws.remembering_sessions_at_once();
    let request = UnlockRequest::parse(&invocation.payload)
        .map_err(|error| FunctionError { error_type: "InvalidRequest", message: error.to_string() })?;
    info!(request_id = invocation.request_id, ?request, "request");
    runtime::answer(&target::unlock(&function, &invocation, &request).await?)
}
