//! SQS standard queues as data. A place holder until the deployment's queues land.

use serde_json::Value;

use crate::api::{Answer, ApiError};
use crate::clock::Clock;

/// The queues of the simulated AWS; clones are the same queues.
#[derive(Clone, Debug)]
pub struct Queues;

impl Queues {
    pub fn new(_clock: Clock) -> Self {
        Self
    }

    pub fn call(&self, operation: &str, _input: &Value) -> Answer {
        Err(ApiError::new("UnsupportedOperation", 400, format!("sqs:{operation} is not simulated")))
    }

    pub fn arn_of(&self, _queue_url: &str) -> Option<String> {
        None
    }
}
