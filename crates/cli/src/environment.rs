//! What the surroundings say: environment variables, and a `.env` file in the working directory below them.
//!
//! Read once at the start, from a function, so that tests need no real environment. Nothing here prints a value.

mod dotenv;
pub(crate) mod env_file;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

use app::environment::{INTERCOM_URL_DEFAULT, KLAVIYO_URL_DEFAULT, Reader};
use app::settings::Settings;
use domain::ClientSecrets;
use secrecy::SecretString;

pub(crate) use app::environment::{
    ACCESS_TOKEN, CLIENT_SECRET, CONSOLE_TOKEN, EnvironmentError, INTERCOM_URL, KLAVIYO_KEY, KLAVIYO_URL,
};
pub(crate) use dotenv::Variables;

const DATA_DIR: &str = "DATA_DIR";
const LISTEN: &str = "LISTEN";

/// Everything that the environment says.
#[derive(Clone, Debug)]
pub(crate) struct Environment {
    /// Absent in set-up mode.
    pub(crate) client_secrets: Option<ClientSecrets>,
    /// The same as it stands in the variable, for who writes it down.
    pub(crate) client_secret_text: Option<SecretString>,
    /// Absent in set-up mode.
    pub(crate) access_token: Option<SecretString>,
    /// Absent in set-up mode.
    pub(crate) klaviyo_key: Option<SecretString>,
    /// Without a slash at the end.
    pub(crate) intercom_url: String,
    /// Without a slash at the end.
    pub(crate) klaviyo_url: String,
    /// Made by `run` where it is absent.
    pub(crate) console_token: Option<SecretString>,
    /// Where the state is kept.
    pub(crate) data_dir: PathBuf,
    /// Where HTTP is served.
    pub(crate) listen: SocketAddr,
    /// What a shop wants.
    pub(crate) settings: Settings,
    /// Whether this process has served before, in set-up mode.
    pub(crate) restarted: bool,
}

impl Environment {
    /// Reads the process environment and `.env`.
    pub(crate) fn load() -> Result<Self, EnvironmentError> {
        let variables = Variables::load().map_err(|problem| EnvironmentError { problems: vec![problem] })?;
        Self::read(|name| variables.get(name))
    }

    /// As [`Environment::load`], but what is wrong is left out and told beside the rest.
    pub(crate) fn load_leniently() -> (Self, Vec<String>) {
        match Variables::load() {
            Ok(variables) => Self::gather(|name| variables.get(name)),
            Err(problem) => {
                let (environment, mut problems) = Self::gather(|name| std::env::var_os(name));
                problems.push(problem);
                (environment, problems)
            }
        }
    }

    /// Reads variables from wherever. Gives all problems, not only the first.
    pub(crate) fn read(lookup: impl Fn(&str) -> Option<OsString>) -> Result<Self, EnvironmentError> {
        match Self::gather(lookup) {
            (environment, problems) if problems.is_empty() => Ok(environment),
            (_, problems) => Err(EnvironmentError { problems }),
        }
    }

    fn gather(lookup: impl Fn(&str) -> Option<OsString>) -> (Self, Vec<String>) {
        let client_secret_text = lookup(CLIENT_SECRET).and_then(|text| text.into_string().ok());
        let mut reader = Reader::new(lookup);
        let environment = Self {
            client_secrets: reader.client_secrets(),
            client_secret_text: client_secret_text.map(|text| SecretString::from(text.trim())),
            access_token: reader.header_secret(ACCESS_TOKEN),
            klaviyo_key: reader.header_secret(KLAVIYO_KEY),
            intercom_url: reader.url(INTERCOM_URL, INTERCOM_URL_DEFAULT),
            klaviyo_url: reader.url(KLAVIYO_URL, KLAVIYO_URL_DEFAULT),
            console_token: reader.header_secret(CONSOLE_TOKEN),
            data_dir: PathBuf::from(reader.text(DATA_DIR).unwrap_or_else(|| "./data".to_owned())),
            listen: address(&mut reader, LISTEN, SocketAddr::from(([127, 0, 0, 1], 8080))),
            settings: reader.settings(|path| std::fs::read_to_string(path)),
            restarted: false,
        };
        (environment, reader.problems)
    }

    /// The variables without which nothing can be delivered, as far as they are absent.
    pub(crate) fn missing(&self) -> Vec<String> {
        let present = [
            (CLIENT_SECRET, self.client_secrets.is_some()),
            (ACCESS_TOKEN, self.access_token.is_some()),
            (KLAVIYO_KEY, self.klaviyo_key.is_some()),
        ];
        present.into_iter().filter(|(_, present)| !present).map(|(name, _)| name.to_owned()).collect()
    }
}

/// The address under a name, or the default.
fn address<L: Fn(&str) -> Option<OsString>>(reader: &mut Reader<L>, name: &str, default: SocketAddr) -> SocketAddr {
    let Some(text) = reader.text(name) else { return default };
    parse_address(&text).unwrap_or_else(|| {
        reader.problems.push(format!("{name} is \"{text}\", wanted: an address and a port such as {default}"));
        default
    })
}

/// `127.0.0.1:8080`, `[::]:8080` or `localhost:8080`.
pub(crate) fn parse_address(text: &str) -> Option<SocketAddr> {
    text.parse().ok().or_else(|| text.to_socket_addrs().ok()?.next())
}
