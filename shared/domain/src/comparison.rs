//! What changed between two audits, from the records of both.
//!
//! INVARIANT (never claims more than it saw): a credential has appeared or gone only if both audits read the account,
//! and an account has joined or left only if the audit that lacks it looked at the whole organization.

use std::collections::BTreeMap;

use time::OffsetDateTime;

use super::credentials::RootCredentials;
use super::id::AccountId;
use super::plan::DeletionStep;
use super::record::{AccountRecord, AuditReport, Completeness, Verdict};
use super::request::Selection;

/// The audit before this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Previous {
    pub run: String,
    pub finished: OffsetDateTime,
    pub reach: Reach,
    pub accounts: Vec<AccountRecord>,
}

/// Whether an audit looked at every account of the organization: only then does an account that is not among its records
/// tell anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    Whole,
    Part,
}

/// What an audit can be compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Earlier {
    Audit(Previous),
    /// There was none before.
    FirstAudit,
    /// There was one, and its records could not be read: why.
    Unreadable(String),
}

/// What changed since the previous audit, each list in the order of the accounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    pub run: String,
    pub finished: OffsetDateTime,
    pub verdicts: Vec<VerdictChange>,
    pub appeared: Vec<CredentialChange>,
    pub went: Vec<CredentialChange>,
    pub joined: Vec<ComparedAccount>,
    pub left: Vec<ComparedAccount>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ComparedAccount {
    pub id: AccountId,
    pub name: Option<String>,
}

/// An account that is in another state than it was. From `Clean` to `Stripped` or back is the same state: no credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerdictChange {
    pub account: ComparedAccount,
    pub from: Verdict,
    pub to: Verdict,
}

/// A credential that is there and was not, or the other way round. A password has no id: one that was removed and set
/// anew between two audits is the same to them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialChange {
    pub account: ComparedAccount,
    pub credential: DeletionStep,
    pub by: ChangedBy,
}

/// Who changed a credential, as far as the later audit can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangedBy {
    /// The later audit removed it.
    ThisAudit,
    /// Somebody or something else, between the audits.
    Others,
}

impl Reach {
    pub fn of(selection: &Selection, completeness: &Completeness) -> Self {
        match (selection, completeness) {
            (Selection::Everything, Completeness::Complete) => Self::Whole,
            (Selection::Everything, Completeness::Continues | Completeness::Broken { .. })
            | (Selection::OrganizationalUnits(_) | Selection::Accounts(_), _) => Self::Part,
        }
    }
}

impl Comparison {
    /// Holds the records of an audit against those of the one before.
    pub fn new(previous: &Previous, report: &AuditReport) -> Self {
        let mut comparison = Self {
            run: previous.run.clone(),
            finished: previous.finished,
            verdicts: Vec::new(),
            appeared: Vec::new(),
            went: Vec::new(),
            joined: Vec::new(),
            left: Vec::new(),
        };
        let mut before: BTreeMap<&AccountId, &AccountRecord> =
            previous.accounts.iter().map(|record| (&record.account_id, record)).collect();
        let now: BTreeMap<_, _> = report.accounts.iter().map(|record| (&record.account_id, record)).collect();
        for (id, record) in now {
            match (before.remove(id), previous.reach) {
                (Some(earlier), _) => comparison.compare(earlier, record),
                (None, Reach::Whole) => comparison.joined.push(ComparedAccount::of(record)),
                (None, Reach::Part) => {}
            }
        }
        if Reach::of(&report.selection, &report.completeness) == Reach::Whole {
            comparison.left = before.into_values().map(ComparedAccount::of).collect();
        }
        comparison
    }

    /// The accounts that could be read before, and no longer can.
    pub fn unreadable(&self) -> impl Iterator<Item = &VerdictChange> {
        self.verdicts.iter().filter(|change| change.to == Verdict::Unknown && change.from != Verdict::NotCovered)
    }

    /// The accounts that could not be read before, and now were.
    pub fn readable_again(&self) -> impl Iterator<Item = &VerdictChange> {
        self.verdicts.iter().filter(|change| change.from == Verdict::Unknown && change.to != Verdict::NotCovered)
    }

