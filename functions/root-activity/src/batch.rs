//! The messages of one invocation: read, told apart, and answered account by account.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aws_lambda_events::sqs::SqsMessage;
use shared::aws::queue::Rejection;
use shared::domain::account::Account;
use shared::domain::alert::AlertCounts;
use shared::domain::failure::{Cause, Failure};
use shared::domain::id::{AccessKeyId, AccountId};
use shared::domain::plan::HoldBack;
use shared::domain::posture::Run;
use shared::domain::record::{AccountRecord, Totals};
use shared::domain::root_activity::{Facts, SESSIONS_ARE_KNOWN_AFTER, Sighting, Sign, Standing, Triage, triage};
use shared::domain::trigger::Trigger;
use shared::events::root_activity::{self, RootEvent};
use shared::examine::Examiner;
use shared::metrics::Metrics;
use shared::recorder::Recorder;
use shared::runtime::{self, Disposition, Function, Invocation, Problem};
use shared::telemetry;
use shared::window_watch::WindowWatch;
use time::OffsetDateTime;
use tokio::time::Instant;
use tracing::{debug, info, warn};

/// No account is begun in this last part of an invocation: examining one takes seconds.
const LAST_START: Duration = Duration::from_secs(30);

/// Nothing depends yet on an access key that is younger: it is deleted even if it is used. Who signs in as root makes one.
const ESTABLISHED: Duration = Duration::from_hours(24);

pub(crate) struct Batch<'a> {
    function: &'a Function,
    invocation: &'a Invocation,
    recorder: Recorder,
    heard: Vec<Heard<'a>>,
    accounts: BTreeMap<AccountId, Looked>,
    signs: BTreeMap<Triage, u64>,
    done: Totals,
}

/// A message and what is to become of it, once that is known.
struct Heard<'a> {
    message: &'a SqsMessage,
    sign: Option<Sign>,
    disposition: Option<Disposition>,
}

/// What Organizations says of an account.
enum Looked {
    Management,
    Member(Account),
    NotInOrganization,
    Failed(Failure),
}

impl<'a> Batch<'a> {
    /// Reads the messages. What cannot be read, or is no sign of root activity, is done with.
    pub(crate) fn begin(function: &'a Function, invocation: &'a Invocation, messages: &'a [SqsMessage]) -> Self {
        let mode = function.settings.mode;
        let run = Run { id: invocation.request_id.clone(), trigger: Trigger::RootActivity, mode };
        let recorder = Recorder::start(&function.aws, run, AlertCounts::default(), invocation);
        Self {
            function,
            invocation,
            recorder,
            heard: messages.iter().map(Heard::read).collect(),
            accounts: BTreeMap::new(),
            signs: BTreeMap::new(),
            done: Totals::default(),
        }
    }

    /// The keys that may be those of our own sessions.
    pub(crate) fn keys(&self) -> BTreeSet<AccessKeyId> {
        let signs = self.heard.iter().filter_map(|heard| heard.sign.as_ref());
        signs.filter_map(|sign| sign.observed.access_key_id.clone()).collect()
    }

    /// INVARIANT (never reacts to itself): without knowing our own sessions nothing is done, and all comes again.
    pub(crate) async fn work(&mut self, own_sessions: Result<BTreeSet<AccessKeyId>, Failure>) {
        let known = match own_sessions {
            Ok(own_sessions) => {
                let windows = WindowWatch::begin(&self.function.aws, self.function.settings.tuning).await;
                windows.map(|windows| (own_sessions, windows))
            }
            Err(failure) => Err(failure),
        };
        let (own_sessions, windows) = match known {
            Ok(known) => known,
            Err(failure) => return self.put_off(&Problem::after("StateNotRead", &failure)),
        };
        for ((account, triage), indices) in self.triage_all(&own_sessions, &windows).await {
            *self.signs.entry(triage).or_default() += u64::try_from(indices.len()).unwrap_or(u64::MAX);
            self.answer(&account, triage, &indices, &windows).await;
        }
    }

    /// What becomes of each message, in order, once all is remembered and told.
    pub(crate) async fn end(self) -> Vec<Disposition> {
        let metrics = Metrics { stack_name: &self.function.settings.stack_name };
        metrics.root_activity(&self.signs);
        metrics.work(&self.done);
        let problem = self.recorder.finish().await.problem;
        let decided = self.heard.into_iter().map(|Heard { message, disposition, .. }| {
            // Time ran out before its turn came.
            let disposition = disposition.unwrap_or(Disposition::Retry { after: Duration::ZERO });
            disposition.once_recorded(problem.as_ref(), message)
        });
        decided.collect()
    }

    fn put_off(&mut self, problem: &Problem) {
        for heard in self.heard.iter_mut().filter(|heard| heard.disposition.is_none()) {
            heard.disposition = Some(problem.clone().disposition(heard.message));
        }
    }

