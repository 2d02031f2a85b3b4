//! `summary.json`: the numbers of an audit and what it rests on, documented by `schemas/audit-summary.schema.json`.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;

use super::accounts::check_schema_version;
use super::{NotCompared, SUMMARY, Unreadable, Unwritable};
use crate::domain::comparison::{ChangedBy, Comparison, Reach};
use crate::domain::id::{AccountId, OrganizationId};
use crate::domain::record::{AuditReport, Completeness, Totals};
use crate::domain::request::{Mode, Selection};
use crate::domain::trigger::Trigger;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary<'a> {
    schema_version: u32,
    run: &'a str,
    organization: &'a OrganizationId,
    management_account: &'a AccountId,
    #[serde(with = "time::serde::rfc3339")]
    started: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    finished: OffsetDateTime,
    mode: Mode,
    trigger: Trigger,
    selection: &'a Selection,
    completeness: &'a Completeness,
    totals: &'a Totals,
    comparison: ComparisonSummary<'a>,
}

/// How many accounts and credentials changed; which ones is in `report.html`, and follows from both `accounts.jsonl`.
#[derive(Serialize)]
#[serde(tag = "state", rename_all_fields = "camelCase")]
enum ComparisonSummary<'a> {
    Compared {
        run: &'a str,
        #[serde(with = "time::serde::rfc3339")]
        finished: OffsetDateTime,
        verdicts_changed: usize,
        unreadable: usize,
        readable_again: usize,
        credentials_appeared: usize,
        credentials_removed: usize,
        credentials_gone: usize,
        accounts_joined: usize,
        accounts_left: usize,
    },
    FirstAudit,
    Unreadable {
        reason: &'a str,
    },
}

/// What a later audit needs of a summary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    pub run: String,
    pub finished: OffsetDateTime,
    pub reach: Reach,
    pub accounts: u64,
}

#[derive(Deserialize)]
struct Written {
    run: String,
    #[serde(with = "time::serde::rfc3339")]
    finished: OffsetDateTime,
    selection: Selection,
    completeness: Completeness,
    totals: Totals,
}

pub(super) fn write(
    report: &AuditReport,
    totals: &Totals,
    comparison: Result<&Comparison, &NotCompared<'_>>,
) -> Result<Vec<u8>, Unwritable> {
    let summary = Summary {
        schema_version: report.schema_version,
        run: &report.run,
        organization: &report.organization,
        management_account: &report.management_account,
        started: report.started,
        finished: report.finished,
        mode: report.mode,
        trigger: report.trigger,
        selection: &report.selection,
        completeness: &report.completeness,
        totals,
        comparison: match comparison {
            Ok(comparison) => ComparisonSummary::of(comparison),
            Err(NotCompared::FirstAudit) => ComparisonSummary::FirstAudit,
            Err(NotCompared::Unreadable(reason)) => ComparisonSummary::Unreadable { reason },
        },
    };
    let mut file = serde_json::to_vec_pretty(&summary)
        .map_err(|error| Unwritable { file: SUMMARY, problem: error.to_string() })?;
    file.push(b'\n');
    Ok(file)
}

/// Reads a summary back.
pub fn read(file: &[u8]) -> Result<Read, Unreadable> {
    let value: Value =
        serde_json::from_slice(file).map_err(|error| Unreadable::Summary(format!("not JSON: {error}")))?;
    check_schema_version(&value).map_err(Unreadable::Summary)?;
    let Written { run, finished, selection, completeness, totals } = serde_path_to_error::deserialize(&value)
        .map_err(|error| Unreadable::Summary(format!("`{}`: {}", error.path(), error.inner())))?;
    Ok(Read { run, finished, reach: Reach::of(&selection, &completeness), accounts: totals.accounts })
}

impl<'a> ComparisonSummary<'a> {
    fn of(comparison: &'a Comparison) -> Self {
        let removed = comparison.went.iter().filter(|change| change.by == ChangedBy::ThisAudit).count();
        Self::Compared {
            run: &comparison.run,
            finished: comparison.finished,
            verdicts_changed: comparison.verdicts.len(),
            unreadable: comparison.unreadable().count(),
            readable_again: comparison.readable_again().count(),
            credentials_appeared: comparison.appeared.len(),
            credentials_removed: removed,
            credentials_gone: comparison.went.len() - removed,
            accounts_joined: comparison.joined.len(),
            accounts_left: comparison.left.len(),
        }
    }
}
