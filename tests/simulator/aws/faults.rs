//! Faults that are injected at calls: what a network and a busy service do, on demand.
//!
//! A fault chooses calls by operation, account and count, so a sweep can hit each call of a run in turn.

use std::str::FromStr;

use serde_json::{Map, Value};
use time::OffsetDateTime;

use super::authorization::{Denial, Reason};
use super::call::Call;
use super::dynamodb;
use super::service::{Effect, Service};
use crate::api::ApiError;
use crate::organization::AccountId;

/// What happens to which calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// `iam:DeleteAccessKey`, `iam:*` or `*`.
    pub operation: String,
    /// The account acted in; None for any.
    pub account: Option<AccountId>,
    /// So many matching calls pass first.
    pub skip: u32,
    /// So many calls are hit; None for all from then on.
    pub times: Option<u32>,
    /// When it is over, whatever it has hit; None for never.
    pub until: Option<OffsetDateTime>,
    /// Whether whoever injects it does not count on it: one that hits nothing proves nothing.
    pub may_miss: bool,
    pub kind: FaultKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    Throttle,
    Error500,
    Error503,
    /// Nothing is done, and no answer comes as long as the client waits.
    Timeout,
    /// Nothing is done, and the connection is closed.
    Drop,
    /// It is done, and the connection is closed instead of an answer.
    DropAfter,
    /// By the caller's own policies.
    Denied,
    /// By a service control policy.
    ScpDenied,
    /// A read answers as it would have before the account's last changes, so many of them, or before those of the
    /// table, the bucket's policy or the queue's. What else S3 reads is never stale, nor is what a client wants to read
    /// consistently.
    Stale(usize),
    /// It is done, and answered with success, but the answer has none of its members.
    Hollow,
    /// It is done, and answered with success, but the answer breaks off, and nobody can read it.
    Garbled,
    /// A change meets another one: `EntityTemporarilyUnmodifiable` for MFA devices, what DynamoDB and S3 say of a write
    /// that collides, else `ConcurrentModification`.
    Conflict,
    /// A batch leaves half of what it is asked for undone: `BatchGetItem`, `BatchWriteItem` and `PutEvents`, nothing else.
    Partial,
}

/// Why text is not a fault, and what it should look like.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}; write it like `iam:GetAccountSummary=throttle,account=444455556666,skip=2,times=1`")]
pub struct InvalidFault(String);

/// The faults in force, and those that never hit a call while they were.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    armed: Vec<Armed>,
    missed: Vec<Fault>,
}

#[derive(Debug)]
struct Armed {
    fault: Fault,
    seen: u32,
    hit: u32,
}

impl Fault {
    /// At every call of an operation.
    pub fn at(operation: &str, kind: FaultKind) -> Self {
        Self {
            operation: operation.to_owned(),
            account: None,
            skip: 0,
            times: None,
            until: None,
            may_miss: false,
            kind,
        }
    }

    #[must_use]
    pub fn in_account(self, account: AccountId) -> Self {
        Self { account: Some(account), ..self }
    }

    #[must_use]
    pub fn skip(self, skip: u32) -> Self {
        Self { skip, ..self }
    }

    #[must_use]
    pub fn may_miss(self) -> Self {
        Self { may_miss: true, ..self }
    }

    #[must_use]
    pub fn until(self, until: OffsetDateTime) -> Self {
        Self { until: Some(until), ..self }
    }

    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self { times: Some(times), ..self }
    }

    fn matches(&self, call: &Call, effect: Effect) -> bool {
        let is_operation = match self.operation.strip_suffix('*') {
            Some(prefix) => call.action().starts_with(prefix),
            None => self.operation == call.action(),
        };
        let is_possible = match self.kind {
            FaultKind::Stale(_) => effect == Effect::Reads && may_be_stale(call),
            // SQS documents none.
            FaultKind::Conflict if call.service == Service::Sqs => false,
            FaultKind::Conflict => effect == Effect::Changes || write_conflict(call).is_some(),
            FaultKind::Partial => matches!(call.operation.as_str(), "BatchGetItem" | "BatchWriteItem" | "PutEvents"),
            FaultKind::Throttle
            | FaultKind::Error500
            | FaultKind::Error503
            | FaultKind::Timeout
            | FaultKind::Drop
            | FaultKind::DropAfter
            | FaultKind::Denied
            | FaultKind::ScpDenied
            | FaultKind::Hollow
            | FaultKind::Garbled => true,
        };
        let is_account = self.account.as_ref().is_none_or(|account| account.as_str() == call.account());
        let is_in_time = self.until.is_none_or(|until| call.at < until);
        is_operation && is_possible && is_account && is_in_time
    }
}

