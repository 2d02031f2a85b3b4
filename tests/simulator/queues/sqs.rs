//! The SQS API over the queues. Codes and texts are those of the API reference and of its model in botocore.
//!
//! A member that it does not know is an error, never ignored.

use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use super::message::{self, Message, Receipt};
use super::{Queue, QueueSettings, State};
use crate::api::{Answer, ApiError};

/// The longest time from receiving a message until it is visible again, in seconds.
const LONGEST_VISIBILITY_TIMEOUT: u64 = 43_200;

pub(super) fn call(state: &mut State, now: OffsetDateTime, operation: &str, input: &Value) -> Answer {
    match operation {
        "SendMessage" => send_message(state, now, parse(input)?),
        "ReceiveMessage" => receive_message(state, now, &parse(input)?),
        "DeleteMessage" => delete_message(state, &parse(input)?),
        "ChangeMessageVisibility" => change_message_visibility(state, now, &parse(input)?),
        "GetQueueAttributes" => get_queue_attributes(state, now, &parse(input)?),
        "GetQueueUrl" => get_queue_url(state, &parse(input)?),
        "ListQueues" => Ok(list_queues(state, &parse(input)?)),
        _ => Err(ApiError::new(
            "UnknownOperationException",
            400,
            format!("the simulator does not know the operation sqs:{operation}"),
        )),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct SendMessage {
    queue_url: Option<String>,
    message_body: Option<String>,
    delay_seconds: Option<u64>,
    #[serde(default)]
    message_attributes: Map<String, Value>,
}

fn send_message(state: &mut State, now: OffsetDateTime, input: SendMessage) -> Answer {
    let arn = existing(state, input.queue_url.as_deref())?;
    let body = input.message_body.filter(|body| !body.is_empty());
    let body = body.ok_or_else(|| missing("MessageBody"))?;
    let delay = within("DelaySeconds", input.delay_seconds.unwrap_or(0), 0, 900)?;
    for (name, attribute) in &input.message_attributes {
        if attribute.get("StringValue").and_then(Value::as_str).is_none() {
            let reason = "the simulator knows only attributes with a StringValue";
            return Err(invalid(&attribute.to_string(), name, reason));
        }
    }
    let mut answer = json!({ "MD5OfMessageBody": message::md5_of_body(&body) });
    let attributes_digest = message::md5_of_attributes(&input.message_attributes);
    let has_attributes = !input.message_attributes.is_empty();
    let message = Message::new(body, input.message_attributes, now, Duration::from_secs(delay));
    let id = state.send(&arn, message).map_err(|_| no_such_queue())?;
    if let Some(answer) = answer.as_object_mut() {
        answer.insert("MessageId".to_owned(), json!(id));
        if has_attributes {
            answer.insert("MD5OfMessageAttributes".to_owned(), json!(attributes_digest));
        }
    }
    Ok(answer)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ReceiveMessage {
    queue_url: Option<String>,
    max_number_of_messages: Option<u64>,
    visibility_timeout: Option<u64>,
    /// An empty answer at once is one that long polling may give too, so nothing waits here.
    #[serde(rename = "WaitTimeSeconds")]
    _wait_time_seconds: Option<u64>,
    #[serde(default)]
    message_attribute_names: Vec<String>,
    /// The name that replaced `AttributeNames`.
    #[serde(default)]
    message_system_attribute_names: Vec<String>,
    #[serde(default)]
    attribute_names: Vec<String>,
}

fn receive_message(state: &mut State, now: OffsetDateTime, input: &ReceiveMessage) -> Answer {
    let arn = existing(state, input.queue_url.as_deref())?;
    let most = within("MaxNumberOfMessages", input.max_number_of_messages.unwrap_or(1), 1, 10)?;
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let hide_for = match input.visibility_timeout {
        Some(seconds) => Some(visibility_timeout(seconds)?),
        None => None,
    };
    let messages: Vec<Value> = state
        .receive(&arn, now, most, hide_for)
        .iter()
        .map(|message| {
            let mut json = message.to_json();
            let system: Vec<_> = [&input.message_system_attribute_names[..], &input.attribute_names].concat();
            keep_named(&mut json, "Attributes", &system);
            keep_named(&mut json, "MessageAttributes", &input.message_attribute_names);
            json
        })
        .collect();
    // Without messages the member is absent.
    Ok(if messages.is_empty() { json!({}) } else { json!({ "Messages": messages }) })
}

/// Leaves only the attributes that were asked for: by name, all, or by the beginning of the name before `.*`.
fn keep_named(message: &mut Value, member: &str, names: &[String]) {
    let is_named = |attribute: &str| {
        names.iter().any(|name| match name.strip_suffix(".*") {
            Some(beginning) => attribute.starts_with(beginning),
            None => name == "All" || name == attribute,
        })
    };
    let Some(message) = message.as_object_mut() else { return };
    if let Some(Value::Object(attributes)) = message.get_mut(member) {
        attributes.retain(|attribute, _| is_named(attribute));
        if attributes.is_empty() {
            message.remove(member);
            if member == "MessageAttributes" {
                message.remove("MD5OfMessageAttributes");
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DeleteMessage {
    queue_url: Option<String>,
    receipt_handle: Option<String>,
}

/// Succeeds for a message that is gone. A stale receipt handle deletes nothing and succeeds too, as for SQS.
fn delete_message(state: &mut State, input: &DeleteMessage) -> Answer {
    let arn = existing(state, input.queue_url.as_deref())?;
    let receipt = receipt(input.receipt_handle.as_deref())?;
    queue(state, &arn)?.messages.retain(|message| !receipt.is_for(message));
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ChangeMessageVisibility {
    queue_url: Option<String>,
    receipt_handle: Option<String>,
    visibility_timeout: Option<u64>,
}

fn change_message_visibility(state: &mut State, now: OffsetDateTime, input: &ChangeMessageVisibility) -> Answer {
    let arn = existing(state, input.queue_url.as_deref())?;
    let handle = input.receipt_handle.as_deref();
    let receipt = receipt(handle)?;
    let seconds = input.visibility_timeout.ok_or_else(|| missing("VisibilityTimeout"))?;
    let hide_for = visibility_timeout(seconds)?;
    let mut messages = queue(state, &arn)?.messages.iter_mut();
    let Some(message) = messages.find(|message| receipt.is_for(message)) else {
        let reason = "Message does not exist or is not available for visibility timeout change.";
        return Err(invalid(handle.unwrap_or_default(), "ReceiptHandle", reason));
    };
    if !message.is_in_flight(now) {
        return Err(ApiError::new("MessageNotInflight", 400, "The specified message isn't in flight."));
    }
    let received = message.last_received().unwrap_or(now);
    if now + hide_for > received + Duration::from_secs(LONGEST_VISIBILITY_TIMEOUT) {
        let reason = "Total VisibilityTimeout for the message is beyond the limit [43200 seconds]";
        return Err(invalid(&seconds.to_string(), "VisibilityTimeout", reason));
    }
    message.visible_at = now + hide_for;
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct GetQueueAttributes {
    queue_url: Option<String>,
    #[serde(default)]
    attribute_names: Vec<String>,
}

fn get_queue_attributes(state: &mut State, now: OffsetDateTime, input: &GetQueueAttributes) -> Answer {
    let arn = existing(state, input.queue_url.as_deref())?;
    let all = attributes(&arn, queue(state, &arn)?, now);
    let mut chosen = Map::new();
    for name in &input.attribute_names {
        match (name.as_str(), all.get(name)) {
            ("All", _) => chosen.clone_from(&all),
            (_, Some(value)) => {
                chosen.insert(name.clone(), value.clone());
            }
            // A queue without a policy or a dead-letter queue has no such attribute.
            ("Policy" | "RedrivePolicy", None) => {}
            (_, None) => {
                return Err(ApiError::new("InvalidAttributeName", 400, format!("Unknown Attribute {name}.")));
            }
        }
    }
    Ok(if chosen.is_empty() { json!({}) } else { json!({ "Attributes": chosen }) })
}

fn attributes(arn: &str, queue: &Queue, now: OffsetDateTime) -> Map<String, Value> {
    let QueueSettings { visibility_timeout, redrive, .. } = &queue.settings;
    let count = |is_counted: &dyn Fn(&Message) -> bool| {
        json!(queue.messages.iter().filter(|message| is_counted(message)).count().to_string())
    };
    let mut attributes = Map::new();
    let mut insert = |name: &str, value: Value| attributes.insert(name.to_owned(), value);
    insert("QueueArn", json!(arn));
    insert("ApproximateNumberOfMessages", count(&|message| message.is_visible(now)));
    insert("ApproximateNumberOfMessagesNotVisible", count(&|message| message.is_in_flight(now)));
    insert(
        "ApproximateNumberOfMessagesDelayed",
        count(&|message| !message.is_visible(now) && !message.is_in_flight(now)),
    );
    insert("VisibilityTimeout", json!(visibility_timeout.as_secs().to_string()));
    if let Some(redrive) = redrive {
        let policy = json!({
            "deadLetterTargetArn": redrive.dead_letter_arn,
            "maxReceiveCount": redrive.max_receive_count,
        });
        insert("RedrivePolicy", json!(policy.to_string()));
    }
    attributes
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct GetQueueUrl {
    queue_name: Option<String>,
    #[serde(rename = "QueueOwnerAWSAccountId")]
    owner: Option<String>,
}

fn get_queue_url(state: &State, input: &GetQueueUrl) -> Answer {
    let name = input.queue_name.as_deref().ok_or_else(|| missing("QueueName"))?;
    let mut queues = state.queues.values().map(|queue| &queue.settings);
    let found = queues
        .find(|settings| settings.name == name && input.owner.as_ref().is_none_or(|owner| *owner == settings.account));
    Ok(json!({ "QueueUrl": found.ok_or_else(no_such_queue)?.url() }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ListQueues {
    #[serde(default)]
    queue_name_prefix: String,
}

fn list_queues(state: &State, input: &ListQueues) -> Value {
    let settings = state.queues.values().map(|queue| &queue.settings);
    let urls: Vec<String> = settings
        .filter(|settings| settings.name.starts_with(&input.queue_name_prefix))
        .map(QueueSettings::url)
        .collect();
    if urls.is_empty() { json!({}) } else { json!({ "QueueUrls": urls }) }
}

impl Receipt {
    fn is_for(&self, message: &Message) -> bool {
        message.id == self.message_id && message.receive_count == self.receive_count
    }
}

fn parse<T: DeserializeOwned>(input: &Value) -> Result<T, ApiError> {
    T::deserialize(input).map_err(|error| ApiError::new("SerializationException", 400, error.to_string()))
}

fn existing(state: &State, queue_url: Option<&str>) -> Result<String, ApiError> {
    let url = queue_url.ok_or_else(|| missing("QueueUrl"))?;
    state.arn_of(url).ok_or_else(no_such_queue)
}

fn queue<'a>(state: &'a mut State, arn: &str) -> Result<&'a mut Queue, ApiError> {
    state.queues.get_mut(arn).ok_or_else(no_such_queue)
}

fn receipt(handle: Option<&str>) -> Result<Receipt, ApiError> {
    let handle = handle.ok_or_else(|| missing("ReceiptHandle"))?;
    let message = format!("The input receipt handle \"{handle}\" is not a valid receipt handle.");
    Receipt::parse(handle).ok_or_else(|| ApiError::new("ReceiptHandleIsInvalid", 404, message))
}

fn visibility_timeout(seconds: u64) -> Result<Duration, ApiError> {
    within("VisibilityTimeout", seconds, 0, LONGEST_VISIBILITY_TIMEOUT).map(Duration::from_secs)
}

fn within(parameter: &str, value: u64, least: u64, most: u64) -> Result<u64, ApiError> {
    if (least..=most).contains(&value) {
        return Ok(value);
    }
    let reason = format!("Must be between {least} and {most}, if provided.");
    Err(invalid(&value.to_string(), parameter, &reason))
}

fn invalid(value: &str, parameter: &str, reason: &str) -> ApiError {
    let message = format!("Value {value} for parameter {parameter} is invalid. Reason: {reason}");
    ApiError::new("InvalidParameterValue", 400, message)
}

fn missing(parameter: &str) -> ApiError {
    let message = format!("The request must contain the parameter {parameter}.");
    ApiError::new("MissingParameter", 400, message)
}

fn no_such_queue() -> ApiError {
    ApiError::new("QueueDoesNotExist", 400, "The specified queue does not exist.")
}
