//! Whose a thread is, and whether it was deleted: the notification of a deletion says nothing but the thread's id.

use serde::{Deserialize, Serialize};

use super::record::RecordError;
use super::stand::Version;
use crate::ids::ContactId;

const VERSION: u32 = 1;

/// Whose a thread is, as far as its opening showed, and whether it was deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thread {
    #[serde(rename = "v")]
    version: u32,
    /// Who took part in it, said the newest report that opened it for somebody; with them those who have left since, until they
    /// are seen off.
    #[serde(default)]
    pub contacts: Vec<ContactId>,
    /// That report's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<Version>,
    /// When we learned of its deletion, in Unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<i64>,
}

impl Thread {
    /// Of these contacts, says a report of that version; of one that is deleted nobody knows.
    pub fn of(contacts: Vec<ContactId>, as_of: Option<Version>) -> Self {
        Self { version: VERSION, contacts, as_of, deleted: None }
    }

    /// Whether a report of that version is older than what is known and a contact is not among those who take part by now.
    pub fn has_left(&self, contact: &ContactId, reported: Version) -> bool {
        self.as_of.is_some_and(|as_of| reported < as_of) && !self.contacts.contains(contact)
    }

    /// Reads [`Thread::to_text`].
    pub fn from_text(text: &str) -> Result<Self, RecordError> {
        let thread: Self = serde_json::from_str(text).map_err(|_| RecordError::Unreadable)?;
        if thread.version > VERSION { Err(RecordError::Newer(thread.version)) } else { Ok(thread) }
    }

    /// As it is stored.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}