impl FaultKind {
    /// The error that the fault answers with. None for those that answer nothing, or answer after all.
    pub(crate) fn error(self, call: &Call) -> Option<ApiError> {
        let service = call.service;
        let denied = |reason| {
            let root = call.caller.account.root_arn();
            let action = denied_action(call);
            let resource = if call.caller.arn == root { root.as_str() } else { "*" };
            service.access_denied(Denial { caller: &call.caller.arn, action: &action, resource, reason }.to_string())
        };
        match self {
            Self::Throttle => Some(service.throttled()),
            Self::Error500 => Some(service.internal_error()),
            Self::Error503 => Some(ApiError::new("ServiceUnavailable", 503, "The service is temporarily unavailable.")),
            // `assume_caller_without_permission`: a denial of AssumeRoot has no reason.
            Self::Denied | Self::ScpDenied if call.operation == "AssumeRoot" => Some(service.access_denied(format!(
                "User: {} is not authorized to perform: sts:AssumeRoot on resource: arn:aws:iam::{}:root",
                call.caller.arn,
                call.account()
            ))),
            Self::Denied => Some(denied(Reason::NoIdentityPolicyAllows)),
            Self::ScpDenied => Some(denied(Reason::ServiceControlPolicyDenies)),
            // The texts are those of the API reference.
            Self::Conflict if call.operation == "DeactivateMFADevice" => Some(ApiError::new(
                "EntityTemporarilyUnmodifiable",
                409,
                "The request was rejected because it referenced an entity that is temporarily unmodifiable, such as a \
                 user name that was deleted and then recreated. The error indicates that the request is likely to \
                 succeed if you try again after waiting several minutes.",
            )),
            Self::Conflict => Some(match service {
                Service::Events => ApiError::new(
                    "ConcurrentModificationException",
                    400,
                    "There is concurrent modification on a rule, target, archive, or replay.",
                ),
                Service::Organizations => ApiError::new(
                    "ConcurrentModificationException",
                    400,
                    "The target of the operation is currently being modified by a different request. Try again later.",
                ),
                Service::Sts | Service::Iam => ApiError::new(
                    "ConcurrentModification",
                    409,
                    "The request was rejected because multiple requests to change this object were submitted \
                     simultaneously. Wait a few minutes and submit your request again.",
                ),
                Service::DynamoDb | Service::S3 | Service::Scheduler | Service::Sqs => return write_conflict(call),
            }),
            Self::Timeout
            | Self::Drop
            | Self::DropAfter
            | Self::Stale(_)
            | Self::Hollow
            | Self::Garbled
            | Self::Partial => None,
        }
    }
}

/// The IAM action that an operation needs: some are not actions of their own.
fn denied_action(call: &Call) -> String {
    let action = match (call.service, call.operation.as_str()) {
        // Whatever its first item is: denials of the others read the same.
        (Service::DynamoDb, "TransactWriteItems") => "dynamodb:PutItem",
        (Service::S3, "ListObjectsV2" | "HeadBucket") => "s3:ListBucket",
        (Service::S3, "HeadObject") => "s3:GetObject",
        (Service::S3, "CopyObject") => "s3:PutObject",
        (Service::S3, "ListBuckets") => "s3:ListAllMyBuckets",
        _ => return call.action(),
    };
    action.to_owned()
}

/// Whether the answer to a read may lag behind.
fn may_be_stale(call: &Call) -> bool {
    let is_consistent = |read: &Value| read.get("ConsistentRead") == Some(&Value::Bool(true));
    let of_tables = call.input.get("RequestItems").and_then(Value::as_object).into_iter().flat_map(Map::values);
    let is_of_objects = call.service == Service::S3 && call.operation != "GetBucketPolicy";
    !is_of_objects && !is_consistent(&call.input) && !of_tables.into_iter().any(is_consistent)
}

/// The error of a write that collides with another, for the operations that have one.
fn write_conflict(call: &Call) -> Option<ApiError> {
    match (call.service, call.operation.as_str()) {
        (Service::DynamoDb, "TransactWriteItems") => Some(dynamodb::transaction_conflict(&call.input)),
        (Service::DynamoDb, "PutItem" | "DeleteItem") => {
            let message = "Transaction is ongoing for the item";
            Some(ApiError::new("TransactionConflictException", 400, message))
        }
        // The texts of the "List of error codes" in the API reference of S3, and of the one of the Scheduler.
        (Service::S3, "PutBucketPolicy" | "DeleteBucketPolicy") => Some(ApiError::new(
            "OperationAborted",
            409,
            "A conflicting conditional operation is currently in progress against this resource. Try again.",
        )),
        (Service::Scheduler, "UpdateSchedule" | "DeleteSchedule") => Some(ApiError::new(
            "ConflictException",
            409,
            "Updating or deleting the resource can cause an inconsistent state.",
        )),
        // Without a condition the last writer wins.
        (Service::S3, "PutObject") if call.input.get("IfNoneMatch").is_some() => Some(ApiError::new(
            "ConditionalRequestConflict",
            409,
            "A conflicting conditional operation is currently in progress against this resource. Try again.",
        )),
        _ => None,
    }
}

impl Faults {
    pub(crate) fn inject(&mut self, fault: Fault) {
        self.armed.push(Armed { fault, seen: 0, hit: 0 });
    }

    pub(crate) fn clear(&mut self) {
        self.missed = self.missed();
        self.armed.clear();
    }

