use std::collections::BTreeMap;

use super::*;

const OBSERVATIONS: &str = include_str!("../../../../tests/fixtures/observations.json");

fn answer(operation: &'static str, code: &str, status: u16, message: &str) -> Cause {
    Cause::of(&ApiFailure {
        operation,
        kind: ApiFailureKind::Answer { code: code.to_owned(), status },
        message: message.to_owned(),
        request_id: None,
    })
}

/// Every recorded error of AWS has a cause, and the right one.
#[test]
fn recorded_errors_are_classified() {
    let expected = BTreeMap::from([
        ("features_before_trust", Cause::TrustedAccessDisabled),
        ("features_ordinary_member", Cause::NotDelegatedAdministrator),
        ("features_no_iam_permission", Cause::DeniedByOwnRole),
        ("enable_credentials_by_delegate", Cause::NotDelegatedAdministrator),
        ("enable_sessions_by_delegate", Cause::NotDelegatedAdministrator),
        ("sessions_only_IAMAuditRootUserCredentials", Cause::RootCredentialsManagementDisabled),
        ("sessions_only_IAMDeleteRootUserCredentials", Cause::RootCredentialsManagementDisabled),
        ("sessions_only_IAMCreateRootUserPassword", Cause::RootCredentialsManagementDisabled),
        ("credentials_only_S3UnlockBucketPolicy", Cause::RootSessionsDisabled),
        ("credentials_only_SQSUnlockQueuePolicy", Cause::RootSessionsDisabled),
        ("assume_features_disabled", Cause::RootCredentialsManagementDisabled),
        ("assume_after_trust_removed_180s", Cause::TrustedAccessDisabled),
        ("assume_after_delegate_deregistered", Cause::AssumeRootNotAuthorized),
        ("assume_target_management_id", Cause::AssumeRootNotAuthorized),
        ("assume_target_management_root_arn", Cause::AssumeRootNotAuthorized),
        ("assume_caller_without_permission", Cause::AssumeRootNotAuthorized),
        ("assume_target_user_arn", Cause::RejectedRequest),
        ("assume_duration_over_limit", Cause::RejectedRequest),
        ("assume_duration_zero", Cause::AssumeRootNotAuthorized),
        ("assume_not_a_task_policy", Cause::RejectedRequest),
        ("assume_task_policy_missing_arn", Cause::RejectedRequest),
        ("assume_global_endpoint", Cause::RejectedRequest),
        ("root_get_login_profile_none", Cause::AlreadyAbsent),
        ("root_create_login_profile_again", Cause::AlreadyPresent),
        ("root_get_login_profile_after_delete", Cause::AlreadyAbsent),
        ("trust_disable_with_delegate", Cause::Unrecognized), // a call that Unroot never makes
        ("scp_denies_root", Cause::DeniedByMemberServiceControlPolicy),
    ]);
    let observations: serde_json::Value = serde_json::from_str(OBSERVATIONS).unwrap();
    let mut classified = BTreeMap::new();
    for row in observations["observations"].as_array().unwrap() {
        let text = |member: &str| row[member].as_str().unwrap().to_owned();
        if text("code") == "Success" {
            continue;
        }
        let status = row.get("http_status").map_or(400, |status| u16::try_from(status.as_u64().unwrap()).unwrap());
        let operation: &'static str = text("operation").leak();
        let cause = answer(operation, &text("code"), status, &text("message"));
        classified.insert(text("case"), cause);
    }
    let expected: BTreeMap<_, _> = expected.into_iter().map(|(case, cause)| (case.to_owned(), cause)).collect();
    assert_eq!(classified, expected);
}

