//! The loop over scripted answers: virtual time, no sockets.

mod delivery;
mod limits;
mod looking;
mod reading;
mod searching;
mod shared;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use app::ports::{Clock, Document, Documents, Jitter, StoreError, StoreResult, Vendor};
use bytes::Bytes;
use domain::limits::Governor;
use jiff::Timestamp;
use reqwest::header::{HeaderName, HeaderValue};
use tokio::time::Instant;

use crate::caller::Caller;
use crate::config::Timeouts;
use crate::transport::{Flaw, Outgoing, Reply, Transport};
use crate::vendors::VendorStates;

/// Virtual time: tokio's clock stands still but for sleeps, which end at once.
pub(crate) struct Virtual(Instant);

impl Virtual {
    fn start() -> Timestamp {
        Timestamp::from_second(1_700_000_000).expect("in range")
    }
}

impl Clock for Virtual {
    fn now(&self) -> Timestamp {
        Self::start() + self.0.elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

pub(crate) struct Half;

impl Jitter for Half {
    fn unit(&self) -> f64 {
        0.5
    }
}

/// Documents in a map.
#[derive(Default)]
pub(crate) struct Papers {
    kept: Mutex<HashMap<String, Document>>,
    /// Another worker's text that gets in between the next load and the save after it.
    interloper: Mutex<Option<String>>,
    broken: Mutex<bool>,
    /// Saves, and answers as if it had not.
    forgetful: Mutex<bool>,
    /// How long each call takes.
    slow: Mutex<Duration>,
    loads: Mutex<u32>,
    saves: Mutex<u32>,
}

impl Papers {
    fn get(&self, name: &str) -> Option<Document> {
        self.kept.lock().expect("sound").get(name).cloned()
    }

    fn put(&self, name: &str, body: &str) {
        let mut kept = self.kept.lock().expect("sound");
        let version = kept.get(name).map_or(0, |document| document.version) + 1;
        kept.insert(name.to_owned(), Document { version, body: body.to_owned() });
    }

    async fn take_time(&self) {
        let slow = *self.slow.lock().expect("sound");
        if slow > Duration::ZERO {
            tokio::time::sleep(slow).await;
        }
    }

    fn check(&self) -> StoreResult<()> {
        let broken = *self.broken.lock().expect("sound");
        let error = StoreError::Unavailable { store: "test", detail: "broken".to_owned() };
        if broken { Err(error) } else { Ok(()) }
    }
}

impl Documents for Papers {
    async fn load(&self, name: &str) -> StoreResult<Option<Document>> {
        self.take_time().await;
        *self.loads.lock().expect("sound") += 1;
        self.check()?;
        Ok(self.get(name))
    }

    async fn save(&self, name: &str, body: &str, expected: Option<u64>) -> StoreResult<bool> {
        self.take_time().await;
        *self.saves.lock().expect("sound") += 1;
        self.check()?;
        if let Some(other) = self.interloper.lock().expect("sound").take() {
            self.put(name, &other);
        }
        if self.get(name).map(|document| document.version) != expected {
            return Ok(false);
        }
        self.put(name, body);
        if *self.forgetful.lock().expect("sound") {
            return Err(StoreError::Unavailable { store: "test", detail: "the answer got lost".to_owned() });
        }
        Ok(true)
    }
}

/// What the vendor does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Says(u16, Vec<(&'static str, String)>, &'static str),
    /// After this time.
    Breaks(Duration, Flaw),
    Hangs,
}

fn says(status: u16) -> Step {
    Step::Says(status, Vec::new(), "")
}

fn json(body: &'static str) -> Step {
    Step::Says(200, Vec::new(), body)
}

fn with(status: u16, name: &'static str, value: impl ToString) -> Step {
    Step::Says(status, vec![(name, value.to_string())], "")
}

fn breaks(flaw: Flaw) -> Step {
    Step::Breaks(Duration::ZERO, flaw)
}

/// A request that was sent.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    ms: u128,
    path: String,
    body: Option<Bytes>,
}

/// Answers from a script; 202 when it is at its end.
pub(crate) struct Script {
    started: Instant,
    steps: Mutex<VecDeque<Step>>,
    seen: Mutex<Vec<Seen>>,
}

