//! Letting everything happen that still has to: events, invocations, and the time between them.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use futures_util::StreamExt as _;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;
use serde_json::Value;
use time::OffsetDateTime;
use tokio::sync::MutexGuard;
use tokio::sync::mpsc::UnboundedReceiver;

use super::event_source::Batch;
use super::{Bus, Deployed, Deployment, lock};
use crate::aws::PutEvent;
use crate::lambda::FunctionError;

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

/// Who does everything that there is to do, at the time when it is to be done. There is one at a time.
struct Worker<'a> {
    deployment: &'a Deployment,
    events: MutexGuard<'a, UnboundedReceiver<Value>>,
    running: FuturesUnordered<LocalBoxFuture<'a, Finished>>,
    /// How many invocations of each function run.
    busy: BTreeMap<&'a str, usize>,
    /// Until when the batch of a function fills.
    filling: BTreeMap<&'a str, OffsetDateTime>,
    invocations: usize,
    seen: Seen,
}

struct Finished {
    name: String,
    batch: Batch,
    outcome: Result<Value, FunctionError>,
}

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
        let until = self.aws.clock().now() + longest;
        let mut worker = Worker::begin(self).await;
        loop {
            worker.begin_what_is_due()?;
            let next = worker.next_due();
            if worker.running.is_empty() {
                let Some(next) = next else { return Ok(()) };
                if next >= until {
                    let minutes = longest.as_secs() / 60;
                    bail!("no rest after {minutes} simulated minutes: {}", worker.what_keeps_coming());
                }
                if self.aws.clock().is_waited_for() {
                    worker.wait(Some(next)).await?;
                } else {
                    self.aws.clock().advance(self.until(next));
                }
                self.recycle_environments();
            } else {
                worker.wait(next).await?;
            }
        }
    }

    /// Works while something else happens, on the time of the runtime, and returns what comes of that. What is not done by
    /// then is left for the next who works.
    pub async fn work_while<T>(&self, meanwhile: impl Future<Output = T>) -> Result<T> {
        let mut meanwhile = pin!(meanwhile);
        let mut worker = Worker::begin(self).await;
        loop {
            worker.begin_what_is_due()?;
            let next = [worker.next_due(), self.aws.next_firing()].into_iter().flatten().min();
            tokio::select! {
                biased;
                result = &mut meanwhile => {
                    while !worker.running.is_empty() {
                        worker.wait(None).await?;
                    }
                    return Ok(result);
                }
                waited = worker.wait(next) => waited?,
            }
            self.recycle_environments();
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

    fn until(&self, at: OffsetDateTime) -> Duration {
        Duration::try_from(at - self.aws.clock().now()).unwrap_or_default()
    }
}

impl<'a> Worker<'a> {
    async fn begin(deployment: &'a Deployment) -> Self {
        let events = deployment.events.lock().await;
        // Whoever works may have advanced the clock before.
        deployment.recycle_environments();
        Self {
            deployment,
            events,
            running: FuturesUnordered::new(),
            busy: BTreeMap::new(),
            filling: BTreeMap::new(),
            invocations: 0,
            seen: Seen::default(),
        }
    }

    /// Begins everything whose time has come.
    fn begin_what_is_due(&mut self) -> Result<()> {
        let deployment = self.deployment;
        deployment.aws.emit_due();
        let failures = deployment.aws.fire_due_schedules();
        ensure!(failures.is_empty(), "{}", failures.join("; "));
        while let Ok(event) = self.events.try_recv() {
            self.seen.count(&event);
            deployment.put_event(Bus::Default, &event);
        }
        deployment.route_put_events();
        for (name, deployed) in &deployment.functions {
            while let Some(batch) = self.next_batch(name, deployed)? {
                *self.busy.entry(name).or_default() += 1;
                self.invocations += 1;
                ensure!(
                    self.invocations < MOST_INVOCATIONS,
                    "`{name}` is invoked in an endless loop: {}",
                    self.what_keeps_coming()
                );
                self.running.push(Box::pin(async move {
                    let outcome = deployed.function.invoke(&batch.event).await;
                    Finished { name: name.clone(), batch, outcome }
                }));
            }
        }
        Ok(())
    }

    /// The messages for the next invocation of a function, if there are some and it may be invoked.
    fn next_batch(&mut self, name: &'a str, deployed: &Deployed) -> Result<Option<Batch>> {
        let Some(source) = &deployed.source else { return Ok(None) };
        if self.busy.get(name).is_some_and(|busy| *busy >= source.most_concurrent) {
            return Ok(None);
        }
        let now = self.deployment.aws.clock().now();
        if !source.is_full(&self.deployment.queues, now) && self.deployment.aws.clock().is_waited_for() {
            if !source.has_messages(&self.deployment.queues, now) {
                self.filling.remove(name);
                return Ok(None);
            }
            let full = || now + self.deployment.aws.part_of(source.window);
            if *self.filling.entry(name).or_insert_with(full) > now {
                return Ok(None);
            }
        }
        self.filling.remove(name);
        source.receive(&self.deployment.queues)
    }

    /// When the next message returns, the next event comes or the next batch is invoked, as far as that is known.
    fn next_due(&self) -> Option<OffsetDateTime> {
        let Deployment { aws, queues, functions, .. } = self.deployment;
        let now = aws.clock().now();
        let sources = functions.values().filter_map(|deployed| Some(&deployed.source.as_ref()?.queue_arn));
        // What is visible waits for its function, not for a time.
        let hidden = sources.filter_map(|arn| queues.next_return(arn, now)).min();
        let filled = self.filling.values().min().copied();
        [hidden, filled, aws.next_due()].into_iter().flatten().min()
    }

    /// Waits for an invocation to end, for a time, or for something to come.
    async fn wait(&mut self, until: Option<OffsetDateTime>) -> Result<()> {
        let until = until.map(|until| self.deployment.until(until));
        let time_is_up = async {
            match until {
                Some(duration) => tokio::time::sleep(duration).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            Some(finished) = self.running.next() => self.finish(finished)?,
            () = self.deployment.aws.rung() => {}
            () = time_is_up => {}
        }
        Ok(())
    }

    fn finish(&mut self, Finished { name, batch, outcome }: Finished) -> Result<()> {
        let deployed = self.deployment.deployed(&name)?;
        self.deployment.source(&name)?.acknowledge(&self.deployment.queues, &batch, &outcome)?;
        lock(&deployed.outcomes).push(outcome);
        if let Some(busy) = self.busy.get_mut(name.as_str()) {
            *busy -= 1;
        }
        Ok(())
    }

    /// `3 messages hide in the queue of `account-joined`; events: 96 x GuardDuty Finding .. in eu-north-1`.
    fn what_keeps_coming(&self) -> String {
        let Deployment { queues, functions, .. } = self.deployment;
        let hidden = functions.iter().filter_map(|(name, deployed)| {
            let count = queues.messages(&deployed.source.as_ref()?.queue_arn).len();
            (count > 0).then(|| format!("{count} messages hide in the queue of `{name}`"))
        });
        let mut parts: Vec<String> = hidden.collect();
        if !self.seen.0.is_empty() {
            parts.push(format!("events that came: {}", self.seen.most_frequent()));
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
