//! EventBridge event buses: their rules route events to queues, to topics and to buses of other accounts.
//!
//! Deliveries that policies forbid fail as in AWS: into the target's dead-letter queue at once, without a retry.
//! <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html>

mod target_input;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::aws::Role;
use crate::event_pattern::EventPattern;
use crate::policy::{Context, Decision, Principal, Request, ResourcePolicy};
use crate::queues::Queues;
use crate::topics::Topics;

pub use target_input::{InvalidInput, TargetInput};

/// The rules on all buses, the topics that they publish to, and who may put events and messages where.
#[derive(Clone, Debug, Default)]
pub struct EventBuses {
    pub rules: Vec<Rule>,
    pub topics: Topics,
    /// The policies of buses, queues and topics, by ARN.
    pub policies: BTreeMap<String, ResourcePolicy>,
}

#[derive(Clone, Debug)]
pub struct Rule {
    pub arn: String,
    pub bus_arn: String,
    pub pattern: EventPattern,
    pub targets: Vec<Target>,
}

#[derive(Clone, Debug)]
pub struct Target {
    /// A queue, a topic or a bus.
    pub arn: String,
    pub input: TargetInput,
    /// What EventBridge acts as for a bus.
    pub role: Option<Role>,
    pub dead_letter_arn: Option<String>,
}

/// An event that matched a rule, and what became of it at one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    pub rule_arn: String,
    pub target_arn: String,
    pub outcome: DeliveryOutcome,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeliveryOutcome {
    Delivered,
    DeadLettered { reason: String },
    Lost { reason: String },
}

impl EventBuses {
    /// Routes an event that arrives on a bus, over further buses too. No matching rule means no delivery.
    pub fn put(&self, queues: &Queues, bus_arn: &str, event: &Value) -> Vec<Delivery> {
        let mut deliveries = Vec::new();
        let matching = self.rules.iter().filter(|rule| rule.bus_arn == bus_arn && rule.pattern.matches(event));
        for (rule, target) in matching.flat_map(|rule| rule.targets.iter().map(move |target| (rule, target))) {
            let result = self.deliver(queues, rule, target, event);
            let outcome = match &result {
                Ok(_) => DeliveryOutcome::Delivered,
                Err(reason) => self.dead_letter(queues, rule, target, event, reason),
            };
            deliveries.push(Delivery { rule_arn: rule.arn.clone(), target_arn: target.arn.clone(), outcome });
            deliveries.extend(result.unwrap_or_default());
        }
        deliveries
    }

    /// The deliveries that follow on the target's own bus, or why the event does not get there.
    fn deliver(&self, queues: &Queues, rule: &Rule, target: &Target, event: &Value) -> Result<Vec<Delivery>, String> {
        match service_of(&target.arn) {
            "sqs" => {
                self.send(queues, rule, &target.arn, target.input.render(event)?, Map::new())?;
                Ok(Vec::new())
            }
            "sns" => {
                self.publish(&target.arn, target.input.render(event)?)?;
                Ok(Vec::new())
            }
            "events" => {
                self.check_forwarding(rule, target, event)?;
                Ok(self.put(queues, &target.arn, event))
            }
            service => Err(format!("the simulator does not know targets of the service `{service}`")),
        }
    }

    fn send(
        &self,
        queues: &Queues,
        rule: &Rule,
        queue_arn: &str,
        body: String,
        attributes: Map<String, Value>,
    ) -> Result<(), String> {
        let context = Context::default()
            .with("aws:SourceArn", &rule.arn)
            .with("aws:SourceAccount", account_of(&rule.arn))
            .with("aws:SecureTransport", "true");
        let request = Request { action: "sqs:SendMessage", resource: queue_arn, context: &context };
        if !self.allows(queue_arn, &eventbridge(), &request) {
            return Err(format!("the policy of `{queue_arn}` does not let the rule send"));
        }
        queues.send(queue_arn, body, attributes).map_err(|error| error.to_string())
    }

    /// Unlike SQS, SNS is not told for which rule or account: "You can't use of `Condition` blocks in Amazon SNS topic
    /// policies for EventBridge".
    /// <https://github.com/awsdocs/amazon-eventbridge-user-guide/blob/main/doc_source/eb-use-resource-based.md>
    fn publish(&self, topic_arn: &str, text: String) -> Result<(), String> {
        let context = Context::default().with("aws:SecureTransport", "true");
        let request = Request { action: "sns:Publish", resource: topic_arn, context: &context };
        if !self.allows(topic_arn, &eventbridge(), &request) {
            return Err(format!("the policy of `{topic_arn}` does not let EventBridge publish"));
        }
        self.topics.publish(topic_arn, text).map_err(|error| error.to_string())
    }

    /// Another account's bus needs the rule's role and its own policy to agree, and passes on no event from a third
    /// account. <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-cross-account.html>
    fn check_forwarding(&self, rule: &Rule, target: &Target, event: &Value) -> Result<(), String> {
        let account = account_of(&rule.arn);
        if event.get("account").and_then(Value::as_str) != Some(account) {
            return Err("THIRD_ACCOUNT_HOP_DETECTED".to_owned());
        }
        let context = Context::default().with("aws:PrincipalAccount", account);
        let request = Request { action: "events:PutEvents", resource: &target.arn, context: &context };
        let forwarder = target.role.as_ref().ok_or("a target in another account needs a RoleArn")?;
        if forwarder.decide(&request) != Decision::Allow {
            return Err(format!("the role `{}` may not put events on `{}`", forwarder.arn(), target.arn));
        }
        if !self.allows(&target.arn, &Principal::Role(forwarder.arn().to_owned()), &request) {
            return Err(format!("the policy of `{}` does not let `{}` put events", target.arn, forwarder.arn()));
        }
        Ok(())
    }

    fn allows(&self, resource_arn: &str, principal: &Principal, request: &Request) -> bool {
        let policy = self.policies.get(resource_arn);
        policy.is_some_and(|policy| policy.decide(principal, request) == Decision::Allow)
    }

    fn dead_letter(
        &self,
        queues: &Queues,
        rule: &Rule,
        target: &Target,
        event: &Value,
        reason: &str,
    ) -> DeliveryOutcome {
        let reason = reason.to_owned();
        let attributes = [
            ("RULE_ARN", rule.arn.as_str()),
            ("TARGET_ARN", target.arn.as_str()),
            ("ERROR_CODE", "NO_PERMISSIONS"),
            ("ERROR_MESSAGE", reason.as_str()),
        ];
        let attributes = attributes
            .map(|(name, value)| (name.to_owned(), json!({ "DataType": "String", "StringValue": value })))
            .into_iter()
            .collect();
        let sent = match &target.dead_letter_arn {
            Some(queue_arn) => self.send(queues, rule, queue_arn, event.to_string(), attributes),
            None => Err("the target has no dead-letter queue".to_owned()),
        };
        match sent {
            Ok(()) => DeliveryOutcome::DeadLettered { reason },
            Err(second) => DeliveryOutcome::Lost { reason: format!("{reason}; {second}") },
        }
    }
}

fn eventbridge() -> Principal {
    Principal::Service("events.amazonaws.com".to_owned())
}

/// The third part of an ARN.
fn service_of(arn: &str) -> &str {
    arn.split(':').nth(2).unwrap_or_default()
}

/// The fifth part of an ARN.
fn account_of(arn: &str) -> &str {
    arn.split(':').nth(4).unwrap_or_default()
}
