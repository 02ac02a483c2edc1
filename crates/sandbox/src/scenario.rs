//! A small shop's day that brings every one of the nine metrics, and what Klaviyo should hold afterwards.
//!
//! What is expected comes from the model's own state and from the rules of the product's agreement, never from the
//! product's code: it is the other side of the comparison.

mod check;
mod expected;
mod script;

use serde::{Deserialize, Serialize};

pub use self::{
    check::{Difference, check},
    expected::{HistoryOptions, expected_history},
    script::nine_metrics,
};

/// The nine metrics' bare names, in the order of the product's table.
pub const METRICS: [&str; 9] = [
    CREATED_CONVERSATION,
    RATED_CONVERSATION,
    READ_CONVERSATION,
    REPLIED_TO_CONVERSATION,
    CREATED_TICKET,
    SUBMITTED_TICKET,
    REPLIED_TO_TICKET,
    MARKED_TICKET_ON_HOLD,
    RESOLVED_TICKET,
];

pub(crate) const CREATED_CONVERSATION: &str = "Created Conversation";
pub(crate) const RATED_CONVERSATION: &str = "Rated Conversation";
pub(crate) const READ_CONVERSATION: &str = "Read Conversation";
pub(crate) const REPLIED_TO_CONVERSATION: &str = "Replied to Conversation";
pub(crate) const CREATED_TICKET: &str = "Created Ticket";
pub(crate) const SUBMITTED_TICKET: &str = "Submitted Ticket";
pub(crate) const REPLIED_TO_TICKET: &str = "Replied to Ticket";
pub(crate) const MARKED_TICKET_ON_HOLD: &str = "Marked Ticket On Hold";
pub(crate) const RESOLVED_TICKET: &str = "Resolved Ticket";

/// An event that Klaviyo should hold exactly once.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ExpectedEvent {
    /// The metric's bare name, without the prefix.
    pub metric: String,
    /// The whole unique_id, such as `intercom:sandbox1:ticket-created:215472600000042`.
    pub key: String,
    /// Unix seconds.
    pub time: i64,
    /// The profile's address; `None` for a contact who has only a phone number.
    pub email: Option<String>,
    /// The profile's phone number (E.164), where the contact has one.
    pub phone: Option<String>,
}
