//! HTTP on loopback: connections in, the world's reactions out.

use std::convert::Infallible;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Response, server::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::Aws;
use super::wire::Request;

/// What a client gets.
pub(crate) enum Reaction {
    Answer(Response<Full<Bytes>>),
    /// Nothing, as long as it waits.
    Silence,
    /// A closed connection.
    Disconnect,
}

/// Makes hyper close the connection without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the simulated network dropped the connection")]
struct Disconnected;

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
    let service = service_fn(move |request| answer(aws.clone(), request));
    // An error here is a client that went away, or a connection that a fault dropped.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(aws: Aws, request: hyper::Request<Incoming>) -> Result<Response<Full<Bytes>>, Disconnected> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Disconnected)?.to_bytes();
    let latency = aws.next_latency();
    // Even a sleep of no time waits for the timer's next millisecond.
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    match aws.react(&Request { head, body }) {
        Reaction::Answer(response) => Ok(response),
        Reaction::Silence => std::future::pending().await,
        Reaction::Disconnect => Err(Disconnected),
    }
}
