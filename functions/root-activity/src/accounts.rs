//! The accounts of which there are signs, as AWS Organizations describes them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use shared::domain::account::Account;
use shared::domain::failure::{Cause, Failure};
use shared::domain::id::AccountId;
use shared::domain::recovery_window::RecoveryWindows;
use shared::domain::root_activity::Standing;
use shared::runtime::{Function, Invocation};
use time::OffsetDateTime;
use tokio::time::{Instant, timeout_at};

/// So long all look-ups together may take: people are to be told, whether AWS Organizations answers or not.
const LOOK_UPS: Duration = Duration::from_secs(20);

/// AWS allows 20 calls of `DescribeAccount` a second
/// (<https://docs.aws.amazon.com/organizations/latest/userguide/orgs_reference_limits.html>).
const AT_ONCE: usize = 8;

pub(crate) struct Accounts(BTreeMap<AccountId, Looked>);

/// What AWS Organizations says of an account.
pub(crate) enum Looked {
    Management,
    Member(Account),
    NotInOrganization,
    Failed(Failure),
}

impl Accounts {
    pub(crate) async fn look_up(function: &Function, invocation: &Invocation, ids: BTreeSet<AccountId>) -> Self {
        let until = Instant::now() + LOOK_UPS.min(invocation.time_allowed / 6);
        let looked = stream::iter(ids).map(async |id| {
            let looked = look_up(function, &id, until).await;
            (id, looked)
        });
        Self(looked.buffer_unordered(AT_ONCE).collect().await)
    }

    pub(crate) fn get(&self, id: &AccountId) -> Option<&Looked> {
        self.0.get(id)
    }

    pub(crate) fn name(&self, id: &AccountId) -> Option<String> {
        match self.get(id)? {
            Looked::Member(account) => Some(account.name.clone()),
            Looked::Management | Looked::NotInOrganization | Looked::Failed(_) => None,
        }
    }

    pub(crate) fn standing(&self, id: &AccountId, windows: &RecoveryWindows, now: OffsetDateTime) -> Standing {
        match self.get(id) {
            Some(Looked::Management) => Standing::ManagementAccount,
            Some(Looked::NotInOrganization) => Standing::NotInOrganization,
            Some(Looked::Member(_)) => Standing::Member { window: windows.open(id, now).cloned() },
            Some(Looked::Failed(_)) | None => Standing::Unknown,
        }
    }
}

async fn look_up(function: &Function, id: &AccountId, until: Instant) -> Looked {
    if *id == function.settings.scope.management_account {
        return Looked::Management;
    }
    match timeout_at(until, function.aws.describe_account(id)).await {
        Ok(Ok(account)) => Looked::Member(account),
        Ok(Err(failure)) if failure.cause == Cause::AccountNotFound => Looked::NotInOrganization,
        Ok(Err(failure)) => Looked::Failed(failure),
        Err(_) => {
            let message = "no answer in the time that there is for it";
            Looked::Failed(Failure::observed(Cause::Transient, "organizations:DescribeAccount", message))
        }
    }
}
