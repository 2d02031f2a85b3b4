//! IAM: the root user's long-term credentials, as a root session reads and deletes them.
//!
//! The only user that exists here is an account's root user; IAM users and roles are not simulated, and a call that
//! means one is answered with an error that says so. Errors whose text was not recorded are marked.

mod features;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::authorization::Permission;
use super::call::{Call, NoInput, number};
use super::service::{Operation, changes, not_simulated, nothing, reads};
use super::{Aws, World};
use crate::api::{Answer, ApiError};
use crate::organization::{AccountId, LoginProfile, RootCredentials};

pub(super) const OPERATIONS: &[Operation] = &[
    reads("GetUser", get_user),
    reads("GetLoginProfile", get_login_profile),
    changes("CreateLoginProfile", create_login_profile),
    changes("DeleteLoginProfile", delete_login_profile),
    reads("ListAccessKeys", list_access_keys),
    reads("GetAccessKeyLastUsed", get_access_key_last_used),
    changes("DeleteAccessKey", delete_access_key),
    reads("ListSigningCertificates", list_signing_certificates),
    changes("DeleteSigningCertificate", delete_signing_certificate),
    reads("ListMFADevices", list_mfa_devices),
    changes("DeactivateMFADevice", deactivate_mfa_device),
    reads("GetAccountSummary", get_account_summary),
    reads("ListOrganizationsFeatures", features::list),
    changes("EnableOrganizationsRootCredentialsManagement", features::enable_root_credentials_management),
    changes("EnableOrganizationsRootSessions", features::enable_root_sessions),
    changes("DisableOrganizationsRootCredentialsManagement", features::disable_root_credentials_management),
    changes("DisableOrganizationsRootSessions", features::disable_root_sessions),
];

/// The recorded map of a clean account, quotas and all.
const SUMMARY: &str = include_str!("../../fixtures/answers/iam-get-account-summary-clean.json");

