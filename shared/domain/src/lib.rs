//! What Unroot knows and decides, as values and pure functions.
//!
//! Nothing here does input or output, reads a clock or names an AWS SDK crate: a decision that can be taken here can be
//! tested in a table.

pub mod account;
pub mod alert;
pub mod audit_history;
pub mod comparison;
pub mod credentials;
pub mod failure;
pub mod id;
pub mod lock_out;
pub mod notification;
pub mod operator_answer;
pub mod operator_request;
pub mod plan;
pub mod posture;
pub mod record;
pub mod recovery_window;
pub mod request;
pub mod root_activity;
pub mod scope;
pub mod task;
pub mod trigger;
