//! SQS standard queues as data: messages that hide and return by the simulated clock.
//!
//! It keeps the queues' policies, authorizes nobody and knows no functions. Two things that real standard queues do it does
//! only where a disorder was asked for: to give messages in another order than they were sent, and to give one twice
//! before its visibility timeout has passed.

mod message;
mod sqs;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value};
use time::OffsetDateTime;

pub use message::Message;

use crate::api::Answer;
use crate::aws::chance::Chance;
use crate::bell::Bell;
use crate::clock::Clock;
use crate::history::History;
use crate::organization::{AccountId, AccountQueue, Organization};
use crate::policy::WrittenPolicy;

/// What SQS takes if nothing else is said.
pub const DEFAULT_VISIBILITY_TIMEOUT: Duration = Duration::from_secs(30);

/// All queues of the simulated AWS; clones share them.
#[derive(Clone, Debug)]
pub struct Queues {
    clock: Clock,
    bell: Bell,
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

/// Where a call comes from, and what it sees.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    pub account: &'a str,
    pub region: &'a str,
    /// How many changes of a queue's attributes a read lags behind: a change "can take up to 60 seconds".
    /// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html>
    pub staleness: usize,
}

/// A queue or a message that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no queue `{arn}`")]
pub struct NoSuchQueue {
    pub arn: String,
}

#[derive(Debug, Default)]
struct State {
    chance: Chance,
    /// By ARN.
    queues: BTreeMap<String, Queue>,
    sent: u64,
}

#[derive(Debug)]
struct Queue {
    settings: QueueSettings,
    policy: History<Option<WrittenPolicy>>,
    messages: Vec<Message>,
    /// Whether the organization's file or sample has it: it goes with its organization.
    is_of_organization: bool,
}

impl Queues {
    pub(crate) fn new(clock: Clock, bell: Bell) -> Self {
        Self { clock, bell, state: Arc::default() }
    }

    pub(crate) fn work_unevenly(&self, chance: Chance) {
        self.state().chance = chance;
    }

    /// Creates an empty queue, in place of one with the same ARN, and returns its ARN.
    pub fn create(&self, settings: QueueSettings) -> String {
        let arn = settings.arn();
        let queue = Queue::new(settings);
        self.state().queues.insert(arn.clone(), queue);
        arn
    }

    /// Answers a call of the SQS API, whose caller is already authorized. Input and output have the members of the
    /// awsJson1.0 protocol.
    pub fn call(&self, from: Origin, operation: &str, input: &Value) -> Answer {
        sqs::call(&mut self.state(), self.clock.now(), from, operation, input)
    }

    /// Sets the policy of a queue, in place of the one that it had, or removes it.
    pub fn set_policy(&self, arn: &str, policy: Option<WrittenPolicy>) -> Result<(), NoSuchQueue> {
        match self.state().queues.get_mut(arn) {
            Some(queue) => {
                queue.policy.set(policy);
                Ok(())
            }
            None => Err(NoSuchQueue { arn: arn.to_owned() }),
        }
    }

    /// The policy of a queue as it is now; none if there is no policy, or no such queue.
    pub fn policy(&self, arn: &str) -> Option<WrittenPolicy> {
        self.state().queues.get(arn)?.policy.now().clone()
    }

    /// The ARN of the queue that a call means with a URL, whether there is one or not; `None` if it is no URL of a queue.
    pub fn arn_in_url(from: Origin, queue_url: &str) -> Option<String> {
        let QueueUrl { region, account, name } = QueueUrl::parse(queue_url)?;
        Some(format!("arn:aws:sqs:{}:{account}:{name}", region.unwrap_or(from.region)))
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
        self.bell.ring();
        Ok(())
    }

    /// The messages in a queue, hidden ones too, in the order they were sent; none if there is no such queue.
    pub fn messages(&self, arn: &str) -> Vec<Message> {
        self.state().queues.get(arn).map(|queue| queue.messages.clone()).unwrap_or_default()
    }

