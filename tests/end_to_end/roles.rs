//! Each role grants exactly what its function calls: everything that the functions do, held against the template.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::json;
use simulator::aws::NewAccount;
use simulator::organization::Organization;

use crate::stage::{ACCOUNT_JOINED, SCHEDULED_AUDIT, SHOP, Stage, enforcing, id, organization};
use crate::template::{statements, texts};

/// What Lambda calls with the function's role: the event source mapping and the logs are not the function's own calls.
const CALLED_BY_LAMBDA: [&str; 5] =
    ["logs:CreateLogStream", "logs:PutLogEvents", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"];

/// The actions that each role allows, without those that Lambda uses.
fn granted() -> BTreeMap<String, BTreeSet<String>> {
    let mut granted: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for (role, statement) in statements(&crate::template::enforcing()) {
        if statement["Effect"] == "Allow" && role != "ScheduledAuditScheduleRole" {
            let actions = texts(&statement["Action"]).into_iter();
            let actions = actions.filter(|action| !CALLED_BY_LAMBDA.contains(&action.as_str()));
            granted.entry(role).or_default().extend(actions);
        }
    }
    granted
}

/// What the functions called as their roles, root sessions left out: those need no permission of the role.
fn called(stage: &Stage, called: &mut BTreeMap<String, BTreeSet<String>>) {
    for call in stage.aws.calls() {
        for role in ["AccountJoinedRole", "ScheduledAuditRole"] {
            if call.caller.contains(role) {
                called.entry(role.to_owned()).or_default().insert(call.action());
            }
        }
    }
}

#[tokio::test]
async fn each_role_grants_exactly_what_its_function_calls() {
    let mut calls = BTreeMap::new();

    let stage = Stage::enforcing().await;
    stage.request(json!({"organizationalUnits": ["ou-a1b2-workload"]})).await.unwrap();
    stage.request(json!({"accounts": [SHOP]})).await.unwrap();
    for function in [SCHEDULED_AUDIT, ACCOUNT_JOINED] {
        stage.deployment.send(function, "not what it should be").unwrap();
    }
    let slow = NewAccount { ready_after: Duration::from_mins(2), ..NewAccount::default() };
    stage.aws.create_account(slow);
    stage.deployment.settle().await.unwrap();
    stage.aws.with_organization(|organization| organization.trusted_services.clear());
    stage.scheduled_audit().await;
    called(&stage, &mut calls);

    // An audit that is continued sends a message to its own queue; one that fails for a while comes back to it later.
    let two_seconds =
        enforcing().with_timeout(SCHEDULED_AUDIT, Duration::from_secs(2)).with_parameter("Concurrency", "4");
    let stage = Stage::set(Organization::sample(400).unwrap(), two_seconds).await;
    stage.aws.set_latency(Duration::from_millis(10));
    stage.scheduled_audit().await;
    let fault = "organizations:DescribeOrganization=error500,times=3".parse().unwrap();
    stage.aws.inject(fault);
    stage.deployment.send(SCHEDULED_AUDIT, &json!({"accounts": [SHOP]}).to_string()).unwrap();
    stage.deployment.settle().await.unwrap();
    called(&stage, &mut calls);

    assert_eq!(calls, granted());
    assert!(organization().accounts.contains_key(&id(SHOP)));
}
