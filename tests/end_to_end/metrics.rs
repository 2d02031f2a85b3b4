//! The metrics that the functions emit are those that the alarms and the dashboard look at, in both directions.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use simulator::aws::NewAccount;
use simulator::template::Resolved;

use crate::password_recovery::{close, open};
use crate::stage::{AUDIT, PASSWORD_RECOVERY, SHOP, Stage, UNLOCK_POLICY};
use crate::unlock_policy::{LOCKED_BUCKET, LOCKED_QUEUE, bucket, queue};
use crate::{root_activity, template};

/// A metric by its namespace, its name and its dimensions.
type MetricId = (String, String, BTreeMap<String, String>);

/// The metrics of the alarms, each with the alarm's name in the template.
fn alarm_metrics(resolved: &Resolved) -> Vec<(String, MetricId)> {
    let alarms = resolved.of_kind("AWS::CloudWatch::Alarm");
    let metrics = alarms.map(|alarm| {
        let dimensions = alarm.get("/Dimensions").unwrap().as_array().unwrap().iter();
        let dimensions = dimensions.map(|dimension| (text(&dimension["Name"]), text(&dimension["Value"]))).collect();
        let metric = (text(alarm.get("/Namespace").unwrap()), text(alarm.get("/MetricName").unwrap()), dimensions);
        (alarm.logical_id.clone(), metric)
    });
    metrics.collect()
}

/// The metrics of the dashboard: `[namespace, name, dimension, value, .., {options}]`.
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html>
fn dashboard_metrics(resolved: &Resolved) -> Vec<MetricId> {
    let mut metrics = Vec::new();
    for widget in dashboard(resolved)["widgets"].as_array().unwrap() {
        for metric in widget["properties"]["metrics"].as_array().into_iter().flatten() {
            let texts: Vec<String> =
                metric.as_array().unwrap().iter().filter(|part| part.is_string()).map(text).collect();
            let [namespace, name, dimensions @ ..] = texts.as_slice() else { panic!("{metric}") };
            let dimensions = dimensions.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
            metrics.push((namespace.clone(), name.clone(), dimensions));
        }
    }
    metrics
}

fn dashboard(resolved: &Resolved) -> Value {
    let dashboard = resolved.of_kind("AWS::CloudWatch::Dashboard").next().unwrap();
    serde_json::from_str(dashboard.text("/DashboardBody").unwrap()).unwrap()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn is_ours((namespace, ..): &MetricId) -> bool {
    namespace == "Unroot"
}

#[tokio::test(start_paused = true)]
async fn alarms_and_dashboard_look_at_what_the_functions_emit() {
    let stage = Stage::enforcing().await;
    stage.scheduled_audit().await;
    // The second has a complete audit before it, which has an age.
    stage.scheduled_audit().await;
    stage.aws.create_account(NewAccount::default());
    stage.deployment.settle().await.unwrap();
    root_activity::one_of_each(&stage).await;
    stage.ask(PASSWORD_RECOVERY, &open(AUDIT, 60)).await.unwrap();
    stage.ask(PASSWORD_RECOVERY, &close(AUDIT)).await.unwrap();
    stage.ask(UNLOCK_POLICY, &bucket(SHOP, LOCKED_BUCKET)).await.unwrap();
    stage.ask(UNLOCK_POLICY, &queue(SHOP, LOCKED_QUEUE)).await.unwrap();
    let emitted = stage.deployment.metrics().unwrap();
    let emitted: BTreeSet<MetricId> =
        emitted.into_iter().map(|metric| (metric.namespace, metric.name, metric.dimensions)).collect();

    let resolved = template::enforcing();
    let shown: BTreeSet<MetricId> = dashboard_metrics(&resolved).into_iter().filter(is_ours).collect();
    for (alarm, metric) in alarm_metrics(&resolved).into_iter().filter(|(_, metric)| is_ours(metric)) {
        assert!(shown.contains(&metric), "{alarm} looks at {metric:?}, which is not on the dashboard");
    }
    let imagined: Vec<_> = shown.difference(&emitted).collect();
    assert!(imagined.is_empty(), "looked at and not emitted: {imagined:#?}");
    let unseen: Vec<_> = emitted.difference(&shown).collect();
    assert!(unseen.is_empty(), "emitted and not on the dashboard: {unseen:#?}");
}

#[test]
fn the_metrics_of_aws_are_those_of_our_resources() {
    let resolved = template::enforcing();
    let names = |kind, pointer: &str| -> BTreeSet<String> {
        resolved.of_kind(kind).map(|resource| resource.text(pointer).unwrap().to_owned()).collect()
    };
    let queues = names("AWS::SQS::Queue", "/QueueName");
    let functions = names("AWS::Serverless::Function", "/FunctionName");
    let alarms = alarm_metrics(&resolved).into_iter().map(|(_, metric)| metric);
    let metrics: Vec<_> = alarms.chain(dashboard_metrics(&resolved)).filter(|metric| !is_ours(metric)).collect();
    assert!(metrics.len() >= 14, "{metrics:#?}");
    for (namespace, name, dimensions) in metrics {
        let (known, dimension, resources): (&[&str], _, _) = match namespace.as_str() {
            "AWS/SQS" => (&["ApproximateNumberOfMessagesVisible"], "QueueName", &queues),
            "AWS/Lambda" => (&["Invocations", "Errors"], "FunctionName", &functions),
            _ => panic!("the namespace `{namespace}`"),
        };
        assert!(known.contains(&name.as_str()), "{namespace} {name}");
        assert_eq!(dimensions.keys().collect::<Vec<_>>(), [dimension], "{name}");
        assert!(resources.contains(&dimensions[dimension]), "{name} of {dimensions:?}");
    }
}

/// Each function's errors and each dead-letter queue have an alarm, and each alarm says what to do and tells somebody.
#[test]
fn every_alarm_is_shown_and_told() {
    for (parameters, topics) in [(&[] as &[_], 1), (&[("ChatNotifications", "Enabled"), ("Mode", "Enforce")], 2)] {
        let resolved = template::deployed(parameters);
        let mut arns = BTreeSet::new();
        for alarm in resolved.of_kind("AWS::CloudWatch::Alarm") {
            assert!(alarm.text("/AlarmDescription").unwrap().len() <= 1024, "{}", alarm.logical_id);
            let actions = alarm.get("/AlarmActions").unwrap().as_array().unwrap();
            assert_eq!(actions.len(), topics, "{}: {actions:?}", alarm.logical_id);
            let periods = alarm.number("/EvaluationPeriods").unwrap();
            let period = alarm.number("/Period").unwrap();
            // <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html>
            assert!(periods * period <= if period < 3_600 { 86_400 } else { 604_800 }, "{}", alarm.logical_id);
            arns.insert(alarm.arn().unwrap().to_owned());
        }
        let widgets = dashboard(&resolved);
        let shown = widgets["widgets"].as_array().unwrap().iter().find(|widget| widget["type"] == "alarm").unwrap();
        let shown = shown["properties"]["alarms"].as_array().unwrap().iter().map(text).collect();
        assert_eq!(arns, shown);
    }
    let longest = [("AuditOverdueAfterHours", "168")];
    let overdue = template::deployed(&longest);
    let overdue =
        overdue.of_kind("AWS::CloudWatch::Alarm").find(|alarm| alarm.logical_id == "AuditOverdueAlarm").unwrap();
    assert_eq!(overdue.number("/EvaluationPeriods").unwrap() * overdue.number("/Period").unwrap(), 604_800);
}
