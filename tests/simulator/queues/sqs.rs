//! The SQS API over the queues. Codes and texts are those of the API reference and of its model in botocore.
//!
//! A member that it does not know is an error, never ignored.

use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use super::message::{self, Message, Receipt};
use super::{Origin, Queue, QueueSettings, State};
use crate::api::{Answer, ApiError};
use crate::policy::WrittenPolicy;

/// The longest time from receiving a message until it is visible again, in seconds.
const LONGEST_VISIBILITY_TIMEOUT: u64 = 43_200;

/// Queues of one answer.
const MOST_QUEUES: u64 = 1_000;

pub(super) fn call(state: &mut State, now: OffsetDateTime, from: Origin, operation: &str, input: &Value) -> Answer {
    match operation {
        "SendMessage" => send_message(state, now, from, parse(input)?),
        "ReceiveMessage" => receive_message(state, now, from, &parse(input)?),
        "DeleteMessage" => delete_message(state, from, &parse(input)?),
        "ChangeMessageVisibility" => change_message_visibility(state, now, from, &parse(input)?),
        "GetQueueAttributes" => get_queue_attributes(state, now, from, &parse(input)?),
        "SetQueueAttributes" => set_queue_attributes(state, from, &parse(input)?),
        "PurgeQueue" => purge_queue(state, from, &parse(input)?),
        "GetQueueUrl" => get_queue_url(state, from, &parse(input)?),
        "ListQueues" => list_queues(state, from, &parse(input)?),
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

fn send_message(state: &mut State, now: OffsetDateTime, from: Origin, input: SendMessage) -> Answer {
    let arn = existing(state, from, input.queue_url.as_deref())?;
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

fn receive_message(state: &mut State, now: OffsetDateTime, from: Origin, input: &ReceiveMessage) -> Answer {
    let arn = existing(state, from, input.queue_url.as_deref())?;
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
fn delete_message(state: &mut State, from: Origin, input: &DeleteMessage) -> Answer {
    let arn = existing(state, from, input.queue_url.as_deref())?;
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

fn change_message_visibility(
    state: &mut State,
    now: OffsetDateTime,
    from: Origin,
    input: &ChangeMessageVisibility,
) -> Answer {
    let arn = existing(state, from, input.queue_url.as_deref())?;
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

fn get_queue_attributes(state: &mut State, now: OffsetDateTime, from: Origin, input: &GetQueueAttributes) -> Answer {
    let arn = existing(state, from, input.queue_url.as_deref())?;
    let all = attributes(&arn, queue(state, &arn)?, now, from.staleness);
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

fn attributes(arn: &str, queue: &Queue, now: OffsetDateTime, staleness: usize) -> Map<String, Value> {
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
    if let Some(written) = queue.policy.before(staleness) {
        insert("Policy", json!(written.text()));
    }
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
struct SetQueueAttributes {
    queue_url: Option<String>,
    #[serde(default)]
    attributes: Map<String, Value>,
}

/// An empty policy removes the one that is there; of the other attributes only the visibility timeout can be set.
fn set_queue_attributes(state: &mut State, from: Origin, input: &SetQueueAttributes) -> Answer {
    let arn = existing(state, from, input.queue_url.as_deref())?;
    if input.attributes.is_empty() {
        return Err(missing("Attribute.Name"));
    }
    let (mut policy, mut hide_for) = (None, None);
    for (name, value) in &input.attributes {
        let text = value.as_str().unwrap_or_default();
        let unusable =
            || ApiError::new("InvalidAttributeValue", 400, format!("Invalid value for the parameter {name}."));
        match name.as_str() {
            "Policy" if text.is_empty() => policy = Some(None),
            "Policy" => policy = Some(Some(WrittenPolicy::parse(text).map_err(|_| unusable())?)),
            "VisibilityTimeout" => {
                let seconds = text.parse().map_err(|_| unusable())?;
                hide_for = Some(visibility_timeout(seconds).map_err(|_| unusable())?);
            }
            _ => return Err(ApiError::new("InvalidAttributeName", 400, format!("Unknown Attribute {name}."))),
        }
    }
    let queue = queue(state, &arn)?;
    if let Some(policy) = policy {
        queue.policy.set(policy);
    }
    if let Some(hide_for) = hide_for {
        queue.settings.visibility_timeout = hide_for;
    }
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct PurgeQueue {
    queue_url: Option<String>,
}

/// At once: in reality it takes up to 60 seconds.
fn purge_queue(state: &mut State, from: Origin, input: &PurgeQueue) -> Answer {
    let arn = existing(state, from, input.queue_url.as_deref())?;
    queue(state, &arn)?.messages.clear();
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct GetQueueUrl {
    queue_name: Option<String>,
    #[serde(rename = "QueueOwnerAWSAccountId")]
    owner: Option<String>,
}

/// Of the caller's own account unless the request says otherwise.
fn get_queue_url(state: &State, from: Origin, input: &GetQueueUrl) -> Answer {
    let name = input.queue_name.as_deref().ok_or_else(|| missing("QueueName"))?;
    let owner = input.owner.as_deref().unwrap_or(from.account);
    let arn = format!("arn:aws:sqs:{}:{owner}:{name}", from.region);
    let queue = state.queues.get(&arn).ok_or_else(no_such_queue)?;
    Ok(json!({ "QueueUrl": queue.settings.url() }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ListQueues {
    #[serde(default)]
    queue_name_prefix: String,
    max_results: Option<u64>,
    next_token: Option<String>,
}

/// The caller's queues in the Region. Only who asks for pages learns that there are more than 1,000.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ListQueues.html>
fn list_queues(state: &State, from: Origin, input: &ListQueues) -> Answer {
    let size = within("MaxResults", input.max_results.unwrap_or(MOST_QUEUES), 1, MOST_QUEUES)?;
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let settings = state.queues.values().map(|queue| &queue.settings);
    let mut own = settings.filter(|settings| {
        settings.account == from.account
            && settings.region == from.region
            && settings.name.starts_with(&input.queue_name_prefix)
            && input.next_token.as_ref().is_none_or(|last| settings.name > *last)
    });
    let page: Vec<&QueueSettings> = own.by_ref().take(size).collect();
    let mut answer = Map::new();
    if !page.is_empty() {
        answer.insert("QueueUrls".to_owned(), page.iter().map(|settings| settings.url()).collect());
    }
    if let (Some(last), Some(_), Some(_)) = (page.last(), own.next(), input.max_results) {
        // The last name is where the next page begins.
        answer.insert("NextToken".to_owned(), json!(last.name));
    }
    Ok(Value::Object(answer))
}

impl Receipt {
    fn is_for(&self, message: &Message) -> bool {
        message.id == self.message_id && message.receive_count == self.receive_count
    }
}

fn parse<T: DeserializeOwned>(input: &Value) -> Result<T, ApiError> {
    T::deserialize(input).map_err(|error| ApiError::new("SerializationException", 400, error.to_string()))
}

fn existing(state: &State, from: Origin, queue_url: Option<&str>) -> Result<String, ApiError> {
    let url = queue_url.ok_or_else(|| missing("QueueUrl"))?;
    state.arn_for(from, url).ok_or_else(no_such_queue)
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
