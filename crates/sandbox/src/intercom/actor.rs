//! One method per action; what to say is in [`Action`].

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    IntercomSandbox,
    action::Action,
    spec::{Acted, ActionError, Category, ContactSpec, TicketSpec},
};

type Result<T = Acted> = std::result::Result<T, ActionError>;

/// All of these fail only when an id does not exist or the thing does not allow it.
#[expect(clippy::missing_errors_doc, reason = "said once for all, above")]
impl IntercomSandbox {
    /// Adds a contact and returns its id.
    pub fn add_contact(&self, contact: ContactSpec) -> String {
        // Adding cannot fail: it refers to nothing.
        self.act(&Action::AddContact { contact }).map(|acted| acted.id).unwrap_or_default()
    }

    /// Adds a lead without address, phone or name, and returns its id.
    pub fn add_lead(&self) -> String {
        self.add_contact(ContactSpec::lead())
    }

    /// A contact's address becomes known or changes; empty removes it.
    pub fn set_email(&self, contact: &str, email: &str) -> Result {
        self.act(&Action::SetEmail { contact: contact.into(), email: email.into() })
    }

    /// A contact's address will be known at `time` (Unix seconds of the clock).
    pub fn email_appears_at(&self, contact: &str, email: &str, time: i64) -> Result {
        self.act(&Action::EmailAppearsAt { contact: contact.into(), email: email.into(), time })
    }

    /// Sets a custom attribute of a contact.
    pub fn set_contact_attribute(&self, contact: &str, name: &str, value: impl Into<Value>) -> Result {
        self.act(&Action::SetContactAttribute { contact: contact.into(), name: name.into(), value: value.into() })
    }

    /// Tags a contact.
    pub fn tag_contact(&self, contact: &str, tag: &str) -> Result {
        self.act(&Action::TagContact { contact: contact.into(), tag: tag.into() })
    }

    /// Takes a tag off a contact.
    pub fn untag_contact(&self, contact: &str, tag: &str) -> Result {
        self.act(&Action::UntagContact { contact: contact.into(), tag: tag.into() })
    }

    /// `from` becomes `into`; its id answers 410 (404 before 2.16) from now on.
    pub fn merge_contacts(&self, from: &str, into: &str) -> Result {
        self.act(&Action::MergeContacts { from: from.into(), into: into.into() })
    }

    /// Archives a contact; its id answers 404 from now on.
    pub fn archive_contact(&self, contact: &str) -> Result {
        self.act(&Action::ArchiveContact { contact: contact.into() })
    }

    /// Deletes a contact; its id answers 404 from now on.
    pub fn delete_contact(&self, contact: &str) -> Result {
        self.act(&Action::DeleteContact { contact: contact.into() })
    }

    /// A contact writes first.
    pub fn start_conversation(&self, contact: &str, text: &str) -> Result {
        self.act(&Action::StartConversation { contact: contact.into(), text: text.into() })
    }

    /// A teammate writes first.
    pub fn admin_starts_conversation(&self, contact: &str, text: &str) -> Result {
        self.act(&Action::AdminStartsConversation { contact: contact.into(), text: text.into() })
    }

    /// A campaign writes first; nothing is notified.
    pub fn campaign_starts_conversation(&self, contact: &str, text: &str) -> Result {
        self.act(&Action::CampaignStartsConversation { contact: contact.into(), text: text.into() })
    }

    /// Another contact joins a conversation.
    pub fn attach_contact(&self, conversation: &str, contact: &str) -> Result {
        self.act(&Action::AttachContact { conversation: conversation.into(), contact: contact.into() })
    }

    /// The contact who opened the conversation (else its first) replies.
    pub fn contact_replies(&self, conversation: &str, text: &str) -> Result {
        self.act(&Action::ContactReplies { conversation: conversation.into(), text: text.into(), contact: None })
    }

    /// One certain contact of a conversation replies.
    pub fn this_contact_replies(&self, conversation: &str, contact: &str, text: &str) -> Result {
        let contact = Some(contact.into());
        self.act(&Action::ContactReplies { conversation: conversation.into(), text: text.into(), contact })
    }

    /// The contact sends a file without a word.
    pub fn contact_replies_with_attachment(&self, conversation: &str) -> Result {
        self.act(&Action::ContactRepliesWithAttachment { conversation: conversation.into() })
    }

    /// A teammate replies; the first reply is also the assignment.
    pub fn admin_replies(&self, conversation: &str, text: &str) -> Result {
        self.act(&Action::AdminReplies { conversation: conversation.into(), text: text.into() })
    }

    /// The bot replies.
    pub fn bot_replies(&self, conversation: &str, text: &str) -> Result {
        self.act(&Action::BotReplies { conversation: conversation.into(), text: text.into() })
    }

