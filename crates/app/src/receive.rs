//! The webhook: verify the raw bytes, put the notification on the queue, answer. Nothing else.
//!
//! Answers (<https://developers.intercom.com/docs/webhooks/webhook-notifications>): 200 once the notification is durable, for
//! every topic, because Intercom counts other answers against the subscription; 401 for a wrong signature; 503 within three
//! seconds when the queue is unavailable, because Intercom then tries once more after a minute. Never 410 (it would disable the
//! subscription) and never 429 (it would delay all notifications and drop those older than two hours).

use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use domain::signature::{SignatureHeaders, verify};
use domain::trim::trim;
use domain::{ClientSecrets, SignatureScheme};
use futures_util::future::{Either, select};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use jiff::Timestamp;

use crate::ports::{Accepted, Clock, Inbox};

/// Largest body that is read, in bytes.
pub const MAX_BODY_BYTES: u64 = 6 * 1024 * 1024;

/// How long the queue may take before we answer 503; the rest of the three seconds is for the network.
const QUEUE_PATIENCE: Duration = Duration::from_millis(2_500);

/// What the webhook answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Status.
    pub status: StatusCode,
    /// JSON, or nothing.
    pub body: &'static str,
}

impl Answer {
    const fn empty(status: StatusCode) -> Self {
        Self { status, body: "" }
    }

    const fn error(status: StatusCode, body: &'static str) -> Self {
        Self { status, body }
    }

    /// The headers that go with it, except those about length and connection.
    pub fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if !self.body.is_empty() {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if self.status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(header::ALLOW, HeaderValue::from_static("HEAD, POST"));
        }
        headers
    }
}

/// The webhook's use case.
#[derive(Debug)]
pub struct Receiver<I, C> {
    inbox: I,
    clock: C,
    /// `None` while the product is being set up.
    secrets: Option<ClientSecrets>,
    refusals: Brake,
    failures: Brake,
}

impl<I: Inbox, C: Clock> Receiver<I, C> {
    /// Without secrets every POST is answered 503, so that Intercom tries again when set-up is done.
    pub fn new(inbox: I, clock: C, secrets: Option<ClientSecrets>) -> Self {
        Self { inbox, clock, secrets, refusals: Brake::default(), failures: Brake::default() }
    }

    /// The answer, where method and headers decide it: nobody sends us a body that we will not read.
    pub fn before_body(&self, method: &Method, headers: &HeaderMap) -> Option<Answer> {
        if method == Method::HEAD {
            return Some(Answer::empty(StatusCode::OK));
        }
        if method != Method::POST {
            return Some(Answer::error(StatusCode::METHOD_NOT_ALLOWED, r#"{"error":"only HEAD and POST"}"#));
        }
        if self.secrets.is_none() {
            return Some(Self::set_up());
        }
        let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        if length.is_some_and(|length| length > MAX_BODY_BYTES) {
            return Some(self.too_large());
        }
        let signatures = signatures(headers);
        if signatures.hub.is_none() && signatures.body.is_none() {
            return Some(self.refuse("the request carries no signature"));
        }
        None
    }

    /// Verifies, queues, answers. Crash story: if we die before the queue has it, no answer goes out and Intercom sends it again;
    /// if only the answer is lost, Intercom sends it again too, and the ledger makes one event of the two.
    pub async fn receive(&self, headers: &HeaderMap, body: Bytes) -> Answer {
        let Some(secrets) = &self.secrets else { return Self::set_up() };
        if body.len() as u64 > MAX_BODY_BYTES {
            return self.too_large();
        }
        let (scheme, trimmed) = match verify(secrets, signatures(headers), &body) {
            Ok(verified) => (verified.scheme(), trim(verified)),
            Err(error) => return self.refuse(&error.to_string()),
        };
        let accepted = Accepted { scheme, received_at: self.clock.now(), body: trimmed.map_or(body, Bytes::from) };
        match self.enqueue(accepted).await {
            Ok(()) if scheme == SignatureScheme::Body => Answer { status: StatusCode::OK, body: r#"{"state":"OK"}"# },
            Ok(()) => Answer::empty(StatusCode::OK),
            Err(answer) => answer,
        }
    }

    async fn enqueue(&self, accepted: Accepted) -> Result<(), Answer> {
        const BUSY: Answer =
            Answer::error(StatusCode::SERVICE_UNAVAILABLE, r#"{"error":"the queue is not available, try again"}"#);
        let accepting = std::pin::pin!(self.inbox.accept(accepted));
        let patience = std::pin::pin!(self.clock.sleep(QUEUE_PATIENCE));
        match select(accepting, patience).await {
            Either::Left((Ok(()), _)) => Ok(()),
            Either::Left((Err(error), _)) => {
                if let Some(webhooks) = self.failures.due(self.clock.now()) {
                    tracing::error!(%error, webhooks, "the queue did not take webhooks: answered 503");
                }
                Err(BUSY)
            }
            Either::Right(_) => {
                if let Some(webhooks) = self.failures.due(self.clock.now()) {
                    tracing::error!(webhooks, "webhooks waited too long for the queue: answered 503");
                }
                Err(BUSY)
            }
        }
    }

    /// 413.
    pub fn too_large(&self) -> Answer {
        Answer::error(StatusCode::PAYLOAD_TOO_LARGE, r#"{"error":"the body is larger than 6 MB"}"#)
    }

    /// 408.
    pub fn too_slow(&self) -> Answer {
        Answer::error(StatusCode::REQUEST_TIMEOUT, r#"{"error":"the body came too slowly"}"#)
    }

    fn set_up() -> Answer {
        Answer::error(StatusCode::SERVICE_UNAVAILABLE, r#"{"error":"not set up yet"}"#)
    }

    fn refuse(&self, why: &str) -> Answer {
        if let Some(calls) = self.refusals.due(self.clock.now()) {
            tracing::info!(reason = why, calls, "webhook calls refused");
        }
        Answer::error(StatusCode::UNAUTHORIZED, r#"{"error":"missing or wrong signature"}"#)
    }
}

fn signatures(headers: &HeaderMap) -> SignatureHeaders<'_> {
    SignatureHeaders {
        hub: headers.get("x-hub-signature").map(|value| value.as_bytes()),
        body: headers.get("x-body-signature").map(|value| value.as_bytes()),
    }
}

/// Lets one line a second into the log: anybody on the internet can cause a refusal, and a full disk thousands of failures.
#[derive(Debug, Default)]
struct Brake(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    second: Option<i64>,
    unlogged: u64,
}

impl Brake {
    /// How many to report, when a line is due.
    fn due(&self, now: Timestamp) -> Option<u64> {
        let mut held = self.0.lock().ok()?;
        held.unlogged += 1;
        if held.second == Some(now.as_second()) {
            return None;
        }
        held.second = Some(now.as_second());
        Some(std::mem::take(&mut held.unlogged))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_second_counts_them_all() {
        let brake = Brake::default();
        let at = |millis| Timestamp::from_millisecond(millis).expect("in range");
        assert_eq!(brake.due(at(10_000)), Some(1));
        assert_eq!(brake.due(at(10_500)), None);
        assert_eq!(brake.due(at(10_999)), None);
        assert_eq!(brake.due(at(11_000)), Some(3));
    }
}
