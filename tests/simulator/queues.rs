//! SQS standard queues as data: messages that hide and return by the simulated clock.
//!
//! It authorizes nobody and knows no functions. Of two things that real standard queues do it spares its users: messages
//! are received in the order they were sent, and none is received twice without its visibility timeout having passed.

mod message;
mod sqs;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value};
use time::OffsetDateTime;

pub use message::Message;

use crate::api::Answer;
use crate::clock::Clock;

/// All queues of the simulated AWS; clones share them.
#[derive(Clone, Debug)]
pub struct Queues {
    clock: Clock,
    state: Arc<Mutex<State>>,
}

/// A queue as a template describes it.
#[derive(Clone, Debug)]
pub struct QueueSettings {
    pub account: String,
    pub region: String,
    pub name: String,
    pub visibility_timeout: Duration,
    pub redrive: Option<Redrive>,
}

/// Where a message goes that was received too often.
#[derive(Clone, Debug)]
pub struct Redrive {
    pub dead_letter_arn: String,
    pub max_receive_count: u64,
}

/// A queue or a message that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no queue `{arn}`")]
pub struct NoSuchQueue {
    pub arn: String,
}

#[derive(Debug, Default)]
struct State {
    /// By ARN.
    queues: BTreeMap<String, Queue>,
    sent: u64,
}

#[derive(Debug)]
struct Queue {
    settings: QueueSettings,
    messages: Vec<Message>,
}

impl Queues {
    pub fn new(clock: Clock) -> Self {
        Self { clock, state: Arc::default() }
    }

    /// Creates an empty queue, in place of one with the same ARN, and returns its ARN.
    pub fn create(&self, settings: QueueSettings) -> String {
        let arn = settings.arn();
        let queue = Queue { settings, messages: Vec::new() };
        self.state().queues.insert(arn.clone(), queue);
        arn
    }

    /// Answers a call of the SQS API, whose caller is already authorized. Input and output have the members of the
    /// awsJson1.0 protocol.
    pub fn call(&self, operation: &str, input: &Value) -> Answer {
        sqs::call(&mut self.state(), self.clock.now(), operation, input)
    }

    /// The ARN of the queue that a URL ends with the account and name of, on whatever host; `None` if there is none.
    pub fn arn_of(&self, queue_url: &str) -> Option<String> {
        self.state().arn_of(queue_url)
    }

    /// Puts a message into a queue as a rule or a schedule does.
    pub fn send(&self, arn: &str, body: String, attributes: Map<String, Value>) -> Result<(), NoSuchQueue> {
        let now = self.clock.now();
        let mut state = self.state();
        state.send(arn, Message::new(body, attributes, now, Duration::ZERO))?;
        Ok(())
    }

    /// The messages in a queue, hidden ones too, in the order they were sent; none if there is no such queue.
    pub fn messages(&self, arn: &str) -> Vec<Message> {
        self.state().queues.get(arn).map(|queue| queue.messages.clone()).unwrap_or_default()
    }

    /// Empties all queues.
    pub fn clear(&self) {
        for queue in self.state().queues.values_mut() {
            queue.messages.clear();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl QueueSettings {
    pub fn arn(&self) -> String {
        format!("arn:aws:sqs:{}:{}:{}", self.region, self.account, self.name)
    }

    pub fn url(&self) -> String {
        format!("https://sqs.{}.amazonaws.com/{}/{}", self.region, self.account, self.name)
    }
}

impl State {
    fn arn_of(&self, queue_url: &str) -> Option<String> {
        let mut segments = queue_url.rsplit('/');
        let (name, account) = (segments.next()?, segments.next()?);
        // `sqs.eu-central-1.amazonaws.com` names the Region; a host of the simulator's own does not.
        let region = segments.next()?.strip_prefix("sqs.").and_then(|host| host.split('.').next());
        let queue = self.queues.iter().find(|(_, Queue { settings, .. })| {
            settings.name == name
                && settings.account == account
                && region.is_none_or(|region| settings.region == region)
        });
        queue.map(|(arn, _)| arn.clone())
    }

    /// Returns the id that the message got.
    fn send(&mut self, arn: &str, mut message: Message) -> Result<String, NoSuchQueue> {
        let Some(queue) = self.queues.get_mut(arn) else {
            return Err(NoSuchQueue { arn: arn.to_owned() });
        };
        self.sent += 1;
        message.id = format!("00000000-0000-4000-8000-{:012x}", self.sent);
        let id = message.id.clone();
        queue.messages.push(message);
        Ok(id)
    }

    /// Hides up to `most` visible messages and returns them.
    fn receive(&mut self, arn: &str, now: OffsetDateTime, most: usize, hide_for: Option<Duration>) -> Vec<Message> {
        self.redrive(arn, now);
        let Some(queue) = self.queues.get_mut(arn) else {
            return Vec::new();
        };
        let hide_for = hide_for.unwrap_or(queue.settings.visibility_timeout);
        let visible = queue.messages.iter_mut().filter(|message| message.is_visible(now));
        visible.take(most).map(|message| message.receive(now, hide_for)).collect()
    }

    /// Moves the messages that were received as often as the queue allows to its dead-letter queue. SQS too does so
    /// only when somebody receives.
    fn redrive(&mut self, arn: &str, now: OffsetDateTime) {
        let redrive = self.queues.get(arn).and_then(|queue| queue.settings.redrive.clone());
        let Some(Redrive { dead_letter_arn, max_receive_count }) = redrive else {
            return;
        };
        let is_dead = |message: &mut Message| message.is_visible(now) && message.receive_count >= max_receive_count;
        if self.queues.contains_key(&dead_letter_arn)
            && let Some(queue) = self.queues.get_mut(arn)
        {
            let mut dead: Vec<Message> = queue.messages.extract_if(.., is_dead).collect();
            for message in &mut dead {
                message.dead_letter_source = Some(arn.to_owned());
            }
            self.queues.entry(dead_letter_arn).and_modify(|dead_letters| dead_letters.messages.append(&mut dead));
        }
    }
}

#[cfg(test)]
mod tests;
