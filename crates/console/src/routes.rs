//! One function a route.

use std::sync::Arc;

use app::ports::{Clock, DeadLetters, Documents, ItemBooks, Overview, RecentEvent, StoreResult, VendorState};
use app::status::StatusReport;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::{Console, answer};

pub(crate) type Shared<S, V, C> = State<Arc<Console<S, V, C>>>;
type PathId = Result<Path<String>, PathRejection>;
type PageQuery = Result<Query<Page>, QueryRejection>;

const DEFAULT_LIMIT: usize = 50;
const MAX_LIMIT: usize = 1_000;
const MAX_ID_LENGTH: usize = 200;

#[derive(Deserialize)]
pub(crate) struct Page {
    after: Option<String>,
    limit: Option<usize>,
}

impl Page {
    fn limit(&self) -> usize {
        self.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT)
    }
}

#[derive(Serialize)]
struct RecentEvents {
    items: Vec<RecentEvent>,
}

#[derive(Serialize)]
struct Steered<'a> {
    id: &'a str,
    state: &'static str,
}

pub(crate) async fn page() -> &'static str {
    "intercom-klaviyo is running; the console page comes with a later version, the status is at /api/status\n"
}

pub(crate) async fn health() -> &'static str {
    "ok"
}

pub(crate) async fn status<S, V, C>(State(console): Shared<S, V, C>) -> Response
where
    S: Overview + Documents + ItemBooks,
    V: VendorState,
    C: Clock,
{
    match StatusReport::read(&console.store, &console.vendors, &console.setup, console.clock.now()).await {
        Ok(report) => answer::json(StatusCode::OK, &report),
        Err(error) => answer::store_error(&error),
    }
}

pub(crate) async fn dead_letters<S: DeadLetters, V, C>(State(console): Shared<S, V, C>, page: PageQuery) -> Response {
    let Ok(Query(page)) = page else { return bad_query() };
    if page.after.as_deref().is_some_and(|cursor| !is_id(cursor)) {
        return answer::error(StatusCode::BAD_REQUEST, "`after` is not a cursor that this list gave out as `next`");
    }
    match console.store.dead_letters(page.after.as_deref(), page.limit()).await {
        Ok(page) => answer::json(StatusCode::OK, &page),
        Err(error) => answer::store_error(&error),
    }
}

pub(crate) async fn replay<S: DeadLetters, V, C>(State(console): Shared<S, V, C>, id: PathId) -> Response {
    let Some(id) = known_form(id) else { return no_such_letter() };
    steered(&id, "replayed", console.store.replay(&id).await)
}

pub(crate) async fn discard<S: DeadLetters, V, C>(State(console): Shared<S, V, C>, id: PathId) -> Response {
    let Some(id) = known_form(id) else { return no_such_letter() };
    steered(&id, "discarded", console.store.discard(&id).await)
}

pub(crate) async fn recent_events<S: Overview, V, C>(State(console): Shared<S, V, C>, page: PageQuery) -> Response {
    let Ok(Query(page)) = page else { return bad_query() };
    match console.store.recent_events(page.limit()).await {
        Ok(items) => answer::json(StatusCode::OK, &RecentEvents { items }),
        Err(error) => answer::store_error(&error),
    }
}

fn steered(id: &str, state: &'static str, result: StoreResult<bool>) -> Response {
    match result {
        Ok(true) => {
            tracing::info!(id, state, "a dead letter was steered by hand");
            answer::json(StatusCode::OK, &Steered { id, state })
        }
        Ok(false) => no_such_letter(),
        Err(error) => answer::store_error(&error),
    }
}

fn no_such_letter() -> Response {
    answer::error(StatusCode::NOT_FOUND, "there is no dead letter with this id")
}

fn bad_query() -> Response {
    answer::error(StatusCode::BAD_REQUEST, "`limit` is a whole number, `after` a cursor")
}

/// The id, if it has the form of one.
fn known_form(id: PathId) -> Option<String> {
    id.ok().map(|Path(id)| id).filter(|id| is_id(id))
}

fn is_id(text: &str) -> bool {
    (1..=MAX_ID_LENGTH).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}
