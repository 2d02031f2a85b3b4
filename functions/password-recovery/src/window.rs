//! Opening, extending and closing recovery windows.

use serde_json::json;
use shared::aws::WindowSchedule;
use shared::aws::root_session::{CreatePassword, RootSession};
use shared::aws::state::Written;
use shared::domain::account::Account;
use shared::domain::alert::{AlertAccount, AlertDetail, DetailType, PerformedTask, TaskAction, minute, to_the_second};
use shared::domain::failure::{Cause, Failure, Recovery};
use shared::domain::id::AccountId;
use shared::domain::notification::Notifier;
use shared::domain::operator_answer::Answer;
use shared::domain::operator_request::Why;
use shared::domain::plan::HoldBack;
use shared::domain::posture::Run;
use shared::domain::record::{AccountRecord, Totals, Verdict};
use shared::domain::recovery_window::{RecoveryWindow, RecoveryWindows};
use shared::domain::request::Mode;
use shared::domain::trigger::Trigger;
use shared::examine::strip_at_the_end_of_a_window;
use shared::recorder::Recorder;
use shared::runtime::{Function, Invocation, Problem};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};
use tracing::info;

pub(crate) async fn open(
    function: &Function,
    invocation: &Invocation,
    id: &AccountId,
    minutes: u32,
    why: Why,
) -> Result<Answer, Problem> {
    let Function { aws, settings, .. } = function;
    if settings.mode == Mode::Audit {
        let message = "deployed in `Audit` mode, in which nothing is deleted, so the window could not be closed: deploy \
                       with `Mode=Enforce`";
        return Err(Problem::lasting("NotPossible", message.to_owned()));
    }
    let end = settings.window_end.as_ref();
    let end = end.ok_or_else(|| Problem::lasting("NotPossible", "`RECOVERY_QUEUE_ARN` is not set".to_owned()))?;
    aws.check_window_schedule_name(id).map_err(|failure| Problem::after("NotPossible", &failure))?;
    // Its own recovery window is no obstacle.
    let (account, covered) = function.cover(id, &RecoveryWindows::default()).await?;
    let now = to_the_second(aws.now());
    let ends = now + Duration::minutes(i64::from(minutes));
    let windows = aws.recovery_windows().await.map_err(|failure| Problem::after("StateNotRead", &failure))?;
    let previous = windows.of(id);
    let open_already = windows.open(id, now);
    if let Some(window) = open_already.filter(|window| window.ends > ends) {
        let until = minute(window.ends);
        let message = format!("a recovery window is open in {id} until {until}: ask for longer, or close it");
        return Err(Problem::lasting("AlreadyOpen", message));
    }
    let window = RecoveryWindow {
        account_id: id.clone(),
        opened: open_already.map_or(now, |window| window.opened),
        ends,
        reason: why.reason.clone(),
        ticket: why.ticket.clone(),
    };
    let not_written = |failure: Failure| Problem::after("StateNotWritten", &failure);
    if aws.write_window(&window, previous).await.map_err(not_written)? == Written::Overtaken {
        return Err(overtaken(id));
    }
    let schedule = WindowSchedule { account: id.clone(), at: ends, message: end_message(&window) };
    let scheduled = aws.put_window_schedule(end, &schedule).await;
    scheduled.map_err(|failure| Problem::after("EndNotScheduled", &failure))?;
    // INVARIANT (hands off): by then every function that runs has seen the window.
    tokio::time::sleep(settings.tuning.windows_are_seen_within()).await;

    let session: RootSession<CreatePassword> =
        aws.open_root_session(&covered).await.map_err(|failure| Problem::after("NotOpened", &failure))?;
    function.metrics().root_sessions(session.opened().task, 1);
    let is_there = session.allow_password_recovery().await.map_err(|failure| Problem::after("NotOpened", &failure))?;
    if !is_there {
        let failure = Failure::observed(Cause::UnreadableAnswer, "iam:GetLoginProfile", "created, and not shown yet");
        return Err(Problem::after("NotOpened", &failure));
    }
    let action = if open_already.is_some() { TaskAction::RecoveryExtended } else { TaskAction::RecoveryOpened };
    let run = function.run(invocation, Trigger::Request);
    tell(function, invocation, &run, &account, (action, &window), &why, None).await?;
    let next = format!(
        "the owner of the root email address of {id} now chooses `Forgot password` on the sign-in page, sets a password \
         and MFA, and does what he has to; at {} everything is deleted, or earlier if you close the window",
        minute(ends)
    );
    let mut answer =
        Answer::new(format!("{action:?}"), "the root user has a login profile, so its password can be recovered", next);
    answer.account = Some(AlertAccount::from(&account));
    answer.done = vec![
        format!("wrote the window until {}", minute(ends)),
        format!("scheduled its end for {}", minute(ends)),
        "created the login profile of the root user".to_owned(),
    ];
    answer.sessions = vec![session.opened().clone()];
    answer.window = Some(window);
    Ok(answer)
}

