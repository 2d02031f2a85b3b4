//! From the resources of a template to queues, topics, roles, rules and schedules; `stores` has the tables and buckets.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize as _;
use serde_json::{Map, Value};

use super::roles::Roles;
use super::stores;
use crate::aws::{Aws, FindingFilter, Role};
use crate::event_buses::{EventBuses, Rule, RuleState, Target, TargetInput};
use crate::event_pattern::EventPattern;
use crate::policy::{Context, Decision, PolicyDocument, Request, ResourcePolicy, TrustPolicy, WrittenPolicy};
use crate::queues::{DEFAULT_VISIBILITY_TIMEOUT, QueueSettings, Queues, Redrive};
use crate::template::{Resolved, Resource, Stack};

/// A schedule, whose time comes when somebody says so.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    arn: String,
    queue_arn: String,
    input: String,
    role: Role,
}

/// Creates the queues, topics, tables and buckets of a template, and adds its roles, its rules and its resource policies.
pub(super) fn create(
    resolved: &Resolved,
    stack: &Stack,
    aws: &Aws,
    roles: &mut Roles,
    buses: &mut EventBuses,
) -> Result<()> {
    let queues = aws.queues();
    for resource in resolved.of_kind("AWS::IAM::Role") {
        let role = role(resource).with_context(|| in_resource(resource))?;
        aws.create_role(role.clone());
        roles.add(role);
    }
    for resource in &resolved.resources {
        match resource.kind.as_str() {
            "AWS::SQS::Queue" => queue_settings(resource, stack).map(|settings| {
                queues.create(settings);
            }),
            "AWS::SQS::QueuePolicy" => queue_policy(resource, queues),
            "AWS::DynamoDB::Table" => stores::create_table(resource, stack, aws),
            "AWS::S3::Bucket" => stores::create_bucket(resource, stack, aws),
            "AWS::S3::BucketPolicy" => stores::put_bucket_policy(resource, aws),
            "AWS::Events::EventBusPolicy" => bus_policy(resource, stack, buses),
            "AWS::Events::Rule" => rule(resource, stack, roles, buses),
            "AWS::Events::EventBus" => resource.expect_only(&["Name", "Description"]),
            "AWS::SNS::Topic" => topic(resource, buses),
            "AWS::SNS::TopicPolicy" => topic_policy(resource, buses),
            "AWS::SNS::Subscription" => subscription(resource, buses),
            "AWS::CloudWatch::Dashboard" => dashboard(resource),
            "AWS::IAM::ManagedPolicy" => managed_policy(resource),
            "AWS::GuardDuty::Filter" => finding_filter(resource, stack, aws),
            // Roles are created above, functions and schedules by others. Alarms and retention are beyond the
            // simulator.
            "AWS::IAM::Role"
            | "AWS::Serverless::Function"
            | "AWS::Scheduler::Schedule"
            | "AWS::CloudWatch::Alarm"
            | "AWS::Logs::LogGroup" => Ok(()),
            kind => bail!("the simulator does not know the type `{kind}` of `{}`", resource.logical_id),
        }
        .with_context(|| in_resource(resource))?;
    }
    Ok(())
}

pub(super) fn schedules(resolved: &Resolved, stack: &Stack, roles: &Roles) -> Result<Vec<Schedule>> {
    let schedules = resolved.of_kind("AWS::Scheduler::Schedule");
    schedules.map(|resource| schedule(resource, stack, roles).with_context(|| in_resource(resource))).collect()
}

/// What the identity policies of a role decide about an action.
pub(super) fn allows(role: &Role, action: &str, resource: &str) -> bool {
    let context = Context::default();
    let request = Request { action, resource, context: &context };
    role.decide(&request) == Decision::Allow
}

impl Schedule {
    /// Sends the schedule's message, if its role may.
    pub(super) fn fire(&self, queues: &Queues) -> Result<()> {
        ensure!(
            allows(&self.role, "sqs:SendMessage", &self.queue_arn),
            "the role of `{}` may not send to `{}`",
            self.arn,
            self.queue_arn
        );
        Ok(queues.send(&self.queue_arn, self.input.clone(), Map::new())?)
    }
}

fn in_resource(resource: &Resource) -> String {
    format!("in the resource `{}`", resource.logical_id)
}

fn queue_settings(resource: &Resource, stack: &Stack) -> Result<QueueSettings> {
    resource.expect_only(&[
        "QueueName",
        "VisibilityTimeout",
        "MessageRetentionPeriod",
        "SqsManagedSseEnabled",
        "RedrivePolicy",
    ])?;
    let redrive = match resource.get("/RedrivePolicy") {
        Some(_) => Some(Redrive {
            dead_letter_arn: resource.text("/RedrivePolicy/deadLetterTargetArn")?.to_owned(),
            max_receive_count: resource.number("/RedrivePolicy/maxReceiveCount").context("no maxReceiveCount")?,
        }),
        None => None,
    };
    Ok(QueueSettings {
        account: stack.account.clone(),
        region: stack.region.clone(),
        name: resource.text("/QueueName")?.to_owned(),
        visibility_timeout: match resource.number("/VisibilityTimeout") {
            Some(seconds) => Duration::from_secs(seconds),
            None => DEFAULT_VISIBILITY_TIMEOUT,
        },
        redrive,
    })
}

