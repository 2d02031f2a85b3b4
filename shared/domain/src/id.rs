//! The identifiers of AWS as types with one door: `FromStr`, which serde goes through too.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A text that is not the identifier it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{value}` is not {expected}")]
pub struct InvalidId {
    value: String,
    expected: &'static str,
}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident, $expected:literal, $is_valid:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(value: &str) -> Result<Self, InvalidId> {
                let is_valid: fn(&str) -> bool = $is_valid;
                if is_valid(value) {
                    Ok(Self(value.to_owned()))
                } else {
                    Err(InvalidId { value: value.to_owned(), expected: $expected })
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(value: String) -> Result<Self, InvalidId> {
                value.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

identifier!(
    /// The id of an AWS account: twelve digits, kept as text because leading zeros count.
    AccountId,
    "an account id (twelve digits)",
    |id| id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_digit())
);

identifier!(
    /// The id of an organization, `o-` and 10 to 32 lower-case letters or digits
    /// (<https://docs.aws.amazon.com/organizations/latest/APIReference/API_Organization.html>).
    OrganizationId,
    "an organization id (`o-` and 10 to 32 letters or digits)",
    |id| id.strip_prefix("o-").is_some_and(|rest| (10..=32).contains(&rest.len()) && lower_alphanumeric(rest))
);

identifier!(
    /// The id of an organizational unit, `ou-`, the root's 4 to 32 characters, `-` and 8 to 32 characters
    /// (<https://docs.aws.amazon.com/organizations/latest/APIReference/API_OrganizationalUnit.html>).
    OrganizationalUnitId,
    "an organizational unit id (such as `ou-a1b2-c3d4e5f6`)",
    |id| {
        id.strip_prefix("ou-").and_then(|rest| rest.split_once('-')).is_some_and(|(root, unit)| {
            (4..=32).contains(&root.len())
                && (8..=32).contains(&unit.len())
                && lower_alphanumeric(root)
                && lower_alphanumeric(unit)
        })
    }
);

identifier!(
    /// The id of an access key. Its prefix tells nothing: a console session of root has `ASIA` too.
    AccessKeyId,
    "an access key id (16 to 128 letters, digits or `_`)",
    |id| (16..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
);

identifier!(
    /// The id of an X.509 signing certificate, opaque.
    SigningCertificateId,
    "a signing certificate id",
    |id| !id.is_empty()
);

identifier!(
    /// The serial number of an MFA device, opaque: an ARN for virtual and FIDO devices, a bare number for hardware
    /// tokens. It is passed on unchanged.
    MfaSerialNumber,
    "an MFA serial number",
    |id| !id.is_empty()
);

identifier!(
    /// The URL of an SQS queue.
    QueueUrl,
    "a queue URL (`https://...`)",
    |id| id.starts_with("https://") || id.starts_with("http://")
);

identifier!(
    /// The name of a DynamoDB table
    /// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html>).
    TableName,
    "a table name (3 to 255 letters, digits, `_`, `-` or `.`)",
    |name| (3..=255).contains(&name.len()) && name.bytes().all(|byte| is_name_byte(byte) || byte == b'.')
);

identifier!(
    /// The name of an S3 bucket (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>).
    BucketName,
    "a bucket name (3 to 63 lower-case letters, digits, `-` or `.`)",
    |name| {
        (3..=63).contains(&name.len())
            && name.bytes().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'.'
            })
    }
);

identifier!(
    /// The name of an EventBridge event bus
    /// (<https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_CreateEventBus.html>).
    EventBusName,
    "an event bus name (1 to 256 letters, digits, `_`, `-`, `.` or `/`)",
    |name| {
        (1..=256).contains(&name.len())
            && name.bytes().all(|byte| is_name_byte(byte) || byte == b'.' || byte == b'/')
    }
);

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

fn lower_alphanumeric(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_id_is_twelve_digits_and_keeps_its_leading_zeros() {
        assert_eq!("012345678901".parse::<AccountId>().unwrap().as_str(), "012345678901");
        for wrong in ["", "12345678901", "1234567890123", "12345678901a", " 123456789012", "１２３４５６７８９０１２"]
        {
            assert!(wrong.parse::<AccountId>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn serde_goes_through_the_same_door() {
        let error = serde_json::from_str::<AccountId>("\"1234\"").unwrap_err();
        assert!(error.to_string().starts_with("`1234` is not an account id (twelve digits)"), "{error}");
        assert!(serde_json::from_str::<AccountId>("123456789012").is_err(), "a number has lost its leading zeros");
    }

    #[test]
    fn units_and_organizations_have_their_forms() {
        assert!("ou-a1b2-c3d4e5f6".parse::<OrganizationalUnitId>().is_ok());
        for wrong in ["ou-a1b2", "r-a1b2", "ou-A1B2-c3d4e5f6", "ou-a1b2-c3d4e5f6-x", "ou-a-c3d4e5f6"] {
            assert!(wrong.parse::<OrganizationalUnitId>().is_err(), "{wrong}");
        }
        assert!("o-aa111bb222".parse::<OrganizationId>().is_ok());
        assert!("o-short".parse::<OrganizationId>().is_err());
    }
}