/// `made_for` is the window for which a schedule was made, by its beginning and end.
pub(crate) async fn close(
    function: &Function,
    invocation: &Invocation,
    id: &AccountId,
    why: &Why,
    made_for: Option<(OffsetDateTime, OffsetDateTime)>,
) -> Result<Answer, Problem> {
    let Function { aws, settings, .. } = function;
    let windows = aws.recovery_windows().await.map_err(|failure| Problem::after("StateNotRead", &failure))?;
    let is_meant = |window: &&RecoveryWindow| made_for.is_none_or(|meant| meant == (window.opened, window.ends));
    let Some(window) = windows.of(id).filter(is_meant) else {
        info!(account = %id, "no such window is open");
        return Ok(Answer::new("Nothing", format!("no recovery window is open in {id}"), "nothing"));
    };
    // Its own recovery window is no obstacle.
    let (account, covered) = function.cover(id, &RecoveryWindows::default()).await?;
    // What was made in the window goes, whether it is used or not.
    let hold_back = HoldBack { keys_created_before: Some(window.opened), ..settings.hold_back };
    let record = strip_at_the_end_of_a_window(aws, &account, &covered, hold_back, invocation.work_until()).await;
    function.log.account_record(&invocation.request_id, &record);
    let mut done = Totals::default();
    done.add(&record);
    function.metrics().work(&done);
    let run = function.run(invocation, Trigger::WindowEnded);
    let notifier = Notifier::new(run.trigger);
    let recording = Recorder::while_working(aws, run.clone(), notifier, invocation, async |recorder| {
        recorder.record(record.clone());
    });
    let ((), outcome) = recording.await;
    not_closed(&record)?;
    outcome.problem.map_or(Ok(()), Err)?;
    tell(function, invocation, &run, &account, (TaskAction::RecoveryClosed, window), why, Some(&record)).await?;
    let not_removed = |failure: Failure| Problem::after("WindowNotRemoved", &failure);
    aws.delete_window_schedule(id).await.map_err(not_removed)?;
    if aws.delete_window(window).await.map_err(not_removed)? == Written::Overtaken {
        return Err(overtaken(id));
    }
    let next = match record.verdict {
        Verdict::CredentialsPresent => record.remedy.clone().unwrap_or_default(),
        Verdict::Clean | Verdict::Stripped | Verdict::Failed | Verdict::Unknown | Verdict::NotCovered => {
            "nothing".to_owned()
        }
    };
    let verified = match record.verdict {
        Verdict::Clean | Verdict::Stripped => "the account was read and holds no root credentials".to_owned(),
        Verdict::CredentialsPresent | Verdict::Failed | Verdict::Unknown | Verdict::NotCovered => {
            format!("what is left was there before the window: {}", record.reason.clone().unwrap_or_default())
        }
    };
    let mut answer = Answer::new(format!("{:?}", TaskAction::RecoveryClosed), verified, next);
    answer.account = Some(AlertAccount::from(&account));
    answer.done = record.removed.iter().map(ToString::to_string).collect();
    answer.done.push("removed the window and its schedule".to_owned());
    answer.sessions.clone_from(&record.sessions);
    answer.window = Some(window.clone());
    Ok(answer)
}

pub(crate) async fn list(function: &Function) -> Result<Answer, Problem> {
    let windows = function.aws.recovery_windows().await;
    let windows = windows.map_err(|failure| Problem::after("StateNotRead", &failure))?;
    let windows: Vec<_> = windows.all().cloned().collect();
    let verified = format!("{} recovery windows are not closed", windows.len());
    let mut answer = Answer::new("Listed", verified, "nothing: each closes at its end, or the next audit closes it");
    answer.windows = Some(windows);
    Ok(answer)
}

pub(crate) fn its_time_is_over() -> Why {
    Why { reason: "its time is over".to_owned(), ticket: None }
}

fn not_closed(record: &AccountRecord) -> Result<(), Problem> {
    match (record.verdict, &record.failure) {
        (Verdict::Failed | Verdict::Unknown | Verdict::NotCovered, Some(failure)) => {
            Err(Problem::after("NotClosed", failure))
        }
        (Verdict::Failed | Verdict::Unknown | Verdict::NotCovered, None) => {
            let message = format!("account {}: {}", record.account_id, record.verdict);
            Err(Problem { recovery: Recovery::Retry, ..Problem::lasting("NotClosed", message) })
        }
        (Verdict::Clean | Verdict::Stripped | Verdict::CredentialsPresent, _) => Ok(()),
    }
}

async fn tell(
    function: &Function,
    invocation: &Invocation,
    run: &Run,
    account: &Account,
    (action, window): (TaskAction, &RecoveryWindow),
    why: &Why,
    record: Option<&AccountRecord>,
) -> Result<(), Problem> {
    let task = PerformedTask {
        action,
        reason: why.reason.clone(),
        ticket: why.ticket.clone(),
        request_id: invocation.request_id.clone(),
        window_ends: Some(window.ends),
        resource: None,
        saved_policy: None,
    };
    let detail = AlertDetail::of_task(AlertAccount::from(account), task, record, run, function.aws.now());
    function.announce(DetailType::TaskPerformed, &detail).await
}

fn overtaken(id: &AccountId) -> Problem {
    let message = format!("somebody else changed the recovery window of {id} at the same time: ask again");
    Problem { recovery: Recovery::Retry, ..Problem::lasting("Overtaken", message) }
}

fn end_message(window: &RecoveryWindow) -> String {
    let date = |at: OffsetDateTime| at.format(&Rfc3339).unwrap_or_default();
    json!({ "action": "end", "account": window.account_id, "opened": date(window.opened), "ends": date(window.ends) })
        .to_string()
}
