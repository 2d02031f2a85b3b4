//! Organizations: reading the tree of accounts, and the few calls that set centralized root access up.
//!
//! Who may call: "This operation can be called only from the organization's management account or by a member account
//! that is a delegated administrator" for reads, the management account alone for changes; every member may call
//! `DescribeOrganization` (Organizations API reference).

mod administration;
mod page;

use serde::Deserialize;
use serde_json::{Value, json};

use super::World;
use super::authorization::Permission;
use super::call::{Call, NoInput};
use super::service::{Operation, changes, reads};
use crate::api::{Answer, ApiError};
use crate::organization::{Account, AccountId, AccountState, Organization, UnitId};
use page::Page;

pub(super) const OPERATIONS: &[Operation] = &[
    reads("DescribeOrganization", describe_organization),
    reads("ListAccounts", list_accounts),
    reads("ListAccountsForParent", list_accounts_for_parent),
    reads("DescribeAccount", describe_account),
    reads("ListParents", list_parents),
    reads("ListRoots", list_roots),
    reads("ListOrganizationalUnitsForParent", list_organizational_units_for_parent),
    reads("DescribeOrganizationalUnit", describe_organizational_unit),
    reads("ListDelegatedAdministrators", administration::list_delegated_administrators),
    reads("ListAWSServiceAccessForOrganization", administration::list_service_access),
    reads("DescribeCreateAccountStatus", administration::describe_create_account_status),
    changes("EnableAWSServiceAccess", administration::enable_service_access),
    changes("DisableAWSServiceAccess", administration::disable_service_access),
    changes("RegisterDelegatedAdministrator", administration::register_delegated_administrator),
    changes("DeregisterDelegatedAdministrator", administration::deregister_delegated_administrator),
    changes("CreateAccount", administration::create_account),
];

