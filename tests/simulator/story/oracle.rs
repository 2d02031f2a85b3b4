//! What should have become of each account, decided from the organization as it began and nothing that Unroot says; and
//! everything that is otherwise.
//!
//! Every function returns sentences about what is wrong, so no sentence means that all is right.

use std::collections::{BTreeMap, BTreeSet};

use simulator::aws::CallRecord;
use simulator::clock::Clock;
use simulator::organization::{
    Account, AccountId, AccountState, CredentialStatus, EXEMPT_TAG, Organization, RootCredentials,
};
use time::Duration;

use super::news::{Change, DELETED, FOUND, NOT_VERIFIED};
use super::record::{AccountRecord, Credentials, Verdict};
use super::stage::changed_an_account;

/// The policy of the sample organization that stops root sessions, unlike the one with the exemption.
const BLOCKING_POLICY: &str = "DenyRootUsers";

/// The default of the parameter `HoldBackKeysUsedWithinDays` of template.yaml.
const KEYS_ARE_IN_USE_FOR: Duration = Duration::days(14);

/// The accounts as the story found them.
pub(crate) struct Oracle {
    accounts: BTreeMap<AccountId, Account>,
    fates: BTreeMap<AccountId, Fate>,
    /// What the root users had at the end of the recovery windows that were opened.
    recovered: BTreeMap<AccountId, RootCredentials>,
}

/// What `Enforce` mode does with an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    NotCovered,
    /// A service control policy above it denies its root user, root sessions included. STS that is switched off in our
    /// Region is no such reason: it is never off in us-east-1.
    Unreadable,
    Stripped,
}

impl Oracle {
    pub(crate) fn new(beginning: Organization) -> Self {
        let fates =
            beginning.accounts.iter().map(|(id, account)| (id.clone(), fate(&beginning, id, account))).collect();
        Self { accounts: beginning.accounts, fates, recovered: BTreeMap::new() }
    }

    /// An account that joined later, as it was when it did.
    pub(crate) fn joined(&mut self, id: AccountId, account: Account) {
        self.fates.insert(id.clone(), Fate::Stripped);
        self.accounts.insert(id, account);
    }

    /// What the root user of an account, which had nothing, was given meanwhile.
    pub(crate) fn was_given(&mut self, id: &AccountId, root: RootCredentials) {
        if let Some(account) = self.accounts.get_mut(id) {
            account.root = root;
        }
    }

    /// What the owner of an account made in its recovery window. All of it is to go: what is in use too.
    pub(crate) fn recovered(&mut self, id: &AccountId, root: RootCredentials) {
        self.recovered.insert(id.clone(), root);
    }

    /// Holds the verdicts of an audit against the accounts as they are now.
    pub(crate) fn verdicts(&self, records: &[AccountRecord], now: &Organization) -> Vec<String> {
        records.iter().filter_map(|record| self.verdict(record, now)).collect()
    }

    /// An audit has exactly one record for each account.
    pub(crate) fn completeness(records: &[AccountRecord], now: &Organization) -> Vec<String> {
        let mut numbers: BTreeMap<_, usize> = now.accounts.keys().map(|id| (id, 0)).collect();
        for record in records {
            numbers.entry(&record.account_id).and_modify(|number| *number += 1);
        }
        numbers
            .into_iter()
            .filter(|(_, number)| *number != 1)
            .map(|(id, number)| format!("{id} has {number} records"))
            .collect()
    }

    /// Holds the accounts against what `Enforce` mode should have left in them.
    pub(crate) fn accounts(&self, now: &Organization) -> Vec<String> {
        let differs = |(id, began): (&AccountId, &Account)| {
            let actual = &now.account(id)?.root;
            let expected = match self.fates.get(id)? {
                Fate::NotCovered | Fate::Unreadable => began.root.clone(),
                Fate::Stripped => stripped(&began.root),
            };
            (*actual != expected).then(|| format!("{id} {} has {}, not {}", began.name, held(actual), held(&expected)))
        };
        self.accounts.iter().filter_map(differs).collect()
    }

    /// The calls that changed an account that is not to be touched, or that took an MFA device while anything that it
    /// protects was left.
    pub(crate) fn calls(&self, calls: &[CallRecord]) -> Vec<String> {
        let mut left: BTreeMap<&str, RootCredentials> =
            self.accounts.iter().map(|(id, account)| (id.as_str(), account.root.clone())).collect();
        let mut windows: BTreeMap<&str, RootCredentials> =
            self.recovered.iter().map(|(id, root)| (id.as_str(), root.clone())).collect();
        let mut wrong = Vec::new();
        for call in calls.iter().filter(|call| changed_an_account(call)) {
            let fate = call.account.parse().ok().and_then(|id: AccountId| self.fates.get(&id));
            if fate != Some(&Fate::Stripped) {
                wrong.push(format!("{} in {}, which is not to be touched", call.action(), call.account));
            }
            let Some(root) = left.get_mut(call.account.as_str()) else { continue };
            // A window is opened once, and what its owner made is there when the next call comes.
            if opens_window(call)
                && let Some(recovered) = windows.remove(call.account.as_str())
            {
                *root = recovered;
            } else if let Err(violation) = follow(root, call) {
                wrong.push(format!("{} in {}: {violation}", call.action(), call.account));
            }
        }
        wrong
    }

