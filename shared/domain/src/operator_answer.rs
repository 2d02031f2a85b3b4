//! What an operator is answered: what was done, what was read afterwards, and what to do next. Its JSON is an interface,
//! `shared/schemas/answers/` describes it.

use serde::{Deserialize, Serialize};

use super::alert::AlertAccount;
use super::record::{OpenedSession, SCHEMA_VERSION};
use super::recovery_window::RecoveryWindow;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    pub schema_version: u32,
    /// What was asked for and done, such as `RecoveryOpened`; `Nothing` where nothing was to be done.
    pub action: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AlertAccount>,
    /// What was done, in order.
    #[serde(default)]
    pub done: Vec<String>,
    /// What was read afterwards.
    pub verified: String,
    /// What the operator should do.
    pub next: String,
    /// The root sessions that were opened.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sessions: Vec<OpenedSession>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<RecoveryWindow>,
    /// The recovery windows that nobody has closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub windows: Option<Vec<RecoveryWindow>>,
    /// Where the policy lies that was there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saved_policy: Option<String>,
    /// Puts it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore_command: Option<String>,
}

impl Answer {
    pub fn new(action: impl Into<String>, verified: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            action: action.into(),
            account: None,
            done: Vec::new(),
            verified: verified.into(),
            next: next.into(),
            sessions: Vec::new(),
            window: None,
            windows: None,
            saved_policy: None,
            restore_command: None,
        }
    }
}
