//! One vendor on one TCP port. The accept loop is ours, so that a fault can really cut a connection.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use hyper::{
    body::{Body, Frame, Incoming, SizeHint},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::Sleep,
};

use crate::{
    clock::SandboxClock,
    control,
    faults::{FaultKind, Faults},
    traffic::{RecordedRequest, Traffic},
};

/// Bodies above this are refused unread; both vendors' own limits are lower.
const MAX_BODY: usize = 32 << 20;
/// A truncated answer waits so long before it breaks off, so that its first half leaves the buffers.
const BEFORE_THE_BREAK: Duration = Duration::from_millis(30);

/// A whole request.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON, or a plain sentence about what is wrong with it.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, String> {
        serde_json::from_slice(&self.body).map_err(|error| error.to_string())
    }

    /// Path segments without the leading slash.
    pub(crate) fn segments(&self) -> Vec<&str> {
        self.path.trim_start_matches('/').split('/').collect()
    }
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new() }
    }

    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::with_type(status, "application/json; charset=utf-8", body.to_string())
    }

    pub(crate) fn with_type(status: u16, media_type: &str, body: impl Into<Bytes>) -> Self {
        Self { status, headers: vec![("content-type".into(), media_type.into())], body: body.into() }
    }

    pub(crate) fn header(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }
}

/// What a server needs to know of the vendor behind it. Answers come from memory, so nothing here waits.
pub(crate) trait Vendor: Send + Sync + 'static {
    fn answer(&self, request: &Request) -> Answer;
    fn control(&self, request: &Request) -> Answer;
    fn faults(&self) -> &Faults;
    fn traffic(&self) -> &Traffic;
    fn clock(&self) -> &SandboxClock;
    /// Whether request bodies are worth keeping.
    fn keep_bodies(&self) -> bool;
}

/// Binds `listen` and serves `vendor` on it until `stop` changes. Returns the bound address.
pub(crate) async fn serve(
    listen: SocketAddr,
    vendor: Arc<dyn Vendor>,
    mut stop: watch::Receiver<bool>,
) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(listen).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                // A change is a stop; an error means that the sandbox is gone.
                _ = stop.changed() => break,
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => { connections.spawn(connection(stream, Arc::clone(&vendor))); }
                    // Out of file descriptors, usually: a moment later there may be some.
                    Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                },
            }
        }
    });
    Ok(address)
}

