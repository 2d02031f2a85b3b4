//! EventBridge event buses: their rules route events to queues, to topics and to buses of other accounts and Regions.
//!
//! Deliveries that policies forbid fail as in AWS: into the target's dead-letter queue at once, without a retry.
//! <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html>

mod target_input;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::aws::Role;
use crate::event_pattern::EventPattern;
use crate::policy::{Context, Decision, Principal, Request, ResourcePolicy};
use crate::queues::Queues;
use crate::topics::Topics;

pub use target_input::{InvalidInput, TargetInput};

/// The rules on all buses, the topics that they publish to, and who may put events and messages where.
#[derive(Clone, Debug, Default)]
pub struct EventBuses {
    /// By the ARN of their bus.
    pub rules: BTreeMap<String, Vec<Rule>>,
    pub topics: Topics,
    /// The policies of buses and topics, by ARN; those of queues are with the queues.
    pub policies: BTreeMap<String, ResourcePolicy>,
}

#[derive(Clone, Debug)]
pub struct Rule {
    pub arn: String,
    pub state: RuleState,
    pub pattern: EventPattern,
    pub targets: Vec<Target>,
}

/// <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-service-event-cloudtrail-management.html>
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RuleState {
    /// It matches all events "except for read-only AWS management events delivered through CloudTrail".
    #[default]
    Enabled,
    Disabled,
    EnabledWithAllCloudtrailManagementEvents,
}

/// An event that arrives on a bus.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    pub bus_arn: &'a str,
    pub event: &'a Value,
    /// The organization that the bus's account is in, if it is in one.
    pub organization_id: Option<&'a str>,
    pub at: OffsetDateTime,
    /// Where it was forwarded from, if it was.
    pub forwarded: Option<Hop>,
}

