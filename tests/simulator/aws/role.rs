//! IAM roles that services assume: who may, and what they may do then.

use crate::organization::AccountId;
use crate::policy::{Context, Decision, PolicyDocument, Principal, Request, TrustPolicy};

/// An IAM role: its ARN, whom it trusts and its policies.
#[derive(Clone, Debug)]
pub struct Role {
    arn: String,
    account: AccountId,
    name: String,
    trust: TrustPolicy,
    policies: Vec<PolicyDocument>,
}

/// Text that is not the ARN of a role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the ARN of a role (`arn:aws:iam::<account>:role/<name>`)")]
pub struct InvalidRoleArn(String);

impl Role {
    /// A role that nobody may assume.
    pub fn new(arn: &str, policies: Vec<PolicyDocument>) -> Result<Self, InvalidRoleArn> {
        let parts = || {
            let (account, path) = arn.strip_prefix("arn:aws:iam::")?.split_once(":role/")?;
            let name = path.rsplit('/').next().unwrap_or(path).to_owned();
            Some((account.parse().ok()?, name))
        };
        let (account, name) = parts().ok_or_else(|| InvalidRoleArn(arn.to_owned()))?;
        Ok(Self { arn: arn.to_owned(), account, name, trust: TrustPolicy::default(), policies })
    }

    #[must_use]
    pub fn trusting(self, trust: TrustPolicy) -> Self {
        Self { trust, ..self }
    }

    pub fn arn(&self) -> &str {
        &self.arn
    }

    pub(crate) fn account(&self) -> &AccountId {
        &self.account
    }

    /// The last part of the ARN.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn into_policies(self) -> Vec<PolicyDocument> {
        self.policies
    }

    /// Whether a service, like `lambda.amazonaws.com`, may assume it, in a request with these condition keys.
    pub fn trusts(&self, service: &str, context: &Context) -> bool {
        self.trust.trusts(&Principal::Service(service.to_owned()), context)
    }

    /// What its policies say about a request together: an explicit deny wins.
    pub fn decide(&self, request: &Request<'_>) -> Decision {
        let decisions: Vec<Decision> = self.policies.iter().map(|policy| policy.decide(request)).collect();
        if decisions.contains(&Decision::ExplicitDeny) {
            Decision::ExplicitDeny
        } else if decisions.contains(&Decision::Allow) {
            Decision::Allow
        } else {
            Decision::Silent
        }
    }
}
