//! From the SDK's errors to an `ApiFailure`, which the domain classifies.

use aws_sdk_sts::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sts::operation::RequestId;
use aws_smithy_runtime_api::http::Response;

use crate::domain::failure::{ApiFailure, ApiFailureKind, Cause, Failure};

/// Classifies what the SDK returned for the operation, for `map_err`.
pub(super) fn failed<E>(operation: &'static str) -> impl Fn(SdkError<E, Response>) -> Failure
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    move |error| Failure::from(api_failure(operation, &error))
}

/// An answer without what the API promises.
pub(super) fn unreadable(operation: &'static str, problem: &str) -> Failure {
    Failure::observed(Cause::UnreadableAnswer, operation, problem)
}

/// INVARIANT (secrets stay inside): an answer that cannot be read is described in fixed words. The SDK's own description
/// of it shows the whole answer, and that of `AssumeRoot` holds credentials.
fn api_failure<E>(operation: &'static str, error: &SdkError<E, Response>) -> ApiFailure
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let unreadable = || (ApiFailureKind::UnreadableAnswer, "the answer could not be read".to_owned());
    let (kind, message) = match error {
        // The SDK also takes an answer for an error that says success and cannot be read.
        SdkError::ServiceError(context) if context.raw().status().is_success() => unreadable(),
        SdkError::ServiceError(context) => {
            let code = context.err().code().unwrap_or_default().to_owned();
            let status = context.raw().status().as_u16();
            let message = context.err().message().unwrap_or("no message").to_owned();
            (ApiFailureKind::Answer { code, status }, message)
        }
        SdkError::ResponseError(_) => unreadable(),
        SdkError::ConstructionFailure(_) => (ApiFailureKind::NotSent, chain(error)),
        // No answer in time, no connection, and what a later SDK may add: nothing is known of what AWS did.
        SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | _ => (ApiFailureKind::NoAnswer, chain(error)),
    };
    ApiFailure { operation, kind, message, request_id: error.request_id().map(str::to_owned) }
}

/// The error and its sources in their own words, without what they hold.
fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
