//! Delivery of notifications: signed, with one retry, recorded.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::Method;
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha1::Sha1;
use sha2::Sha256;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

use crate::{clock::SandboxClock, rng::Rng};

/// What Intercom calls itself.
const USER_AGENT: &str = "intercom-parrot-service-client/1.0";
/// With shuffling on, so long is waited for more to shuffle with.
const GATHER: Duration = Duration::from_millis(20);
/// Divided among the deliveries that may be under way at once.
const PERMITS: usize = 1_024;

/// The value of `X-Hub-Signature` for a body.
pub fn sign(body: &[u8], client_secret: &str) -> String {
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(client_secret.as_bytes()) else { return String::new() };
    mac.update(body);
    format!("sha1={}", hex::encode(mac.finalize().into_bytes()))
}

/// The value of `X-Body-Signature` for a body.
pub fn sign_lifecycle(body: &[u8], client_secret: &str) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(client_secret.as_bytes()) else { return String::new() };
    mac.update(body);
    hex::encode(mac.finalize().into_bytes())
}

/// How notifications are delivered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeliveryOptions {
    /// Milliseconds of the sandbox's clock between a failure and its only retry. Intercom: 60,000.
    pub retry_after_ms: u64,
    /// Milliseconds of real time a receiver has. Intercom: 5,000.
    pub timeout_ms: u64,
    /// How many deliveries are under way at once.
    pub concurrency: usize,
    /// Share (0.0 to 1.0) of notifications that arrive a second time although they were accepted.
    pub duplicate_share: f64,
    /// Share (0.0 to 1.0) of notifications that never arrive.
    pub drop_share: f64,
    /// Notifications shuffled with one another; 0 and 1 keep the order.
    pub shuffle_window: usize,
    /// Decides which ones are dropped, doubled and moved.
    pub seed: u64,
}

impl Default for DeliveryOptions {
    fn default() -> Self {
        Self {
            retry_after_ms: 60_000,
            timeout_ms: 5_000,
            concurrency: 4,
            duplicate_share: 0.0,
            drop_share: 0.0,
            shuffle_window: 0,
            seed: 1,
        }
    }
}

/// Where a notification stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// On its way, or waiting for its retry.
    Waiting,
    /// Answered 2xx.
    Delivered,
    /// Failed twice, or the subscription is disabled.
    Lost,
    /// Never sent, because of [`DeliveryOptions::drop_share`].
    Dropped,
}

/// One POST.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Attempt {
    /// When it began, Unix milliseconds of the sandbox's clock.
    pub at_ms: i64,
    /// How long the answer took, milliseconds of real time.
    pub took_ms: u64,
    /// The answer; `None` when there was none.
    pub status: Option<u16>,
    /// Why there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Attempt {
    fn accepted(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }
}

/// The fate of one notification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Delivery {
    /// The notification's id; empty for pings.
    pub id: String,
    /// Its topic.
    pub topic: String,
    /// Where it stands.
    pub state: DeliveryState,
    /// Every POST, in order; deliberate duplicates included.
    pub attempts: Vec<Attempt>,
}

/// A notification to deliver.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) id: String,
    pub(crate) topic: String,
    pub(crate) body: Bytes,
    pub(crate) not_before_ms: i64,
}

#[derive(Debug, Default)]
struct Record {
    deliveries: Vec<Delivery>,
    url: Option<String>,
    enabled: bool,
    options: DeliveryOptions,
    rng: Option<Rng>,
}

/// Takes jobs and sees them through. Lives on the runtime the sandbox was started on.
#[derive(Debug)]
pub(crate) struct Courier {
    record: Mutex<Record>,
    pending: watch::Sender<usize>,
    queue: mpsc::UnboundedSender<(usize, Job)>,
    client: Client<HttpConnector, Full<Bytes>>,
    secret: String,
    clock: SandboxClock,
}

