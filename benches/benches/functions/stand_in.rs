//! Lambda's runtime API (<https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>), SQS and Secrets Manager, as far as a
//! webhook function meets them, answering at once.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use benches::{SECRET, peak_memory_mib, percentile, pin};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
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
        let state = Arc::new(Mutex::new(State::default()));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let (address, served) = (listener.local_addr()?, Arc::clone(&state));
        std::thread::spawn(move || runtime.block_on(serve(listener, served)));
        Ok(Self { address, state })
    }

    /// Starts the function, calls it once and then `warm` times, and ends it.
    pub(crate) fn measure(&self, function: &Path, event: &[u8], warm: usize) -> anyhow::Result<Measured> {
        *lock(&self.state) = State { event: Bytes::copy_from_slice(event), wanted: warm + 1, ..State::default() };
        let spawned = Instant::now();
        let mut child = Killed(self.spawn(function)?);
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
        let here = self.address.to_string();
        let url = format!("http://{here}");
        let variables = [
            ("AWS_LAMBDA_RUNTIME_API", here.as_str()),
            ("AWS_LAMBDA_FUNCTION_NAME", "webhook"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
            ("AWS_LAMBDA_LOG_GROUP_NAME", "log"),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "log"),
            ("AWS_REGION", "eu-west-1"),
            ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "example"),
            ("AWS_SESSION_TOKEN", "example"),
            ("AWS_ENDPOINT_URL", url.as_str()),
            ("LIVE_QUEUE_URL", "http://queue.test/000000000000/live"),
            ("SECRET_ARN", "arn:aws:secretsmanager:eu-west-1:000000000000:secret:bench"),
        ];
        let mut command = Command::new(function);
        command.env_clear().envs(variables).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit());
        let child = command.spawn().with_context(|| format!("{} does not start", function.display()))?;
        pin(child.id(), 0);
        Ok(child)
    }
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // Fails when it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(listener: TcpListener, state: Arc<Mutex<State>>) {
    let never = Arc::new(Notify::new());
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(connection(stream, Arc::clone(&state), Arc::clone(&never)));
    }
}

async fn connection(stream: TcpStream, state: Arc<Mutex<State>>, never: Arc<Notify>) {
    // Answers are small; waiting to fill a packet would be measured as the function's time.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| answer(request, &state, &never));
    // A function that was killed leaves a broken connection.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(
    request: Request<Incoming>,
    state: &Mutex<State>,
    never: &Notify,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let arrived = Instant::now();
    let path = request.uri().path().to_owned();
    let target = request.headers().get("x-amz-target").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let body = request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    Ok(match target.as_deref() {
        Some("AmazonSQS.SendMessage") => {
            lock(state).queued += 1;
            json(StatusCode::OK, r#"{"MessageId":"f4ff6d3f-1a3c-4c7c-8b3a-000000000001"}"#.into())
        }
        Some("secretsmanager.GetSecretValue") => json(StatusCode::OK, secret()),
        Some(other) => {
            lock(state).failures.push(format!("it called {other}"));
            json(StatusCode::BAD_REQUEST, "{}".into())
        }
        None if path.ends_with("/next") => next(state, never).await,
        None if path.ends_with("/response") => {
            let mut state = lock(state);
            state.answered.push(arrived);
            if !String::from_utf8_lossy(&body).contains("200") {
                state.failures.push(String::from_utf8_lossy(&body).into_owned());
            }
            json(StatusCode::ACCEPTED, "{}".into())
        }
        None => {
            lock(state).failures.push(format!("{path}: {}", String::from_utf8_lossy(&body)));
            json(StatusCode::ACCEPTED, "{}".into())
        }
    })
}

async fn next(state: &Mutex<State>, never: &Notify) -> Response<Full<Bytes>> {
    let event = {
        let mut state = lock(state);
        (state.handed_out.len() < state.wanted).then(|| {
            state.handed_out.push(Instant::now());
            state.event.clone()
        })
    };
    let Some(event) = event else {
        never.notified().await;
        return json(StatusCode::OK, "{}".into());
    };
    let mut response = json(StatusCode::OK, event);
    let headers = [
        ("lambda-runtime-aws-request-id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd"),
        ("lambda-runtime-deadline-ms", "4102444800000"),
        ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:eu-west-1:000000000000:function:webhook"),
        ("lambda-runtime-trace-id", "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700"),
    ];
    for (name, value) in headers {
        response.headers_mut().insert(name, hyper::header::HeaderValue::from_static(value));
    }
    response
}

fn secret() -> Bytes {
    let values = serde_json::json!({
        "INTERCOM_CLIENT_SECRET": SECRET, "INTERCOM_ACCESS_TOKEN": "bench", "KLAVIYO_API_KEY": "bench", "CONSOLE_TOKEN": "bench",
    });
    serde_json::json!({
        "ARN": "arn:aws:secretsmanager:eu-west-1:000000000000:secret:bench", "Name": "bench",
        "SecretString": values.to_string(), "VersionId": "v1", "VersionStages": ["AWSCURRENT"],
    })
    .to_string()
    .into()
}

fn json(status: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let kind = hyper::header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(hyper::header::CONTENT_TYPE, kind);
    response
}
