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
        let bytes = items.iter().map(|item| item.body.len()).sum();
        self.write(bytes, true, move |work| {
            for item in &items {
                inbox::insert(work, Lane::History, item)?;
                work.changes.enqueued_history();
            }
            Ok(())
        })
        .await
    }

    async fn history_depth(&self) -> StoreResult<u64> {
        self.read(depth).await
    }
}

fn depth(connection: &Connection) -> Result<u64, Trouble> {
    let depth: i64 = connection.prepare_cached(DEPTH)?.query_row([], |row| row.get(0))?;
    Ok(depth.unsigned_abs())
}