impl Courier {
    /// Must be called on a runtime: the dispatcher is spawned here, and ends with the courier.
    pub(crate) fn start(secret: &str, clock: SandboxClock) -> Arc<Self> {
        let (queue, jobs) = mpsc::unbounded_channel();
        let courier = Arc::new(Self {
            record: Mutex::new(Record { enabled: true, ..Record::default() }),
            pending: watch::Sender::new(0),
            queue,
            client: Client::builder(TokioExecutor::new()).build_http(),
            secret: secret.to_owned(),
            clock,
        });
        tokio::spawn(dispatch(Arc::downgrade(&courier), jobs));
        courier
    }

    pub(crate) fn set_url(&self, url: Option<String>) {
        let mut record = self.lock();
        record.url = url.filter(|url| !url.is_empty());
        record.enabled = true;
    }

    pub(crate) fn set_options(&self, options: DeliveryOptions) {
        let mut record = self.lock();
        record.rng = Some(Rng::new(options.seed));
        record.options = options;
    }

    pub(crate) fn options(&self) -> DeliveryOptions {
        self.lock().options.clone()
    }

    pub(crate) fn enabled(&self) -> bool {
        self.lock().enabled
    }

    pub(crate) fn deliveries(&self) -> Vec<Delivery> {
        self.lock().deliveries.clone()
    }

    /// Queues a job when there is somewhere to deliver to.
    pub(crate) fn enqueue(&self, job: Job) {
        let mut record = self.lock();
        if record.url.is_none() {
            return;
        }
        let drop_share = record.options.drop_share;
        let dropped = drop_share > 0.0 && record.rng.get_or_insert_with(|| Rng::new(1)).chance(drop_share);
        let state = match (record.enabled, dropped) {
            (false, _) => DeliveryState::Lost,
            (true, true) => DeliveryState::Dropped,
            (true, false) => DeliveryState::Waiting,
        };
        let index = record.deliveries.len();
        record.deliveries.push(Delivery { id: job.id.clone(), topic: job.topic.clone(), state, attempts: Vec::new() });
        drop(record);
        if state == DeliveryState::Waiting {
            self.pending.send_modify(|pending| *pending += 1);
            // The receiver lives as long as the runtime; after that nobody waits any more.
            let _ = self.queue.send((index, job));
        }
    }

    /// Waits until nothing is on its way or waiting for a retry.
    pub(crate) async fn idle(&self) {
        let _ = self.pending.subscribe().wait_for(|pending| *pending == 0).await;
    }

    async fn deliver(&self, index: usize, job: Job, permit: Option<OwnedSemaphorePermit>) {
        let first = self.attempt(index, &job.body).await;
        // Waiting for a retry keeps nobody else waiting.
        drop(permit);
        if first.accepted() {
            self.finish(index, DeliveryState::Delivered);
            let share = self.options().duplicate_share;
            if share > 0.0 && self.lock().rng.get_or_insert_with(|| Rng::new(1)).chance(share) {
                self.attempt(index, &as_retry(&job.body)).await;
            }
            return;
        }
        if first.status == Some(410) {
            self.lock().enabled = false;
            self.finish(index, DeliveryState::Lost);
            return;
        }
        let wait = i64::try_from(self.options().retry_after_ms).unwrap_or(i64::MAX);
        self.clock.sleep_until_ms(first.at_ms.saturating_add(wait)).await;
        let second = self.attempt(index, &as_retry(&job.body)).await;
        if second.status == Some(410) {
            self.lock().enabled = false;
        }
        self.finish(index, if second.accepted() { DeliveryState::Delivered } else { DeliveryState::Lost });
    }

    async fn attempt(&self, index: usize, body: &Bytes) -> Attempt {
        let url = self.lock().url.clone().unwrap_or_default();
        let at_ms = self.clock.now_ms();
        let began = std::time::Instant::now();
        let signature = ("x-hub-signature", sign(body, &self.secret));
        let answer = self.send(Method::POST, &url, body.clone(), Some(signature)).await;
        let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let attempt = match answer {
            Ok(status) => Attempt { at_ms, took_ms, status: Some(status), error: None },
            Err(error) => Attempt { at_ms, took_ms, status: None, error: Some(error) },
        };
        if let Some(delivery) = self.lock().deliveries.get_mut(index) {
            delivery.attempts.push(attempt.clone());
        }
        attempt
    }

