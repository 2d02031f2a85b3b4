//! Accounts join the organization: from the event that AWS sends to the verdict.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::Value;
use simulator::aws::{Aws, CallRecord, NewAccount};
use simulator::deployment::Deployment;
use simulator::event_buses::{Delivery, DeliveryOutcome};
use simulator::organization::{
    AccessKey, Account, AccountId, CredentialStatus, LastUsed, LoginProfile, RootCredentials,
};
use time::OffsetDateTime;

use super::console::{Console, NO_BREAK};
use super::record::{self, AccountRecord, Credentials};
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
    events: Vec<Value>,
    deliveries: Vec<Delivery>,
    changes: Vec<CallRecord>,
    /// By the simulated clock.
    took: time::Duration,
}

/// A new, empty account that AWS is not done with.
pub(crate) fn create(aws: &Aws) -> AccountId {
    aws.create_account(NewAccount { name: "team-green".to_owned(), ready_after: READY_AFTER, ..NewAccount::default() })
}

/// An account from elsewhere, with a root password and an access key that nobody used for long.
pub(crate) fn invite(aws: &Aws) -> AccountId {
    let long_ago = OffsetDateTime::now_utc() - time::Duration::days(400);
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
    let mut emitted = stage.aws.events();
    let began = stage.aws.clock().now();
    let logged_before = deployment.log_length(ACCOUNT_JOINED)?;
    let calls_before = stage.aws.calls().len();
    let delivered_before = deployment.deliveries().len();

    let id = join(&stage.aws);
    let account = stage.aws.organization().accounts.remove(&id);
    deployment.settle().await?;

    let mut records = record::read(&deployment.logs_from(ACCOUNT_JOINED, logged_before)?)?;
    records.retain(|record| record.account_id == id);
    ensure!(!records.is_empty(), "nobody looked at {id}: {:?}", deployment.outcomes(ACCOUNT_JOINED)?);
    Ok(Arrival {
        account: account.ok_or_else(|| anyhow::anyhow!("{id} did not join"))?,
        id,
        records,
        events: std::iter::from_fn(|| emitted.try_recv().ok()).collect(),
        deliveries: deployment.deliveries().split_off(delivered_before),
        changes: stage.aws.calls().split_off(calls_before).into_iter().filter(changed_an_account).collect(),
        took: stage.aws.clock().now() - began,
    })
}

pub(crate) fn show(console: &Console, arrival: &Arrival) {
    let Arrival { id, account, records, events, deliveries, changes, .. } = arrival;
    let mut facts = vec![("account", format!("{id} {}, holds {}", account.name, Credentials::from(&account.root)))];
    facts.extend(events.iter().map(|event| ("event", described(event))));
    let mut routes: Vec<_> = deliveries.iter().map(|delivery| ("rule", route(delivery))).collect();
    // Each event takes the same way.
    let mut known = BTreeSet::new();
    routes.retain(|(_, route)| known.insert(route.clone()));
    facts.extend(routes);
    facts.push(("function", tries(arrival)));
    facts.extend(records.last().map(|record| ("verdict", record.verdict.name().to_owned())));
    facts.extend(changes.iter().map(|call| ("change", call.action())));
    console.facts(facts);
}

/// The ways of events that ended where they should not.
pub(crate) fn undelivered(deliveries: &[Delivery]) -> Vec<String> {
    deliveries.iter().filter(|delivery| delivery.outcome != DeliveryOutcome::Delivered).map(route).collect()
}

/// `AccountJoinedOrganization in 111122223333, us-east-1`.
fn described(event: &Value) -> String {
    let text = |pointer| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    format!("{} in {}, {}", text("/detail/eventName"), text("/account"), text("/region"))
}

/// `unroot-AccountJoinedRule -> queue unroot-account-joined`.
fn route(delivery: &Delivery) -> String {
    let rule = delivery.rule_arn.rsplit('/').next().unwrap_or_default();
    let target = match delivery.target_arn.split(':').collect::<Vec<_>>().as_slice() {
        [_, _, "sqs", _, _, queue] => format!("queue {queue}"),
        [_, _, "events", region, account, bus] => {
            format!("{} in {account}, {region}", bus.replace("event-bus/", "bus "))
        }
        [_, _, "sns", _, _, topic] => format!("topic {topic}"),
        _ => delivery.target_arn.clone(),
    };
    match &delivery.outcome {
        DeliveryOutcome::Delivered => {
            format!("{rule} {}", format!("-> {target}").replace(' ', &NO_BREAK.to_string()))
        }
        DeliveryOutcome::DeadLettered { reason } => format!("{rule} -> dead-letter queue, not {target}: {reason}"),
        DeliveryOutcome::Lost { reason } => format!("{rule} -> nowhere, not {target}: {reason}"),
    }
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
        arrival.took.whole_minutes(),
        failures.len(),
        failure.cause
    )
}
