//! Every kind of fault at every call of a run: the promises hold there, and without the fault the next run converges.

use std::collections::BTreeSet;

use simulator::aws::{CallRecord, Fault, FaultKind, NewAccount};
use simulator::deployment::Options;
use simulator::organization::{Organization, RootCredentials};

use crate::stage::{
    ACCOUNT_JOINED, AUDIT, SCHEDULED_AUDIT, SHOP, Stage, enforcing, id, organization, organization_with,
};

/// The faults in which AWS answers, though not as it should.
const ERRORS: [FaultKind; 7] = [
    FaultKind::Throttle,
    FaultKind::Error500,
    FaultKind::Error503,
    FaultKind::Denied,
    FaultKind::ScpDenied,
    FaultKind::Stale(2),
    FaultKind::Conflict,
];

/// The faults in which no answer comes.
const SILENCES: [FaultKind; 3] = [FaultKind::Timeout, FaultKind::Drop, FaultKind::DropAfter];

/// More calls than one run of either function makes here.
const MOST_CALLS: u32 = 100;

/// What a function is set to do in the sweep.
#[derive(Clone, Copy, Debug)]
enum Run {
    ScheduledAudit,
    AccountJoined,
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
        }
    }

    async fn start(self, stage: &Stage) {
        match self {
            Self::ScheduledAudit => stage.deployment.fire_schedules().unwrap(),
            Self::AccountJoined => {
                stage.aws.invite_account(NewAccount {
                    id: Some(id("123412341234")),
                    name: "invited".to_owned(),
                    root: leftovers(),
                    ..NewAccount::default()
                });
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
            organization.accounts.insert(id("123412341234"), account);
        }
        organization
    }
}

/// A fault at each call of the run in turn: at that call alone, which a retry of the SDK gets over, and at that call and
/// the next two, which it does not.
async fn sweep_every_call(run: Run, kinds: &[FaultKind]) {
    let stage = Stage::set(small_organization(), impatient()).await;
    run.start(&stage).await;
    let calls = u32::try_from(stage.aws.calls().len()).unwrap();
    assert!((10..MOST_CALLS).contains(&calls), "{calls} calls");
    for kind in kinds {
        for skip in 0..calls {
            for times in [1, 3] {
                let fault = Fault::at("*", *kind).skip(skip).times(times);
                check(&stage, run, fault).await;
            }
        }
    }
}

/// A fault at each operation of the run in turn, for as long as the run lasts.
async fn sweep_every_operation(run: Run, kinds: &[FaultKind]) {
    let stage = Stage::set(small_organization(), impatient()).await;
    run.start(&stage).await;
    let operations: BTreeSet<_> = stage.aws.calls().iter().map(CallRecord::action).collect();
    assert!(operations.contains("iam:DeactivateMFADevice"), "the run strips: {operations:?}");
    for kind in kinds {
        for operation in &operations {
            check(&stage, run, Fault::at(operation, *kind)).await;
        }
    }
}

async fn check(stage: &Stage, run: Run, fault: Fault) {
    let context = format!("{run:?} with {fault:?}");
    stage.aws.reset(small_organization());
    stage.deployment.reset().await;
    stage.aws.inject(fault);
    run.start(stage).await;
    stage.check_promises(&run.before());
    stage.check_nothing_is_lost(run.function(), &context);
    stage.aws.clear_faults();
    stage.check_convergence(&context).await;
}

/// The tests' deployment with even less patience: hundreds of runs wait for answers that never come.
fn impatient() -> Options {
    enforcing().with_variable("REQUEST_TIMEOUT_MS", "150")
}

impl Stage {
    /// Either the run is done, or what it was to do lies in the dead-letter queue.
    fn check_nothing_is_lost(&self, function: &str, context: &str) {
        let is_dead = !self.deployment.dead_letters(function).unwrap().is_empty();
        let is_reported = !self.logged(function, "AccountRecord").is_empty();
        assert!(is_dead || is_reported, "{context}: nothing is said");
        assert!(self.deployment.waiting(function).unwrap().is_empty(), "{context}: still waiting");
    }

    /// Without the fault the next audit leaves nothing to be done.
    async fn check_convergence(&self, context: &str) {
        self.scheduled_audit().await;
        for (account, state) in &self.aws.organization().accounts {
            assert!(state.root.is_empty(), "{context}: {account} has {:?}", state.root);
        }
        let verdicts = self.verdicts(SCHEDULED_AUDIT);
        assert!(verdicts.len() >= 3, "{context}: {verdicts:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_error_at_every_call_of_scheduled_audit() {
    sweep_every_call(Run::ScheduledAudit, &ERRORS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_silence_at_every_call_of_scheduled_audit() {
    sweep_every_call(Run::ScheduledAudit, &SILENCES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_error_at_every_call_of_account_joined() {
    sweep_every_call(Run::AccountJoined, &ERRORS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_silence_at_every_call_of_account_joined() {
    sweep_every_call(Run::AccountJoined, &SILENCES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_lasting_fault_of_scheduled_audit() {
    sweep_every_operation(Run::ScheduledAudit, &ERRORS).await;
    sweep_every_operation(Run::ScheduledAudit, &SILENCES).await;
}

/// Without `Timeout`: fifteen deliveries that each wait for every answer tell nothing that the others do not.
#[tokio::test(flavor = "multi_thread")]
async fn every_lasting_fault_of_account_joined() {
    sweep_every_operation(Run::AccountJoined, &ERRORS).await;
    sweep_every_operation(Run::AccountJoined, &[FaultKind::Drop, FaultKind::DropAfter]).await;
}
