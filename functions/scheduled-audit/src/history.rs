//! The complete audits before this one.

use shared::domain::audit_history::CompleteAudit;
use shared::domain::record::AuditReport;
use shared::runtime::{Function, Problem};

use crate::evidence::Location;
use crate::work::Work;

/// What was remembered when the audit began.
#[derive(Debug)]
pub(crate) struct History {
    last: Option<CompleteAudit>,
    run: String,
}

impl History {
    /// Reads the last complete audit, and reports its age.
    pub(crate) async fn read(function: &Function, work: &Work) -> Result<Self, Problem> {
        let last = function.aws.last_complete_audit().await;
        let last = last.map_err(|failure| Problem::after("StateNotRead", &failure))?;
        if let Some(last) = &last {
            let age = function.aws.now() - last.finished;
            function.metrics().last_complete_audit(age);
        }
        Ok(Self { last, run: work.run.clone() })
    }

    /// The audit with which this one is compared.
    pub(crate) fn before(&self) -> Option<&CompleteAudit> {
        CompleteAudit::before_run(self.last.as_ref(), &self.run)
    }

    /// Whether no audit of the whole organization came to its end before.
    pub(crate) fn is_empty(&self) -> bool {
        self.before().is_none()
    }

    /// Remembers this audit as the last complete one.
    pub(crate) async fn remember(
        &self,
        function: &Function,
        report: &AuditReport,
        location: &Location,
    ) -> Result<(), Problem> {
        let last = self.last.as_ref();
        let audit = CompleteAudit::following(last, &self.run, report.finished, location.prefix());
        let written = function.aws.write_complete_audit(&audit).await;
        written.map_err(|failure| Problem::after("StateNotWritten", &failure))
    }
}
