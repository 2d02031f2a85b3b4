//! The root sessions that this process opened and that are not yet remembered.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Aws;
use super::state::RememberedSession;

/// Filled where sessions are opened, emptied where they are remembered: also what an examination opened that was given
/// up is remembered.
#[derive(Clone, Debug, Default)]
pub(super) struct OpenedSessions(Arc<Mutex<Vec<RememberedSession>>>);

impl OpenedSessions {
    pub(super) fn add(&self, session: RememberedSession) {
        self.lock().push(session);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<RememberedSession>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Aws {
    /// Sessions that are not yet remembered, at most so many.
    pub fn opened_sessions(&self, most: usize) -> Vec<RememberedSession> {
        self.opened_sessions.lock().iter().take(most).cloned().collect()
    }

    /// Drops sessions that are remembered now.
    pub fn forget_opened_sessions(&self, remembered: &[RememberedSession]) {
        self.opened_sessions.lock().retain(|session| !remembered.contains(session));
    }
}
