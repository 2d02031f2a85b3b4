//! What an operator asks for: a time in which a root password may be recovered, or that a policy is taken away.
//!
//! A request that is not understood to the last field is refused, with the name of the field, and nothing is done.

use std::fmt;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use time::OffsetDateTime;

use super::id::{AccountId, BucketName, QueueUrl};

/// The shortest and the longest recovery window, in minutes.
pub const WINDOW_MINUTES: std::ops::RangeInclusive<u32> = 15..=24 * 60;

/// A request about recovery windows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecoveryRequest {
    /// Lets the owner of the account set a new root password for so many minutes, or longer than he could.
    Open { account: AccountId, minutes: u32, why: Why },
    /// Ends the time.
    Close { account: AccountId, why: Why },
    /// Ends the time, as the schedule asks for. It says for which window it was made: one that was extended or opened
    /// later is left alone.
    End { account: AccountId, opened: OffsetDateTime, ends: OffsetDateTime },
    /// Names the windows that nobody has closed.
    List,
}

/// A request to take a policy away that locks everyone out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnlockRequest {
    pub account: AccountId,
    pub target: UnlockTarget,
    /// What is to be in its place.
    pub replacement: Option<Map<String, Value>>,
    /// Whether it is to go even if it is not known to lock everyone out.
    pub force: bool,
    pub why: Why,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnlockTarget {
    Bucket(BucketName),
    Queue(QueueAddress),
}

/// A queue by the parts of its URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueAddress {
    pub url: QueueUrl,
    pub region: String,
    pub account: AccountId,
    pub name: String,
}

/// Why somebody asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Why {
    pub reason: String,
    pub ticket: Option<String>,
}

