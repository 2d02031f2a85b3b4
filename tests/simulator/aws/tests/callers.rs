//! Who callers are, and what their policies let them do.

use super::*;
use crate::policy::PolicyDocument;

/// A valid input for each operation that needs one.
fn input_for(operation: &str) -> Value {
    match operation {
        "AssumeRoot" => json!({
            "TargetPrincipal": SHOP,
            "TaskPolicyArn.arn": format!("{TASKS}IAMAuditRootUserCredentials"),
        }),
        "GetAccessKeyLastUsed" | "DeleteAccessKey" => json!({"AccessKeyId": "AKIASHOP00001EXAMPLE"}),
        "DeleteSigningCertificate" => json!({"CertificateId": "SHOPCERTIFICATE0000000EXAMPLE"}),
        "DeactivateMFADevice" => json!({"SerialNumber": "GAHT12345678"}),
        "ListAccountsForParent" | "ListOrganizationalUnitsForParent" => json!({"ParentId": "r-a1b2"}),
        "DescribeAccount" => json!({"AccountId": SHOP}),
        "ListParents" => json!({"ChildId": SHOP}),
        "DescribeOrganizationalUnit" => json!({"OrganizationalUnitId": "ou-a1b2-legacy01"}),
        "DescribeCreateAccountStatus" => json!({"CreateAccountRequestId": "car-1"}),
        "EnableAWSServiceAccess" | "DisableAWSServiceAccess" => json!({"ServicePrincipal": "iam.amazonaws.com"}),
        "RegisterDelegatedAdministrator" | "DeregisterDelegatedAdministrator" => {
            json!({"ServicePrincipal": "iam.amazonaws.com", "AccountId": SHOP})
        }
        "CreateAccount" => json!({"Email": "new@example.com", "AccountName": "new"}),
        _ => json!({}),
    }
}

#[tokio::test]
async fn no_operation_acts_for_a_caller_without_permission() {
    let aws = aws();
    let nobody = principal(&aws, &json!({"Effect": "Deny", "Action": "s3:*", "Resource": "*"}));
    let before = aws.organization();
    for service in [Service::Sts, Service::Iam, Service::Organizations] {
        for operation in service.operations().iter().filter(|operation| operation.name != "GetCallerIdentity") {
            let action = format!("{}:{}", service.name(), operation.name);
            let reply = call(&aws, &nobody, &action, input_for(operation.name)).await;
            assert!(reply.code.starts_with("AccessDenied"), "{action}: {} {}", reply.code, reply.body);
        }
    }
    let reply = call(&aws, &nobody, "sqs:SendMessage", json!({"QueueUrl": "http://localhost/q"})).await;
    assert_eq!(reply.code, "AccessDenied");
    assert_eq!(aws.organization(), before);
}

#[tokio::test]
async fn callers_are_who_their_keys_say() {
    let aws = aws();
    let session = root_session(&aws, SHOP, "IAMAuditRootUserCredentials").await;
    let unknown = Credentials::long_term("AKIANOBODYEXAMPLE".to_owned());
    let without_token = Credentials { session_token: None, ..session.clone() };
    let with_token = Credentials { session_token: session.session_token.clone(), ..auditor(&aws) };
    let wrong_secret = Credentials { secret_access_key: "x".to_owned(), ..auditor(&aws) };
    for (credentials, of_sts, of_organizations) in [
        (&unknown, "InvalidClientTokenId", "UnrecognizedClientException"),
        (&without_token, "InvalidClientTokenId", "UnrecognizedClientException"),
        (&with_token, "InvalidClientTokenId", "UnrecognizedClientException"),
        (&wrong_secret, "SignatureDoesNotMatch", "InvalidSignatureException"),
    ] {
        assert_eq!(call(&aws, credentials, "sts:GetCallerIdentity", json!({})).await.code, of_sts);
        assert_eq!(call(&aws, credentials, "organizations:ListAccounts", json!({})).await.code, of_organizations);
    }
    let identity = call(&aws, &session, "sts:GetCallerIdentity", json!({})).await;
    assert_eq!(identity.text("Arn"), format!("arn:aws:iam::{SHOP}:root"));
    aws.clock().advance(Duration::from_secs(901));
    assert_eq!(call(&aws, &session, "sts:GetCallerIdentity", json!({})).await.code, "ExpiredToken");
    assert_eq!(call(&aws, &session, "organizations:ListAccounts", json!({})).await.code, "ExpiredTokenException");
    let unsigned = hyper::Request::post("/").body("Action=GetUser".into()).unwrap();
    assert_eq!(react(&aws, unsigned).await.code, "MissingAuthenticationToken");
}

