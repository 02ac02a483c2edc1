//! Support state on its way: what a batch says about it goes into the records, and from there to Klaviyo, on the events that go out
//! anyway or by themselves.
//!
//! Crash story. The record is written before anything is sent, and names the message that changed it last: its *teller*. If we die
//! before Klaviyo knows, or only the answer is lost, that message comes again; its facts change nothing any more, but it still is the
//! teller, and so the present state is sent again. If another message has become the teller meanwhile, what that one tells has
//! this one's change in it. Two that tell at the same time may arrive in the wrong order, hence the look after the send: whoever finds that the
//! record says something else by now sends that, and the last one to look finds nothing.

use std::collections::{BTreeMap, HashMap};

use domain::delivery::{EventFate, MAX_ATTEMPTS, refusal};
use domain::mapping::{Origin, left_out, properties_only};
use domain::support::{Facts, Record, Summary, profile_key};
use domain::{ContactId, Identity, MessageId};
use futures_util::{StreamExt, stream};
use jiff::Timestamp;

use super::Consumer;
use super::batch::{State, WaitCause, Waiting, Work};
use super::people;
use super::reading::MessagePlan;
use super::sending::wait_and_cause;
use crate::ports::{CallError, Claimed, Clock, ConsumerStore, Intercom, Jitter, Klaviyo, StoreResult};
use crate::support::{About, Arrival, Carried, Leaver, Note, Noted, Person, SupportBook};

/// How often a profile is told again because its record changed meanwhile, before its message waits.
const ROUNDS: usize = 3;

/// What a batch has to tell.
#[derive(Debug, Default)]
pub(super) struct Support {
    /// By key of the record.
    tellings: BTreeMap<String, Telling>,
    arrivals: Vec<Arrival>,
    seen_off: Vec<Leaver>,
    /// Messages that do not end yet.
    pub(super) waits: Vec<(usize, Waiting)>,
    /// How many profiles were written for each message.
    pub(super) written: BTreeMap<usize, u64>,
}

#[derive(Debug)]
struct Telling {
    identity: Identity,
    summary: Summary,
    /// The message that does not end before Klaviyo knows.
    teller: usize,
    is_told: bool,
}

/// The messages of a batch, read.
pub(super) struct Batch<'b> {
    pub(super) claimed: &'b [Claimed],
    pub(super) plans: &'b [MessagePlan],
    pub(super) people: &'b HashMap<ContactId, people::Person>,
    /// Nobody is asked for after it.
    pub(super) deadline: Timestamp,
}

