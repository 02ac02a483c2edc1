//! The list of recent events.
//!
//! A process keeps the newest of its events in its share of the books, as long as they fit into the write unit that the share
//! costs anyway; then all of them become one item of the list, twenty and more to the unit. So the list costs about half a
//! write for each batch, and what is in the books is on the list, by the very same write.
//!
//! Crash story: the events leave the share with one write and enter the list with the next. If we die in between, they are
//! missing there and nowhere else. If only an answer is lost, this process remembers them, and lists them with its next batch
//! (`Writer::doubts`).
//!
//! Nothing shortens the list: an item carries its expiry, which costs nothing, while a delete costs as much as the write did.
//! Who reads stops at the length that the settings give.

use std::collections::HashSet;
use std::sync::Arc;

use app::ports::{Clock, EventRecord, Fate, RecentEvent, StoreResult};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::pack::{pack, unpack};
use crate::queue::Queues;
use crate::records::sortable;
use crate::store::AwsStore;
use crate::table::{Attributes, Condition, Item, Key, Query, TTL, Table, Value, Write, item};
use crate::totals::{TOTALS, Totals};
use crate::trouble::unreadable;
use crate::writer::Writer;

/// Partition of the list.
pub(crate) const RECENT: &str = "recent";

/// How long an item of the list is kept, in seconds.
const KEPT_SECONDS: i64 = 30 * 24 * 3600;

/// Most events of one item.
const MOST_IN_ITEM: usize = 500;

/// Most bytes that one item may inflate to: 500 events with long reasons.
pub(crate) const MOST_BYTES: u64 = 4 * 1024 * 1024;

/// Items in one look at the list.
const LOOK: usize = 100;

/// An event as it is stored; readable for newer and older versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stored {
    at: i64,
    metric: String,
    key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    contact: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    time: Option<i64>,
    fate: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl Stored {
    pub(crate) fn new(event: &EventRecord) -> Self {
        let (fate, reason) = match &event.fate {
            Fate::Sent => ("sent", None),
            Fate::Skipped(reason) => ("skipped", Some(reason.clone())),
            Fate::Parked => ("parked", None),
            Fate::Dead(reason) => ("dead", Some(reason.clone())),
        };
        Self {
            at: event.at.as_microsecond(),
            metric: event.metric.clone(),
            key: event.key_text.clone(),
            contact: event.contact.as_ref().map(|contact| contact.as_str().to_owned()),
            time: event.time.map(Timestamp::as_microsecond),
            fate: fate.to_owned(),
            reason,
        }
    }

    /// Whose event it is.
    pub(crate) fn contact(&self) -> Option<&str> {
        self.contact.as_deref()
    }

    fn event(self) -> RecentEvent {
        let moment = |at| Timestamp::from_microsecond(at).unwrap_or(Timestamp::MIN);
        RecentEvent {
            at: moment(self.at),
            metric: self.metric,
            key: self.key,
            contact: self.contact,
            time: self.time.map(moment),
            fate: self.fate,
            reason: self.reason,
        }
    }
}

/// The events of one item, oldest first.
pub(crate) fn read(item: &Item) -> StoreResult<Vec<Stored>> {
    let unpacked = item.bytes("events").and_then(|packed| unpack(packed, MOST_BYTES));
    unpacked
        .and_then(|json| serde_json::from_slice(&json).ok())
        .ok_or_else(|| unreadable("a list of recent events is not what this version writes"))
}

impl<C: Clock + 'static, T: Table, Q: Queues> AwsStore<C, T, Q> {
    /// The writes that put events on the list.
    pub(crate) fn listing(&self, events: &[Stored]) -> Vec<Write> {
        let (writer, expires) = (self.writer(), self.expires_in(KEPT_SECONDS));
        let write = |(index, some): (usize, &[Stored])| {
            let packed = pack(&serde_json::to_vec(some).ok()?)?;
            let item = item([("v", Value::Number(1)), ("events", Value::Bytes(packed)), (TTL, Value::Number(expires))]);
            let sk = format!("{}#{:010}#{index:03}#{}", sortable(self.now()), writer.next_save(), writer.id);
            Some(Write::put(Key::new(RECENT, sk), item, Condition::Always))
        };
        events.chunks(MOST_IN_ITEM).enumerate().filter_map(write).collect()
    }

    /// Lists what left the share of the books. What cannot be listed now is tried with the next batch.
    pub(crate) async fn list_recent(&self, writer: &Arc<Writer>) {
        let events = writer.take_unlisted();
        for write in self.listing(&events) {
            if let Err(error) = self.table.write(write).await {
                tracing::warn!(%error, "recent events could not be listed; trying again with the next ones");
                // Some of them may be there already: better twice than never.
                return writer.put_back_unlisted(events);
            }
        }
    }

    /// The newest events of all processes, newest first: from their shares, and as much of the list as can matter.
    pub(crate) async fn newest_events(&self, limit: usize) -> StoreResult<Vec<RecentEvent>> {
        let limit = limit.min(self.options.recent_events);
        if limit == 0 {
            return Ok(Vec::new());
        }
        let shares = Query { pk: TOTALS.to_owned(), after: None, up_to: None, descending: false, limit: usize::MAX };
        let forgotten = self.forgotten().await?;
        let mut newest = Vec::new();
        for (_, share) in self.table.query(shares).await? {
            newest.extend(Totals::read(share)?.recent.into_iter().rev());
        }
        let mut after = None;
        loop {
            let query = Query {
                pk: RECENT.to_owned(),
                after: after.take(),
                up_to: None,
                descending: true,
                limit: LOOK.min(limit),
            };
            let items = self.table.query(query).await?;
            for (_, item) in &items {
                newest.extend(read(item)?.into_iter().rev());
            }
            // What moved from a share to the list while we read is in both.
            newest.retain(|event| !event.contact().is_some_and(|id| forgotten.contains_key(id)));
            let mut seen = HashSet::new();
            newest.retain(|event: &Stored| seen.insert((event.at, event.key.clone(), event.fate.clone())));
            // Stable: of events of one moment, the last one that was recorded stays the first.
            newest.sort_by_key(|event| std::cmp::Reverse(event.at));
            newest.truncate(limit);
            let Some((last, _)) = items.last().filter(|_| items.len() == LOOK.min(limit)) else { break };
            // An item holds nothing that happened after it was written.
            let oldest = newest.last().filter(|_| newest.len() == limit).map(|event| event.at);
            if oldest.is_some_and(|at| moment_of(last).is_none_or(|written| written < at)) {
                break;
            }
            after = Some(last.clone());
        }
        Ok(newest.into_iter().map(Stored::event).collect())
    }
}

/// The moment that a sort key begins with, in microseconds.
fn moment_of(sk: &str) -> Option<i64> {
    sk.split('#').next()?.parse().ok()
}