#[tokio::test]
async fn what_is_unknown_is_named() {
    let aws = aws();
    let auditor = auditor(&aws);
    for (action, input, code, named) in [
        ("iam:ListUsers", json!({}), "InvalidAction", "ListUsers"),
        ("sts:AssumeRole", json!({}), "InvalidAction", "AssumeRole"),
        ("organizations:ListPolicies", json!({}), "UnknownOperationException", "ListPolicies"),
        ("organizations:ListAccounts", json!({"MaxResult": 5}), "ValidationException", "MaxResult"),
        ("organizations:DescribeAccount", json!({"AccountId": 5}), "ValidationException", "DescribeAccount"),
        ("iam:GetUser", json!({"User": "x"}), "ValidationError", "User"),
        ("iam:DeleteAccessKey", json!({}), "ValidationError", "AccessKeyId"),
        ("iam:ListAccessKeys", json!({}), "NotSimulated", "user/administrator"),
    ] {
        let reply = call(&aws, &auditor, action, input).await;
        assert_eq!(reply.code, code, "{action}: {}", reply.body);
        assert!(reply.body.contains(named), "{action}: {}", reply.body);
    }
}

#[tokio::test]
async fn a_role_opens_only_the_tasks_that_its_policy_names() {
    let aws = aws();
    let policy = json!({"Statement": {
        "Effect": "Allow",
        "Action": "sts:AssumeRoot",
        "Resource": "arn:aws:iam::*:root",
        "Condition": {"StringEquals": {"sts:TaskPolicyArn": format!("{TASKS}IAMAuditRootUserCredentials")}},
    }});
    let role = format!("arn:aws:iam::{AUDIT}:role/unroot/auditor");
    let role = Role::new(&role, vec![serde_json::from_value(policy).unwrap()]).unwrap();
    let role = aws.role_session(role, "run");
    assert_eq!(assume_root(&aws, &role, SHOP, "IAMAuditRootUserCredentials").await.code, "Success");
    let denied = assume_root(&aws, &role, SHOP, "IAMDeleteRootUserCredentials").await;
    let caller = format!("arn:aws:sts::{AUDIT}:assumed-role/auditor/run");
    assert_eq!(
        denied.text("Message"),
        format!("User: {caller} is not authorized to perform: sts:AssumeRoot on resource: arn:aws:iam::{SHOP}:root")
    );
}

#[tokio::test]
async fn the_log_says_what_a_call_was_authorized_on() {
    let aws = aws();
    let auditor = auditor(&aws);
    let session = root_session(&aws, SHOP, "IAMAuditRootUserCredentials").await;
    aws.inject(Fault::at("iam:*", FaultKind::Error500).times(1));
    call(&aws, &session, "iam:ListAccessKeys", json!({})).await;
    call(&aws, &session, "iam:ListAccessKeys", json!({})).await;
    call(&aws, &auditor, "organizations:ListAccounts", json!({})).await;
    call(&aws, &auditor, "sqs:SendMessage", json!({"QueueUrl": "http://localhost/q"})).await;
    let nobody = principal(&aws, &json!([]));
    call(&aws, &nobody, "organizations:DescribeAccount", json!({"AccountId": SHOP})).await;
    let permissions: Vec<_> = aws.calls().into_iter().map(|call| call.permissions).collect();
    let shop = format!("arn:aws:iam::{SHOP}:root");
    let described = format!("arn:aws:organizations::{MANAGEMENT}:account/o-aa111bb222/{SHOP}");
    let of_a_queue = format!("arn:aws:sqs:us-east-1:{AUDIT}:*");
    let asked = |action: &str, resource: &str| vec![(action.to_owned(), resource.to_owned())];
    let expected = [
        asked("sts:AssumeRoot", &shop),
        Vec::new(),
        asked("iam:ListAccessKeys", &shop),
        asked("organizations:ListAccounts", "*"),
        asked("sqs:SendMessage", &of_a_queue),
        asked("organizations:DescribeAccount", &described),
    ];
    assert_eq!(permissions, expected);
}

#[test]
fn a_role_needs_the_arn_of_one() {
    assert!(Role::new("arn:aws:iam::111122223333:role/x", vec![PolicyDocument::full_access()]).is_ok());
    for wrong in ["x", "arn:aws:iam::1:role/x", "arn:aws:iam::111122223333:user/x"] {
        assert!(Role::new(wrong, Vec::new()).is_err(), "{wrong}");
    }
}
