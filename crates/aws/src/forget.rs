//! Forgetting a person.
//!
//! Contacts are cached by each process for itself: the others are told (`changed.rs`). The identifiers in a claim are encrypted under
//! their message, so with the message they are unreadable for good. Recent events hold ids only, and the newest of them are in the
//! shares of the books, which only their own processes write: a document says whose events are not shown any more, for as long as
//! any may be left on the list.

use std::collections::BTreeMap;

use app::ports::{Cache as _, Clock, Documents as _, Overview as _, PersonalData, RecentEvent, StoreResult, Traces};
use domain::contact::Contact;
use domain::forget::Person;
use domain::{ContactId, MessageId};

use crate::pack::pack;
use crate::parked::contact_partition;
use crate::queue::Queues;
use crate::recent::{self, RECENT};
use crate::store::AwsStore;
use crate::table::{Condition, Key, Query, Table, Value, Write};
use crate::totals::Delta;
use crate::trouble::unreadable;

/// Whose events are not shown.
const DOCUMENT: &str = "forgotten";

/// A little longer than an item of the list is kept.
const HIDDEN_SECONDS: i64 = 32 * 24 * 3_600;

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

    /// First nobody sees the person's events any more, then they are taken off the list. If we die in between, the next call goes on.
    async fn drop_traces(&self, person: &Person) -> StoreResult<Traces> {
        let mut keys: Vec<String> = {
            let cache = self.cache();
            let theirs = cache.entries().filter(|(key, value)| belongs(person, key, value));
            theirs.map(|(key, _)| key.to_owned()).collect()
        };
        let cached_contacts = keys.len() as u64;
        keys.extend(person.contacts().iter().map(|id| format!("contact/{id}")));
        keys.sort_unstable();
        keys.dedup();
        self.forget(&keys).await?;
        let shown = |events: &[RecentEvent]| {
            let theirs = |event: &&RecentEvent| event.contact.as_deref().is_some_and(|id| is_one_of(person, id));
            events.iter().filter(theirs).count() as u64
        };
        let recent_events = shown(&self.recent_events(usize::MAX).await?);
        self.hide(person).await?;
        self.shorten_list(person).await?;
        Ok(Traces { cached_contacts, recent_events, ..Traces::default() })
    }
}

impl<C: Clock + 'static, T: Table, Q: Queues> AwsStore<C, T, Q> {
    /// Contacts whose events are not shown, with the second from which on there can be none.
    pub(crate) async fn forgotten(&self) -> StoreResult<Hidden> {
        Ok(self.load(DOCUMENT).await?.map_or_else(Hidden::new, |document| read_hidden(&document.body)))
    }

    async fn hide(&self, person: &Person) -> StoreResult<()> {
        loop {
            let document = self.load(DOCUMENT).await?;
            let now = self.now().as_second();
            let mut hidden = document.as_ref().map_or_else(Hidden::new, |document| read_hidden(&document.body));
            hidden.retain(|_, until| *until > now);
            hidden.extend(person.contacts().iter().map(|id| (id.as_str().to_owned(), now + HIDDEN_SECONDS)));
            let body = serde_json::to_string(&hidden).map_err(|_| unreadable("the list of forgotten contacts"))?;
            if self.save(DOCUMENT, &body, document.map(|document| document.version)).await? {
                return Ok(());
            }
        }
    }

    /// Each item of the list is written anew without the person.
    async fn shorten_list(&self, person: &Person) -> StoreResult<()> {
        let mut after = None;
        loop {
            let query = Query { pk: RECENT.to_owned(), after, up_to: None, descending: false, limit: AT_ONCE };
            let page = self.table.query(query).await?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(last.clone());
            for (sk, mut item) in page {
                let mut events = recent::read(&item)?;
                let before = events.len();
                events.retain(|event| !event.contact().is_some_and(|id| is_one_of(person, id)));
                if events.len() == before {
                    continue;
                }
                let key = Key::new(RECENT, sk);
                let packed = serde_json::to_vec(&events).ok().and_then(|json| pack(&json));
                let write = match packed.filter(|_| !events.is_empty()) {
                    Some(packed) => {
                        item.insert("events".to_owned(), Value::Bytes(packed));
                        Write::put(key, item, Condition::Present)
                    }
                    None => Write::delete(key, Condition::Always),
                };
                self.table.write(write).await?;
            }
        }
    }
}

/// By contact, Unix seconds.
type Hidden = BTreeMap<String, i64>;

/// One that cannot be read hides nobody: the list itself is shortened all the same.
fn read_hidden(body: &str) -> Hidden {
    serde_json::from_str(body).unwrap_or_default()
}

fn is_one_of(person: &Person, id: &str) -> bool {
    person.contacts().iter().any(|own| own.as_str() == id)
}

fn belongs(person: &Person, key: &str, value: &str) -> bool {
    let Some(id) = key.strip_prefix("contact/") else { return false };
    let Ok(contact) = serde_json::from_str::<Contact>(value) else { return false };
    person.contacts().iter().any(|own| *own == contact.id || own.as_str() == id)
        || contact.email.as_deref().is_some_and(|email| person.has_email(email))
}
