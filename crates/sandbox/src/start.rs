//! Starting and stopping both vendors.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, mpsc},
    thread::JoinHandle,
};

use tokio::sync::{oneshot, watch};

use crate::{clock::SandboxClock, intercom::IntercomSandbox, klaviyo::KlaviyoSandbox, server};

/// Where the vendors listen and what they accept.
#[derive(Clone, Debug)]
pub struct SandboxConfig {
    /// Intercom's address; port 0 picks a free one.
    pub intercom_listen: SocketAddr,
    /// Klaviyo's address; port 0 picks a free one.
    pub klaviyo_listen: SocketAddr,
    /// `app_id` of notifications and `app.id_code` of `GET /me`.
    pub workspace_id: String,
    /// Signs notifications.
    pub client_secret: String,
    /// Opens the Intercom API.
    pub access_token: String,
    /// Opens the Klaviyo API.
    pub klaviyo_key: String,
    /// Both vendors' time.
    pub clock: SandboxClock,
}

impl Default for SandboxConfig {
    fn default() -> Self {
        let loopback = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
        Self {
            intercom_listen: loopback,
            klaviyo_listen: loopback,
            workspace_id: "sandbox1".into(),
            client_secret: "sandbox-client-secret".into(),
            access_token: "sandbox-access-token".into(),
            klaviyo_key: "pk_sandbox".into(),
            clock: SandboxClock::real(),
        }
    }
}

/// Both vendors, running.
#[derive(Debug)]
pub struct Sandbox {
    intercom: IntercomSandbox,
    klaviyo: KlaviyoSandbox,
    intercom_at: SocketAddr,
    klaviyo_at: SocketAddr,
    clock: SandboxClock,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Sandbox {
    /// Starts both vendors on the current runtime.
    ///
    /// # Errors
    /// When an address cannot be bound.
    pub async fn start(config: SandboxConfig) -> io::Result<Self> {
        let intercom = IntercomSandbox::new(
            &config.workspace_id,
            &config.client_secret,
            &config.access_token,
            config.clock.clone(),
        );
        let klaviyo = KlaviyoSandbox::new(&config.klaviyo_key, config.clock.clone());
        let stop = watch::Sender::new(false);
        let intercom_at = server::serve(config.intercom_listen, Arc::new(intercom.clone()), stop.subscribe()).await?;
        let klaviyo_at = match server::serve(config.klaviyo_listen, Arc::new(klaviyo.clone()), stop.subscribe()).await {
            Ok(address) => address,
            Err(error) => {
                stop.send_replace(true);
                return Err(error);
            }
        };
        Ok(Self { intercom, klaviyo, intercom_at, klaviyo_at, clock: config.clock, stop, thread: None })
    }

    /// Starts both vendors on a runtime and thread of their own, so that a benchmark measures its subject alone.
    ///
    /// # Errors
    /// When an address cannot be bound or a thread not be made.
    pub fn start_on_thread(config: SandboxConfig) -> io::Result<Self> {
        let (started, start) = mpsc::sync_channel(1);
        let run = move || {
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(started.send(Err(error))),
            };
            let sandbox = runtime.block_on(Self::start(config));
            let stopped = sandbox.as_ref().ok().map(|sandbox| sandbox.stop.subscribe());
            // Nobody takes it only when the caller's thread is gone; then there is nothing to serve either.
            if started.send(sandbox).is_ok()
                && let Some(mut stopped) = stopped
            {
                // An error means that the sandbox was dropped, which is also an end.
                let _ = runtime.block_on(stopped.changed());
            }
        };
        let thread = std::thread::Builder::new().name("sandbox".into()).spawn(run)?;
        let mut sandbox = start.recv().map_err(|_| io::Error::other("the sandbox's thread ended at once"))??;
        sandbox.thread = Some(thread);
        Ok(sandbox)
    }

    /// Such as `http://127.0.0.1:40001`.
    pub fn intercom_url(&self) -> String {
        format!("http://{}", self.intercom_at)
    }

    /// Such as `http://127.0.0.1:40002`.
    pub fn klaviyo_url(&self) -> String {
        format!("http://{}", self.klaviyo_at)
    }

    /// The stand-in Intercom.
    pub fn intercom(&self) -> &IntercomSandbox {
        &self.intercom
    }

    /// The stand-in Klaviyo.
    pub fn klaviyo(&self) -> &KlaviyoSandbox {
        &self.klaviyo
    }

    /// Both vendors' clock.
    pub fn clock(&self) -> &SandboxClock {
        &self.clock
    }

    /// Closes both servers and all their connections.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            let (ended, end) = oneshot::channel();
            std::thread::spawn(move || {
                let _ = thread.join();
                let _ = ended.send(());
            });
            let _ = end.await;
        } else {
            // The accept loops own receivers; when they are gone, so are the listeners.
            self.stop.closed().await;
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}
