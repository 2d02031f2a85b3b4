//! Lambda functions: real binaries that run as child processes and are driven through the Lambda Runtime API, or code
//! that runs in this process, on the time of its runtime.
//!
//! It knows nothing of queues and events; whoever invokes a function decides what an error means.

mod environment;
mod in_process;
mod process;
mod runtime_api;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;

use environment::{Ended, Environment};

pub use in_process::{Accident, Accidents, Handler, InProcess, Invocation, LogLines, Mishap, Start};

/// A deployed function; clones are the same function. Its processes end when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Function {
    inner: Arc<Inner>,
}

/// What Lambda knows about a function.
pub struct FunctionSettings {
    pub name: String,
    pub account: String,
    pub region: String,
    pub program: Program,
    pub memory_megabytes: u64,
    /// After it the process is killed.
    pub timeout: Duration,
    /// The variables that a new execution environment gets besides Lambda's own: the configured ones and credentials.
    pub variables: Box<dyn Fn() -> BTreeMap<String, String> + Send + Sync>,
}

/// What is started.
#[derive(Clone, Debug)]
pub enum Program {
    Binary(Binary),
    InProcess(InProcess),
}

/// A program on disk; Lambda itself passes no arguments.
#[derive(Clone, Debug)]
pub struct Binary {
    pub path: PathBuf,
    pub arguments: Vec<String>,
}

/// An invocation that failed, as Lambda tells its caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{error_type}: {message}")]
pub struct FunctionError {
    /// The function's own, or Lambda's: `Sandbox.Timedout`, `Runtime.ExitError`.
    pub error_type: String,
    pub message: String,
}

struct Inner {
    settings: FunctionSettings,
    /// Warm environments, ready for the next invocation.
    idle: Mutex<Vec<Environment>>,
    logs: Logs,
    invocations: AtomicU64,
}

/// What the processes of a function wrote, line by line: JSON where a line is JSON, else text.
#[derive(Clone, Debug, Default)]
struct Logs {
    lines: Arc<Mutex<Vec<Value>>>,
}

impl Function {
    pub fn new(settings: FunctionSettings) -> Self {
        let inner = Inner { settings, idle: Mutex::default(), logs: Logs::default(), invocations: AtomicU64::new(0) };
        Self { inner: Arc::new(inner) }
    }

    pub fn name(&self) -> &str {
        &self.inner.settings.name
    }

    /// Invokes the function and waits for its answer: in a warm environment, or in a new one if all are busy.
    ///
    /// An environment in which an invocation timed out or the process ended is not used again.
    pub async fn invoke(&self, payload: &Value) -> Result<Value, FunctionError> {
        let number = self.inner.invocations.fetch_add(1, Ordering::Relaxed) + 1;
        let request_id = format!("00000000-0000-4000-9000-{number:012x}");
        let warm = lock(&self.inner.idle).pop();
        let environment = match warm {
            Some(environment) => Ok(environment),
            None => Environment::start(&self.inner.settings, &self.inner.logs).await,
        };
        let mut environment = environment.map_err(|ended| ended.into_function_error(&request_id))?;
        match environment.run(&request_id, payload).await {
            Ok(outcome) => {
                lock(&self.inner.idle).push(environment);
                outcome
            }
            Err(ended) => {
                environment.stop().await;
                Err(ended.into_function_error(&request_id))
            }
        }
    }

    /// What the function logged from the line with this index on, the first being 0; nothing if there is no such line.
    pub fn logs_from(&self, index: usize) -> Vec<Value> {
        lock(&self.inner.logs.lines).get(index..).unwrap_or_default().to_vec()
    }

    /// How many lines the function logged so far.
    pub fn log_length(&self) -> usize {
        lock(&self.inner.logs.lines).len()
    }

    /// Ends the warm environments, so that the next invocation starts cold: with new credentials.
    pub fn recycle(&self) {
        lock(&self.inner.idle).clear();
    }

    /// The same, and forgets the logs.
    pub fn reset(&self) {
        self.recycle();
        lock(&self.inner.logs.lines).clear();
    }
}

impl FunctionSettings {
    fn arn(&self) -> String {
        format!("arn:aws:lambda:{}:{}:function:{}", self.region, self.account, self.name)
    }

    /// The variables that Lambda sets for a function that logs JSON.
    /// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html>
    fn lambda_variables(&self, runtime_api: &str) -> BTreeMap<&'static str, String> {
        BTreeMap::from([
            ("AWS_DEFAULT_REGION", self.region.clone()),
            ("AWS_EXECUTION_ENV", "AWS_Lambda_provided.al2023".to_owned()),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", self.memory_megabytes.to_string()),
            ("AWS_LAMBDA_FUNCTION_NAME", self.name.clone()),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
            ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand".to_owned()),
            ("AWS_LAMBDA_LOG_FORMAT", "JSON".to_owned()),
            ("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{}", self.name)),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "simulated".to_owned()),
            ("AWS_LAMBDA_RUNTIME_API", runtime_api.to_owned()),
            ("AWS_REGION", self.region.clone()),
            ("LAMBDA_TASK_ROOT", "/var/task".to_owned()),
            ("TZ", ":UTC".to_owned()),
            ("_HANDLER", "bootstrap".to_owned()),
        ])
    }
}

impl Ended {
    /// In Lambda's words.
    fn into_function_error(self, request_id: &str) -> FunctionError {
        let (error_type, reason) = match self {
            Self::TimedOut { after } => {
                let seconds = after.as_secs_f64();
                ("Sandbox.Timedout", format!("Error: Task timed out after {seconds:.2} seconds"))
            }
            Self::Exited { status } if status.success() => {
                ("Runtime.ExitError", "Error: Runtime exited without providing a reason".to_owned())
            }
            Self::Exited { status } => {
                let status = status.to_string().replace("exit status:", "exit status");
                ("Runtime.ExitError", format!("Error: Runtime exited with error: {status}"))
            }
            Self::Crashed => ("Runtime.ExitError", "Error: Runtime exited with error: signal: aborted".to_owned()),
            Self::NotStarted(error) => ("Runtime.InvalidEntrypoint", format!("Error: {error}")),
            Self::InitFailed(error) => return error,
        };
        FunctionError { error_type: error_type.to_owned(), message: format!("RequestId: {request_id} {reason}") }
    }
}

impl Logs {
    fn add(&self, line: &str) {
        self.push(serde_json::from_str(line).unwrap_or_else(|_| Value::String(line.to_owned())));
    }

    fn push(&self, line: Value) {
        lock(&self.lines).push(line);
    }
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Function").field("name", &self.settings.name).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
pub(crate) mod tests;
