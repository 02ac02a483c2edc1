//! Checking keys as they are entered, and writing them into `.env`: for the terminal and, in set-up mode, for the page.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;

use app::connect::{Check, Connecting, EnteredKeys, Saved};
use domain::ClientSecrets;
use secrecy::SecretString;

use crate::commands::doctor;
use crate::environment::env_file::{self, Assignment};
use crate::environment::{ACCESS_TOKEN, CLIENT_SECRET, Environment, INTERCOM_URL, KLAVIYO_KEY};
use crate::web;

/// The file that a start in this directory reads.
pub(crate) const ENV_FILE: &str = ".env";

/// One process on one machine.
pub(crate) struct MachineConnecting {
    environment: Environment,
    file: PathBuf,
}

impl MachineConnecting {
    /// `environment` is what there is already.
    pub(crate) fn new(environment: Environment, file: &Path) -> Self {
        Self { environment, file: file.to_owned() }
    }

    /// What is there, with what was entered in its place.
    fn with(&self, keys: EnteredKeys) -> Environment {
        let mut environment = self.environment.clone();
        environment.access_token = keys.access_token.or(environment.access_token);
        environment.klaviyo_key = keys.klaviyo_key.or(environment.klaviyo_key);
        if let Some(url) = keys.intercom_url {
            environment.intercom_url = url.trim_end_matches('/').to_owned();
        }
        environment
    }

    pub(crate) async fn checked(&self, keys: EnteredKeys) -> Vec<Check> {
        let mut checks: Vec<Check> = keys.client_secret.as_ref().map(secret_check).into_iter().collect();
        let environment = self.with(keys);
        match web::client() {
            Ok(client) => {
                checks.extend(doctor::intercom::checks(&client, &environment).await);
                checks.extend(doctor::klaviyo::checks(&client, &environment).await);
            }
            Err(problem) => checks.push(Check::bad("HTTPS", problem, "install the package ca-certificates")),
        }
        checks
    }

    pub(crate) fn saved(&self, keys: EnteredKeys, overwrite: bool) -> Saved {
        self.write(keys, overwrite).unwrap_or_else(|error| Saved::Refused { error })
    }

    fn write(&self, keys: EnteredKeys, overwrite: bool) -> Result<Saved, String> {
        let mut wanted: Vec<Assignment> = Vec::new();
        let url = keys.intercom_url.map(SecretString::from);
        let entered = [
            (CLIENT_SECRET, keys.client_secret),
            (ACCESS_TOKEN, keys.access_token),
            (KLAVIYO_KEY, keys.klaviyo_key),
            (INTERCOM_URL, url),
        ];
        for (name, value) in entered {
            let Some(value) = value else { continue };
            if std::env::var_os(name).is_some_and(|set| !set.is_empty()) && name != INTERCOM_URL {
                continue;
            }
            wanted.push((name, value));
        }
        if wanted.is_empty() {
            return Err("nothing to write: every key that was entered is set in the environment, which wins".to_owned());
        }
        let place = self.file.display();
        let text = env_file::read(&self.file).map_err(|error| format!("{place} cannot be read: {error}"))?;
        let differing = env_file::differing(&text, &wanted);
        if !differing.is_empty() && !overwrite {
            return Ok(Saved::Differs { variables: differing.into_iter().map(str::to_owned).collect() });
        }
        let text = env_file::merged(&text, &wanted)?;
        env_file::write(&self.file, &text).map_err(|error| format!("{place} cannot be written: {error}"))?;
        let variables = wanted.into_iter().map(|(name, _)| name.to_owned()).collect();
        Ok(Saved::Written { file: place.to_string(), variables })
    }
}

/// It verifies webhooks, and only a webhook shows whether it is the right one.
fn secret_check(secret: &SecretString) -> Check {
    let name = "Intercom client secret";
    match ClientSecrets::parse(secret) {
        Ok(_) => Check::good(name, "has the form of one; the first notification shows whether it fits"),
        Err(error) => Check::bad(name, error.to_string(), format!("copy the app's client secret into {CLIENT_SECRET}")),
    }
}

impl Connecting for MachineConnecting {
    fn check(&self, keys: EnteredKeys) -> Pin<Box<dyn Future<Output = Vec<Check>> + Send + '_>> {
        Box::pin(self.checked(keys))
    }

    fn save(&self, keys: EnteredKeys, overwrite: bool) -> Pin<Box<dyn Future<Output = Saved> + Send + '_>> {
        Box::pin(async move { self.saved(keys, overwrite) })
    }
}
