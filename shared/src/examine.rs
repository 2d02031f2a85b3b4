//! One account, from the decision that it is covered to the proof: audit, plan, strip, read again, verdict.
//!
//! What it must not do: fail. Whatever happens to one account is a line of its record.

use time::OffsetDateTime;
use tokio::time::{Instant, timeout_at};
use tracing::warn;

use crate::aws::root_session::{Audit, Delete, RootSession, RootTask};
use crate::aws::{Aws, Stripping};
use crate::domain::account::Account;
use crate::domain::credentials::RootCredentials;
use crate::domain::failure::{Cause, Failure};
use crate::domain::id::AccountId;
use crate::domain::plan::{DeletionPlan, HoldBack};
use crate::domain::record::{AccountRecord, Verdict};
use crate::domain::request::Mode;
use crate::domain::scope::{Coverage, CoveredAccount, Scope};
use crate::window_watch::WindowWatch;

/// What examining an account needs, the same for all accounts of an invocation.
#[derive(Clone, Copy, Debug)]
pub struct Examiner<'a> {
    pub aws: &'a Aws,
    pub scope: &'a Scope,
    pub windows: &'a WindowWatch,
    pub hold_back: HoldBack,
    pub mode: Mode,
    /// When an account that is not done is given up, so that the invocation can still say so.
    pub until: Instant,
}

impl Examiner<'_> {
    /// Examines the account if the scope covers it. In `Audit` mode nothing is changed.
    pub async fn examine(&self, account: &Account) -> AccountRecord {
        let began = self.aws.now();
        let id = account.id.clone();
        let record = match self.cover(account).await {
            Ok(Coverage::Covered(covered)) => self.examine_in_time(account, &covered, began).await,
            Ok(Coverage::NotCovered(reason)) => AccountRecord::not_covered(id, &reason, began),
            Ok(Coverage::Undecided(undecided)) => AccountRecord::undecided(id, &undecided, began),
            Err(failure) => AccountRecord::unknown(id, failure, began),
        };
        AccountRecord { examined: self.aws.now(), ..record.named(&account.name) }
    }

    /// INVARIANT (hands off): recovery windows are looked at anew for each account and before each deletion.
    async fn cover(&self, account: &Account) -> Result<Coverage, Failure> {
        let windows = self.windows.current().await?;
        Ok(self.scope.cover(account, &windows, self.aws.now()))
    }

    /// What was made in a recovery window that should have ended is no production.
    async fn hold_back_of(&self, account: &AccountId) -> Result<HoldBack, Failure> {
        let windows = self.windows.current().await?;
        let overdue = windows.overdue(account, self.aws.now()).map(|window| window.opened);
        let keys_created_before = self.hold_back.keys_created_before.into_iter().chain(overdue).min();
        Ok(HoldBack { keys_created_before, ..self.hold_back })
    }

    /// What was done until the time is up is in the record.
    async fn examine_in_time(
        &self,
        account: &Account,
        covered: &CoveredAccount,
        began: OffsetDateTime,
    ) -> AccountRecord {
        let mut record = AccountRecord::new(covered.id().clone(), Verdict::Unknown, began);
        match timeout_at(self.until, self.examine_covered(account, covered, &mut record)).await {
            Ok(()) => record,
            Err(_) => AccountRecord { verdict: Verdict::Unknown, ..record }.with_failure(out_of_time()),
        }
    }

    async fn examine_covered(&self, account: &Account, covered: &CoveredAccount, record: &mut AccountRecord) {
        let session: RootSession<Audit> = match self.open(covered, record).await {
            Ok(session) => session,
            Err(failure) => return record.fail(failure),
        };
        let found = match session.audit().await {
            Ok(found) => found,
            Err(failure) => return record.fail(failure),
        };
        if found.is_empty() {
            record.verdict = Verdict::Clean;
            return;
        }
        let hold_back = match self.hold_back_of(covered.id()).await {
            Ok(hold_back) => hold_back,
            Err(failure) => return record.fail(failure),
        };
        let plan = DeletionPlan::new(&found, hold_back, self.aws.now());
        record.held_back = plan.held_back().to_vec();
        record.found = Some(found);
        match self.mode {
            Mode::Audit => {
                record.planned = plan.steps().collect();
                record.verdict = Verdict::CredentialsPresent;
                record.reason = Some("found in `Audit` mode, which removes nothing".to_owned());
            }
            Mode::Enforce if plan.is_empty() => conclude_held_back(record),
            Mode::Enforce => self.strip(account, &plan, record).await,
        }
    }

    async fn strip(&self, account: &Account, plan: &DeletionPlan, record: &mut AccountRecord) {
        // What the audit found is still there if this comes to nothing.
        let session: Result<RootSession<Delete>, Failure> = match self.cover(account).await {
            Ok(Coverage::Covered(covered)) => self.open(&covered, record).await,
            Ok(Coverage::NotCovered(reason)) => {
                record.verdict = Verdict::NotCovered;
                record.reason = Some(reason.to_string());
                return;
            }
            Ok(Coverage::Undecided(_)) => return,
            Err(failure) => Err(failure),
        };
        match session {
            Ok(session) => {
                let stripping = session.strip(plan, &mut record.attempted).await;
                conclude(record, stripping);
            }
            Err(failure) => {
                record.verdict = Verdict::Failed;
                record.fail(failure);
            }
        }
    }

    async fn open<T: RootTask>(
        &self,
        account: &CoveredAccount,
        record: &mut AccountRecord,
    ) -> Result<RootSession<T>, Failure> {
        let session = self.aws.open_root_session::<T>(account).await;
        match &session {
            Ok(session) => record.sessions.push(session.opened().clone()),
            Err(failure) => warn!(account = %account.id(), task = %T::POLICY, error = %failure, "no root session"),
        }
        session
    }
}

