//! The console: a page and its API, by which a human or a script sees the pipeline and steers it a little.
//!
//! One axum router, the same behind one process and behind a function URL. It reads the state through ports, holds none of
//! its own, and answers errors as `{"error": "one sentence"}`. Nothing that it gives out holds personal data, unless somebody asks
//! to see that of one dead letter.

mod about;
mod access;
mod answer;
mod attempts;
mod connect;
mod desk;
mod forget;
mod headers;
mod history;
mod letters;
mod page;
mod recipes;
mod routes;
mod session;
mod sign;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use app::history::Asking;
use app::ports::{Clock, DeadLetters, Documents, ItemBooks, Overview, ParkedMessages, VendorState};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use domain::Rules;

pub use about::{About, Place};
pub use access::Access;
pub use attempts::Attempts;
pub use desk::Desk;

/// What the console reads and changes.
pub trait ConsoleStore: Overview + DeadLetters + ParkedMessages + Documents + ItemBooks {}
impl<T: Overview + DeadLetters + ParkedMessages + Documents + ItemBooks> ConsoleStore for T {}

/// What the console needs.
#[expect(missing_debug_implementations, reason = "it holds whoever asks Intercom, which is one of several types")]
pub struct Console<S, V, C> {
    /// Books, recent events, dead letters.
    pub store: S,
    /// What the vendors told us.
    pub vendors: V,
    /// The moment now.
    pub clock: C,
    /// Variables that are missing, for set-up mode.
    pub setup: Vec<String>,
    /// Who is let in.
    pub access: Access,
    /// Wrong tokens so far, for as long as the process lives.
    pub attempts: Arc<Attempts>,
    /// What is sent, to explain by.
    pub rules: Arc<Rules>,
    /// What the page says about this installation.
    pub about: About,
    /// How far back an import goes that is started here; `None`: to the beginning.
    pub history_days: Option<u32>,
    /// Who asks Intercom for `plan` and `verify`; `None` in set-up mode.
    pub asking: Option<Arc<dyn Asking>>,
    /// Who sets things up.
    pub desk: Desk,
}

/// The routes `/`, `/assets/…`, `/healthz` and `/api/…`.
pub fn router<S, V, C>(console: Console<S, V, C>) -> Router
where
    S: ConsoleStore + 'static,
    V: VendorState + 'static,
    C: Clock + 'static,
{
    let console = Arc::new(console);
    let guard = axum::middleware::from_fn_with_state(Arc::clone(&console), access::guard::<S, V, C>);
    Router::new()
        .route("/", get(page::index))
        .route("/assets/{version}/{name}", get(page::file))
        .route("/healthz", get(routes::health))
        .route(access::SESSION, get(sign::look::<S, V, C>).post(sign::sign_in::<S, V, C>).delete(sign::sign_out))
        .route("/api/status", get(routes::status::<S, V, C>))
        .route("/api/connect", get(connect::report::<S, V, C>))
        .route("/api/connect/check", post(connect::check::<S, V, C>))
        .route("/api/connect/save", post(connect::save::<S, V, C>))
        .route("/api/forget", post(forget::forget::<S, V, C>))
        .route("/api/recipes", get(recipes::list::<S, V, C>))
        .route("/api/recipes/{name}", get(recipes::preview::<S, V, C>))
        .route("/api/recipes/{name}/apply", post(recipes::apply::<S, V, C>))
        .route("/api/events/recent", get(routes::recent_events::<S, V, C>))
        .route("/api/events/hours", get(routes::hours::<S, V, C>))
        .route("/api/dead-letters", get(routes::dead_letters::<S, V, C>))
        .route("/api/dead-letters/groups", get(letters::groups::<S, V, C>))
        .route("/api/dead-letters/steered", get(letters::steered_so_far::<S, V, C>))
        .route("/api/dead-letters/steer", post(letters::steer_many::<S, V, C>))
        .route("/api/dead-letters/{id}/explain", get(letters::explain::<S, V, C>).post(letters::explain::<S, V, C>))
        .route("/api/dead-letters/{id}/{action}", post(letters::steer_one::<S, V, C>))
        .route("/api/parked", get(letters::parked::<S, V, C>))
        .route("/api/parked/release", post(letters::release::<S, V, C>))
        .route("/api/history/{action}", get(history::ask::<S, V, C>).post(history::steer::<S, V, C>))
        .fallback(answer::no_such_route)
        .method_not_allowed_fallback(answer::wrong_method)
        .layer(DefaultBodyLimit::max(sign::MOST_BYTES))
        .layer(guard)
        .layer(axum::middleware::map_response(headers::protect))
        .with_state(console)
}

/// The one route of a listener on which the console is not offered: `/healthz`.
pub fn health_router() -> Router {
    Router::new()
        .route("/healthz", get(routes::health))
        .fallback(answer::no_such_route)
        .method_not_allowed_fallback(answer::wrong_method)
}
