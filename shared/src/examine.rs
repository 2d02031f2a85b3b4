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
use crate::domain::plan::{DeletionPlan, HoldBack};
use crate::domain::record::{AccountRecord, Verdict};
use crate::domain::request::Mode;
use crate::domain::scope::{Coverage, CoveredAccount, Scope};

/// What examining an account needs, the same for all accounts of an invocation.
#[derive(Clone, Copy, Debug)]
pub struct Examiner<'a> {
    pub aws: &'a Aws,
    pub scope: &'a Scope,
    pub hold_back: HoldBack,
    pub mode: Mode,
    /// When an account that is not done is given up, so that the invocation can still say so.
    pub until: Instant,
}

impl Examiner<'_> {
    /// Examines the account if the scope covers it. In `Audit` mode nothing is changed.
    pub async fn examine(&self, account: &Account) -> AccountRecord {
        let id = account.id.clone();
        let now = OffsetDateTime::now_utc();
        let record = match self.scope.cover(account) {
            Coverage::Covered(covered) => timeout_at(self.until, self.examine_covered(&covered))
                .await
                .unwrap_or_else(|_| AccountRecord::unknown(id, out_of_time(), now)),
            Coverage::NotCovered(reason) => AccountRecord::not_covered(id, &reason, now),
            Coverage::Undecided(undecided) => AccountRecord::undecided(id, &undecided, now),
        };
        AccountRecord { examined: OffsetDateTime::now_utc(), ..record.named(&account.name) }
    }

    async fn examine_covered(&self, account: &CoveredAccount) -> AccountRecord {
        let mut record = AccountRecord::new(account.id().clone(), Verdict::Unknown, OffsetDateTime::now_utc());
        let session: RootSession<Audit> = match self.open(account, &mut record).await {
            Ok(session) => session,
            Err(failure) => return record.with_failure(failure),
        };
        let found = match session.audit().await {
            Ok(found) => found,
            Err(failure) => return record.with_failure(failure),
        };
        if found.is_empty() {
            return AccountRecord { verdict: Verdict::Clean, ..record };
        }
        let plan = DeletionPlan::new(&found, self.hold_back, OffsetDateTime::now_utc());
        record.held_back = plan.held_back().to_vec();
        record.found = Some(found);
        match self.mode {
            Mode::Audit => {
                record.planned = plan.steps().collect();
                let reason = Some("found in `Audit` mode, which removes nothing".to_owned());
                AccountRecord { verdict: Verdict::CredentialsPresent, reason, ..record }
            }
            Mode::Enforce if plan.is_empty() => with_held_back_verdict(record),
            Mode::Enforce => self.strip(account, &plan, record).await,
        }
    }

    async fn strip(&self, account: &CoveredAccount, plan: &DeletionPlan, mut record: AccountRecord) -> AccountRecord {
        let session: RootSession<Delete> = match self.open(account, &mut record).await {
            Ok(session) => session,
            // What the audit found is still there: nothing was deleted.
            Err(failure) => return AccountRecord { verdict: Verdict::Failed, ..record }.with_failure(failure),
        };
        concluded(record, session.strip(plan).await)
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
fn concluded(mut record: AccountRecord, stripping: Stripping) -> AccountRecord {
    let Stripping { attempted, held_back, failure, left } = stripping;
    record.held_back.extend(held_back);
    let left = match left {
        Ok(left) => left,
        Err(unread) => {
            record.reason = Some("deletions were sent, but what they did could not be read".to_owned());
            record.attempted = attempted;
            return AccountRecord { verdict: Verdict::Unknown, ..record }.with_failure(unread);
        }
    };
    record.removed = attempted.into_iter().filter(|step| !left.has(step)).collect();
    if left.is_empty() {
        return AccountRecord { verdict: Verdict::Stripped, left: Some(left), ..record };
    }
    let is_as_planned = is_held_back_only(&left, &record);
    record.left = Some(left);
    if is_as_planned {
        return with_held_back_verdict(record);
    }
    let still_present = || {
        let message = "read again after the deletions, something is there: see `left`";
        Failure::observed(Cause::StillPresent, "the reading after the deletions", message)
    };
    let failure = failure.unwrap_or_else(still_present);
    AccountRecord { verdict: Verdict::Failed, ..record }.with_failure(failure)
}

fn with_held_back_verdict(record: AccountRecord) -> AccountRecord {
    let reason = Some("held back: an access key that was used lately, and the MFA that protects it".to_owned());
    let remedy = Some(
        "move what uses the access key to a role, then deactivate the key, or lower `HoldBackKeysUsedWithinDays`"
            .to_owned(),
    );
    AccountRecord { verdict: Verdict::CredentialsPresent, reason, remedy, ..record }
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

    fn conclude(stripping: Stripping, held_back: Vec<HeldBack>) -> AccountRecord {
        let record = AccountRecord::new("444455556666".parse().unwrap(), Verdict::Unknown, OffsetDateTime::UNIX_EPOCH);
        concluded(AccountRecord { held_back, ..record }, stripping)
    }

    fn stripping(failure: Option<Cause>, left: Result<RootCredentials, Cause>) -> Stripping {
        let observed = |cause| Failure::observed(cause, "iam:Example", "");
        Stripping {
            attempted: vec![DeletionStep::DeleteLoginProfile],
            held_back: Vec::new(),
            failure: failure.map(observed),
            left: left.map_err(observed),
        }
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
            (stripping(None, Ok(password())), (Verdict::Failed, Some(Cause::StillPresent), 0, 0)),
            (stripping(Some(Cause::Throttled), Ok(password())), (Verdict::Failed, Some(Cause::Throttled), 0, 0)),
            // Nobody knows.
            (stripping(None, Err(Cause::Transient)), (Verdict::Unknown, Some(Cause::Transient), 0, 1)),
            (stripping(Some(Cause::Denied), Err(Cause::Transient)), (Verdict::Unknown, Some(Cause::Transient), 0, 1)),
            // Something that was not there before.
            (stripping(None, Ok(key_and_mfa())), (Verdict::Failed, Some(Cause::StillPresent), 1, 0)),
        ] {
            assert_eq!(summary(conclude(stripping, Vec::new())), expected);
        }
    }

    #[test]
    fn what_is_held_back_is_no_failure() {
        let reason = HeldBackReason::UsedRecently { last_used: OffsetDateTime::UNIX_EPOCH, service: "s3".to_owned() };
        let key = HeldBack { step: DeletionStep::DeleteAccessKey(KEY.parse().unwrap()), reason };
        let mfa = HeldBack::protecting(MFA.parse().unwrap());
        let record = conclude(stripping(None, Ok(key_and_mfa())), vec![key, mfa]);
        assert_eq!(record.verdict, Verdict::CredentialsPresent);
        assert_eq!(record.removed, [DeletionStep::DeleteLoginProfile]);
    }
}
