//! The HTTP server: an accept loop of its own, so that slow and greedy clients meet limits before they meet the product.
//!
//! The webhook is answered before the console's router is asked: it is called thousands of times a second and passes through no
//! middleware.

mod body;
#[cfg(test)]
mod tests;
mod webhook;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use app::ports::{Clock, Inbox};
use axum::Router;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tower::ServiceExt as _;

pub(crate) use body::{BodyLimits, BodyReader};
pub(crate) use webhook::Webhook;

/// The webhook's path.
pub(crate) const WEBHOOK_PATH: &str = "/webhooks/intercom";

/// Most connections at the same time, up to 20 KB each; fewer where the process may not open that many files.
const MAX_CONNECTIONS: usize = 1_536;

/// Time for a request's head, and for a connection to stay idle.
const HEAD_TIME: Duration = Duration::from_secs(10);

/// Largest head, and the read buffer of a connection.
const BUFFER: usize = 16 * 1024;

type Answered = Response<Either<Full<Bytes>, axum::body::Body>>;

/// What is served on one listener.
#[derive(Debug)]
pub(crate) struct Site<I, C> {
    /// The webhook, where this listener has it.
    pub(crate) webhook: Option<Webhook<I, C>>,
    /// Everything else.
    pub(crate) router: Router,
}

impl<I: Inbox, C: Clock> Site<I, C> {
    async fn answer(&self, request: Request<Incoming>) -> Result<Answered, Infallible> {
        if let Some(webhook) = &self.webhook
            && request.uri().path() == WEBHOOK_PATH
        {
            return Ok(webhook.answer(request).await.map(Either::Left));
        }
        self.router.clone().oneshot(request).await.map(|response| response.map(Either::Right))
    }
}

/// Serves until `stop` is done, then lets running requests finish for at most `grace`.
pub(crate) async fn serve<I, C>(
    listener: TcpListener,
    site: Arc<Site<I, C>>,
    stop: impl Future<Output = ()>,
    grace: Duration,
) where
    I: Inbox + 'static,
    C: Clock + 'static,
{
    let connections = Arc::new(Semaphore::new(connection_limit()));
    let graceful = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let next = async {
            let permit = Arc::clone(&connections).acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            () = &mut stop => break,
            next = next => next,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                wait_after(&error).await;
                continue;
            }
        };
        let connection = graceful.watch(connection(stream, Arc::clone(&site)));
        tokio::spawn(async move {
            // Broken connections are the client's business.
            let _ = connection.await;
            drop(permit);
        });
    }
    drop(listener);
    if tokio::time::timeout(grace, graceful.shutdown()).await.is_err() {
        tracing::warn!("some connections did not finish in time and were cut");
    }
}

fn connection<I, C>(
    stream: TcpStream,
    site: Arc<Site<I, C>>,
) -> impl hyper_util::server::graceful::GracefulConnection<Error = hyper::Error> + Send
where
    I: Inbox + 'static,
    C: Clock + 'static,
{
    // Answers are small and complete: waiting to fill a packet only delays them. Fails on a dead socket, which the next read says.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let site = Arc::clone(&site);
        async move { site.answer(request).await }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(stream), service)
}

async fn wait_after(error: &io::Error) {
    let of_the_client = [io::ErrorKind::ConnectionAborted, io::ErrorKind::ConnectionReset, io::ErrorKind::Interrupted];
    if of_the_client.contains(&error.kind()) {
        return;
    }
    // Most likely out of file descriptors: connections that end make room.
    tracing::warn!(%error, "a connection could not be accepted");
    tokio::time::sleep(Duration::from_millis(100)).await;
}

/// Raises the limit of open files as far as it goes without privileges, and leaves some for the store and for calls to the vendors.
fn connection_limit() -> usize {
    const RESERVE: usize = 100;
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let wanted = (MAX_CONNECTIONS + RESERVE) as u64;
    let limit = getrlimit(Resource::Nofile);
    let possible = limit.maximum.unwrap_or(u64::MAX).min(wanted);
    let current = limit.current.unwrap_or(u64::MAX);
    let raised = current >= possible
        || setrlimit(Resource::Nofile, Rlimit { current: Some(possible), maximum: limit.maximum }).is_ok();
    let files = if raised { current.max(possible) } else { current };
    usize::try_from(files).unwrap_or(usize::MAX).saturating_sub(RESERVE).clamp(16, MAX_CONNECTIONS)
}

/// Binds a listener, or says in one sentence why not.
pub(crate) async fn bind(address: SocketAddr, variable: &str) -> Result<TcpListener, String> {
    TcpListener::bind(address).await.map_err(|error| {
        format!("cannot listen on {address}: {error}; free the port or set {variable} to another address")
    })
}
