//! The template is code: what it deploys fits the functions, and no role can do more than it should.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Value, json};
use shared::config::{SETTINGS, Settings};
use simulator::template::{Resolved, Resource, Stack, Template};

const AUDIT_TASK: &str = "IAMAuditRootUserCredentials";
const CREATE_TASK: &str = "IAMCreateRootUserPassword";
const DELETE_TASK: &str = "IAMDeleteRootUserCredentials";
const BUCKET_TASK: &str = "S3UnlockBucketPolicy";
const QUEUE_TASK: &str = "SQSUnlockQueuePolicy";

/// The settings of the AWS SDK that the template also sets.
const SDK_SETTINGS: [&str; 2] = ["AWS_MAX_ATTEMPTS", "AWS_RETRY_MODE"];

/// The stack's account and home Region, and the organization's management account.
pub(crate) const AUDIT: &str = "222233334444";
pub(crate) const HOME: &str = "eu-central-1";
pub(crate) const MANAGEMENT: &str = "111122223333";

/// The templates that forward events to the stack's bus.
pub(crate) const MANAGEMENT_ACCOUNT: &str = "organization/management-account.yaml";
pub(crate) const MEMBER_ACCOUNTS: &str = "organization/member-accounts.yaml";
pub(crate) const AUDIT_ACCOUNT_REGIONS: &str = "organization/audit-account-regions.yaml";

/// A template of ours as a stack of an account and Region would have it.
fn resolve(template: &str, account: &str, region: &str, parameters: &[(&str, &str)]) -> Resolved {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(template)).unwrap();
    let parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let stack = Stack {
        name: "unroot".to_owned(),
        account: account.to_owned(),
        region: region.to_owned(),
        parameters: parameters.collect(),
    };
    Template::parse(&text).unwrap().resolve(&stack).unwrap()
}

/// Our template with the parameters on top of the one that has no default.
pub(crate) fn deployed(parameters: &[(&str, &str)]) -> Resolved {
    deployed_in(HOME, parameters)
}

pub(crate) fn deployed_in(region: &str, parameters: &[(&str, &str)]) -> Resolved {
    let parameters = [&[("ManagementAccountId", MANAGEMENT)], parameters].concat();
    resolve("template.yaml", AUDIT, region, &parameters)
}

/// A template that forwards events to the bus of the stack in `home`, with the parameters on top of that bus.
pub(crate) fn forwarding(
    template: &str,
    account: &str,
    region: &str,
    home: &str,
    parameters: &[(&str, &str)],
) -> Resolved {
    let bus = deployed_in(home, &[]).outputs["EventBusArn"].clone();
    resolve(template, account, region, &[&[("EventBusArn", bus.as_str())], parameters].concat())
}

/// All templates, each where it belongs.
fn all_templates() -> [(&'static str, Resolved); 4] {
    [
        ("template.yaml", enforcing()),
        (MANAGEMENT_ACCOUNT, forwarding(MANAGEMENT_ACCOUNT, MANAGEMENT, "us-east-1", HOME, &[])),
        (MEMBER_ACCOUNTS, forwarding(MEMBER_ACCOUNTS, "444455556666", "us-east-1", HOME, &[])),
        (AUDIT_ACCOUNT_REGIONS, forwarding(AUDIT_ACCOUNT_REGIONS, AUDIT, "us-east-1", HOME, &[])),
    ]
}

fn rule<'a>(resolved: &'a Resolved, logical_id: &str) -> &'a Resource {
    named(resolved, "AWS::Events::Rule", logical_id)
}

fn named<'a>(resolved: &'a Resolved, kind: &str, logical_id: &str) -> &'a Resource {
    let found = resolved.resources.iter().find(|resource| resource.kind == kind && resource.logical_id == logical_id);
    found.unwrap_or_else(|| panic!("there is no {kind} {logical_id}"))
}

fn functions(resolved: &Resolved) -> impl Iterator<Item = &Resource> {
    resolved.of_kind("AWS::Serverless::Function")
}

