//! The records of support state: which one a contact is in, and how facts get into them.
//!
//! There is a record for each profile at Klaviyo (`domain::support::Record`), because a profile is what is told; contacts who share
//! an address share a record. A contact's *home* says which record it is in, so that a contact who gets another address, or is
//! merged, is found and moved. Every change is a compare-and-set of one record, and taking a fact in twice changes nothing, so a
//! crash anywhere is mended by the message's next delivery.

mod book;
mod forgetting;
mod moving;
mod threads;

use std::collections::{BTreeMap, HashSet};

use domain::contact::Contact;
use domain::mapping::identity_of;
use domain::support::{Fact, Record, nameless_key, profile_key};
use domain::{ContactId, Identity, MessageId, Rules};

pub(crate) use book::SupportBook;
pub(crate) use forgetting::forget;

/// A contact and the record that it belongs to.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    /// As the fact names it: of a contact that was merged, the old id.
    pub(crate) contact: ContactId,
    /// Key of the record.
    pub(crate) record: String,
    /// How Klaviyo knows the profile; empty where it does not.
    pub(crate) identity: Identity,
    /// When the contact last changed, in Unix seconds.
    pub(crate) stamp: Option<i64>,
}

impl Person {
    /// A contact as it was found under an id.
    pub(crate) fn new(id: &ContactId, found: &Contact, rules: &Rules) -> Self {
        let identity = identity_of(found, rules);
        let key = if identity.is_known() { profile_key(&identity) } else { None };
        Self {
            contact: id.clone(),
            record: key.unwrap_or_else(|| nameless_key(&found.id)),
            identity,
            stamp: found.updated_at.map(|at| at.as_second()),
        }
    }

    /// A contact of whom nobody but we know something: its home says where it is.
    pub(crate) fn as_remembered(id: &ContactId) -> Self {
        Self { contact: id.clone(), record: nameless_key(id), identity: Identity::default(), stamp: Some(i64::MIN) }
    }
}

/// What a message says about a contact.
#[derive(Clone, Debug)]
pub(crate) struct Note {
    pub(crate) person: Person,
    /// The message that says it.
    pub(crate) message: MessageId,
    pub(crate) about: About,
}

#[derive(Clone, Debug)]
pub(crate) enum About {
    /// A fact.
    Fact(Fact),
    /// A fact about somebody who takes part no more: of interest only where they are remembered.
    Left(Fact),
    /// The contact changed: if it is remembered, it may have to move.
    Changed,
    /// A thread was deleted.
    Deleted {
        thread: String,
        /// When, in Unix seconds.
        at: i64,
    },
}

impl About {
    /// Whether a contact that nobody remembers is remembered from now on.
    fn introduces(&self) -> bool {
        matches!(self, Self::Fact(_))
    }
}

/// A contact that moved, and the records that have to be told without it.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub(crate) contact: ContactId,
    pub(crate) record: String,
    pub(crate) from: Vec<String>,
    pub(crate) message: MessageId,
}

/// Somebody takes part in a thread no more, says a message: merged, or detached.
#[derive(Clone, Debug)]
pub(crate) struct Leaver {
    pub(crate) fact: Fact,
    pub(crate) message: MessageId,
}

/// What came of notes.
#[derive(Debug, Default)]
pub(crate) struct Noted {
    /// The records concerned, as they are now.
    pub(crate) records: BTreeMap<String, Record>,
    pub(crate) arrivals: Vec<Arrival>,
    /// Who has to be looked up before the rest can be taken in.
    pub(crate) leavers: Vec<Leaver>,
    /// The rest.
    pub(crate) postponed: Vec<Note>,
}

impl Arrival {
    fn of(person: &Person, from: Vec<String>, message: &MessageId) -> Self {
        Self { contact: person.contact.clone(), record: person.record.clone(), from, message: message.clone() }
    }
}

impl Note {
    /// Whether it is a fact about a thread.
    pub(crate) fn is_in(&self, thread: &str) -> bool {
        matches!(&self.about, About::Fact(fact) if fact.thread == thread)
    }
}

impl Noted {
    /// What came of further notes.
    pub(crate) fn absorb(&mut self, later: Self) {
        self.records.extend(later.records);
        self.arrivals.extend(later.arrivals);
        self.leavers.extend(later.leavers);
        self.postponed.extend(later.postponed);
    }

    fn has_arrived(&self, person: &Person) -> bool {
        self.arrivals.iter().any(|arrival| arrival.contact == person.contact && arrival.record == person.record)
    }
}

/// Which profiles have an event on its way, that takes what is new along.
pub(crate) type Carried = HashSet<String>;
