//! Letting everything happen that still has to: events, invocations, and the time between them.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use serde_json::Value;
use tokio::task::JoinSet;

use super::event_source::Batch;
use super::{Bus, Deployment, lock};
use crate::aws::PutEvent;
use crate::lambda::{Function, FunctionError};

/// The most simulated time that passes while a deployment settles.
const LONGEST_SETTLING: Duration = Duration::from_hours(24);

/// More invocations than that while settling are an endless loop.
const MOST_INVOCATIONS: usize = 10_000;

/// "Lambda terminates execution environments every few hours", also of a function that is invoked all the time; their
/// credentials would expire. <https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html>
const ENVIRONMENTS_LIVE: time::Duration = time::Duration::hours(2);

/// How many kinds of events are named when something never ends.
const NAMED_EVENTS: usize = 5;

/// How often each kind of event came while settling.
#[derive(Debug, Default)]
struct Seen(BTreeMap<String, usize>);

impl Deployment {
    /// Works until nothing is left to do: routes events, invokes functions with what is in their queues, and lets time
    /// pass while messages only hide and events are only due. Schedules that are due fire, but it waits for none: who
    /// wants one to fire advances the clock.
    ///
    /// Fails if there is still something to do after a simulated day, and says what.
    pub async fn settle(&self) -> Result<()> {
        self.settle_within(LONGEST_SETTLING).await
    }

    /// The same within less or more simulated time.
    pub async fn settle_within(&self, longest: Duration) -> Result<()> {
        let mut events = self.events.lock().await;
        let mut waited = Duration::ZERO;
        let mut invocations = 0;
        let mut seen = Seen::default();
        let mut running = JoinSet::new();
        let mut busy: BTreeMap<&str, usize> = BTreeMap::new();
        // Whoever settles may have advanced the clock before.
        self.recycle_environments();
        loop {
            self.aws.emit_due();
            let failures = self.aws.fire_due_schedules();
            ensure!(failures.is_empty(), "{}", failures.join("; "));
            while let Ok(event) = events.try_recv() {
                seen.count(&event);
                self.put_event(Bus::Default, &event);
            }
            self.route_put_events();
            for (name, deployed) in &self.functions {
                let Some(source) = &deployed.source else { continue };
                let busy = busy.entry(name.as_str()).or_default();
                while *busy < source.most_concurrent
                    && let Some(batch) = source.receive(&self.queues)?
                {
                    *busy += 1;
                    invocations += 1;
                    ensure!(
                        invocations < MOST_INVOCATIONS,
                        "`{name}` is invoked in an endless loop: {}",
                        self.what_keeps_coming(&seen)
                    );
                    running.spawn(invoke(name.clone(), deployed.function.clone(), batch));
                }
            }
            if running.is_empty() {
                let next = [self.until_next_message(), self.until_next_event()];
                let Some(wait) = next.into_iter().flatten().min() else {
                    return Ok(());
                };
                waited += wait;
                if waited >= longest {
                    let minutes = longest.as_secs() / 60;
                    bail!("no rest after {minutes} simulated minutes: {}", self.what_keeps_coming(&seen));
                }
                self.aws.clock().advance(wait);
                self.recycle_environments();
                continue;
            }
            tokio::select! {
                Some(finished) = running.join_next() => {
                    let (name, batch, outcome) = finished?;
                    let deployed = self.deployed(&name)?;
                    self.source(&name)?.acknowledge(&self.queues, &batch, &outcome)?;
                    lock(&deployed.outcomes).push(outcome);
                    if let Some(busy) = busy.get_mut(name.as_str()) {
                        *busy -= 1;
                    }
                }
                // Events and messages may have come meanwhile.
                () = tokio::time::sleep(Duration::from_millis(10)) => {}
            }
        }
    }

    pub(super) fn recycle_environments(&self) {
        let now = self.aws.clock().now();
        let mut recycled = lock(&self.recycled);
        if now - *recycled >= ENVIRONMENTS_LIVE {
            *recycled = now;
            self.functions.values().for_each(|deployed| deployed.function.recycle());
        }
    }

    /// Routes the events that were put since the last time.
    pub(super) fn route_put_events(&self) {
        let mut put = lock(&self.put);
        while let Ok(PutEvent { bus_arn, event }) = put.arriving.try_recv() {
            let deliveries = self.stacks.put_on(&bus_arn, &event);
            lock(&self.deliveries).extend(deliveries);
            put.events.push(event);
        }
    }

    /// How long the message that returns next still hides, from a queue that invokes a function.
    fn until_next_message(&self) -> Option<Duration> {
        let now = self.aws.clock().now();
        let sources = self.functions.values().filter_map(|deployed| Some(&deployed.source.as_ref()?.queue_arn));
        let messages = sources.flat_map(|arn| self.queues.messages(arn));
        let wait = messages.map(|message| message.visible_at - now).min()?;
        Some(Duration::try_from(wait).unwrap_or_default())
    }

    /// How long it takes until AWS emits the next event that it is going to emit.
    fn until_next_event(&self) -> Option<Duration> {
        let wait = self.aws.next_due()? - self.aws.clock().now();
        Some(Duration::try_from(wait).unwrap_or_default())
    }

    /// `3 messages hide in the queue of `account-joined`; events: 96 x GuardDuty Finding .. in eu-north-1`.
    fn what_keeps_coming(&self, seen: &Seen) -> String {
        let hidden = self.functions.iter().filter_map(|(name, deployed)| {
            let count = self.queues.messages(&deployed.source.as_ref()?.queue_arn).len();
            (count > 0).then(|| format!("{count} messages hide in the queue of `{name}`"))
        });
        let mut parts: Vec<String> = hidden.collect();
        if !seen.0.is_empty() {
            parts.push(format!("events that came: {}", seen.most_frequent()));
        }
        parts.join("; ")
    }
}

impl Seen {
    fn count(&mut self, event: &Value) {
        let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let name = [text("/detail/eventName"), text("/detail/type")].concat();
        let member = text("/detail/accountId");
        let account = if member.is_empty() { text("/account") } else { member };
        let kind = format!("{} {name} of {account} in {}", text("/detail-type"), text("/region"));
        *self.0.entry(kind).or_default() += 1;
    }

    fn most_frequent(&self) -> String {
        let mut kinds: Vec<_> = self.0.iter().collect();
        kinds.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let named: Vec<_> = kinds.iter().take(NAMED_EVENTS).map(|(kind, count)| format!("{count} x {kind}")).collect();
        named.join(", ")
    }
}

async fn invoke(name: String, function: Function, batch: Batch) -> (String, Batch, Result<Value, FunctionError>) {
    let outcome = function.invoke(&batch.event).await;
    (name, batch, outcome)
}
