//! The wire protocols: an HTTP request becomes an operation with its input, an answer becomes an HTTP response.
//!
//! This module must not know operations. Service and Region come from the signature's credential scope, so one port
//! serves everything.

use hyper::body::Bytes;
use hyper::http::request::Parts;
use hyper::{Response, StatusCode, header};
use serde_json::{Map, Value, json};

use super::service::{Protocol, Service, not_simulated, unsigned};
use super::{s3, scheduler};
use crate::api::{Answer, ApiError};

/// A request with its whole body.
pub(crate) struct Request {
    pub(crate) head: Parts,
    pub(crate) body: Bytes,
}

/// What a request says, its caller still unknown.
pub(crate) struct Message {
    pub(crate) service: Service,
    pub(crate) region: String,
    pub(crate) access_key_id: String,
    pub(crate) token: Option<String>,
    pub(crate) operation: String,
    pub(crate) input: Value,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.headers.get(name)?.to_str().ok()
    }

    pub(crate) fn read(&self) -> Result<Message, ApiError> {
        let authorization = self.header("authorization").ok_or_else(unsigned)?;
        let scope = authorization
            .split_once("Credential=")
            .and_then(|(_, rest)| rest.split([',', ' ']).next())
            .unwrap_or_default();
        let parts: Vec<_> = scope.split('/').collect();
        let [access_key_id, _date, region, service, "aws4_request"] = parts.as_slice() else {
            let message = "Authorization header requires a complete 'Credential' parameter.";
            return Err(ApiError::new("IncompleteSignature", 400, message));
        };
        let service = Service::from_name(service).ok_or_else(|| not_simulated(format!("the service `{service}`")))?;
        let (operation, input) = match service.protocol() {
            Protocol::Query { .. } => self.read_form()?,
            Protocol::Json { .. } => self.read_json(service)?,
            Protocol::Rest => s3::read(self)?,
            Protocol::RestJson => scheduler::read(self)?,
        };
        Ok(Message {
            service,
            region: service.region(region).to_owned(),
            access_key_id: (*access_key_id).to_owned(),
            token: self.header("x-amz-security-token").map(str::to_owned),
            operation,
            input,
        })
    }

    fn read_form(&self) -> Result<(String, Value), ApiError> {
        let form = if self.body.is_empty() { self.head.uri.query().unwrap_or_default().as_bytes() } else { &self.body };
        let mut operation = None;
        let mut input = Value::Object(Map::new());
        for (name, value) in form_urlencoded::parse(form) {
            match name.as_ref() {
                "Action" => operation = Some(value.into_owned()),
                "Version" => {}
                path => insert(&mut input, path, value.into_owned()),
            }
        }
        let missing = || ApiError::new("MissingAction", 400, "Request is missing the Action parameter");
        Ok((operation.ok_or_else(missing)?, input))
    }

    fn read_json(&self, service: Service) -> Result<(String, Value), ApiError> {
        let target = self.header("x-amz-target").and_then(|target| target.rsplit_once('.'));
        let (_, operation) = target.ok_or_else(|| service.unknown_operation("without an X-Amz-Target header"))?;
        let body: &[u8] = if self.body.is_empty() { b"{}" } else { &self.body };
        let malformed = |problem: String| ApiError::new("SerializationException", 400, problem);
        let input: Value = serde_json::from_slice(body).map_err(|error| malformed(error.to_string()))?;
        if !input.is_object() {
            return Err(malformed("the body is not a JSON object".to_owned()));
        }
        Ok((operation.to_owned(), input))
    }

    /// Which protocol an answer takes when the request could not be read.
    fn protocol(&self) -> Protocol {
        let authorization = self.header("authorization").unwrap_or_default();
        let is_for = |service: Service| authorization.contains(&format!("/{}/aws4_request", service.name()));
        match self.header("x-amz-target") {
            Some(_) => Service::Organizations,
            None if is_for(Service::S3) => Service::S3,
            None if is_for(Service::Scheduler) => Service::Scheduler,
            None => Service::Sts,
        }
        .protocol()
    }

    /// The response to a request that could not be read.
    pub(crate) fn refuse(&self, error: ApiError, request_id: &str) -> Response<Bytes> {
        respond(self.protocol(), "", &Err(error), request_id)
    }
}

/// The response to a call. Every one carries its request id, without which SDKs have none to log.
pub(crate) fn respond(protocol: Protocol, operation: &str, answer: &Answer, request_id: &str) -> Response<Bytes> {
    if protocol == Protocol::Rest {
        return s3::respond(operation, answer, request_id, false);
    }
    let body = Bytes::from(body(protocol, operation, answer, request_id));
    response(protocol, answer, body, request_id)
}

/// The same, but it breaks off near its end, in a byte that is no UTF-8: some clients, the SDK for Rust among them, take
/// XML that only breaks off for whole. The secrets before it are whole, so whoever quotes what it cannot read gives them
/// away.
pub(crate) fn respond_garbled(
    protocol: Protocol,
    operation: &str,
    answer: &Answer,
    request_id: &str,
) -> Response<Bytes> {
    if protocol == Protocol::Rest {
        return s3::respond(operation, answer, request_id, true);
    }
    let body = body(protocol, operation, answer, request_id);
    // Clients stop reading at the end of the output.
    let end_of_output = body.find(&format!("</{operation}Result>")).unwrap_or(body.len());
    let mut garbled = body.into_bytes();
    garbled.truncate(end_of_output.saturating_sub(20));
    garbled.push(0xff);
    response(protocol, answer, Bytes::from(garbled), request_id)
}

