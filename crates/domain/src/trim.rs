//! Makes large notifications small enough for a queue, without losing what a rule reads.
//!
//! A ticket notification carries the ticket's whole thread, up to 500 messages and megabytes. What is dropped is the text of
//! parts that the notification is not about, the attachments' details, and the definition of the ticket type. No list loses an
//! entry and no object changes the order of its members, so that counts, "the first part" and the choice among too many
//! attributes stay what they were. Bytes that are not JSON are left alone.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::intercom::has_content;
use crate::lenient::Text;
use crate::mapping::push_json_text;
use crate::signature::Verified;
use crate::text::{MAX_STRING_BYTES, plain};

/// Smaller notifications are queued as they came: trimming them would cost more than it saves.
pub const TRIM_ABOVE_BYTES: usize = 32 * 1024;

/// Longest text of a message that is kept: more than an event's property takes, so that its cut falls where it would have.
const MAX_BODY_BYTES: usize = 2 * MAX_STRING_BYTES;

/// Texts of a ticket's other parts stay up to this length.
const MAX_HISTORY_BODY_BYTES: usize = 64;

/// The trimmed notification, or `None` where it stays as it is.
pub fn trim(verified: Verified<'_>) -> Option<Vec<u8>> {
    let body = verified.body();
    if body.len() <= TRIM_ABOVE_BYTES {
        return None;
    }
    let raw: &RawValue = serde_json::from_slice(body).ok()?;
    let mut out = String::with_capacity(body.len().min(256 * 1024));
    edit(raw.get(), Edit::Members(envelope), &mut out);
    (out.len() < body.len()).then(|| out.into_bytes())
}

/// A large REST item, trimmed by the same rules, or `None` where it stays as it is.
pub fn trim_item(json: &[u8]) -> Option<Vec<u8>> {
    if json.len() <= TRIM_ABOVE_BYTES {
        return None;
    }
    let raw: &RawValue = serde_json::from_slice(json).ok()?;
    let mut out = String::with_capacity(json.len().min(256 * 1024));
    edit(raw.get(), Edit::Members(item), &mut out);
    (out.len() < json.len()).then(|| out.into_bytes())
}

/// What becomes of a value.
enum Edit {
    /// Stays as it is.
    Keep,
    /// Goes.
    Drop,
    /// An object whose members are edited each by its name.
    Members(fn(&str) -> Edit),
    /// A list of such objects, bare or inside an object.
    Entries(fn(&str) -> Edit),
    /// A list of which only the length is read.
    Length,
    /// A message's text: as much of it as can be sent.
    Body,
    /// A text of which is only asked whether there is any.
    BodyMark,
}

fn envelope(name: &str) -> Edit {
    if name == "data" { Edit::Members(data) } else { Edit::Keep }
}

fn data(name: &str) -> Edit {
    if name == "item" { Edit::Members(item) } else { Edit::Keep }
}

fn item(name: &str) -> Edit {
    match name {
        "ticket" => Edit::Members(ticket),
        "ticket_part" | "source" => Edit::Members(message),
        "conversation_parts" => Edit::Entries(message),
        _ => ticket(name),
    }
}

fn ticket(name: &str) -> Edit {
    match name {
        "ticket_type" => Edit::Members(ticket_type),
        "ticket_parts" => Edit::Entries(history_part),
        _ => Edit::Keep,
    }
}

fn ticket_type(name: &str) -> Edit {
    if name == "ticket_type_attributes" { Edit::Drop } else { Edit::Keep }
}

/// Of a message that the notification is about.
fn message(name: &str) -> Edit {
    match name {
        "body" => Edit::Body,
        "attachments" => Edit::Length,
        "email_message_metadata" | "metadata" | "event_details" | "tags" | "translations" => Edit::Drop,
        _ => Edit::Keep,
    }
}

