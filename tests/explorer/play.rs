//! Plays a scenario: in a world of its own, on time of its own.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::join_all;
use hyper::Request as HttpRequest;
use hyper::body::Bytes;
use serde_json::{Value, json};
use simulator::aws::{
    Access, AssumedRoot, Aws, Delivery, NewAccount, Password, RatePolicy, SessionFinding, SignIn, Watch,
};
use simulator::clock::Clock;
use simulator::deployment::Deployment;
use simulator::lambda::Accidents;
use simulator::organization::{
    AccessKey, AccountId, AccountState, CredentialStatus, EXEMPT_TAG, FULL_AWS_ACCESS, LastUsed, LoginProfile,
    MfaDevice, Organization, RootCredentials,
};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::datetime;

use crate::in_process::{
    EVIDENCE_BUCKET, FUNCTIONS, PASSWORD_RECOVERY, SCHEDULED_AUDIT, STATE_TABLE, UNLOCK_POLICY, WITH_QUEUE, handle,
    in_process,
};
use crate::scenario::{self, EXEMPT, Leftovers, MANAGEMENT, OTHER, Pace, Request, RootDoes, SHOP, Scenario, What};

const ORGANIZATION: &str = include_str!("../fixtures/organization.json");

/// When every run begins.
pub(crate) const BEGINNING: OffsetDateTime = datetime!(2026-11-20 12:00 UTC);

/// Long enough for every window to end, for every schedule and each message to come, and for the last of its deliveries.
const UNTIL_QUIET: Duration = Duration::from_hours(4);

pub(crate) const BUCKET: &str = "shop-orders";
pub(crate) const QUEUE: &str = "https://sqs.eu-west-1.amazonaws.com/444455556666/orders";
pub(crate) const QUEUE_ARN: &str = "arn:aws:sqs:eu-west-1:444455556666:orders";

/// What happened, and what is left.
pub(crate) struct Played {
    pub(crate) aws: Aws,
    pub(crate) deployment: Deployment,
    pub(crate) before: Organization,
    pub(crate) asked: Vec<Asked>,
    pub(crate) deeds: Vec<Deed>,
    /// Once everything had come to rest, before an audit looked at everything.
    pub(crate) at_rest: AtRest,
    /// How many calls had been made before the last audit, which should change nothing.
    pub(crate) before_last_audit: usize,
    pub(crate) figures: Figures,
    /// Why the deployment did not come to rest.
    pub(crate) restless: Option<String>,
}

pub(crate) struct AtRest {
    /// The recovery windows that are kept.
    pub(crate) windows: Vec<Value>,
    /// The bodies of the dead letters of all functions.
    pub(crate) dead_letters: Vec<String>,
    /// The messages that still wait.
    pub(crate) waiting: usize,
}

/// What somebody asked a function for.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) at: OffsetDateTime,
    pub(crate) answered: OffsetDateTime,
    pub(crate) request: Request,
    pub(crate) answer: Result<Value, String>,
}

/// What somebody did as root, and AWS let them.
#[derive(Clone, Debug)]
pub(crate) struct Deed {
    pub(crate) at: OffsetDateTime,
    pub(crate) account: AccountId,
    pub(crate) name: &'static str,
}

/// How much happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    pub(crate) calls: u64,
    pub(crate) faults_hit: u64,
    pub(crate) accidents: u64,
    pub(crate) invocations: u64,
    pub(crate) simulated_seconds: u64,
}

/// What the actors share.
struct Stage {
    aws: Aws,
    deployment: Deployment,
    accidents: Accidents,
    asked: RefCell<Vec<Asked>>,
    deeds: RefCell<Vec<Deed>>,
}

/// Plays it, the same each time.
pub(crate) fn play(scenario: &Scenario) -> Played {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(play_in_runtime(scenario))
}

