//! Claiming from the two queues.

use std::time::Duration;

use app::ports::{Accepted, Claimed, Lane, Progress, Receipt, Settlement, StoreResult, WorkQueue};
use bytes::Bytes;
use domain::MessageId;
use jiff::Timestamp;
use rusqlite::{Connection, Row, params};

use crate::inbox::{lane_number, scheme};
use crate::job::Work;
use crate::settle;
use crate::store::SqliteStore;
use crate::time::{length, micros, moment};
use crate::trouble::Trouble;

/// Walks the index in its order and stops when the batch is full; the millions behind it are not touched.
pub(crate) const NEXT: &str = "
SELECT q.id, q.attempts, q.contact_tries, q.sent, m.scheme, m.received_at, m.body
FROM queue AS q INDEXED BY queue_order CROSS JOIN messages AS m ON m.id = q.id
WHERE q.lane = ?1 AND q.visible_at <= ?2
ORDER BY q.visible_at, q.id
LIMIT ?3";
const HIDE: &str = "UPDATE queue SET claim = ?3, visible_at = ?4 WHERE lane = ?1 AND id = ?2";
pub(crate) const NEXT_VISIBLE: &str = "SELECT min(visible_at) FROM queue INDEXED BY queue_order WHERE lane = ?1";

/// What was claimed when the last process ended was at the head of the queue and gets back there, now at the latest (the
/// clock may have been put back). What was deferred is not claimed and keeps its time.
const GIVE_OUT_AGAIN: &str = "
UPDATE queue
SET claim = NULL, visible_at = min(?1, (SELECT m.received_at FROM messages AS m WHERE m.id = queue.id))
WHERE claim IS NOT NULL";

impl WorkQueue for SqliteStore {
    /// If we die after the commit, nobody works on them: reopening the file gives them out again.
    async fn claim(
        &self,
        lane: Lane,
        max_messages: usize,
        max_bytes: usize,
        hide: Duration,
    ) -> StoreResult<Vec<Claimed>> {
        self.write(0, true, move |work| {
            let claim = work.sequences.next_claim();
            let batch = choose(work, lane, max_messages, max_bytes, claim)?;
            let until = work.now.saturating_add(length(hide));
            let mut hidden = work.connection.prepare_cached(HIDE)?;
            for (id, _) in &batch {
                hidden.execute(params![lane_number(lane), id, claim, until])?;
            }
            Ok(batch.into_iter().map(|(_, claimed)| claimed).collect())
        })
        .await
    }

    async fn settle(&self, settlements: Vec<Settlement>) -> StoreResult<()> {
        self.write(0, true, move |work| settlements.iter().try_for_each(|settlement| settle::settle(work, settlement)))
            .await
    }

    async fn next_visible(&self, lane: Lane) -> StoreResult<Option<Timestamp>> {
        self.read(move |connection| {
            let next: Option<i64> =
                connection.prepare_cached(NEXT_VISIBLE)?.query_row([lane_number(lane)], |row| row.get(0))?;
            Ok(next.map(moment))
        })
        .await
    }
}

fn choose(
    work: &Work<'_>,
    lane: Lane,
    max_messages: usize,
    max_bytes: usize,
    claim: i64,
) -> Result<Vec<(i64, Claimed)>, Trouble> {
    let limit = i64::try_from(max_messages).unwrap_or(i64::MAX);
    let mut statement = work.connection.prepare_cached(NEXT)?;
    let mut rows = statement.query(params![lane_number(lane), work.now, limit])?;
    let mut batch = Vec::new();
    let mut bytes = 0_usize;
    while let Some(row) = rows.next()? {
        let (id, claimed) = read(row, claim)?;
        bytes = bytes.saturating_add(claimed.accepted.body.len());
        // The first one always goes, or a message larger than the limit would never be served.
        if bytes > max_bytes && !batch.is_empty() {
            break;
        }
        batch.push((id, claimed));
        if bytes >= max_bytes {
            break;
        }
    }
    Ok(batch)
}

fn read(row: &Row<'_>, claim: i64) -> Result<(i64, Claimed), Trouble> {
    let id: i64 = row.get(0)?;
    let progress = Progress { attempts: row.get(1)?, contact_tries: row.get(2)?, sent: row.get(3)? };
    let claimed =
        Claimed { id: message_id(id), receipt: Receipt(claim.to_string()), accepted: accepted(row, 4)?, progress };
    Ok((id, claimed))
}

/// From three columns in a row: scheme, received_at, body.
pub(crate) fn accepted(row: &Row<'_>, first: usize) -> Result<Accepted, Trouble> {
    let body = row.get_ref(first + 2)?.as_blob().map_err(rusqlite::Error::from)?;
    Ok(Accepted {
        scheme: scheme(row.get(first)?),
        received_at: moment(row.get(first + 1)?),
        body: Bytes::copy_from_slice(body),
    })
}

/// As the ports know it.
pub(crate) fn message_id(id: i64) -> MessageId {
    MessageId::new(id.to_string())
}

/// From the ports; `None` for an id that was not given by us.
pub(crate) fn row_id(id: &str) -> Option<i64> {
    id.parse().ok().filter(|number: &i64| number.to_string() == id)
}

/// Makes what the last process had claimed visible. Runs once, before anybody can claim.
pub(crate) fn give_out_again(connection: &Connection, now: Timestamp) -> Result<(), Trouble> {
    connection.execute(GIVE_OUT_AGAIN, [micros(now)])?;
    Ok(())
}
