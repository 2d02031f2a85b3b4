//! Allowing password recovery: the one place that creates a root credential.

use super::api_failure::failed;
use super::audit::ReadsLoginProfile;
use super::root_session::{CreatePassword, RootSession};
use crate::domain::failure::{Cause, Failure};

impl ReadsLoginProfile for CreatePassword {}

impl RootSession<CreatePassword> {
    /// Creates the root user's login profile, without a password: whoever reads the mail of the account can then set one.
    /// One that is there already is as good.
    ///
    /// Returns what was read afterwards: whether there is a login profile
    /// (recorded as `root_summary_recovery_allowed`).
    #[expect(clippy::disallowed_methods, reason = "the one place that creates a login profile")]
    pub async fn allow_password_recovery(&self) -> Result<bool, Failure> {
        let call = self.iam.create_login_profile().customize();
        let answer = call.config_override(self.sign()).send().await;
        match answer.map(drop).map_err(failed("iam:CreateLoginProfile")) {
            Err(failure) if failure.cause != Cause::AlreadyPresent => return Err(failure),
            Ok(()) | Err(_) => {}
        }
        let mut waits = self.patience.waits();
        loop {
            if self.login_profile().await?.is_some() {
                return Ok(true);
            }
            match waits.next() {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Ok(false),
            }
        }
    }
}