async fn play_in_runtime(scenario: &Scenario) -> Played {
    // The SDK jitters its retries with it.
    fastrand::seed(scenario.seed);
    let before = organization(scenario.shop);
    let aws = Aws::new(before.clone(), Clock::of_runtime(BEGINNING));
    aws.set_rates(if scenario.pace == Pace::Slow { RatePolicy::Published } else { RatePolicy::Unlimited });
    let accidents = Accidents::default();
    let exempt: Vec<_> = before.tagged(EXEMPT_TAG).iter().map(ToString::to_string).collect();
    let mode = match scenario.deployment {
        scenario::Deployment::Audit => "Audit",
        scenario::Deployment::Enforce => "Enforce",
    };
    let options = in_process(simulator::deployment::Options::new(""), &aws, &accidents, handle)
        .with_parameter("Mode", mode)
        .with_parameter("ExemptAccountIds", exempt.join(","))
        .with_parameter("OrganizationId", before.id.to_string());
    let deployment = Deployment::deploy(&aws, &options).await.expect("a deployment");
    aws.work_unevenly(scenario.disorder());
    if scenario.is_watched {
        aws.watch(Watch {
            assume_root: Access::ReadOnly,
            assumed_root: AssumedRoot::Missing,
            session_finding: SessionFinding::ShortTermRootCredentialUsage,
            delivery: Delivery::Once,
            ..Watch::in_regions(&["eu-central-1", "us-east-1"])
        });
    } else {
        // Sign-ins arrive all the same.
        aws.watch(Watch::default());
    }
    let stage = Rc::new(Stage {
        aws: aws.clone(),
        deployment,
        accidents: accidents.clone(),
        asked: RefCell::default(),
        deeds: RefCell::default(),
    });

    let mut restless = None;
    let mut note = |result: anyhow::Result<()>| {
        if let Err(error) = result {
            restless.get_or_insert(format!("{error:#}"));
        }
    };
    let acts = scenario.happenings.iter().map(|happening| {
        let stage = Rc::clone(&stage);
        async move {
            tokio::time::sleep(Duration::from_millis(happening.at)).await;
            stage.act(&happening.what).await;
        }
    });
    let everything = async {
        tokio::join!(join_all(acts), tokio::time::sleep(scenario.lasts()));
    };
    note(stage.deployment.work_while(everything).await);

    let faults_hit = u64::from(aws.fault_hits());
    aws.clear_faults();
    accidents.clear();
    aws.work_unevenly(Scenario { pace: Pace::Even, ..scenario.clone() }.disorder());
    note(stage.deployment.work_while(tokio::time::sleep(UNTIL_QUIET)).await);
    note(stage.deployment.settle().await);
    let at_rest = stage.at_rest();
    for function in WITH_QUEUE {
        stage.deployment.redrive(function).expect("a queue");
    }
    note(stage.deployment.settle().await);
    note(stage.audit().await);
    let before_last_audit = aws.calls().len();
    note(stage.audit().await);
    let figures = Figures {
        calls: u64::try_from(aws.calls().len()).unwrap_or(u64::MAX),
        faults_hit,
        accidents: u64::try_from(accidents.happened()).unwrap_or(u64::MAX),
        invocations: accidents.invocations(),
        simulated_seconds: (aws.clock().now() - BEGINNING).whole_seconds().unsigned_abs(),
    };
    let Ok(stage) = Rc::try_unwrap(stage) else { unreachable!("the actors are done") };
    Played {
        aws,
        deployment: stage.deployment,
        before,
        asked: stage.asked.into_inner(),
        deeds: stage.deeds.into_inner(),
        at_rest,
        before_last_audit,
        figures,
        restless,
    }
}

/// The fixture's, in which no service control policy stops a root user, and the shop's has these credentials.
fn organization(shop: Leftovers) -> Organization {
    let mut organization = Organization::from_json(ORGANIZATION).expect("the fixture");
    for unit in organization.units.values_mut() {
        unit.service_control_policies = vec![FULL_AWS_ACCESS.to_owned()];
    }
    let keep = [MANAGEMENT, scenario::AUDIT, SHOP, EXEMPT, OTHER];
    organization.accounts.retain(|id, _| keep.contains(&id.as_str()));
    let everything = organization.accounts[&id(SHOP)].root.clone();
    let password = RootCredentials {
        login_profile: Some(LoginProfile { create_date: BEGINNING - time::Duration::days(900) }),
        ..RootCredentials::default()
    };
    let yesterday = BEGINNING - time::Duration::days(1);
    let key = AccessKey {
        id: "AKIAPRODUCTIONEXAMPLE".to_owned(),
        status: CredentialStatus::Active,
        create_date: BEGINNING - time::Duration::days(300),
        last_used: Some(LastUsed { date: yesterday, service: "s3".to_owned(), region: "us-east-1".to_owned() }),
    };
    let device = MfaDevice { serial_number: "GAHT12345678".to_owned(), enable_date: key.create_date };
    organization.accounts.get_mut(&id(SHOP)).expect("the shop").root = match shop {
        Leftovers::Nothing => RootCredentials::default(),
        Leftovers::Password => password.clone(),
        Leftovers::KeyInUse => {
            RootCredentials { access_keys: vec![key], mfa_devices: vec![device], ..RootCredentials::default() }
        }
        Leftovers::Everything => everything,
    };
    organization.accounts.get_mut(&id(EXEMPT)).expect("the exempt account").root = password;
    organization
}