    /// What people should be told of the first audit in `Audit` mode: each account that holds something, and each that
    /// cannot be read.
    pub(crate) fn news_of_audit(&self) -> Vec<Change> {
        let news = |(id, fate): (&AccountId, &Fate)| {
            let detail_type = match fate {
                Fate::Stripped if !self.accounts.get(id)?.root.is_empty() => FOUND,
                Fate::Unreadable => NOT_VERIFIED,
                Fate::Stripped | Fate::NotCovered => return None,
            };
            Some(Change::new(id.as_str(), detail_type, Vec::new()))
        };
        self.fates.iter().filter_map(news).collect()
    }

    /// What people should be told of the calls that changed accounts: each account once, with all that was removed, since
    /// one look at it is enough; and once more if a recovery window was opened meanwhile.
    pub(crate) fn news_of_calls(calls: &[CallRecord]) -> Vec<Change> {
        let mut removed = BTreeMap::<(&str, bool), Vec<String>>::new();
        let mut windows = BTreeSet::new();
        for call in calls.iter().filter(|call| changed_an_account(call)) {
            let account = call.account.as_str();
            if opens_window(call) {
                windows.insert(account);
            } else {
                removed.entry((account, windows.contains(account))).or_default().push(call.operation.clone());
            }
        }
        removed.into_iter().map(|((account, _), removed)| Change::new(account, DELETED, removed)).collect()
    }

    /// How many accounts had root credentials and have none now.
    pub(crate) fn emptied(&self, now: &Organization) -> usize {
        let is_empty_now = |id| now.account(id).is_some_and(|account| account.root.is_empty());
        self.accounts.iter().filter(|(id, began)| !began.root.is_empty() && is_empty_now(id)).count()
    }

    fn verdict(&self, record: &AccountRecord, now: &Organization) -> Option<String> {
        let id = &record.account_id;
        let says = format!("{} is called {}", record.account(), record.verdict.name());
        let (Some(began), Some(fate), Some(account)) = (self.accounts.get(id), self.fates.get(id), now.account(id))
        else {
            return Some(format!("{says}, but is not an account of the organization"));
        };
        let root = &account.root;
        let problem = match (record.verdict, fate) {
            (Verdict::NotCovered, Fate::NotCovered) if *root != began.root => "was changed",
            (Verdict::NotCovered, Fate::NotCovered) | (Verdict::Unknown, Fate::Unreadable) => return None,
            (Verdict::NotCovered, _) => "should have been looked at",
            (_, Fate::NotCovered) => "should not have been looked at",
            (Verdict::Unknown, _) => "can be read",
            (_, Fate::Unreadable) => "cannot have been read",
            (Verdict::Clean | Verdict::Stripped, Fate::Stripped) if !root.is_empty() => "has root credentials",
            (Verdict::CredentialsPresent | Verdict::Failed, Fate::Stripped) if root.is_empty() => "has none",
            (_, Fate::Stripped) => return None,
        };
        Some(format!("{says}, but {problem}; it has {}", held(root)))
    }
}

fn fate(organization: &Organization, id: &AccountId, account: &Account) -> Fate {
    let is_active = account.state == AccountState::Active;
    if *id == organization.management_account || account.tags.contains_key(EXEMPT_TAG) || !is_active {
        return Fate::NotCovered;
    }
    let units = organization.ancestry(&account.parent).into_iter().filter_map(|unit| organization.units.get(unit));
    let mut policies = units.flat_map(|unit| &unit.service_control_policies);
    if policies.any(|policy| policy == BLOCKING_POLICY) {
        return Fate::Unreadable;
    }
    Fate::Stripped
}

/// Nothing, but for keys in use and the MFA that protects them.
fn stripped(root: &RootCredentials) -> RootCredentials {
    let is_in_use = |key: &&simulator::organization::AccessKey| {
        let is_recent = |date| date > Clock::of_machine().now() - KEYS_ARE_IN_USE_FOR;
        key.status == CredentialStatus::Active && key.last_used.as_ref().is_some_and(|used| is_recent(used.date))
    };
    let access_keys: Vec<_> = root.access_keys.iter().filter(is_in_use).cloned().collect();
    let mfa_devices = if access_keys.is_empty() { Vec::new() } else { root.mfa_devices.clone() };
    RootCredentials { access_keys, mfa_devices, ..RootCredentials::default() }
}

fn held(root: &RootCredentials) -> String {
    Credentials::from(root).to_string()
}

/// Whether it is how Unroot lets the root user of an account have a password again.
fn opens_window(call: &CallRecord) -> bool {
    call.operation == "CreateLoginProfile"
}

/// Takes from the credentials what the call took, and says what was wrong with that.
fn follow(root: &mut RootCredentials, call: &CallRecord) -> Result<(), String> {
    let protected = root.without_mfa();
    if !call.take_from(root) {
        return Err("no call that strips an account".to_owned());
    }
    if call.operation == "DeactivateMFADevice" && !protected.is_empty() {
        return Err(format!("without MFA is left {}", held(&protected)));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
