//! Plays run after run, on all cores, until a promise is broken that nobody knows to be broken, or enough was played.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use crate::command_of;
use crate::known::broken_promises;
use crate::options::{Amount, Limit};
use crate::play::{Figures, play};
use crate::promises::{Broken, Promise, check};
use crate::report;
use crate::scenario::Scenario;

#[derive(Debug, Default)]
struct Found {
    runs: u64,
    figures: Figures,
    /// How often a promise was broken of which that is known.
    known: BTreeMap<Promise, u64>,
    /// The first run that broke another one.
    failure: Option<(Scenario, Vec<Broken>)>,
}

/// Returns whether all promises hold that are not known to be broken.
pub(crate) fn explore(amount: Amount) -> bool {
    let first = amount.from.unwrap_or_else(|| fastrand::u64(0..1 << 40));
    let known = broken_promises();
    let next = AtomicU64::new(first);
    let is_over = AtomicBool::new(false);
    let found = Mutex::new(Found::default());
    let began = began();
    println!("exploring from seed {first}");
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let is_enough = match amount.limit {
                        Limit::Runs(runs) => seed - first >= runs,
                        Limit::Time(time) => began.elapsed() >= time,
                    };
                    if is_enough {
                        return;
                    }
                    let scenario = Scenario::of(seed);
                    let (figures, broken) = run(&scenario);
                    let mut found = found.lock().expect("no thread panics with it");
                    found.runs += 1;
                    found.figures.add(figures);
                    for broken in broken.iter().filter(|broken| known.contains(&broken.promise)) {
                        *found.known.entry(broken.promise).or_default() += 1;
                    }
                    if broken.iter().any(|broken| !known.contains(&broken.promise)) {
                        is_over.store(true, Ordering::Relaxed);
                        found.failure.get_or_insert((scenario, broken));
                    }
                }
            });
        }
    });
    let found = found.into_inner().expect("no thread panicked with it");
    report::figures(found.runs, found.figures, &found.known, found.failure.is_some());
    let Some((scenario, broken)) = found.failure else { return true };
    println!("\na promise is broken; to see the run: {}", command_of(&scenario));
    for broken in &broken {
        println!("  {broken}");
    }
    report::shrink(&scenario);
    false
}

/// Plays it. A run that panics breaks a promise as well.
fn run(scenario: &Scenario) -> (Figures, Vec<Broken>) {
    let played = catch_unwind(AssertUnwindSafe(|| {
        let played = play(scenario);
        let broken = check(scenario, &played);
        (played.figures, broken)
    }));
    played.unwrap_or_else(|_| {
        let what = format!("the run panicked: {}", command_of(scenario));
        (Figures::default(), vec![Broken { promise: Promise::NothingIsLost, what }])
    })
}

#[expect(clippy::disallowed_methods, reason = "how long it explores decides nothing about what holds")]
fn began() -> Instant {
    Instant::now()
}

impl Figures {
    fn add(&mut self, more: Self) {
        self.calls += more.calls;
        self.faults_hit += more.faults_hit;
        self.accidents += more.accidents;
        self.invocations += more.invocations;
        self.simulated_seconds += more.simulated_seconds;
    }
}
