//! Trusted access, delegated administrators and new accounts: what only the management account changes.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::page::Page;
use super::{Audience, account_arn, account_not_found, authorize};
use crate::api::{Answer, ApiError};
use crate::aws::World;
use crate::aws::call::Call;
use crate::aws::membership::{Creation, NewAccount};
use crate::aws::service::nothing;
use crate::organization::AccountId;

/// How long the simulated AWS sets a new account up after an API client has created it.
const SETTING_UP: Duration = Duration::from_mins(2);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ServiceInput {
    service_principal: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ServiceListInput {
    #[serde(flatten)]
    page: Page,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DelegateListInput {
    service_principal: Option<String>,
    #[serde(flatten)]
    page: Page,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DelegateInput {
    account_id: String,
    service_principal: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct CreateAccountInput {
    email: String,
    account_name: String,
    #[serde(rename = "RoleName")]
    _role_name: Option<String>,
    #[serde(rename = "IamUserAccessToBilling")]
    _iam_user_access_to_billing: Option<String>,
    #[serde(rename = "Tags")]
    _tags: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct CreateAccountStatusInput {
    create_account_request_id: String,
}

pub(super) fn list_delegated_administrators(world: &mut World, call: &Call) -> Answer {
    let input: DelegateListInput = call.input()?;
    authorize(world, call, "*", Audience::ManagementAndDelegates)?;
    let organization = &world.organization;
    let is_meant = |service: &String| input.service_principal.as_ref().is_none_or(|wanted| wanted == service);
    let services = organization.delegated_administrators.iter().filter(|(service, _)| is_meant(service));
    let mut delegates: Vec<&AccountId> = services.flat_map(|(_, delegates)| delegates).collect();
    delegates.sort();
    delegates.dedup();
    let delegates = delegates.into_iter().filter_map(|id| organization.account(id).map(|account| (id, account)));
    input.page.of("DelegatedAdministrators", delegates, |(id, account)| {
        let mut delegate = super::describe(organization, id, account);
        if let Some(members) = delegate.as_object_mut() {
            members.remove("Paths");
            // When the delegation began is not simulated: it dates from when the account joined.
            members.insert("DelegationEnabledDate".to_owned(), json!(account.joined_at.unix_timestamp()));
        }
        delegate
    })
}

pub(super) fn list_service_access(world: &mut World, call: &Call) -> Answer {
    let input: ServiceListInput = call.input()?;
    authorize(world, call, "*", Audience::ManagementAndDelegates)?;
    let services = world.organization.trusted_services.iter();
    input.page.of("EnabledServicePrincipals", services, |service| json!({"ServicePrincipal": service}))
}

pub(super) fn enable_service_access(world: &mut World, call: &Call) -> Answer {
    let input: ServiceInput = call.input()?;
    authorize(world, call, "*", Audience::Management)?;
    world.organization.trusted_services.insert(input.service_principal);
    Ok(nothing())
}

pub(super) fn disable_service_access(world: &mut World, call: &Call) -> Answer {
    let input: ServiceInput = call.input()?;
    authorize(world, call, "*", Audience::Management)?;
    let delegates = world.organization.delegated_administrators.get(&input.service_principal);
    if delegates.is_some_and(|delegates| !delegates.is_empty()) {
        // `trust_disable_with_delegate`: the recording shows the reason as a client prints it, below the message.
        let message = "You have delegated administrator/s for this service. De-register them in order to disable \
                       service access.";
        return Err(ApiError::new("ConstraintViolationException", 400, message)
            .with_member("Reason", "DELEGATED_ADMINISTRATOR_EXISTS_FOR_THIS_SERVICE"));
    }
    world.organization.trusted_services.remove(&input.service_principal);
    Ok(nothing())
}

pub(super) fn register_delegated_administrator(world: &mut World, call: &Call) -> Answer {
    let input: DelegateInput = call.input()?;
    let id = input.account_id.parse::<AccountId>().ok();
    authorize_for_account(world, call, id.as_ref())?;
    let organization = &mut world.organization;
    let id = id.filter(|id| organization.accounts.contains_key(id)).ok_or_else(account_not_found)?;
    if id == organization.management_account {
        let message = "You cannot register master account/yourself as delegated administrator for your organization.";
        return Err(ApiError::new("ConstraintViolationException", 400, message)
            .with_member("Reason", "CANNOT_REGISTER_MASTER_AS_DELEGATED_ADMINISTRATOR"));
    }
    if !organization.trusted_services.contains(&input.service_principal) {
        let message = "You must enable service access before you can register a delegated administrator.";
        return Err(ApiError::new("ConstraintViolationException", 400, message)
            .with_member("Reason", "SERVICE_ACCESS_NOT_ENABLED"));
    }
    let delegates = organization.delegated_administrators.entry(input.service_principal).or_default();
    if !delegates.insert(id) {
        let message = "The provided account is already a delegated administrator for your organization.";
        return Err(ApiError::new("AccountAlreadyRegisteredException", 400, message));
    }
    Ok(nothing())
}

pub(super) fn deregister_delegated_administrator(world: &mut World, call: &Call) -> Answer {
    let input: DelegateInput = call.input()?;
    let id = input.account_id.parse::<AccountId>().ok();
    authorize_for_account(world, call, id.as_ref())?;
    let id = id.ok_or_else(account_not_found)?;
    let delegates = world.organization.delegated_administrators.get_mut(&input.service_principal);
    if !delegates.is_some_and(|delegates| delegates.remove(&id)) {
        let message = "The provided account is not a registered delegated administrator for your organization.";
        return Err(ApiError::new("AccountNotRegisteredException", 400, message));
    }
    Ok(nothing())
}

/// AWS works on a new account after it has answered; here the account is there at once, and is not ready for a while.
pub(super) fn create_account(world: &mut World, call: &Call) -> Answer {
    let input: CreateAccountInput = call.input()?;
    authorize(world, call, "*", Audience::Management)?;
    let account = NewAccount {
        name: input.account_name,
        email: Some(input.email),
        ready_after: SETTING_UP,
        ..NewAccount::default()
    };
    world.create_account(account, call.at);
    let creation = world.creations.last().ok_or_else(|| call.service.internal_error())?;
    Ok(json!({
        "CreateAccountStatus": {
            "Id": creation.id,
            "AccountName": creation.account_name,
            "State": "IN_PROGRESS",
            "RequestedTimestamp": creation.at.unix_timestamp(),
        },
    }))
}

pub(super) fn describe_create_account_status(world: &mut World, call: &Call) -> Answer {
    let input: CreateAccountStatusInput = call.input()?;
    authorize(world, call, "*", Audience::ManagementAndDelegates)?;
    let creation = world.creations.iter().find(|creation| creation.id == input.create_account_request_id);
    let creation = creation.ok_or_else(|| {
        let message = "You specified an create account request status that doesn't exist.";
        ApiError::new("CreateAccountStatusNotFoundException", 400, message)
    })?;
    Ok(json!({"CreateAccountStatus": describe_creation(creation)}))
}

fn describe_creation(creation: &Creation) -> Value {
    json!({
        "Id": creation.id,
        "AccountName": creation.account_name,
        "State": "SUCCEEDED",
        "RequestedTimestamp": creation.at.unix_timestamp(),
        "CompletedTimestamp": creation.at.unix_timestamp(),
        "AccountId": creation.account_id,
    })
}

fn authorize_for_account(world: &World, call: &Call, id: Option<&AccountId>) -> Result<(), ApiError> {
    let resource = id.map_or_else(|| "*".to_owned(), |id| account_arn(&world.organization, id));
    authorize(world, call, &resource, Audience::Management)
}
