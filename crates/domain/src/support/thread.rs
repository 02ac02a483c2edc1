//! Whose a thread is, and whether it was deleted: the notification of a deletion says nothing but the thread's id.

use serde::{Deserialize, Serialize};

use super::record::RecordError;
use crate::ids::ContactId;

const VERSION: u32 = 1;

/// Whose a thread is, as far as its opening showed, and whether it was deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thread {
    #[serde(rename = "v")]
    version: u32,
    /// Who took part when it was opened.
    #[serde(default)]
    pub contacts: Vec<ContactId>,
    /// When we learned of its deletion, in Unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<i64>,
}

impl Thread {
    /// Of these contacts.
    pub fn of(contacts: Vec<ContactId>) -> Self {
        Self { version: VERSION, contacts, deleted: None }
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
