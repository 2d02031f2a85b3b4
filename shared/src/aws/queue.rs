//! The calls to SQS: handing work on, putting a message aside, waiting before a message comes again.

use aws_sdk_sqs::types::MessageAttributeValue;

use super::Aws;
use super::api_failure::failed;
use crate::domain::failure::Failure;
use crate::domain::id::QueueUrl;

/// The attributes of a message that was put aside, for the person who looks at the dead-letter queue.
const ERROR_TYPE: &str = "ErrorType";
const ERROR_MESSAGE: &str = "ErrorMessage";

/// Why a message is put aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// A stable name, such as `InvalidRequest`.
    pub error_type: &'static str,
    pub message: String,
}

impl Aws {
    pub async fn send_message(&self, queue: &QueueUrl, body: &str) -> Result<(), Failure> {
        let call = self.sqs.send_message().queue_url(queue.as_str()).message_body(body);
        call.send().await.map(drop).map_err(failed("sqs:SendMessage"))
    }

    /// Puts a message that cannot succeed into the dead-letter queue, with the reason.
    pub async fn set_aside(&self, queue: &QueueUrl, body: &str, rejection: &Rejection) -> Result<(), Failure> {
        let call = self.sqs.send_message().queue_url(queue.as_str()).message_body(body);
        let call = call.set_message_attributes(Some(
            [(ERROR_TYPE, rejection.error_type), (ERROR_MESSAGE, &rejection.message)]
                .into_iter()
                .filter_map(|(name, value)| Some((name.to_owned(), text_attribute(value)?)))
                .collect(),
        ));
        call.send().await.map(drop).map_err(failed("sqs:SendMessage"))
    }

    /// Has a received message come again after so many seconds instead of the queue's visibility timeout.
    pub async fn receive_again_in(&self, queue: &QueueUrl, receipt_handle: &str, seconds: i32) -> Result<(), Failure> {
        let call = self.sqs.change_message_visibility().queue_url(queue.as_str()).receipt_handle(receipt_handle);
        call.visibility_timeout(seconds).send().await.map(drop).map_err(failed("sqs:ChangeMessageVisibility"))
    }
}

/// A text that SQS takes as an attribute: not empty, without control characters, and short beside the message
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html>).
fn text_attribute(value: &str) -> Option<MessageAttributeValue> {
    const LONGEST: usize = 2_000;
    let printable = value.chars().map(|letter| if letter.is_control() { ' ' } else { letter });
    let value: String = printable.take(LONGEST).collect();
    let attribute = MessageAttributeValue::builder().data_type("String").string_value(&value);
    (!value.is_empty()).then(|| attribute.build().ok()).flatten()
}
