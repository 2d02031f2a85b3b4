//! Every kind of fault at every call of a run: the promises hold there, and without the fault the next run converges.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize as _;
use serde_json::Value;
use shared::domain::record::{AccountRecord, Verdict};
use simulator::aws::{Fault, FaultKind, NewAccount, Password, SignIn};
use simulator::deployment::Options;
use simulator::organization::{AccountId, Organization, RootCredentials};

use crate::stage::{
    ACCOUNT_JOINED, AUDIT, EVIDENCE_BUCKET, ROOT_ACTIVITY, SCHEDULED_AUDIT, SHOP, Stage, enforcing, id, organization,
    organization_with,
};

/// The faults in which AWS answers, though not as it should.
pub(crate) const ERRORS: [FaultKind; 5] =
    [FaultKind::Throttle, FaultKind::Error500, FaultKind::Denied, FaultKind::Stale(2), FaultKind::Conflict];

/// Other words for `Error500` and `Denied`: once for each operation is enough.
const OTHER_ERRORS: [FaultKind; 2] = [FaultKind::Error503, FaultKind::ScpDenied];

/// The faults in which no answer comes.
pub(crate) const SILENCES: [FaultKind; 3] = [FaultKind::Timeout, FaultKind::Drop, FaultKind::DropAfter];

/// The faults in which AWS answers with success, and nobody can read what.
pub(crate) const UNREADABLE: [FaultKind; 2] = [FaultKind::Hollow, FaultKind::Garbled];

/// More calls than one run of either function makes here.
pub(crate) const MOST_CALLS: u32 = 100;

/// The account that joins.
const INVITED: &str = "123412341234";

/// What no output may have in it: parts of every secret access key and every session token.
const SECRETS: [&str; 3] = ["simulated/", "EXAMPLEKEY", "SimulatedSessionToken"];

/// What a function is set to do in the sweep.
#[derive(Clone, Copy, Debug)]
enum Run {
    ScheduledAudit,
    AccountJoined,
    /// Somebody signs in as root.
    RootActivity,
}

/// Two accounts are enough for all that a run does: one that is clean, and one with every kind of credential.
fn small_organization() -> Organization {
    organization_with(|organization| {
        let keep = [organization.management_account.clone(), id(AUDIT), id(SHOP)];
        organization.accounts.retain(|id, _| keep.contains(id));
    })
}

/// The credentials that an account brings along when it joins.
fn leftovers() -> RootCredentials {
    let mut root = organization().accounts[&id(SHOP)].root.clone();
    root.mfa_devices.truncate(1);
    root
}

impl Run {
    fn function(self) -> &'static str {
        match self {
            Self::ScheduledAudit => SCHEDULED_AUDIT,
            Self::AccountJoined => ACCOUNT_JOINED,
            Self::RootActivity => ROOT_ACTIVITY,
        }
    }

    async fn start(self, stage: &Stage) {
        match self {
            Self::ScheduledAudit => stage.deployment.fire_schedules().unwrap(),
            Self::AccountJoined => {
                stage.aws.invite_account(NewAccount {
                    id: Some(id(INVITED)),
                    name: "invited".to_owned(),
                    root: leftovers(),
                    ..NewAccount::default()
                });
            }
            Self::RootActivity => {
                assert_eq!(stage.aws.root_user(&id(SHOP)).sign_in(Password::Right), SignIn::Success);
            }
        }
        stage.deployment.settle().await.unwrap();
    }

    /// What the organization was before the run, the account that joins included.
    fn before(self) -> Organization {
        let mut organization = small_organization();
        if let Self::AccountJoined = self {
            let mut account = organization.accounts[&id(SHOP)].clone();
            account.root = leftovers();
            organization.accounts.insert(id(INVITED), account);
        }
        organization
    }
}

/// A fault at each call of the run in turn, and at the calls that follow it.
async fn sweep_every_call(run: Run, kinds: &[FaultKind]) {
    let stage = Stage::set(small_organization(), impatient()).await;
    for kind in kinds {
        for times in lengths(*kind) {
            let mut calls = 0;
            while check(&stage, run, Fault::at("*", *kind).skip(calls).times(*times).may_miss()).await {
                calls += 1;
                assert!(calls < MOST_CALLS, "{run:?} with {kind:?}: the run has no end");
            }
            assert!(calls >= 5, "{run:?} with {kind:?}: only {calls} calls were hit");
        }
    }
}

/// How many calls in a row a fault hits: one, which a retry of the SDK gets over, and three, which it does not.
pub(crate) fn lengths(kind: FaultKind) -> &'static [u32] {
    match kind {
        // A denial is not tried again. To give up after silence is `Drop` over again, and takes three times as long.
        FaultKind::Denied | FaultKind::ScpDenied | FaultKind::Timeout => &[1],
        FaultKind::Throttle
        | FaultKind::Error500
        | FaultKind::Error503
        | FaultKind::Drop
        | FaultKind::DropAfter
        | FaultKind::Stale(_)
        | FaultKind::Hollow
        | FaultKind::Garbled
        | FaultKind::Conflict
        | FaultKind::Partial => &[1, 3],
    }
}

