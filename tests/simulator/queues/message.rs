//! A message and what SQS tells about it.

use std::fmt::Write as _;
use std::time::Duration;

use md5::{Digest as _, Md5};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;

/// A message in a queue.
#[derive(Clone, Debug)]
pub struct Message {
    pub id: String,
    pub body: String,
    /// By name, as SQS writes them: `{"DataType": .., "StringValue": ..}`.
    pub attributes: Map<String, Value>,
    pub sent: OffsetDateTime,
    pub receive_count: u64,
    /// Hidden until then, by a delay or since somebody received it.
    pub visible_at: OffsetDateTime,
    first_received: Option<OffsetDateTime>,
    last_received: Option<OffsetDateTime>,
    /// The queue from which it came to this dead-letter queue.
    pub(super) dead_letter_source: Option<String>,
}

/// What a receipt handle says: which message, received for the how-manieth time. A later receive makes it stale.
pub(super) struct Receipt {
    pub(super) message_id: String,
    pub(super) receive_count: u64,
}

impl Message {
    pub(super) fn new(body: String, attributes: Map<String, Value>, sent: OffsetDateTime, delay: Duration) -> Self {
        Self {
            id: String::new(),
            body,
            attributes,
            sent,
            receive_count: 0,
            visible_at: sent + delay,
            first_received: None,
            last_received: None,
            dead_letter_source: None,
        }
    }

    pub(super) fn is_visible(&self, now: OffsetDateTime) -> bool {
        self.visible_at <= now
    }

    /// Whether it is hidden since somebody received it.
    pub(super) fn is_in_flight(&self, now: OffsetDateTime) -> bool {
        self.receive_count > 0 && !self.is_visible(now)
    }

    pub(super) fn last_received(&self) -> Option<OffsetDateTime> {
        self.last_received
    }

    pub(super) fn receive(&mut self, now: OffsetDateTime, hide_for: Duration) -> Self {
        self.receive_count += 1;
        self.first_received.get_or_insert(now);
        self.last_received = Some(now);
        self.visible_at = now + hide_for;
        self.clone()
    }

    /// As `ReceiveMessage` returns it, with all attributes.
    pub(super) fn to_json(&self) -> Value {
        let mut json = json!({
            "MessageId": self.id,
            "ReceiptHandle": self.receipt().to_handle(),
            "MD5OfBody": md5_of_body(&self.body),
            "Body": self.body,
            "Attributes": self.system_attributes(),
        });
        if !self.attributes.is_empty()
            && let Some(json) = json.as_object_mut()
        {
            json.insert("MD5OfMessageAttributes".to_owned(), json!(md5_of_attributes(&self.attributes)));
            json.insert("MessageAttributes".to_owned(), json!(self.attributes));
        }
        json
    }

    fn receipt(&self) -> Receipt {
        Receipt { message_id: self.id.clone(), receive_count: self.receive_count }
    }

    fn system_attributes(&self) -> Map<String, Value> {
        let mut attributes = Map::new();
        let mut insert = |name: &str, value: String| attributes.insert(name.to_owned(), json!(value));
        insert("SenderId", "AIDAEXAMPLE".to_owned());
        insert("SentTimestamp", milliseconds(self.sent));
        insert("ApproximateReceiveCount", self.receive_count.to_string());
        if let Some(time) = self.first_received {
            insert("ApproximateFirstReceiveTimestamp", milliseconds(time));
        }
        if let Some(arn) = &self.dead_letter_source {
            insert("DeadLetterQueueSourceArn", arn.clone());
        }
        attributes
    }
}

impl Receipt {
    fn to_handle(&self) -> String {
        format!("{}#{}", self.message_id, self.receive_count)
    }

    pub(super) fn parse(handle: &str) -> Option<Self> {
        let (message_id, receive_count) = handle.split_once('#')?;
        Some(Self { message_id: message_id.to_owned(), receive_count: receive_count.parse().ok()? })
    }
}

pub(super) fn md5_of_body(body: &str) -> String {
    hexadecimal(&Md5::digest(body))
}

/// Name, type and value of each attribute in the order of the names, each with its length before it.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html>
pub(super) fn md5_of_attributes(attributes: &Map<String, Value>) -> String {
    let mut names: Vec<&String> = attributes.keys().collect();
    names.sort();
    let mut digest = Md5::new();
    for name in names {
        let member = |member: &str| attributes.get(name)?.get(member)?.as_str();
        digest.update(with_length(name));
        digest.update(with_length(member("DataType").unwrap_or_default()));
        // 1 says that the value is a string; binary values are refused when they are sent.
        digest.update([1]);
        digest.update(with_length(member("StringValue").unwrap_or_default()));
    }
    hexadecimal(&digest.finalize())
}

fn with_length(text: &str) -> Vec<u8> {
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes(), text.as_bytes()].concat()
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn milliseconds(time: OffsetDateTime) -> String {
    (time.unix_timestamp_nanos() / 1_000_000).to_string()
}
