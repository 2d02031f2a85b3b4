//! Why a call to AWS failed, decided once: the cause, what a person can do about it, and whether trying again can help.
//!
//! `Cause::of` looks only at the operation, the error code, the HTTP status and the message, and has a table test over
//! all recorded errors of AWS. Nothing else in Unroot interprets an error.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A call that failed, as the wire showed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiFailure {
    /// Service and operation, such as `sts:AssumeRoot`.
    pub operation: &'static str,
    pub kind: ApiFailureKind,
    pub message: String,
    pub request_id: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiFailureKind {
    /// AWS answered with an error.
    Answer { code: String, status: u16 },
    /// No answer in time, or no connection.
    NoAnswer,
    /// An answer that is not what the API promises.
    UnreadableAnswer,
    /// The call was never sent: it could not be built or signed.
    NotSent,
}

/// A failure with its cause: what a report shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{operation} failed: {cause}: {message}")]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    pub cause: Cause,
    pub operation: String,
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

/// Why AWS did not do what was asked, or what it showed could not be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Cause {
    /// The feature `RootCredentialsManagement` is off in the organization.
    RootCredentialsManagementDisabled,
    /// The feature `RootSessions` is off in the organization.
    RootSessionsDisabled,
    /// IAM is not a trusted service of the organization.
    TrustedAccessDisabled,
    /// The account that calls is not the delegated administrator for IAM.
    NotDelegatedAdministrator,
    /// The account that calls is in no organization.
    NotInAnOrganization,
    /// `AssumeRoot` was refused without a reason, as AWS does for four different causes.
    AssumeRootNotAuthorized,
    /// The function's own role does not allow the call.
    DeniedByOwnRole,
    /// A service control policy above the audit account denies the call.
    DeniedByOwnServiceControlPolicy,
    /// A service control policy above the member denies it to the member's root user.
    DeniedByMemberServiceControlPolicy,
    /// A resource control policy denies the call.
    DeniedByResourceControlPolicy,
    /// The task policy of the root session does not allow the call.
    DeniedByTaskPolicy,
    /// Access was denied with a text that is not known.
    Denied,
    /// The account is not known to the organization (yet).
    AccountNotFound,
    /// There is no such organizational unit in the organization.
    OrganizationalUnitNotFound,
    /// A table, bucket or object that the stack should have is not there.
    ResourceNotFound,
    /// The account has no such bucket.
    NoSuchBucket,
    /// The account has no such queue.
    NoSuchQueue,
    /// AWS takes the policy that was to be put in place for none.
    RejectedPolicy,
    /// The account is so new that AWS services are not ready in it.
    AccountNotReady,
    /// STS is switched off for the Region in the member account.
    RegionDisabled,
    /// The session's time is over.
    SessionExpired,
    /// AWS rejects the caller's credentials or signature.
    CredentialsRejected,
    Throttled,
    /// A server error, a timeout or a lost connection.
    Transient,
    /// Another change of the same entity is in progress.
    Conflict,
    /// What was to be deleted is not there.
    AlreadyAbsent,
    /// What was to be created is there.
    AlreadyPresent,
    /// AWS finds the request malformed.
    RejectedRequest,
    /// An answer without what the API promises.
    UnreadableAnswer,
    /// Two answers that cannot both be true, `GetAccountSummary` and the lists.
    ContradictoryAnswers,
    /// What was deleted is still shown when read again.
    StillPresent,
    /// The invocation ended before the account was done.
    OutOfTime,
    /// An error code that is not known.
    Unrecognized,
}

/// What can help after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// The same again, at once or soon.
    Retry,
    /// The same again, after minutes.
    Wait,
    /// The same again, but only once a person has changed something.
    Person,
}

impl Failure {
    /// A failure that no single call shows.
    pub fn observed(cause: Cause, operation: &str, message: impl Into<String>) -> Self {
        Self { cause, operation: operation.to_owned(), message: message.into(), request_id: None }
    }
}

impl From<ApiFailure> for Failure {
    fn from(failure: ApiFailure) -> Self {
        Self {
            cause: Cause::of(&failure),
            operation: failure.operation.to_owned(),
            message: failure.message,
            request_id: failure.request_id,
        }
    }
}

impl Cause {
    /// Classifies a failed call.
    pub fn of(failure: &ApiFailure) -> Self {
        match &failure.kind {
            ApiFailureKind::NoAnswer => Self::Transient,
            ApiFailureKind::UnreadableAnswer => Self::UnreadableAnswer,
            ApiFailureKind::NotSent => Self::RejectedRequest,
            ApiFailureKind::Answer { code, status } => {
                Self::of_answer(failure.operation, code, *status, &failure.message)
            }
        }
    }

