//! Names of admins, teams and tags, looked up when an event needs one and kept for hours.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::directory::Directory;
use jiff::Timestamp;

use super::Consumer;
use crate::ports::{CallError, Clock, ConsumerStore, Intercom, Jitter, Klaviyo, Names};

/// How long names are good.
const FRESH_FOR: Duration = Duration::from_secs(6 * 3600);

/// How soon they are asked for again after a failure, or because an id was not among them.
const RETRY_AFTER: Duration = Duration::from_secs(5 * 60);

const CACHE_KEY: &str = "names";

/// The names at hand.
#[derive(Debug, Default)]
pub(super) struct NameBook(Mutex<Shelf>);

#[derive(Debug, Default)]
struct Shelf {
    directory: Arc<Directory>,
    /// Until when the names are good.
    fresh_until: Option<Timestamp>,
    /// Not to be asked for again before this.
    ask_after: Option<Timestamp>,
}

impl<S: ConsumerStore, I: Intercom, K: Klaviyo, C: Clock, J: Jitter> Consumer<S, I, K, C, J> {
    /// The names at hand, without asking anybody.
    pub(super) fn names_at_hand(&self) -> Arc<Directory> {
        self.names.0.lock().map(|shelf| Arc::clone(&shelf.directory)).unwrap_or_default()
    }

    /// Names good enough for events that carry ids; `missing` says that an id was not among those at hand.
    ///
    /// A vendor that makes us wait makes the events wait. One that fails does not: an event without a teammate's name is
    /// better than none.
    pub(super) async fn names(&self, missing: bool) -> Result<Arc<Directory>, CallError> {
        let now = self.deps.clock.now();
        if let Ok(shelf) = self.names.0.lock() {
            let fresh = shelf.fresh_until.is_some_and(|until| now < until);
            let may_ask = shelf.ask_after.is_none_or(|after| now >= after);
            if (fresh && !missing) || !may_ask {
                return Ok(Arc::clone(&shelf.directory));
            }
        }
        if !missing && let Some(names) = self.cached_names(now).await {
            return Ok(self.shelve(names, now));
        }
        match self.deps.intercom.names().await {
            Ok(names) => {
                for part in &names.missing {
                    tracing::warn!(part, "Intercom does not let us read names; events go without them");
                }
                self.cache_names(&names).await;
                Ok(self.shelve(names, now))
            }
            Err(error @ (CallError::Wait { .. } | CallError::Stopped { .. })) => Err(error),
            Err(error) => {
                tracing::warn!(%error, "names could not be read; events go with those at hand");
                if let Ok(mut shelf) = self.names.0.lock() {
                    shelf.ask_after = now.checked_add(RETRY_AFTER).ok();
                }
                Ok(self.names_at_hand())
            }
        }
    }

    async fn cached_names(&self, now: Timestamp) -> Option<Names> {
        let mut cached = self.deps.store.cached(&[CACHE_KEY.to_owned()], now).await.ok()?;
        serde_json::from_str(&cached.pop()??).ok()
    }

    async fn cache_names(&self, names: &Names) {
        let Ok(body) = serde_json::to_string(names) else { return };
        if let Err(error) = self.deps.store.remember(vec![(CACHE_KEY.to_owned(), body)], self.after(FRESH_FOR)).await {
            tracing::debug!(%error, "names could not be cached");
        }
    }

    fn shelve(&self, names: Names, now: Timestamp) -> Arc<Directory> {
        let directory = Arc::new(Directory::new(names.admins, names.teams, names.tags));
        if let Ok(mut shelf) = self.names.0.lock() {
            shelf.directory = Arc::clone(&directory);
            shelf.fresh_until = now.checked_add(FRESH_FOR).ok();
            shelf.ask_after = now.checked_add(RETRY_AFTER).ok();
        }
        directory
    }
}
