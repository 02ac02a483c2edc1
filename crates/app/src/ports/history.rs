//! What the import of the past and reconcile need: Intercom's searches, and books of their own.

use std::collections::BTreeMap;
use std::future::Future;

use bytes::Bytes;
use domain::KeyHash;
use domain::history::{Span, StreamName};
use serde::{Deserialize, Serialize};

use super::{CallError, StoreResult};

/// Which moment of an item a search is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SearchBy {
    /// Never changes.
    CreatedAt,
    /// Moves with every change of the item.
    UpdatedAt,
    /// The moment that never changes, and of the items only those that are open now: conversations that are open or snoozed,
    /// tickets that Intercom calls open.
    CreatedAtOfOpen,
}

/// One page of one of Intercom's searches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchQuery {
    /// Conversations or tickets.
    pub stream: StreamName,
    /// The moment that the span is about.
    pub by: SearchBy,
    /// From its first second to before its end. Intercom may give more: the caller looks for itself.
    pub span: Span,
    /// 1 to 150.
    pub per_page: u32,
    /// Where to go on.
    pub cursor: Option<String>,
}

/// An item of a page.
#[derive(Clone, PartialEq, Eq)]
pub struct FoundItem {
    /// Intercom's id.
    pub id: String,
    /// Unix seconds.
    pub created_at: i64,
    /// Unix seconds; `created_at` where Intercom gives none.
    pub updated_at: i64,
    /// The item as it came. Holds personal data.
    pub json: Bytes,
}

/// Prints ids and sizes, never the contents.
impl std::fmt::Debug for FoundItem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FoundItem").field("id", &self.id).field("bytes", &self.json.len()).finish_non_exhaustive()
    }
}

/// A page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SearchPage {
    /// In whatever order they came.
    pub items: Vec<FoundItem>,
    /// Intercom's `total_count`: items that the whole question finds.
    pub total: u64,
    /// Cursor of the next page.
    pub next: Option<String>,
    /// Size of the answer.
    pub bytes: u64,
}

/// Reading much of Intercom at once. Every call leaves a part of the workspace's quota to others, so it may be told to wait
/// ([`CallError::Wait`]) where a single look-up would still pass. A page that times out, is too large or cannot be read is
/// [`CallError::Unavailable`]: a smaller one may pass.
pub trait IntercomSearch: Send + Sync {
    /// `POST /conversations/search` or `POST /tickets/search`.
    fn search(&self, query: &SearchQuery) -> impl Future<Output = Result<SearchPage, CallError>> + Send;

    /// `GET /conversations/{id}`: the conversation with its parts. `None`: deleted.
    fn conversation(&self, id: &str) -> impl Future<Output = Result<Option<Bytes>, CallError>> + Send;
}

/// The text of `domain::Skip::Duplicate`.
const DUPLICATE: &str = "duplicate";

/// What became of the events of one item, or of many.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventCounts {
    /// Klaviyo took them.
    pub delivered: u64,
    /// Not wanted, by reason.
    pub skipped: BTreeMap<String, u64>,
    /// Wait for their contact.
    pub parked: u64,
    /// Refused.
    pub dead: u64,
}

impl EventCounts {
    /// Adds those of another item.
    pub fn add(&mut self, other: &Self) {
        self.delivered += other.delivered;
        self.parked += other.parked;
        self.dead += other.dead;
        for (reason, count) in &other.skipped {
            *self.skipped.entry(reason.clone()).or_default() += count;
        }
    }

    /// Takes away what [`EventCounts::add`] added.
    pub fn remove(&mut self, other: &Self) {
        self.delivered = self.delivered.saturating_sub(other.delivered);
        self.parked = self.parked.saturating_sub(other.parked);
        self.dead = self.dead.saturating_sub(other.dead);
        for (reason, count) in &other.skipped {
            if let Some(there) = self.skipped.get_mut(reason) {
                *there = there.saturating_sub(*count);
            }
        }
        self.skipped.retain(|_, count| *count > 0);
    }

    /// Whether a later count may say more: something waits for a contact or a human, or is said to be another message's, which
    /// may be a second reading of the same item.
    pub fn is_open(&self) -> bool {
        self.parked > 0 || self.dead > 0 || self.skipped.contains_key(DUPLICATE)
    }

    /// Whether these counts of an item stand in place of earlier ones of it that were open. What was delivered stays so.
    pub fn replaces(&self, earlier: &Self) -> bool {
        self.delivered >= earlier.delivered
    }

    /// What they are after whoever decides gave up what was open: skipped, for this reason.
    pub fn given_up(&self, reason: &str) -> Self {
        let mut closed = Self { parked: 0, dead: 0, ..self.clone() };
        *closed.skipped.entry(reason.to_owned()).or_default() += self.parked + self.dead;
        closed
    }
}

/// An item whose events all have a fate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemCount {
    /// In which books.
    pub book: String,
    /// Under which entry. Of counts under one entry the first stands, however often the item was read and queued, unless it
    /// [is open](EventCounts::is_open): then the next that [replaces](EventCounts::replaces) it does so, whole.
    pub entry: KeyHash,
    /// What became of them.
    pub events: EventCounts,
}

/// The books of one stream in one run of the import, or of reconcile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ItemBook {
    /// Entries: items whose events all have a fate.
    pub items: u64,
    /// What became of their events.
    pub events: EventCounts,
}

/// Books of items: what history and reconcile find is counted here and never in the six counters. Where a settlement brings an
/// [`ItemCount`], it is written with it, both or neither.
pub trait ItemBooks: Send + Sync {
    /// Counts items that need no queue. All of them or none.
    fn count_items(&self, items: Vec<ItemCount>) -> impl Future<Output = StoreResult<()>> + Send;

    /// The books under a name, consistent in themselves; empty ones where there are none.
    fn item_book(&self, book: &str) -> impl Future<Output = StoreResult<ItemBook>> + Send;

    /// Drops books that nobody reads any more, a bounded piece at a time. Gives how many entries went: 0 when all are gone.
    fn forget_book(&self, book: &str) -> impl Future<Output = StoreResult<u64>> + Send;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_spelt_as_the_domain_does() {
        assert_eq!(domain::Skip::Duplicate.to_string(), DUPLICATE);
    }
}
