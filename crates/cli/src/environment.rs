//! What the surroundings say: environment variables, and a `.env` file in the working directory below them.
//!
//! Read once at the start, from a function, so that tests need no real environment. Nothing here prints a value.

mod dotenv;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

use app::settings::Settings;
use domain::ClientSecrets;
use reqwest::Url;
use secrecy::SecretString;

pub(crate) use dotenv::Variables;

/// The four that make the pipeline go, and the one that guards the console.
pub(crate) const CLIENT_SECRET: &str = "INTERCOM_CLIENT_SECRET";
pub(crate) const ACCESS_TOKEN: &str = "INTERCOM_ACCESS_TOKEN";
pub(crate) const KLAVIYO_KEY: &str = "KLAVIYO_API_KEY";
pub(crate) const INTERCOM_URL: &str = "INTERCOM_API_URL";
pub(crate) const KLAVIYO_URL: &str = "KLAVIYO_API_URL";
pub(crate) const CONSOLE_TOKEN: &str = "CONSOLE_TOKEN";
const SETTINGS: &str = "SETTINGS";
const DATA_DIR: &str = "DATA_DIR";
const LISTEN: &str = "LISTEN";

/// Everything that the environment says.
#[derive(Clone, Debug)]
pub(crate) struct Environment {
    /// Absent in set-up mode.
    pub(crate) client_secrets: Option<ClientSecrets>,
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
}

/// Everything that is wrong, in one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EnvironmentError {
    pub(crate) problems: Vec<String>,
}

impl fmt::Display for EnvironmentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.as_slice() {
            [one] => f.write_str(one),
            several => {
                write!(f, "{} things are wrong in the environment:", several.len())?;
                several.iter().try_for_each(|problem| write!(f, "\n  - {problem}"))
            }
        }
    }
}

impl std::error::Error for EnvironmentError {}

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
        let mut reader = Reader { lookup, problems: Vec::new() };
        let secrets = reader.secret(CLIENT_SECRET);
        let client_secrets = secrets.and_then(|list| reader.client_secrets(&list));
        let environment = Self {
            client_secrets,
            access_token: reader.header_secret(ACCESS_TOKEN),
            klaviyo_key: reader.header_secret(KLAVIYO_KEY),
            intercom_url: reader.url(INTERCOM_URL, "https://api.intercom.io"),
            klaviyo_url: reader.url(KLAVIYO_URL, "https://a.klaviyo.com"),
            console_token: reader.header_secret(CONSOLE_TOKEN),
            data_dir: PathBuf::from(reader.text(DATA_DIR).unwrap_or_else(|| "./data".to_owned())),
            listen: reader.address(LISTEN, SocketAddr::from(([127, 0, 0, 1], 8080))),
            settings: reader.settings(),
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

struct Reader<F> {
    lookup: F,
    problems: Vec<String>,
}

impl<F: Fn(&str) -> Option<OsString>> Reader<F> {
    /// The value without blanks around it. A variable that is there and blank is a mistake, not an absence.
    fn text(&mut self, name: &str) -> Option<String> {
        let value = (self.lookup)(name)?;
        let Ok(value) = value.into_string() else {
            self.problems.push(format!("{name} is not valid UTF-8; set it to plain text"));
            return None;
        };
        match value.trim() {
            "" => {
                self.problems.push(format!("{name} is set but blank; give it a value or remove it"));
                None
            }
            text => Some(text.to_owned()),
        }
    }

    fn secret(&mut self, name: &str) -> Option<SecretString> {
        self.text(name).map(SecretString::from)
    }

    fn header_secret(&mut self, name: &str) -> Option<SecretString> {
        let text = self.text(name)?;
        if text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Some(SecretString::from(text));
        }
        self.problems.push(format!("{name} holds blanks or characters beyond ASCII; copy it again"));
        None
    }

    fn client_secrets(&mut self, list: &SecretString) -> Option<ClientSecrets> {
        ClientSecrets::parse(list)
            .map_err(|error| {
                self.problems.push(format!("{CLIENT_SECRET} {error}; give it the app's client secret or remove it"));
            })
            .ok()
    }

    fn url(&mut self, name: &str, default: &str) -> String {
        let Some(text) = self.text(name) else { return default.to_owned() };
        let fits = Url::parse(&text).is_ok_and(|url| {
            matches!(url.scheme(), "http" | "https")
                && url.has_host()
                && url.query().is_none()
                && url.fragment().is_none()
        });
        if !fits {
            self.problems.push(format!("{name} is not a URL such as {default}"));
        }
        text.trim_end_matches('/').to_owned()
    }

    fn address(&mut self, name: &str, default: SocketAddr) -> SocketAddr {
        let Some(text) = self.text(name) else { return default };
        parse_address(&text).unwrap_or_else(|| {
            self.problems.push(format!("{name} is \"{text}\", wanted: an address and a port such as {default}"));
            default
        })
    }

    fn settings(&mut self) -> Settings {
        let Some(value) = self.text(SETTINGS) else { return Settings::default() };
        let source = match settings_text(&value) {
            Ok(text) => text,
            Err(problem) => {
                self.problems.push(problem);
                return Settings::default();
            }
        };
        Settings::parse(&source).unwrap_or_else(|error| {
            self.problems.push(format!("{SETTINGS}: {error}"));
            Settings::default()
        })
    }
}

/// `127.0.0.1:8080`, `[::]:8080` or `localhost:8080`.
pub(crate) fn parse_address(text: &str) -> Option<SocketAddr> {
    text.parse().ok().or_else(|| text.to_socket_addrs().ok()?.next())
}

/// The settings themselves, or what the file of that name holds.
fn settings_text(value: &str) -> Result<String, String> {
    if value.starts_with('{') {
        return Ok(value.to_owned());
    }
    match std::fs::read_to_string(value) {
        Ok(text) => Ok(text),
        Err(_) if Settings::is_inline(value) => Ok(value.to_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(format!("{SETTINGS} names the file {value}, which does not exist"))
        }
        Err(error) => Err(format!("{SETTINGS} names the file {value}, which cannot be read: {error}")),
    }
}
