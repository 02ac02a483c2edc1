//! Tickets: created, converted from conversations, moved, replied to.

use super::{
    action::Action,
    model::{Author, Model, Origin, Part, PartKind, Text, Thread, Ticket},
    perform::{Draft, Outcome, draft, html, since},
    render,
    spec::{ActionError, ApiVersion, Category, ConversationState, PartRef, TicketSpec},
};

type Done = Result<Outcome, ActionError>;

/// Seconds after which Intercom moves a ticket by itself when its contact replies.
const AUTOMATIC_MOVE: i64 = 1;

impl Model {
    pub(crate) fn on_ticket(&mut self, action: &Action, at: i64) -> Done {
        match action {
            Action::CreateTicket { ticket } => self.create_ticket(ticket, at),
            Action::ConvertToTicket { conversation, ticket_type, title } => {
                let (index, kind) = (self.thread_index(conversation)?, self.type_index(ticket_type)?);
                if self.threads[index].ticket.is_some() {
                    return Err(ActionError::Impossible("it is a ticket already"));
                }
                let description = self.threads[index].text.clone();
                self.make_ticket(index, kind, title.clone().into(), description);
                let part = self.first_state(index, Author::Admin(1), at);
                Ok(self.ticket_created(index, part, at))
            }
            Action::SetTicketState { ticket, state } => {
                let index = self.ticket_index(ticket)?;
                Ok(self.move_ticket(index, *state, Author::Admin(1), at))
            }
            Action::ContactRepliesToTicket { ticket, text, contact } => {
                let index = self.ticket_index(ticket)?;
                let author = self.speaker(index, contact.as_deref())?;
                Ok(self.contact_reply_to_ticket(index, Part::new(PartKind::Comment, author, at).with_body(html(text))))
            }
            Action::AdminRepliesToTicket { ticket, text } => {
                let index = self.ticket_index(ticket)?;
                Ok(self.admin_reply_to_ticket(index, text, at))
            }
            Action::AddNoteToTicket { ticket, text } => {
                let index = self.ticket_index(ticket)?;
                let part = self.add_part(index, Part::new(PartKind::Note, Author::Admin(1), at).with_body(html(text)));
                Ok(self.ticket_replied(index, &["ticket.note.created"], part, at))
            }
            _ => Err(ActionError::Impossible("not an action on a ticket")),
        }
    }

    fn create_ticket(&mut self, spec: &TicketSpec, at: i64) -> Done {
        let contacts = spec.contacts.iter().map(|id| self.contact_index(id)).collect::<Result<Vec<_>, _>>()?;
        let kind = self.type_index(&spec.ticket_type)?;
        let id = self.thread_id();
        let index = self.add_thread(Thread::new(id, Origin::Ticket, contacts, at));
        self.make_ticket(index, kind, spec.title.clone().into(), spec.description.clone().into());
        if let Some(ticket) = &mut self.threads[index].ticket {
            ticket.attributes = spec.attributes.clone();
        }
        self.add_part(index, Part::new(PartKind::AttributeCollected, Author::Bot, at));
        // Seen in captures: up to 2 s after the ticket itself.
        let part = self.first_state(index, Author::Bot, at + 1);
        Ok(self.ticket_created(index, part, at + 1))
    }

    /// Puts a ticket on a thread, without any part.
    pub(crate) fn make_ticket(&mut self, index: usize, kind: usize, title: Text, description: Text) {
        let display = self.display_id();
        self.threads[index].ticket = Some(Box::new(Ticket {
            display,
            kind,
            title,
            description,
            state: 0,
            previous_state: 0,
            attributes: std::collections::BTreeMap::new(),
        }));
    }

    /// Every ticket begins with `submitted → submitted`.
    pub(crate) fn first_state(&mut self, index: usize, author: Author, at: i64) -> PartRef {
        let states = Some((Category::Submitted, Category::Submitted));
        self.add_part(index, Part { states, ..Part::new(PartKind::State, author, at) })
    }

    fn ticket_created(&mut self, index: usize, part: PartRef, at: i64) -> Outcome {
        let (mut first, mut second) =
            (self.ticket_draft("ticket.state.updated", index, at), self.ticket_draft("ticket.created", index, at + 1));
        if self.rng.chance(0.5) {
            (first.at, second.at) = (second.at, first.at);
            (first, second) = (second, first);
        }
        Outcome { drafts: vec![first, second], ..self.quietly(index, vec![part]) }
    }

