//! Who is let in.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

use crate::{Console, answer};

/// Who may use `/api`.
#[derive(Clone, Debug)]
pub enum Access {
    /// Whoever sends `Authorization: Bearer` with this token.
    Token(SecretString),
    /// Everybody who names a loopback address as the host. For the demo on a loopback listener: without the check of the name, a
    /// page on the internet could reach it through the visitor's browser.
    Loopback,
}

impl Access {
    /// The refusal, where there is to be one.
    fn refusal(&self, path: &str, headers: &HeaderMap) -> Option<Response> {
        match self {
            Self::Token(token) if path == "/api" || path.starts_with("/api/") => check_token(token, headers),
            Self::Loopback if path != "/healthz" => check_origin(headers),
            Self::Token(_) | Self::Loopback => None,
        }
    }
}

pub(crate) async fn guard<S, V, C>(
    State(console): State<Arc<Console<S, V, C>>>,
    request: Request,
    next: Next,
) -> Response {
    match console.access.refusal(request.uri().path(), request.headers()) {
        None => next.run(request).await,
        Some(refusal) => refusal,
    }
}

fn check_token(token: &SecretString, headers: &HeaderMap) -> Option<Response> {
    let given = headers.get(header::AUTHORIZATION).map_or(&b""[..], |value| bearer(value.as_bytes()));
    if !given.is_empty() && bool::from(given.ct_eq(token.expose_secret().as_bytes())) {
        return None;
    }
    let sentence = "send the console's token: Authorization: Bearer TOKEN";
    let mut refusal = answer::error(StatusCode::UNAUTHORIZED, sentence);
    refusal.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    Some(refusal)
}

/// What follows `Bearer `; nothing when another scheme is used.
fn bearer(header: &[u8]) -> &[u8] {
    match header.split_at_checked(7) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"bearer ") => token.trim_ascii(),
        _ => b"",
    }
}

fn check_origin(headers: &HeaderMap) -> Option<Response> {
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok());
    let origin = headers.get(header::ORIGIN).map(|value| value.to_str().unwrap_or_default());
    let same_machine = host.is_some_and(names_loopback)
        && origin.is_none_or(|origin| origin.split_once("://").is_some_and(|(_, host)| names_loopback(host)));
    if same_machine {
        return None;
    }
    Some(answer::error(StatusCode::FORBIDDEN, "the demo answers only to localhost, 127.0.0.1 and [::1]"))
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
