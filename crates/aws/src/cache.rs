//! What is remembered for a while stays in the process.
//!
//! In the table it would cost a write for each contact, as much as the event itself. A process that starts asks Intercom again,
//! which the limits have room for; and a contact that changed is forgotten by the process that reads the change, which tells the
//! others (`changed.rs`).

use std::collections::HashMap;

use app::ports::{Cache, Clock, StoreResult};
use jiff::Timestamp;

use crate::queue::Queues;
use crate::store::AwsStore;
use crate::table::Table;

/// Most bytes of keys and values. A contact has 1 to 2 KB.
const MOST_BYTES: usize = 8 * 1024 * 1024;

/// Values with their expiry.
#[derive(Debug, Default)]
pub(crate) struct LocalCache {
    values: HashMap<String, Remembered>,
    bytes: usize,
}

/// One of them.
#[derive(Clone, Debug)]
struct Remembered {
    value: String,
    at: Timestamp,
    expires: Timestamp,
}

impl LocalCache {
    fn get(&self, key: &str, now: Timestamp) -> Option<&Remembered> {
        self.values.get(key).filter(|remembered| remembered.expires > now)
    }

    fn insert(&mut self, key: String, remembered: Remembered) {
        self.remove(&key);
        self.bytes += key.len() + remembered.value.len();
        self.values.insert(key, remembered);
        if self.bytes > MOST_BYTES {
            self.make_room();
        }
    }

    /// Drops the half that expires first: rare, and cheaper than keeping an order all the time.
    fn make_room(&mut self) {
        let mut by_expiry: Vec<(Timestamp, String)> =
            self.values.iter().map(|(key, remembered)| (remembered.expires, key.clone())).collect();
        by_expiry.sort_unstable();
        by_expiry.truncate(by_expiry.len().div_ceil(2));
        for (_, key) in by_expiry {
            self.remove(&key);
        }
    }

    fn remove(&mut self, key: &str) {
        if let Some(remembered) = self.values.remove(key) {
            self.bytes -= key.len() + remembered.value.len();
        }
    }

    /// Keys and values, whatever their expiry.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(key, remembered)| (key.as_str(), remembered.value.as_str()))
    }

    /// Gives how many went.
    pub(crate) fn clean(&mut self, now: Timestamp) -> u64 {
        let before = self.values.len();
        self.values.retain(|_, remembered| remembered.expires > now);
        self.bytes = self.values.iter().map(|(key, remembered)| key.len() + remembered.value.len()).sum();
        (before - self.values.len()) as u64
    }
}

impl<C: Clock + 'static, T: Table, Q: Queues> Cache for AwsStore<C, T, Q> {
    /// Reads the table only where something is at hand.
    async fn cached(&self, keys: &[String], now: Timestamp) -> StoreResult<Vec<Option<String>>> {
        let found: Vec<Option<Remembered>> = {
            let cache = self.cache();
            keys.iter().map(|key| cache.get(key, now).cloned()).collect()
        };
        if found.iter().all(Option::is_none) {
            return Ok(vec![None; keys.len()]);
        }
        let changes = self.changes().await?;
        let good = |(key, found): (&String, Option<Remembered>)| {
            found.filter(|found| !changes.since(key, found.at)).map(|found| found.value)
        };
        Ok(keys.iter().zip(found).map(good).collect())
    }

    async fn remember(&self, entries: Vec<(String, String)>, expires: Timestamp) -> StoreResult<()> {
        let at = self.now();
        let mut cache = self.cache();
        entries.into_iter().for_each(|(key, value)| cache.insert(key, Remembered { value, at, expires }));
        Ok(())
    }

    /// Here at once, whatever becomes of the note to the others.
    async fn forget(&self, keys: &[String]) -> StoreResult<()> {
        {
            let mut cache = self.cache();
            keys.iter().for_each(|key| cache.remove(key));
        }
        if keys.is_empty() { Ok(()) } else { self.note_changes(keys).await }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However much is remembered, memory is bounded, and the newest stays.
    #[test]
    fn it_is_bounded() {
        let mut cache = LocalCache::default();
        let at = |second| Timestamp::from_second(second).expect("in range");
        for number in 0..20_000_i64 {
            let remembered = Remembered { value: "x".repeat(1_000), at: at(number), expires: at(number + 10) };
            cache.insert(format!("contact/{number}"), remembered);
        }
        assert!(cache.bytes <= MOST_BYTES, "{}", cache.bytes);
        assert!(cache.get("contact/19999", at(0)).is_some());
        assert!(cache.get("contact/0", at(0)).is_none());
        cache.clean(at(100_000));
        assert_eq!((cache.bytes, cache.values.len()), (0, 0));
    }
}
