//! An execution environment that is a process of its own, and the Runtime API that it polls.

use std::io;
use std::net::Ipv4Addr;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::environment::Ended;
use super::runtime_api::{Invocation, Report, RuntimeApi};
use super::{Binary, FunctionError, FunctionSettings, Logs};

/// A process has that long until it asks for its first invocation; this does not count as the function's time.
/// <https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html>
const INIT_TIMEOUT: Duration = Duration::from_secs(10);

/// Dropping it kills the process and stops its Runtime API.
#[derive(Debug)]
pub(super) struct ProcessEnvironment {
    process: Child,
    invocations: mpsc::UnboundedSender<Invocation>,
    reports: mpsc::UnboundedReceiver<Report>,
    timeout: Duration,
    _runtime_api: JoinSet<()>,
    log_readers: JoinSet<()>,
    /// One for each log reader.
    catch_ups: Vec<mpsc::UnboundedSender<CatchUp>>,
}

/// Answered by a log reader that has read all there is.
type CatchUp = oneshot::Sender<()>;

impl ProcessEnvironment {
    pub(super) async fn start(binary: &Binary, settings: &FunctionSettings, logs: &Logs) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?.to_string();
        let (invocations, next_invocations) = mpsc::unbounded_channel();
        let (report, reports) = mpsc::unbounded_channel();
        let mut runtime_api = JoinSet::new();
        runtime_api.spawn(RuntimeApi::new(settings.arn(), settings.timeout, next_invocations, report).serve(listener));

        // INVARIANT (a process sees only what Lambda sets): none of the machine's variables, above all no credentials.
        let mut process = Command::new(&binary.path)
            .args(&binary.arguments)
            .env_clear()
            .envs(settings.lambda_variables(&address))
            .envs((settings.variables)())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut log_readers = JoinSet::new();
        let (of_output, output_catch_ups) = mpsc::unbounded_channel();
        if let Some(output) = process.stdout.take() {
            log_readers.spawn(read_lines(output, logs.clone(), output_catch_ups));
        }
        let (of_errors, error_catch_ups) = mpsc::unbounded_channel();
        if let Some(errors) = process.stderr.take() {
            log_readers.spawn(read_lines(errors, logs.clone(), error_catch_ups));
        }
        Ok(Self {
            process,
            invocations,
            reports,
            timeout: settings.timeout,
            _runtime_api: runtime_api,
            log_readers,
            catch_ups: vec![of_output, of_errors],
        })
    }

    /// What the function answered, or why the environment ended before it did.
    pub(super) async fn run(
        &mut self,
        request_id: &str,
        payload: &Value,
    ) -> Result<Result<Value, FunctionError>, Ended> {
        let invocation = Invocation { request_id: request_id.to_owned(), payload: payload.to_string() };
        // The receiving end lives as long as the Runtime API, which ends with this environment.
        let _ = self.invocations.send(invocation);
        let outcome = self.outcome().await;
        self.catch_up_with_logs().await;
        outcome
    }

    async fn outcome(&mut self) -> Result<Result<Value, FunctionError>, Ended> {
        let mut limit = INIT_TIMEOUT;
        loop {
            tokio::select! {
                // A process that reports and ends at once has answered.
                biased;
                Some(report) = self.reports.recv() => match report {
                    Report::Started => limit = self.timeout,
                    Report::Outcome(outcome) => return Ok(outcome),
                    Report::InitFailed(error) => return Err(Ended::InitFailed(error)),
                },
                Ok(status) = self.process.wait() => return Err(Ended::Exited { status }),
                () = tokio::time::sleep(limit) => return Err(Ended::TimedOut { after: limit }),
            }
        }
    }

    /// Returns when the logs have what the process wrote before it answered.
    async fn catch_up_with_logs(&self) {
        for catch_up in &self.catch_ups {
            let (caught_up, is_caught_up) = oneshot::channel();
            // A reader that is gone has read everything; then either fails, and there is nothing to wait for.
            let _ = catch_up.send(caught_up);
            let _ = is_caught_up.await;
        }
    }

    /// Kills the process if it still runs, and reads its last words.
    pub(super) async fn stop(mut self) {
        // Fails only for a process that is gone, which is what is wanted.
        let _ = self.process.kill().await;
        while self.log_readers.join_next().await.is_some() {}
    }
}

async fn read_lines(output: impl AsyncRead + Unpin, logs: Logs, mut catch_ups: mpsc::UnboundedReceiver<CatchUp>) {
    let mut lines = BufReader::new(output).lines();
    loop {
        tokio::select! {
            // Whoever waits for the end of the lines is answered when there is none left.
            biased;
            line = lines.next_line() => match line {
                Ok(Some(line)) => logs.add(&line),
                Ok(None) | Err(_) => return,
            },
            Some(caught_up) = catch_ups.recv() => {
                let _ = caught_up.send(());
            }
        }
    }
}
