//! Putting events on the bus: the one way in which Unroot tells anyone anything.

use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use serde::Serialize;

use super::Aws;
use super::api_failure::{failed, unreadable};
use crate::domain::alert::{DetailType, SOURCE};
use crate::domain::failure::{Cause, Failure};

/// As many entries as one `PutEvents` takes
/// (<https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html>).
const ENTRIES: usize = 10;

const OPERATION: &str = "events:PutEvents";

/// An event as it is put on the bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutgoingEvent {
    detail_type: DetailType,
    detail: String,
}

impl OutgoingEvent {
    pub fn new(detail_type: DetailType, detail: &impl Serialize) -> Result<Self, Failure> {
        let unwritable = |error: serde_json::Error| {
            Failure::observed(Cause::RejectedRequest, OPERATION, format!("the event cannot be written: {error}"))
        };
        Ok(Self { detail_type, detail: serde_json::to_string(detail).map_err(unwritable)? })
    }
}

/// What became of events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// How many of them, from the first on, the bus has taken.
    pub taken: usize,
    /// Why it has not taken the next one, or is not known to.
    pub failure: Option<Failure>,
}

impl Aws {
    /// Puts the events on the bus, in order, and stops at the first that the bus does not take in a few tries.
    pub async fn put_events(&self, events: &[OutgoingEvent]) -> Sent {
        let mut taken = 0;
        let mut waits = self.patience.waits();
        while let Some(next) = events.get(taken..).filter(|next| !next.is_empty()) {
            match self.put_entries(next.get(..ENTRIES).unwrap_or(next)).await {
                Ok(Sent { taken: more, failure: None }) => taken += more,
                Ok(Sent { taken: more, failure }) => {
                    taken += more;
                    match waits.next() {
                        Some(wait) => tokio::time::sleep(wait).await,
                        None => return Sent { taken, failure },
                    }
                }
                Err(failure) => return Sent { taken, failure: Some(failure) },
            }
        }
        Sent { taken, failure: None }
    }

    async fn put_entries(&self, events: &[OutgoingEvent]) -> Result<Sent, Failure> {
        let entries = events.iter().map(|event| {
            PutEventsRequestEntry::builder()
                .event_bus_name(self.stores.event_bus.as_str())
                .source(SOURCE)
                .detail_type(event.detail_type.as_str())
                .detail(&event.detail)
                .build()
        });
        let answer = self.eventbridge.put_events().set_entries(Some(entries.collect())).send().await;
        let results = answer.map_err(failed(OPERATION))?.entries.unwrap_or_default();
        if results.len() != events.len() {
            return Err(unreadable(OPERATION, "not one entry in the answer for each event"));
        }
        // What was taken after one that was not is sent again: rarely, and with the same id.
        let taken = results.iter().take_while(|entry| entry.event_id().is_some()).count();
        let failure = results.get(taken).map(|refused| {
            let (code, message) = (refused.error_code().unwrap_or("no code"), refused.error_message());
            let message = format!("an event was not taken: {code}: {}", message.unwrap_or("no message"));
            Failure::observed(Cause::Transient, OPERATION, message)
        });
        Ok(Sent { taken, failure })
    }
}
