//! Reading the root credentials of an account, in a root session. Nothing here changes anything.
//!
//! INVARIANT (never claims more than it saw): every list is read to its end, and an error ends the reading with that
//! error: there is no path from a failed call to an empty `RootCredentials`.

use aws_sdk_iam::types::{AccessKeyMetadata, StatusType, SummaryKeyType};

use super::api_failure::{failed, unreadable};
use super::date;
use super::root_session::{Audit, Delete, RootSession, RootTask};
use crate::domain::credentials::{
    AccessKey, AccessKeyStatus, LastUsed, LoginProfile, MfaDevice, RootCredentials, RootSummary, SigningCertificate,
};
use crate::domain::failure::{Cause, Failure};

/// The tasks whose policy allows `GetLoginProfile`.
pub trait ReadsLoginProfile: RootTask {}
impl ReadsLoginProfile for Audit {}
impl ReadsLoginProfile for Delete {}

/// The tasks whose policy allows the list calls too.
pub trait ReadsCredentials: ReadsLoginProfile {}
impl ReadsCredentials for Audit {}
impl ReadsCredentials for Delete {}

impl RootSession<Audit> {
    /// Reads what the account has: one call if that is nothing, else the lists too.
    ///
    /// If the summary names a kind of which the lists show nothing, both are read again a few times; a contradiction
    /// that stays is an error.
    pub async fn audit(&self) -> Result<RootCredentials, Failure> {
        let mut waits = self.patience.waits();
        loop {
            let summary = self.root_summary().await?;
            if summary.is_clean() {
                return Ok(RootCredentials::default());
            }
            let credentials = self.read_root_credentials().await?;
            let Some(contradiction) = summary.contradiction(&credentials) else {
                return Ok(credentials);
            };
            match waits.next() {
                Some(wait) => tokio::time::sleep(wait).await,
                None => {
                    return Err(Failure::observed(Cause::ContradictoryAnswers, "iam:GetAccountSummary", contradiction));
                }
            }
        }
    }

    async fn root_summary(&self) -> Result<RootSummary, Failure> {
        const OPERATION: &str = "iam:GetAccountSummary";
        let answer = self
            .iam
            .get_account_summary()
            .customize()
            .config_override(self.sign())
            .send()
            .await
            .map_err(failed(OPERATION))?;
        RootSummary::read(|entry| answer.summary_map()?.get(&SummaryKeyType::from(entry)).copied())
            .map_err(|missing| unreadable(OPERATION, &missing.to_string()))
    }
}

impl<T: ReadsLoginProfile> RootSession<T> {
    pub(super) async fn login_profile(&self) -> Result<Option<LoginProfile>, Failure> {
        let answer = self.iam.get_login_profile().customize().config_override(self.sign()).send().await;
        match answer.map_err(failed("iam:GetLoginProfile")) {
            Ok(answer) => {
                let created = answer.login_profile.and_then(|profile| date(Some(&profile.create_date)));
                Ok(Some(LoginProfile { created }))
            }
            Err(failure) if failure.cause == Cause::AlreadyAbsent => Ok(None),
            Err(failure) => Err(failure),
        }
    }
}

impl<T: ReadsCredentials> RootSession<T> {
    /// Reads all four kinds of root credentials with the calls that name them.
    pub async fn read_root_credentials(&self) -> Result<RootCredentials, Failure> {
        Ok(RootCredentials {
            login_profile: self.login_profile().await?,
            access_keys: self.access_keys().await?,
            signing_certificates: self.signing_certificates().await?,
            mfa_devices: self.mfa_devices().await?,
        })
    }

    async fn access_keys(&self) -> Result<Vec<AccessKey>, Failure> {
        const OPERATION: &str = "iam:ListAccessKeys";
        let mut keys = Vec::new();
        let mut marker = None;
        loop {
            let call = self.iam.list_access_keys().set_marker(marker).customize();
            let answer = call.config_override(self.sign()).send().await.map_err(failed(OPERATION))?;
            for key in answer.access_key_metadata {
                keys.push(self.access_key(key).await?);
            }
            marker = next_page(OPERATION, answer.is_truncated, answer.marker)?;
            if marker.is_none() {
                return Ok(keys);
            }
        }
    }

