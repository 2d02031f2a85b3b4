//! What nobody can foresee of a distributed system: how long calls take, and when, how often and in which order messages
//! and events arrive. A seed chooses it, so the same seed gives the same run.

use std::time::Duration;

use fastrand::Rng;

use super::Aws;

/// How unevenly AWS works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disorder {
    pub seed: u64,
    /// The longest time of most calls, there and back.
    pub latency: Duration,
    /// One call of so many is slow; 0 for none.
    pub slow_one_in: u32,
    /// The longest time of a slow call.
    pub slow: Duration,
    /// One event or message of so many is delivered twice; 0 for none.
    pub twice_one_in: u32,
    /// One event of so many is late; 0 for none.
    pub late_one_in: u32,
    /// How late an event is at most.
    pub late: Duration,
}

/// Chooses. Without a disorder it chooses what is even.
#[derive(Clone, Debug, Default)]
pub(crate) struct Chance(Option<(Disorder, Rng)>);

/// How long a call takes until it is carried out, and until its answer is back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Latency {
    pub(crate) there: Duration,
    pub(crate) back: Duration,
}

impl Chance {
    pub(crate) fn new(disorder: Disorder) -> Self {
        Self(Some((disorder, Rng::with_seed(disorder.seed))))
    }

    /// `None` without a disorder.
    pub(crate) fn latency(&mut self) -> Option<Latency> {
        let (disorder, rng) = self.0.as_mut()?;
        let longest = if one_in(rng, disorder.slow_one_in) { disorder.slow } else { disorder.latency };
        let total = up_to(rng, longest);
        let there = up_to(rng, total);
        Some(Latency { there, back: total.saturating_sub(there) })
    }

    /// How late each delivery of an event is: one of them is enough.
    pub(crate) fn deliveries(&mut self) -> Vec<Duration> {
        let Some((disorder, rng)) = self.0.as_mut() else { return vec![Duration::ZERO] };
        let times = if one_in(rng, disorder.twice_one_in) { 2 } else { 1 };
        let mut late = || if one_in(rng, disorder.late_one_in) { up_to(rng, disorder.late) } else { Duration::ZERO };
        (0..times).map(|_| late()).collect()
    }

    /// Whether a message that is received can be received once more by somebody else.
    pub(crate) fn repeats_message(&mut self) -> bool {
        self.0.as_mut().is_some_and(|(disorder, rng)| one_in(rng, disorder.twice_one_in))
    }

    /// The order in which messages are received.
    pub(crate) fn shuffle<T>(&mut self, messages: &mut [T]) {
        if let Some((_, rng)) = &mut self.0 {
            rng.shuffle(messages);
        }
    }

    /// Some part of the time, for what waits at most that long.
    pub(crate) fn part_of(&mut self, longest: Duration) -> Duration {
        self.0.as_mut().map_or(longest, |(_, rng)| up_to(rng, longest))
    }
}

fn one_in(rng: &mut Rng, number: u32) -> bool {
    number > 0 && rng.u32(0..number) == 0
}

/// In whole milliseconds, which is what timers know.
fn up_to(rng: &mut Rng, longest: Duration) -> Duration {
    Duration::from_millis(rng.u64(0..=u64::try_from(longest.as_millis()).unwrap_or(u64::MAX)))
}

impl Aws {
    /// Works unevenly from now on, as the seed chooses.
    pub fn work_unevenly(&self, disorder: Disorder) {
        let mut world = self.lock();
        world.chance = Chance::new(disorder);
        // Its own choices, so that one does not shift with the other.
        self.queues.work_unevenly(Chance::new(Disorder { seed: disorder.seed.rotate_left(32), ..disorder }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DISORDER: Disorder = Disorder {
        seed: 7,
        latency: Duration::from_millis(20),
        slow_one_in: 10,
        slow: Duration::from_secs(30),
        twice_one_in: 4,
        late_one_in: 3,
        late: Duration::from_mins(5),
    };

    #[test]
    fn a_seed_chooses_the_same_each_time() {
        let chosen = || {
            let mut chance = Chance::new(DISORDER);
            let latencies: Vec<_> = (0..200).map(|_| chance.latency().unwrap()).collect();
            let deliveries: Vec<_> = (0..200).map(|_| chance.deliveries()).collect();
            (latencies, deliveries)
        };
        let (latencies, deliveries) = chosen();
        assert_eq!((latencies.clone(), deliveries.clone()), chosen());
        let total = |latency: &Latency| latency.there + latency.back;
        assert!(latencies.iter().any(|latency| total(latency) > Duration::from_secs(1)));
        assert!(latencies.iter().filter(|latency| total(latency) <= DISORDER.latency).count() > 150);
        assert!(deliveries.iter().any(|times| times.len() == 2));
        assert!(deliveries.iter().flatten().any(|late| *late > Duration::from_mins(1)));
    }

    #[test]
    fn without_a_disorder_everything_is_even() {
        let mut chance = Chance::default();
        assert_eq!(chance.latency(), None);
        assert_eq!(chance.deliveries(), [Duration::ZERO]);
        assert!(!chance.repeats_message());
        let mut messages = [1, 2, 3];
        chance.shuffle(&mut messages);
        assert_eq!(messages, [1, 2, 3]);
    }
}
