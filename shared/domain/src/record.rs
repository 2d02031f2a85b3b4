//! What is said about an account, and about an audit as a whole: the report. Its JSON is an interface, documented in the
//! README; `SCHEMA_VERSION` changes when a reader of the old form would misunderstand the new one.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::credentials::RootCredentials;
use super::failure::{Cause, Failure};
use super::id::{AccessKeyId, AccountId, OrganizationId};
use super::plan::{DeletionStep, HeldBack};
use super::request::{Mode, Selection};
use super::scope::{NotCovered, Undecided};
use super::task::TaskPolicy;
use super::trigger::Trigger;

pub const SCHEMA_VERSION: u32 = 1;

/// What is known of an account's root credentials.
///
/// INVARIANT (never claims more than it saw): `Clean` and `Stripped` come from reading the account and finding nothing,
/// never from a call that returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Verdict {
    /// Read, and nothing was there.
    Clean,
    /// Something was there, was deleted, and is read to be gone.
    Stripped,
    /// Something is there and was left on purpose: `Audit` mode, or held back.
    CredentialsPresent,
    /// Something is there that should have been deleted.
    Failed,
    /// The account could not be read.
    Unknown,
    /// Not looked at.
    NotCovered,
}

impl Verdict {
    pub const ALL: [Self; 6] =
        [Self::Clean, Self::Stripped, Self::CredentialsPresent, Self::Failed, Self::Unknown, Self::NotCovered];
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// The outcome for one account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountRecord {
    pub account_id: AccountId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_name: Option<String>,
    pub verdict: Verdict,
    /// When the look at the account began; what was found was there after this.
    #[serde(with = "time::serde::rfc3339")]
    pub began: OffsetDateTime,
    /// When the account was looked at: the verdict is about this moment.
    #[serde(with = "time::serde::rfc3339")]
    pub examined: OffsetDateTime,
    /// Since when the account is in this state; absent where the state could not be read or written.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub since: Option<OffsetDateTime>,
    /// Why, in words; absent where the verdict says it all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// What the audit found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<RootCredentials>,
    /// What would be deleted, in order; only in `Audit` mode.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub planned: Vec<DeletionStep>,
    /// What a deletion was sent for and is read to be gone, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<DeletionStep>,
    /// What a deletion was sent for and is not read to be gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempted: Vec<DeletionStep>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held_back: Vec<HeldBack>,
    /// What is left, read after the deletions; absent where nothing was deleted or the reading failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<RootCredentials>,
    /// The root sessions that were opened for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sessions: Vec<OpenedSession>,
}

/// A root session that was opened. The id of its access key is what CloudTrail and GuardDuty show of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OpenedSession {
    pub access_key_id: AccessKeyId,
    pub task: TaskPolicy,
    #[serde(with = "time::serde::rfc3339")]
    pub opened: OffsetDateTime,
}

/// The outcome of an audit, or of the part of it that one invocation did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditReport {
    pub schema_version: u32,
    /// Names the audit across the invocations that it took.
    pub run: String,
    #[serde(with = "time::serde::rfc3339")]
    pub started: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub finished: OffsetDateTime,
    pub organization: OrganizationId,
    pub management_account: AccountId,
    pub mode: Mode,
    pub trigger: Trigger,
    pub selection: Selection,
    pub completeness: Completeness,
    /// Over the whole audit so far, earlier invocations included.
    pub totals: Totals,
    /// One record for each account that this invocation looked at, in the order of their ids.
    pub accounts: Vec<AccountRecord>,
    /// How many records are not in `accounts`, the clean ones first, because the answer would have been too long for Lambda.
    #[serde(default)]
    pub accounts_left_out: u64,
}

/// Whether the audit got to the end of its list of accounts. What it saw of each is in the totals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all_fields = "camelCase")]
pub enum Completeness {
    Complete,
    /// The invocation ran out of time; the rest was handed to the queue.
    Continues,
    /// The list of accounts could not be read to its end.
    Broken {
        failure: Failure,
        remedy: String,
    },
}

/// Numbers over the accounts of an audit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Totals {
    pub accounts: u64,
    pub verdicts: BTreeMap<Verdict, u64>,
    /// Failed and unknown accounts by cause.
    pub causes: BTreeMap<Cause, u64>,
    pub found: CredentialCounts,
    pub removed: CredentialCounts,
    /// What the accounts were read to have at the end.
    pub left: CredentialCounts,
    pub sessions: BTreeMap<TaskPolicy, u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CredentialCounts {
    pub login_profiles: u64,
    pub access_keys: u64,
    pub signing_certificates: u64,
    pub mfa_devices: u64,
}

