//! How connections are opened.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::trouble::Trouble;

/// How long one try for the write lock takes. Short, because the writer looks after its callers in between.
pub(crate) const LOCK_TRY: Duration = Duration::from_millis(100);

/// How long a reader waits; only recovery of the log after a crash ever makes it wait.
const READER_PATIENCE: Duration = Duration::from_secs(2);

/// More than there are statements, so that none is prepared twice.
const STATEMENTS: usize = 96;

/// Bodies of a few KB fill pages of this size well, and it halves the log's overhead per body.
const PAGE_SIZE: u32 = 8_192;

/// `upkeep` folds the log into the file long before; SQLite itself only does where that was held up again and again.
const CHECKPOINT_PAGES: u32 = 8_192;

// `FULL` syncs the log at each commit: what is answered survives a power cut. `auto_vacuum` must come before the first table;
// incremental means that free pages are given back by `upkeep`, not at each commit.
fn writer_settings(page_limit: Option<u32>) -> String {
    let mut settings = format!(
        "PRAGMA page_size = {PAGE_SIZE};
         PRAGMA auto_vacuum = INCREMENTAL;
         PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES};
         PRAGMA journal_size_limit = 67108864;
         PRAGMA temp_store = MEMORY;
         PRAGMA cache_size = -8000;"
    );
    if let Some(pages) = page_limit {
        settings.push_str(&format!("PRAGMA max_page_count = {pages};"));
    }
    settings
}

const READER_SETTINGS: &str = "
PRAGMA query_only = ON;
PRAGMA temp_store = MEMORY;
PRAGMA cache_size = -1000;";

/// The one that writes.
pub(crate) fn writer(path: &Path, page_limit: Option<u32>) -> Result<Connection, Trouble> {
    let connection = open(path)?;
    connection.busy_timeout(LOCK_TRY)?;
    connection.execute_batch(&writer_settings(page_limit))?;
    Ok(connection)
}

/// One that reads. It opens the file for writing because readers of a log take part in its bookkeeping; `query_only` sees to it
/// that this is all they write.
pub(crate) fn reader(path: &Path) -> Result<Connection, Trouble> {
    let connection = open(path)?;
    connection.busy_timeout(READER_PATIENCE)?;
    connection.execute_batch(READER_SETTINGS)?;
    Ok(connection)
}

fn open(path: &Path) -> Result<Connection, Trouble> {
    // Without `CREATE`: the file was made with its mode beforehand, and a file that vanished must not come back empty.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(connection)
}
