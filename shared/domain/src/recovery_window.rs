//! Recovery windows: the time in which the owner of an account may set a new root password, and in which the account is
//! left alone.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::id::AccountId;

/// A window, as it is kept while it is open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecoveryWindow {
    pub account_id: AccountId,
    #[serde(with = "time::serde::rfc3339")]
    pub opened: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub ends: OffsetDateTime,
    pub reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
}

/// All the windows of the organization that nobody has closed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryWindows(BTreeMap<AccountId, RecoveryWindow>);

impl RecoveryWindows {
    /// The windows that nobody has closed, in the order of their accounts.
    pub fn all(&self) -> impl Iterator<Item = &RecoveryWindow> {
        self.0.values()
    }

    /// The window of an account, open or overdue.
    pub fn of(&self, account: &AccountId) -> Option<&RecoveryWindow> {
        self.0.get(account)
    }

    /// The window of an account whose end has passed, and that nobody has closed.
    pub fn overdue(&self, account: &AccountId, now: OffsetDateTime) -> Option<&RecoveryWindow> {
        self.of(account).filter(|window| window.ends <= now)
    }

    /// The window in which the account is at the moment. One whose end has passed protects nothing any more, whether it
    /// was closed or not.
    pub fn open(&self, account: &AccountId, now: OffsetDateTime) -> Option<&RecoveryWindow> {
        self.0.get(account).filter(|window| now < window.ends)
    }
}

impl FromIterator<RecoveryWindow> for RecoveryWindows {
    fn from_iter<I: IntoIterator<Item = RecoveryWindow>>(windows: I) -> Self {
        Self(windows.into_iter().map(|window| (window.account_id.clone(), window)).collect())
    }
}
