//! What a human does with refused messages.

use app::ports::{Accepted, DeadLetter, DeadLetterPage, DeadLetters, Lane, StoreResult};
use rusqlite::{Connection, OptionalExtension, params};

use crate::inbox;
use crate::items;
use crate::job::Work;
use crate::queue::{accepted, row_id};
use crate::settle::gone;
use crate::store::SqliteStore;
use crate::time::moment;
use crate::totals::Place;
use crate::trouble::Trouble;

/// By age, then number: the cursor is the pair, so it stays right when letters before it come and go.
pub(crate) const PAGE: &str = "
SELECT id, at, reason, topic FROM dead_letters WHERE (at, id) < (?1, ?2) ORDER BY at DESC, id DESC LIMIT ?3";
const BODY: &str = "
SELECT m.scheme, m.received_at, m.body FROM dead_letters AS d JOIN messages AS m ON m.id = d.id WHERE d.id = ?1";
const BACK_TO_QUEUE: &str = "
INSERT INTO queue (lane, id, visible_at, sent)
SELECT m.lane, d.id, ?2, d.sent FROM dead_letters AS d JOIN messages AS m ON m.id = d.id WHERE d.id = ?1
RETURNING lane";
const LANE: &str = "
SELECT m.lane FROM dead_letters AS d JOIN messages AS m ON m.id = d.id WHERE d.id = ?1";
const REMOVE: &str = "DELETE FROM dead_letters WHERE id = ?1";

/// What a discarded letter is counted under.
const DISCARDED: &str = "discarded";

impl DeadLetters for SqliteStore {
    async fn dead_letters(&self, after: Option<&str>, limit: usize) -> StoreResult<DeadLetterPage> {
        let from = match after {
            None => Some((i64::MAX, i64::MAX)),
            Some(cursor) => parse_cursor(cursor),
        };
        // Nothing comes after a cursor that we never gave.
        let Some(from) = from else { return Ok(DeadLetterPage::default()) };
        self.read(move |connection| page(connection, from, limit)).await
    }

    /// If only the answer is lost, a second try says `false`: it is on its way already.
    async fn replay(&self, id: &str) -> StoreResult<bool> {
        let Some(id) = row_id(id) else { return Ok(false) };
        self.write(0, true, move |work| replay(work, id)).await
    }

    async fn discard(&self, id: &str) -> StoreResult<bool> {
        let Some(id) = row_id(id) else { return Ok(false) };
        self.write(0, true, move |work| give_up(work, id, DISCARDED)).await
    }

    async fn dead_letter_body(&self, id: &str) -> StoreResult<Option<Accepted>> {
        let Some(id) = row_id(id) else { return Ok(None) };
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(BODY)?;
            let mut rows = statement.query([id])?;
            rows.next()?.map(|row| accepted(row, 0)).transpose()
        })
        .await
    }
}

fn page(connection: &Connection, (at, id): (i64, i64), limit: usize) -> Result<DeadLetterPage, Trouble> {
    // One more than asked for tells whether there is a next page.
    let wanted = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
    let mut statement = connection.prepare_cached(PAGE)?;
    let mut rows = statement.query(params![at, id, wanted])?;
    let mut page = DeadLetterPage::default();
    let mut last = None;
    while let Some(row) = rows.next()? {
        if page.items.len() == limit {
            page.next = last.map(|(at, id): (i64, i64)| format!("{at}_{id}"));
            break;
        }
        let (id, at): (i64, i64) = (row.get(0)?, row.get(1)?);
        last = Some((at, id));
        page.items.push(DeadLetter { id: id.to_string(), at: moment(at), reason: row.get(2)?, topic: row.get(3)? });
    }
    Ok(page)
}

fn parse_cursor(cursor: &str) -> Option<(i64, i64)> {
    let (at, id) = cursor.split_once('_')?;
    Some((at.parse().ok()?, id.parse().ok()?))
}

fn replay(work: &mut Work<'_>, id: i64) -> Result<bool, Trouble> {
    let lane = work
        .connection
        .prepare_cached(BACK_TO_QUEUE)?
        .query_row(params![id, work.now], |row| row.get(0))
        .optional()?
        .map(inbox::lane);
    let Some(lane) = lane else { return Ok(false) };
    work.connection.prepare_cached(REMOVE)?.execute([id])?;
    work.changes.moved(lane, Place::Dead, Place::Queue);
    Ok(true)
}

pub(crate) fn give_up(work: &mut Work<'_>, id: i64, reason: &str) -> Result<bool, Trouble> {
    let lane = work.connection.prepare_cached(LANE)?.query_row([id], |row| row.get(0)).optional()?.map(inbox::lane);
    let Some(lane) = lane else { return Ok(false) };
    work.connection.prepare_cached(REMOVE)?.execute([id])?;
    if lane != Lane::Live {
        items::give_up(work, id, reason)?;
    }
    let to = gone(work, id, Place::Skipped(reason))?;
    work.changes.moved(lane, Place::Dead, to);
    Ok(true)
}
