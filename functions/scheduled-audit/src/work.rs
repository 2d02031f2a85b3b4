//! What an invocation is to do: a request, or the rest of an audit that an earlier invocation began.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared::domain::alert::AlertCounts;
use shared::domain::id::AccountId;
use shared::domain::record::Totals;
use shared::domain::request::{AuditRequest, InvalidRequest, Mode, Selection};
use time::OffsetDateTime;

/// An audit from some point on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Work {
    /// Names the audit across its invocations.
    pub(crate) run: String,
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) started: OffsetDateTime,
    pub(crate) request: AuditRequest,
    pub(crate) cursor: Cursor,
    /// Whether the management account was among the accounts listed so far: a whole list has it.
    pub(crate) has_seen_management_account: bool,
    /// Over the earlier invocations.
    pub(crate) totals: Totals,
    pub(crate) alerts: AlertCounts,
    /// How many invocations have left their records in the evidence bucket, for the last one to put together.
    pub(crate) parts: u32,
    /// Whether a part of it was delivered before, and may have told what is not in `alerts`.
    pub(crate) is_repeated: bool,
}

/// How the work came.
#[derive(Clone, Debug)]
pub(crate) struct Delivery<'a> {
    /// Names the audit that begins with it.
    pub(crate) run: &'a str,
    pub(crate) asked: OffsetDateTime,
    pub(crate) is_repeated: bool,
}

/// Where the audit goes on: small, whatever the size of the organization.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Cursor {
    FirstPage,
    Page(String),
    Accounts(BTreeSet<AccountId>),
}

impl Work {
    /// Reads a request, or a continuation that `message` wrote.
    pub(crate) fn parse(body: &Value, deployed: Mode, delivery: &Delivery<'_>) -> Result<Self, InvalidRequest> {
        if let Some(continuation) = body.get("continuation") {
            let malformed = |problem: String| InvalidRequest::Malformed { field: "continuation".to_owned(), problem };
            if body.as_object().is_some_and(|fields| fields.len() > 1) {
                return Err(malformed("it goes with no other field".to_owned()));
            }
            let mut work: Self =
                serde_json::from_value(continuation.clone()).map_err(|error| malformed(error.to_string()))?;
            // The stack may have been deployed anew since, in a stricter mode.
            work.request.mode = work.request.mode.min(deployed);
            work.is_repeated |= delivery.is_repeated;
            return Ok(work);
        }
        let request = AuditRequest::parse(body, deployed)?;
        let cursor = match &request.selection {
            Selection::Everything | Selection::OrganizationalUnits(_) => Cursor::FirstPage,
            Selection::Accounts(accounts) => Cursor::Accounts(accounts.clone()),
        };
        Ok(Self {
            run: delivery.run.to_owned(),
            started: delivery.asked,
            request,
            cursor,
            has_seen_management_account: false,
            totals: Totals::default(),
            alerts: AlertCounts::default(),
            parts: 0,
            is_repeated: delivery.is_repeated,
        })
    }

    /// The same work from the beginning of the list. The parts stay: what they say was done was done.
    pub(crate) fn restarted(self) -> Self {
        Self { cursor: Cursor::FirstPage, has_seen_management_account: false, totals: Totals::default(), ..self }
    }

    /// The message that has the next invocation go on.
    pub(crate) fn message(&self) -> String {
        json!({ "continuation": self }).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery() -> Delivery<'static> {
        Delivery { run: "run", asked: OffsetDateTime::UNIX_EPOCH, is_repeated: false }
    }

    #[test]
    fn a_continuation_is_read_as_it_was_written() {
        let mut work = Work::parse(&json!({"everything": true}), Mode::Enforce, &delivery()).unwrap();
        work.cursor = Cursor::Page("token".to_owned());
        work.totals.accounts = 7;
        let message: Value = serde_json::from_str(&work.message()).unwrap();
        assert_eq!(Work::parse(&message, Mode::Enforce, &Delivery { run: "another", ..delivery() }).unwrap(), work);
    }

    #[test]
    fn a_continuation_never_does_more_than_the_deployment() {
        let work = Work::parse(&json!({"everything": true}), Mode::Enforce, &delivery()).unwrap();
        let message: Value = serde_json::from_str(&work.message()).unwrap();
        assert_eq!(Work::parse(&message, Mode::Audit, &delivery()).unwrap().request.mode, Mode::Audit);
    }

    #[test]
    fn a_continuation_that_cannot_be_read_is_refused() {
        for body in [json!({"continuation": {"run": 1}}), json!({"continuation": {}, "everything": true})] {
            let error = Work::parse(&body, Mode::Audit, &delivery()).unwrap_err();
            assert!(error.to_string().starts_with("`continuation`"), "{error}");
        }
    }
}
