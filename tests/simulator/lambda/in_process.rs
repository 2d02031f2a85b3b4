//! An execution environment in this process: the code of a function, without a program around it.
//!
//! An invocation is one future. To time out, to crash or to panic is to be dropped, at any point where it waits.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use serde_json::Value;

use super::environment::Ended;
use super::{FunctionError, FunctionSettings, Logs, lock};

/// A function that runs in this process.
#[derive(Clone)]
pub struct InProcess {
    start: Arc<Starter>,
    accidents: Accidents,
}

type Starter = dyn Fn(Start) -> Result<Handler, FunctionError> + Send + Sync;

/// What a new environment is given.
#[derive(Debug)]
pub struct Start {
    pub variables: BTreeMap<String, String>,
    pub log: LogLines,
}

/// Handles the invocations of an environment, one after the other.
pub type Handler = Arc<dyn Fn(Invocation) -> LocalBoxFuture<'static, Result<Value, FunctionError>> + Send + Sync>;

/// An invocation, as the Runtime API hands it out.
#[derive(Clone, Debug)]
pub struct Invocation {
    pub request_id: String,
    pub payload: Value,
    /// How long it may take.
    pub timeout: Duration,
}

/// Takes the lines that a function logs.
#[derive(Clone, Debug)]
pub struct LogLines(Logs);

/// What befalls invocations, by their numbers: the first is 1. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Accidents(Arc<Mutex<Plan>>);

#[derive(Debug, Default)]
struct Plan {
    invocations: u64,
    accidents: BTreeMap<u64, Accident>,
    happened: BTreeSet<u64>,
}

/// How an invocation ends before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accident {
    pub mishap: Mishap,
    /// After it has waited so often; an invocation that waits less often ends well.
    pub after: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// The process ends, and whatever it remembered is gone: out of memory, an abort, a lost machine.
    Crash,
    /// The invocation ends, and the process goes on.
    Panic,
    /// The function has answered, and nobody hears it.
    AnswerLost,
}

impl LogLines {
    pub fn write(&self, line: Value) {
        self.0.push(line);
    }
}

impl InProcess {
    pub fn new(start: impl Fn(Start) -> Result<Handler, FunctionError> + Send + Sync + 'static) -> Self {
        Self { start: Arc::new(start), accidents: Accidents::default() }
    }

    /// The same, with accidents.
    #[must_use]
    pub fn with_accidents(self, accidents: Accidents) -> Self {
        Self { accidents, ..self }
    }
}

impl Accidents {
    /// Has one befall the invocation with this number, counted over all functions that share these accidents.
    pub fn plan(&self, invocation: u64, accident: Accident) {
        lock(&self.0).accidents.insert(invocation, accident);
    }

    /// Plans nothing any more.
    pub fn clear(&self) {
        lock(&self.0).accidents.clear();
    }

    /// How many invocations there were.
    pub fn invocations(&self) -> u64 {
        lock(&self.0).invocations
    }

    /// The invocations whose accidents did not happen: they ended before, or there were not so many.
    pub fn missed(&self) -> Vec<u64> {
        let plan = lock(&self.0);
        plan.accidents.keys().filter(|invocation| !plan.happened.contains(*invocation)).copied().collect()
    }

    /// How many accidents happened.
    pub fn happened(&self) -> usize {
        lock(&self.0).happened.len()
    }

    fn next(&self) -> (u64, Option<Accident>) {
        let mut plan = lock(&self.0);
        plan.invocations += 1;
        (plan.invocations, plan.accidents.get(&plan.invocations).copied())
    }

    fn happen(&self, invocation: u64) {
        lock(&self.0).happened.insert(invocation);
    }
}

pub(super) struct InProcessEnvironment {
    handler: Handler,
    timeout: Duration,
    accidents: Accidents,
}

impl InProcessEnvironment {
    pub(super) fn start(program: &InProcess, settings: &FunctionSettings, logs: &Logs) -> Result<Self, Ended> {
        let mut variables: BTreeMap<String, String> =
            settings.lambda_variables("none").into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        variables.extend((settings.variables)());
        let handler = (program.start)(Start { variables, log: LogLines(logs.clone()) }).map_err(Ended::InitFailed)?;
        Ok(Self { handler, timeout: settings.timeout, accidents: program.accidents.clone() })
    }

    pub(super) async fn run(&self, request_id: &str, payload: &Value) -> Result<Result<Value, FunctionError>, Ended> {
        let invocation =
            Invocation { request_id: request_id.to_owned(), payload: payload.clone(), timeout: self.timeout };
        let (number, accident) = self.accidents.next();
        let ends_early = accident.filter(|accident| accident.mishap != Mishap::AnswerLost);
        let handled = Fragile { future: (self.handler)(invocation), waits_left: ends_early.map(|early| early.after) };
        let answer = match tokio::time::timeout(self.timeout, handled).await {
            Ok(Some(answer)) => answer,
            Ok(None) => {
                self.accidents.happen(number);
                return match ends_early.map(|accident| accident.mishap) {
                    Some(Mishap::Panic) => Ok(Err(panicked())),
                    Some(Mishap::Crash | Mishap::AnswerLost) | None => Err(Ended::Crashed),
                };
            }
            Err(_) => return Err(Ended::TimedOut { after: self.timeout }),
        };
        if accident.is_some_and(|accident| accident.mishap == Mishap::AnswerLost) {
            self.accidents.happen(number);
            return Err(Ended::Crashed);
        }
        Ok(answer)
    }
}

/// What the Lambda runtime for Rust reports of a handler that panics.
fn panicked() -> FunctionError {
    let message = "Lambda panicked: simulated".to_owned();
    FunctionError { error_type: "Panic".to_owned(), message }
}

/// A future that ends with nothing once it has waited so often.
struct Fragile {
    future: LocalBoxFuture<'static, Result<Value, FunctionError>>,
    waits_left: Option<u32>,
}

impl Future for Fragile {
    type Output = Option<Result<Value, FunctionError>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.waits_left == Some(0) {
            return Poll::Ready(None);
        }
        match self.future.as_mut().poll(context) {
            Poll::Ready(answer) => Poll::Ready(Some(answer)),
            Poll::Pending => {
                self.waits_left = self.waits_left.map(|left| left - 1);
                Poll::Pending
            }
        }
    }
}

impl fmt::Debug for InProcess {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("InProcess").finish_non_exhaustive()
    }
}

impl fmt::Debug for InProcessEnvironment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("InProcessEnvironment").finish_non_exhaustive()
    }
}
