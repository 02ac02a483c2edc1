//! A notification as a message of SQS.
//!
//! The body is the notification itself where SQS takes it: text in the characters #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to
//! #xFFFD | #x10000 to #x10FFFF
//! (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html>). Other bytes are base64.
//! What is then over 1 MiB is deflated (JSON shrinks to a tenth; 3 MB of it fit). What is still too large is cut: its
//! beginning is kept, with the length and SHA-256 of the whole. Only bytes that are no JSON can get there in practice: readable
//! notifications were trimmed before. A cut body is unreadable to the consumer, which dead-letters it for a human.
//!
//! Attributes say how to read it. `v` is the version: a higher one than ours stays on the queue, because a deployment is going on.

use std::collections::BTreeMap;

use app::ports::{Accepted, Progress};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use domain::{MessageId, SignatureScheme};
use jiff::Timestamp;

use crate::pack;
use crate::queue::{MAX_MESSAGE_BYTES, OutMessage, QueueRecord};

/// Version of the messages that this code writes.
const VERSION: u32 = 1;

/// Most bytes of a body: what attributes may need stays free.
const MAX_BODY_BYTES: usize = MAX_MESSAGE_BYTES - 2048;

/// Most bytes that a body may inflate to: larger ones are never accepted.
const MAX_INFLATED_BYTES: u64 = 8 * 1024 * 1024;

/// Where a message was before it was put on a queue again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CameFrom {
    Parked,
    Dead,
}

/// What a message that was put on a queue again carries with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Return {
    /// Its id from the first time.
    pub(crate) id: MessageId,
    /// How often it came back. Tells copies of the time before from this one.
    pub(crate) generation: u32,
    pub(crate) from: CameFrom,
    /// Its sort key among the dead letters.
    pub(crate) letter: Option<String>,
    pub(crate) progress: Progress,
}

/// What a queue's message turns out to be.
#[derive(Debug)]
pub(crate) enum Opened {
    /// Ours.
    Message(Accepted, Option<Return>),
    /// Of a newer version: not ours to judge.
    Newer,
    /// Not from us, or broken: with a sentence for a human.
    Foreign(Accepted, String),
}

/// Packs a notification.
pub(crate) fn seal(accepted: &Accepted, back: Option<&Return>) -> OutMessage {
    let mut attributes = BTreeMap::from([
        ("v".to_owned(), VERSION.to_string()),
        ("scheme".to_owned(), scheme_name(accepted.scheme).to_owned()),
        ("received".to_owned(), accepted.received_at.as_microsecond().to_string()),
    ]);
    let (encoding, body) = encode(&accepted.body, &mut attributes);
    attributes.insert("encoding".to_owned(), encoding.to_owned());
    if let Some(back) = back {
        let from = match back.from {
            CameFrom::Parked => "parked",
            CameFrom::Dead => "dead",
        };
        attributes.insert("id".to_owned(), back.id.as_str().to_owned());
        attributes.insert("back".to_owned(), from.to_owned());
        let Progress { attempts, contact_tries, sent } = back.progress;
        // One attribute for all that counts: SQS takes ten in all.
        let state = format!("{} {attempts} {contact_tries} {}", back.generation, u8::from(sent));
        attributes.insert("state".to_owned(), state);
        if let Some(letter) = &back.letter {
            attributes.insert("letter".to_owned(), letter.clone());
        }
    }
    OutMessage { body, attributes }
}

fn encode(body: &[u8], attributes: &mut BTreeMap<String, String>) -> (&'static str, String) {
    match std::str::from_utf8(body) {
        // SQS refuses an empty body.
        Ok(text) if !text.is_empty() && text.len() <= MAX_BODY_BYTES && text.chars().all(is_taken) => {
            return ("text", text.to_owned());
        }
        _ if !body.is_empty() && body.len().div_ceil(3) * 4 <= MAX_BODY_BYTES => {
            return ("base64", STANDARD.encode(body));
        }
        _ => {}
    }
    if let Some(deflated) = pack::pack(body)
        && deflated.len().div_ceil(3) * 4 <= MAX_BODY_BYTES
    {
        return ("deflate", STANDARD.encode(deflated));
    }
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, body);
    let hash: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    attributes.insert("cut".to_owned(), format!("{} bytes, SHA-256 {hash}", body.len()));
    ("base64", STANDARD.encode(&body[..MAX_BODY_BYTES / 4 * 3]))
}

