//! The root user of an account at work in the console: what a person with its credentials can do, and what AWS logs of it.
//!
//! The events are samples (`tests/fixtures/events`, whose `SOURCES.md` says how sure each is) with this user's values in
//! them. `PasswordUpdated` and `EmailUpdated` have no sample: both are made from that of `PasswordRecoveryCompleted`,
//! without `additionalEventData`, which `PasswordUpdated` does not have in
//! <https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-aws-console-sign-in-events.html>;
//! of `EmailUpdated` only the name is known. What root does in IAM has a sample, of `EnableMFADevice`; what
//! `CreateAccessKey` and `UploadSigningCertificate` answer is after the API reference.
//!
//! GuardDuty sees the calls. Of a sign-in alone no finding is known: the console's own calls soon follow it.

use std::cell::RefCell;

use serde_json::{Value, json};
use time::OffsetDateTime;

use super::authorization::Permission;
use super::call::Call;
use super::caller::{Authority, Caller};
use super::cloud_trail::{answer_date, identify_root, is_read_only};
use super::emission::{replace, replace_at, seconds};
use super::guard_duty::{RootUse, Scope, UseOf};
use super::service::Service;
use super::{Aws, World};
use crate::api::ApiError;
use crate::organization::{
    AccessKey, AccountId, CredentialStatus, LastUsed, LoginProfile, MfaDevice, RootCredentials, SigningCertificate,
};
use crate::policy::PolicyDocument;

const SIGN_IN: &str = include_str!("../../fixtures/events/signin-root-console-login-success-no-mfa.json");
const FAILED_SIGN_IN: &str = include_str!("../../fixtures/events/signin-root-console-login-failure.json");
const RECOVERY_REQUESTED: &str = include_str!("../../fixtures/events/signin-root-password-recovery-requested.json");
const RECOVERY_COMPLETED: &str = include_str!("../../fixtures/events/signin-root-password-recovery-completed.json");
const CALL: &str = include_str!("../../fixtures/events/cloudtrail-real-root-enable-mfa-device.json");

/// Access keys and signing certificates that a user can have.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>
const MOST_OF_A_KIND: usize = 2;

/// Somebody who works as the root user of an account.
#[derive(Clone, Debug)]
pub struct RootUser {
    pub account: AccountId,
    /// Where the sign-in takes place: us-east-1, us-east-2 or us-west-2.
    pub sign_in_region: String,
    pub source_ip_address: String,
    pub user_agent: String,
    aws: Aws,
    session: Option<Session>,
}

/// What root's calls are signed with.
#[derive(Clone, Debug)]
enum Session {
    /// The key id of the console's temporary credentials. They outlive the password: nobody can sign out a session.
    Console(String),
    AccessKey(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Password {
    Right,
    Wrong,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignIn {
    Success,
    Failure,
}

/// Why the root user cannot do something. Only of what AWS refused there is a log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotPossible {
    #[error("the root user has no password, and none can be set")]
    NoLoginProfile,
    #[error("the root user is not signed in")]
    NotSignedIn,
    #[error("the root user has no active access key `{0}`")]
    NoSuchAccessKey(String),
    /// AWS's answer, which is logged.
    #[error("{code}: {message}")]
    Refused { code: String, message: String },
}

/// What root does in an account: one call.
struct Doing<'a> {
    service: &'a str,
    operation: &'a str,
    region: &'a str,
    parameters: Value,
}

impl Aws {
    /// The root user of an account of the organization, the management account's too.
    pub fn root_user(&self, account: &AccountId) -> RootUser {
        RootUser {
            account: account.clone(),
            sign_in_region: "us-east-1".to_owned(),
            source_ip_address: "198.51.100.7".to_owned(),
            user_agent: "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36".to_owned(),
            aws: self.clone(),
            session: None,
        }
    }
}

impl RootUser {
    /// From elsewhere.
    #[must_use]
    pub fn from(mut self, source_ip_address: &str, user_agent: &str) -> Self {
        source_ip_address.clone_into(&mut self.source_ip_address);
        user_agent.clone_into(&mut self.user_agent);
        self
    }

    #[must_use]
    pub fn signing_in_at(mut self, region: &str) -> Self {
        region.clone_into(&mut self.sign_in_region);
        self
    }

