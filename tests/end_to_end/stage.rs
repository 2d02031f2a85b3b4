//! A simulated organization with Unroot deployed in it, and what tests ask of it afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;
use shared::domain::record::{AccountRecord, AuditReport, Verdict};
use simulator::aws::{Aws, CallRecord, Outcome, RatePolicy};
use simulator::clock::Clock;
use simulator::deployment::{Deployment, Options};
use simulator::lambda::Accidents;
use simulator::organization::{
    AccountId, AccountState, EXEMPT_TAG, FULL_AWS_ACCESS, LoginProfile, Organization, RootCredentials,
};
use time::OffsetDateTime;
use time::macros::datetime;

pub(crate) use crate::in_process::{
    ACCOUNT_JOINED, EVIDENCE_BUCKET, FUNCTIONS, PASSWORD_RECOVERY, ROOT_ACTIVITY, SCHEDULED_AUDIT, STATE_TABLE,
    UNLOCK_POLICY, WITH_QUEUE,
};
use crate::in_process::{Handle, handle, in_process};
use crate::schemas::{check_answer, check_event};

/// The accounts of `tests/fixtures/organization.json`.
pub(crate) const MANAGEMENT: &str = "111122223333";
pub(crate) const AUDIT: &str = "222233334444";
/// Has every kind of root credential.
pub(crate) const SHOP: &str = "444455556666";
pub(crate) const EXEMPT: &str = "555566667777";
pub(crate) const STS_OFF: &str = "666677778888";
pub(crate) const BEING_SET_UP: &str = "777788889999";
/// Has a password, and a service control policy that denies its root user.
pub(crate) const ACQUIRED: &str = "888899990000";
pub(crate) const SUSPENDED: &str = "999900001111";

const ORGANIZATION: &str = include_str!("../fixtures/organization.json");

/// When every test begins.
pub(crate) const NOW: OffsetDateTime = datetime!(2026-11-20 12:00 UTC);

/// How long a call to AWS takes on average.
const LATENCY: Duration = Duration::from_millis(30);

pub(crate) struct Stage {
    pub(crate) aws: Aws,
    pub(crate) deployment: Deployment,
    pub(crate) accidents: Accidents,
}

pub(crate) fn id(account: &str) -> AccountId {
    account.parse().unwrap()
}

/// The organization of the fixture.
pub(crate) fn organization() -> Organization {
    Organization::from_json(ORGANIZATION).unwrap()
}

/// The simulator's own, of this many accounts.
pub(crate) fn sample_organization(accounts: usize) -> Organization {
    Organization::sample_at(accounts, NOW).unwrap()
}

/// The fixture with something changed before anything is deployed.
pub(crate) fn organization_with(change: impl FnOnce(&mut Organization)) -> Organization {
    let mut organization = organization();
    change(&mut organization);
    organization
}

/// The fixture in which no service control policy stops the root user of the shop, who has these credentials.
pub(crate) fn unguarded_shop(root: RootCredentials) -> Organization {
    organization_with(|organization| {
        for unit in organization.units.values_mut() {
            unit.service_control_policies = vec![FULL_AWS_ACCESS.to_owned()];
        }
        organization.accounts.get_mut(&id(SHOP)).unwrap().root = root;
    })
}

/// How the tests deploy: `Enforce` mode, few retries.
pub(crate) fn enforcing() -> Options {
    Options::new("")
        .with_parameter("Mode", "Enforce")
        .with_variable("AWS_RETRY_MODE", "standard")
        .with_variable("AWS_MAX_ATTEMPTS", "3")
}

pub(crate) fn auditing() -> Options {
    enforcing().with_parameter("Mode", "Audit")
}

/// The function gives an answer that does not come as long to come as it has itself.
pub(crate) fn patient(function: &str) -> Options {
    enforcing().with_timeout(function, Duration::from_mins(1)).with_variable("REQUEST_TIMEOUT_MS", "60000")
}

impl Stage {
    /// Deploys Unroot in the organization, with its exempt accounts.
    pub(crate) async fn set(organization: Organization, options: Options) -> Self {
        Self::set_with(handle, organization, options).await
    }

