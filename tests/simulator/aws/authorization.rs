//! May this caller do that? Identity policies, service control policies, task policies and the resource's own together.
//!
//! What each operation needs is written in its handler; this module must not know operations.

use std::fmt;

use time::format_description::well_known::Rfc3339;

use super::World;
use super::call::Call;
use super::caller::Authority;
use crate::api::ApiError;
use crate::organization::AccountId;
use crate::policy::{Context, Decision, PolicyDocument, Principal, Request, ResourcePolicy};

/// What a call needs to be allowed.
#[derive(Debug)]
pub(crate) struct Permission {
    /// `iam:GetAccountSummary`.
    action: String,
    resource: String,
    /// Condition keys of this action, besides those that every request has.
    keys: Context,
    /// The account that the resource is in and the policy that stands on it, where the ARN does not say the one or the
    /// operation knows the other.
    owner: Option<(AccountId, ResourcePolicy)>,
}

/// Why a call is denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    ServiceControlPolicyDenies,
    IdentityPolicyDenies,
    ResourcePolicyDenies,
    TaskPolicyDenies,
    ServiceControlPolicyDoesNotAllow,
    NoIdentityPolicyAllows,
    NoResourcePolicyAllows,
}

#[derive(Debug)]
pub(crate) struct Denial<'a> {
    pub(crate) caller: &'a str,
    pub(crate) action: &'a str,
    pub(crate) resource: &'a str,
    pub(crate) reason: Reason,
}

impl Permission {
    /// The call's operation as an action, on a resource.
    pub(crate) fn on(call: &Call, resource: impl Into<String>) -> Self {
        Self::to(&call.action(), resource)
    }

    /// An action that is not named like the operation that needs it.
    pub(crate) fn to(action: &str, resource: impl Into<String>) -> Self {
        Self { action: action.to_owned(), resource: resource.into(), keys: Context::default(), owner: None }
    }

    pub(crate) fn with(self, key: &str, value: &str) -> Self {
        Self { keys: self.keys.with(key, value), ..self }
    }

    /// On a resource in this account, with this policy on it.
    pub(crate) fn owned_by(self, account: AccountId, policy: ResourcePolicy) -> Self {
        Self { owner: Some((account, policy)), ..self }
    }
}

/// As IAM words it: "Troubleshoot access denied error messages" in the IAM user guide prints denials by a service
/// control policy without the resource, the others with it. "Session policy" for a task policy is an assumption.
impl fmt::Display for Denial<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { caller, action, resource, reason } = self;
        write!(formatter, "User: {caller} is not authorized to perform: {action}")?;
        match reason {
            Reason::ServiceControlPolicyDenies => {
                write!(formatter, " with an explicit deny in a service control policy")
            }
            Reason::ServiceControlPolicyDoesNotAllow => {
                write!(formatter, " because no service control policy allows the {action} action")
            }
            Reason::IdentityPolicyDenies => {
                write!(formatter, " on resource: {resource} with an explicit deny in an identity-based policy")
            }
            Reason::ResourcePolicyDenies => {
                write!(formatter, " on resource: {resource} with an explicit deny in a resource-based policy")
            }
            Reason::TaskPolicyDenies => {
                write!(formatter, " on resource: {resource} with an explicit deny in a session policy")
            }
            Reason::NoIdentityPolicyAllows => {
                write!(
                    formatter,
                    " on resource: {resource} because no identity-based policy allows the {action} action"
                )
            }
            Reason::NoResourcePolicyAllows => {
                write!(
                    formatter,
                    " on resource: {resource} because no resource-based policy allows the {action} action"
                )
            }
        }
    }
}

impl World {
    pub(crate) fn authorize(&self, call: &Call, permission: &Permission) -> Result<(), ApiError> {
        self.permits(call, permission).map_err(|reason| {
            let Permission { action, resource, .. } = permission;
            let denial = Denial { caller: &call.caller.arn, action, resource, reason };
            call.service.access_denied(denial.to_string())
        })
    }

