//! Taking facts in.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use domain::support::{Effect, Fact, Home, Record, RecordError, home_key};
use domain::{ContactId, MessageId};

use super::{About, Arrival, Carried, Note, Noted, Person};
use crate::ports::{Look, RecordWrite, StoreError, StoreResult, SupportStates};

/// How often a change is made again because somebody else was faster.
const ROUNDS: usize = 20;

/// The records, at one moment.
#[derive(Debug)]
pub(crate) struct SupportBook<'s, S> {
    pub(super) store: &'s S,
    /// Unix seconds.
    pub(super) now: i64,
    /// How far, in seconds, the last message has to advance to be written; 0: every difference is.
    pub(super) step: i64,
    /// Who is known to take part in a thread no more.
    pub(super) gone: BTreeSet<(String, ContactId)>,
}

/// A record, and the version that it was read at.
#[derive(Clone, Debug, Default)]
pub(super) struct Kept {
    pub(super) record: Record,
    pub(super) version: Option<u64>,
}

impl Kept {
    pub(super) fn write(&self, key: &str, record: &Record) -> RecordWrite {
        RecordWrite { key: key.to_owned(), body: record.to_text(), expected: self.version }
    }
}

impl<'s, S: SupportStates> SupportBook<'s, S> {
    /// The records as they are at `now`, in Unix seconds.
    pub(crate) fn new(store: &'s S, now: i64, step: i64) -> Self {
        Self { store, now, step, gone: BTreeSet::new() }
    }

    /// Whoever this is about is known to take part in the thread no more.
    pub(crate) fn see_off(&mut self, fact: &Fact) {
        self.gone.insert((fact.thread.clone(), fact.contact.clone()));
    }

    /// Takes notes in. What is written is durable when it returns; a record that they change has the last of their messages as its
    /// teller. `carried`: a record that is made for nobody whose event is on its way stays untold.
    pub(crate) async fn note(&self, notes: Vec<Note>, carried: &Carried) -> StoreResult<Noted> {
        let mut noted = Noted::default();
        let mut pending = notes;
        for round in 0..ROUNDS {
            if pending.is_empty() {
                return Ok(noted);
            }
            // Whoever meets a conflict looks exactly from then on.
            let look = if round == 0 { Look::Glance } else { Look::Exact };
            pending = self.round(pending, look, carried, &mut noted).await?;
        }
        Err(StoreError::Unavailable { store: "support state", detail: "somebody else keeps changing it".to_owned() })
    }

    /// Whether a note would be written: for who only wants to know whether there is news. Writes nothing.
    pub(crate) async fn is_news(&self, notes: Vec<Note>) -> StoreResult<HashSet<MessageId>> {
        let records = self.records(notes.iter().map(|note| note.person.record.clone()), Look::Exact).await?;
        let mut news = HashSet::new();
        for note in notes {
            let About::Fact(fact) = &note.about else { continue };
            let before = records.get(&note.person.record).map(|kept| &kept.record);
            let mut after = before.cloned().unwrap_or_default();
            let stranger = !after.members.contains_key(&note.person.contact);
            let effect = after.take(fact, self.now);
            if stranger || before.is_none_or(|before| before.is_worth(&after, effect, self.step)) {
                news.insert(note.message);
            }
        }
        Ok(news)
    }

    /// One try. Gives the notes that have to be taken in again.
    async fn round(
        &self,
        mut notes: Vec<Note>,
        look: Look,
        carried: &Carried,
        noted: &mut Noted,
    ) -> StoreResult<Vec<Note>> {
        let mut records = self.records(notes.iter().map(|note| note.person.record.clone()), look).await?;
        let mut again = self.settle_strangers(&mut notes, &mut records, noted).await?;
        let known = self.remember_threads(&notes, &records).await?;
        for note in &mut notes {
            if let About::Fact(fact) = &mut note.about {
                known.correct(fact);
            }
        }
        if !known.leavers.is_empty() {
            // First those who left: if we die after it, the rest finds them again.
            let concerned: BTreeSet<&str> = known.leavers.iter().map(|leaver| leaver.fact.thread.as_str()).collect();
            let waits =
                |note: &Note| matches!(&note.about, About::Fact(fact) if concerned.contains(fact.thread.as_str()));
            let (postponed, rest) = notes.into_iter().partition(waits);
            noted.postponed.extend::<Vec<Note>>(postponed);
            notes = rest;
            noted.leavers.extend(known.leavers);
        }
        let mut writes = Vec::new();
        let mut written = Vec::new();
        for (key, notes) in by_record(notes) {
            let before = records.remove(&key).unwrap_or_default();
            let mut after = before.record.clone();
            let mut effect = self.take(&mut after, &notes);
            for note in &notes {
                if let About::Fact(fact) = &note.about
                    && known.pending.contains(&fact.thread)
                {
                    effect.may_hide |= after.set_pending(&fact.contact, &fact.thread, true);
                }
            }
            let is_new = before.version.is_none();
            let takes_along = carried.contains(&key);
            let is_worth = after != before.record && (is_new || before.record.is_worth(&after, effect, self.step));
            // Klaviyo is about to learn of it: if only the answer is lost, it must not look as if it never had.
            let becomes_told = takes_along && before.record.untold;
            if !is_worth && !becomes_told {
                noted.records.insert(key, before.record);
                continue;
            }
            assign_teller(&before, &mut after, &notes, takes_along);
            writes.push(before.write(&key, &after));
            written.push((key, after, notes));
        }
        let saved = if writes.is_empty() { Vec::new() } else { self.store.save_support_records(writes).await? };
        for ((key, after, notes), saved) in written.into_iter().zip(saved) {
            if saved {
                noted.records.insert(key, after);
            } else {
                again.extend(notes);
            }
        }
        Ok(again)
    }

