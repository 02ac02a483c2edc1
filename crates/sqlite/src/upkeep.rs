//! Keeps the file small: folds the log into it and gives free pages back. Runs on the writer thread when nobody waits.

use rusqlite::Connection;

use crate::trouble::Trouble;

/// Fewer free pages than this are kept for the next burst.
const SPARE_PAGES: i64 = 1_024;
/// Pages given back at a time, so that a webhook that arrives meanwhile waits for milliseconds.
const PIECE: i64 = 1_024;

const PAGES: &str =
    "SELECT (SELECT page_count FROM pragma_page_count), (SELECT freelist_count FROM pragma_freelist_count)";
const FOLD: &str = "PRAGMA wal_checkpoint(TRUNCATE)";

/// What there is to tidy up.
#[derive(Debug, Default)]
pub(crate) struct Upkeep {
    due: bool,
}

impl Upkeep {
    /// Something was written.
    pub(crate) fn worked(&mut self) {
        self.due = true;
    }

    /// Whether a quiet moment should be used.
    pub(crate) fn is_due(&self) -> bool {
        self.due
    }

    /// A quiet moment. Trouble is only logged: nothing is lost by a longer log, and the next writer meets it as well.
    pub(crate) fn idle(&mut self, connection: &Connection) {
        match tidy(connection) {
            Ok(more) => self.due = more,
            Err(trouble) => {
                self.due = false;
                tracing::debug!(%trouble, "the SQLite file could not be tidied up");
            }
        }
    }
}

/// One piece. `true` when there is more to do.
fn tidy(connection: &Connection) -> Result<bool, Trouble> {
    let (pages, free): (i64, i64) = connection.query_row(PAGES, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let surplus = free - SPARE_PAGES.max(pages / 8);
    if surplus > 0 {
        give_back(connection, surplus.min(PIECE))?;
    }
    if surplus > PIECE {
        return Ok(true);
    }
    // Readers hold it up for a moment at most; if one does, the log stays until the next quiet moment.
    connection.query_row(FOLD, [], |_| Ok(()))?;
    Ok(false)
}

/// The statement frees one page per row, so its rows have to be walked.
fn give_back(connection: &Connection, pages: i64) -> Result<(), Trouble> {
    let mut statement = connection.prepare(&format!("PRAGMA incremental_vacuum({pages})"))?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    Ok(())
}
