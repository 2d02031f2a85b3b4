//! The features of centralized root access: who may see, enable and disable them.

use serde_json::json;

use crate::api::{Answer, ApiError};
use crate::aws::World;
use crate::aws::authorization::Permission;
use crate::aws::call::{Call, NoInput};
use crate::organization::{Feature, IAM_SERVICE};

pub(super) fn list(world: &mut World, call: &Call) -> Answer {
    authorize(world, call)?;
    Ok(enabled_features(world))
}

pub(super) fn enable_root_credentials_management(world: &mut World, call: &Call) -> Answer {
    enable(world, call, Feature::RootCredentialsManagement)
}

pub(super) fn enable_root_sessions(world: &mut World, call: &Call) -> Answer {
    enable(world, call, Feature::RootSessions)
}

pub(super) fn disable_root_credentials_management(world: &mut World, call: &Call) -> Answer {
    disable(world, call, Feature::RootCredentialsManagement)
}

pub(super) fn disable_root_sessions(world: &mut World, call: &Call) -> Answer {
    disable(world, call, Feature::RootSessions)
}

fn enable(world: &mut World, call: &Call, feature: Feature) -> Answer {
    authorize(world, call)?;
    if call.caller.account != world.organization.management_account {
        let message = format!(
            "Caller account {} is not management account of the organization and cannot enable IAM features.",
            call.caller.account
        );
        return Err(ApiError::new("CallerIsNotManagementAccountException", 400, message));
    }
    world.organization.features.insert(feature);
    Ok(enabled_features(world))
}

/// The delegated administrator may disable what it may not enable (`disable_credentials_by_delegate`).
fn disable(world: &mut World, call: &Call, feature: Feature) -> Answer {
    authorize(world, call)?;
    world.organization.features.remove(&feature);
    Ok(enabled_features(world))
}

/// Permission before trusted access (`features_no_iam_permission`). That trusted access comes before the caller's
/// place in the organization is an assumption.
fn authorize(world: &World, call: &Call) -> Result<(), ApiError> {
    call.input::<NoInput>()?;
    world.authorize(call, &Permission::on(call, "*"))?;
    let (organization, account) = (&world.organization, &call.caller.account);
    if !organization.accounts.contains_key(account) {
        let message = format!("Input account {account} is not part of an organization.");
        return Err(ApiError::new("OrganizationNotFoundException", 400, message));
    }
    if !organization.trusted_services.contains(IAM_SERVICE) {
        let message = format!("Trusted Access for IAM not enabled by organization of input account {account}.");
        return Err(ApiError::new("ServiceAccessNotEnabledException", 400, message));
    }
    if *account != organization.management_account && !organization.is_delegated_administrator(account, IAM_SERVICE) {
        let message = format!("Input account {account} is neither management account nor delegated admin.");
        return Err(ApiError::new("AccountNotManagementOrDelegatedAdministratorException", 400, message));
    }
    Ok(())
}

fn enabled_features(world: &World) -> serde_json::Value {
    json!({"OrganizationId": world.organization.id, "EnabledFeatures": world.organization.features})
}
