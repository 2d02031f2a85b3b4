//! The Lambda Runtime API of one execution environment, over HTTP on loopback.
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::FunctionError;
use crate::clock::Clock;

/// The most that a function may return, in bytes.
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
const LARGEST_RESPONSE: usize = 6_291_556;

/// What `/invocation/next` hands out.
#[derive(Debug)]
pub(super) struct Invocation {
    pub(super) request_id: String,
    pub(super) payload: String,
}

/// What the process has to say.
#[derive(Debug)]
pub(super) enum Report {
    /// It took the invocation: from now on its time runs.
    Started,
    Outcome(Result<Value, FunctionError>),
    InitFailed(FunctionError),
}

pub(super) struct RuntimeApi {
    function_arn: String,
    timeout: Duration,
    invocations: tokio::sync::Mutex<mpsc::UnboundedReceiver<Invocation>>,
    /// The request id of the invocation that has no answer yet.
    current: Mutex<Option<String>>,
    reports: mpsc::UnboundedSender<Report>,
}

impl RuntimeApi {
    pub(super) fn new(
        function_arn: String,
        timeout: Duration,
        invocations: mpsc::UnboundedReceiver<Invocation>,
        reports: mpsc::UnboundedSender<Report>,
    ) -> Self {
        Self {
            function_arn,
            timeout,
            invocations: tokio::sync::Mutex::new(invocations),
            current: Mutex::default(),
            reports,
        }
    }

    /// Serves until it is dropped, its connections with it.
    pub(super) async fn serve(self, listener: TcpListener) {
        let api = Arc::new(self);
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let api = Arc::clone(&api);
            let service = service_fn(move |request| {
                let api = Arc::clone(&api);
                async move { Ok::<_, Infallible>(api.answer(request).await) }
            });
            connections.spawn(async move {
                // A broken connection is the process's end, which is noticed elsewhere.
                let _ =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let method = request.method().clone();
        let path = request.uri().path().to_owned();
        let Ok(body) = request.into_body().collect().await else {
            return error(StatusCode::BAD_REQUEST, "InvalidRequest", "the body could not be read");
        };
        let body = body.to_bytes();
        let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        match (&method, segments.as_slice()) {
            (&Method::GET, ["2018-06-01", "runtime", "invocation", "next"]) => self.next().await,
            (&Method::POST, ["2018-06-01", "runtime", "invocation", id, "response"]) => self.response(id, &body),
            (&Method::POST, ["2018-06-01", "runtime", "invocation", id, "error"]) => {
                self.finish(id, Err(function_error(&body)))
            }
            (&Method::POST, ["2018-06-01", "runtime", "init", "error"]) => {
                self.report(Report::InitFailed(function_error(&body)))
            }
            _ => error(StatusCode::NOT_FOUND, "UnknownPath", &format!("the simulator does not know {method} {path}")),
        }
    }

    /// Answers when there is an invocation.
    async fn next(&self) -> Response<Full<Bytes>> {
        let Some(invocation) = self.invocations.lock().await.recv().await else {
            return error(StatusCode::GONE, "Stopped", "the environment is being stopped");
        };
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(invocation.request_id.clone());
        // Nobody waits for a process that is being stopped.
        let _ = self.reports.send(Report::Started);
        let deadline = Clock::of_machine().now() + self.timeout - OffsetDateTime::UNIX_EPOCH;
        let response = Response::builder()
            .header("Content-Type", "application/json")
            .header("Lambda-Runtime-Aws-Request-Id", &invocation.request_id)
            .header("Lambda-Runtime-Deadline-Ms", deadline.whole_milliseconds().to_string())
            .header("Lambda-Runtime-Invoked-Function-Arn", &self.function_arn)
            .header(
                "Lambda-Runtime-Trace-Id",
                "Root=1-00000000-000000000000000000000000;Parent=0000000000000000;Sampled=0",
            );
        response.body(Full::from(invocation.payload)).unwrap_or_default()
    }

    fn response(&self, id: &str, body: &Bytes) -> Response<Full<Bytes>> {
        if body.len() > LARGEST_RESPONSE {
            let message = format!(
                "Response payload size ({} bytes) exceeded maximum allowed payload size ({LARGEST_RESPONSE} bytes).",
                body.len()
            );
            let error_type = "Function.ResponseSizeTooLarge";
            self.finish(id, Err(FunctionError { error_type: error_type.to_owned(), message: message.clone() }));
            return error(StatusCode::PAYLOAD_TOO_LARGE, error_type, &message);
        }
        match serde_json::from_slice(body) {
            Ok(value) => self.finish(id, Ok(value)),
            Err(problem) => {
                let message = format!("the response is not JSON: {problem}");
                self.finish(id, Err(FunctionError { error_type: "Runtime.InvalidResponse".to_owned(), message }))
            }
        }
    }

    fn finish(&self, id: &str, outcome: Result<Value, FunctionError>) -> Response<Full<Bytes>> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.as_deref() != Some(id) {
            return error(StatusCode::BAD_REQUEST, "InvalidRequestID", "Invalid request ID");
        }
        *current = None;
        self.report(Report::Outcome(outcome))
    }

    fn report(&self, report: Report) -> Response<Full<Bytes>> {
        let _ = self.reports.send(report);
        answer(StatusCode::ACCEPTED, &json!({ "status": "OK" }))
    }
}

/// The body of an error report; fields that are missing stay empty, as in Lambda.
fn function_error(body: &Bytes) -> FunctionError {
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct Body {
        error_type: String,
        error_message: String,
    }
    let Body { error_type, error_message } = serde_json::from_slice(body).unwrap_or_default();
    FunctionError { error_type, message: error_message }
}

fn error(status: StatusCode, error_type: &str, message: &str) -> Response<Full<Bytes>> {
    answer(status, &json!({ "errorType": error_type, "errorMessage": message }))
}

fn answer(status: StatusCode, body: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body.to_string()));
    *response.status_mut() = status;
    response
}