/// Who may call an operation, besides having the permission.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Audience {
    Members,
    ManagementAndDelegates,
    Management,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ListInput {
    #[serde(flatten)]
    page: Page,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ParentInput {
    parent_id: String,
    #[serde(flatten)]
    page: Page,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ChildInput {
    child_id: String,
    #[serde(flatten)]
    page: Page,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct AccountInput {
    account_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct UnitInput {
    organizational_unit_id: String,
}

fn describe_organization(world: &mut World, call: &Call) -> Answer {
    call.input::<NoInput>()?;
    authorize(world, call, "*", Audience::Members)?;
    let organization = &world.organization;
    let management = &organization.management_account;
    let email = organization.account(management).map(|account| account.email.clone());
    Ok(json!({
        "Organization": {
            "Id": organization.id,
            "Arn": format!("arn:aws:organizations::{management}:organization/{}", organization.id),
            "FeatureSet": "ALL",
            "MasterAccountId": management,
            "MasterAccountArn": account_arn(organization, management),
            "MasterAccountEmail": email,
            "AvailablePolicyTypes": [{"Type": "SERVICE_CONTROL_POLICY", "Status": "ENABLED"}],
        },
    }))
}

fn list_accounts(world: &mut World, call: &Call) -> Answer {
    let input: ListInput = call.input()?;
    authorize(world, call, "*", Audience::ManagementAndDelegates)?;
    let organization = &world.organization;
    input.page.of("Accounts", organization.accounts.iter(), |(id, account)| describe(organization, id, account))
}

fn list_accounts_for_parent(world: &mut World, call: &Call) -> Answer {
    let input: ParentInput = call.input()?;
    let organization = &world.organization;
    let parent = parent(organization, &input.parent_id);
    let resource = parent.as_ref().map_or_else(|_| "*".to_owned(), |id| unit_arn(organization, id));
    authorize(world, call, &resource, Audience::ManagementAndDelegates)?;
    let parent = parent?;
    let accounts = organization.accounts.iter().filter(|(_, account)| account.parent == *parent);
    input.page.of("Accounts", accounts, |(id, account)| describe(organization, id, account))
}

fn describe_account(world: &mut World, call: &Call) -> Answer {
    let input: AccountInput = call.input()?;
    let organization = &world.organization;
    let found = input.account_id.parse::<AccountId>().ok().filter(|id| organization.accounts.contains_key(id));
    let resource = found.as_ref().map_or_else(|| "*".to_owned(), |id| account_arn(organization, id));
    authorize(world, call, &resource, Audience::ManagementAndDelegates)?;
    let id = found.ok_or_else(account_not_found)?;
    let account = organization.account(&id).ok_or_else(account_not_found)?;
    Ok(json!({"Account": describe(organization, &id, account)}))
}

fn list_parents(world: &mut World, call: &Call) -> Answer {
    let input: ChildInput = call.input()?;
    authorize(world, call, "*", Audience::ManagementAndDelegates)?;
    let organization = &world.organization;
    let of_account = |id: AccountId| organization.account(&id).map(|account| &account.parent);
    let of_unit = |id: UnitId| organization.units.get(&id).and_then(|unit| unit.parent.as_ref());
    let parent = match input.child_id.parse::<AccountId>() {
        Ok(id) => of_account(id),
        Err(_) => input.child_id.parse::<UnitId>().ok().and_then(of_unit),
    };
    let parent = parent
        .ok_or_else(|| ApiError::new("ChildNotFoundException", 400, "You specified a child that doesn't exist."))?;
    let kind = if parent.is_root() { "ROOT" } else { "ORGANIZATIONAL_UNIT" };
    input.page.of("Parents", [parent].into_iter(), |parent| json!({"Id": parent, "Type": kind}))
}

fn list_roots(world: &mut World, call: &Call) -> Answer {
    let input: ListInput = call.input()?;
    authorize(world, call, "*", Audience::ManagementAndDelegates)?;
    let organization = &world.organization;
    input.page.of("Roots", [&organization.root].into_iter(), |root| {
        json!({
            "Id": root,
            "Arn": unit_arn(organization, root),
            "Name": organization.units.get(root).map(|unit| unit.name.clone()),
            "PolicyTypes": [{"Type": "SERVICE_CONTROL_POLICY", "Status": "ENABLED"}],
        })
    })
}

fn list_organizational_units_for_parent(world: &mut World, call: &Call) -> Answer {
    let input: ParentInput = call.input()?;
    authorize(world, call, "*", Audience::ManagementAndDelegates)?;
    let organization = &world.organization;
    let parent = parent(organization, &input.parent_id)?;
    let units = organization.units.iter().filter(|(_, unit)| unit.parent.as_ref() == Some(parent));
    input.page.of("OrganizationalUnits", units, |(id, _)| describe_unit(organization, id))
}

fn describe_organizational_unit(world: &mut World, call: &Call) -> Answer {
    let input: UnitInput = call.input()?;
    authorize(world, call, "*", Audience::ManagementAndDelegates)?;
    let organization = &world.organization;
    let found = input.organizational_unit_id.parse::<UnitId>().ok();
    let id = found.filter(|id| !id.is_root() && organization.units.contains_key(id)).ok_or_else(|| {
        let message = "You specified an organizational unit that doesn't exist.";
        ApiError::new("OrganizationalUnitNotFoundException", 400, message)
    })?;
    Ok(json!({"OrganizationalUnit": describe_unit(organization, &id)}))
}

/// Permission first, then the caller's place in the organization.
fn authorize(world: &World, call: &Call, resource: &str, audience: Audience) -> Result<(), ApiError> {
    world.authorize(call, &Permission::on(call, resource))?;
    let (organization, account) = (&world.organization, &call.caller.account);
    if !organization.accounts.contains_key(account) {
        let message = "Your account is not a member of an organization.";
        return Err(ApiError::new("AWSOrganizationsNotInUseException", 400, message));
    }
    let is_in_audience = match audience {
        Audience::Members => true,
        Audience::ManagementAndDelegates => {
            *account == organization.management_account || organization.is_any_delegated_administrator(account)
        }
        Audience::Management => *account == organization.management_account,
    };
    if !is_in_audience {
        return Err(call.service.access_denied("You don't have permissions to access this resource."));
    }
    Ok(())
}

fn describe(organization: &Organization, id: &AccountId, account: &Account) -> Value {
    // `Status` knows three of the five states; it is announced as retired, and real clients still read it.
    let status = match account.state {
        AccountState::Active => "ACTIVE",
        AccountState::PendingClosure => "PENDING_CLOSURE",
        AccountState::PendingActivation | AccountState::Suspended | AccountState::Closed => "SUSPENDED",
    };
    json!({
        "Id": id,
        "Arn": account_arn(organization, id),
        "Email": account.email,
        "Name": account.name,
        "Status": status,
        "State": account.state,
        "Paths": [organization.path(id, &account.parent)],
        "JoinedMethod": account.joined_method,
        "JoinedTimestamp": account.joined_at.unix_timestamp(),
    })
}

fn describe_unit(organization: &Organization, id: &UnitId) -> Value {
    let ancestry: Vec<&str> = organization.ancestry(id).into_iter().map(UnitId::as_str).collect();
    json!({
        "Id": id,
        "Arn": unit_arn(organization, id),
        "Name": organization.units.get(id).map(|unit| unit.name.clone()),
        "Path": format!("{}/{}/", organization.id, ancestry.join("/")),
    })
}

fn account_arn(organization: &Organization, id: &AccountId) -> String {
    format!("arn:aws:organizations::{}:account/{}/{id}", organization.management_account, organization.id)
}

fn unit_arn(organization: &Organization, id: &UnitId) -> String {
    let kind = if id.is_root() { "root" } else { "ou" };
    format!("arn:aws:organizations::{}:{kind}/{}/{id}", organization.management_account, organization.id)
}

fn parent<'a>(organization: &'a Organization, id: &str) -> Result<&'a UnitId, ApiError> {
    let found = id.parse().ok().and_then(|id: UnitId| organization.units.get_key_value(&id));
    let (id, _) = found.ok_or_else(|| {
        let message = "You specified a root or OU with the ParentId that doesn't exist.";
        ApiError::new("ParentNotFoundException", 400, message)
    })?;
    Ok(id)
}

fn account_not_found() -> ApiError {
    ApiError::new("AccountNotFoundException", 400, "You specified an account that doesn't exist.")
}
