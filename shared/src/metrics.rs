//! The metrics, as lines of the log in CloudWatch's embedded metric format
//! (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>).
//!
//! Every metric has the dimension `StackName`, and at most one more, of a handful of values: each combination costs, and
//! an account id belongs into a record.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use time::Duration;

use crate::domain::record::{AuditReport, CredentialCounts, Totals, Verdict};
use crate::domain::root_activity::Triage;
use crate::domain::task::TaskPolicy;
use crate::telemetry::Log;

const NAMESPACE: &str = "Unroot";

/// Tells of one stack.
#[derive(Clone, Copy, Debug)]
pub struct Metrics<'a> {
    pub stack_name: &'a str,
    pub log: &'a Log,
}

#[derive(Clone, Copy)]
struct Metric {
    name: &'static str,
    unit: &'static str,
    value: u64,
}

impl Metrics<'_> {
    /// What one invocation did.
    pub fn work(self, done: &Totals) {
        let found = by_type(done.found);
        for ((credential_type, found), (_, removed)) in found.into_iter().zip(by_type(done.removed)) {
            let metrics = [count("CredentialsFound", found), count("CredentialsRemoved", removed)];
            self.put(Some(("CredentialType", credential_type)), &metrics);
        }
        for (task, sessions) in &done.sessions {
            self.root_sessions(*task, *sessions);
        }
        self.put(None, &[count("FailedDeletions", done.of(Verdict::Failed))]);
    }

    /// Root sessions that were opened.
    pub fn root_sessions(self, task: TaskPolicy, sessions: u64) {
        self.put(Some(("Task", task.name())), &[count("RootSessions", sessions)]);
    }

    /// Signs of root activity, by what they mean.
    pub fn root_activity(self, signs: &BTreeMap<Triage, u64>) {
        for (triage, signs) in signs {
            self.put(Some(("Triage", &triage.to_string())), &[count("RootActivity", *signs)]);
        }
    }

    /// What a complete audit of the whole organization came to.
    pub fn complete_audit(self, report: &AuditReport) {
        for verdict in Verdict::ALL {
            let accounts = count("Accounts", report.totals.of(verdict));
            self.put(Some(("Verdict", &verdict.to_string())), &[accounts]);
        }
        for (credential_type, left) in by_type(report.totals.left) {
            self.put(Some(("CredentialType", credential_type)), &[count("CredentialsLeft", left)]);
        }
        let duration = (report.finished - report.started).whole_milliseconds();
        let duration = Metric { name: "AuditDuration", unit: "Milliseconds", value: whole(duration) };
        self.put(None, &[count("CompleteAudits", 1), duration]);
    }

    /// How long ago the last complete audit ended.
    pub fn last_complete_audit(self, age: Duration) {
        let age = Metric { name: "LastCompleteAuditAge", unit: "Seconds", value: whole(age.whole_seconds().into()) };
        self.put(None, &[age]);
    }

    fn put(self, dimension: Option<(&str, &str)>, metrics: &[Metric]) {
        let timestamp = whole(self.log.now().unix_timestamp_nanos() / 1_000_000);
        self.log.write(&self.line(timestamp, dimension, metrics));
    }

    fn line(self, timestamp: u64, dimension: Option<(&str, &str)>, metrics: &[Metric]) -> Value {
        let dimensions: BTreeMap<_, _> = [("StackName", self.stack_name)].into_iter().chain(dimension).collect();
        let definitions = metrics.iter().map(|metric| json!({ "Name": metric.name, "Unit": metric.unit }));
        let directive = json!({
            "Namespace": NAMESPACE,
            "Dimensions": [dimensions.keys().collect::<Vec<_>>()],
            "Metrics": definitions.collect::<Vec<_>>(),
        });
        let mut line = Map::new();
        line.insert("_aws".to_owned(), json!({ "Timestamp": timestamp, "CloudWatchMetrics": [directive] }));
        line.extend(dimensions.into_iter().map(|(name, value)| (name.to_owned(), json!(value))));
        line.extend(metrics.iter().map(|metric| (metric.name.to_owned(), json!(metric.value))));
        Value::Object(line)
    }
}

fn count(name: &'static str, value: u64) -> Metric {
    Metric { name, unit: "Count", value }
}

fn by_type(counts: CredentialCounts) -> [(&'static str, u64); 4] {
    let CredentialCounts { login_profiles, access_keys, signing_certificates, mfa_devices } = counts;
    [
        ("LoginProfile", login_profiles),
        ("AccessKey", access_keys),
        ("SigningCertificate", signing_certificates),
        ("MfaDevice", mfa_devices),
    ]
}

/// Zero for a clock that was set back.
fn whole(value: i128) -> u64 {
    u64::try_from(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::Clock;

    #[test]
    fn a_line_is_in_the_embedded_metric_format() {
        let log = Log::to_standard_output(Clock::default());
        let metrics = Metrics { stack_name: "unroot", log: &log };
        let line = metrics.line(1_700_000_000_000, Some(("Verdict", "Clean")), &[count("Accounts", 3)]);
        assert_eq!(
            line,
            json!({
                "_aws": {
                    "Timestamp": 1_700_000_000_000_u64,
                    "CloudWatchMetrics": [{
                        "Namespace": "Unroot",
                        "Dimensions": [["StackName", "Verdict"]],
                        "Metrics": [{ "Name": "Accounts", "Unit": "Count" }],
                    }],
                },
                "StackName": "unroot",
                "Verdict": "Clean",
                "Accounts": 3,
            })
        );
    }
}