    /// `HEAD`, as Intercom does when the URL is saved.
    pub(crate) async fn probe(&self) -> Result<u16, String> {
        let url = self.lock().url.clone().ok_or("no webhook URL is set")?;
        self.send(Method::HEAD, &url, Bytes::new(), None).await
    }

    /// A lifecycle call, which is signed its own way.
    pub(crate) async fn lifecycle(&self, body: &Value) -> Result<u16, String> {
        let url = self.lock().url.clone().ok_or("no webhook URL is set")?;
        let body = Bytes::from(body.to_string());
        let signature = ("x-body-signature", sign_lifecycle(&body, &self.secret));
        self.send(Method::POST, &url, body, Some(signature)).await
    }

    async fn send(
        &self,
        method: Method,
        url: &str,
        body: Bytes,
        signature: Option<(&str, String)>,
    ) -> Result<u16, String> {
        let mut request = http::Request::builder().method(method).uri(url).header("user-agent", USER_AGENT);
        if let Some((name, value)) = signature {
            request = request
                .header("accept", "application/json")
                .header("content-type", "application/json")
                .header(name, value);
        }
        let request = request.body(Full::new(body)).map_err(|error| error.to_string())?;
        let limit = Duration::from_millis(self.options().timeout_ms);
        let exchange = async {
            let response = self.client.request(request).await.map_err(|error| error.to_string())?;
            let status = response.status().as_u16();
            // Read to the end, or the connection cannot be used again.
            let _ = response.into_body().collect().await;
            Ok(status)
        };
        tokio::time::timeout(limit, exchange).await.unwrap_or_else(|_| Err("no answer in time".into()))
    }

    fn finish(&self, index: usize, state: DeliveryState) {
        if let Some(delivery) = self.lock().deliveries.get_mut(index) {
            delivery.state = state;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn dispatch(courier: std::sync::Weak<Courier>, mut jobs: mpsc::UnboundedReceiver<(usize, Job)>) {
    let permits = Arc::new(Semaphore::new(PERMITS));
    while let Some(first) = jobs.recv().await {
        let Some(courier) = courier.upgrade() else { return };
        let mut batch = vec![first];
        let options = courier.options();
        if options.shuffle_window > 1 {
            tokio::time::sleep(GATHER).await;
            while batch.len() < options.shuffle_window {
                let Ok(job) = jobs.try_recv() else { break };
                batch.push(job);
            }
            courier.lock().rng.get_or_insert_with(|| Rng::new(1)).shuffle(&mut batch);
        }
        for (index, job) in batch {
            // A share of the permits each, so that `concurrency` can change while deliveries are under way.
            let share = u32::try_from(PERMITS / options.concurrency.clamp(1, PERMITS)).unwrap_or(1);
            let immediate = job.not_before_ms <= courier.clock.now_ms();
            let permit = if immediate { Arc::clone(&permits).acquire_many_owned(share).await.ok() } else { None };
            let courier = Arc::clone(&courier);
            tokio::spawn(async move {
                courier.clock.sleep_until_ms(job.not_before_ms).await;
                courier.deliver(index, job, permit).await;
                courier.pending.send_modify(|pending| *pending = pending.saturating_sub(1));
            });
        }
    }
}

/// The same notification the second time: its body says so, and with it the signature changes.
pub(super) fn as_retry(body: &Bytes) -> Bytes {
    let Ok(mut value) = serde_json::from_slice::<Value>(body) else { return body.clone() };
    value["delivery_status"] = json!("retry");
    value["delivery_attempts"] = json!(2);
    Bytes::from(value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_match_known_values() {
        // RFC 2202 and RFC 4231, test case 2.
        let body = b"what do ya want for nothing?";
        assert_eq!(sign(body, "Jefe"), "sha1=effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
        assert_eq!(sign_lifecycle(body, "Jefe"), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }
}
