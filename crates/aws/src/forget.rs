//! Forgetting a person.
//!
//! Contacts are cached by each process for itself, for some minutes: this process drops them, the others' run out. The identifiers in
//! a claim are encrypted under their message, so with the message they are unreadable for good.

use app::ports::{Clock, PersonalData, StoreResult, Traces};
use domain::ContactId;
use domain::contact::Contact;
use domain::forget::Person;

use crate::overview::{RECENT, recent_item, stored_events};
use crate::parked::contact_partition;
use crate::queue::Queues;
use crate::store::AwsStore;
use crate::table::{Attributes, Condition, Key, Query, TTL, Table, Write};
use crate::totals::Delta;
use domain::MessageId;

/// Items of recent events read at once.
const AT_ONCE: usize = 200;

impl<C: Clock + 'static, T: Table, Q: Queues> PersonalData for AwsStore<C, T, Q> {
    async fn cached_contacts(&self, email: &str) -> StoreResult<Vec<ContactId>> {
        let mut person = Person::default();
        person.add_email(email);
        let cache = self.cache();
        let theirs = cache.entries().filter(|(key, value)| belongs(&person, key, value));
        Ok(theirs.map(|(key, _)| ContactId::new(key.trim_start_matches("contact/"))).collect())
    }

    /// Its marker ends the next return as well, should a release have died half-way.
    async fn drop_parked(&self, contacts: &[ContactId], reason: &str) -> StoreResult<u64> {
        let mut ids = Vec::new();
        for contact in contacts {
            let pk = contact_partition(contact.as_str());
            let query = Query { pk, after: None, up_to: None, descending: false, limit: usize::MAX };
            ids.extend(self.table.query(query).await?.into_iter().map(|(sk, _)| MessageId::new(sk)));
        }
        ids.sort_unstable();
        ids.dedup();
        let mut dropped = 0;
        for id in ids {
            let Some(record) = self.parked_record(&id).await? else { continue };
            self.give_up_item(&record.item, reason).await?;
            let delta = Delta::default().count("parked", -1).count(format!("s:{reason}"), 1);
            let marker = self.end_marker(&record.id, record.generation + 1);
            dropped += u64::from(self.remove(&record, delta, Some(marker)).await?);
        }
        Ok(dropped)
    }

    async fn drop_dead_letter(&self, id: &str, reason: &str) -> StoreResult<bool> {
        self.give_up_letter(id, reason).await
    }

    /// Each item of the list is written anew without the person. If we die in between, the next call goes on.
    async fn drop_traces(&self, person: &Person) -> StoreResult<Traces> {
        let cached_contacts = self.cache().retain(|key, value| !belongs(person, key, value));
        let mut traces = Traces { cached_contacts, ..Traces::default() };
        let mut after = None;
        loop {
            let query = Query { pk: RECENT.to_owned(), after, up_to: None, descending: false, limit: AT_ONCE };
            let page = self.table.query(query).await?;
            let Some((last, _)) = page.last() else { return Ok(traces) };
            after = Some(last.clone());
            for (sk, item) in page {
                let mut events = stored_events(&item)?;
                let before = events.len();
                events.retain(|event| {
                    !event.contact().is_some_and(|id| person.contacts().iter().any(|own| own.as_str() == id))
                });
                if events.len() == before {
                    continue;
                }
                let key = Key::new(RECENT, sk);
                let expires = item.number(TTL).unwrap_or_default();
                let write = match recent_item(&events, expires).filter(|_| !events.is_empty()) {
                    Some(rest) => Write::put(key, rest, Condition::Present),
                    None => Write::delete(key, Condition::Always),
                };
                self.table.write(write).await?;
                traces.recent_events += (before - events.len()) as u64;
            }
        }
    }
}

fn belongs(person: &Person, key: &str, value: &str) -> bool {
    let Some(id) = key.strip_prefix("contact/") else { return false };
    let Ok(contact) = serde_json::from_str::<Contact>(value) else { return false };
    person.contacts().iter().any(|own| *own == contact.id || own.as_str() == id)
        || contact.email.as_deref().is_some_and(|email| person.has_email(email))
}
