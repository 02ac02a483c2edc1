//! What changed of the values that each process caches for itself: one small item that tells everybody.
//!
//! Who forgets a value writes its fingerprint and the moment there; who is about to use a cached value reads the item first, one
//! read for a batch, and asks afresh for what was remembered before. Ordinary events write nothing. When too much changes at once
//! for one write unit, the oldest moments become a *floor*: everything that was remembered before it counts as changed.
//!
//! Crash story: if we die before the write, the notification of the change is still on the queue and is noted again. If only the
//! answer is lost, the next round finds its own entries there, and writes them once more, which changes nothing.

use std::collections::BTreeMap;

use app::ports::{Clock, StoreResult};
use jiff::{SignedDuration, Timestamp};

use crate::queue::Queues;
use crate::store::AwsStore;
use crate::table::{Attributes, Condition, Item, Key, Table, Value, Write, Written, item};
use crate::trouble::{TABLE, unavailable};

/// How long a change is told: longer than a contact is remembered.
const TOLD_FOR: SignedDuration = SignedDuration::from_mins(15);

/// Most changes in the item, which then is within one write unit.
const MOST: usize = 55;

/// How often others may come first.
const ROUNDS: usize = 10;

const ENTRY: usize = 16;

fn key() -> Key {
    Key::new("changed", "-")
}

/// Eight bytes that tell keys apart. Two that agree cost one look-up too many.
fn fingerprint(key: &str) -> u64 {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, key.as_bytes());
    let first = digest.as_ref().first_chunk().copied().unwrap_or_default();
    u64::from_be_bytes(first)
}

/// The item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Changed {
    /// Everything remembered up to this moment counts as changed, in microseconds.
    floor: i64,
    /// When what changed last, in microseconds.
    entries: BTreeMap<u64, i64>,
    version: Option<i64>,
    /// With the attributes of newer versions.
    item: Item,
}

impl Changed {
    pub(crate) fn read(stored: Option<Item>) -> Self {
        let Some(stored) = stored else {
            return Self { floor: i64::MIN, entries: BTreeMap::new(), version: None, item: Item::new() };
        };
        let packed = stored.bytes("changes").unwrap_or_default();
        let entry = |bytes: &[u8; ENTRY]| {
            let (key, at) = bytes.split_at(ENTRY / 2);
            let number = |half: &[u8]| u64::from_be_bytes(half.first_chunk().copied().unwrap_or_default());
            (number(key), number(at).cast_signed())
        };
        let (entries, _) = packed.as_chunks::<ENTRY>();
        Self {
            floor: stored.number("floor").unwrap_or(i64::MIN),
            entries: entries.iter().map(entry).collect(),
            version: Some(stored.number("version").unwrap_or(0)),
            item: stored,
        }
    }

    /// Whether a value that was remembered then is as good as forgotten.
    pub(crate) fn since(&self, key: &str, remembered: Timestamp) -> bool {
        let remembered = remembered.as_microsecond();
        remembered < self.floor || self.entries.get(&fingerprint(key)).is_some_and(|at| remembered < *at)
    }

    fn note(&mut self, keys: &[String], now: Timestamp) {
        let told_since = now.checked_sub(TOLD_FOR).unwrap_or(Timestamp::MIN).as_microsecond();
        self.entries.retain(|_, at| *at > told_since);
        for key in keys {
            let at = self.entries.entry(fingerprint(key)).or_insert(i64::MIN);
            *at = (*at).max(now.as_microsecond());
        }
        while self.entries.len() > MOST {
            let Some((oldest, at)) = self.entries.iter().min_by_key(|(_, at)| **at).map(|(key, at)| (*key, *at)) else {
                return;
            };
            self.entries.remove(&oldest);
            self.floor = self.floor.max(at);
        }
    }

    fn write(self) -> Write {
        let condition = match self.version {
            None => Condition::Absent,
            Some(version) => Condition::Matches(vec![("version".to_owned(), Some(Value::Number(version)))]),
        };
        let entry = |(key, at): (&u64, &i64)| [key.to_be_bytes(), at.cast_unsigned().to_be_bytes()].concat();
        let packed: Vec<u8> = self.entries.iter().flat_map(entry).collect();
        let mut stored = self.item;
        stored.extend(item([
            ("v", Value::Number(1)),
            ("version", Value::Number(self.version.unwrap_or(0) + 1)),
            ("floor", Value::Number(self.floor)),
            ("changes", Value::Bytes(packed)),
        ]));
        Write::put(key(), stored, condition)
    }
}

impl<C: Clock + 'static, T: Table, Q: Queues> AwsStore<C, T, Q> {
    /// What all processes noted.
    pub(crate) async fn changes(&self) -> StoreResult<Changed> {
        Ok(Changed::read(self.get(key()).await?))
    }

    /// Tells all processes.
    pub(crate) async fn note_changes(&self, keys: &[String]) -> StoreResult<()> {
        let mut changed = self.changes().await?;
        for _ in 0..ROUNDS {
            changed.note(keys, self.now());
            match self.table.write(changed.write()).await? {
                Written::Done => return Ok(()),
                Written::Conflict(there) => changed = Changed::read(there),
            }
        }
        Err(unavailable(TABLE, "the list of changed contacts changes too fast; trying again"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{size, units};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("in range")
    }

    fn names(numbers: std::ops::Range<usize>) -> Vec<String> {
        numbers.map(|number| format!("contact/{number}")).collect()
    }

    fn stored(changed: &Changed) -> Changed {
        let write = changed.clone().write();
        assert_eq!(units(size(&write.key, write.item.as_ref().expect("a put"))), 1);
        Changed::read(write.item)
    }

    #[test]
    fn what_was_remembered_before_a_change_counts_for_nothing() {
        let mut changed = Changed::read(None);
        changed.note(&names(1..2), at(100));
        let changed = stored(&changed);
        assert!(changed.since("contact/1", at(99)) && !changed.since("contact/1", at(100)));
        assert!(!changed.since("contact/2", at(99)));
    }

    /// However much changes at once, nothing that changed is taken for good, and the item stays small.
    #[test]
    fn a_flood_of_changes_forgets_more_and_never_less() {
        let mut changed = Changed::read(None);
        for second in 0..40_usize {
            changed.note(&names(second * 5..second * 5 + 5), at(1_000 + i64::try_from(second).expect("small")));
            changed = stored(&changed);
            for number in 0..second * 5 + 5 {
                let changed_at = 1_000 + i64::try_from(number / 5).expect("small");
                assert!(changed.since(&format!("contact/{number}"), at(changed_at - 1)), "{number} after {second}");
            }
        }
        assert!(!changed.since("contact/0", at(1_040)), "what was asked for since then is good");
    }

    #[test]
    fn old_changes_are_told_no_more() {
        let mut changed = Changed::read(None);
        changed.note(&names(0..3), at(0));
        changed.note(&names(5..6), at(16 * 60));
        assert_eq!((changed.entries.len(), changed.floor), (1, i64::MIN));
    }
}
