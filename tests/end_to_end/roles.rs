//! Each role grants exactly what its function calls: everything that the functions do, held against the template.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use simulator::aws::{NewAccount, Password};
use simulator::policy::{Context, Decision, PolicyDocument, Request};

use crate::password_recovery::{close, open};
use crate::root_activity::remember_window;
use crate::stage::{
    AUDIT, PASSWORD_RECOVERY, SCHEDULED_AUDIT, SHOP, Stage, UNLOCK_POLICY, WITH_QUEUE, id, organization,
    sample_organization,
};
use crate::template::{statements, texts};
use crate::unlock_policy::{LOCKED_BUCKET, LOCKED_QUEUE, bucket, queue};

/// What Lambda calls with the function's role: the event source mapping and the logs are not the function's own calls.
const CALLED_BY_LAMBDA: [&str; 5] =
    ["logs:CreateLogStream", "logs:PutLogEvents", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"];

/// The roles of the functions; those of the schedules are used by EventBridge Scheduler.
const FUNCTION_ROLES: [&str; 5] =
    ["AccountJoinedRole", "PasswordRecoveryRole", "RootActivityRole", "ScheduledAuditRole", "UnlockPolicyRole"];

/// What a role may do, and then the resource may be a pattern, or what it was used for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Permission {
    role: String,
    action: String,
    resource: String,
}

impl Permission {
    fn covers(&self, used: &Permission) -> bool {
        let statement = json!({"Effect": "Allow", "Action": self.action, "Resource": self.resource});
        let policy = PolicyDocument::try_from(json!({"Statement": statement})).unwrap();
        let request = Request { action: &used.action, resource: &used.resource, context: &Context::default() };
        self.role == used.role && policy.decide(&request) == Decision::Allow
    }
}

/// What the functions' roles allow, without what Lambda uses.
fn granted() -> BTreeSet<Permission> {
    let mut granted = BTreeSet::new();
    for (role, statement) in statements(&crate::template::enforcing()) {
        if statement["Effect"] == "Allow" && !role.ends_with("ScheduleRole") {
            let actions = texts(&statement["Action"]).into_iter();
            for action in actions.filter(|action| !CALLED_BY_LAMBDA.contains(&action.as_str())) {
                let resources = texts(&statement["Resource"]).into_iter();
                granted.extend(resources.map(|resource| Permission {
                    role: role.clone(),
                    action: action.clone(),
                    resource,
                }));
            }
        }
    }
    granted
}

/// What the functions called as their roles, root sessions left out: those need no permission of the role.
fn used(stage: &Stage) -> BTreeSet<Permission> {
    let mut used = BTreeSet::new();
    for call in stage.aws.calls() {
        let role = FUNCTION_ROLES.into_iter().find(|role| call.caller.contains(role));
        // A call that a fault hit was not authorized on anything.
        used.extend(role.into_iter().flat_map(|role| {
            let permissions = call.permissions.iter().cloned();
            permissions.map(|(action, resource)| Permission { role: role.to_owned(), action, resource })
        }));
    }
    used
}

/// A request of each kind about a recovery window.
fn one_of_each() -> [Value; 4] {
    [open(SHOP, 60), open(SHOP, 120), json!({"action": "list"}), close(SHOP)]
}

#[tokio::test(start_paused = true)]
async fn each_role_grants_exactly_what_its_function_calls() {
    let stage = Stage::enforcing().await;
    stage.request(json!({"organizationalUnits": ["ou-a1b2-workload"]})).await.unwrap();
    stage.request(json!({"accounts": [SHOP]})).await.unwrap();
    for function in WITH_QUEUE {
        stage.deployment.send(function, "not what it should be").unwrap();
    }
    let slow = NewAccount { ready_after: Duration::from_mins(2), ..NewAccount::default() };
    stage.aws.create_account(slow);
    // One that has something to tell of.
    let root = organization().accounts[&id(SHOP)].root.clone();
    stage.aws.invite_account(NewAccount { root: root.clone(), ..NewAccount::default() });
    stage.deployment.settle().await.unwrap();
    stage.aws.with_organization(|organization| {
        organization.accounts.get_mut(&id(SHOP)).unwrap().root = root;
    });
    stage.aws.root_user(&id(SHOP)).sign_in(Password::Right);
    stage.deployment.settle().await.unwrap();
    for request in one_of_each() {
        stage.ask(PASSWORD_RECOVERY, &request).await.unwrap();
    }
    for request in [bucket(SHOP, LOCKED_BUCKET), queue(SHOP, LOCKED_QUEUE)] {
        stage.ask(UNLOCK_POLICY, &request).await.unwrap();
    }
    let now = stage.now();
    remember_window(&stage, AUDIT, now - time::Duration::hours(2), now - time::Duration::hours(1));
    stage.scheduled_audit().await;
    assert!(stage.windows().is_empty());
    stage.aws.with_organization(|organization| organization.trusted_services.clear());
    stage.scheduled_audit().await;
    let mut used_so_far = used(&stage);

    // An audit that is continued sends a message to its own queue; one that fails for a while comes back to it later.
    let stage = Stage::slow(sample_organization(400)).await;
    stage.scheduled_audit().await;
    for fault in
        ["organizations:DescribeOrganization=error500,times=3", "organizations:DescribeAccount=error500,times=3"]
    {
        stage.aws.inject(fault.parse().unwrap());
    }
    stage.aws.root_user(&id(SHOP)).sign_in(Password::Wrong);
    stage.deployment.send(SCHEDULED_AUDIT, &json!({"accounts": [SHOP]}).to_string()).unwrap();
    stage.deployment.settle().await.unwrap();
    // So does the end of a window.
    stage.ask(PASSWORD_RECOVERY, &open(AUDIT, 1_440)).await.unwrap();
    stage.aws.inject("dynamodb:Query=error500,times=3".parse().unwrap());
    stage.deployment.send(PASSWORD_RECOVERY, &stage.aws.schedules()[0].input).unwrap();
    stage.deployment.settle().await.unwrap();
    assert!(stage.windows().is_empty());
    used_so_far.extend(used(&stage));

    let granted = granted();
    let unused: Vec<_> =
        granted.iter().filter(|granted| !used_so_far.iter().any(|used| granted.covers(used))).collect();
    assert!(unused.is_empty(), "granted and not used: {unused:#?}");
    let uncovered: Vec<_> =
        used_so_far.iter().filter(|used| !granted.iter().any(|granted| granted.covers(used))).collect();
    assert!(uncovered.is_empty(), "used and not granted: {uncovered:#?}");
}
