//! What every simulated service speaks: a call with AWS's own member names in, an output or an error out.
//!
//! Input and output are JSON with the member names of the service's API model; turning them into the query, JSON or
//! REST protocol is the server's business, so a service is a plain function over values.

use std::collections::BTreeMap;

use serde_json::Value;

/// An error as AWS answers it: the code and message on the wire, and the HTTP status.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code} ({status}): {message}")]
pub struct ApiError {
    pub code: String,
    pub status: u16,
    pub message: String,
    /// What some exceptions carry besides the message: the `Reason` of Organizations, the `CancellationReasons` of
    /// DynamoDB, the `Key` of S3.
    pub members: BTreeMap<String, Value>,
}

impl ApiError {
    pub fn new(code: &str, status: u16, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), status, message: message.into(), members: BTreeMap::new() }
    }

    #[must_use]
    pub fn with_member(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.members.insert(name.to_owned(), value.into());
        self
    }
}

/// The output members of a call that succeeded, or AWS's error.
pub type Answer = Result<Value, ApiError>;
