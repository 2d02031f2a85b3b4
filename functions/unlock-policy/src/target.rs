//! Reading, saving, replacing and reading again the policy of a bucket or a queue.

use serde_json::Value;
use shared::aws::LocatedBucket;
use shared::aws::root_session::{RootSession, UnlockBucket, UnlockQueue};
use shared::domain::account::Account;
use shared::domain::alert::{AlertAccount, AlertDetail, PerformedTask, TaskAction};
use shared::domain::failure::{Cause, Failure};
use shared::domain::lock_out::{LockOut, PolicyHolder};
use shared::domain::notification::Notifier;
use shared::domain::operator_answer::Answer;
use shared::domain::operator_request::{QueueAddress, UnlockRequest, UnlockTarget};
use shared::domain::record::OpenedSession;
use shared::domain::scope::CoveredAccount;
use shared::domain::trigger::Trigger;
use shared::recorder::Recorder;
use shared::runtime::{Function, Invocation, Problem};
use time::OffsetDateTime;
use time::macros::format_description;

/// A bucket or a queue, with the session that may change its policy.
enum Opened<'a> {
    Bucket { session: RootSession<UnlockBucket>, bucket: LocatedBucket },
    Queue { session: RootSession<UnlockQueue>, queue: &'a QueueAddress },
}

pub(crate) async fn unlock(
    function: &Function,
    invocation: &Invocation,
    request: &UnlockRequest,
) -> Result<Answer, Problem> {
    let windows = function.aws.recovery_windows().await;
    let windows = windows.map_err(|failure| Problem::after("StateNotRead", &failure))?;
    let (account, covered) = function.cover(&request.account, &windows).await?;
    let opened = Opened::new(function, &covered, &request.target).await?;
    let failed = |failure: Failure| Problem::after("NotUnlocked", &failure);
    let replacement = request.replacement.clone().map(Value::from);
    let Some(policy) = opened.policy().await.map_err(failed)? else {
        return nothing_to_do(&account, request, &opened, replacement.as_ref());
    };
    refuse_what_is_no_lock_out(request, &opened, &policy)?;
    let key = opened.key(request, invocation, function.aws.now());
    let saved = function.aws.put_evidence(&key, "application/json", policy.clone().into_bytes()).await;
    saved.map_err(|failure| Problem::after("PolicyNotSaved", &failure))?;
    let saved = format!("s3://{}/{key}", function.settings.stores.evidence_bucket);
    // Where it lies is said whatever fails from here on.
    let failed = |failure: Failure| {
        let problem = Problem::after("NotUnlocked", &failure);
        Problem { message: format!("{}; the policy lies in {saved}", problem.message), ..problem }
    };
    let text = replacement.as_ref().map(Value::to_string);
    opened.replace(text.as_deref()).await.map_err(failed)?;
    opened.read_until(function, replacement.as_ref()).await.map_err(failed)?;

    let action = opened.action(replacement.is_some());
    tell(function, invocation, request, &account, (action, opened.arn(), saved.clone())).await.map_err(|problem| {
        Problem { message: format!("{}; it is done, and the policy lies in {saved}", problem.message), ..problem }
    })?;
    let verified = match replacement {
        None => format!("{} was read again and has no policy", request.target),
        Some(_) => format!("{} was read again and has the policy of the request", request.target),
    };
    let next = "whoever administers it can change the policy again; the command puts the old one back".to_owned();
    let mut answer = Answer::new(format!("{action:?}"), verified, next);
    answer.account = Some(AlertAccount::from(&account));
    answer.done = vec![format!("saved the policy to {saved}"), format!("{action:?} of {}", request.target)];
    answer.sessions = vec![opened.session()];
    answer.restore_command = Some(opened.restore_command(&saved));
    answer.saved_policy = Some(saved);
    Ok(answer)
}

fn refuse_what_is_no_lock_out(request: &UnlockRequest, opened: &Opened<'_>, policy: &str) -> Result<(), Problem> {
    if request.force {
        return Ok(());
    }
    let holder = opened.holder();
    let why_not = match serde_json::from_str(policy) {
        Ok(policy) => match LockOut::of(&policy, &holder, &request.account) {
            LockOut::Everyone => return Ok(()),
            LockOut::Perhaps(reason) => format!("is not known to lock everyone out: {reason}"),
            LockOut::No => "locks nobody out who could change it".to_owned(),
        },
        Err(error) => format!("cannot be read: {error}"),
    };
    let message =
        format!("the policy of {} {why_not}; nothing was done, ask with `force` if it is to go", request.target);
    Err(Problem::lasting("NotLockedOut", message))
}

fn nothing_to_do(
    account: &Account,
    request: &UnlockRequest,
    opened: &Opened<'_>,
    replacement: Option<&Value>,
) -> Result<Answer, Problem> {
    if replacement.is_some() {
        let message = format!(
            "{} has no policy, so nobody is locked out: set `policy` as its owner, not as root",
            request.target
        );
        return Err(Problem::lasting("NotLockedOut", message));
    }
    let verified = format!("{} has no policy", request.target);
    let mut answer = Answer::new("Nothing", verified, "nothing: whoever is denied is not denied by this policy");
    answer.account = Some(AlertAccount::from(account));
    answer.sessions = vec![opened.session()];
    Ok(answer)
}

