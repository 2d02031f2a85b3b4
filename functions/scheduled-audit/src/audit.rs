//! One invocation's share of an audit: check the organization, list, examine, report.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::stream::StreamExt;
use shared::config::Settings;
use shared::domain::account::{Account, Organization};
use shared::domain::failure::{Cause, Failure};
use shared::domain::id::AccountId;
use shared::domain::record::{AccountRecord, AuditReport, Completeness, SCHEMA_VERSION, Totals};
use shared::domain::request::Selection;
use shared::domain::scope::{NotCovered, is_within_any};
use shared::domain::task::TaskPolicy;
use shared::examine::{Examiner, no_path};
use shared::runtime::{Function, Invocation};
use shared::telemetry;
use time::OffsetDateTime;
use tokio::time::Instant;

use crate::listing::{self, Listed, ListingEnd};
use crate::work::Work;

/// The end of an invocation is kept free for the accounts that are being examined.
const LAST_START: Duration = Duration::from_mins(2);

/// What one invocation did.
#[derive(Debug)]
pub(crate) struct Share {
    pub(crate) report: AuditReport,
    /// What is left for the next invocation.
    pub(crate) rest: Option<Work>,
}

/// Why an audit cannot begin: one error for the whole organization, instead of one for each account.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotReady {
    #[error("{0}; remedy: {remedy}", remedy = .0.cause.remedy())]
    Organization(Failure),
    #[error(
        "`MANAGEMENT_ACCOUNT_ID` is {1}, but the management account of {organization} is {actual}: deploy the \
         stack with `ManagementAccountId={actual}`",
        organization = .0.id, actual = .0.management_account
    )]
    OtherManagementAccount(Organization, AccountId),
    #[error("`{field}`: there is no organizational unit {unit} in the organization: {failure}")]
    NoSuchUnit { field: &'static str, unit: String, failure: Failure },
}

/// Audits from the work's cursor on, until the accounts or the time are at their end.
pub(crate) async fn audit(function: &Function, invocation: &Invocation, work: Work) -> Result<Share, NotReady> {
    let organization = check_organization(function, &work).await?;
    let last_start = invocation.deadline - LAST_START.min(invocation.time_allowed / 4);
    let Examined { accounts, totals, end } = examine_all(function, &work, last_start).await;
    let (completeness, cursor) = match end {
        ListingEnd::Complete => (Completeness::Complete, None),
        ListingEnd::OutOfTime(cursor) => (Completeness::Continues, Some(cursor)),
        ListingEnd::Failed(failure) => {
            let remedy = failure.cause.remedy().to_owned();
            (Completeness::Broken { failure, remedy }, None)
        }
    };
    let rest = cursor.map(|cursor| Work { cursor, totals: totals.clone(), ..work.clone() });
    let report = AuditReport {
        schema_version: SCHEMA_VERSION,
        run: work.run,
        started: work.started,
        finished: OffsetDateTime::now_utc(),
        organization: organization.id,
        management_account: organization.management_account,
        mode: work.request.mode,
        selection: work.request.selection,
        completeness,
        totals,
        accounts,
        accounts_left_out: 0,
    };
    telemetry::audit_report(&report);
    Ok(Share { report, rest })
}

struct Examined {
    /// In the order of their ids.
    accounts: Vec<AccountRecord>,
    /// Earlier invocations included.
    totals: Totals,
    end: ListingEnd,
}

/// Examines accounts while their pages still arrive, so many at once as the settings say. Each record is logged as soon
/// as it is there: what was done is known even if the invocation ends before its report.
async fn examine_all(function: &Function, work: &Work, last_start: Instant) -> Examined {
    let Settings { scope, hold_back, concurrency, .. } = &function.settings;
    let examiner = Examiner { aws: &function.aws, scope, hold_back: *hold_back, mode: work.request.mode };
    let outcomes = listing::accounts(&function.aws, work.cursor.clone(), last_start)
        .map(|listed| examine(&examiner, &work.request.selection, listed))
        .buffer_unordered(*concurrency);
    let mut outcomes = std::pin::pin!(outcomes);
    // Until the listing says how it ended, all is still to be done.
    let end = ListingEnd::OutOfTime(work.cursor.clone());
    let mut all = Examined { accounts: Vec::new(), totals: work.totals.clone(), end };
    while let Some(outcome) = outcomes.next().await {
        match outcome {
            Outcome::Record(record) => {
                telemetry::account_record(&work.run, &record);
                all.totals.add(&record);
                all.accounts.push(*record);
            }
            Outcome::NotSelected => {}
            Outcome::End(end) => all.end = end,
        }
    }
    all.accounts.sort_by(|one, other| one.account_id.cmp(&other.account_id));
    all
}

/// Looks at what every account depends on, so that a mistake there is said once, with the command that mends it.
async fn check_organization(function: &Function, work: &Work) -> Result<Organization, NotReady> {
    let aws = &function.aws;
    let scope = &function.settings.scope;
    let organization = aws.describe_organization().await.map_err(NotReady::Organization)?;
    if organization.management_account != scope.management_account {
        return Err(NotReady::OtherManagementAccount(organization, scope.management_account.clone()));
    }
    let feature = TaskPolicy::IamAuditRootUserCredentials.feature();
    aws.require_feature(feature).await.map_err(NotReady::Organization)?;
    let none = BTreeSet::new();
    let requested = match &work.request.selection {
        Selection::OrganizationalUnits(units) => units,
        Selection::Everything | Selection::Accounts(_) => &none,
    };
    for (field, units) in [("organizationalUnits", requested), ("ORGANIZATIONAL_UNIT_IDS", &scope.organizational_units)]
    {
        for unit in units {
            match aws.describe_organizational_unit(unit).await {
                Ok(()) => {}
                Err(failure) if failure.cause == Cause::OrganizationalUnitNotFound => {
                    return Err(NotReady::NoSuchUnit { field, unit: unit.to_string(), failure });
                }
                Err(failure) => return Err(NotReady::Organization(failure)),
            }
        }
    }
    Ok(organization)
}

enum Outcome {
    Record(Box<AccountRecord>),
    /// An account that the request does not ask for.
    NotSelected,
    End(ListingEnd),
}

async fn examine(examiner: &Examiner<'_>, selection: &Selection, listed: Listed) -> Outcome {
    let record = match listed {
        Listed::End(end) => return Outcome::End(end),
        Listed::Named(id) => examine_named(examiner, id).await,
        Listed::Account(account) => match is_selected(selection, &account) {
            Some(true) => examiner.examine(&account).await,
            Some(false) => return Outcome::NotSelected,
            None => AccountRecord::unknown(account.id.clone(), no_path()).named(&account.name),
        },
    };
    Outcome::Record(Box::new(record))
}

async fn examine_named(examiner: &Examiner<'_>, id: AccountId) -> AccountRecord {
    match examiner.aws.describe_account(&id).await {
        Ok(account) => examiner.examine(&account).await,
        Err(failure) if failure.cause == Cause::AccountNotFound => {
            AccountRecord::not_covered(id, &NotCovered::NotInOrganization)
        }
        Err(failure) => AccountRecord::unknown(id, failure),
    }
}

/// Whether the request asks for the account; `None` if that depends on where it lies, and that is not known.
fn is_selected(selection: &Selection, account: &Account) -> Option<bool> {
    match selection {
        Selection::OrganizationalUnits(units) => is_within_any(account, units),
        Selection::Everything | Selection::Accounts(_) => Some(true),
    }
}
