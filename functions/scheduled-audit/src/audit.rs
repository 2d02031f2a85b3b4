//! One invocation's share of an audit: list, examine, look again, report.

use std::collections::BTreeMap;
use std::future::ready;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use shared::config::Settings;
use shared::domain::account::Account;
use shared::domain::failure::{Cause, Failure, Recovery};
use shared::domain::id::AccountId;
use shared::domain::notification::Notifier;
use shared::domain::posture::Run;
use shared::domain::record::{AccountRecord, AuditReport, Completeness, SCHEMA_VERSION, Totals};
use shared::domain::request::Selection;
use shared::domain::scope::{NotCovered, Undecided, is_within_any};
use shared::examine::Examiner;
use shared::recorder::Recorder;
use shared::runtime::{Function, Invocation, Problem};
use shared::window_watch::WindowWatch;
use tokio::time::Instant;
use tracing::warn;

use crate::listing::{self, Listed, ListingEnd};
use crate::overdue;
use crate::readiness::{NotReady, check_organization};
use crate::work::{Cursor, Work};

/// The end of an invocation is kept free for the accounts that are being examined.
const LAST_START: Duration = Duration::from_mins(2);

/// What one invocation did.
#[derive(Debug)]
pub(crate) struct Share {
    /// With the records of this invocation, and totals over all so far.
    pub(crate) report: AuditReport,
    /// The work as it was done.
    pub(crate) work: Work,
    /// What is left for the next invocation.
    pub(crate) rest: Option<Work>,
    /// Why not all that was seen is remembered and told.
    pub(crate) problem: Option<Problem>,
}

/// Audits from the work's cursor on, until the accounts or the time are at their end.
pub(crate) async fn audit(function: &Function, invocation: &Invocation, work: Work) -> Result<Share, NotReady> {
    let organization = check_organization(function, &work).await?;
    let windows = WindowWatch::begin(&function.aws, function.settings.tuning).await.map_err(NotReady::State)?;
    let run = Run { id: work.run.clone(), trigger: work.request.trigger, mode: work.request.mode };
    let notifier = Notifier::new(run.trigger).counting_from(work.alerts);
    let ((mut work, examined), outcome) =
        Recorder::while_working(&function.aws, run.clone(), notifier, invocation, async |recorder| {
            let examined = examine_all(function, invocation, &work, &windows, recorder).await;
            if !is_cursor_refused(&work, &examined) {
                return (work, examined);
            }
            warn!(run = work.run, "the cursor of the continuation is refused: from the beginning");
            let work = work.restarted();
            let examined = examine_all(function, invocation, &work, &windows, recorder).await;
            (work, examined)
        })
        .await;
    let Examined { mut records, has_seen_management_account, end } = examined;
    let mut done = Totals::default();
    for (account, record) in &mut records {
        record.since = outcome.since.get(account).copied();
        work.totals.add(record);
        done.add(record);
    }
    function.metrics().work(&done);
    work.alerts = outcome.alerts;
    let (completeness, cursor) = match end {
        ListingEnd::Complete => (Completeness::Complete, None),
        ListingEnd::OutOfTime(cursor) => (Completeness::Continues, Some(cursor)),
        ListingEnd::Failed(failure) => {
            let remedy = failure.cause.remedy().to_owned();
            (Completeness::Broken { failure, remedy }, None)
        }
    };
    let rest = cursor.map(|cursor| Work { cursor, has_seen_management_account, parts: work.parts + 1, ..work.clone() });
    let report = AuditReport {
        schema_version: SCHEMA_VERSION,
        run: work.run.clone(),
        started: work.started,
        finished: function.aws.now(),
        organization: organization.id,
        management_account: organization.management_account,
        mode: work.request.mode,
        trigger: work.request.trigger,
        selection: work.request.selection.clone(),
        completeness,
        totals: work.totals.clone(),
        accounts: Vec::new(),
        accounts_left_out: 0,
    };
    let problem = match outcome.problem {
        None => overdue::close(function, &run, &windows, &records).await.err(),
        problem => problem,
    };
    // The log has the records already, each on its own line.
    function.log.audit_report(&report);
    let report = AuditReport { accounts: records.into_values().collect(), ..report };
    Ok(Share { report, work, rest, problem })
}

struct Examined {
    records: BTreeMap<AccountId, AccountRecord>,
    has_seen_management_account: bool,
    end: ListingEnd,
}

/// AWS does not say how long a token of a list is valid.
fn is_cursor_refused(work: &Work, examined: &Examined) -> bool {
    let is_refused = matches!(&examined.end, ListingEnd::Failed(failure) if failure.cause == Cause::RejectedRequest);
    is_refused && matches!(work.cursor, Cursor::Page(_)) && examined.records.is_empty()
}

