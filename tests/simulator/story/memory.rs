//! What Unroot remembers of the root sessions that it opened, and what must be kept nowhere.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use simulator::aws::{CallRecord, Outcome};

/// What every secret access key and every session token of the simulated AWS has in it.
const SECRETS: [&str; 2] = ["/EXAMPLEKEY", "SimulatedSessionToken"];

/// The root sessions that were opened and are not remembered, or the other way round, by account and task; and the keys
/// that acted in an account without being remembered.
pub(crate) fn forgotten_sessions(calls: &[CallRecord], items: &[Value]) -> Vec<String> {
    let text = |value: &Value, member: &str| value.get(member).and_then(Value::as_str).unwrap_or_default().to_owned();
    let remembered: Vec<_> = items.iter().filter(|item| text(item, "sk") == "session").collect();
    let mut numbers = BTreeMap::<(String, String), (usize, usize)>::new();
    for call in calls.iter().filter(|call| call.operation == "AssumeRoot" && call.outcome == Outcome::Success) {
        let arn = call.input.pointer("/TaskPolicyArn/arn").and_then(Value::as_str).unwrap_or_default();
        let task = arn.rsplit('/').next().unwrap_or_default().to_owned();
        numbers.entry((call.account.clone(), task)).or_default().0 += 1;
    }
    for item in &remembered {
        numbers.entry((text(item, "accountId"), text(item, "task"))).or_default().1 += 1;
    }
    let differing = numbers.into_iter().filter(|(_, (opened, remembered))| opened != remembered);
    let mut wrong: Vec<_> = differing
        .map(|((account, task), (opened, remembered))| {
            format!("{task} in {account}: {opened} sessions opened, {remembered} remembered")
        })
        .collect();

    let keys: BTreeSet<_> =
        remembered.iter().map(|item| (text(item, "accessKeyId"), text(item, "accountId"))).collect();
    // In a root session the caller is the member's root user.
    let acted = calls.iter().filter(|call| call.caller.ends_with(":root"));
    let acted: BTreeSet<_> = acted.map(|call| (call.access_key_id.clone(), call.account.clone())).collect();
    let unknown = acted.difference(&keys);
    wrong.extend(unknown.map(|(key, account)| format!("{key} acted in {account} and is not remembered")));
    wrong
}

/// The places that hold a secret.
pub(crate) fn secrets_in<'a>(texts: impl IntoIterator<Item = (String, impl AsRef<str> + 'a)>) -> Vec<String> {
    let has_one = |text: &str| SECRETS.iter().any(|secret| text.contains(secret));
    let places = texts.into_iter().filter(|(_, text)| has_one(text.as_ref()));
    places.map(|(place, _)| format!("a secret is in {place}")).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use simulator::aws::{Aws, Role};
    use simulator::clock::Clock;
    use simulator::organization::Organization;

    use super::*;

    const WEBSHOP: &str = "444455556666";

    fn call(operation: &str, caller: &str, input: Value) -> CallRecord {
        CallRecord {
            at: time::OffsetDateTime::UNIX_EPOCH,
            request_id: String::new(),
            caller: caller.to_owned(),
            access_key_id: "ASIA000000001EXAMPLE".to_owned(),
            account: WEBSHOP.to_owned(),
            region: "us-east-1".to_owned(),
            service: "sts".to_owned(),
            operation: operation.to_owned(),
            permissions: Vec::new(),
            input,
            outcome: Outcome::Success,
            opened: None,
            mutating: false,
        }
    }

    #[test]
    fn a_session_that_is_not_remembered_is_found() {
        let task = "arn:aws:iam::aws:policy/root-task/IAMAuditRootUserCredentials";
        let calls = [
            call("AssumeRoot", "role", json!({"TaskPolicyArn": {"arn": task}})),
            call("GetAccountSummary", "arn:aws:iam::444455556666:root", json!({})),
        ];
        let item = |key: &str, account: &str, task: &str| json!({"sk": "session", "accessKeyId": key, "accountId": account, "task": task});
        let right = item("ASIA000000001EXAMPLE", WEBSHOP, "IAMAuditRootUserCredentials");
        assert_eq!(forgotten_sessions(&calls, &[right.clone(), json!({"sk": "posture"})]), Vec::<String>::new());
        for (items, expected) in [
            (vec![], 2),
            (vec![item("ASIA000000002EXAMPLE", WEBSHOP, "IAMAuditRootUserCredentials")], 1),
            (vec![item("ASIA000000001EXAMPLE", WEBSHOP, "IAMDeleteRootUserCredentials")], 2),
            (vec![right.clone(), right], 1),
        ] {
            let wrong = forgotten_sessions(&calls, &items);
            assert_eq!(wrong.len(), expected, "{wrong:?}");
        }
    }

    /// As the simulated AWS hands them out.
    #[test]
    fn every_secret_is_found() {
        let aws = Aws::new(Organization::sample(30).unwrap(), Clock::default());
        let role = Role::new("arn:aws:iam::222233334444:role/unroot", Vec::new()).unwrap();
        let session = aws.role_session(role, "unroot");
        let texts = [session.access_key_id, session.secret_access_key, session.session_token.unwrap()];
        let texts = texts.map(|text| (text.clone(), format!("{{\"a\": \"{text}\"}}")));
        assert_eq!(secrets_in(texts).len(), 2);
    }
}
