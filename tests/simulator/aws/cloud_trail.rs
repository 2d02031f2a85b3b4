//! What CloudTrail logs of root sessions: that they are opened, in the caller's account, and what is done in them, in the
//! member's.
//!
//! An event is a sample (`tests/fixtures/events`, whose `SOURCES.md` says how sure each is) with a call's values in it.
//! Other calls are not logged: nobody listens to them.

use serde_json::{Map, Value, json};
use time::macros::format_description;
use time::{OffsetDateTime, format_description::BorrowedFormatItem};

use super::World;
use super::call::Call;
use super::caller::Authority;
use super::emission::{Emission, replace, replace_at, seconds};
use super::guard_duty::{RootUse, Scope, UseOf};
use super::service::Service;
use super::watch::{Access, AssumedRoot, SessionFinding, Watch};
use crate::api::Answer;

const ASSUME_ROOT: &str = include_str!("../../fixtures/events/cloudtrail-assume-root-call.json");
const ROOT_SESSION: &str = include_str!("../../fixtures/events/cloudtrail-root-session-delete-login-profile.json");
const ROOT_SESSION_CREATES: &str =
    include_str!("../../fixtures/events/cloudtrail-root-session-create-login-profile.json");

/// `Nov 15, 2026, 9:07:11 PM`: dates in what a service answered.
const ANSWER_DATE: &[BorrowedFormatItem<'_>] = format_description!(
    "[month repr:short] [day padding:none], [year], [hour repr:12 padding:none]:[minute]:[second] [period]"
);

impl World {
    /// Logs a call that was answered, if it is one that is watched.
    pub(super) fn log_call(&mut self, call: &Call, answer: &Answer, request_id: &str) {
        let Some(watch) = self.watch.clone() else {
            return;
        };
        let is_session = matches!(call.caller.authority, Authority::RootSession(_));
        let mut event = match (call.service, call.operation.as_str()) {
            // The global endpoint does not know the operation, and so logs none.
            (Service::Sts, "AssumeRoot") if !answer.as_ref().is_err_and(|error| error.code == "InvalidAction") => {
                assume_root(call, answer, watch.assume_root)
            }
            _ if is_session => self.root_session(call, answer, watch.assumed_root),
            _ => return,
        };
        if let Err(error) = answer
            && let Some(detail) = event.get_mut("detail").and_then(Value::as_object_mut)
        {
            detail.insert("errorCode".to_owned(), json!(error.code));
            detail.insert("errorMessage".to_owned(), json!(error.message));
            detail.insert("responseElements".to_owned(), Value::Null);
        }
        replace_at(&mut event, "/detail/requestID", request_id);
        self.log(event, call.caller.account.as_str(), &call.region, call.at);
        if is_session {
            self.see_root_session(call, &watch);
        }
    }

    /// Has CloudTrail emit an event about something that was done in an account and a Region.
    pub(super) fn log(&mut self, mut event: Value, account: &str, region: &str, at: OffsetDateTime) {
        replace(&mut event, "id", self.sequence.next_uuid("event"));
        replace(&mut event, "account", account);
        replace(&mut event, "region", region);
        replace(&mut event, "time", seconds(at));
        replace_at(&mut event, "/detail/eventTime", seconds(at));
        replace_at(&mut event, "/detail/awsRegion", region);
        replace_at(&mut event, "/detail/eventID", self.sequence.next_uuid("CloudTrail event"));
        replace_at(&mut event, "/detail/recipientAccountId", account);
        let delay = self.watch.as_ref().map(|watch| watch.trail_delay).unwrap_or_default();
        if delay.is_zero() {
            self.emit(&event, at);
        } else {
            self.schedule(at + delay, Emission::Event(event));
        }
    }

    fn root_session(&self, call: &Call, answer: &Answer, assumed_root: AssumedRoot) -> Value {
        let sample = if call.operation == "CreateLoginProfile" { ROOT_SESSION_CREATES } else { ROOT_SESSION };
        let mut event: Value = serde_json::from_str(sample).unwrap_or_default();
        let account = call.caller.account.as_str();
        replace(&mut event, "source", format!("aws.{}", call.service.name()));
        let Some(detail) = event.get_mut("detail") else {
            return event;
        };
        identify_root(detail, account, &call.caller.access_key_id);
        let opened = self.sessions.opened(&call.caller.access_key_id).unwrap_or(call.at);
        replace_at(detail, "/userIdentity/sessionContext/attributes/creationDate", seconds(opened));
        if assumed_root == AssumedRoot::Missing
            && let Some(context) = detail.pointer_mut("/userIdentity/sessionContext").and_then(Value::as_object_mut)
        {
            context.remove("assumedRoot");
        }
        replace(detail, "eventSource", format!("{}.amazonaws.com", call.service.name()));
        replace(detail, "eventName", call.operation.as_str());
        replace(detail, "userAgent", call.user_agent.as_str());
        replace(detail, "requestParameters", request_parameters(call));
        replace(detail, "readOnly", is_read_only(&call.operation));
        if answer.is_ok() {
            replace_at(detail, "/responseElements/loginProfile/createDate", answer_date(call.at));
        }
        event
    }

    fn see_root_session(&mut self, call: &Call, watch: &Watch) {
        let region = call.region.clone();
        self.see_root_use(&RootUse {
            account: call.caller.account.clone(),
            access_key_id: call.caller.access_key_id.clone(),
            of: match watch.session_finding {
                SessionFinding::ShortTermRootCredentialUsage => UseOf::RootSession,
                SessionFinding::RootCredentialUsage => UseOf::RootCredentials,
            },
            api: call.operation.clone(),
            service: format!("{}.amazonaws.com", call.service.name()),
            scope: if call.service == Service::Iam { Scope::Global } else { Scope::Region(region) },
            source_ip_address: SOURCE_IP_ADDRESS.to_owned(),
            user_agent: call.user_agent.clone(),
            at: call.at,
        });
    }
}

