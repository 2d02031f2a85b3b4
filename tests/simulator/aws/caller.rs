//! Who calls: from the access key id of a signature to an identity and what it may do.
//!
//! Every key id is recognisable as a fake one, and its secret follows from it, so a signature can be checked without a
//! store of secrets.

use std::collections::BTreeMap;
use std::ops::Range;

use time::{Duration, OffsetDateTime};

use super::role::Role;
use super::service::Service;
use super::task_policy::TaskPolicy;
use crate::api::ApiError;
use crate::organization::{AccountId, Organization};
use crate::policy::PolicyDocument;

/// What a client signs its calls with.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub access_key_id: String,
    pub secret_access_key: String,
    pub session_token: Option<String>,
}

/// Lambda's credentials of a role live that long, by the simulated clock.
const ROLE_SESSION: Duration = Duration::hours(12);

/// An identified caller.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) access_key_id: String,
    /// As AWS's messages and `GetCallerIdentity` name it.
    pub(crate) arn: String,
    /// `aws:PrincipalArn`: for a role session it is the role's ARN, not the session's.
    pub(crate) principal_arn: String,
    pub(crate) account: AccountId,
    pub(crate) authority: Authority,
}

/// Where a caller's permissions come from.
#[derive(Clone, Debug)]
pub(crate) enum Authority {
    /// Nothing but what the identity policies allow.
    Identity(Vec<PolicyDocument>),
    /// Everything but what the task policy denies.
    RootSession(TaskPolicy),
}

#[derive(Debug)]
struct Session {
    caller: Caller,
    token: String,
    lifetime: Range<OffsetDateTime>,
}

/// The temporary credentials that were issued.
#[derive(Debug, Default)]
pub(crate) struct Sessions(BTreeMap<String, Session>);

impl Credentials {
    pub(crate) fn long_term(access_key_id: String) -> Self {
        let secret_access_key = secret_of(&access_key_id);
        Self { access_key_id, secret_access_key, session_token: None }
    }

    /// The credentials of the user that may do everything in an account.
    pub(crate) fn administrator(account: &str) -> Self {
        Self::long_term(format!("AKIA{account}EXAMPLE"))
    }
}

pub(crate) fn secret_of(access_key_id: &str) -> String {
    format!("simulated/{access_key_id}/EXAMPLEKEY")
}

impl Sessions {
    /// `number` makes the key id unique.
    pub(crate) fn open_root(
        &mut self,
        number: u64,
        account: AccountId,
        task: TaskPolicy,
        lifetime: Range<OffsetDateTime>,
    ) -> Credentials {
        let arn = account.root_arn();
        self.open(number, arn.clone(), arn, account, Authority::RootSession(task), lifetime)
    }

    pub(crate) fn open_role(
        &mut self,
        number: u64,
        role: Role,
        session_name: &str,
        now: OffsetDateTime,
    ) -> Credentials {
        let arn = format!("arn:aws:sts::{}:assumed-role/{}/{session_name}", role.account(), role.name());
        let (principal_arn, account) = (role.arn().to_owned(), role.account().clone());
        let authority = Authority::Identity(role.into_policies());
        self.open(number, arn, principal_arn, account, authority, now..now + ROLE_SESSION)
    }

    fn open(
        &mut self,
        number: u64,
        arn: String,
        principal_arn: String,
        account: AccountId,
        authority: Authority,
        lifetime: Range<OffsetDateTime>,
    ) -> Credentials {
        let access_key_id = format!("ASIA{number:09}EXAMPLE");
        let token = format!("SimulatedSessionToken{number:09}EXAMPLE");
        let caller = Caller { access_key_id: access_key_id.clone(), arn, principal_arn, account, authority };
        self.0.insert(access_key_id.clone(), Session { caller, token: token.clone(), lifetime });
        Credentials { session_token: Some(token), ..Credentials::long_term(access_key_id) }
    }

    /// When the session with this key id was opened.
    pub(crate) fn opened(&self, access_key_id: &str) -> Option<OffsetDateTime> {
        self.0.get(access_key_id).map(|session| session.lifetime.start)
    }

    /// The caller behind a key id. `token` is the session token that came with the call.
    pub(crate) fn identify(
        &self,
        access_key_id: &str,
        token: Option<&str>,
        organization: &Organization,
        service: Service,
        now: OffsetDateTime,
    ) -> Result<Caller, ApiError> {
        if let Some(session) = self.0.get(access_key_id) {
            if token != Some(session.token.as_str()) {
                return Err(service.invalid_token());
            }
            if session.lifetime.end <= now {
                return Err(service.expired_token());
            }
            return Ok(session.caller.clone());
        }
        if token.is_some() {
            return Err(service.invalid_token());
        }
        registered(access_key_id, organization)
            .or_else(|| administrator(access_key_id))
            .ok_or_else(|| service.invalid_token())
    }
}

fn registered(access_key_id: &str, organization: &Organization) -> Option<Caller> {
    let principal = organization.principals.iter().find(|principal| principal.access_key_id == access_key_id)?;
    let account: AccountId = principal.arn.split(':').nth(4)?.parse().ok()?;
    let principal_arn = match principal.arn.strip_prefix(&format!("arn:aws:sts::{account}:assumed-role/")) {
        Some(session) => format!("arn:aws:iam::{account}:role/{}", session.split('/').next().unwrap_or(session)),
        None => principal.arn.clone(),
    };
    Some(Caller {
        access_key_id: access_key_id.to_owned(),
        arn: principal.arn.clone(),
        principal_arn,
        account,
        authority: Authority::Identity(principal.policies.clone()),
    })
}

fn administrator(access_key_id: &str) -> Option<Caller> {
    let account: AccountId = access_key_id.strip_prefix("AKIA")?.strip_suffix("EXAMPLE")?.parse().ok()?;
    let arn = format!("arn:aws:iam::{account}:user/administrator");
    Some(Caller {
        access_key_id: access_key_id.to_owned(),
        principal_arn: arn.clone(),
        arn,
        account,
        authority: Authority::Identity(vec![PolicyDocument::full_access()]),
    })
}
