//! What Unroot's own root sessions leave behind in CloudTrail and GuardDuty, where they look like root; and whether it
//! reacted to that.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;
use simulator::aws::CallRecord;

use super::stage::ROOT_ACTIVITY;

/// The access keys of the functions and of their root sessions, as AWS knows them from the calls.
pub(crate) struct Traces(BTreeSet<String>);

/// How much of it there is.
pub(crate) struct Count {
    cloud_trail: usize,
    guard_duty: usize,
}

impl Traces {
    /// The calls are those of the functions, and of nobody else.
    pub(crate) fn of(own_calls: &[CallRecord]) -> Self {
        Self(own_calls.iter().map(|call| call.access_key_id.clone()).collect())
    }

    /// Whether an event tells of one of these keys.
    pub(crate) fn have(&self, event: &Value) -> bool {
        let pointers = ["/detail/userIdentity/accessKeyId", "/detail/resource/accessKeyDetails/accessKeyId"];
        let mut keys = pointers.iter().filter_map(|pointer| event.pointer(pointer)?.as_str());
        keys.any(|key| self.0.contains(key))
    }

    pub(crate) fn count(&self, events: &[Value]) -> Count {
        let own: Vec<_> = events.iter().filter(|event| self.have(event)).collect();
        let guard_duty = own.iter().filter(|event| is_finding(event)).count();
        Count { cloud_trail: own.len() - guard_duty, guard_duty }
    }

    /// The accounts in which `root-activity` opened more root sessions than there were signs of somebody else.
    pub(crate) fn answered(&self, events: &[Value], own_calls: &[CallRecord]) -> Vec<String> {
        let mut numbers = BTreeMap::<&str, (usize, usize)>::new();
        for call in own_calls.iter().filter(|call| is_look(call)) {
            numbers.entry(&call.account).or_default().0 += 1;
        }
        for event in events.iter().filter(|event| !self.have(event)) {
            numbers.entry(root_of(event)).or_default().1 += 1;
        }
        let too_many = numbers.into_iter().filter(|(_, (looks, signs))| looks > signs);
        too_many.map(|(account, (looks, signs))| format!("{account}: {looks} looks after {signs} signs")).collect()
    }
}

impl Count {
    /// Whether CloudTrail or GuardDuty told nothing.
    pub(crate) fn is_partial(&self) -> bool {
        self.cloud_trail == 0 || self.guard_duty == 0
    }
}

/// `583 CloudTrail events and 871 GuardDuty findings`.
impl fmt::Display for Count {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} CloudTrail events and {} GuardDuty findings", self.cloud_trail, self.guard_duty)
    }
}

pub(crate) fn is_finding(event: &Value) -> bool {
    event.get("source").is_some_and(|source| source == "aws.guardduty")
}

/// Whether it is how `root-activity` begins to look at an account.
fn is_look(call: &CallRecord) -> bool {
    let task = call.input.pointer("/TaskPolicyArn/arn").and_then(Value::as_str).unwrap_or_default();
    call.operation == "AssumeRoot"
        && call.caller.ends_with(ROOT_ACTIVITY)
        && task.ends_with("IAMAuditRootUserCredentials")
}

/// The account whose root user an event is about; empty if it is about none.
fn root_of(event: &Value) -> &str {
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    match text("/detail/userIdentity/type") {
        "Root" => text("/detail/userIdentity/accountId"),
        _ if is_finding(event) => text("/detail/accountId"),
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use simulator::aws::Outcome;

    use super::*;

    const OWN: &str = "ASIA000000001EXAMPLE";
    const WEBSHOP: &str = "444455556666";

    fn call(account: &str) -> CallRecord {
        CallRecord {
            at: time::OffsetDateTime::UNIX_EPOCH,
            request_id: String::new(),
            caller: "arn:aws:sts::222233334444:assumed-role/RootActivityRole/unroot-root-activity".to_owned(),
            access_key_id: OWN.to_owned(),
            account: account.to_owned(),
            region: "eu-central-1".to_owned(),
            service: "sts".to_owned(),
            operation: "AssumeRoot".to_owned(),
            permissions: Vec::new(),
            input: json!({"TaskPolicyArn": {"arn": "arn:aws:iam::aws:policy/root-task/IAMAuditRootUserCredentials"}}),
            outcome: Outcome::Success,
            opened: None,
            mutating: false,
        }
    }

    fn finding(key: &str) -> Value {
        let detail = json!({"accountId": WEBSHOP, "resource": {"accessKeyDetails": {"accessKeyId": key}}});
        json!({"source": "aws.guardduty", "account": "222233334444", "detail": detail})
    }

    fn signed_in() -> Value {
        let identity = json!({"type": "Root", "accountId": WEBSHOP, "accessKeyId": ""});
        json!({"source": "aws.signin", "account": WEBSHOP, "detail": {"userIdentity": identity}})
    }

    #[test]
    fn what_follows_from_our_own_sessions_is_found() {
        let look = call(WEBSHOP);
        for (events, looks, expected) in [
            (vec![signed_in()], vec![look.clone()], 0),
            (vec![finding("ASIA000000002EXAMPLE")], vec![look.clone()], 0),
            (vec![finding(OWN)], vec![look.clone()], 1),
            (vec![signed_in(), finding(OWN)], vec![look.clone(), look], 1),
            (vec![signed_in()], vec![call("555566667777")], 1),
        ] {
            let wrong = Traces::of(&looks).answered(&events, &looks);
            assert_eq!(wrong.len(), expected, "{wrong:?}");
        }
    }

    #[test]
    fn own_traces_are_counted() {
        let events = [finding(OWN), signed_in(), finding("ASIA000000002EXAMPLE")];
        let count = Traces::of(&[call(WEBSHOP)]).count(&events);
        assert_eq!(count.to_string(), "0 CloudTrail events and 1 GuardDuty findings");
        assert!(count.is_partial());
    }
}
