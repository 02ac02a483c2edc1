//! The single currency: who did what, when, under which key. Live notifications and REST items both become it, by the same
//! functions, so that live, history and reconcile agree on key, time and person.

mod conversation;
mod notification;
mod people;
mod rest;
mod ticket;

use jiff::{SignedDuration, Timestamp};

use crate::ids::{ContactId, EventKey};
use crate::intercom::{Item, Part};
use crate::metric::Metric;
use crate::rules::Rules;
use crate::skip::Skip;

pub(crate) use conversation::rated_at;
pub use notification::from_notification;
pub use rest::{conversation_from_rest, ticket_from_rest};

/// One real-world event.
#[derive(Debug)]
pub struct Activity<'a> {
    /// Which metric it counts under.
    pub metric: Metric,
    /// Its identity, made of immutable Intercom ids alone.
    pub key: EventKey,
    /// When it happened, to the second.
    pub time: Timestamp,
    /// Whose it is.
    pub contact: ContactId,
    /// The conversation or ticket it happened in.
    pub item: &'a Item<'a>,
    /// The part that records it, for replies and state changes.
    pub part: Option<&'a Part<'a>>,
    /// The time was not in the data and had to be concluded (history of tickets without state parts).
    pub estimated: bool,
}

/// What a notification or REST item holds: for everything that some rule looked at, one finding.
#[derive(Debug)]
pub enum Finding<'a> {
    /// An event.
    Event(Activity<'a>),
    /// None, for this reason.
    Skip(Skip),
    /// Something without which nothing can be said is missing: kept for a human, never guessed.
    Odd(&'static str),
}

/// What the rules need beside the item.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The workspace, part of every key.
    pub workspace: &'a str,
    /// The settings.
    pub rules: &'a Rules,
    /// The moment now, for the range of times that Klaviyo takes.
    pub now: Timestamp,
}

impl Context<'_> {
    /// Turns a candidate into a finding: metric on, contact there, time in range.
    fn event<'a>(&self, candidate: Candidate<'a>) -> Finding<'a> {
        if !self.rules.wants(candidate.metric) {
            return Finding::Skip(Skip::MetricOff(candidate.metric));
        }
        let contact = match candidate.contact {
            Ok(contact) => contact,
            Err(skip) => return Finding::Skip(skip),
        };
        let Some(time) = candidate.time else { return Finding::Odd("time of the event") };
        if !time_in_range(time, self.now) {
            return Finding::Skip(Skip::TimeOutOfRange);
        }
        if candidate.key.as_str().len() > EventKey::MAX_BYTES {
            return Finding::Odd("id of a usable length");
        }
        Finding::Event(Activity {
            metric: candidate.metric,
            key: candidate.key,
            time,
            contact,
            item: candidate.item,
            part: candidate.part,
            estimated: candidate.estimated,
        })
    }

    fn key(&self, rest: std::fmt::Arguments<'_>) -> EventKey {
        EventKey::new(self.workspace, rest)
    }
}

/// An event before the rules that hold for all of them.
struct Candidate<'a> {
    metric: Metric,
    key: EventKey,
    time: Option<Timestamp>,
    contact: Result<ContactId, Skip>,
    item: &'a Item<'a>,
    part: Option<&'a Part<'a>>,
    estimated: bool,
}

/// Klaviyo takes times after 1990 and up to a year ahead
/// (<https://developers.klaviyo.com/en/reference/create_event>).
fn time_in_range(time: Timestamp, now: Timestamp) -> bool {
    const YEAR_1990: i64 = 631_152_000;
    let latest = now.checked_add(SignedDuration::from_hours(365 * 24)).unwrap_or(Timestamp::MAX);
    time.as_second() >= YEAR_1990 && time <= latest
}
