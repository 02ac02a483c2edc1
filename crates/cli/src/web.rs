//! A plain HTTP client for the commands that ask somebody: console, doctor, send-sample.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use reqwest::header::{DATE, HeaderMap};
use reqwest::{Client, RequestBuilder};
use serde_json::Value;

/// No more of an answer is read.
const MOST: usize = 16 * 1024 * 1024;

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    /// `Null` where the body is not JSON.
    pub(crate) json: Value,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// What the server's clock showed.
    pub(crate) fn date(&self) -> Option<Timestamp> {
        let text = self.headers.get(DATE)?.to_str().ok()?;
        // HTTP dates are RFC 2822 dates with "GMT" for "+0000".
        rfc2822::DateTimeParser::new().parse_timestamp(text).ok()
    }
}

/// A client that follows no redirects: what we send carries secrets for one host.
pub(crate) fn client() -> Result<Client, String> {
    Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(15))
        .connect_timeout(Duration::from_secs(5))
        .build()
        .map_err(|error| format!("the HTTPS client cannot be set up: {}; are CA certificates installed?", root(&error)))
}

/// Sends and reads. The error says why without the address, which the caller knows.
pub(crate) async fn fetch(request: RequestBuilder) -> Result<Answer, String> {
    let mut response = request.send().await.map_err(|error| reason(&error))?;
    let (status, headers) = (response.status().as_u16(), std::mem::take(response.headers_mut()));
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|error| reason(&error))? {
        body.extend_from_slice(&piece);
        if body.len() > MOST {
            return Err("the answer is too large".to_owned());
        }
    }
    Ok(Answer { status, headers, json: serde_json::from_slice(&body).unwrap_or(Value::Null) })
}

fn reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    root(error)
}

/// The innermost cause: the outer ones repeat the address.
fn root(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
