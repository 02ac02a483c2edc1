//! One writer's share of the books, and which of its numbers are settled.
//!
//! Counters, moments and the newest events are one packed attribute: the names in it are long and alike, and with them spelled
//! out a share of nine metrics would take the whole write unit.

use std::collections::BTreeMap;

use app::ports::StoreResult;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::intervals::Intervals;
use crate::pack::{pack, unpack};
use crate::recent::{MOST_BYTES, Stored};
use crate::table::{Attributes, Condition, Item, Key, Value, Write, item, size, text, units};
use crate::trouble::{TABLE, unavailable, unreadable};

/// Partition of all writers' shares.
pub(crate) const TOTALS: &str = "totals";

/// The share that idle writers are folded into.
pub(crate) const BASE: &str = "base";

/// Counter of profiles that were written without an event.
pub(crate) const PROFILES: &str = "profiles";

/// What became of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settled {
    /// What was claimed under it was sent and is counted.
    Done,
    /// Nothing that was claimed under it was sent.
    Void,
}

/// A change of the books.
#[derive(Clone, Debug, Default)]
pub(crate) struct Delta {
    /// The number of the message that it is about.
    pub(crate) number: Option<(u64, Settled)>,
    /// Counters and by how much they change.
    pub(crate) counts: Vec<(String, i64)>,
    /// Moments, in microseconds, of which the latest counts.
    pub(crate) latest: Vec<(String, i64)>,
    /// When a message that waits was received.
    pub(crate) waiting: Option<i64>,
    /// What the list of recent events is to have.
    pub(crate) listed: Vec<Stored>,
}

impl Delta {
    pub(crate) fn count(mut self, name: impl Into<String>, by: i64) -> Self {
        self.counts.push((name.into(), by));
        self
    }
}

/// A writer's item.
#[derive(Clone, Debug, Default)]
pub(crate) struct Totals {
    /// The attributes that are not packed, those of newer versions among them.
    pub(crate) item: Item,
    version: i64,
    /// Numbers whose claims were sent and counted.
    pub(crate) done: Intervals,
    /// Numbers whose claims were not sent.
    pub(crate) void: Intervals,
    /// Numbers that somebody else declared dead: their owner may not settle them any more.
    pub(crate) lost: Intervals,
    /// Counters and moments.
    pub(crate) sums: BTreeMap<String, i64>,
    /// The newest events, oldest first, that are not on the list yet.
    pub(crate) recent: Vec<Stored>,
    /// What a newer version packed besides.
    rest: serde_json::Map<String, serde_json::Value>,
}

/// What is packed.
#[derive(Default, Serialize, Deserialize)]
struct Packed {
    #[serde(default)]
    sums: BTreeMap<String, i64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    recent: Vec<Stored>,
    #[serde(flatten)]
    rest: serde_json::Map<String, serde_json::Value>,
}

const PACKED: &str = "books";

impl Totals {
    pub(crate) fn read(mut item: Item) -> StoreResult<Self> {
        let set = |name| {
            let text = item.text(name).unwrap_or_default();
            Intervals::parse(text).ok_or_else(|| unreadable(format!("a writer's totals have an odd {name}")))
        };
        let (done, void, lost) = (set("done")?, set("void")?, set("lost")?);
        let packed = match item.bytes(PACKED) {
            None => Packed::default(),
            Some(packed) => unpack(packed, MOST_BYTES)
                .and_then(|json| serde_json::from_slice(&json).ok())
                .ok_or_else(|| unreadable("a writer's totals are not what this version writes"))?,
        };
        item.remove(PACKED);
        let Packed { sums, recent, rest } = packed;
        Ok(Self { version: item.number("version").unwrap_or(0), done, void, lost, sums, recent, rest, item })
    }

    pub(crate) fn key(writer: &str) -> Key {
        Key::new(TOTALS, writer)
    }

    /// Holds while nobody else has written since this was read.
    pub(crate) fn unchanged(&self) -> Condition {
        if self.version == 0 {
            return Condition::Absent;
        }
        Condition::Matches(vec![("version".to_owned(), Some(Value::Number(self.version)))])
    }

