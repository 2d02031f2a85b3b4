//! IAM policy documents and what they decide about one request.
//!
//! One document, one decision; which documents bind a caller and how their decisions combine is `aws::authorization`'s
//! business. What this evaluator does not know (an element, an operator) is refused when the document is parsed: a
//! policy that matches by accident would make the simulator lie.

mod condition;
mod resource_policy;
mod wildcard;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use resource_policy::{Principal, ResourcePolicy, ResourcePolicyError, TrustPolicy, WrittenPolicy};

use condition::Conditions;

/// A policy document without a `Principal`: an identity policy, a service control policy or a task policy.
///
/// It serialises as it was written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub struct PolicyDocument {
    source: Value,
    statements: Vec<Statement>,
}

/// Why a document is not a policy that can be evaluated, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a policy document: {0}")]
pub struct PolicyError(String);

/// What one document says about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    Allow,
    ExplicitDeny,
    /// No statement applies.
    Silent,
}

/// What a policy is asked about.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// As policies name it: `iam:GetAccountSummary`.
    pub action: &'a str,
    pub resource: &'a str,
    pub context: &'a Context,
}

/// The condition keys of a request with their values. Key names are case-insensitive, as in IAM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context(BTreeMap<String, Vec<String>>);

impl Context {
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.0.entry(key.to_ascii_lowercase()).or_default().push(value.into());
        self
    }

    pub(crate) fn values(&self, key: &str) -> Option<&[String]> {
        self.0.get(&key.to_ascii_lowercase()).map(Vec::as_slice)
    }
}

impl PolicyDocument {
    /// A document that allows everything: `AdministratorAccess`, and the `FullAWSAccess` service control policy.
    pub fn full_access() -> Self {
        Self {
            source: serde_json::json!({
                "Version": "2012-10-17",
                "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
            }),
            statements: vec![Statement {
                effect: Effect::Allow,
                actions: Scope::Only(vec!["*".to_owned()]),
                resources: Scope::Only(vec!["*".to_owned()]),
                conditions: Conditions::default(),
            }],
        }
    }

    fn resources(&self) -> impl Iterator<Item = &str> {
        self.statements.iter().flat_map(|statement| {
            let (Scope::Only(resources) | Scope::AllBut(resources)) = &statement.resources;
            resources.iter().map(String::as_str)
        })
    }

    /// An explicit deny wins over an allow, whatever the order of the statements.
    pub fn decide(&self, request: &Request<'_>) -> Decision {
        let mut decision = Decision::Silent;
        for statement in self.statements.iter().filter(|statement| statement.applies(request)) {
            match statement.effect {
                Effect::Deny => return Decision::ExplicitDeny,
                Effect::Allow => decision = Decision::Allow,
            }
        }
        decision
    }
}

impl From<PolicyDocument> for Value {
    fn from(document: PolicyDocument) -> Self {
        document.source
    }
}

impl TryFrom<Value> for PolicyDocument {
    type Error = PolicyError;

