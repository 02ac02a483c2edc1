//! Books of items.

use std::collections::hash_map::Entry as Slot;

use super::MemoryStore;
use super::state::State;
use crate::ports::{ItemBook, ItemBooks, ItemCount, StoreResult};

/// Counts an item. The first count stands, unless it left something open.
pub(super) fn count(state: &mut State, item: &ItemCount, open_message: Option<u64>) {
    let key = (item.book.clone(), item.entry);
    let book = state.item_books.entry(item.book.clone()).or_default();
    let left = item.events.is_open().then(|| item.events.clone());
    match state.items.entry(key.clone()) {
        Slot::Vacant(slot) => {
            slot.insert(left);
            book.items += 1;
        }
        Slot::Occupied(mut slot) => {
            let Some(before) = slot.get().clone().filter(|before| item.events.replaces(before)) else { return };
            slot.insert(left);
            book.events.remove(&before);
        }
    }
    book.events.add(&item.events);
    if let Some(message) = open_message {
        state.open_items.insert(message, key);
    }
}

/// What a parked or dead message left open becomes skipped.
pub(super) fn give_up(state: &mut State, message: u64, reason: &str) {
    let Some((book, entry)) = state.open_items.remove(&message) else { return };
    let Some(Some(open)) = state.items.get(&(book.clone(), entry)) else { return };
    let events = open.given_up(reason);
    count(state, &ItemCount { book, entry, events }, None);
}

impl ItemBooks for MemoryStore {
    async fn count_items(&self, items: Vec<ItemCount>) -> StoreResult<()> {
        let mut state = self.lock();
        items.iter().for_each(|item| count(&mut state, item, None));
        Ok(())
    }

    async fn item_book(&self, book: &str) -> StoreResult<ItemBook> {
        Ok(self.lock().item_books.get(book).cloned().unwrap_or_default())
    }

    async fn forget_book(&self, book: &str) -> StoreResult<u64> {
        let mut state = self.lock();
        let before = state.items.len();
        state.items.retain(|(name, _), _| name != book);
        state.item_books.remove(book);
        Ok((before - state.items.len()) as u64)
    }
}