fn role(resource: &Resource) -> Result<Role> {
    resource.expect_only(&["RoleName", "Description", "AssumeRolePolicyDocument", "Policies"])?;
    let policies = resource.get("/Policies").and_then(Value::as_array).into_iter().flatten();
    let documents = policies.map(|policy| {
        let document = policy.get("PolicyDocument").cloned().context("a policy has no PolicyDocument")?;
        Ok(PolicyDocument::try_from(document)?)
    });
    let trust = resource.get("/AssumeRolePolicyDocument").context("no AssumeRolePolicyDocument")?;
    let trust = TrustPolicy::parse(trust).context("AssumeRolePolicyDocument")?;
    Ok(Role::new(resource.arn()?, documents.collect::<Result<_>>()?)?.trusting(trust))
}

/// It is attached to nobody here.
fn managed_policy(resource: &Resource) -> Result<()> {
    resource.expect_only(&["ManagedPolicyName", "Description", "Path", "PolicyDocument"])?;
    let document = resource.get("/PolicyDocument").context("no PolicyDocument")?;
    PolicyDocument::try_from(document.clone())?;
    Ok(())
}

/// Of two policies for one queue the second takes the place of the first, and the simulator refuses it.
fn queue_policy(resource: &Resource, queues: &Queues) -> Result<()> {
    resource.expect_only(&["Queues", "PolicyDocument"])?;
    let document = resource.get("/PolicyDocument").context("no PolicyDocument")?;
    let policy = WrittenPolicy::try_from(document.clone())?;
    for url in resource.get("/Queues").and_then(Value::as_array).into_iter().flatten() {
        let arn = url.as_str().and_then(|url| queues.arn_of(url));
        let arn = arn.with_context(|| format!("there is no queue {url} yet: it must stand above its policy"))?;
        ensure!(queues.policy(&arn).is_none(), "the queue `{arn}` has a policy already");
        queues.set_policy(&arn, Some(policy.clone()))?;
    }
    Ok(())
}

fn bus_policy(resource: &Resource, stack: &Stack, buses: &mut EventBuses) -> Result<()> {
    resource.expect_only(&["EventBusName", "StatementId", "Statement"])?;
    let policy = policy(resource, "")?;
    let arn = bus_arn(resource.text("/EventBusName")?, stack);
    buses.policies.entry(arn).or_default().extend(policy);
    Ok(())
}

fn topic(resource: &Resource, buses: &EventBuses) -> Result<()> {
    resource.expect_only(&["TopicName", "DisplayName"])?;
    buses.topics.create(resource.reference()?);
    Ok(())
}

/// Of `sns:*` in the policy of a topic SNS says that it is out of scope, and so it does of actions that are not on topics.
/// <https://docs.aws.amazon.com/sns/latest/dg/sns-access-policy-language-api-permissions-reference.html>
fn topic_policy(resource: &Resource, buses: &mut EventBuses) -> Result<()> {
    resource.expect_only(&["Topics", "PolicyDocument"])?;
    let statements = resource.get("/PolicyDocument/Statement").and_then(Value::as_array).into_iter().flatten();
    for action in statements.filter_map(|statement| statement.get("Action")) {
        let actions = action.as_array().map_or_else(|| std::slice::from_ref(action), Vec::as_slice);
        ensure!(
            actions.iter().all(|action| action == "sns:Publish" || action == "sns:Subscribe"),
            "Invalid parameter: Policy statement action out of service scope! ({action})"
        );
    }
    let policy = policy(resource, "/PolicyDocument")?;
    for arn in resource.get("/Topics").and_then(Value::as_array).into_iter().flatten() {
        let arn = known_topic(arn.as_str().unwrap_or_default(), buses)?;
        buses.policies.entry(arn).or_default().extend(policy.clone());
    }
    Ok(())
}

fn subscription(resource: &Resource, buses: &EventBuses) -> Result<()> {
    resource.expect_only(&["TopicArn", "Protocol", "Endpoint"])?;
    known_topic(resource.text("/TopicArn")?, buses)?;
    let (protocol, endpoint) = (resource.text("/Protocol")?, resource.text("/Endpoint")?);
    ensure!(protocol == "email", "the simulator does not know the protocol `{protocol}`");
    ensure!(endpoint.contains('@'), "Invalid parameter: Email address");
    Ok(())
}

fn known_topic(arn: &str, buses: &EventBuses) -> Result<String> {
    let topic = buses.topics.messages(arn);
    topic.with_context(|| format!("there is no topic `{arn}` yet: it must stand above what refers to it"))?;
    Ok(arn.to_owned())
}

