//! What a workspace's past should become, read off the model.

use super::{
    CREATED_CONVERSATION, CREATED_TICKET, ExpectedEvent, MARKED_TICKET_ON_HOLD, RATED_CONVERSATION,
    REPLIED_TO_CONVERSATION, REPLIED_TO_TICKET, RESOLVED_TICKET, SUBMITTED_TICKET,
};
use crate::intercom::{
    Category, IntercomSandbox,
    model::{Author, Fate, Model, Origin, Part, Thread},
};

/// Intercom shows only the newest 500 parts of a ticket.
const PARTS_SHOWN: usize = 500;
const DAY: i64 = 86_400;

/// Which of the past is wanted. The default is what the product imports without any setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryOptions {
    /// Also Replied to Conversation.
    pub conversation_replies: bool,
    /// Also Replied to Ticket.
    pub ticket_replies: bool,
    /// Also Marked Ticket On Hold.
    pub on_hold: bool,
    /// Only events before this, Unix seconds.
    pub before: i64,
    /// Only conversations and tickets created at or after this, Unix seconds.
    pub created_from: i64,
}

impl Default for HistoryOptions {
    fn default() -> Self {
        Self {
            conversation_replies: false,
            ticket_replies: false,
            on_hold: false,
            before: i64::MAX,
            created_from: i64::MIN,
        }
    }
}

impl HistoryOptions {
    /// With everything that is optional.
    pub fn everything() -> Self {
        Self { conversation_replies: true, ticket_replies: true, on_hold: true, ..Self::default() }
    }
}

/// The events that an import of everything now in the workspace should leave at Klaviyo. Contacts without address
/// and phone number are left out, as are those who are gone.
pub fn expected_history(intercom: &IntercomSandbox, options: &HistoryOptions) -> Vec<ExpectedEvent> {
    let now = intercom.now();
    let model = intercom.model();
    let mut walk = Walk { model: &model, options, now, events: Vec::new() };
    for thread in model.threads.iter().filter(|thread| !thread.deleted && thread.created_at >= options.created_from) {
        walk.conversation(thread);
        walk.ticket(thread);
    }
    walk.events
}

struct Walk<'a> {
    model: &'a Model,
    options: &'a HistoryOptions,
    now: i64,
    events: Vec<ExpectedEvent>,
}

impl Walk<'_> {
    fn push(&mut self, metric: &str, rest: String, time: i64, contact: usize) {
        let contact = &self.model.contacts[self.model.survivor(contact)];
        let email = contact.email(self.now).map(str::to_owned);
        let phone = contact.spec.phone.clone().filter(|phone| is_e164(phone));
        if contact.fate != Fate::Live || time >= self.options.before || (email.is_none() && phone.is_none()) {
            return;
        }
        let key = format!("intercom:{}:{rest}", self.model.workspace);
        self.events.push(ExpectedEvent { metric: metric.to_owned(), key, time, email, phone });
    }

    fn conversation(&mut self, thread: &Thread) {
        let id = thread.id;
        if let Origin::Contact(contact) = thread.origin {
            self.push(CREATED_CONVERSATION, format!("conversation-created:{id}"), thread.created_at, contact);
        }
        if let Some(rating) = thread.rating.as_deref().filter(|rating| rating.score.is_some()) {
            let rest = format!("conversation-rated:{id}:{}", rating.asked_at);
            self.push(RATED_CONVERSATION, rest, rating.updated_at, rating.contact);
        }
        if !self.options.conversation_replies || thread.origin == Origin::Ticket {
            return;
        }
        let ticket_begins = thread.parts.iter().position(|part| part.states.is_some()).unwrap_or(usize::MAX);
        for (_, part) in thread.parts.iter().enumerate().filter(|(position, _)| *position < ticket_begins) {
            self.reply(REPLIED_TO_CONVERSATION, "conversation-replied", part);
        }
    }

    fn reply(&mut self, metric: &str, slug: &str, part: &Part) {
        if let (Author::Contact(contact), true) = (part.author, part.is_reply()) {
            self.push(metric, format!("{slug}:{}", part.id), part.at, contact);
        }
    }

    fn ticket(&mut self, thread: &Thread) {
        let Some(ticket) = thread.ticket.as_deref() else { return };
        let Some(&first_contact) = thread.contacts.first() else { return };
        if self.model.ticket_types[ticket.kind].category != "Customer" {
            return;
        }
        let id = thread.id;
        let hidden = thread.parts.len().saturating_sub(PARTS_SHOWN);
        let shown = thread.parts.get(hidden..).unwrap_or_default();
        let whole = hidden == 0;
        let first_state = shown.iter().find(|part| part.states.is_some()).filter(|_| whole);
        let created = first_state.map_or(thread.created_at, |part| part.at);
        self.push(CREATED_TICKET, format!("ticket-created:{id}"), created, first_contact);
        if whole && first_state.is_none() {
            self.estimated(thread, first_contact, ticket.state);
        }
        for part in shown {
            let Some((to, from)) = part.states else { continue };
            if to == from && first_state.is_none_or(|first| first.id != part.id) {
                continue;
            }
            let (metric, slug) = match to {
                Category::Submitted => (SUBMITTED_TICKET, "ticket-submitted"),
                Category::Resolved => (RESOLVED_TICKET, "ticket-resolved"),
                Category::WaitingOnCustomer if self.options.on_hold => (MARKED_TICKET_ON_HOLD, "ticket-on-hold"),
                Category::WaitingOnCustomer | Category::InProgress => continue,
            };
            self.push(metric, format!("{slug}:{id}:{}", part.id), part.at, first_contact);
        }
        if self.options.ticket_replies {
            let converted = thread.origin != Origin::Ticket;
            let begins = shown.iter().position(|part| part.states.is_some()).filter(|_| converted && whole);
            for part in shown.iter().skip(begins.unwrap_or(0)) {
                self.reply(REPLIED_TO_TICKET, "ticket-replied", part);
            }
        }
    }

    /// An old import has no state parts: what can be said is an estimate.
    fn estimated(&mut self, thread: &Thread, contact: usize, state: usize) {
        if thread.created_at > self.now - DAY {
            return;
        }
        self.push(SUBMITTED_TICKET, format!("ticket-submitted:{}:estimated", thread.id), thread.created_at, contact);
        if self.model.ticket_states[state].category == Category::Resolved {
            self.push(RESOLVED_TICKET, format!("ticket-resolved:{}:estimated", thread.id), thread.updated_at, contact);
        }
    }
}

fn is_e164(phone: &str) -> bool {
    let digits = phone.strip_prefix('+').unwrap_or_default();
    (7..=15).contains(&digits.len()) && !digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit())
}
