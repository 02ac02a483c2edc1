//! How a thread stands, and which of two reports of it is the newer one.

use serde::{Deserialize, Serialize};

use crate::ids::KeyHash;

/// Orders the reports of one thread. Later members decide only where the earlier ones are equal; the derived order is the law.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Version {
    /// Deleted. Nothing comes after that.
    #[serde(rename = "gone", default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    /// It is a ticket. A conversation may become one, with the same id, and then its conversation says nothing about its state.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ticket: bool,
    /// Intercom's `updated_at`, or the newest part's time where that is later, in Unix seconds.
    pub at: i64,
    /// How many parts it has: tells changes of one second apart, where Intercom counts them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub parts: u64,
    /// Not open. Of two reports that agree in all else, the closed one is taken for the newer: to close is what usually comes last.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub closed: bool,
    /// The contact takes part no more. Says so of this contact alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub left: bool,
    /// Stands for the contacts who take part, where they are several: changes with them.
    #[serde(rename = "with", default, skip_serializing_if = "is_zero")]
    pub company: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// What stands for contacts who take part together; 0 for one alone.
pub(super) fn company<'c>(contacts: impl ExactSizeIterator<Item = &'c str>) -> u64 {
    if contacts.len() < 2 {
        return 0;
    }
    let mut names: Vec<&str> = contacts.collect();
    names.sort_unstable();
    let hash = KeyHash::of(&names.join(" "));
    // Six bytes are plenty, and a whole number in any reader of JSON.
    hash.as_bytes().iter().take(6).fold(1, |number, byte| number << 8 | u64::from(*byte))
}

impl Version {
    /// Whether it counts as open.
    pub fn is_open(&self) -> bool {
        !self.closed && !self.deleted && !self.left
    }
}

/// What is remembered of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stand {
    /// The newest report's.
    #[serde(flatten)]
    pub version: Version,
    /// When it was last reported, in Unix seconds.
    pub seen: i64,
    /// Somebody took part who does not any more, and it is not done yet that they lose it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pending: bool,
}

impl Stand {
    /// The newer of two.
    pub fn join(self, other: Self) -> Self {
        Self {
            version: self.version.max(other.version),
            seen: self.seen.max(other.seen),
            pending: self.pending || other.pending,
        }
    }
}
