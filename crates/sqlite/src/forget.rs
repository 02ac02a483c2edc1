//! Forgetting a person.
//!
//! Each method is one transaction: if we die before its commit nothing was taken away, and the next call takes it.

use app::ports::{Lane, PersonalData, StoreResult, Traces};
use domain::contact::Contact;
use domain::forget::Person;
use domain::{ContactId, Identity};
use rusqlite::{Connection, OptionalExtension, params};

use crate::dead_letters;
use crate::inbox;
use crate::items;
use crate::job::Work;
use crate::parked::{unpark, waiting_for};
use crate::queue::row_id;
use crate::settle::gone;
use crate::store::SqliteStore;
use crate::totals::Place;
use crate::trouble::Trouble;

const CONTACTS: &str = "SELECT key, value FROM cache WHERE key >= 'contact/' AND key < 'contact0'";
const FORGET_CONTACT: &str = "DELETE FROM cache WHERE key = ?1";
const FORGET_EVENTS: &str = "DELETE FROM recent_events WHERE contact = ?1";
const PARKED_LANE: &str = "
SELECT m.lane FROM parked AS p JOIN messages AS m ON m.id = p.id WHERE p.id = ?1";
/// Walks the whole ledger, so a reader does it: nobody waits for it.
const OPEN_CLAIMS: &str = "SELECT key, identity FROM ledger WHERE sent = 0 AND identity IS NOT NULL";
const FORGET_IDENTITY: &str = "UPDATE ledger SET sent = 1, identity = NULL WHERE key = ?1 AND sent = 0";

impl PersonalData for SqliteStore {
    async fn cached_contacts(&self, email: &str) -> StoreResult<Vec<ContactId>> {
        let mut person = Person::default();
        person.add_email(email);
        let found = self.read(move |connection| cached(connection, &person)).await?;
        Ok(found.into_iter().map(|(_, contact)| contact).collect())
    }

    async fn drop_parked(&self, contacts: &[ContactId], reason: &str) -> StoreResult<u64> {
        let (contacts, reason) = (contacts.to_vec(), reason.to_owned());
        self.write(0, true, move |work| {
            let mut dropped = 0;
            for id in waiting_for(work, &contacts)? {
                dropped += u64::from(drop_one(work, id, &reason)?);
            }
            Ok(dropped)
        })
        .await
    }

    async fn drop_dead_letter(&self, id: &str, reason: &str) -> StoreResult<bool> {
        let (Some(id), reason) = (row_id(id), reason.to_owned()) else { return Ok(false) };
        self.write(0, true, move |work| dead_letters::give_up(work, id, &reason)).await
    }

    async fn drop_traces(&self, person: &Person) -> StoreResult<Traces> {
        let looked_for = person.clone();
        let (keys, claims) = self
            .read(move |connection| {
                let keys: Vec<String> = cached(connection, &looked_for)?.into_iter().map(|(key, _)| key).collect();
                Ok((keys, open_claims(connection, &looked_for)?))
            })
            .await?;
        let contacts = person.contacts().to_vec();
        self.write(0, true, move |work| {
            let mut traces = Traces::default();
            for key in &keys {
                traces.cached_contacts += work.connection.prepare_cached(FORGET_CONTACT)?.execute([key])? as u64;
            }
            for contact in &contacts {
                let gone = work.connection.prepare_cached(FORGET_EVENTS)?.execute([contact.as_str()])?;
                traces.recent_events += gone as u64;
            }
            for key in &claims {
                traces.identifiers += work.connection.prepare_cached(FORGET_IDENTITY)?.execute(params![key])? as u64;
            }
            Ok(traces)
        })
        .await
    }
}

/// Cached contacts of the person, with the keys that they are kept under: a merged contact is kept under its old id too.
fn cached(connection: &Connection, person: &Person) -> Result<Vec<(String, ContactId)>, Trouble> {
    let mut statement = connection.prepare_cached(CONTACTS)?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let (key, value): (String, String) = (row.get(0)?, row.get(1)?);
        let Ok(contact) = serde_json::from_str::<Contact>(&value) else { continue };
        let kept_as = ContactId::new(key.trim_start_matches("contact/"));
        let theirs = person.contacts().iter().any(|id| *id == contact.id || *id == kept_as)
            || contact.email.as_deref().is_some_and(|email| person.has_email(email));
        if theirs {
            found.push((key, kept_as));
        }
    }
    Ok(found)
}

fn open_claims(connection: &Connection, person: &Person) -> Result<Vec<Vec<u8>>, Trouble> {
    let mut statement = connection.prepare_cached(OPEN_CLAIMS)?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let identity: String = row.get(1)?;
        let identity = serde_json::from_str::<Identity>(&identity).unwrap_or_default();
        if identity.email.is_some_and(|email| person.has_email(&email)) {
            found.push(row.get(0)?);
        }
    }
    Ok(found)
}

fn drop_one(work: &mut Work<'_>, id: i64, reason: &str) -> Result<bool, Trouble> {
    let mut statement = work.connection.prepare_cached(PARKED_LANE)?;
    let lane = statement.query_row([id], |row| row.get(0)).optional()?.map(inbox::lane);
    drop(statement);
    let Some(lane) = lane else { return Ok(false) };
    if lane != Lane::Live {
        items::give_up(work, id, reason)?;
    }
    unpark(work.connection, id)?;
    let to = gone(work, id, Place::Skipped(reason))?;
    work.changes.moved(lane, Place::Parked, to);
    Ok(true)
}
