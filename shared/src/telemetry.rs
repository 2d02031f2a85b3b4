//! What the functions say: logs through `tracing`, and the records of an audit, each as one JSON line that
//! CloudWatch Logs Insights can query by `type` and by the record's own fields.
//!
//! What it must not do: log credentials. It could not, the types that hold them do not serialise.

use std::fmt;
use std::io::Write as _;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::aws::Clock;
use crate::domain::record::{AccountRecord, AuditReport};
use crate::domain::root_activity::{Sign, Triage};

/// Starts logging as the function's logging configuration says: format and level come from Lambda.
pub fn init() {
    lambda_runtime::tracing::init_default_subscriber();
}

/// Where the lines of a function go. Clones write to the same place.
#[derive(Clone)]
pub struct Log {
    clock: Clock,
    write: Arc<dyn Fn(&Value) + Send + Sync>,
}

impl Log {
    /// To standard output, from where Lambda takes them to CloudWatch Logs.
    pub fn to_standard_output(clock: Clock) -> Self {
        Self::new(clock, |line| {
            // A log line that cannot be written cannot be reported either.
            let _ = writeln!(std::io::stdout().lock(), "{line}");
        })
    }

    /// To wherever `write` takes a line.
    pub fn new(clock: Clock, write: impl Fn(&Value) + Send + Sync + 'static) -> Self {
        Self { clock, write: Arc::new(write) }
    }

    /// Writes the line of one account.
    pub fn account_record(&self, run: &str, record: &AccountRecord) {
        self.write_record("AccountRecord", json!({ "run": run }), record);
    }

    /// Writes the line of a sign of root activity.
    pub fn root_activity(&self, run: &str, sign: &Sign, triage: Triage) {
        let context = json!({ "run": run, "accountId": sign.account, "triage": triage });
        self.write_record("RootActivity", context, &sign.observed);
    }

    /// Writes the line of an audit, without its accounts, which have lines of their own: a line of CloudWatch Logs holds
    /// 256 KiB.
    pub fn audit_report(&self, report: &AuditReport) {
        let mut report = serde_json::to_value(report).unwrap_or_default();
        if let Some(fields) = report.as_object_mut() {
            fields.retain(|name, _| !["accounts", "accountsLeftOut"].contains(&name.as_str()));
        }
        self.write_record("AuditReport", json!({}), &report);
    }

    /// Writes a line as it is.
    pub(crate) fn write(&self, line: &Value) {
        (self.write)(line);
    }

    pub(crate) fn now(&self) -> OffsetDateTime {
        self.clock.now()
    }

    /// Writes one JSON object: the time, the type and what is known around it, then the value's own fields.
    fn write_record(&self, kind: &str, context: Value, value: &impl Serialize) {
        let timestamp = self.now().format(&Rfc3339).unwrap_or_default();
        let mut line = json!({ "timestamp": timestamp, "level": "INFO", "type": kind });
        for fields in [context, serde_json::to_value(value).unwrap_or_default()] {
            if let (Some(line), Value::Object(fields)) = (line.as_object_mut(), fields) {
                line.extend(fields);
            }
        }
        self.write(&line);
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").finish_non_exhaustive()
    }
}