    fn take(&self, record: &mut Record, notes: &[Note]) -> Effect {
        let mut effect = Effect::default();
        for note in notes {
            if note.person.identity.is_known() {
                record.identity = note.person.identity.clone();
            }
            match &note.about {
                About::Fact(fact) | About::Left(fact) => {
                    effect.may_hide |= record.take(fact, self.now).may_hide;
                }
                About::Deleted { thread, at } => {
                    record.delete(&note.person.contact, thread, *at);
                    effect.may_hide = true;
                }
                About::Changed => {}
            }
        }
        effect
    }

    /// Contacts that are no members of their record, or arriving there: gives them a home, or moves them. What is left in `notes`
    /// is about members or about those who become one; what is returned has to be looked at again.
    async fn settle_strangers(
        &self,
        notes: &mut Vec<Note>,
        records: &mut HashMap<String, Kept>,
        noted: &mut Noted,
    ) -> StoreResult<Vec<Note>> {
        let is_stranger = |note: &Note, records: &HashMap<String, Kept>, noted: &Noted| {
            let member =
                records.get(&note.person.record).and_then(|kept| kept.record.members.get(&note.person.contact));
            member.is_none_or(|member| member.arriving) && !noted.has_arrived(&note.person)
        };
        self.add_unfinished(notes, records, noted);
        let strangers: Vec<ContactId> = {
            let found = notes.iter().filter(|note| is_stranger(note, records, noted));
            let found: std::collections::BTreeSet<ContactId> = found.map(|note| note.person.contact.clone()).collect();
            found.into_iter().collect()
        };
        if strangers.is_empty() {
            return Ok(Vec::new());
        }
        let homes = self.homes(&strangers).await?;
        let mut again = Vec::new();
        let mut new_homes: BTreeMap<ContactId, RecordWrite> = BTreeMap::new();
        let mut ready = Vec::new();
        let mut moved = BTreeSet::new();
        for mut note in std::mem::take(notes) {
            if !is_stranger(&note, records, noted) {
                ready.push(note);
                continue;
            }
            let person = note.person.clone();
            match homes.get(&person.contact) {
                None if !note.about.introduces() => {}
                None => {
                    let body = Home::new(person.record.clone(), person.stamp).to_text();
                    let write = RecordWrite { key: home_key(&person.contact), body, expected: None };
                    new_homes.entry(person.contact.clone()).or_insert(write);
                    ready.push(note);
                }
                Some((home, _)) if home.record == person.record && home.leaving.is_empty() => {
                    noted.arrivals.push(Arrival::of(&person, Vec::new(), &note.message));
                    ready.push(note);
                }
                Some((home, _)) if home.record != person.record && !home.may_move(person.stamp) => {
                    // We have an old look at the contact; somebody knows better.
                    note.person.record.clone_from(&home.record);
                    note.person.identity = domain::Identity::default();
                    again.push(note);
                }
                Some((home, version)) => {
                    // Whether we moved it or somebody else did: the records have changed, and what was read of its home is old.
                    if moved.insert(person.contact.clone()) {
                        self.move_in(&person, (home.clone(), *version), &note.message, noted).await?;
                    }
                    again.push(note);
                }
            }
        }
        let (contacts, writes): (Vec<_>, Vec<_>) = new_homes.into_iter().unzip();
        let saved = if writes.is_empty() { Vec::new() } else { self.store.save_support_records(writes).await? };
        let lost: HashSet<ContactId> =
            contacts.into_iter().zip(saved).filter(|(_, saved)| !saved).map(|(contact, _)| contact).collect();
        for note in ready {
            if lost.contains(&note.person.contact) { again.push(note) } else { notes.push(note) }
        }
        Ok(again)
    }

