//! Environment variables as both worlds read them: one process on one machine, and functions.
//!
//! Pure: the environment and the files are arguments. All problems are gathered, so that a human mends them in one go, and none
//! of them repeats a value.

use std::ffi::OsString;
use std::fmt;
use std::io;

use domain::ClientSecrets;
use http::Uri;
use secrecy::SecretString;

use crate::settings::Settings;

/// Verifies webhooks; several, comma-separated, while rotating.
pub const CLIENT_SECRET: &str = "INTERCOM_CLIENT_SECRET";
/// Reads contacts and names at Intercom.
pub const ACCESS_TOKEN: &str = "INTERCOM_ACCESS_TOKEN";
/// Klaviyo's private key.
pub const KLAVIYO_KEY: &str = "KLAVIYO_API_KEY";
/// Opens the console.
pub const CONSOLE_TOKEN: &str = "CONSOLE_TOKEN";
/// Intercom's REST API.
pub const INTERCOM_URL: &str = "INTERCOM_API_URL";
/// Klaviyo's API.
pub const KLAVIYO_URL: &str = "KLAVIYO_API_URL";
/// The settings, or the path of a file that holds them.
pub const SETTINGS: &str = "SETTINGS";

/// Where [`INTERCOM_URL`] points by default: the US region (<https://developers.intercom.com/docs/build-an-integration/learn-more/rest-apis>).
pub const INTERCOM_URL_DEFAULT: &str = "https://api.intercom.io";
/// Where [`KLAVIYO_URL`] points by default (<https://developers.klaviyo.com/en/reference/api_overview>).
pub const KLAVIYO_URL_DEFAULT: &str = "https://a.klaviyo.com";

/// Everything that is wrong, in one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvironmentError {
    /// One sentence each, without values.
    pub problems: Vec<String>,
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

/// Reads variables from wherever, and remembers what is wrong with them.
#[derive(Debug)]
pub struct Reader<L> {
    lookup: L,
    /// One sentence for each variable that cannot be used.
    pub problems: Vec<String>,
}

impl<L: Fn(&str) -> Option<OsString>> Reader<L> {
    /// `lookup` gives a variable's value.
    pub fn new(lookup: L) -> Self {
        Self { lookup, problems: Vec::new() }
    }

    /// The value without blanks around it. A variable that is there and blank is a mistake, not an absence.
    pub fn text(&mut self, name: &str) -> Option<String> {
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

    /// A secret that travels in a header: visible ASCII.
    pub fn header_secret(&mut self, name: &str) -> Option<SecretString> {
        let text = self.text(name)?;
        if text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Some(SecretString::from(text));
        }
        self.problems.push(format!("{name} holds blanks or characters beyond ASCII; copy it again"));
        None
    }

    /// [`CLIENT_SECRET`].
    pub fn client_secrets(&mut self) -> Option<ClientSecrets> {
        let list = SecretString::from(self.text(CLIENT_SECRET)?);
        ClientSecrets::parse(&list)
            .map_err(|error| {
                self.problems.push(format!("{CLIENT_SECRET} {error}; give it the app's client secret or remove it"));
            })
            .ok()
    }

    /// An address without a slash at its end.
    pub fn url(&mut self, name: &str, default: &str) -> String {
        let Some(text) = self.text(name) else { return default.to_owned() };
        let fits = text.parse::<Uri>().is_ok_and(|url| {
            matches!(url.scheme_str(), Some("http" | "https"))
                && url.host().is_some_and(|host| !host.is_empty())
                && url.query().is_none()
                && !text.contains('#')
        });
        if !fits {
            self.problems.push(format!("{name} is not a URL such as {default}"));
        }
        text.trim_end_matches('/').to_owned()
    }

    /// [`SETTINGS`]; `read_file` gives the text of a file.
    pub fn settings(&mut self, read_file: impl Fn(&str) -> io::Result<String>) -> Settings {
        let Some(value) = self.text(SETTINGS) else { return Settings::default() };
        let source = match settings_text(&value, read_file) {
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

/// The settings themselves, or what the file of that name holds.
fn settings_text(value: &str, read_file: impl Fn(&str) -> io::Result<String>) -> Result<String, String> {
    if value.starts_with('{') {
        return Ok(value.to_owned());
    }
    match read_file(value) {
        Ok(text) => Ok(text),
        Err(_) if Settings::is_inline(value) => Ok(value.to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(format!("{SETTINGS} names the file {value}, which does not exist"))
        }
        Err(error) => Err(format!("{SETTINGS} names the file {value}, which cannot be read: {error}")),
    }
}
