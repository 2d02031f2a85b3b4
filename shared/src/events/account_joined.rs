//! The events that announce a new account of the organization, created or invited.
//!
//! INVARIANT (events are hints): nothing is taken from an event but the id of an account to look at.

use serde_json::{Map, Value};

use super::{MalformedEvent, missing};
use crate::domain::id::AccountId;

/// What an event says about the membership of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Announcement {
    /// The account is a member, or about to be one.
    Joined { account: AccountId, event_name: &'static str },
    /// An account was to be created and was not: there is nothing to look at.
    NotCreated { event_name: &'static str, reason: String },
    /// An event of another kind, which the rules should not have let through.
    Unrelated { description: String },
}

/// Reads the event in the body of a message.
pub fn parse(body: &str, management_account: &AccountId) -> Result<Announcement, MalformedEvent> {
    let event = super::read(body)?;
    let name = event.detail.get("eventName").and_then(Value::as_str).unwrap_or_default();
    let details = Details { detail: &event.detail, management_account };
    let read = match (event.source.as_str(), name) {
        ("aws.organizations", "CreateAccountResult") => {
            Details::status(&details, "CreateAccountResult", "createAccountStatus", &["accountId"])
        }
        ("aws.controltower", "CreateManagedAccount") => {
            Details::status(&details, "CreateManagedAccount", "createManagedAccountStatus", &["account", "accountId"])
        }
        ("aws.controltower", "UpdateManagedAccount") => {
            Details::status(&details, "UpdateManagedAccount", "updateManagedAccountStatus", &["account", "accountId"])
        }
        ("aws.organizations", "AccountJoinedOrganization") => details.joined(),
        (source, name) => {
            let description = format!("`{name}` of `{source}` (detail type `{}`)", event.detail_type);
            return Ok(Announcement::Unrelated { description });
        }
    };
    if event.account.as_deref() != Some(management_account.as_str()) {
        return Err(MalformedEvent::ForeignAccount { found: event.account, expected: management_account.clone() });
    }
    read
}

struct Details<'a> {
    detail: &'a Value,
    management_account: &'a AccountId,
}

impl Details<'_> {
    /// Reads an event with a status: `detail.serviceEventDetails.<status>.state` and the account id below it.
    fn status(
        &self,
        event_name: &'static str,
        status: &str,
        account_id: &[&str],
    ) -> Result<Announcement, MalformedEvent> {
        let field = format!("detail.serviceEventDetails.{status}");
        let status = self.detail.get("serviceEventDetails").and_then(|details| details.get(status));
        let status = status.ok_or_else(|| missing(&field))?;
        let value = account_id.iter().try_fold(status, |value, key| value.get(key));
        let joined = || {
            let field = format!("{field}.{}", account_id.join("."));
            let account = self.account_id(value.ok_or_else(|| missing(&field))?, &field)?;
            Ok(Announcement::Joined { account, event_name })
        };
        match status.get("state").and_then(Value::as_str) {
            Some("SUCCEEDED") => joined(),
            // Enrolling an account in Control Tower can fail for one that is there.
            Some("FAILED") if value.is_some_and(|value| !value.is_null()) => joined(),
            Some("FAILED") => {
                let reason = status.get("failureReason").or_else(|| status.get("message"));
                let reason = reason.and_then(Value::as_str).unwrap_or("no reason given").to_owned();
                Ok(Announcement::NotCreated { event_name, reason })
            }
            state => Err(MalformedEvent::Field {
                field: format!("{field}.state"),
                problem: format!("{}, not `SUCCEEDED` or `FAILED`", state.unwrap_or("missing")),
            }),
        }
    }

    /// Reads `AccountJoinedOrganization`, of which AWS has published the names of some fields but no sample
    /// (2026-05-28, <https://docs.aws.amazon.com/organizations/latest/userguide/orgs_cloudtrail-integration.html>).
    ///
    /// The id is looked for wherever the service's own part of the event may have it, under a name that can mean
    /// nothing else. `userIdentity.accountId`, `recipientAccountId` and the envelope's `account` are the management
    /// account, not the one that joined, so they are never read. Two different ids are no id.
    fn joined(&self) -> Result<Announcement, MalformedEvent> {
        const FIELD: &str = "detail.serviceEventDetails";
        let mut candidates = Vec::new();
        for part in ["serviceEventDetails", "responseElements", "requestParameters"] {
            if let Some(Value::Object(fields)) = self.detail.get(part) {
                collect_account_ids(fields, &mut candidates);
            }
            if !candidates.is_empty() {
                break;
            }
        }
        candidates.sort();
        candidates.dedup();
        let is_management_account = candidates.contains(self.management_account);
        candidates.retain(|id| id != self.management_account);
        let problem = match candidates.as_slice() {
            [account] => {
                return Ok(Announcement::Joined { account: account.clone(), event_name: "AccountJoinedOrganization" });
            }
            [] if is_management_account => "the management account itself".to_owned(),
            [] => "no id of the account that joined (looked for `accountId`)".to_owned(),
            several => {
                let several: Vec<_> = several.iter().map(AccountId::as_str).collect();
                format!("several account ids, so none can be chosen: {}", several.join(", "))
            }
        };
        Err(MalformedEvent::Field { field: FIELD.to_owned(), problem })
    }

    fn account_id(&self, value: &Value, field: &str) -> Result<AccountId, MalformedEvent> {
        let problem = match value.as_str().map(str::parse::<AccountId>) {
            Some(Ok(account)) if account == *self.management_account => "the management account itself".to_owned(),
            Some(Ok(account)) => return Ok(account),
            Some(Err(error)) => error.to_string(),
            None => format!("{value} is not an account id (twelve digits in quotes)"),
        };
        Err(MalformedEvent::Field { field: field.to_owned(), problem })
    }
}

