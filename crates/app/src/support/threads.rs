//! Whose a thread is: the notification of its deletion says nothing else than its id.
//!
//! A thread's entry is written before a record says that the thread is open, and a deletion is written into the entry before it goes
//! into the records. So whichever of the two comes first, the second one finds it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use domain::support::{Fact, Said, Thread, Version, thread_key};
use domain::{ContactId, Identity, MessageId};

use super::book::{Kept, SupportBook, unreadable};
use super::{About, Leaver, Note, Person};
use crate::ports::{Look, RecordWrite, StoreError, StoreResult, SupportStates};

/// How often a deletion is written again because somebody else changed the entry.
const TRIES: usize = 20;

/// What entries of threads knew already.
#[derive(Debug, Default)]
pub(super) struct KnownThreads {
    /// Deleted: a report that opens such a thread comes too late.
    pub(super) deleted: BTreeSet<String>,
    /// Who took part when it was opened and does not any more.
    pub(super) leavers: Vec<Leaver>,
}

impl KnownThreads {
    fn add_leavers(&mut self, entry: &Thread, opened: &Opened<'_>) {
        let left = Said { version: Version { left: true, ..opened.said.version }, ..opened.said };
        for contact in entry.contacts.iter().filter(|contact| !opened.fact.contacts.contains(contact)) {
            let contact = contact.clone();
            let fact = Fact { contact, said: Some(left), wrote_at: None, rated: None, ..opened.fact.clone() };
            self.leavers.push(Leaver { fact, message: opened.note.message.clone() });
        }
    }
}

/// A thread that some record learns to be open, by the newest report of it that is at hand.
struct Opened<'n> {
    fact: &'n Fact,
    said: Said,
    note: &'n Note,
    /// No record at hand knows it.
    is_new: bool,
}

impl<S: SupportStates> SupportBook<'_, S> {
    /// Keeps whose the threads are that are opened here, and says what their entries knew already.
    pub(super) async fn remember_threads(
        &self,
        notes: &[Note],
        records: &HashMap<String, Kept>,
    ) -> StoreResult<KnownThreads> {
        let mut known = KnownThreads::default();
        let mut opened: BTreeMap<&str, Opened<'_>> = BTreeMap::new();
        for note in notes {
            let About::Fact(fact) = &note.about else { continue };
            let Some(said) = fact.said.filter(|said| said.version.is_open()) else { continue };
            let member = records.get(&note.person.record).and_then(|kept| kept.record.members.get(&fact.contact));
            let stand = member.and_then(|member| member.threads.get(&fact.thread));
            if stand.is_some_and(|stand| stand.version.is_open()) {
                continue;
            }
            let one = opened.entry(&fact.thread).or_insert(Opened { fact, said, note, is_new: true });
            one.is_new &= stand.is_none();
            if said.version > one.said.version {
                (one.fact, one.said, one.note) = (fact, said, note);
            }
        }
        let (new, mut known_before): (Vec<_>, Vec<_>) = opened.into_values().partition(|one| one.is_new);
        if !new.is_empty() {
            let writes = new.iter().map(|one| {
                let body = Thread::of(one.fact.contacts.clone()).to_text();
                RecordWrite { key: thread_key(&one.fact.thread), body, expected: None }
            });
            let saved = self.store.save_support_records(writes.collect()).await?;
            known_before.extend(new.into_iter().zip(saved).filter(|(_, saved)| !saved).map(|(one, _)| one));
        }
        for one in known_before {
            let thread = &one.fact.thread;
            let is_gone = |contact: &ContactId| self.gone.contains(&(thread.clone(), contact.clone()));
            let update = |entry: &mut Thread| {
                let before = entry.contacts.clone();
                entry.contacts.retain(|contact| !is_gone(contact));
                let new = one.fact.contacts.iter().filter(|contact| !before.contains(contact)).cloned();
                entry.contacts.extend(new);
                entry.deleted.is_none() && entry.contacts != before
            };
            let entry = self.change_thread(thread, update).await?;
            if entry.deleted.is_some() {
                known.deleted.insert(thread.clone());
            } else {
                known.add_leavers(&entry, &one);
            }
        }
        Ok(known)
    }

    /// Notes of deletions, for those who took part in the threads. The deletions are kept before.
    pub(crate) async fn deletions(&self, deleted: &[(String, MessageId)]) -> StoreResult<Vec<Note>> {
        let mut notes = Vec::new();
        for (thread, message) in deleted {
            let contacts = self.keep_deletion(thread).await?;
            for (contact, (home, _)) in self.homes(&contacts).await? {
                let about = About::Deleted { thread: thread.clone(), at: self.now };
                // A home knows better than we do where the contact is.
                let stamp = Some(i64::MIN);
                let person = Person { contact, record: home.record, identity: Identity::default(), stamp };
                notes.push(Note { person, message: message.clone(), about });
            }
        }
        Ok(notes)
    }

    async fn keep_deletion(&self, thread: &str) -> StoreResult<Vec<ContactId>> {
        let delete = |entry: &mut Thread| {
            let is_new = entry.deleted.is_none();
            entry.deleted.get_or_insert(self.now);
            is_new
        };
        Ok(self.change_thread(thread, delete).await?.contacts)
    }

    /// Changes an entry, or makes it. The closure says whether there is something to save.
    async fn change_thread(&self, thread: &str, change: impl Fn(&mut Thread) -> bool) -> StoreResult<Thread> {
        let key = thread_key(thread);
        for _ in 0..TRIES {
            let found = self.store.support_records(std::slice::from_ref(&key), Look::Exact).await?.pop().flatten();
            let (mut entry, expected) = match found {
                Some(found) => (Thread::from_text(&found.body).map_err(unreadable)?, Some(found.version)),
                None => (Thread::of(Vec::new()), None),
            };
            if !change(&mut entry) {
                return Ok(entry);
            }
            if self.save(RecordWrite { key: key.clone(), body: entry.to_text(), expected }).await? {
                return Ok(entry);
            }
        }
        Err(StoreError::Unavailable { store: "support state", detail: "somebody else keeps changing it".to_owned() })
    }
}
