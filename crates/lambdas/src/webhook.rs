//! The webhook function: Lambda's request in, the webhook's answer out, the client secret kept fresh.

use std::sync::{Arc, Mutex, PoisonError};

use app::environment::CLIENT_SECRET;
use app::ports::{Clock, Inbox};
use app::receive::{Answer, Receiver};
use aws::secrets::{SecretReader, Secrets};
use bytes::Bytes;
use domain::ClientSecrets;
use http::{HeaderValue, StatusCode, header};
use lambda_http::{Body, Request, Response};
use secrecy::{ExposeSecret as _, SecretString};

/// Where the webhook answers: as everywhere, and at the root of the function's URL.
const PATHS: [&str; 3] = ["/", "", "/webhooks/intercom"];

/// Answers webhook calls.
#[derive(Debug)]
pub struct Webhook<I, C, R> {
    inbox: I,
    clock: C,
    secrets: Secrets<R>,
    built: Mutex<Option<Built<I, C>>>,
}

#[derive(Debug)]
struct Built<I, C> {
    secret: Option<SecretString>,
    receiver: Arc<Receiver<I, C>>,
}

impl<I: Inbox + Clone, C: Clock + Clone, R: SecretReader> Webhook<I, C, R> {
    /// Reads nothing yet.
    pub fn new(inbox: I, clock: C, secrets: Secrets<R>) -> Self {
        Self { inbox, clock, secrets, built: Mutex::default() }
    }

    /// Reads the secret, so that the first call need not wait for it.
    pub async fn prepare(&self) {
        self.receiver().await;
    }

    /// Answers one call. Never fails: Lambda would answer 502 in our place.
    pub async fn answer(&self, request: Request) -> Response<Body> {
        if !PATHS.contains(&request.uri().path()) {
            let body = r#"{"error":"the webhook is at / and at /webhooks/intercom"}"#;
            return response(Answer { status: StatusCode::NOT_FOUND, body });
        }
        let (parts, body) = request.into_parts();
        let receiver = self.receiver().await;
        if let Some(answer) = receiver.before_body(&parts.method, &parts.headers) {
            return response(answer);
        }
        let body = match body {
            Body::Text(text) => Bytes::from(text),
            Body::Binary(bytes) => Bytes::from(bytes),
            _ => Bytes::new(),
        };
        let answer = receiver.receive(&parts.headers, body.clone()).await;
        if answer.status == StatusCode::UNAUTHORIZED && self.has_newer_secret().await {
            return response(self.receiver().await.receive(&parts.headers, body).await);
        }
        response(answer)
    }

    /// The receiver for the secret of today. Without a secret that can be used it answers 503, and Intercom tries again.
    async fn receiver(&self) -> Arc<Receiver<I, C>> {
        let secret = self.secrets.get(CLIENT_SECRET, self.clock.now()).await;
        let secret = secret.map_err(|error| tracing::error!(%error, "webhooks cannot be verified: answering 503")).ok();
        let mut built = self.built.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(built) = built.as_ref().filter(|built| same(built.secret.as_ref(), secret.as_ref())) {
            return Arc::clone(&built.receiver);
        }
        let secrets = secret.as_ref().and_then(|list| {
            let read = ClientSecrets::parse(list);
            read.map_err(|error| tracing::error!("{CLIENT_SECRET} {error}: answering 503")).ok()
        });
        let receiver = Arc::new(Receiver::new(self.inbox.clone(), self.clock.clone(), secrets));
        *built = Some(Built { secret, receiver: Arc::clone(&receiver) });
        receiver
    }

    /// Whether a wrong signature may come from a secret that was rotated since we read it.
    async fn has_newer_secret(&self) -> bool {
        match self.secrets.refresh(CLIENT_SECRET, self.clock.now()).await {
            Ok(newer) => newer,
            Err(error) => {
                tracing::warn!(%error, "the secret could not be read again");
                false
            }
        }
    }
}

fn same(one: Option<&SecretString>, other: Option<&SecretString>) -> bool {
    one.map(|secret| secret.expose_secret()) == other.map(|secret| secret.expose_secret())
}

fn response(answer: Answer) -> Response<Body> {
    let body = if answer.body.is_empty() { Body::Empty } else { Body::Text(answer.body.to_owned()) };
    let mut response = Response::new(body);
    *response.status_mut() = answer.status;
    if !answer.body.is_empty() {
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    response
}
