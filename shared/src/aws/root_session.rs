//! Root-task sessions: the one place that calls `AssumeRoot`.
//!
//! IAM's root calls carry no account argument: they act on the account of the session that signs them. So the session's
//! type is the only guard, and says for which account and for which task it was opened. Deleting in an audit session
//! does not compile:
//!
//! ```compile_fail,E0599
//! # use shared::{aws::root_session::{Audit, RootSession}, domain::plan::DeletionPlan};
//! async fn strip(session: RootSession<Audit>, plan: DeletionPlan) {
//!     session.strip(&plan, &mut Vec::new()).await;
//! }
//! ```
//!
//! while it does in a delete session:
//!
//! ```
//! # use shared::{aws::root_session::{Delete, RootSession}, domain::plan::DeletionPlan};
//! async fn strip(session: RootSession<Delete>, plan: DeletionPlan) {
//!     session.strip(&plan, &mut Vec::new()).await;
//! }
//! ```

use std::marker::PhantomData;

use aws_sdk_iam::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_sts::config::Region;
use aws_sdk_sts::types::PolicyDescriptorType;
use tracing::info;

use super::api_failure::{failed, unreadable};
use super::state::RememberedSession;
use super::{Aws, Patience};
use crate::domain::failure::{Cause, Failure};
use crate::domain::id::AccountId;
use crate::domain::record::OpenedSession;
use crate::domain::scope::CoveredAccount;
use crate::domain::task::TaskPolicy;

const ASSUME_ROOT: &str = "sts:AssumeRoot";

/// Where `AssumeRoot` is called if the member has STS switched off for our own Region: it cannot be switched off here
/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_enable-regions.html>).
const FALLBACK_REGION: &str = "us-east-1";

/// A task for which a root session can be opened. There is no other way to choose a task policy.
pub trait RootTask: sealed::Sealed {
    const POLICY: TaskPolicy;
    /// How long the session lives, in seconds, at most 900. Nothing revokes a session that is open
    /// (recorded as `root_get_user`), so it lives no longer than its task can take.
    const SECONDS: i32;
}

/// The task of reading what root credentials there are.
#[derive(Debug)]
pub struct Audit;

/// The task of deleting root credentials, and of reading what is left.
#[derive(Debug)]
pub struct Delete;

/// The task of letting the owner of the account set a root password by recovering it.
#[derive(Debug)]
pub struct CreatePassword;

/// The task of taking the policy of a bucket away.
#[derive(Debug)]
pub struct UnlockBucket;

/// The task of taking the policy of a queue away.
#[derive(Debug)]
pub struct UnlockQueue;

impl RootTask for Audit {
    const POLICY: TaskPolicy = TaskPolicy::IamAuditRootUserCredentials;
    const SECONDS: i32 = 120;
}

impl RootTask for Delete {
    const POLICY: TaskPolicy = TaskPolicy::IamDeleteRootUserCredentials;
    const SECONDS: i32 = 300;
}

impl RootTask for CreatePassword {
    const POLICY: TaskPolicy = TaskPolicy::IamCreateRootUserPassword;
    const SECONDS: i32 = 120;
}

impl RootTask for UnlockBucket {
    const POLICY: TaskPolicy = TaskPolicy::S3UnlockBucketPolicy;
    const SECONDS: i32 = 300;
}

impl RootTask for UnlockQueue {
    const POLICY: TaskPolicy = TaskPolicy::SqsUnlockQueuePolicy;
    const SECONDS: i32 = 300;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Audit {}
    impl Sealed for super::Delete {}
    impl Sealed for super::CreatePassword {}
    impl Sealed for super::UnlockBucket {}
    impl Sealed for super::UnlockQueue {}
}

/// A session of the root user of one member account, limited to one task.
///
/// INVARIANT (secrets stay inside): the credentials leave this type only to sign a request. It is not serialisable, and
/// its `Debug` shows the id of the access key alone.
pub struct RootSession<T: RootTask> {
    account: AccountId,
    opened: OpenedSession,
    credentials: SharedCredentialsProvider,
    pub(super) iam: aws_sdk_iam::Client,
    pub(super) s3: aws_sdk_s3::Client,
    pub(super) sqs: aws_sdk_sqs::Client,
    pub(super) patience: Patience,
    task: PhantomData<T>,
}

impl Aws {
    /// Opens a session in the account, in our own Region or, if the member has STS switched off there, in us-east-1.
    pub async fn open_root_session<T: RootTask>(&self, account: &CoveredAccount) -> Result<RootSession<T>, Failure> {
        let session = match self.assume_root(account, None).await {
            Err(failure) if failure.cause == Cause::RegionDisabled => {
                self.assume_root(account, Some(Region::from_static(FALLBACK_REGION))).await
            }
            session => session,
        }?;
        info!(
            account = %session.account,
            task = %T::POLICY,
            access_key_id = %session.opened.access_key_id,
            "opened a root session"
        );
        let remembered = RememberedSession {
            session: session.opened.clone(),
            account_id: session.account.clone(),
            function: self.function_name.clone(),
        };
        self.remember_opened(remembered).await?;
        Ok(session)
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that opens root sessions")]
    async fn assume_root<T: RootTask>(
        &self,
        account: &CoveredAccount,
        region: Option<Region>,
    ) -> Result<RootSession<T>, Failure> {
        let in_region =
            aws_sdk_sts::config::Builder::new().region(region.or_else(|| self.sts.config().region().cloned()));
        let answer = self
            .sts
            .assume_root()
            .target_principal(account.id().as_str())
            .task_policy_arn(PolicyDescriptorType::builder().arn(T::POLICY.arn()).build())
            .duration_seconds(T::SECONDS)
            .customize()
            .config_override(in_region)
            .send()
            .await
            .map_err(failed(ASSUME_ROOT))?;
        let credentials = answer.credentials.ok_or_else(|| unreadable(ASSUME_ROOT, "no credentials in the answer"))?;
        let access_key_id = credentials
            .access_key_id
            .parse()
            .map_err(|error| unreadable(ASSUME_ROOT, &format!("the access key id of the session: {error}")))?;
        let credentials = Credentials::builder()
            .access_key_id(credentials.access_key_id)
            .secret_access_key(credentials.secret_access_key)
            .session_token(credentials.session_token)
            .provider_name("AssumeRoot")
            .build();
        Ok(RootSession {
            account: account.id().clone(),
            opened: OpenedSession { access_key_id, task: T::POLICY, opened: self.now() },
            credentials: SharedCredentialsProvider::new(credentials),
            iam: self.iam.clone(),
            s3: self.s3.clone(),
            sqs: self.sqs.clone(),
            patience: self.patience,
            task: PhantomData,
        })
    }
}

impl<T: RootTask> RootSession<T> {
    /// Makes a call of the shared IAM client this session's: one client for all sessions keeps one connection pool.
    pub(super) fn sign(&self) -> aws_sdk_iam::config::Builder {
        aws_sdk_iam::config::Builder::new().credentials_provider(self.credentials.clone())
    }

    pub(super) fn credentials(&self) -> SharedCredentialsProvider {
        self.credentials.clone()
    }

    pub fn account(&self) -> &AccountId {
        &self.account
    }

    /// What CloudTrail and GuardDuty know this session by.
    pub fn opened(&self) -> &OpenedSession {
        &self.opened
    }
}

impl<T: RootTask> std::fmt::Debug for RootSession<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RootSession")
            .field("account", &self.account)
            .field("opened", &self.opened)
            .finish_non_exhaustive()
    }
}
