//! The functions in this process: their handlers with real SDK clients, but without programs, sockets and the machine's
//! clock. Everything that a program does around a handler is here; `processes` sees that the programs do it too.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Once};
use std::task::{Context, Poll};
use std::time::SystemTime;

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_async::time::{SharedTimeSource, TimeSource};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use futures_util::future::LocalBoxFuture;
use http_body_util::BodyExt as _;
use lambda_runtime::tracing::subscriber;
use serde_json::{Value, json};
use shared::config::Settings;
use shared::runtime::{Function, Invocation};
use shared::telemetry::Log;
use simulator::aws::Aws;
use simulator::clock::Clock;
use simulator::deployment::Options;
use simulator::lambda::{Accidents, FunctionError, Handler, InProcess, LogLines, Program, Start};
use tokio::time::Instant;

pub(crate) const SCHEDULED_AUDIT: &str = "scheduled-audit";
pub(crate) const ACCOUNT_JOINED: &str = "account-joined";
pub(crate) const ROOT_ACTIVITY: &str = "root-activity";
pub(crate) const PASSWORD_RECOVERY: &str = "password-recovery";
pub(crate) const UNLOCK_POLICY: &str = "unlock-policy";
pub(crate) const FUNCTIONS: [&str; 5] =
    [SCHEDULED_AUDIT, ACCOUNT_JOINED, ROOT_ACTIVITY, PASSWORD_RECOVERY, UNLOCK_POLICY];
/// Those that a queue invokes; `unlock-policy` is only invoked by people.
pub(crate) const WITH_QUEUE: [&str; 4] = [SCHEDULED_AUDIT, ACCOUNT_JOINED, ROOT_ACTIVITY, PASSWORD_RECOVERY];

/// The names that CloudFormation would make up.
pub(crate) const STATE_TABLE: &str = "unroot-StateTable-SIMULATED";
pub(crate) const EVIDENCE_BUCKET: &str = "unroot-evidencebucket-simulated";

/// Where AWS is said to be. Nothing listens there.
const ENDPOINT: &str = "http://127.0.0.1";

pub(crate) type Outcome = Result<Value, shared::runtime::FunctionError>;

/// Handles an invocation of the function with this name.
pub(crate) type Handle = fn(&str, Function, Invocation) -> LocalBoxFuture<'static, Outcome>;

/// Has all functions run in this process, in this AWS.
pub(crate) fn in_process(mut options: Options, aws: &Aws, accidents: &Accidents, handle: Handle) -> Options {
    ENDPOINT.clone_into(&mut options.endpoint);
    log_to_whoever_runs();
    for name in FUNCTIONS {
        let program = program(name, aws.clone(), handle).with_accidents(accidents.clone());
        options.programs.insert(name.to_owned(), Program::InProcess(program));
    }
    options
}

fn program(name: &'static str, aws: Aws, handle: Handle) -> InProcess {
    InProcess::new(move |start| {
        let Start { variables, log } = start;
        let function = function(&aws, &variables, &log)?;
        let handler: Handler = Arc::new(move |invocation| {
            let invocation = Invocation {
                payload: invocation.payload,
                request_id: invocation.request_id,
                deadline: Instant::now() + invocation.timeout,
                time_allowed: invocation.timeout,
            };
            let handling = handle(name, function.clone(), invocation);
            let handling = async { handling.await.map_err(|error| reported(error.error_type, &error.message)) };
            Box::pin(Logging { log: log.clone(), future: Box::pin(handling) })
        });
        Ok(handler)
    })
}

/// As the binaries do.
pub(crate) fn handle(name: &str, function: Function, invocation: Invocation) -> LocalBoxFuture<'static, Outcome> {
    match name {
        SCHEDULED_AUDIT => Box::pin(scheduled_audit::handle(function, invocation)),
        ACCOUNT_JOINED => Box::pin(account_joined::handle(function, invocation)),
        ROOT_ACTIVITY => Box::pin(root_activity::handle(function, invocation)),
        PASSWORD_RECOVERY => Box::pin(password_recovery::handle(function, invocation)),
        UNLOCK_POLICY => Box::pin(unlock_policy::handle(function, invocation)),
        _ => panic!("there is no function `{name}`"),
    }
}

