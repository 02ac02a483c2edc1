//! Who is let in.

use std::sync::Arc;

use app::ports::Clock;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

use crate::attempts::Attempts;
use crate::{Console, answer, session};

/// Who may use `/api`.
#[derive(Clone, Debug)]
pub enum Access {
    /// Whoever sends `Authorization: Bearer` with this token, or has signed in with it.
    Token(SecretString),
    /// The same, and only by a loopback address as the host: a token that nobody chose is for this machine. A tunnel in front of
    /// the webhook makes every caller look local, but not the name that they called.
    LocalToken(SecretString),
    /// Everybody who names a loopback address as the host. For the demo on a loopback listener: without the check of the name, a
    /// page on the internet could reach it through the visitor's browser.
    Loopback,
}

/// What is asked of a request that a browser may have been led to send.
pub(crate) const OWN_HEADER: &str = "x-console";

impl Access {
    /// The refusal, where there is to be one.
    fn refusal(&self, asked: &Asked<'_>, attempts: &Attempts, now: Timestamp) -> Option<Response> {
        if asked.path == "/healthz" {
            return None;
        }
        let token = match self {
            Self::Token(token) => token,
            Self::LocalToken(token) => match host_refusal(asked.headers) {
                None => token,
                refusal => return refusal,
            },
            Self::Loopback => {
                return host_refusal(asked.headers).or_else(|| origin_refusal(asked.headers));
            }
        };
        let is_api = asked.path == "/api" || asked.path.starts_with("/api/");
        if !is_api {
            return None;
        }
        if asked.path == SESSION && *asked.method != Method::GET {
            // Signing in and out: it brings the token itself, or nothing.
            return csrf_refusal(asked.headers);
        }
        if asked.headers.contains_key(header::AUTHORIZATION) {
            return bearer_refusal(token, asked.headers, attempts, now);
        }
        if session::is_valid(token, asked.headers, now, is_https(asked.headers)) {
            return if asked.method.is_safe() { None } else { csrf_refusal(asked.headers) };
        }
        Some(unauthorized())
    }

    /// The token, where there is one.
    pub(crate) fn token(&self) -> Option<&SecretString> {
        match self {
            Self::Token(token) | Self::LocalToken(token) => Some(token),
            Self::Loopback => None,
        }
    }
}

/// Where the token becomes a session.
pub(crate) const SESSION: &str = "/api/session";

/// What a request is judged by.
struct Asked<'a> {
    method: &'a Method,
    path: &'a str,
    headers: &'a HeaderMap,
}

pub(crate) async fn guard<S, V, C: Clock>(
    State(console): State<Arc<Console<S, V, C>>>,
    request: Request,
    next: Next,
) -> Response {
    let asked = Asked { method: request.method(), path: request.uri().path(), headers: request.headers() };
    match console.access.refusal(&asked, &console.attempts, console.clock.now()) {
        None => next.run(request).await,
        Some(refusal) => refusal,
    }
}

/// Whether the given token is the right one, in a time that does not tell how nearly it is.
pub(crate) fn is_right(token: &SecretString, given: &[u8]) -> bool {
    !given.is_empty() && bool::from(given.ct_eq(token.expose_secret().as_bytes()))
}

/// The refusal while too many tokens were wrong.
pub(crate) fn too_many(seconds: i64) -> Response {
    let sentence = format!("too many wrong tokens; try again in {seconds} s");
    let mut refusal = answer::error(StatusCode::TOO_MANY_REQUESTS, &sentence);
    refusal.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    refusal
}

fn bearer_refusal(token: &SecretString, headers: &HeaderMap, attempts: &Attempts, now: Timestamp) -> Option<Response> {
    let given = headers.get(header::AUTHORIZATION).map_or(&b""[..], |value| bearer(value.as_bytes()));
    if given.is_empty() {
        return Some(unauthorized());
    }
    if let Err(seconds) = attempts.check(now) {
        return Some(too_many(seconds));
    }
    if is_right(token, given) {
        return None;
    }
    attempts.failed(now);
    Some(unauthorized())
}

fn unauthorized() -> Response {
    let sentence = "send the console's token: Authorization: Bearer TOKEN";
    let mut refusal = answer::error(StatusCode::UNAUTHORIZED, sentence);
    refusal.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    refusal
}

/// What follows `Bearer `; nothing when another scheme is used.
fn bearer(header: &[u8]) -> &[u8] {
    match header.split_at_checked(7) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"bearer ") => token.trim_ascii(),
        _ => b"",
    }
}

/// A browser sends its cookie along with whatever any page makes it send. So what changes something has to come from our own page:
/// by the browser's word, and with a header that no form can set and no other page may.
fn csrf_refusal(headers: &HeaderMap) -> Option<Response> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let ours = match (text("sec-fetch-site"), text("origin")) {
        (Some(site), _) => site == "same-origin",
        (None, Some(origin)) => origin.split_once("://").map(|(_, host)| host) == text("host"),
        (None, None) => false,
    };
    if ours && headers.contains_key(OWN_HEADER) {
        return None;
    }
    Some(answer::error(
        StatusCode::FORBIDDEN,
        "this was not sent by the console's own page; reload the page and try again",
    ))
}

fn host_refusal(headers: &HeaderMap) -> Option<Response> {
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok());
    if host.is_some_and(names_loopback) {
        return None;
    }
    let sentence =
        "this console answers only to localhost, 127.0.0.1 and [::1]; set CONSOLE_TOKEN to open it to others";
    Some(answer::error(StatusCode::FORBIDDEN, sentence))
}

fn origin_refusal(headers: &HeaderMap) -> Option<Response> {
    let origin = headers.get(header::ORIGIN).map(|value| value.to_str().unwrap_or_default());
    let from_here = origin.is_none_or(|origin| origin.split_once("://").is_some_and(|(_, host)| names_loopback(host)));
    let other_site = headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site");
    if from_here && !other_site {
        return None;
    }
    Some(answer::error(StatusCode::FORBIDDEN, "the demo does not answer to other pages"))
}

/// Whether the browser talks HTTPS with us or with what stands in front of us. Nobody gains by lying about it: it decides the name
/// of the cookie that they get themselves.
pub(crate) fn is_https(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    match text("x-forwarded-proto") {
        Some(scheme) => scheme.split(',').next().is_some_and(|scheme| scheme.trim().eq_ignore_ascii_case("https")),
        None => !text("host").is_some_and(names_loopback),
    }
}

fn names_loopback(authority: &str) -> bool {
    let Ok(uri) = Uri::builder().scheme("http").authority(authority).path_and_query("/").build() else { return false };
    // `user@localhost` is an authority too, but not a Host.
    !authority.contains('@')
        && uri.host().is_some_and(|host| {
            let host = host.trim_start_matches('[').trim_end_matches(']');
            host.eq_ignore_ascii_case("localhost") || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
        })
}

#[cfg(test)]
mod tests {
    use super::names_loopback;

    #[test]
    fn only_loopback_names_are_loopback() {
        for name in ["localhost", "LOCALHOST:8080", "127.0.0.1", "127.0.0.1:80", "127.3.2.1:1", "[::1]", "[::1]:8080"] {
            assert!(names_loopback(name), "{name}");
        }
        for name in
            ["", "example.com", "localhost.example.com", "127.0.0.1.nip.io", "0.0.0.0", "x@localhost", "10.0.0.1:80"]
        {
            assert!(!names_loopback(name), "{name}");
        }
    }
}
