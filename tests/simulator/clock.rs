//! The simulated time.
//!
//! Sessions expire and queues hide messages by this clock, so an hour of retries takes no hour. It never runs backwards.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use time::OffsetDateTime;
use tokio::time::Instant;

/// A clock that everything simulated shares; clones tell the same time.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    source: Source,
    skipped: Arc<Mutex<Duration>>,
}

#[derive(Clone, Copy, Debug, Default)]
enum Source {
    #[default]
    Machine,
    Runtime {
        began: OffsetDateTime,
        at: Instant,
    },
}

impl Clock {
    /// The machine's clock plus what was skipped: for functions that are processes, which know no other.
    pub fn of_machine() -> Self {
        Self::default()
    }

    /// The clock of tokio's runtime, which tells this date now. Where the runtime's time is paused, time passes only while
    /// everything waits, and then at once: for functions that run in this process.
    pub fn of_runtime(began: OffsetDateTime) -> Self {
        Self { source: Source::Runtime { began, at: Instant::now() }, skipped: Arc::default() }
    }

    pub fn now(&self) -> OffsetDateTime {
        let running = match self.source {
            Source::Machine => machine_time(),
            Source::Runtime { began, at } => began + at.elapsed(),
        };
        running + *self.skipped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves the simulated time forward at once. Nothing may wait for a time meanwhile: it would not notice.
    pub fn advance(&self, by: Duration) {
        *self.skipped.lock().unwrap_or_else(PoisonError::into_inner) += by;
    }

    /// Whether to wait is all it takes for time to pass. By the machine's clock, who waits for nothing else skips it.
    pub(crate) fn is_waited_for(&self) -> bool {
        matches!(self.source, Source::Runtime { .. })
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that asks the machine")]
fn machine_time() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}