    /// An internal note.
    pub fn add_note(&self, conversation: &str, text: &str) -> Result {
        self.act(&Action::AddNote { conversation: conversation.into(), text: text.into() })
    }

    /// The contact is asked to rate; nothing is notified.
    pub fn request_rating(&self, conversation: &str) -> Result {
        self.act(&Action::RequestRating { conversation: conversation.into() })
    }

    /// The contact rates, 1 to 5.
    pub fn rate(&self, conversation: &str, score: u8, remark: Option<&str>) -> Result {
        let remark = remark.map(Into::into);
        self.act(&Action::Rate { conversation: conversation.into(), score, remark })
    }

    /// The contact adds words to a rating.
    pub fn add_remark(&self, conversation: &str, remark: &str) -> Result {
        self.act(&Action::AddRemark { conversation: conversation.into(), remark: remark.into() })
    }

    /// The contact reads.
    pub fn contact_reads(&self, conversation: &str) -> Result {
        self.act(&Action::ContactReads { conversation: conversation.into() })
    }

    /// A teammate closes a conversation.
    pub fn close_conversation(&self, conversation: &str) -> Result {
        self.act(&Action::CloseConversation { conversation: conversation.into() })
    }

    /// A teammate reopens a conversation.
    pub fn open_conversation(&self, conversation: &str) -> Result {
        self.act(&Action::OpenConversation { conversation: conversation.into() })
    }

    /// A teammate snoozes a conversation until `until` (Unix seconds).
    pub fn snooze_conversation(&self, conversation: &str, until: i64) -> Result {
        self.act(&Action::SnoozeConversation { conversation: conversation.into(), until })
    }

    /// The snooze ends.
    pub fn unsnooze_conversation(&self, conversation: &str) -> Result {
        self.act(&Action::UnsnoozeConversation { conversation: conversation.into() })
    }

    /// A teammate and a team take a conversation.
    pub fn assign_conversation(&self, conversation: &str) -> Result {
        self.act(&Action::AssignConversation { conversation: conversation.into() })
    }

    /// Tags a conversation; nothing is notified.
    pub fn tag_conversation(&self, conversation: &str, tag: &str) -> Result {
        self.act(&Action::TagConversation { conversation: conversation.into(), tag: tag.into() })
    }

    /// Sets a custom attribute of a conversation; nothing is notified.
    pub fn set_conversation_attribute(&self, conversation: &str, name: &str, value: impl Into<Value>) -> Result {
        let (conversation, name, value) = (conversation.into(), name.into(), value.into());
        self.act(&Action::SetConversationAttribute { conversation, name, value })
    }

    /// Deletes a conversation.
    pub fn delete_conversation(&self, conversation: &str) -> Result {
        self.act(&Action::DeleteConversation { conversation: conversation.into() })
    }

    /// Creates a ticket for one contact. `ticket_type` as in [`TicketSpec::ticket_type`].
    pub fn create_ticket(&self, contact: &str, ticket_type: &str, title: &str) -> Result {
        self.create_ticket_with(TicketSpec {
            contacts: vec![contact.into()],
            ticket_type: ticket_type.into(),
            title: title.into(),
            description: "As told on the phone.".into(),
            attributes: BTreeMap::new(),
        })
    }

    /// Creates a ticket with everything one may say about it.
    pub fn create_ticket_with(&self, ticket: TicketSpec) -> Result {
        self.act(&Action::CreateTicket { ticket })
    }

    /// A conversation becomes a customer ticket; it keeps its id.
    pub fn convert_to_ticket(&self, conversation: &str, title: &str) -> Result {
        let (conversation, title) = (conversation.into(), title.into());
        self.act(&Action::ConvertToTicket { conversation, ticket_type: String::new(), title })
    }

    /// Moves a ticket to a state; to its own category it moves between custom states.
    pub fn set_ticket_state(&self, ticket: &str, state: Category) -> Result {
        self.act(&Action::SetTicketState { ticket: ticket.into(), state })
    }

    /// The contact replies on a ticket; one that waits or is resolved moves to `in_progress` by itself.
    pub fn contact_replies_to_ticket(&self, ticket: &str, text: &str) -> Result {
        self.act(&Action::ContactRepliesToTicket { ticket: ticket.into(), text: text.into(), contact: None })
    }

    /// A teammate replies on a ticket.
    pub fn admin_replies_to_ticket(&self, ticket: &str, text: &str) -> Result {
        self.act(&Action::AdminRepliesToTicket { ticket: ticket.into(), text: text.into() })
    }

    /// An internal note on a ticket.
    pub fn add_note_to_ticket(&self, ticket: &str, text: &str) -> Result {
        self.act(&Action::AddNoteToTicket { ticket: ticket.into(), text: text.into() })
    }

    /// The "send test request" button.
    pub fn ping(&self) -> Result {
        self.act(&Action::Ping)
    }
}
