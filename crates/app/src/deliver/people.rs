//! Who the contacts are: from the cache, else from Intercom; and what their absence means for an event.

use std::collections::HashMap;
use std::sync::Arc;

use domain::contact::Contact;
use domain::delivery::{EventFate, address_wait, unknown_wait};
use domain::mapping::{Origin, identity_of, left_out};
use domain::{ContactId, Skip};
use futures_util::StreamExt;
use futures_util::stream;
use jiff::Timestamp;

use super::Consumer;
use super::batch::{Ready, State, WaitCause, Work};
use crate::ports::{CallError, Claimed, Clock, ConsumerStore, ContactLookup, Intercom, Jitter, Klaviyo, Vendor};

/// What is known of a contact.
#[derive(Clone, Debug)]
pub(super) enum Person {
    Known(Arc<Contact>),
    Unknown,
    Failed(CallError),
}

/// Where the cache keeps a contact.
pub(crate) fn cache_key(id: &ContactId) -> String {
    format!("contact/{id}")
}

impl<S: ConsumerStore, I: Intercom, K: Klaviyo, C: Clock, J: Jitter> Consumer<S, I, K, C, J> {
    /// Finds the contact of every open event and decides what follows from it. Gives them, and the others that are asked for.
    pub(super) async fn find_people(
        &self,
        claimed: &[Claimed],
        works: &mut [Work<'_>],
        others: Vec<ContactId>,
        deadline: Timestamp,
    ) -> HashMap<ContactId, Person> {
        let mut wanted = others;
        let open = works.iter().filter(|work| matches!(work.state, State::Open));
        wanted.extend(open.map(|work| work.activity.contact.clone()));
        wanted.sort_unstable();
        wanted.dedup();
        if wanted.is_empty() {
            return HashMap::new();
        }
        // A batch is of one lane.
        let of_the_past = !works.is_empty() && works.iter().all(|work| work.origin == Origin::History);
        let people = self.people(wanted, of_the_past, deadline).await;
        let directory = self.names_for_filters().await;
        for work in works.iter_mut().filter(|work| matches!(work.state, State::Open)) {
            let progress = claimed[work.message].progress;
            let tries = progress.contact_tries;
            match people.get(&work.activity.contact) {
                Some(Person::Known(contact)) => self.judge(work, contact, &directory, tries),
                Some(Person::Failed(error)) => self.failed(work, error, progress.attempts),
                // An old item's contact is not one that Intercom is about to show.
                Some(Person::Unknown) | None if work.origin == Origin::History => {
                    work.end(EventFate::Skipped(Skip::ContactGone));
                }
                Some(Person::Unknown) | None => match unknown_wait(tries) {
                    Some(wait) => work.wait(self.after(wait), WaitCause::Contact),
                    None => work.end(EventFate::Skipped(Skip::ContactGone)),
                },
            }
        }
        people
    }

    fn judge(&self, work: &mut Work<'_>, contact: &Arc<Contact>, directory: &domain::directory::Directory, tries: u16) {
        if let Some(rule) = left_out(contact, &self.rules.contacts, directory) {
            return work.end(EventFate::Skipped(Skip::ContactLeftOut(rule)));
        }
        let identity = identity_of(contact, &self.rules);
        if identity.is_known() {
            work.state = State::Ready(Box::new(Ready { contact: Arc::clone(contact), identity, support: None }));
            return;
        }
        if work.origin == Origin::History {
            // The address that did not come in all that time does not come in a minute.
            return work.end(EventFate::Skipped(Skip::NotIdentifiable));
        }
        match address_wait(tries) {
            Some(wait) => work.wait(self.after(wait), WaitCause::Contact),
            None => work.end(EventFate::Parked),
        }
    }

    /// Tag names, where a rule needs them.
    async fn names_for_filters(&self) -> Arc<domain::directory::Directory> {
        let rules = &self.rules.contacts;
        if rules.only_tags.is_empty() && rules.except_tags.is_empty() {
            return self.names_at_hand();
        }
        self.names(false).await.unwrap_or_else(|_| self.names_at_hand())
    }

    pub(super) async fn people(
        &self,
        wanted: Vec<ContactId>,
        of_the_past: bool,
        deadline: Timestamp,
    ) -> HashMap<ContactId, Person> {
        let mut people = HashMap::with_capacity(wanted.len());
        let mut missing = self.take_cached(wanted, &mut people).await;
        let mut asked = Vec::new();
        if of_the_past && missing.len() > 1 && !self.is_late(deadline) {
            asked = self.ask_together(&mut missing).await;
        }
        let singly: Vec<(ContactId, Person)> = stream::iter(missing)
            .map(|id| async move {
                if self.is_late(deadline) {
                    let error = CallError::Wait { vendor: Vendor::Intercom, until: self.deps.clock.now() };
                    return (id, Person::Failed(error));
                }
                let person = match self.deps.intercom.contact(&id).await {
                    Ok(ContactLookup::Found(contact)) => Person::Known(Arc::from(contact)),
                    Ok(ContactLookup::Unknown) => Person::Unknown,
                    Err(error) => Person::Failed(error),
                };
                (id, person)
            })
            .buffer_unordered(self.options.concurrency)
            .collect()
            .await;
        asked.extend(singly);
        self.remember_people(&asked).await;
        self.release_parked(&asked).await;
        people.extend(asked);
        people
    }

    /// A hundred contacts in one call, where nobody has just written and the search knows them all; takes those that it finds out of
    /// `missing`. Merged and deleted ones it does not find: they are asked for singly. On one machine the import has put them into the
    /// cache; on AWS each function remembers for itself.
    async fn ask_together(&self, missing: &mut Vec<ContactId>) -> Vec<(ContactId, Person)> {
        match self.deps.intercom.contacts(missing).await {
            Ok(found) => {
                let found: HashMap<ContactId, Person> =
                    found.into_iter().map(|contact| (contact.id.clone(), Person::Known(Arc::new(contact)))).collect();
                missing.retain(|id| !found.contains_key(id));
                found.into_iter().collect()
            }
            // The search may fail where the contacts themselves still answer.
            Err(CallError::Unavailable { .. }) => Vec::new(),
            Err(error) => missing.drain(..).map(|id| (id, Person::Failed(error.clone()))).collect(),
        }
    }

    /// A later event releases what waited for its contact: whoever was just found with an address, under the id that was asked for
    /// and, after a merge, under the survivor's. If we die before it, the sweep does it.
    async fn release_parked(&self, asked: &[(ContactId, Person)]) {
        let mut found = Vec::new();
        for (id, person) in asked {
            if let Person::Known(contact) = person
                && identity_of(contact, &self.rules).is_known()
            {
                found.push(id.clone());
                if contact.id != *id {
                    found.push(contact.id.clone());
                }
            }
        }
        self.release(&found).await;
    }

    /// Takes what the cache has; gives what is missing.
    async fn take_cached(&self, wanted: Vec<ContactId>, people: &mut HashMap<ContactId, Person>) -> Vec<ContactId> {
        let keys: Vec<_> = wanted.iter().map(cache_key).collect();
        let cached = self.deps.store.cached(&keys, self.deps.clock.now()).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "the contact cache could not be read; asking Intercom");
            Vec::new()
        });
        let mut cached = cached.into_iter();
        let mut missing = Vec::new();
        for id in wanted {
            match cached.next().flatten().and_then(|json| serde_json::from_str::<Contact>(&json).ok()) {
                Some(contact) => drop(people.insert(id, Person::Known(Arc::new(contact)))),
                None => missing.push(id),
            }
        }
        missing
    }

    /// Remembers those with an address. One without is asked for again soon, because it usually gets one.
    async fn remember_people(&self, asked: &[(ContactId, Person)]) {
        let mut entries = Vec::new();
        for (id, person) in asked {
            if let Person::Known(contact) = person
                && identity_of(contact, &self.rules).is_known()
                && let Ok(json) = serde_json::to_string(contact.as_ref())
            {
                entries.push((cache_key(id), json));
            }
        }
        if entries.is_empty() {
            return;
        }
        let expires = self.after(self.options.contact_ttl);
        if let Err(error) = self.deps.store.remember(entries, expires).await {
            tracing::debug!(%error, "contacts could not be cached");
        }
    }
}
