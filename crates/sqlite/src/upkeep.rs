//! Keeps the file small: folds the log into it and gives free pages back. Runs on the writer thread between transactions, mostly when
//! nobody waits.

use rusqlite::Connection;

use crate::trouble::Trouble;

/// Fewer free pages than this are kept for the next burst.
const SPARE_PAGES: i64 = 1_024;
/// Pages given back at a time, so that a webhook that arrives meanwhile waits for milliseconds.
const PIECE: i64 = 1_024;

/// The log is folded into the file when it has so many pages (4 MB): often enough that nobody waits long for it.
const LOG_PAGES: i64 = 512;

const LOG: &str = "PRAGMA wal_checkpoint(NOOP)";
const FOLD_SOME: &str = "PRAGMA wal_checkpoint(PASSIVE)";
const PAGES: &str =
    "SELECT (SELECT page_count FROM pragma_page_count), (SELECT freelist_count FROM pragma_freelist_count)";
const FOLD: &str = "PRAGMA wal_checkpoint(TRUNCATE)";

/// What there is to tidy up.
#[derive(Debug, Default)]
pub(crate) struct Upkeep {
    due: bool,
}

impl Upkeep {
    /// Something was written, and those who waited for it are answered: they do not wait for the log to be folded.
    pub(crate) fn worked(&mut self, connection: &Connection) {
        self.due = true;
        if let Err(trouble) = fold_some(connection) {
            tracing::debug!(%trouble, "the log of the SQLite file could not be folded");
        }
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

/// Keeps the log short under load. What a reader still needs is left for the next time.
fn fold_some(connection: &Connection) -> Result<(), Trouble> {
    let pages = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?));
    let (written, folded) = connection.prepare_cached(LOG)?.query_row([], pages)?;
    if written - folded >= LOG_PAGES {
        connection.prepare_cached(FOLD_SOME)?.query_row([], pages)?;
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{connection, file, schema};

    #[test]
    fn a_burst_that_is_over_gives_its_room_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("state.db");
        file::prepare(&path).expect("made");
        let mut connection = connection::writer(&path, None).expect("opened");
        schema::migrate(&mut connection, schema::STEPS).expect("migrated");
        let sizes = || {
            let size = |suffix| std::fs::metadata(file::beside(&path, suffix)).map_or(0, |file| file.len());
            (size(""), size("-wal"))
        };
        const BURST: &str = "
            WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4000)
            INSERT INTO messages SELECT i, 0, 0, 0, zeroblob(8000) FROM n";
        let mut upkeep = Upkeep::default();
        connection.execute_batch(BURST).expect("filled");
        upkeep.worked(&connection);
        let (peak, _) = sizes();
        assert!(peak > 30_000_000, "the log was folded into the file: {peak}");
        connection.execute_batch("DELETE FROM messages").expect("emptied");
        upkeep.worked(&connection);
        while upkeep.is_due() {
            upkeep.idle(&connection);
        }
        let (file, log) = sizes();
        assert!(file < peak / 2, "{file} of {peak} bytes are left");
        assert_eq!(log, 0, "the log is folded and cut");
    }
}