/// Which user a call means. Without a name it is the caller.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct UserInput {
    user_name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct CreateLoginProfileInput {
    user_name: Option<String>,
    password: Option<String>,
    #[serde(rename = "PasswordResetRequired")]
    _password_reset_required: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct AccessKeyInput {
    user_name: Option<String>,
    access_key_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct CertificateInput {
    user_name: Option<String>,
    certificate_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct MfaDeviceInput {
    user_name: Option<String>,
    serial_number: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ListInput {
    user_name: Option<String>,
    marker: Option<String>,
    #[serde(default, deserialize_with = "number")]
    max_items: Option<i64>,
}

/// The account whose root user a call means, once the call is authorized.
fn root_user(world: &World, call: &Call, user_name: Option<&str>) -> Result<AccountId, ApiError> {
    let account = &call.caller.account;
    let user = match user_name {
        Some(name) => format!("arn:aws:iam::{account}:user/{name}"),
        None => call.caller.principal_arn.clone(),
    };
    world.authorize(call, &Permission::on(call, user.clone()))?;
    if user != account.root_arn() {
        return Err(not_simulated(format!("IAM users and roles, such as `{user}`")));
    }
    Ok(account.clone())
}

fn get_user(world: &mut World, call: &Call) -> Answer {
    let input: UserInput = call.input()?;
    let account = root_user(world, call, input.user_name.as_deref())?;
    let created = world.organization.account(&account).map(|account| account.joined_at);
    // No UserName and no Path (`root_get_user`).
    Ok(json!({
        "User": {
            "UserId": account,
            "Arn": account.root_arn(),
            "CreateDate": created.map(timestamp),
        },
    }))
}

fn get_login_profile(world: &mut World, call: &Call) -> Answer {
    let input: UserInput = call.input()?;
    let account = root_user(world, call, input.user_name.as_deref())?;
    let profile = world.root_credentials(&account, call.staleness).login_profile.ok_or_else(no_login_profile)?;
    Ok(json!({"LoginProfile": login_profile(&profile)}))
}

fn create_login_profile(world: &mut World, call: &Call) -> Answer {
    let input: CreateLoginProfileInput = call.input()?;
    let account = root_user(world, call, input.user_name.as_deref())?;
    if input.password.is_some() {
        // "must be omitted when you make the request with an AssumeRoot session" (API reference); the text is ours.
        return Err(call.service.invalid_input("Password must be omitted in an AssumeRoot session"));
    }
    let profile = LoginProfile { create_date: call.at };
    let answer = json!({"LoginProfile": login_profile(&profile)});
    world.change_root_credentials(&account, call.at, |root| {
        if root.login_profile.is_some() {
            let message = format!("Login Profile for account {account} already exists.");
            return Err(ApiError::new("EntityAlreadyExists", 409, message));
        }
        root.login_profile = Some(profile);
        Ok(())
    })?;
    Ok(answer)
}

fn delete_login_profile(world: &mut World, call: &Call) -> Answer {
    let input: UserInput = call.input()?;
    let account = root_user(world, call, input.user_name.as_deref())?;
    world.change_root_credentials(&account, call.at, |root| {
        root.login_profile.take().map(|_| ()).ok_or_else(no_login_profile)
    })?;
    Ok(nothing())
}

fn list_access_keys(world: &mut World, call: &Call) -> Answer {
    let input: ListInput = call.input()?;
    let account = root_user(world, call, input.user_name.as_deref())?;
    let keys = world.root_credentials(&account, call.staleness).access_keys;
    let keys = keys
        .iter()
        .map(|key| json!({"AccessKeyId": key.id, "Status": key.status, "CreateDate": timestamp(key.create_date)}));
    page(call, "AccessKeyMetadata", &keys.collect::<Vec<_>>(), &input)
}

/// Not modelled as an error of this operation, so a key that the account does not have is assumed to be denied.
fn get_access_key_last_used(world: &mut World, call: &Call) -> Answer {
    let input: AccessKeyInput = call.input()?;
    let account = root_user(world, call, input.user_name.as_deref())?;
    let keys = world.root_credentials(&account, call.staleness).access_keys;
    let Some(key) = keys.iter().find(|key| key.id == input.access_key_id) else {
        return Err(call.service.access_denied(format!(
            "User: {} is not authorized to perform: iam:GetAccessKeyLastUsed on resource: access key {}",
            call.caller.arn, input.access_key_id
        )));
    };
    // LastUsedDate is absent and the rest "N/A" for a key that was never used (API reference).
    let last_used = match &key.last_used {
        Some(used) => {
            json!({"LastUsedDate": timestamp(used.date), "ServiceName": used.service, "Region": used.region})
        }
        None => json!({"ServiceName": "N/A", "Region": "N/A"}),
    };
    Ok(json!({"AccessKeyLastUsed": last_used}))
}

fn delete_access_key(world: &mut World, call: &Call) -> Answer {
    let input: AccessKeyInput = call.input()?;
    let account = root_user(world, call, input.user_name.as_deref())?;
    let absent = format!("The Access Key with id {} cannot be found.", input.access_key_id);
    world.change_root_credentials(&account, call.at, |root| {
        remove(&mut root.access_keys, |key| key.id == input.access_key_id, absent)
    })?;
    Ok(nothing())
}

fn list_signing_certificates(world: &mut World, call: &Call) -> Answer {
    let input: ListInput = call.input()?;
    let account = root_user(world, call, input.user_name.as_deref())?;
    let certificates = world.root_credentials(&account, call.staleness).signing_certificates;
    let certificates = certificates.iter().map(|certificate| {
        json!({
            "CertificateId": certificate.id,
            "CertificateBody": "-----BEGIN CERTIFICATE-----\nEXAMPLE\n-----END CERTIFICATE-----",
            "Status": certificate.status,
            "UploadDate": timestamp(certificate.upload_date),
        })
    });
    page(call, "Certificates", &certificates.collect::<Vec<_>>(), &input)
}

fn delete_signing_certificate(world: &mut World, call: &Call) -> Answer {
    let input: CertificateInput = call.input()?;
    let account = root_user(world, call, input.user_name.as_deref())?;
    let absent = format!("The Certificate with id {} cannot be found.", input.certificate_id);
    world.change_root_credentials(&account, call.at, |root| {
        remove(&mut root.signing_certificates, |certificate| certificate.id == input.certificate_id, absent)
    })?;
    Ok(nothing())
}

fn list_mfa_devices(world: &mut World, call: &Call) -> Answer {
    let input: ListInput = call.input()?;
    let account = root_user(world, call, input.user_name.as_deref())?;
    let devices = world.root_credentials(&account, call.staleness).mfa_devices;
    let devices = devices
        .iter()
        .map(|device| json!({"SerialNumber": device.serial_number, "EnableDate": timestamp(device.enable_date)}));
    page(call, "MFADevices", &devices.collect::<Vec<_>>(), &input)
}

/// The virtual device that stays behind unassigned is not simulated: no root session can see or delete it.
fn deactivate_mfa_device(world: &mut World, call: &Call) -> Answer {
    let input: MfaDeviceInput = call.input()?;
    let account = root_user(world, call, input.user_name.as_deref())?;
    let absent = format!("MFA Device with serial number {} does not exist.", input.serial_number);
    world.change_root_credentials(&account, call.at, |root| {
        remove(&mut root.mfa_devices, |device| device.serial_number == input.serial_number, absent)
    })?;
    Ok(nothing())
}

/// That an entry is 1 for any number of keys, active or not, is an assumption.
fn get_account_summary(world: &mut World, call: &Call) -> Answer {
    call.input::<NoInput>()?;
    world.authorize(call, &Permission::on(call, "*"))?;
    let root = world.root_credentials(&call.caller.account, call.staleness);
    let mut summary: BTreeMap<String, BTreeMap<String, u32>> =
        serde_json::from_str(SUMMARY).map_err(|error| not_simulated(format!("a readable account summary: {error}")))?;
    if let Some(map) = summary.get_mut("SummaryMap") {
        for (entry, present) in [
            ("AccountPasswordPresent", root.login_profile.is_some()),
            ("AccountAccessKeysPresent", !root.access_keys.is_empty()),
            ("AccountSigningCertificatesPresent", !root.signing_certificates.is_empty()),
            ("AccountMFAEnabled", !root.mfa_devices.is_empty()),
        ] {
            map.insert(entry.to_owned(), u32::from(present));
        }
    }
    Ok(json!(summary))
}

/// The root credentials of an account as they were before a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Earlier {
    /// When they changed.
    pub until: OffsetDateTime,
    pub root: RootCredentials,
}

impl Aws {
    /// What the root credentials of an account were before each of their changes, oldest first.
    pub fn root_history(&self, account: &AccountId) -> Vec<Earlier> {
        self.lock().history.get(account).cloned().unwrap_or_default()
    }
}

impl World {
    /// The root credentials of an account as they were `staleness` changes ago. An account outside the organization
    /// has none.
    fn root_credentials(&self, account: &AccountId, staleness: usize) -> RootCredentials {
        let earlier = self.history.get(account).and_then(|history| match staleness {
            0 => None,
            // Further back than the history goes is as far back as it goes.
            _ => history.get(history.len().saturating_sub(staleness)).map(|earlier| &earlier.root),
        });
        let now = || self.organization.account(account).map(|account| &account.root);
        earlier.or_else(now).cloned().unwrap_or_default()
    }

    pub(super) fn change_root_credentials(
        &mut self,
        account: &AccountId,
        at: OffsetDateTime,
        change: impl FnOnce(&mut RootCredentials) -> Result<(), ApiError>,
    ) -> Result<(), ApiError> {
        let Some(changed) = self.organization.accounts.get_mut(account) else {
            return Err(not_simulated(format!("the account `{account}`")));
        };
        let before = changed.root.clone();
        change(&mut changed.root)?;
        if changed.root != before {
            self.history.entry(account.clone()).or_default().push(Earlier { until: at, root: before });
        }
        Ok(())
    }
}

fn remove<T>(from: &mut Vec<T>, is_meant: impl Fn(&T) -> bool, absent: String) -> Result<(), ApiError> {
    let position = from.iter().position(is_meant).ok_or_else(|| ApiError::new("NoSuchEntity", 404, absent))?;
    from.remove(position);
    Ok(())
}

/// One page of a list. The marker is the position of the next item.
fn page(call: &Call, name: &str, items: &[Value], input: &ListInput) -> Answer {
    let start = match &input.marker {
        Some(marker) => marker.parse().map_err(|_| call.service.invalid_input("Invalid Marker."))?,
        None => 0,
    };
    let size = input.max_items.unwrap_or(100);
    let size = usize::try_from(size).ok().filter(|size| (1..=1000).contains(size)).ok_or_else(|| {
        call.service.invalid_input(format!(
            "1 validation error detected: Value '{size}' at 'maxItems' failed to satisfy constraint: Member must have \
             value between 1 and 1000"
        ))
    })?;
    let page: Vec<_> = items.iter().skip(start).take(size).collect();
    let end = size.saturating_add(start);
    Ok(if end < items.len() {
        json!({name: page, "IsTruncated": true, "Marker": end.to_string()})
    } else {
        json!({name: page, "IsTruncated": false})
    })
}

/// No `UserName` (`root_get_login_profile_present`).
fn login_profile(profile: &LoginProfile) -> Value {
    json!({"CreateDate": timestamp(profile.create_date), "PasswordResetRequired": false})
}

fn no_login_profile() -> ApiError {
    ApiError::new("NoSuchEntity", 404, "Login Profile for User null cannot be found.")
}

/// The query protocol's timestamps have no fractions here, as in the recordings.
fn timestamp(instant: OffsetDateTime) -> String {
    instant.replace_nanosecond(0).unwrap_or(instant).format(&Rfc3339).unwrap_or_default()
}
