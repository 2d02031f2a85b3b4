//! Policies on buses, queues and roles: statements that name who they are about.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Context, Decision, PolicyDocument, PolicyError, Request};

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// An AWS service, like `events.amazonaws.com`.
    Service(String),
    /// The ARN of a role, or of another principal in an account.
    Role(String),
}

/// The policy of a resource.
#[derive(Clone, Debug, Default)]
pub struct ResourcePolicy {
    statements: Vec<(Who, PolicyDocument)>,
}

/// The policy of a bucket or a queue: the text that was put there, which reads answer with, and what it says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub struct WrittenPolicy {
    text: String,
    policy: ResourcePolicy,
}

/// The trust policy of a role: who may assume it. By default nobody.
#[derive(Clone, Debug, Default)]
pub struct TrustPolicy(ResourcePolicy);

/// Why a policy of a resource cannot be evaluated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResourcePolicyError {
    #[error("the policy has a principal that the simulator does not know: {0}")]
    UnknownPrincipal(Value),
    #[error("the policy is not JSON: {0}")]
    NotJson(String),
    #[error("the policy has an element `{0}`")]
    UnknownElement(String),
    #[error("the policy has no Statement")]
    NoStatement,
    /// IAM's words for it.
    #[error("Has prohibited field Resource")]
    ResourceInTrustPolicy,
    #[error(transparent)]
    Document(#[from] PolicyError),
}

/// `Principal` or `NotPrincipal`.
#[derive(Clone, Debug)]
enum Who {
    Only(Named),
    AllBut(Named),
}

#[derive(Clone, Debug, Default)]
struct Named {
    is_anyone: bool,
    services: Vec<String>,
    /// Roles, and accounts whose own policies decide further.
    aws: Vec<String>,
}

impl ResourcePolicy {
    /// Reads the statements of a policy document that stands on a resource.
    pub fn parse(document: &Value) -> Result<Self, ResourcePolicyError> {
        Self::from_statements(statements(document))
    }

    fn from_statements(statements: Vec<Value>) -> Result<Self, ResourcePolicyError> {
        let statements = statements.into_iter().map(|mut statement| {
            let mut take = |element| statement.as_object_mut().and_then(|statement| statement.remove(element));
            let who = match (take("Principal"), take("NotPrincipal")) {
                (None, Some(principal)) => Who::AllBut(Named::parse(&principal)?),
                (Some(_), Some(both)) => return Err(ResourcePolicyError::UnknownPrincipal(both)),
                (principal, None) => Who::Only(Named::parse(&principal.unwrap_or_default())?),
            };
            let document = json!({ "Version": "2012-10-17", "Statement": [statement] });
            Ok((who, PolicyDocument::try_from(document)?))
        });
        Ok(Self { statements: statements.collect::<Result<_, ResourcePolicyError>>()? })
    }

    /// Adds the statements of another policy on the same resource.
    pub fn extend(&mut self, other: Self) {
        self.statements.extend(other.statements);
    }

    pub fn decide(&self, principal: &Principal, request: &Request) -> Decision {
        let mut decision = Decision::Silent;
        for (_, document) in self.statements.iter().filter(|(who, _)| who.includes(principal)) {
            match document.decide(request) {
                Decision::ExplicitDeny => return Decision::ExplicitDeny,
                Decision::Allow => decision = Decision::Allow,
                Decision::Silent => {}
            }
        }
        decision
    }
}

impl TrustPolicy {
    /// Reads an `AssumeRolePolicyDocument`. Its statements name no resource: that is the role itself.
    pub fn parse(document: &Value) -> Result<Self, ResourcePolicyError> {
        let mut statements = statements(document);
        for statement in statements.iter_mut().filter_map(Value::as_object_mut) {
            if statement.contains_key("Resource") || statement.contains_key("NotResource") {
                return Err(ResourcePolicyError::ResourceInTrustPolicy);
            }
            statement.insert("Resource".to_owned(), json!("*"));
        }
        ResourcePolicy::from_statements(statements).map(Self)
    }

    /// Whether the principal may assume the role, in a request with these condition keys.
    pub fn trusts(&self, principal: &Principal, context: &Context) -> bool {
        let request = Request { action: "sts:AssumeRole", resource: "*", context };
        self.0.decide(principal, &request) == Decision::Allow
    }
}

impl WrittenPolicy {
    /// Reads a policy document from its text.
    pub fn parse(text: &str) -> Result<Self, ResourcePolicyError> {
        let document: Value =
            serde_json::from_str(text).map_err(|error| ResourcePolicyError::NotJson(error.to_string()))?;
        let elements = document.as_object().ok_or(ResourcePolicyError::NoStatement)?;
        if let Some(element) =
            elements.keys().find(|element| !["Id", "Statement", "Version"].contains(&element.as_str()))
        {
            return Err(ResourcePolicyError::UnknownElement(element.clone()));
        }
        if !elements.contains_key("Statement") {
            return Err(ResourcePolicyError::NoStatement);
        }
        Ok(Self { text: text.to_owned(), policy: ResourcePolicy::parse(&document)? })
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn policy(&self) -> &ResourcePolicy {
        &self.policy
    }

    /// The resources that its statements are about, or about all but which.
    pub fn resources(&self) -> impl Iterator<Item = &str> {
        self.policy.statements.iter().flat_map(|(_, document)| document.resources())
    }
}

impl PartialEq for WrittenPolicy {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl TryFrom<Value> for WrittenPolicy {
    type Error = ResourcePolicyError;

