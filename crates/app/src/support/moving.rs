//! A contact moves from one record to another: it got another address, or was merged.
//!
//! The order is what makes a crash harmless. The home names the new record and the old one; the new record gets what the old one
//! knows, marked as arriving; the old one loses it; both profiles are told; only then the marks go. Until they are gone, whoever
//! deals with the contact next goes on where it was left.

use domain::support::{Home, Record, home_key};
use domain::{ContactId, MessageId};

use super::book::{Kept, SupportBook};
use super::{Arrival, Noted, Person};
use crate::ports::{Look, RecordWrite, StoreError, StoreResult, SupportStates};

/// How often a step is tried again because somebody else changed one of the two records.
const TRIES: usize = 20;

impl<S: SupportStates> SupportBook<'_, S> {
    /// Moves a contact into the record of `person`, from wherever its home says it is or may still be. `false`: somebody else moved
    /// it at the same time, look again.
    pub(super) async fn move_in(
        &self,
        person: &Person,
        (mut home, version): (Home, u64),
        message: &MessageId,
        noted: &mut Noted,
    ) -> StoreResult<bool> {
        if home.record != person.record {
            home.move_to(person.record.clone(), person.stamp);
        }
        // Also where nothing is new in it: whoever else is about to move the contact looks again.
        let write = RecordWrite { key: home_key(&person.contact), body: home.to_text(), expected: Some(version) };
        if !self.save(write).await? {
            return Ok(false);
        }
        for old in &home.leaving {
            self.carry_over(person, old, message, noted).await?;
        }
        noted.arrivals.push(Arrival::of(person, home.leaving, message));
        Ok(true)
    }

    async fn carry_over(
        &self,
        person: &Person,
        old_key: &str,
        message: &MessageId,
        noted: &mut Noted,
    ) -> StoreResult<()> {
        for _ in 0..TRIES {
            let keys = [old_key.to_owned(), person.record.clone()];
            let mut records = self.records(keys.into_iter(), Look::Exact).await?;
            let new = records.remove(&person.record).unwrap_or_default();
            let Some(old) = records.remove(old_key) else { return Ok(()) };
            let Some(member) = old.record.members.get(&person.contact) else { return Ok(()) };
            let mut joined = new.record.clone();
            let arrived = joined.members.entry(person.contact.clone()).or_default();
            arrived.join(member);
            arrived.arriving = true;
            if person.identity.is_known() {
                joined.identity = person.identity.clone();
            }
            // Who was never sent to Klaviyo waits for an event there as well.
            joined.untold = old.record.untold && (new.version.is_none() || new.record.untold);
            if joined != new.record {
                joined.teller = (!joined.untold).then(|| message.clone());
                if !self.save(new.write(&person.record, &joined)).await? {
                    continue;
                }
            }
            let mut left = old.record.clone();
            left.members.remove(&person.contact);
            left.teller = (!left.untold).then(|| message.clone());
            if self.save(old.write(old_key, &left)).await? {
                noted.records.insert(person.record.clone(), joined);
                noted.records.insert(old_key.to_owned(), left);
                return Ok(());
            }
        }
        Err(StoreError::Unavailable { store: "support state", detail: "somebody else keeps changing it".to_owned() })
    }

    /// Both profiles were told: the marks go. What is lost here is done by whoever deals with the contact next.
    pub(crate) async fn finish_move(&self, arrival: &Arrival) -> StoreResult<()> {
        for old in &arrival.from {
            self.empty_out(old).await?;
        }
        let homes = self.homes(std::slice::from_ref(&arrival.contact)).await?;
        if let Some((mut home, version)) = homes.into_values().next()
            && home.record == arrival.record
        {
            home.leaving.retain(|key| !arrival.from.contains(key));
            let key = home_key(&arrival.contact);
            if !self.save(RecordWrite { key, body: home.to_text(), expected: Some(version) }).await? {
                return Ok(());
            }
            if home.leaving.is_empty() {
                self.change(&arrival.record, |record| arrive(record, &arrival.contact)).await?;
            }
        }
        Ok(())
    }

    /// A record without members keeps nobody's address.
    async fn empty_out(&self, key: &str) -> StoreResult<()> {
        let forget = |record: &mut Record| {
            let idle = record.members.is_empty() && record.identity.is_known();
            if idle {
                // Whether the profile was ever told stays: it may be told again.
                let untold = record.untold;
                *record = Record::default();
                record.untold = untold;
            }
            idle
        };
        self.change(key, forget).await
    }

    /// Changes a record that is there, if there is something to change.
    pub(super) async fn change(&self, key: &str, change: impl Fn(&mut Record) -> bool) -> StoreResult<()> {
        for _ in 0..TRIES {
            let mut records = self.records(std::iter::once(key.to_owned()), Look::Exact).await?;
            let Some(kept) = records.remove(key) else { return Ok(()) };
            let mut record = kept.record.clone();
            if !change(&mut record) || self.save(Kept::write(&kept, key, &record)).await? {
                return Ok(());
            }
        }
        // Somebody else is at work on it; they find the same to do.
        Ok(())
    }
}

fn arrive(record: &mut Record, contact: &ContactId) -> bool {
    record.members.get_mut(contact).is_some_and(|member| std::mem::take(&mut member.arriving))
}