impl AccountRecord {
    /// A record with a verdict and nothing else yet.
    pub fn new(account_id: AccountId, verdict: Verdict, now: OffsetDateTime) -> Self {
        Self {
            account_id,
            account_name: None,
            verdict,
            began: now,
            examined: now,
            since: None,
            reason: None,
            failure: None,
            remedy: None,
            found: None,
            planned: Vec::new(),
            removed: Vec::new(),
            attempted: Vec::new(),
            held_back: Vec::new(),
            left: None,
            sessions: Vec::new(),
        }
    }

    pub fn not_covered(account_id: AccountId, reason: &NotCovered, examined: OffsetDateTime) -> Self {
        Self { reason: Some(reason.to_string()), ..Self::new(account_id, Verdict::NotCovered, examined) }
    }

    /// The account could not be read: never `Clean`.
    pub fn unknown(account_id: AccountId, failure: Failure, examined: OffsetDateTime) -> Self {
        Self::new(account_id, Verdict::Unknown, examined).with_failure(failure)
    }

    /// AWS has not said what decides: never `NotCovered`.
    pub fn undecided(account_id: AccountId, undecided: &Undecided, examined: OffsetDateTime) -> Self {
        let failure =
            Failure::observed(Cause::UnreadableAnswer, "the description of the account", undecided.to_string());
        Self::unknown(account_id, failure, examined)
    }

    /// What the account has at the end; `None` if no reading says.
    pub fn holds(&self) -> Option<RootCredentials> {
        match self.verdict {
            Verdict::Clean | Verdict::Stripped => Some(RootCredentials::default()),
            // Without a reading after the deletions none was sent, and what was found is there.
            Verdict::CredentialsPresent | Verdict::Failed => self.left.clone().or_else(|| self.found.clone()),
            Verdict::Unknown | Verdict::NotCovered => None,
        }
    }

    /// One record for two looks at the account in the same run: the later one says what is so, and what the earlier one
    /// did is still said.
    #[must_use]
    pub fn followed_by(self, later: Self) -> Self {
        let left = later.holds();
        let is_gone = |step: &DeletionStep| left.as_ref().is_some_and(|left| !left.has(step));
        let (gone, not_gone): (Vec<_>, Vec<_>) = self.attempted.into_iter().partition(is_gone);
        let still_gone = self.removed.into_iter().filter(|step| left.is_none() || is_gone(step));
        let removed = without_duplicates(still_gone.chain(gone).chain(later.removed));
        let attempted = without_duplicates(not_gone.into_iter().chain(later.attempted));
        let mut sessions = self.sessions;
        sessions.extend(later.sessions);
        let is_stripped = later.verdict == Verdict::Clean && !removed.is_empty();
        Self {
            verdict: if is_stripped { Verdict::Stripped } else { later.verdict },
            began: self.began,
            left: if is_stripped { Some(RootCredentials::default()) } else { later.left },
            found: self.found.or(later.found),
            removed,
            attempted,
            sessions,
            ..later
        }
    }

    #[must_use]
    pub fn with_failure(mut self, failure: Failure) -> Self {
        self.fail(failure);
        self
    }

    /// Says what failed, and what a person can do.
    pub fn fail(&mut self, failure: Failure) {
        self.remedy = Some(failure.cause.remedy().to_owned());
        self.failure = Some(failure);
    }

    #[must_use]
    pub fn named(self, name: &str) -> Self {
        Self { account_name: Some(name.to_owned()), ..self }
    }
}

/// In the order of their first mention.
fn without_duplicates<T: PartialEq>(all: impl Iterator<Item = T>) -> Vec<T> {
    let mut once = Vec::new();
    for item in all {
        if !once.contains(&item) {
            once.push(item);
        }
    }
    once
}

impl Totals {
    pub fn add(&mut self, record: &AccountRecord) {
        self.accounts += 1;
        *self.verdicts.entry(record.verdict).or_default() += 1;
        if let Some(failure) = &record.failure {
            *self.causes.entry(failure.cause).or_default() += 1;
        }
        if let Some(found) = &record.found {
            self.found.add_credentials(found);
        }
        for step in &record.removed {
            self.removed.add_step(step);
        }
        if let Some(holds) = record.holds() {
            self.left.add_credentials(&holds);
        }
        for session in &record.sessions {
            *self.sessions.entry(session.task).or_default() += 1;
        }
    }

    /// The number of accounts with the verdict.
    pub fn of(&self, verdict: Verdict) -> u64 {
        self.verdicts.get(&verdict).copied().unwrap_or_default()
    }
}

impl CredentialCounts {
    pub fn total(self) -> u64 {
        let Self { login_profiles, access_keys, signing_certificates, mfa_devices } = self;
        login_profiles + access_keys + signing_certificates + mfa_devices
    }

    fn add_credentials(&mut self, credentials: &RootCredentials) {
        let count = |length: usize| u64::try_from(length).unwrap_or(u64::MAX);
        self.login_profiles += u64::from(credentials.login_profile.is_some());
        self.access_keys += count(credentials.access_keys.len());
        self.signing_certificates += count(credentials.signing_certificates.len());
        self.mfa_devices += count(credentials.mfa_devices.len());
    }

