//! What was seen is remembered and what of it is news is told, in batches, while accounts are still being examined.
//!
//! INVARIANT (nothing is lost): an alert is kept with the posture that caused it until the bus has taken it. Whatever
//! fails, the next look at the account finds the alert unsent and sends it, with the same id.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join;
use time::OffsetDateTime;
use tokio::sync::mpsc;
use tokio::time::{Instant, interval_at, sleep, timeout_at};
use tracing::{error, warn};

use crate::aws::Aws;
use crate::aws::alerts::{OutgoingEvent, Sent};
use crate::aws::state::{BATCH, Written};
use crate::domain::alert::{Alert, AlertCounts, AlertDetail, DetailType};
use crate::domain::failure::{Cause, Failure, Recovery};
use crate::domain::id::AccountId;
use crate::domain::notification::Notifier;
use crate::domain::posture::{Posture, Run};
use crate::domain::record::AccountRecord;
use crate::domain::root_activity::Sighting;
use crate::runtime::{Invocation, Problem};

/// Root sessions are remembered that soon after they were opened, since the log shows them within minutes.
const REMEMBER_SESSIONS_EVERY: Duration = Duration::from_secs(10);

/// So long records wait until they fill a batch.
const WAIT_FOR_A_BATCH: Duration = Duration::from_mins(1);

/// How often what failed in the end is tried again, for the failures that the SDK does not try again.
const LAST_TRIES: usize = 2;

/// How often a batch is written again that somebody else has overtaken.
const MOST_OVERTAKEN: u32 = 10;

/// Takes what is seen as it comes.
#[derive(Debug)]
pub struct Recorder {
    seen: mpsc::UnboundedSender<Seen>,
}

/// What became of the records.
#[derive(Debug, Default)]
pub struct Recorded {
    /// Since when each account is in its state.
    pub since: BTreeMap<AccountId, OffsetDateTime>,
    /// Over the whole run so far.
    pub alerts: AlertCounts,
    /// Those of whose root sessions people have had a message.
    pub callers: BTreeSet<String>,
    /// Why not everything could be remembered and told.
    pub problem: Option<Problem>,
}

impl Recorder {
    /// Records for the run what `work` hands over while it works, and the rest afterwards. It ends before the invocation
    /// does.
    ///
    /// Both are parts of one future: an invocation that is dropped leaves nothing behind that goes on.
    pub async fn while_working<T>(
        aws: &Aws,
        run: Run,
        notifier: Notifier,
        invocation: &Invocation,
        work: impl AsyncFnOnce(&Self) -> T,
    ) -> (T, Recorded) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let recorder = Self { seen: sender };
        let worker = Worker {
            aws: aws.clone(),
            run,
            flush_until: invocation.record_until(),
            until: invocation.report_until(),
            waiting: Vec::new(),
            untold: Vec::new(),
            told: Vec::new(),
            recorded: Recorded { alerts: notifier.counts(), ..Recorded::default() },
            notifier,
        };
        let working = async move {
            let done = work(&recorder).await;
            // The worker ends once it has done all that was handed over.
            drop(recorder);
            done
        };
        // Boxed, since a function would otherwise carry both futures wherever it goes.
        join(Box::pin(working), Box::pin(worker.work(receiver))).await
    }

    pub fn record(&self, record: AccountRecord) {
        self.send(Seen::Account(Box::new(record)));
    }

    /// Root activity, with the record of the look at the account if it was looked at for this. It is told at once.
    pub fn record_activity(&self, sighting: Sighting, record: Option<AccountRecord>, unremembered: Unremembered) {
        self.send(Seen::Activity { sighting: Box::new(sighting), record: record.map(Box::new), unremembered });
    }

    /// What an operator had done.
    pub fn record_task(&self, task: AlertDetail) {
        self.send(Seen::Task(Box::new(Alert { detail_type: DetailType::TaskPerformed, detail: task })));
    }

    fn send(&self, seen: Seen) {
        // The worker ends only after this sender is gone.
        let _ = self.seen.send(seen);
    }
}

/// What is to be remembered of an account.
#[derive(Debug)]
enum Seen {
    Account(Box<AccountRecord>),
    Activity { sighting: Box<Sighting>, record: Option<Box<AccountRecord>>, unremembered: Unremembered },
    Task(Box<Alert>),
}

/// What becomes of root activity that cannot be remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unremembered {
    Tell,
    /// It was told when it came before.
    Keep,
}

