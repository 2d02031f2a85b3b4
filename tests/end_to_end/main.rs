//! The end-to-end tests: the functions, deployed by the real template, in a simulated organization.
//!
//! Most run in this process and on simulated time, so they are the same in each run and take no notice of the machine.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics says why"
)]

mod account_joined;
mod alerts;
mod documents;
mod event_patterns;
mod evidence;
mod fault_sweep;
#[path = "../in_process/mod.rs"]
mod in_process;
mod mail;
mod metrics;
mod observations;
mod password_recovery;
mod processes;
mod promises;
mod raw_client;
mod request_sweep;
mod roles;
mod root_activity;
mod root_activity_loop;
mod scheduled_audit;
mod schemas;
mod stage;
mod state;
mod store;
mod story;
mod template;
mod unlock_policy;
