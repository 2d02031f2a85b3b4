//! From untrusted JSON to domain values. An event only says where to look; what is done is decided from live state.

pub mod account_joined;
pub mod root_activity;

use aws_lambda_events::eventbridge::EventBridgeEvent;
use serde_json::{Map, Value};

use crate::domain::id::AccountId;

/// An event that cannot be what it says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MalformedEvent {
    #[error("the message is not an EventBridge event: {0}")]
    NotAnEvent(String),
    #[error("`account` is {}, but only the management account {expected} announces accounts", found.as_deref().unwrap_or("missing"))]
    ForeignAccount { found: Option<String>, expected: AccountId },
    #[error("`{field}`: {problem}")]
    Field { field: String, problem: String },
}

/// Reads the event in the body of a message.
fn read(body: &str) -> Result<EventBridgeEvent<Value>, MalformedEvent> {
    let not_an_event = |error: serde_json::Error| MalformedEvent::NotAnEvent(error.to_string());
    // First as an object: serde would also take a list of the fields' values.
    let fields: Map<String, Value> = serde_json::from_str(body).map_err(not_an_event)?;
    serde_json::from_value(fields.into()).map_err(not_an_event)
}

fn missing(field: &str) -> MalformedEvent {
    MalformedEvent::Field { field: field.to_owned(), problem: "missing".to_owned() }
}