    /// Moves all messages of a queue into another, as `StartMessageMoveTask` does: they are as if they were sent now.
    /// Returns how many there were.
    pub fn move_all(&self, from: &str, to: &str) -> Result<usize, NoSuchQueue> {
        let now = self.clock.now();
        let mut state = self.state();
        let queue = state.queues.get_mut(from).ok_or_else(|| NoSuchQueue { arn: from.to_owned() })?;
        let messages = std::mem::take(&mut queue.messages);
        let count = messages.len();
        for message in messages {
            state.send(to, Message::new(message.body, message.attributes, now, Duration::ZERO))?;
        }
        drop(state);
        self.bell.ring();
        Ok(count)
    }

    /// How many messages of a queue are visible.
    pub(crate) fn visible(&self, arn: &str, now: OffsetDateTime) -> usize {
        let state = self.state();
        let messages = state.queues.get(arn).into_iter().flat_map(|queue| &queue.messages);
        messages.filter(|message| message.is_visible(now)).count()
    }

    /// When the next message of a queue that hides is visible again.
    pub(crate) fn next_return(&self, arn: &str, now: OffsetDateTime) -> Option<OffsetDateTime> {
        let state = self.state();
        let messages = &state.queues.get(arn)?.messages;
        messages.iter().filter(|message| !message.is_visible(now)).map(|message| message.visible_at).min()
    }

    /// Empties all queues, and puts those of an organization in place of those of the one before.
    pub(crate) fn start_over(&self, organization: &Organization) {
        self.clear();
        let mut state = self.state();
        state.queues.retain(|_, queue| !queue.is_of_organization);
        for (account, AccountQueue { name, region, policy }) in organization.queues() {
            let settings = QueueSettings {
                account: account.to_string(),
                region: region.clone(),
                name: name.clone(),
                visibility_timeout: DEFAULT_VISIBILITY_TIMEOUT,
                redrive: None,
            };
            let arn = settings.arn();
            let policy = History::new(policy.clone());
            state.queues.insert(arn, Queue { policy, is_of_organization: true, ..Queue::new(settings) });
        }
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

impl<'a> Origin<'a> {
    /// From the account and the Region of a resource.
    pub fn of(arn: &'a str) -> Self {
        let mut parts = arn.split(':').skip(3);
        let (region, account) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        Self { account, region, staleness: 0 }
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

impl Queue {
    fn new(settings: QueueSettings) -> Self {
        Self { settings, policy: History::default(), messages: Vec::new(), is_of_organization: false }
    }
}

/// What a queue's URL says. `sqs.eu-central-1.amazonaws.com` names the Region; a host of the simulator's own does not.
#[derive(Clone, Copy, Debug)]
struct QueueUrl<'a> {
    region: Option<&'a str>,
    account: &'a str,
    name: &'a str,
}

impl<'a> QueueUrl<'a> {
    fn parse(url: &'a str) -> Option<Self> {
        let mut segments = url.rsplit('/');
        let (name, account, host) = (segments.next()?, segments.next()?, segments.next()?);
        account.parse::<AccountId>().ok()?;
        let region = host.strip_prefix("sqs.").and_then(|host| host.split('.').next());
        Some(Self { region, account, name })
    }
}

impl State {
    /// The queue that a call means: in the Region that it goes to, wherever else its URL may lie. In reality, too, a URL
    /// of another Region is that of a queue that does not exist: <https://github.com/danvk/mapsnap/pull/436>
    fn arn_for(&self, from: Origin, queue_url: &str) -> Option<String> {
        let QueueUrl { region, account, name } = QueueUrl::parse(queue_url)?;
        let arn = format!("arn:aws:sqs:{}:{account}:{name}", from.region);
        (region.is_none_or(|region| region == from.region) && self.queues.contains_key(&arn)).then_some(arn)
    }

    fn arn_of(&self, queue_url: &str) -> Option<String> {
        let QueueUrl { region, account, name } = QueueUrl::parse(queue_url)?;
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
        let mut visible: Vec<_> = queue.messages.iter_mut().filter(|message| message.is_visible(now)).collect();
        self.chance.shuffle(&mut visible);
        let received = visible.into_iter().take(most).map(|message| {
            let hide_for = if self.chance.repeats_message() { Duration::ZERO } else { hide_for };
            message.receive(now, hide_for)
        });
        received.collect()
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
