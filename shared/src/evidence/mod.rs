//! The files that an audit leaves: what it read of each account, for programs, for spreadsheets and for people.
//!
//! Pure functions from the report to bytes: nothing here reads a clock, a network or a file. No secret can get into them,
//! since none is in the report.

pub mod accounts;
mod page;
mod spreadsheet;
pub mod summary;
mod words;

use crate::domain::comparison::{Comparison, Earlier, Previous};
use crate::domain::record::{AuditReport, Totals};

/// One record a line, for programs: `schemas/account-record.schema.json`.
pub const ACCOUNTS: &str = "accounts.jsonl";
/// One row an account, for spreadsheets.
pub const SPREADSHEET: &str = "report.csv";
/// The numbers, for programs: `schemas/audit-summary.schema.json`.
pub const SUMMARY: &str = "summary.json";
/// All of it, for people.
pub const PAGE: &str = "report.html";

/// A file of the evidence, to be stored under its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvidenceFile {
    pub name: &'static str,
    pub content_type: &'static str,
    pub bytes: Vec<u8>,
}

/// A file that could not be written, such as for a date that RFC 3339 cannot express (a year after 9999).
#[derive(Debug, thiserror::Error)]
#[error("`{file}` could not be written: {problem}")]
pub struct Unwritable {
    file: &'static str,
    problem: String,
}

/// Evidence that could not be read back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    #[error("line {line} of `accounts.jsonl`: {problem}")]
    Line { line: usize, problem: String },
    #[error("`summary.json`: {0}")]
    Summary(String),
    #[error("`accounts.jsonl` is of the run `{accounts}` and `summary.json` of `{summary}`")]
    TwoRuns { accounts: String, summary: String },
    #[error("`accounts.jsonl` has {accounts} accounts and `summary.json` counts {summary}")]
    Incomplete { accounts: u64, summary: u64 },
}

/// The files of an audit. The report has all the records of the audit in `accounts`, those of earlier invocations too: one
/// that was shortened is refused, since the files would say of fewer accounts that they are all.
pub fn files(report: &AuditReport, earlier: &Earlier) -> Result<[EvidenceFile; 4], Unwritable> {
    if report.accounts_left_out > 0 {
        let problem = format!("{} records are left out of the report", report.accounts_left_out);
        return Err(Unwritable { file: ACCOUNTS, problem });
    }
    let comparison = match earlier {
        Earlier::Audit(previous) => Ok(Comparison::new(previous, report)),
        Earlier::FirstAudit => Err(NotCompared::FirstAudit),
        Earlier::Unreadable(reason) => Err(NotCompared::Unreadable(reason)),
    };
    // From the records, and not those that the invocations added up: the numbers are those of the lines.
    let mut totals = Totals::default();
    for record in &report.accounts {
        totals.add(record);
    }
    Ok([
        EvidenceFile {
            name: ACCOUNTS,
            content_type: "application/x-ndjson",
            bytes: accounts::write(&report.run, &report.accounts)?,
        },
        EvidenceFile {
            name: SPREADSHEET,
            content_type: "text/csv; charset=utf-8; header=present",
            bytes: spreadsheet::write(report)?,
        },
        EvidenceFile {
            name: SUMMARY,
            content_type: "application/json",
            bytes: summary::write(report, &totals, comparison.as_ref())?,
        },
        EvidenceFile {
            name: PAGE,
            content_type: "text/html; charset=utf-8",
            bytes: page::write(report, &totals, comparison.as_ref())?.into_bytes(),
        },
    ])
}

/// Reads an audit back from two of its files, to compare a later one with it. Both are held against each other: of a
/// copy that is being replaced, one may be newer.
pub fn previous(accounts: &[u8], summary: &[u8]) -> Result<Previous, Unreadable> {
    let summary = summary::read(summary)?;
    let part = accounts::read(accounts)?;
    if let Some(run) = part.run.filter(|run| *run != summary.run) {
        return Err(Unreadable::TwoRuns { accounts: run, summary: summary.run });
    }
    let read = u64::try_from(part.accounts.len()).unwrap_or(u64::MAX);
    if read != summary.accounts {
        return Err(Unreadable::Incomplete { accounts: read, summary: summary.accounts });
    }
    Ok(Previous { run: summary.run, finished: summary.finished, reach: summary.reach, accounts: part.accounts })
}

/// Why there is no comparison.
#[derive(Clone, Copy, Debug)]
enum NotCompared<'a> {
    FirstAudit,
    Unreadable(&'a str),
}

#[cfg(test)]
mod tests;