    async fn access_key(&self, key: AccessKeyMetadata) -> Result<AccessKey, Failure> {
        const OPERATION: &str = "iam:GetAccessKeyLastUsed";
        let id = key.access_key_id.as_deref().unwrap_or_default();
        let id = id.parse().map_err(|error| unreadable("iam:ListAccessKeys", &format!("an access key id: {error}")))?;
        let status = match key.status {
            Some(StatusType::Inactive) => AccessKeyStatus::Inactive,
            Some(StatusType::Expired) => AccessKeyStatus::Expired,
            // A state that is not known is treated as the one in which deleting can break something.
            _ => AccessKeyStatus::Active,
        };
        let call = self.iam.get_access_key_last_used().set_access_key_id(key.access_key_id).customize();
        let answer = call.config_override(self.sign()).send().await.map_err(failed(OPERATION))?;
        let last_used =
            answer.access_key_last_used.ok_or_else(|| unreadable(OPERATION, "no `AccessKeyLastUsed` in the answer"))?;
        // A key that was created a moment ago may be in use before its first use is shown. It is deleted all the same: an
        // intruder's key looks just like it.
        let last_used = match (&last_used.last_used_date, date(last_used.last_used_date.as_ref())) {
            (None, _) => LastUsed::Never,
            (Some(_), Some(at)) => LastUsed::Used { at, service: last_used.service_name, region: last_used.region },
            (Some(_), None) => return Err(unreadable(OPERATION, "`LastUsedDate` is not a date")),
        };
        Ok(AccessKey { id, status, created: date(key.create_date.as_ref()), last_used })
    }

    async fn signing_certificates(&self) -> Result<Vec<SigningCertificate>, Failure> {
        const OPERATION: &str = "iam:ListSigningCertificates";
        let mut certificates = Vec::new();
        let mut marker = None;
        loop {
            let call = self.iam.list_signing_certificates().set_marker(marker).customize();
            let answer = call.config_override(self.sign()).send().await.map_err(failed(OPERATION))?;
            for certificate in answer.certificates {
                let id = certificate.certificate_id.parse();
                let id = id.map_err(|error| unreadable(OPERATION, &format!("a certificate id: {error}")))?;
                certificates.push(SigningCertificate { id, uploaded: date(certificate.upload_date.as_ref()) });
            }
            marker = next_page(OPERATION, answer.is_truncated, answer.marker)?;
            if marker.is_none() {
                return Ok(certificates);
            }
        }
    }

    async fn mfa_devices(&self) -> Result<Vec<MfaDevice>, Failure> {
        const OPERATION: &str = "iam:ListMFADevices";
        let mut devices = Vec::new();
        let mut marker = None;
        loop {
            let call = self.iam.list_mfa_devices().set_marker(marker).customize();
            let answer = call.config_override(self.sign()).send().await.map_err(failed(OPERATION))?;
            for device in answer.mfa_devices {
                let serial_number = device.serial_number.parse();
                let serial_number =
                    serial_number.map_err(|error| unreadable(OPERATION, &format!("a serial number: {error}")))?;
                devices.push(MfaDevice { serial_number, enabled: date(Some(&device.enable_date)) });
            }
            marker = next_page(OPERATION, answer.is_truncated, answer.marker)?;
            if marker.is_none() {
                return Ok(devices);
            }
        }
    }
}

/// Where the next page of a list begins; `None` at its end.
fn next_page(operation: &'static str, is_truncated: bool, marker: Option<String>) -> Result<Option<String>, Failure> {
    match (is_truncated, marker) {
        (false, _) => Ok(None),
        (true, Some(marker)) => Ok(Some(marker)),
        (true, None) => Err(unreadable(operation, "the list goes on, but the answer has no `Marker`")),
    }
}