/// A fault at each operation of the run in turn, for as long as the run lasts.
async fn sweep_every_operation(run: Run, kinds: &[FaultKind]) {
    let stage = Stage::set(small_organization(), impatient()).await;
    run.start(&stage).await;
    let operations: BTreeSet<_> = stage.aws.calls().iter().map(|call| (call.action(), call.mutating)).collect();
    for kind in kinds {
        let is_possible = |(operation, is_mutating): &&(String, bool)| {
            // The table, the bucket and the bus show what they have at once.
            let is_store = ["dynamodb:", "s3:", "events:"].iter().any(|service| operation.starts_with(service));
            let (needs_change, needs_read) = (*kind == FaultKind::Conflict, matches!(kind, FaultKind::Stale(_)));
            (*is_mutating || !needs_change) && ((!is_mutating && !is_store) || !needs_read)
        };
        for (operation, _) in operations.iter().filter(is_possible) {
            let is_hit = check(&stage, run, Fault::at(operation, *kind)).await;
            assert!(is_hit, "{run:?} does not call {operation} any more");
        }
    }
}

/// Returns whether the fault hit any call.
async fn check(stage: &Stage, run: Run, fault: Fault) -> bool {
    let _context = Context(format!("{run:?} with {fault:?}"));
    stage.aws.reset(small_organization());
    stage.deployment.reset().await;
    stage.aws.inject(fault);
    run.start(stage).await;
    let is_hit = stage.aws.fault_hits() > 0;
    stage.check_promises(&run.before());
    check_nothing_is_lost(stage, run);
    stage.aws.clear_faults();
    check_convergence(stage).await;
    check_told(stage, &run.before());
    check_secrets(stage);
    is_hit
}

/// Says which of the hundreds of faults it was when anything panics, in whatever depth.
pub(crate) struct Context(pub(crate) String);

impl Drop for Context {
    #[expect(clippy::print_stderr, reason = "an assertion that fails says more than its own text")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("while sweeping: {}", self.0);
        }
    }
}

/// The tests' deployment with even less patience: hundreds of runs wait for answers that never come.
pub(crate) fn impatient() -> Options {
    enforcing().with_variable("REQUEST_TIMEOUT_MS", "150")
}

/// Either the run is done, or what it was to do lies in the dead-letter queue.
fn check_nothing_is_lost(stage: &Stage, run: Run) {
    let function = run.function();
    let waiting = stage.deployment.waiting(function).unwrap();
    assert!(waiting.is_empty(), "still waiting: {waiting:?}");
    let asked = match run {
        Run::ScheduledAudit => "everything",
        Run::AccountJoined => INVITED,
        Run::RootActivity => SHOP,
    };
    let dead_letters = stage.deployment.dead_letters(function).unwrap();
    if dead_letters.iter().any(|message| message.body.contains(asked)) {
        return;
    }
    match run {
        Run::ScheduledAudit => {
            check_complete(stage, &stage.deployment.logs(function).unwrap());
        }
        Run::AccountJoined | Run::RootActivity => {
            let verdict = stage.verdicts(function).remove(asked);
            let is_known = verdict.is_some_and(|verdict| !matches!(verdict, Verdict::Unknown | Verdict::Failed));
            assert!(is_known, "no dead letter, and the last verdict is {verdict:?}");
        }
    }
    if let Run::RootActivity = run {
        let events = stage.events();
        let told = events.iter().filter(|event| event["detail-type"] == "Root Activity Detected");
        let ids: BTreeSet<_> = told.map(|event| event["detail"]["id"].as_str()).collect();
        assert_eq!(ids.len(), 1, "the login was told under the ids {ids:?}");
    }
}

/// The last audit in the log came to its end, and has a record of each account. Returns the verdicts.
fn check_complete(stage: &Stage, log: &[Value]) -> BTreeMap<AccountId, Verdict> {
    let report = log.iter().rfind(|line| line["type"] == "AuditReport").expect("there is a report");
    assert_eq!(report["completeness"]["state"], "Complete", "{report}");
    let is_of_report = |line: &&Value| line["type"] == "AccountRecord" && line["run"] == report["run"];
    let records = log.iter().filter(is_of_report).map(|line| AccountRecord::deserialize(line).unwrap());
    let verdicts: BTreeMap<_, _> = records.map(|record| (id(record.account_id.as_str()), record.verdict)).collect();
    let accounts = stage.aws.organization().accounts;
    assert!(verdicts.keys().eq(accounts.keys()), "the audit has the records {verdicts:?}");
    verdicts
}