/// What was seen waits to be remembered, the alerts that follow from it to be told, and those to be forgotten in the
/// state.
struct Worker {
    aws: Aws,
    run: Run,
    /// When the store is given up, and what was deleted is told without it.
    flush_until: Instant,
    until: Instant,
    waiting: Vec<Seen>,
    untold: Vec<Alert>,
    told: Vec<Alert>,
    notifier: Notifier,
    recorded: Recorded,
}

impl Worker {
    async fn work(mut self, mut seen: mpsc::UnboundedReceiver<Seen>) -> Recorded {
        let every = |period| interval_at(Instant::now() + period, period);
        let (mut sessions, mut patience) = (every(REMEMBER_SESSIONS_EVERY), every(WAIT_FOR_A_BATCH));
        loop {
            tokio::select! {
                // In this order, and so in the same order in each run. The timers are seldom due.
                biased;
                // What fails here fails again with the records, and is reported then.
                _ = sessions.tick() => self.aws.remember_opened_sessions(1).await.unwrap_or_default(),
                _ = patience.tick() => self.flush(1).await,
                received = seen.recv_many(&mut self.waiting, BATCH) => {
                    if received == 0 {
                        break;
                    }
                    // After a failure the next try waits: the store may be throttled.
                    let least = if self.waiting.iter().any(Seen::is_urgent) { 1 } else { BATCH };
                    if self.waiting.len() >= least && self.recorded.problem.is_none() {
                        self.flush(least).await;
                    }
                }
            }
        }
        self.flush(1).await;
        for wait in self.aws.waits().take(LAST_TRIES) {
            if self.recorded.problem.as_ref().is_some_and(|problem| problem.recovery == Recovery::Retry) {
                sleep(wait).await;
                self.flush(1).await;
            }
        }
        if !self.waiting.is_empty() {
            // The time for it was kept.
            let _ = timeout_at(self.until, self.tell_what_cannot_be_found_again()).await;
        }
        self.recorded
    }

    /// Does what waits, in batches of at least so many. What fails, or takes too long, goes on waiting.
    async fn flush(&mut self, least: usize) {
        let flushed = timeout_at(self.flush_until, self.try_flush(least)).await;
        self.recorded.problem =
            flushed.unwrap_or_else(|_| Err(Problem::after("StateNotWritten", &out_of_time()))).err();
        if let Some(Problem { error_type, message, .. }) = &self.recorded.problem {
            warn!(error_type, error = message, waiting = self.waiting.len(), "not recorded");
        }
    }

    async fn try_flush(&mut self, least: usize) -> Result<(), Problem> {
        let not_written = |failure: Failure| Problem::after("StateNotWritten", &failure);
        let remembered = self.remember(least).await.map_err(not_written);
        let told = self.tell().await.map_err(|failure| Problem::after("AlertsNotSent", &failure));
        let forgotten = self.forget().await.map_err(not_written);
        remembered.and(told).and(forgotten)
    }

    async fn remember(&mut self, least: usize) -> Result<(), Failure> {
        self.aws.remember_opened_sessions(least).await?;
        while self.waiting.len() >= least {
            let batch = self.waiting.get(..length_of_batch(&self.waiting)).unwrap_or_default();
            let accounts: Vec<_> = batch.iter().map(|seen| seen.account().clone()).collect();
            let after = |index: usize, previous: Option<&Posture>| match batch.get(index) {
                Some(seen) => Some(seen.posture(previous, &self.run, self.aws.now())),
                None => previous.cloned(),
            };
            let postures = self.update(&accounts, after).await?;
            self.waiting.drain(..postures.len());
            for posture in postures {
                self.recorded.since.insert(posture.account_id, posture.since);
                let known: BTreeSet<_> = self.untold.iter().chain(&self.told).map(|alert| &alert.detail.id).collect();
                let unsent = posture.unsent.into_iter().filter(|alert| !known.contains(&alert.detail.id));
                let unsent: Vec<_> = unsent.collect();
                self.untold.extend(unsent);
            }
        }
        Ok(())
    }

    /// Sends what is untold, not all of it as messages of their own.
    async fn tell(&mut self) -> Result<(), Failure> {
        let details = self.notifier.clone().notify(&self.untold);
        let untold = self.untold.iter().zip(&details);
        let events = untold.map(|(alert, detail)| OutgoingEvent::new(alert.detail_type, detail));
        let Sent { taken, failure } = self.aws.put_events(&events.collect::<Result<Vec<_>, _>>()?).await;
        let told: Vec<_> = self.untold.drain(..taken).collect();
        self.notifier.notify(&told);
        self.recorded.alerts = self.notifier.counts();
        self.recorded.callers.clone_from(self.notifier.callers());
        self.told.extend(told);
        failure.map_or(Ok(()), Err)
    }

