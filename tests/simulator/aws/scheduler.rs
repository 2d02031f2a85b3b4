//! EventBridge Scheduler: one-time schedules that send a message to a queue.
//!
//! Recurring schedules, groups, other targets and time zones besides UTC are not simulated and are refused. Nothing here
//! lets time pass: a schedule whose time has come fires when somebody asks for it (`Aws::fire_due_schedules`).

mod firing;
mod rest;
mod schedule;

use serde::Deserialize;
use serde_json::{Value, json};
use time::OffsetDateTime;

pub use schedule::{ActionAfterCompletion, Schedule, ScheduleState};

pub(super) use rest::read;
pub(crate) use schedule::Schedules;

use super::authorization::Permission;
use super::call::Call;
use super::role::Role;
use super::service::{Operation, not_simulated, reads, writes};
use super::{Aws, World};
use crate::api::{Answer, ApiError};
use crate::organization::AccountId;
use crate::policy::Context;
use schedule::{DEFAULT_GROUP, Definition};

pub(super) const OPERATIONS: &[Operation] = &[
    writes("CreateSchedule", create_schedule),
    writes("UpdateSchedule", update_schedule),
    reads("GetSchedule", get_schedule),
    writes("DeleteSchedule", delete_schedule),
];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct NameInput {
    name: String,
    group_name: Option<String>,
    #[serde(rename = "ClientToken")]
    _client_token: Option<String>,
}

fn create_schedule(world: &mut World, call: &Call) -> Answer {
    let definition = Definition::read(&call.input)?;
    let arn = authorized(world, call, &definition.name, definition.group_name.as_deref())?;
    world.pass_role(call, &definition.target.role_arn, &arn)?;
    if let Some(answer) = world.schedules.repeated(call) {
        return Ok(answer);
    }
    if world.schedules.get(&arn).is_some() {
        let message = format!("Schedule {} already exists.", definition.name);
        return Err(ApiError::new("ConflictException", 409, message));
    }
    let schedule = Schedule::new(&arn, &definition, call.at)?;
    world.schedules.put(schedule);
    Ok(world.schedules.remember(call, json!({ "ScheduleArn": arn })))
}

/// "EventBridge Scheduler uses all values, including empty values, specified in the request and overrides the existing
/// schedule": what it leaves out is as if it had never been set.
fn update_schedule(world: &mut World, call: &Call) -> Answer {
    let definition = Definition::read(&call.input)?;
    let arn = authorized(world, call, &definition.name, definition.group_name.as_deref())?;
    world.pass_role(call, &definition.target.role_arn, &arn)?;
    if let Some(answer) = world.schedules.repeated(call) {
        return Ok(answer);
    }
    let created = existing(world, &arn, &definition.name)?.created;
    let schedule = Schedule { created, ..Schedule::new(&arn, &definition, call.at)? };
    world.schedules.put(schedule);
    Ok(world.schedules.remember(call, json!({ "ScheduleArn": arn })))
}

fn get_schedule(world: &mut World, call: &Call) -> Answer {
    let NameInput { name, group_name, .. } = call.input()?;
    let arn = authorized(world, call, &name, group_name.as_deref())?;
    Ok(existing(world, &arn, &name)?.described())
}

fn delete_schedule(world: &mut World, call: &Call) -> Answer {
    let NameInput { name, group_name, .. } = call.input()?;
    let arn = authorized(world, call, &name, group_name.as_deref())?;
    if let Some(answer) = world.schedules.repeated(call) {
        return Ok(answer);
    }
    existing(world, &arn, &name)?;
    world.schedules.remove(&arn);
    Ok(world.schedules.remember(call, json!({})))
}

