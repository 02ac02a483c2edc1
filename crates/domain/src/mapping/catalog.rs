//! Every property that is ever written, for the documentation. A test holds it against what the mapping really writes.

use std::fmt::Write as _;

/// Where a property is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// Events of conversations.
    Conversations,
    /// Events of tickets.
    Tickets,
    /// Both.
    Events,
    /// The profile.
    Profile,
}

/// A property.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PropertyNote {
    /// Its name; `{name}` stands for a custom attribute's.
    pub name: &'static str,
    /// Where.
    pub on: On,
    /// Text, number, time, list or yes/no: Klaviyo's filters go by it.
    pub kind: &'static str,
    /// What it says.
    pub meaning: &'static str,
}

const fn note(name: &'static str, on: On, kind: &'static str, meaning: &'static str) -> PropertyNote {
    PropertyNote { name, on, kind, meaning }
}

/// In the order of the documentation.
pub const PROPERTIES: &[PropertyNote] = &[
    note("email", On::Events, "text", "The profile's address."),
    note("phone_number", On::Events, "text", "The profile's number, E.164."),
    note("Title", On::Conversations, "text", "The conversation's title."),
    note("State", On::Conversations, "text", "open, closed or snoozed."),
    note("Priority", On::Conversations, "text", "priority or not_priority."),
    note("Tags", On::Conversations, "list", "Names of the conversation's tags."),
    note("Conversation Rating", On::Conversations, "number", "1 to 5."),
    note("Remark", On::Conversations, "text", "What the customer wrote with the rating."),
    note("Rated Admin Name", On::Conversations, "text", "The teammate who was rated."),
    note("Conversation source", On::Conversations, "text", "Where it began: conversation, email, …"),
    note("Conversation Delivered As", On::Conversations, "text", "How it began: customer_initiated, …"),
    note("Conversation Part Count", On::Conversations, "number", "Parts so far."),
    note("SLA Status", On::Conversations, "text", "hit, missed, …"),
    note("Waiting Since", On::Conversations, "time", "Since when the customer waits."),
    note("Reopen Count", On::Conversations, "number", "How often it was opened again; absent for 0."),
    note("Assignment Count", On::Conversations, "number", "How often it was assigned; absent for 0."),
    note("Ticket ID", On::Tickets, "text", "The number that people see."),
    note("Ticket Type", On::Tickets, "text", "Name of the ticket's type."),
    note("Ticket name", On::Tickets, "text", "Its title."),
    note("Ticket description", On::Tickets, "text", "Its description."),
    note("Ticket State", On::Tickets, "text", "The state's label; its category where the label is of another moment."),
    note("Ticket State Category", On::Tickets, "text", "submitted, in_progress, waiting_on_customer or resolved."),
    note("Category", On::Tickets, "text", "Customer, Back-office or Tracker."),
    note("Shared", On::Tickets, "yes/no", "Whether the customer sees it."),
    note("Ticket Part Count", On::Tickets, "number", "Parts so far."),
    note("Minutes To Resolve", On::Tickets, "number", "From the first state to resolved; on Resolved Ticket."),
    note("Time estimated", On::Tickets, "yes/no", "The time is a guess: an old import without its states."),
    note("Assigned Team", On::Events, "text", "Name of the team."),
    note("Assigned Admin Name", On::Events, "text", "Name of the teammate."),
    note("Assigned Admin Email", On::Events, "text", "Address of the teammate."),
    note("Snoozed Until", On::Events, "time", "When it comes back."),
    note("Conversation ID", On::Events, "text", "Intercom's id."),
    note("Conversation URL", On::Events, "text", "Opens it in Intercom."),
    note("Minutes To First Reply", On::Events, "number", "Until a teammate first answered."),
    note("Message", On::Events, "text", "The message; only where message_text_max_chars asks for it."),
    note("Attribute: {name}", On::Events, "as it is", "Custom attribute of the conversation or ticket."),
    note("Intercom contact ID", On::Profile, "text", "Intercom's id of the contact."),
    note("Contact role", On::Profile, "text", "user or lead."),
    note("Intercom_has_hard_bounced", On::Profile, "yes/no", "Mail to the address bounced for good."),
    note("Intercom_marked_email_as_spam", On::Profile, "yes/no", "Marked Intercom's mail as spam."),
    note(
        "Intercom_unsubscribed_from_emails",
        On::Profile,
        "yes/no",
        "From Intercom's mail; says nothing about consent in Klaviyo.",
    ),
    note(
        "Intercom_opted_out_subscription_types_count",
        On::Profile,
        "number",
        "Subscription types of Intercom that were left.",
    ),
    note("Intercom_phone_raw", On::Profile, "text", "A phone number that is not E.164, as typed."),
    note("Intercom_tags", On::Profile, "list", "Names of the contact's tags."),
    note("Intercom: {name}", On::Profile, "as it is", "Custom attribute of the contact."),
    note("Intercom_open_conversations", On::Profile, "number", "Conversations that are open or snoozed now."),
    note("Intercom_open_tickets", On::Profile, "number", "Tickets that are not resolved now."),
    note("Intercom_last_rating", On::Profile, "number", "The last rating, 1 to 5."),
    note("Intercom_last_rating_at", On::Profile, "time", "When that was."),
    note("Intercom_last_contact_at", On::Profile, "time", "When the person last wrote."),
];

/// The table of the documentation.
pub fn markdown_table() -> String {
    let mut table = "| property | on | kind | what it says |\n| --- | --- | --- | --- |\n".to_owned();
    for property in PROPERTIES {
        let on = match property.on {
            On::Conversations => "conversation events",
            On::Tickets => "ticket events",
            On::Events => "all events",
            On::Profile => "profile",
        };
        // Writing to a String cannot fail.
        let _ = writeln!(table, "| `{}` | {on} | {} | {} |", property.name, property.kind, property.meaning);
    }
    table
}
