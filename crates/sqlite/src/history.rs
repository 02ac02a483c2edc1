//! The import's side of the history queue.

use app::ports::{Accepted, HistoryInbox, Lane, StoreResult};
use rusqlite::Connection;

use crate::inbox;
use crate::store::SqliteStore;
use crate::trouble::Trouble;

const DEPTH: &str = "SELECT history_depth FROM totals";

impl HistoryInbox for SqliteStore {
    /// All or none. If we die after the commit and before the checkpoint, the page is read again and its events are
    /// recognised by their keys.
    async fn enqueue_history(&self, items: Vec<Accepted>) -> StoreResult<()> {
        enqueue(self, Lane::History, items).await
    }

    /// The same, for a sweep's bound instead of a checkpoint.
    async fn enqueue_reconcile(&self, items: Vec<Accepted>) -> StoreResult<()> {
        enqueue(self, Lane::Reconcile, items).await
    }

    async fn history_depth(&self) -> StoreResult<u64> {
        self.read(depth).await
    }
}

async fn enqueue(store: &SqliteStore, lane: Lane, items: Vec<Accepted>) -> StoreResult<()> {
    let bytes = items.iter().map(|item| item.body.len()).sum();
    store
        .write(bytes, true, move |work| {
            for item in &items {
                inbox::insert(work, lane, item)?;
                if lane == Lane::History {
                    work.changes.enqueued_history();
                }
            }
            Ok(())
        })
        .await
}

fn depth(connection: &Connection) -> Result<u64, Trouble> {
    let depth: i64 = connection.prepare_cached(DEPTH)?.query_row([], |row| row.get(0))?;
    Ok(depth.unsigned_abs())
}
