//! The ports that move messages.

use std::time::Duration;

use domain::{ContactId, MessageId};
use jiff::Timestamp;

use super::MemoryStore;
use super::books::record;
use super::items;
use super::state::{Move, Place, State, message_id, number};
use crate::fakes::manual_clock::later;
use crate::ports::{
    Accepted, Claimed, DeadLetter, DeadLetterPage, DeadLetters, End, Fate, HistoryInbox, Inbox, Lane, ParkedMessage,
    ParkedMessages, Parking, Progress, Receipt, Settlement, StoreResult, WorkQueue,
};

impl Inbox for MemoryStore {
    async fn accept(&self, accepted: Accepted) -> StoreResult<()> {
        let now = self.now();
        let mut state = self.lock();
        state.books.accepted += 1;
        state.books.last_webhook_at = state.books.last_webhook_at.max(Some(accepted.received_at));
        state.insert(Lane::Live, accepted, now);
        Ok(())
    }
}

impl HistoryInbox for MemoryStore {
    async fn enqueue_history(&self, items: Vec<Accepted>) -> StoreResult<()> {
        let now = self.now();
        let mut state = self.lock();
        for item in items {
            state.insert(Lane::History, item, now);
        }
        Ok(())
    }

    async fn enqueue_reconcile(&self, items: Vec<Accepted>) -> StoreResult<()> {
        let now = self.now();
        let mut state = self.lock();
        for item in items {
            state.insert(Lane::Reconcile, item, now);
        }
        Ok(())
    }

    async fn history_depth(&self) -> StoreResult<u64> {
        Ok(self.lock().order(Lane::History).len() as u64)
    }
}

impl WorkQueue for MemoryStore {
    async fn claim(
        &self,
        lane: Lane,
        max_messages: usize,
        max_bytes: usize,
        hide: Duration,
    ) -> StoreResult<Vec<Claimed>> {
        let now = self.now();
        let mut state = self.lock();
        let number = state.next_claim();
        let mut batch = Vec::new();
        let mut bytes = 0;
        for (visible_at, id) in state.order(lane) {
            let Some(message) = state.messages.get(id) else { continue };
            let Place::Queue { progress, .. } = message.place else { continue };
            bytes += message.accepted.body.len();
            let full = batch.len() >= max_messages || (bytes > max_bytes && !batch.is_empty());
            if *visible_at > now || full {
                break;
            }
            let receipt = Receipt(number.to_string());
            batch.push(Claimed { id: message_id(*id), receipt, accepted: message.accepted.clone(), progress });
        }
        for Claimed { id, progress, .. } in &batch {
            let hidden = Place::Queue { visible_at: later(now, hide), claim: Some(number), progress: *progress };
            state.move_message(self::number(id.as_str()), Move::To(hidden));
        }
        Ok(batch)
    }

    async fn settle(&self, settlements: Vec<Settlement>) -> StoreResult<()> {
        let now = self.now();
        let mut state = self.lock();
        for settlement in settlements {
            let held = end(&mut state, &settlement, now);
            if let Some(item) = settlement.item.as_ref().filter(|_| held) {
                let open = matches!(settlement.end, End::Parked(_) | End::Dead { .. });
                items::count(&mut state, item, open.then_some(number(settlement.id.as_str())));
            }
            state.books.profile_updates += if held { settlement.profiles } else { 0 };
            for event in settlement.events {
                record(&mut state, &settlement.id, event, held);
            }
        }
        Ok(())
    }

    async fn next_visible(&self, lane: Lane) -> StoreResult<Option<Timestamp>> {
        Ok(self.lock().order(lane).first().map(|(visible_at, _)| *visible_at))
    }
}

/// Moves the message. `false` when the receipt is stale.
fn end(state: &mut State, settlement: &Settlement, now: Timestamp) -> bool {
    let id = number(settlement.id.as_str());
    let claimed = match state.messages.get(&id).map(|message| &message.place) {
        Some(Place::Queue { claim: Some(claim), progress, .. }) if claim.to_string() == settlement.receipt.0 => {
            *progress
        }
        _ => return false,
    };
    let to = match settlement.end.clone() {
        End::Delivered => Move::Delivered,
        End::Skipped(reason) => Move::Skipped(reason),
        End::Parked(parking) => Move::To(Place::Parked { parking, since: now }),
        End::Dead { reason, topic } => {
            let sent = claimed.sent || settlement.events.iter().any(|event| event.fate == Fate::Sent);
            Move::To(Place::Dead { at: now, reason, topic, sent })
        }
        End::Deferred { until, progress } => Move::To(Place::Queue { visible_at: until, claim: None, progress }),
    };
    state.move_message(id, to);
    true
}

