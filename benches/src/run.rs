//! `run`, started against stand-ins, and what its console says.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::{Owned, SECRET, cpu_time, peak_memory_mib};

const TOKEN: &str = "benchmark";

/// The binary at work.
#[derive(Debug)]
pub struct Run {
    child: Owned,
    /// Where it listens.
    pub address: String,
}

impl Run {
    /// Starts it on core 0 with these settings (TOML) and the two vendors' addresses.
    ///
    /// # Errors
    /// When it does not come to listen.
    pub fn start(binary: &Path, data: &Path, settings: &str, vendors: [&str; 2]) -> anyhow::Result<Self> {
        let mut child = Command::new("taskset")
            .args(["-c", "0"])
            .arg(binary)
            .arg("run")
            .env_clear()
            .env("INTERCOM_CLIENT_SECRET", SECRET)
            .env("INTERCOM_ACCESS_TOKEN", "bench")
            .env("INTERCOM_API_URL", vendors[0])
            .env("KLAVIYO_API_KEY", "pk_bench")
            .env("KLAVIYO_API_URL", vendors[1])
            .env("CONSOLE_TOKEN", TOKEN)
            .env("DATA_DIR", data)
            .env("LISTEN", "127.0.0.1:0")
            .env("RUST_LOG", "warn")
            .env("SETTINGS", settings)
            .stdout(Stdio::piped())
            .spawn()?;
        let mut lines = BufReader::new(child.stdout.take().context("piped")?).lines();
        let child = Owned(child);
        let address = loop {
            let line = lines.next().context("the binary did not start")??;
            if let Some(address) = line.strip_prefix("listening on http://") {
                break address.to_owned();
            }
        };
        // Keeps reading, so that the binary never waits for us.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(Self { child, address })
    }

    /// Peak resident memory in MiB so far.
    ///
    /// # Errors
    /// When it has ended.
    pub fn peak_memory(&self) -> anyhow::Result<f64> {
        peak_memory_mib(self.child.0.id()).context("memory of the binary")
    }

    /// CPU time so far.
    ///
    /// # Errors
    /// When it has ended.
    pub fn cpu_time(&self) -> anyhow::Result<Duration> {
        cpu_time(self.child.0.id()).context("time of the binary")
    }

    /// Calls the console.
    ///
    /// # Errors
    /// When it does not answer with 2xx and JSON.
    pub async fn api(&self, method: &str, path: &str) -> anyhow::Result<Value> {
        let stream = TcpStream::connect(&self.address).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", &self.address)
            .header("authorization", format!("Bearer {TOKEN}"))
            .body(Full::new(Bytes::new()))?;
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        ensure!(status.is_success(), "{path} answered {status}");
        Ok(serde_json::from_slice(&body)?)
    }

    /// Starts the import and waits until it is done. Gives how long that took.
    ///
    /// # Errors
    /// When it fails or is not done in time.
    pub async fn import(&self, patience: Duration) -> anyhow::Result<Duration> {
        let started = Instant::now();
        self.api("POST", "/api/history/start").await?;
        loop {
            tokio::time::sleep(Duration::from_millis(250)).await;
            let history = self.api("GET", "/api/status").await?["history"].take();
            match history["state"].as_str() {
                Some("done") => return Ok(started.elapsed()),
                Some("running") => {}
                other => anyhow::bail!("the import is {other:?}: {}", history["error"]),
            }
            ensure!(started.elapsed() < patience, "the import is too slow: {history}");
        }
    }
}

/// Intercom's side of the webhook: one connection.
#[derive(Debug)]
pub struct Webhook {
    sender: http1::SendRequest<Full<Bytes>>,
    address: String,
    secrets: domain::ClientSecrets,
}

impl Webhook {
    /// Connects.
    ///
    /// # Errors
    /// When nobody listens.
    pub async fn connect(run: &Run) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(&run.address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self { sender, address: run.address.clone(), secrets: crate::secrets()? })
    }

    /// Posts a notification.
    ///
    /// # Errors
    /// When it is not answered 200.
    pub async fn post(&mut self, body: Vec<u8>) -> anyhow::Result<()> {
        let request = Request::post("/webhooks/intercom")
            .header("host", &self.address)
            .header("content-type", "application/json")
            .header("x-hub-signature", domain::signature::sign_hub(&self.secrets, &body))
            .body(Full::new(Bytes::from(body)))?;
        self.sender.ready().await?;
        let answer = self.sender.send_request(request).await?;
        let status = answer.status();
        answer.into_body().collect().await?;
        ensure!(status == 200, "answered {status}");
        Ok(())
    }
}