/// The statements of all roles, each with its role's name in the template.
pub(crate) fn statements(resolved: &Resolved) -> Vec<(String, Value)> {
    let mut statements = Vec::new();
    for role in resolved.of_kind("AWS::IAM::Role") {
        assert!(role.get("/ManagedPolicyArns").is_none(), "{} has managed policies", role.logical_id);
        for policy in role.get("/Policies").unwrap().as_array().unwrap() {
            for statement in policy["PolicyDocument"]["Statement"].as_array().unwrap() {
                statements.push((role.logical_id.clone(), statement.clone()));
            }
        }
    }
    statements
}

/// A policy element that is one text or a list of them.
pub(crate) fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(values) => values.iter().map(|value| value.as_str().unwrap().to_owned()).collect(),
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) => {
            panic!("neither a text nor a list: {other}")
        }
    }
}

pub(crate) fn enforcing() -> Resolved {
    deployed(&[("Mode", "Enforce"), ("ExemptAccountIds", "555566667777,666677778888")])
}

#[test]
fn every_function_has_a_crate_and_every_crate_a_function() {
    let deployed: BTreeSet<_> = functions(&deployed(&[]))
        .map(|function| function.metadata["BuildProperties"]["Binary"].as_str().unwrap().to_owned())
        .collect();
    let crates = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../functions")).unwrap();
    let crates: BTreeSet<_> = crates.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(deployed, crates);
}

#[test]
fn every_variable_is_a_setting_and_the_settings_are_valid() {
    let known: BTreeSet<_> = SETTINGS.iter().map(|setting| setting.name).chain(SDK_SETTINGS).collect();
    for parameters in [&[] as &[_], &[("Mode", "Enforce")], &[("Concurrency", "200")], &[("Concurrency", "1")]] {
        for function in functions(&deployed(parameters)) {
            let variables = function.get("/Environment/Variables").unwrap().as_object().unwrap();
            for name in variables.keys() {
                assert!(known.contains(name.as_str()), "{} sets {name}, which nothing reads", function.logical_id);
            }
            let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            Settings::parse(|name| variables.get(name).map(text)).unwrap();
        }
    }
}

#[test]
fn no_role_allows_an_action_by_wildcard() {
    for (role, statement) in statements(&enforcing()) {
        for action in texts(&statement["Action"]) {
            assert!(!action.contains('*'), "{role} allows {action}");
        }
    }
}

/// The roles that may open root sessions, with the tasks for which they may.
fn root_tasks(resolved: &Resolved) -> BTreeMap<String, Vec<String>> {
    let mut tasks = BTreeMap::new();
    for (role, statement) in statements(resolved) {
        if statement["Effect"] == "Allow" && texts(&statement["Action"]).contains(&"sts:AssumeRoot".to_owned()) {
            assert_eq!(texts(&statement["Action"]), ["sts:AssumeRoot"], "{role}: a statement of its own");
            let arns = texts(&statement["Condition"]["StringEquals"]["sts:TaskPolicyArn"]);
            let names =
                arns.iter().map(|arn| arn.strip_prefix("arn:aws:iam::aws:policy/root-task/").unwrap().to_owned());
            let others = tasks.insert(role.clone(), names.collect());
            assert_eq!(others, None, "{role}: one statement");
        }
    }
    tasks
}

/// What can delete or create credentials is allowed in `Enforce` mode alone, and no task without a condition.
#[test]
fn assume_root_is_allowed_only_for_the_tasks_of_the_mode() {
    let auditing: &[&str] = &[AUDIT_TASK];
    let stripping: &[&str] = &[AUDIT_TASK, DELETE_TASK];
    let unlocking: &[&str] = &[BUCKET_TASK, QUEUE_TASK];
    let check = |mode, expected: &[(&str, &[&str])]| {
        let found = root_tasks(&deployed(&[("Mode", mode)]));
        let owned = |tasks: &[&str]| tasks.iter().map(|task| (*task).to_owned()).collect();
        let expected = expected.iter().map(|(role, tasks)| ((*role).to_owned(), owned(tasks))).collect();
        assert_eq!(found, expected, "in {mode} mode");
    };
    check(
        "Audit",
        &[
            ("AccountJoinedRole", auditing),
            ("RootActivityRole", auditing),
            ("ScheduledAuditRole", auditing),
            ("UnlockPolicyRole", unlocking),
        ],
    );
    check(
        "Enforce",
        &[
            ("AccountJoinedRole", stripping),
            ("PasswordRecoveryRole", &[CREATE_TASK, DELETE_TASK]),
            ("RootActivityRole", stripping),
            ("ScheduledAuditRole", stripping),
            ("UnlockPolicyRole", unlocking),
        ],
    );
}

