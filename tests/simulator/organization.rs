//! The organization as AWS holds it: accounts in nested units, their root credentials, policies, features, delegates.
//!
//! Data that services, tests and the story read and change; nothing here knows who asks or over which protocol.

mod file;
mod identifier;
mod sample;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

pub use file::OrganizationError;
pub use identifier::{AccountId, InvalidIdentifier, OrganizationId, UnitId};
pub use sample::EXEMPT_TAG;

use crate::policy::{PolicyDocument, WrittenPolicy};

/// The name of the service control policy that AWS attaches everywhere at first. It exists without being listed.
pub const FULL_AWS_ACCESS: &str = "FullAWSAccess";

/// The service principal whose trusted access and delegation centralized root access needs.
pub const IAM_SERVICE: &str = "iam.amazonaws.com";

/// An organization in "all features" mode.
///
/// Read one with `from_json`, which validates it, or make one with `sample`; the fields are open so that a test can
/// change anything at any time.
#[derive(Clone, Debug, PartialEq)]
pub struct Organization {
    pub id: OrganizationId,
    pub management_account: AccountId,
    pub features: BTreeSet<Feature>,
    /// The services with trusted access, by service principal.
    pub trusted_services: BTreeSet<String>,
    /// The delegated administrators of a service, by its service principal.
    pub delegated_administrators: BTreeMap<String, BTreeSet<AccountId>>,
    /// By name. `FullAWSAccess` need not be here.
    pub service_control_policies: BTreeMap<String, PolicyDocument>,
    pub root: UnitId,
    /// The root and every organizational unit.
    pub units: BTreeMap<UnitId, Unit>,
    pub accounts: BTreeMap<AccountId, Account>,
    /// Further callers with access keys of their own.
    pub principals: Vec<Principal>,
}

/// A feature of centralized root access. The order is that of a recorded answer (`enable_sessions_by_management`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Feature {
    RootSessions,
    RootCredentialsManagement,
}

/// The root or an organizational unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    pub name: String,
    /// None for the root.
    pub parent: Option<UnitId>,
    /// The names of all attached policies; a level that allows nothing denies everything.
    pub service_control_policies: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Account {
    pub name: String,
    pub email: String,
    pub parent: UnitId,
    pub state: AccountState,
    pub joined_method: JoinedMethod,
    pub joined_at: OffsetDateTime,
    /// Until then AWS is still setting the account up, and no root session can be opened in it.
    pub not_ready_until: Option<OffsetDateTime>,
    /// The Regions in which the account has switched its STS endpoint off.
    pub sts_off_in: BTreeSet<String>,
    pub tags: BTreeMap<String, String>,
    pub service_control_policies: Vec<String>,
    pub root: RootCredentials,
    /// At first: what becomes of them, `Aws::bucket_policy` and `Aws::queues` tell.
    pub buckets: Vec<AccountBucket>,
    pub queues: Vec<AccountQueue>,
}

/// A bucket in a member account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AccountBucket {
    pub name: String,
    pub region: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<WrittenPolicy>,
}

/// A queue in a member account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AccountQueue {
    pub name: String,
    pub region: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<WrittenPolicy>,
}

/// `Account.State` of the Organizations API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AccountState {
    PendingActivation,
    Active,
    Suspended,
    PendingClosure,
    Closed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum JoinedMethod {
    Created,
    Invited,
}

