//! Lambda's runtime API (<https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>), SQS and Secrets Manager, as far as a
//! webhook function meets them, answering at once.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use benches::http::{Answer, Call, function_environment, invocation, json, secret, serve};
use benches::{Owned, peak_memory_mib, percentile, pin};
use bytes::Bytes;
use hyper::StatusCode;
use tokio::sync::Notify;

/// The longest that a start and its calls may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What one start showed.
pub(crate) struct Measured {
    pub(crate) first_answer: Duration,
    pub(crate) warm_p50: Duration,
    pub(crate) peak_memory_mib: f64,
}

#[derive(Default)]
struct State {
    event: Bytes,
    /// How many calls there will be.
    wanted: usize,
    handed_out: Vec<Instant>,
    answered: Vec<Instant>,
    queued: usize,
    failures: Vec<String>,
}

/// Serves until the process ends.
pub(crate) struct StandIn {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl StandIn {
    pub(crate) fn start() -> anyhow::Result<Self> {
        let (state, never) = (Arc::new(Mutex::new(State::default())), Arc::new(Notify::new()));
        let shared = Arc::clone(&state);
        let address = serve(move |call| answer(call, Arc::clone(&shared), Arc::clone(&never)))?;
        Ok(Self { address, state })
    }

    /// Starts the function, calls it once and then `warm` times, and ends it.
    pub(crate) fn measure(&self, function: &Path, event: &[u8], warm: usize) -> anyhow::Result<Measured> {
        *lock(&self.state) = State { event: Bytes::copy_from_slice(event), wanted: warm + 1, ..State::default() };
        let spawned = Instant::now();
        let mut child = Owned(self.spawn(function)?);
        while lock(&self.state).answered.len() <= warm {
            if let Some(status) = child.0.try_wait()? {
                bail!("{} ended by itself: {status}", function.display());
            }
            ensure!(spawned.elapsed() < PATIENCE, "{} is too slow", function.display());
            std::thread::sleep(Duration::from_millis(1));
        }
        let peak_memory_mib = peak_memory_mib(child.0.id()).context("memory of the function")?;
        let state = lock(&self.state);
        ensure!(state.failures.is_empty(), "{} failed: {:?}", function.display(), state.failures);
        ensure!(state.queued == warm + 1, "{} queued {} of {}", function.display(), state.queued, warm + 1);
        let mut calls: Vec<Duration> =
            state.handed_out.iter().zip(&state.answered).skip(1).map(|(from, to)| *to - *from).collect();
        calls.sort_unstable();
        let first = state.answered.first().context("an answer")?;
        Ok(Measured { first_answer: *first - spawned, warm_p50: percentile(&calls, 0.5), peak_memory_mib })
    }

    fn spawn(&self, function: &Path) -> anyhow::Result<Child> {
        let mut command = Command::new(function);
        command
            .env_clear()
            .envs(function_environment(self.address))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit());
        let child = command.spawn().with_context(|| format!("{} does not start", function.display()))?;
        pin(child.id(), 0);
        Ok(child)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn answer(call: Call, state: Arc<Mutex<State>>, never: Arc<Notify>) -> Answer {
    let arrived = Instant::now();
    match (call.operation(), call.path.as_str()) {
        (Some("SendMessage"), _) => {
            lock(&state).queued += 1;
            json(StatusCode::OK, r#"{"MessageId":"f4ff6d3f-1a3c-4c7c-8b3a-000000000001"}"#)
        }
        (Some("GetSecretValue"), _) => secret(),
        (Some(other), _) => {
            lock(&state).failures.push(format!("it called {other}"));
            json(StatusCode::BAD_REQUEST, "{}")
        }
        (None, path) if path.ends_with("/next") => next(&state, &never).await,
        (None, path) if path.ends_with("/response") => {
            let mut state = lock(&state);
            state.answered.push(arrived);
            if !String::from_utf8_lossy(&call.body).contains("200") {
                state.failures.push(String::from_utf8_lossy(&call.body).into_owned());
            }
            json(StatusCode::ACCEPTED, "{}")
        }
        (None, path) => {
            lock(&state).failures.push(format!("{path}: {}", String::from_utf8_lossy(&call.body)));
            json(StatusCode::ACCEPTED, "{}")
        }
    }
}

async fn next(state: &Mutex<State>, never: &Notify) -> Answer {
    let event = {
        let mut state = lock(state);
        (state.handed_out.len() < state.wanted).then(|| {
            state.handed_out.push(Instant::now());
            state.event.clone()
        })
    };
    let Some(event) = event else {
        never.notified().await;
        return json(StatusCode::OK, "{}");
    };
    invocation(event)
}
