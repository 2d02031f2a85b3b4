//! Schedules as data: what a request says, what is kept of it, and the answers to requests that come again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::macros::format_description;
use time::{Duration, OffsetDateTime, PrimitiveDateTime};

use super::{beyond, is_queue};
use crate::api::ApiError;
use crate::aws::call::Call;
use crate::aws::service::Service;

/// The group of a schedule that names none.
pub(super) const DEFAULT_GROUP: &str = "default";

/// `RetryPolicy` where a target has none: the greatest that there is.
/// <https://docs.aws.amazon.com/scheduler/latest/APIReference/API_RetryPolicy.html>
const MOST_SECONDS: u64 = 86_400;
const MOST_ATTEMPTS: u64 = 185;

/// A one-time schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    pub arn: String,
    pub name: String,
    /// `at(2026-11-21T10:00:00)`, in UTC.
    pub expression: String,
    /// When it fires at the latest: at the end of its window, if it has a flexible one.
    pub at: OffsetDateTime,
    pub target_arn: String,
    pub role_arn: String,
    /// What it sends.
    pub input: String,
    pub dead_letter_arn: Option<String>,
    pub action_after_completion: ActionAfterCompletion,
    pub state: ScheduleState,
    pub created: OffsetDateTime,
    pub modified: OffsetDateTime,
    /// Whether it has fired. One that does not delete itself stays.
    pub is_completed: bool,
    /// With all its members, as `GetSchedule` has them.
    pub(super) definition: Value,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ActionAfterCompletion {
    #[default]
    None,
    Delete,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ScheduleState {
    #[default]
    Enabled,
    Disabled,
}

/// What `CreateSchedule` and `UpdateSchedule` take.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Definition {
    pub(super) name: String,
    pub(super) group_name: Option<String>,
    description: Option<String>,
    schedule_expression: String,
    schedule_expression_timezone: Option<String>,
    flexible_time_window: FlexibleTimeWindow,
    pub(super) target: Target,
    #[serde(default)]
    action_after_completion: ActionAfterCompletion,
    #[serde(default)]
    state: ScheduleState,
    #[serde(rename = "ClientToken")]
    _client_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct FlexibleTimeWindow {
    mode: FlexibleTimeWindowMode,
    maximum_window_in_minutes: Option<u32>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum FlexibleTimeWindowMode {
    Off,
    Flexible,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Target {
    arn: String,
    pub(super) role_arn: String,
    input: Option<String>,
    retry_policy: Option<RetryPolicy>,
    dead_letter_config: Option<DeadLetterConfig>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct RetryPolicy {
    maximum_event_age_in_seconds: Option<u64>,
    maximum_retry_attempts: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DeadLetterConfig {
    arn: Option<String>,
}

/// All schedules by ARN.
#[derive(Debug, Default)]
pub(crate) struct Schedules {
    by_arn: BTreeMap<String, Schedule>,
    /// What a request with a client token was answered, by account and token.
    answered: BTreeMap<(String, String), (Value, Value)>,
}

impl Definition {
    pub(super) fn read(input: &Value) -> Result<Self, ApiError> {
        let invalid = |message: String| Err(invalid(message));
        let definition = match Self::deserialize(input) {
            Ok(definition) => definition,
            Err(error) => return invalid(error.to_string()),
        };
        if let Some(RetryPolicy { maximum_event_age_in_seconds: seconds, maximum_retry_attempts: attempts }) =
            &definition.target.retry_policy
        {
            if seconds.is_some_and(|seconds| !(60..=MOST_SECONDS).contains(&seconds)) {
                return invalid("MaximumEventAgeInSeconds must be between 60 and 86400".to_owned());
            }
            if attempts.is_some_and(|attempts| attempts > MOST_ATTEMPTS) {
                return invalid("MaximumRetryAttempts must be between 0 and 185".to_owned());
            }
        }
        let window = &definition.flexible_time_window;
        match (window.mode, window.maximum_window_in_minutes) {
            (FlexibleTimeWindowMode::Off, None) | (FlexibleTimeWindowMode::Flexible, Some(1..=1440)) => Ok(definition),
            _ => invalid(
                "The FlexibleTimeWindow must have a MaximumWindowInMinutes from 1 to 1440 if, and only if, its \
                          Mode is FLEXIBLE"
                    .to_owned(),
            ),
        }
    }
}

impl Schedule {
    pub(super) fn new(arn: &str, definition: &Definition, now: OffsetDateTime) -> Result<Self, ApiError> {
        let Definition { schedule_expression: expression, target, flexible_time_window: window, .. } = definition;
        if !is_queue(&target.arn) {
            return Err(beyond(&json!({ "Target": { "Arn": target.arn } })));
        }
        let timezone = definition.schedule_expression_timezone.as_deref().unwrap_or("UTC");
        if timezone != "UTC" {
            return Err(beyond(&json!({ "ScheduleExpressionTimezone": timezone })));
        }
        let dead_letter_arn = target.dead_letter_config.as_ref().and_then(|queue| queue.arn.clone());
        let at = time_of(expression, now)? + Duration::minutes(window.maximum_window_in_minutes.unwrap_or(0).into());
        let retry = |member: fn(&RetryPolicy) -> Option<u64>, most| {
            target.retry_policy.as_ref().and_then(member).unwrap_or(most)
        };
        let described = json!({
            "Name": definition.name,
            "GroupName": DEFAULT_GROUP,
            "Description": definition.description,
            "ScheduleExpression": expression,
            "ScheduleExpressionTimezone": timezone,
            "FlexibleTimeWindow": {
                "Mode": window.mode,
                "MaximumWindowInMinutes": window.maximum_window_in_minutes,
            },
            "Target": {
                "Arn": target.arn,
                "RoleArn": target.role_arn,
                "Input": target.input,
                "RetryPolicy": {
                    "MaximumEventAgeInSeconds": retry(|policy| policy.maximum_event_age_in_seconds, MOST_SECONDS),
                    "MaximumRetryAttempts": retry(|policy| policy.maximum_retry_attempts, MOST_ATTEMPTS),
                },
                "DeadLetterConfig": dead_letter_arn.as_ref().map(|arn| json!({ "Arn": arn })),
            },
            "ActionAfterCompletion": definition.action_after_completion,
            "State": definition.state,
        });
        Ok(Self {
            arn: arn.to_owned(),
            name: definition.name.clone(),
            expression: expression.clone(),
            at,
            target_arn: target.arn.clone(),
            role_arn: target.role_arn.clone(),
            // Of a target that is given no input it is not documented what it gets.
            input: target.input.clone().unwrap_or_else(|| "{}".to_owned()),
            dead_letter_arn,
            action_after_completion: definition.action_after_completion,
            state: definition.state,
            created: now,
            modified: now,
            is_completed: false,
            definition: without_nulls(described),
        })
    }

    /// Whether its time is still to come, or nobody has noticed that it came.
    pub(super) fn is_waiting(&self) -> bool {
        self.state == ScheduleState::Enabled && !self.is_completed
    }

    /// The answer to `GetSchedule`.
    pub(super) fn described(&self) -> Value {
        let mut described = self.definition.clone();
        let seconds = |instant: OffsetDateTime| json!(instant.unix_timestamp());
        if let Some(members) = described.as_object_mut() {
            members.insert("Arn".to_owned(), json!(self.arn));
            members.insert("CreationDate".to_owned(), seconds(self.created));
            members.insert("LastModificationDate".to_owned(), seconds(self.modified));
        }
        described
    }
}

/// What a one-time expression says, in UTC.
///
/// Whether a time that has passed is refused AWS does not document, nor in which words; people say that it is. It is refused
/// here, since a schedule that may never fire is what nobody should rely on.
fn time_of(expression: &str, now: OffsetDateTime) -> Result<OffsetDateTime, ApiError> {
    let format = format_description!("at([year]-[month]-[day]T[hour]:[minute]:[second])");
    let is_recurring = expression.starts_with("rate(") || expression.starts_with("cron(");
    match PrimitiveDateTime::parse(expression, format) {
        Ok(at) if at.assume_utc() >= now.replace_nanosecond(0).unwrap_or(now) => Ok(at.assume_utc()),
        Err(_) if is_recurring => Err(beyond(&json!({ "ScheduleExpression": expression }))),
        // <https://github.com/localstack/localstack/issues/9284>
        _ => Err(invalid(format!("Invalid Schedule Expression {expression}."))),
    }
}

fn invalid(message: String) -> ApiError {
    Service::Scheduler.invalid_input(message)
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let members = members.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(members.map(|(name, value)| (name, without_nulls(value))).collect())
        }
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => other,
    }
}

impl Schedules {
    pub(super) fn get(&self, arn: &str) -> Option<&Schedule> {
        self.by_arn.get(arn)
    }

    pub(super) fn put(&mut self, schedule: Schedule) {
        self.by_arn.insert(schedule.arn.clone(), schedule);
    }

    pub(super) fn remove(&mut self, arn: &str) {
        self.by_arn.remove(arn);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Schedule> {
        self.by_arn.values()
    }

    /// What the same request was answered. With another request a token is as good as new: what AWS says then is not
    /// documented.
    pub(super) fn repeated(&self, call: &Call) -> Option<Value> {
        let (input, answer) = self.answered.get(&key(call)?)?;
        (*input == request(call)).then(|| answer.clone())
    }

    pub(super) fn remember(&mut self, call: &Call, answer: Value) -> Value {
        if let Some(key) = key(call) {
            self.answered.insert(key, (request(call), answer.clone()));
        }
        answer
    }
}

fn request(call: &Call) -> Value {
    json!({ "Operation": call.operation, "Region": call.region, "Input": call.input })
}

fn key(call: &Call) -> Option<(String, String)> {
    let token = call.input.get("ClientToken").and_then(Value::as_str)?;
    Some((call.caller.account.to_string(), token.to_owned()))
}