/// The ARN of the schedule that a call names, which need not exist.
fn authorized(world: &World, call: &Call, name: &str, group: Option<&str>) -> Result<String, ApiError> {
    let is_letter = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    if !(1..=64).contains(&name.len()) || !name.chars().all(is_letter) {
        let constraint = "Member must satisfy regular expression pattern: ^[0-9a-zA-Z-_.]+$";
        return Err(call.service.invalid_input(format!(
            "1 validation error detected: Value '{name}' at 'name' failed to satisfy constraint: {constraint}"
        )));
    }
    let group = group.unwrap_or(DEFAULT_GROUP);
    let arn = arn(&call.caller.account, &call.region, group, name);
    world.authorize(call, &Permission::on(call, arn.as_str()))?;
    if group != DEFAULT_GROUP {
        return Err(ApiError::new("ResourceNotFoundException", 404, format!("Schedule group {group} does not exist.")));
    }
    Ok(arn)
}

fn arn(account: &AccountId, region: &str, group: &str, name: &str) -> String {
    format!("arn:aws:scheduler:{region}:{account}:schedule/{group}/{name}")
}

fn existing<'a>(world: &'a World, arn: &str, name: &str) -> Result<&'a Schedule, ApiError> {
    world
        .schedules
        .get(arn)
        .ok_or_else(|| ApiError::new("ResourceNotFoundException", 404, format!("Schedule {name} does not exist.")))
}

impl World {
    /// Whoever names a role must be allowed to, and the role must let the Scheduler assume it.
    fn pass_role(&self, call: &Call, role_arn: &str, schedule_arn: &str) -> Result<(), ApiError> {
        let permission = Permission::to("iam:PassRole", role_arn);
        self.authorize(call, &permission.with("iam:PassedToService", "scheduler.amazonaws.com"))?;
        if self.roles.get(role_arn).is_some_and(|role| lets_assume(role, schedule_arn)) {
            return Ok(());
        }
        let message = "The execution role you provide must allow AWS EventBridge Scheduler to assume the role.";
        Err(call.service.invalid_input(message))
    }
}

/// The source is the schedule's group, never the schedule.
/// <https://docs.aws.amazon.com/scheduler/latest/UserGuide/cross-service-confused-deputy-prevention.html>
fn lets_assume(role: &Role, schedule_arn: &str) -> bool {
    let mut parts = schedule_arn.split(':').skip(3);
    let (region, account) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let group_arn = format!("arn:aws:scheduler:{region}:{account}:schedule-group/{DEFAULT_GROUP}");
    let context = Context::default().with("aws:SourceArn", group_arn).with("aws:SourceAccount", account);
    role.account().as_str() == account && role.trusts("scheduler.amazonaws.com", &context)
}

/// Schedules for who holds the simulated AWS, past authorization and faults.
impl Aws {
    /// The schedules that are there, by ARN; not those that a template has.
    pub fn schedules(&self) -> Vec<Schedule> {
        self.lock().schedules.iter().cloned().collect()
    }

    /// A schedule with the members of `CreateSchedule`, in place of one with the same ARN, which it returns.
    pub fn create_schedule(&self, account: &AccountId, region: &str, definition: &Value) -> Result<String, ApiError> {
        let definition = Definition::read(definition)?;
        let arn = arn(account, region, DEFAULT_GROUP, &definition.name);
        let schedule = Schedule::new(&arn, &definition, self.clock.now())?;
        self.lock().schedules.put(schedule);
        self.bell.ring();
        Ok(arn)
    }

    /// A role that services can be given, in place of one with the same ARN. A reset keeps it.
    pub fn create_role(&self, role: Role) {
        self.lock().roles.insert(role.arn().to_owned(), role);
    }

    /// When the next schedule fires, if one is to fire.
    pub fn next_firing(&self) -> Option<OffsetDateTime> {
        self.lock().schedules.iter().filter(|schedule| schedule.is_waiting()).map(|schedule| schedule.at).min()
    }

    /// Lets each schedule whose time has come send its message, and returns why some could not.
    pub fn fire_due_schedules(&self) -> Vec<String> {
        let now = self.clock.now();
        self.lock().fire_due_schedules(now)
    }
}

/// What a target can be.
fn is_queue(arn: &str) -> bool {
    arn.starts_with("arn:aws:sqs:")
}

/// What the Scheduler takes and the simulator does not.
fn beyond(what: &Value) -> ApiError {
    not_simulated(format!("a schedule with {what}"))
}
