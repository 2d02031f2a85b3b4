//! Accounts that join the organization, and the events in which AWS says so.
//!
//! An event is a recorded or documented one (`tests/fixtures/events`, whose `SOURCES.md` says how sure each is) with
//! this account's values in it, so that its layout is never ours.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};
use time::macros::format_description;
use time::{OffsetDateTime, format_description::BorrowedFormatItem};

use super::World;
use super::emission::{replace, seconds};
use crate::organization::{Account, AccountId, AccountState, FULL_AWS_ACCESS, JoinedMethod, RootCredentials, UnitId};

const CREATE_ACCOUNT_RESULT: &str =
    include_str!("../../fixtures/events/organizations-create-account-result-succeeded.json");
const JOINED_CREATED: &str = include_str!("../../fixtures/events/organizations-account-joined-created.json");
const JOINED_INVITED: &str = include_str!("../../fixtures/events/organizations-account-joined-invited.json");

/// `May 15, 2023 8:26:54 AM`: the service details of these events do not use ISO 8601.
const EVENT_DATE: &[BorrowedFormatItem<'_>] = format_description!(
    "[month repr:short] [day padding:none], [year] [hour repr:12 padding:none]:[minute]:[second] [period]"
);

/// An account that is to join. By default an empty one in the root, ready at once.
#[derive(Clone, Debug, Default)]
pub struct NewAccount {
    /// None for the next free one.
    pub id: Option<AccountId>,
    pub name: String,
    /// None for one made from the account's id.
    pub email: Option<String>,
    /// None for the root, where AWS puts new accounts.
    pub parent: Option<UnitId>,
    pub root: RootCredentials,
    /// How long, by the simulated clock, AWS still sets the account up: until then no root session can be opened.
    pub ready_after: Duration,
}

/// A finished `CreateAccount` request.
#[derive(Clone, Debug)]
pub(crate) struct Creation {
    pub(crate) id: String,
    pub(crate) account_id: AccountId,
    pub(crate) account_name: String,
    pub(crate) at: OffsetDateTime,
}

impl World {
    pub(crate) fn create_account(&mut self, account: NewAccount, now: OffsetDateTime) -> AccountId {
        let account_name = account.name.clone();
        let id = self.join(account, JoinedMethod::Created, now);
        let request = format!("car-{:032x}", self.sequence.next("create account request"));
        let result = self.event(CREATE_ACCOUNT_RESULT, now, |details| {
            let date = json!(event_date(now));
            if let Some(status) = details.get_mut("createAccountStatus") {
                replace(status, "id", json!(request));
                replace(status, "accountId", json!(id));
                replace(status, "requestedTimestamp", date.clone());
                replace(status, "completedTimestamp", date);
            }
        });
        self.emit(&result, now);
        self.announce(JOINED_CREATED, &id, now);
        self.creations.push(Creation { id: request, account_id: id.clone(), account_name, at: now });
        id
    }

    /// An invited account keeps its id and its root credentials; the management account sees only that it joined.
    pub(crate) fn invite_account(&mut self, account: NewAccount, now: OffsetDateTime) -> AccountId {
        let id = self.join(account, JoinedMethod::Invited, now);
        self.announce(JOINED_INVITED, &id, now);
        id
    }

    fn join(&mut self, account: NewAccount, joined_method: JoinedMethod, now: OffsetDateTime) -> AccountId {
        let id = account.id.unwrap_or_else(|| self.next_account_id());
        let account = Account {
            email: account.email.unwrap_or_else(|| format!("{id}@example.com")),
            parent: account.parent.unwrap_or_else(|| self.organization.root.clone()),
            name: account.name,
            state: AccountState::Active,
            joined_method,
            joined_at: now,
            not_ready_until: (!account.ready_after.is_zero()).then(|| now + account.ready_after),
            sts_off_in: BTreeSet::new(),
            tags: BTreeMap::new(),
            service_control_policies: vec![FULL_AWS_ACCESS.to_owned()],
            root: account.root,
            buckets: Vec::new(),
            queues: Vec::new(),
        };
        self.organization.accounts.insert(id.clone(), account);
        id
    }

    fn next_account_id(&mut self) -> AccountId {
        loop {
            let id = format!("9{:011}", self.sequence.next("account") * 11_111);
            if let Ok(id) = id.parse()
                && !self.organization.accounts.contains_key(&id)
            {
                return id;
            }
        }
    }

    fn announce(&mut self, sample: &str, id: &AccountId, now: OffsetDateTime) {
        let event = self.event(sample, now, |details| {
            replace(details, "accountId", json!(id));
            replace(details, "joinedTime", json!(event_date(now)));
        });
        self.emit(&event, now);
    }

    /// A sample event of the management account with this world's ids and dates; `change` sets its service details.
    fn event(&mut self, sample: &str, now: OffsetDateTime, change: impl FnOnce(&mut Value)) -> Value {
        let mut event: Value = serde_json::from_str(sample).unwrap_or_default();
        let management = json!(self.organization.management_account);
        let instant = json!(seconds(now));
        replace(&mut event, "id", json!(self.sequence.next_uuid("event")));
        replace(&mut event, "account", management.clone());
        replace(&mut event, "time", instant.clone());
        if let Some(detail) = event.get_mut("detail") {
            replace(detail, "eventTime", instant);
            replace(detail, "eventID", json!(self.sequence.next_uuid("CloudTrail event")));
            replace(detail, "recipientAccountId", management.clone());
            if let Some(identity) = detail.get_mut("userIdentity") {
                replace(identity, "accountId", management);
            }
            if let Some(details) = detail.get_mut("serviceEventDetails") {
                change(details);
            }
        }
        event
    }
}

fn event_date(instant: OffsetDateTime) -> String {
    instant.format(EVENT_DATE).unwrap_or_default()
}