    /// Writes to the postures that their alerts were sent.
    async fn forget(&mut self) -> Result<(), Failure> {
        while !self.told.is_empty() {
            let mut accounts: Vec<_> = self.told.iter().map(|alert| alert.detail.account.id.clone()).collect();
            accounts.sort();
            accounts.dedup();
            accounts.truncate(BATCH);
            let without_told = |_: usize, previous: Option<&Posture>| {
                let mut posture = previous?.clone();
                posture.unsent.retain(|alert| !self.told.iter().any(|told| told.detail.id == alert.detail.id));
                Some(posture)
            };
            self.update(&accounts, without_told).await?;
            self.told.retain(|alert| !accounts.contains(&alert.detail.account.id));
        }
        Ok(())
    }

    /// Reads the postures, changes them and writes them, again if somebody else was faster. Accounts for which `change`
    /// returns nothing are left as they are.
    async fn update(
        &self,
        accounts: &[AccountId],
        change: impl Fn(usize, Option<&Posture>) -> Option<Posture>,
    ) -> Result<Vec<Posture>, Failure> {
        if accounts.is_empty() {
            return Ok(Vec::new());
        }
        for n in 0..MOST_OVERTAKEN {
            let remembered = self.aws.read_postures(accounts).await?;
            let changed = accounts.iter().enumerate().filter_map(|(index, account)| {
                let previous = remembered.get(account);
                let posture = change(index, previous.and_then(|previous| previous.posture.as_ref()))?;
                Some((posture, previous.map(|previous| previous.version)))
            });
            let changed: Vec<_> = changed.collect();
            match self.aws.write_postures(&changed).await? {
                Written::All => return Ok(changed.into_iter().map(|(posture, _)| posture).collect()),
                Written::Overtaken => sleep(Duration::from_millis(50) * (n + 1)).await,
            }
        }
        Err(Failure::observed(Cause::Conflict, "dynamodb:TransactWriteItems", "others write the same postures"))
    }

    /// The state cannot be written. What is still in the accounts the retry finds again, and tells then; what was deleted
    /// it does not, so that is told now. So is root activity: somebody may be at work.
    async fn tell_what_cannot_be_found_again(&mut self) {
        for seen in self.waiting.iter().filter(|seen| !seen.can_be_found_again()) {
            self.untold.extend(seen.posture(None, &self.run, self.aws.now()).unsent);
        }
        if let Err(failure) = self.tell().await {
            error!(%failure, untold = self.untold.len(), "changes are told nowhere but in this log");
        }
    }
}

impl Seen {
    fn account(&self) -> &AccountId {
        match self {
            Self::Account(record) => &record.account_id,
            Self::Activity { sighting, .. } => &sighting.account,
            Self::Task(task) => &task.detail.account.id,
        }
    }

    fn posture(&self, previous: Option<&Posture>, run: &Run, now: OffsetDateTime) -> Posture {
        match self {
            Self::Account(record) => Posture::after(previous, record, run),
            Self::Activity { sighting, record, .. } => {
                Posture::after_activity(previous, sighting, record.as_deref(), run, now)
            }
            Self::Task(task) => Posture::after_task(previous, task, run, now),
        }
    }

    fn can_be_found_again(&self) -> bool {
        let is_unchanged = |record: &AccountRecord| record.removed.is_empty() && record.attempted.is_empty();
        match self {
            Self::Account(record) => is_unchanged(record),
            Self::Activity { record, unremembered, .. } => {
                *unremembered == Unremembered::Keep && record.as_deref().is_none_or(is_unchanged)
            }
            Self::Task(_) => false,
        }
    }

    fn is_urgent(&self) -> bool {
        match self {
            Self::Account(_) | Self::Task(_) => false,
            Self::Activity { .. } => true,
        }
    }
}

fn out_of_time() -> Failure {
    Failure::observed(Cause::OutOfTime, "recording", "the invocation ends")
}

/// As many records as one batch takes, no account twice.
fn length_of_batch(waiting: &[Seen]) -> usize {
    let mut accounts = BTreeSet::new();
    waiting.iter().take(BATCH).take_while(|seen| accounts.insert(seen.account())).count()
}
