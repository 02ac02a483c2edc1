//! What is remembered of one contact.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::facts::{Fact, Rated};
use super::stand::{Stand, Version};
use super::{Effect, MEMORY};

/// A contact's threads, last rating and last message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Member {
    /// Threads that are open, and those that were not long ago.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub threads: BTreeMap<String, Stand>,
    /// When the contact last wrote, in Unix seconds.
    #[serde(rename = "wrote", skip_serializing_if = "Option::is_none")]
    pub wrote_at: Option<i64>,
    /// The last rating.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rated: Option<Rated>,
    /// The contact is moving in: the record it comes from may still have it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub arriving: bool,
}

impl Member {
    /// Takes a fact in. `now`, in Unix seconds, decides what is forgotten.
    pub(super) fn take(&mut self, fact: &Fact, now: i64) -> Effect {
        let mut effect = Effect::default();
        if let Some(said) = fact.said {
            let reported = Stand { version: said.version, seen: fact.seen, pending: false };
            match self.threads.get_mut(&fact.thread) {
                Some(known) => {
                    let newer = said.version > known.version;
                    // Between the two it may have been closed and opened, by reports that are still on their way.
                    let still = said.unmoved_since.is_some_and(|since| since < known.version.at)
                        && said.version.ticket == known.version.ticket;
                    effect.may_hide |= newer && !still;
                    *known = known.join(reported);
                }
                None if is_remembered(&reported, now) => {
                    self.threads.insert(fact.thread.clone(), reported);
                    effect.may_hide = true;
                }
                None => {}
            }
        }
        self.wrote_at = self.wrote_at.max(fact.wrote_at);
        self.rated = self.rated.take().max(fact.rated.clone());
        self.threads.retain(|_, stand| stand.version.is_open() || !is_forgotten(stand, now));
        effect
    }

    /// What two records know of the contact together.
    pub fn join(&mut self, other: &Self) {
        for (thread, stand) in &other.threads {
            self.threads.entry(thread.clone()).and_modify(|known| *known = known.join(*stand)).or_insert(*stand);
        }
        self.wrote_at = self.wrote_at.max(other.wrote_at);
        self.rated = self.rated.take().max(other.rated.clone());
    }

    /// The thread is deleted.
    pub(super) fn delete(&mut self, thread: &str, now: i64) {
        let version =
            Version { deleted: true, ticket: false, at: now, parts: 0, closed: true, left: false, company: 0 };
        let gone = Stand { version, seen: now, pending: false };
        self.threads.entry(thread.to_owned()).and_modify(|known| *known = known.join(gone)).or_insert(gone);
    }
}

/// Of a thread that nobody remembers: one that is open, if the report is young enough to be trusted; one that is not, as long as
/// an older report may still be on its way.
fn is_remembered(stand: &Stand, now: i64) -> bool {
    let young = |at: i64| at >= now.saturating_sub(MEMORY);
    young(stand.seen) && (stand.version.is_open() || young(stand.version.at))
}

/// A day longer than a report is trusted.
fn is_forgotten(stand: &Stand, now: i64) -> bool {
    stand.seen < now.saturating_sub(MEMORY + 24 * 3600)
}