    /// Moves a ticket without saying so. A move to its own category picks another state of that category.
    pub(crate) fn change_state(&mut self, index: usize, to: Category, author: Author, at: i64) -> Option<PartRef> {
        let states = &self.ticket_states;
        let ticket = self.threads[index].ticket.as_mut()?;
        let from = states.get(ticket.state).map_or(Category::Submitted, |state| state.category);
        let mut candidates =
            states.iter().enumerate().filter(|(_, state)| state.category == to).map(|(index, _)| index);
        let next = candidates.find(|candidate| *candidate != ticket.state).unwrap_or(ticket.state);
        ticket.previous_state = std::mem::replace(&mut ticket.state, next);
        Some(self.add_part(index, Part { states: Some((to, from)), ..Part::new(PartKind::State, author, at) }))
    }

    fn move_ticket(&mut self, index: usize, to: Category, author: Author, at: i64) -> Outcome {
        let mut parts: Vec<PartRef> = self.change_state(index, to, author, at).into_iter().collect();
        if to == Category::Resolved {
            parts.push(self.add_part(index, Part::new(PartKind::Close, author, at)));
            self.threads[index].state = ConversationState::Closed;
        } else {
            self.threads[index].state = ConversationState::Open;
        }
        let mut drafts = vec![self.ticket_draft("ticket.state.updated", index, at)];
        if to == Category::Resolved && since(self.version, ApiVersion::V2_15) {
            drafts.push(self.ticket_draft("ticket.resolved", index, at));
            let mut closed = self.ticket_draft("ticket.closed", index, at + 1);
            closed.item = serde_json::json!({ "ticket": closed.item });
            drafts.push(closed);
        } else if to == Category::Resolved {
            drafts.push(self.ticket_draft("ticket.closed", index, at + 1));
        }
        Outcome { drafts, ..self.quietly(index, parts) }
    }

    pub(crate) fn contact_reply_to_ticket(&mut self, index: usize, part: Part) -> Outcome {
        let (at, reply) = (part.at, self.add_part(index, part));
        let mut outcome =
            self.ticket_replied(index, &["ticket.contact.replied", "conversation.user.replied"], reply, at);
        let ticket = self.threads[index].ticket.as_ref();
        let state = ticket.and_then(|ticket| self.ticket_states.get(ticket.state)).map(|state| state.category);
        if matches!(state, Some(Category::WaitingOnCustomer | Category::Resolved)) {
            let moved = self.move_ticket(index, Category::InProgress, Author::Bot, at + AUTOMATIC_MOVE);
            outcome.parts.extend(moved.parts);
            outcome.drafts.extend(moved.drafts);
        }
        outcome
    }

    pub(crate) fn admin_reply_to_ticket(&mut self, index: usize, text: &str, at: i64) -> Outcome {
        let kind = if self.threads[index].admin.is_none() { PartKind::Assignment } else { PartKind::Comment };
        (self.threads[index].admin, self.threads[index].team) = (Some(1), Some(0));
        let part = self.add_part(index, Part::new(kind, Author::Admin(1), at).with_body(html(text)));
        self.ticket_replied(index, &["ticket.admin.replied", "conversation.admin.replied"], part, at)
    }

    /// A reply on a ticket arrives under the ticket's topic and, on customer tickets, under the conversation's too.
    fn ticket_replied(&self, index: usize, topics: &[&'static str], part: PartRef, at: i64) -> Outcome {
        let thread = &self.threads[index];
        let customer = thread.ticket.as_ref().is_some_and(|ticket| ticket.kind == 0);
        let mut outcome = self.quietly(index, vec![part.clone()]);
        for topic in topics {
            if topic.starts_with("conversation.") {
                if customer {
                    outcome.drafts.extend(self.about(index, topic, vec![part.clone()], at).drafts);
                }
                continue;
            }
            let found = thread.parts.iter().find(|candidate| candidate.id.to_string() == part.id);
            let item = serde_json::json!({
                "type": "ticket_ticket_part",
                "ticket": render::ticket(self, thread, self.version),
                "ticket_part": found.map(|found| render::ticket_part(self, found)),
            });
            outcome.drafts.push(draft(topic, item, at));
        }
        outcome
    }

    fn ticket_draft(&self, topic: &'static str, index: usize, at: i64) -> Draft {
        draft(topic, render::ticket(self, &self.threads[index], self.version), at)
    }
}