pub(crate) fn id(account: &str) -> AccountId {
    account.parse().expect("an account id")
}

impl Stage {
    fn now(&self) -> OffsetDateTime {
        self.aws.clock().now()
    }

    async fn act(&self, what: &What) {
        match what {
            What::Schedule => self.deployment.fire_schedules().expect("a schedule"),
            What::Operator(request) => self.ask(request).await,
            What::Root { account, does } => self.root(account, *does),
            What::ForeignSession { account } => self.open_foreign_session(account).await,
            What::Joins { is_invited, ready_after_seconds } => {
                let account = NewAccount {
                    name: "joined".to_owned(),
                    root: RootCredentials {
                        login_profile: Some(LoginProfile { create_date: self.now() }),
                        ..RootCredentials::default()
                    },
                    ready_after: Duration::from_secs(*ready_after_seconds),
                    ..NewAccount::default()
                };
                if *is_invited {
                    self.aws.invite_account(account)
                } else {
                    self.aws.create_account(account)
                };
            }
            What::Suspended { account } => self.aws.with_organization(|organization| {
                if let Some(account) = organization.accounts.get_mut(&id(account)) {
                    account.state = AccountState::Suspended;
                }
            }),
            What::Redrive => {
                for function in WITH_QUEUE {
                    self.deployment.redrive(function).expect("a queue");
                }
            }
            What::Fault { .. } => {
                if let Some(fault) = what.fault(self.now()) {
                    self.aws.inject(fault);
                }
            }
            What::Accident { invocation, after, mishap } => {
                self.accidents.plan(*invocation, mishap.accident(*after));
            }
        }
    }

    async fn ask(&self, request: &Request) {
        let why = |mut value: Value| {
            value["reason"] = json!("explored");
            value
        };
        let replacement = |resource: &str| {
            json!({"Version": "2012-10-17", "Statement": [{
                "Effect": "Deny", "Principal": {"AWS": "arn:aws:iam::111122223333:root"}, "Action": "*:*", "Resource": resource,
            }]})
        };
        let (function, payload) = match request {
            Request::AuditEverything => (SCHEDULED_AUDIT, json!({"everything": true})),
            Request::AuditAccount(account) => (SCHEDULED_AUDIT, json!({"accounts": [account]})),
            Request::Open { account, minutes } => {
                (PASSWORD_RECOVERY, why(json!({"action": "open", "account": account, "minutes": minutes})))
            }
            Request::Close { account } => (PASSWORD_RECOVERY, why(json!({"action": "close", "account": account}))),
            Request::List => (PASSWORD_RECOVERY, json!({"action": "list"})),
            Request::UnlockBucket { replace } => {
                let mut request = json!({"account": SHOP, "bucket": BUCKET});
                if *replace {
                    request["policy"] = replacement(&format!("arn:aws:s3:::{BUCKET}"));
                    request["policy"]["Statement"][0]["Action"] = json!("s3:*");
                }
                (UNLOCK_POLICY, why(request))
            }
            Request::UnlockQueue { replace } => {
                let mut request = json!({"account": SHOP, "queueUrl": QUEUE});
                if *replace {
                    request["policy"] = replacement(QUEUE_ARN);
                    request["policy"]["Statement"][0]["Action"] = json!("sqs:*");
                }
                (UNLOCK_POLICY, why(request))
            }
        };
        let at = self.now();
        let answer = self.deployment.invoke(function, &payload).await.expect("a function");
        let answer = answer.map_err(|error| error.to_string());
        let asked = Asked { at, answered: self.now(), request: request.clone(), answer };
        self.asked.borrow_mut().push(asked);
    }

