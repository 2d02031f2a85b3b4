//! What follows from the signs of one invocation: people are told, and accounts are examined.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aws_lambda_events::sqs::SqsMessage;
use futures_util::{StreamExt as _, stream};
use shared::domain::failure::{Cause, Failure};
use shared::domain::id::{AccessKeyId, AccountId};
use shared::domain::notification::{Notifier, ToldCallers};
use shared::domain::plan::HoldBack;
use shared::domain::record::{AccountRecord, Totals};
use shared::domain::recovery_window::RecoveryWindows;
use shared::domain::root_activity::{
    Facts, SESSIONS_ARE_KNOWN_AFTER, Severity, Sighting, Sign, Standing, Triage, triage,
};
use shared::domain::trigger::Trigger;
use shared::examine::Examiner;
use shared::recorder::{Recorder, Unremembered};
use shared::runtime::{self, Disposition, Function, Invocation, Problem};
use shared::window_watch::WindowWatch;
use time::OffsetDateTime;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use crate::accounts::{Accounts, Looked};
use crate::batch::Batch;

/// No account is begun in this last part of an invocation: examining one takes seconds.
const LAST_START: Duration = Duration::from_secs(30);

/// Accounts that are examined side by side.
const AT_ONCE: usize = 8;

/// Who gets in as root is there a moment before an event says so.
const BEFORE_THE_SIGN: time::Duration = time::Duration::minutes(5);

/// Signs that mean the same for an account, by the indices of their messages. What needs no examination comes first.
type Groups = BTreeMap<(Triage, AccountId), Vec<usize>>;

pub(crate) async fn answer(
    function: &Function,
    invocation: &Invocation,
    batch: &mut Batch<'_>,
    own_sessions: &BTreeSet<AccessKeyId>,
    windows: &WindowWatch,
) {
    let open_windows = match windows.current().await {
        Ok(open_windows) => open_windows,
        Err(failure) => return batch.put_off(&Problem::after("StateNotRead", &failure)),
    };
    let unlooked = |_: &AccountId| Standing::Unknown;
    let needing =
        triage_all(batch, own_sessions, function.aws.now(), unlooked).into_keys().filter(|(triage, _)| match triage {
            Triage::RootUsage | Triage::OtherFinding => true,
            Triage::OwnSession
            | Triage::ForeignSession
            | Triage::ManagementAccount
            | Triage::OutsideOrganization
            | Triage::RecoveryWindow => false,
        });
    let accounts = Accounts::look_up(function, invocation, needing.map(|(_, account)| account).collect()).await;
    let now = function.aws.now();
    let groups = triage_all(batch, own_sessions, now, |id| accounts.standing(id, &open_windows, now));
    put_off_what_is_too_new(batch, &groups);
    report(function, invocation, batch, &groups);

    let is_foreign = groups.keys().any(|(triage, _)| *triage == Triage::ForeignSession);
    let told_callers = if is_foreign { told_callers(function).await } else { ToldCallers::default() };
    let run = function.run(invocation, Trigger::RootActivity);
    let notifier = Notifier::new(run.trigger).knowing(told_callers.known(now));
    let (usages, others): (Groups, Groups) =
        groups.into_iter().partition(|((triage, _), _)| *triage == Triage::RootUsage);
    let recording = Recorder::while_working(&function.aws, run, notifier, invocation, async |recorder| {
        for ((triage, account), indices) in &others {
            if *triage != Triage::OwnSession {
                let sighting = sighting(batch, *triage, account, indices, &accounts, (&open_windows, now));
                recorder.record_activity(sighting, None, unremembered(batch, indices));
            }
            batch.decide(indices, |_| Disposition::Acknowledge);
        }
        let done = examine_all(function, invocation, batch, &usages, &accounts, windows, recorder).await;
        function.metrics().work(&done);
    });
    let ((), outcome) = recording.await;
    if let Some(callers) = told_callers.with(&outcome.callers, now)
        && let Err(failure) = function.aws.write_told_callers(&callers).await
    {
        warn!(%failure, "people may be told again of whom they know");
    }
    if let Some(problem) = outcome.problem {
        batch.reconsider(&problem);
    }
}

async fn told_callers(function: &Function) -> ToldCallers {
    function.aws.told_callers().await.unwrap_or_else(|failure| {
        warn!(%failure, "people may be told again of whom they know");
        ToldCallers::default()
    })
}

fn triage_all(
    batch: &Batch<'_>,
    own: &BTreeSet<AccessKeyId>,
    now: OffsetDateTime,
    standing: impl Fn(&AccountId) -> Standing,
) -> Groups {
    let mut groups = Groups::new();
    for (index, message, sign) in batch.signs() {
        let is_own_session = sign.observed.access_key_id.as_ref().is_some_and(|key| own.contains(key));
        let age = (now - sign.observed.at).abs();
        let has_waited = runtime::receive_count(message) > 1 || age >= SESSIONS_ARE_KNOWN_AFTER;
        let facts = Facts { is_own_session, has_waited, standing: standing(&sign.account) };
        if let Some(triage) = triage(sign, &facts) {
            groups.entry((triage, sign.account.clone())).or_default().push(index);
        }
    }
    groups
}

