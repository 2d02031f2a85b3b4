//! The simulated time: the machine's clock plus what a test or the story has skipped.
//!
//! Sessions expire and queues hide messages by this clock, so an hour of retries takes no hour. It never runs backwards.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use time::OffsetDateTime;

/// A clock that everything simulated shares; clones tell the same time.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    skipped: Arc<Mutex<Duration>>,
}

impl Clock {
    pub fn now(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc() + *self.skipped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves the simulated time forward at once.
    pub fn advance(&self, by: Duration) {
        *self.skipped.lock().unwrap_or_else(PoisonError::into_inner) += by;
    }
}
