//! Whether the organization is set up for an audit at all: one error for it, instead of one for each account.

use std::collections::BTreeSet;

use shared::domain::account::Organization;
use shared::domain::failure::{Cause, Failure, Recovery};
use shared::domain::id::{AccountId, OrganizationalUnitId};
use shared::domain::request::Selection;
use shared::domain::task::TaskPolicy;
use shared::runtime::{Function, Problem};

use crate::work::Work;

/// Why an audit cannot begin: one error for the whole organization, instead of one for each account.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotReady {
    #[error("{0}; remedy: {remedy}", remedy = .0.cause.remedy())]
    Organization(Failure),
    /// Which accounts are in a recovery window is not known.
    #[error("{0}; remedy: {remedy}", remedy = .0.cause.remedy())]
    State(Failure),
    #[error(
        "`MANAGEMENT_ACCOUNT_ID` is {1}, but the management account of {organization} is {actual}: deploy the \
         stack with `ManagementAccountId={actual}`",
        organization = .0.id, actual = .0.management_account
    )]
    OtherManagementAccount(Organization, AccountId),
    #[error("`organizationalUnits`: there is no organizational unit {0} in the organization")]
    NoSuchRequestedUnit(OrganizationalUnitId),
    #[error(
        "`ORGANIZATIONAL_UNIT_IDS`: there is no organizational unit {0} in the organization: deploy the stack with \
         another `OrganizationalUnitIds`"
    )]
    NoSuchConfiguredUnit(OrganizationalUnitId),
}

impl From<NotReady> for Problem {
    fn from(error: NotReady) -> Self {
        let message = error.to_string();
        match error {
            NotReady::State(failure) => Self::after("StateNotRead", &failure),
            NotReady::Organization(failure) if failure.cause.recovery() == Recovery::Person => {
                Self::lasting("OrganizationNotReady", message)
            }
            NotReady::Organization(failure) => Self::after("OrganizationNotRead", &failure),
            NotReady::OtherManagementAccount(..) | NotReady::NoSuchConfiguredUnit(_) => {
                Self::lasting("InvalidSettings", message)
            }
            NotReady::NoSuchRequestedUnit(_) => Self::lasting("InvalidRequest", message),
        }
    }
}

/// Looks at what every account depends on, so that a mistake there is said once, with the command that mends it.
pub(crate) async fn check_organization(function: &Function, work: &Work) -> Result<Organization, NotReady> {
    let aws = &function.aws;
    let scope = &function.settings.scope;
    let organization = aws.describe_organization().await.map_err(NotReady::Organization)?;
    if organization.management_account != scope.management_account {
        return Err(NotReady::OtherManagementAccount(organization, scope.management_account.clone()));
    }
    let feature = TaskPolicy::IamAuditRootUserCredentials.feature();
    aws.require_feature(feature).await.map_err(NotReady::Organization)?;
    if let Selection::OrganizationalUnits(units) = &work.request.selection {
        check_units(function, units, NotReady::NoSuchRequestedUnit).await?;
    }
    check_units(function, &scope.organizational_units, NotReady::NoSuchConfiguredUnit).await?;
    Ok(organization)
}

/// A unit that does not exist would make the audit one of nothing, and nothing in it wrong.
async fn check_units(
    function: &Function,
    units: &BTreeSet<OrganizationalUnitId>,
    no_such_unit: fn(OrganizationalUnitId) -> NotReady,
) -> Result<(), NotReady> {
    for unit in units {
        if let Err(failure) = function.aws.describe_organizational_unit(unit).await {
            let is_missing = failure.cause == Cause::OrganizationalUnitNotFound;
            return Err(if is_missing { no_such_unit(unit.clone()) } else { NotReady::Organization(failure) });
        }
    }
    Ok(())
}
