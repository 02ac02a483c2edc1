//! What this process has taken from the queues and not settled yet.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use app::ports::{Accepted, Lane, Progress};
use domain::{KeyHash, MessageId};
use jiff::Timestamp;

use crate::marker::Marker;
use crate::writer::Writer;

/// One delivery of a message to this process.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) id: MessageId,
    pub(crate) receipt: String,
    pub(crate) lane: Lane,
    pub(crate) accepted: Accepted,
    pub(crate) progress: Progress,
    /// Grows each time the message comes back from the parked or the dead ones.
    pub(crate) generation: u32,
    /// Whether the queue said that nobody was handed this message before.
    pub(crate) first: bool,
    pub(crate) at: Timestamp,
    /// Until when nobody else is handed it.
    pub(crate) until: Timestamp,
    /// Whether deleting it is left to the event source.
    pub(crate) by_event_source: bool,
    pub(crate) writer: Arc<Writer>,
    pub(crate) number: u64,
    state: Mutex<TakenState>,
}

#[derive(Debug, Default)]
pub(crate) struct TakenState {
    /// The marker that is stored, as far as we know.
    pub(crate) marker: Option<Marker>,
    /// Keys that were claimed, whoever has them.
    pub(crate) asked: HashSet<KeyHash>,
    /// Keys that may carry our number.
    pub(crate) attempted: HashSet<KeyHash>,
    /// Keys that do.
    pub(crate) held: HashSet<KeyHash>,
    /// An earlier delivery of the message sent one of its events, and that is counted.
    pub(crate) sent_before: bool,
    pub(crate) settled: bool,
}

impl Taken {
    pub(crate) fn state(&self) -> MutexGuard<'_, TakenState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writer and number, as stored items carry them.
    pub(crate) fn by(&self) -> (String, u64) {
        (self.writer.id.clone(), self.number)
    }
}

/// Everything but the writer's number.
pub(crate) struct Delivery {
    pub(crate) id: MessageId,
    pub(crate) receipt: String,
    pub(crate) lane: Lane,
    pub(crate) accepted: Accepted,
    pub(crate) progress: Progress,
    pub(crate) generation: u32,
    pub(crate) first: bool,
    pub(crate) at: Timestamp,
    pub(crate) until: Timestamp,
    pub(crate) by_event_source: bool,
    pub(crate) marker: Option<Marker>,
}

/// By receipt, for settling; by id, for claims: the newest delivery is the one that counts.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    by_receipt: HashMap<String, Arc<Taken>>,
    newest: HashMap<MessageId, Arc<Taken>>,
}

impl Registry {
    pub(crate) fn add(&mut self, delivery: Delivery, writer: Arc<Writer>) -> Arc<Taken> {
        let state = TakenState { marker: delivery.marker, ..TakenState::default() };
        let taken = Arc::new(Taken {
            number: writer.next(),
            writer,
            id: delivery.id,
            receipt: delivery.receipt,
            lane: delivery.lane,
            accepted: delivery.accepted,
            progress: delivery.progress,
            generation: delivery.generation,
            first: delivery.first,
            at: delivery.at,
            until: delivery.until,
            by_event_source: delivery.by_event_source,
            state: Mutex::new(state),
        });
        self.by_receipt.insert(taken.receipt.clone(), Arc::clone(&taken));
        self.newest.insert(taken.id.clone(), Arc::clone(&taken));
        taken
    }

    pub(crate) fn by_receipt(&self, receipt: &str) -> Option<Arc<Taken>> {
        self.by_receipt.get(receipt).cloned()
    }

    pub(crate) fn newest(&self, id: &MessageId) -> Option<Arc<Taken>> {
        self.newest.get(id).cloned()
    }

    pub(crate) fn is_newest(&self, taken: &Taken) -> bool {
        self.newest.get(&taken.id).is_some_and(|newest| newest.receipt == taken.receipt)
    }

    /// Its receipt is used up. The message itself is remembered until the next batch, for claims that come late.
    pub(crate) fn settle(&mut self, taken: &Taken) {
        taken.state().settled = true;
        self.by_receipt.remove(&taken.receipt);
    }

    /// Drops what is settled, and what nobody will settle any more: a batch that was cut off.
    pub(crate) fn tidy(&mut self, now: Timestamp) {
        const FORGET_AFTER: jiff::SignedDuration = jiff::SignedDuration::from_hours(1);
        let keep = |taken: &Taken| !taken.state().settled && now.duration_since(taken.until) < FORGET_AFTER;
        self.by_receipt.retain(|_, taken| keep(taken));
        self.newest.retain(|_, taken| keep(taken));
    }
}
