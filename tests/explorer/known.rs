//! What once broke a promise: scenarios that must hold now, and those that still break one.
//!
//! `corpus/` has the first: they are replayed for ever. `broken/` has the second, by the name of the promise. It may only
//! shrink: a scenario that holds moves to the corpus.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::play::play;
use crate::promises::{Promise, check};
use crate::scenario::Scenario;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/explorer");

/// A scenario that is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) promise: Promise,
    /// How it breaks, or broke, the promise.
    pub(crate) why: String,
    pub(crate) scenario: Scenario,
}

/// The promises that are known to be broken.
pub(crate) fn broken_promises() -> BTreeSet<Promise> {
    kept("broken").into_iter().map(|(_, kept)| kept.promise).collect()
}

/// Replays all of them. Returns whether each is as it should be.
pub(crate) fn replay() -> bool {
    let broken = kept("broken");
    let corpus = kept("corpus");
    let mut is_as_it_should_be = true;
    for (path, Kept { promise, scenario, .. }) in &corpus {
        let known = broken_promises();
        let found = check(scenario, &play(scenario));
        for broken in found.iter().filter(|broken| broken.promise == *promise || !known.contains(&broken.promise)) {
            println!("{} breaks a promise again: {broken}", path.display());
            is_as_it_should_be = false;
        }
    }
    for (path, Kept { promise, why, scenario }) in &broken {
        println!("known to be broken: {promise:?}: {why}");
        if !check(scenario, &play(scenario)).iter().any(|broken| broken.promise == *promise) {
            println!("{} holds now: move it to tests/explorer/corpus", path.display());
            is_as_it_should_be = false;
        }
    }
    println!("{} scenarios that once broke a promise were replayed, {} still break one", corpus.len(), broken.len());
    is_as_it_should_be
}

fn kept(folder: &str) -> Vec<(PathBuf, Kept)> {
    let folder = Path::new(FOLDER).join(folder);
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("a file");
        let kept = serde_json::from_str(&text);
        let kept = kept.unwrap_or_else(|error| panic!("{} is no scenario: {error}", path.display()));
        (path, kept)
    };
    paths.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "json")).map(read).collect()
}