    /// The next version, with these changes.
    pub(crate) fn with(&self, deltas: &[&Delta], now: Timestamp) -> Self {
        let mut next = self.clone();
        for delta in deltas {
            match delta.number {
                Some((number, Settled::Done)) => next.done.insert(number),
                Some((number, Settled::Void)) => next.void.insert(number),
                None => {}
            }
            for (name, by) in &delta.counts {
                let sum = next.sums.entry(name.clone()).or_default();
                *sum = sum.saturating_add(*by);
            }
            for (name, at) in &delta.latest {
                let latest = next.sums.entry(name.clone()).or_insert(*at);
                *latest = (*latest).max(*at);
            }
            next.recent.extend(delta.listed.iter().cloned());
        }
        if deltas.iter().any(|delta| delta.number.is_some()) {
            next.item.remove("waiting");
        }
        if let Some(oldest) = deltas.iter().filter_map(|delta| delta.waiting).min() {
            next.item.insert("waiting".to_owned(), Value::Number(oldest));
        }
        next.next(now)
    }

    /// The next version, with the number declared dead.
    pub(crate) fn losing(&self, number: u64, now: Timestamp) -> Self {
        let mut next = self.clone();
        next.lost.insert(number);
        next.next(now)
    }

    fn next(mut self, now: Timestamp) -> Self {
        self.version += 1;
        let (done, void, lost) = (self.done.to_string(), self.void.to_string(), self.lost.to_string());
        self.item.extend(item([
            ("v", Value::Number(1)),
            ("version", Value::Number(self.version)),
            ("at", Value::Number(now.as_microsecond())),
            ("done", text(done)),
            ("void", text(void)),
            ("lost", text(lost)),
        ]));
        self
    }

    /// As it is stored.
    fn stored(&self) -> StoreResult<Item> {
        let Self { sums, recent, rest, .. } = self.clone();
        let packed = serde_json::to_vec(&Packed { sums, recent, rest }).ok().and_then(|json| pack(&json));
        let packed = packed.ok_or_else(|| unavailable(TABLE, "a writer's totals could not be packed"))?;
        let mut item = self.item.clone();
        item.insert(PACKED.to_owned(), Value::Bytes(packed));
        Ok(item)
    }

    pub(crate) fn write(&self, writer: &str, condition: Condition) -> StoreResult<Write> {
        Ok(Write::put(Self::key(writer), self.stored()?, condition))
    }

    /// Takes the events out when they would cost a write unit, to be listed by themselves.
    pub(crate) fn shed(&mut self, writer: &str) -> StoreResult<Vec<Stored>> {
        if self.recent.is_empty() {
            return Ok(Vec::new());
        }
        let key = Self::key(writer);
        let with = units(size(&key, &self.stored()?));
        let events = std::mem::take(&mut self.recent);
        if units(size(&key, &self.stored()?)) < with {
            return Ok(events);
        }
        self.recent = events;
        Ok(Vec::new())
    }

    /// When it was written.
    pub(crate) fn written_at(&self) -> Timestamp {
        crate::records::moment(&self.item, "at")
    }

    pub(crate) fn standing(&self, number: u64) -> Standing {
        if self.done.contains(number) {
            Standing::Done
        } else if self.void.contains(number) || self.lost.contains(number) {
            Standing::NotSent
        } else {
            Standing::Open
        }
    }

    /// Whether gaps make it grow.
    pub(crate) fn is_worn(&self) -> bool {
        self.done.runs() + self.void.runs() + self.lost.runs() > 30
    }
}

/// What is known of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Done,
    NotSent,
    /// Its owner works on it, or has died.
    Open,
}

/// Names of counters: those that are added up over all writers.
pub(crate) fn is_count(name: &str) -> bool {
    matches!(name, "delivered" | "parked" | "dead" | PROFILES) || name.starts_with("s:") || name.starts_with("m:")
}

/// Names of moments: those of which the latest counts.
pub(crate) fn is_moment(name: &str) -> bool {
    matches!(name, "webhook" | "delivery") || name.starts_with("t:")
}
