//! What happened to claimed messages: one transaction per call, rows and books together.
//!
//! If we die before the commit, the messages come back claimed by nobody and the ledger still knows the identifiers that were
//! used, so the same events go out again and Klaviyo folds them. If we die after it, everything is recorded.

use app::ports::{End, EventRecord, Fate, Lane, Parking, Progress, Settlement};
use rusqlite::{OptionalExtension, Row, params};

use crate::inbox;
use crate::items;
use crate::job::Work;
use crate::queue::row_id;
use crate::time::micros;
use crate::totals::Place;
use crate::trouble::Trouble;

// All three leave a message alone whose claim is another one by now. The lane is not known here; all are tried.
const TAKE: &str = "DELETE FROM queue WHERE lane IN (0, 1, 2) AND id = ?1 AND claim = ?2 RETURNING lane, attempts, contact_tries, sent";
const DEFER: &str = "
UPDATE queue SET claim = NULL, visible_at = ?3, attempts = ?4, contact_tries = ?5, sent = ?6
WHERE lane IN (0, 1, 2) AND id = ?1 AND claim = ?2
RETURNING lane, attempts, contact_tries, sent";

const DROP_MESSAGE: &str = "DELETE FROM messages WHERE id = ?1";
const PARK: &str = "
INSERT INTO parked (id, parked_at, next_check, expires, attempts, contact_tries, sent)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
const PARK_FOR: &str = "INSERT OR IGNORE INTO parked_contacts (contact, id) VALUES (?1, ?2)";
const BURY: &str = "INSERT INTO dead_letters (id, at, reason, topic, sent) VALUES (?1, ?2, ?3, ?4, ?5)";

/// Inserts where retention dropped the key meanwhile, or nobody claimed it. Changes a row only on the way to sent, so that
/// however often a send is recorded, it is counted once.
const MARK_SENT: &str = "
INSERT INTO ledger (key, message, sent, identity, at) VALUES (?1, ?2, 1, NULL, ?3)
ON CONFLICT (key) DO UPDATE SET sent = 1, identity = NULL, at = excluded.at WHERE sent = 0";
const LIST: &str = "
INSERT INTO recent_events (at, metric, key, contact, time, fate, reason) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";

/// One message.
pub(crate) fn settle(work: &mut Work<'_>, settlement: &Settlement) -> Result<(), Trouble> {
    let id = row_id(settlement.id.as_str());
    let held = match (id, row_id(&settlement.receipt.0)) {
        (Some(id), Some(claim)) => end(work, id, claim, settlement)?,
        _ => false,
    };
    if held {
        work.changes.profiles_written(settlement.profiles);
    }
    for event in &settlement.events {
        record(work, id, event, held)?;
    }
    if let Some(item) = settlement.item.as_ref().filter(|_| held) {
        let open = matches!(settlement.end, End::Parked(_) | End::Dead { .. });
        items::count(work, item, id.filter(|_| open))?;
    }
    Ok(())
}

/// Moves the message. `false` when the receipt is stale: somebody else has it, or it is gone.
fn end(work: &mut Work<'_>, id: i64, claim: i64, settlement: &Settlement) -> Result<bool, Trouble> {
    if let End::Deferred { until, progress } = &settlement.end {
        let Progress { attempts, contact_tries, sent } = *progress;
        let mut statement = work.connection.prepare_cached(DEFER)?;
        let row = statement
            .query_row(params![id, claim, micros(*until), attempts, contact_tries, sent], |_| Ok(()))
            .optional()?;
        return Ok(row.is_some());
    }
    let taken = work.connection.prepare_cached(TAKE)?.query_row([id, claim], held).optional()?;
    let Some((lane, progress)) = taken else { return Ok(false) };
    let to = match &settlement.end {
        End::Delivered => gone(work, id, Place::Delivered)?,
        End::Skipped(reason) => gone(work, id, Place::Skipped(reason))?,
        End::Parked(parking) => {
            park(work, id, parking)?;
            Place::Parked
        }
        End::Dead { reason, topic } => {
            // The end itself does not say whether something was sent, so it is gathered from before and from now.
            let sent = progress.sent || settlement.events.iter().any(|event| event.fate == Fate::Sent);
            work.connection.prepare_cached(BURY)?.execute(params![id, work.now, reason, topic, sent])?;
            Place::Dead
        }
        // Handled above: it stays on the queue.
        End::Deferred { .. } => Place::Queue,
    };
    work.changes.moved(lane, Place::Queue, to);
    Ok(true)
}

fn held(row: &Row<'_>) -> rusqlite::Result<(Lane, Progress)> {
    let progress = Progress { attempts: row.get(1)?, contact_tries: row.get(2)?, sent: row.get(3)? };
    Ok((inbox::lane(row.get(0)?), progress))
}

/// Drops what never changes as well: nothing points at it any more.
pub(crate) fn gone<'p>(work: &Work<'_>, id: i64, place: Place<'p>) -> Result<Place<'p>, Trouble> {
    work.connection.prepare_cached(DROP_MESSAGE)?.execute([id])?;
    Ok(place)
}

fn park(work: &Work<'_>, id: i64, parking: &Parking) -> Result<(), Trouble> {
    let Progress { attempts, contact_tries, sent } = parking.progress;
    let (next_check, expires) = (micros(parking.next_check), micros(parking.expires));
    work.connection.prepare_cached(PARK)?.execute(params![
        id,
        work.now,
        next_check,
        expires,
        attempts,
        contact_tries,
        sent
    ])?;
    let mut statement = work.connection.prepare_cached(PARK_FOR)?;
    for contact in &parking.contacts {
        statement.execute(params![contact.as_str(), id])?;
    }
    Ok(())
}

/// With a stale receipt only what was really sent counts; the rest is for the one who has the message now.
fn record(work: &mut Work<'_>, message: Option<i64>, event: &EventRecord, held: bool) -> Result<(), Trouble> {
    let at = micros(event.at);
    if event.fate == Fate::Sent {
        // Without a key nothing could tell a second record of it from the first.
        let Some(key) = &event.key else { return Ok(()) };
        let key: &[u8] = key.as_bytes();
        let flipped = work.connection.prepare_cached(MARK_SENT)?.execute(params![key, message.unwrap_or(0), at])? == 1;
        if !flipped {
            return Ok(());
        }
        work.changes.event_sent(&event.metric, at);
    } else if !held {
        return Ok(());
    }
    let (fate, reason) = match &event.fate {
        Fate::Sent => ("sent", None),
        Fate::Skipped(reason) => ("skipped", Some(reason)),
        Fate::Parked => ("parked", None),
        Fate::Dead(reason) => ("dead", Some(reason)),
    };
    let contact = event.contact.as_ref().map(|contact| contact.as_str());
    let time = event.time.map(micros);
    work.connection.prepare_cached(LIST)?.execute(params![
        at,
        event.metric,
        event.key_text,
        contact,
        time,
        fate,
        reason
    ])?;
    Ok(())
}