/// CloudWatch refuses a body that is not JSON, and one whose widgets it does not understand.
fn dashboard(resource: &Resource) -> Result<()> {
    resource.expect_only(&["DashboardName", "DashboardBody"])?;
    let body: Value =
        serde_json::from_str(resource.text("/DashboardBody")?).context("the DashboardBody is not JSON")?;
    let widgets = body.get("widgets").and_then(Value::as_array).context("the DashboardBody has no widgets")?;
    for widget in widgets {
        let kind = widget.get("type").and_then(Value::as_str).unwrap_or_default();
        ensure!(["alarm", "log", "metric", "text"].contains(&kind), "a widget has the type `{kind}`");
        ensure!(widget.get("properties").is_some_and(Value::is_object), "a widget has no properties");
    }
    Ok(())
}

/// A filter that does not archive what it matches only sorts the console's list. Of the criteria only `Equals`, which also
/// goes by `Eq`, on the fields that findings about root have is known.
fn finding_filter(resource: &Resource, stack: &Stack, aws: &Aws) -> Result<()> {
    resource.expect_only(&["Name", "Description", "Action", "DetectorId", "FindingCriteria", "Rank", "Tags"])?;
    ensure!(!resource.text("/DetectorId")?.is_empty(), "DetectorId must not be empty");
    let mut criteria = BTreeMap::new();
    let conditions = resource.get("/FindingCriteria/Criterion").and_then(Value::as_object);
    for (field, condition) in conditions.context("no Criterion")? {
        let pointer = match field.as_str() {
            "type" | "accountId" | "region" => format!("/{field}"),
            "resource.accessKeyDetails.userType" | "resource.accessKeyDetails.userName" => {
                format!("/{}", field.replace('.', "/"))
            }
            _ => bail!("the simulator does not know the field `{field}` of a finding"),
        };
        let values = match condition.as_object().context("a condition is no object")?.iter().next() {
            Some((operator, values)) if operator == "Eq" || operator == "Equals" => Vec::<String>::deserialize(values)?,
            _ => bail!("the simulator does not know the condition {condition}"),
        };
        criteria.insert(pointer, values);
    }
    if resource.get("/Action").is_some_and(|action| action == "ARCHIVE") {
        aws.filter_findings(FindingFilter { region: stack.region.clone(), criteria });
    }
    Ok(())
}

/// The policy whose `Statement` is in the object at `pointer`.
fn policy(resource: &Resource, pointer: &str) -> Result<ResourcePolicy> {
    let document = resource.get(pointer).context("no policy")?;
    Ok(ResourcePolicy::parse(document)?)
}

fn bus_arn(name: &str, Stack { account, region, .. }: &Stack) -> String {
    format!("arn:aws:events:{region}:{account}:event-bus/{name}")
}

fn rule(resource: &Resource, stack: &Stack, roles: &Roles, buses: &mut EventBuses) -> Result<()> {
    resource.expect_only(&["Name", "Description", "EventBusName", "EventPattern", "State", "Targets"])?;
    let arn = resource.arn()?;
    let bus = resource.get("/EventBusName").and_then(Value::as_str).unwrap_or("default");
    let state = match resource.get("/State") {
        Some(state) => RuleState::deserialize(state)?,
        None => RuleState::default(),
    };
    let targets = resource.get("/Targets").and_then(Value::as_array).into_iter().flatten();
    let rule = Rule {
        arn: arn.to_owned(),
        state,
        pattern: EventPattern::parse(resource.get("/EventPattern").context("no EventPattern")?)?,
        targets: targets.map(|target| self::target(target, arn, roles)).collect::<Result<_>>()?,
    };
    buses.rules.entry(bus_arn(bus, stack)).or_default().push(rule);
    Ok(())
}

fn target(target: &Value, rule_arn: &str, roles: &Roles) -> Result<Target> {
    let known = ["Id", "Arn", "RoleArn", "DeadLetterConfig", "RetryPolicy", "Input", "InputPath", "InputTransformer"];
    let mut names = target.as_object().into_iter().flat_map(Map::keys);
    if let Some(name) = names.find(|name| !known.contains(&name.as_str())) {
        bail!("the simulator does not know the property `{name}` of a target");
    }
    let text = |pointer: &str| target.pointer(pointer).and_then(Value::as_str);
    let role = match text("/RoleArn") {
        Some(arn) => Some(roles.for_rule(arn, rule_arn)?),
        None => None,
    };
    Ok(Target {
        arn: text("/Arn").context("a target has no Arn")?.to_owned(),
        input: TargetInput::parse(target)?,
        role,
        dead_letter_arn: text("/DeadLetterConfig/Arn").map(ToOwned::to_owned),
    })
}

fn schedule(resource: &Resource, Stack { account, region, .. }: &Stack, roles: &Roles) -> Result<Schedule> {
    resource.expect_only(&[
        "Name",
        "Description",
        "ScheduleExpression",
        "ScheduleExpressionTimezone",
        "FlexibleTimeWindow",
        "Target",
    ])?;
    // Without a GroupName.
    let group_arn = format!("arn:aws:scheduler:{region}:{account}:schedule-group/default");
    Ok(Schedule {
        arn: resource.arn()?.to_owned(),
        queue_arn: resource.text("/Target/Arn")?.to_owned(),
        input: resource.text("/Target/Input")?.to_owned(),
        role: roles.for_schedule(resource.text("/Target/RoleArn")?, &group_arn)?,
    })
}
