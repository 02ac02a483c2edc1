//! Answers in one form: JSON, never cached, errors as one sentence.

use app::ports::StoreError;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

#[derive(Serialize)]
struct ErrorBody<'a> {
    error: &'a str,
}

pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    let bytes = match serde_json::to_vec(body) {
        Ok(bytes) => bytes,
        Err(error) => {
            tracing::error!(%error, "an answer could not be written as JSON");
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    (status, headers, bytes).into_response()
}

pub(crate) fn error(status: StatusCode, sentence: &str) -> Response {
    json(status, &ErrorBody { error: sentence })
}

pub(crate) fn store_error(error: &StoreError) -> Response {
    tracing::warn!(%error, "the console could not read or change the state");
    let status = match error {
        StoreError::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
        StoreError::Unreadable { .. } => StatusCode::INTERNAL_SERVER_ERROR,
    };
    self::error(status, &error.to_string())
}

pub(crate) async fn no_such_route() -> Response {
    error(StatusCode::NOT_FOUND, "there is nothing at this address")
}

pub(crate) async fn wrong_method() -> Response {
    error(StatusCode::METHOD_NOT_ALLOWED, "this address does not take that method")
}
