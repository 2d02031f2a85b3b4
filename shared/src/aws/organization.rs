//! What AWS Organizations and IAM say of the organization and its accounts. Reads only.

use super::Aws;
use super::api_failure::{failed, unreadable};
use crate::domain::account::{Account, AccountState, Organization, OrganizationalPath};
use crate::domain::failure::{Cause, Failure};
use crate::domain::id::{AccountId, OrganizationalUnitId};
use crate::domain::task::OrganizationFeature;

/// One page of the organization's accounts, at most 20, and where the next one begins.
#[derive(Debug)]
pub struct AccountPage {
    pub accounts: Vec<Account>,
    /// `None` at the end; a page may be empty and not be the last.
    pub next: Option<String>,
}

impl Aws {
    pub async fn describe_organization(&self) -> Result<Organization, Failure> {
        const OPERATION: &str = "organizations:DescribeOrganization";
        let answer = self.organizations.describe_organization().send().await.map_err(failed(OPERATION))?;
        let organization = answer.organization.ok_or_else(|| unreadable(OPERATION, "no organization in the answer"))?;
        let id = organization.id.unwrap_or_default();
        let management_account = organization.master_account_id.unwrap_or_default();
        Ok(Organization {
            id: id.parse().map_err(|error| unreadable(OPERATION, &format!("`Id`: {error}")))?,
            management_account: management_account
                .parse()
                .map_err(|error| unreadable(OPERATION, &format!("`MasterAccountId`: {error}")))?,
        })
    }

    /// Fails if the organization does not have the feature, if IAM is not a trusted service in it, or if this account is
    /// not its delegated administrator for IAM: with the cause that says so.
    pub async fn require_feature(&self, feature: OrganizationFeature) -> Result<(), Failure> {
        const OPERATION: &str = "iam:ListOrganizationsFeatures";
        let answer = self.iam.list_organizations_features().send().await.map_err(failed(OPERATION))?;
        let name = match feature {
            OrganizationFeature::RootCredentialsManagement => "RootCredentialsManagement",
            OrganizationFeature::RootSessions => "RootSessions",
        };
        if answer.enabled_features().iter().any(|enabled| enabled.as_str() == name) {
            return Ok(());
        }
        let cause = match feature {
            OrganizationFeature::RootCredentialsManagement => Cause::RootCredentialsManagementDisabled,
            OrganizationFeature::RootSessions => Cause::RootSessionsDisabled,
        };
        Err(Failure::observed(cause, OPERATION, format!("`{name}` is not among the enabled features")))
    }

    /// Reads the page of accounts that begins at the token, or the first one.
    pub async fn list_accounts(&self, token: Option<&str>) -> Result<AccountPage, Failure> {
        const OPERATION: &str = "organizations:ListAccounts";
        let call = self.organizations.list_accounts().set_next_token(token.map(str::to_owned));
        let answer = call.send().await.map_err(failed(OPERATION))?;
        let accounts = answer.accounts.ok_or_else(|| unreadable(OPERATION, "no `Accounts` in the answer"))?;
        let accounts = accounts.iter().map(|written| account(OPERATION, written));
        Ok(AccountPage { accounts: accounts.collect::<Result<_, _>>()?, next: answer.next_token })
    }

    /// Fails with `AccountNotFound` for an account that is not, or not yet, in the organization.
    pub async fn describe_account(&self, id: &AccountId) -> Result<Account, Failure> {
        const OPERATION: &str = "organizations:DescribeAccount";
        let call = self.organizations.describe_account().account_id(id.as_str());
        let answer = call.send().await.map_err(failed(OPERATION))?;
        let described = answer.account.ok_or_else(|| unreadable(OPERATION, "no account in the answer"))?;
        let described = account(OPERATION, &described)?;
        if described.id == *id {
            Ok(described)
        } else {
            Err(unreadable(OPERATION, &format!("the answer describes {}", described.id)))
        }
    }

    /// Fails with the service's own error if there is no such organizational unit.
    pub async fn describe_organizational_unit(&self, id: &OrganizationalUnitId) -> Result<(), Failure> {
        let call = self.organizations.describe_organizational_unit().organizational_unit_id(id.as_str());
        call.send().await.map(drop).map_err(failed("organizations:DescribeOrganizationalUnit"))
    }
}

fn account(operation: &'static str, written: &aws_sdk_organizations::types::Account) -> Result<Account, Failure> {
    let id = written.id().unwrap_or_default();
    let id: AccountId = id.parse().map_err(|error| unreadable(operation, &format!("`Id` of an account: {error}")))?;
    let path = written.paths().iter().find_map(|path| OrganizationalPath::parse(path, &id));
    Ok(Account { name: written.name().unwrap_or_default().to_owned(), state: state(written), path, id })
}

/// AWS announced to drop `Status`; an answer without `State` may still have it.
fn state(written: &aws_sdk_organizations::types::Account) -> AccountState {
    let state = written.state().map(aws_sdk_organizations::types::AccountState::as_str);
    let status = || written.status().map(aws_sdk_organizations::types::AccountStatus::as_str);
    AccountState::from(state.or_else(status).unwrap_or_default())
}
