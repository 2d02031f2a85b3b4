//! One execution environment: it has at most one invocation at a time.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use serde_json::Value;

use super::in_process::InProcessEnvironment;
use super::process::ProcessEnvironment;
use super::{FunctionError, FunctionSettings, Logs, Program};

/// Dropping it ends everything that runs in it.
#[derive(Debug)]
pub(super) enum Environment {
    Process(Box<ProcessEnvironment>),
    InProcess(InProcessEnvironment),
}

/// Why an environment cannot be used again.
#[derive(Debug)]
pub(super) enum Ended {
    TimedOut { after: Duration },
    Exited { status: ExitStatus },
    Crashed,
    NotStarted(io::Error),
    InitFailed(FunctionError),
}

impl Environment {
    pub(super) async fn start(settings: &FunctionSettings, logs: &Logs) -> Result<Self, Ended> {
        match &settings.program {
            Program::Binary(binary) => {
                let process = ProcessEnvironment::start(binary, settings, logs).await.map_err(Ended::NotStarted)?;
                Ok(Self::Process(Box::new(process)))
            }
            Program::InProcess(program) => InProcessEnvironment::start(program, settings, logs).map(Self::InProcess),
        }
    }

    /// What the function answered, or why the environment ended before it did.
    pub(super) async fn run(
        &mut self,
        request_id: &str,
        payload: &Value,
    ) -> Result<Result<Value, FunctionError>, Ended> {
        match self {
            Self::Process(process) => process.run(request_id, payload).await,
            Self::InProcess(environment) => environment.run(request_id, payload).await,
        }
    }

    /// Ends what still runs, and reads its last words.
    pub(super) async fn stop(self) {
        match self {
            Self::Process(process) => process.stop().await,
            Self::InProcess(_) => {}
        }
    }
}
