//! The template is code: what it deploys fits the functions, and no role can do more than it should.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;
use shared::config::{SETTINGS, Settings};
use simulator::template::{Resolved, Resource, Stack, Template};

const AUDIT_TASK: &str = "arn:aws:iam::aws:policy/root-task/IAMAuditRootUserCredentials";
const DELETE_TASK: &str = "arn:aws:iam::aws:policy/root-task/IAMDeleteRootUserCredentials";

/// The settings of the AWS SDK that the template also sets.
const SDK_SETTINGS: [&str; 2] = ["AWS_MAX_ATTEMPTS", "AWS_RETRY_MODE"];

/// Our template with the parameters on top of the one that has no default.
pub(crate) fn deployed(parameters: &[(&str, &str)]) -> Resolved {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../template.yaml")).unwrap();
    let mut all = BTreeMap::from([("ManagementAccountId".to_owned(), "111122223333".to_owned())]);
    all.extend(parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let stack = Stack {
        name: "unroot".to_owned(),
        account: "222233334444".to_owned(),
        region: "eu-central-1".to_owned(),
        parameters: all,
    };
    Template::parse(&text).unwrap().resolve(&stack).unwrap()
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

/// The delete task is allowed in `Enforce` mode alone, and no task without a condition.
#[test]
fn assume_root_is_allowed_only_for_the_tasks_of_the_mode() {
    for (mode, expected) in [("Audit", vec![AUDIT_TASK]), ("Enforce", vec![AUDIT_TASK, DELETE_TASK])] {
        let mut roles = 0;
        for (role, statement) in statements(&deployed(&[("Mode", mode)])) {
            if statement["Effect"] == "Allow" && texts(&statement["Action"]).contains(&"sts:AssumeRoot".to_owned()) {
                let tasks = &statement["Condition"]["StringEquals"]["sts:TaskPolicyArn"];
                assert_eq!(texts(tasks), expected, "{role} in {mode} mode");
                assert_eq!(texts(&statement["Action"]), ["sts:AssumeRoot"], "{role}: a statement of its own");
                roles += 1;
            }
        }
        assert_eq!(roles, 2, "both functions open root sessions");
    }
}

#[test]
fn the_roles_deny_what_must_never_be_touched() {
    let denied: BTreeSet<_> = statements(&enforcing())
        .iter()
        .filter(|(_, statement)| statement["Effect"] == "Deny" && statement["Action"] == "sts:AssumeRoot")
        .flat_map(|(role, statement)| texts(&statement["Resource"]).into_iter().map(move |arn| format!("{role} {arn}")))
        .collect();
    for role in ["AccountJoinedRole", "ScheduledAuditRole"] {
        for root in ["arn:aws:iam::111122223333:root", "arn:*:iam::555566667777:root", "arn:*:iam::666677778888:root"] {
            assert!(denied.contains(&format!("{role} {root}")), "{role} {root}: {denied:?}");
        }
    }
}

/// A message that comes again does so after the function that has it has ended, and every queue ends in a dead-letter
/// queue with an alarm.
#[test]
fn nothing_is_lost_in_a_queue() {
    let resolved = deployed(&[]);
    for function in functions(&resolved) {
        let source = function.get("/Events/Queue/Properties").unwrap();
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
        let expiring = rules.iter().find(|rule| rule["Prefix"] == "audits/").map(|rule| {
            assert_eq!(rule["NoncurrentVersionExpiration"]["NoncurrentDays"], 30);
            days(&rule["ExpirationInDays"])
        });
        let locked = bucket.number("/ObjectLockConfiguration/Rule/DefaultRetention/Days");
        assert_eq!((expiring, locked), expected, "{parameters:?}");
        assert!(rules.iter().all(|rule| rule["Prefix"] == "audits/" || rule.get("ExpirationInDays").is_none()));
        assert_eq!(bucket.text("/VersioningConfiguration/Status").unwrap(), "Enabled");
    }
}
