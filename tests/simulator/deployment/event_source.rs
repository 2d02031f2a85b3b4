//! Lambda's event source mapping: from messages in a queue to an invocation, and back to what is deleted.
//! <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html>

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use super::resources::allows;
use crate::aws::Role;
use crate::lambda::FunctionError;
use crate::queues::{Origin, Queues};
use crate::template::{Resolved, Resource};

/// What `ReceiveMessage` returns at most.
const MOST_MESSAGES_OF_A_CALL: u64 = 10;

/// The queue that invokes a function.
#[derive(Clone, Debug)]
pub(super) struct EventSource {
    pub(super) queue_arn: String,
    pub(super) dead_letter_arn: String,
    pub(super) most_concurrent: usize,
    /// How long messages are gathered at most.
    pub(super) window: Duration,
    queue_url: String,
    batch_size: u64,
}

/// Messages that one invocation gets.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    /// The payload.
    pub(super) event: Value,
    messages: Vec<Received>,
}

#[derive(Clone, Debug)]
struct Received {
    id: String,
    receipt_handle: String,
}

impl EventSource {
    /// Reads the one SQS event of a function, if it has one, and checks what Lambda checks when it creates the mapping.
    pub(super) fn new(function: &Resource, resolved: &Resolved, role: &Role) -> Result<Option<Self>> {
        let events: Vec<&Value> =
            function.get("/Events").and_then(Value::as_object).into_iter().flat_map(Map::values).collect();
        let event = match events.as_slice() {
            [] => return Ok(None),
            [event] => event,
            _ => bail!("the simulator knows only functions with one event, and this has {}", events.len()),
        };
        ensure!(event.get("Type") == Some(&json!("SQS")), "the simulator knows only events of the type SQS");
        let properties = event.get("Properties").and_then(Value::as_object).context("an event has no Properties")?;
        let known = ["Queue", "BatchSize", "MaximumBatchingWindowInSeconds", "FunctionResponseTypes", "ScalingConfig"];
        if let Some(name) = properties.keys().find(|name| !known.contains(&name.as_str())) {
            bail!("the simulator does not know the property `{name}` of an SQS event");
        }
        ensure!(
            properties.get("FunctionResponseTypes") == Some(&json!(["ReportBatchItemFailures"])),
            "the simulator knows only functions that report batch item failures"
        );
        let number = |pointer: &str| event.pointer(pointer).and_then(Value::as_u64);
        let queue_arn = properties.get("Queue").and_then(Value::as_str).context("an SQS event has no Queue")?;
        let queue = resolved.of_kind("AWS::SQS::Queue").find(|queue| queue.arn.as_deref() == Some(queue_arn));
        let queue = queue.with_context(|| format!("the template has no queue `{queue_arn}`"))?;

        for action in ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"] {
            ensure!(
                allows(role, action, queue_arn),
                "the execution role does not have permissions to call {action} on `{queue_arn}`"
            );
        }
        let visibility = queue.number("/VisibilityTimeout").unwrap_or(30);
        let timeout = function.number("/Timeout").context("no Timeout")?;
        ensure!(
            visibility >= timeout,
            "queue visibility timeout: {visibility} seconds is less than function timeout: {timeout} seconds"
        );
        let batch_size = number("/Properties/BatchSize").context("no BatchSize")?;
        let window = number("/Properties/MaximumBatchingWindowInSeconds").unwrap_or(0);
        ensure!(
            batch_size <= MOST_MESSAGES_OF_A_CALL || window > 0,
            "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than \
             {MOST_MESSAGES_OF_A_CALL}"
        );
        let most_concurrent =
            number("/Properties/ScalingConfig/MaximumConcurrency").context("no MaximumConcurrency")?;
        Ok(Some(Self {
            queue_arn: queue_arn.to_owned(),
            dead_letter_arn: queue.text("/RedrivePolicy/deadLetterTargetArn")?.to_owned(),
            most_concurrent: usize::try_from(most_concurrent)?,
            window: Duration::from_secs(window),
            queue_url: queue.reference()?.to_owned(),
            batch_size,
        }))
    }

    pub(super) fn has_messages(&self, queues: &Queues, now: OffsetDateTime) -> bool {
        queues.visible(&self.queue_arn, now) > 0
    }

    /// Whether nothing is gained by waiting for more messages.
    pub(super) fn is_full(&self, queues: &Queues, now: OffsetDateTime) -> bool {
        self.window.is_zero()
            || u64::try_from(queues.visible(&self.queue_arn, now)).unwrap_or(u64::MAX) >= self.batch_size
    }

    /// The next messages, if there are any: as many as `ReceiveMessage` gives, over and over, until the batch is full.
    pub(super) fn receive(&self, queues: &Queues) -> Result<Option<Batch>> {
        let mut messages = Vec::new();
        let mut left = self.batch_size;
        while left > 0 {
            let received = self.receive_once(queues, left.min(MOST_MESSAGES_OF_A_CALL))?;
            if received.is_empty() {
                break;
            }
            left = left.saturating_sub(u64::try_from(received.len())?);
            messages.extend(received);
        }
        if messages.is_empty() {
            return Ok(None);
        }
        let region = self.queue_arn.split(':').nth(3).unwrap_or_default();
        let records: Vec<Value> = messages.iter().map(|message| record(message, &self.queue_arn, region)).collect();
        let text =
            |message: &Value, name: &str| message.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let messages = messages
            .iter()
            .map(|message| Received { id: text(message, "MessageId"), receipt_handle: text(message, "ReceiptHandle") });
        Ok(Some(Batch { messages: messages.collect(), event: json!({ "Records": records }) }))
    }

    fn receive_once(&self, queues: &Queues, most: u64) -> Result<Vec<Value>> {
        let input = json!({
            "QueueUrl": self.queue_url,
            "MaxNumberOfMessages": most,
            "MessageSystemAttributeNames": ["All"],
            "MessageAttributeNames": ["All"],
        });
        let mut answer = queues.call(Origin::of(&self.queue_arn), "ReceiveMessage", &input)?;
        Ok(match answer.get_mut("Messages").map(Value::take) {
            Some(Value::Array(messages)) => messages,
            _ => Vec::new(),
        })
    }

    /// Deletes the messages that the function dealt with; the others return when their visibility timeout is over.
    pub(super) fn acknowledge(
        &self,
        queues: &Queues,
        batch: &Batch,
        outcome: &Result<Value, FunctionError>,
    ) -> Result<()> {
        let Some(failed) = failures(batch, outcome) else {
            return Ok(());
        };
        for message in batch.messages.iter().filter(|message| !failed.contains(&message.id.as_str())) {
            let input = json!({ "QueueUrl": self.queue_url, "ReceiptHandle": message.receipt_handle });
            queues.call(Origin::of(&self.queue_arn), "DeleteMessage", &input)?;
        }
        Ok(())
    }
}

