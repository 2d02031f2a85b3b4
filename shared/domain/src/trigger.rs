//! What had a function look at an account.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why an account was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Trigger {
    /// The schedule of the template.
    Schedule,
    /// Someone who asked for an audit.
    Request,
    /// An event of an account that the organization gained.
    AccountJoined,
    /// A sign that somebody used root.
    RootActivity,
    /// A recovery window that is to end.
    WindowEnded,
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Schedule => "Schedule",
            Self::Request => "Request",
            Self::AccountJoined => "AccountJoined",
            Self::RootActivity => "RootActivity",
            Self::WindowEnded => "WindowEnded",
        })
    }
}
