//! Recording events, and reading the state.

use std::collections::hash_map::Entry as Slot;

use domain::MessageId;
use jiff::Timestamp;

use super::MemoryStore;
use super::state::{Entry, Place, State};
use crate::fakes::manual_clock::later;
use crate::ports::{Books, EventRecord, Fate, Lane, MetricCount, Overview, RecentEvent, Retention, StoreResult};

/// With a stale receipt only what was really sent counts, and that once.
pub(super) fn record(state: &mut State, message: &MessageId, event: EventRecord, held: bool) {
    if event.fate == Fate::Sent {
        if !flip(state, message, &event) {
            return;
        }
        state.books.last_delivery_at = state.books.last_delivery_at.max(Some(event.at));
        count(&mut state.books.metrics, &event);
    } else if !held {
        return;
    }
    let (fate, reason) = match event.fate {
        Fate::Sent => ("sent", None),
        Fate::Skipped(reason) => ("skipped", Some(reason)),
        Fate::Parked => ("parked", None),
        Fate::Dead(reason) => ("dead", Some(reason)),
    };
    state.recent.push(RecentEvent {
        at: event.at,
        metric: event.metric,
        key: event.key_text,
        contact: event.contact.map(|contact| contact.as_str().to_owned()),
        time: event.time,
        fate: fate.to_owned(),
        reason,
    });
}

/// Marks the key as sent. `false` when it was marked before.
fn flip(state: &mut State, message: &MessageId, event: &EventRecord) -> bool {
    let Some(key) = event.key else { return false };
    match state.ledger.entry(key) {
        Slot::Vacant(slot) => {
            slot.insert(Entry { message: message.clone(), identity: None, at: event.at });
            true
        }
        Slot::Occupied(mut slot) => {
            let flipped = slot.get_mut().identity.take().is_some();
            if flipped {
                slot.get_mut().at = event.at;
            }
            flipped
        }
    }
}

fn count(metrics: &mut Vec<MetricCount>, event: &EventRecord) {
    let at = metrics.partition_point(|metric| metric.name < event.metric);
    if metrics.get(at).is_none_or(|metric| metric.name != event.metric) {
        metrics.insert(at, MetricCount { name: event.metric.clone(), delivered: 0, last_at: None });
    }
    metrics[at].delivered += 1;
    metrics[at].last_at = metrics[at].last_at.max(Some(event.at));
}

impl Overview for MemoryStore {
    async fn books(&self) -> StoreResult<Books> {
        let state = self.lock();
        let in_flight = state
            .messages
            .values()
            .filter(|message| message.lane == Lane::Live && matches!(message.place, Place::Queue { .. }));
        let oldest_in_flight = in_flight.map(|message| message.accepted.received_at).min();
        Ok(Books { oldest_in_flight, ..state.books.clone() })
    }

    async fn recent_events(&self, limit: usize) -> StoreResult<Vec<RecentEvent>> {
        Ok(self.lock().recent.iter().rev().take(limit).cloned().collect())
    }

    async fn clean(&self, now: Timestamp, retention: Retention) -> StoreResult<u64> {
        let mut state = self.lock();
        let before = state.cache.len() + state.recent.len() + state.ledger.len();
        state.cache.retain(|_, (_, expires)| *expires > now);
        let kept = usize::try_from(retention.recent_events).unwrap_or(usize::MAX);
        let surplus = state.recent.len().saturating_sub(kept);
        state.recent.drain(..surplus);
        if let Some(age) = retention.ledger {
            state.ledger.retain(|_, entry| later(entry.at, age) >= now);
        }
        Ok((before - state.cache.len() - state.recent.len() - state.ledger.len()) as u64)
    }
}
