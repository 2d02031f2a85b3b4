//! The evidence of an audit in the bucket: four files under a prefix of its own, and a copy of those of the last audit of
//! the whole organization under `latest/`.
//!
//! An audit that takes several invocations leaves a part in each; the last one puts them together.

use shared::domain::audit_history::CompleteAudit;
use shared::domain::comparison::{Earlier, Previous};
use shared::domain::failure::Failure;
use shared::domain::id::BucketName;
use shared::domain::record::{AccountRecord, AuditReport};
use shared::domain::request::Selection;
use shared::evidence::{self, EvidenceFile, accounts};
use shared::runtime::{Function, Problem};
use time::OffsetDateTime;
use time::macros::format_description;

use crate::history::History;
use crate::work::Work;

const PART_TYPE: &str = "application/jsonl";

/// Where the evidence of an audit lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Location(String);

impl Location {
    /// Sorted by the time at which the audit was asked for, and the same however often the run is done.
    fn new(run: &str, started: OffsetDateTime) -> Self {
        let format = format_description!("[year]/[month]/[day]/[hour][minute][second]");
        let time = started.to_offset(time::UtcOffset::UTC).format(format).unwrap_or_default();
        Self(format!("audits/{time}-{run}/"))
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.0
    }

    /// The report that people read.
    pub(crate) fn uri(&self, bucket: &BucketName) -> String {
        format!("s3://{bucket}/{}report.html", self.0)
    }

    fn part(&self, number: u32) -> String {
        format!("{}parts/{number:04}.jsonl", self.0)
    }
}

/// Writes the records of this invocation for the last one of the audit.
pub(crate) async fn write_part(function: &Function, report: &AuditReport, rest: &Work) -> Result<(), Problem> {
    let part = accounts::write(&report.run, &report.accounts).map_err(|error| unwritable(&error))?;
    let key = Location::new(&report.run, report.started).part(rest.parts);
    function.aws.put_evidence(&key, PART_TYPE, part).await.map_err(|failure| not_written(&failure))
}

/// Writes the files of the whole audit.
pub(crate) async fn write(
    function: &Function,
    report: &AuditReport,
    work: &Work,
    history: &History,
) -> Result<Location, Problem> {
    let location = Location::new(&report.run, report.started);
    let whole = AuditReport { accounts: all_records(function, report, work, &location).await?, ..report.clone() };
    let earlier = earlier(function, history).await;
    let files = evidence::files(&whole, &earlier).map_err(|error| unwritable(&error))?;
    let is_latest = matches!(report.selection, Selection::Everything);
    let copies = [Some(location.prefix()), is_latest.then_some("latest/")];
    for prefix in copies.into_iter().flatten() {
        for EvidenceFile { name, content_type, bytes } in &files {
            let written = function.aws.put_evidence(&format!("{prefix}{name}"), content_type, bytes.clone()).await;
            written.map_err(|failure| not_written(&failure))?;
        }
    }
    Ok(location)
}

/// The records of all invocations, in the order of the accounts.
async fn all_records(
    function: &Function,
    report: &AuditReport,
    work: &Work,
    location: &Location,
) -> Result<Vec<AccountRecord>, Problem> {
    let mut parts = Vec::new();
    for number in 1..=work.parts {
        let part = function.aws.get_evidence(&location.part(number)).await;
        let part = part.map_err(|failure| Problem::after("EvidenceNotRead", &failure))?;
        let part = accounts::read(&part).map_err(|error| Problem::lasting("EvidenceNotRead", error.to_string()))?;
        parts.push(part.accounts);
    }
    parts.push(report.accounts.clone());
    Ok(accounts::merge(parts))
}

/// The audit to compare with. One that cannot be read costs the comparison, and nothing else.
async fn earlier(function: &Function, history: &History) -> Earlier {
    match history.before() {
        None => Earlier::FirstAudit,
        Some(before) => match read(function, before).await {
            Ok(previous) => Earlier::Audit(previous),
            Err(problem) => Earlier::Unreadable(problem),
        },
    }
}

async fn read(function: &Function, audit: &CompleteAudit) -> Result<Previous, String> {
    let file = async |name| {
        let file = function.aws.get_evidence(&format!("{}{name}", audit.evidence)).await;
        file.map_err(|failure| failure.to_string())
    };
    let (accounts, summary) = (file("accounts.jsonl").await?, file("summary.json").await?);
    evidence::previous(&accounts, &summary).map_err(|unreadable| unreadable.to_string())
}

fn unwritable(error: &evidence::Unwritable) -> Problem {
    Problem::lasting("EvidenceNotWritten", error.to_string())
}

fn not_written(failure: &Failure) -> Problem {
    Problem::after("EvidenceNotWritten", failure)
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn evidence_is_sorted_by_time() {
        let location = Location::new("run", datetime!(2026-11-20 06:00:01 UTC));
        assert_eq!(location.prefix(), "audits/2026/11/20/060001-run/");
        assert_eq!(location.part(7), "audits/2026/11/20/060001-run/parts/0007.jsonl");
        let bucket = "evidence".parse().unwrap();
        assert_eq!(location.uri(&bucket), "s3://evidence/audits/2026/11/20/060001-run/report.html");
    }
}
