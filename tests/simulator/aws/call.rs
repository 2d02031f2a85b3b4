//! One call to AWS, and the record that is kept of it.

use std::cell::RefCell;
use std::collections::BTreeMap;

use serde::de::{DeserializeOwned, Deserializer, Error as _};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::caller::Caller;
use super::service::Service;
use crate::api::{Answer, ApiError};
use crate::organization::{AccountId, RootCredentials};

/// A call whose caller is known.
pub(crate) struct Call {
    pub(crate) caller: Caller,
    pub(crate) service: Service,
    pub(crate) operation: String,
    pub(crate) region: String,
    /// The `Host` header.
    pub(crate) host: String,
    /// The `User-Agent` header.
    pub(crate) user_agent: String,
    /// With AWS's member names.
    pub(crate) input: Value,
    pub(crate) at: OffsetDateTime,
    /// How many changes of the account's root credentials, or of a table, a read lags behind: IAM is eventually
    /// consistent, and so are reads of DynamoDB that do not ask for more.
    pub(crate) staleness: usize,
    /// Whether a batch leaves half of what it is asked for undone.
    pub(crate) is_partial: bool,
    /// What the caller's policies were asked about so far: actions and resources.
    pub(crate) permissions: RefCell<Vec<(String, String)>>,
}

/// A call as the log keeps it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CallRecord {
    /// When it was carried out.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    pub request_id: String,
    /// The caller's ARN; empty if the caller could not be identified.
    pub caller: String,
    /// The key that the call was signed with.
    pub access_key_id: String,
    /// The account acted in: the target of an `AssumeRoot`, otherwise the caller's.
    pub account: String,
    pub region: String,
    pub service: String,
    pub operation: String,
    /// What the caller's policies were asked about, whatever they decided: IAM actions, each with an ARN or `*`. An
    /// operation is not always an action of its own: that of `TransactWriteItems` are those of its items.
    pub permissions: Vec<(String, String)>,
    /// Without secrets.
    pub input: Value,
    pub outcome: Outcome,
    /// The key id of the root session that an `AssumeRoot` opened.
    pub opened: Option<String>,
    /// True if the operation is one that changes accounts or the organization.
    pub mutating: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Outcome {
    Success,
    Error {
        code: String,
        status: u16,
    },
    /// The caller got no answer. What was to be done was done only if `done`.
    NoAnswer {
        done: bool,
    },
}

impl CallRecord {
    /// Takes from the credentials what the call took from its account; false if it is no call that strips one.
    pub fn take_from(&self, root: &mut RootCredentials) -> bool {
        let input = |member: &str| self.input.get(member).and_then(Value::as_str).unwrap_or_default();
        match self.operation.as_str() {
            "DeleteLoginProfile" => root.login_profile = None,
            "DeleteAccessKey" => root.access_keys.retain(|key| key.id != input("AccessKeyId")),
            "DeleteSigningCertificate" => {
                root.signing_certificates.retain(|certificate| certificate.id != input("CertificateId"));
            }
            "DeactivateMFADevice" => root.mfa_devices.retain(|device| device.serial_number != input("SerialNumber")),
            _ => return false,
        }
        true
    }

    /// The operation as faults name it, and as IAM does where it is an action of its own: `iam:DeleteAccessKey`.
    pub fn action(&self) -> String {
        format!("{}:{}", self.service, self.operation)
    }
}

impl From<&Answer> for Outcome {
    fn from(answer: &Answer) -> Self {
        match answer {
            Ok(_) => Self::Success,
            Err(error) => Self::Error { code: error.code.clone(), status: error.status },
        }
    }
}

impl Call {
    pub(crate) fn action(&self) -> String {
        format!("{}:{}", self.service.name(), self.operation)
    }

    /// The typed input. A member that the operation does not have is an error: here a misspelt member is more likely
    /// than a new one, and AWS's silence about it would hide the mistake.
    pub(crate) fn input<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        T::deserialize(&self.input).map_err(|error| self.service.invalid_input(format!("{}: {error}", self.operation)))
    }

    /// The account in which the call acts.
    pub(crate) fn account(&self) -> &str {
        let target = self.input.get("TargetPrincipal").and_then(Value::as_str).unwrap_or_default();
        match target.parse::<AccountId>() {
            Ok(_) => target,
            Err(_) => account_of_root(target).unwrap_or(self.caller.account.as_str()),
        }
    }

    /// The input as the log may keep it.
    pub(crate) fn input_without_secrets(&self) -> Value {
        let mut input = self.input.clone();
        // A password is a secret, and the body of an object may be one or large.
        for member in ["Password", "Body"] {
            if let Some(value) = input.get_mut(member) {
                *value = json!("(not logged)");
            }
        }
        input
    }
}

/// The account id in `arn:aws:iam::<account>:root`.
pub(crate) fn account_of_root(arn: &str) -> Option<&str> {
    let account = arn.strip_prefix("arn:aws:iam::")?.strip_suffix(":root")?;
    account.parse::<AccountId>().ok().map(|_| account)
}

/// Some member of the input that is a number: the query protocol writes it as text.
pub(crate) fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::String(text) => {
            text.parse().map(Some).map_err(|_| D::Error::custom(format!("`{text}` is not an integer")))
        }
        Value::Number(number) => {
            number.as_i64().map(Some).ok_or_else(|| D::Error::custom(format!("`{number}` is not an integer")))
        }
        other @ (Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_)) => {
            Err(D::Error::custom(format!("`{other}` is not an integer")))
        }
    }
}

/// The input of an operation without members.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NoInput {}

/// Numbers what AWS numbers at random, so that two runs can be compared.
#[derive(Debug, Default)]
pub(crate) struct Sequence(BTreeMap<&'static str, u64>);

impl Sequence {
    pub(crate) fn next(&mut self, kind: &'static str) -> u64 {
        let number = self.0.entry(kind).or_default();
        *number += 1;
        *number
    }

    pub(crate) fn next_uuid(&mut self, kind: &'static str) -> String {
        let number = self.next(kind);
        let hash = kind.bytes().fold(0_u32, |hash, byte| hash.rotate_left(5) ^ u32::from(byte));
        format!("{hash:08x}-0000-4000-8000-{number:012x}")
    }
}
