//! One function a route.

use std::sync::Arc;

use app::hours::hours_report;
use app::ports::{Clock, DeadLetters, Documents, ItemBooks, Overview, StoreResult, VendorState};
use app::recent::{WantedEvents, recent_page};
use app::status::StatusReport;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::{Console, answer};

pub(crate) type Shared<S, V, C> = State<Arc<Console<S, V, C>>>;
pub(crate) type PathId = Result<Path<String>, PathRejection>;
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
    pub(crate) fn limit(&self) -> usize {
        self.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT)
    }
}

#[derive(Deserialize)]
pub(crate) struct RecentQuery {
    after: Option<String>,
    limit: Option<usize>,
    metric: Option<String>,
    fate: Option<String>,
    contact: Option<String>,
}

#[derive(Serialize)]
struct Steered<'a> {
    id: &'a str,
    state: &'static str,
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

/// `GET /api/events/recent`: the newest first, by metric, fate and contact where they are given.
pub(crate) async fn recent_events<S: Overview, V, C>(
    State(console): Shared<S, V, C>,
    query: Result<Query<RecentQuery>, QueryRejection>,
) -> Response {
    let Ok(Query(query)) = query else { return bad_query() };
    let page = Page { after: query.after, limit: query.limit };
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let wanted = WantedEvents { metric: given(query.metric), fate: given(query.fate), contact: given(query.contact) };
    match recent_page(&console.store, &wanted, page.after.as_deref(), page.limit()).await {
        Ok(page) => answer::json(StatusCode::OK, &page),
        Err(error) => answer::store_error(&error),
    }
}

/// `GET /api/events/hours`: events sent in each of the last 48 hours, by metric.
pub(crate) async fn hours<S: Overview + Documents, V, C: Clock>(State(console): Shared<S, V, C>) -> Response {
    match hours_report(&console.store, console.clock.now()).await {
        Ok(report) => answer::json(StatusCode::OK, &report),
        Err(error) => answer::store_error(&error),
    }
}

pub(crate) fn steered(id: &str, state: &'static str, result: StoreResult<bool>) -> Response {
    match result {
        Ok(true) => {
            tracing::info!(id, state, "a dead letter was steered by hand");
            answer::json(StatusCode::OK, &Steered { id, state })
        }
        Ok(false) => no_such_letter(),
        Err(error) => answer::store_error(&error),
    }
}

pub(crate) fn no_such_letter() -> Response {
    answer::error(StatusCode::NOT_FOUND, "there is no dead letter with this id")
}

pub(crate) fn bad_query() -> Response {
    answer::error(StatusCode::BAD_REQUEST, "`limit` is a whole number, `after` a cursor")
}

/// The id, if it has the form of one.
pub(crate) fn known_form(id: PathId) -> Option<String> {
    id.ok().map(|Path(id)| id).filter(|id| is_id(id))
}

pub(crate) fn is_id(text: &str) -> bool {
    (1..=MAX_ID_LENGTH).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}