fn put_off_what_is_too_new(batch: &mut Batch<'_>, groups: &Groups) {
    let told_apart: BTreeSet<_> = groups.values().flatten().collect();
    let too_new: Vec<_> = batch.signs().map(|(index, ..)| index).filter(|index| !told_apart.contains(index)).collect();
    if !too_new.is_empty() {
        info!(signs = too_new.len(), "too new to be known, they come again");
        batch.decide(&too_new, |_| Disposition::Retry { after: SESSIONS_ARE_KNOWN_AFTER.unsigned_abs() });
    }
}

/// A line for each sign of somebody else, and the numbers of all.
fn report(function: &Function, invocation: &Invocation, batch: &Batch<'_>, groups: &Groups) {
    let mut numbers = BTreeMap::new();
    for ((triage, account), indices) in groups {
        *numbers.entry(*triage).or_default() += u64::try_from(indices.len()).unwrap_or(u64::MAX);
        for sign in batch.get(indices).filter_map(|heard| heard.sign.as_ref()) {
            if *triage == Triage::OwnSession {
                debug!(%account, event = sign.observed.event_id, "our own session");
            } else {
                function.log.root_activity(&invocation.request_id, sign, *triage);
            }
        }
    }
    function.metrics().root_activity(&numbers);
}

fn sighting(
    batch: &Batch<'_>,
    triage: Triage,
    account: &AccountId,
    indices: &[usize],
    accounts: &Accounts,
    (windows, now): (&RecoveryWindows, OffsetDateTime),
) -> Sighting {
    Sighting {
        account: account.clone(),
        account_name: accounts.name(account),
        triage,
        window: windows.open(account, now).cloned(),
        signs: batch.get(indices).filter_map(|heard| heard.sign.clone()).collect(),
    }
}

/// What comes again because it cannot be remembered is told now and then, not each time.
fn unremembered(batch: &Batch<'_>, indices: &[usize]) -> Unremembered {
    let is_to_be_told = |message: &SqsMessage| matches!(runtime::receive_count(message), 1 | 10);
    let mut heard = batch.get(indices);
    if heard.any(|heard| is_to_be_told(heard.message)) { Unremembered::Tell } else { Unremembered::Keep }
}

async fn examine_all(
    function: &Function,
    invocation: &Invocation,
    batch: &mut Batch<'_>,
    usages: &Groups,
    accounts: &Accounts,
    windows: &WindowWatch,
    recorder: &Recorder,
) -> Totals {
    let last_start = invocation.last_start(LAST_START);
    let signs_of = |indices: &[usize]| batch.get(indices).filter_map(|heard| heard.sign.clone()).collect::<Vec<_>>();
    let signs: Vec<_> = usages.iter().map(|((_, account), indices)| (account, indices, signs_of(indices))).collect();
    let examined = stream::iter(&signs).map(async |(account, indices, signs)| {
        if last_start < Instant::now() {
            return None;
        }
        let record = examine(function, invocation, accounts.get(account), account, signs, windows).await;
        Some((*account, *indices, record))
    });
    let mut examined = examined.buffer_unordered(AT_ONCE);
    let mut done = Totals::default();
    while let Some(finished) = examined.next().await {
        // What is not begun comes again.
        let Some((account, indices, record)) = finished else { continue };
        function.log.account_record(&invocation.request_id, &record);
        done.add(&record);
        let windows = windows.current().await.unwrap_or_default();
        let sighting = sighting(batch, Triage::RootUsage, account, indices, accounts, (&windows, function.aws.now()));
        let is_attempt = sighting.severity() < Severity::High;
        batch.decide(indices, |message| match Disposition::after(&record, message) {
            // Anyone can try, and as often as he likes: people are told, and need no alarm about each.
            Disposition::SetAside(_) if is_attempt => Disposition::Acknowledge,
            disposition @ (Disposition::Acknowledge | Disposition::Retry { .. } | Disposition::SetAside(_)) => {
                disposition
            }
        });
        recorder.record_activity(sighting, Some(record), unremembered(batch, indices));
    }
    done
}

async fn examine(
    function: &Function,
    invocation: &Invocation,
    looked: Option<&Looked>,
    account: &AccountId,
    signs: &[Sign],
    windows: &WindowWatch,
) -> AccountRecord {
    let Function { aws, settings, .. } = function;
    let now = aws.now();
    match looked {
        Some(Looked::Member(account)) => {
            let intruded = signs.iter().filter(|sign| sign.shows_an_intruder()).map(|sign| sign.observed.began()).min();
            let keys_created_before = intruded.map(|since| since - BEFORE_THE_SIGN);
            let examiner = Examiner {
                aws,
                scope: &settings.scope,
                windows,
                hold_back: HoldBack { keys_created_before, ..settings.hold_back },
                mode: settings.mode,
                until: invocation.work_until(),
            };
            examiner.examine(account).await
        }
        Some(Looked::Failed(failure)) => AccountRecord::unknown(account.clone(), failure.clone(), now),
        Some(Looked::Management | Looked::NotInOrganization) | None => {
            let failure = Failure::observed(Cause::AccountNotFound, "the look at the account", "not a member");
            AccountRecord::unknown(account.clone(), failure, now)
        }
    }
}