/// Strips an account in one delete session, without an audit before it: what the session lists is what there is.
///
/// The recovery window of the account is no obstacle: it is what ends.
pub async fn strip_at_the_end_of_a_window(
    aws: &Aws,
    account: &Account,
    covered: &CoveredAccount,
    hold_back: HoldBack,
    until: Instant,
) -> AccountRecord {
    let mut record = AccountRecord::new(covered.id().clone(), Verdict::Unknown, aws.now());
    record = match timeout_at(until, strip_everything(aws, covered, hold_back, &mut record)).await {
        Ok(()) => record,
        Err(_) => AccountRecord { verdict: Verdict::Unknown, ..record }.with_failure(out_of_time()),
    };
    AccountRecord { examined: aws.now(), ..record.named(&account.name) }
}

async fn strip_everything(aws: &Aws, covered: &CoveredAccount, hold_back: HoldBack, record: &mut AccountRecord) {
    let session: RootSession<Delete> = match aws.open_root_session(covered).await {
        Ok(session) => session,
        Err(failure) => return record.fail(failure),
    };
    record.sessions.push(session.opened().clone());
    let found = match session.read_root_credentials().await {
        Ok(found) => found,
        Err(failure) => return record.fail(failure),
    };
    if found.is_empty() {
        record.verdict = Verdict::Clean;
        return;
    }
    let plan = DeletionPlan::new(&found, hold_back, aws.now());
    record.held_back = plan.held_back().to_vec();
    record.found = Some(found);
    if plan.is_empty() {
        return conclude_held_back(record);
    }
    let stripping = session.strip(&plan, &mut record.attempted).await;
    conclude(record, stripping);
}

fn out_of_time() -> Failure {
    Failure::observed(
        Cause::OutOfTime,
        "the examination",
        "the invocation ended; what was begun is not known to be done",
    )
}

/// The verdict over an account that was stripped: from what was read afterwards.
///
/// INVARIANT (never claims more than it saw): the calls that deleted count for nothing here. `removed` is what a
/// deletion was sent for and the reading no longer shows.
fn conclude(record: &mut AccountRecord, stripping: Stripping) {
    let Stripping { held_back, failure, left } = stripping;
    record.held_back.extend(held_back);
    let left = match left {
        Ok(left) => left,
        Err(unread) => {
            record.reason = Some("deletions were sent, but what they did could not be read".to_owned());
            return record.fail(unread);
        }
    };
    (record.attempted, record.removed) = record.attempted.drain(..).partition(|step| left.has(step));
    let is_empty = left.is_empty();
    let is_as_planned = is_held_back_only(&left, record);
    record.left = Some(left);
    if is_empty {
        record.verdict = Verdict::Stripped;
    } else if is_as_planned {
        conclude_held_back(record);
    } else {
        let still_present = || {
            let message = "read again after the deletions, something is there: see `left`";
            Failure::observed(Cause::StillPresent, "the reading after the deletions", message)
        };
        record.verdict = Verdict::Failed;
        record.fail(failure.unwrap_or_else(still_present));
    }
}