/// Errors that AWS documents but nobody recorded.
#[test]
fn documented_errors_are_classified() {
    let role =
        "User: arn:aws:sts::222233334444:assumed-role/Role/session is not authorized to perform: iam:X on resource: *";
    let root = "User: arn:aws:iam::444455556666:root";
    for (operation, code, status, message, expected) in [
        ("sts:AssumeRoot", "RegionDisabledException", 403, "", Cause::RegionDisabled),
        ("sts:AssumeRoot", "Throttling", 400, "Rate exceeded", Cause::Throttled),
        ("organizations:ListAccounts", "TooManyRequestsException", 400, "", Cause::Throttled),
        ("iam:DeactivateMFADevice", "EntityTemporarilyUnmodifiable", 409, "", Cause::Conflict),
        ("iam:DeleteSigningCertificate", "ConcurrentModification", 409, "", Cause::Conflict),
        ("iam:DeleteAccessKey", "NoSuchEntity", 404, "", Cause::AlreadyAbsent),
        ("iam:DeleteAccessKey", "ServiceFailure", 500, "", Cause::Transient),
        ("iam:DeleteAccessKey", "ExpiredToken", 403, "", Cause::SessionExpired),
        ("organizations:DescribeAccount", "AccountNotFoundException", 400, "", Cause::AccountNotFound),
        (
            "organizations:ListAccounts",
            "AccessDeniedException",
            400,
            "You don't have permissions to access this resource.",
            Cause::NotDelegatedAdministrator,
        ),
        (
            "iam:X",
            "AccessDenied",
            403,
            &format!("{role} because no identity-based policy allows the iam:X action"),
            Cause::DeniedByOwnRole,
        ),
        (
            "iam:X",
            "AccessDenied",
            403,
            &format!("{role} with an explicit deny in a service control policy"),
            Cause::DeniedByOwnServiceControlPolicy,
        ),
        // The wording of github.com/aws-samples/service-control-policy-examples issue 6.
        (
            "iam:GetAccountSummary",
            "AccessDenied",
            403,
            &format!(
                "{root} Action: iam:GetAccountSummary Context: a service control policy explicitly denies the action"
            ),
            Cause::DeniedByMemberServiceControlPolicy,
        ),
        (
            "s3:DeleteBucketPolicy",
            "AccessDenied",
            403,
            &format!(
                "{root} is not authorized to perform: s3:DeleteBucketPolicy with an explicit deny in a resource control policy"
            ),
            Cause::DeniedByResourceControlPolicy,
        ),
        (
            "iam:DeleteUser",
            "AccessDenied",
            403,
            &format!("{root} is not authorized to perform: iam:DeleteUser with an explicit deny in a session policy"),
            Cause::DeniedByTaskPolicy,
        ),
        ("dynamodb:BatchGetItem", "ResourceNotFoundException", 400, "", Cause::ResourceNotFound),
        ("dynamodb:TransactWriteItems", "TransactionCanceledException", 400, "", Cause::Conflict),
        ("dynamodb:BatchGetItem", "ProvisionedThroughputExceededException", 400, "", Cause::Throttled),
        ("s3:PutObject", "NoSuchBucket", 404, "", Cause::ResourceNotFound),
        ("s3:PutObject", "SlowDown", 503, "", Cause::Throttled),
        ("iam:X", "AccessDenied", 403, "No.", Cause::Denied),
        ("iam:X", "SomethingNew", 400, "", Cause::Unrecognized),
        ("iam:X", "SomethingNew", 503, "", Cause::Transient),
    ] {
        assert_eq!(answer(operation, code, status, message), expected, "{operation} {code} {message}");
    }
}

#[test]
fn no_answer_and_an_unreadable_one_are_failures() {
    let failure = |kind| ApiFailure { operation: "iam:GetUser", kind, message: String::new(), request_id: None };
    assert_eq!(Cause::of(&failure(ApiFailureKind::NoAnswer)), Cause::Transient);
    assert_eq!(Cause::of(&failure(ApiFailureKind::UnreadableAnswer)), Cause::UnreadableAnswer);
}

/// A command in a remedy is one that the causes' own operations accept.
#[test]
fn a_remedy_for_the_organization_is_a_command() {
    for cause in [
        Cause::RootCredentialsManagementDisabled,
        Cause::RootSessionsDisabled,
        Cause::TrustedAccessDisabled,
        Cause::NotDelegatedAdministrator,
    ] {
        assert_eq!(cause.recovery(), Recovery::Person);
        assert!(cause.remedy().contains("in the management account: aws "), "{cause}");
    }
}