fn body(protocol: Protocol, operation: &str, answer: &Answer, request_id: &str) -> String {
    match protocol {
        Protocol::Query { namespace } => xml_body(namespace, operation, answer, request_id),
        Protocol::Json { .. } | Protocol::Rest | Protocol::RestJson => json_body(answer),
    }
}

fn response(protocol: Protocol, answer: &Answer, body: Bytes, request_id: &str) -> Response<Bytes> {
    let status = answer.as_ref().err().map_or(200, |error| error.status);
    let content_type = match protocol {
        Protocol::Query { .. } => "text/xml",
        Protocol::Json { content_type } => content_type,
        Protocol::Rest => "application/xml",
        Protocol::RestJson => "application/json",
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    if let Ok(request_id) = header::HeaderValue::from_str(request_id) {
        headers.insert("x-amzn-requestid", request_id);
    }
    if let Err(error) = answer {
        let query_code = query_code(&error.code).map(|code| ("x-amzn-query-error", format!("{code};Sender")));
        let error_type = (protocol == Protocol::RestJson).then(|| ("x-amzn-errortype", error.code.clone()));
        for (name, value) in query_code.into_iter().chain(error_type) {
            if let Ok(value) = header::HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
    }
    response
}

/// The code that an error of SQS had before SQS spoke JSON. It is in a header, where SDKs look for it first; without it
/// they do not know the error.
/// <https://smithy.io/2.0/aws/protocols/aws-query-protocol.html#aws-protocols-awsquerycompatible-trait>
fn query_code(code: &str) -> Option<&'static str> {
    match code {
        "MessageNotInflight" => Some("AWS.SimpleQueueService.MessageNotInflight"),
        "QueueDoesNotExist" => Some("AWS.SimpleQueueService.NonExistentQueue"),
        _ => None,
    }
}

/// `TaskPolicyArn.arn=…` is a member of a member.
fn insert(into: &mut Value, path: &str, value: String) {
    let mut place = into;
    for member in path.split('.') {
        if !place.is_object() {
            *place = Value::Object(Map::new());
        }
        let Some(object) = place.as_object_mut() else {
            return;
        };
        place = object.entry(member).or_insert(Value::Null);
    }
    // A structure that is also written as an empty value keeps its members.
    if !place.is_object() {
        *place = Value::String(value);
    }
}

fn json_body(answer: &Answer) -> String {
    match answer {
        Ok(Value::Null) => "{}".to_owned(),
        Ok(output) => output.to_string(),
        Err(error) => {
            // Services disagree on the case of this member, and clients read both.
            let mut members = Map::new();
            members.insert("__type".to_owned(), json!(error.code));
            members.insert("Message".to_owned(), json!(error.message));
            members.insert("message".to_owned(), json!(error.message));
            members.extend(error.members.clone());
            Value::Object(members).to_string()
        }
    }
}

fn xml_body(namespace: &str, operation: &str, answer: &Answer, request_id: &str) -> String {
    match answer {
        Ok(output) => {
            let mut result = String::new();
            // An operation without output has no result element; one whose output is hollow has an empty one.
            if output.is_object() {
                write_element(&mut result, &format!("{operation}Result"), output);
            }
            format!(
                "<{operation}Response xmlns=\"{namespace}\">{result}<ResponseMetadata><RequestId>{request_id}</RequestId>\
                 </ResponseMetadata></{operation}Response>"
            )
        }
        Err(error) => {
            let fault = if error.status < 500 { "Sender" } else { "Receiver" };
            let mut body = String::new();
            write_element(&mut body, "Error", &json!({"Type": fault, "Code": error.code, "Message": error.message}));
            format!("<ErrorResponse xmlns=\"{namespace}\">{body}<RequestId>{request_id}</RequestId></ErrorResponse>")
        }
    }
}

/// The one member that is a map and not a structure.
const MAP: &str = "SummaryMap";

fn write_element(xml: &mut String, name: &str, value: &Value) {
    if value.is_null() {
        return;
    }
    xml.extend(["<", name, ">"]);
    match value {
        Value::Object(entries) if name == MAP => {
            for (key, value) in entries {
                write_element(xml, "entry", &json!({"key": key, "value": value}));
            }
        }
        Value::Object(members) => {
            for (member, value) in members {
                write_element(xml, member, value);
            }
        }
        Value::Array(items) => {
            for item in items {
                write_element(xml, "member", item);
            }
        }
        Value::String(text) => xml.push_str(&escape(text)),
        Value::Bool(_) | Value::Number(_) => xml.push_str(&value.to_string()),
        Value::Null => {}
    }
    xml.extend(["</", name, ">"]);
}

pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dotted_names_are_members_of_members() {
        let mut input = json!({});
        insert(&mut input, "TaskPolicyArn.arn", "a".to_owned());
        insert(&mut input, "DurationSeconds", "900".to_owned());
        assert_eq!(input, json!({"TaskPolicyArn": {"arn": "a"}, "DurationSeconds": "900"}));
    }

    #[test]
    fn xml_has_members_entries_and_escaped_text() {
        let answer = Ok(json!({
            "Keys": [{"Id": "a<b"}],
            "None": null,
            "SummaryMap": {"Users": 0},
            "IsTruncated": false,
        }));
        assert_eq!(
            xml_body("ns", "List", &answer, "1"),
            "<ListResponse xmlns=\"ns\"><ListResult><Keys><member><Id>a&lt;b</Id></member></Keys><SummaryMap><entry>\
             <key>Users</key><value>0</value></entry></SummaryMap><IsTruncated>false</IsTruncated></ListResult>\
             <ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></ListResponse>"
        );
    }
}
