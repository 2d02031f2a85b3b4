//! The command line: its own, and as far as `cargo test` and `cargo nextest` use one.

use std::path::PathBuf;
use std::time::Duration;

use crate::scenario::Scenario;

pub(crate) const HELP: &str = "\
Explores what can happen to Unroot in a simulated organization, and holds all promises against each run.

cargo test --test explorer                        replays what is known, and explores for 20 seconds
cargo test --test explorer -- --seconds 300       the same for longer
cargo test --test explorer -- --runs 1000000      the same for so many runs
cargo test --test explorer -- --from 7            the same, beginning with this seed
cargo test --test explorer -- --seed 7            plays one run, and shows everything in it
cargo test --test explorer -- --file FILE         plays the scenario in a file
cargo test --test explorer -- --shrink FILE       leaves out what a failure does not need; a seed will do, too";

/// How long the test command explores.
const SECONDS: u64 = 20;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Options {
    pub(crate) command: Command,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Command {
    Help,
    /// `cargo nextest` asks for the names of the tests.
    List,
    /// A filter of `cargo test` names another test.
    Skip,
    Replay(Scenario),
    Shrink(Scenario),
    Test(Amount),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Amount {
    /// The first seed; `None` for a new one each time.
    pub(crate) from: Option<u64>,
    pub(crate) limit: Limit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    Runs(u64),
    Time(Duration),
}

impl Options {
    /// Reads the arguments; an error says which one is wrong.
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut command = None;
        let mut amount = Amount { from: None, limit: Limit::Time(Duration::from_secs(SECONDS)) };
        let mut filters = Vec::new();
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("`{argument}` needs a value\n\n{HELP}"));
            match argument.as_str() {
                "--help" | "-h" => command = Some(Command::Help),
                "--list" => command = Some(Command::List),
                // There is nothing that is ignored.
                "--ignored" => command = Some(Command::Skip),
                "--seed" => command = Some(Command::Replay(Scenario::of(number(&argument, &value()?)?))),
                "--file" => command = Some(Command::Replay(read(&value()?)?)),
                "--shrink" => {
                    let value = value()?;
                    let scenario = value.parse().map_or_else(|_| read(&value), |seed| Ok(Scenario::of(seed)));
                    command = Some(Command::Shrink(scenario?));
                }
                "--from" => amount.from = Some(number(&argument, &value()?)?),
                "--runs" => amount.limit = Limit::Runs(number(&argument, &value()?)?),
                "--seconds" => amount.limit = Limit::Time(Duration::from_secs(number(&argument, &value()?)?)),
                // Of libtest, with a value.
                "--test-threads" | "--format" | "--skip" | "--color" | "--logfile" => drop(value()?),
                other if other.starts_with('-') => {}
                filter => filters.push(filter.to_owned()),
            }
        }
        let is_meant = filters.is_empty() || filters.iter().any(|filter| "explorer".contains(filter.as_str()));
        let command = command.unwrap_or(if is_meant { Command::Test(amount) } else { Command::Skip });
        Ok(Self { command })
    }
}

fn number(name: &str, text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("`{name}` is `{text}`: use a whole number\n\n{HELP}"))
}

fn read(path: &str) -> Result<Scenario, String> {
    let text = std::fs::read_to_string(PathBuf::from(path)).map_err(|error| format!("`{path}`: {error}"))?;
    serde_json::from_str(&text).map_err(|error| format!("`{path}` is no scenario: {error}"))
}