/// Whether SQS takes the character. Its range ends at #xFFFD below the supplementary planes.
fn is_taken(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | '\u{20}'..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..='\u{10FFFF}')
}

/// Unpacks a message.
pub(crate) fn open(record: &QueueRecord) -> Opened {
    let attribute = |name: &str| record.attributes.get(name).map(String::as_str);
    let foreign = |why: &str| {
        let received_at = Timestamp::from_millisecond(record.sent_at).unwrap_or_default();
        let body = Bytes::copy_from_slice(record.body.as_bytes());
        Opened::Foreign(Accepted { scheme: SignatureScheme::Hub, received_at, body }, why.to_owned())
    };
    match attribute("v").and_then(|version| version.parse::<u32>().ok()) {
        Some(version) if version > VERSION => return Opened::Newer,
        Some(_) => {}
        None => return foreign("this message was not put on the queue by the webhook or the import"),
    }
    let received = attribute("received").and_then(|text| text.parse().ok());
    let (Some(scheme), Some(received_at)) =
        (attribute("scheme").and_then(scheme), received.and_then(|at| Timestamp::from_microsecond(at).ok()))
    else {
        return foreign("the queue's message does not say how it was signed or when it was received");
    };
    let Some(mut body) = decode(attribute("encoding").unwrap_or("text"), &record.body) else {
        return foreign("the queue's message is not encoded as it says");
    };
    if let Some(cut) = attribute("cut") {
        body.extend_from_slice(format!("\n[cut here; whole: {cut}]").as_bytes());
    }
    let accepted = Accepted { scheme, received_at, body: Bytes::from(body) };
    match attribute("id") {
        None => Opened::Message(accepted, None),
        Some(id) => match back(id, record) {
            Some(back) => Opened::Message(accepted, Some(back)),
            None => foreign("the queue's message does not say where it came back from"),
        },
    }
}

fn back(id: &str, record: &QueueRecord) -> Option<Return> {
    let from = match record.attributes.get("back")?.as_str() {
        "parked" => CameFrom::Parked,
        "dead" => CameFrom::Dead,
        _ => return None,
    };
    let mut state = record.attributes.get("state")?.split(' ');
    let generation = state.next()?.parse().ok()?;
    let (attempts, contact_tries) = (state.next()?.parse().ok()?, state.next()?.parse().ok()?);
    let progress = Progress { attempts, contact_tries, sent: state.next()? == "1" };
    Some(Return {
        id: MessageId::new(id),
        generation,
        from,
        letter: record.attributes.get("letter").cloned(),
        progress,
    })
}

fn decode(encoding: &str, body: &str) -> Option<Vec<u8>> {
    match encoding {
        "text" => Some(body.as_bytes().to_vec()),
        "base64" => STANDARD.decode(body).ok(),
        "deflate" => pack::unpack(&STANDARD.decode(body).ok()?, MAX_INFLATED_BYTES),
        _ => None,
    }
}

/// As attributes and items have it.
pub(crate) fn scheme_name(scheme: SignatureScheme) -> &'static str {
    match scheme {
        SignatureScheme::Hub => "hub",
        SignatureScheme::Body => "body",
        SignatureScheme::Rest => "rest",
    }
}

/// The way back.
pub(crate) fn scheme(name: &str) -> Option<SignatureScheme> {
    match name {
        "hub" => Some(SignatureScheme::Hub),
        "body" => Some(SignatureScheme::Body),
        "rest" => Some(SignatureScheme::Rest),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