/// A request that cannot be carried out as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRequest {
    #[error("`{field}` in the request: {problem}")]
    Field { field: String, problem: String },
    #[error("the request is not a JSON object, such as {0}")]
    NotAnObject(&'static str),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WrittenRecovery {
    action: Action,
    account: Option<AccountId>,
    minutes: Option<u32>,
    #[serde(default, with = "time::serde::rfc3339::option")]
    opened: Option<OffsetDateTime>,
    #[serde(default, with = "time::serde::rfc3339::option")]
    ends: Option<OffsetDateTime>,
    reason: Option<String>,
    ticket: Option<String>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    Open,
    Close,
    End,
    List,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WrittenUnlock {
    account: AccountId,
    bucket: Option<BucketName>,
    queue_url: Option<QueueUrl>,
    policy: Option<Map<String, Value>>,
    #[serde(default)]
    force: bool,
    reason: Option<String>,
    ticket: Option<String>,
}

impl RecoveryRequest {
    pub fn parse(request: &Value) -> Result<Self, InvalidRequest> {
        const EXAMPLE: &str =
            r#"{"action": "open", "account": "444455556666", "minutes": 60, "reason": "lost the password"}"#;
        let written: WrittenRecovery = read(request, EXAMPLE)?;
        let WrittenRecovery { action, account, minutes, opened, ends, reason, ticket } = written;
        let account = || account.clone().ok_or_else(|| invalid("account", "missing: which account?"));
        let of_the_schedule = [("opened", opened.is_some()), ("ends", ends.is_some())];
        let of_a_person = [("reason", reason.is_some()), ("ticket", ticket.is_some())];
        let of_opening = [("minutes", minutes.is_some())];
        let without = |fields: &[(&'static str, bool)]| match fields.iter().find(|(_, is_given)| *is_given) {
            Some((field, _)) => Err(invalid(field, "not a field of this action")),
            None => Ok(()),
        };
        match action {
            Action::Open => {
                without(&of_the_schedule)?;
                let minutes = minutes.ok_or_else(|| invalid("minutes", "missing: for how long, 15 to 1440"))?;
                if !WINDOW_MINUTES.contains(&minutes) {
                    return Err(invalid("minutes", format!("{minutes}: use 15 to 1440")));
                }
                Ok(Self::Open { account: account()?, minutes, why: Why::given(reason, ticket)? })
            }
            Action::Close => {
                without(&of_the_schedule)?;
                without(&of_opening)?;
                Ok(Self::Close { account: account()?, why: Why::given(reason, ticket)? })
            }
            Action::End => {
                without(&of_a_person)?;
                without(&of_opening)?;
                let opened = opened.ok_or_else(|| invalid("opened", "missing"))?;
                let ends = ends.ok_or_else(|| invalid("ends", "missing"))?;
                Ok(Self::End { account: account()?, opened, ends })
            }
            Action::List => {
                without(&[("account", account().is_ok())])?;
                without(&of_the_schedule)?;
                without(&of_a_person)?;
                without(&of_opening)?;
                Ok(Self::List)
            }
        }
    }
}

impl UnlockRequest {
    pub fn parse(request: &Value) -> Result<Self, InvalidRequest> {
        const EXAMPLE: &str = r#"{"account": "444455556666", "bucket": "payments", "reason": "nobody can read it"}"#;
        let written: WrittenUnlock = read(request, EXAMPLE)?;
        let WrittenUnlock { account, bucket, queue_url, policy, force, reason, ticket } = written;
        let target = match (bucket, queue_url) {
            (Some(bucket), None) => UnlockTarget::Bucket(bucket),
            (None, Some(url)) => {
                let address = QueueAddress::parse(url)?;
                if address.account != account {
                    let problem = format!("a queue of {}, but `account` is {account}", address.account);
                    return Err(invalid("queueUrl", problem));
                }
                UnlockTarget::Queue(address)
            }
            (None, None) => return Err(invalid("bucket", "missing: name a `bucket` or a `queueUrl`")),
            (Some(_), Some(_)) => return Err(invalid("queueUrl", "name a `bucket` or a `queueUrl`, not both")),
        };
        if policy.as_ref().is_some_and(|policy| !policy.contains_key("Statement")) {
            return Err(invalid("policy", "not a policy: it has no `Statement`"));
        }
        Ok(Self { account, target, replacement: policy, force, why: Why::given(reason, ticket)? })
    }
}

impl QueueAddress {
    /// Reads `https://sqs.<region>.amazonaws.com/<account>/<name>`
    /// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-queue-message-identifiers.html>).
    fn parse(url: QueueUrl) -> Result<Self, InvalidRequest> {
        let parts = || {
            let rest = url.as_str().strip_prefix("https://sqs.")?;
            let (region, rest) = rest.split_once(".amazonaws.com/")?;
            let (account, name) = rest.split_once('/')?;
            let is_name = !name.is_empty() && !name.contains('/');
            Some((region.to_owned(), account.parse().ok()?, name.to_owned())).filter(|_| is_name)
        };
        let (region, account, name) = parts().ok_or_else(|| {
            invalid(
                "queueUrl",
                "not the URL of a queue, such as https://sqs.eu-central-1.amazonaws.com/444455556666/orders",
            )
        })?;
        Ok(Self { url, region, account, name })
    }

    pub fn arn(&self) -> String {
        format!("arn:aws:sqs:{}:{}:{}", self.region, self.account, self.name)
    }
}

impl Why {
    /// A reason must be given, and is kept with what was done.
    fn given(reason: Option<String>, ticket: Option<String>) -> Result<Self, InvalidRequest> {
        let given = |text: Option<String>| text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let reason =
            given(reason).ok_or_else(|| invalid("reason", "missing: say why, it is kept with what was done"))?;
        Ok(Self { reason, ticket: given(ticket) })
    }
}

impl fmt::Display for UnlockTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bucket(name) => write!(f, "the bucket {name}"),
            Self::Queue(address) => write!(f, "the queue {}", address.arn()),
        }
    }
}

fn read<T: DeserializeOwned>(request: &Value, example: &'static str) -> Result<T, InvalidRequest> {
    if !request.is_object() {
        return Err(InvalidRequest::NotAnObject(example));
    }
    serde_path_to_error::deserialize(request)
        .map_err(|error| invalid(&error.path().to_string(), error.into_inner().to_string()))
}

