//! What would be deleted, in which order, and what is held back: a value that acting on needs, and nothing else.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::credentials::{AccessKey, AccessKeyStatus, LastUsed, RootCredentials};
use super::id::{AccessKeyId, MfaSerialNumber, SigningCertificateId};

/// One deletion, named as the IAM operation that does it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "operation", content = "id")]
pub enum DeletionStep {
    DeleteLoginProfile,
    DeleteAccessKey(AccessKeyId),
    DeleteSigningCertificate(SigningCertificateId),
    #[serde(rename = "DeactivateMFADevice")]
    DeactivateMfaDevice(MfaSerialNumber),
}

/// The deletions that strip a root user, in the order of AWS's own guide
/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/id_root-user-privileged-task.html>).
///
/// INVARIANT (mfa last): `mfa_devices` is empty if anything is held back, and is applied only after everything in
/// `sign_in` is read to be gone. A crash half-way leaves no password without its MFA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletionPlan {
    sign_in: Vec<DeletionStep>,
    mfa_devices: Vec<MfaSerialNumber>,
    held_back: Vec<HeldBack>,
}

/// A credential that stays for now, with the reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldBack {
    #[serde(flatten)]
    pub step: DeletionStep,
    #[serde(flatten)]
    pub reason: HeldBackReason,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason")]
pub enum HeldBackReason {
    /// Something uses the access key: deleting it would break that.
    UsedRecently {
        #[serde(with = "time::serde::rfc3339", rename = "lastUsed")]
        last_used: OffsetDateTime,
        service: String,
    },
    /// A credential that MFA protects is still there.
    ProtectsWhatIsLeft,
}

/// How long an access key must have been idle before it is deleted. Zero deletes every key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HoldBack {
    pub keys_used_within: Duration,
    /// A key that was created later is deleted even if it is used; `None` holds back keys of any age.
    pub keys_created_before: Option<OffsetDateTime>,
}

impl DeletionPlan {
    /// Decides what to delete. An inactive key is never held back: nothing can be using it.
    pub fn new(found: &RootCredentials, hold_back: HoldBack, now: OffsetDateTime) -> Self {
        let mut plan = Self { sign_in: Vec::new(), mfa_devices: Vec::new(), held_back: Vec::new() };
        plan.sign_in.extend(found.login_profile.iter().map(|_| DeletionStep::DeleteLoginProfile));
        for key in &found.access_keys {
            let step = DeletionStep::DeleteAccessKey(key.id.clone());
            match recent_use(key, hold_back, now) {
                Some(reason) => plan.held_back.push(HeldBack { step, reason }),
                None => plan.sign_in.push(step),
            }
        }
        for certificate in &found.signing_certificates {
            plan.sign_in.push(DeletionStep::DeleteSigningCertificate(certificate.id.clone()));
        }
        plan.mfa_devices.extend(found.mfa_devices.iter().map(|device| device.serial_number.clone()));
        if !plan.held_back.is_empty() {
            plan.held_back.extend(plan.mfa_devices.drain(..).map(HeldBack::protecting));
        }
        plan
    }

    /// The deletions of everything but MFA, to be done first.
    pub fn sign_in(&self) -> &[DeletionStep] {
        &self.sign_in
    }

    /// The MFA devices to deactivate once nothing that they protect is left.
    pub fn mfa_devices(&self) -> &[MfaSerialNumber] {
        &self.mfa_devices
    }

    pub fn held_back(&self) -> &[HeldBack] {
        &self.held_back
    }

    /// All the deletions in order.
    pub fn steps(&self) -> impl Iterator<Item = DeletionStep> {
        let mfa = self.mfa_devices.iter().cloned().map(DeletionStep::DeactivateMfaDevice);
        self.sign_in.iter().cloned().chain(mfa)
    }

    /// Whether there is nothing to delete.
    pub fn is_empty(&self) -> bool {
        self.sign_in.is_empty() && self.mfa_devices.is_empty()
    }
}

impl fmt::Display for DeletionStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DeleteLoginProfile => f.write_str("DeleteLoginProfile"),
            Self::DeleteAccessKey(id) => write!(f, "DeleteAccessKey {id}"),
            Self::DeleteSigningCertificate(id) => write!(f, "DeleteSigningCertificate {id}"),
            Self::DeactivateMfaDevice(serial_number) => write!(f, "DeactivateMFADevice {serial_number}"),
        }
    }
}

