//! Explores what can happen: functions side by side, messages late and twice, crashes, faults, intruders and operators, all
//! on simulated time and in an order that a seed chooses. After each run all promises are held against it.
//!
//! `cargo test --test explorer` replays what once broke a promise and explores for twenty seconds with new seeds.
//! `cargo test --test explorer -- --help` names the other uses.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test that says what it found"
)]

mod explore;
#[path = "../in_process/mod.rs"]
mod in_process;
mod known;
mod options;
mod play;
mod promises;
mod report;
mod scenario;
mod shrink;

use std::process::ExitCode;

use options::{Command, Options};
use scenario::Scenario;

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(problem) => {
            println!("{problem}");
            return ExitCode::FAILURE;
        }
    };
    let holds = match &options.command {
        Command::Help => {
            println!("{}", options::HELP);
            true
        }
        Command::List => {
            println!("explorer: test");
            true
        }
        Command::Skip => true,
        Command::Replay(scenario) => report::replay(scenario),
        Command::Shrink(scenario) => report::shrink(scenario),
        Command::Test(amount) => {
            let is_known_as_it_is = known::replay();
            report::repeats() && explore::explore(*amount) && is_known_as_it_is
        }
    };
    if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What `--seed` repeats.
fn command_of(scenario: &Scenario) -> String {
    format!("cargo test --test explorer -- --seed {}", scenario.seed)
}
