//! The roles of the templates, handed to the services that assume them.
//!
//! Each service looks at a role's trust policy when it is given the role, so one that does not let the service assume it
//! fails the deployment.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};

use crate::aws::Role;
use crate::policy::Context;

/// The roles of all accounts, by ARN.
#[derive(Clone, Debug, Default)]
pub(super) struct Roles(BTreeMap<String, Role>);

impl Roles {
    pub(super) fn add(&mut self, role: Role) {
        self.0.insert(role.arn().to_owned(), role);
    }

    /// For `CreateFunction`. Lambda documents no condition key that it would bring along.
    /// <https://docs.aws.amazon.com/lambda/latest/dg/lambda-intro-execution-role.html>
    pub(super) fn for_function(&self, arn: &str) -> Result<Role> {
        let role = self.get(arn)?;
        ensure!(
            role.trusts("lambda.amazonaws.com", &Context::default()),
            "The role defined for the function cannot be assumed by Lambda."
        );
        Ok(role.clone())
    }

    /// For `CreateSchedule`. The source is the schedule's group, never the schedule.
    /// <https://docs.aws.amazon.com/scheduler/latest/UserGuide/cross-service-confused-deputy-prevention.html>
    pub(super) fn for_schedule(&self, arn: &str, group_arn: &str) -> Result<Role> {
        let role = self.get(arn)?;
        ensure!(
            role.trusts("scheduler.amazonaws.com", &source(group_arn)),
            "The execution role you provide must allow AWS EventBridge Scheduler to assume the role."
        );
        Ok(role.clone())
    }

    /// For `PutTargets`.
    /// <https://docs.aws.amazon.com/eventbridge/latest/userguide/cross-service-confused-deputy-prevention.html>
    pub(super) fn for_rule(&self, arn: &str, rule_arn: &str) -> Result<Role> {
        let role = self.get(arn)?;
        ensure!(
            role.trusts("events.amazonaws.com", &source(rule_arn)),
            "Provided role '{arn}' cannot be assumed by principal 'events.amazonaws.com'."
        );
        Ok(role.clone())
    }

    fn get(&self, arn: &str) -> Result<&Role> {
        self.0.get(arn).with_context(|| format!("the template has no role `{arn}`"))
    }
}

/// The condition keys that tell for whom a service acts.
fn source(arn: &str) -> Context {
    let account = arn.split(':').nth(4).unwrap_or_default();
    Context::default().with("aws:SourceArn", arn).with("aws:SourceAccount", account)
}