/// The steps in order, separated by commas.
pub fn in_words(steps: &[DeletionStep]) -> String {
    steps.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl HeldBack {
    /// An MFA device that stays because a credential that it protects does.
    pub fn protecting(serial_number: MfaSerialNumber) -> Self {
        Self { step: DeletionStep::DeactivateMfaDevice(serial_number), reason: HeldBackReason::ProtectsWhatIsLeft }
    }
}

fn recent_use(key: &AccessKey, hold_back: HoldBack, now: OffsetDateTime) -> Option<HeldBackReason> {
    if key.created.zip(hold_back.keys_created_before).is_some_and(|(created, before)| created >= before) {
        return None;
    }
    match (&key.status, &key.last_used) {
        (AccessKeyStatus::Active, LastUsed::Used { at, service, .. }) if *at > now - hold_back.keys_used_within => {
            Some(HeldBackReason::UsedRecently { last_used: *at, service: service.clone() })
        }
        (AccessKeyStatus::Active | AccessKeyStatus::Inactive | AccessKeyStatus::Expired, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::credentials::{LoginProfile, MfaDevice, SigningCertificate};

    const NOW: OffsetDateTime = datetime!(2026-11-20 12:00 UTC);
    const TWO_WEEKS: HoldBack = HoldBack { keys_used_within: Duration::from_hours(14 * 24), keys_created_before: None };

    fn key(id: &str, status: AccessKeyStatus, last_used: Option<OffsetDateTime>) -> AccessKey {
        let last_used = match last_used {
            Some(at) => LastUsed::Used { at, service: "s3".to_owned(), region: "eu-central-1".to_owned() },
            None => LastUsed::Never,
        };
        AccessKey { id: id.parse().unwrap(), status, created: None, last_used }
    }

    fn everything(access_keys: Vec<AccessKey>) -> RootCredentials {
        RootCredentials {
            login_profile: Some(LoginProfile { created: None }),
            access_keys,
            signing_certificates: vec![SigningCertificate {
                id: "CERTIFICATE1EXAMPLE".parse().unwrap(),
                uploaded: None,
            }],
            mfa_devices: vec![MfaDevice { serial_number: "GAHT12345678".parse().unwrap(), enabled: None }],
        }
    }

    /// The names of the steps and of what is held back, in order.
    fn outline(found: &RootCredentials, hold_back: HoldBack) -> (Vec<String>, Vec<String>) {
        let name = |step: &DeletionStep| format!("{step:?}").split('(').next().unwrap().to_owned();
        let plan = DeletionPlan::new(found, hold_back, NOW);
        (plan.steps().map(|step| name(&step)).collect(), plan.held_back().iter().map(|held| name(&held.step)).collect())
    }

    #[test]
    fn mfa_last() {
        let unused = key("AKIAUNUSEDKEYEXAMPLE", AccessKeyStatus::Active, None);
        let (steps, held_back) = outline(&everything(vec![unused]), TWO_WEEKS);
        assert_eq!(steps, ["DeleteLoginProfile", "DeleteAccessKey", "DeleteSigningCertificate", "DeactivateMfaDevice"]);
        assert!(held_back.is_empty());
    }

    #[test]
    fn a_key_in_use_is_held_back_and_mfa_with_it() {
        let used = key("AKIAUSEDTODAYEXAMPLE", AccessKeyStatus::Active, Some(NOW - time::Duration::days(13)));
        let (steps, held_back) = outline(&everything(vec![used]), TWO_WEEKS);
        assert_eq!(steps, ["DeleteLoginProfile", "DeleteSigningCertificate"]);
        assert_eq!(held_back, ["DeleteAccessKey", "DeactivateMfaDevice"]);
    }

    #[test]
    fn only_an_active_key_that_was_used_within_the_time_is_held_back() {
        let is_held_back = |key: AccessKey, hold_back| !outline(&everything(vec![key]), hold_back).1.is_empty();
        let used = |status, days| key("AKIAANYUSEKEYEXAMPLE", status, Some(NOW - time::Duration::days(days)));
        let nothing = HoldBack { keys_used_within: Duration::ZERO, ..TWO_WEEKS };
        let since_noon = HoldBack { keys_created_before: Some(NOW), ..TWO_WEEKS };
        let created =
            |hours| AccessKey { created: Some(NOW - time::Duration::hours(hours)), ..used(AccessKeyStatus::Active, 0) };
        for (key, hold_back, expected) in [
            (used(AccessKeyStatus::Active, 13), TWO_WEEKS, true),
            (used(AccessKeyStatus::Active, -1), TWO_WEEKS, true), // a clock that is behind
            (used(AccessKeyStatus::Active, 14), TWO_WEEKS, false),
            (used(AccessKeyStatus::Inactive, 1), TWO_WEEKS, false),
            (used(AccessKeyStatus::Active, 1), nothing, false),
            (created(0), TWO_WEEKS, true),
            (created(-1), TWO_WEEKS, true), // a clock that is behind
            (created(0), since_noon, false),
            (created(1), since_noon, true),
            (used(AccessKeyStatus::Active, 0), since_noon, true), // nobody knows how old it is
        ] {
            assert_eq!(is_held_back(key.clone(), hold_back), expected, "{key:?} {hold_back:?}");
        }
    }

    #[test]
    fn nothing_found_is_nothing_to_do() {
        assert!(DeletionPlan::new(&RootCredentials::default(), TWO_WEEKS, NOW).is_empty());
    }
}
