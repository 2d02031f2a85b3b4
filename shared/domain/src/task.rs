//! The five tasks to which AWS limits a root session, and the organization features that allow them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The task policy of a root session. AWS has these five and no other
/// (<https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoot.html>).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TaskPolicy {
    #[serde(rename = "IAMAuditRootUserCredentials")]
    IamAuditRootUserCredentials,
    #[serde(rename = "IAMCreateRootUserPassword")]
    IamCreateRootUserPassword,
    #[serde(rename = "IAMDeleteRootUserCredentials")]
    IamDeleteRootUserCredentials,
    #[serde(rename = "S3UnlockBucketPolicy")]
    S3UnlockBucketPolicy,
    #[serde(rename = "SQSUnlockQueuePolicy")]
    SqsUnlockQueuePolicy,
}

/// A feature of centralized root access, switched on for the whole organization in its management account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OrganizationFeature {
    RootCredentialsManagement,
    RootSessions,
}

impl TaskPolicy {
    pub const ALL: [Self; 5] = [
        Self::IamAuditRootUserCredentials,
        Self::IamCreateRootUserPassword,
        Self::IamDeleteRootUserCredentials,
        Self::S3UnlockBucketPolicy,
        Self::SqsUnlockQueuePolicy,
    ];

    /// AWS's own name of the policy, the last part of its ARN.
    pub fn name(self) -> &'static str {
        match self {
            Self::IamAuditRootUserCredentials => "IAMAuditRootUserCredentials",
            Self::IamCreateRootUserPassword => "IAMCreateRootUserPassword",
            Self::IamDeleteRootUserCredentials => "IAMDeleteRootUserCredentials",
            Self::S3UnlockBucketPolicy => "S3UnlockBucketPolicy",
            Self::SqsUnlockQueuePolicy => "SQSUnlockQueuePolicy",
        }
    }

    pub fn arn(self) -> String {
        format!("arn:aws:iam::aws:policy/root-task/{}", self.name())
    }

    /// The feature without which AWS refuses the task. Password recovery needs `RootCredentialsManagement`, whatever
    /// the user guide says: recorded as `sessions_only_IAMCreateRootUserPassword`.
    pub fn feature(self) -> OrganizationFeature {
        match self {
            Self::IamAuditRootUserCredentials
            | Self::IamCreateRootUserPassword
            | Self::IamDeleteRootUserCredentials => OrganizationFeature::RootCredentialsManagement,
            Self::S3UnlockBucketPolicy | Self::SqsUnlockQueuePolicy => OrganizationFeature::RootSessions,
        }
    }
}

impl fmt::Display for TaskPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
