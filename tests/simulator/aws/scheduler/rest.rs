//! The Scheduler's requests: `/schedules/{Name}` with members in the query and in a JSON body.
//! <https://docs.aws.amazon.com/scheduler/latest/APIReference/API_Operations.html>

use serde_json::{Map, Value, json};

use crate::api::ApiError;
use crate::aws::service::Service;
use crate::aws::wire::Request;

/// The operation that a request asks for, and its input.
pub(crate) fn read(request: &Request) -> Result<(String, Value), ApiError> {
    let (method, path) = (request.head.method.as_str(), request.head.uri.path());
    let unknown = || Service::Scheduler.unknown_operation(&format!("{method} {path}"));
    let name = path.strip_prefix("/schedules/").filter(|name| !name.is_empty()).ok_or_else(unknown)?;
    let operation = match method {
        "POST" => "CreateSchedule",
        "PUT" => "UpdateSchedule",
        "GET" => "GetSchedule",
        "DELETE" => "DeleteSchedule",
        _ => return Err(unknown()),
    };
    let malformed = |problem: String| ApiError::new("SerializationException", 400, problem);
    let mut input = match &request.body {
        body if body.is_empty() => Map::new(),
        body => serde_json::from_slice(body).map_err(|error| malformed(error.to_string()))?,
    };
    for (parameter, value) in form_urlencoded::parse(request.head.uri.query().unwrap_or_default().as_bytes()) {
        let member = match parameter.as_ref() {
            "clientToken" => "ClientToken",
            "groupName" => "GroupName",
            other => return Err(Service::Scheduler.invalid_input(format!("{operation}: unknown parameter `{other}`"))),
        };
        input.insert(member.to_owned(), json!(value));
    }
    // A name has only letters that are written as they are; another is refused as one that does not fit the pattern.
    input.insert("Name".to_owned(), json!(name));
    Ok((operation.to_owned(), Value::Object(input)))
}
