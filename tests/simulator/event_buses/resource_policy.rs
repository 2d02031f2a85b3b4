//! Policies on buses and queues: statements that name who they are about.

use serde_json::{Map, Value, json};

use crate::policy::{Decision, PolicyDocument, PolicyError, Request};

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// An AWS service, like `events.amazonaws.com`.
    Service(String),
    /// The ARN of a role.
    Role(String),
}

/// The policy of a resource.
#[derive(Clone, Debug, Default)]
pub struct ResourcePolicy {
    statements: Vec<(Who, PolicyDocument)>,
}

/// Why a policy of a resource cannot be evaluated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResourcePolicyError {
    #[error("the policy has a principal that the simulator does not know: {0}")]
    UnknownPrincipal(Value),
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
        let statements = match document.get("Statement") {
            Some(Value::Array(statements)) => statements.clone(),
            Some(statement) => vec![statement.clone()],
            None => Vec::new(),
        };
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
                let account = super::account_of(arn);
                let root = format!("arn:aws:iam::{account}:root");
                names.iter().any(|name| name == arn || name == account || *name == root)
            }
            (Self::Services(_), Principal::Role(_)) | (Self::Aws(_), Principal::Service(_)) => false,
        }
    }
}

/// A list of strings, or a string alone.
fn strings(value: &Value) -> Vec<String> {
    let values = value.as_array().map_or_else(|| std::slice::from_ref(value), Vec::as_slice);
    values.iter().filter_map(Value::as_str).map(ToOwned::to_owned).collect()
}