    /// Signs in to the console, with MFA if the user has a device. Without a login profile no password is the right one.
    pub fn sign_in(&mut self, password: Password) -> SignIn {
        let root = self.root();
        if password == Password::Wrong || root.login_profile.is_none() {
            self.log_sign_in(FAILED_SIGN_IN, "ConsoleLogin", "Failure", None);
            return SignIn::Failure;
        }
        let device = root.mfa_devices.first().map(|device| device.serial_number.clone());
        self.log_sign_in(SIGN_IN, "ConsoleLogin", "Success", device.as_deref());
        let number = self.aws.lock().sequence.next("session");
        self.session = Some(Session::Console(format!("ASIA{number:09}EXAMPLE")));
        SignIn::Success
    }

    /// Calls with one of the account's access keys from now on.
    pub fn use_access_key(&mut self, id: &str) {
        self.session = Some(Session::AccessKey(id.to_owned()));
    }

    /// Asks for the mail with which the password is reset. Where there is no login profile AWS does not let root recover it
    /// ("Centralize root access for member accounts" in the IAM user guide); whether it logs that somebody tried is not
    /// known.
    pub fn request_password_recovery(&mut self) -> Result<(), NotPossible> {
        self.needs_login_profile()?;
        self.log_sign_in(RECOVERY_REQUESTED, "PasswordRecoveryRequested", "Success", None);
        Ok(())
    }

    /// Sets a new password from the mail.
    pub fn complete_password_recovery(&mut self) -> Result<(), NotPossible> {
        self.set_password()?;
        self.log_sign_in(RECOVERY_COMPLETED, "PasswordRecoveryCompleted", "Success", None);
        Ok(())
    }

    /// Changes the password in the console.
    pub fn update_password(&mut self) -> Result<(), NotPossible> {
        self.session()?;
        self.set_password()?;
        self.log_sign_in(RECOVERY_COMPLETED, "PasswordUpdated", "Success", None);
        Ok(())
    }

    /// Changes the mail address with which root signs in.
    pub fn update_email(&mut self, email: &str) -> Result<(), NotPossible> {
        self.session()?;
        self.aws.with_organization(|organization| {
            if let Some(account) = organization.accounts.get_mut(&self.account) {
                email.clone_into(&mut account.email);
            }
        });
        self.log_sign_in(RECOVERY_COMPLETED, "EmailUpdated", "Success", None);
        Ok(())
    }

    /// Returns the id of the new key.
    pub fn create_access_key(&mut self) -> Result<String, NotPossible> {
        let number = self.aws.lock().sequence.next("access key");
        let id = format!("AKIA{number:09}EXAMPLE");
        let now = self.aws.clock.now();
        let key = AccessKey { id: id.clone(), status: CredentialStatus::Active, create_date: now, last_used: None };
        let answer = json!({"accessKey": {
            "accessKeyId": id,
            "status": "Active",
            "createDate": answer_date(now),
        }});
        self.change(&Doing::in_iam("CreateAccessKey", Value::Null), &answer, |root| {
            room_for_one_more(root.access_keys.len(), "AccessKeysPerUser")?;
            root.access_keys.push(key);
            Ok(())
        })?;
        Ok(id)
    }

    /// Returns the id of the new certificate.
    pub fn upload_signing_certificate(&mut self) -> Result<String, NotPossible> {
        let number = self.aws.lock().sequence.next("signing certificate");
        let id = format!("CERTIFICATE{number:09}EXAMPLE");
        let now = self.aws.clock.now();
        let certificate = SigningCertificate { id: id.clone(), status: CredentialStatus::Active, upload_date: now };
        let answer = json!({"certificate": {
            "certificateId": id,
            "status": "Active",
            "uploadDate": answer_date(now),
        }});
        self.change(&Doing::in_iam("UploadSigningCertificate", Value::Null), &answer, |root| {
            room_for_one_more(root.signing_certificates.len(), "SigningCertificatesPerUser")?;
            root.signing_certificates.push(certificate);
            Ok(())
        })?;
        Ok(id)
    }