impl Transport for Arc<Script> {
    async fn send(&self, request: &Outgoing) -> Result<Reply, Flaw> {
        let seen =
            Seen { ms: self.started.elapsed().as_millis(), path: request.path.clone(), body: request.body.clone() };
        self.seen.lock().expect("sound").push(seen);
        tokio::time::sleep(Duration::from_millis(10)).await;
        let step = self.steps.lock().expect("sound").pop_front();
        match step.unwrap_or_else(|| says(202)) {
            Step::Says(status, headers, body) => {
                let headers = headers.iter().map(|(name, value)| {
                    (HeaderName::from_static(name), HeaderValue::from_str(value).expect("a header"))
                });
                Ok(Reply { status, headers: headers.collect(), body: Bytes::from_static(body.as_bytes()), flaw: None })
            }
            Step::Breaks(after, flaw) => {
                tokio::time::sleep(after).await;
                Err(flaw)
            }
            Step::Hangs => std::future::pending().await,
        }
    }
}

type OnScript = Caller<Arc<Script>, Virtual, Half, Papers>;
type Klaviyo = crate::klaviyo::Api<Arc<Script>, Virtual, Half, Papers>;
type Intercom = crate::intercom::Api<Arc<Script>, Virtual, Half, Papers>;

/// What a test looks at.
pub(crate) struct Stage {
    script: Arc<Script>,
    papers: Arc<Papers>,
    vendors: VendorStates<Virtual>,
    clock: Arc<Virtual>,
}

impl Stage {
    async fn new(
        vendor: Vendor,
        governor: Governor,
        papers: Arc<Papers>,
        steps: impl IntoIterator<Item = Step>,
    ) -> (Self, Arc<OnScript>) {
        let started = Instant::now();
        let steps = Mutex::new(steps.into_iter().collect());
        let script = Arc::new(Script { started, steps, seen: Mutex::default() });
        let clock = Arc::new(Virtual(started));
        let ports = (clock.clone(), Arc::new(Half), papers.clone());
        let caller = Arc::new(Caller::new(vendor, script.clone(), governor, ports));
        caller.load().await.expect("readable");
        let idle = Arc::new(Mutex::new(Governor::intercom(true)));
        let vendors = VendorStates::new(clock.clone(), idle, caller.governor());
        (Self { script, papers, vendors, clock }, caller)
    }

    async fn klaviyo(steps: impl IntoIterator<Item = Step>) -> (Self, Klaviyo) {
        Self::klaviyo_on(Arc::default(), steps).await
    }

    async fn klaviyo_on(papers: Arc<Papers>, steps: impl IntoIterator<Item = Step>) -> (Self, Klaviyo) {
        let (stage, caller) = Self::new(Vendor::Klaviyo, Governor::klaviyo(true), papers, steps).await;
        (stage, Klaviyo { caller, timeouts: Timeouts::default() })
    }

    /// One of several processes. All of a test have to be made at once, for their clocks begin here.
    async fn sharing(papers: &Arc<Papers>, holder: &str, key: &str, steps: Vec<Step>) -> (Self, Klaviyo) {
        let governor = Governor::klaviyo_shared(holder, key);
        let (stage, caller) = Self::new(Vendor::Klaviyo, governor, papers.clone(), steps).await;
        (stage, Klaviyo { caller, timeouts: Timeouts::default() })
    }

    async fn intercom(steps: impl IntoIterator<Item = Step>) -> (Self, Intercom) {
        let (stage, caller) = Self::new(Vendor::Intercom, Governor::intercom(true), Arc::default(), steps).await;
        (stage, Intercom { caller, timeouts: Timeouts::default() })
    }

    fn seen(&self) -> Vec<Seen> {
        self.script.seen.lock().expect("sound").clone()
    }

    fn paths(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.path).collect()
    }

    /// When requests left, in milliseconds.
    fn times(&self) -> Vec<u128> {
        self.seen().into_iter().map(|seen| seen.ms).collect()
    }

    /// Milliseconds from the start of the test.
    fn since_start(until: Timestamp) -> i128 {
        until.duration_since(Virtual::start()).as_millis()
    }
}
