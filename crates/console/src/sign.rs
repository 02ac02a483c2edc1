//! Signing in and out: the token comes once, a cookie goes back, and the page never sees either again.

use app::ports::Clock;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};

use crate::access::{is_https, is_right, too_many};
use crate::routes::Shared;
use crate::{About, answer, session};

/// Most bytes of a sign-in: a token and a few braces.
pub(crate) const MOST_BYTES: usize = 4 * 1024;

#[derive(Deserialize)]
struct SignIn {
    token: String,
}

#[derive(Serialize)]
struct Session<'a> {
    /// Whether there is something to sign out of.
    signed_in: bool,
    about: &'a About,
}

/// `GET /api/session`: whoever gets here is let in.
pub(crate) async fn look<S, V, C>(State(console): Shared<S, V, C>) -> Response {
    let signed_in = console.access.token().is_some();
    answer::json(StatusCode::OK, &Session { signed_in, about: &console.about })
}

/// `POST /api/session`: a session for the token.
pub(crate) async fn sign_in<S, V, C: Clock>(
    State(console): Shared<S, V, C>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let Some(token) = console.access.token() else { return StatusCode::NO_CONTENT.into_response() };
    let given = body.ok().and_then(|body| serde_json::from_slice::<SignIn>(&body).ok());
    let Some(given) = given else {
        return answer::error(StatusCode::BAD_REQUEST, "a sign-in is {\"token\": \"…\"}");
    };
    let now = console.clock.now();
    if let Err(seconds) = console.attempts.check(now) {
        return too_many(seconds);
    }
    if !is_right(token, given.token.trim().as_bytes()) {
        console.attempts.failed(now);
        tracing::warn!("somebody tried to sign in to the console with a wrong token");
        return answer::error(StatusCode::UNAUTHORIZED, "this is not the console's token");
    }
    with_cookie(&session::start(token, now, is_https(&headers)))
}

/// `DELETE /api/session`: takes the cookie away.
pub(crate) async fn sign_out(headers: HeaderMap) -> Response {
    with_cookie(&session::end(is_https(&headers)))
}

fn with_cookie(cookie: &str) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(cookie) = HeaderValue::from_str(cookie) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}
