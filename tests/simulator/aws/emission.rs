//! Events on their way to the event buses: AWS emits some at once, and others minutes after what they tell about.
//!
//! What an event says is the business of who schedules it.

use std::collections::BTreeMap;

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::guard_duty::FindingKey;
use super::watch::Delivery;
use super::{Aws, World};

/// What is still to be emitted, by when it is due, and in the order in which it was scheduled.
#[derive(Debug, Default)]
pub(crate) struct Due(BTreeMap<(OffsetDateTime, u64), Emission>);

#[derive(Debug)]
pub(crate) enum Emission {
    Event(Value),
    /// A finding as it is then.
    Finding(FindingKey),
    /// One delivery of an event that was emitted.
    Delivery(Value),
}

impl Aws {
    /// Emits the events whose time has come.
    pub fn emit_due(&self) {
        let now = self.clock.now();
        self.lock().emit_due(now);
    }

    /// When the next event is due, if one is.
    pub fn next_due(&self) -> Option<OffsetDateTime> {
        self.lock().due.0.first_key_value().map(|((at, _), _)| *at)
    }
}

impl World {
    /// Emits an event once or twice, now or late.
    pub(super) fn emit(&mut self, event: &Value, now: OffsetDateTime) {
        let times = match self.watch.as_ref().map(|watch| watch.delivery) {
            Some(Delivery::Twice) => 2,
            Some(Delivery::Once) | None => 1,
        };
        for late in (0..times).flat_map(|_| self.chance.deliveries()).collect::<Vec<_>>() {
            if late.is_zero() {
                self.deliver(event);
            } else {
                self.schedule(now + late, Emission::Delivery(event.clone()));
            }
        }
    }

    fn deliver(&mut self, event: &Value) {
        self.listeners.retain(|listener| listener.send(event.clone()).is_ok());
        self.bell.ring();
    }

    pub(super) fn schedule(&mut self, at: OffsetDateTime, emission: Emission) {
        let number = self.sequence.next("emission");
        self.due.0.insert((at, number), emission);
        self.bell.ring();
    }

    fn emit_due(&mut self, now: OffsetDateTime) {
        while let Some(next) = self.due.0.first_entry() {
            let (at, _) = *next.key();
            if at > now {
                return;
            }
            let event = match next.remove() {
                Emission::Event(event) => Some(event),
                Emission::Finding(key) => self.publish_finding(&key, now),
                Emission::Delivery(event) => {
                    self.deliver(&event);
                    continue;
                }
            };
            if let Some(event) = event {
                self.emit(&event, now);
            }
        }
    }
}

/// Sets a member that the sample has; never adds one.
pub(super) fn replace(object: &mut Value, member: &str, value: impl Into<Value>) {
    if let Some(place) = object.get_mut(member) {
        *place = value.into();
    }
}

/// The same, for a member deeper inside, by its JSON pointer.
pub(super) fn replace_at(object: &mut Value, pointer: &str, value: impl Into<Value>) {
    if let Some(place) = object.pointer_mut(pointer) {
        *place = value.into();
    }
}

/// `2026-11-15T20:52:11Z`.
pub(super) fn seconds(instant: OffsetDateTime) -> String {
    instant.replace_nanosecond(0).unwrap_or(instant).format(&Rfc3339).unwrap_or_default()
}