    fn of_answer(operation: &str, code: &str, status: u16, message: &str) -> Self {
        match code {
            "AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation" => Self::of_denial(operation, message),
            "ServiceAccessNotEnabledException" => Self::TrustedAccessDisabled,
            "AccountNotManagementOrDelegatedAdministratorException" | "CallerIsNotManagementAccountException" => {
                Self::NotDelegatedAdministrator
            }
            "OrganizationNotFoundException" | "AWSOrganizationsNotInUseException" => Self::NotInAnOrganization,
            "AccountNotFoundException" => Self::AccountNotFound,
            "OrganizationalUnitNotFoundException" => Self::OrganizationalUnitNotFound,
            "NoSuchBucket" if operation.ends_with("BucketPolicy") => Self::NoSuchBucket,
            "QueueDoesNotExist" | "AWS.SimpleQueueService.NonExistentQueue"
                if operation.ends_with("QueueAttributes") =>
            {
                Self::NoSuchQueue
            }
            "MalformedPolicy" | "InvalidAttributeValue" | "InvalidPolicyDocument" => Self::RejectedPolicy,
            // A table or bucket of ours; an event bus that is missing is only said of single events.
            "ResourceNotFoundException" | "NoSuchBucket" | "NoSuchKey" => Self::ResourceNotFound,
            "OptInRequired" | "SubscriptionRequiredException" | "AccountNotRegisteredException" => {
                Self::AccountNotReady
            }
            "RegionDisabledException" | "RegionDisabled" => Self::RegionDisabled,
            "ExpiredToken" | "ExpiredTokenException" | "RequestExpired" => Self::SessionExpired,
            "InvalidClientTokenId"
            | "UnrecognizedClientException"
            | "SignatureDoesNotMatch"
            | "InvalidSignatureException"
            | "IncompleteSignature"
            | "MissingAuthenticationToken" => Self::CredentialsRejected,
            "Throttling"
            | "ThrottlingException"
            | "ThrottledException"
            | "TooManyRequestsException"
            | "RequestThrottled"
            | "RequestLimitExceeded"
            | "ProvisionedThroughputExceededException"
            | "SlowDown" => Self::Throttled,
            // `LimitExceeded` answers a delete that follows too many other changes.
            "EntityTemporarilyUnmodifiable"
            | "ConcurrentModification"
            | "ConcurrentModificationException"
            | "TransactionCanceledException"
            | "TransactionInProgressException"
            | "LimitExceeded" => Self::Conflict,
            "NoSuchEntity" | "NoSuchBucketPolicy" => Self::AlreadyAbsent,
            "EntityAlreadyExists" => Self::AlreadyPresent,
            "ConflictException" if operation == "scheduler:CreateSchedule" => Self::AlreadyPresent,
            "ValidationError"
            | "ValidationException"
            | "InvalidInput"
            | "InvalidInputException"
            | "InvalidAction"
            | "InvalidParameterValue" => Self::RejectedRequest,
            _ if status == 429 => Self::Throttled,
            _ if status >= 500 => Self::Transient,
            _ => Self::Unrecognized,
        }
    }

    /// AWS tells the reasons of a denial only in words. The words are recorded in the tests' fixtures
    /// `observations.json` and `answers/error-messages.json`; those about policies are IAM's ordinary wording
    /// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html>).
    fn of_denial(operation: &str, message: &str) -> Self {
        if message.starts_with("Root credentials management feature is not enabled") {
            Self::RootCredentialsManagementDisabled
        } else if message.starts_with("Root sessions feature is not enabled") {
            Self::RootSessionsDisabled
        } else if message.starts_with("Service not enabled for AWS Organizations") {
            Self::TrustedAccessDisabled
        } else if message.contains("service control policy") {
            if is_root_user(message) {
                Self::DeniedByMemberServiceControlPolicy
            } else {
                Self::DeniedByOwnServiceControlPolicy
            }
        } else if message.contains("resource control policy") {
            Self::DeniedByResourceControlPolicy
        } else if message.contains("session policy") || is_root_user(message) {
            Self::DeniedByTaskPolicy
        } else if message.contains("identity-based policy") || message.contains("permissions boundary") {
            Self::DeniedByOwnRole
        } else if operation == "sts:AssumeRoot" {
            Self::AssumeRootNotAuthorized
        } else if operation.starts_with("organizations:") {
            // `You don't have permissions to access this resource.`: said to a member that is no delegated administrator.
            Self::NotDelegatedAdministrator
        } else {
            Self::Denied
        }
    }

