//! Opening root sessions, and what can be done in one.

use super::*;

#[tokio::test]
async fn root_sessions_open_only_where_aws_lets_them() {
    let aws = aws();
    let auditor = auditor(&aws);
    let task = "IAMAuditRootUserCredentials";
    for target in [MANAGEMENT, SUSPENDED, NOT_READY, "000000000000"] {
        assert_eq!(assume_root(&aws, &auditor, target, task).await.code, "AccessDenied", "{target}");
    }
    for caller in [SHOP, "000000000000"] {
        let caller = aws.administrator(&account(caller));
        assert_eq!(assume_root(&aws, &caller, SHOP, task).await.code, "AccessDenied");
    }
    let session = root_session(&aws, SHOP, task).await;
    assert_eq!(assume_root(&aws, &session, SHOP, task).await.code, "AccessDenied", "a root session opens no other");
    let input = json!({"TargetPrincipal": STS_OFF_IN_FRANKFURT, "TaskPolicyArn.arn": format!("{TASKS}{task}")});
    let in_region = |region| call_in(&aws, region, &auditor, "sts:AssumeRoot", &input);
    assert_eq!(in_region("eu-central-1").await.code, "RegionDisabledException");
    assert_eq!(in_region("eu-west-1").await.code, "Success");
}

#[tokio::test]
async fn an_account_that_is_being_set_up_is_ready_later() {
    let aws = aws();
    let id = aws.create_account(NewAccount {
        name: "new".to_owned(),
        ready_after: Duration::from_mins(10),
        ..NewAccount::default()
    });
    let auditor = auditor(&aws);
    let open = || assume_root(&aws, &auditor, id.as_str(), "IAMAuditRootUserCredentials");
    assert_eq!(open().await.code, "AccessDenied");
    aws.clock().advance(Duration::from_secs(601));
    assert_eq!(open().await.code, "Success");
}

#[tokio::test]
async fn service_control_policies_bind_root_sessions_unless_they_exempt_them() {
    let aws = aws();
    let exempted = root_session(&aws, SHOP, "IAMAuditRootUserCredentials").await;
    assert_eq!(call(&aws, &exempted, "iam:GetAccountSummary", json!({})).await.code, "Success");
    let bound = root_session(&aws, UNDER_SCP, "IAMAuditRootUserCredentials").await;
    let reply = call(&aws, &bound, "iam:GetAccountSummary", json!({})).await;
    assert!(reply.text("Message").ends_with("with an explicit deny in a service control policy"), "{}", reply.body);
}

#[tokio::test]
async fn region_conditions_see_global_services_in_their_own_region() {
    let aws = aws();
    let only_frankfurt = principal(
        &aws,
        &json!([
            {"Effect": "Allow", "Action": "*", "Resource": "*"},
            {
                "Effect": "Deny",
                "Action": "*",
                "Resource": "*",
                "Condition": {"StringNotEquals": {"aws:RequestedRegion": "eu-central-1"}},
            },
        ]),
    );
    let input = json!({"TargetPrincipal": SHOP, "TaskPolicyArn.arn": format!("{TASKS}IAMAuditRootUserCredentials")});
    let regional = call_in(&aws, "eu-central-1", &only_frankfurt, "sts:AssumeRoot", &input).await;
    assert_eq!(regional.code, "Success");
    let global = call_in(&aws, "eu-central-1", &only_frankfurt, "iam:ListOrganizationsFeatures", &json!({})).await;
    assert_eq!(global.code, "AccessDenied");
}

#[tokio::test]
async fn each_level_of_service_control_policies_must_allow() {
    let aws = aws();
    let session = root_session(&aws, SHOP, "IAMAuditRootUserCredentials").await;
    let root_policies = |policies: Vec<String>| {
        aws.with_organization(|organization| {
            let root = organization.units.get_mut(&organization.root).unwrap();
            root.service_control_policies = policies;
        });
    };
    root_policies(Vec::new());
    let reply = call(&aws, &session, "iam:GetAccountSummary", json!({})).await;
    assert!(reply.text("Message").contains("because no service control policy allows"), "{}", reply.body);
    let management = aws.administrator(&account(MANAGEMENT));
    let reply = call(&aws, &management, "organizations:ListAccounts", json!({})).await;
    assert_eq!(reply.code, "Success", "the management account is not bound");
    root_policies(vec!["FullAWSAccess".to_owned()]);
    assert_eq!(call(&aws, &session, "iam:GetAccountSummary", json!({})).await.code, "Success");
}

#[tokio::test]
async fn a_stripped_account_is_clean() {
    let aws = aws();
    let delete = root_session(&aws, SHOP, "IAMDeleteRootUserCredentials").await;
    let steps = [
        ("iam:DeleteLoginProfile", json!({})),
        ("iam:DeleteAccessKey", json!({"AccessKeyId": "AKIASHOP00001EXAMPLE"})),
        ("iam:DeleteAccessKey", json!({"AccessKeyId": "AKIASHOP00002EXAMPLE"})),
        ("iam:DeleteSigningCertificate", json!({"CertificateId": "SHOPCERTIFICATE0000000EXAMPLE"})),
        (
            "iam:DeactivateMFADevice",
            json!({"SerialNumber": format!("arn:aws:iam::{SHOP}:mfa/root-account-mfa-device")}),
        ),
        ("iam:DeactivateMFADevice", json!({"SerialNumber": format!("arn:aws:iam::{SHOP}:u2f/root/yubikey-R1234")})),
        ("iam:DeactivateMFADevice", json!({"SerialNumber": "GAHT12345678"})),
    ];
    for (action, input) in &steps {
        assert_eq!(call(&aws, &delete, action, input.clone()).await.code, "Success", "{action} {input}");
        assert_eq!(call(&aws, &delete, action, input.clone()).await.code, "NoSuchEntity", "{action} {input} again");
    }
    assert!(aws.organization().account(&account(SHOP)).unwrap().root.is_empty());
    let audit = root_session(&aws, SHOP, "IAMAuditRootUserCredentials").await;
    let summary = call(&aws, &audit, "iam:GetAccountSummary", json!({})).await.body;
    for entry in ["Password", "AccessKeys", "SigningCertificates"] {
        assert!(summary.contains(&format!("<key>Account{entry}Present</key><value>0</value>")), "{entry}");
    }
    assert!(summary.contains("<key>AccountMFAEnabled</key><value>0</value>"));
    let deletes = aws.calls().into_iter().filter(|call| call.mutating && call.outcome == Outcome::Success);
    let deletes: Vec<_> = deletes.map(|call| (call.action(), call.account, call.input)).collect();
    let expected: Vec<_> =
        steps.into_iter().map(|(action, input)| (action.to_owned(), SHOP.to_owned(), input)).collect();
    assert_eq!(deletes, expected);
}

#[tokio::test]
async fn lists_come_in_pages() {
    let aws = aws();
    let audit = root_session(&aws, SHOP, "IAMAuditRootUserCredentials").await;
    let first = call(&aws, &audit, "iam:ListMFADevices", json!({"MaxItems": "2"})).await;
    assert_eq!((first.text("IsTruncated").as_str(), first.body.matches("<member>").count()), ("true", 2));
    let rest = call(&aws, &audit, "iam:ListMFADevices", json!({"Marker": first.text("Marker")})).await;
    assert_eq!((rest.text("IsTruncated").as_str(), rest.body.matches("<member>").count()), ("false", 1));
    assert!(rest.body.contains("GAHT12345678"));
}
