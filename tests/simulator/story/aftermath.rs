//! What follows from something that happens, until nothing is left to do: the events that tell of it, the way that they
//! take, and what the functions do.

use std::collections::BTreeSet;

use anyhow::Result;
use serde_json::Value;
use simulator::aws::CallRecord;
use simulator::deployment::Deployment;
use simulator::event_buses::{Delivery, DeliveryOutcome};

use super::console::NO_BREAK;
use super::record::{self, AccountRecord};
use super::stage::Stage;

/// The end of the names that the simulated CloudFormation makes up.
const MADE_UP: &str = "-SIMULATED";

pub(crate) struct Aftermath {
    /// What AWS emitted, in order.
    pub(crate) events: Vec<Value>,
    deliveries: Vec<Delivery>,
    pub(crate) calls: Vec<CallRecord>,
    /// What the function logged about accounts.
    pub(crate) records: Vec<AccountRecord>,
    /// What the functions put on Unroot's bus.
    pub(crate) told: Vec<Value>,
    /// By the simulated clock.
    pub(crate) took: time::Duration,
}

/// Lets something happen, and follows what comes of it. `function` is the one whose business it is.
pub(crate) async fn follow<T>(
    stage: &Stage,
    deployment: &Deployment,
    function: &str,
    happen: impl AsyncFnOnce() -> Result<T>,
) -> Result<(T, Aftermath)> {
    let mut emitted = stage.aws.events();
    let began = stage.aws.clock().now();
    let logged_before = deployment.log_length(function)?;
    let calls_before = stage.aws.calls().len();
    let delivered_before = deployment.deliveries().len();
    let told_before = deployment.put_events().len();

    let happened = happen().await?;
    deployment.settle().await?;

    let aftermath = Aftermath {
        events: std::iter::from_fn(|| emitted.try_recv().ok()).collect(),
        deliveries: deployment.deliveries().split_off(delivered_before),
        calls: stage.aws.calls().split_off(calls_before),
        records: record::read(&deployment.logs_from(function, logged_before)?)?,
        told: deployment.put_events().split_off(told_before),
        took: stage.aws.clock().now() - began,
    };
    Ok((happened, aftermath))
}

impl Aftermath {
    /// The ways of the events, each once.
    pub(crate) fn routes(&self) -> Vec<String> {
        let mut routes: Vec<_> = self.deliveries.iter().map(route).collect();
        let mut known = BTreeSet::new();
        routes.retain(|route| known.insert(route.clone()));
        routes
    }
}

/// The ways of events that ended where they should not.
pub(crate) fn undelivered(deliveries: &[Delivery]) -> Vec<String> {
    deliveries.iter().filter(|delivery| delivery.outcome != DeliveryOutcome::Delivered).map(route).collect()
}

/// What the events are, each kind once with all its Regions: `AccountJoinedOrganization in 111122223333, us-east-1`.
pub(crate) fn described<'a>(events: impl IntoIterator<Item = &'a Value>) -> Vec<String> {
    let mut kinds = Vec::<(String, Vec<&str>)>::new();
    for event in events {
        let text = |pointer| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let name = match text("/detail/eventName") {
            "" => text("/detail/type"),
            name => name,
        };
        let (kind, region) = (format!("{name} in {}", text("/account")), text("/region"));
        match kinds.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, regions)) if regions.contains(&region) => {}
            Some((_, regions)) => regions.push(region),
            None => kinds.push((kind, vec![region])),
        }
    }
    kinds.into_iter().map(|(kind, regions)| format!("{kind}, {}", regions.join(", "))).collect()
}

/// `unroot-AccountJoinedRule -> queue unroot-account-joined`, without what CloudFormation would make up.
fn route(delivery: &Delivery) -> String {
    let rule = delivery.rule_arn.rsplit('/').next().unwrap_or_default().trim_end_matches(MADE_UP);
    let target = match delivery.target_arn.split(':').collect::<Vec<_>>().as_slice() {
        [_, _, "sqs", _, _, queue] => format!("queue {queue}"),
        [_, _, "events", region, account, bus] => {
            format!("{} in {account}, {region}", bus.replace("event-bus/", "bus "))
        }
        [_, _, "sns", _, _, topic] => format!("topic {}", topic.trim_end_matches(MADE_UP)),
        _ => delivery.target_arn.clone(),
    };
    match &delivery.outcome {
        DeliveryOutcome::Delivered => {
            format!("{rule} {}", format!("-> {target}").replace(' ', &NO_BREAK.to_string()))
        }
        DeliveryOutcome::DeadLettered { reason } => format!("{rule} -> dead-letter queue, not {target}: {reason}"),
        DeliveryOutcome::Lost { reason } => format!("{rule} -> nowhere, not {target}: {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn events_of_a_kind_are_described_once() {
        let finding = |region: &str| {
            let detail = json!({"type": "Policy:IAMUser/RootCredentialUsage"});
            json!({"account": "222233334444", "region": region, "detail": detail})
        };
        let detail = json!({"eventName": "ConsoleLogin"});
        let signed_in = json!({"account": "444455556666", "region": "us-east-1", "detail": detail});
        let events = [finding("us-east-1"), signed_in, finding("eu-north-1"), finding("us-east-1")];
        let expected = [
            "Policy:IAMUser/RootCredentialUsage in 222233334444, us-east-1, eu-north-1",
            "ConsoleLogin in 444455556666, us-east-1",
        ];
        assert_eq!(described(&events), expected);
    }
}