/// The way of an event from one bus to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hop {
    WithinRegion,
    AcrossRegions,
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
    pub fn put(&self, queues: &Queues, arrival: Arrival) -> Vec<Delivery> {
        let mut deliveries = Vec::new();
        let rules = self.rules.get(arrival.bus_arn).map(Vec::as_slice).unwrap_or_default();
        let matching = rules.iter().filter(|rule| rule.matches(arrival.event));
        for (rule, target) in matching.flat_map(|rule| rule.targets.iter().map(move |target| (rule, target))) {
            let result = self.deliver(queues, rule, target, arrival);
            let outcome = match &result {
                Ok(_) => DeliveryOutcome::Delivered,
                Err(reason) => Self::dead_letter(queues, rule, target, arrival.event, reason),
            };
            deliveries.push(Delivery { rule_arn: rule.arn.clone(), target_arn: target.arn.clone(), outcome });
            deliveries.extend(result.unwrap_or_default());
        }
        deliveries
    }

    /// The deliveries that follow on the target's own bus, or why the event does not get there.
    fn deliver(
        &self,
        queues: &Queues,
        rule: &Rule,
        target: &Target,
        arrival: Arrival,
    ) -> Result<Vec<Delivery>, String> {
        match service_of(&target.arn) {
            "sqs" => {
                Self::send(queues, rule, &target.arn, target.input.render(arrival.event)?, Map::new())?;
                Ok(Vec::new())
            }
            "sns" => {
                self.publish(&target.arn, target.input.render(arrival.event)?)?;
                Ok(Vec::new())
            }
            "events" => self.forward(queues, rule, target, arrival),
            service => Err(format!("the simulator does not know targets of the service `{service}`")),
        }
    }

    /// To another bus. The rule's role must allow it, in the same account too, and another account's bus must agree.
    /// <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-cross-account.html>
    ///
    /// An event is forwarded once: "EventBridge can't route events received from a sender event bus to a third event
    /// bus" (`eb-bus-to-bus.html`). In recordings of real AWS one hop within a Region and one across Regions pass
    /// together; nothing may rely on that, so it is refused here.
    fn forward(
        &self,
        queues: &Queues,
        rule: &Rule,
        target: &Target,
        arrival: Arrival,
    ) -> Result<Vec<Delivery>, String> {
        let account = account_of(&rule.arn);
        let is_regional = region_of(&rule.arn) != region_of(&target.arn);
        let hop = if is_regional { Hop::AcrossRegions } else { Hop::WithinRegion };
        let text = |name: &str| arrival.event.get(name).and_then(Value::as_str).unwrap_or_default();
        match arrival.forwarded {
            Some(Hop::AcrossRegions) if is_regional => return Err("THIRD_REGION_HOP_DETECTED".to_owned()),
            Some(_) => return Err("THIRD_ACCOUNT_HOP_DETECTED".to_owned()),
            None if text("account") != account => return Err("THIRD_ACCOUNT_HOP_DETECTED".to_owned()),
            None => {}
        }
        let mut context = Context::default()
            .with("aws:PrincipalAccount", account)
            .with("events:source", text("source"))
            .with("events:detail-type", text("detail-type"))
            .with("events:eventBusInvocation", "true");
        if let Some(id) = arrival.organization_id {
            context = context.with("aws:PrincipalOrgID", id);
        }
        let request = Request { action: "events:PutEvents", resource: &target.arn, context: &context };
        let forwarder = target.role.as_ref().ok_or("a target that is a bus needs a RoleArn")?;
        if forwarder.decide(&request) != Decision::Allow {
            return Err(format!("the role `{}` may not put events on `{}`", forwarder.arn(), target.arn));
        }
        let decision = self.decide(&target.arn, &Principal::Role(forwarder.arn().to_owned()), &request);
        let is_own = account_of(&target.arn) == account;
        if decision != Decision::Allow && !(is_own && decision == Decision::Silent) {
            return Err(format!("the policy of `{}` does not let `{}` put events", target.arn, forwarder.arn()));
        }
        let event = match hop {
            Hop::WithinRegion => arrival.event.clone(),
            Hop::AcrossRegions => renewed(arrival.event, arrival.at),
        };
        Ok(self.put(queues, Arrival { bus_arn: &target.arn, event: &event, forwarded: Some(hop), ..arrival }))
    }

    fn send(
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
        let decision = queues.policy(queue_arn).map(|written| written.policy().decide(&eventbridge(), &request));
        if decision != Some(Decision::Allow) {
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

    fn allows(&self, resource_arn: &str, principal: &Principal, request: &Request) -> bool {
        self.decide(resource_arn, principal, request) == Decision::Allow
    }

    fn decide(&self, resource_arn: &str, principal: &Principal, request: &Request) -> Decision {
        let policy = self.policies.get(resource_arn);
        policy.map_or(Decision::Silent, |policy| policy.decide(principal, request))
    }

    fn dead_letter(queues: &Queues, rule: &Rule, target: &Target, event: &Value, reason: &str) -> DeliveryOutcome {
        let reason = reason.to_owned();
        let attributes = [
            ("RULE_ARN", rule.arn.as_str()),
            ("TARGET_ARN", target.arn.as_str()),
            ("ERROR_CODE", if reason.ends_with("_HOP_DETECTED") { reason.as_str() } else { "NO_PERMISSIONS" }),
            ("ERROR_MESSAGE", reason.as_str()),
        ];
        let attributes = attributes
            .map(|(name, value)| (name.to_owned(), json!({ "DataType": "String", "StringValue": value })))
            .into_iter()
            .collect();
        let sent = match &target.dead_letter_arn {
            Some(queue_arn) => Self::send(queues, rule, queue_arn, event.to_string(), attributes),
            None => Err("the target has no dead-letter queue".to_owned()),
        };
        match sent {
            Ok(()) => DeliveryOutcome::DeadLettered { reason },
            Err(second) => DeliveryOutcome::Lost { reason: format!("{reason}; {second}") },
        }
    }
}

impl Rule {
    fn matches(&self, event: &Value) -> bool {
        let takes = match self.state {
            RuleState::Enabled => !is_read_only(event),
            RuleState::Disabled => false,
            RuleState::EnabledWithAllCloudtrailManagementEvents => true,
        };
        takes && self.pattern.matches(event)
    }
}

/// Whether it is a read-only management event from CloudTrail. AWS goes by the names too, "Describe, Get, or List" and a
/// list: <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-service-management-event-list.html>. How it takes
/// `AssumeRoot` is not known. Here `readOnly` decides.
fn is_read_only(event: &Value) -> bool {
    let detail = |name: &str| event.get("detail").and_then(|detail| detail.get(name));
    let is_cloud_trail = detail("eventSource").is_some() && detail("eventName").is_some();
    let is = |name: &str| matches!(detail(name), Some(Value::Bool(true)));
    is_cloud_trail && is("readOnly") && (is("managementEvent") || detail("managementEvent").is_none())
}

/// The event as it is in another Region: it keeps its account and Region, but its id and time are new. So it was recorded
/// by the third party whose recordings of real AWS the tests replay; AWS does not document it.
fn renewed(event: &Value, at: OffsetDateTime) -> Value {
    let mut event = event.clone();
    if let Some(Value::String(id)) = event.get_mut("id") {
        // The same in each run, so that two can be compared.
        let groups: Vec<String> = id.split('-').map(|group| group.chars().rev().collect()).collect();
        *id = groups.join("-");
    }
    if let Some(time) = event.get_mut("time") {
        *time = json!(at.replace_nanosecond(0).unwrap_or(at).format(&Rfc3339).unwrap_or_default());
    }
    event
}

fn eventbridge() -> Principal {
    Principal::Service("events.amazonaws.com".to_owned())
}

/// The third part of an ARN.
fn service_of(arn: &str) -> &str {
    arn.split(':').nth(2).unwrap_or_default()
}

/// The fourth part of an ARN.
fn region_of(arn: &str) -> &str {
    arn.split(':').nth(3).unwrap_or_default()
}

/// The fifth part of an ARN.
fn account_of(arn: &str) -> &str {
    arn.split(':').nth(4).unwrap_or_default()
}
