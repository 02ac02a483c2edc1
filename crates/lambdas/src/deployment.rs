//! What the functions beside the webhook are made of: configuration, store and keys, from the function's own environment.

use std::time::Duration;

use app::environment::EnvironmentError;
use aws::Session;
use aws::secrets::{SecretTrouble, Secrets, SecretsManager};
use clients::time::SystemClock;

use crate::configuration::{Configuration, SECRET_ARN};
use crate::keys::{KeyRing, Store};

/// How long a read of the secret may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The same where Intercom waits: it hangs up after five seconds, and the queue may need two of them.
pub const WEBHOOK_PATIENCE: Duration = Duration::from_secs(2);

/// Why a function does not start. One sentence that names the variable or the secret.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A variable.
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    /// The secret.
    #[error(transparent)]
    Secret(#[from] SecretTrouble),
}

/// The parts.
#[derive(Debug)]
pub struct Deployment {
    /// What the template says.
    pub configuration: Configuration,
    /// Queues and table.
    pub store: Store,
    session: Session,
}

impl Deployment {
    /// Reads the environment; no network.
    pub async fn open() -> Result<Self, StartError> {
        let configuration = Configuration::read(|name| std::env::var_os(name))?;
        let session = Session::open().await;
        let store = aws::connect(&session, &configuration.aws, SystemClock);
        Ok(Self { configuration, store, session })
    }

    /// The secrets, read when they are needed.
    pub fn secrets(&self) -> Result<Secrets<SecretsManager>, StartError> {
        secrets(&self.session, PATIENCE)
    }

    /// The keys of both vendors, read when they are needed.
    pub fn keys(&self) -> Result<KeyRing<SecretsManager>, StartError> {
        Ok(KeyRing::new(self.secrets()?, &self.configuration, self.store.clone()))
    }
}

/// The secrets of the secret that the environment names; variables win over it. `patience`: the longest that a read may take.
pub fn secrets(session: &Session, patience: Duration) -> Result<Secrets<SecretsManager>, StartError> {
    let text = |name: &str| std::env::var(name).ok();
    Ok(Secrets::new(SecretsManager::connect(session, patience), text(SECRET_ARN), text)?)
}