    /// Those that have hit nothing, though they were to.
    pub(crate) fn missed(&self) -> Vec<Fault> {
        let unhit = self.armed.iter().filter(|armed| armed.hit == 0 && !armed.fault.may_miss);
        self.missed.iter().chain(unhit.map(|armed| &armed.fault)).cloned().collect()
    }

    /// How many calls were hit.
    pub(crate) fn hits(&self) -> u32 {
        self.armed.iter().map(|armed| armed.hit).sum()
    }

    /// The fault that hits a call. Each fault counts the calls that match it, hit or not.
    pub(crate) fn strike(&mut self, call: &Call, effect: Effect) -> Option<FaultKind> {
        let mut struck = None;
        for armed in self.armed.iter_mut().filter(|armed| armed.fault.matches(call, effect)) {
            armed.seen += 1;
            let is_due = armed.seen > armed.fault.skip && armed.fault.times.is_none_or(|times| armed.hit < times);
            if is_due && struck.is_none() {
                armed.hit += 1;
                struck = Some(armed.fault.kind);
            }
        }
        struck
    }
}

impl FromStr for Fault {
    type Err = InvalidFault;

    fn from_str(text: &str) -> Result<Self, InvalidFault> {
        let mut parts = text.split(',');
        let (operation, kind) = parts
            .next()
            .and_then(|first| first.split_once('='))
            .ok_or_else(|| InvalidFault(format!("`{text}` has no `<operation>=<kind>`")))?;
        let mut fault = Self::at(known_operation(operation)?, kind.parse()?);
        for part in parts {
            let (name, value) =
                part.split_once('=').ok_or_else(|| InvalidFault(format!("`{part}` is not `<name>=<value>`")))?;
            let count = || value.parse().map_err(|_| InvalidFault(format!("`{name}`: `{value}` is not a number")));
            match name {
                "account" => {
                    let account = value.parse::<AccountId>();
                    fault = fault.in_account(account.map_err(|error| InvalidFault(format!("`account`: {error}")))?);
                }
                "skip" => fault = fault.skip(count()?),
                "times" => fault = fault.times(count()?),
                _ => return Err(InvalidFault(format!("`{name}` is none of `account`, `skip`, `times`"))),
            }
        }
        Ok(fault)
    }
}

fn known_operation(text: &str) -> Result<&str, InvalidFault> {
    if text == "*" {
        return Ok(text);
    }
    let unknown = || InvalidFault(format!("`{text}` is no operation that is simulated"));
    let (service, operation) = text.split_once(':').ok_or_else(unknown)?;
    let service = Service::from_name(service).ok_or_else(unknown)?;
    let is_known = operation == "*" || service.operation(operation).is_some();
    if is_known { Ok(text) } else { Err(unknown()) }
}

impl FromStr for FaultKind {
    type Err = InvalidFault;

    fn from_str(text: &str) -> Result<Self, InvalidFault> {
        Ok(match text {
            "throttle" => Self::Throttle,
            "error500" => Self::Error500,
            "error503" => Self::Error503,
            "timeout" => Self::Timeout,
            "drop" => Self::Drop,
            "drop-after" => Self::DropAfter,
            "denied" => Self::Denied,
            "scp-denied" => Self::ScpDenied,
            "stale" => Self::Stale(1),
            "hollow" => Self::Hollow,
            "garbled" => Self::Garbled,
            "conflict" => Self::Conflict,
            "partial" => Self::Partial,
            _ => {
                let changes = text.strip_prefix("stale:").and_then(|changes| changes.parse().ok());
                Self::Stale(changes.ok_or_else(|| {
                    InvalidFault(format!(
                        "`{text}` is none of `throttle`, `error500`, `error503`, `timeout`, `drop`, `drop-after`, \
                         `denied`, `scp-denied`, `stale`, `stale:<changes>`, `hollow`, `garbled`, `conflict`, \
                         `partial`"
                    ))
                })?)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_read_from_text() {
        let fault: Fault = "iam:GetAccountSummary=throttle,account=444455556666,skip=2,times=1".parse().unwrap();
        let expected = Fault::at("iam:GetAccountSummary", FaultKind::Throttle)
            .in_account("444455556666".parse().unwrap())
            .skip(2)
            .times(1);
        assert_eq!(fault, expected);
        assert_eq!("*=stale:3".parse::<Fault>().unwrap().kind, FaultKind::Stale(3));
        let partial: Fault = "dynamodb:BatchGetItem=partial".parse().unwrap();
        assert_eq!(partial.kind, FaultKind::Partial);
    }

    #[test]
    fn errors_say_what_is_wrong() {
        for (text, problem) in [
            ("throttle", "`throttle` has no `<operation>=<kind>`"),
            ("iam:GetAcountSummary=throttle", "`iam:GetAcountSummary` is no operation that is simulated"),
            ("*=slow", "`slow` is none of"),
            ("*=drop,account=1", "`account`: `1` is not an account id"),
            ("*=drop,skip=x", "`skip`: `x` is not a number"),
            ("*=drop,count=1", "`count` is none of"),
        ] {
            let error = text.parse::<Fault>().unwrap_err().to_string();
            assert!(error.starts_with(problem), "{error}");
        }
    }
}
