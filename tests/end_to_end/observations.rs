//! Every recorded answer of the real AWS, replayed against the simulator over HTTP.
//!
//! A row says who called what in which state, and what came back; here the state is set up, the call is made, and the
//! code, the HTTP status, the message and the output must be the recorded ones. A row of a shape that is not understood
//! fails: no recording is skipped.

use serde::Deserialize;
use serde_json::{Value, json};
use simulator::aws::{Aws, Credentials, Role};
use simulator::clock::Clock;
use simulator::organization::{
    AccountId, FULL_AWS_ACCESS, Feature, IAM_SERVICE, LoginProfile, Organization, Principal,
};
use simulator::policy::PolicyDocument;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use crate::raw_client::{Call, Response, send};
use crate::stage::NOW;

const OBSERVATIONS: &str = include_str!("../fixtures/observations.json");

const DELEGATE: &str = "222222222222";
const MEMBER: &str = "333333333333";
const TASKS: &str = "arn:aws:iam::aws:policy/root-task/";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Recording {
    #[serde(rename = "source")]
    _source: String,
    #[serde(rename = "accounts")]
    _accounts: Value,
    observations: Vec<Observation>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Observation {
    case: String,
    caller: String,
    operation: String,
    state: State,
    input: Value,
    code: String,
    http_status: Option<u16>,
    message: Option<String>,
    output: Option<Value>,
    #[expect(dead_code, reason = "it is said to people")]
    note: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    trusted_access: Option<TrustedAccess>,
    features: Option<Vec<Feature>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum TrustedAccess {
    Is(bool),
    Was(String),
}

/// One row's world.
struct Stage {
    aws: Aws,
    management: Credentials,
}

#[tokio::test(start_paused = true)]
async fn every_recorded_answer_is_the_simulators_answer() {
    let recording: Recording = serde_json::from_str(OBSERVATIONS).unwrap();
    let mut failures = Vec::new();
    for observation in &recording.observations {
        for difference in replay(observation).await {
            failures.push(format!("{}: {difference}", observation.case));
        }
    }
    assert!(!recording.observations.is_empty());
    assert!(failures.is_empty(), "{} differences\n{}", failures.len(), failures.join("\n"));
}

/// The differences between the recording and the simulator.
async fn replay(observation: &Observation) -> Vec<String> {
    let stage = Stage::set(observation);
    // What is denied by a policy above the account was denied to a session that could be opened all the same.
    let is_policy_first = observation.case == "scp_denies_root";
    if is_policy_first {
        stage.play_history(observation).await;
    }
    let (credentials, caller_arn) = stage.caller(observation).await;
    if !is_policy_first {
        stage.play_history(observation).await;
    }
    let is_global = observation.case == "assume_global_endpoint";
    let called_at = stage.aws.clock().now();
    let call = Call {
        action: &observation.operation,
        input: &observation.input,
        region: "us-east-1",
        host: is_global.then_some("sts.amazonaws.com"),
    };
    let response = send(&stage.aws, &credentials, call).await.expect("an answer");
    let mut differences = compare(observation, &response, &caller_arn, called_at);
    if response.request_id.is_none() {
        differences.push("no request id".to_owned());
    }
    differences
}

impl Stage {
    fn set(observation: &Observation) -> Self {
        // The recordings come from two organizations; the second one's management account was 123456789012.
        let text = format!("{}{}", observation.input, observation.message.as_deref().unwrap_or_default());
        let management = if text.contains("123456789012") { "123456789012" } else { "111111111111" };
        let mut organization = organization(management);
        if let Some(features) = &observation.state.features {
            organization.features = features.iter().copied().collect();
        }
        let lost_trust =
            matches!(observation.state.trusted_access, Some(TrustedAccess::Is(false) | TrustedAccess::Was(_)));
        let is_delegated = !lost_trust && !["member", "former delegated_admin"].contains(&&*observation.caller);
        if !is_delegated {
            organization.delegated_administrators.clear();
        }
        if let Some(TrustedAccess::Is(false)) = observation.state.trusted_access {
            organization.trusted_services.clear();
        }
        let aws = Aws::new(organization, Clock::of_runtime(NOW));
        let management = aws.administrator(&management.parse().unwrap());
        Self { aws, management }
    }

    /// Who calls, and under which ARN.
    async fn caller(&self, observation: &Observation) -> (Credentials, String) {
        let management = self.aws.management_account();
        let administrator = |account: &AccountId| {
            (self.aws.administrator(account), format!("arn:aws:iam::{account}:user/administrator"))
        };
        match observation.caller.as_str() {
            "management" => administrator(&management),
            // The recording's member was the later delegate, before it was one.
            "member" | "delegated_admin" => administrator(&DELEGATE.parse().unwrap()),
            "former delegated_admin" => {
                let role = format!("arn:aws:iam::{DELEGATE}:role/OrganizationAccountAccessRole");
                let role = Role::new(&role, vec![PolicyDocument::full_access()]).unwrap();
                let arn = format!("arn:aws:sts::{DELEGATE}:assumed-role/OrganizationAccountAccessRole/session");
                (self.aws.role_session(role, "session"), arn)
            }
            // What the row's note says: the permission on the root ARN is none, an organizations:* deny is no matter.
            "management principal without iam:ListOrganizationsFeatures on *" => self.principal(&json!([
                {"Effect": "Allow", "Action": "iam:*", "Resource": format!("arn:aws:iam::{management}:root")},
                {"Effect": "Deny", "Action": "organizations:*", "Resource": "*"},
            ])),
            "principal with sts:AssumeRoot denied" => self.principal(&json!([
                {"Effect": "Allow", "Action": "*", "Resource": "*"},
                {"Effect": "Deny", "Action": "sts:AssumeRoot", "Resource": "*"},
            ])),
            caller => {
                let task = caller.strip_prefix("root session ").unwrap_or_else(|| panic!("unknown caller `{caller}`"));
                (self.root_session(task).await, format!("arn:aws:iam::{MEMBER}:root"))
            }
        }
    }

    fn principal(&self, statements: &Value) -> (Credentials, String) {
        let arn = format!("arn:aws:iam::{}:user/example", self.aws.management_account());
        let credentials = self.aws.register(Principal {
            arn: arn.clone(),
            access_key_id: "AKIAPRINCIPALEXAMPLE".to_owned(),
            policies: vec![serde_json::from_value(json!({"Statement": statements})).unwrap()],
        });
        (credentials, arn)
    }

    /// What happened before the recorded call and is not in its state.
    async fn play_history(&self, observation: &Observation) {
        let give_login_profile = |create_date| {
            self.aws.with_organization(|organization| {
                let member = organization.accounts.get_mut(&MEMBER.parse().unwrap()).unwrap();
                member.root.login_profile = Some(LoginProfile { create_date });
            });
        };
        let recorded = time::macros::datetime!(2026-09-12 01:41:52 UTC);
        match observation.case.as_str() {
            "root_create_login_profile_again" | "root_get_login_profile_present" | "root_delete_login_profile" => {
                give_login_profile(recorded);
            }
            "root_summary_recovery_allowed" => {
                let session = self.root_session("IAMCreateRootUserPassword").await;
                self.succeed(&session, "iam:CreateLoginProfile", json!({})).await;
            }
            "root_get_login_profile_after_delete" | "root_summary_after_delete" => {
                give_login_profile(recorded);
                let session = self.root_session("IAMDeleteRootUserCredentials").await;
                self.succeed(&session, "iam:DeleteLoginProfile", json!({})).await;
            }
            "scp_denies_root" => self.aws.with_organization(|organization| {
                let root = organization.units.get_mut(&organization.root).unwrap();
                root.service_control_policies.push("DenyRootUsers".to_owned());
            }),
            _ => {}
        }
        match &observation.state.trusted_access {
            Some(TrustedAccess::Was(history)) if history == "removed, then enabled again" => {
                let service = json!({"ServicePrincipal": IAM_SERVICE});
                self.succeed(&self.management, "organizations:DisableAWSServiceAccess", service.clone()).await;
                self.succeed(&self.management, "organizations:EnableAWSServiceAccess", service).await;
            }
            Some(TrustedAccess::Was(history)) => panic!("unknown history `{history}`"),
            Some(TrustedAccess::Is(_)) | None => {}
        }
    }

    async fn root_session(&self, task: &str) -> Credentials {
        let input = json!({"TargetPrincipal": MEMBER, "TaskPolicyArn": {"arn": format!("{TASKS}{task}")}});
        let response = self.succeed(&self.management, "sts:AssumeRoot", input).await;
        let document = roxmltree::Document::parse(&response.body).unwrap();
        let text = |name| {
            let node = document.descendants().find(|node| node.tag_name().name() == name);
            node.unwrap().text().unwrap().to_owned()
        };
        Credentials {
            access_key_id: text("AccessKeyId"),
            secret_access_key: text("SecretAccessKey"),
            session_token: Some(text("SessionToken")),
        }
    }

    async fn succeed(&self, credentials: &Credentials, action: &str, input: Value) -> Response {
        let call = Call { action, input: &input, region: "us-east-1", host: None };
        let response = send(&self.aws, credentials, call).await.unwrap();
        assert_eq!(response.status, 200, "{action}: {}", response.body);
        response
    }
}

fn organization(management: &str) -> Organization {
    let file = json!({
        "id": "o-aaaaaaaaaa",
        "managementAccount": management,
        "features": ["RootSessions", "RootCredentialsManagement"],
        "trustedServices": [IAM_SERVICE],
        "delegatedAdministrators": {IAM_SERVICE: [DELEGATE]},
        "serviceControlPolicies": {
            "DenyRootUsers": {
                "Statement": {
                    "Effect": "Deny",
                    "Action": "*",
                    "Resource": "*",
                    "Condition": {"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:root"}},
                },
            },
        },
        "root": {
            "id": "r-aaaa",
            "serviceControlPolicies": [FULL_AWS_ACCESS],
            "accounts": [
                {"id": management},
                {"id": DELEGATE},
                {"id": MEMBER, "joinedAt": "2025-08-25T13:49:23Z"},
            ],
        },
    });
    Organization::from_json(&file.to_string()).unwrap()
}

fn compare(observation: &Observation, response: &Response, caller: &str, called_at: OffsetDateTime) -> Vec<String> {
    let mut differences = Vec::new();
    let mut expect = |what: &str, expected: &str, actual: &str| {
        if expected != actual {
            differences.push(format!("{what} is `{actual}` instead of `{expected}`"));
        }
    };
    let (code, message) = code_and_message(observation, response);
    expect("code", &observation.code, &code);
    // Where the recording has no status, the services' documentation has: 400 for all of these errors.
    let status = observation.http_status.unwrap_or(if observation.code == "Success" { 200 } else { 400 });
    expect("HTTP status", &status.to_string(), &response.status.to_string());
    if let Some(expected) = &observation.message {
        expect("message", &expected.replace("<caller-arn>", caller), &message);
    }
    match (&observation.output, observation.code.as_str()) {
        (Some(expected), "Success") => {
            let document = roxmltree::Document::parse(&response.body).unwrap();
            let result = format!("{}Result", observation.operation.split_once(':').unwrap().1);
            match document.root_element().children().find(|child| child.tag_name().name() == result) {
                Some(result) => {
                    let comparison = Comparison { observation, called_at };
                    comparison.compare("output", expected, result, &mut differences);
                }
                None if *expected == json!({}) => {}
                None => differences.push(format!("there is no {result}")),
            }
        }
        (None, "Success") => differences.push("a success without a recorded output".to_owned()),
        (Some(_), _) => differences.push("an error with a recorded output".to_owned()),
        (None, _) => {}
    }
    differences
}

fn code_and_message(observation: &Observation, response: &Response) -> (String, String) {
    if response.status == 200 {
        return ("Success".to_owned(), String::new());
    }
    if observation.operation.starts_with("organizations:") {
        let body: Value = serde_json::from_str(&response.body).unwrap();
        // The recording shows a modelled member of the exception as the AWS CLI prints it.
        let reason = body["Reason"].as_str().map(|reason| format!("\n\nAdditional error details:\nReason: {reason}"));
        let message = body["Message"].as_str().unwrap().to_owned() + &reason.unwrap_or_default();
        return (body["__type"].as_str().unwrap().to_owned(), message);
    }
    let document = roxmltree::Document::parse(&response.body).unwrap();
    let text = |name: &str| {
        let node = document.descendants().find(|node| node.tag_name().name() == name).unwrap();
        node.text().unwrap_or_default().to_owned()
    };
    (text("Code"), text("Message"))
}

struct Comparison<'a> {
    observation: &'a Observation,
    called_at: OffsetDateTime,
}

