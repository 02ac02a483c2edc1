//! What is kept of a message beside its claims: that it has ended, or what was tried.
//!
//! Most messages never get one (`settle.rs` says which). A marker says that the message *ended* as soon as its author's number is
//! done, so it can be written before the books are, and means nothing if the author dies in between.

use std::sync::Arc;

use app::ports::{Clock, Progress, StoreResult};
use domain::MessageId;

use crate::queue::Queues;
use crate::registry::Taken;
use crate::store::AwsStore;
use crate::table::{Attributes, Condition, Item, Key, TTL, Table, Value, Write, Written, item, text};
use crate::totals::Standing;
use crate::trouble::{TABLE, unavailable};

/// A queue keeps a message for 14 days; a day more.
const KEPT_SECONDS: i64 = 15 * 24 * 3600;

/// A message's marker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Marker {
    /// Of which return of the message it speaks.
    pub(crate) generation: u32,
    /// Whether the message has ended.
    pub(crate) ended: bool,
    /// Whether that holds only once the author's number is done.
    pub(crate) if_done: bool,
    /// Who wrote it, and under which number.
    pub(crate) by: (String, u64),
    /// Until when the author is believed to work on it, in microseconds.
    pub(crate) until: i64,
    pub(crate) progress: Progress,
    pub(crate) version: i64,
}

impl Marker {
    pub(crate) fn key(id: &MessageId) -> Key {
        Key::new(format!("m#{id}"), "-")
    }

    pub(crate) fn read(item: &Item) -> Self {
        let number = |name| item.number(name).unwrap_or(0);
        let small = |name| u16::try_from(number(name)).unwrap_or(u16::MAX);
        Self {
            generation: u32::try_from(number("gen")).unwrap_or(0),
            ended: number("ended") == 1,
            if_done: number("if_done") == 1,
            by: (item.text("w").unwrap_or_default().to_owned(), number("n").unsigned_abs()),
            until: number("until"),
            progress: Progress {
                attempts: small("attempts"),
                contact_tries: small("tries"),
                sent: number("sent") == 1,
            },
            version: number("version"),
        }
    }

    fn item(&self, expires: i64) -> Item {
        let flag = |set: bool| Value::Number(i64::from(set));
        item([
            ("v", Value::Number(1)),
            ("version", Value::Number(self.version)),
            ("gen", Value::Number(i64::from(self.generation))),
            ("ended", flag(self.ended)),
            ("if_done", flag(self.if_done)),
            ("w", text(self.by.0.clone())),
            ("n", Value::Number(self.by.1.cast_signed())),
            ("until", Value::Number(self.until)),
            ("attempts", Value::Number(i64::from(self.progress.attempts))),
            ("tries", Value::Number(i64::from(self.progress.contact_tries))),
            ("sent", flag(self.progress.sent)),
            (TTL, Value::Number(expires)),
        ])
    }

    /// Holds while the marker is the one that was read.
    fn unchanged(known: Option<&Self>) -> Condition {
        match known {
            None => Condition::Absent,
            Some(known) => Condition::Matches(vec![("version".to_owned(), Some(Value::Number(known.version)))]),
        }
    }
}

/// What a marker is to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Says {
    /// The message ended, once our number is done.
    EndsWithNumber,
    /// The message ended.
    Ended,
    /// It goes on, and this was tried.
    Tried,
}

impl<C: Clock + 'static, T: Table, Q: Queues> AwsStore<C, T, Q> {
    /// The marker as we would write it over what we know.
    pub(crate) fn marker(&self, taken: &Taken, says: Says, progress: Progress) -> (Marker, Write) {
        let known = taken.state().marker.clone();
        let marker = Marker {
            generation: taken.generation,
            ended: says != Says::Tried,
            if_done: says == Says::EndsWithNumber,
            by: taken.by(),
            until: taken.until.as_microsecond(),
            progress,
            version: known.as_ref().map_or(0, |known| known.version) + 1,
        };
        let item = marker.item(self.expires_in(KEPT_SECONDS));
        let write = Write::put(Marker::key(&taken.id), item, Marker::unchanged(known.as_ref()));
        (marker, write)
    }

    /// The marker of a message that ended without being taken from the queue again: given up, or discarded. It speaks of the
    /// next return, so that a copy that is on the queue already counts for nothing.
    pub(crate) fn end_marker(&self, id: &MessageId, generation: u32) -> Write {
        let marker = Marker {
            generation,
            ended: true,
            if_done: false,
            by: (String::new(), 0),
            until: 0,
            progress: Progress::default(),
            // Far from the versions of earlier returns, so that no condition on one of those holds by chance.
            version: i64::from(generation) * 1_000_000,
        };
        Write::put(Marker::key(id), marker.item(self.expires_in(KEPT_SECONDS)), Condition::Always)
    }

    /// Writes it. `false` when the message is somebody else's, or has ended.
    pub(crate) async fn mark(&self, taken: &Arc<Taken>, says: Says, progress: Progress) -> StoreResult<bool> {
        for _ in 0..10 {
            let (marker, write) = self.marker(taken, says, progress);
            match self.table.write(write).await? {
                Written::Done => {
                    taken.state().marker = Some(marker);
                    return Ok(true);
                }
                Written::Conflict(None) => taken.state().marker = None,
                Written::Conflict(Some(item)) => {
                    if !self.may_replace(taken, &item).await? {
                        return Ok(false);
                    }
                }
            }
        }
        Err(unavailable(TABLE, "a message's marker changes too fast; trying again"))
    }

    /// Whether what stands there does not end the message. Makes it the known one then.
    pub(crate) async fn may_replace(&self, taken: &Taken, item: &Item) -> StoreResult<bool> {
        let there = Marker::read(item);
        if there.generation > taken.generation {
            return Ok(false);
        }
        // Our own, of a try whose answer was lost, stands in nobody's way.
        if there.generation == taken.generation && there.ended && there.by != taken.by() {
            let ended = !there.if_done || self.fence(&there.by.0, there.by.1).await? == Standing::Done;
            if ended {
                return Ok(false);
            }
        }
        taken.state().marker = Some(there);
        Ok(true)
    }
}
