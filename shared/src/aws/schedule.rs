//! The one-time schedules that end recovery windows.

use aws_sdk_scheduler::operation::create_schedule::builders::CreateScheduleFluentBuilder;
use aws_sdk_scheduler::types::{
    ActionAfterCompletion, DeadLetterConfig, FlexibleTimeWindow, FlexibleTimeWindowMode, RetryPolicy, Target,
};
use time::OffsetDateTime;
use time::macros::format_description;

use super::Aws;
use super::api_failure::{failed, unreadable};
use crate::config::WindowEnd;
use crate::domain::failure::{Cause, Failure};
use crate::domain::id::AccountId;

/// When something is to be sent to the queue of the function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowSchedule {
    pub account: AccountId,
    pub at: OffsetDateTime,
    /// The message.
    pub message: String,
}

impl Aws {
    /// Makes the schedule, or has the one of the account come at another time.
    pub async fn put_window_schedule(&self, end: &WindowEnd, schedule: &WindowSchedule) -> Result<(), Failure> {
        const CREATE: &str = "scheduler:CreateSchedule";
        let unwritable = |error: &dyn std::fmt::Display| unreadable(CREATE, &error.to_string());
        let at = schedule.at.format(format_description!("at([year]-[month]-[day]T[hour]:[minute]:[second])"));
        let at = at.map_err(|error| unwritable(&error))?;
        let target = Target::builder()
            .arn(&end.queue_arn)
            .role_arn(&end.role_arn)
            .input(&schedule.message)
            .dead_letter_config(DeadLetterConfig::builder().arn(&end.dead_letter_arn).build())
            .retry_policy(
                RetryPolicy::builder().maximum_event_age_in_seconds(86_400).maximum_retry_attempts(185).build(),
            )
            .build()
            .map_err(|error| unwritable(&error))?;
        let exactly = FlexibleTimeWindow::builder().mode(FlexibleTimeWindowMode::Off).build();
        let exactly = exactly.map_err(|error| unwritable(&error))?;
        let name = self.window_schedule_name(&schedule.account);
        let create: CreateScheduleFluentBuilder = self
            .scheduler
            .create_schedule()
            .name(&name)
            .description("Ends a recovery window of Unroot")
            .schedule_expression(&at)
            .schedule_expression_timezone("UTC")
            .flexible_time_window(exactly.clone())
            .target(target.clone())
            .action_after_completion(ActionAfterCompletion::Delete);
        match create.send().await.map(drop).map_err(failed(CREATE)) {
            Err(failure) if failure.cause == Cause::AlreadyPresent => {}
            created => return created,
        }
        let update = self.scheduler.update_schedule().name(name).schedule_expression(at);
        let update = update.description("Ends a recovery window of Unroot").schedule_expression_timezone("UTC");
        let update = update.flexible_time_window(exactly).target(target);
        let update = update.action_after_completion(ActionAfterCompletion::Delete);
        update.send().await.map(drop).map_err(failed("scheduler:UpdateSchedule"))
    }

    /// Takes the schedule of the account away; one that is not there is as good.
    pub async fn delete_window_schedule(&self, account: &AccountId) -> Result<(), Failure> {
        let call = self.scheduler.delete_schedule().name(self.window_schedule_name(account));
        match call.send().await.map(drop).map_err(failed("scheduler:DeleteSchedule")) {
            Err(failure) if failure.cause == Cause::ResourceNotFound => Ok(()),
            deleted => deleted,
        }
    }

    /// Fails if EventBridge Scheduler would not take the name of the schedule: before anything is done.
    pub fn check_window_schedule_name(&self, account: &AccountId) -> Result<(), Failure> {
        const LONGEST: usize = 64;
        let name = self.window_schedule_name(account);
        if name.len() <= LONGEST {
            return Ok(());
        }
        let message = format!("the name `{name}` is longer than {LONGEST} characters: give the stack a shorter name");
        Err(Failure::observed(Cause::RejectedRequest, "scheduler:CreateSchedule", message))
    }

    fn window_schedule_name(&self, account: &AccountId) -> String {
        format!("{}-recovery-{account}", self.stack_name)
    }
}