    fn root(&self, account: &str, does: RootDoes) {
        let account = id(account);
        let mut root = self.aws.root_user(&account);
        let at = self.now();
        let deed = |name: &'static str| self.deeds.borrow_mut().push(Deed { at, account: account.clone(), name });
        let keys = || {
            let organization = self.aws.organization();
            organization.account(&account).map(|account| account.root.access_keys.clone()).unwrap_or_default()
        };
        // Who cannot sign in does nothing: AWS's refusals are not the business of this.
        match does {
            RootDoes::SignInWrongly => {
                root.sign_in(Password::Wrong);
                return;
            }
            RootDoes::RecoverPassword => {
                if root.request_password_recovery().is_ok() && root.complete_password_recovery().is_ok() {
                    deed("PasswordRecoveryCompleted");
                }
                return;
            }
            RootDoes::UseKeys => {
                for key in keys() {
                    root.use_access_key(&key.id);
                    if root.call("monitoring", "DescribeAlarms", "eu-central-1").is_ok() {
                        deed("DescribeAlarms");
                    }
                }
                return;
            }
            RootDoes::SignIn
            | RootDoes::SettleIn
            | RootDoes::CreateKey
            | RootDoes::EnableMfa
            | RootDoes::UploadCertificate
            | RootDoes::UpdatePassword => {}
        }
        if does == RootDoes::SettleIn && root.request_password_recovery().is_ok() {
            let _ = root.complete_password_recovery();
        }
        if root.sign_in(Password::Right) != SignIn::Success {
            return;
        }
        deed("ConsoleLogin");
        match does {
            RootDoes::CreateKey => drop(root.create_access_key()),
            RootDoes::EnableMfa => drop(root.enable_mfa()),
            RootDoes::UploadCertificate => drop(root.upload_signing_certificate()),
            RootDoes::UpdatePassword => drop(root.update_password()),
            RootDoes::SettleIn => {
                let _ = root.enable_mfa();
                if let Ok(key) = root.create_access_key() {
                    root.use_access_key(&key);
                    let _ = root.call("monitoring", "DescribeAlarms", "eu-central-1");
                }
            }
            RootDoes::SignIn | RootDoes::SignInWrongly | RootDoes::RecoverPassword | RootDoes::UseKeys => {}
        }
    }

    /// As the page of the console does that lists root credentials, from the management account.
    async fn open_foreign_session(&self, account: &str) {
        let form = format!(
            "Action=AssumeRoot&TargetPrincipal={account}&TaskPolicyArn.arn=arn%3Aaws%3Aiam%3A%3Aaws%3Apolicy%2Froot-task\
             %2FIAMAuditRootUserCredentials"
        );
        let mut request =
            HttpRequest::post("/").header("host", "127.0.0.1").body(Bytes::from(form)).expect("a request");
        let caller = self.aws.administrator(&self.aws.management_account());
        caller.sign(&mut request, "us-east-1", "sts", self.now()).expect("a signature");
        // A fault may hit it.
        let _ = self.aws.answer(request).await;
    }

    async fn audit(&self) -> anyhow::Result<()> {
        self.deployment.fire_schedules()?;
        self.deployment.settle().await
    }

    fn at_rest(&self) -> AtRest {
        let items = self.aws.items(STATE_TABLE);
        let dead_letters = WITH_QUEUE.into_iter().flat_map(|function| {
            self.deployment.dead_letters(function).expect("a queue").into_iter().map(|message| message.body)
        });
        let waiting = WITH_QUEUE.into_iter().map(|function| self.deployment.waiting(function).expect("a queue").len());
        AtRest {
            windows: items.into_iter().filter(|item| item["pk"] == "recovery-window").collect(),
            dead_letters: dead_letters.collect(),
            waiting: waiting.sum(),
        }
    }
}

impl Played {
    /// The events that Unroot put on its bus, each with its time to the second.
    pub(crate) fn announced(&self) -> Vec<(OffsetDateTime, Value)> {
        let events = self.deployment.put_events().into_iter();
        let date = |event: &Value| OffsetDateTime::parse(event["time"].as_str().unwrap_or_default(), &Rfc3339);
        events.map(|event| (date(&event).expect("a date"), event)).collect()
    }

    /// The lines of a type that any function logged.
    pub(crate) fn logged(&self, kind: &str) -> Vec<Value> {
        let lines = FUNCTIONS.into_iter().flat_map(|function| self.deployment.logs(function).expect("a function"));
        lines.filter(|line| line["type"] == kind).collect()
    }
}

impl Played {
    /// Everything that can be told of the run, to compare it with another.
    pub(crate) fn to_text(&self) -> String {
        let mut lines: Vec<String> = self.aws.calls().iter().map(|call| sorted(&json!(call))).collect();
        lines.extend(self.deployment.put_events().iter().map(sorted));
        for function in FUNCTIONS {
            lines.extend(self.deployment.logs(function).expect("a function").iter().map(sorted));
        }
        lines.extend(self.aws.items(STATE_TABLE).iter().map(sorted));
        for (key, object) in self.aws.objects(EVIDENCE_BUCKET) {
            lines.push(format!("{key} {}", String::from_utf8_lossy(&object)));
        }
        lines.extend(self.asked.iter().map(|asked| format!("{asked:?}")));
        lines.push(format!("{:?}", self.figures));
        lines.join("\n")
    }
}

/// JSON whose members are in the order of their names: the SDK writes those of an item in any order.
fn sorted(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let members: std::collections::BTreeMap<_, _> = members.iter().collect();
            let members = members.into_iter().map(|(name, value)| format!("{name:?}:{}", sorted(value)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(sorted).collect::<Vec<_>>().join(",")),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
    }
}
