//! What is held, and the one function through which messages change their place.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use domain::{Identity, KeyHash, MessageId};
use jiff::Timestamp;

use crate::ports::{Accepted, Books, Document, EventCounts, ItemBook, Lane, Parking, Progress, RecentEvent};

#[derive(Default)]
pub(super) struct State {
    last_message: u64,
    last_claim: u64,
    pub(super) messages: BTreeMap<u64, Message>,
    /// Indexes over `messages`, so that a simulation with a long queue stays fast.
    live: BTreeSet<(Timestamp, u64)>,
    history: BTreeSet<(Timestamp, u64)>,
    reconcile: BTreeSet<(Timestamp, u64)>,
    parked: BTreeSet<u64>,
    /// The six counters and the metrics; `oldest_in_flight` is found when asked.
    pub(super) books: Books,
    pub(super) ledger: HashMap<KeyHash, Entry>,
    pub(super) documents: HashMap<String, Document>,
    pub(super) cache: HashMap<String, (String, Timestamp)>,
    pub(super) support: HashMap<String, Document>,
    pub(super) recent: Vec<RecentEvent>,
    pub(super) item_books: HashMap<String, ItemBook>,
    /// Entries of the books, with what they left open.
    pub(super) items: HashMap<(String, KeyHash), Option<EventCounts>>,
    /// Which entry a parked or dead message has.
    pub(super) open_items: HashMap<u64, (String, KeyHash)>,
}

pub(super) struct Message {
    pub(super) lane: Lane,
    pub(super) accepted: Accepted,
    pub(super) place: Place,
}

/// Where a message is.
#[derive(Clone)]
pub(super) enum Place {
    Queue { visible_at: Timestamp, claim: Option<u64>, progress: Progress },
    Parked { parking: Parking, since: Timestamp },
    Dead { at: Timestamp, reason: String, topic: String, sent: bool },
}

/// Where it goes: to another place, or away for good.
pub(super) enum Move {
    To(Place),
    Delivered,
    Skipped(String),
}

pub(super) struct Entry {
    pub(super) message: MessageId,
    /// `None` once it was sent.
    pub(super) identity: Option<Identity>,
    pub(super) at: Timestamp,
}

impl State {
    pub(super) fn insert(&mut self, lane: Lane, accepted: Accepted, now: Timestamp) {
        self.last_message += 1;
        let place = Place::Queue { visible_at: now, claim: None, progress: Progress::default() };
        self.book(lane, self.last_message, &place, true);
        self.messages.insert(self.last_message, Message { lane, accepted, place });
    }

    pub(super) fn next_claim(&mut self) -> u64 {
        self.last_claim += 1;
        self.last_claim
    }

    /// Moves a message and keeps the books: subtracts where it was, adds where it goes.
    pub(super) fn move_message(&mut self, id: u64, to: Move) {
        let Some(mut message) = self.messages.remove(&id) else { return };
        self.book(message.lane, id, &message.place, false);
        let live = message.lane == Lane::Live;
        match to {
            Move::To(place) => {
                self.book(message.lane, id, &place, true);
                message.place = place;
                self.messages.insert(id, message);
            }
            Move::Delivered if live => self.books.delivered += 1,
            Move::Skipped(reason) if live => *self.books.skipped.entry(reason).or_default() += 1,
            Move::Delivered | Move::Skipped(_) => {}
        }
    }

    fn book(&mut self, lane: Lane, id: u64, place: &Place, comes: bool) {
        match place {
            Place::Queue { visible_at, .. } => {
                let order = match lane {
                    Lane::Live => &mut self.live,
                    Lane::History => &mut self.history,
                    Lane::Reconcile => &mut self.reconcile,
                };
                if comes {
                    order.insert((*visible_at, id))
                } else {
                    order.remove(&(*visible_at, id))
                };
            }
            Place::Parked { .. } => {
                if comes {
                    self.parked.insert(id)
                } else {
                    self.parked.remove(&id)
                };
            }
            Place::Dead { .. } => {}
        }
        if lane != Lane::Live {
            return;
        }
        let counter = match place {
            Place::Queue { .. } => &mut self.books.in_flight,
            Place::Parked { .. } => &mut self.books.parked,
            Place::Dead { .. } => &mut self.books.dead,
        };
        *counter = if comes { *counter + 1 } else { *counter - 1 };
    }

    /// The queue of a lane, in the order in which it is served.
    pub(super) fn order(&self, lane: Lane) -> &BTreeSet<(Timestamp, u64)> {
        match lane {
            Lane::Live => &self.live,
            Lane::History => &self.history,
            Lane::Reconcile => &self.reconcile,
        }
    }

    /// Those that wait for a contact.
    pub(super) fn parked(&self) -> impl Iterator<Item = (u64, &Parking, Timestamp)> {
        self.parked.iter().filter_map(|id| match &self.messages.get(id)?.place {
            Place::Parked { parking, since } => Some((*id, parking, *since)),
            _ => None,
        })
    }
}

/// As the ports know it.
pub(super) fn message_id(id: u64) -> MessageId {
    MessageId::new(id.to_string())
}

/// From the ports; 0, which nothing has, for an id that was not given here.
pub(super) fn number(id: &str) -> u64 {
    id.parse().unwrap_or(0)
}
