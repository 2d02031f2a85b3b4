//! STS: opening root sessions.

use serde::Deserialize;
use serde_json::{Value, json};
use time::Duration;
use time::format_description::well_known::Rfc3339;

use super::World;
use super::authorization::Permission;
use super::call::{Call, NoInput, account_of_root, number};
use super::service::{Operation, reads};
use super::task_policy::TaskPolicy;
use crate::api::{Answer, ApiError};
use crate::organization::{AccountId, AccountState, Feature, IAM_SERVICE};

pub(super) const OPERATIONS: &[Operation] =
    &[reads("AssumeRoot", assume_root), reads("GetCallerIdentity", get_caller_identity)];

const LONGEST_SESSION: i64 = 900;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct AssumeRootInput {
    target_principal: Option<String>,
    task_policy_arn: Option<PolicyDescriptor>,
    #[serde(default, deserialize_with = "number")]
    duration_seconds: Option<i64>,
    #[serde(default, deserialize_with = "number")]
    #[expect(dead_code, reason = "accepted: a session token has no size that matters here")]
    minimum_session_token_size: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyDescriptor {
    arn: Option<String>,
}

struct AssumeRoot {
    target: AccountId,
    task: TaskPolicy,
    task_policy_arn: String,
    duration: Duration,
}

/// The order of the checks satisfies every recorded answer: validation, permission and target, trusted access,
/// feature. That a target that is not an active member is denied like any other bad target is an assumption.
fn assume_root(world: &mut World, call: &Call) -> Answer {
    // `assume_global_endpoint`: the global endpoint does not have the operation.
    if call.region == "aws-global" || call.host.starts_with("sts.amazonaws.com") {
        return Err(ApiError::new("InvalidAction", 400, "Unknown Operation"));
    }
    let request = validate(&call.input()?)?;
    let resource = request.target.root_arn();
    // Which of many causes it is, AWS does not say (`assume_caller_without_permission`).
    let denied = || {
        call.service.access_denied(format!(
            "User: {} is not authorized to perform: sts:AssumeRoot on resource: {resource}",
            call.caller.arn
        ))
    };
    let permission = Permission::on(call, resource.clone()).with("sts:TaskPolicyArn", &request.task_policy_arn);
    world.permits(call, &permission).map_err(|_| denied())?;
    let organization = &world.organization;
    let may_act_for_organization = call.caller.account == organization.management_account
        || organization.is_delegated_administrator(&call.caller.account, IAM_SERVICE);
    if !may_act_for_organization || request.target == organization.management_account {
        return Err(denied());
    }
    let target = organization.account(&request.target).ok_or_else(denied)?;
    let is_ready = target.not_ready_until.is_none_or(|until| until <= call.at);
    if target.state != AccountState::Active || !is_ready {
        return Err(denied());
    }
    if !organization.trusted_services.contains(IAM_SERVICE) {
        return Err(call.service.access_denied("Service not enabled for AWS Organizations."));
    }
    if !organization.features.contains(&request.task.feature()) {
        return Err(call.service.access_denied(match request.task.feature() {
            Feature::RootCredentialsManagement => {
                "Root credentials management feature is not enabled for your AWS Organization."
            }
            Feature::RootSessions => "Root sessions feature is not enabled for your AWS Organization.",
        }));
    }
    if target.sts_off_in.contains(&call.region) {
        return Err(ApiError::new(
            "RegionDisabledException",
            403,
            format!(
                "STS is not activated in this region for account:{}. Your account administrator can activate STS in \
                 this region using the IAM Console.",
                request.target
            ),
        ));
    }
    let expires = call.at + request.duration;
    let number = world.sequence.next("session");
    let credentials = world.sessions.open_root(number, request.target, request.task, call.at..expires);
    Ok(json!({
        "Credentials": {
            "AccessKeyId": credentials.access_key_id,
            "SecretAccessKey": credentials.secret_access_key,
            "SessionToken": credentials.session_token,
            "Expiration": expires.replace_nanosecond(0).unwrap_or(expires).format(&Rfc3339).unwrap_or_default(),
        },
    }))
}

fn validate(input: &AssumeRootInput) -> Result<AssumeRoot, ApiError> {
    let task_policy_arn = input.task_policy_arn.as_ref().and_then(|policy| policy.arn.clone());
    let mut violations = Vec::new();
    match &input.target_principal {
        None => violations.push(violation("null", "targetPrincipal", "Member must not be null")),
        Some(target) if target.len() < 12 => violations.push(violation(
            &format!("'{target}'"),
            "targetPrincipal",
            "Member must have length greater than or equal to 12",
        )),
        Some(_) => {}
    }
    if task_policy_arn.is_none() {
        violations.push(violation("null", "taskPolicyArn", "Member must not be null"));
    }
    let seconds = input.duration_seconds.unwrap_or(LONGEST_SESSION);
    if seconds > LONGEST_SESSION {
        violations.push(violation(
            &format!("'{seconds}'"),
            "durationSeconds",
            "Member must have value less than or equal to 900",
        ));
    }
    if seconds < 0 {
        violations.push(violation(
            &format!("'{seconds}'"),
            "durationSeconds",
            "Member must have value greater than or equal to 0",
        ));
    }
    if !violations.is_empty() {
        let count = violations.len();
        let plural = if count == 1 { "" } else { "s" };
        return Err(invalid(format!("{count} validation error{plural} detected: {}", violations.join("; "))));
    }
    let task_policy_arn = task_policy_arn.unwrap_or_default();
    let task = TaskPolicy::from_arn(&task_policy_arn)
        .ok_or_else(|| invalid("Request must contain valid AWS managed task policy ARN".to_owned()))?;
    let target = input.target_principal.as_deref().unwrap_or_default();
    let target = account_of_root(target)
        .unwrap_or(target)
        .parse()
        .map_err(|_| invalid("Request must contain a valid target principal".to_owned()))?;
    Ok(AssumeRoot { target, task, task_policy_arn, duration: Duration::seconds(seconds) })
}

fn violation(value: &str, member: &str, constraint: &str) -> String {
    format!("Value {value} at '{member}' failed to satisfy constraint: {constraint}")
}

fn invalid(message: String) -> ApiError {
    ApiError::new("ValidationError", 400, message)
}

/// Needs no permission, and no policy can deny it (STS API reference).
fn get_caller_identity(_: &mut World, call: &Call) -> Answer {
    call.input::<NoInput>()?;
    let caller = &call.caller;
    let user_id = if caller.principal_arn.ends_with(":root") {
        Value::from(caller.account.as_str())
    } else {
        Value::from(format!("AIDA{}EXAMPLE", caller.account))
    };
    Ok(json!({"UserId": user_id, "Account": caller.account, "Arn": caller.arn}))
}