    /// For the operations that do not say why they deny.
    pub(crate) fn permits(&self, call: &Call, permission: &Permission) -> Result<(), Reason> {
        let asked = (permission.action.clone(), permission.resource.clone());
        if !call.permissions.borrow().contains(&asked) {
            call.permissions.borrow_mut().push(asked);
        }
        let context = self.context(call, permission);
        let request = Request { action: &permission.action, resource: &permission.resource, context: &context };
        let levels = self.service_control_policies(call);
        if levels.iter().flatten().any(|policy| policy.decide(&request) == Decision::ExplicitDeny) {
            return Err(Reason::ServiceControlPolicyDenies);
        }
        // Whether the resource is the caller's own account's, and what its policy says.
        let (is_own, by_resource) = match &permission.owner {
            Some((owner, policy)) => {
                let principal = Principal::Role(call.caller.principal_arn.clone());
                (*owner == call.caller.account, policy.decide(&principal, &request))
            }
            None => (true, Decision::Silent),
        };
        if by_resource == Decision::ExplicitDeny {
            return Err(Reason::ResourcePolicyDenies);
        }
        let allowed_by_identity = match &call.caller.authority {
            Authority::RootSession(task) => match task.document().decide(&request) {
                Decision::ExplicitDeny => return Err(Reason::TaskPolicyDenies),
                Decision::Allow | Decision::Silent => true,
            },
            Authority::Identity(policies) => {
                let decisions: Vec<_> = policies.iter().map(|policy| policy.decide(&request)).collect();
                if decisions.contains(&Decision::ExplicitDeny) {
                    return Err(Reason::IdentityPolicyDenies);
                }
                decisions.contains(&Decision::Allow)
            }
        };
        let allows =
            |level: &Vec<&PolicyDocument>| level.iter().any(|policy| policy.decide(&request) == Decision::Allow);
        if !levels.iter().all(allows) {
            return Err(Reason::ServiceControlPolicyDoesNotAllow);
        }
        // Within an account either policy is enough, across accounts both must allow it ("Policy evaluation logic" in
        // the IAM user guide).
        match (is_own, by_resource == Decision::Allow) {
            (true, true) => Ok(()),
            (false, false) => Err(Reason::NoResourcePolicyAllows),
            (true, false) | (false, true) if allowed_by_identity => Ok(()),
            (true, false) | (false, true) => Err(Reason::NoIdentityPolicyAllows),
        }
    }

    /// The policies above the caller's account. They bind no one in the management account, nor outside.
    fn service_control_policies(&self, call: &Call) -> Vec<Vec<&PolicyDocument>> {
        if call.caller.account == self.organization.management_account {
            return Vec::new();
        }
        let account = self.organization.account(&call.caller.account);
        account.map(|account| self.organization.service_control_policies_above(account)).unwrap_or_default()
    }

    fn context(&self, call: &Call, permission: &Permission) -> Context {
        let caller = &call.caller;
        let mut context = permission
            .keys
            .clone()
            .with("aws:PrincipalArn", &caller.principal_arn)
            .with("aws:PrincipalAccount", caller.account.as_str())
            .with("aws:RequestedRegion", &call.region)
            .with("aws:SourceIp", "127.0.0.1")
            // The loopback stands for an HTTPS endpoint.
            .with("aws:SecureTransport", "true")
            .with("aws:EpochTime", call.at.unix_timestamp().to_string())
            .with("aws:CurrentTime", call.at.format(&Rfc3339).unwrap_or_default())
            .with("aws:PrincipalType", principal_type(&caller.principal_arn));
        if let Authority::RootSession(_) = caller.authority {
            // Present in AssumeRoot sessions only (IAM user guide, "AWS global condition context keys").
            context = context.with("aws:AssumedRoot", "true");
        }
        if let Some(account) = self.organization.account(&caller.account) {
            let path = self.organization.path(&caller.account, &account.parent);
            // `aws:PrincipalOrgPaths` ends at the unit, `Account.Paths` at the account.
            let units = path.strip_suffix(&format!("{}/", caller.account)).unwrap_or(&path);
            context = context
                .with("aws:PrincipalOrgID", self.organization.id.as_str())
                .with("aws:PrincipalOrgPaths", units)
                .with("aws:PrincipalIsAWSService", "false");
        }
        // The account in the resource's ARN, or else the caller's own: nothing else that is simulated acts elsewhere.
        let owner = permission.resource.split(':').nth(4).filter(|owner| owner.len() == 12);
        let known_owner = permission.owner.as_ref().map(|(owner, _)| owner.as_str());
        let owner = known_owner.or(owner).unwrap_or(caller.account.as_str());
        context = context.with("aws:ResourceAccount", owner);
        if owner.parse().is_ok_and(|owner| self.organization.accounts.contains_key(&owner)) {
            context = context.with("aws:ResourceOrgID", self.organization.id.as_str());
        }
        context
    }
}

fn principal_type(principal_arn: &str) -> &'static str {
    if principal_arn.ends_with(":root") {
        "Account"
    } else if principal_arn.contains(":role/") {
        "AssumedRole"
    } else {
        "User"
    }
}