/// The long-term credentials of an account's root user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RootCredentials {
    /// A password, or the permission to set one by password recovery: AWS does not tell them apart
    /// (`root_summary_recovery_allowed`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub login_profile: Option<LoginProfile>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub access_keys: Vec<AccessKey>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub signing_certificates: Vec<SigningCertificate>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mfa_devices: Vec<MfaDevice>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LoginProfile {
    #[serde(with = "time::serde::rfc3339")]
    pub create_date: OffsetDateTime,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AccessKey {
    pub id: String,
    pub status: CredentialStatus,
    #[serde(with = "time::serde::rfc3339")]
    pub create_date: OffsetDateTime,
    /// None if the key was never used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used: Option<LastUsed>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LastUsed {
    #[serde(with = "time::serde::rfc3339")]
    pub date: OffsetDateTime,
    pub service: String,
    pub region: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SigningCertificate {
    pub id: String,
    pub status: CredentialStatus,
    #[serde(with = "time::serde::rfc3339")]
    pub upload_date: OffsetDateTime,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MfaDevice {
    /// An ARN for virtual devices (`…:mfa/…`) and FIDO keys (`…:u2f/root/…`), a bare serial for hardware tokens.
    pub serial_number: String,
    #[serde(with = "time::serde::rfc3339")]
    pub enable_date: OffsetDateTime,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CredentialStatus {
    Active,
    Inactive,
}

/// An IAM user or role that holds just the given permissions, with a long-term access key to call with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Principal {
    /// `arn:aws:iam::<account>:user/<name>`, `…:role/<name>` or `arn:aws:sts::<account>:assumed-role/<role>/<session>`.
    pub arn: String,
    pub access_key_id: String,
    #[serde(default)]
    pub policies: Vec<PolicyDocument>,
}

impl RootCredentials {
    /// All that MFA protects.
    #[must_use]
    pub fn without_mfa(&self) -> Self {
        Self { mfa_devices: Vec::new(), ..self.clone() }
    }

    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Organization {
    pub fn account(&self, id: &AccountId) -> Option<&Account> {
        self.accounts.get(id)
    }

    pub fn is_delegated_administrator(&self, account: &AccountId, service_principal: &str) -> bool {
        self.delegated_administrators.get(service_principal).is_some_and(|delegates| delegates.contains(account))
    }

    pub fn is_any_delegated_administrator(&self, account: &AccountId) -> bool {
        self.delegated_administrators.values().any(|delegates| delegates.contains(account))
    }

    /// The first delegated administrator for IAM: the audit account.
    pub fn audit_account(&self) -> Option<&AccountId> {
        self.delegated_administrators.get(IAM_SERVICE)?.first()
    }

    /// The buckets of all accounts, as they are at first.
    pub fn buckets(&self) -> impl Iterator<Item = (&AccountId, &AccountBucket)> {
        self.accounts.iter().flat_map(|(id, account)| account.buckets.iter().map(move |bucket| (id, bucket)))
    }

    /// The queues of all accounts, as they are at first.
    pub fn queues(&self) -> impl Iterator<Item = (&AccountId, &AccountQueue)> {
        self.accounts.iter().flat_map(|(id, account)| account.queues.iter().map(move |queue| (id, queue)))
    }

    /// The units from the root down to the given one.
    pub fn ancestry<'a>(&'a self, unit: &'a UnitId) -> Vec<&'a UnitId> {
        let mut upwards = Vec::new();
        let mut next = Some(unit);
        // A loop of parents, which a test could build by accident, ends the walk instead of hanging it.
        while let Some(id) = next.filter(|id| !upwards.contains(id)) {
            upwards.push(id);
            next = self.units.get(id).and_then(|unit| unit.parent.as_ref());
        }
        upwards.reverse();
        upwards
    }

    /// `Account.Paths` of the Organizations API: `o-…/r-…/ou-…/<account>/`.
    pub fn path(&self, account: &AccountId, parent: &UnitId) -> String {
        let mut path = format!("{}/", self.id);
        for unit in self.ancestry(parent) {
            path.push_str(unit.as_str());
            path.push('/');
        }
        path + account.as_str() + "/"
    }

    /// The policies attached at each level above an account and to the account itself, from the root down.
    pub fn service_control_policies_above(&self, account: &Account) -> Vec<Vec<&PolicyDocument>> {
        let units = self.ancestry(&account.parent).into_iter().filter_map(|id| self.units.get(id));
        let attached = units.map(|unit| &unit.service_control_policies).chain([&account.service_control_policies]);
        let resolve = |names: &Vec<String>| names.iter().filter_map(|name| self.service_control_policy(name)).collect();
        attached.map(resolve).collect()
    }

    /// The accounts that carry a tag.
    pub fn tagged(&self, key: &str) -> Vec<AccountId> {
        let has_tag = |(_, account): &(_, &Account)| account.tags.contains_key(key);
        self.accounts.iter().filter(has_tag).map(|(id, _)| id.clone()).collect()
    }

    fn service_control_policy(&self, name: &str) -> Option<&PolicyDocument> {
        static FULL_ACCESS: LazyLock<PolicyDocument> = LazyLock::new(PolicyDocument::full_access);
        let is_full_access = name == FULL_AWS_ACCESS;
        self.service_control_policies.get(name).or_else(|| is_full_access.then(|| &*FULL_ACCESS))
    }
}