/// The ids of the messages that the function did not deal with; `None` if it dealt with none of them. An answer without
/// failures is a success; one that names a message wrongly is none at all.
fn failures<'a>(batch: &Batch, outcome: &'a Result<Value, FunctionError>) -> Option<Vec<&'a str>> {
    let answer = outcome.as_ref().ok()?;
    let failures = match answer.get("batchItemFailures") {
        None | Some(Value::Null) => return Some(Vec::new()),
        Some(failures) => failures.as_array()?,
    };
    let ids = failures.iter().map(|failure| failure.get("itemIdentifier").and_then(Value::as_str));
    let ids: Vec<&str> = ids.collect::<Option<_>>()?;
    let is_known = |id: &&str| batch.messages.iter().any(|message| message.id == *id);
    ids.iter().all(is_known).then_some(ids)
}

/// A record as in `tests/fixtures/events/sqs-wrapped-create-account-result.json`.
fn record(message: &Value, queue_arn: &str, region: &str) -> Value {
    let member = |name: &str| message.get(name).cloned().unwrap_or_default();
    let attributes = message.get("MessageAttributes").and_then(Value::as_object);
    let attributes: Map<String, Value> = attributes
        .into_iter()
        .flatten()
        .map(|(name, attribute)| {
            let attribute = json!({
                "stringValue": attribute.get("StringValue"),
                "stringListValues": [],
                "binaryListValues": [],
                "dataType": attribute.get("DataType"),
            });
            (name.clone(), attribute)
        })
        .collect();
    json!({
        "messageId": member("MessageId"),
        "receiptHandle": member("ReceiptHandle"),
        "body": member("Body"),
        "attributes": member("Attributes"),
        "messageAttributes": attributes,
        "md5OfBody": member("MD5OfBody"),
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": region,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_which_messages_failed() {
        let message = |id: &str| Received { id: id.to_owned(), receipt_handle: String::new() };
        let batch = Batch { event: json!({}), messages: vec![message("a"), message("b")] };
        for (answer, expected) in [
            (json!(null), Some(vec![])),
            (json!({}), Some(vec![])),
            (json!({"batchItemFailures": null}), Some(vec![])),
            (json!({"batchItemFailures": []}), Some(vec![])),
            (json!({"batchItemFailures": [{"itemIdentifier": "b"}]}), Some(vec!["b"])),
            (json!({"batchItemFailures": [{"itemIdentifier": "c"}]}), None),
            (json!({"batchItemFailures": [{"itemIdentifier": ""}]}), None),
            (json!({"batchItemFailures": [{"itemIdentifier": null}]}), None),
            (json!({"batchItemFailures": [{"identifier": "a"}]}), None),
            (json!({"batchItemFailures": "a"}), None),
        ] {
            assert_eq!(failures(&batch, &Ok(answer.clone())), expected, "{answer}");
        }
        let error = FunctionError { error_type: "Sandbox.Timedout".to_owned(), message: String::new() };
        assert_eq!(failures(&batch, &Err(error)), None);
    }
}