    /// The indices of the messages that mean the same for an account.
    async fn triage_all(
        &mut self,
        own_sessions: &BTreeSet<AccessKeyId>,
        windows: &WindowWatch,
    ) -> BTreeMap<(AccountId, Triage), Vec<usize>> {
        let now = OffsetDateTime::now_utc();
        let mut groups: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for index in 0..self.heard.len() {
            let Some(heard) = self.heard.get(index) else { continue };
            let (Some(sign), message) = (heard.sign.clone(), heard.message) else { continue };
            let is_own_session = sign.observed.access_key_id.as_ref().is_some_and(|key| own_sessions.contains(key));
            let has_waited =
                runtime::receive_count(message) > 1 || (now - sign.observed.at).abs() >= SESSIONS_ARE_KNOWN_AFTER;
            let standing =
                if is_own_session { Standing::Unknown } else { self.standing(&sign.account, windows, now).await };
            if let Some(triage) = triage(&sign, &Facts { is_own_session, has_waited, standing }) {
                if is_own_session {
                    debug!(account = %sign.account, event = sign.observed.event_id, "our own session");
                } else {
                    telemetry::root_activity(&self.invocation.request_id, &sign, triage);
                }
                groups.entry((sign.account, triage)).or_default().push(index);
            } else {
                info!(account = %sign.account, event = sign.observed.event_id, "too new to be known, comes again");
                let after = SESSIONS_ARE_KNOWN_AFTER.unsigned_abs();
                self.decide(&[index], |_| Disposition::Retry { after });
            }
        }
        groups
    }

    async fn standing(&mut self, account: &AccountId, windows: &WindowWatch, now: OffsetDateTime) -> Standing {
        if !self.accounts.contains_key(account) {
            let looked = self.look_up(account).await;
            self.accounts.insert(account.clone(), looked);
        }
        match self.accounts.get(account) {
            Some(Looked::Management) => Standing::ManagementAccount,
            Some(Looked::NotInOrganization) => Standing::NotInOrganization,
            Some(Looked::Member(_)) => match windows.current().await {
                Ok(windows) => Standing::Member { window: windows.open(account, now).cloned() },
                Err(_) => Standing::Unknown,
            },
            Some(Looked::Failed(_)) | None => Standing::Unknown,
        }
    }

    async fn look_up(&self, account: &AccountId) -> Looked {
        let Function { aws, settings } = self.function;
        if *account == settings.scope.management_account {
            return Looked::Management;
        }
        match aws.describe_account(account).await {
            Ok(account) => Looked::Member(account),
            Err(failure) if failure.cause == Cause::AccountNotFound => Looked::NotInOrganization,
            Err(failure) => Looked::Failed(failure),
        }
    }

    /// Does what follows from signs that mean the same for an account, and decides what becomes of their messages.
    async fn answer(&mut self, account: &AccountId, triage: Triage, indices: &[usize], windows: &WindowWatch) {
        let record = match triage {
            Triage::OwnSession => return self.decide(indices, |_| Disposition::Acknowledge),
            Triage::RootUsage => {
                if self.invocation.last_start(LAST_START) < Instant::now() {
                    return;
                }
                Some(self.examine(account, windows).await)
            }
            Triage::ForeignSession
            | Triage::ManagementAccount
            | Triage::OutsideOrganization
            | Triage::OtherFinding
            | Triage::RecoveryWindow => None,
        };
        let member = match self.accounts.get(account) {
            Some(Looked::Member(member)) => Some(member.name.clone()),
            Some(Looked::Management | Looked::NotInOrganization | Looked::Failed(_)) | None => None,
        };
        let now = OffsetDateTime::now_utc();
        let signs = indices.iter().filter_map(|index| self.heard.get(*index)?.sign.clone());
        let sighting = Sighting {
            account: account.clone(),
            account_name: member,
            triage,
            window: windows.current().await.ok().and_then(|windows| windows.open(account, now).cloned()),
            signs: signs.collect(),
        };
        self.decide(indices, |message| match &record {
            Some(record) => Disposition::after(record, message),
            None => Disposition::Acknowledge,
        });
        self.recorder.record_activity(sighting, record);
    }

    async fn examine(&mut self, account: &AccountId, windows: &WindowWatch) -> AccountRecord {
        let Function { aws, settings } = self.function;
        let now = OffsetDateTime::now_utc();
        let record = match self.accounts.get(account) {
            Some(Looked::Member(account)) => {
                let examiner = Examiner {
                    aws,
                    scope: &settings.scope,
                    windows,
                    hold_back: HoldBack { keys_older_than: ESTABLISHED, ..settings.hold_back },
                    mode: settings.mode,
                    until: self.invocation.work_until(),
                };
                examiner.examine(account).await
            }
            Some(Looked::Failed(failure)) => AccountRecord::unknown(account.clone(), failure.clone(), now),
            Some(Looked::Management | Looked::NotInOrganization) | None => {
                let failure = Failure::observed(Cause::AccountNotFound, "the look at the account", "not a member");
                AccountRecord::unknown(account.clone(), failure, now)
            }
        };
        telemetry::account_record(&self.invocation.request_id, &record);
        self.done.add(&record);
        record
    }

    fn decide(&mut self, indices: &[usize], decision: impl Fn(&SqsMessage) -> Disposition) {
        for index in indices {
            if let Some(heard) = self.heard.get_mut(*index) {
                heard.disposition = Some(decision(heard.message));
            }
        }
    }
}

impl<'a> Heard<'a> {
    fn read(message: &'a SqsMessage) -> Self {
        let body = message.body.as_deref().unwrap_or_default();
        let sent = runtime::sent_at(message).unwrap_or_else(OffsetDateTime::now_utc);
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