    /// The same with other handlers.
    pub(crate) async fn set_with(handle: Handle, organization: Organization, options: Options) -> Self {
        let exempt: Vec<_> = organization.tagged(EXEMPT_TAG).iter().map(ToString::to_string).collect();
        fastrand::seed(0);
        let aws = Aws::new(organization, Clock::of_runtime(NOW));
        aws.set_rates(RatePolicy::Unlimited);
        aws.set_latency(LATENCY);
        let accidents = Accidents::default();
        let options = in_process(options, &aws, &accidents, handle)
            .with_parameter("ExemptAccountIds", exempt.join(","))
            .with_parameter("OrganizationId", aws.organization().id.to_string());
        let deployment = Deployment::deploy(&aws, &options).await.unwrap();
        Self { aws, deployment, accidents }
    }

    /// Four hundred accounts of an organization that does not answer fast enough for one invocation to audit them all.
    pub(crate) async fn slow(organization: Organization) -> Self {
        let stage = Self::set(organization, enforcing().with_parameter("Concurrency", "2")).await;
        stage.aws.set_latency(Duration::from_secs(2));
        stage
    }

    /// The fixture's organization, in `Enforce` mode.
    pub(crate) async fn enforcing() -> Self {
        Self::set(organization(), enforcing()).await
    }

    pub(crate) fn now(&self) -> OffsetDateTime {
        self.aws.clock().now()
    }

    /// Has the schedule come, and lets everything that follows happen.
    pub(crate) async fn scheduled_audit(&self) {
        self.deployment.fire_schedules().unwrap();
        self.deployment.settle().await.unwrap();
    }

    /// Asks for an audit as an operator does.
    pub(crate) async fn request(&self, request: Value) -> Result<AuditReport, String> {
        let answer = self.deployment.invoke(SCHEDULED_AUDIT, &request).await.unwrap();
        answer.map(|report| serde_json::from_value(report).unwrap()).map_err(|error| error.to_string())
    }

    /// Asks for a window or an unlocking as an operator does. The answer is as its schema says.
    pub(crate) async fn ask(&self, function: &str, request: &Value) -> Result<Value, String> {
        let answer = self.deployment.invoke(function, request).await.unwrap();
        answer.inspect(|answer| check_answer(function, answer)).map_err(|error| error.to_string())
    }

    /// The windows that are kept, open or overdue.
    pub(crate) fn windows(&self) -> Vec<Value> {
        self.state().into_iter().filter(|item| item["pk"] == "recovery-window").collect()
    }

    /// What was done as root at somebody's wish, as it was told: `RecoveryOpened 444455556666`.
    pub(crate) fn tasks_told(&self) -> Vec<String> {
        let events = self.events().into_iter().map(|event| event["detail"].clone());
        let tasks = events.filter(|detail| detail["task"].is_object());
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        tasks.map(|task| format!("{} {}", text(&task["task"]["action"]), text(&task["account"]["id"]))).collect()
    }

    /// The lines of a type that the function logged.
    pub(crate) fn logged(&self, function: &str, kind: &str) -> Vec<Value> {
        let lines = self.deployment.logs(function).unwrap();
        lines.into_iter().filter(|line| line["type"] == kind).collect()
    }

    /// The last record of each account that the function logged.
    pub(crate) fn records(&self, function: &str) -> BTreeMap<String, AccountRecord> {
        let records = self.logged(function, "AccountRecord").into_iter();
        let records = records.map(|line| serde_json::from_value::<AccountRecord>(line).unwrap());
        records.map(|record| (record.account_id.to_string(), record)).collect()
    }

    /// The last verdict on each account.
    pub(crate) fn verdicts(&self, function: &str) -> BTreeMap<String, Verdict> {
        self.records(function).into_iter().map(|(account, record)| (account, record.verdict)).collect()
    }

    pub(crate) fn root_of(&self, account: &str) -> RootCredentials {
        self.aws.with_organization(|organization| organization.accounts[&id(account)].root.clone())
    }

    /// The calls that changed something, in order: `iam:DeleteAccessKey 444455556666`.
    pub(crate) fn changes(&self) -> Vec<String> {
        let calls = self.aws.calls();
        let changes = calls.iter().filter(|call| changed(call) && call.service == "iam");
        changes.map(|call| format!("{} {}", call.action(), call.account)).collect()
    }

    /// The root sessions that were opened: task and account.
    pub(crate) fn sessions(&self) -> Vec<String> {
        let calls = self.aws.calls();
        let opened = calls.iter().filter(|call| call.operation == "AssumeRoot" && call.outcome == Outcome::Success);
        opened
            .map(|call| {
                let task = call.input["TaskPolicyArn"]["arn"].as_str().unwrap();
                format!("{} {}", task.rsplit('/').next().unwrap(), call.account)
            })
            .collect()
    }