/// Collects the values under names that mean the account the event is about, at any depth.
fn collect_account_ids(fields: &Map<String, Value>, found: &mut Vec<AccountId>) {
    for (name, value) in fields {
        let name = name.to_ascii_lowercase();
        match value {
            Value::String(text) if name == "accountid" || name == "account" || name == "joinedaccountid" => {
                found.extend(text.parse());
            }
            Value::Object(fields) => {
                if name == "account" {
                    let id = fields.get("id").or_else(|| fields.get("Id")).and_then(Value::as_str);
                    found.extend(id.and_then(|id| id.parse().ok()));
                }
                collect_account_ids(fields, found);
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    macro_rules! sample {
        ($name:literal) => {
            include_str!(concat!("../../../tests/fixtures/events/", $name, ".json"))
        };
    }

    fn read(body: &str) -> Result<Announcement, MalformedEvent> {
        parse(body, &"111122223333".parse().unwrap())
    }

    fn joined(event_name: &'static str, account: &str) -> Announcement {
        Announcement::Joined { account: account.parse().unwrap(), event_name }
    }

    /// The sample with a change to its JSON.
    fn changed(sample: &str, change: impl FnOnce(&mut Value)) -> String {
        let mut event = serde_json::from_str(sample).unwrap();
        change(&mut event);
        event.to_string()
    }

    #[test]
    fn every_announcement_names_the_account() {
        for (sample, expected) in [
            (sample!("organizations-create-account-result-succeeded"), joined("CreateAccountResult", "444455556666")),
            (sample!("organizations-account-joined-created"), joined("AccountJoinedOrganization", "444455556666")),
            (sample!("organizations-account-joined-invited"), joined("AccountJoinedOrganization", "555566667777")),
            (sample!("controltower-create-managed-account-succeeded"), joined("CreateManagedAccount", "444455556666")),
        ] {
            assert_eq!(read(sample), Ok(expected), "{sample}");
        }
        let updated = changed(sample!("controltower-create-managed-account-succeeded"), |event| {
            event["detail"]["eventName"] = json!("UpdateManagedAccount");
            let status = event["detail"]["serviceEventDetails"]["createManagedAccountStatus"].take();
            event["detail"]["serviceEventDetails"] = json!({ "updateManagedAccountStatus": status });
        });
        assert_eq!(read(&updated), Ok(joined("UpdateManagedAccount", "444455556666")));
    }

    #[test]
    fn a_failed_creation_is_nothing_to_look_at() {
        let reason = "EMAIL_ALREADY_EXISTS".to_owned();
        let expected = Announcement::NotCreated { event_name: "CreateAccountResult", reason };
        assert_eq!(read(sample!("organizations-create-account-result-failed")), Ok(expected));
        let failed = changed(sample!("controltower-create-managed-account-failed"), |event| {
            event["detail"]["serviceEventDetails"]["createManagedAccountStatus"]["account"] = json!(null);
        });
        let failed = read(&failed).unwrap();
        assert!(matches!(failed, Announcement::NotCreated { event_name: "CreateManagedAccount", .. }), "{failed:?}");
    }

    /// Control Tower could not manage it, but the account is there.
    #[test]
    fn an_account_that_control_tower_failed_to_manage_is_looked_at() {
        let failed = read(sample!("controltower-create-managed-account-failed"));
        assert_eq!(failed, Ok(joined("CreateManagedAccount", "444455556666")));
    }

    #[test]
    fn other_events_are_unrelated() {
        for sample in [
            sample!("organizations-account-departed-left"),
            sample!("organizations-close-account-result"),
            sample!("organizations-invite-account"),
            sample!("organizations-accept-handshake-member-account"),
            sample!("guardduty-root-credential-usage"),
            sample!("signin-root-console-login-failure"),
            sample!("eventbridge-scheduled-rule"),
        ] {
            let announcement = read(sample).unwrap();
            assert!(matches!(announcement, Announcement::Unrelated { .. }), "{announcement:?}");
        }
    }

    #[test]
    fn only_the_management_account_announces() {
        let foreign = changed(sample!("organizations-account-joined-created"), |event| {
            event["account"] = json!("999999999999");
        });
        let error = read(&foreign).unwrap_err().to_string();
        assert!(error.starts_with("`account` is 999999999999"), "{error}");
    }

    #[test]
    fn a_malformed_event_is_refused_by_the_name_of_its_field() {
        let created = sample!("organizations-create-account-result-succeeded");
        let status = "/detail/serviceEventDetails/createAccountStatus";
        for (pointer, value, expected) in [
            (
                format!("{status}/accountId"),
                json!("4444"),
                "`detail.serviceEventDetails.createAccountStatus.accountId`: `4444` is not",
            ),
            (
                format!("{status}/accountId"),
                json!(444_455_556_666_u64),
                "444455556666 is not an account id (twelve digits in quotes)",
            ),
            (format!("{status}/accountId"), json!("111122223333"), "the management account itself"),
            (format!("{status}/state"), json!("DONE"), "`detail.serviceEventDetails.createAccountStatus.state`: DONE"),
            (
                "/detail/serviceEventDetails".to_owned(),
                json!(null),
                "`detail.serviceEventDetails.createAccountStatus`: missing",
            ),
        ] {
            let event = changed(created, |event| *event.pointer_mut(&pointer).unwrap() = value);
            let error = read(&event).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        assert!(read("{").unwrap_err().to_string().starts_with("the message is not an EventBridge event"));
        let error = read(r#"{"source": "aws.organizations", "detail": {}}"#).unwrap_err().to_string();
        assert!(error.contains("missing field `detail-type`"), "{error}");
    }

    #[test]
    fn a_joined_account_is_found_in_any_layout_but_never_in_a_wrong_field() {
        let sample = sample!("organizations-account-joined-invited");
        let with = |details: Value| read(&changed(sample, |event| event["detail"]["serviceEventDetails"] = details));
        let expected = joined("AccountJoinedOrganization", "555566667777");
        for details in [
            json!({"accountId": "555566667777", "joinedMethod": "Invited"}),
            json!({"AccountId": "555566667777"}),
            json!({"account": {"id": "555566667777", "name": "x"}}),
            json!({"account": "555566667777", "managementAccountId": "111122223333"}),
            json!({"accountJoined": {"account": {"accountId": "555566667777"}, "managementAccountId": "999999999999"}}),
            json!({"accountId": "555566667777", "organization": {"accountId": "111122223333"}}),
        ] {
            assert_eq!(with(details.clone()), Ok(expected.clone()), "{details}");
        }
        for details in [
            json!({}),
            json!(null),
            json!({"managementAccountId": "555566667777"}),
            json!({"requestId": "555566667777"}),
            json!({"accountId": "111122223333"}),
            json!({"accountId": "555566667777", "account": {"accountId": "666677778888"}}),
        ] {
            let error = with(details.clone()).unwrap_err().to_string();
            assert!(error.starts_with("`detail.serviceEventDetails`: "), "{details}: {error}");
        }
    }
}
