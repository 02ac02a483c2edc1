//! Tables, and how a file of an older version becomes one of this version.
//!
//! A step that was released is never changed: files made by it exist. A change is a new step at the end.

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use crate::trouble::Trouble;

/// Marks the file as ours ("ickl"), so that another program's database is not taken for an empty one.
const APPLICATION_ID: i64 = 0x6963_6b6c;

/// Step `n` turns a file of version `n` into one of version `n + 1`.
pub(crate) const STEPS: &[&str] = &[VERSION_1, VERSION_2, VERSION_3];

/// `messages` holds what never changes, the bytes above all, and is written once. Where a message is (queue, parked, dead) is
/// a small row elsewhere, so claiming, deferring, parking and replaying never copy a body.
const VERSION_1: &str = "
CREATE TABLE meta (
    name  TEXT NOT NULL PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- One row. What is in flight, parked and dead is counted here as well, so that nobody ever counts rows.
CREATE TABLE totals (
    one              INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    accepted         INTEGER NOT NULL DEFAULT 0,
    delivered        INTEGER NOT NULL DEFAULT 0,
    parked           INTEGER NOT NULL DEFAULT 0,
    dead             INTEGER NOT NULL DEFAULT 0,
    in_flight        INTEGER NOT NULL DEFAULT 0,
    history_depth    INTEGER NOT NULL DEFAULT 0,
    last_webhook_at  INTEGER,
    last_delivery_at INTEGER,
    last_message     INTEGER NOT NULL DEFAULT 0,
    last_claim       INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO totals (one) VALUES (1);

CREATE TABLE skipped (
    reason   TEXT NOT NULL PRIMARY KEY,
    messages INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE metrics (
    name      TEXT NOT NULL PRIMARY KEY,
    delivered INTEGER NOT NULL,
    last_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- lane: 0 live, 1 history. scheme: 0 X-Hub-Signature, 1 X-Body-Signature. Moments are microseconds since 1970.
CREATE TABLE messages (
    id          INTEGER PRIMARY KEY,
    lane        INTEGER NOT NULL,
    scheme      INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    body        BLOB NOT NULL
) STRICT;

-- claim: number of the claim that holds the message, NULL while it waits.
CREATE TABLE queue (
    lane          INTEGER NOT NULL,
    id            INTEGER NOT NULL,
    visible_at    INTEGER NOT NULL,
    claim         INTEGER,
    attempts      INTEGER NOT NULL DEFAULT 0,
    contact_tries INTEGER NOT NULL DEFAULT 0,
    sent          INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (lane, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX queue_order ON queue (lane, visible_at, id);

CREATE TABLE parked (
    id            INTEGER PRIMARY KEY,
    parked_at     INTEGER NOT NULL,
    next_check    INTEGER NOT NULL,
    expires       INTEGER NOT NULL,
    attempts      INTEGER NOT NULL,
    contact_tries INTEGER NOT NULL,
    sent          INTEGER NOT NULL
) STRICT;
CREATE INDEX parked_by_check ON parked (next_check, id);
CREATE INDEX parked_by_expiry ON parked (expires, id);

CREATE TABLE parked_contacts (
    contact TEXT NOT NULL,
    id      INTEGER NOT NULL,
    PRIMARY KEY (contact, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX parked_contacts_by_message ON parked_contacts (id);

CREATE TABLE dead_letters (
    id     INTEGER PRIMARY KEY,
    at     INTEGER NOT NULL,
    reason TEXT NOT NULL,
    topic  TEXT NOT NULL,
    sent   INTEGER NOT NULL
) STRICT;
CREATE INDEX dead_letters_by_age ON dead_letters (at, id);

-- identity: what the event was sent with, until it is known to be sent.
CREATE TABLE ledger (
    key      BLOB NOT NULL PRIMARY KEY,
    message  INTEGER NOT NULL,
    sent     INTEGER NOT NULL,
    identity TEXT,
    at       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE recent_events (
    number  INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL,
    metric  TEXT NOT NULL,
    key     TEXT NOT NULL,
    contact TEXT,
    time    INTEGER,
    fate    TEXT NOT NULL,
    reason  TEXT
) STRICT;

-- How far slow walks over large tables have come.
CREATE TABLE marks (
    name  TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE documents (
    name    TEXT NOT NULL PRIMARY KEY,
    version INTEGER NOT NULL,
    body    TEXT NOT NULL
) STRICT;

CREATE TABLE cache (
    key     TEXT NOT NULL PRIMARY KEY,
    value   TEXT NOT NULL,
    expires INTEGER NOT NULL
) STRICT;
CREATE INDEX cache_by_expiry ON cache (expires);
";

/// Books of items, for history and reconcile. A file of a busy import has a row an item, so an entry is small: `counts` and
/// `message` are kept only while a later count may replace this one.
const VERSION_2: &str = "
CREATE TABLE item_books (
    name      TEXT NOT NULL PRIMARY KEY,
    items     INTEGER NOT NULL,
    delivered INTEGER NOT NULL,
    parked    INTEGER NOT NULL,
    dead      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE item_book_skipped (
    book   TEXT NOT NULL,
    reason TEXT NOT NULL,
    events INTEGER NOT NULL,
    PRIMARY KEY (book, reason)
) STRICT, WITHOUT ROWID;

-- message: the parked or dead message that this entry is about.
CREATE TABLE items (
    book    TEXT NOT NULL,
    entry   BLOB NOT NULL,
    message INTEGER,
    counts  TEXT,
    PRIMARY KEY (book, entry)
) STRICT, WITHOUT ROWID;
CREATE INDEX items_by_message ON items (message) WHERE message IS NOT NULL;
";

/// Records of support state: one or two a customer.
const VERSION_3: &str = "
CREATE TABLE support (
    key     TEXT NOT NULL PRIMARY KEY,
    version INTEGER NOT NULL,
    body    TEXT NOT NULL
) STRICT, WITHOUT ROWID;
";

const FORMAT_VERSION: &str = "SELECT value FROM meta WHERE name = 'format_version'";
const SET_FORMAT_VERSION: &str = "INSERT INTO meta (name, value) VALUES ('format_version', ?1)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value";

/// Brings the file to the version of the last step.
///
/// All steps are one transaction: if we die here, the file has its old version and the next start begins again.
pub(crate) fn migrate(connection: &mut Connection, steps: &[&str]) -> Result<(), Trouble> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version = version(&transaction)?;
    let known = steps.len();
    if version > known {
        return Err(Trouble::Unreadable(format!(
            "it has format {version} and this program knows formats up to {known}; use the newer program that wrote it"
        )));
    }
    for step in steps.iter().skip(version) {
        transaction.execute_batch(step)?;
    }
    if version < known {
        transaction.execute(SET_FORMAT_VERSION, [i64::try_from(known).unwrap_or(i64::MAX)])?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    }
    transaction.commit()?;
    Ok(())
}

/// 0 for an empty file.
fn version(connection: &Connection) -> Result<usize, Trouble> {
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if tables == 0 {
        return Ok(0);
    }
    let ours: i64 = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    if ours != APPLICATION_ID {
        return Err(Trouble::Unreadable(
            "it is another program's database; move it away or choose another path".to_owned(),
        ));
    }
    let version: Option<i64> = connection.query_row(FORMAT_VERSION, [], |row| row.get(0)).optional()?;
    version
        .and_then(|version| usize::try_from(version).ok())
        .filter(|version| *version > 0)
        .ok_or_else(|| Trouble::Unreadable("it does not say which format it has".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEXT_STEP: &str = "ALTER TABLE cache ADD COLUMN weight INTEGER NOT NULL DEFAULT 7";

    fn weight(connection: &Connection) -> rusqlite::Result<i64> {
        connection.query_row("SELECT weight FROM cache", [], |row| row.get(0))
    }

    #[test]
    fn a_file_of_an_older_version_gets_the_missing_steps_once() {
        let mut connection = Connection::open_in_memory().expect("memory");
        migrate(&mut connection, &[VERSION_1]).expect("made");
        connection.execute_batch("INSERT INTO cache VALUES ('k', 'v', 1)").expect("filled");
        let steps = [VERSION_1, NEXT_STEP];
        for _ in 0..2 {
            migrate(&mut connection, &steps).expect("migrated");
            assert_eq!(weight(&connection), Ok(7));
            assert_eq!(version(&connection), Ok(2));
        }
    }

    #[test]
    fn a_step_that_fails_leaves_the_file_as_it_was() {
        let mut connection = Connection::open_in_memory().expect("memory");
        migrate(&mut connection, &[VERSION_1]).expect("made");
        let steps = [VERSION_1, NEXT_STEP, "ALTER TABLE nowhere ADD COLUMN x"];
        assert!(migrate(&mut connection, &steps).is_err());
        assert_eq!(version(&connection), Ok(1));
        assert!(weight(&connection).is_err(), "the step before it is undone as well");
    }

    #[test]
    fn a_newer_version_is_refused() {
        let mut connection = Connection::open_in_memory().expect("memory");
        migrate(&mut connection, &[VERSION_1, NEXT_STEP]).expect("made");
        let refused = migrate(&mut connection, &[VERSION_1]).expect_err("it is newer");
        assert!(matches!(&refused, Trouble::Unreadable(text) if text.contains("format 2")), "{refused}");
    }
}
