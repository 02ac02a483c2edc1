//! Failures in words.

use app::ports::StoreError;

/// Which store, for people.
pub(crate) const TABLE: &str = "state table";
/// Which store, for people.
pub(crate) const QUEUE: &str = "queue";

/// Try again later.
pub(crate) fn unavailable(store: &'static str, detail: impl Into<String>) -> StoreError {
    StoreError::Unavailable { store, detail: detail.into() }
}

/// This version cannot read it.
pub(crate) fn unreadable(detail: impl Into<String>) -> StoreError {
    StoreError::Unreadable { store: TABLE, detail: detail.into() }
}