    /// Returns the serial number of the new virtual device.
    pub fn enable_mfa(&mut self) -> Result<String, NotPossible> {
        let count = self.root().mfa_devices.len();
        let name = if count == 0 { "root-account-mfa-device".to_owned() } else { format!("root-device-{count}") };
        let serial_number = format!("arn:aws:iam::{}:mfa/{name}", self.account);
        let device = MfaDevice { serial_number: serial_number.clone(), enable_date: self.aws.clock.now() };
        let parameters = json!({"userName": "AWS ROOT USER", "serialNumber": serial_number});
        self.change(&Doing::in_iam("EnableMFADevice", parameters), &Value::Null, |root| {
            root.mfa_devices.push(device);
            Ok(())
        })?;
        Ok(serial_number)
    }

    /// A call that changes no root credentials, like `DescribeAlarms` of `monitoring` in eu-north-1.
    pub fn call(&mut self, service: &str, operation: &str, region: &str) -> Result<(), NotPossible> {
        let doing = Doing { service, operation, region, parameters: Value::Null };
        self.change(&doing, &Value::Null, |_| Ok(()))
    }

    fn root(&self) -> RootCredentials {
        let root =
            |account: &AccountId| self.aws.lock().organization.account(account).map(|account| account.root.clone());
        root(&self.account).unwrap_or_default()
    }

    /// The session, if its credentials are still good.
    fn session(&self) -> Result<Session, NotPossible> {
        let session = self.session.clone().ok_or(NotPossible::NotSignedIn)?;
        let is_active = |key: &AccessKey| key.status == CredentialStatus::Active && key.id == session.access_key_id();
        match &session {
            Session::AccessKey(id) if !self.root().access_keys.iter().any(is_active) => {
                Err(NotPossible::NoSuchAccessKey(id.clone()))
            }
            Session::AccessKey(_) | Session::Console(_) => Ok(session),
        }
    }

    fn needs_login_profile(&self) -> Result<(), NotPossible> {
        self.root().login_profile.map(|_| ()).ok_or(NotPossible::NoLoginProfile)
    }

    fn set_password(&self) -> Result<(), NotPossible> {
        self.needs_login_profile()?;
        let now = self.aws.clock.now();
        self.aws.lock().change_root_credentials(&self.account, now, |root| {
            root.login_profile = Some(LoginProfile { create_date: now });
            Ok(())
        })?;
        Ok(())
    }

    /// An event of `signin.amazonaws.com`, from its sample.
    fn log_sign_in(&self, sample: &str, name: &str, outcome: &str, mfa_device: Option<&str>) {
        let mut event: Value = serde_json::from_str(sample).unwrap_or_default();
        let Some(detail) = event.get_mut("detail") else {
            return;
        };
        identify_root(detail, self.account.as_str(), "");
        if let ("PasswordUpdated" | "EmailUpdated", Some(members)) = (name, detail.as_object_mut()) {
            members.remove("additionalEventData");
        }
        replace(detail, "eventName", name);
        replace(detail, "sourceIPAddress", self.source_ip_address.as_str());
        replace(detail, "userAgent", self.user_agent.as_str());
        replace(detail, "responseElements", json!({name: outcome}));
        if let (Some(device), Some(Value::Object(additional))) = (mfa_device, detail.get_mut("additionalEventData")) {
            // As in the example with MFA of
            // <https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-aws-console-sign-in-events.html>
            additional.insert("MFAUsed".to_owned(), json!("Yes"));
            additional.insert("MFAIdentifier".to_owned(), json!(device));
        }
        self.aws.lock().log(event, self.account.as_str(), &self.sign_in_region, self.aws.clock.now());
    }