#[test]
fn the_roles_deny_what_must_never_be_touched() {
    let denied: BTreeSet<_> = statements(&enforcing())
        .iter()
        .filter(|(_, statement)| statement["Effect"] == "Deny" && statement["Action"] == "sts:AssumeRoot")
        .flat_map(|(role, statement)| texts(&statement["Resource"]).into_iter().map(move |arn| format!("{role} {arn}")))
        .collect();
    for role in root_tasks(&enforcing()).into_keys() {
        for root in ["arn:aws:iam::111122223333:root", "arn:*:iam::555566667777:root", "arn:*:iam::666677778888:root"] {
            assert!(denied.contains(&format!("{role} {root}")), "{role} {root}: {denied:?}");
        }
    }
}

/// Attaching one to a person gives that person one function and nothing else.
#[test]
fn each_function_that_people_invoke_has_a_policy_that_allows_just_that() {
    let resolved = deployed(&[]);
    let mut invoked = BTreeSet::new();
    for policy in resolved.of_kind("AWS::IAM::ManagedPolicy") {
        for attached in ["/Groups", "/Roles", "/Users"] {
            assert_eq!(policy.get(attached), None, "{} is for people to attach", policy.logical_id);
        }
        let statements = policy.get("/PolicyDocument/Statement").unwrap().as_array().unwrap();
        let [statement] = statements.as_slice() else { panic!("{}: {statements:?}", policy.logical_id) };
        assert_eq!(statement["Effect"], "Allow");
        assert_eq!(statement["Action"], "lambda:InvokeFunction");
        let function = functions(&resolved).find(|function| statement["Resource"] == function.arn().unwrap()).unwrap();
        let name = function.logical_id.strip_suffix("Function").unwrap();
        assert_eq!(policy.logical_id, format!("{name}InvokePolicy"));
        assert_eq!(&resolved.outputs[&format!("{name}InvokePolicyArn")], policy.arn().unwrap());
        invoked.insert(name.to_owned());
    }
    assert_eq!(
        invoked.iter().map(String::as_str).collect::<Vec<_>>(),
        ["PasswordRecovery", "ScheduledAudit", "UnlockPolicy"]
    );
}