/// What `shared::runtime::run` makes before the first invocation.
fn function(aws: &Aws, variables: &BTreeMap<String, String>, log: &LogLines) -> Result<Function, FunctionError> {
    let settings = Settings::parse(|name| variables.get(name).cloned()).map_err(|error| {
        log.write(json!({ "level": "ERROR", "fields": { "message": "not started", "error": error.to_string() } }));
        reported("Runtime.ExitError", "Runtime exited with error: exit status: 1")
    })?;
    let clients = shared::aws::Aws::new(&sdk_config(aws, variables), &settings);
    let lines = log.clone();
    let log = Log::new(clients.clock().clone(), move |line| lines.write(line.clone()));
    Ok(Function { settings, aws: clients, log })
}

/// What the SDK makes of the variables.
fn sdk_config(aws: &Aws, variables: &BTreeMap<String, String>) -> SdkConfig {
    let variable = |name: &str| variables[name].as_str();
    let session_token = Some(variable("AWS_SESSION_TOKEN").to_owned());
    let credentials = Credentials::new(
        variable("AWS_ACCESS_KEY_ID"),
        variable("AWS_SECRET_ACCESS_KEY"),
        session_token,
        None,
        "Lambda",
    );
    let retries = match variable("AWS_RETRY_MODE") {
        "adaptive" => RetryConfig::adaptive(),
        "standard" => RetryConfig::standard(),
        other => panic!("the retry mode `{other}`"),
    };
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new(variable("AWS_REGION").to_owned()))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .retry_config(retries.with_max_attempts(variable("AWS_MAX_ATTEMPTS").parse().unwrap()))
        .endpoint_url(variable("AWS_ENDPOINT_URL"))
        .time_source(SharedTimeSource::new(SimulatedTime(aws.clock().clone())))
        .http_client(NoNetwork(aws.clone()))
        .build()
}

fn reported(error_type: &str, message: &str) -> FunctionError {
    FunctionError { error_type: error_type.to_owned(), message: message.to_owned() }
}

#[derive(Debug)]
struct SimulatedTime(Clock);

impl TimeSource for SimulatedTime {
    fn now(&self) -> SystemTime {
        self.0.now().into()
    }
}

/// Carries requests to the simulated AWS by calling it.
#[derive(Clone, Debug)]
struct NoNetwork(Aws);

impl HttpClient for NoNetwork {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for NoNetwork {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let aws = self.0.clone();
        HttpConnectorFuture::new(async move {
            let user = |error: &dyn std::fmt::Display| ConnectorError::user(error.to_string().into());
            let (mut head, body) = request.try_into_http1x().map_err(|error| user(&error))?.into_parts();
            let body = body.collect().await.map_err(|error| user(&error))?.to_bytes();
            // A client on a connection sends the host as a header.
            if let Some(host) = head.uri.host().and_then(|host| host.parse().ok()) {
                head.headers.entry("host").or_insert(host);
            }
            let answer = aws.answer(http::Request::from_parts(head, body)).await;
            let answer = answer.map_err(|disconnected| ConnectorError::io(disconnected.into()))?;
            HttpResponse::try_from(answer.map(SdkBody::from)).map_err(|error| user(&error))
        })
    }
}

thread_local! {
    /// The log of the function whose invocation runs at the moment.
    static LOG: RefCell<Option<LogLines>> = const { RefCell::new(None) };
}

/// An invocation, during whose polls what `tracing` is told goes to the log of its function.
struct Logging {
    log: LogLines,
    future: LocalBoxFuture<'static, Result<Value, FunctionError>>,
}

impl Future for Logging {
    type Output = Result<Value, FunctionError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let before = LOG.replace(Some(self.log.clone()));
        let polled = self.future.as_mut().poll(context);
        LOG.set(before);
        polled
    }
}

/// Has `tracing` write as in Lambda, but to the log of the function that runs.
fn log_to_whoever_runs() {
    static LOGGING: Once = Once::new();
    LOGGING.call_once(|| {
        let level = subscriber::filter::LevelFilter::INFO;
        subscriber::fmt().with_target(false).without_time().with_max_level(level).json().with_writer(|| Line).init();
    });
}

struct Line;

impl io::Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        LOG.with_borrow(|log| {
            if let Some(log) = log {
                log.write(serde_json::from_slice(line).expect("a line of JSON"));
            }
        });
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
