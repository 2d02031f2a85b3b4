//! The functions as programs: what only a process shows. Each runs once as it is deployed, over HTTP and by the machine's
//! clock; everything else is tested in this process (`in_process`).

use serde_json::{Value, json};
use simulator::aws::{Aws, Fault, FaultKind, NewAccount, Password, RatePolicy};
use simulator::clock::Clock;
use simulator::deployment::{Deployment, Options};
use simulator::organization::{EXEMPT_TAG, Organization, RootCredentials};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::password_recovery::{close, open};
use crate::stage::{
    ACCOUNT_JOINED, FUNCTIONS, PASSWORD_RECOVERY, ROOT_ACTIVITY, SCHEDULED_AUDIT, SHOP, STS_OFF, UNLOCK_POLICY,
    enforcing, id, unguarded_shop,
};
use crate::unlock_policy::{LOCKED_BUCKET, bucket};

/// A deployment whose functions are processes.
struct Machine {
    aws: Aws,
    deployment: Deployment,
    server: JoinHandle<()>,
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Machine {
    async fn start(organization: Organization, mut options: Options) -> Self {
        let exempt: Vec<_> = organization.tagged(EXEMPT_TAG).iter().map(ToString::to_string).collect();
        let aws = Aws::new(organization, Clock::of_machine());
        aws.set_rates(RatePolicy::Unlimited);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        options.endpoint = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn({
            let aws = aws.clone();
            async move { aws.serve(listener).await }
        });
        let options = options.with_parameter("ExemptAccountIds", exempt.join(","));
        // A process waits by the machine's clock.
        let options = options.with_variable("RETRY_BACKOFF_MS", "20");
        let deployment = Deployment::deploy(&aws, &options).await.unwrap();
        Self { aws, deployment, server }
    }

    async fn ask(&self, function: &str, request: &Value) -> Value {
        self.deployment.invoke(function, request).await.unwrap().unwrap()
    }

    fn root_of(&self, account: &str) -> RootCredentials {
        self.aws.with_organization(|organization| organization.accounts[&id(account)].root.clone())
    }

    /// Everything that the functions wrote.
    fn output(&self) -> String {
        let lines = FUNCTIONS.into_iter().flat_map(|function| self.deployment.logs(function).unwrap());
        lines.map(|line| line.to_string()).collect::<Vec<_>>().join("\n")
    }
}

/// Credentials of every kind.
fn leftovers() -> RootCredentials {
    crate::stage::organization().accounts[&id(SHOP)].root.clone()
}

#[tokio::test]
async fn each_function_works_as_a_program() {
    let machine = Machine::start(unguarded_shop(leftovers()), enforcing()).await;
    machine.deployment.fire_schedules().unwrap();
    machine.deployment.settle().await.unwrap();
    assert!(machine.root_of(SHOP).is_empty(), "scheduled-audit strips");

    let joined = machine.aws.invite_account(NewAccount { root: leftovers(), ..NewAccount::default() });
    machine.deployment.settle().await.unwrap();
    assert!(machine.root_of(joined.as_str()).is_empty(), "account-joined strips");

    machine.aws.with_organization(|organization| {
        organization.accounts.get_mut(&id(STS_OFF)).unwrap().root = leftovers();
    });
    machine.aws.root_user(&id(STS_OFF)).sign_in(Password::Right);
    machine.deployment.settle().await.unwrap();
    assert!(machine.root_of(STS_OFF).is_empty(), "root-activity strips");

    assert_eq!(machine.ask(PASSWORD_RECOVERY, &open(SHOP, 15)).await["action"], "RecoveryOpened");
    assert!(machine.root_of(SHOP).login_profile.is_some());
    assert_eq!(machine.ask(PASSWORD_RECOVERY, &close(SHOP)).await["action"], "RecoveryClosed");
    assert!(machine.root_of(SHOP).is_empty());

    let answer = machine.ask(UNLOCK_POLICY, &bucket(SHOP, LOCKED_BUCKET)).await;
    assert_eq!((&answer["action"], machine.aws.bucket_policy(LOCKED_BUCKET)), (&json!("BucketPolicyRemoved"), None));

    for function in [SCHEDULED_AUDIT, ACCOUNT_JOINED, ROOT_ACTIVITY] {
        let outcomes = machine.deployment.outcomes(function).unwrap();
        assert!(!outcomes.is_empty() && outcomes.iter().all(Result::is_ok), "{function}: {outcomes:?}");
        let lines = machine.deployment.logs(function).unwrap();
        assert!(lines.iter().all(Value::is_object), "{function} logs lines that are not JSON: {lines:?}");
        let records = lines.iter().filter(|line| line["type"] == "AccountRecord");
        assert!(records.count() > 0, "{function}");
    }
}

#[tokio::test]
async fn a_program_with_wrong_settings_does_not_start_and_says_all_that_is_wrong() {
    let options = enforcing().with_variable("MODE", "Destroy").with_variable("CONCURRENCY", "0");
    let machine = Machine::start(unguarded_shop(leftovers()), options).await;
    let error = machine.deployment.invoke(SCHEDULED_AUDIT, &json!({"everything": true})).await.unwrap().unwrap_err();
    assert_eq!(error.error_type, "Runtime.ExitError", "{error}");
    let log = machine.output();
    assert!(log.contains("`MODE`: `Destroy` is not a mode") && log.contains("`CONCURRENCY` is 0"), "{log}");
}

/// No secret key and no session token is in anything that comes out of the functions, whatever fails, and however much
/// they are asked to log.
#[tokio::test]
async fn secrets_stay_inside() {
    let options = enforcing().with_variable("AWS_LAMBDA_LOG_LEVEL", "TRACE").with_variable("REQUEST_TIMEOUT_MS", "250");
    let machine = Machine::start(unguarded_shop(leftovers()), options).await;
    for kind in [FaultKind::Error500, FaultKind::Drop, FaultKind::Denied, FaultKind::Timeout, FaultKind::Garbled] {
        machine.aws.with_organization(|organization| {
            organization.accounts.get_mut(&id(SHOP)).unwrap().root = leftovers();
        });
        machine.aws.inject(Fault::at("iam:*", kind).skip(3).times(4));
        machine.aws.inject(Fault::at("sts:AssumeRoot", kind).skip(1).times(2));
        machine.deployment.fire_schedules().unwrap();
        machine.deployment.settle().await.unwrap();
        assert!(machine.aws.fault_hits() > 0, "{kind:?}");
        machine.aws.clear_faults();
    }
    let output = machine.output();
    assert!(output.contains("opened a root session"), "nothing was logged: the test proves nothing");
    for secret in ["simulated/", "EXAMPLEKEY", "SimulatedSessionToken"] {
        let at = output.find(secret);
        assert_eq!(at, None, "{}", &output[at.unwrap_or_default().saturating_sub(300)..][..600]);
    }
}
