//! A small HTTP client and a webhook receiver for the tests.
#![allow(clippy::allow_attributes, dead_code, reason = "each test file uses a part of this")]

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use sandbox::{Sandbox, SandboxClock, SandboxConfig};
use serde_json::{Value, json};

pub(crate) const NOW: i64 = 1_790_000_000;

pub(crate) async fn start() -> Sandbox {
    let config = SandboxConfig { clock: SandboxClock::manual(NOW), ..SandboxConfig::default() };
    Sandbox::start(config).await.expect("starts")
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) text: String,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap_or_default())
    }

    /// Pointers of a JSON:API error list.
    pub(crate) fn pointers(&self) -> Vec<String> {
        let errors = self.json()["errors"].as_array().cloned().unwrap_or_default();
        errors.iter().map(|error| error["source"]["pointer"].as_str().unwrap_or_default().to_owned()).collect()
    }
}

pub(crate) async fn send(method: &str, url: &str, headers: &[(&str, &str)], body: Bytes) -> Result<Reply, String> {
    let client: Client<HttpConnector, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let mut request = http::Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(body)).expect("a request");
    let response = client.request(request).await.map_err(|error| error.to_string())?;
    let (parts, body) = response.into_parts();
    let body = body.collect().await.map_err(|error| format!("body: {error}"))?.to_bytes();
    Ok(Reply {
        status: parts.status.as_u16(),
        headers: parts.headers,
        text: String::from_utf8_lossy(&body).into_owned(),
    })
}

pub(crate) const KLAVIYO: [(&str, &str); 4] = [
    ("authorization", "Klaviyo-API-Key pk_sandbox"),
    ("revision", "2026-07-15"),
    ("content-type", "application/vnd.api+json"),
    ("accept", "application/vnd.api+json"),
];
pub(crate) const INTERCOM: [(&str, &str); 3] =
    [("authorization", "Bearer sandbox-access-token"), ("accept", "application/json"), ("intercom-version", "2.16")];

pub(crate) async fn klaviyo(sandbox: &Sandbox, method: &str, path: &str, body: &Value) -> Reply {
    let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
    send(method, &format!("{}{path}", sandbox.klaviyo_url()), &KLAVIYO, body).await.expect("an answer")
}

pub(crate) async fn intercom(sandbox: &Sandbox, method: &str, path: &str, body: &Value) -> Reply {
    let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
    send(method, &format!("{}{path}", sandbox.intercom_url()), &INTERCOM, body).await.expect("an answer")
}

pub(crate) fn event(key: &str, email: &str) -> Value {
    json!({
        "type": "event",
        "attributes": {
            "properties": { "Ticket ID": "123" }, "time": "2026-07-01T10:20:30+00:00", "unique_id": key, "backfill": false,
            "metric": { "data": { "type": "metric", "attributes": { "name": "Intercom Created Ticket" } } },
            "profile": { "data": { "type": "profile", "attributes": { "email": email } } },
        },
    })
}

pub(crate) fn bulk(events: &[(&str, &str)]) -> Value {
    let group = |(key, email): &(&str, &str)| {
        let mut event = event(key, email);
        let profile = event["attributes"]["profile"].take();
        event["attributes"].as_object_mut().expect("an object").remove("profile");
        json!({
            "type": "event-bulk-create",
            "attributes": { "backfill": true, "profile": profile, "events": { "data": [event] } },
        })
    };
    let groups: Vec<Value> = events.iter().map(group).collect();
    json!({ "data": {
        "type": "event-bulk-create-job", "attributes": { "events-bulk-create": { "data": groups } },
    } })
}

/// What a webhook receiver got.
#[derive(Clone, Debug)]
pub(crate) struct Hit {
    pub(crate) method: String,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Bytes,
}

impl Hit {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// A receiver that answers with the given statuses in turn, then 200.
pub(crate) struct Receiver {
    pub(crate) url: String,
    pub(crate) hits: Arc<Mutex<Vec<Hit>>>,
}

impl Receiver {
    pub(crate) async fn start(statuses: &[u16]) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let url = format!("http://{}/webhooks/intercom", listener.local_addr().expect("an address"));
        let hits: Arc<Mutex<Vec<Hit>>> = Arc::default();
        let statuses = Arc::new(Mutex::new(statuses.iter().rev().copied().collect::<Vec<u16>>()));
        let seen = Arc::clone(&hits);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (seen, statuses) = (Arc::clone(&seen), Arc::clone(&statuses));
                let service = service_fn(move |request: hyper::Request<Incoming>| {
                    let (seen, statuses) = (Arc::clone(&seen), Arc::clone(&statuses));
                    async move {
                        let (parts, body) = request.into_parts();
                        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
                        let hit = Hit { method: parts.method.to_string(), headers: parts.headers, body };
                        seen.lock().expect("not poisoned").push(hit);
                        let status = statuses.lock().expect("not poisoned").pop().unwrap_or(200);
                        let response = http::Response::builder().status(status).body(Full::new(Bytes::new()));
                        Ok::<_, Infallible>(response.expect("a response"))
                    }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { url, hits }
    }

    pub(crate) fn hits(&self) -> Vec<Hit> {
        self.hits.lock().expect("not poisoned").clone()
    }
}
