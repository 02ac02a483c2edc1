//! A table.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use app::ports::StoreResult;

use super::{Fault, pause};
use crate::table::{Attributes, Condition, Item, Key, Query, TTL, Table, Transacted, Write, Written, size, units};
use crate::trouble::TABLE;

/// Clones share what they hold. Nothing expires by itself: DynamoDB deletes late too.
#[derive(Clone, Debug, Default)]
pub struct MemoryTable(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    items: BTreeMap<Key, Item>,
    faults: Vec<Option<Fault>>,
    write_units: u64,
    queried: u64,
    reads: u64,
}

impl MemoryTable {
    /// What the next write meets; the last one pushed first.
    pub fn push_fault(&self, fault: Fault) {
        self.lock().faults.push(Some(fault));
    }

    /// The same, for the write that comes after `passed` others.
    pub fn skip_then_fault(&self, passed: usize, fault: Fault) {
        let mut state = self.lock();
        state.faults.push(Some(fault));
        state.faults.extend(std::iter::repeat_n(None, passed));
    }

    /// Nothing fails any more.
    pub fn heal(&self) {
        self.lock().faults.clear();
    }

    /// Write units used so far, as DynamoDB counts them: one for each KB begun of the larger of old and new item, twice that in
    /// a transaction; a condition that fails costs the same
    /// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html>).
    pub fn write_units(&self) -> u64 {
        self.lock().write_units
    }

    /// Items that were asked for by their keys so far.
    pub fn reads(&self) -> u64 {
        self.lock().reads
    }

    /// Items that queries gave so far.
    pub fn queried(&self) -> u64 {
        self.lock().queried
    }

    /// Everything that is there.
    pub fn items(&self) -> BTreeMap<Key, Item> {
        self.lock().items.clone()
    }

    /// Puts an item there as another version may have written it.
    pub fn plant(&self, key: Key, item: Item) {
        self.lock().items.insert(key, item);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn with_fault<R>(&self, write: impl FnOnce(&mut State) -> R) -> StoreResult<R> {
        pause().await;
        let result = {
            let mut state = self.lock();
            match state.faults.pop().flatten() {
                Some(fault @ (Fault::RequestLost | Fault::Throttled)) => Err(fault.error(TABLE)),
                Some(fault @ Fault::ResponseLost) => {
                    write(&mut state);
                    Err(fault.error(TABLE))
                }
                None => Ok(write(&mut state)),
            }
        };
        pause().await;
        result
    }
}

impl State {
    fn holds(&self, key: &Key, condition: &Condition) -> bool {
        let item = self.items.get(key);
        match condition {
            Condition::Always => true,
            Condition::Absent => item.is_none(),
            Condition::Present => item.is_some(),
            Condition::Gone(second) => item.is_none_or(|item| item.number(TTL).is_some_and(|ttl| ttl < *second)),
            Condition::Matches(wanted) => {
                item.is_some_and(|item| wanted.iter().all(|(name, value)| item.get(name) == value.as_ref()))
            }
        }
    }

    fn apply(&mut self, write: Write) {
        match write.item {
            Some(item) => self.items.insert(write.key, item),
            None => self.items.remove(&write.key),
        };
    }

    fn units(&self, write: &Write) -> u64 {
        let old = self.items.get(&write.key).map_or(0, |item| size(&write.key, item));
        let new = write.item.as_ref().map_or(0, |item| size(&write.key, item));
        units(old.max(new))
    }
}

impl Table for MemoryTable {
    async fn get(&self, keys: Vec<Key>) -> StoreResult<Vec<Option<Item>>> {
        pause().await;
        let mut state = self.lock();
        state.reads += keys.len() as u64;
        Ok(keys.iter().map(|key| state.items.get(key).cloned()).collect())
    }

    async fn write(&self, write: Write) -> StoreResult<Written> {
        self.with_fault(|state| {
            state.write_units += state.units(&write);
            if !state.holds(&write.key, &write.condition) {
                return Written::Conflict(state.items.get(&write.key).cloned());
            }
            state.apply(write);
            Written::Done
        })
        .await
    }

    async fn transact(&self, writes: Vec<Write>) -> StoreResult<Transacted> {
        let mut keys: Vec<&Key> = writes.iter().map(|write| &write.key).collect();
        keys.sort();
        keys.dedup();
        assert!(keys.len() == writes.len() && writes.len() <= 100, "DynamoDB refuses this transaction");
        self.with_fault(|state| {
            state.write_units += writes.iter().map(|write| 2 * state.units(write)).sum::<u64>();
            let fails = |(index, write): (usize, &Write)| (!state.holds(&write.key, &write.condition)).then_some(index);
            let conflicts: Vec<usize> = writes.iter().enumerate().filter_map(fails).collect();
            if !conflicts.is_empty() {
                return Transacted::Conflict(conflicts);
            }
            writes.into_iter().for_each(|write| state.apply(write));
            Transacted::Done
        })
        .await
    }

    async fn query(&self, query: Query) -> StoreResult<Vec<(String, Item)>> {
        pause().await;
        let mut guard = self.lock();
        let state = &mut *guard;
        let after = |sk: &str| match &query.after {
            None => true,
            Some(after) if query.descending => sk < after.as_str(),
            Some(after) => sk > after.as_str(),
        };
        let within = |sk: &str| after(sk) && query.up_to.as_ref().is_none_or(|up_to| sk <= up_to.as_str());
        let partition = state.items.range(Key::new(query.pk.clone(), "")..).take_while(|(key, _)| key.pk == query.pk);
        let mut keys: Vec<&Key> = partition.map(|(key, _)| key).filter(|key| within(&key.sk)).collect();
        if query.descending {
            keys.reverse();
        }
        keys.truncate(query.limit);
        let row = |key: &Key| Some((key.sk.clone(), state.items.get(key)?.clone()));
        let rows: Vec<(String, Item)> = keys.into_iter().filter_map(row).collect();
        state.queried += rows.len() as u64;
        Ok(rows)
    }
}
