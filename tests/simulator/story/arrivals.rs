//! Accounts join the organization: from the event that AWS sends to the verdict.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use simulator::aws::{Aws, NewAccount};
use simulator::clock::Clock;
use simulator::deployment::Deployment;
use simulator::organization::{
    AccessKey, Account, AccountId, CredentialStatus, LastUsed, LoginProfile, RootCredentials,
};

use super::aftermath::{self, Aftermath};
use super::console::Console;
use super::record::{AccountRecord, Credentials};
use super::stage::{ACCOUNT_JOINED, Stage, changed_an_account};

/// How long AWS sets the created account up.
pub(crate) const READY_AFTER: Duration = Duration::from_mins(5);

/// An account that joined, and all that followed.
pub(crate) struct Arrival {
    pub(crate) id: AccountId,
    /// As it joined.
    pub(crate) account: Account,
    /// Each time that the function looked at it, in order.
    pub(crate) records: Vec<AccountRecord>,
    aftermath: Aftermath,
}

/// A new, empty account that AWS is not done with.
pub(crate) fn create(aws: &Aws) -> AccountId {
    aws.create_account(NewAccount { name: "team-green".to_owned(), ready_after: READY_AFTER, ..NewAccount::default() })
}

/// An account from elsewhere, with a root password and an access key that nobody used for long.
pub(crate) fn invite(aws: &Aws) -> AccountId {
    let long_ago = Clock::of_machine().now() - time::Duration::days(400);
    let last_used = LastUsed { date: long_ago, service: "ec2".to_owned(), region: "us-west-2".to_owned() };
    let access_key = AccessKey {
        id: "AKIAACQUIREDFORUMEXAMPLE".to_owned(),
        status: CredentialStatus::Active,
        create_date: long_ago,
        last_used: Some(last_used),
    };
    let root = RootCredentials {
        login_profile: Some(LoginProfile { create_date: long_ago }),
        access_keys: vec![access_key],
        ..RootCredentials::default()
    };
    aws.invite_account(NewAccount { name: "acquired-forum".to_owned(), root, ..NewAccount::default() })
}

/// Lets an account join, and follows what happens until nothing is left to do.
///
/// Fails if nobody looked at the account.
pub(crate) async fn follow(
    stage: &Stage,
    deployment: &Deployment,
    join: impl FnOnce(&Aws) -> AccountId,
) -> Result<Arrival> {
    let joining = async || {
        let id = join(&stage.aws);
        let account = stage.aws.organization().accounts.remove(&id).with_context(|| format!("{id} did not join"))?;
        Ok((id, account))
    };
    let ((id, account), aftermath) = aftermath::follow(stage, deployment, ACCOUNT_JOINED, joining).await?;
    let of_account = aftermath.records.iter().filter(|record| record.account_id == id);
    let records: Vec<_> = of_account.cloned().collect();
    ensure!(!records.is_empty(), "nobody looked at {id}: {:?}", deployment.outcomes(ACCOUNT_JOINED)?);
    Ok(Arrival { id, account, records, aftermath })
}

pub(crate) fn show(console: &Console, arrival: &Arrival) {
    let Arrival { id, account, records, aftermath } = arrival;
    let mut facts = vec![("account", format!("{id} {}, holds {}", account.name, Credentials::from(&account.root)))];
    facts.extend(aftermath::described(&aftermath.events).into_iter().map(|event| ("event", event)));
    facts.extend(aftermath.routes().into_iter().map(|route| ("rule", route)));
    facts.push(("function", tries(arrival)));
    facts.extend(records.last().map(|record| ("verdict", record.verdict.name().to_owned())));
    let changes = aftermath.calls.iter().filter(|call| changed_an_account(call));
    facts.extend(changes.map(|call| ("change", call.action())));
    console.facts(facts);
}

/// `account-joined, 9 times within 7 simulated minutes: 7 times AssumeRootNotAuthorized, then its messages came again`.
fn tries(arrival: &Arrival) -> String {
    let failures: Vec<_> = arrival.records.iter().filter_map(|record| record.failure.as_ref()).collect();
    let Some(failure) = failures.last() else {
        return ACCOUNT_JOINED.to_owned();
    };
    format!(
        "{ACCOUNT_JOINED}, {} times within {} simulated minutes: {} times {}, then its messages came again",
        arrival.records.len(),
        arrival.aftermath.took.whole_minutes(),
        failures.len(),
        failure.cause
    )
}
