//! The last complete audit of the organization, with which the next one is compared.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// An audit of the whole organization that came to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CompleteAudit {
    pub run: String,
    #[serde(with = "time::serde::rfc3339")]
    pub finished: OffsetDateTime,
    /// Where its evidence lies in the bucket, such as `audits/2026/11/20/060000-run/`.
    pub evidence: String,
    /// The complete audit before this one, for a run that is done again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Box<CompleteAudit>>,
}

impl CompleteAudit {
    pub fn finished_unix(&self) -> i64 {
        self.finished.unix_timestamp()
    }

    /// The audit that a run is compared with: never the same run, which may have been cut off after it was remembered.
    pub fn before_run<'a>(last: Option<&'a Self>, run: &str) -> Option<&'a Self> {
        let last = last?;
        if last.run == run { last.before.as_deref() } else { Some(last) }
    }

    /// What is remembered once the run is complete: the audit before it, but not the whole history.
    pub fn following(last: Option<&Self>, run: &str, finished: OffsetDateTime, evidence: &str) -> Self {
        let before = Self::before_run(last, run).map(|before| Box::new(Self { before: None, ..before.clone() }));
        Self { run: run.to_owned(), finished, evidence: evidence.to_owned(), before }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_never_compared_with_itself() {
        let at = |hour| OffsetDateTime::UNIX_EPOCH + time::Duration::hours(hour);
        let first = CompleteAudit::following(None, "first", at(1), "audits/first/");
        assert_eq!(CompleteAudit::before_run(Some(&first), "first"), None);
        let second = CompleteAudit::following(Some(&first), "second", at(2), "audits/second/");
        let again = CompleteAudit::following(Some(&second), "second", at(3), "audits/second/");
        for last in [&second, &again] {
            assert_eq!(CompleteAudit::before_run(Some(last), "second").unwrap().run, "first");
            assert_eq!(CompleteAudit::before_run(Some(last), "third").unwrap().run, "second");
        }
        let third = CompleteAudit::following(Some(&again), "third", at(4), "audits/third/");
        assert_eq!(third.before.unwrap().before, None, "no longer chain");
    }
}
