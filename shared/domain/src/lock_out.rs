//! Whether a bucket or queue policy locks everyone out: nobody in the account can change it any more, but for a root
//! session.
//!
//! It answers from the policy alone, so it errs on the side of no: who could meet a condition, or is left out by
//! `NotPrincipal`, is not known here. A person who knows can insist.

use serde_json::Value;

use super::id::AccountId;

/// What a policy is attached to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyHolder {
    /// By the bucket's ARN.
    Bucket(String),
    /// By the queue's ARN.
    Queue(String),
}

/// What a policy does to those who want to change it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LockOut {
    /// It denies everyone every way to change it.
    Everyone,
    /// It does so under conditions, or to all but some: the reasons in words.
    Perhaps(String),
    /// It leaves a way.
    No,
}

/// How strongly one call is denied.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Denial {
    None,
    Perhaps(String),
    Everyone,
}

impl PolicyHolder {
    pub fn arn(&self) -> &str {
        match self {
            Self::Bucket(arn) | Self::Queue(arn) => arn,
        }
    }

    /// The calls that mend a policy: one that is left is enough.
    fn mending_calls(&self) -> &'static [&'static str] {
        match self {
            Self::Bucket(_) => &["s3:PutBucketPolicy", "s3:DeleteBucketPolicy"],
            Self::Queue(_) => &["sqs:SetQueueAttributes"],
        }
    }
}

impl LockOut {
    pub fn of(policy: &Value, holder: &PolicyHolder, account: &AccountId) -> Self {
        let denials = holder.mending_calls().iter().map(|call| denial(policy, call, holder, account));
        match denials.min().unwrap_or(Denial::None) {
            Denial::Everyone => Self::Everyone,
            Denial::Perhaps(reason) => Self::Perhaps(reason),
            Denial::None => Self::No,
        }
    }
}

/// The strongest denial of a call by any statement.
fn denial(policy: &Value, call: &str, holder: &PolicyHolder, account: &AccountId) -> Denial {
    let statements = list(policy.get("Statement"));
    let denials = statements.into_iter().filter(|statement| statement.get("Effect") == Some(&Value::from("Deny")));
    let denials = denials.filter(|statement| {
        applies(statement, "Action", "NotAction", call) && applies(statement, "Resource", "NotResource", holder.arn())
    });
    denials.map(|statement| who_is_denied(statement, account)).max().unwrap_or(Denial::None)
}

fn who_is_denied(statement: &Value, account: &AccountId) -> Denial {
    let name = statement.get("Sid").and_then(Value::as_str).unwrap_or("without a Sid");
    let whole_account = [account.as_str().to_owned(), format!("arn:aws:iam::{account}:root"), "*".to_owned()];
    let is_everyone = match statement.get("Principal") {
        Some(Value::String(principal)) => principal == "*",
        Some(principal) => list(principal.get("AWS"))
            .iter()
            .any(|principal| principal.as_str().is_some_and(|name| whole_account.iter().any(|all| all == name))),
        None => false,
    };
    if let Some(spared) = statement.get("NotPrincipal") {
        return Denial::Perhaps(format!("the statement `{name}` denies all but {spared}"));
    }
    match statement.get("Condition").filter(|condition| condition.as_object().is_some_and(|all| !all.is_empty())) {
        _ if !is_everyone => Denial::None,
        None => Denial::Everyone,
        Some(condition) if is_about_transport(condition) => Denial::None,
        Some(condition) => Denial::Perhaps(format!("the statement `{name}` denies everyone under {condition}")),
    }
}

/// Who calls over current TLS is never concerned.
fn is_about_transport(condition: &Value) -> bool {
    let operators = condition.as_object().into_iter().flatten();
    let mut tests = operators.flat_map(|(operator, keys)| {
        keys.as_object().into_iter().flatten().map(move |(key, values)| (operator.as_str(), key, list(Some(values))))
    });
    tests.any(|(operator, key, values)| match (operator, key.to_ascii_lowercase().as_str()) {
        ("Bool" | "BoolIfExists", "aws:securetransport") => {
            values.iter().all(|value| **value == Value::Bool(false) || value.as_str() == Some("false"))
        }
        ("NumericLessThan", "s3:tlsversion") => true,
        _ => false,
    })
}

/// Whether a statement's element covers the value; one that the statement does not have covers everything.
fn applies(statement: &Value, element: &str, negated: &str, value: &str) -> bool {
    let any = |patterns: &Value| {
        list(Some(patterns)).iter().any(|pattern| pattern.as_str().is_some_and(|pattern| matches(pattern, value)))
    };
    match (statement.get(element), statement.get(negated)) {
        (Some(patterns), _) => any(patterns),
        (None, Some(patterns)) => !any(patterns),
        (None, None) => true,
    }
}

/// A value that may stand alone or in a list.
fn list(value: Option<&Value>) -> Vec<&Value> {
    match value {
        Some(Value::Array(values)) => values.iter().collect(),
        Some(value) => vec![value],
        None => Vec::new(),
    }
}