impl<S: ConsumerStore, I: Intercom, K: Klaviyo, C: Clock, J: Jitter> Consumer<S, I, K, C, J> {
    fn support_book(&self) -> Option<SupportBook<'_, S>> {
        let step = i64::try_from(self.options.support_state?.as_secs()).unwrap_or(i64::MAX);
        Some(SupportBook::new(&self.deps.store, self.deps.clock.now().as_second(), step))
    }

    /// Whom the facts of a batch are about. Who wrote once and takes part no more is of interest only where they are remembered.
    pub(super) async fn people_of_facts(&self, plans: &[MessagePlan]) -> Vec<ContactId> {
        let Some(book) = self.support_book() else { return Vec::new() };
        let mut wanted: Vec<ContactId> =
            plans.iter().flat_map(|plan| &plan.support.facts).map(|fact| fact.contact.clone()).collect();
        let former: Vec<ContactId> =
            plans.iter().flat_map(|plan| &plan.support.former).map(|fact| fact.contact.clone()).collect();
        if !former.is_empty() {
            match book.remembered(&former).await {
                Ok(remembered) => wanted.extend(remembered),
                Err(error) => {
                    tracing::warn!(%error, "who takes part no more could not be looked up; a later event will")
                }
            }
        }
        wanted
    }

    /// Takes the facts of a batch in. Fails with the moment at which the batch may be tried again.
    pub(super) async fn note_support(&self, batch: &Batch<'_>, works: &mut [Work<'_>]) -> Result<Support, Timestamp> {
        let Some(mut book) = self.support_book() else { return Ok(Support::default()) };
        let noted = self.take_in(&mut book, batch, works).await.map_err(|error| {
            tracing::error!(%error, "support state could not be kept; trying again");
            self.in_a_moment()
        })?;
        for work in works {
            if let State::Ready(ready) = &mut work.state
                && let Some(key) = profile_key(&ready.identity)
                && let Some(telling) = noted.tellings.get(&key)
            {
                ready.support = Some(telling.summary);
                work.told = Some(key);
            }
        }
        Ok(noted)
    }

    async fn take_in(
        &self,
        book: &mut SupportBook<'_, S>,
        batch: &Batch<'_>,
        works: &[Work<'_>],
    ) -> StoreResult<Support> {
        let mut support = Support::default();
        let mut notes = Vec::new();
        let mut deleted: Vec<(String, MessageId)> = Vec::new();
        for (index, (plan, message)) in batch.plans.iter().zip(batch.claimed).enumerate() {
            let Facts { facts, former, deleted: gone } = &plan.support;
            let facts = facts.iter().map(|fact| (fact, About::Fact(fact.clone())));
            let former = former.iter().map(|fact| (fact, About::Left(fact.clone())));
            for (fact, about) in facts.chain(former) {
                match self.person(batch, index, &fact.contact) {
                    Ok(Some(person)) => notes.push(Note { person, message: message.id.clone(), about }),
                    Ok(None) => {}
                    Err(wait) => support.waits.push((index, wait)),
                }
            }
            deleted.extend(gone.iter().map(|thread| (thread.clone(), message.id.clone())));
            notes.extend(plan.moved.iter().map(|person| Note {
                person: person.clone(),
                message: message.id.clone(),
                about: About::Changed,
            }));
        }
        if !deleted.is_empty() {
            notes.extend(book.deletions(&deleted).await?);
        }
        if notes.is_empty() {
            return Ok(support);
        }
        let carried = works.iter().filter_map(|work| match &work.state {
            State::Ready(ready) => profile_key(&ready.identity),
            _ => None,
        });
        let carried = carried.collect();
        let mut noted = book.note(notes, &carried).await?;
        if !noted.leavers.is_empty() {
            let postponed = self.see_off(book, batch, &mut noted, &mut support).await?;
            let rest = book.note(postponed, &carried).await?;
            noted.absorb(rest);
        }
        let place: HashMap<&MessageId, usize> =
            batch.claimed.iter().enumerate().map(|(index, message)| (&message.id, index)).collect();
        for (key, record) in &noted.records {
            let teller = record.teller.as_ref().and_then(|teller| place.get(teller).copied());
            support.tell(key, record, teller);
        }
        for leaver in support.seen_off.clone() {
            // Whoever sees somebody off tells their profile, also where another message began it.
            let teller = place.get(&leaver.message).copied();
            for (key, record) in book.records_of(&leaver.fact.contact).await? {
                support.tell(&key, &record, teller);
            }
        }
        for arrival in &noted.arrivals {
            let teller = place.get(&arrival.message).copied();
            for (key, record) in book.look(&arrival.from).await? {
                support.tell(&key, &record, teller);
            }
        }
        support.arrivals = noted.arrivals;
        Ok(support)
    }

    /// Looks up who takes part in a thread no more: who was merged moves to the survivor, who was detached loses the thread. Gives
    /// what may be taken in after that.
    async fn see_off(
        &self,
        book: &mut SupportBook<'_, S>,
        batch: &Batch<'_>,
        noted: &mut Noted,
        support: &mut Support,
    ) -> StoreResult<Vec<Note>> {
        let leavers = std::mem::take(&mut noted.leavers);
        let mut postponed = std::mem::take(&mut noted.postponed);
        let wanted: Vec<ContactId> = leavers.iter().map(|leaver| leaver.fact.contact.clone()).collect();
        let found = self.people(wanted, false, batch.deadline).await;
        let mut notes = Vec::new();
        for leaver in leavers {
            let contact = leaver.fact.contact.clone();
            let person = match found.get(&contact) {
                Some(people::Person::Known(now)) => Person::new(&contact, now, &self.rules),
                Some(people::Person::Failed(error)) => {
                    // Everything about the thread waits with the message.
                    let index = batch.claimed.iter().position(|message| message.id == leaver.message);
                    if let Some(index) = index
                        && let Some(wait) = self.wait_for(error, batch.claimed[index].progress.attempts)
                    {
                        support.waits.push((index, wait));
                    }
                    postponed.retain(|note| !note.is_in(&leaver.fact.thread));
                    continue;
                }
                Some(people::Person::Unknown) | None => Person::as_remembered(&contact),
            };
            book.see_off(&leaver.fact);
            support.seen_off.push(leaver.clone());
            notes.push(Note { person, message: leaver.message, about: About::Left(leaver.fact) });
        }
        let seen_off = book.note(notes, &Carried::new()).await?;
        noted.absorb(seen_off);
        Ok(postponed)
    }

    /// Where a contact belongs. `None`: nowhere.
    fn person(&self, batch: &Batch<'_>, index: usize, contact: &ContactId) -> Result<Option<Person>, Waiting> {
        match batch.people.get(contact) {
            Some(people::Person::Known(found)) => {
                // By what is at hand: a tag whose name is unknown leaves nobody out.
                if left_out(found, &self.rules.contacts, &self.names_at_hand()).is_some() {
                    return Ok(None);
                }
                let person = Person::new(contact, found, &self.rules);
                let is_history = batch.plans[index].origin == Some(Origin::History);
                Ok((person.identity.is_known() || !is_history).then_some(person))
            }
            Some(people::Person::Failed(error)) => {
                let attempts = batch.claimed[index].progress.attempts;
                self.wait_for(error, attempts).map_or(Ok(None), Err)
            }
            Some(people::Person::Unknown) | None => Ok(None),
        }
    }

    /// Until when a message waits because of a failed call; `None`: it was tried often enough.
    pub(super) fn wait_for(&self, error: &CallError, attempts: u16) -> Option<Waiting> {
        let (until, cause) = wait_and_cause(error);
        if cause != WaitCause::Attempt {
            return Some(Waiting { until, cause });
        }
        (attempts + 1 < MAX_ATTEMPTS).then(|| Waiting { until: until.max(self.after(self.backoff(attempts))), cause })
    }

    /// Tells Klaviyo what no event has taken along, looks whether it is still true, and puts the marks away.
    pub(super) async fn tell_support(
        &self,
        support: &mut Support,
        claimed: &[Claimed],
        works: &[Work<'_>],
        deadline: Timestamp,
    ) {
        let Some(book) = self.support_book() else { return };
        for work in works.iter().filter(|work| matches!(work.state, State::Ended(EventFate::Sent))) {
            if let Some(key) = &work.told
                && let Some(telling) = support.tellings.get_mut(key)
            {
                telling.is_told = true;
            }
        }
        for _ in 0..ROUNDS {
            self.import_tellings(support, claimed, deadline).await;
            match self.is_still_true(&book, support).await {
                Ok(true) => break,
                Ok(false) => {}
                Err(error) => {
                    // It may be true: the message comes again and looks.
                    tracing::warn!(%error, "support state could not be looked at after it was sent; trying again");
                    let waiting = Waiting { until: self.in_a_moment(), cause: WaitCause::Vendor };
                    support.waits.extend(support.tellings.values().map(|one| (one.teller, waiting)));
                    return;
                }
            }
        }
        for telling in support.tellings.values().filter(|telling| !telling.is_told) {
            support.waits.push((telling.teller, Waiting { until: self.in_a_moment(), cause: WaitCause::Vendor }));
        }
        self.put_marks_away(&book, support, claimed).await;
    }

    async fn import_tellings(&self, support: &mut Support, claimed: &[Claimed], deadline: Timestamp) {
        let waits = |index: usize| support.waits.iter().any(|(waiting, _)| *waiting == index);
        let wanted: Vec<(String, usize)> = support
            .tellings
            .iter()
            .filter(|(_, telling)| !telling.is_told)
            .filter(|(_, telling)| !waits(telling.teller))
            .map(|(key, telling)| (key.clone(), telling.teller))
            .collect();
        let tellings = &support.tellings;
        let answers: Vec<_> = stream::iter(wanted)
            .map(|(key, teller)| async move {
                let telling = &tellings[&key];
                if self.is_late(deadline) {
                    let now = Waiting { until: self.deps.clock.now(), cause: WaitCause::Vendor };
                    return (key, teller, Some(now), 0);
                }
                let profile = properties_only(&telling.identity, |properties| telling.summary.write(properties));
                let (wait, written) = match self.deps.klaviyo.import_profile(&profile).await {
                    Ok(_) => (None, 1),
                    Err(CallError::Refused { status, errors, .. }) => {
                        let reason = refusal("Klaviyo", status, &errors, &profile.texts());
                        tracing::warn!(message = %claimed[teller].id, reason, "a profile's support state is left out");
                        (None, 0)
                    }
                    Err(error) => (self.wait_for(&error, claimed[teller].progress.attempts), 0),
                };
                (key, teller, wait, written)
            })
            .buffer_unordered(self.options.concurrency)
            .collect()
            .await;
        for (key, teller, wait, written) in answers {
            *support.written.entry(teller).or_default() += written;
            match (wait, support.tellings.get_mut(&key)) {
                (Some(wait), _) => support.waits.push((teller, wait)),
                (None, Some(telling)) => telling.is_told = true,
                (None, None) => {}
            }
        }
    }

    /// Whether what was told is what the records say. What is not is to be told again.
    async fn is_still_true(&self, book: &SupportBook<'_, S>, support: &mut Support) -> StoreResult<bool> {
        let told: Vec<String> =
            support.tellings.iter().filter(|(_, one)| one.is_told).map(|(key, _)| key.clone()).collect();
        let mut is_true = true;
        for (key, record) in book.look(&told).await? {
            let Some(telling) = support.tellings.get_mut(&key) else { continue };
            let summary = record.summary();
            if telling.summary != summary {
                telling.summary = summary;
                telling.is_told = false;
                is_true = false;
            }
        }
        Ok(is_true)
    }

    async fn put_marks_away(&self, book: &SupportBook<'_, S>, support: &Support, claimed: &[Claimed]) {
        let put_away = async {
            let waits = |message: &MessageId| {
                let is_its = |(index, _): &(usize, Waiting)| claimed[*index].id == *message;
                support.waits.iter().any(is_its)
            };
            for leaver in support.seen_off.iter().filter(|leaver| !waits(&leaver.message)) {
                book.finish_farewell(&leaver.fact).await?;
            }
            for arrival in &support.arrivals {
                let mut keys = arrival.from.iter().chain([&arrival.record]);
                if keys.all(|key| support.tellings.get(key).is_none_or(|one| one.is_told)) {
                    book.finish_move(arrival).await?;
                }
            }
            StoreResult::Ok(())
        };
        if let Err(error) = put_away.await {
            tracing::warn!(%error, "a mark in the support state stays for now; whoever meets it puts it away");
        }
    }
}

impl Support {
    fn tell(&mut self, key: &str, record: &Record, teller: Option<usize>) {
        let Some(teller) = teller.filter(|_| record.identity.is_known() && !record.untold) else { return };
        let telling = Telling { identity: record.identity.clone(), summary: record.summary(), teller, is_told: false };
        self.tellings.insert(key.to_owned(), telling);
    }
}
