//! What the functions logged about accounts, read as anybody would who has only the log: the lines of the type
//! `AccountRecord` that the README describes.
//!
//! It must not use the functions' own types, as nothing in the simulator does.

use std::fmt;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::Value;
use simulator::organization::{AccountId, RootCredentials};
use time::OffsetDateTime;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(crate) enum Verdict {
    Clean,
    Stripped,
    CredentialsPresent,
    Failed,
    Unknown,
    NotCovered,
}

/// The outcome for one account.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AccountRecord {
    pub(crate) account_id: AccountId,
    pub(crate) account_name: Option<String>,
    pub(crate) verdict: Verdict,
    pub(crate) reason: Option<String>,
    pub(crate) failure: Option<Failure>,
    pub(crate) remedy: Option<String>,
    pub(crate) found: Option<Found>,
    #[serde(default)]
    pub(crate) removed: Vec<Step>,
    #[serde(default)]
    pub(crate) held_back: Vec<HeldBack>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Failure {
    pub(crate) cause: String,
}

/// The credentials that were found; here only their number counts.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Found {
    login_profile: Option<Value>,
    access_keys: Vec<Value>,
    signing_certificates: Vec<Value>,
    mfa_devices: Vec<Value>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Step {
    operation: Operation,
}

#[derive(Clone, Copy, Debug, Deserialize)]
enum Operation {
    DeleteLoginProfile,
    DeleteAccessKey,
    DeleteSigningCertificate,
    #[serde(rename = "DeactivateMFADevice")]
    DeactivateMfaDevice,
}

/// A credential that was left, with the reason.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct HeldBack {
    /// The access key, certificate or MFA device.
    pub(crate) id: Option<String>,
    #[serde(flatten)]
    pub(crate) reason: HeldBackReason,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "reason")]
pub(crate) enum HeldBackReason {
    UsedRecently {
        #[serde(rename = "lastUsed", with = "time::serde::rfc3339")]
        last_used: OffsetDateTime,
        service: String,
    },
    ProtectsWhatIsLeft,
}

/// Credentials by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Credentials {
    passwords: usize,
    access_keys: usize,
    certificates: usize,
    mfa_devices: usize,
}

/// The records among the lines of a log.
pub(crate) fn read(lines: &[Value]) -> Result<Vec<AccountRecord>> {
    read_lines(lines.iter().filter(|line| is_record(line)))
}

/// The records of lines that are nothing else.
pub(crate) fn read_lines<'a>(lines: impl IntoIterator<Item = &'a Value>) -> Result<Vec<AccountRecord>> {
    let records = lines.into_iter();
    records.map(|line| AccountRecord::deserialize(line).with_context(|| format!("unreadable record {line}"))).collect()
}

/// Whether a line of a log is a record.
pub(crate) fn is_record(line: &Value) -> bool {
    line.get("type").and_then(Value::as_str) == Some("AccountRecord")
}

impl Verdict {
    pub(crate) const ALL: [Self; 6] =
        [Self::Clean, Self::Stripped, Self::CredentialsPresent, Self::Failed, Self::Unknown, Self::NotCovered];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Clean => "Clean",
            Self::Stripped => "Stripped",
            Self::CredentialsPresent => "CredentialsPresent",
            Self::Failed => "Failed",
            Self::Unknown => "Unknown",
            Self::NotCovered => "NotCovered",
        }
    }

    /// How many records have each verdict, without those that none has.
    pub(crate) fn count(records: &[AccountRecord]) -> Vec<(Self, usize)> {
        let count = |verdict| (verdict, records.iter().filter(|record| record.verdict == verdict).count());
        Self::ALL.into_iter().map(count).filter(|(_, count)| *count > 0).collect()
    }
}

impl AccountRecord {
    /// `444455556666 webshop`.
    pub(crate) fn account(&self) -> String {
        format!("{} {}", self.account_id, self.account_name.as_deref().unwrap_or_default()).trim_end().to_owned()
    }
}

impl Credentials {
    pub(crate) fn found(records: &[AccountRecord]) -> Self {
        let mut credentials = Self::default();
        for found in records.iter().filter_map(|record| record.found.as_ref()) {
            credentials.passwords += usize::from(found.login_profile.is_some());
            credentials.access_keys += found.access_keys.len();
            credentials.certificates += found.signing_certificates.len();
            credentials.mfa_devices += found.mfa_devices.len();
        }
        credentials
    }

    pub(crate) fn removed(records: &[AccountRecord]) -> Self {
        let mut credentials = Self::default();
        for step in records.iter().flat_map(|record| &record.removed) {
            let kind = match step.operation {
                Operation::DeleteLoginProfile => &mut credentials.passwords,
                Operation::DeleteAccessKey => &mut credentials.access_keys,
                Operation::DeleteSigningCertificate => &mut credentials.certificates,
                Operation::DeactivateMfaDevice => &mut credentials.mfa_devices,
            };
            *kind += 1;
        }
        credentials
    }

    pub(crate) fn by_kind(self) -> [(&'static str, usize); 4] {
        [
            ("passwords", self.passwords),
            ("access keys", self.access_keys),
            ("certificates", self.certificates),
            ("MFA devices", self.mfa_devices),
        ]
    }
}

impl From<&RootCredentials> for Credentials {
    fn from(root: &RootCredentials) -> Self {
        Self {
            passwords: usize::from(root.login_profile.is_some()),
            access_keys: root.access_keys.len(),
            certificates: root.signing_certificates.len(),
            mfa_devices: root.mfa_devices.len(),
        }
    }
}

/// `1 password, 2 access keys`, or `nothing`.
impl fmt::Display for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = |(kind, number): (&str, usize)| match number {
            0 => None,
            1 => Some(format!("1 {}", kind.trim_end_matches('s'))),
            _ => Some(format!("{number} {kind}")),
        };
        let kinds: Vec<_> = self.by_kind().into_iter().filter_map(named).collect();
        match kinds.as_slice() {
            [] => formatter.write_str("nothing"),
            kinds => formatter.write_str(&kinds.join(", ")),
        }
    }
}
