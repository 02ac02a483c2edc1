//! `run`: the whole pipeline in one process.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clients::ClientConfig;
use console::Access;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::net::TcpListener;

use crate::connecting::{ENV_FILE, MachineConnecting};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::output::line;
use crate::pipeline::{LiveInbox, Pipeline};
use crate::server::{Site, bind, serve};
use crate::shutdown::{GRACE, Signals, Stop, StopSwitch};
use crate::token;
use clients::time::SystemClock;

type RunSite = Site<LiveInbox, SystemClock>;

/// A listener and what is served on it.
struct Served {
    listener: TcpListener,
    site: RunSite,
}

/// Why it no longer serves.
enum Ended {
    Told,
    /// Set-up mode is over: the keys are there.
    Connected(Box<Environment>),
}

/// How often set-up mode looks whether the keys have come.
const LOOK_FOR_KEYS: Duration = Duration::from_secs(1);

/// Another part of this process may hold the store for a moment while it ends.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs until Ctrl-C or SIGTERM. In set-up mode it starts anew, by itself, once `connect` or a human has put the keys into `.env`: what
/// Intercom sent until then was answered 503, which it repeats.
pub(crate) async fn run(mut environment: Environment) -> Result<(), Failure> {
    let mut signals = Signals::register().map_err(Failure::bad)?;
    token::make_data_dir(&environment.data_dir).map_err(Failure::Configuration)?;
    loop {
        match serve_once(&mut environment, &mut signals).await? {
            Ended::Told => return Ok(()),
            Ended::Connected(connected) => {
                line("the keys are there: starting with them");
                environment = *connected;
            }
        }
    }
}

/// From opening the store to closing it. `environment.listen` becomes the address that was taken, so that the next one takes it again.
async fn serve_once(environment: &mut Environment, signals: &mut Signals) -> Result<Ended, Failure> {
    let missing = environment.missing();
    let mut pipeline = opened(environment, &missing).await?;
    match client_config(environment) {
        Some(config) => pipeline.connect(config).await?,
        None => pipeline.take_keys(MachineConnecting::new(environment.clone(), Path::new(ENV_FILE))),
    }
    let (listeners, address) = listeners(environment, &pipeline).await?;
    environment.listen = address;
    if !missing.is_empty() {
        let names = missing.join(", ");
        line(format!(
            "set-up mode: {names} missing; the webhook answers 503 until they are in {ENV_FILE}, where `connect` puts them"
        ));
    }
    let workers = pipeline.start();
    let (switch, stop) = StopSwitch::new();
    let serving: Vec<_> = listeners.into_iter().map(|served| tokio::spawn(serve_until(served, stop.clone()))).collect();
    let ended = tokio::select! {
        () = signals.next() => Ended::Told,
        connected = connected(environment), if !missing.is_empty() => Ended::Connected(Box::new(connected)),
    };
    if matches!(ended, Ended::Told) {
        line("stopping; a second signal ends at once");
        signals.end_at_once_on_next();
    }
    switch.stop();
    let servers = async {
        for server in serving {
            // A server that panicked has nothing left to finish.
            let _ = server.await;
        }
    };
    tokio::join!(servers, workers.stop());
    Ok(ended)
}

/// The store, which the connections of a run before may still hold for a moment.
async fn opened(environment: &Environment, missing: &[String]) -> Result<Pipeline, Failure> {
    let started = Instant::now();
    loop {
        let (data_dir, settings) = (environment.data_dir.clone(), environment.settings.clone());
        match Pipeline::open(data_dir, settings, missing.to_vec()).await {
            Err(_) if environment.restarted && started.elapsed() < PATIENCE => {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            opened => return opened,
        }
    }
}

/// Returns once the environment and `.env` together have every key. What cannot be read is looked at again: somebody is writing it.
async fn connected(before: &Environment) -> Environment {
    loop {
        tokio::time::sleep(LOOK_FOR_KEYS).await;
        if let Ok(mut now) = Environment::load()
            && now.missing().is_empty()
            && now.data_dir == before.data_dir
        {
            // The same address as before, also where the system chose its port.
            now.listen = before.listen;
            now.restarted = true;
            return now;
        }
    }
}

async fn serve_until(served: Served, stop: Stop) {
    serve(served.listener, Arc::new(served.site), stop.requested(), GRACE).await;
}

/// `None` in set-up mode.
fn client_config(environment: &Environment) -> Option<ClientConfig> {
    environment.client_secrets.as_ref()?;
    Some(ClientConfig::new(
        &environment.intercom_url,
        environment.access_token.clone()?,
        &environment.klaviyo_url,
        environment.klaviyo_key.clone()?,
    ))
}

/// The webhook on `LISTEN`; the console beside it, or on a loopback address of its own where nobody chose a token.
async fn listeners(environment: &Environment, pipeline: &Pipeline) -> Result<(Vec<Served>, SocketAddr), Failure> {
    let webhook = pipeline.webhook(environment.client_secrets.clone());
    let (listener, address) = listen(environment.listen).await?;
    line(format!("listening on http://{address}"));
    if let Some(chosen) = &environment.console_token {
        let router = pipeline.console(Access::Token(chosen.clone()));
        announce(environment, address, None);
        return Ok((vec![Served { listener, site: Site { webhook: Some(webhook), router } }], address));
    }
    let made = token::read_or_make(&environment.data_dir).map_err(Failure::Configuration)?;
    let router = pipeline.console(Access::LocalToken(made.clone()));
    if address.ip().is_loopback() {
        announce(environment, address, Some(&made));
        return Ok((vec![Served { listener, site: Site { webhook: Some(webhook), router } }], address));
    }
    let public = Served { listener, site: Site { webhook: Some(webhook), router: console::health_router() } };
    let (listener, beside) = listen(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    announce(environment, beside, Some(&made));
    Ok((vec![public, Served { listener, site: Site { webhook: None, router } }], address))
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), Failure> {
    let listener = bind(address, "LISTEN").await.map_err(Failure::Configuration)?;
    let address = listener.local_addr().map_err(Failure::bad)?;
    Ok((listener, address))
}

/// Says where the console is and, where we made the token, what it is.
fn announce(environment: &Environment, address: SocketAddr, made: Option<&SecretString>) {
    let reachable = match address.ip().is_unspecified() {
        true => SocketAddr::from(([127, 0, 0, 1], address.port())),
        false => address,
    };
    let url = format!("http://{reachable}");
    token::note_console_url(&environment.data_dir, &url);
    let Some(token) = made else { return line(format!("console on {url}, for holders of CONSOLE_TOKEN")) };
    line(format!("console on {url}, on this machine only because CONSOLE_TOKEN is not set"));
    let path = token::path(&environment.data_dir);
    line(format!("console token: {} (kept in {})", token.expose_secret(), path.display()));
}
