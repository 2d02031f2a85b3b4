//! The services: how each is reached, and how each words the errors that all of them have.

use serde_json::Value;

use super::World;
use super::call::Call;
use super::{dynamodb, events, iam, organizations, s3, scheduler, sqs, sts};
use crate::api::{Answer, ApiError};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Service {
    Sts,
    Iam,
    Organizations,
    Sqs,
    Events,
    DynamoDb,
    S3,
    Scheduler,
}

/// How calls and answers look on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// Form in, XML out, in this namespace.
    Query { namespace: &'static str },
    /// JSON both ways; the operation is in `X-Amz-Target`.
    Json { content_type: &'static str },
    /// S3's own: the operation is in the method, the path and the query; its members are there and in headers and bodies.
    Rest,
    /// The operation is in the method and the path, its members there, in the query and in a JSON body.
    RestJson,
}

/// An operation that is simulated.
pub(crate) struct Operation {
    pub(crate) name: &'static str,
    pub(crate) effect: Effect,
    pub(crate) handler: fn(&mut World, &Call) -> Answer,
}

/// What an operation does to the world. Messages that pass through a queue do not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Reads,
    /// It writes data: items and objects, and what holds them. That is nobody's credentials.
    Writes,
    /// It changes accounts or the organization.
    Changes,
}

pub(crate) const fn reads(name: &'static str, handler: fn(&mut World, &Call) -> Answer) -> Operation {
    Operation { name, effect: Effect::Reads, handler }
}

pub(crate) const fn writes(name: &'static str, handler: fn(&mut World, &Call) -> Answer) -> Operation {
    Operation { name, effect: Effect::Writes, handler }
}

pub(crate) const fn changes(name: &'static str, handler: fn(&mut World, &Call) -> Answer) -> Operation {
    Operation { name, effect: Effect::Changes, handler }
}