/// What a role may delete, and which role it may hand on.
#[test]
fn the_rarest_permissions_are_narrow() {
    let mut deleting = BTreeSet::new();
    let mut passed = Vec::new();
    for (role, statement) in statements(&enforcing()) {
        let actions = texts(&statement["Action"]);
        if actions.contains(&"dynamodb:DeleteItem".to_owned()) {
            let keys = json!({"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["recovery-window"]}});
            assert_eq!((actions.len(), &statement["Condition"]), (1, &keys), "{role}");
            deleting.insert(role.clone());
        }
        if actions.contains(&"iam:PassRole".to_owned()) {
            let service = json!({"StringEquals": {"iam:PassedToService": "scheduler.amazonaws.com"}});
            assert_eq!((actions.len(), &statement["Condition"]), (1, &service), "{role}");
            passed.push((role, texts(&statement["Resource"])));
        }
    }
    assert_eq!(deleting.iter().map(String::as_str).collect::<Vec<_>>(), ["PasswordRecoveryRole", "ScheduledAuditRole"]);
    let schedule_role = format!("arn:aws:iam::{AUDIT}:role/unroot-PasswordRecoveryScheduleRole-SIMULATED");
    assert_eq!(passed, [("PasswordRecoveryRole".to_owned(), vec![schedule_role])]);
}

/// A schedule assumes its role to send to its queue, and to the dead-letter queue if that fails: no other queue, and no
/// schedule of another account.
#[test]
fn the_roles_of_schedules_send_to_their_own_queues_alone() {
    let resolved = deployed(&[]);
    let mut roles = BTreeSet::new();
    for role in resolved.of_kind("AWS::IAM::Role") {
        let trust = role.get("/AssumeRolePolicyDocument/Statement/0").unwrap();
        if trust["Principal"]["Service"] != "scheduler.amazonaws.com" {
            continue;
        }
        assert_eq!(trust["Condition"], json!({"StringEquals": {"aws:SourceAccount": AUDIT}}), "{}", role.logical_id);
        let name = role.logical_id.strip_suffix("ScheduleRole").unwrap();
        let queue = named(&resolved, "AWS::SQS::Queue", &format!("{name}Queue"));
        let queues = [queue.arn().unwrap(), queue.text("/RedrivePolicy/deadLetterTargetArn").unwrap()];
        for (owner, statement) in statements(&resolved) {
            if owner == role.logical_id {
                assert_eq!(texts(&statement["Action"]), ["sqs:SendMessage"], "{owner}");
                assert_eq!(texts(&statement["Resource"]), queues, "{owner}");
            }
        }
        let policy = named(&resolved, "AWS::SQS::QueuePolicy", &format!("{name}QueuePolicy"));
        let senders = policy.get("/PolicyDocument/Statement").unwrap().as_array().unwrap();
        let senders = senders.iter().filter(|statement| statement["Effect"] == "Allow");
        let senders: Vec<_> = senders.map(|statement| statement["Principal"].clone()).collect();
        assert_eq!(senders, [json!({"AWS": role.arn().unwrap()})], "{}", policy.logical_id);
        roles.insert(name.to_owned());
    }
    assert_eq!(roles.iter().map(String::as_str).collect::<Vec<_>>(), ["PasswordRecovery", "ScheduledAudit"]);
}

/// A message that comes again does so after the function that has it has ended, and every queue ends in a dead-letter
/// queue with an alarm.
#[test]
fn nothing_is_lost_in_a_queue() {
    let resolved = deployed(&[]);
    for function in functions(&resolved) {
        let Some(source) = function.get("/Events/Queue/Properties") else {
            assert_eq!(function.logical_id, "UnlockPolicyFunction", "only this one is for people alone");
            assert_eq!(function.get("/Events"), None);
            continue;
        };
        let queue = resolved
            .of_kind("AWS::SQS::Queue")
            .find(|queue| source["Queue"].as_str().unwrap().ends_with(queue.text("/QueueName").unwrap()))
            .unwrap();
        let timeout = function.number("/Timeout").unwrap();
        assert!(queue.number("/VisibilityTimeout").unwrap() >= 6 * timeout, "{}", queue.logical_id);
        assert_eq!(source["FunctionResponseTypes"][0], "ReportBatchItemFailures");
        let dead_letters = queue.text("/RedrivePolicy/deadLetterTargetArn").unwrap();
        let name = dead_letters.rsplit(':').next().unwrap();
        let alarms: Vec<_> = resolved
            .of_kind("AWS::CloudWatch::Alarm")
            .filter(|alarm| alarm.get("/Dimensions/0/Value").is_some_and(|value| value == name))
            .collect();
        assert_eq!(alarms.len(), 1, "{name}");
        assert_eq!(alarms[0].text("/MetricName").unwrap(), "ApproximateNumberOfMessagesVisible");
    }
}

#[test]
fn evidence_is_kept_as_long_as_the_parameters_say() {
    for (retention, lock, expected) in
        [("2555", "0", (Some(2_555), None)), ("0", "30", (None, Some(30))), ("90", "30", (Some(90), Some(30)))]
    {
        let parameters = [("EvidenceRetentionDays", retention), ("EvidenceObjectLockDays", lock)];
        let resolved = deployed(&parameters);
        let bucket = resolved.of_kind("AWS::S3::Bucket").next().unwrap();
        let rules = bucket.get("/LifecycleConfiguration/Rules").unwrap().as_array().unwrap();
        let days = |text: &Value| text.as_str().unwrap().parse::<u64>().unwrap();
        let expiring_below = |prefix: &str| {
            rules.iter().find(|rule| rule["Prefix"] == prefix).map(|rule| {
                assert_eq!(rule["NoncurrentVersionExpiration"]["NoncurrentDays"], 30, "{prefix}");
                days(&rule["ExpirationInDays"])
            })
        };
        let expiring = expiring_below("audits/");
        assert_eq!(expiring_below("policies/"), expiring, "{parameters:?}");
        let locked = bucket.number("/ObjectLockConfiguration/Rule/DefaultRetention/Days");
        assert_eq!((expiring, locked), expected, "{parameters:?}");
        let expires = |rule: &Value| rule["Prefix"] == "audits/" || rule["Prefix"] == "policies/";
        assert!(rules.iter().all(|rule| expires(rule) || rule.get("ExpirationInDays").is_none()));
        assert_eq!(bucket.text("/VersioningConfiguration/Status").unwrap(), "Enabled");
    }
}

/// A pattern may have 2,048 characters: <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html>. The ARNs
/// in it may be 30 characters longer each than here, since the name of a role has 64 at most.
#[test]
fn every_pattern_is_within_the_quota() {
    for (template, resolved) in all_templates() {
        let rules: Vec<_> = resolved.of_kind("AWS::Events::Rule").collect();
        assert!(!rules.is_empty(), "{template}");
        for rule in rules {
            let pattern = rule.get("/EventPattern").unwrap().to_string();
            let length = pattern.len() + 30 * pattern.matches(":role/").count();
            assert!(length <= 2_048, "{template}: the pattern of {} has {length} characters", rule.logical_id);
        }
    }
}

/// Each queue takes messages from the rules that send to it, be it as a target or as a dead-letter queue, and from no
/// other.
#[test]
fn every_queue_takes_messages_from_its_rules_alone() {
    for (template, resolved) in all_templates() {
        let arn_of = |url: &Value| {
            let queue = resolved.of_kind("AWS::SQS::Queue").find(|queue| url == queue.reference().unwrap());
            queue.unwrap().arn().unwrap().to_owned()
        };
        let mut allowed: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for policy in resolved.of_kind("AWS::SQS::QueuePolicy") {
            let queues = policy.get("/Queues").unwrap().as_array().unwrap();
            let statements = policy.get("/PolicyDocument/Statement").unwrap().as_array().unwrap();
            for statement in statements.iter().filter(|it| it["Principal"]["Service"] == "events.amazonaws.com") {
                let rules = texts(&statement["Condition"]["ArnEquals"]["aws:SourceArn"]);
                for queue in queues {
                    allowed.entry(arn_of(queue)).or_default().extend(rules.iter().cloned());
                }
            }
        }
        let mut sending: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for rule in resolved.of_kind("AWS::Events::Rule") {
            for target in rule.get("/Targets").unwrap().as_array().unwrap() {
                let queues = [&target["Arn"], &target["DeadLetterConfig"]["Arn"]].map(|arn| arn.as_str().unwrap_or(""));
                for queue in queues.into_iter().filter(|arn| arn.starts_with("arn:aws:sqs:")) {
                    sending.entry(queue.to_owned()).or_default().insert(rule.arn().unwrap().to_owned());
                }
            }
        }
        assert_eq!(allowed, sending, "{template}");
    }
}

/// INVARIANT (never reacts to itself): our own calls of `AssumeRoot` pass no rule.
///
/// In `Audit` mode too the rules leave out who may in `Enforce` mode: events come minutes after the mode was changed.
#[test]
fn the_assume_root_rules_leave_out_exactly_the_roles_that_may_open_root_sessions() {
    let may_open: BTreeSet<_> = root_tasks(&enforcing())
        .into_keys()
        .map(|role| format!("arn:aws:iam::{AUDIT}:role/unroot-{role}-SIMULATED"))
        .collect();
    for mode in ["Audit", "Enforce"] {
        let resolved = deployed(&[("Mode", mode)]);
        for name in ["AssumeRootRule", "ForwardedAssumeRootRule"] {
            let issuer = "/EventPattern/detail/userIdentity/sessionContext/sessionIssuer/arn";
            let issuer = rule(&resolved, name).get(issuer).unwrap();
            assert_eq!(issuer[0], json!({"exists": false}), "{name}");
            let left_out: BTreeSet<_> = texts(&issuer[1]["anything-but"]).into_iter().collect();
            assert_eq!(left_out, may_open, "{name} in {mode} mode");
        }
    }
}

/// What is forwarded is what is taken: the same event, but for whose it is, which only the receiving rule knows.
#[test]
fn the_forwarding_rules_and_the_receiving_ones_are_after_the_same_events() {
    let [(_, unroot), forwarding @ ..] = all_templates();
    for name in ["RootFindingRule", "AssumeRootRule", "RootUserRule"] {
        let (here, forwarded) = (rule(&unroot, name), rule(&unroot, &format!("Forwarded{name}")));
        for pointer in ["/EventPattern", "/State", "/Targets"] {
            assert_eq!(here.get(pointer), forwarded.get(pointer), "{name} {pointer}");
        }
        assert_eq!((here.get("/EventBusName"), forwarded.text("/EventBusName").unwrap()), (None, "unroot"), "{name}");
    }
    let mut forwarded_by = BTreeSet::new();
    for (template, resolved) in &forwarding {
        for rule_here in resolved.of_kind("AWS::Events::Rule") {
            let name = &rule_here.logical_id;
            let receiving = match name.as_str() {
                "AccountJoinedRule" => rule(&unroot, name),
                _ => rule(&unroot, &format!("Forwarded{name}")),
            };
            let mut pattern = receiving.get("/EventPattern").unwrap().clone();
            pattern.as_object_mut().unwrap().remove("account");
            if name == "AssumeRootRule" {
                pattern["detail"].as_object_mut().unwrap().remove("userIdentity");
            }
            assert_eq!(rule_here.get("/EventPattern").unwrap(), &pattern, "{template}: {name}");
            assert_eq!(rule_here.get("/State"), receiving.get("/State"), "{template}: {name}");
            forwarded_by.insert(format!("{name} of {template}"));
        }
    }
    let expected = [
        "AccountJoinedRule of organization/management-account.yaml",
        "AssumeRootRule of organization/audit-account-regions.yaml",
        "AssumeRootRule of organization/management-account.yaml",
        "RootFindingRule of organization/audit-account-regions.yaml",
        "RootUserRule of organization/management-account.yaml",
        "RootUserRule of organization/member-accounts.yaml",
    ];
    assert_eq!(forwarded_by.iter().map(String::as_str).collect::<Vec<_>>(), expected);
}

/// Without `OrganizationId` nobody but the management account delivers, with it the organization's accounts, and they
/// may do nothing else.
#[test]
fn members_deliver_only_when_their_organization_is_named() {
    let policies = |parameters: &[(&str, &str)]| -> Vec<Value> {
        let resolved = deployed(parameters);
        let policies = resolved.of_kind("AWS::Events::EventBusPolicy");
        policies.map(|policy| policy.get("/Statement").unwrap().clone()).collect()
    };
    let bus = format!("arn:aws:events:{HOME}:{AUDIT}:event-bus/unroot");
    let management = json!({
        "Effect": "Allow",
        "Principal": {"AWS": format!("arn:aws:iam::{MANAGEMENT}:root")},
        "Action": "events:PutEvents",
        "Resource": bus,
    });
    let members = json!({
        "Effect": "Allow",
        "Principal": "*",
        "Action": "events:PutEvents",
        "Resource": bus,
        "Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-a1b2c3d4e5"}},
    });
    assert_eq!(policies(&[]), std::slice::from_ref(&management));
    assert_eq!(policies(&[("OrganizationId", "o-a1b2c3d4e5")]), [management, members]);
}

