//! The status API: what a human or a script sees of the pipeline, and the few things they may steer.
//!
//! One axum router, the same behind one process and behind a function URL. It reads the state through ports, holds none of
//! its own, and answers errors as `{"error": "one sentence"}`. Nothing that it gives out holds personal data.

mod access;
mod answer;
mod connect;
mod desk;
mod forget;
mod history;
mod recipes;
mod routes;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use app::history::Asking;
use app::ports::{Clock, DeadLetters, Documents, ItemBooks, Overview, VendorState};
use axum::Router;
use axum::routing::{get, post};

pub use access::Access;
pub use desk::Desk;

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
    /// How far back an import goes that is started here; `None`: to the beginning.
    pub history_days: Option<u32>,
    /// Who asks Intercom for `plan` and `verify`; `None` in set-up mode.
    pub asking: Option<Arc<dyn Asking>>,
    /// Who sets things up.
    pub desk: Desk,
}

/// The routes `/`, `/healthz` and `/api/…`.
pub fn router<S, V, C>(console: Console<S, V, C>) -> Router
where
    S: Overview + DeadLetters + Documents + ItemBooks + 'static,
    V: VendorState + 'static,
    C: Clock + 'static,
{
    let console = Arc::new(console);
    let guard = axum::middleware::from_fn_with_state(Arc::clone(&console), access::guard::<S, V, C>);
    Router::new()
        .route("/", get(routes::page))
        .route("/healthz", get(routes::health))
        .route("/api/status", get(routes::status::<S, V, C>))
        .route("/api/dead-letters", get(routes::dead_letters::<S, V, C>))
        .route("/api/dead-letters/{id}/replay", post(routes::replay::<S, V, C>))
        .route("/api/dead-letters/{id}/discard", post(routes::discard::<S, V, C>))
        .route("/api/history/{action}", get(history::ask::<S, V, C>).post(history::steer::<S, V, C>))
        .route("/api/connect", get(connect::report::<S, V, C>))
        .route("/api/connect/check", post(connect::check::<S, V, C>))
        .route("/api/connect/save", post(connect::save::<S, V, C>))
        .route("/api/forget", post(forget::forget::<S, V, C>))
        .route("/api/recipes", get(recipes::list::<S, V, C>))
        .route("/api/recipes/{name}", get(recipes::preview::<S, V, C>))
        .route("/api/recipes/{name}/apply", post(recipes::apply::<S, V, C>))
        .route("/api/events/recent", get(routes::recent_events::<S, V, C>))
        .fallback(answer::no_such_route)
        .method_not_allowed_fallback(answer::wrong_method)
        .layer(guard)
        .with_state(console)
}

/// The one route of a listener on which the console is not offered: `/healthz`.
pub fn health_router() -> Router {
    Router::new()
        .route("/healthz", get(routes::health))
        .fallback(answer::no_such_route)
        .method_not_allowed_fallback(answer::wrong_method)
}
