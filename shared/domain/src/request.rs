//! What an audit is asked to do. A request can only narrow what the deployment covers and does.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::id::{AccountId, OrganizationalUnitId};
use super::trigger::Trigger;

/// The most accounts that one request may name.
pub const MAX_REQUESTED_ACCOUNTS: usize = 1_000;

/// Whether credentials are only looked for, or also removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Mode {
    Audit,
    Enforce,
}

/// The accounts that an audit looks at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Selection {
    Everything,
    OrganizationalUnits(BTreeSet<OrganizationalUnitId>),
    Accounts(BTreeSet<AccountId>),
}

/// A request for an audit, valid for the deployment that it was sent to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditRequest {
    pub selection: Selection,
    pub mode: Mode,
    pub trigger: Trigger,
}

/// A request that asks for nothing, for two things, or for what it may not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRequest {
    #[error("`{field}` in the request: {problem}")]
    Malformed { field: String, problem: String },
    #[error("the request is not a JSON object, such as {{\"everything\": true}}")]
    NotAnObject,
    #[error("the request names nothing: set one of `everything`: true, `organizationalUnits` or `accounts`")]
    Empty,
    #[error("the request contradicts itself: set only one of `everything`, `organizationalUnits` and `accounts`")]
    Contradictory,
    #[error("`{0}`: the list is empty, name at least one")]
    EmptyList(&'static str),
    #[error(
        "`accounts`: {0} accounts are named, at most {MAX_REQUESTED_ACCOUNTS} can be: ask for `organizationalUnits`"
    )]
    TooManyAccounts(usize),
    #[error(
        "`mode`: the function is deployed in `Audit`, and a request can only be stricter: deploy with `Mode=Enforce`"
    )]
    MoreThanDeployed,
}

/// The request as it is written.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WrittenRequest {
    #[serde(default)]
    everything: bool,
    organizational_units: Option<BTreeSet<OrganizationalUnitId>>,
    accounts: Option<BTreeSet<AccountId>>,
    mode: Option<Mode>,
    trigger: Option<WrittenTrigger>,
}

/// What a request may say of itself.
#[derive(Deserialize)]
enum WrittenTrigger {
    Schedule,
    Request,
}

/// A text that is no mode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a mode: use `Audit` or `Enforce`")]
pub struct InvalidMode(String);

impl AuditRequest {
    /// Reads a request and holds it against the mode that the function is deployed in.
    pub fn parse(request: &serde_json::Value, deployed: Mode) -> Result<Self, InvalidRequest> {
        if !request.is_object() {
            return Err(InvalidRequest::NotAnObject);
        }
        let written: WrittenRequest = serde_path_to_error::deserialize(request).map_err(|error| {
            InvalidRequest::Malformed { field: error.path().to_string(), problem: error.into_inner().to_string() }
        })?;
        let selection = match (written.everything, written.organizational_units, written.accounts) {
            (true, None, None) => Selection::Everything,
            (false, Some(units), None) if units.is_empty() => {
                return Err(InvalidRequest::EmptyList("organizationalUnits"));
            }
            (false, Some(units), None) => Selection::OrganizationalUnits(units),
            (false, None, Some(accounts)) if accounts.is_empty() => return Err(InvalidRequest::EmptyList("accounts")),
            (false, None, Some(accounts)) if accounts.len() > MAX_REQUESTED_ACCOUNTS => {
                return Err(InvalidRequest::TooManyAccounts(accounts.len()));
            }
            (false, None, Some(accounts)) => Selection::Accounts(accounts),
            (false, None, None) => return Err(InvalidRequest::Empty),
            (true, _, _) | (false, Some(_), Some(_)) => return Err(InvalidRequest::Contradictory),
        };
        let mode = written.mode.unwrap_or(deployed);
        if mode > deployed {
            return Err(InvalidRequest::MoreThanDeployed);
        }
        let trigger = match written.trigger {
            Some(WrittenTrigger::Schedule) => Trigger::Schedule,
            Some(WrittenTrigger::Request) | None => Trigger::Request,
        };
        Ok(Self { selection, mode, trigger })
    }
}

impl FromStr for Mode {
    type Err = InvalidMode;

    fn from_str(mode: &str) -> Result<Self, InvalidMode> {
        match mode {
            "Audit" => Ok(Self::Audit),
            "Enforce" => Ok(Self::Enforce),
            other => Err(InvalidMode(other.to_owned())),
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Audit => "Audit",
            Self::Enforce => "Enforce",
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_request_selects_one_thing() {
        let parse = |request| AuditRequest::parse(&request, Mode::Enforce).unwrap();
        assert_eq!(parse(json!({"everything": true})).selection, Selection::Everything);
        assert_eq!(parse(json!({"everything": true})).mode, Mode::Enforce);
        assert_eq!(parse(json!({"everything": true, "mode": "Audit"})).mode, Mode::Audit);
        assert_eq!(parse(json!({"everything": true})).trigger, Trigger::Request);
        assert_eq!(parse(json!({"everything": true, "trigger": "Schedule"})).trigger, Trigger::Schedule);
        let accounts = ["444455556666".parse().unwrap()].into();
        assert_eq!(parse(json!({"accounts": ["444455556666"]})).selection, Selection::Accounts(accounts));
    }

    #[test]
    fn a_bad_request_is_refused_by_the_name_of_its_field() {
        let unit = "ou-a1b2-c3d4e5f6";
        for (request, expected) in [
            (json!({}), "names nothing"),
            (json!({"everything": false}), "names nothing"),
            (json!({"everything": true, "accounts": ["444455556666"]}), "contradicts itself"),
            (json!({"organizationalUnits": [unit], "accounts": ["444455556666"]}), "contradicts itself"),
            (json!({"accounts": []}), "`accounts`: the list is empty"),
            (json!({"organizationalUnits": []}), "`organizationalUnits`: the list is empty"),
            (json!({"accounts": ["1234"]}), "`accounts[0]` in the request: `1234` is not an account id"),
            (json!({"accounts": "444455556666"}), "expected a sequence"),
            (json!({"organizationalUnits": ["r-a1b2"]}), "`r-a1b2` is not an organizational unit id"),
            (
                json!({"everything": true, "mode": "Destroy"}),
                "unknown variant `Destroy`, expected `Audit` or `Enforce`",
            ),
            (json!({"everything": true, "trigger": "AccountJoined"}), "unknown variant `AccountJoined`"),
            (json!({"everything": true, "dryRun": true}), "unknown field `dryRun`"),
            (json!("everything"), "the request is not a JSON object"),
            (json!([true, null, null, null]), "the request is not a JSON object"),
            (json!(null), "the request is not a JSON object"),
        ] {
            let error = AuditRequest::parse(&request, Mode::Enforce).unwrap_err().to_string();
            assert!(error.contains(expected), "{request}: {error}");
        }
    }

    #[test]
    fn a_request_can_be_stricter_but_never_more_than_the_deployment() {
        let request = json!({"everything": true, "mode": "Enforce"});
        assert_eq!(AuditRequest::parse(&request, Mode::Audit), Err(InvalidRequest::MoreThanDeployed));
    }

    #[test]
    fn a_request_names_a_bounded_number_of_accounts() {
        let accounts: Vec<_> = (0..=MAX_REQUESTED_ACCOUNTS).map(|n| format!("{n:012}")).collect();
        let error = AuditRequest::parse(&json!({"accounts": accounts}), Mode::Audit);
        assert_eq!(error, Err(InvalidRequest::TooManyAccounts(MAX_REQUESTED_ACCOUNTS + 1)));
    }
}
