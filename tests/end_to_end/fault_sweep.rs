//! Every kind of fault at every call of a run: the promises hold there, and without the fault the next run converges.

use simulator::aws::{Fault, FaultKind, NewAccount};
use simulator::organization::{Organization, RootCredentials};

use crate::stage::{
    ACCOUNT_JOINED, AUDIT, SCHEDULED_AUDIT, SHOP, Stage, enforcing, id, organization, organization_with,
};

const KINDS: [FaultKind; 10] = [
    FaultKind::Throttle,
    FaultKind::Error500,
    FaultKind::Error503,
    FaultKind::Timeout,
    FaultKind::Drop,
    FaultKind::DropAfter,
    FaultKind::Denied,
    FaultKind::ScpDenied,
    FaultKind::Stale(2),
    FaultKind::Conflict,
];

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

async fn sweep(run: Run) {
    let stage = Stage::set(small_organization(), enforcing()).await;
    run.start(&stage).await;
    let calls = u32::try_from(stage.aws.calls().len()).unwrap();
    assert!((10..MOST_CALLS).contains(&calls), "{calls} calls");
    for kind in KINDS {
        for skip in 0..calls {
            // Once, which the next try gets over, and from there on for ever.
            for times in [Some(1), None] {
                let fault = Fault { operation: "*".to_owned(), account: None, skip, times, kind };
                let context = format!("{run:?}: {fault:?}");
                stage.aws.reset(small_organization());
                stage.deployment.reset().await;
                stage.aws.inject(fault);
                run.start(&stage).await;
                stage.check_promises(&run.before());
                stage.aws.clear_faults();
                stage.check_nothing_is_lost(run.function(), &context);
                stage.check_convergence(&context).await;
            }
        }
    }
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_at_every_call_of_scheduled_audit() {
    sweep(Run::ScheduledAudit).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_at_every_call_of_account_joined() {
    sweep(Run::AccountJoined).await;
}
