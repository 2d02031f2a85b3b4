//! Deleting root credentials as planned, and reading what is left: the one place with destructive calls.

use aws_runtime::retries::classifiers::AwsErrorCodeClassifier;
use aws_sdk_iam::operation::deactivate_mfa_device::DeactivateMFADeviceError;
use aws_sdk_iam::operation::delete_access_key::DeleteAccessKeyError;
use aws_sdk_iam::operation::delete_login_profile::DeleteLoginProfileError;
use aws_sdk_iam::operation::delete_signing_certificate::DeleteSigningCertificateError;
use tracing::{info, warn};

use super::api_failure::failed;
use super::root_session::{Delete, RootSession};
use crate::domain::credentials::RootCredentials;
use crate::domain::failure::{Cause, Failure};
use crate::domain::plan::{DeletionPlan, DeletionStep, HeldBack};

/// What was read after the deletions.
#[derive(Debug)]
pub struct Stripping {
    /// MFA devices of the plan that were left because something that they protect is still there.
    pub held_back: Vec<HeldBack>,
    /// The first deletion that AWS did not do.
    pub failure: Option<Failure>,
    /// What the account has now, as the lists show it: the proof, or why there is none.
    pub left: Result<RootCredentials, Failure>,
}

impl RootSession<Delete> {
    /// Applies the plan, then reads the account again until nothing that was deleted is shown, or patience ends.
    ///
    /// What is sent is in `attempted` before it is sent, in order and whatever AWS answers: who is given up half-way has
    /// still said what he did.
    ///
    /// INVARIANT (mfa last): the MFA devices are deactivated only after a reading that shows no password, no access key
    /// and no signing certificate.
    pub async fn strip(&self, plan: &DeletionPlan, attempted: &mut Vec<DeletionStep>) -> Stripping {
        let mut failure = None;
        for step in plan.sign_in() {
            self.attempt(step.clone(), attempted, &mut failure).await;
        }
        let mut left = self.read_without(attempted).await;
        let mut held_back = Vec::new();
        match &left {
            Ok(credentials) if !credentials.can_sign_in() => {
                if !plan.mfa_devices().is_empty() {
                    for serial_number in plan.mfa_devices() {
                        let step = DeletionStep::DeactivateMfaDevice(serial_number.clone());
                        self.attempt(step, attempted, &mut failure).await;
                    }
                    left = self.read_without(attempted).await;
                }
            }
            Ok(_) | Err(_) => held_back.extend(plan.mfa_devices().iter().cloned().map(HeldBack::protecting)),
        }
        Stripping { held_back, failure, left }
    }

    async fn attempt(&self, step: DeletionStep, attempted: &mut Vec<DeletionStep>, failure: &mut Option<Failure>) {
        attempted.push(step.clone());
        match self.delete(&step).await {
            Ok(()) => info!(account = %self.account(), %step, "deleted"),
            // Somebody was faster, or an earlier try did it and its answer was lost: the reading will tell.
            Err(absent) if absent.cause == Cause::AlreadyAbsent => {
                info!(account = %self.account(), %step, "already absent");
            }
            Err(error) => {
                warn!(account = %self.account(), %step, %error, "could not delete");
                failure.get_or_insert(error);
            }
        }
    }

    /// Never `DeleteVirtualMFADevice`: the task policy refuses it whatever it seems to say, since its resource is not
    /// the root user, and deactivating is enough.
    #[expect(clippy::disallowed_methods, reason = "the one place that deletes")]
    async fn delete(&self, step: &DeletionStep) -> Result<(), Failure> {
        match step {
            DeletionStep::DeleteLoginProfile => {
                let call = self.iam.delete_login_profile().customize();
                let answer = call.config_override(self.sign()).send().await;
                answer.map(drop).map_err(failed("iam:DeleteLoginProfile"))
            }
            DeletionStep::DeleteAccessKey(id) => {
                let call = self.iam.delete_access_key().access_key_id(id.as_str()).customize();
                let answer = call.config_override(self.sign()).send().await;
                answer.map(drop).map_err(failed("iam:DeleteAccessKey"))
            }
            DeletionStep::DeleteSigningCertificate(id) => {
                let call = self.iam.delete_signing_certificate().certificate_id(id.as_str()).customize();
                let answer = call.config_override(self.sign()).send().await;
                answer.map(drop).map_err(failed("iam:DeleteSigningCertificate"))
            }
            DeletionStep::DeactivateMfaDevice(serial_number) => {
                let call = self.iam.deactivate_mfa_device().serial_number(serial_number.as_str()).customize();
                let answer = call.config_override(self.sign()).send().await;
                answer.map(drop).map_err(failed("iam:DeactivateMFADevice"))
            }
        }
    }

    /// Reads the account, again and again while it still shows something that a deletion was sent for.
    async fn read_without(&self, deleted: &[DeletionStep]) -> Result<RootCredentials, Failure> {
        let mut waits = self.patience.waits();
        loop {
            let credentials = self.read_root_credentials().await?;
            if !deleted.iter().any(|step| credentials.has(step)) {
                return Ok(credentials);
            }
            match waits.next() {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Ok(credentials),
            }
        }
    }
}

/// Has the SDK try a deletion again that met another change of the same entity: by itself it does not.
pub(super) fn with_conflicts_retried(config: aws_sdk_iam::config::Builder) -> aws_sdk_iam::config::Builder {
    fn conflicts<E>() -> AwsErrorCodeClassifier<E> {
        const CODES: &[&str] = &["EntityTemporarilyUnmodifiable", "ConcurrentModification"];
        AwsErrorCodeClassifier::builder().transient_errors(CODES).build()
    }
    config
        .retry_classifier(conflicts::<DeleteLoginProfileError>())
        .retry_classifier(conflicts::<DeleteAccessKeyError>())
        .retry_classifier(conflicts::<DeleteSigningCertificateError>())
        .retry_classifier(conflicts::<DeactivateMFADeviceError>())
}
