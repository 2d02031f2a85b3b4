//! A fault at every call of what people ask for: whoever asks again gets on, and nothing is lost meanwhile.

use serde_json::{Value, json};
use simulator::aws::{Fault, FaultKind};
use simulator::organization::{Organization, RootCredentials};

use crate::fault_sweep::{Context, ERRORS, MOST_CALLS, SILENCES, UNREADABLE, check_secrets, impatient, lengths};
use crate::password_recovery::made_in_the_window;
use crate::root_activity::remember_window;
use crate::stage::{AUDIT, PASSWORD_RECOVERY, SHOP, Stage, UNLOCK_POLICY, id, unguarded_shop};
use crate::unlock_policy::{LOCKED_BUCKET, LOCKED_QUEUE, LOCKED_QUEUE_ARN, bucket, queue, queue_policy};

/// What a person asks for in the sweep, or a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Task {
    OpenWindow,
    CloseWindow,
    /// By the message of the schedule.
    EndWindow,
    /// By the audit, since no schedule did it.
    AuditOverdue,
    UnlockBucket,
    UnlockQueue,
}

/// Longer than all the simulated time that passes in a sweep: a schedule is not made for the past.
const MINUTES: u32 = 1_439;

/// For the audit, whose every call meets every fault in a sweep of its own.
const ONE_OF_EACH: [FaultKind; 4] = [FaultKind::Error500, FaultKind::Denied, FaultKind::DropAfter, FaultKind::Garbled];

/// The account that is meant, without root credentials, and what Unroot needs.
fn small_organization() -> Organization {
    let mut organization = unguarded_shop(RootCredentials::default());
    let keep = [organization.management_account.clone(), id(AUDIT), id(SHOP)];
    organization.accounts.retain(|id, _| keep.contains(id));
    organization
}

impl Task {
    fn request(self) -> Value {
        match self {
            Self::OpenWindow => {
                json!({"action": "open", "account": SHOP, "minutes": MINUTES, "reason": "lost the password"})
            }
            Self::CloseWindow | Self::EndWindow => json!({"action": "close", "account": SHOP, "reason": "done"}),
            Self::AuditOverdue => json!({"everything": true}),
            Self::UnlockBucket => bucket(SHOP, LOCKED_BUCKET),
            Self::UnlockQueue => queue(SHOP, LOCKED_QUEUE),
        }
    }

    /// What comes before, without any fault.
    async fn prepare(self, stage: &Stage) {
        if matches!(self, Self::CloseWindow | Self::EndWindow) {
            stage.ask(PASSWORD_RECOVERY, &Self::OpenWindow.request()).await.unwrap();
            made_in_the_window(stage);
        }
        if self == Self::AuditOverdue {
            remember_overdue_window(stage);
            made_in_the_window(stage);
        }
    }

    async fn start(self, stage: &Stage) -> Result<Value, String> {
        match self {
            Self::OpenWindow | Self::CloseWindow => stage.ask(PASSWORD_RECOVERY, &self.request()).await,
            Self::UnlockBucket | Self::UnlockQueue => stage.ask(UNLOCK_POLICY, &self.request()).await,
            Self::AuditOverdue => {
                stage.scheduled_audit().await;
                let is_done = stage.windows().is_empty();
                is_done
                    .then(|| json!({"action": "RecoveryOverdue"}))
                    .ok_or_else(|| "left for the next audit".to_owned())
            }
            Self::EndWindow => {
                let [schedule] = &stage.aws.schedules()[..] else { panic!("not one schedule") };
                stage.deployment.send(PASSWORD_RECOVERY, &schedule.input).unwrap();
                stage.deployment.settle().await.unwrap();
                let is_done = stage.deployment.dead_letters(PASSWORD_RECOVERY).unwrap().is_empty();
                is_done.then(|| json!({"action": "RecoveryClosed"})).ok_or_else(|| "set aside".to_owned())
            }
        }
    }

