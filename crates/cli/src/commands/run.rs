//! `run`: the whole pipeline in one process.

use std::net::SocketAddr;
use std::sync::Arc;

use clients::ClientConfig;
use console::Access;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::net::TcpListener;

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

/// Runs until Ctrl-C or SIGTERM.
pub(crate) async fn run(environment: Environment) -> Result<(), Failure> {
    let mut signals = Signals::register().map_err(Failure::bad)?;
    token::make_data_dir(&environment.data_dir).map_err(Failure::Configuration)?;
    let missing = environment.missing();
    let (data_dir, settings) = (environment.data_dir.clone(), environment.settings.clone());
    let mut pipeline = Pipeline::open(data_dir, settings, missing.clone()).await?;
    if let Some(config) = client_config(&environment) {
        pipeline.connect(config).await?;
    }
    let listeners = listeners(&environment, &pipeline).await?;
    if !missing.is_empty() {
        let names = missing.join(", ");
        line(format!(
            "set-up mode: {names} missing; the webhook answers 503 until they are set and this is started again"
        ));
    }
    let workers = pipeline.start();
    let (switch, stop) = StopSwitch::new();
    let serving: Vec<_> = listeners.into_iter().map(|served| tokio::spawn(serve_until(served, stop.clone()))).collect();
    signals.next().await;
    line("stopping; a second signal ends at once");
    signals.end_at_once_on_next();
    switch.stop();
    let servers = async {
        for server in serving {
            // A server that panicked has nothing left to finish.
            let _ = server.await;
        }
    };
    tokio::join!(servers, workers.stop());
    Ok(())
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
async fn listeners(environment: &Environment, pipeline: &Pipeline) -> Result<Vec<Served>, Failure> {
    let webhook = pipeline.webhook(environment.client_secrets.clone());
    let (listener, address) = listen(environment.listen).await?;
    line(format!("listening on http://{address}"));
    if let Some(chosen) = &environment.console_token {
        let router = pipeline.console(Access::Token(chosen.clone()));
        announce(environment, address, None);
        return Ok(vec![Served { listener, site: Site { webhook: Some(webhook), router } }]);
    }
    let made = token::read_or_make(&environment.data_dir).map_err(Failure::Configuration)?;
    let router = pipeline.console(Access::LocalToken(made.clone()));
    if address.ip().is_loopback() {
        announce(environment, address, Some(&made));
        return Ok(vec![Served { listener, site: Site { webhook: Some(webhook), router } }]);
    }
    let public = Served { listener, site: Site { webhook: Some(webhook), router: console::health_router() } };
    let (listener, address) = listen(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    announce(environment, address, Some(&made));
    Ok(vec![public, Served { listener, site: Site { webhook: None, router } }])
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