fn conclude_held_back(record: &mut AccountRecord) {
    record.verdict = Verdict::CredentialsPresent;
    record.reason = Some("held back: an access key that was used lately, and the MFA that protects it".to_owned());
    record.remedy = Some(
        "move what uses the access key to a role, then deactivate the key, or lower `HoldBackKeysUsedWithinDays`"
            .to_owned(),
    );
}

/// Whether all that is left was held back on purpose.
fn is_held_back_only(left: &RootCredentials, record: &AccountRecord) -> bool {
    left.deletions().all(|step| record.held_back.iter().any(|held| held.step == step))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::credentials::{AccessKey, AccessKeyStatus, LastUsed, LoginProfile, MfaDevice};
    use crate::domain::plan::{DeletionStep, HeldBack, HeldBackReason};

    const KEY: &str = "AKIALEFTOVERKEYEXAMPLE";
    const MFA: &str = "GAHT12345678";

    fn password() -> RootCredentials {
        RootCredentials { login_profile: Some(LoginProfile { created: None }), ..RootCredentials::default() }
    }

    fn key_and_mfa() -> RootCredentials {
        let key = AccessKey {
            id: KEY.parse().unwrap(),
            status: AccessKeyStatus::Active,
            created: None,
            last_used: LastUsed::Never,
        };
        let mfa = MfaDevice { serial_number: MFA.parse().unwrap(), enabled: None };
        RootCredentials { access_keys: vec![key], mfa_devices: vec![mfa], ..RootCredentials::default() }
    }

    fn concluded(stripping: Stripping, held_back: Vec<HeldBack>) -> AccountRecord {
        let attempted = vec![DeletionStep::DeleteLoginProfile];
        let record = AccountRecord::new("444455556666".parse().unwrap(), Verdict::Unknown, OffsetDateTime::UNIX_EPOCH);
        let mut record = AccountRecord { attempted, held_back, ..record };
        conclude(&mut record, stripping);
        record
    }

    fn stripping(failure: Option<Cause>, left: Result<RootCredentials, Cause>) -> Stripping {
        let observed = |cause| Failure::observed(cause, "iam:Example", "");
        Stripping { held_back: Vec::new(), failure: failure.map(observed), left: left.map_err(observed) }
    }

    #[test]
    fn the_verdict_is_what_was_read_and_not_what_the_calls_answered() {
        let nothing = RootCredentials::default;
        let summary = |record: AccountRecord| {
            let cause = record.failure.as_ref().map(|failure| failure.cause);
            (record.verdict, cause, record.removed.len(), record.attempted.len())
        };
        for (stripping, expected) in [
            (stripping(None, Ok(nothing())), (Verdict::Stripped, None, 1, 0)),
            // The answer was lost, but the deletion was done.
            (stripping(Some(Cause::Transient), Ok(nothing())), (Verdict::Stripped, None, 1, 0)),
            // The call was answered with success, but the password is still there.
            (stripping(None, Ok(password())), (Verdict::Failed, Some(Cause::StillPresent), 0, 1)),
            (stripping(Some(Cause::Throttled), Ok(password())), (Verdict::Failed, Some(Cause::Throttled), 0, 1)),
            // Nobody knows.
            (stripping(None, Err(Cause::Transient)), (Verdict::Unknown, Some(Cause::Transient), 0, 1)),
            (stripping(Some(Cause::Denied), Err(Cause::Transient)), (Verdict::Unknown, Some(Cause::Transient), 0, 1)),
            // Something that was not there before.
            (stripping(None, Ok(key_and_mfa())), (Verdict::Failed, Some(Cause::StillPresent), 1, 0)),
        ] {
            assert_eq!(summary(concluded(stripping, Vec::new())), expected);
        }
    }

    #[test]
    fn what_is_held_back_is_no_failure() {
        let reason = HeldBackReason::UsedRecently { last_used: OffsetDateTime::UNIX_EPOCH, service: "s3".to_owned() };
        let key = HeldBack { step: DeletionStep::DeleteAccessKey(KEY.parse().unwrap()), reason };
        let mfa = HeldBack::protecting(MFA.parse().unwrap());
        let record = concluded(stripping(None, Ok(key_and_mfa())), vec![key, mfa]);
        assert_eq!(record.verdict, Verdict::CredentialsPresent);
        assert_eq!(record.removed, [DeletionStep::DeleteLoginProfile]);
    }
}
