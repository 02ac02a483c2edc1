//! Forgetting a person.

use domain::ContactId;
use domain::contact::Contact;
use domain::forget::Person;

use super::state::{Move, Place, number};
use super::{MemoryStore, items};
use crate::ports::{PersonalData, StoreResult, Traces};

impl PersonalData for MemoryStore {
    async fn cached_contacts(&self, email: &str) -> StoreResult<Vec<ContactId>> {
        let mut person = Person::default();
        person.add_email(email);
        let state = self.lock();
        let theirs = state.cache.iter().filter(|(key, (value, _))| belongs(&person, key, value));
        Ok(theirs.map(|(key, _)| ContactId::new(key.trim_start_matches("contact/"))).collect())
    }

    async fn drop_parked(&self, contacts: &[ContactId], reason: &str) -> StoreResult<u64> {
        let mut state = self.lock();
        let waiting = state.parked().filter(|(_, parking, _)| parking.contacts.iter().any(|id| contacts.contains(id)));
        let ids: Vec<u64> = waiting.map(|(id, _, _)| id).collect();
        for id in &ids {
            items::give_up(&mut state, *id, reason);
            state.move_message(*id, Move::Skipped(reason.to_owned()));
        }
        Ok(ids.len() as u64)
    }

    async fn drop_dead_letter(&self, id: &str, reason: &str) -> StoreResult<bool> {
        let mut state = self.lock();
        let is_dead = |message: &super::state::Message| matches!(message.place, Place::Dead { .. });
        if !state.messages.get(&number(id)).is_some_and(is_dead) {
            return Ok(false);
        }
        items::give_up(&mut state, number(id), reason);
        state.move_message(number(id), Move::Skipped(reason.to_owned()));
        Ok(true)
    }

    async fn drop_traces(&self, person: &Person) -> StoreResult<Traces> {
        let mut state = self.lock();
        let (cached, recent) = (state.cache.len(), state.recent.len());
        state.cache.retain(|key, (value, _)| !belongs(person, key, value));
        let is_theirs = |id: &str| person.contacts().iter().any(|own| own.as_str() == id);
        state.recent.retain(|event| !event.contact.as_deref().is_some_and(is_theirs));
        let mut identifiers = 0;
        for entry in state.ledger.values_mut() {
            let email = entry.identity.as_ref().and_then(|identity| identity.email.as_deref());
            if email.is_some_and(|email| person.has_email(email)) {
                entry.identity = None;
                identifiers += 1;
            }
        }
        let traces = Traces {
            cached_contacts: (cached - state.cache.len()) as u64,
            recent_events: (recent - state.recent.len()) as u64,
            identifiers,
            support_records: 0,
        };
        Ok(traces)
    }
}

fn belongs(person: &Person, key: &str, value: &str) -> bool {
    let Some(id) = key.strip_prefix("contact/") else { return false };
    let Ok(contact) = serde_json::from_str::<Contact>(value) else { return false };
    person.contacts().iter().any(|own| *own == contact.id || own.as_str() == id)
        || contact.email.as_deref().is_some_and(|email| person.has_email(email))
}
