//! What is left of everything that happened in a deployment, for whoever wants to know afterwards.

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::stacks::Stacks;
use super::{Deployment, lock};
use crate::event_buses::Delivery;
use crate::lambda::FunctionError;
use crate::metrics::{self, Metric};
use crate::queues::Message;
use crate::template::Resource;
use crate::topics;

impl Deployment {
    /// What a function answered to the batches from its queue, in the order in which it did.
    pub fn outcomes(&self, function: &str) -> Result<Vec<Result<Value, FunctionError>>> {
        Ok(lock(&self.deployed(function)?.outcomes).clone())
    }

    /// What a function logged: JSON where a line is JSON, else text.
    pub fn logs(&self, function: &str) -> Result<Vec<Value>> {
        self.logs_from(function, 0)
    }

    /// The same from the line with this index on, the first being 0: for who reads a growing log bit by bit.
    pub fn logs_from(&self, function: &str, index: usize) -> Result<Vec<Value>> {
        Ok(self.deployed(function)?.function.logs_from(index))
    }

    /// How many lines a function logged so far.
    pub fn log_length(&self, function: &str) -> Result<usize> {
        Ok(self.deployed(function)?.function.log_length())
    }

    /// The messages that wait in a function's queue.
    pub fn waiting(&self, function: &str) -> Result<Vec<Message>> {
        Ok(self.queues.messages(&self.source(function)?.queue_arn))
    }

    /// The messages in a function's dead-letter queue.
    pub fn dead_letters(&self, function: &str) -> Result<Vec<Message>> {
        Ok(self.queues.messages(&self.source(function)?.dead_letter_arn))
    }

    /// The events that were put on buses with `PutEvents`, in order.
    pub fn put_events(&self) -> Vec<Value> {
        self.route_put_events();
        lock(&self.put).events.clone()
    }

    /// What was published to a topic of template.yaml, by its logical id or its name, in order.
    pub fn published(&self, topic: &str) -> Result<Vec<topics::Message>> {
        self.route_put_events();
        self.stacks.published(topic)
    }

    /// The metrics that all functions logged, by function and in the order of their lines.
    ///
    /// Fails on a line that CloudWatch would drop.
    pub fn metrics(&self) -> Result<Vec<Metric>> {
        let mut metrics = Vec::new();
        for (name, deployed) in &self.functions {
            for line in deployed.function.logs_from(0) {
                metrics.extend(metrics::read(&line).with_context(|| format!("`{name}` logged {line}"))?);
            }
        }
        Ok(metrics)
    }

    /// What became of the events so far, at each target of each rule that they matched.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.route_put_events();
        lock(&self.deliveries).clone()
    }
}

impl Stacks {
    pub(super) fn published(&self, topic: &str) -> Result<Vec<topics::Message>> {
        let is_meant = |resource: &&Resource| {
            resource.logical_id == topic || resource.get("/TopicName").is_some_and(|name| name == topic)
        };
        let resource = self.unroot.of_kind("AWS::SNS::Topic").find(is_meant);
        let resource = resource.with_context(|| format!("template.yaml has no topic `{topic}`"))?;
        lock(&self.buses).topics.messages(resource.reference()?).context("the topic was not created")
    }
}