/// Examines accounts while their pages still arrive, so many at once as the settings say, and once more those that could
/// not be read for a cause that passes. Each record is logged as soon as it is there: what was done is known even if the
/// invocation ends before its report.
async fn examine_all(
    function: &Function,
    invocation: &Invocation,
    work: &Work,
    windows: &WindowWatch,
    recorder: &Recorder,
) -> Examined {
    let Settings { scope, hold_back, concurrency, .. } = &function.settings;
    let mode = work.request.mode;
    let until = invocation.work_until();
    let last_start = invocation.last_start(LAST_START);
    let examiner = Examiner { aws: &function.aws, scope, windows, hold_back: *hold_back, mode, until };
    let outcomes = listing::accounts(&function.aws, work.cursor.clone(), last_start)
        .map(|listed| examine(&examiner, &work.request.selection, listed))
        .buffer_unordered(*concurrency);
    let mut outcomes = std::pin::pin!(outcomes);
    let mut all = Examined {
        records: BTreeMap::new(),
        has_seen_management_account: work.has_seen_management_account,
        // Until the listing says how it ended, all is still to be done.
        end: ListingEnd::OutOfTime(work.cursor.clone()),
    };
    while let Some(outcome) = outcomes.next().await {
        match outcome {
            Outcome::Record(record) => {
                function.log.account_record(&work.run, &record);
                all.has_seen_management_account |= record.account_id == scope.management_account;
                if !is_worth_another_look(&record) {
                    recorder.record(record.as_ref().clone());
                }
                all.records.insert(record.account_id.clone(), *record);
            }
            Outcome::NotSelected(account) => {
                all.has_seen_management_account |= account == scope.management_account;
            }
            Outcome::End(end) => all.end = end,
        }
    }
    let lists_everything = !matches!(work.request.selection, Selection::Accounts(_));
    if lists_everything && matches!(all.end, ListingEnd::Complete) && !all.has_seen_management_account {
        all.end = ListingEnd::Failed(not_the_whole_list());
    }
    let unsettled: Vec<_> = all.records.values().filter(|record| is_worth_another_look(record)).collect();
    let unsettled: Vec<_> = unsettled.into_iter().map(|record| record.account_id.clone()).collect();
    look_again(function, &examiner, work, last_start, &unsettled, &mut all.records).await;
    for record in unsettled.iter().filter_map(|account| all.records.get(account)) {
        recorder.record(record.clone());
    }
    all
}

/// Every organization has its management account: a list without it is not the whole list.
fn not_the_whole_list() -> Failure {
    let message = "the list of accounts ended without the management account";
    Failure::observed(Cause::UnreadableAnswer, "organizations:ListAccounts", message)
}

/// Examines once more what could not be read. No account is begun after `last_start`.
async fn look_again(
    function: &Function,
    examiner: &Examiner<'_>,
    work: &Work,
    last_start: Instant,
    accounts: &[AccountId],
    records: &mut BTreeMap<AccountId, AccountRecord>,
) {
    let outcomes = stream::iter(accounts)
        .take_while(|_| ready(Instant::now() < last_start))
        .map(|id| examine_named(examiner, id.clone()))
        .buffer_unordered(function.settings.concurrency);
    let mut outcomes = std::pin::pin!(outcomes);
    while let Some(later) = outcomes.next().await {
        let record = match records.remove(&later.account_id) {
            Some(earlier) => earlier.followed_by(later),
            None => later,
        };
        function.log.account_record(&work.run, &record);
        records.insert(record.account_id.clone(), record);
    }
}

/// Whether what failed may have passed.
fn is_worth_another_look(record: &AccountRecord) -> bool {
    record.failure.as_ref().is_some_and(|failure| failure.cause.recovery() == Recovery::Retry)
}

enum Outcome {
    Record(Box<AccountRecord>),
    /// An account that the request does not ask for.
    NotSelected(AccountId),
    End(ListingEnd),
}

async fn examine(examiner: &Examiner<'_>, selection: &Selection, listed: Listed) -> Outcome {
    let record = match listed {
        Listed::End(end) => return Outcome::End(end),
        Listed::Named(id) => examine_named(examiner, id).await,
        Listed::Account(account) => match is_selected(selection, &account) {
            Some(true) => examiner.examine(&account).await,
            Some(false) => return Outcome::NotSelected(account.id),
            None => AccountRecord::undecided(account.id, &Undecided::Path, examiner.aws.now()).named(&account.name),
        },
    };
    Outcome::Record(Box::new(record))
}

async fn examine_named(examiner: &Examiner<'_>, id: AccountId) -> AccountRecord {
    match examiner.aws.describe_account(&id).await {
        Ok(account) => examiner.examine(&account).await,
        Err(failure) if failure.cause == Cause::AccountNotFound => {
            AccountRecord::not_covered(id, &NotCovered::NotInOrganization, examiner.aws.now())
        }
        Err(failure) => AccountRecord::unknown(id, failure, examiner.aws.now()),
    }
}

/// Whether the request asks for the account; `None` if that depends on where it lies, and that is not known.
fn is_selected(selection: &Selection, account: &Account) -> Option<bool> {
    match selection {
        Selection::OrganizationalUnits(units) => is_within_any(account, units),
        Selection::Everything | Selection::Accounts(_) => Some(true),
    }
}