    pub fn is_empty(&self) -> bool {
        let Self { run: _, finished: _, verdicts, appeared, went, joined, left } = self;
        verdicts.is_empty() && appeared.is_empty() && went.is_empty() && joined.is_empty() && left.is_empty()
    }

    fn compare(&mut self, before: &AccountRecord, now: &AccountRecord) {
        let account = || ComparedAccount::of(now);
        if state(before.verdict) != state(now.verdict) {
            self.verdicts.push(VerdictChange { account: account(), from: before.verdict, to: now.verdict });
        }
        let Some(at_the_end_before) = before.holds() else { return };
        if let Some(at_the_start) = at_the_start(now) {
            let appeared = at_the_start.deletions().filter(|credential| !at_the_end_before.has(credential));
            self.appeared.extend(appeared.map(|credential| {
                let by = ChangedBy::Others;
                CredentialChange { account: account(), credential, by }
            }));
        }
        if let Some(at_the_end) = now.holds() {
            let went = at_the_end_before.deletions().filter(|credential| !at_the_end.has(credential));
            self.went.extend(went.map(|credential| {
                let by = if now.removed.contains(&credential) { ChangedBy::ThisAudit } else { ChangedBy::Others };
                CredentialChange { account: account(), credential, by }
            }));
        }
    }
}

impl ComparedAccount {
    fn of(record: &AccountRecord) -> Self {
        Self { id: record.account_id.clone(), name: record.account_name.clone() }
    }
}

/// The verdict without the difference of how the account came to have no credentials.
fn state(verdict: Verdict) -> Verdict {
    match verdict {
        Verdict::Stripped => Verdict::Clean,
        Verdict::Clean | Verdict::CredentialsPresent | Verdict::Failed | Verdict::Unknown | Verdict::NotCovered => {
            verdict
        }
    }
}