    /// What holds at any time, whatever has happened.
    fn check_nothing_is_lost(self, stage: &Stage, before: &Before, outcome: &Result<Value, String>) {
        let is_open = !stage.windows().is_empty();
        let root = stage.root_of(SHOP);
        assert!(is_open || root.login_profile.is_none(), "a password may be set, and no window is open: {outcome:?}");
        match self {
            Self::OpenWindow => {
                let is_opened = is_open && root.login_profile.is_some() && stage.aws.schedules().len() == 1;
                assert!(outcome.is_err() || is_opened, "{outcome:?} with {:?}", stage.windows());
            }
            Self::CloseWindow | Self::EndWindow | Self::AuditOverdue => {
                assert!(outcome.is_err() || !is_open, "{outcome:?}");
                if !is_open {
                    assert!(root.is_empty(), "the window is closed, and there is {root:?}");
                    let told = stage.tasks_told();
                    let closed = if self == Self::AuditOverdue { "RecoveryOverdue" } else { "RecoveryClosed" };
                    assert!(told.contains(&format!("{closed} {SHOP}")), "{told:?}");
                }
            }
            Self::UnlockBucket | Self::UnlockQueue => {
                let left = [stage.aws.bucket_policy(LOCKED_BUCKET), queue_policy(stage, LOCKED_QUEUE_ARN)];
                let saved: Vec<_> = stage.evidence().into_values().collect();
                let mut gone = before.policies.iter().zip(&left).filter(|(before, left)| before != left);
                assert!(outcome.is_err() || gone.clone().count() == 1, "{outcome:?}: {left:?}");
                let is_saved = |policy: &Option<String>| saved.contains(&policy.clone().unwrap().into_bytes());
                assert!(gone.all(|(before, _)| is_saved(before)), "gone and not saved: {left:?}");
            }
        }
    }

    /// Asks again, as whoever was not answered does.
    async fn ask_again(self, stage: &Stage) {
        let function = match self {
            Self::UnlockBucket | Self::UnlockQueue => UNLOCK_POLICY,
            Self::OpenWindow | Self::CloseWindow | Self::EndWindow => PASSWORD_RECOVERY,
            Self::AuditOverdue => {
                stage.scheduled_audit().await;
                return check_closed(stage);
            }
        };
        let mut answer = stage.ask(function, &self.request()).await;
        // Within the same second the end would be the same: it is refused with what to do.
        if self == Self::OpenWindow && answer.as_ref().is_err_and(|error| error.contains("ask for longer")) {
            let mut longer = self.request();
            longer["minutes"] = json!(MINUTES + 1);
            answer = stage.ask(function, &longer).await;
        }
        self.check_done(stage, &answer.unwrap());
    }

    fn check_done(self, stage: &Stage, answer: &Value) {
        let action = answer["action"].as_str().unwrap();
        match self {
            Self::OpenWindow => {
                assert!(["RecoveryOpened", "RecoveryExtended"].contains(&action), "{answer}");
                assert!(stage.root_of(SHOP).login_profile.is_some());
                let ends = &stage.windows()[0]["ends"];
                let [schedule] = &stage.aws.schedules()[..] else { panic!("not one schedule") };
                assert!(schedule.input.contains(ends.as_str().unwrap()), "{} for {ends}", schedule.input);
            }
            Self::CloseWindow | Self::EndWindow => {
                assert!(["RecoveryClosed", "Nothing"].contains(&action), "{answer}");
                check_closed(stage);
            }
            Self::AuditOverdue => {
                check_closed(stage);
            }
            Self::UnlockBucket => assert_eq!(stage.aws.bucket_policy(LOCKED_BUCKET), None),
            Self::UnlockQueue => assert_eq!(queue_policy(stage, LOCKED_QUEUE_ARN), None),
        }
    }
}

/// What was there before the task.
struct Before {
    policies: [Option<String>; 2],
}

fn check_closed(stage: &Stage) {
    assert_eq!((stage.windows(), stage.aws.schedules()), (Vec::new(), Vec::new()));
    assert!(stage.root_of(SHOP).is_empty(), "{:?}", stage.root_of(SHOP));
}

/// A window that nobody asks about any more ends: by its schedule, and where none was made by the next audit.
async fn let_the_window_end(stage: &Stage) {
    match &stage.aws.schedules()[..] {
        [schedule] => {
            made_in_the_window(stage);
            stage.deployment.send(PASSWORD_RECOVERY, &schedule.input).unwrap();
            stage.deployment.settle().await.unwrap();
            // The message of a window that was not extended after all is no end of it.
            if !stage.windows().is_empty() {
                end_by_audit(stage).await;
            }
        }
        _ if stage.windows().is_empty() => {}
        _ => end_by_audit(stage).await,
    }
    assert_eq!(stage.windows(), Vec::<Value>::new());
    assert!(stage.root_of(SHOP).is_empty(), "{:?}", stage.root_of(SHOP));
}