/// In the home Region the rules of template.yaml are there already: each event would arrive twice.
#[test]
fn the_home_region_forwards_nothing_to_itself() {
    let suppressing = [("SuppressShortTermFindings", "Enabled"), ("DetectorId", "12abc34d567e8fa901bc2d34e56789f0")];
    for (region, parameters, expected) in [
        ("us-east-1", &[] as &[_], (2, 0)),
        ("us-east-1", &suppressing, (2, 1)),
        (HOME, &suppressing, (0, 1)),
        (HOME, &[], (0, 0)),
    ] {
        let resolved = forwarding(AUDIT_ACCOUNT_REGIONS, AUDIT, region, HOME, parameters);
        let filters: Vec<_> = resolved.of_kind("AWS::GuardDuty::Filter").collect();
        let rules = resolved.of_kind("AWS::Events::Rule").count();
        assert_eq!((rules, filters.len()), expected, "{region} {parameters:?}");
        assert_eq!(resolved.resources.len() > filters.len(), rules > 0, "{region}: only with something to forward");
        for filter in filters {
            let criteria = json!({"Criterion": {"type": {"Equals": ["Policy:IAMUser/ShortTermRootCredentialUsage"]}}});
            assert_eq!(filter.get("/FindingCriteria").unwrap(), &criteria, "no other finding is ever archived");
        }
    }
}