/// What the account had when the audit came to it; `None` if nobody knows.
fn at_the_start(record: &AccountRecord) -> Option<RootCredentials> {
    match (&record.found, record.verdict) {
        (Some(found), _) => Some(found.clone()),
        (None, Verdict::Clean) => Some(RootCredentials::default()),
        (
            None,
            Verdict::Stripped | Verdict::CredentialsPresent | Verdict::Failed | Verdict::Unknown | Verdict::NotCovered,
        ) => None,
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::credentials::{LoginProfile, MfaDevice};
    use crate::failure::{Cause, Failure};
    use crate::record::{SCHEMA_VERSION, Totals};
    use crate::request::Mode;
    use crate::trigger::Trigger;

    const NOW: OffsetDateTime = datetime!(2026-11-20 12:00 UTC);

    fn record(id: u64, verdict: Verdict) -> AccountRecord {
        AccountRecord::new(format!("{id:012}").parse().unwrap(), verdict, NOW)
    }

    fn found(id: u64, verdict: Verdict, found: &[&str]) -> AccountRecord {
        AccountRecord { found: Some(credentials(found)), ..record(id, verdict) }
    }

    /// A password for `password`, else an MFA device of that serial number.
    fn credentials(names: &[&str]) -> RootCredentials {
        let mut credentials = RootCredentials::default();
        for name in names {
            match *name {
                "password" => credentials.login_profile = Some(LoginProfile { created: None }),
                serial => {
                    credentials.mfa_devices.push(MfaDevice { serial_number: serial.parse().unwrap(), enabled: None });
                }
            }
        }
        credentials
    }

    fn compare(before: Vec<AccountRecord>, now: Vec<AccountRecord>) -> Comparison {
        compare_parts((Reach::Whole, before), (Selection::Everything, now))
    }

    fn compare_parts(before: (Reach, Vec<AccountRecord>), now: (Selection, Vec<AccountRecord>)) -> Comparison {
        let previous = Previous { run: "run-1".to_owned(), finished: NOW, reach: before.0, accounts: before.1 };
        let report = AuditReport {
            schema_version: SCHEMA_VERSION,
            run: "run-2".to_owned(),
            started: NOW,
            finished: NOW,
            organization: "o-aa111bb222".parse().unwrap(),
            management_account: "111122223333".parse().unwrap(),
            mode: Mode::Enforce,
            trigger: Trigger::Schedule,
            selection: now.0,
            completeness: Completeness::Complete,
            totals: Totals::default(),
            accounts: now.1,
            accounts_left_out: 0,
        };
        Comparison::new(&previous, &report)
    }

    fn changes(changes: &[CredentialChange]) -> Vec<(String, ChangedBy)> {
        changes.iter().map(|change| (change.credential.to_string(), change.by)).collect()
    }

    #[test]
    fn clean_and_stripped_are_the_same_state() {
        let stripped = AccountRecord { left: Some(credentials(&[])), ..found(1, Verdict::Stripped, &["password"]) };
        let comparison = compare(vec![stripped.clone()], vec![record(1, Verdict::Clean)]);
        assert!(comparison.is_empty(), "{comparison:?}");
        let comparison = compare(vec![record(1, Verdict::Clean)], vec![stripped]);
        assert_eq!(comparison.verdicts, []);
        assert_eq!(
            changes(&comparison.appeared),
            [("DeleteLoginProfile".to_owned(), ChangedBy::Others)],
            "it was there again, and was removed again"
        );
        assert_eq!(comparison.went, []);
    }

    #[test]
    fn credentials_appear_and_go() {
        let before = found(1, Verdict::CredentialsPresent, &["password", "GAHT1", "GAHT2"]);
        let now = AccountRecord {
            removed: vec![DeletionStep::DeleteLoginProfile],
            left: Some(credentials(&["GAHT2", "GAHT3"])),
            ..found(1, Verdict::Failed, &["password", "GAHT2", "GAHT3"])
        };
        let comparison = compare(vec![before], vec![now]);
        assert_eq!(changes(&comparison.appeared), [("DeactivateMFADevice GAHT3".to_owned(), ChangedBy::Others)]);
        assert_eq!(
            changes(&comparison.went),
            [
                ("DeleteLoginProfile".to_owned(), ChangedBy::ThisAudit),
                ("DeactivateMFADevice GAHT1".to_owned(), ChangedBy::Others)
            ]
        );
        let [change] = &comparison.verdicts[..] else { panic!("{comparison:?}") };
        assert_eq!((change.from, change.to), (Verdict::CredentialsPresent, Verdict::Failed));
    }

    #[test]
    fn never_claims_more_than_it_saw() {
        let throttled = || Failure::observed(Cause::Throttled, "sts:AssumeRoot", "Rate exceeded");
        let unknown = |id| record(id, Verdict::Unknown).with_failure(throttled());
        let comparison = compare(
            vec![found(1, Verdict::CredentialsPresent, &["password"]), unknown(2), record(3, Verdict::NotCovered)],
            vec![unknown(1), found(2, Verdict::CredentialsPresent, &["password"]), unknown(3)],
        );
        assert_eq!(
            (comparison.appeared, comparison.went),
            (vec![], vec![]),
            "an account that was not read tells nothing"
        );
        let comparison =
            compare(vec![record(1, Verdict::Clean), unknown(2)], vec![unknown(1), record(2, Verdict::Clean)]);
        let ids = |changes: Vec<&VerdictChange>| -> Vec<_> {
            changes.into_iter().map(|change| change.account.id.as_str().trim_start_matches('0').to_owned()).collect()
        };
        assert_eq!(ids(comparison.unreadable().collect()), ["1"]);
        assert_eq!(ids(comparison.readable_again().collect()), ["2"]);
    }

    #[test]
    fn an_account_joined_or_left_only_if_the_audit_without_it_looked_everywhere() {
        let clean = |id| record(id, Verdict::Clean);
        let whole = compare(vec![clean(1), clean(2)], vec![clean(2), clean(3)]);
        assert_eq!((whole.joined.len(), whole.left.len()), (1, 1));
        let part_before =
            compare_parts((Reach::Part, vec![clean(1)]), (Selection::Everything, vec![clean(1), clean(2)]));
        assert!(part_before.is_empty(), "{part_before:?}");
        let accounts = Selection::Accounts(["000000000001".parse().unwrap()].into());
        let part_now = compare_parts((Reach::Whole, vec![clean(1), clean(2)]), (accounts, vec![clean(1)]));
        assert!(part_now.is_empty(), "{part_now:?}");
    }
}
