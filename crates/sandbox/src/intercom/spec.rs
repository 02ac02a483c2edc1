//! Words of the public API: versions, states, what a new contact looks like.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The API version that webhook bodies follow (the app's setting in the Developer Hub).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ApiVersion {
    /// `ticket_state` is a string.
    #[serde(rename = "2.11")]
    V2_11,
    /// `ticket_state` becomes an object.
    #[serde(rename = "2.12")]
    V2_12,
    /// More part fields.
    #[serde(rename = "2.13")]
    V2_13,
    /// `conversation_rating.updated_at`.
    #[serde(rename = "2.14")]
    V2_14,
    /// Unix dates in statistics, plain bodies, `ticket.resolved`.
    #[serde(rename = "2.15")]
    V2_15,
    /// Integer assignees on tickets, 0 for nobody, merged contacts answer 410.
    #[default]
    #[serde(rename = "2.16")]
    V2_16,
}

impl ApiVersion {
    /// All versions, oldest first.
    pub const ALL: [Self; 6] = [Self::V2_11, Self::V2_12, Self::V2_13, Self::V2_14, Self::V2_15, Self::V2_16];

    /// Such as `2.16`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V2_11 => "2.11",
            Self::V2_12 => "2.12",
            Self::V2_13 => "2.13",
            Self::V2_14 => "2.14",
            Self::V2_15 => "2.15",
            Self::V2_16 => "2.16",
        }
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ApiVersion {
    type Err = ActionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|version| version.as_str() == text);
        found.ok_or_else(|| ActionError::Unknown { what: "API version", id: text.to_owned() })
    }
}

/// What a contact is to the workspace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Known to the shop.
    #[default]
    User,
    /// Came through the Messenger; gets a UUID as external id.
    Lead,
}

/// The stable part of a ticket's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// New.
    Submitted,
    /// Somebody works on it.
    InProgress,
    /// On hold.
    WaitingOnCustomer,
    /// Done.
    Resolved,
}

impl Category {
    /// As Intercom writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Submitted => "submitted",
            Self::InProgress => "in_progress",
            Self::WaitingOnCustomer => "waiting_on_customer",
            Self::Resolved => "resolved",
        }
    }
}

/// How a conversation stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConversationState {
    /// Waits for the team.
    #[default]
    Open,
    /// Done.
    Closed,
    /// Put off.
    Snoozed,
}

impl ConversationState {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
            Self::Snoozed => "snoozed",
        }
    }
}

/// A contact to be.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ContactSpec {
    /// User or lead.
    pub role: Role,
    /// Address.
    pub email: Option<String>,
    /// As typed; any text.
    pub phone: Option<String>,
    /// Whole name.
    pub name: Option<String>,
    /// The shop's own id; leads get a UUID when absent.
    pub external_id: Option<String>,
    /// Picture.
    pub avatar_url: Option<String>,
    /// Town.
    pub city: Option<String>,
    /// State, county, …
    pub region: Option<String>,
    /// Name of the country.
    pub country: Option<String>,
    /// Any scalars.
    pub custom_attributes: BTreeMap<String, Value>,
    /// Names of tags; made when they do not exist.
    pub tags: Vec<String>,
    /// Mail came back.
    pub has_hard_bounced: bool,
    /// Reported as spam.
    pub marked_email_as_spam: bool,
    /// Wants no mail from Intercom.
    pub unsubscribed_from_emails: bool,
}

impl ContactSpec {
    /// A user with an address and a name.
    pub fn user(email: impl Into<String>, name: impl Into<String>) -> Self {
        Self { email: Some(email.into()), name: Some(name.into()), ..Self::default() }
    }

    /// A lead nobody knows anything about.
    pub fn lead() -> Self {
        Self { role: Role::Lead, ..Self::default() }
    }
}

/// A ticket to be.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TicketSpec {
    /// Contact ids; may be empty.
    pub contacts: Vec<String>,
    /// Name or id of the type; `Order problem` (Customer), `Warehouse task` (Back-office) and `Known fault` (Tracker)
    /// exist. Empty means the first.
    pub ticket_type: String,
    /// `_default_title_`.
    pub title: String,
    /// `_default_description_`.
    pub description: String,
    /// Further attributes.
    pub attributes: BTreeMap<String, Value>,
}

/// Why an action did not happen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ActionError {
    /// No such thing.
    #[error("no {what} {id:?}")]
    Unknown {
        /// What was looked for.
        what: &'static str,
        /// Under which id.
        id: String,
    },
    /// It exists, and does not allow this.
    #[error("{0}")]
    Impossible(&'static str),
}

/// A part that an action added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PartRef {
    /// Its id.
    pub id: String,
    /// Its `part_type`.
    pub part_type: String,
    /// When, Unix seconds.
    pub at: i64,
    /// For state parts: the state it moved to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<Category>,
}

/// One webhook notification.
#[derive(Clone, PartialEq, Eq)]
pub struct Notification {
    /// `notif_<uuid>`; empty for pings, which have none.
    pub id: String,
    /// Such as `conversation.user.created`.
    pub topic: String,
    /// The exact bytes of the first delivery. [`crate::intercom::sign`] gives the header that goes with them.
    pub body: Vec<u8>,
}

impl fmt::Debug for Notification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notification")
            .field("id", &self.id)
            .field("topic", &self.topic)
            .field("bytes", &self.body.len())
            .finish()
    }
}

/// What an action did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acted {
    /// The thing made or changed: contact, conversation or ticket.
    pub id: String,
    /// When, Unix seconds.
    pub at: i64,
    /// Parts it added, in order.
    pub parts: Vec<PartRef>,
    /// What it made Intercom say, in order.
    pub notifications: Vec<Notification>,
}