    fn try_from(document: Value) -> Result<Self, ResourcePolicyError> {
        Self::parse(&document.to_string())
    }
}

impl From<WrittenPolicy> for Value {
    fn from(written: WrittenPolicy) -> Self {
        serde_json::from_str(&written.text).unwrap_or_default()
    }
}

impl Who {
    fn includes(&self, principal: &Principal) -> bool {
        match self {
            Self::Only(named) => named.includes(principal),
            Self::AllBut(named) => !named.excepts(principal),
        }
    }
}

impl Named {
    fn parse(principal: &Value) -> Result<Self, ResourcePolicyError> {
        if principal == "*" {
            return Ok(Self { is_anyone: true, ..Self::default() });
        }
        let mut named = Self::default();
        let kinds = principal.as_object().filter(|kinds| !kinds.is_empty());
        for (kind, names) in kinds.ok_or_else(|| ResourcePolicyError::UnknownPrincipal(principal.clone()))? {
            match kind.as_str() {
                "AWS" if names == "*" => named.is_anyone = true,
                "AWS" => named.aws = strings(names),
                "Service" => named.services = strings(names),
                _ => return Err(ResourcePolicyError::UnknownPrincipal(principal.clone())),
            }
        }
        Ok(named)
    }

    fn includes(&self, principal: &Principal) -> bool {
        self.is_anyone
            || match principal {
                Principal::Service(service) => self.services.contains(service),
                Principal::Role(arn) => self.aws.contains(arn) || self.has_account_of(arn),
            }
    }

    /// Whether `NotPrincipal` leaves someone alone: it must name him and his account too, or "the policy might deny access
    /// to the entire account". The session of a role would have to be named besides; here naming the role is enough.
    /// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notprincipal.html>
    fn excepts(&self, principal: &Principal) -> bool {
        self.is_anyone
            || match principal {
                Principal::Service(service) => self.services.contains(service),
                Principal::Role(arn) => self.has_account_of(arn) && (self.aws.contains(arn) || arn.ends_with(":root")),
            }
    }

    fn has_account_of(&self, arn: &str) -> bool {
        let account = arn.split(':').nth(4).unwrap_or_default();
        let root = format!("arn:aws:iam::{account}:root");
        self.aws.iter().any(|name| name == account || *name == root)
    }
}

/// IAM lets a list of one statement be written without its brackets.
fn statements(document: &Value) -> Vec<Value> {
    match document.get("Statement") {
        Some(Value::Array(statements)) => statements.clone(),
        Some(statement) => vec![statement.clone()],
        None => Vec::new(),
    }
}

/// A list of strings, or a string alone.
fn strings(value: &Value) -> Vec<String> {
    let values = value.as_array().map_or_else(|| std::slice::from_ref(value), Vec::as_slice);
    values.iter().filter_map(Value::as_str).map(ToOwned::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trusts(statement: &Value, service: &str) -> bool {
        let policy = TrustPolicy::parse(&json!({"Version": "2012-10-17", "Statement": statement})).unwrap();
        let context = Context::default().with("aws:SourceAccount", "222233334444");
        policy.trusts(&Principal::Service(service.to_owned()), &context)
    }

    #[test]
    fn a_trust_policy_trusts_whom_and_when_it_says() {
        let lambda = json!({"Service": "lambda.amazonaws.com"});
        let assume = |principal: &Value, condition: Value| json!([{"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole", "Condition": condition}]);
        let from = |account: &str| json!({"StringEquals": {"aws:SourceAccount": account}});
        for (statement, expected) in [
            (assume(&lambda, json!({})), true),
            (assume(&json!({"Service": ["events.amazonaws.com", "lambda.amazonaws.com"]}), json!({})), true),
            (assume(&json!({"Service": "events.amazonaws.com"}), json!({})), false),
            (assume(&json!({"AWS": "222233334444"}), json!({})), false),
            (assume(&lambda, from("222233334444")), true),
            (assume(&lambda, from("333344445555")), false),
            (assume(&lambda, json!({"StringEquals": {"aws:SourceArn": "x"}})), false),
            (json!({"Effect": "Allow", "Principal": lambda, "Action": "sts:TagSession"}), false),
            (json!({"Effect": "Deny", "Principal": "*", "Action": "sts:*"}), false),
            (json!([]), false),
        ] {
            assert_eq!(trusts(&statement, "lambda.amazonaws.com"), expected, "{statement}");
        }
    }

    #[test]
    fn a_trust_policy_names_no_resource() {
        let document = json!({"Statement": {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}});
        assert_eq!(TrustPolicy::parse(&document).unwrap_err(), ResourcePolicyError::ResourceInTrustPolicy);
        assert!(ResourcePolicy::parse(&document).is_ok());
    }
    #[test]
    fn a_statement_about_all_but_some_spares_only_whom_it_names_with_the_account() {
        let statement = json!({
            "Effect": "Deny",
            "NotPrincipal": {
                "AWS": ["arn:aws:iam::222233334444:role/spared", "arn:aws:iam::222233334444:root",
                        "arn:aws:iam::333344445555:role/half-named"],
                "Service": "events.amazonaws.com",
            },
            "Action": "s3:*",
            "Resource": "*",
        });
        let policy = WrittenPolicy::parse(&json!({"Statement": [statement]}).to_string()).unwrap();
        let context = Context::default();
        let request = Request { action: "s3:GetObject", resource: "arn:aws:s3:::b/a", context: &context };
        let denies = |principal| policy.policy().decide(&principal, &request) == Decision::ExplicitDeny;
        let role = |arn: &str| Principal::Role(arn.to_owned());
        assert!(!denies(role("arn:aws:iam::222233334444:role/spared")));
        assert!(!denies(role("arn:aws:iam::222233334444:root")));
        assert!(denies(role("arn:aws:iam::222233334444:role/other")));
        assert!(denies(role("arn:aws:iam::333344445555:role/half-named")));
        assert!(!denies(Principal::Service("events.amazonaws.com".to_owned())));
    }
}
