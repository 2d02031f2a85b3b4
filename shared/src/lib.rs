//! What Unroot's functions share: the domain, the events, the calls to AWS, and the wiring of a Lambda function.
//!
//! Architecture: functions -> `runtime`, `config`, `telemetry`, `metrics`, `examine`, `recorder` -> `aws` -> `domain`. Only
//! `aws` names an AWS SDK crate; `domain` is a crate of its own, which could not do anything but decide; `evidence` turns an
//! audit into its files; `events` turns
//! untrusted JSON into domain values.

pub mod aws;
pub mod config;
pub mod events;
pub mod evidence;
pub mod examine;
pub mod metrics;
pub mod recorder;
pub mod runtime;
pub mod telemetry;
pub mod window_watch;

pub use domain;
