//! What callers may do, what their calls change, and what faults do to them: signed requests without a network.
#![expect(clippy::unused_async, reason = "the tests read as if a client called")]

mod bucket_policies;
mod buckets;
mod callers;
mod events;
mod faults;
mod organization;
mod queues;
mod root_activity;
mod root_sessions;
mod root_user;
mod schedules;
mod tables;

use serde_json::{Value, json};

use super::service::Service;
use super::*;

const MANAGEMENT: &str = "111122223333";
const AUDIT: &str = "222233334444";
/// Has leftovers of every kind; the unit above it has AWS's recommended exemption for root sessions.
const SHOP: &str = "444455556666";
const STS_OFF_IN_FRANKFURT: &str = "666677778888";
const NOT_READY: &str = "777788889999";
const UNDER_SCP: &str = "888899990000";
const SUSPENDED: &str = "999900001111";
const TASKS: &str = "arn:aws:iam::aws:policy/root-task/";

struct Reply {
    /// `Success`, the code of an error, or what the network did.
    code: String,
    body: String,
}

impl Reply {
    fn text(&self, element: &str) -> String {
        let (_, rest) = self.body.split_once(&format!("<{element}>")).expect(element);
        rest.split_once('<').unwrap().0.to_owned()
    }
}

fn account(id: &str) -> AccountId {
    id.parse().unwrap()
}

fn aws() -> Aws {
    let organization = include_str!("../../fixtures/organization.json");
    Aws::new(Organization::from_json(organization).unwrap(), Clock::default())
}

fn auditor(aws: &Aws) -> Credentials {
    aws.administrator(&account(AUDIT))
}

/// A caller in the audit account that has these statements as its policy.
fn principal(aws: &Aws, statements: &Value) -> Credentials {
    aws.register(Principal {
        arn: format!("arn:aws:iam::{AUDIT}:user/example"),
        access_key_id: "AKIAPRINCIPALEXAMPLE".to_owned(),
        policies: vec![serde_json::from_value(json!({"Statement": statements})).unwrap()],
    })
}

async fn call_in(aws: &Aws, region: &str, credentials: &Credentials, action: &str, input: &Value) -> Reply {
    let (service, operation) = action.split_once(':').unwrap();
    let request = hyper::Request::post("/").header("host", "localhost");
    let request = match Service::from_name(service).unwrap().protocol() {
        service::Protocol::Query { .. } => {
            let mut form = form_urlencoded::Serializer::new(format!("Action={operation}"));
            for (member, value) in input.as_object().unwrap() {
                form.append_pair(member, value.as_str().unwrap());
            }
            request.body(form.finish().into())
        }
        service::Protocol::Rest | service::Protocol::RestJson => panic!("`{action}` is not called like that"),
        service::Protocol::Json { .. } => {
            request.header("x-amz-target", format!("Target.{operation}")).body(input.to_string().into())
        }
    };
    let mut request = request.unwrap();
    credentials.sign(&mut request, region, service, aws.clock().now()).unwrap();
    react(aws, request).await
}

async fn react(aws: &Aws, request: hyper::Request<Bytes>) -> Reply {
    let (head, body) = request.into_parts();
    let response = match aws.react(&Request { head, body }) {
        Reaction::Answer(response) => response,
        Reaction::Silence => {
            return Reply { code: "Silence".to_owned(), body: String::new() };
        }
        Reaction::Disconnect => {
            return Reply { code: "Disconnect".to_owned(), body: String::new() };
        }
    };
    assert!(response.headers().contains_key("x-amzn-requestid"));
    let status = response.status();
    let body = response.into_body();
    let body = String::from_utf8_lossy(&body).into_owned();
    let code = match serde_json::from_str::<Value>(&body) {
        _ if status == 200 => "Success".to_owned(),
        Ok(error) => error["__type"].as_str().unwrap().to_owned(),
        Err(_) => body.split_once("<Code>").unwrap().1.split_once('<').unwrap().0.to_owned(),
    };
    Reply { code, body }
}

async fn call(aws: &Aws, credentials: &Credentials, action: &str, input: Value) -> Reply {
    call_in(aws, "us-east-1", credentials, action, &input).await
}

async fn assume_root(aws: &Aws, credentials: &Credentials, target: &str, task: &str) -> Reply {
    let input = json!({"TargetPrincipal": target, "TaskPolicyArn.arn": format!("{TASKS}{task}")});
    call(aws, credentials, "sts:AssumeRoot", input).await
}

async fn root_session(aws: &Aws, target: &str, task: &str) -> Credentials {
    let reply = assume_root(aws, &auditor(aws), target, task).await;
    assert_eq!(reply.code, "Success", "{}", reply.body);
    Credentials {
        access_key_id: reply.text("AccessKeyId"),
        secret_access_key: reply.text("SecretAccessKey"),
        session_token: Some(reply.text("SessionToken")),
    }
}
