//! What Unroot's functions share: the domain, the events, the calls to AWS, and the wiring of a Lambda function.
//!
//! Architecture: functions -> `runtime`, `config`, `telemetry`, `examine` -> `aws` -> `domain`. Only `aws` names an AWS
//! SDK crate; `domain` is pure; `events` turns untrusted JSON into domain values.

pub mod aws;
pub mod config;
pub mod domain;
pub mod events;
pub mod examine;
pub mod runtime;
pub mod telemetry;
