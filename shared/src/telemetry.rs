//! What the functions say: logs through `tracing`, and the records of an audit, each as one JSON line that
//! CloudWatch Logs Insights can query by `type` and by the record's own fields.
//!
//! What it must not do: log credentials. It could not, the types that hold them do not serialise.

use std::io::Write;

use serde::Serialize;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::domain::record::{AccountRecord, AuditReport};
use crate::domain::root_activity::{Sign, Triage};

/// Starts logging as the function's logging configuration says: format and level come from Lambda.
pub fn init() {
    lambda_runtime::tracing::init_default_subscriber();
}

/// Writes the line of one account.
pub fn account_record(run: &str, record: &AccountRecord) {
    write_line("AccountRecord", json!({ "run": run }), record);
}

/// Writes the line of a sign of root activity.
pub fn root_activity(run: &str, sign: &Sign, triage: Triage) {
    let context = json!({ "run": run, "accountId": sign.account, "triage": triage });
    write_line("RootActivity", context, &sign.observed);
}

/// Writes the line of an audit, without its accounts, which have lines of their own: a line of CloudWatch Logs holds
/// 256 KiB.
pub fn audit_report(report: &AuditReport) {
    let mut report = serde_json::to_value(report).unwrap_or_default();
    if let Some(fields) = report.as_object_mut() {
        fields.retain(|name, _| !["accounts", "accountsLeftOut"].contains(&name.as_str()));
    }
    write_line("AuditReport", json!({}), &report);
}

/// Writes one JSON object: the time, the type and what is known around it, then the value's own fields.
fn write_line(kind: &str, context: serde_json::Value, value: &impl Serialize) {
    let timestamp = OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default();
    let mut line = json!({ "timestamp": timestamp, "level": "INFO", "type": kind });
    for fields in [context, serde_json::to_value(value).unwrap_or_default()] {
        if let (Some(line), serde_json::Value::Object(fields)) = (line.as_object_mut(), fields) {
            line.extend(fields);
        }
    }
    write_value(&line);
}

/// Writes a line as it is.
pub(crate) fn write_value(line: &serde_json::Value) {
    // A log line that cannot be written cannot be reported either.
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}
