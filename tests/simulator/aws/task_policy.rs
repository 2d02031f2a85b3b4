//! The five root task policies, evaluated from the documents as AWS publishes them.
//!
//! They are ceilings made of denials on the root user's implicit full rights; none of them allows anything.

use std::sync::LazyLock;

use crate::organization::Feature;
use crate::policy::PolicyDocument;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TaskPolicy {
    AuditRootUserCredentials,
    CreateRootUserPassword,
    DeleteRootUserCredentials,
    S3UnlockBucketPolicy,
    SqsUnlockQueuePolicy,
}

impl TaskPolicy {
    const ALL: [Self; 5] = [
        Self::AuditRootUserCredentials,
        Self::CreateRootUserPassword,
        Self::DeleteRootUserCredentials,
        Self::S3UnlockBucketPolicy,
        Self::SqsUnlockQueuePolicy,
    ];

    pub(crate) fn from_arn(arn: &str) -> Option<Self> {
        let name = arn.strip_prefix("arn:aws:iam::aws:policy/root-task/")?;
        Self::ALL.into_iter().find(|task| task.name() == name)
    }

    fn name(self) -> &'static str {
        match self {
            Self::AuditRootUserCredentials => "IAMAuditRootUserCredentials",
            Self::CreateRootUserPassword => "IAMCreateRootUserPassword",
            Self::DeleteRootUserCredentials => "IAMDeleteRootUserCredentials",
            Self::S3UnlockBucketPolicy => "S3UnlockBucketPolicy",
            Self::SqsUnlockQueuePolicy => "SQSUnlockQueuePolicy",
        }
    }

    /// The feature that must be enabled, after the recorded matrix (`credentials_only_…`, `sessions_only_…`). The user
    /// guide says otherwise for `IAMCreateRootUserPassword`.
    pub(crate) fn feature(self) -> Feature {
        match self {
            Self::AuditRootUserCredentials | Self::CreateRootUserPassword | Self::DeleteRootUserCredentials => {
                Feature::RootCredentialsManagement
            }
            Self::S3UnlockBucketPolicy | Self::SqsUnlockQueuePolicy => Feature::RootSessions,
        }
    }

    pub(crate) fn document(self) -> &'static PolicyDocument {
        static DOCUMENTS: LazyLock<[PolicyDocument; 5]> = LazyLock::new(|| TaskPolicy::ALL.map(TaskPolicy::parse));
        let [audit, create, delete, s3, sqs] = &*DOCUMENTS;
        match self {
            Self::AuditRootUserCredentials => audit,
            Self::CreateRootUserPassword => create,
            Self::DeleteRootUserCredentials => delete,
            Self::S3UnlockBucketPolicy => s3,
            Self::SqsUnlockQueuePolicy => sqs,
        }
    }

    #[expect(clippy::expect_used, reason = "the documents are in the source, and a test parses all five")]
    fn parse(self) -> PolicyDocument {
        let text = match self {
            Self::AuditRootUserCredentials => {
                include_str!("../../fixtures/task-policies/IAMAuditRootUserCredentials.json")
            }
            Self::CreateRootUserPassword => include_str!("../../fixtures/task-policies/IAMCreateRootUserPassword.json"),
            Self::DeleteRootUserCredentials => {
                include_str!("../../fixtures/task-policies/IAMDeleteRootUserCredentials.json")
            }
            Self::S3UnlockBucketPolicy => include_str!("../../fixtures/task-policies/S3UnlockBucketPolicy.json"),
            Self::SqsUnlockQueuePolicy => include_str!("../../fixtures/task-policies/SQSUnlockQueuePolicy.json"),
        };
        serde_json::from_str(text).expect("a task policy of the fixtures is a policy document")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Context, Decision, Request};

    fn denies(task: TaskPolicy, action: &str, resource: &str) -> bool {
        let context = Context::default()
            .with("aws:PrincipalArn", "arn:aws:iam::444455556666:root")
            .with("aws:PrincipalAccount", "444455556666")
            .with("aws:ResourceAccount", "444455556666");
        task.document().decide(&Request { action, resource, context: &context }) == Decision::ExplicitDeny
    }

    #[test]
    fn each_task_leaves_its_own_calls_on_the_root_user() {
        const ROOT: &str = "arn:aws:iam::444455556666:root";
        assert!(!denies(TaskPolicy::AuditRootUserCredentials, "iam:GetAccountSummary", "*"));
        assert!(denies(TaskPolicy::DeleteRootUserCredentials, "iam:GetAccountSummary", "*"));
        assert!(!denies(TaskPolicy::DeleteRootUserCredentials, "iam:DeactivateMFADevice", ROOT));
        assert!(denies(TaskPolicy::AuditRootUserCredentials, "iam:DeleteAccessKey", ROOT));
        assert!(denies(TaskPolicy::AuditRootUserCredentials, "iam:ListAccessKeys", "arn:aws:iam::444455556666:user/a"));
        assert!(!denies(TaskPolicy::CreateRootUserPassword, "iam:CreateLoginProfile", ROOT));
        assert!(denies(TaskPolicy::CreateRootUserPassword, "iam:DeleteLoginProfile", ROOT));
        assert!(!denies(TaskPolicy::S3UnlockBucketPolicy, "s3:DeleteBucketPolicy", "arn:aws:s3:::b"));
        assert!(denies(TaskPolicy::S3UnlockBucketPolicy, "s3:GetBucketLocation", "arn:aws:s3:::b"));
        assert!(!denies(TaskPolicy::SqsUnlockQueuePolicy, "sqs:GetQueueAttributes", "arn:aws:sqs:eu-west-1:4:q"));
        assert!(denies(TaskPolicy::SqsUnlockQueuePolicy, "sqs:PurgeQueue", "arn:aws:sqs:eu-west-1:4:q"));
    }
}