    /// The events that Unroot put on its bus, in order. Each is as its schema says.
    pub(crate) fn events(&self) -> Vec<Value> {
        let events = self.deployment.put_events();
        events.iter().for_each(check_event);
        events
    }

    /// What is remembered in the table.
    pub(crate) fn state(&self) -> Vec<Value> {
        self.aws.items(STATE_TABLE)
    }

    /// Puts an item into the table, past Unroot.
    pub(crate) fn remember(&self, item: &Value) {
        self.aws.put_item(STATE_TABLE, item).unwrap();
    }

    /// The objects in the evidence bucket.
    pub(crate) fn evidence(&self) -> BTreeMap<String, Vec<u8>> {
        self.aws.objects(EVIDENCE_BUCKET)
    }

    /// Everything that came out of the functions, line by line: logs, answers, messages.
    pub(crate) fn output(&self) -> String {
        let mut output = Vec::new();
        for function in FUNCTIONS {
            let logs = self.deployment.logs(function).unwrap();
            output.extend(logs.iter().map(Value::to_string));
        }
        for function in WITH_QUEUE {
            let outcomes = self.deployment.outcomes(function).unwrap();
            let dead_letters = self.deployment.dead_letters(function).unwrap();
            output.extend(outcomes.iter().map(|outcome| format!("{outcome:?}")));
            output.extend(dead_letters.iter().map(|message| format!("{message:?}")));
        }
        output.join("\n")
    }

    /// Holds what happened since `before` against the promises that can be broken by any run.
    pub(crate) fn check_promises(&self, before: &Organization) {
        self.check_claims();
        let calls = self.aws.calls();
        check_hands_off(before, &calls);
        check_mfa_last(before, &calls);
    }

    /// Never claims more than it saw: whoever is called clean has nothing.
    fn check_claims(&self) {
        for function in FUNCTIONS {
            for (account, verdict) in self.verdicts(function) {
                if matches!(verdict, Verdict::Clean | Verdict::Stripped) {
                    let root = self.root_of(&account);
                    assert!(root.is_empty(), "{function} calls {account} {verdict:?}, but it has {root:?}");
                }
            }
        }
    }
}

/// A fault that hits nothing proves nothing, unless it says so itself.
impl Drop for Stage {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let missed = self.aws.missed_faults();
            assert!(missed.is_empty(), "no call was hit by {missed:?}");
            assert_eq!(self.accidents.missed(), [0; 0], "these invocations met no accident");
        }
    }
}

/// Whether the call changed something, answered or not.
pub(crate) fn changed(call: &CallRecord) -> bool {
    call.mutating && matches!(call.outcome, Outcome::Success | Outcome::NoAnswer { done: true })
}

/// What changes the policies of members' buckets and queues.
const OF_POLICIES: [&str; 3] = ["DeleteBucketPolicy", "PutBucketPolicy", "SetQueueAttributes"];

fn check_hands_off(before: &Organization, calls: &[CallRecord]) {
    let exempt: BTreeSet<_> = before.tagged(EXEMPT_TAG).into_iter().collect();
    let is_of_member = |call: &&CallRecord| call.service == "iam" || OF_POLICIES.contains(&call.operation.as_str());
    for call in calls.iter().filter(|call| changed(call)).filter(is_of_member) {
        let account = id(&call.account);
        assert_ne!(account, before.management_account, "{call:?}");
        assert!(!exempt.contains(&account), "{call:?}");
        if let Some(account) = before.account(&account) {
            assert_eq!(account.state, AccountState::Active, "{call:?}");
        }
    }
}

/// Follows the deletions in order: an MFA device goes only where nothing that it protects is left.
fn check_mfa_last(before: &Organization, calls: &[CallRecord]) {
    let mut left: BTreeMap<AccountId, RootCredentials> =
        before.accounts.iter().map(|(id, account)| (id.clone(), account.root.clone())).collect();
    for call in calls.iter().filter(|call| changed(call) && call.service == "iam") {
        let Some(root) = left.get_mut(&id(&call.account)) else { continue };
        if call.operation == "CreateLoginProfile" {
            root.login_profile = Some(LoginProfile { create_date: call.at });
            continue;
        }
        let unprotected = root.without_mfa();
        assert!(
            call.operation != "DeactivateMFADevice" || unprotected.is_empty(),
            "MFA goes while {unprotected:?} is left in {}",
            call.account
        );
        assert!(call.take_from(root), "{} changes root credentials", call.operation);
    }
}
