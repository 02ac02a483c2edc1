//! Tickets of the past.

use std::collections::BTreeMap;

use serde_json::json;

use super::{DAY, Past, TWO_HOURS};
use crate::intercom::{
    Category, ConversationState,
    model::{Author, Origin, Part, PartKind, Text, Thread},
};

const TITLES: [&str; 6] = [
    "Wrong size delivered",
    "Parcel lost",
    "Refund missing",
    "Broken zip",
    "Invoice needed",
    "Return label does not print",
];
/// One ticket in so many has more parts than Intercom shows.
const ENDLESS_EVERY: usize = 400;

impl Past<'_> {
    pub(super) fn ticket(&mut self, number: usize) {
        let (at, id) = (self.beginning(), self.model.thread_id());
        let kind = match () {
            () if self.odd(0.08) => 1,
            () if self.odd(0.04) => 2,
            () => 0,
        };
        let contact = self.anybody();
        // The team's own tickets usually have no contact.
        let nobody = kind != 0 && self.rng.chance(0.7);
        let contacts = if nobody || self.odd(0.01) { Vec::new() } else { vec![contact] };
        let index = self.model.add_thread(Thread::new(id, Origin::Ticket, contacts, at));
        let title = self.text(&TITLES);
        self.model.make_ticket(index, kind, title, Text::Borrowed("Taken down by phone."));
        if let Some(ticket) = &mut self.model.threads[index].ticket {
            ticket.attributes = BTreeMap::from([("Order number".to_owned(), json!(format!("10-{}", 1_000 + number)))]);
        }
        if self.odd(0.02) {
            return self.imported(index, at);
        }
        self.model.add_part(index, Part::new(PartKind::AttributeCollected, Author::Bot, at));
        let first = self.later(at, 2);
        self.model.first_state(index, Author::Bot, first);
        let endless = self.spec.oddities && number % ENDLESS_EVERY == ENDLESS_EVERY - 1;
        let begin = if endless { self.endless(index, contact, first) } else { first };
        self.handled(index, contact, begin);
    }

    /// From another system: no history at all.
    fn imported(&mut self, index: usize, at: i64) {
        if self.rng.chance(0.7) {
            let resolved = self.model.ticket_states.iter().position(|state| state.category == Category::Resolved);
            if let (Some(ticket), Some(resolved)) = (&mut self.model.threads[index].ticket, resolved) {
                ticket.state = resolved;
            }
            self.model.threads[index].state = ConversationState::Closed;
            self.model.threads[index].updated_at = self.later(at, 2 * DAY);
        }
    }

    /// So many words that the beginning is no longer shown.
    fn endless(&mut self, index: usize, contact: usize, mut at: i64) -> i64 {
        for turn in 0..520 {
            at = self.later(at, 60);
            let author = if turn % 2 == 0 { Author::Contact(contact) } else { Author::Admin(1) };
            self.say(index, author, PartKind::Comment, at);
        }
        at
    }

    pub(super) fn converted(&mut self, index: usize, contact: usize, at: i64) {
        let at = self.later(at, TWO_HOURS);
        let title = self.text(&TITLES);
        self.model.make_ticket(index, 0, title, Text::Borrowed("Made from a conversation."));
        self.model.first_state(index, Author::Admin(1), at);
        self.handled(index, contact, at);
    }

    /// In progress, perhaps on hold, replies, resolved, perhaps again.
    fn handled(&mut self, index: usize, contact: usize, at: i64) {
        let admin = self.anyone_of_the_team();
        let by = Author::Admin(admin);
        let somebody = !self.model.threads[index].contacts.is_empty();
        self.model.threads[index].admin = Some(admin);
        let mut at = self.moved(index, Category::InProgress, by, at);
        if self.odd(0.1) {
            // To another custom state of the same category.
            at = self.moved(index, Category::InProgress, by, at);
        }
        if self.rng.chance(0.5) {
            at = self.later(at, TWO_HOURS);
            self.say(index, by, PartKind::Comment, at);
        }
        if self.rng.chance(0.4) {
            at = self.moved(index, Category::WaitingOnCustomer, by, at);
            if somebody && self.rng.chance(0.8) {
                at = self.answered(index, contact, at);
            }
        }
        if self.rng.chance(0.2) {
            return;
        }
        at = self.resolved(index, by, at);
        if somebody && self.odd(0.08) {
            at = self.answered(index, contact, at);
            self.resolved(index, by, at);
        }
    }

    fn moved(&mut self, index: usize, to: Category, by: Author, at: i64) -> i64 {
        let at = self.later(at, TWO_HOURS);
        self.model.change_state(index, to, by, at);
        at
    }

    fn resolved(&mut self, index: usize, by: Author, at: i64) -> i64 {
        let at = self.moved(index, Category::Resolved, by, at);
        self.model.add_part(index, Part::new(PartKind::Close, by, at));
        self.model.threads[index].state = ConversationState::Closed;
        at
    }

    /// The contact replies, and Intercom moves the ticket by itself a second later.
    fn answered(&mut self, index: usize, contact: usize, at: i64) -> i64 {
        let at = self.later(at, TWO_HOURS);
        self.say(index, Author::Contact(contact), PartKind::Comment, at);
        let moved = (at + 1).min(self.spec.to);
        self.model.change_state(index, Category::InProgress, Author::Bot, moved);
        self.model.threads[index].state = ConversationState::Open;
        moved
    }
}
