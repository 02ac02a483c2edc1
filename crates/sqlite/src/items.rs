//! Books of items: one entry an item, and the sums over them.

use std::collections::BTreeMap;

use app::ports::{EventCounts, ItemBook, ItemBooks, ItemCount, StoreResult};
use domain::KeyHash;
use rusqlite::{Connection, OptionalExtension, params};

use crate::job::Work;
use crate::store::SqliteStore;
use crate::trouble::Trouble;

const FIND: &str = "SELECT counts FROM items WHERE book = ?1 AND entry = ?2";
const KEEP: &str = "INSERT OR REPLACE INTO items (book, entry, message, counts) VALUES (?1, ?2, ?3, ?4)";
const OF_MESSAGE: &str = "SELECT book, entry, counts FROM items WHERE message = ?1";
const BOOK: &str = "SELECT items, delivered, parked, dead FROM item_books WHERE name = ?1";
const SKIPPED: &str = "SELECT reason, events FROM item_book_skipped WHERE book = ?1 AND events > 0";
const FORGET: &str = "
DELETE FROM items WHERE book = ?1 AND entry IN (SELECT entry FROM items WHERE book = ?1 LIMIT ?2)";
const FORGET_BOOK: &str = "DELETE FROM item_books WHERE name = ?1";
const FORGET_SKIPPED: &str = "DELETE FROM item_book_skipped WHERE book = ?1";

/// Entries that one call forgets, so that webhooks get their turn.
const PIECE: i64 = 1_000;

impl ItemBooks for SqliteStore {
    /// If we die before the commit, the page is read again and counted then; if after it, counting again changes nothing.
    async fn count_items(&self, items: Vec<ItemCount>) -> StoreResult<()> {
        self.write(0, true, move |work| items.iter().try_for_each(|item| count(work, item, None))).await
    }

    async fn item_book(&self, book: &str) -> StoreResult<ItemBook> {
        let name = book.to_owned();
        self.read(move |connection| read(connection, &name)).await
    }

    async fn forget_book(&self, book: &str) -> StoreResult<u64> {
        let name = book.to_owned();
        self.write(0, true, move |work| {
            let gone = work.connection.prepare_cached(FORGET)?.execute(params![name, PIECE])?;
            work.connection.prepare_cached(FORGET_BOOK)?.execute([&name])?;
            work.connection.prepare_cached(FORGET_SKIPPED)?.execute([&name])?;
            Ok(gone as u64)
        })
        .await
    }
}

/// Counts an item. The first count stands, unless it left something open. `open_message`: what it waits with.
pub(crate) fn count(work: &mut Work<'_>, item: &ItemCount, open_message: Option<i64>) -> Result<(), Trouble> {
    let key: &[u8] = item.entry.as_bytes();
    let found: Option<Option<String>> =
        work.connection.prepare_cached(FIND)?.query_row(params![item.book, key], |row| row.get(0)).optional()?;
    let earlier = match found {
        None => None,
        // It was closed: that stands.
        Some(None) => return Ok(()),
        Some(Some(text)) => Some(counts(&text)?),
    };
    if earlier.as_ref().is_some_and(|earlier| !item.events.replaces(earlier)) {
        return Ok(());
    }
    let left = item.events.is_open().then(|| serde_json::json!(item.events).to_string());
    work.connection.prepare_cached(KEEP)?.execute(params![item.book, key, open_message, left])?;
    work.changes.item_counted(&item.book, &item.events, earlier.as_ref());
    Ok(())
}

/// What a parked or dead message left open becomes skipped.
pub(crate) fn give_up(work: &mut Work<'_>, message: i64, reason: &str) -> Result<(), Trouble> {
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let found: Option<(String, [u8; 16], Option<String>)> =
        work.connection.prepare_cached(OF_MESSAGE)?.query_row([message], row).optional()?;
    let Some((book, entry, Some(text))) = found else { return Ok(()) };
    let events = counts(&text)?.given_up(reason);
    count(work, &ItemCount { book, entry: KeyHash::from_bytes(entry), events }, None)
}

fn counts(text: &str) -> Result<EventCounts, Trouble> {
    serde_json::from_str(text).map_err(|_| Trouble::Unreadable("the counts of an item cannot be read".to_owned()))
}

fn read(connection: &Connection, name: &str) -> Result<ItemBook, Trouble> {
    let look = connection.unchecked_transaction()?;
    let count = |row: &rusqlite::Row<'_>, column| Ok::<_, rusqlite::Error>(row.get::<_, i64>(column)?.unsigned_abs());
    let sums = |row: &rusqlite::Row<'_>| {
        let events = EventCounts {
            delivered: count(row, 1)?,
            parked: count(row, 2)?,
            dead: count(row, 3)?,
            ..EventCounts::default()
        };
        Ok(ItemBook { items: count(row, 0)?, events })
    };
    let mut book = look.prepare_cached(BOOK)?.query_row([name], sums).optional()?.unwrap_or_default();
    let mut statement = look.prepare_cached(SKIPPED)?;
    book.events.skipped =
        statement.query_map([name], |row| Ok((row.get(0)?, count(row, 1)?)))?.collect::<Result<BTreeMap<_, _>, _>>()?;
    Ok(book)
}
