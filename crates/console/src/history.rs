//! Steering the import, and asking what it would cost or whether it is complete.

use app::history::{Asked, SteerError, first_start, history_report, steer as steer_import};
use app::ports::{Clock, Documents, ItemBooks};
use axum::extract::{Path, State};
use axum::response::Response;
use domain::history::{StartFacts, Wish};
use http::StatusCode;

use crate::answer;
use crate::routes::Shared;

/// `POST /api/history/{start,pause,resume,restart}`: answers with where the import stands then; 409 where the move does not fit.
pub(crate) async fn steer<S, V, C>(State(console): Shared<S, V, C>, Path(action): Path<String>) -> Response
where
    S: Documents + ItemBooks,
    C: Clock,
{
    let wish = match action.as_str() {
        "start" => Wish::Start,
        "pause" => Wish::Pause,
        "resume" => Wish::Resume,
        "restart" => Wish::Restart,
        _ => return answer::no_such_route().await,
    };
    if !console.setup.is_empty() && matches!(wish, Wish::Start | Wish::Restart | Wish::Resume) {
        let missing = console.setup.join(", ");
        return answer::error(StatusCode::CONFLICT, &format!("set these first: {missing}"));
    }
    let now = console.clock.now();
    let first_start = match first_start(&console.store, now.as_second()).await {
        Ok(first_start) => first_start,
        Err(error) => return answer::store_error(&error),
    };
    let facts = StartFacts { first_start, days: console.history_days };
    match steer_import(&console.store, wish, facts, now.as_second()).await {
        Ok(_) => tracing::info!(action, "the history import was steered by hand"),
        Err(SteerError::Illegal(illegal)) => return answer::error(StatusCode::CONFLICT, &illegal.to_string()),
        Err(SteerError::Store(error)) => return answer::store_error(&error),
    }
    match history_report(&console.store).await {
        Ok(report) => answer::json(StatusCode::OK, &report),
        Err(error) => answer::store_error(&error),
    }
}

/// `GET /api/history/{plan,verify}`: asks Intercom, sends nothing.
pub(crate) async fn ask<S, V, C>(State(console): Shared<S, V, C>, Path(action): Path<String>) -> Response {
    let Some(asking) = &console.asking else {
        return answer::error(StatusCode::CONFLICT, "Intercom cannot be asked before its access token is set");
    };
    let asked = match action.as_str() {
        "plan" => asking.plan().await,
        "verify" => asking.verify().await,
        "start" | "pause" | "resume" | "restart" => return answer::wrong_method().await,
        _ => return answer::no_such_route().await,
    };
    match asked {
        Asked::Answer(value) => answer::json(StatusCode::OK, &value),
        Asked::Failed(sentence) => answer::error(StatusCode::BAD_GATEWAY, &sentence),
    }
}
