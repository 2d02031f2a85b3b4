//! Policies on buses, queues and roles: statements that name who they are about.

use serde_json::{Map, Value, json};

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

/// The trust policy of a role: who may assume it. By default nobody.
#[derive(Clone, Debug, Default)]
pub struct TrustPolicy(ResourcePolicy);

/// Why a policy of a resource cannot be evaluated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResourcePolicyError {
    #[error("the policy has a principal that the simulator does not know: {0}")]
    UnknownPrincipal(Value),
    /// IAM's words for it.
    #[error("Has prohibited field Resource")]
    ResourceInTrustPolicy,
    #[error(transparent)]
    Document(#[from] PolicyError),
}

#[derive(Clone, Debug)]
enum Who {
    Anyone,
    Services(Vec<String>),
    /// Roles, and accounts whose own policies decide further.
    Aws(Vec<String>),
}

impl ResourcePolicy {
    /// Reads the statements of a policy document that stands on a resource.
    pub fn parse(document: &Value) -> Result<Self, ResourcePolicyError> {
        Self::from_statements(statements(document))
    }

    fn from_statements(statements: Vec<Value>) -> Result<Self, ResourcePolicyError> {
        let statements = statements.into_iter().map(|mut statement| {
            let principal = statement.as_object_mut().and_then(|statement| statement.remove("Principal"));
            let who = Who::parse(&principal.unwrap_or_default())?;
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

impl Who {
    fn parse(principal: &Value) -> Result<Self, ResourcePolicyError> {
        if principal == "*" {
            return Ok(Self::Anyone);
        }
        let mut kinds = principal.as_object().into_iter().flat_map(Map::iter);
        match (kinds.next(), kinds.next()) {
            (Some((kind, names)), None) if kind == "AWS" && names == "*" => Ok(Self::Anyone),
            (Some((kind, names)), None) if kind == "AWS" => Ok(Self::Aws(strings(names))),
            (Some((kind, names)), None) if kind == "Service" => Ok(Self::Services(strings(names))),
            _ => Err(ResourcePolicyError::UnknownPrincipal(principal.clone())),
        }
    }

    fn includes(&self, principal: &Principal) -> bool {
        match (self, principal) {
            (Self::Anyone, _) => true,
            (Self::Services(services), Principal::Service(service)) => services.contains(service),
            (Self::Aws(names), Principal::Role(arn)) => {
                let account = arn.split(':').nth(4).unwrap_or_default();
                let root = format!("arn:aws:iam::{account}:root");
                names.iter().any(|name| name == arn || name == account || *name == root)
            }
            (Self::Services(_), Principal::Role(_)) | (Self::Aws(_), Principal::Service(_)) => false,
        }
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
}