impl<'a> Opened<'a> {
    async fn new(function: &Function, covered: &CoveredAccount, target: &'a UnlockTarget) -> Result<Self, Problem> {
        let aws = &function.aws;
        let failed = |failure: Failure| Problem::after("NotUnlocked", &failure);
        let metrics = function.metrics();
        match target {
            UnlockTarget::Bucket(name) => {
                let session: RootSession<UnlockBucket> = aws.open_root_session(covered).await.map_err(failed)?;
                metrics.root_sessions(session.opened().task, 1);
                let bucket = session.locate(name).await.map_err(failed)?;
                Ok(Self::Bucket { session, bucket })
            }
            UnlockTarget::Queue(queue) => {
                let session: RootSession<UnlockQueue> = aws.open_root_session(covered).await.map_err(failed)?;
                metrics.root_sessions(session.opened().task, 1);
                Ok(Self::Queue { session, queue })
            }
        }
    }

    async fn policy(&self) -> Result<Option<String>, Failure> {
        match self {
            Self::Bucket { session, bucket } => session.bucket_policy(bucket).await,
            Self::Queue { session, queue } => session.queue_policy(queue).await,
        }
    }

    async fn replace(&self, policy: Option<&str>) -> Result<(), Failure> {
        match self {
            Self::Bucket { session, bucket } => session.replace_bucket_policy(bucket, policy).await,
            Self::Queue { session, queue } => session.replace_queue_policy(queue, policy).await,
        }
    }

    /// INVARIANT (never claims more than it saw): reads until the policy is what it should be, or patience ends. A queue
    /// shows a change after up to a minute
    /// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html>).
    async fn read_until(&self, function: &Function, expected: Option<&Value>) -> Result<(), Failure> {
        const MOST_READINGS: u32 = 40;
        for reading in 0..MOST_READINGS {
            let found = self.policy().await?;
            let found = found.map(|text| serde_json::from_str(&text).unwrap_or(Value::Null));
            if found.as_ref() == expected {
                return Ok(());
            }
            let wait = function.settings.tuning.retry_backoff * (reading / 4 + 1).min(3);
            tokio::time::sleep(wait).await;
        }
        let message = "read again after the change, the policy is not what it should be";
        Err(Failure::observed(Cause::StillPresent, "the reading after the change", message))
    }

    fn holder(&self) -> PolicyHolder {
        match self {
            Self::Bucket { .. } => PolicyHolder::Bucket(self.arn()),
            Self::Queue { .. } => PolicyHolder::Queue(self.arn()),
        }
    }

    fn arn(&self) -> String {
        match self {
            Self::Bucket { bucket, .. } => format!("arn:aws:s3:::{}", bucket.name),
            Self::Queue { queue, .. } => queue.arn(),
        }
    }

    fn session(&self) -> OpenedSession {
        match self {
            Self::Bucket { session, .. } => session.opened().clone(),
            Self::Queue { session, .. } => session.opened().clone(),
        }
    }

    fn action(&self, is_replaced: bool) -> TaskAction {
        match (self, is_replaced) {
            (Self::Bucket { .. }, false) => TaskAction::BucketPolicyRemoved,
            (Self::Bucket { .. }, true) => TaskAction::BucketPolicyReplaced,
            (Self::Queue { .. }, false) => TaskAction::QueuePolicyRemoved,
            (Self::Queue { .. }, true) => TaskAction::QueuePolicyReplaced,
        }
    }

    /// Where the policy is saved: never in the place of another.
    fn key(&self, request: &UnlockRequest, invocation: &Invocation, now: OffsetDateTime) -> String {
        let at = now.format(format_description!("[year][month][day]T[hour][minute][second]Z"));
        let name = match self {
            Self::Bucket { bucket, .. } => bucket.name.to_string(),
            Self::Queue { queue, .. } => format!("{}/{}", queue.region, queue.name),
        };
        format!("policies/{}/{name}/{}-{}.json", request.account, at.unwrap_or_default(), invocation.request_id)
    }

    /// To be run by who administers the account, with the policy that lies in the evidence bucket.
    fn restore_command(&self, saved: &str) -> String {
        let fetch = format!("aws s3 cp {saved} policy.json");
        match self {
            Self::Bucket { bucket, .. } => format!(
                "{fetch} && aws s3api put-bucket-policy --region {} --bucket {} --policy file://policy.json",
                bucket.region, bucket.name
            ),
            Self::Queue { queue, .. } => format!(
                "{fetch} && aws sqs set-queue-attributes --region {} --queue-url {} --attributes \
                 \"$(jq -n --rawfile policy policy.json '{{Policy: $policy}}')\"",
                queue.region, queue.url
            ),
        }
    }
}

async fn tell(
    function: &Function,
    invocation: &Invocation,
    request: &UnlockRequest,
    account: &Account,
    (action, resource, saved): (TaskAction, String, String),
) -> Result<(), Problem> {
    let task = PerformedTask {
        action,
        reason: request.why.reason.clone(),
        ticket: request.why.ticket.clone(),
        request_id: invocation.request_id.clone(),
        window_ends: None,
        resource: Some(resource),
        saved_policy: Some(saved),
    };
    let run = function.run(invocation, Trigger::Request);
    let detail = AlertDetail::of_task(AlertAccount::from(account), task, None, &run, function.aws.now());
    // It is kept with the account until the bus has taken it: nobody could find out later that it was done.
    let notifier = Notifier::new(run.trigger);
    let recording = Recorder::while_working(&function.aws, run, notifier, invocation, async |recorder| {
        recorder.record_task(detail);
    });
    let ((), recorded) = recording.await;
    recorded.problem.map_or(Ok(()), Err)
}
