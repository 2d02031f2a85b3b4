//! Schedules whose time has come.

use serde_json::{Map, json};
use time::OffsetDateTime;

use super::lets_assume;
use super::schedule::{ActionAfterCompletion, Schedule};
use crate::aws::World;
use crate::policy::{Context, Decision, Principal, Request};

impl World {
    /// Completes each schedule that is due: it sends its message, or else ends in its dead-letter queue. In reality a
    /// target is tried for as long as the retry policy says; what stands in the way here does not go away by itself.
    pub(super) fn fire_due_schedules(&mut self, now: OffsetDateTime) -> Vec<String> {
        let is_due = |schedule: &&Schedule| schedule.is_waiting() && schedule.at <= now;
        let due: Vec<Schedule> = self.schedules.iter().filter(is_due).cloned().collect();
        let mut failures = Vec::new();
        for schedule in due {
            if let Err(reason) = self.send_for(&schedule, &schedule.target_arn, &schedule.input, Map::new()) {
                failures.push(self.dead_letter(&schedule, &reason));
            }
            match schedule.action_after_completion {
                ActionAfterCompletion::Delete => self.schedules.remove(&schedule.arn),
                ActionAfterCompletion::None => self.schedules.put(Schedule { is_completed: true, ..schedule }),
            }
        }
        failures
    }

    /// The role must be one that still trusts the Scheduler and may send, and the queue's policy must not deny it.
    fn send_for(
        &self,
        schedule: &Schedule,
        queue_arn: &str,
        body: &str,
        attributes: Map<String, serde_json::Value>,
    ) -> Result<(), String> {
        let arn = &schedule.role_arn;
        let role = self.roles.get(arn).filter(|role| lets_assume(role, &schedule.arn));
        let role = role.ok_or_else(|| format!("the Scheduler cannot assume the role `{arn}`"))?;
        let account = role.account().as_str();
        let context = Context::default()
            .with("aws:PrincipalArn", arn)
            .with("aws:PrincipalAccount", account)
            .with("aws:SecureTransport", "true");
        let request = Request { action: "sqs:SendMessage", resource: queue_arn, context: &context };
        if role.decide(&request) != Decision::Allow {
            return Err(format!("the role `{arn}` may not send to `{queue_arn}`"));
        }
        let policy = self.queues.policy(queue_arn);
        let decision = policy.map(|written| written.policy().decide(&Principal::Role(arn.clone()), &request));
        let is_own = queue_arn.split(':').nth(4) == Some(account);
        if decision == Some(Decision::ExplicitDeny) || (!is_own && decision != Some(Decision::Allow)) {
            return Err(format!("the policy of `{queue_arn}` does not let `{arn}` send"));
        }
        self.queues.send(queue_arn, body.to_owned(), attributes).map_err(|error| error.to_string())
    }

    /// Says what went wrong.
    /// <https://docs.aws.amazon.com/scheduler/latest/UserGuide/configuring-schedule-dlq.html>
    fn dead_letter(&self, schedule: &Schedule, reason: &str) -> String {
        let attributes = [
            ("ERROR_CODE", "AccessDenied"),
            ("ERROR_MESSAGE", reason),
            ("SCHEDULE_ARN", &schedule.arn),
            ("TARGET_ARN", &schedule.target_arn),
        ];
        let attributes = attributes
            .map(|(name, value)| (name.to_owned(), json!({ "DataType": "String", "StringValue": value })))
            .into_iter()
            .collect();
        let sent = match &schedule.dead_letter_arn {
            Some(queue_arn) => self.send_for(schedule, queue_arn, &schedule.input, attributes),
            None => Err("it has no dead-letter queue".to_owned()),
        };
        let name = &schedule.name;
        match sent {
            Ok(()) => format!("the schedule `{name}` went to its dead-letter queue: {reason}"),
            Err(second) => format!("the schedule `{name}` is lost: {reason}; {second}"),
        }
    }
}
