//! A simulated AWS organization: the slice of AWS that Unroot uses, over the real wire protocols, on loopback.
//!
//! Its truth is what real AWS was recorded to answer (`tests/fixtures/observations.json`), never what makes a test
//! pass. It imports nothing of the `shared` crate: an oracle must not share our bugs. What it does not know it answers
//! with an error that names it, never with an empty success.

pub mod api;
pub mod aws;
mod bell;
pub mod binaries;
pub mod clock;
pub mod deployment;
pub mod event_buses;
pub mod event_pattern;
mod history;
pub mod lambda;
pub mod metrics;
pub mod organization;
pub mod policy;
pub mod queues;
pub mod template;
pub mod topics;
