//! An item of Intercom's REST API on its way through a queue.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::select::Scope;
use super::window::StreamName;
use crate::ids::KeyHash;
use crate::intercom::{Item, Unreadable, read_rest};
use crate::parse::{describe, from_slice};

/// Version of the form.
const FORM: u32 = 1;

/// What stands around an item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    form: u32,
    /// Who read it, and which of its events are whose.
    pub scope: Scope,
    /// Conversation or ticket.
    pub stream: StreamName,
    /// The books that count it.
    pub book: String,
    /// Its entry in them.
    pub entry: String,
    /// The workspace that it was read from.
    pub workspace: String,
}

#[derive(Deserialize)]
struct Wire<'a> {
    envelope: Envelope,
    #[serde(borrow)]
    item: &'a RawValue,
}

impl Envelope {
    /// An envelope.
    pub fn new(scope: Scope, stream: StreamName, book: String, entry: String, workspace: String) -> Self {
        Self { form: FORM, scope, stream, book, entry, workspace }
    }

    /// The message: the envelope, and the item's own JSON in it. `item` is JSON by construction: it was read before.
    pub fn around(&self, item: &[u8]) -> Vec<u8> {
        let head = serde_json::json!(self).to_string();
        let mut text = Vec::with_capacity(head.len() + item.len() + 32);
        for piece in [br#"{"envelope":"#.as_slice(), head.as_bytes(), br#","item":"#, item, b"}"] {
            text.extend_from_slice(piece);
        }
        text
    }

    /// The entry's name in the books.
    pub fn entry_hash(&self) -> KeyHash {
        entry_hash(&self.book, self.stream, &self.entry)
    }
}

/// An item's name in the books.
pub fn entry_hash(book: &str, stream: StreamName, entry: &str) -> KeyHash {
    KeyHash::of(&format!("{book}/{}/{entry}", stream.as_str()))
}

/// The books of an import's stream.
pub fn history_book(run: u64, stream: StreamName) -> String {
    format!("history/{run}/{}", stream.as_str())
}

/// The books of reconcile.
pub const RECONCILE_BOOK: &str = "reconcile";

/// The item inside a message as Intercom gave it, and the workspace that it was read from; `None` where the message is not of this
/// form. For whoever explains it.
pub fn raw_item(message: &[u8]) -> Option<(&[u8], String)> {
    let wire: Wire<'_> = from_slice(message).ok()?;
    Some((wire.item.get().as_bytes(), wire.envelope.workspace))
}

/// Opens a message. An envelope whose item cannot be read is still one: the item counts under its entry, as refused.
pub fn open(message: &[u8]) -> Result<(Envelope, Result<Item<'_>, Unreadable>), Unreadable> {
    let wire: Wire<'_> = from_slice(message).map_err(|error| Unreadable::Body(describe(&error)))?;
    if wire.envelope.form != FORM {
        return Err(Unreadable::Body(format!("an item of form {} instead of {FORM}", wire.envelope.form)));
    }
    let item = read_rest(wire.item.get().as_bytes());
    Ok((wire.envelope, item))
}
