//! In which record a contact is.

use serde::{Deserialize, Serialize};

use super::record::RecordError;

const VERSION: u32 = 1;

/// In which record a contact is, and from which it is moving out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Home {
    #[serde(rename = "v")]
    version: u32,
    /// Key of the record.
    #[serde(rename = "in")]
    pub record: String,
    /// Intercom's `updated_at` of the contact that said so, in Unix seconds: what is older does not move it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stamp: Option<i64>,
    /// Keys of the records that may still have it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leaving: Vec<String>,
}

impl Home {
    /// A contact's first home.
    pub fn new(record: String, stamp: Option<i64>) -> Self {
        Self { version: VERSION, record, stamp, leaving: Vec::new() }
    }

    /// Reads [`Home::to_text`].
    pub fn from_text(text: &str) -> Result<Self, RecordError> {
        let home: Self = serde_json::from_str(text).map_err(|_| RecordError::Unreadable)?;
        if home.version > VERSION { Err(RecordError::Newer(home.version)) } else { Ok(home) }
    }

    /// As it is stored.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Whether a look at the contact at `stamp` may move it. One without a time is believed.
    pub fn may_move(&self, stamp: Option<i64>) -> bool {
        match (self.stamp, stamp) {
            (Some(known), Some(stamp)) => stamp >= known,
            _ => true,
        }
    }

    /// Moves it to another record.
    pub fn move_to(&mut self, record: String, stamp: Option<i64>) {
        let old = std::mem::replace(&mut self.record, record);
        self.leaving.retain(|key| *key != self.record && *key != old);
        self.leaving.push(old);
        self.stamp = stamp.or(self.stamp);
    }
}
