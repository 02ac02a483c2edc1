//! The clients of both vendors, built from the secret, and built again when it was rotated.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use app::environment::{ACCESS_TOKEN, KLAVIYO_KEY};
use app::ports::{Clock as _, VendorState as _};
use aws::AwsStore;
use aws::secrets::{SecretReader, SecretTrouble, Secrets};
use clients::time::{SystemClock, SystemJitter};
use clients::{ClientConfig, ClientError, Clients, Limits, Timeouts};
use secrecy::{ExposeSecret as _, SecretString};

use crate::configuration::Configuration;

/// The store of a deployment.
pub type Store = AwsStore<SystemClock>;

/// Both clients of a deployment.
pub type VendorClients = Clients<SystemClock, SystemJitter, Store>;

/// Why there are no clients.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A key cannot be had.
    #[error(transparent)]
    Secret(#[from] SecretTrouble),
    /// It cannot be used.
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// Longest answer of a bulk request. Shorter than on one machine, because a function ends at its time-out.
const BULK: Duration = Duration::from_secs(20);

/// Gives clients that carry the keys of today.
#[derive(Debug)]
pub struct KeyRing<R> {
    secrets: Secrets<R>,
    config: Template,
    store: Store,
    built: Mutex<Option<Built>>,
}

/// The part of the clients' configuration that is no secret.
#[derive(Debug)]
struct Template {
    intercom_url: String,
    klaviyo_url: String,
    /// Under which name this process takes its part of the vendors' limits.
    holder: String,
    /// Percent of Intercom's quota that reading much of it may use.
    search_share: u32,
}

#[derive(Debug)]
struct Built {
    access_token: SecretString,
    klaviyo_key: SecretString,
    clients: VendorClients,
    generation: u64,
}

impl<R: SecretReader> KeyRing<R> {
    /// Reads nothing yet.
    pub fn new(secrets: Secrets<R>, configuration: &Configuration, store: Store) -> Self {
        let config = Template {
            intercom_url: configuration.intercom_url.clone(),
            klaviyo_url: configuration.klaviyo_url.clone(),
            holder: aws::random_name(),
            search_share: configuration.settings.history_share,
        };
        Self { secrets, config, store, built: Mutex::default() }
    }

    /// The clients, and a number that grows with every rotation: what was built from an older one is to be built again.
    pub async fn clients(&self) -> Result<(VendorClients, u64), KeyError> {
        let now = SystemClock.now();
        let access_token = self.secrets.get(ACCESS_TOKEN, now).await?;
        let klaviyo_key = self.secrets.get(KLAVIYO_KEY, now).await?;
        let generation = match &*self.built() {
            Some(built) if same(&built.access_token, &access_token) && same(&built.klaviyo_key, &klaviyo_key) => {
                return Ok((built.clients.clone(), built.generation));
            }
            built => built.as_ref().map_or(0, |built| built.generation + 1),
        };
        let config = client_config(&self.config, access_token.clone(), klaviyo_key.clone());
        let clients =
            clients::connect(config, Arc::new(SystemClock), Arc::new(SystemJitter), Arc::new(self.store.clone()))
                .await?;
        *self.built() = Some(Built { access_token, klaviyo_key, clients: clients.clone(), generation });
        Ok((clients, generation))
    }

    /// To be called when work was done: where a vendor refuses our key, the secret is read again (at most once a minute), because
    /// a key that was rotated would be refused until somebody looks.
    pub async fn look_again(&self) {
        let blocked = self.built().as_ref().is_some_and(|built| built.clients.vendors.blocked().is_some());
        if !blocked {
            return;
        }
        // Both values stand in one secret: reading it for one of them is enough.
        if let Err(error) = self.secrets.refresh(KLAVIYO_KEY, SystemClock.now()).await {
            tracing::warn!(%error, "a vendor refuses our key, and the secret could not be read again");
        }
    }

    fn built(&self) -> std::sync::MutexGuard<'_, Option<Built>> {
        self.built.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn client_config(template: &Template, access_token: SecretString, klaviyo_key: SecretString) -> ClientConfig {
    ClientConfig {
        limits: Limits::Shared { holder: template.holder.clone() },
        search_share: template.search_share,
        timeouts: Timeouts { bulk: BULK, ..Timeouts::default() },
        ..ClientConfig::new(&template.intercom_url, access_token, &template.klaviyo_url, klaviyo_key)
    }
}

fn same(one: &SecretString, other: &SecretString) -> bool {
    one.expose_secret() == other.expose_secret()
}