impl Service {
    /// By the name in a signature's credential scope, which is also the prefix of the service's IAM actions.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        let global = [Self::Sts, Self::Iam, Self::Organizations];
        let regional = [Self::Sqs, Self::Events, Self::DynamoDb, Self::S3, Self::Scheduler];
        global.into_iter().chain(regional).find(|service| service.name() == name)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sts => "sts",
            Self::Iam => "iam",
            Self::Organizations => "organizations",
            Self::Sqs => "sqs",
            Self::Events => "events",
            Self::DynamoDb => "dynamodb",
            Self::S3 => "s3",
            Self::Scheduler => "scheduler",
        }
    }

    /// The Region that serves a call which was signed for another. IAM and Organizations are in us-east-1 only; AWS
    /// refuses other Regions, but a client whose endpoint is overridden no longer knows that and signs for its own.
    pub(crate) fn region(self, signed_for: &str) -> &str {
        match self {
            Self::Sts | Self::Sqs | Self::Events | Self::DynamoDb | Self::S3 | Self::Scheduler => signed_for,
            Self::Iam | Self::Organizations => "us-east-1",
        }
    }

    pub(crate) fn protocol(self) -> Protocol {
        match self {
            Self::Sts => Protocol::Query { namespace: "https://sts.amazonaws.com/doc/2011-06-15/" },
            Self::Iam => Protocol::Query { namespace: "https://iam.amazonaws.com/doc/2010-05-08/" },
            Self::Organizations | Self::Events => Protocol::Json { content_type: "application/x-amz-json-1.1" },
            Self::Sqs | Self::DynamoDb => Protocol::Json { content_type: "application/x-amz-json-1.0" },
            Self::S3 => Protocol::Rest,
            Self::Scheduler => Protocol::RestJson,
        }
    }

    pub(crate) fn operations(self) -> &'static [Operation] {
        match self {
            Self::Sts => sts::OPERATIONS,
            Self::Iam => iam::OPERATIONS,
            Self::Organizations => organizations::OPERATIONS,
            Self::Sqs => sqs::OPERATIONS,
            Self::Scheduler => scheduler::OPERATIONS,
            Self::Events => events::OPERATIONS,
            Self::DynamoDb => dynamodb::OPERATIONS,
            Self::S3 => s3::OPERATIONS,
        }
    }

    pub(crate) fn operation(self, name: &str) -> Option<&'static Operation> {
        self.operations().iter().find(|operation| operation.name == name)
    }

    pub(crate) fn effect(self, operation: &str) -> Effect {
        self.operation(operation).map_or(Effect::Reads, |operation| operation.effect)
    }

    pub(crate) fn access_denied(self, message: impl Into<String>) -> ApiError {
        match self.protocol() {
            Protocol::Query { .. } | Protocol::Rest => ApiError::new("AccessDenied", 403, message),
            // As from the times before it spoke JSON: <https://github.com/aws/serverless-application-model/issues/3633>
            Protocol::Json { .. } if self == Self::Sqs => ApiError::new("AccessDenied", 403, message),
            Protocol::Json { .. } => ApiError::new("AccessDeniedException", 400, message),
            Protocol::RestJson => ApiError::new("AccessDeniedException", 403, message),
        }
    }

    /// Input that the API model does not allow.
    pub(crate) fn invalid_input(self, message: impl Into<String>) -> ApiError {
        match self.protocol() {
            Protocol::Query { .. } => ApiError::new("ValidationError", 400, message),
            Protocol::Json { .. } | Protocol::RestJson => ApiError::new("ValidationException", 400, message),
            Protocol::Rest => ApiError::new("InvalidArgument", 400, message),
        }
    }

    pub(crate) fn unknown_operation(self, operation: &str) -> ApiError {
        let message = format!("Could not find operation {operation}: {} does not simulate it", self.name());
        match self.protocol() {
            Protocol::Query { .. } => ApiError::new("InvalidAction", 400, message),
            Protocol::Json { .. } => ApiError::new("UnknownOperationException", 400, message),
            Protocol::RestJson => ApiError::new("UnknownOperationException", 404, message),
            Protocol::Rest => ApiError::new("NotImplemented", 501, message),
        }
    }

    pub(crate) fn throttled(self) -> ApiError {
        match self {
            Self::Sts | Self::Iam => ApiError::new("Throttling", 400, "Rate exceeded"),
            Self::Organizations => ApiError::new(
                "TooManyRequestsException",
                400,
                "AWS Organizations can't complete your request because \
                     another request is already in progress. Try again later.",
            ),
            Self::Sqs => ApiError::new("RequestThrottled", 400, "Rate exceeded"),
            Self::Events => ApiError::new("ThrottlingException", 400, "Rate exceeded"),
            Self::DynamoDb => {
                ApiError::new("ThrottlingException", 400, "Rate of requests exceeds the allowed throughput.")
            }
            Self::Scheduler => ApiError::new("ThrottlingException", 429, "Rate exceeded"),
            Self::S3 => ApiError::new("SlowDown", 503, "Please reduce your request rate."),
        }
    }

    pub(crate) fn internal_error(self) -> ApiError {
        match self {
            Self::Iam => ApiError::new(
                "ServiceFailure",
                500,
                "The request processing has failed because of an unknown \
                 error, exception or failure.",
            ),
            Self::Organizations => ApiError::new(
                "ServiceException",
                500,
                "AWS Organizations can't complete your \
                 request because of an internal service error. Try again later.",
            ),
            // The API reference of EventBridge has `InternalException` for it, without a text.
            Self::Events => ApiError::new("InternalException", 500, "This exception occurs due to unexpected causes."),
            Self::DynamoDb => ApiError::new("InternalServerError", 500, "Internal server error"),
            // Of its `InternalServerException` no text is known.
            Self::Scheduler => ApiError::new("InternalServerException", 500, "Unexpected error encountered."),
            Self::S3 => ApiError::new("InternalError", 500, "We encountered an internal error. Please try again."),
            Self::Sts | Self::Sqs => ApiError::new(
                "InternalFailure",
                500,
                "The request processing has failed because \
                 of an unknown error, exception or failure.",
            ),
        }
    }

    pub(crate) fn invalid_token(self) -> ApiError {
        let (code, status) = match (self, self.protocol()) {
            (Self::DynamoDb, _) => ("UnrecognizedClientException", 400),
            (_, Protocol::Json { .. } | Protocol::RestJson) => ("UnrecognizedClientException", 403),
            (_, Protocol::Query { .. }) => ("InvalidClientTokenId", 403),
            (_, Protocol::Rest) => {
                let message = "The AWS Access Key Id you provided does not exist in our records.";
                return ApiError::new("InvalidAccessKeyId", 403, message);
            }
        };
        ApiError::new(code, status, "The security token included in the request is invalid.")
    }

    pub(crate) fn expired_token(self) -> ApiError {
        let (code, status) = match (self, self.protocol()) {
            (Self::DynamoDb, _) => ("ExpiredTokenException", 400),
            (_, Protocol::Json { .. } | Protocol::RestJson) => ("ExpiredTokenException", 403),
            (_, Protocol::Query { .. }) => ("ExpiredToken", 403),
            (_, Protocol::Rest) => return ApiError::new("ExpiredToken", 400, "The provided token has expired."),
        };
        ApiError::new(code, status, "The security token included in the request is expired")
    }

    pub(crate) fn signature_mismatch(self) -> ApiError {
        let code = match self.protocol() {
            Protocol::Query { .. } | Protocol::Rest => "SignatureDoesNotMatch",
            Protocol::Json { .. } | Protocol::RestJson => "InvalidSignatureException",
        };
        ApiError::new(
            code,
            if self == Self::DynamoDb { 400 } else { 403 },
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret \
             Access Key and signing method. Consult the service documentation for details.",
        )
    }
}

/// A call that no signature introduces, or whose signature cannot be read: nobody knows yet which service it is for.
pub(crate) fn unsigned() -> ApiError {
    ApiError::new("MissingAuthenticationToken", 403, "Request is missing Authentication Token")
}

/// What the simulator does not have, in words that cannot be taken for AWS's.
pub(crate) fn not_simulated(what: impl std::fmt::Display) -> ApiError {
    ApiError::new("NotSimulated", 501, format!("the simulator does not have {what}"))
}

/// The output of an operation that has none.
pub(crate) fn nothing() -> Value {
    Value::Null
}
