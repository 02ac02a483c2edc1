//! Reading the state.
//!
//! The webhook writes nothing but the queue, so what was accepted is known as the sum of what became of it and what is still
//! there. SQS's own counts lag by up to a minute; both are exact once the queues are quiet.

use std::collections::BTreeMap;

use app::ports::{Books, Clock, EventRecord, Fate, Lane, MetricCount, Overview, RecentEvent, Retention, StoreResult};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::pack::{pack, unpack};
use crate::queue::Queues;
use crate::records::sortable;
use crate::store::AwsStore;
use crate::table::{Attributes, Condition, Item, Key, Query, TTL, Table, Value, Write, item};
use crate::totals::TOTALS;
use crate::trouble::unreadable;

/// Partition of the recent events.
pub(crate) const RECENT: &str = "recent";

/// How long recent events are kept at most, in seconds.
const RECENT_SECONDS: i64 = 30 * 24 * 3600;

/// Waits grow to 15 minutes: a writer that has not written for longer says nothing about what waits now.
const WAITING_IS_FRESH: SignedDuration = SignedDuration::from_mins(20);

/// A recent event as it is stored; readable for newer and older versions.
#[derive(Clone, Debug, Serialize, Deserialize)]
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
    fn new(event: &EventRecord) -> Self {
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

/// Most bytes that the events of one item may inflate to: 500 events with long reasons.
const MOST_BYTES: u64 = 4 * 1024 * 1024;

/// The events of one item, oldest first.
pub(crate) fn stored_events(item: &Item) -> StoreResult<Vec<Stored>> {
    let unpacked = item.bytes("events").and_then(|packed| unpack(packed, MOST_BYTES));
    unpacked
        .and_then(|json| serde_json::from_slice(&json).ok())
        .ok_or_else(|| unreadable("a list of recent events is not what this version writes"))
}

/// One item for the events of a batch. Deflated, ten of them are less than one write unit.
pub(crate) fn recent_item(events: &[Stored], expires: i64) -> Option<Item> {
    let packed = pack(&serde_json::to_vec(events).ok()?)?;
    Some(item([("v", Value::Number(1)), ("events", Value::Bytes(packed)), (TTL, Value::Number(expires))]))
}

impl<C: Clock + 'static, T: Table, Q: Queues> AwsStore<C, T, Q> {
    /// One item for each batch: one write unit for ten events and more, instead of one each. Not part of the books, and lost if we
    /// die right here.
    pub(crate) async fn list_recent<'e>(&self, events: impl Iterator<Item = &'e EventRecord>) {
        let events: Vec<Stored> = events.map(Stored::new).collect();
        if events.is_empty() || !self.options.recent_events {
            return;
        }
        let expires = self.expires_in(RECENT_SECONDS);
        let writer = self.writer();
        for (index, some) in events.chunks(500).enumerate() {
            let Some(item) = recent_item(some, expires) else { return };
            let sk = format!("{}#{:010}#{index:03}#{}", sortable(self.now()), writer.next_save(), writer.id);
            if let Err(error) = self.table.write(Write::put(Key::new(RECENT, sk), item, Condition::Always)).await {
                tracing::warn!(%error, "recent events could not be listed");
            }
        }
    }
}

impl<C: Clock + 'static, T: Table, Q: Queues> Overview for AwsStore<C, T, Q> {
    async fn books(&self) -> StoreResult<Books> {
        let query = Query { pk: TOTALS.to_owned(), after: None, up_to: None, descending: false, limit: usize::MAX };
        let shares = self.table.query(query).await?;
        let (visible, hidden) = self.queues.depth(Lane::Live).await?;
        let mut sums: BTreeMap<&str, i64> = BTreeMap::new();
        for (_, item) in &shares {
            for (name, value) in item {
                if let Value::Number(number) = value
                    && is_count(name)
                {
                    *sums.entry(name).or_default() += number;
                }
            }
        }
        let sum = |name: &str| u64::try_from(sums.get(name).copied().unwrap_or(0)).unwrap_or(0);
        let latest = |name: &str| latest(&shares, name);
        let skipped: BTreeMap<String, u64> = prefixed(&sums, "s:").collect();
        let metric = |(name, delivered): (String, u64)| {
            let last_at = latest(&format!("t:{name}"));
            MetricCount { name, delivered, last_at }
        };
        let in_flight = visible + hidden;
        let mut books = Books {
            accepted: 0,
            delivered: sum("delivered"),
            parked: sum("parked"),
            dead: sum("dead"),
            in_flight,
            last_webhook_at: latest("webhook"),
            last_delivery_at: latest("delivery"),
            oldest_in_flight: if in_flight == 0 { None } else { self.oldest_waiting(&shares) },
            metrics: prefixed(&sums, "m:").map(metric).collect(),
            skipped,
        };
        books.accepted =
            books.delivered + books.skipped.values().sum::<u64>() + books.parked + books.dead + books.in_flight;
        Ok(books)
    }

    async fn recent_events(&self, limit: usize) -> StoreResult<Vec<RecentEvent>> {
        let query = Query { pk: RECENT.to_owned(), after: None, up_to: None, descending: true, limit: limit.max(1) };
        let mut events = Vec::new();
        for (_, item) in self.table.query(query).await? {
            events.extend(stored_events(&item)?.into_iter().rev().map(Stored::event));
            if events.len() >= limit {
                break;
            }
        }
        events.truncate(limit);
        Ok(events)
    }

    async fn clean(&self, now: Timestamp, retention: Retention) -> StoreResult<u64> {
        self.clean_up(now, retention).await
    }
}

impl<C: Clock + 'static, T: Table, Q: Queues> AwsStore<C, T, Q> {
    /// SQS does not tell a message's age. What waits was taken once, and each writer notes the oldest that it put back last.
    fn oldest_waiting(&self, shares: &[(String, Item)]) -> Option<Timestamp> {
        let now = self.now();
        let fresh = |item: &&Item| now.duration_since(crate::records::moment(item, "at")) < WAITING_IS_FRESH;
        let shares = shares.iter().map(|(_, item)| item).filter(fresh);
        let oldest = shares.filter_map(|item| item.number("waiting")).min()?;
        Timestamp::from_microsecond(oldest).ok()
    }
}

/// Names of counters: those that are added up over all writers.
pub(crate) fn is_count(name: &str) -> bool {
    matches!(name, "delivered" | "parked" | "dead") || name.starts_with("s:") || name.starts_with("m:")
}

/// Names of moments: those of which the latest counts.
pub(crate) fn is_moment(name: &str) -> bool {
    matches!(name, "webhook" | "delivery") || name.starts_with("t:")
}

fn latest(shares: &[(String, Item)], name: &str) -> Option<Timestamp> {
    let latest = shares.iter().filter_map(|(_, item)| item.number(name)).max()?;
    Timestamp::from_microsecond(latest).ok()
}

fn prefixed(sums: &BTreeMap<&str, i64>, prefix: &'static str) -> impl Iterator<Item = (String, u64)> {
    let named = |(name, count): (&&str, &i64)| {
        let name = name.strip_prefix(prefix)?;
        u64::try_from(*count).ok().filter(|count| *count > 0).map(|count| (name.to_owned(), count))
    };
    sums.iter().filter_map(named).collect::<Vec<_>>().into_iter()
}
