//! The question to Intercom, its answer, and what the answer means: the words that the reader and the decision share.

use serde::{Deserialize, Serialize};

use super::span::Span;

/// Which of Intercom's two searches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StreamName {
    /// `POST /conversations/search`.
    Conversations,
    /// `POST /tickets/search`: whole tickets, parts included.
    Tickets,
}

impl StreamName {
    /// Both, in the order in which they are shown.
    pub const ALL: [Self; 2] = [Self::Conversations, Self::Tickets];

    /// As in the status.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Conversations => "conversations",
            Self::Tickets => "tickets",
        }
    }

    /// Items on a full page. Tickets come with all their parts, so fewer.
    pub fn full_page(self) -> u32 {
        match self {
            Self::Conversations => 50,
            Self::Tickets => 25,
        }
    }
}

/// A question to Intercom: one page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Of which stream.
    pub stream: StreamName,
    /// What counts of the answer.
    pub span: Span,
    /// What is asked for: the span itself, or a day more on each side where the filter knows only days.
    pub asked: Span,
    /// Items on the page.
    pub per_page: u32,
    /// Where to go on, in a span that needs several pages.
    pub cursor: Option<String>,
    /// What it is for.
    pub purpose: Purpose,
}

/// What a window is read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// How many items there are.
    Count,
    /// Whether the filter knows seconds: a second is asked for that is known to hold an item.
    Calibrate,
    /// The items.
    Read,
    /// Whether Intercom answers at all, after a page of one item failed: nothing is asked for.
    Ping,
}

/// A page as it came, before anything was done with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageSeen {
    /// Intercom's `total_count`.
    pub total: u64,
    /// Different items on the page.
    pub raw: u64,
    /// Those of them inside the window's span.
    pub inside: u64,
    /// Those more than a second outside of what was asked for: the filter knows days only.
    pub far: u64,
    /// `created_at` of one of them.
    pub example: Option<i64>,
    /// Size of the answer.
    pub bytes: u64,
    /// Cursor of the next page.
    pub next: Option<String>,
}

/// What a page means. Decided before its items are put on the queue, applied after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// A count or a calibration: the stream learns from it, no item is taken.
    Learned(PageSeen),
    /// The window is read to its end and the numbers agree: its items are taken.
    Whole {
        /// Items in the window, all its pages together.
        items: u64,
        /// Size of the answer.
        bytes: u64,
    },
    /// Its items are taken, and the window goes on.
    Part(PageSeen),
    /// More items than a page holds: nothing is taken, the next window is narrower.
    Narrow {
        /// Intercom's `total_count`.
        total: u64,
        /// Whether the filter turned out to know days only.
        days_only: bool,
    },
    /// The numbers differ: nothing is taken, the window is read a second time.
    Doubt,
    /// They differ again: what came is taken, and the difference is listed.
    Differs {
        /// Items that came inside the window.
        items: u64,
        /// What differs.
        difference: Difference,
    },
}

impl Judgement {
    /// Whether the page's items go on the queue before the judgement is applied.
    pub fn takes_items(&self) -> bool {
        matches!(self, Self::Whole { .. } | Self::Part(_) | Self::Differs { .. })
    }
}

/// A window in which Intercom counts other items than it gives, twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// The window.
    pub span: Span,
    /// Intercom's `total_count`.
    pub total: u64,
    /// Items that it gave.
    pub given: u64,
}

/// Why a page did not come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// 5xx, timeout, too large or unreadable while Intercom answers others: a smaller page may pass.
    TooHeavy,
    /// A limit, or an outage: the same page passes later.
    Later,
}
