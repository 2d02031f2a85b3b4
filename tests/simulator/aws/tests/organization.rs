//! Reading the organization, and accounts that join it.

use super::*;
use crate::organization::{AccountState, JoinedMethod, UnitId};

#[tokio::test]
async fn who_may_read_and_change_the_organization() {
    let aws = aws();
    let [management, delegate, member, outsider] =
        [MANAGEMENT, AUDIT, SHOP, "000000000000"].map(|id| aws.administrator(&account(id)));
    let service = json!({"ServicePrincipal": "sso.amazonaws.com"});
    for (action, input, codes) in [
        (
            "organizations:DescribeOrganization",
            json!({}),
            ["Success", "Success", "Success", "AWSOrganizationsNotInUseException"],
        ),
        (
            "organizations:ListAccounts",
            json!({}),
            ["Success", "Success", "AccessDeniedException", "AWSOrganizationsNotInUseException"],
        ),
        (
            "organizations:EnableAWSServiceAccess",
            service,
            ["Success", "AccessDeniedException", "AccessDeniedException", "AWSOrganizationsNotInUseException"],
        ),
    ] {
        for (caller, code) in [&management, &delegate, &member, &outsider].into_iter().zip(codes) {
            let reply = call(&aws, caller, action, input.clone()).await;
            assert_eq!(reply.code, code, "{action} as {}", caller.access_key_id);
        }
    }
}

#[tokio::test]
async fn the_tree_is_read_from_both_ends() {
    let aws = aws();
    let auditor = auditor(&aws);
    let read = async |action: &str, input: Value| -> Value {
        serde_json::from_str(&call(&aws, &auditor, action, input).await.body).unwrap()
    };
    let account = read("organizations:DescribeAccount", json!({"AccountId": STS_OFF_IN_FRANKFURT})).await;
    let path = format!("o-aa111bb222/r-a1b2/ou-a1b2-workload/ou-a1b2-develop1/{STS_OFF_IN_FRANKFURT}/");
    assert_eq!(account["Account"]["Paths"], json!([path]));
    assert_eq!(
        (&account["Account"]["State"], &account["Account"]["JoinedTimestamp"]),
        (&json!("ACTIVE"), &json!(1_756_129_763))
    );
    let mut child = STS_OFF_IN_FRANKFURT.to_owned();
    for parent in ["ou-a1b2-develop1", "ou-a1b2-workload", "r-a1b2"] {
        let parents = read("organizations:ListParents", json!({"ChildId": child})).await;
        assert_eq!(parents["Parents"][0]["Id"], parent);
        child = parent.to_owned();
    }
    let units = read("organizations:ListOrganizationalUnitsForParent", json!({"ParentId": "ou-a1b2-workload"})).await;
    assert_eq!(units["OrganizationalUnits"][0]["Name"], "Development");
    assert_eq!(units["OrganizationalUnits"].as_array().unwrap().len(), 1);
    let inside = read("organizations:ListAccountsForParent", json!({"ParentId": "ou-a1b2-legacy01"})).await;
    let inside: Vec<_> = inside["Accounts"].as_array().unwrap().iter().map(|account| &account["State"]).collect();
    assert_eq!(inside, ["ACTIVE", "SUSPENDED"]);
    let delegates = read("organizations:ListDelegatedAdministrators", json!({})).await;
    assert_eq!(delegates["DelegatedAdministrators"][0]["Id"], AUDIT);
    let roots = read("organizations:ListRoots", json!({})).await;
    assert_eq!(roots["Roots"][0]["Id"], "r-a1b2");
}

#[tokio::test]
async fn joining_accounts_are_announced_as_aws_announces_them() {
    let aws = aws();
    let mut events = aws.events();
    let created = aws.create_account(NewAccount { name: "created".to_owned(), ..NewAccount::default() });
    let parent: UnitId = "ou-a1b2-legacy01".parse().unwrap();
    let invited = aws.invite_account(NewAccount {
        id: Some(account("123412341234")),
        name: "invited".to_owned(),
        parent: Some(parent.clone()),
        ..NewAccount::default()
    });
    let mut emitted = Vec::new();
    while let Ok(event) = events.try_recv() {
        emitted.push(event);
    }
    let names: Vec<_> = emitted.iter().map(|event| event["detail"]["eventName"].as_str().unwrap()).collect();
    assert_eq!(names, ["CreateAccountResult", "AccountJoinedOrganization", "AccountJoinedOrganization"]);
    let details = |index: usize| &emitted[index]["detail"]["serviceEventDetails"];
    assert_eq!(details(0)["createAccountStatus"]["accountId"], created.as_str());
    assert_eq!(details(1)["accountId"], created.as_str());
    assert_eq!(
        (details(2)["accountId"].as_str(), details(2)["joinedMethod"].as_str()),
        (Some("123412341234"), Some("INVITED"))
    );
    assert!(emitted.iter().all(|event| event["account"] == MANAGEMENT && event["region"] == "us-east-1"));
    let organization = aws.organization();
    let invited = organization.account(&invited).unwrap();
    assert_eq!((&invited.parent, invited.joined_method), (&parent, JoinedMethod::Invited));
    assert_eq!(organization.account(&created).unwrap().state, AccountState::Active);
}

#[tokio::test]
async fn a_reset_forgets_everything_but_its_listeners() {
    let aws = aws();
    let mut events = aws.events();
    let session = root_session(&aws, SHOP, "IAMAuditRootUserCredentials").await;
    aws.inject(Fault::at("*", FaultKind::Error500));
    aws.reset(Organization::sample(0).unwrap());
    assert!(aws.calls().is_empty());
    assert_eq!(call(&aws, &session, "iam:GetUser", json!({})).await.code, "InvalidClientTokenId");
    root_session(&aws, SHOP, "IAMAuditRootUserCredentials").await;
    aws.create_account(NewAccount::default());
    assert!(events.try_recv().is_ok());
}