/// Where calls over the loopback are said to come from: the address of the samples.
const SOURCE_IP_ADDRESS: &str = "192.0.2.1";

/// In the caller's account, in the Region of the endpoint.
fn assume_root(call: &Call, answer: &Answer, access: Access) -> Value {
    let mut event: Value = serde_json::from_str(ASSUME_ROOT).unwrap_or_default();
    let Some(detail) = event.get_mut("detail") else {
        return event;
    };
    if let Some(identity) = detail.get_mut("userIdentity") {
        identify_caller(identity, call);
    }
    replace(detail, "userAgent", call.user_agent.as_str());
    replace(detail, "requestParameters", parameters(&call.input_without_secrets()));
    replace_at(detail, "/requestParameters/durationSeconds", duration(call));
    replace(detail, "readOnly", access == Access::ReadOnly);
    if let Ok(answer) = answer {
        let text = |pointer: &str| answer.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let expires =
            OffsetDateTime::parse(text("/Credentials/Expiration"), &time::format_description::well_known::Rfc3339);
        let credentials = "/responseElements/credentials";
        replace_at(detail, &format!("{credentials}/accessKeyId"), text("/Credentials/AccessKeyId"));
        replace_at(detail, &format!("{credentials}/expiration"), expires.map(answer_date).unwrap_or_default());
    }
    event
}

/// A number on the wire of the query protocol is text.
fn duration(call: &Call) -> Value {
    let seconds = call.input.get("DurationSeconds");
    let number = seconds.and_then(Value::as_str).and_then(|text| text.parse::<i64>().ok());
    number.map_or_else(|| seconds.cloned().unwrap_or_default(), Value::from)
}

/// A session of a role as in the sample. An IAM user has no session and so no `sessionContext`.
/// <https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-user-identity.html>
fn identify_caller(identity: &mut Value, call: &Call) {
    let caller = &call.caller;
    let account = caller.account.as_str();
    let name = |arn: &str| arn.rsplit('/').next().unwrap_or_default().to_owned();
    if !caller.arn.contains(":assumed-role/") {
        *identity = json!({
            "type": "IAMUser",
            "principalId": format!("AIDA{account}EXAMPLE"),
            "arn": caller.arn,
            "accountId": account,
            "accessKeyId": caller.access_key_id,
            "userName": name(&caller.arn),
        });
        return;
    }
    let issuer = "/sessionContext/sessionIssuer";
    let principal_id = identity.pointer(&format!("{issuer}/principalId")).and_then(Value::as_str).unwrap_or_default();
    let principal_id = format!("{principal_id}:{}", name(&caller.arn));
    replace(identity, "principalId", principal_id);
    replace(identity, "arn", caller.arn.as_str());
    replace(identity, "accountId", account);
    replace(identity, "accessKeyId", caller.access_key_id.as_str());
    replace_at(identity, &format!("{issuer}/arn"), caller.principal_arn.as_str());
    replace_at(identity, &format!("{issuer}/accountId"), account);
    replace_at(identity, &format!("{issuer}/userName"), name(&caller.principal_arn));
    replace_at(identity, "/sessionContext/attributes/creationDate", seconds(call.at));
}

/// Makes the root user of an account the one who did it.
pub(super) fn identify_root(detail: &mut Value, account: &str, access_key_id: &str) {
    if let Some(identity) = detail.get_mut("userIdentity") {
        replace(identity, "principalId", account);
        replace(identity, "arn", format!("arn:aws:iam::{account}:root"));
        replace(identity, "accountId", account);
        replace(identity, "accessKeyId", access_key_id);
    }
}

/// S3's bucket has another name there, and the names of a queue's attributes stay as they are.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/cloudtrail-logging-understanding-s3-entries.html>
fn request_parameters(call: &Call) -> Value {
    let mut parameters = parameters(&call.input_without_secrets());
    if let Some(members) = parameters.as_object_mut() {
        if call.service == Service::S3
            && let Some(bucket) = members.remove("bucket")
        {
            members.insert("bucketName".to_owned(), bucket);
            members.insert("Host".to_owned(), json!(format!("s3.{}.amazonaws.com", call.region)));
        }
        if let (Service::Sqs, Some(attributes)) = (call.service, call.input.get("Attributes")) {
            members.insert("attributes".to_owned(), attributes.clone());
        }
    }
    parameters
}

/// The input of a call as CloudTrail writes it; null if there is none.
fn parameters(input: &Value) -> Value {
    match input {
        Value::Object(members) if members.is_empty() => Value::Null,
        Value::Object(members) => {
            let camel = |name: &String| {
                let mut characters = name.chars();
                let first = characters.next().map(|first| first.to_ascii_lowercase());
                first.into_iter().chain(characters).collect::<String>()
            };
            Value::Object(members.iter().map(|(name, value)| (camel(name), parameters(value))).collect::<Map<_, _>>())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => input.clone(),
    }
}

pub(super) fn is_read_only(operation: &str) -> bool {
    ["Describe", "Get", "List"].iter().any(|prefix| operation.starts_with(prefix))
}

pub(super) fn answer_date(instant: OffsetDateTime) -> String {
    instant.format(ANSWER_DATE).unwrap_or_default()
}