impl ParkedMessages for MemoryStore {
    async fn release(&self, contacts: &[ContactId]) -> StoreResult<u64> {
        let now = self.now();
        let mut state = self.lock();
        let released: Vec<(u64, Progress)> = state
            .parked()
            .filter(|(_, parking, _)| parking.contacts.iter().any(|contact| contacts.contains(contact)))
            .map(|(id, parking, _)| (id, Progress { contact_tries: 0, ..parking.progress }))
            .collect();
        for (id, progress) in &released {
            state.move_message(*id, Move::To(Place::Queue { visible_at: now, claim: None, progress: *progress }));
        }
        Ok(released.len() as u64)
    }

    async fn due(&self, now: Timestamp, limit: usize) -> StoreResult<Vec<ParkedMessage>> {
        let state = self.lock();
        let mut due: Vec<_> = state.parked().filter(|(_, parking, _)| parking.next_check <= now).collect();
        due.sort_by_key(|(id, parking, _)| (parking.next_check, *id));
        let message = |(id, parking, since): (u64, &Parking, Timestamp)| {
            let mut contacts = parking.contacts.clone();
            contacts.sort();
            contacts.dedup();
            ParkedMessage { id: message_id(id), contacts, parked_at: since }
        };
        Ok(due.into_iter().take(limit).map(message).collect())
    }

    async fn recheck_at(&self, id: &MessageId, at: Timestamp) -> StoreResult<()> {
        if let Some(message) = self.lock().messages.get_mut(&number(id.as_str()))
            && let Place::Parked { parking, .. } = &mut message.place
        {
            parking.next_check = at;
        }
        Ok(())
    }

    async fn expire(&self, now: Timestamp, reason: &str) -> StoreResult<u64> {
        let mut state = self.lock();
        let expired: Vec<(u64, bool)> = state
            .parked()
            .filter(|(_, parking, _)| parking.expires <= now)
            .map(|(id, parking, _)| (id, parking.progress.sent))
            .collect();
        for (id, sent) in &expired {
            items::give_up(&mut state, *id, reason);
            state.move_message(*id, if *sent { Move::Delivered } else { Move::Skipped(reason.to_owned()) });
        }
        Ok(expired.len() as u64)
    }
}

impl DeadLetters for MemoryStore {
    async fn dead_letters(&self, after: Option<&str>, limit: usize) -> StoreResult<DeadLetterPage> {
        let state = self.lock();
        let mut letters: Vec<(Timestamp, u64, DeadLetter)> = state
            .messages
            .iter()
            .filter_map(|(id, message)| match &message.place {
                Place::Dead { at, reason, topic, .. } => {
                    let letter =
                        DeadLetter { id: id.to_string(), at: *at, reason: reason.clone(), topic: topic.clone() };
                    Some((*at, *id, letter))
                }
                _ => None,
            })
            .collect();
        letters.sort_by_key(|(at, id, _)| std::cmp::Reverse((*at, *id)));
        if let Some(cursor) = after {
            let from = cursor.split_once('_').and_then(|(at, id)| Some((at.parse().ok()?, id.parse().ok()?)));
            letters.retain(|(at, id, _)| from.is_some_and(|from: (i64, u64)| (at.as_microsecond(), *id) < from));
        }
        let last = limit.checked_sub(1).filter(|last| last + 1 < letters.len());
        let next = last.map(|last| format!("{}_{}", letters[last].0.as_microsecond(), letters[last].1));
        Ok(DeadLetterPage { items: letters.into_iter().take(limit).map(|(_, _, letter)| letter).collect(), next })
    }

    async fn replay(&self, id: &str) -> StoreResult<bool> {
        let now = self.now();
        let mut state = self.lock();
        let Some(sent) = dead(&state, id).map(|(_, sent)| sent) else { return Ok(false) };
        let progress = Progress { sent, ..Progress::default() };
        state.move_message(number(id), Move::To(Place::Queue { visible_at: now, claim: None, progress }));
        Ok(true)
    }

    async fn discard(&self, id: &str) -> StoreResult<bool> {
        let mut state = self.lock();
        if dead(&state, id).is_none() {
            return Ok(false);
        }
        items::give_up(&mut state, number(id), "discarded");
        state.move_message(number(id), Move::Skipped("discarded".to_owned()));
        Ok(true)
    }

    async fn dead_letter_body(&self, id: &str) -> StoreResult<Option<Accepted>> {
        Ok(dead(&self.lock(), id).map(|(accepted, _)| accepted.clone()))
    }
}

fn dead<'s>(state: &'s State, id: &str) -> Option<(&'s Accepted, bool)> {
    let message = state.messages.get(&number(id))?;
    match message.place {
        Place::Dead { sent, .. } => Some((&message.accepted, sent)),
        _ => None,
    }
}