    /// A call from the console's session, with what it changes and what AWS answers.
    fn change(
        &mut self,
        doing: &Doing,
        answer: &Value,
        change: impl FnOnce(&mut RootCredentials) -> Result<(), ApiError>,
    ) -> Result<(), NotPossible> {
        let session = self.session()?;
        let now = self.aws.clock.now();
        let mut world = self.aws.lock();
        if let Session::AccessKey(id) = &session {
            let last_used = LastUsed { date: now, service: doing.service.to_owned(), region: doing.region.to_owned() };
            world.change_root_credentials(&self.account, now, |root| {
                let key = root.access_keys.iter_mut().find(|key| key.id == *id);
                if let Some(key) = key {
                    key.last_used = Some(last_used);
                }
                Ok(())
            })?;
        }
        let outcome = world
            .authorize_root(&self.account, session.access_key_id(), doing, now)
            .and_then(|()| world.change_root_credentials(&self.account, now, change));

        let mut event: Value = serde_json::from_str(CALL).unwrap_or_default();
        replace(&mut event, "source", format!("aws.{}", doing.service));
        if let Some(detail) = event.get_mut("detail") {
            identify_root(detail, self.account.as_str(), session.access_key_id());
            replace_at(detail, "/userIdentity/sessionContext/attributes/creationDate", seconds(now));
            replace(detail, "eventSource", format!("{}.amazonaws.com", doing.service));
            replace(detail, "eventName", doing.operation);
            replace(detail, "sourceIPAddress", self.source_ip_address.as_str());
            replace(detail, "userAgent", self.user_agent.as_str());
            replace(detail, "requestParameters", doing.parameters.clone());
            replace(detail, "responseElements", if outcome.is_ok() { answer.clone() } else { Value::Null });
            replace(detail, "readOnly", is_read_only(doing.operation));
            if let Session::AccessKey(_) = session {
                // Long-term credentials have no session, and are not the console's.
                for (object, member) in [("/userIdentity", "sessionContext"), ("", "sessionCredentialFromConsole")] {
                    detail.pointer_mut(object).and_then(Value::as_object_mut).map(|object| object.remove(member));
                }
            }
            if let (Err(error), Some(detail)) = (&outcome, detail.as_object_mut()) {
                detail.insert("errorCode".to_owned(), json!(error.code));
                detail.insert("errorMessage".to_owned(), json!(error.message));
            }
        }
        world.log(event, self.account.as_str(), doing.region, now);
        world.see_root_use(&RootUse {
            account: self.account.clone(),
            access_key_id: session.access_key_id().to_owned(),
            of: UseOf::RootCredentials,
            api: doing.operation.to_owned(),
            service: format!("{}.amazonaws.com", doing.service),
            scope: if doing.service == "iam" { Scope::Global } else { Scope::Region(doing.region.to_owned()) },
            source_ip_address: self.source_ip_address.clone(),
            user_agent: self.user_agent.clone(),
            at: now,
        });
        Ok(outcome?)
    }
}

impl Session {
    fn access_key_id(&self) -> &str {
        match self {
            Self::Console(id) | Self::AccessKey(id) => id,
        }
    }
}

impl Doing<'_> {
    fn in_iam(operation: &'static str, parameters: Value) -> Self {
        Self { service: "iam", operation, region: "us-east-1", parameters }
    }
}

impl World {
    /// A root user may do what no service control policy denies.
    fn authorize_root(
        &self,
        account: &AccountId,
        access_key_id: &str,
        doing: &Doing,
        at: OffsetDateTime,
    ) -> Result<(), ApiError> {
        let arn = account.root_arn();
        let call = Call {
            caller: Caller {
                access_key_id: access_key_id.to_owned(),
                arn: arn.clone(),
                principal_arn: arn.clone(),
                account: account.clone(),
                authority: Authority::Identity(vec![PolicyDocument::full_access()]),
            },
            service: Service::Iam,
            operation: doing.operation.to_owned(),
            region: doing.region.to_owned(),
            host: String::new(),
            user_agent: String::new(),
            input: Value::Null,
            at,
            staleness: 0,
            is_partial: false,
            permissions: RefCell::default(),
        };
        let resource = if doing.service == "iam" { arn } else { "*".to_owned() };
        self.authorize(&call, &Permission::to(&format!("{}:{}", doing.service, doing.operation), resource))
    }
}

/// <https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateAccessKey.html>: `LimitExceeded`, 409.
fn room_for_one_more(count: usize, quota: &str) -> Result<(), ApiError> {
    if count < MOST_OF_A_KIND {
        return Ok(());
    }
    Err(ApiError::new("LimitExceeded", 409, format!("Cannot exceed quota for {quota}: {MOST_OF_A_KIND}")))
}

impl From<ApiError> for NotPossible {
    fn from(error: ApiError) -> Self {
        Self::Refused { code: error.code, message: error.message }
    }
}
