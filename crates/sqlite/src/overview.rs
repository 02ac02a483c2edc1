//! Reading the state, and keeping it small.

use std::collections::BTreeMap;

use app::ports::{Books, MetricCount, Overview, RecentEvent, Retention, StoreResult};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::job::Work;
use crate::store::SqliteStore;
use crate::time::{length, micros, moment};
use crate::trouble::Trouble;

const TOTALS: &str = "
SELECT accepted, delivered, parked, dead, in_flight, last_webhook_at, last_delivery_at FROM totals";
const SKIPPED: &str = "SELECT reason, messages FROM skipped ORDER BY reason";
const METRICS: &str = "SELECT name, delivered, last_at FROM metrics ORDER BY name";
const PROFILES: &str = "SELECT value FROM meta WHERE name = 'profile_updates'";
/// Numbers are given in the order of acceptance, so the lowest one is the oldest.
pub(crate) const OLDEST: &str = "
SELECT m.received_at FROM messages AS m WHERE m.id = (SELECT min(q.id) FROM queue AS q WHERE q.lane = 0)";
const RECENT: &str = "
SELECT at, metric, key, contact, time, fate, reason FROM recent_events ORDER BY number DESC LIMIT ?1";

/// Rows of each kind that one call removes, so that webhooks get their turn.
const PIECE: i64 = 1_000;
/// Ledger entries that one call looks at. There is no index by age: it would double the ledger for everybody, and the
/// default is to keep it for good.
const LOOKED_AT: i64 = 20_000;

pub(crate) const CLEAN_CACHE: &str = "
DELETE FROM cache WHERE rowid IN (SELECT rowid FROM cache WHERE expires <= ?1 ORDER BY expires LIMIT ?2)";
pub(crate) const CLEAN_RECENT: &str = "
DELETE FROM recent_events WHERE number IN (
    SELECT number FROM recent_events WHERE number <= (SELECT max(number) FROM recent_events) - ?1
    ORDER BY number LIMIT ?2)";
const LEDGER_PIECE: &str = "SELECT key, at FROM ledger WHERE key > ?1 ORDER BY key LIMIT ?2";
const CLEAN_LEDGER: &str = "DELETE FROM ledger WHERE key = ?1";
const CURSOR: &str = "SELECT value FROM marks WHERE name = 'ledger_cleaned_to'";
const SET_CURSOR: &str = "INSERT INTO marks (name, value) VALUES ('ledger_cleaned_to', ?1)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value";

impl Overview for SqliteStore {
    async fn books(&self) -> StoreResult<Books> {
        self.read(books).await
    }

    async fn recent_events(&self, limit: usize) -> StoreResult<Vec<RecentEvent>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(RECENT)?;
            let events = statement.query_map([limit], recent)?.collect::<Result<Vec<_>, _>>()?;
            Ok(events)
        })
        .await
    }

    async fn clean(&self, now: Timestamp, retention: Retention) -> StoreResult<u64> {
        self.write(0, true, move |work| {
            let ring = i64::try_from(retention.recent_events).unwrap_or(i64::MAX);
            let mut gone = work.connection.prepare_cached(CLEAN_CACHE)?.execute([micros(now), PIECE])?;
            gone += work.connection.prepare_cached(CLEAN_RECENT)?.execute([ring, PIECE])?;
            if let Some(kept) = retention.ledger {
                gone += clean_ledger(work, micros(now).saturating_sub(length(kept)))?;
            }
            Ok(gone as u64)
        })
        .await
    }
}

/// One transaction, so that all numbers are of one instant.
fn books(connection: &Connection) -> Result<Books, Trouble> {
    let look = connection.unchecked_transaction()?;
    let mut books = look.prepare_cached(TOTALS)?.query_row([], totals)?;
    let mut statement = look.prepare_cached(SKIPPED)?;
    books.skipped = statement
        .query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs())))?
        .collect::<Result<BTreeMap<_, _>, _>>()?;
    let mut statement = look.prepare_cached(METRICS)?;
    books.metrics = statement
        .query_map([], |row| {
            let (delivered, last): (i64, i64) = (row.get(1)?, row.get(2)?);
            Ok(MetricCount { name: row.get(0)?, delivered: delivered.unsigned_abs(), last_at: Some(moment(last)) })
        })?
        .collect::<Result<Vec<_>, _>>()?;
    let profiles = look.prepare_cached(PROFILES)?.query_row([], |row| row.get::<_, i64>(0)).optional()?;
    books.profile_updates = profiles.unwrap_or(0).unsigned_abs();
    books.oldest_in_flight = look.prepare_cached(OLDEST)?.query_row([], |row| row.get(0)).optional()?.map(moment);
    Ok(books)
}

fn totals(row: &Row<'_>) -> rusqlite::Result<Books> {
    let count = |column| Ok::<_, rusqlite::Error>(row.get::<_, i64>(column)?.unsigned_abs());
    Ok(Books {
        accepted: count(0)?,
        delivered: count(1)?,
        parked: count(2)?,
        dead: count(3)?,
        in_flight: count(4)?,
        last_webhook_at: row.get::<_, Option<i64>>(5)?.map(moment),
        last_delivery_at: row.get::<_, Option<i64>>(6)?.map(moment),
        ..Books::default()
    })
}

fn recent(row: &Row<'_>) -> rusqlite::Result<RecentEvent> {
    Ok(RecentEvent {
        at: moment(row.get(0)?),
        metric: row.get(1)?,
        key: row.get(2)?,
        contact: row.get(3)?,
        time: row.get::<_, Option<i64>>(4)?.map(moment),
        fate: row.get(5)?,
        reason: row.get(6)?,
    })
}

/// Goes on through the keys where the last call stopped, and begins again after the last key.
fn clean_ledger(work: &Work<'_>, before: i64) -> Result<usize, Trouble> {
    let connection = work.connection;
    let from: Option<Vec<u8>> = connection.prepare_cached(CURSOR)?.query_row([], |row| row.get(0)).optional()?;
    let mut statement = connection.prepare_cached(LEDGER_PIECE)?;
    let mut rows = statement.query(params![from.unwrap_or_default(), LOOKED_AT])?;
    let mut old = Vec::new();
    let mut looked_at = 0;
    let mut cursor = Vec::new();
    while let Some(row) = rows.next()? {
        looked_at += 1;
        let key: Vec<u8> = row.get(0)?;
        if row.get::<_, i64>(1)? < before {
            old.push(key.clone());
        }
        cursor = key;
        if old.len() as i64 == PIECE {
            break;
        }
    }
    drop(rows);
    if looked_at < LOOKED_AT && (old.len() as i64) < PIECE {
        cursor.clear();
    }
    let mut statement = connection.prepare_cached(CLEAN_LEDGER)?;
    for key in &old {
        statement.execute([key])?;
    }
    connection.prepare_cached(SET_CURSOR)?.execute([cursor])?;
    Ok(old.len())
}