/// IAM's wildcards, without regard to case: too many matches only mean that a person is asked.
fn matches(pattern: &str, value: &str) -> bool {
    let (pattern, value) = (pattern.to_ascii_lowercase(), value.to_ascii_lowercase());
    let (pattern, value) = (pattern.as_bytes(), value.as_bytes());
    // The furthest that each prefix of the pattern reaches: one row of the usual table.
    let mut reached = vec![false; value.len() + 1];
    if let Some(start) = reached.first_mut() {
        *start = true;
    }
    for letter in pattern {
        let mut next = vec![false; value.len() + 1];
        let mut any_before = false;
        for (index, is_reached) in reached.iter().enumerate() {
            any_before |= *is_reached;
            let here = index.checked_sub(1).and_then(|index| value.get(index).zip(reached.get(index)));
            let step = here.is_some_and(|(byte, was_reached)| *was_reached && (*letter == b'?' || letter == byte));
            if let Some(place) = next.get_mut(index) {
                *place = if *letter == b'*' { any_before } else { step };
            }
        }
        reached = next;
    }
    reached.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of_bucket(statement: &Value) -> LockOut {
        let holder = PolicyHolder::Bucket("arn:aws:s3:::payments".to_owned());
        LockOut::of(&json!({"Statement": statement}), &holder, &"444455556666".parse().unwrap())
    }

    #[test]
    fn a_bucket_is_locked_if_nobody_can_change_its_policy() {
        let bucket = "arn:aws:s3:::payments";
        let deny = |principal: Value, action: Value, resource: Value| json!({"Effect": "Deny", "Principal": principal, "Action": action, "Resource": resource});
        let both = [bucket, "arn:aws:s3:::payments/*"];
        for statement in [
            deny(json!("*"), json!("s3:*"), json!(both)),
            deny(json!({"AWS": "*"}), json!("*"), json!("*")),
            deny(json!({"AWS": ["arn:aws:iam::444455556666:root"]}), json!(["s3:*BucketPolicy"]), json!(bucket)),
            deny(json!({"AWS": "444455556666"}), json!(["s3:PutBucketPolicy", "S3:deletebucketpolicy"]), json!(both)),
            json!([
                deny(json!("*"), json!("s3:PutBucketPolicy"), json!(bucket)),
                deny(json!("*"), json!("s3:DeleteBucketPolicy"), json!(bucket)),
            ]),
            json!({"Effect": "Deny", "Principal": "*", "NotAction": "s3:GetObject", "Resource": bucket}),
        ] {
            assert_eq!(of_bucket(&statement), LockOut::Everyone, "{statement}");
        }
        for statement in [
            deny(json!("*"), json!("s3:*"), json!("arn:aws:s3:::payments/*")),
            deny(json!("*"), json!("s3:PutBucketPolicy"), json!(bucket)),
            deny(json!("*"), json!("s3:GetObject"), json!("*")),
            deny(json!({"AWS": "arn:aws:iam::444455556666:role/app"}), json!("s3:*"), json!(both)),
            deny(json!({"AWS": "arn:aws:iam::999999999999:root"}), json!("s3:*"), json!(both)),
            deny(json!({"Service": "logging.s3.amazonaws.com"}), json!("s3:*"), json!(both)),
            json!({"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": bucket}),
            json!({
                "Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": both,
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            }),
            json!([]),
        ] {
            assert_eq!(of_bucket(&statement), LockOut::No, "{statement}");
        }
        for statement in [
            json!({
                "Sid": "OnlyOurEndpoint", "Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": both,
                "Condition": {"StringNotEquals": {"aws:SourceVpce": "vpce-1"}},
            }),
            json!({
                "Sid": "OnlyAdmin", "Effect": "Deny", "NotPrincipal": {"AWS": "arn:aws:iam::444455556666:role/gone"},
                "Action": "s3:*", "Resource": both,
            }),
            json!({
                "Sid": "Inverted", "Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": both,
                "Condition": {"Bool": {"aws:SecureTransport": "true"}},
            }),
        ] {
            let LockOut::Perhaps(reason) = of_bucket(&statement) else { panic!("{statement}") };
            assert!(reason.contains(statement["Sid"].as_str().unwrap()), "{reason}");
        }
    }

    #[test]
    fn a_queue_is_locked_if_its_attributes_cannot_be_set() {
        let arn = "arn:aws:sqs:eu-central-1:444455556666:orders";
        let holder = PolicyHolder::Queue(arn.to_owned());
        let of = |action: &str| {
            let policy = json!({"Statement": {"Effect": "Deny", "Principal": "*", "Action": action, "Resource": arn}});
            LockOut::of(&policy, &holder, &"444455556666".parse().unwrap())
        };
        assert_eq!(of("sqs:*"), LockOut::Everyone);
        assert_eq!(of("SQS:SetQueueAttributes"), LockOut::Everyone);
        assert_eq!(of("sqs:SendMessage"), LockOut::No);
    }

    #[test]
    fn a_wildcard_matches_as_iam_has_it() {
        for (pattern, value, expected) in [
            ("*", "", true),
            ("s3:*Policy", "s3:PutBucketPolicy", true),
            ("s3:*Policy", "s3:PutBucketPolicyX", false),
            ("s3:???BucketPolicy", "s3:PutBucketPolicy", true),
            ("s3:??BucketPolicy", "s3:PutBucketPolicy", false),
            ("", "x", false),
            ("a*b*c", "axxbyyc", true),
        ] {
            assert_eq!(matches(pattern, value), expected, "{pattern} {value}");
        }
    }
}