    fn add_step(&mut self, step: &DeletionStep) {
        match step {
            DeletionStep::DeleteLoginProfile => self.login_profiles += 1,
            DeletionStep::DeleteAccessKey(_) => self.access_keys += 1,
            DeletionStep::DeleteSigningCertificate(_) => self.signing_certificates += 1,
            DeletionStep::DeactivateMfaDevice(_) => self.mfa_devices += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credentials::LoginProfile;

    const NOW: OffsetDateTime = time::macros::datetime!(2026-11-20 12:00 UTC);

    fn session(task: TaskPolicy) -> OpenedSession {
        OpenedSession { access_key_id: "ASIASESSIONKEYEXAMPLE".parse().unwrap(), task, opened: NOW }
    }

    #[test]
    fn totals_count_what_the_records_say() {
        let id: AccountId = "444455556666".parse().unwrap();
        let mut totals = Totals::default();
        totals.add(&AccountRecord {
            left: Some(RootCredentials::default()),
            removed: vec![
                DeletionStep::DeleteLoginProfile,
                DeletionStep::DeleteAccessKey("AKIAREMOVEDKEYEXAMPLE".parse().unwrap()),
            ],
            sessions: vec![
                session(TaskPolicy::IamAuditRootUserCredentials),
                session(TaskPolicy::IamDeleteRootUserCredentials),
            ],
            ..AccountRecord::new(id.clone(), Verdict::Stripped, NOW)
        });
        let throttled = Failure::observed(Cause::Throttled, "sts:AssumeRoot", "Rate exceeded");
        totals.add(&AccountRecord::unknown(id, throttled, NOW));
        assert_eq!(totals.accounts, 2);
        assert_eq!((totals.of(Verdict::Stripped), totals.of(Verdict::Unknown), totals.of(Verdict::Clean)), (1, 1, 0));
        assert_eq!(totals.causes, BTreeMap::from([(Cause::Throttled, 1)]));
        assert_eq!((totals.removed.login_profiles, totals.removed.access_keys, totals.removed.mfa_devices), (1, 1, 0));
        assert_eq!(totals.left, CredentialCounts::default());
        assert_eq!(totals.sessions[&TaskPolicy::IamDeleteRootUserCredentials], 1);
    }

    #[test]
    fn what_an_earlier_look_did_is_still_said() {
        let id: AccountId = "444455556666".parse().unwrap();
        let password =
            || RootCredentials { login_profile: Some(LoginProfile { created: None }), ..RootCredentials::default() };
        let throttled = Failure::observed(Cause::Throttled, "iam:GetLoginProfile", "Rate exceeded");
        let sent = AccountRecord {
            found: Some(password()),
            attempted: vec![DeletionStep::DeleteLoginProfile],
            sessions: vec![session(TaskPolicy::IamDeleteRootUserCredentials)],
            ..AccountRecord::unknown(id.clone(), throttled.clone(), NOW)
        };
        let clean = AccountRecord {
            sessions: vec![session(TaskPolicy::IamAuditRootUserCredentials)],
            ..AccountRecord::new(id.clone(), Verdict::Clean, NOW)
        };
        let both = sent.clone().followed_by(clean.clone());
        assert_eq!((both.verdict, both.found.as_ref()), (Verdict::Stripped, Some(&password())));
        assert_eq!((both.removed.len(), both.attempted.len(), both.sessions.len()), (1, 0, 2));
        assert_eq!(both.left, Some(RootCredentials::default()));

        let unread = sent.clone().followed_by(AccountRecord::unknown(id.clone(), throttled, NOW));
        assert_eq!((unread.verdict, unread.removed.len(), unread.attempted.len()), (Verdict::Unknown, 0, 1));
        let present = AccountRecord {
            found: Some(password()),
            ..AccountRecord::new(id.clone(), Verdict::CredentialsPresent, NOW)
        };
        let still_there = sent.clone().followed_by(present);
        assert_eq!((still_there.removed.len(), still_there.attempted.len()), (0, 1));
        let not_read = AccountRecord::new(id.clone(), Verdict::Unknown, NOW);
        assert_eq!(not_read.followed_by(clean).verdict, Verdict::Clean, "nothing was deleted");
    }

    #[test]
    fn the_json_of_a_record_is_stable() {
        let record = AccountRecord::unknown(
            "444455556666".parse().unwrap(),
            Failure::observed(Cause::Throttled, "sts:AssumeRoot", "Rate exceeded"),
            NOW,
        );
        let json = serde_json::to_value(&record).unwrap();
        assert_eq!(json["accountId"], "444455556666");
        assert_eq!(json["verdict"], "Unknown");
        assert_eq!(json["failure"]["cause"], "Throttled");
        assert_eq!(serde_json::from_value::<AccountRecord>(json).unwrap(), record);
    }
}