    fn try_from(source: Value) -> Result<Self, PolicyError> {
        let written = WrittenDocument::deserialize(&source).map_err(|error| PolicyError(error.to_string()))?;
        // The older version takes a variable for text, which nobody means.
        if written.version != Some(Version::Current) && source.to_string().contains("${") {
            return Err(PolicyError("a policy variable needs `Version` `2012-10-17`".to_owned()));
        }
        let statements = written
            .statement
            .into_vec()
            .into_iter()
            .enumerate()
            .map(|(index, statement)| {
                Statement::try_from(statement).map_err(|problem| PolicyError(format!("Statement[{index}]: {problem}")))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { source, statements })
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Statement {
    effect: Effect,
    actions: Scope,
    resources: Scope,
    conditions: Conditions,
}

/// `Action` or `NotAction`, `Resource` or `NotResource`.
#[derive(Clone, Debug, PartialEq)]
enum Scope {
    Only(Vec<String>),
    AllBut(Vec<String>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
enum Effect {
    Allow,
    Deny,
}

impl Statement {
    fn applies(&self, request: &Request<'_>) -> bool {
        self.actions.covers(|pattern| wildcard::matches_ignoring_case(pattern, request.action))
            && self.resources.covers(|pattern| {
                condition::substitute(pattern, request.context)
                    .is_some_and(|pattern| wildcard::matches(&pattern, request.resource))
            })
            && self.conditions.hold(request.context)
    }
}

impl Scope {
    fn covers(&self, matches: impl Fn(&str) -> bool) -> bool {
        match self {
            Self::Only(patterns) => patterns.iter().any(|pattern| matches(pattern)),
            Self::AllBut(patterns) => !patterns.iter().any(|pattern| matches(pattern)),
        }
    }

    /// Refuses what is no action: `*`, or a service's name, a colon and the operation.
    fn of_actions(self) -> Result<Self, String> {
        let (Self::Only(actions) | Self::AllBut(actions)) = &self;
        match actions.iter().find(|action| *action != "*" && !action.contains(':')) {
            Some(action) => Err(format!("`{action}` is no action, such as `iam:GetUser`")),
            None => Ok(self),
        }
    }

    fn from_either(
        name: &str,
        only: Option<OneOrMany<String>>,
        all_but: Option<OneOrMany<String>>,
    ) -> Result<Self, String> {
        match (only, all_but) {
            (Some(patterns), None) => Ok(Self::Only(patterns.into_vec())),
            (None, Some(patterns)) => Ok(Self::AllBut(patterns.into_vec())),
            _ => Err(format!("give exactly one of `{name}` and `Not{name}`")),
        }
    }
}

impl TryFrom<WrittenStatement> for Statement {
    type Error = String;

    fn try_from(written: WrittenStatement) -> Result<Self, String> {
        Ok(Self {
            effect: written.effect,
            actions: Scope::from_either("Action", written.action, written.not_action)?.of_actions()?,
            resources: Scope::from_either("Resource", written.resource, written.not_resource)?,
            conditions: Conditions::parse(written.condition)?,
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct WrittenDocument {
    version: Option<Version>,
    #[serde(rename = "Id")]
    _id: Option<String>,
    statement: OneOrMany<WrittenStatement>,
}

/// The versions of the policy language. IAM has no others, and takes the older one where none is given.
#[derive(Clone, Copy, Deserialize, PartialEq)]
enum Version {
    #[serde(rename = "2008-10-17")]
    Old,
    #[serde(rename = "2012-10-17")]
    Current,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct WrittenStatement {
    #[serde(rename = "Sid")]
    _sid: Option<String>,
    effect: Effect,
    action: Option<OneOrMany<String>>,
    not_action: Option<OneOrMany<String>>,
    resource: Option<OneOrMany<String>>,
    not_resource: Option<OneOrMany<String>>,
    #[serde(default)]
    condition: BTreeMap<String, BTreeMap<String, OneOrMany<Scalar>>>,
}

/// IAM lets a list of one be written without its brackets.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    Many(Vec<T>),
    One(T),
}

impl<T> OneOrMany<T> {
    fn into_vec(self) -> Vec<T> {
        match self {
            Self::Many(values) => values,
            Self::One(value) => vec![value],
        }
    }
}

/// IAM takes `true` for `"true"` and `5` for `"5"` in a condition.
#[derive(Deserialize)]
#[serde(untagged)]
enum Scalar {
    Text(String),
    Bool(bool),
    Number(serde_json::Number),
}

impl Scalar {
    fn into_text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Bool(value) => value.to_string(),
            Self::Number(number) => number.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document(statement: &Value) -> PolicyDocument {
        serde_json::from_value(json!({"Version": "2012-10-17", "Statement": statement})).unwrap()
    }

    fn decide(statement: &Value, action: &str, resource: &str) -> Decision {
        document(statement).decide(&Request {
            action,
            resource,
            context: &Context::default().with("aws:PrincipalAccount", "111122223333"),
        })
    }

    #[test]
    fn an_explicit_deny_wins_over_an_allow() {
        let statements = json!([
            {"Effect": "Deny", "Action": "iam:Delete*", "Resource": "*"},
            {"Effect": "Allow", "Action": "*", "Resource": "*"},
        ]);
        assert_eq!(decide(&statements, "iam:DeleteAccessKey", "x"), Decision::ExplicitDeny);
        assert_eq!(decide(&statements, "iam:GetUser", "x"), Decision::Allow);
    }

    #[test]
    fn actions_ignore_case_and_resources_do_not() {
        let statement = json!({"Effect": "Allow", "Action": "IAM:getuser", "Resource": "arn:aws:iam::*:root"});
        assert_eq!(decide(&statement, "iam:GetUser", "arn:aws:iam::111122223333:root"), Decision::Allow);
        assert_eq!(decide(&statement, "iam:GetUser", "arn:aws:iam::111122223333:ROOT"), Decision::Silent);
    }

    #[test]
    fn not_action_and_not_resource_cover_the_rest() {
        let statement = json!({"Effect": "Deny", "NotAction": ["iam:GetUser"], "NotResource": "arn:aws:iam::*:root"});
        assert_eq!(decide(&statement, "iam:GetUser", "x"), Decision::Silent);
        assert_eq!(decide(&statement, "iam:ListUsers", "x"), Decision::ExplicitDeny);
        assert_eq!(decide(&statement, "iam:ListUsers", "arn:aws:iam::1:root"), Decision::Silent);
    }

    #[test]
    fn a_variable_in_a_resource_is_replaced_and_an_absent_one_matches_nothing() {
        let own = json!({"Effect": "Allow", "Action": "*", "Resource": "arn:aws:iam::${aws:PrincipalAccount}:root"});
        assert_eq!(decide(&own, "iam:GetUser", "arn:aws:iam::111122223333:root"), Decision::Allow);
        let absent = json!({"Effect": "Allow", "Action": "*", "Resource": "${aws:username}*"});
        assert_eq!(decide(&absent, "iam:GetUser", "*"), Decision::Silent);
    }

    #[test]
    fn what_is_not_understood_is_refused_with_its_place() {
        for (statement, problem) in [
            (
                json!([{"Effect": "Deny", "Action": "*"}]),
                "Statement[0]: give exactly one of `Resource` and `NotResource`",
            ),
            (
                json!({"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"StringEqual": {"a": "b"}}}),
                "Statement[0]: unknown condition operator `StringEqual`",
            ),
            (json!({"Effect": "Deny", "Action": "GetUser", "Resource": "*"}), "Statement[0]: `GetUser` is no action"),
            (json!({"Effect": "Deny", "Action": "*", "Resource": "${aws:username}"}), "needs `Version`"),
            (
                json!({"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"Null": {"aws:AssumedRoot": "yes"}}}),
                "Statement[0]: `yes` is no value for `Null` on `aws:AssumedRoot`",
            ),
            (
                json!({"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"DateLessThan": {"a": "soon"}}}),
                "`soon` is no value for `DateLessThan`",
            ),
            (
                json!({"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"IpAddress": {"a": "10.0.0.0/33"}}}),
                "`10.0.0.0/33` is no value for `IpAddress`",
            ),
        ] {
            let error = serde_json::from_value::<PolicyDocument>(json!({"Statement": statement})).unwrap_err();
            assert!(error.to_string().contains(problem), "{error}");
        }
        let error = serde_json::from_value::<PolicyDocument>(json!({
            "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*", "Principle": "*"}
        }));
        assert!(error.is_err(), "an unknown element must not be ignored");
        let version = json!({"Version": "2020-01-01", "Statement": []});
        assert!(serde_json::from_value::<PolicyDocument>(version).is_err(), "IAM has no such version");
    }
}
