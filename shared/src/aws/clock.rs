//! The wall clock that the functions are given.

use aws_smithy_async::time::SharedTimeSource;
use time::OffsetDateTime;

/// Tells the date and time to everything that Unroot does: one clock signs the requests and dates the records.
///
/// Nothing else may ask the system (`.clippy.toml`), so that whoever gives the clock decides what time it is. How long
/// something takes is measured with `tokio::time::Instant`.
#[derive(Clone, Debug, Default)]
pub struct Clock(SharedTimeSource);

impl Clock {
    pub(super) fn new(source: SharedTimeSource) -> Self {
        Self(source)
    }

    pub fn now(&self) -> OffsetDateTime {
        self.0.now().into()
    }
}
