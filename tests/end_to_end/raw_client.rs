//! A client without an SDK: it signs, sends, and shows what comes back.

use hyper::Request;
use hyper::body::Bytes;
use hyper::http::request::Builder;
use serde_json::Value;
use simulator::aws::{Aws, Credentials};

/// A call as a client makes it.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    /// `iam:GetUser`.
    pub(crate) action: &'a str,
    pub(crate) input: &'a Value,
    pub(crate) region: &'a str,
    /// None for the endpoint's own.
    pub(crate) host: Option<&'a str>,
}

pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) request_id: Option<String>,
    pub(crate) body: String,
}

/// `None` if the connection ended without an answer.
pub(crate) async fn send(aws: &Aws, credentials: &Credentials, call: Call<'_>) -> Option<Response> {
    let (service, operation) = call.action.split_once(':').unwrap();
    let request = Request::post("/").header("host", call.host.unwrap_or("127.0.0.1"));
    let mut request = match service {
        "sts" | "iam" => request.body(Bytes::from(form(operation, call.input))),
        "organizations" => json(request, &format!("AWSOrganizationsV20161128.{operation}"), call.input),
        "events" => json(request, &format!("AWSEvents.{operation}"), call.input),
        _ => panic!("the raw client does not speak to `{service}`"),
    }
    .unwrap();
    credentials.sign(&mut request, call.region, service, aws.clock().now()).unwrap();
    let response = aws.answer(request).await.ok()?;
    let status = response.status().as_u16();
    let request_id = response.headers().get("x-amzn-requestid").map(|id| id.to_str().unwrap().to_owned());
    Some(Response { status, request_id, body: String::from_utf8(response.into_body().to_vec()).unwrap() })
}

fn json(request: Builder, target: &str, input: &Value) -> http::Result<Request<Bytes>> {
    let request = request.header("content-type", "application/x-amz-json-1.1").header("x-amz-target", target);
    request.body(Bytes::from(input.to_string()))
}

fn form(operation: &str, input: &Value) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("Action", operation);
    for (member, value) in input.as_object().unwrap() {
        match value {
            Value::Object(members) => {
                for (inner, value) in members {
                    form.append_pair(&format!("{member}.{inner}"), &text(value));
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                form.append_pair(member, &text(value));
            }
        }
    }
    form.finish()
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
