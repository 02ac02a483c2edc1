//! What is remembered for a while stays in the process.
//!
//! In the table it would cost a write for each contact, as much as the event itself. A process that starts asks Intercom again,
//! which the limits have room for; and a contact that changed is forgotten by the process that reads the change, while others
//! keep it for some minutes.

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
    values: HashMap<String, (String, Timestamp)>,
    bytes: usize,
}

impl LocalCache {
    fn get(&self, key: &str, now: Timestamp) -> Option<String> {
        self.values.get(key).filter(|(_, expires)| *expires > now).map(|(value, _)| value.clone())
    }

    fn insert(&mut self, key: String, value: String, expires: Timestamp) {
        self.remove(&key);
        self.bytes += key.len() + value.len();
        self.values.insert(key, (value, expires));
        if self.bytes > MOST_BYTES {
            self.make_room();
        }
    }

    /// Drops the half that expires first: rare, and cheaper than keeping an order all the time.
    fn make_room(&mut self) {
        let mut by_expiry: Vec<(Timestamp, String)> =
            self.values.iter().map(|(key, (_, expires))| (*expires, key.clone())).collect();
        by_expiry.sort_unstable();
        by_expiry.truncate(by_expiry.len().div_ceil(2));
        for (_, key) in by_expiry {
            self.remove(&key);
        }
    }

    fn remove(&mut self, key: &str) {
        if let Some((value, _)) = self.values.remove(key) {
            self.bytes -= key.len() + value.len();
        }
    }

    /// Drops what is not wanted; gives how many went.
    pub(crate) fn retain(&mut self, wanted: impl Fn(&str, &str) -> bool) -> u64 {
        let before = self.values.len();
        self.values.retain(|key, (value, _)| wanted(key, value));
        self.bytes = self.values.iter().map(|(key, (value, _))| key.len() + value.len()).sum();
        (before - self.values.len()) as u64
    }

    /// Keys and values, whatever their expiry.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(key, (value, _))| (key.as_str(), value.as_str()))
    }

    /// Gives how many went.
    pub(crate) fn clean(&mut self, now: Timestamp) -> u64 {
        let before = self.values.len();
        self.values.retain(|_, (_, expires)| *expires > now);
        self.bytes = self.values.iter().map(|(key, (value, _))| key.len() + value.len()).sum();
        (before - self.values.len()) as u64
    }
}

impl<C: Clock + 'static, T: Table, Q: Queues> Cache for AwsStore<C, T, Q> {
    async fn cached(&self, keys: &[String], now: Timestamp) -> StoreResult<Vec<Option<String>>> {
        let cache = self.cache();
        Ok(keys.iter().map(|key| cache.get(key, now)).collect())
    }

    async fn remember(&self, entries: Vec<(String, String)>, expires: Timestamp) -> StoreResult<()> {
        let mut cache = self.cache();
        entries.into_iter().for_each(|(key, value)| cache.insert(key, value, expires));
        Ok(())
    }

    async fn forget(&self, keys: &[String]) -> StoreResult<()> {
        let mut cache = self.cache();
        keys.iter().for_each(|key| cache.remove(key));
        Ok(())
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
            cache.insert(format!("contact/{number}"), "x".repeat(1_000), at(number + 10));
        }
        assert!(cache.bytes <= MOST_BYTES, "{}", cache.bytes);
        assert!(cache.get("contact/19999", at(0)).is_some());
        assert!(cache.get("contact/0", at(0)).is_none());
        cache.clean(at(100_000));
        assert_eq!((cache.bytes, cache.values.len()), (0, 0));
    }
}
