//! What goes to Klaviyo, and how its refusals read.
//!
//! Shapes and limits: <https://developers.klaviyo.com/en/reference/create_event> and
//! <https://developers.klaviyo.com/en/reference/bulk_create_events>, revision [`REVISION`].

mod profile;

use std::fmt;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::identity::Identity;
use crate::ids::{ContactId, EventKey};
use crate::lenient::{Maybe, Text};

pub use profile::{PreparedProfile, ProfileChange};

/// The API revision that every request carries. The first that knows `backfill`.
pub const REVISION: &str = "2026-07-15";

/// Most events in one bulk request.
pub const BULK_MAX_EVENTS: usize = 1_000;

/// Most bytes that we put into one bulk request; Klaviyo takes 5 MB.
pub const BULK_MAX_BYTES: usize = 4_000_000;

/// An event ready to be sent, singly or in bulk: both bodies are made of the same two pieces of JSON.
#[derive(Clone, PartialEq, Eq)]
pub struct PreparedEvent {
    /// Klaviyo's `unique_id`.
    pub key: EventKey,
    /// Full metric name.
    pub metric: String,
    /// When it happened.
    pub time: Timestamp,
    /// Whose it is.
    pub contact: ContactId,
    /// The identifiers inside `profile`.
    pub identity: Identity,
    /// The members of the event's `attributes`, without braces and without `profile`.
    pub(crate) attributes: String,
    /// The profile object: `{"type":"profile","attributes":{…}}`.
    pub(crate) profile: String,
}

/// Prints ids and sizes, never the contents.
impl fmt::Debug for PreparedEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreparedEvent")
            .field("key", &self.key)
            .field("metric", &self.metric)
            .field("bytes", &(self.attributes.len() + self.profile.len()))
            .finish_non_exhaustive()
    }
}

fn collect_texts(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::String(text) => texts.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| collect_texts(item, texts)),
        Value::Object(members) => members.values().for_each(|member| collect_texts(member, texts)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

const BULK_HEAD: &str = r#"{"data":{"type":"event-bulk-create-job","attributes":{"events-bulk-create":{"data":["#;
const BULK_TAIL: &str = "]}}}}";
const ELEMENT_HEAD: &str = r#"{"type":"event-bulk-create","attributes":{"profile":{"data":"#;
const ELEMENT_MIDDLE: &str = r#"},"events":{"data":[{"type":"event","attributes":{"#;
const ELEMENT_TAIL: &str = "}}]}}}";

impl PreparedEvent {
    /// The body of `POST /api/events`.
    pub fn single_body(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(self.attributes.len() + self.profile.len() + 80);
        body.extend_from_slice(br#"{"data":{"type":"event","attributes":{"#);
        body.extend_from_slice(self.attributes.as_bytes());
        body.extend_from_slice(br#","profile":{"data":"#);
        body.extend_from_slice(self.profile.as_bytes());
        body.extend_from_slice(b"}}}}");
        body
    }

    /// Bytes that the event adds to a bulk request.
    pub fn bulk_len(&self) -> usize {
        ELEMENT_HEAD.len() + self.profile.len() + ELEMENT_MIDDLE.len() + self.attributes.len() + ELEMENT_TAIL.len() + 1
    }

    /// Every text in the properties and the profile: what must not stand in a reason.
    pub fn texts(&self) -> Vec<String> {
        let mut texts = Vec::new();
        let attributes = format!("{{{}}}", self.attributes);
        let event: Value = serde_json::from_str(&attributes).unwrap_or_default();
        let profile: Value = serde_json::from_str(&self.profile).unwrap_or_default();
        for part in [event.get("properties"), profile.get("attributes")].into_iter().flatten() {
            collect_texts(part, &mut texts);
        }
        texts
    }

    /// The profile object as JSON, for `explain`.
    pub fn profile_json(&self) -> &str {
        &self.profile
    }
}

/// The body of `POST /api/event-bulk-create-jobs`: one element an event, in order, so that the index in an error pointer
/// is the index in `events`.
pub fn bulk_body(events: &[&PreparedEvent]) -> Vec<u8> {
    let size = BULK_HEAD.len() + BULK_TAIL.len() + events.iter().map(|event| event.bulk_len()).sum::<usize>();
    let mut body = Vec::with_capacity(size);
    body.extend_from_slice(BULK_HEAD.as_bytes());
    for (index, event) in events.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        body.extend_from_slice(ELEMENT_HEAD.as_bytes());
        body.extend_from_slice(event.profile.as_bytes());
        body.extend_from_slice(ELEMENT_MIDDLE.as_bytes());
        body.extend_from_slice(event.attributes.as_bytes());
        body.extend_from_slice(ELEMENT_TAIL.as_bytes());
    }
    body.extend_from_slice(BULK_TAIL.as_bytes());
    body
}

/// One entry of Klaviyo's (or, folded into the same form, Intercom's) error list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiError {
    /// Klaviyo's vocabulary is unpublished; `invalid`, `throttled`, `duplicate_profile` were seen.
    pub code: Option<String>,
    /// Short.
    pub title: Option<String>,
    /// A sentence. May hold personal data: redact before showing.
    pub detail: Option<String>,
    /// JSON pointer into the request.
    pub pointer: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct WireErrors<'a> {
    #[serde(borrow)]
    errors: Vec<Maybe<WireError<'a>>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct WireError<'a> {
    #[serde(borrow)]
    code: Text<'a>,
    title: Text<'a>,
    detail: Text<'a>,
    /// Intercom's word for `detail`.
    message: Text<'a>,
    source: Maybe<WireSource<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct WireSource<'a> {
    #[serde(borrow)]
    pointer: Text<'a>,
}

/// Reads the error list of an answer. Anything else (HTML, cut bodies) gives an empty list.
pub fn parse_errors(body: &[u8]) -> Vec<ApiError> {
    let owned = |text: Text<'_>| text.get().map(str::to_owned);
    serde_json::from_slice::<WireErrors<'_>>(body)
        .map(|list| list.errors)
        .unwrap_or_default()
        .into_iter()
        .filter_map(|error| error.0)
        .map(|error| ApiError {
            code: owned(error.code),
            title: owned(error.title),
            detail: owned(error.detail).or(owned(error.message)),
            pointer: error.source.0.and_then(|source| owned(source.pointer)),
        })
        .collect()
}
