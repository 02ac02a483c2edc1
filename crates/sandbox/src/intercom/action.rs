//! Everything that can happen in the workspace, as data: what the Rust methods build and the control API reads.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::spec::{Category, ContactSpec, TicketSpec};

/// One thing that happens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
#[expect(missing_docs, reason = "fields are ids, texts and Unix seconds; their names say which")]
pub enum Action {
    /// A new contact.
    AddContact { contact: ContactSpec },
    /// A contact's address becomes known or changes.
    SetEmail { contact: String, email: String },
    /// A contact's address will be known at a time of the clock; the notification goes out then.
    EmailAppearsAt { contact: String, email: String, time: i64 },
    /// A contact gets a custom attribute.
    SetContactAttribute { contact: String, name: String, value: Value },
    /// A contact gets a tag.
    TagContact { contact: String, tag: String },
    /// A contact loses a tag.
    UntagContact { contact: String, tag: String },
    /// One contact becomes another.
    MergeContacts { from: String, into: String },
    /// A contact is archived.
    ArchiveContact { contact: String },
    /// A contact is deleted.
    DeleteContact { contact: String },
    /// A contact writes first.
    StartConversation { contact: String, text: String },
    /// A teammate writes first.
    AdminStartsConversation { contact: String, text: String },
    /// A campaign message; nothing is notified.
    CampaignStartsConversation { contact: String, text: String },
    /// Another contact joins.
    AttachContact { conversation: String, contact: String },
    /// The (first, unless `contact` is given) contact replies.
    ContactReplies {
        conversation: String,
        text: String,
        #[serde(default)]
        contact: Option<String>,
    },
    /// The contact sends a file and no word.
    ContactRepliesWithAttachment { conversation: String },
    /// A teammate replies; the first reply also assigns.
    AdminReplies { conversation: String, text: String },
    /// The bot replies.
    BotReplies { conversation: String, text: String },
    /// An internal note.
    AddNote { conversation: String, text: String },
    /// The contact is asked for a rating; nothing is notified.
    RequestRating { conversation: String },
    /// The contact rates 1 to 5, asked or not; again to change the score.
    Rate {
        conversation: String,
        score: u8,
        #[serde(default)]
        remark: Option<String>,
    },
    /// The contact adds words to a rating.
    AddRemark { conversation: String, remark: String },
    /// The contact reads.
    ContactReads { conversation: String },
    /// A teammate closes.
    CloseConversation { conversation: String },
    /// A teammate reopens.
    OpenConversation { conversation: String },
    /// A teammate snoozes until a time.
    SnoozeConversation { conversation: String, until: i64 },
    /// The snooze ends.
    UnsnoozeConversation { conversation: String },
    /// A teammate is assigned, with the team.
    AssignConversation { conversation: String },
    /// Marked as priority.
    SetPriority { conversation: String },
    /// A tag on the conversation.
    TagConversation { conversation: String, tag: String },
    /// A custom attribute on the conversation.
    SetConversationAttribute { conversation: String, name: String, value: Value },
    /// Gone for good.
    DeleteConversation { conversation: String },
    /// A new ticket.
    CreateTicket { ticket: TicketSpec },
    /// A conversation becomes a ticket.
    ConvertToTicket {
        conversation: String,
        #[serde(default)]
        ticket_type: String,
        title: String,
    },
    /// A ticket moves; to its own category it moves between custom states.
    SetTicketState { ticket: String, state: Category },
    /// The contact replies on a ticket.
    ContactRepliesToTicket {
        ticket: String,
        text: String,
        #[serde(default)]
        contact: Option<String>,
    },
    /// A teammate replies on a ticket.
    AdminRepliesToTicket { ticket: String, text: String },
    /// An internal note on a ticket.
    AddNoteToTicket { ticket: String, text: String },
    /// The "send test request" button.
    Ping,
}

/// An action of the control API: when it happens may be said.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct TimedAction {
    #[serde(default)]
    pub(crate) at: Option<i64>,
    #[serde(flatten)]
    pub(crate) action: Action,
}