/// Of a part in a ticket's history: up to 500 of them, so only what is read stays. A reply brings its own copy beside the
/// ticket.
fn history_part(name: &str) -> Edit {
    match name {
        "id" | "part_type" | "created_at" | "ticket_state" | "previous_ticket_state" => Edit::Keep,
        "author" => Edit::Members(author),
        "attachments" => Edit::Length,
        "body" => Edit::BodyMark,
        _ => Edit::Drop,
    }
}

fn author(name: &str) -> Edit {
    if matches!(name, "id" | "type") { Edit::Keep } else { Edit::Drop }
}

/// Writes a value, edited. A value of another kind than the edit is for stays as it is.
fn edit(raw: &str, how: Edit, out: &mut String) {
    let edited = match how {
        Edit::Keep | Edit::Drop => None,
        Edit::Members(rule) => members(raw, rule, out),
        Edit::Entries(rule) if raw.starts_with('{') => {
            members_with(raw, |_, value| if value.starts_with('[') { Edit::Entries(rule) } else { Edit::Keep }, out)
        }
        Edit::Entries(rule) => entries(raw, |entry, out| edit(entry, Edit::Members(rule), out), out),
        Edit::Length => entries(raw, |_, out| out.push('0'), out),
        Edit::Body => body(raw, out),
        Edit::BodyMark => body_mark(raw, out),
    };
    if edited.is_none() {
        out.push_str(raw);
    }
}

fn members(raw: &str, rule: fn(&str) -> Edit, out: &mut String) -> Option<()> {
    members_with(raw, |name, _| rule(name), out)
}

fn members_with(raw: &str, rule: impl Fn(&str, &str) -> Edit, out: &mut String) -> Option<()> {
    let members: Members<'_> = raw.starts_with('{').then(|| serde_json::from_str(raw).ok())??;
    out.push('{');
    let mut separator = "";
    for (name, value) in members.0 {
        let how = rule(&name, value.get());
        if !matches!(how, Edit::Drop) {
            out.push_str(separator);
            push_json_text(out, &name);
            out.push(':');
            edit(value.get(), how, out);
            separator = ",";
        }
    }
    out.push('}');
    Some(())
}

fn entries(raw: &str, write: impl Fn(&str, &mut String), out: &mut String) -> Option<()> {
    let entries: Vec<&RawValue> = raw.starts_with('[').then(|| serde_json::from_str(raw).ok())??;
    out.push('[');
    for (index, entry) in entries.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(entry.get(), out);
    }
    out.push(']');
    Some(())
}

fn body(raw: &str, out: &mut String) -> Option<()> {
    let html = text_longer_than(raw, MAX_BODY_BYTES)?;
    let text = plain(&html);
    // A body of pictures only has no text, and still is one.
    let kept = if text.is_empty() && has_content(&html) { Cow::Borrowed("<img>") } else { Cow::Owned(start_of(&text)) };
    push_json_text(out, &kept);
    Some(())
}

/// The start of a plain text, as HTML: it is read as such again.
fn start_of(text: &str) -> String {
    let mut end = text.len().min(MAX_BODY_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].replace('&', "&amp;").replace('<', "&lt;")
}

fn body_mark(raw: &str, out: &mut String) -> Option<()> {
    let html = text_longer_than(raw, MAX_HISTORY_BODY_BYTES)?;
    push_json_text(out, if has_content(&html) { "…" } else { "" });
    Some(())
}

/// The text of a JSON string that takes more than so many bytes.
fn text_longer_than(raw: &str, max_bytes: usize) -> Option<String> {
    (raw.starts_with('"') && raw.len() > max_bytes + 2).then(|| serde_json::from_str(raw).ok())?
}

/// An object's members in their order, values unread.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;

        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::with_capacity(40);
                while let Some((name, value)) = map.next_entry::<Text<'de>, &'de RawValue>()? {
                    members.push((name.0.unwrap_or_default(), value));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(MembersVisitor)
    }
}
