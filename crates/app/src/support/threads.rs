//! Whose a thread is: the notification of its deletion says nothing else than its id.
//!
//! A thread's entry is written before a record says that the thread is open, and a deletion is written into the entry before it goes
//! into the records. So whichever of the two comes first, the second one finds it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use domain::support::{Fact, MEMORY, Said, Thread, Version, thread_key};
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
    /// Threads of which somebody was seen off, which is not done before their profile was told.
    pub(super) pending: BTreeSet<String>,
    /// Entries of the threads that are opened here.
    entries: BTreeMap<String, Thread>,
}

impl KnownThreads {
    /// What a fact says beside what is known: that its thread was deleted, or that its contact has left since.
    pub(super) fn correct(&self, fact: &mut Fact) {
        let Some(said) = &mut fact.said else { return };
        if self.deleted.contains(&fact.thread) {
            said.version.deleted = true;
        }
        if let Some(entry) = self.entries.get(&fact.thread)
            && entry.has_left(&fact.contact, said.version)
            && let Some(as_of) = entry.as_of
        {
            said.version = Version { left: true, ..as_of };
        }
    }

    fn add_leavers(&mut self, entry: &Thread, opened: &Opened<'_>, gone: &BTreeSet<(String, ContactId)>) {
        let left = Said { version: Version { left: true, ..opened.said.version }, ..opened.said };
        for contact in entry.contacts.iter().filter(|contact| !opened.fact.contacts.contains(contact)) {
            if gone.contains(&(opened.fact.thread.clone(), contact.clone())) {
                self.pending.insert(opened.fact.thread.clone());
                continue;
            }
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
            // Who has left says nothing about who takes part.
            let Some(said) = fact.said.filter(|said| !said.version.left) else { continue };
            let member = records.get(&note.person.record).and_then(|kept| kept.record.members.get(&fact.contact));
            let stand = member.and_then(|member| member.threads.get(&fact.thread));
            let asks = match stand {
                None => said.version.is_open() || said.version.at >= self.now - MEMORY,
                Some(stand) => {
                    let opens = said.version.is_open() && !stand.version.is_open();
                    opens || stand.pending || stand.version.company != said.version.company
                }
            };
            if !asks {
                continue;
            }
            let one = opened.entry(&fact.thread).or_insert(Opened { fact, said, note, is_new: true });
            one.is_new &= stand.is_none() && said.version.is_open();
            if said.version > one.said.version {
                (one.fact, one.said, one.note) = (fact, said, note);
            }
        }
        let (new, mut known_before): (Vec<_>, Vec<_>) = opened.into_values().partition(|one| one.is_new);
        if !new.is_empty() {
            let writes = new.iter().map(|one| {
                let body = Thread::of(one.fact.contacts.clone(), Some(one.said.version)).to_text();
                RecordWrite { key: thread_key(&one.fact.thread), body, expected: None }
            });
            let saved = self.store.save_support_records(writes.collect()).await?;
            for one in &new {
                let entry = Thread::of(one.fact.contacts.clone(), Some(one.said.version));
                known.entries.insert(one.fact.thread.clone(), entry);
            }
            known_before.extend(new.into_iter().zip(saved).filter(|(_, saved)| !saved).map(|(one, _)| one));
        }
        for one in known_before {
            let thread = &one.fact.thread;
            let update = |entry: &mut Thread| {
                let before = entry.clone();
                let newer = entry.as_of.is_none_or(|as_of| as_of <= one.said.version);
                let is_there = entry.as_of.is_some() || entry.deleted.is_some();
                if newer && (is_there || one.said.version.is_open()) {
                    let new = one.fact.contacts.iter().filter(|contact| !before.contacts.contains(contact)).cloned();
                    entry.contacts.extend(new);
                    entry.as_of = Some(one.said.version);
                }
                entry.deleted.is_none() && entry.contacts != before.contacts
            };
            let entry = self.change_thread(thread, update).await?;
            if entry.deleted.is_some() {
                // Who is to be seen off is so all the same: their profile may not have been told yet.
                known.deleted.insert(thread.clone());
            }
            if entry.as_of.is_none_or(|as_of| as_of <= one.said.version) {
                known.add_leavers(&entry, &one, &self.gone);
            }
            known.entries.insert(thread.clone(), entry);
        }
        Ok(known)
    }

    /// Somebody was seen off and their profile told: the marks go.
    pub(crate) async fn finish_farewell(&self, fact: &Fact) -> StoreResult<()> {
        let remove = |entry: &mut Thread| {
            let before = entry.contacts.len();
            entry.contacts.retain(|contact| *contact != fact.contact);
            entry.contacts.len() != before
        };
        self.change_thread(&fact.thread, remove).await?;
        for (contact, (home, _)) in self.homes(&fact.contacts).await? {
            self.change(&home.record, |record| record.set_pending(&contact, &fact.thread, false)).await?;
        }
        Ok(())
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
                None => (Thread::of(Vec::new(), None), None),
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
