//! A Klaviyo for benchmarks: the documented limits in fixed windows, a fixed latency, and a count of what it was sent.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyper::header::HeaderValue;
use hyper::{Method, StatusCode};

use crate::http::{Answer, Call, json, serve};

/// How it behaves.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// Time to an answer.
    pub latency: Duration,
    /// Whether it tells and enforces its limits: 350 a second and 3,500 a minute for single events, 10 and 150 for bulk requests
    /// (<https://developers.klaviyo.com/en/docs/rate_limits_and_error_handling>). Else it tells and enforces a thousand times more.
    pub limits: bool,
    /// Events whose `unique_id` contains this have the time of their answer noted.
    pub watched: Option<&'static str>,
}

/// One endpoint's windows.
struct Windows {
    second: (u64, u32),
    minute: (u64, u32),
    most: (u32, u32),
}

impl Windows {
    fn new(a_second: u32, a_minute: u32) -> Self {
        Self { second: (0, 0), minute: (0, 0), most: (a_second, a_minute) }
    }

    /// The wait of a call that was one too many, or what the headers of its answer say.
    fn take(&mut self, elapsed: Duration) -> Result<[(&'static str, String); 3], u64> {
        let now = elapsed.as_secs();
        if self.second.0 != now {
            self.second = (now, 0);
        }
        if self.minute.0 != now / 60 {
            self.minute = (now / 60, 0);
        }
        if self.minute.1 >= self.most.1 {
            return Err(60 - now % 60);
        }
        if self.second.1 >= self.most.0 {
            return Err(1);
        }
        self.second.1 += 1;
        self.minute.1 += 1;
        let (second, minute) = self.most;
        Ok([
            ("ratelimit-limit", format!("{second}, {second};w=1, {minute};w=60")),
            ("ratelimit-remaining", (minute - self.minute.1).to_string()),
            ("ratelimit-reset", (60 - now % 60).to_string()),
        ])
    }
}

/// What came.
#[derive(Clone, Copy, Debug, Default)]
pub struct Came {
    /// Events, each as often as it came.
    pub events: u64,
    /// Different ones.
    pub distinct: u64,
    /// Bulk requests that were taken.
    pub bulk: u64,
    /// Single requests that were taken.
    pub single: u64,
    /// Requests that were refused.
    pub refused: u64,
}

struct State {
    came: Came,
    singles: Windows,
    bulks: Windows,
    seen: HashSet<u64>,
    watched: HashMap<String, Instant>,
    /// Events by the second after the first one.
    by_second: Vec<u64>,
    first: Option<Instant>,
}

/// Serves until the process ends.
#[derive(Clone)]
pub struct Klaviyo {
    /// Where.
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Klaviyo {
    /// Starts it.
    ///
    /// # Errors
    /// When no port can be bound.
    pub fn start(terms: Terms) -> std::io::Result<Self> {
        let factor = if terms.limits { 1 } else { 1_000 };
        let state = Arc::new(Mutex::new(State {
            came: Came::default(),
            singles: Windows::new(350 * factor, 3_500 * factor),
            bulks: Windows::new(10 * factor, 150 * factor),
            seen: HashSet::new(),
            watched: HashMap::new(),
            by_second: Vec::new(),
            first: None,
        }));
        let (shared, started) = (Arc::clone(&state), Instant::now());
        let address = serve(move |call| answer(terms, started, Arc::clone(&shared), call))?;
        Ok(Self { address, state })
    }

    /// Such as `http://127.0.0.1:40002`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// So far.
    pub fn came(&self) -> Came {
        let state = lock(&self.state);
        Came { distinct: state.seen.len() as u64, ..state.came }
    }

    /// Events that came in the first so many seconds after the first one.
    pub fn within(&self, seconds: usize) -> u64 {
        lock(&self.state).by_second.iter().take(seconds).sum()
    }

    /// When the watched events were answered, by their `unique_id`; forgets them.
    pub fn watched(&self) -> HashMap<String, Instant> {
        std::mem::take(&mut lock(&self.state).watched)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn answer(terms: Terms, started: Instant, state: Arc<Mutex<State>>, call: Call) -> Answer {
    let bulk = match (call.method, call.path.trim_end_matches('/')) {
        (Method::POST, "/api/events") => false,
        (Method::POST, "/api/event-bulk-create-jobs") => true,
        (Method::POST, _) => return json(StatusCode::OK, r#"{"data":{"type":"profile","id":"01"}}"#),
        _ => return json(StatusCode::OK, r#"{"data":[],"links":{}}"#),
    };
    let taken = {
        let mut state = lock(&state);
        let windows = if bulk { &mut state.bulks } else { &mut state.singles };
        let taken = windows.take(started.elapsed());
        state.came.refused += u64::from(taken.is_err());
        taken
    };
    let headers = match taken {
        Ok(headers) => headers,
        Err(seconds) => {
            let mut answer = json(StatusCode::TOO_MANY_REQUESTS, r#"{"errors":[{"code":"throttled"}]}"#);
            answer.headers_mut().insert("retry-after", HeaderValue::from(seconds));
            return answer;
        }
    };
    tokio::time::sleep(terms.latency).await;
    note(terms, &state, bulk, &call.body);
    let mut answer = json(StatusCode::ACCEPTED, "");
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::try_from(value) {
            answer.headers_mut().insert(name, value);
        }
    }
    answer
}

fn note(terms: Terms, state: &Mutex<State>, bulk: bool, body: &[u8]) {
    const NAME: &str = r#""unique_id":""#;
    let text = std::str::from_utf8(body).unwrap_or_default();
    let now = Instant::now();
    let mut state = lock(state);
    let first = *state.first.get_or_insert(now);
    let mut events = 0;
    for (at, _) in text.match_indices(NAME) {
        let id = text[at + NAME.len()..].split('"').next().unwrap_or_default();
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
        state.seen.insert(hasher.finish());
        if terms.watched.is_some_and(|part| id.contains(part)) {
            state.watched.insert(id.to_owned(), now);
        }
        events += 1;
    }
    let second = usize::try_from((now - first).as_secs()).unwrap_or_default();
    if state.by_second.len() <= second {
        state.by_second.resize(second + 1, 0);
    }
    state.by_second[second] += events;
    state.came.events += events;
    if bulk {
        state.came.bulk += 1;
    } else {
        state.came.single += 1;
    }
}
