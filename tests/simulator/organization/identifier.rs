//! The identifiers of an organization, each with one parser.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Text that is not the identifier that it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {expected}")]
pub struct InvalidIdentifier {
    text: String,
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
            type Err = InvalidIdentifier;

            fn from_str(text: &str) -> Result<Self, InvalidIdentifier> {
                let is_valid: fn(&str) -> bool = $is_valid;
                if is_valid(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(InvalidIdentifier { text: text.to_owned(), expected: $expected })
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidIdentifier;

            fn try_from(text: String) -> Result<Self, InvalidIdentifier> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(identifier: $name) -> Self {
                identifier.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }
    };
}

identifier!(
    /// Text, because leading zeros matter.
    AccountId,
    "an account id (twelve digits)",
    |text| text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
);

identifier!(OrganizationId, "an organization id (`o-` and 10 to 32 lower-case letters or digits)", |text| {
    text.strip_prefix("o-").is_some_and(|rest| is_lower_alphanumeric(rest, 10, 32))
});

identifier!(
    /// The id of the root or of an organizational unit: what an account or a unit can lie in.
    UnitId,
    "the id of a root (`r-` and 4 to 32 lower-case letters or digits) or of an organizational unit (`ou-`, the root's \
     part, `-` and 8 to 32 of them)",
    |text| {
        if let Some(rest) = text.strip_prefix("r-") {
            return is_lower_alphanumeric(rest, 4, 32);
        }
        text.strip_prefix("ou-").and_then(|rest| rest.split_once('-')).is_some_and(|(root, rest)| {
            is_lower_alphanumeric(root, 4, 32) && is_lower_alphanumeric(rest, 8, 32)
        })
    }
);

impl AccountId {
    /// The ARN of the account's root user.
    pub fn root_arn(&self) -> String {
        format!("arn:aws:iam::{self}:root")
    }
}

impl UnitId {
    pub fn is_root(&self) -> bool {
        self.0.starts_with("r-")
    }
}

fn is_lower_alphanumeric(text: &str, least: usize, most: usize) -> bool {
    (least..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn account_ids_are_twelve_digits() {
        assert_eq!("000011112222".parse::<AccountId>().unwrap().root_arn(), "arn:aws:iam::000011112222:root");
        for wrong in ["11112222333", "1111222233334", "11112222333x", ""] {
            assert!(wrong.parse::<AccountId>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn unit_ids_are_those_of_roots_and_organizational_units() {
        assert!("r-a1b2".parse::<UnitId>().unwrap().is_root());
        assert!(!"ou-a1b2-12345678".parse::<UnitId>().unwrap().is_root());
        for wrong in ["ou-a1b2", "r-a", "ou-a1b2-1234567", "o-aa111bb222", "OU-a1b2-12345678"] {
            assert!(wrong.parse::<UnitId>().is_err(), "{wrong}");
        }
    }
}
