//! The long-term credentials of a root user, as they were read.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::id::{AccessKeyId, MfaSerialNumber, SigningCertificateId};
use super::plan::DeletionStep;

/// All the credentials that a root user has. Exists only where all four kinds were read: an audit that failed is a
/// `Failure`, never an empty `RootCredentials`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RootCredentials {
    pub login_profile: Option<LoginProfile>,
    pub access_keys: Vec<AccessKey>,
    pub signing_certificates: Vec<SigningCertificate>,
    pub mfa_devices: Vec<MfaDevice>,
}

/// A password, or the permission to set one by password recovery: AWS shows no difference
/// (recorded as `root_summary_recovery_allowed`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoginProfile {
    #[serde(with = "time::serde::rfc3339::option")]
    pub created: Option<OffsetDateTime>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccessKey {
    pub id: AccessKeyId,
    pub status: AccessKeyStatus,
    #[serde(with = "time::serde::rfc3339::option")]
    pub created: Option<OffsetDateTime>,
    pub last_used: LastUsed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AccessKeyStatus {
    Active,
    Inactive,
    Expired,
}

/// When an access key was used last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "state")]
pub enum LastUsed {
    /// Not since 2015-04-22, when IAM began to keep the date
    /// (<https://docs.aws.amazon.com/IAM/latest/APIReference/API_AccessKeyLastUsed.html>).
    Never,
    Used {
        #[serde(with = "time::serde::rfc3339")]
        at: OffsetDateTime,
        service: String,
        region: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SigningCertificate {
    pub id: SigningCertificateId,
    #[serde(with = "time::serde::rfc3339::option")]
    pub uploaded: Option<OffsetDateTime>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MfaDevice {
    pub serial_number: MfaSerialNumber,
    #[serde(with = "time::serde::rfc3339::option")]
    pub enabled: Option<OffsetDateTime>,
}

/// The four entries of `GetAccountSummary` that speak of the root user.
///
/// The values are counts or flags, AWS does not say which, so only zero has a meaning here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RootSummary {
    pub password_present: i32,
    pub access_keys_present: i32,
    pub signing_certificates_present: i32,
    pub mfa_enabled: i32,
}

impl RootCredentials {
    pub fn is_empty(&self) -> bool {
        !self.can_sign_in() && self.mfa_devices.is_empty()
    }

    /// Whether anything is left that MFA protects: a password, an access key or a signing certificate.
    pub fn can_sign_in(&self) -> bool {
        self.login_profile.is_some() || !self.access_keys.is_empty() || !self.signing_certificates.is_empty()
    }

    /// The deletion of each credential, MFA last.
    pub fn deletions(&self) -> impl Iterator<Item = DeletionStep> {
        let login_profile = self.login_profile.iter().map(|_| DeletionStep::DeleteLoginProfile);
        let keys = self.access_keys.iter().map(|key| DeletionStep::DeleteAccessKey(key.id.clone()));
        let certificates = self.signing_certificates.iter();
        let certificates =
            certificates.map(|certificate| DeletionStep::DeleteSigningCertificate(certificate.id.clone()));
        let devices = self.mfa_devices.iter().map(|mfa| DeletionStep::DeactivateMfaDevice(mfa.serial_number.clone()));
        login_profile.chain(keys).chain(certificates).chain(devices)
    }

    /// What there is, in words: `a password, 2 access keys (AKIA..., AKIA...), 1 MFA device`.
    pub fn words(&self) -> String {
        let counted = |number: usize, one: &str| format!("{number} {one}{}", if number == 1 { "" } else { "s" });
        let mut words = Vec::new();
        if self.login_profile.is_some() {
            words.push("a password".to_owned());
        }
        if !self.access_keys.is_empty() {
            let keys: Vec<_> = self.access_keys.iter().map(AccessKey::words).collect();
            words.push(format!("{} ({})", counted(keys.len(), "access key"), keys.join(", ")));
        }
        if !self.signing_certificates.is_empty() {
            words.push(counted(self.signing_certificates.len(), "signing certificate"));
        }
        if !self.mfa_devices.is_empty() {
            words.push(counted(self.mfa_devices.len(), "MFA device"));
        }
        if words.is_empty() { "nothing".to_owned() } else { words.join(", ") }
    }

    /// Whether what the step deletes is there.
    pub fn has(&self, step: &DeletionStep) -> bool {
        self.deletions().any(|deletion| deletion == *step)
    }
}

impl AccessKey {
    /// The id and the last use: `AKIA..., last used 2026-11-18 for s3`.
    fn words(&self) -> String {
        match &self.last_used {
            LastUsed::Never => format!("{}, never used", self.id),
            LastUsed::Used { at, service, .. } => format!("{}, last used {} for {service}", self.id, at.date()),
        }
    }
}

/// An answer of `GetAccountSummary` that leaves open whether a kind of credential is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no entry `{0}` in the summary")]
pub struct MissingEntry(&'static str);

impl RootSummary {
    /// Reads the four entries by their names in the answer. One that is missing is not zero.
    pub fn read(entry: impl Fn(&str) -> Option<i32>) -> Result<Self, MissingEntry> {
        let entry = |name| entry(name).ok_or(MissingEntry(name));
        Ok(Self {
            password_present: entry("AccountPasswordPresent")?,
            access_keys_present: entry("AccountAccessKeysPresent")?,
            signing_certificates_present: entry("AccountSigningCertificatesPresent")?,
            mfa_enabled: entry("AccountMFAEnabled")?,
        })
    }

    /// A kind that the summary counts and of which the lists show nothing.
    pub fn contradiction(self, listed: &RootCredentials) -> Option<String> {
        let entries = [
            ("AccountPasswordPresent", self.password_present, listed.login_profile.is_none()),
            ("AccountAccessKeysPresent", self.access_keys_present, listed.access_keys.is_empty()),
            (
                "AccountSigningCertificatesPresent",
                self.signing_certificates_present,
                listed.signing_certificates.is_empty(),
            ),
            ("AccountMFAEnabled", self.mfa_enabled, listed.mfa_devices.is_empty()),
        ];
        let (entry, value, _) = entries.into_iter().find(|(_, value, is_empty)| *value != 0 && *is_empty)?;
        Some(format!("`{entry}` is {value}, but the lists show none"))
    }

    pub fn is_clean(self) -> bool {
        let Self { password_present, access_keys_present, signing_certificates_present, mfa_enabled } = self;
        [password_present, access_keys_present, signing_certificates_present, mfa_enabled]
            .iter()
            .all(|&entry| entry == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRIES: [&str; 4] = [
        "AccountPasswordPresent",
        "AccountAccessKeysPresent",
        "AccountSigningCertificatesPresent",
        "AccountMFAEnabled",
    ];

    #[test]
    fn a_summary_is_clean_only_if_all_four_entries_are_there_and_zero() {
        assert!(RootSummary::read(|_| Some(0)).unwrap().is_clean());
        for entry in ENTRIES {
            let counted = RootSummary::read(|name| Some(i32::from(name == entry))).unwrap();
            assert!(!counted.is_clean(), "{entry}");
            assert!(counted.contradiction(&RootCredentials::default()).unwrap().contains(entry));
            assert_eq!(RootSummary::read(|name| (name != entry).then_some(0)), Err(MissingEntry(entry)));
        }
    }

    #[test]
    fn what_the_lists_show_beyond_the_summary_is_no_contradiction() {
        let listed = RootCredentials {
            login_profile: Some(LoginProfile { created: None }),
            mfa_devices: vec![MfaDevice { serial_number: "GAHT12345678".parse().unwrap(), enabled: None }],
            ..RootCredentials::default()
        };
        let summary = RootSummary::read(|name| Some(i32::from(name == "AccountPasswordPresent"))).unwrap();
        assert_eq!(summary.contradiction(&listed), None);
    }
}
