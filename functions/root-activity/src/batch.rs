//! The messages of one invocation: what each says, and what is to become of it.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_lambda_events::sqs::SqsMessage;
use shared::aws::queue::Rejection;
use shared::domain::id::AccessKeyId;
use shared::domain::root_activity::Sign;
use shared::events::root_activity::{self, RootEvent};
use shared::runtime::{self, Disposition, Problem};
use time::OffsetDateTime;
use tracing::warn;

pub(crate) struct Batch<'a>(Vec<Heard<'a>>);

/// A message and what is to become of it, once that is known.
pub(crate) struct Heard<'a> {
    pub(crate) message: &'a SqsMessage,
    /// What it says about root; `None` if that is nothing, and then it is done with.
    pub(crate) sign: Option<Sign>,
    disposition: Option<Disposition>,
}

impl<'a> Batch<'a> {
    /// Reads what arrived up to now.
    pub(crate) fn read(messages: &'a [SqsMessage], now: OffsetDateTime) -> Self {
        Self(messages.iter().map(|message| Heard::read(message, now)).collect())
    }

    /// The keys that may be those of our own sessions.
    pub(crate) fn keys(&self) -> BTreeSet<AccessKeyId> {
        self.signs().filter_map(|(_, _, sign)| sign.observed.access_key_id.clone()).collect()
    }

    /// The signs, each with its index and its message.
    pub(crate) fn signs(&self) -> impl Iterator<Item = (usize, &SqsMessage, &Sign)> {
        let heard = self.0.iter().enumerate();
        heard.filter_map(|(index, heard)| Some((index, heard.message, heard.sign.as_ref()?)))
    }

    /// The messages with these indices.
    pub(crate) fn get(&self, indices: &[usize]) -> impl Iterator<Item = &Heard<'a>> {
        indices.iter().filter_map(|index| self.0.get(*index))
    }

    pub(crate) fn decide(&mut self, indices: &[usize], decision: impl Fn(&SqsMessage) -> Disposition) {
        for index in indices {
            if let Some(heard) = self.0.get_mut(*index) {
                heard.disposition = Some(decision(heard.message));
            }
        }
    }

    /// Has everything come again that nothing is decided about.
    pub(crate) fn put_off(&mut self, problem: &Problem) {
        for heard in self.0.iter_mut().filter(|heard| heard.disposition.is_none()) {
            heard.disposition = Some(problem.clone().disposition(heard.message));
        }
    }

    /// The same also for what was decided, since it is not remembered or not told.
    pub(crate) fn reconsider(&mut self, problem: &Problem) {
        for heard in self.0.iter_mut().filter(|heard| heard.sign.is_some()) {
            let decided = heard.disposition.take();
            heard.disposition = decided.map(|disposition| disposition.once_recorded(Some(problem), heard.message));
        }
    }

    /// What becomes of each message, in order. What time ran out for comes again.
    pub(crate) fn dispositions(self) -> impl Iterator<Item = Disposition> {
        let decided = self.0.into_iter().map(|heard| heard.disposition);
        decided.map(|disposition| disposition.unwrap_or(Disposition::Retry { after: Duration::ZERO }))
    }
}

impl<'a> Heard<'a> {
    fn read(message: &'a SqsMessage, now: OffsetDateTime) -> Self {
        let body = message.body.as_deref().unwrap_or_default();
        let sent = runtime::sent_at(message).unwrap_or(now);
        let (sign, disposition) = match root_activity::parse(body, sent) {
            Ok(RootEvent::Sign(sign)) => (Some(*sign), None),
            Ok(RootEvent::Unrelated { description }) => {
                warn!(event = description, "ignored: not an event of root activity, check the rule that sent it");
                (None, Some(Disposition::Acknowledge))
            }
            Err(malformed) => {
                let rejection = Rejection { error_type: "MalformedEvent", message: malformed.to_string() };
                (None, Some(Disposition::SetAside(rejection)))
            }
        };
        Self { message, sign, disposition }
    }
}