    /// The records as they are now; those that are not there are missing.
    pub(crate) async fn look(&self, keys: &[String]) -> StoreResult<Vec<(String, Record)>> {
        let records = self.records(keys.iter().cloned(), Look::Exact).await?;
        Ok(records.into_iter().map(|(key, kept)| (key, kept.record)).collect())
    }

    /// The record that a contact is in, if any.
    pub(crate) async fn records_of(&self, contact: &ContactId) -> StoreResult<Vec<(String, Record)>> {
        let homes = self.homes(std::slice::from_ref(contact)).await?;
        let keys: Vec<String> = homes.into_values().map(|(home, _)| home.record).collect();
        self.look(&keys).await
    }

    /// Those of the contacts that are in some record.
    pub(crate) async fn remembered(&self, contacts: &[ContactId]) -> StoreResult<Vec<ContactId>> {
        Ok(self.homes(contacts).await?.into_keys().collect())
    }

    /// Whoever is still arriving in one of the records is helped along.
    fn add_unfinished(&self, notes: &mut Vec<Note>, records: &HashMap<String, Kept>, noted: &Noted) {
        let Some(message) = notes.last().map(|note| note.message.clone()) else { return };
        for (key, kept) in records {
            for (contact, _) in kept.record.members.iter().filter(|(_, member)| member.arriving) {
                let person = Person {
                    contact: contact.clone(),
                    record: key.clone(),
                    identity: kept.record.identity.clone(),
                    stamp: Some(i64::MIN),
                };
                let is_there = notes.iter().any(|note| note.person.contact == *contact);
                if !is_there && !noted.has_arrived(&person) {
                    notes.push(Note { person, message: message.clone(), about: About::Changed });
                }
            }
        }
    }

    /// Records by key; those that are not there are missing.
    pub(super) async fn records(
        &self,
        keys: impl Iterator<Item = String>,
        look: Look,
    ) -> StoreResult<HashMap<String, Kept>> {
        let keys: Vec<String> = keys.collect::<std::collections::BTreeSet<_>>().into_iter().collect();
        let found = self.store.support_records(&keys, look).await?;
        let mut records = HashMap::with_capacity(keys.len());
        for (key, document) in keys.into_iter().zip(found) {
            if let Some(document) = document {
                let record = Record::from_text(&document.body).map_err(unreadable)?;
                records.insert(key, Kept { record, version: Some(document.version) });
            }
        }
        Ok(records)
    }

    /// Homes with their versions; of those that have none nothing.
    pub(super) async fn homes(&self, contacts: &[ContactId]) -> StoreResult<HashMap<ContactId, (Home, u64)>> {
        let keys: Vec<String> = contacts.iter().map(home_key).collect();
        let found = self.store.support_records(&keys, Look::Exact).await?;
        let mut homes = HashMap::with_capacity(contacts.len());
        for (contact, document) in contacts.iter().zip(found) {
            if let Some(document) = document {
                let home = Home::from_text(&document.body).map_err(unreadable)?;
                homes.insert(contact.clone(), (home, document.version));
            }
        }
        Ok(homes)
    }

    pub(super) async fn save(&self, write: RecordWrite) -> StoreResult<bool> {
        Ok(self.store.save_support_records(vec![write]).await?.first().copied().unwrap_or(false))
    }
}

/// Who has to tell Klaviyo. What does not show leaves that to whoever it was. A record that is made, or was never told, while no
/// event is on its way stays untold: an import would make a profile, which may cost the shop money.
fn assign_teller(before: &Kept, after: &mut Record, notes: &[Note], carried: bool) {
    let quiet = before.version.is_none() || before.record.untold;
    if quiet && !carried {
        after.untold = true;
        after.teller = None;
    } else if quiet || before.record.summary() != after.summary() {
        after.teller = notes.last().map(|note| note.message.clone());
        after.untold = false;
    }
}

fn by_record(notes: Vec<Note>) -> BTreeMap<String, Vec<Note>> {
    let mut groups: BTreeMap<String, Vec<Note>> = BTreeMap::new();
    for note in notes {
        groups.entry(note.person.record.clone()).or_default().push(note);
    }
    groups
}

pub(super) fn unreadable(error: RecordError) -> StoreError {
    StoreError::Unreadable { store: "support state", detail: error.to_string() }
}
