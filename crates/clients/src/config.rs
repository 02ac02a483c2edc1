//! What the clients need to know, and what can be wrong with it.

use std::net::IpAddr;
use std::time::Duration;

use app::ports::StoreError;
use reqwest::Url;
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};

/// Addresses, keys and limits.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// `INTERCOM_API_URL`: `https://api.intercom.io`, or the host of the region.
    pub intercom_url: String,
    /// `INTERCOM_ACCESS_TOKEN`.
    pub intercom_token: SecretString,
    /// `KLAVIYO_API_URL`: `https://a.klaviyo.com`.
    pub klaviyo_url: String,
    /// `KLAVIYO_API_KEY`: a private key (`pk_…`).
    pub klaviyo_key: SecretString,
    /// Whether we count requests.
    pub limits: Limits,
    /// How long an answer may take.
    pub timeouts: Timeouts,
    /// How much of Intercom's quota, in percent, the import and reconcile may use up.
    pub search_share: u32,
}

impl ClientConfig {
    /// With the documented limits and the usual timeouts.
    pub fn new(
        intercom_url: impl Into<String>,
        intercom_token: SecretString,
        klaviyo_url: impl Into<String>,
        klaviyo_key: SecretString,
    ) -> Self {
        Self {
            intercom_url: intercom_url.into(),
            intercom_token,
            klaviyo_url: klaviyo_url.into(),
            klaviyo_key,
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            search_share: 80,
        }
    }
}

/// Whether we keep to the vendors' limits before they enforce them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Limits {
    /// The documented limits, as corrected by the headers of the answers. For one process alone.
    #[default]
    Documented,
    /// The same, kept together with every other process that uses these accounts and this store: each asks a document
    /// there for a share of the limits, about once for ten requests, and what one was told the others know 2 seconds later.
    /// While the store does not answer, calls wait.
    Shared {
        /// A name that no other process has, ever: the instance of a function, say.
        holder: String,
    },
    /// None, for benchmarks against a server of our own. A wait that is told is obeyed all the same.
    Off,
}

/// How long an answer may take.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// Until the connection stands, TLS included.
    pub connect: Duration,
    /// A single event or a small read at Klaviyo, all in all.
    pub single: Duration,
    /// A bulk request of up to 4 MB, all in all.
    pub bulk: Duration,
    /// A request to Intercom, all in all.
    pub intercom: Duration,
    /// A page of one of Intercom's searches, all in all. It takes up to 18 seconds on bad days.
    pub search: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            single: Duration::from_secs(10),
            bulk: Duration::from_secs(30),
            intercom: Duration::from_secs(20),
            search: Duration::from_secs(60),
        }
    }
}

/// Why the clients cannot be built. Every message names the variable to mend and no secret.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Not an address.
    #[error("{variable} is not a usable address: {problem}")]
    Address {
        /// The environment variable.
        variable: &'static str,
        /// What is wrong.
        problem: &'static str,
    },
    /// The key would cross a network in clear text.
    #[error(
        "{variable} must begin with https:// (http:// is accepted for this machine only: localhost, 127.0.0.1, ::1)"
    )]
    Insecure {
        /// The environment variable.
        variable: &'static str,
    },
    /// Blank, or with characters that no key has.
    #[error("{variable} is blank or holds characters that a key cannot have")]
    Secret {
        /// The environment variable.
        variable: &'static str,
    },
    /// No certificates on this machine, for example.
    #[error("the HTTPS client cannot be set up: {detail}")]
    Setup {
        /// The cause.
        detail: String,
    },
    /// The told waits could not be read.
    #[error("the limits told earlier cannot be read")]
    Store(#[from] StoreError),
}

/// A checked base address without a slash at its end.
pub(crate) struct Base {
    pub(crate) text: String,
    /// Plain HTTP to this machine.
    pub(crate) local: bool,
}

pub(crate) fn base(variable: &'static str, text: &str) -> Result<Base, ClientError> {
    let wrong = |problem| ClientError::Address { variable, problem };
    let url = Url::parse(text.trim()).map_err(|_| wrong("it cannot be read as a URL"))?;
    let host = url.host_str().ok_or_else(|| wrong("it has no host"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("it must not hold a user name or password"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("it must end with the host or a path"));
    }
    let local = match url.scheme() {
        "https" => false,
        "http" if is_loopback(host) => true,
        "http" => return Err(ClientError::Insecure { variable }),
        _ => return Err(wrong("it must begin with https://")),
    };
    Ok(Base { text: url.as_str().trim_end_matches('/').to_owned(), local })
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.ends_with(".localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// `{scheme} {secret}` as a header value that no debug output shows.
pub(crate) fn authorization(
    variable: &'static str,
    scheme: &str,
    secret: &SecretString,
) -> Result<HeaderValue, ClientError> {
    let secret = secret.expose_secret().trim();
    if secret.is_empty() || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(ClientError::Secret { variable });
    }
    let mut value =
        HeaderValue::from_str(&format!("{scheme} {secret}")).map_err(|_| ClientError::Secret { variable })?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn accepts(text: &str, expected: &str) {
        assert_eq!(base("X_URL", text).expect("usable").text, expected);
    }

    #[track_caller]
    fn refuses(text: &str, expected: &str) {
        let error = base("X_URL", text).err().expect("refused").to_string();
        assert!(error.contains("X_URL") && error.contains(expected), "{error}");
    }

    #[test]
    fn https_anywhere_and_http_to_this_machine() {
        accepts("https://api.intercom.io", "https://api.intercom.io");
        accepts(" https://a.klaviyo.com/ ", "https://a.klaviyo.com");
        accepts("http://127.0.0.1:8080", "http://127.0.0.1:8080");
        accepts("http://[::1]:8080/intercom/", "http://[::1]:8080/intercom");
        accepts("http://localhost:1", "http://localhost:1");
    }

    #[test]
    fn anything_else_is_refused_by_name() {
        refuses("http://api.intercom.io", "https://");
        refuses("http://127.0.0.1.example.org", "https://");
        refuses("http://192.168.0.10:8080", "https://");
        refuses("api.intercom.io", "URL");
        refuses("ftp://api.intercom.io", "https://");
        refuses("https://user:secret@api.intercom.io", "user name");
        refuses("https://api.intercom.io/?a=b", "path");
    }

    #[test]
    fn keys_do_not_print_and_are_checked() {
        let value = authorization("KEY", "Bearer", &SecretString::from(" s3cret\n")).expect("usable");
        assert_eq!(value.as_bytes(), b"Bearer s3cret");
        assert!(!format!("{value:?}").contains("s3cret"));
        for bad in ["", "  ", "two words", "line\nbreak", "umläut"] {
            let error = authorization("KEY", "Bearer", &SecretString::from(bad)).expect_err("refused");
            assert_eq!(error.to_string(), "KEY is blank or holds characters that a key cannot have");
        }
    }
}