impl Comparison<'_> {
    fn compare(&self, path: &str, expected: &Value, actual: roxmltree::Node<'_, '_>, differences: &mut Vec<String>) {
        let elements: Vec<_> = actual.children().filter(roxmltree::Node::is_element).collect();
        match expected {
            Value::Object(members) => {
                let is_map = path.ends_with(".SummaryMap");
                let find = |name: &str| {
                    if is_map {
                        let entry = elements.iter().find(|entry| child_text(**entry, "key") == name)?;
                        return entry.children().find(|child| child.tag_name().name() == "value");
                    }
                    elements.iter().find(|element| element.tag_name().name() == name).copied()
                };
                for (name, value) in members {
                    match find(name) {
                        Some(element) => self.compare(&format!("{path}.{name}"), value, element, differences),
                        None => differences.push(format!("{path}.{name} is missing")),
                    }
                }
                // The recordings are condensed in these places only; elsewhere a member more is a difference, such as
                // a UserName that root users do not have.
                let is_left_out = |name: &str| match path {
                    "output" => name == "IsTruncated",
                    "output.Credentials" => ["AccessKeyId", "SecretAccessKey", "SessionToken"].contains(&name),
                    "output.SummaryMap" => true,
                    _ => false,
                };
                for element in elements {
                    let name = element.tag_name().name();
                    if !members.contains_key(name) && !is_left_out(name) {
                        differences.push(format!("{path}.{name} was not recorded"));
                    }
                }
            }
            Value::Array(items) => {
                if items.len() != elements.len() {
                    differences.push(format!("{path} has {} items instead of {}", elements.len(), items.len()));
                }
                for (item, element) in items.iter().zip(elements) {
                    self.compare(&format!("{path}[]"), item, element, differences);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                let actual = actual.text().unwrap_or_default();
                let expected = expected.as_str().map_or_else(|| expected.to_string(), str::to_owned);
                if !self.is_same(&expected, actual) {
                    differences.push(format!("{path} is `{actual}` instead of `{expected}`"));
                }
            }
        }
    }

    /// Text for text, but dates as instants, and dates that depend on the time of the call as such.
    fn is_same(&self, expected: &str, actual: &str) -> bool {
        let soon_after = |instant: OffsetDateTime| {
            OffsetDateTime::parse(actual, &Rfc3339).is_ok_and(|actual| (actual - instant).abs() < Duration::seconds(5))
        };
        if let Some(seconds) = expected.strip_prefix("call time + ").and_then(|rest| rest.strip_suffix(" s")) {
            return soon_after(self.called_at + Duration::seconds(seconds.parse().unwrap()));
        }
        match OffsetDateTime::parse(expected, &Rfc3339) {
            Ok(_) if self.observation.case == "root_create_login_profile" => soon_after(self.called_at),
            Ok(expected) => OffsetDateTime::parse(actual, &Rfc3339) == Ok(expected),
            Err(_) => expected == actual,
        }
    }
}

fn child_text<'a>(node: roxmltree::Node<'a, '_>, name: &str) -> &'a str {
    node.children().find(|child| child.tag_name().name() == name).and_then(|child| child.text()).unwrap_or_default()
}
