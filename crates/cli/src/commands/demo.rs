//! `demo`: the whole pipeline at work against stand-ins of both vendors, in one process, on this machine only: first the import of a
//! year's history, then a day of live events.
//!
//! What Klaviyo should hold in the end comes from the sandbox's own model, never from the product's code.

mod past;
mod progress;
mod summary;
mod trickle;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use app::history::first_start;
use app::ports::{Books, Clock as _, Overview as _};
use app::settings::Settings;
use clients::ClientConfig;
use console::Access;
use domain::ClientSecrets;
use sandbox::scenario::{ExpectedEvent, nine_metrics};
use sandbox::{Sandbox, SandboxConfig};
use secrecy::SecretString;

use crate::args::DemoArguments;
use crate::failure::Failure;
use crate::output::line;
use crate::pipeline::{Pipeline, Workers};
use crate::server::{Site, WEBHOOK_PATH, bind, serve};
use crate::shutdown::{Signals, StopSwitch};
use clients::time::SystemClock;

use progress::Progress;
use summary::Summary;

/// Rounds of the script: a few hundred events.
const ROUNDS: usize = 12;

/// A round's events spread over so many seconds, all of them since the shop was connected.
const ROUND_SECONDS: i64 = 300;

/// When everything should long be there.
const PATIENCE: Duration = Duration::from_secs(50);

/// What is open when all events are there may still end: a contact that nobody knows waits before it is parked.
const AFTERMATH: Duration = Duration::from_secs(5);

/// The time that connections get at the end.
const GRACE: Duration = Duration::from_secs(2);

struct Demo {
    sandbox: Sandbox,
    pipeline: Pipeline,
    prefix: String,
    /// When the shop was connected, in Unix seconds: an hour ago. What is older is the import's, the rest is live.
    connected: i64,
}

/// Shows everything; with `--exit` ends when it is delivered, and is good only if Klaviyo holds exactly what it should.
pub(crate) async fn demo(arguments: &DemoArguments) -> Result<(), Failure> {
    if !arguments.listen.ip().is_loopback() {
        let reason = "the demo is open to whoever reaches it: --listen takes a loopback address such as 127.0.0.1:8080";
        return Err(Failure::configuration(reason));
    }
    let mut signals = Signals::register().map_err(Failure::bad)?;
    let folder = tempfile::tempdir().map_err(|error| Failure::bad(format!("no temporary directory: {error}")))?;
    let (demo, secrets) = Demo::prepare(folder.path().to_owned()).await?;
    let listener = bind(arguments.listen, "--listen").await.map_err(Failure::Configuration)?;
    let address = listener.local_addr().map_err(Failure::bad)?;
    let router = demo.pipeline.console(Access::Loopback);
    let site = Arc::new(Site { webhook: Some(demo.pipeline.webhook(Some(secrets))), router });
    let (switch, stop) = StopSwitch::new();
    let server = tokio::spawn(async move { serve(listener, site, stop.requested(), GRACE).await });
    let workers = demo.pipeline.start();
    line(format!("listening on http://{address}"));
    line(format!(
        "stand-in Intercom at {}, stand-in Klaviyo at {}",
        demo.sandbox.intercom_url(),
        demo.sandbox.klaviyo_url()
    ));
    let result = tokio::select! {
        result = demo.show(address, arguments.exit) => result,
        () = signals.next() => interrupted(arguments.exit),
    };
    signals.end_at_once_on_next();
    switch.stop();
    end(demo, workers, server).await;
    result
}

/// Ctrl-C is how the demo without `--exit` ends; with it, nothing was shown to be right.
fn interrupted(exit: bool) -> Result<(), Failure> {
    if exit { Err(Failure::bad("interrupted before everything was delivered")) } else { Ok(()) }
}

async fn end(demo: Demo, workers: Workers, server: tokio::task::JoinHandle<()>) {
    // A server that panicked has nothing left to finish.
    let _ = tokio::join!(server, workers.stop());
    demo.sandbox.stop().await;
}

impl Demo {
    async fn prepare(data_dir: std::path::PathBuf) -> Result<(Self, ClientSecrets), Failure> {
        let config = SandboxConfig::default();
        let (token, key) = (SecretString::from(&*config.access_token), SecretString::from(&*config.klaviyo_key));
        let secrets = ClientSecrets::parse(&SecretString::from(&*config.client_secret)).map_err(Failure::bad)?;
        let sandbox = Sandbox::start(config).await.map_err(|error| Failure::bad(format!("the sandbox: {error}")))?;
        let settings = Settings::default();
        let prefix = settings.rules.metric_prefix.clone();
        let mut pipeline = Pipeline::open(data_dir, settings, Vec::new()).await?;
        let connected = SystemClock.now().as_second() - i64::try_from(ROUNDS).unwrap_or(0) * ROUND_SECONDS;
        first_start(pipeline.store(), connected).await.map_err(Failure::bad)?;
        pipeline.connect(ClientConfig::new(sandbox.intercom_url(), token, sandbox.klaviyo_url(), key)).await?;
        Ok((Self { sandbox, pipeline, prefix, connected }, secrets))
    }

    async fn show(&self, address: SocketAddr, exit: bool) -> Result<(), Failure> {
        let started = Instant::now();
        let past = past::import(self).await?;
        let intercom = self.sandbox.intercom();
        intercom.set_webhook(format!("http://{address}{WEBHOOK_PATH}"));
        intercom.subscribe_all();
        let live = nine_metrics(intercom, ROUNDS, self.connected).map_err(Failure::bad)?;
        line(format!(
            "then a small shop's day: {} notifications, {} events expected",
            intercom.deliveries().len(),
            live.len()
        ));
        let books = self.watch(&past, &live).await?;
        let stored = self.sandbox.klaviyo().events();
        let summary = Summary { past: &past, live: &live, stored: &stored, books: &books, prefix: &self.prefix };
        let differences = summary.differences();
        line(summary.in_words(&differences, started.elapsed()));
        if !differences.is_empty() {
            let count = differences.len();
            return Err(Failure::bad(format!("Klaviyo does not hold what it should: {count} differences")));
        }
        if exit {
            return Ok(());
        }
        line("live events go on until Ctrl-C; look at the status with:");
        line(format!("  intercom-klaviyo status --url http://{address}"));
        trickle::trickle(intercom).await.map_err(Failure::bad)
    }

    /// Reports until everything is there and the queue is empty, or patience is over.
    async fn watch(&self, past: &[ExpectedEvent], live: &[ExpectedEvent]) -> Result<Books, Failure> {
        let started = Instant::now();
        let mut progress = Progress::default();
        let mut complete_since: Option<Instant> = None;
        loop {
            let books = self.pipeline.store().books().await.map_err(Failure::bad)?;
            let there = self.sandbox.klaviyo().event_count().saturating_sub(past.len());
            progress.report(format!(
                "{} notifications accepted, {there} of {} live events in Klaviyo, {} in flight",
                books.accepted,
                live.len(),
                books.in_flight
            ));
            if there >= live.len() && complete_since.is_none() {
                complete_since = Some(Instant::now());
            }
            let all_sent = self.sandbox.intercom().deliveries().len() as u64 <= books.accepted;
            let quiet = all_sent && books.in_flight == 0;
            let aftermath_over = complete_since.is_some_and(|since| since.elapsed() > AFTERMATH);
            let complete = complete_since.is_some() && (quiet || aftermath_over);
            if complete || started.elapsed() > PATIENCE {
                progress.end();
                return Ok(books);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}
