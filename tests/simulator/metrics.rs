//! The metrics that functions log in CloudWatch's embedded metric format.
//!
//! CloudWatch drops a line that breaks the format's rules without a word; here such a line is an error.
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

/// The units of a `MetricDatum` that anything here uses.
const UNITS: [&str; 6] = ["Count", "Milliseconds", "Seconds", "Bytes", "Percent", "None"];

/// The most of each that a line may have.
const MOST_METRICS: usize = 100;
const MOST_DIMENSIONS: usize = 30;

/// A value of a metric, for one set of dimensions.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    pub namespace: String,
    pub name: String,
    pub dimensions: BTreeMap<String, String>,
    pub unit: String,
    pub value: f64,
}

/// The metrics in a line of a log, in their order; none if the line has none.
pub fn read(line: &Value) -> Result<Vec<Metric>> {
    let Some(metadata) = line.get("_aws") else {
        return Ok(Vec::new());
    };
    metadata.get("Timestamp").and_then(Value::as_u64).context("`_aws` has no Timestamp in milliseconds")?;
    let mut metrics = Vec::new();
    for directive in list(metadata, "CloudWatchMetrics")? {
        let namespace = directive.get("Namespace").and_then(Value::as_str).context("no Namespace")?;
        let definitions = list(directive, "Metrics")?;
        ensure!(definitions.len() <= MOST_METRICS, "more than {MOST_METRICS} metrics");
        for set in list(directive, "Dimensions")? {
            let dimensions = dimensions(line, set)?;
            for definition in definitions {
                let name = definition.get("Name").and_then(Value::as_str).context("a metric has no Name")?;
                let unit = definition.get("Unit").and_then(Value::as_str).unwrap_or("None");
                ensure!(UNITS.contains(&unit), "`{name}` has the unit `{unit}`");
                let values = match line.get(name) {
                    Some(Value::Array(values)) => values.iter().map(Value::as_f64).collect(),
                    Some(value) => value.as_f64().map(|value| vec![value]),
                    None => None,
                };
                let values = values.with_context(|| format!("the line has no number `{name}`"))?;
                ensure!(values.len() <= MOST_METRICS, "`{name}` has more than {MOST_METRICS} values");
                metrics.extend(values.into_iter().map(|value| Metric {
                    namespace: namespace.to_owned(),
                    name: name.to_owned(),
                    dimensions: dimensions.clone(),
                    unit: unit.to_owned(),
                    value,
                }));
            }
        }
    }
    Ok(metrics)
}

fn dimensions(line: &Value, names: &Value) -> Result<BTreeMap<String, String>> {
    let names = names.as_array().context("a set of dimensions is no list")?;
    ensure!(names.len() <= MOST_DIMENSIONS, "more than {MOST_DIMENSIONS} dimensions");
    let dimensions = names.iter().map(|name| {
        let name = name.as_str().context("the name of a dimension is no string")?;
        match line.get(name).and_then(Value::as_str) {
            Some(value) if !value.is_empty() => Ok((name.to_owned(), value.to_owned())),
            _ => bail!("the line has no text `{name}`, which is a dimension"),
        }
    });
    dimensions.collect()
}

fn list<'a>(value: &'a Value, member: &str) -> Result<&'a Vec<Value>> {
    value.get(member).and_then(Value::as_array).with_context(|| format!("no list `{member}`"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn line() -> Value {
        json!({
            "_aws": {"Timestamp": 1_700_000_000_000_u64, "CloudWatchMetrics": [{
                "Namespace": "Unroot",
                "Dimensions": [["StackName"], ["StackName", "Verdict"]],
                "Metrics": [{"Name": "Accounts", "Unit": "Count"}],
            }]},
            "StackName": "unroot",
            "Verdict": "Clean",
            "Accounts": [1, 2.5],
            "run": "not a metric",
        })
    }

    #[test]
    fn each_value_is_a_metric_for_each_set_of_dimensions() {
        let metrics = read(&line()).unwrap();
        let seen: Vec<_> = metrics.iter().map(|metric| (metric.dimensions.len(), metric.value)).collect();
        assert_eq!(seen, [(1, 1.0), (1, 2.5), (2, 1.0), (2, 2.5)]);
        assert_eq!(metrics[3].dimensions["Verdict"], "Clean");
        assert_eq!((&metrics[0].namespace[..], &metrics[0].unit[..]), ("Unroot", "Count"));
        assert_eq!(read(&json!({"type": "AccountRecord"})).unwrap(), []);
        assert_eq!(read(&json!("text")).unwrap(), []);
    }

    #[test]
    fn what_cloudwatch_would_drop_is_an_error() {
        for (pointer, broken, expected) in [
            ("/_aws/Timestamp", json!("2026-11-21"), "`_aws` has no Timestamp in milliseconds"),
            ("/_aws/CloudWatchMetrics/0/Namespace", json!(null), "no Namespace"),
            ("/_aws/CloudWatchMetrics/0/Metrics/0/Unit", json!("Accounts"), "`Accounts` has the unit `Accounts`"),
            ("/_aws/CloudWatchMetrics/0/Dimensions", json!("StackName"), "no list `Dimensions`"),
            ("/Verdict", json!(""), "the line has no text `Verdict`, which is a dimension"),
            ("/Accounts", json!("1"), "the line has no number `Accounts`"),
        ] {
            let mut line = line();
            *line.pointer_mut(pointer).unwrap() = broken;
            assert_eq!(read(&line).unwrap_err().to_string(), expected);
        }
    }
}
