//! The loop that must not be: root sessions look like root, and who reacts to root by opening root sessions reacts to
//! himself.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use shared::aws::Aws;
use shared::domain::id::AccessKeyId;
use shared::runtime::{Function, Invocation};
use simulator::aws::{Access, AssumedRoot, Delivery, Fault, FaultKind, Password, SessionFinding, Watch};

use crate::in_process::{Handle, Outcome, handle};
use crate::stage::{ACCOUNT_JOINED, ROOT_ACTIVITY, SHOP, Stage, enforcing, organization};

/// GuardDuty in three Regions takes our sessions for root's own credentials, as people have seen; CloudTrail does not say
/// that they are root sessions; every event comes twice, and findings come again for hours.
fn worst_case() -> Watch {
    Watch {
        assume_root: Access::ReadOnly,
        assumed_root: AssumedRoot::Missing,
        session_finding: SessionFinding::RootCredentialUsage,
        publishing_frequency: Duration::from_mins(15),
        delivery: Delivery::Twice,
        ..Watch::in_regions(&["eu-central-1", "us-east-1", "eu-north-1"])
    }
}

/// Has the organization audited, and waits until everything has come to rest.
async fn audit(handle: Handle, watch: Watch) -> (Stage, Result<(), String>) {
    let stage = Stage::set_with(handle, organization(), enforcing()).await;
    stage.aws.watch(watch);
    stage.deployment.fire_schedules().unwrap();
    let settled = stage.deployment.settle().await.map_err(|error| format!("{error:#}"));
    (stage, settled)
}

/// As the binaries do, but `root-activity` knows none of its own sessions.
fn forgetful(name: &str, function: Function, invocation: Invocation) -> LocalBoxFuture<'static, Outcome> {
    if name != ROOT_ACTIVITY {
        return handle(name, function, invocation);
    }
    let nothing = async |_: &Aws, _: &BTreeSet<AccessKeyId>| Ok(BTreeSet::new());
    Box::pin(root_activity::handle_knowing(nothing, function, invocation))
}

fn sorted(mut sessions: Vec<String>) -> Vec<String> {
    sessions.sort();
    sessions
}

#[tokio::test(start_paused = true)]
async fn never_reacts_to_itself() {
    let quiet = Stage::set(organization(), enforcing()).await;
    quiet.scheduled_audit().await;
    for watch in [worst_case(), Watch { session_finding: SessionFinding::ShortTermRootCredentialUsage, ..worst_case() }]
    {
        let (stage, settled) = audit(handle, watch).await;
        settled.unwrap();
        assert_eq!(sorted(stage.sessions()), sorted(quiet.sessions()), "nobody opened a session because of another");
        let own = stage.deployment.logs(ROOT_ACTIVITY).unwrap();
        assert!(own.iter().any(|line| line.to_string().contains("OwnSession")), "the events did come");
        assert_eq!(stage.logged(ROOT_ACTIVITY, "RootActivity").len(), 0, "and none is a sign of anyone else");
        assert_eq!(stage.events().len(), quiet.events().len());
    }
}

/// A sign of somebody else among our own: it is answered, and the answer answers nothing.
#[tokio::test(start_paused = true)]
async fn the_answer_to_root_usage_is_not_answered() {
    let stage = Stage::set(organization(), enforcing()).await;
    stage.aws.watch(worst_case());
    let mut root = stage.aws.root_user(&SHOP.parse().unwrap());
    root.sign_in(Password::Right);
    stage.deployment.settle().await.unwrap();
    assert!(stage.root_of(SHOP).is_empty());
    let (audits, deletions): (Vec<_>, Vec<_>) =
        stage.sessions().into_iter().partition(|session| session.starts_with("IAMAuditRootUserCredentials"));
    assert_eq!(deletions.len(), 1);
    assert_eq!(audits.len(), 1, "{audits:?}");
    let signs = stage.logged(ROOT_ACTIVITY, "RootActivity");
    assert!(signs.iter().all(|sign| sign["accessKeyId"].is_null()), "{signs:?}");
    assert!(stage.deployment.outcomes(ACCOUNT_JOINED).unwrap().is_empty());
}

/// A session that cannot be remembered is not used: nobody could know it again.
#[tokio::test(start_paused = true)]
async fn it_comes_to_rest_even_if_sessions_cannot_be_remembered() {
    let stage = Stage::set(organization(), enforcing()).await;
    stage.aws.inject(Fault::at("dynamodb:TransactWriteItems", FaultKind::Denied));
    stage.aws.watch(worst_case());
    let mut root = stage.aws.root_user(&SHOP.parse().unwrap());
    root.sign_in(Password::Right);
    stage.deployment.settle().await.unwrap();
    let calls = stage.aws.calls().into_iter().filter(|call| call.service == "iam");
    assert_eq!(calls.count(), 0, "nothing was done in any session");
    let mails = stage.deployment.published("AlertTopic").unwrap();
    assert!((1..=2).contains(&mails.len()), "{mails:#?}");
}

/// The tests above can fail: a function that does not know its own sessions goes on for ever.
#[tokio::test(start_paused = true)]
async fn without_knowing_itself_it_never_comes_to_rest() {
    let (stage, settled) = audit(forgetful, worst_case()).await;
    let quiet = Stage::set(organization(), enforcing()).await;
    quiet.scheduled_audit().await;
    let error = settled.unwrap_err();
    assert!(error.contains("no rest after 1440 simulated minutes"), "{error}");
    assert!(stage.sessions().len() > 10 * quiet.sessions().len(), "{} sessions", stage.sessions().len());
}
