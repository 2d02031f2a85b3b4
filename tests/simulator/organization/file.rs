//! The file format of an organization: JSON, nested as the organization is, and what makes a file valid.
//!
//! Keys are in camel case and unknown keys are errors. `tests/fixtures/organization.json` shows every field. What may
//! be left out: `features`, `trustedServices`, `delegatedAdministrators`, `serviceControlPolicies` (at the top: none;
//! on a unit or an account: `FullAWSAccess`, as AWS attaches it), `principals`; of an account everything but its `id`.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use time::OffsetDateTime;

use super::{
    Account, AccountBucket, AccountId, AccountQueue, AccountState, FULL_AWS_ACCESS, Feature, JoinedMethod,
    Organization, OrganizationId, Principal, RootCredentials, Unit, UnitId,
};
use crate::policy::PolicyDocument;

/// What is wrong with an organization file: the path of the field, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{path}`: {problem}")]
pub struct OrganizationError {
    pub path: String,
    pub problem: String,
}

impl Organization {
    pub fn from_json(text: &str) -> Result<Self, OrganizationError> {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let file: OrganizationFile = serde_path_to_error::deserialize(&mut deserializer)
            .map_err(|error| problem(&error.path().to_string(), error.inner().to_string()))?;
        deserializer.end().map_err(|error| problem(".", error.to_string()))?;
        file.validate()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct OrganizationFile {
    id: OrganizationId,
    management_account: AccountId,
    #[serde(default)]
    features: BTreeSet<Feature>,
    #[serde(default)]
    trusted_services: BTreeSet<String>,
    #[serde(default)]
    delegated_administrators: BTreeMap<String, BTreeSet<AccountId>>,
    #[serde(default)]
    service_control_policies: BTreeMap<String, PolicyDocument>,
    root: UnitFile,
    #[serde(default)]
    principals: Vec<Principal>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct UnitFile {
    id: UnitId,
    #[serde(default = "root_name")]
    name: String,
    #[serde(default = "full_access")]
    service_control_policies: Vec<String>,
    #[serde(default)]
    accounts: Vec<AccountFile>,
    #[serde(default)]
    organizational_units: Vec<UnitFile>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AccountFile {
    id: AccountId,
    /// Defaults to `account-<id>`.
    name: Option<String>,
    /// Defaults to `<id>@example.com`.
    email: Option<String>,
    #[serde(default = "active")]
    state: AccountState,
    #[serde(default = "created")]
    joined_method: JoinedMethod,
    #[serde(with = "time::serde::rfc3339", default = "founding_day")]
    joined_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option", default)]
    not_ready_until: Option<OffsetDateTime>,
    #[serde(default)]
    sts_off_in: BTreeSet<String>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(default = "full_access")]
    service_control_policies: Vec<String>,
    #[serde(default)]
    root: RootCredentials,
    #[serde(default)]
    buckets: Vec<AccountBucket>,
    #[serde(default)]
    queues: Vec<AccountQueue>,
}

fn root_name() -> String {
    "Root".to_owned()
}

fn full_access() -> Vec<String> {
    vec![FULL_AWS_ACCESS.to_owned()]
}

fn active() -> AccountState {
    AccountState::Active
}

fn created() -> JoinedMethod {
    JoinedMethod::Created
}

/// The date of the recorded root user (`root_get_user`), for accounts whose date does not matter.
fn founding_day() -> OffsetDateTime {
    time::macros::datetime!(2025-08-25 13:49:23 UTC)
}

fn problem(path: &str, problem: impl Into<String>) -> OrganizationError {
    OrganizationError { path: path.to_owned(), problem: problem.into() }
}

impl OrganizationFile {
    fn validate(self) -> Result<Organization, OrganizationError> {
        if !self.root.id.is_root() {
            return Err(problem("root.id", format!("`{}` is a unit's id; the root's begins with `r-`", self.root.id)));
        }
        let mut organization = Organization {
            id: self.id,
            management_account: self.management_account,
            features: self.features,
            trusted_services: self.trusted_services,
            delegated_administrators: self.delegated_administrators,
            service_control_policies: self.service_control_policies,
            root: self.root.id.clone(),
            units: BTreeMap::new(),
            accounts: BTreeMap::new(),
            principals: self.principals,
        };
        place(&mut organization, self.root, None, "root")?;
        organization.validate_references()?;
        organization.validate_credentials()?;
        organization.validate_names()?;
        Ok(organization)
    }
}

/// Takes a unit with all that lies in it out of the file.
fn place(
    organization: &mut Organization,
    file: UnitFile,
    parent: Option<&UnitId>,
    path: &str,
) -> Result<(), OrganizationError> {
    if parent.is_some() && file.id.is_root() {
        return Err(problem(&format!("{path}.id"), "there is one root; an organizational unit's id begins with `ou-`"));
    }
    organization.require_policies(&file.service_control_policies, path)?;
    let unit =
        Unit { name: file.name, parent: parent.cloned(), service_control_policies: file.service_control_policies };
    if organization.units.insert(file.id.clone(), unit).is_some() {
        return Err(problem(&format!("{path}.id"), format!("`{}` appears twice; give each unit its own id", file.id)));
    }
    for (index, account) in file.accounts.into_iter().enumerate() {
        let path = format!("{path}.accounts[{index}]");
        organization.require_policies(&account.service_control_policies, &path)?;
        let id = account.id.clone();
        if organization.accounts.insert(id.clone(), account.into_account(file.id.clone())).is_some() {
            return Err(problem(&format!("{path}.id"), format!("`{id}` appears twice; give each account its own id")));
        }
    }
    for (index, unit) in file.organizational_units.into_iter().enumerate() {
        place(organization, unit, Some(&file.id), &format!("{path}.organizationalUnits[{index}]"))?;
    }
    Ok(())
}

impl Organization {
    fn require_policies(&self, names: &[String], path: &str) -> Result<(), OrganizationError> {
        for (index, name) in names.iter().enumerate() {
            if self.service_control_policy(name).is_none() {
                return Err(problem(
                    &format!("{path}.serviceControlPolicies[{index}]"),
                    format!("there is no policy `{name}`; add it to `serviceControlPolicies` at the top"),
                ));
            }
        }
        Ok(())
    }

    fn validate_references(&self) -> Result<(), OrganizationError> {
        if !self.accounts.contains_key(&self.management_account) {
            return Err(problem("managementAccount", "is not among the accounts; add it below `root`"));
        }
        for (service, delegates) in &self.delegated_administrators {
            let path = format!("delegatedAdministrators.{service}");
            if !self.trusted_services.contains(service) {
                return Err(problem(&path, "the service has no trusted access; add it to `trustedServices`"));
            }
            for delegate in delegates {
                if *delegate == self.management_account {
                    return Err(problem(&path, "the management account cannot be a delegated administrator"));
                }
                if !self.accounts.contains_key(delegate) {
                    return Err(problem(&path, format!("`{delegate}` is not among the accounts")));
                }
            }
        }
        Ok(())
    }

    fn validate_credentials(&self) -> Result<(), OrganizationError> {
        let mut seen = BTreeSet::new();
        for (index, principal) in self.principals.iter().enumerate() {
            let account = principal.arn.split(':').nth(4).unwrap_or_default();
            if !principal.arn.starts_with("arn:aws:") || account.parse::<AccountId>().is_err() {
                return Err(problem(&format!("principals[{index}].arn"), "is not the ARN of a user or role"));
            }
            if !seen.insert(&principal.access_key_id) {
                return Err(problem(&format!("principals[{index}].accessKeyId"), "appears twice"));
            }
        }
        for (id, account) in &self.accounts {
            for key in &account.root.access_keys {
                if !seen.insert(&key.id) {
                    return Err(problem("root", format!("account `{id}`: the access key `{}` appears twice", key.id)));
                }
            }
        }
        Ok(())
    }
}

impl Organization {
    /// No two accounts have buckets of one name, and no account two queues of one name in a Region.
    fn validate_names(&self) -> Result<(), OrganizationError> {
        let mut seen = BTreeSet::new();
        for (id, account) in &self.accounts {
            let buckets = account.buckets.iter().map(|bucket| (format!("the bucket `{}`", bucket.name), None));
            let queues = account
                .queues
                .iter()
                .map(|queue| (format!("the queue `{}` in {}", queue.name, queue.region), Some(id)));
            for (what, of) in buckets.chain(queues) {
                if !seen.insert((what.clone(), of)) {
                    return Err(problem("root", format!("account `{id}`: {what} appears twice")));
                }
            }
        }
        Ok(())
    }
}

impl AccountFile {
    fn into_account(self, parent: UnitId) -> Account {
        Account {
            name: self.name.unwrap_or_else(|| format!("account-{}", self.id)),
            email: self.email.unwrap_or_else(|| format!("{}@example.com", self.id)),
            parent,
            state: self.state,
            joined_method: self.joined_method,
            joined_at: self.joined_at,
            not_ready_until: self.not_ready_until,
            sts_off_in: self.sts_off_in,
            tags: self.tags,
            service_control_policies: self.service_control_policies,
            root: self.root,
            buckets: self.buckets,
            queues: self.queues,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn example() -> Value {
        serde_json::from_str(include_str!("../../fixtures/organization.json")).unwrap()
    }

    fn error(change: impl FnOnce(&mut Value)) -> String {
        let mut file = example();
        change(&mut file);
        Organization::from_json(&file.to_string()).unwrap_err().to_string()
    }

    #[test]
    fn the_example_is_valid_and_shows_every_field() {
        let organization = Organization::from_json(include_str!("../../fixtures/organization.json")).unwrap();
        assert_eq!(organization.audit_account().unwrap().as_str(), "222233334444");
        let text = include_str!("../../fixtures/organization.json");
        for field in [
            "features",
            "trustedServices",
            "delegatedAdministrators",
            "serviceControlPolicies",
            "organizationalUnits",
            "name",
            "email",
            "state",
            "joinedMethod",
            "joinedAt",
            "notReadyUntil",
            "stsOffIn",
            "tags",
            "loginProfile",
            "accessKeys",
            "lastUsed",
            "signingCertificates",
            "mfaDevices",
            "buckets",
            "queues",
            "principals",
        ] {
            assert!(text.contains(&format!("\"{field}\"")), "the example does not show `{field}`");
        }
    }

    #[test]
    fn errors_name_the_field_and_what_to_do() {
        let first_account = |file: &mut Value, key: &str, value: Value| {
            file["root"]["accounts"][0][key] = value;
        };
        for (error, expected) in [
            (
                error(|file| first_account(file, "id", json!("12345"))),
                "`root.accounts[0].id`: `12345` is not an account id (twelve digits)",
            ),
            (
                error(|file| first_account(file, "passwort", json!("x"))),
                "`root.accounts[0].passwort`: unknown field `passwort`",
            ),
            (
                error(|file| first_account(file, "serviceControlPolicies", json!(["Nope"]))),
                "`root.accounts[0].serviceControlPolicies[0]`: there is no policy `Nope`",
            ),
            (
                error(|file| file["managementAccount"] = json!("999999999999")),
                "`managementAccount`: is not among the accounts",
            ),
            (
                error(|file| file["delegatedAdministrators"]["iam.amazonaws.com"] = json!(["999999999999"])),
                "`delegatedAdministrators.iam.amazonaws.com`: `999999999999` is not among the accounts",
            ),
            (
                error(|file| file["trustedServices"] = json!([])),
                "the service has no trusted access; add it to `trustedServices`",
            ),
            (
                error(|file| {
                    let account = file["root"]["accounts"][0].clone();
                    file["root"]["organizationalUnits"][0]["accounts"].as_array_mut().unwrap().push(account);
                }),
                "appears twice; give each account its own id",
            ),
            (
                error(|file| {
                    let principal = file["principals"][0].clone();
                    file["principals"].as_array_mut().unwrap().push(principal);
                }),
                "`principals[1].accessKeyId`: appears twice",
            ),
            (
                error(|file| {
                    let root = json!({"accessKeys": [
                        {"id": "AKIASHOP00001EXAMPLE", "status": "Active", "createDate": "2023-03-01T10:00:00Z"},
                    ]});
                    first_account(file, "root", root);
                }),
                "the access key `AKIASHOP00001EXAMPLE` appears twice",
            ),
            (
                error(|file| {
                    let twice = json!([{"name": "b", "region": "eu-west-1"}, {"name": "b", "region": "us-east-1"}]);
                    first_account(file, "buckets", twice);
                }),
                "account `111122223333`: the bucket `b` appears twice",
            ),
            (
                error(|file| {
                    let nobody = json!({"Statement": {"Effect": "Deny", "Action": "sqs:*", "Resource": "*"}});
                    first_account(file, "queues", json!([{"name": "q", "region": "us-east-1", "policy": nobody}]));
                }),
                "`root.accounts[0].queues[0].policy`: the policy has a principal that the simulator does not know",
            ),
            (error(|file| file["root"]["id"] = json!("ou-a1b2-00000000")), "the root's begins with `r-`"),
        ] {
            assert!(error.contains(expected), "{error}");
        }
    }
}