fn remember_overdue_window(stage: &Stage) {
    let now = stage.now();
    remember_window(stage, SHOP, now - time::Duration::hours(1), now - time::Duration::seconds(1));
}

async fn end_by_audit(stage: &Stage) {
    remember_overdue_window(stage);
    stage.scheduled_audit().await;
    assert!(stage.tasks_told().contains(&format!("RecoveryOverdue {SHOP}")));
}

/// A fault at each call of the task in turn, and at the calls that follow it.
async fn sweep(task: Task, kinds: &[FaultKind]) {
    let stage = Stage::set(small_organization(), impatient()).await;
    for kind in kinds {
        for times in lengths(*kind) {
            let mut calls = 0;
            while check(&stage, task, Fault::at("*", *kind).skip(calls).times(*times).may_miss()).await {
                calls += 1;
                assert!(calls < MOST_CALLS, "{task:?} with {kind:?}: the task has no end");
            }
            let is_rare = matches!(kind, FaultKind::Stale(_) | FaultKind::Conflict);
            assert!(calls >= if is_rare { 1 } else { 5 }, "{task:?} with {kind:?}: only {calls} calls were hit");
        }
    }
}

/// Returns whether the fault hit any call.
async fn check(stage: &Stage, task: Task, fault: Fault) -> bool {
    let _context = Context(format!("{task:?} with {fault:?}"));
    stage.aws.reset(small_organization());
    stage.deployment.reset().await;
    task.prepare(stage).await;
    let before = Before { policies: [stage.aws.bucket_policy(LOCKED_BUCKET), queue_policy(stage, LOCKED_QUEUE_ARN)] };
    assert!(before.policies.iter().all(Option::is_some));
    let skip = fault.skip;
    stage.aws.inject(fault);
    let outcome = task.start(stage).await;
    let is_hit = stage.aws.fault_hits() > 0;
    stage.aws.clear_faults();
    task.check_nothing_is_lost(stage, &before, &outcome);
    match outcome {
        Ok(answer) => task.check_done(stage, &answer),
        // Who opens a window may also give up.
        Err(_) if task == Task::OpenWindow && skip % 2 == 1 => {}
        Err(_) => task.ask_again(stage).await,
    }
    if task == Task::OpenWindow {
        let_the_window_end(stage).await;
    }
    check_secrets(stage);
    is_hit
}

macro_rules! sweeps {
    ($($name:ident: $task:ident with $kinds:ident,)*) => {$(
        #[tokio::test(start_paused = true)]
        async fn $name() {
            sweep(Task::$task, &$kinds).await;
        }
    )*};
}

sweeps! {
    every_error_while_a_window_opens: OpenWindow with ERRORS,
    every_silence_while_a_window_opens: OpenWindow with SILENCES,
    every_unreadable_answer_while_a_window_opens: OpenWindow with UNREADABLE,
    every_error_while_a_window_closes: CloseWindow with ERRORS,
    every_silence_while_a_window_closes: CloseWindow with SILENCES,
    every_unreadable_answer_while_a_window_closes: CloseWindow with UNREADABLE,
    every_error_while_a_window_ends: EndWindow with ERRORS,
    every_silence_while_a_window_ends: EndWindow with SILENCES,
    every_unreadable_answer_while_a_window_ends: EndWindow with UNREADABLE,
    one_fault_of_each_sort_while_an_overdue_window_is_audited: AuditOverdue with ONE_OF_EACH,
    every_error_while_a_bucket_is_unlocked: UnlockBucket with ERRORS,
    every_silence_while_a_bucket_is_unlocked: UnlockBucket with SILENCES,
    every_unreadable_answer_while_a_bucket_is_unlocked: UnlockBucket with UNREADABLE,
    every_error_while_a_queue_is_unlocked: UnlockQueue with ERRORS,
    every_silence_while_a_queue_is_unlocked: UnlockQueue with SILENCES,
    every_unreadable_answer_while_a_queue_is_unlocked: UnlockQueue with UNREADABLE,
}
