//! `run`, as it is shipped: webhooks accepted durably, latency, memory.
//!
//! The binary has one core, the client the other. Klaviyo is the sandbox, with its limits, so delivery goes on meanwhile.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use benches::{Line, SECRET, notification, peak_memory_mib, percentile, pin, print, secrets};
use bytes::Bytes;
use domain::signature::sign_hub;
use http_body_util::Full;
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use sandbox::intercom::ContactSpec;
use sandbox::{Keep, Sandbox, SandboxConfig};
use tokio::net::TcpStream;

const CONNECTIONS: usize = 64;
const WEBHOOKS: usize = 60_000;

fn main() -> anyhow::Result<()> {
    let binary = build()?;
    pin(std::process::id(), 1);
    let sandbox = Sandbox::start_on_thread(SandboxConfig::default())?;
    sandbox.klaviyo().set_keep(Keep::CountsOnly);
    sandbox.intercom().set_rate_limit(0);
    let contacts: Vec<String> = (0..200)
        .map(|n| sandbox.intercom().add_contact(ContactSpec::user(format!("c{n}@bench.test"), format!("Customer {n}"))))
        .collect();
    let directory = tempfile::tempdir()?;
    let fsync = fsync_time(directory.path())?;
    let mut run = start(&binary, directory.path(), &sandbox)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let requests = signed(&contacts)?;
    let (elapsed, mut latencies) = runtime.block_on(fire(&run.address, &requests))?;
    latencies.sort_unstable();
    let peak = peak_memory_mib(run.child.id()).context("memory of the binary")?;
    let alive = run.child.try_wait()?.is_none();
    ensure!(alive, "the binary ended by itself");
    drop(run);
    let rate = WEBHOOKS as f64 / elapsed.as_secs_f64();
    let p99 = percentile(&latencies, 0.99);
    let allowed = Duration::from_millis(25).max(fsync * 5);
    let lines = [
        Line {
            what: format!("webhooks of {} bytes accepted, durable before the 200", requests[0].1.len()),
            seen: format!("{rate:.0}/s"),
            budget: ">= 8,000/s".to_owned(),
            holds: rate >= 8_000.0,
        },
        Line {
            what: format!("p50 and p99 at {CONNECTIONS} connections (fsync here: {fsync:.1?})"),
            seen: format!("{:.1?}, {p99:.1?}", percentile(&latencies, 0.5)),
            budget: format!("p99 < {allowed:.1?}"),
            holds: p99 < allowed,
        },
        Line {
            what: "peak memory of `run`".to_owned(),
            seen: format!("{peak:.1} MiB"),
            budget: "< 64 MiB".to_owned(),
            holds: peak < 64.0,
        },
    ];
    print("run (release build, one core; client and sandbox on the other)", &lines)?;
    Ok(())
}

fn build() -> anyhow::Result<PathBuf> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let built = Command::new(cargo).args(["build", "--release", "--package", "intercom-klaviyo"]).status()?;
    ensure!(built.success(), "the binary does not build");
    // This benchmark is target/release/deps/accept-…; the binary lies two levels up.
    let here = std::env::current_exe()?;
    let release = here.parent().and_then(Path::parent).context("a target directory")?;
    Ok(release.join("intercom-klaviyo"))
}

struct Run {
    child: Child,
    address: String,
}

impl Drop for Run {
    fn drop(&mut self) {
        // It is ours; a benchmark leaves nothing behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(binary: &Path, data: &Path, sandbox: &Sandbox) -> anyhow::Result<Run> {
    let defaults = SandboxConfig::default();
    let mut child = Command::new("taskset")
        .args(["-c", "0"])
        .arg(binary)
        .arg("run")
        .env_clear()
        .env("INTERCOM_CLIENT_SECRET", SECRET)
        .env("INTERCOM_ACCESS_TOKEN", defaults.access_token)
        .env("INTERCOM_API_URL", sandbox.intercom_url())
        .env("KLAVIYO_API_KEY", defaults.klaviyo_key)
        .env("KLAVIYO_API_URL", sandbox.klaviyo_url())
        .env("CONSOLE_TOKEN", "benchmark")
        .env("DATA_DIR", data)
        .env("LISTEN", "127.0.0.1:0")
        .env("RUST_LOG", "error")
        .stdout(Stdio::piped())
        .spawn()?;
    let mut lines = BufReader::new(child.stdout.take().context("piped")?).lines();
    let address = loop {
        let line = lines.next().context("the binary did not start")??;
        if let Some(address) = line.strip_prefix("listening on http://") {
            break address.to_owned();
        }
    };
    // Keeps reading, so that the binary never waits for us.
    std::thread::spawn(move || lines.for_each(drop));
    Ok(Run { child, address })
}

fn signed(contacts: &[String]) -> anyhow::Result<Vec<(String, Bytes)>> {
    let secrets = secrets()?;
    let at = Timestamp::now().as_second();
    let request = |n| {
        let body = notification("sandbox1", n, contacts, at);
        (sign_hub(&secrets, &body), Bytes::from(body))
    };
    Ok((0..WEBHOOKS).map(request).collect())
}

async fn fire(address: &str, requests: &[(String, Bytes)]) -> anyhow::Result<(Duration, Vec<Duration>)> {
    let started = Instant::now();
    let local = tokio::task::LocalSet::new();
    let share = requests.len() / CONNECTIONS;
    let clients: Vec<_> = requests
        .chunks(share.max(1))
        .map(|chunk| local.spawn_local(client(address.to_owned(), chunk.to_vec())))
        .collect();
    let mut latencies = Vec::with_capacity(requests.len());
    local
        .run_until(async {
            for client in clients {
                latencies.extend(client.await??);
            }
            anyhow::Ok(())
        })
        .await?;
    Ok((started.elapsed(), latencies))
}

async fn client(address: String, requests: Vec<(String, Bytes)>) -> anyhow::Result<Vec<Duration>> {
    let stream = TcpStream::connect(&address).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::task::spawn_local(connection);
    let mut latencies = Vec::with_capacity(requests.len());
    for (signature, body) in requests {
        let request = Request::post("/webhooks/intercom")
            .header("host", &address)
            .header("content-type", "application/json")
            .header("x-hub-signature", signature)
            .body(Full::new(body))?;
        let sent = Instant::now();
        sender.ready().await?;
        let answer = sender.send_request(request).await?;
        ensure!(answer.status() == 200, "answered {}", answer.status());
        latencies.push(sent.elapsed());
    }
    Ok(latencies)
}

/// Median of a small write and fsync where the store will be.
fn fsync_time(directory: &Path) -> anyhow::Result<Duration> {
    use std::io::Write as _;
    let mut file = std::fs::File::create(directory.join("probe"))?;
    let mut times: Vec<Duration> = (0..51)
        .map(|_| {
            let started = Instant::now();
            file.write_all(&[7; 4096])?;
            file.sync_all()?;
            anyhow::Ok(started.elapsed())
        })
        .collect::<Result<_, _>>()?;
    times.sort_unstable();
    Ok(percentile(&times, 0.5))
}