/// Without the fault the next audit finds everything, and leaves nothing to be done.
async fn check_convergence(stage: &Stage) {
    let logged_before = stage.deployment.log_length(SCHEDULED_AUDIT).unwrap();
    stage.scheduled_audit().await;
    let log = stage.deployment.logs_from(SCHEDULED_AUDIT, logged_before).unwrap();
    for (account, verdict) in check_complete(stage, &log) {
        if account == stage.aws.management_account() {
            assert_eq!(verdict, Verdict::NotCovered, "{account}");
        } else {
            assert!(matches!(verdict, Verdict::Clean | Verdict::Stripped), "{account} is {verdict:?}");
            let root = stage.root_of(account.as_str());
            assert!(root.is_empty(), "{account} has {root:?}");
        }
    }
}

/// Each credential that was deleted is told of, though perhaps only by the run that converged.
fn check_told(stage: &Stage, before: &Organization) {
    let events = stage.events();
    let removed = events.iter().flat_map(|event| {
        let steps = ["removed", "attempted"].into_iter().filter_map(|field| event["detail"][field].as_array());
        steps.flatten().map(|step| (event["detail"]["account"]["id"].clone(), step["id"].as_str().map(str::to_owned)))
    });
    let told: Vec<_> = removed.collect();
    for (account, before) in &before.accounts {
        let now = stage.root_of(account.as_str());
        for credential in credentials(&before.root).difference(&credentials(&now)) {
            let is_told = told.contains(&(Value::from(account.as_str()), credential.clone()));
            assert!(is_told, "{credential:?} of {account} is gone, and nobody was told: {told:?}");
        }
    }
}

/// The ids of the credentials; the password has none.
fn credentials(root: &RootCredentials) -> BTreeSet<Option<String>> {
    let password = root.login_profile.iter().map(|_| None);
    let keys = root.access_keys.iter().map(|key| Some(key.id.clone()));
    let certificates = root.signing_certificates.iter().map(|certificate| Some(certificate.id.clone()));
    let devices = root.mfa_devices.iter().map(|device| Some(device.serial_number.clone()));
    password.chain(keys).chain(certificates).chain(devices).collect()
}

pub(crate) fn check_secrets(stage: &Stage) {
    // Its name is where a saved policy lies, and no secret.
    let output = stage.output().replace(EVIDENCE_BUCKET, "");
    for secret in SECRETS {
        assert_eq!(output.lines().find(|line| line.contains(secret)), None, "`{secret}` is a part of a secret");
    }
}

#[tokio::test(start_paused = true)]
async fn every_error_at_every_call_of_scheduled_audit() {
    sweep_every_call(Run::ScheduledAudit, &ERRORS).await;
}

#[tokio::test(start_paused = true)]
async fn every_silence_at_every_call_of_scheduled_audit() {
    sweep_every_call(Run::ScheduledAudit, &SILENCES).await;
}

#[tokio::test(start_paused = true)]
async fn every_unreadable_answer_at_every_call_of_scheduled_audit() {
    sweep_every_call(Run::ScheduledAudit, &UNREADABLE).await;
}

#[tokio::test(start_paused = true)]
async fn every_error_at_every_call_of_account_joined() {
    sweep_every_call(Run::AccountJoined, &ERRORS).await;
}

#[tokio::test(start_paused = true)]
async fn every_silence_at_every_call_of_account_joined() {
    sweep_every_call(Run::AccountJoined, &SILENCES).await;
}

#[tokio::test(start_paused = true)]
async fn every_unreadable_answer_at_every_call_of_account_joined() {
    sweep_every_call(Run::AccountJoined, &UNREADABLE).await;
}

#[tokio::test(start_paused = true)]
async fn every_lasting_fault_of_scheduled_audit() {
    for kinds in [&ERRORS[..], &OTHER_ERRORS, &SILENCES, &UNREADABLE] {
        sweep_every_operation(Run::ScheduledAudit, kinds).await;
    }
}

/// Fifteen deliveries make this the longest sweep. So it is without `Timeout`, which waits each time for every answer,
/// and without the errors that only have other words.
#[tokio::test(start_paused = true)]
async fn every_lasting_fault_of_account_joined() {
    for kinds in [&ERRORS[..], &[FaultKind::Drop, FaultKind::DropAfter], &UNREADABLE] {
        sweep_every_operation(Run::AccountJoined, kinds).await;
    }
}

#[tokio::test(start_paused = true)]
async fn every_error_at_every_call_of_root_activity() {
    sweep_every_call(Run::RootActivity, &ERRORS).await;
}

#[tokio::test(start_paused = true)]
async fn every_silence_at_every_call_of_root_activity() {
    sweep_every_call(Run::RootActivity, &SILENCES).await;
}

#[tokio::test(start_paused = true)]
async fn every_unreadable_answer_at_every_call_of_root_activity() {
    sweep_every_call(Run::RootActivity, &UNREADABLE).await;
}

#[tokio::test(start_paused = true)]
async fn every_lasting_fault_of_root_activity() {
    for kinds in [&ERRORS[..], &[FaultKind::Drop, FaultKind::DropAfter], &UNREADABLE] {
        sweep_every_operation(Run::RootActivity, kinds).await;
    }
}