    /// What a person can do.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::RootCredentialsManagementDisabled => {
                "switch the feature on, in the management account: \
                 aws iam enable-organizations-root-credentials-management"
            }
            Self::RootSessionsDisabled => {
                "switch the feature on, in the management account: aws iam enable-organizations-root-sessions"
            }
            Self::TrustedAccessDisabled => {
                "switch trusted access on, in the management account: \
                 aws organizations enable-aws-service-access --service-principal iam.amazonaws.com"
            }
            Self::NotDelegatedAdministrator => {
                "register the audit account, in the management account: \
                 aws organizations register-delegated-administrator --service-principal iam.amazonaws.com \
                 --account-id AUDIT_ACCOUNT_ID"
            }
            Self::NotInAnOrganization => "deploy Unroot in a member account of the organization that it is to cover",
            Self::AssumeRootNotAuthorized => {
                "AWS gives no reason here; check in this order: the audit account is the delegated administrator for \
                 iam.amazonaws.com (a change takes minutes), no service control policy above the audit account denies \
                 sts:AssumeRoot, the function's role allows the task, the account is an active member and not minutes old"
            }
            Self::DeniedByOwnRole => {
                "the function's role lacks the permission: deploy the template of this version again"
            }
            Self::DeniedByOwnServiceControlPolicy => {
                "exempt the function's role from the service control policy above the audit account that denies this call"
            }
            Self::DeniedByMemberServiceControlPolicy => {
                "exempt root sessions from the service control policy above the account that denies its root user: add \
                 the condition \"Null\": {\"aws:AssumedRoot\": \"true\"} to the statement (in AWS Control Tower: \
                 enable AWS-GR_RESTRICT_ROOT_USER with ExemptAssumeRoot)"
            }
            Self::DeniedByResourceControlPolicy => {
                "exempt root sessions (aws:AssumedRoot) from the resource control policy above the account"
            }
            Self::DeniedByTaskPolicy => {
                "the task policy of AWS no longer allows this call, or the session was opened for another task: \
                 report it as a defect of Unroot"
            }
            Self::Denied => "look up the message in the AWS documentation and allow the call",
            Self::AccountNotFound => {
                "none if the account has left the organization; else wait, a new account takes minutes"
            }
            Self::OrganizationalUnitNotFound => "name an organizational unit of this organization",
            Self::ResourceNotFound => {
                "the stack's table, bucket or event bus is missing: deploy the template of this version again"
            }
            Self::NoSuchBucket => "name a bucket of this account: a bucket of another one is unlocked from there",
            Self::NoSuchQueue => "name a queue of this account that is there: the URL has its Region, account and name",
            Self::RejectedPolicy => "mend `policy`: AWS says what it does not take",
            Self::AccountNotReady => "wait: AWS still sets the account up",
            Self::RegionDisabled => {
                "activate STS for the Region in the member account: IAM console, Account settings, Security Token Service"
            }
            Self::SessionExpired => "none: the next run opens a new session",
            Self::CredentialsRejected => {
                "none if it happens once; else check that the function's role exists and the clock is right"
            }
            Self::Throttled => "none: the next run tries again; lower the parameter `Concurrency` if it persists",
            Self::Transient => "none: the next run tries again; see the AWS Health Dashboard if it persists",
            Self::Conflict => "none: the next run tries again, AWS asks to wait several minutes",
            Self::AlreadyAbsent | Self::AlreadyPresent => "none: the account is read again",
            Self::RejectedRequest => "report it as a defect of Unroot, with the message",
            Self::UnreadableAnswer => "report it as a defect of Unroot if it persists: AWS may have changed the API",
            Self::ContradictoryAnswers => {
                "none if it happens once, AWS shows changes with delay; if it persists look at the account's root user \
                 in the IAM console, Root access management"
            }
            Self::StillPresent => {
                "none if it happens once, the next run tries again; if it persists look whether something creates the \
                 credentials anew"
            }
            Self::OutOfTime => "none: the next run tries again; look at the log of the function if it persists",
            Self::Unrecognized => "look up the code and the message in the AWS documentation",
        }
    }

    pub fn recovery(self) -> Recovery {
        match self {
            Self::SessionExpired
            | Self::CredentialsRejected
            | Self::Throttled
            | Self::Transient
            | Self::AlreadyAbsent
            | Self::AlreadyPresent
            | Self::ContradictoryAnswers
            | Self::UnreadableAnswer
            | Self::StillPresent => Recovery::Retry,
            // AWS takes minutes to spread an authorization, and flaps meanwhile
            // (recorded as `assume_after_delegate_deregistered`).
            Self::AssumeRootNotAuthorized
            | Self::AccountNotFound
            | Self::AccountNotReady
            | Self::Conflict
            | Self::OutOfTime => Recovery::Wait,
            Self::RootCredentialsManagementDisabled
            | Self::RootSessionsDisabled
            | Self::TrustedAccessDisabled
            | Self::NotDelegatedAdministrator
            | Self::NotInAnOrganization
            | Self::DeniedByOwnRole
            | Self::DeniedByOwnServiceControlPolicy
            | Self::DeniedByMemberServiceControlPolicy
            | Self::DeniedByResourceControlPolicy
            | Self::DeniedByTaskPolicy
            | Self::Denied
            | Self::OrganizationalUnitNotFound
            | Self::ResourceNotFound
            | Self::NoSuchBucket
            | Self::NoSuchQueue
            | Self::RejectedPolicy
            | Self::RegionDisabled
            | Self::RejectedRequest
            | Self::Unrecognized => Recovery::Person,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The name of the variant is the stable code of the cause, in reports, logs and errors.
        fmt::Debug::fmt(self, f)
    }
}

/// Whether the principal that a denial names is a root user: `User: arn:aws:iam::123456789012:root ...`.
fn is_root_user(message: &str) -> bool {
    message
        .strip_prefix("User: ")
        .and_then(|rest| rest.split_whitespace().next())
        .is_some_and(|principal| principal.ends_with(":root"))
}

#[cfg(test)]
mod tests;
