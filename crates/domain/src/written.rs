//! What is remembered of a contact's profile that was written without an event: enough to write each change once, and the newest
//! last.
//!
//! A contact that changes is asked for afresh, so whoever writes has the truth of a moment ago; what can go wrong is that two write
//! at the same time and the older truth arrives last. Therefore a message signs up here before it writes, and signs off
//! afterwards, both by compare-and-set. Whoever finds at signing off that somebody else was here meanwhile asks and writes once
//! more; the last one to sign off was alone. A message that died in between is still signed up when it comes again, and then
//! writes whatever the record says.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::{ContactId, KeyHash, MessageId};

const VERSION: u32 = 1;

/// Name of the document that keeps it.
pub fn document_name(contact: &ContactId) -> String {
    format!("written/{contact}")
}

/// See the [module](self).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    #[serde(rename = "v")]
    version: u32,
    /// The contact's `updated_at` when it was written last, in Unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at: Option<i64>,
    /// Fingerprint of what was written last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    print: Option<String>,
    /// Messages that are writing, or died while they did.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    writers: BTreeSet<MessageId>,
}

/// What is stored is none of ours, or a newer version's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what is remembered of a written profile cannot be read by this version")]
pub struct WrittenError;

impl Default for Written {
    fn default() -> Self {
        Self { version: VERSION, at: None, print: None, writers: BTreeSet::new() }
    }
}

impl Written {
    /// Reads [`Written::to_text`].
    pub fn from_text(text: &str) -> Result<Self, WrittenError> {
        let written: Self = serde_json::from_str(text).map_err(|_| WrittenError)?;
        if written.version > VERSION { Err(WrittenError) } else { Ok(written) }
    }

    /// As it is stored: JSON without personal data.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Whether a notification that shows the contact as of `updated_at` may hold news for `message`. A later look at the contact
    /// was written already: it came late, or twice.
    pub fn may_be_news(&self, message: &MessageId, updated_at: Option<Timestamp>) -> bool {
        let late = self.at.zip(updated_at).is_some_and(|(written, shown)| shown.as_second() < written);
        !late || self.writers.contains(message)
    }

    /// Whether what the contact gives now has to be written.
    pub fn differs(&self, message: &MessageId, print: &KeyHash) -> bool {
        self.print.as_deref() != Some(hex(print).as_str()) || self.writers.contains(message)
    }

    /// Whether the message is writing, or died while it did.
    pub fn is_signed(&self, message: &MessageId) -> bool {
        self.writers.contains(message)
    }

    /// The message is about to write.
    pub fn sign_up(&mut self, message: &MessageId) {
        self.writers.insert(message.clone());
    }

    /// The message has written this, or need not any more where there is nothing.
    pub fn sign_off(&mut self, message: &MessageId, wrote: Option<(Option<Timestamp>, &KeyHash)>) {
        self.writers.remove(message);
        if let Some((updated_at, print)) = wrote {
            self.at = self.at.max(updated_at.map(Timestamp::as_second));
            self.print = Some(hex(print));
        }
    }
}

fn hex(print: &KeyHash) -> String {
    hex::encode(print.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Option<Timestamp> {
        Timestamp::from_second(second).ok()
    }

    #[test]
    fn what_was_written_is_no_news_and_what_died_is() {
        let (one, two) = (MessageId::new("1"), MessageId::new("2"));
        let (old, new) = (KeyHash::of("old"), KeyHash::of("new"));
        let mut written = Written::default();
        assert!(written.may_be_news(&one, at(5)) && written.differs(&one, &old));
        written.sign_up(&one);
        written.sign_up(&two);
        written.sign_off(&two, Some((at(7), &new)));
        // The first may have written something older after the second.
        assert!(written.may_be_news(&one, at(5)) && written.differs(&one, &new));
        assert!(!written.may_be_news(&two, at(5)) && !written.differs(&two, &new));
        assert!(written.may_be_news(&two, at(7)) && written.may_be_news(&two, None) && written.differs(&two, &old));
        written.sign_off(&one, Some((at(5), &new)));
        assert!(!written.may_be_news(&one, at(6)), "the latest look counts");
        written.sign_up(&one);
        written.sign_off(&one, None);
        assert!(!written.differs(&one, &new));
    }

    #[test]
    fn it_is_stored_as_text() {
        let mut written = Written::default();
        written.sign_up(&MessageId::new("m"));
        written.sign_off(&MessageId::new("n"), Some((at(7), &KeyHash::of("x"))));
        assert_eq!(Written::from_text(&written.to_text()), Ok(written));
        for odd in ["", "[]", r#"{"v":2}"#, "{}"] {
            assert_eq!(Written::from_text(odd), Err(WrittenError), "{odd}");
        }
    }
}