async fn connection(stream: TcpStream, vendor: Arc<dyn Vendor>) {
    // Without this, small answers wait for the peer's delayed acknowledgement.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| exchange(Arc::clone(&vendor), request));
    // An error here is a fault at work or a peer that left; either way the connection is over.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// The service's error: hyper answers it by closing the connection without a word.
#[derive(Debug, thiserror::Error)]
#[error("connection cut on purpose")]
struct Cut;

async fn exchange(vendor: Arc<dyn Vendor>, request: hyper::Request<Incoming>) -> Result<http::Response<Reply>, Cut> {
    let (parts, body) = request.into_parts();
    let Ok(body) = Limited::new(body, MAX_BODY).collect().await else {
        return Ok(whole(Answer::empty(413)));
    };
    let request = Request {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        query: query(parts.uri.query().unwrap_or_default()),
        headers: parts.headers,
        body: body.to_bytes(),
    };
    if request.path.starts_with("/_sandbox/") {
        return Ok(whole(control::common(&*vendor, &request).unwrap_or_else(|| vendor.control(&request))));
    }
    let path = parts.uri.path_and_query().map_or_else(|| request.path.clone(), |whole| whole.as_str().to_owned());
    let reply = faulty(&*vendor, &request).await;
    let record = RecordedRequest {
        at_ms: vendor.clock().now_ms(),
        method: request.method.to_string(),
        path,
        status: reply.as_ref().map_or(0, |reply| reply.status().as_u16()),
        body: request.body,
    };
    vendor.traffic().record(record, vendor.keep_bodies());
    reply
}

async fn faulty(vendor: &dyn Vendor, request: &Request) -> Result<http::Response<Reply>, Cut> {
    let verdict = vendor.faults().decide(request.method.as_str(), &request.path);
    if !verdict.delay.is_zero() {
        tokio::time::sleep(verdict.delay).await;
    }
    match verdict.kind {
        None | Some(FaultKind::Slow { .. }) => Ok(whole(vendor.answer(request))),
        Some(FaultKind::Before) => Err(Cut),
        Some(FaultKind::After) => {
            vendor.answer(request);
            Err(Cut)
        }
        Some(FaultKind::Hang) => std::future::pending().await,
        Some(FaultKind::HangAfter) => {
            vendor.answer(request);
            std::future::pending().await
        }
        Some(FaultKind::Status { status, body, headers }) => Ok(whole(Answer { status, headers, body: body.into() })),
        Some(FaultKind::EmptyBody) => Ok(whole(Answer { body: Bytes::new(), ..vendor.answer(request) })),
        Some(FaultKind::Truncated) => Ok(truncated(vendor.answer(request))),
    }
}

fn whole(answer: Answer) -> http::Response<Reply> {
    let body = answer.body.clone();
    response(&answer, Reply::Whole(Some(body)))
}

fn truncated(answer: Answer) -> http::Response<Reply> {
    let half = answer.body.slice(..answer.body.len() / 2);
    let wait = Box::pin(tokio::time::sleep(BEFORE_THE_BREAK));
    let mut response = response(&answer, Reply::Half { half: Some(half), wait });
    // One byte more than there will ever be, for answers without a body too.
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(answer.body.len().max(1)));
    response
}

fn response(answer: &Answer, body: Reply) -> http::Response<Reply> {
    let mut response = http::Response::new(body);
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in &answer.headers {
        // Faults may carry any text as a header; what HTTP cannot hold is left out.
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name.as_str()), HeaderValue::try_from(value.as_str())) {
            response.headers_mut().append(name, value);
        }
    }
    response
}

#[derive(Debug)]
enum Reply {
    Whole(Option<Bytes>),
    Half { half: Option<Bytes>, wait: Pin<Box<Sleep>> },
}

impl Body for Reply {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match self.get_mut() {
            Self::Whole(body) => {
                Poll::Ready(body.take().filter(|body| !body.is_empty()).map(|body| Ok(Frame::data(body))))
            }
            Self::Half { half, wait } => match half.take().filter(|half| !half.is_empty()) {
                Some(half) => Poll::Ready(Some(Ok(Frame::data(half)))),
                None => wait.as_mut().poll(context).map(|()| Some(Err(io::Error::other("cut on purpose")))),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(body) if body.as_ref().is_none_or(Bytes::is_empty))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => SizeHint::with_exact(body.as_ref().map_or(0, Bytes::len) as u64),
            Self::Half { .. } => SizeHint::default(),
        }
    }
}

/// Decodes a query string; what is not valid percent-encoding is kept as it is.
pub(crate) fn query(text: &str) -> Vec<(String, String)> {
    let pair = |pair: &str| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (percent_decode(key), percent_decode(value))
    };
    text.split('&').filter(|pair| !pair.is_empty()).map(pair).collect()
}

fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let escaped = bytes.get(at + 1..at + 3).filter(|_| byte == b'%').and_then(|pair| hex::decode(pair).ok());
        match escaped.as_deref() {
            Some([decoded]) => {
                out.push(*decoded);
                at += 3;
            }
            _ => {
                out.push(if byte == b'+' { b' ' } else { byte });
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_decoded() {
        let decoded = query("filter=equals%28a%2C%22b+c%22%29&page[size]=5&bad=%zz&&x");
        assert_eq!(decoded[0], ("filter".into(), "equals(a,\"b c\")".into()));
        assert_eq!(decoded[1], ("page[size]".into(), "5".into()));
        assert_eq!(decoded[2].1, "%zz");
        assert_eq!(decoded[3], ("x".into(), String::new()));
    }
}
