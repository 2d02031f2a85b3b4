//! The root sessions that this process opened and that are not yet remembered.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Aws;
use super::state::{BATCH, RememberedSession};
use crate::domain::failure::Failure;

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

/// When root sessions are remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remembers {
    /// Within seconds, many at once.
    InBatches,
    /// Before anything is done in them.
    AtOnce,
}

impl Aws {
    /// The same clients, for who must not open a session that nobody knows to be ours: one that cannot be remembered is
    /// not used, so no log ever shows it.
    #[must_use]
    pub fn remembering_sessions_at_once(&self) -> Self {
        Self { remembers: Remembers::AtOnce, ..self.clone() }
    }

    /// Remembers the session that was just opened, if it is to be used only then.
    pub(super) async fn remember_opened(&self, session: RememberedSession) -> Result<(), Failure> {
        self.opened_sessions.add(session.clone());
        match self.remembers {
            Remembers::InBatches => Ok(()),
            Remembers::AtOnce => {
                let session = [session];
                self.write_sessions(&session).await?;
                self.forget_opened_sessions(&session);
                Ok(())
            }
        }
    }

    /// Remembers the sessions that are not yet remembered, in batches of at least so many.
    pub async fn remember_opened_sessions(&self, least: usize) -> Result<(), Failure> {
        loop {
            let sessions = self.opened_sessions(BATCH);
            if sessions.len() < least.max(1) {
                return Ok(());
            }
            self.write_sessions(&sessions).await?;
            self.forget_opened_sessions(&sessions);
        }
    }

    fn opened_sessions(&self, most: usize) -> Vec<RememberedSession> {
        self.opened_sessions.lock().iter().take(most).cloned().collect()
    }

    fn forget_opened_sessions(&self, remembered: &[RememberedSession]) {
        self.opened_sessions.lock().retain(|session| !remembered.contains(session));
    }
}
