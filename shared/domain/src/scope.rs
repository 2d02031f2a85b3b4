//! Which accounts may be touched. An account that is not covered is never changed, and the report says why.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::account::{Account, AccountState};
use super::alert::minute;
use super::id::{AccountId, OrganizationalUnitId};
use super::recovery_window::RecoveryWindows;

/// What the deployment covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    pub management_account: AccountId,
    pub exempt_accounts: BTreeSet<AccountId>,
    /// Only accounts below one of these are covered; empty for the whole organization.
    pub organizational_units: BTreeSet<OrganizationalUnitId>,
}

/// An account that the scope covers. Only `Scope::cover` makes one, and only for one can a root session be opened.
///
/// INVARIANT (hands off): the management account, exempt accounts, accounts outside the chosen organizational units,
/// accounts that are not `ACTIVE` and accounts in an open recovery window never become a `CoveredAccount`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoveredAccount(AccountId);

/// What the scope says of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Coverage {
    Covered(CoveredAccount),
    NotCovered(NotCovered),
    /// What decides is not known, so nothing is done and nothing is claimed.
    Undecided(Undecided),
}

/// What AWS did not say of an account, or not in words that are known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undecided {
    #[error("where the account lies is not known: no readable `Paths` in the answer")]
    Path,
    #[error("the state of the account is `{0}`, which is not known")]
    State(String),
}

/// Why an account is left alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum NotCovered {
    #[error("the management account: AWS allows no root session in it, remove its root credentials by hand")]
    ManagementAccount,
    #[error("exempt by the parameter `ExemptAccountIds`")]
    Exempt,
    #[error("outside the parameter `OrganizationalUnitIds`")]
    OutsideOrganizationalUnits,
    #[error("its state is {0}, not ACTIVE")]
    NotActive(AccountState),
    #[error("not an account of this organization")]
    NotInOrganization,
    #[error("in a recovery window until {}: its owner may set a new root password", minute(*.ends))]
    InRecoveryWindow {
        #[serde(with = "time::serde::rfc3339")]
        ends: OffsetDateTime,
    },
}

impl Scope {
    /// Decides whether the account may be touched, from live state and settings alone.
    pub fn cover(&self, account: &Account, windows: &RecoveryWindows, now: OffsetDateTime) -> Coverage {
        if account.id == self.management_account {
            return Coverage::NotCovered(NotCovered::ManagementAccount);
        }
        if self.exempt_accounts.contains(&account.id) {
            return Coverage::NotCovered(NotCovered::Exempt);
        }
        match &account.state {
            AccountState::Active => {}
            AccountState::Unrecognized(state) => return Coverage::Undecided(Undecided::State(state.clone())),
            state @ (AccountState::PendingActivation
            | AccountState::Suspended
            | AccountState::PendingClosure
            | AccountState::Closed) => return Coverage::NotCovered(NotCovered::NotActive(state.clone())),
        }
        match is_within_any(account, &self.organizational_units) {
            Some(true) => match windows.open(&account.id, now) {
                Some(window) => Coverage::NotCovered(NotCovered::InRecoveryWindow { ends: window.ends }),
                None => Coverage::Covered(CoveredAccount(account.id.clone())),
            },
            Some(false) => Coverage::NotCovered(NotCovered::OutsideOrganizationalUnits),
            None => Coverage::Undecided(Undecided::Path),
        }
    }
}

impl CoveredAccount {
    pub fn id(&self) -> &AccountId {
        &self.0
    }
}

/// Whether the account lies below one of the units; no units means the whole organization. `None` if the answer depends
/// on where the account lies, and that is not known.
pub fn is_within_any(account: &Account, units: &BTreeSet<OrganizationalUnitId>) -> Option<bool> {
    if units.is_empty() {
        return Some(true);
    }
    let path = account.path.as_ref()?;
    Some(units.iter().any(|unit| path.is_within(unit)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::OrganizationalPath;
    use crate::recovery_window::RecoveryWindow;

    fn account(id: &str, state: AccountState, unit: Option<&str>) -> Account {
        let path = unit.map(|unit| OrganizationalPath::new(vec![unit.parse().unwrap()]));
        Account { id: id.parse().unwrap(), name: "Example".to_owned(), state, path }
    }

    fn scope(units: &[&str]) -> Scope {
        Scope {
            management_account: "111122223333".parse().unwrap(),
            exempt_accounts: ["999999999999".parse().unwrap()].into(),
            organizational_units: units.iter().map(|unit| unit.parse().unwrap()).collect(),
        }
    }

    const NOW: OffsetDateTime = time::macros::datetime!(2026-11-20 12:00 UTC);

    fn cover(units: &[&str], account: &Account) -> Coverage {
        scope(units).cover(account, &RecoveryWindows::default(), NOW)
    }

    #[test]
    fn hands_off() {
        use AccountState::{Active, Closed, PendingActivation, PendingClosure, Suspended};
        let inside = "ou-a1b2-inside01";
        for (account, expected) in [
            (account("444455556666", Active, Some(inside)), None),
            (account("111122223333", Active, Some(inside)), Some(NotCovered::ManagementAccount)),
            (account("999999999999", Active, Some(inside)), Some(NotCovered::Exempt)),
            (account("444455556666", Active, Some("ou-a1b2-outside1")), Some(NotCovered::OutsideOrganizationalUnits)),
            (account("444455556666", Suspended, Some(inside)), Some(NotCovered::NotActive(Suspended))),
            (account("444455556666", PendingActivation, Some(inside)), Some(NotCovered::NotActive(PendingActivation))),
            (account("444455556666", PendingClosure, Some(inside)), Some(NotCovered::NotActive(PendingClosure))),
            (account("444455556666", Closed, Some(inside)), Some(NotCovered::NotActive(Closed))),
        ] {
            let not_covered = match cover(&[inside], &account) {
                Coverage::Covered(covered) => {
                    assert_eq!(*covered.id(), account.id);
                    None
                }
                Coverage::NotCovered(reason) => Some(reason),
                Coverage::Undecided(undecided) => panic!("{undecided}"),
            };
            assert_eq!(not_covered, expected, "{account:?}");
        }
    }

    #[test]
    fn an_account_is_left_alone_until_its_recovery_window_ends() {
        let account = account("444455556666", AccountState::Active, None);
        let window = |ends| RecoveryWindow {
            account_id: account.id.clone(),
            opened: NOW - time::Duration::hours(1),
            ends,
            reason: "lost the password".to_owned(),
            ticket: None,
        };
        let cover = |ends| scope(&[]).cover(&account, &[window(ends)].into_iter().collect(), NOW);
        let ends = NOW + time::Duration::seconds(1);
        assert_eq!(cover(ends), Coverage::NotCovered(NotCovered::InRecoveryWindow { ends }));
        assert!(matches!(cover(NOW), Coverage::Covered(_)), "its time is over, closed or not");
    }

    #[test]
    fn an_unknown_path_decides_nothing_unless_no_unit_is_chosen() {
        let account = account("444455556666", AccountState::Active, None);
        assert_eq!(cover(&["ou-a1b2-inside01"], &account), Coverage::Undecided(Undecided::Path));
        assert!(matches!(cover(&[], &account), Coverage::Covered(_)));
    }

    #[test]
    fn a_state_that_is_not_known_decides_nothing() {
        for state in ["", "HIBERNATING"] {
            let coverage = cover(&[], &account("444455556666", AccountState::from(state), None));
            assert_eq!(coverage, Coverage::Undecided(Undecided::State(state.to_owned())));
        }
    }
}
