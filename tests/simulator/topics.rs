//! SNS topics as far as rules publish to them: every message in the order in which it came. Nobody subscribes; who reads a
//! topic reads what each subscriber would get.
//!
//! It authorizes nobody: the topic's policy is asked by whoever publishes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The longest message. <https://docs.aws.amazon.com/sns/latest/api/API_Publish.html>
const LONGEST_MESSAGE: usize = 262_144;

/// All topics of a deployment; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Topics {
    /// The messages by the ARN of the topic.
    messages: Arc<Mutex<BTreeMap<String, Vec<Message>>>>,
}

/// What a subscriber gets. A rule publishes without a subject, so mail has the one that SNS gives: `AWS Notification
/// Message`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub text: String,
}

/// Why SNS does not take a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotPublished {
    #[error("there is no topic `{0}`")]
    NoSuchTopic(String),
    #[error("Invalid parameter: Empty message")]
    Empty,
    #[error("Invalid parameter: Message too long")]
    TooLong,
}

impl Topics {
    /// Creates an empty topic, in place of one with the same ARN.
    pub fn create(&self, arn: &str) {
        self.lock().insert(arn.to_owned(), Vec::new());
    }

    pub fn publish(&self, arn: &str, text: String) -> Result<(), NotPublished> {
        let mut topics = self.lock();
        let messages = topics.get_mut(arn).ok_or_else(|| NotPublished::NoSuchTopic(arn.to_owned()))?;
        match text.len() {
            0 => Err(NotPublished::Empty),
            length if length > LONGEST_MESSAGE => Err(NotPublished::TooLong),
            _ => {
                messages.push(Message { text });
                Ok(())
            }
        }
    }

    /// The messages that were published to a topic, oldest first; `None` if there is no such topic.
    pub fn messages(&self, arn: &str) -> Option<Vec<Message>> {
        self.lock().get(arn).cloned()
    }

    /// Forgets all messages.
    pub fn clear(&self) {
        self.lock().values_mut().for_each(Vec::clear);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Vec<Message>>> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_keeps_what_sns_would_take() {
        let topics = Topics::default();
        topics.create("a");
        assert_eq!(topics.publish("b", "text".to_owned()), Err(NotPublished::NoSuchTopic("b".to_owned())));
        assert_eq!(topics.publish("a", String::new()), Err(NotPublished::Empty));
        assert_eq!(topics.publish("a", "x".repeat(LONGEST_MESSAGE + 1)), Err(NotPublished::TooLong));
        topics.publish("a", "first".to_owned()).unwrap();
        topics.publish("a", "second".to_owned()).unwrap();
        let texts: Vec<_> = topics.messages("a").unwrap().into_iter().map(|message| message.text).collect();
        assert_eq!(texts, ["first", "second"]);
        topics.clear();
        assert_eq!(topics.messages("a"), Some(Vec::new()));
        assert_eq!(topics.messages("b"), None);
    }
}
