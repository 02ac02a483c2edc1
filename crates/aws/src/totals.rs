//! One writer's share of the books, and which of its numbers are settled.

use app::ports::StoreResult;
use jiff::Timestamp;

use crate::intervals::Intervals;
use crate::table::{Attributes, Condition, Item, Key, Value, Write, item, text};
use crate::trouble::unreadable;

/// Partition of all writers' shares.
pub(crate) const TOTALS: &str = "totals";

/// The share that idle writers are folded into.
pub(crate) const BASE: &str = "base";

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
    pub(crate) item: Item,
    version: i64,
    /// Numbers whose claims were sent and counted.
    pub(crate) done: Intervals,
    /// Numbers whose claims were not sent.
    pub(crate) void: Intervals,
    /// Numbers that somebody else declared dead: their owner may not settle them any more.
    pub(crate) lost: Intervals,
}

impl Totals {
    pub(crate) fn read(item: Item) -> StoreResult<Self> {
        let set = |name| {
            let text = item.text(name).unwrap_or_default();
            Intervals::parse(text).ok_or_else(|| unreadable(format!("a writer's totals have an odd {name}")))
        };
        let (done, void, lost) = (set("done")?, set("void")?, set("lost")?);
        Ok(Self { version: item.number("version").unwrap_or(0), done, void, lost, item })
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
                let sum = next.item.number(name).unwrap_or(0).saturating_add(*by);
                next.item.insert(name.clone(), Value::Number(sum));
            }
            for (name, at) in &delta.latest {
                let latest = next.item.number(name).unwrap_or(i64::MIN).max(*at);
                next.item.insert(name.clone(), Value::Number(latest));
            }
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

    pub(crate) fn write(&self, writer: &str, condition: Condition) -> Write {
        Write::put(Self::key(writer), self.item.clone(), condition)
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
