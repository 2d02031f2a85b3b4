//! Leaves out of a scenario what breaking its promise does not need.

use crate::play::play;
use crate::promises::{Promise, check};
use crate::scenario::{Deployment, Happening, Leftovers, Pace, Scenario, What};

/// How many orders of things are tried before something is said to be needed: without it everything comes in another.
const ORDERS: u64 = 4;

/// A smaller scenario that breaks the same promise.
pub(crate) fn shrink(scenario: &Scenario, promise: Promise) -> Scenario {
    let mut smallest = scenario.clone();
    loop {
        let smaller = candidates(&smallest).into_iter().find_map(|candidate| still_breaks(&candidate, promise));
        match smaller {
            Some(smaller) => smallest = smaller,
            None => return smallest,
        }
    }
}

/// The scenario, perhaps with another seed, if it breaks the promise.
fn still_breaks(scenario: &Scenario, promise: Promise) -> Option<Scenario> {
    let orders =
        (0..ORDERS).map(|order| Scenario { seed: scenario.seed.wrapping_add(order << 32), ..scenario.clone() });
    orders.into_iter().find(|candidate| breaks(candidate, promise))
}

pub(crate) fn breaks(scenario: &Scenario, promise: Promise) -> bool {
    check(scenario, &play(scenario)).iter().any(|broken| broken.promise == promise)
}

fn an_invocation_earlier(happening: &Happening) -> Happening {
    let mut happening = happening.clone();
    if let What::Accident { invocation, .. } = &mut happening.what {
        *invocation = invocation.saturating_sub(1).max(1);
    }
    happening
}

/// The scenarios with one thing less, those that leave out most first.
fn candidates(scenario: &Scenario) -> Vec<Scenario> {
    let mut candidates = Vec::new();
    let happenings = &scenario.happenings;
    let half = happenings.len() / 2;
    if half > 1 {
        for part in [&happenings[..half], &happenings[half..]] {
            candidates.push(Scenario { happenings: part.to_vec(), ..scenario.clone() });
        }
    }
    for left_out in 0..happenings.len() {
        let mut happenings = happenings.clone();
        happenings.remove(left_out);
        // Without an invocation the later ones have other numbers.
        let earlier = happenings.iter().map(an_invocation_earlier).collect();
        candidates.push(Scenario { happenings: earlier, ..scenario.clone() });
        candidates.push(Scenario { happenings, ..scenario.clone() });
    }
    let simpler = [
        Scenario { pace: Pace::Even, ..scenario.clone() },
        Scenario { shop: Leftovers::Nothing, ..scenario.clone() },
        Scenario { is_watched: false, ..scenario.clone() },
        Scenario { deployment: Deployment::Enforce, ..scenario.clone() },
    ];
    candidates.extend(simpler.into_iter().filter(|simpler| simpler != scenario));
    candidates
}
