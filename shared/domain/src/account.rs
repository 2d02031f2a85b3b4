//! Accounts and the organization that they are in.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::id::{AccountId, OrganizationId, OrganizationalUnitId};

/// A member account, or the management account, as AWS Organizations describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    pub id: AccountId,
    pub name: String,
    pub state: AccountState,
    /// Where the account lies; `None` where the answer did not say.
    pub path: Option<OrganizationalPath>,
}

/// The life cycle of an account
/// (<https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_accounts_account_state.html>).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", from = "String")]
pub enum AccountState {
    PendingActivation,
    Active,
    Suspended,
    PendingClosure,
    Closed,
    /// A state that AWS has added since, or none at all: it decides nothing.
    Unrecognized(String),
}

/// The organizational units from the root down to an account; empty for an account directly under the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrganizationalPath {
    units: Vec<OrganizationalUnitId>,
}

/// The organization as `DescribeOrganization` tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Organization {
    pub id: OrganizationId,
    pub management_account: AccountId,
}

impl OrganizationalPath {
    pub fn new(units: Vec<OrganizationalUnitId>) -> Self {
        Self { units }
    }

    /// Reads one entry of `Account.Paths`, such as `o-aa111bb222/r-a1b2/ou-a1b2-c3d4e5f6/123456789012/`.
    ///
    /// `None` if it has another form: a path that cannot be read is not a path without units.
    pub fn parse(path: &str, account: &AccountId) -> Option<Self> {
        let mut parts = path.trim_end_matches('/').split('/');
        let starts_at_the_root = parts.next()?.starts_with("o-") && parts.next()?.starts_with("r-");
        let ends_at_the_account = parts.next_back()? == account.as_str();
        if !starts_at_the_root || !ends_at_the_account {
            return None;
        }
        parts.map(|unit| unit.parse().ok()).collect::<Option<_>>().map(Self::new)
    }

    pub fn is_within(&self, unit: &OrganizationalUnitId) -> bool {
        self.units.contains(unit)
    }
}

impl AccountState {
    pub fn as_str(&self) -> &str {
        match self {
            Self::PendingActivation => "PENDING_ACTIVATION",
            Self::Active => "ACTIVE",
            Self::Suspended => "SUSPENDED",
            Self::PendingClosure => "PENDING_CLOSURE",
            Self::Closed => "CLOSED",
            Self::Unrecognized(state) => state,
        }
    }
}

impl From<&str> for AccountState {
    fn from(state: &str) -> Self {
        match state {
            "PENDING_ACTIVATION" => Self::PendingActivation,
            "ACTIVE" => Self::Active,
            "SUSPENDED" => Self::Suspended,
            "PENDING_CLOSURE" => Self::PendingClosure,
            "CLOSED" => Self::Closed,
            other => Self::Unrecognized(other.to_owned()),
        }
    }
}

impl From<String> for AccountState {
    fn from(state: String) -> Self {
        Self::from(state.as_str())
    }
}

impl From<AccountState> for String {
    fn from(state: AccountState) -> Self {
        state.as_str().to_owned()
    }
}

impl fmt::Display for AccountState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(path: &str) -> Option<OrganizationalPath> {
        OrganizationalPath::parse(path, &"123456789012".parse().unwrap())
    }

    #[test]
    fn a_path_names_the_units_from_the_root_down() {
        let path = parse("o-aa111bb222/r-a1b2/ou-a1b2-outer001/ou-a1b2-inner001/123456789012/").unwrap();
        assert!(path.is_within(&"ou-a1b2-outer001".parse().unwrap()));
        assert!(path.is_within(&"ou-a1b2-inner001".parse().unwrap()));
        assert!(!path.is_within(&"ou-a1b2-other001".parse().unwrap()));
        assert_eq!(parse("o-aa111bb222/r-a1b2/123456789012/"), Some(OrganizationalPath::new(vec![])));
    }

    #[test]
    fn a_path_that_cannot_be_read_is_not_a_path_without_units() {
        for wrong in ["", "/", "o-aa111bb222/r-a1b2/", "o-aa111bb222/r-a1b2/odd/123456789012/", "r-a1b2/123456789012/"]
        {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
        assert_eq!(parse("o-aa111bb222/r-a1b2/210987654321/"), None, "the path of another account");
    }
}
