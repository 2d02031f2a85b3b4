//! HTTP on loopback, or in place of it: requests in, the world's reactions out.

use std::convert::Infallible;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, server::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::Aws;
use super::wire;

/// What a client gets.
pub(crate) enum Reaction {
    Answer(Response<Bytes>),
    /// Nothing, as long as it waits.
    Silence,
    /// A closed connection.
    Disconnect,
}

/// No answer: the connection was closed.
#[derive(Debug, thiserror::Error)]
#[error("the simulated network dropped the connection")]
pub struct Disconnected;

/// Answers until it is dropped, and its connections with it.
pub(super) async fn serve(aws: Aws, listener: TcpListener) -> Infallible {
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                connections.spawn(serve_connection(aws.clone(), stream));
            }
            // Most likely too many open files: some connection must end first.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn serve_connection(aws: Aws, stream: TcpStream) {
    // Answers are small: without this, each would wait for the acknowledgement of the one before.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| answer_connection(aws.clone(), request));
    // An error here is a client that went away, or a connection that a fault dropped.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// An error makes hyper close the connection.
async fn answer_connection(aws: Aws, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Disconnected> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Disconnected)?.to_bytes();
    Ok(answer(&aws, Request::from_parts(head, body)).await?.map(Full::new))
}

/// Carries a request out, after some time, and has its answer on the way for some time.
pub(super) async fn answer(aws: &Aws, request: Request<Bytes>) -> Result<Response<Bytes>, Disconnected> {
    let (head, body) = request.into_parts();
    let latency = aws.next_latency();
    pass(latency.there).await;
    match aws.react(&wire::Request { head, body }) {
        Reaction::Answer(response) => {
            pass(latency.back).await;
            Ok(response)
        }
        Reaction::Silence => std::future::pending().await,
        Reaction::Disconnect => Err(Disconnected),
    }
}

async fn pass(time: Duration) {
    // Even a sleep of no time waits for the timer's next millisecond.
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}