fn invalid(field: &str, problem: impl Into<String>) -> InvalidRequest {
    InvalidRequest::Field { field: field.to_owned(), problem: problem.into() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_request_about_windows_says_what_it_wants() {
        let open =
            json!({"action": "open", "account": "444455556666", "minutes": 60, "reason": " lost ", "ticket": "OPS-1"});
        let why = Why { reason: "lost".to_owned(), ticket: Some("OPS-1".to_owned()) };
        let account: AccountId = "444455556666".parse().unwrap();
        let expected = RecoveryRequest::Open { account: account.clone(), minutes: 60, why };
        assert_eq!(RecoveryRequest::parse(&open), Ok(expected));
        let times = ("2026-11-20T12:00:00Z", "2026-11-20T13:00:00Z");
        let scheduled = json!({"action": "end", "account": "444455556666", "opened": times.0, "ends": times.1});
        assert!(matches!(RecoveryRequest::parse(&scheduled), Ok(RecoveryRequest::End { .. })));
        assert_eq!(RecoveryRequest::parse(&json!({"action": "list"})), Ok(RecoveryRequest::List));
        for (request, expected) in [
            (json!({"action": "open", "minutes": 60, "reason": "x"}), "`account` in the request: missing"),
            (
                json!({"action": "open", "account": "4444", "minutes": 60, "reason": "x"}),
                "`account` in the request: `4444` is not",
            ),
            (json!({"action": "open", "account": "444455556666", "reason": "x"}), "`minutes` in the request: missing"),
            (
                json!({"action": "open", "account": "444455556666", "minutes": 14, "reason": "x"}),
                "`minutes` in the request: 14: use 15 to 1440",
            ),
            (
                json!({"action": "open", "account": "444455556666", "minutes": 1441, "reason": "x"}),
                "`minutes` in the request: 1441",
            ),
            (json!({"action": "open", "account": "444455556666", "minutes": 60}), "`reason` in the request: missing"),
            (
                json!({"action": "open", "account": "444455556666", "minutes": 60, "reason": " "}),
                "`reason` in the request: missing",
            ),
            (
                json!({"action": "close", "account": "444455556666", "minutes": 60, "reason": "x"}),
                "`minutes` in the request: not a field of this action",
            ),
            (json!({"action": "close", "account": "444455556666"}), "`reason` in the request: missing"),
            (json!({"action": "list", "account": "444455556666"}), "`account` in the request: not a field"),
            (json!({"action": "delete"}), "unknown variant `delete`, expected one of `open`, `close`, `end`, `list`"),
            (json!({"action": "list", "forever": true}), "unknown field `forever`"),
            (json!({}), "missing field `action`"),
            (json!("open"), "the request is not a JSON object, such as {\"action\": \"open\""),
        ] {
            let error = RecoveryRequest::parse(&request).unwrap_err().to_string();
            assert!(error.contains(expected), "{request}: {error}");
        }
    }

    #[test]
    fn a_request_to_unlock_names_one_bucket_or_one_queue() {
        let url = "https://sqs.eu-central-1.amazonaws.com/444455556666/orders";
        let queue = UnlockRequest::parse(&json!({"account": "444455556666", "queueUrl": url, "reason": "x"})).unwrap();
        let UnlockTarget::Queue(address) = &queue.target else { panic!("{queue:?}") };
        assert_eq!(address.arn(), "arn:aws:sqs:eu-central-1:444455556666:orders");
        assert!(!queue.force && queue.replacement.is_none());
        for (request, expected) in [
            (json!({"account": "444455556666", "reason": "x"}), "`bucket` in the request: missing"),
            (json!({"account": "444455556666", "bucket": "payments", "queueUrl": url, "reason": "x"}), "not both"),
            (
                json!({"account": "555566667777", "queueUrl": url, "reason": "x"}),
                "`queueUrl` in the request: a queue of 444455556666, but `account` is 555566667777",
            ),
            (
                json!({"account": "444455556666", "queueUrl": "https://example.com/orders", "reason": "x"}),
                "not the URL of a queue",
            ),
            (
                json!({"account": "444455556666", "bucket": "Payments", "reason": "x"}),
                "`Payments` is not a bucket name",
            ),
            (json!({"account": "444455556666", "bucket": "payments"}), "`reason` in the request: missing"),
            (
                json!({"account": "444455556666", "bucket": "payments", "reason": "x", "policy": {}}),
                "`policy` in the request: not a policy",
            ),
            (
                json!({"account": "444455556666", "bucket": "payments", "reason": "x", "policy": "{}"}),
                "`policy` in the request: invalid type",
            ),
        ] {
            let error = UnlockRequest::parse(&request).unwrap_err().to_string();
            assert!(error.contains(expected), "{request}: {error}");
        }
    }
}
