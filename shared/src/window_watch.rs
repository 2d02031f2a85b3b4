//! The recovery windows as they are, or were a moment ago.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::aws::Aws;
use crate::config::Tuning;
use crate::domain::failure::Failure;
use crate::domain::recovery_window::RecoveryWindows;

/// Reads the windows when they are asked for, and not more often than is needed.
#[derive(Debug)]
pub struct WindowWatch {
    aws: Aws,
    seen_within: Duration,
    last: Mutex<(Instant, RecoveryWindows)>,
}

impl WindowWatch {
    /// Reads them for the first time, and then again when a reading is too old.
    pub async fn begin(aws: &Aws, tuning: Tuning) -> Result<Self, Failure> {
        let (at, windows) = (Instant::now(), aws.recovery_windows().await?);
        Ok(Self { aws: aws.clone(), seen_within: tuning.windows_are_seen_within(), last: Mutex::new((at, windows)) })
    }

    /// The windows as they were at most a few seconds ago.
    pub async fn current(&self) -> Result<RecoveryWindows, Failure> {
        let mut last = self.last.lock().await;
        if last.0.elapsed() >= self.seen_within {
            *last = (Instant::now(), self.aws.recovery_windows().await?);
        }
        Ok(last.1.clone())
    }
}
