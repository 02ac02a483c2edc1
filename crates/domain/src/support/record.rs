//! What is remembered for one profile.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::facts::Fact;
use super::member::Member;
use super::summary::Summary;
use crate::identity::Identity;
use crate::ids::{ContactId, MessageId};

const VERSION: u32 = 1;

/// What is stored is no record of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Not what any version writes.
    #[error("it is not a record of support state")]
    Unreadable,
    /// A newer version wrote it.
    #[error("it has version {0} and this program knows versions up to {VERSION}")]
    Newer(u32),
}

/// Everything that is remembered for one profile: its contacts, which may be several that share an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    #[serde(rename = "v")]
    version: u32,
    /// How Klaviyo knows the profile; none for a contact that has no address yet.
    #[serde(default)]
    pub identity: Identity,
    /// Its contacts.
    #[serde(default)]
    pub members: BTreeMap<ContactId, Member>,
    /// The message that changed it last: that message does not end before Klaviyo knows. What earlier ones changed is in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teller: Option<MessageId>,
    /// Klaviyo was not told, so as not to make a profile: the next event takes it along.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub untold: bool,
}

impl Default for Record {
    fn default() -> Self {
        Self { version: VERSION, identity: Identity::default(), members: BTreeMap::new(), teller: None, untold: false }
    }
}

/// What taking facts in did, beside what [`Record::summary`] shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effect {
    /// If it were not written, a late report could be taken for the newest.
    pub may_hide: bool,
}

impl Record {
    /// Reads [`Record::to_text`].
    pub fn from_text(text: &str) -> Result<Self, RecordError> {
        let record: Self = serde_json::from_str(text).map_err(|_| RecordError::Unreadable)?;
        if record.version > VERSION { Err(RecordError::Newer(record.version)) } else { Ok(record) }
    }

    /// As it is stored: JSON that a human can read. Holds the profile's address.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Takes a fact in. The contact becomes a member if it is none.
    pub fn take(&mut self, fact: &Fact, now: i64) -> Effect {
        self.members.entry(fact.contact.clone()).or_default().take(fact, now)
    }

    /// A contact's thread was deleted: no other report of it counts, neither earlier nor later.
    pub fn delete(&mut self, contact: &ContactId, thread: &str, now: i64) {
        self.members.entry(contact.clone()).or_default().delete(thread, now);
    }

    /// Notes of a contact's thread whether it is still to be done that somebody loses it. `false`: nothing changed.
    pub fn set_pending(&mut self, contact: &ContactId, thread: &str, pending: bool) -> bool {
        let stand = self.members.get_mut(contact).and_then(|member| member.threads.get_mut(thread));
        stand.is_some_and(|stand| std::mem::replace(&mut stand.pending, pending) != pending)
    }

    /// What the profile is to say.
    pub fn summary(&self) -> Summary {
        Summary::of(self.members.values())
    }

    /// Whether the change from `self` to `after` is worth a write. `step`, in seconds: how far the last message has to advance to be
    /// one; with 0 every difference is. What may not be lost is written in any case.
    pub fn is_worth(&self, after: &Self, effect: Effect, step: i64) -> bool {
        let (old, new) = (self.summary(), after.summary());
        let advanced = match (old.last_contact_at, new.last_contact_at) {
            (Some(old), Some(new)) => new - old >= step.max(1),
            (old, new) => old != new,
        };
        let otherwise = Summary { last_contact_at: None, ..old } != Summary { last_contact_at: None, ..new };
        let members = self.members.keys().ne(after.members.keys());
        effect.may_hide || advanced || otherwise || members || (step <= 0 && self.members != after.members)
    }
}
