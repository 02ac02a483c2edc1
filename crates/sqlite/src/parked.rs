//! Messages that wait for a contact.

use std::collections::BTreeSet;

use app::ports::{Lane, ParkedMessage, ParkedMessages, StoreResult};
use domain::{ContactId, MessageId};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use crate::inbox;
use crate::items;
use crate::job::Work;
use crate::queue::{message_id, row_id};
use crate::settle::gone;
use crate::store::SqliteStore;
use crate::time::{micros, moment};
use crate::totals::Place;
use crate::trouble::Trouble;

const WAITING_FOR: &str = "SELECT id FROM parked_contacts WHERE contact = ?1";
const BACK_TO_QUEUE: &str = "
INSERT INTO queue (lane, id, visible_at, attempts, contact_tries, sent)
SELECT m.lane, p.id, ?2, p.attempts, 0, p.sent FROM parked AS p JOIN messages AS m ON m.id = p.id WHERE p.id = ?1
RETURNING lane";
const UNPARK: &str = "DELETE FROM parked WHERE id = ?1";
const UNPARK_CONTACTS: &str = "DELETE FROM parked_contacts WHERE id = ?1";

pub(crate) const DUE: &str = "SELECT id, parked_at FROM parked WHERE next_check <= ?1 ORDER BY next_check, id LIMIT ?2";
const CONTACTS: &str = "SELECT contact FROM parked_contacts WHERE id = ?1 ORDER BY contact";
const RECHECK: &str = "UPDATE parked SET next_check = ?2 WHERE id = ?1";
pub(crate) const EXPIRED: &str = "
SELECT p.id, p.sent, m.lane FROM parked AS p INDEXED BY parked_by_expiry CROSS JOIN messages AS m ON m.id = p.id
WHERE p.expires <= ?1 ORDER BY p.expires, p.id LIMIT ?2";

/// Messages given up in one transaction.
const PIECE: u64 = 1_000;

impl ParkedMessages for SqliteStore {
    async fn release(&self, contacts: &[ContactId]) -> StoreResult<u64> {
        let contacts = contacts.to_vec();
        self.write(0, true, move |work| {
            let mut released = 0;
            for id in waiting_for(work, &contacts)? {
                released += u64::from(release_one(work, id)?);
            }
            Ok(released)
        })
        .await
    }

    async fn due(&self, now: Timestamp, limit: usize) -> StoreResult<Vec<ParkedMessage>> {
        self.read(move |connection| due(connection, micros(now), limit)).await
    }

    async fn recheck_at(&self, id: &MessageId, next_check: Timestamp) -> StoreResult<()> {
        let Some(id) = row_id(id.as_str()) else { return Ok(()) };
        self.write(0, true, move |work| {
            work.connection.prepare_cached(RECHECK)?.execute(params![id, micros(next_check)])?;
            Ok(())
        })
        .await
    }

    /// In pieces, so that webhooks get their turn. If we die in between, the rest is given up by the next sweep.
    async fn expire(&self, now: Timestamp, reason: &str) -> StoreResult<u64> {
        let mut total = 0;
        loop {
            let reason = reason.to_owned();
            let piece = self.write(0, true, move |work| expire_piece(work, micros(now), &reason)).await?;
            total += piece;
            if piece < PIECE {
                return Ok(total);
            }
        }
    }
}

/// Parked messages that wait for one of the contacts.
pub(crate) fn waiting_for(work: &Work<'_>, contacts: &[ContactId]) -> Result<BTreeSet<i64>, Trouble> {
    let mut ids = BTreeSet::new();
    let mut statement = work.connection.prepare_cached(WAITING_FOR)?;
    for contact in contacts {
        for id in statement.query_map([contact.as_str()], |row| row.get::<_, i64>(0))? {
            ids.insert(id?);
        }
    }
    Ok(ids)
}

fn release_one(work: &mut Work<'_>, id: i64) -> Result<bool, Trouble> {
    let lane = work
        .connection
        .prepare_cached(BACK_TO_QUEUE)?
        .query_row(params![id, work.now], |row| row.get(0))
        .optional()?
        .map(inbox::lane);
    unpark(work.connection, id)?;
    if let Some(lane) = lane {
        work.changes.moved(lane, Place::Parked, Place::Queue);
    }
    Ok(lane.is_some())
}

pub(crate) fn unpark(connection: &Connection, id: i64) -> Result<(), Trouble> {
    connection.prepare_cached(UNPARK)?.execute([id])?;
    connection.prepare_cached(UNPARK_CONTACTS)?.execute([id])?;
    Ok(())
}

fn expire_piece(work: &mut Work<'_>, now: i64, reason: &str) -> Result<u64, Trouble> {
    let mut statement = work.connection.prepare_cached(EXPIRED)?;
    let expired = statement
        .query_map(params![now, i64::try_from(PIECE).unwrap_or(i64::MAX)], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, bool>(1)?, inbox::lane(row.get(2)?)))
        })?
        .collect::<Result<Vec<(i64, bool, Lane)>, _>>()?;
    let mut count = 0;
    for (id, sent, lane) in expired {
        if lane != Lane::Live {
            items::give_up(work, id, reason)?;
        }
        unpark(work.connection, id)?;
        let to = gone(work, id, if sent { Place::Delivered } else { Place::Skipped(reason) })?;
        work.changes.moved(lane, Place::Parked, to);
        count += 1;
    }
    Ok(count)
}

fn due(connection: &Connection, now: i64, limit: usize) -> Result<Vec<ParkedMessage>, Trouble> {
    // One look for the list and the contacts: a message that is released in between must not show up without them.
    let look = connection.unchecked_transaction()?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = look.prepare_cached(DUE)?;
    let mut contacts = look.prepare_cached(CONTACTS)?;
    let mut messages = Vec::new();
    let mut rows = statement.query(params![now, limit])?;
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        let contacts = contacts
            .query_map([id], |row| Ok(ContactId::new(row.get::<_, String>(0)?)))?
            .collect::<Result<Vec<_>, _>>()?;
        messages.push(ParkedMessage { id: message_id(id), contacts, parked_at: moment(row.get(1)?) });
    }
    Ok(messages)
}
