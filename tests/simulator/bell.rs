//! Wakes whoever waits for something to do.

use std::sync::Arc;

use tokio::sync::Notify;

/// A bell that everything rings that leads to something: a message, an event, a schedule. Clones are the same bell.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bell(Arc<Notify>);

impl Bell {
    pub(crate) fn ring(&self) {
        self.0.notify_one();
    }

    /// Returns once it was rung since the last time. There may be only one who listens.
    pub(crate) async fn rung(&self) {
        self.0.notified().await;
    }
}
