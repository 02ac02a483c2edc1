//! What is true in Intercom, the webhooks that tell of it, and what a profile has to say. Written by hand, not asked of the product.

use domain::ContactId;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::WORKSPACE;

pub(super) const CONTACTS: usize = 4;

/// Fewer than contacts, so that some are shared.
const ADDRESSES: usize = 3;

#[derive(Clone, Debug)]
pub(super) enum Act {
    Start { contact: usize, other: Option<usize>, pause: u8 },
    Ticket { contact: usize },
    Reply { which: usize, pause: u8 },
    Close { which: usize, pause: u8 },
    Reopen { which: usize, pause: u8 },
    Snooze { which: usize },
    Rate { which: usize, score: u32 },
    Delete { which: usize },
    ChangeAddress { contact: usize, address: usize },
    LoseAddress { contact: usize },
    Merge { from: usize, into: usize },
}

impl Act {
    /// Seconds before it: some share their second with what was before.
    pub(super) fn pause(&self) -> u8 {
        match self {
            Self::Start { pause, .. }
            | Self::Reply { pause, .. }
            | Self::Close { pause, .. }
            | Self::Reopen { pause, .. } => *pause,
            _ => 1,
        }
    }
}

pub(super) fn act() -> impl Strategy<Value = Act> {
    let contact = 0..CONTACTS;
    let which = 0..8usize;
    let pause = prop_oneof![2 => Just(0u8), 3 => 1..90u8];
    prop_oneof![
        5 => (contact.clone(), proptest::option::weighted(0.2, contact.clone()), pause.clone())
            .prop_map(|(contact, other, pause)| Act::Start { contact, other, pause }),
        3 => contact.clone().prop_map(|contact| Act::Ticket { contact }),
        4 => (which.clone(), pause.clone()).prop_map(|(which, pause)| Act::Reply { which, pause }),
        5 => (which.clone(), pause.clone()).prop_map(|(which, pause)| Act::Close { which, pause }),
        2 => (which.clone(), pause).prop_map(|(which, pause)| Act::Reopen { which, pause }),
        1 => which.clone().prop_map(|which| Act::Snooze { which }),
        2 => (which.clone(), 1..6u32).prop_map(|(which, score)| Act::Rate { which, score }),
        1 => which.prop_map(|which| Act::Delete { which }),
        3 => (contact.clone(), 0..ADDRESSES).prop_map(|(contact, address)| Act::ChangeAddress { contact, address }),
        1 => contact.clone().prop_map(|contact| Act::LoseAddress { contact }),
        1 => (contact.clone(), contact).prop_map(|(from, into)| Act::Merge { from, into }),
    ]
}

pub(super) fn contact_id(index: usize) -> ContactId {
    ContactId::new(format!("c{index}"))
}

pub(super) fn address(index: usize) -> String {
    format!("address{index}@sim.test")
}

#[derive(Clone, Debug)]
pub(super) struct Person {
    pub(super) email: Option<usize>,
    pub(super) updated_at: i64,
    pub(super) merged_into: Option<usize>,
    /// What this contact, or one that was merged into it, has done. A deleted thread does not undo it.
    wrote_at: Option<i64>,
    rated: Option<(i64, i64, String, u32)>,
}

#[derive(Clone, Debug)]
struct Thread {
    id: String,
    is_ticket: bool,
    contacts: Vec<usize>,
    starter: usize,
    created_at: i64,
    updated_at: i64,
    state: &'static str,
    parts: Vec<Value>,
    count: u64,
    last_close_at: Option<i64>,
    last_reply_at: i64,
    rating: Option<Value>,
    is_deleted: bool,
}

/// A webhook that was made.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) body: Vec<u8>,
    pub(super) arrived: bool,
}

#[derive(Debug)]
pub(super) struct Truth {
    people: Vec<Person>,
    threads: Vec<Thread>,
    pub(super) reports: Vec<Report>,
    /// Somebody was merged: what they wrote and rated comes along with their next open thread, or not.
    is_blurred: bool,
}

impl Truth {
    pub(super) fn new(now: i64) -> Self {
        let person = |index: usize| Person {
            email: (index != 1).then_some(index % ADDRESSES),
            updated_at: now,
            merged_into: None,
            wrote_at: None,
            rated: None,
        };
        Self {
            people: (0..CONTACTS).map(person).collect(),
            threads: Vec::new(),
            reports: Vec::new(),
            is_blurred: false,
        }
    }

    pub(super) fn contact(&self, index: usize) -> &Person {
        &self.people[index]
    }

    fn survivor(&self, index: usize) -> usize {
        self.people[index].merged_into.unwrap_or(index)
    }

    pub(super) fn apply(&mut self, act: &Act, now: i64) {
        match act {
            Act::Start { contact, other, .. } => self.start(*contact, *other, now, false),
            Act::Ticket { contact } => self.start(*contact, None, now, true),
            Act::Reply { which, .. } => self.reply(*which, now),
            Act::Close { which, .. } => self.set_state(*which, "closed", "conversation.admin.closed", now),
            Act::Reopen { which, .. } => self.set_state(*which, "open", "conversation.admin.opened", now),
            Act::Snooze { which } => self.set_state(*which, "snoozed", "conversation.admin.snoozed", now),
            Act::Rate { which, score } => self.rate(*which, *score, now),
            Act::Delete { which } => self.delete(*which, now),
            Act::ChangeAddress { contact, address } => self.set_address(*contact, Some(*address), now),
            Act::LoseAddress { contact } => self.set_address(*contact, None, now),
            Act::Merge { from, into } => self.merge(*from, *into, now),
        }
    }

    fn start(&mut self, contact: usize, other: Option<usize>, now: i64, is_ticket: bool) {
        let starter = self.survivor(contact);
        let mut contacts = vec![starter];
        contacts.extend(other.map(|other| self.survivor(other)).filter(|other| *other != starter));
        let id = format!("9{:05}", self.threads.len());
        let part = |from: &str, to: &str| state_part(&id, 0, from, to, now);
        let parts = if is_ticket { vec![part("submitted", "submitted")] } else { Vec::new() };
        let thread = Thread {
            id: id.clone(),
            is_ticket,
            contacts,
            starter,
            created_at: now,
            updated_at: now,
            state: "open",
            parts,
            count: 1,
            last_close_at: None,
            last_reply_at: now,
            rating: None,
            is_deleted: false,
        };
        self.threads.push(thread);
        if !is_ticket {
            self.wrote(starter, now);
        }
        let topic = if is_ticket { "ticket.created" } else { "conversation.user.created" };
        self.report(self.threads.len() - 1, topic, &[], now);
    }

    /// A thread that is there, of those that one of the contacts still has.
    fn pick(&self, which: usize) -> Option<usize> {
        let there: Vec<usize> = (0..self.threads.len()).filter(|index| !self.threads[*index].is_deleted).collect();
        (!there.is_empty()).then(|| there[which % there.len()])
    }

    fn reply(&mut self, which: usize, now: i64) {
        let Some(index) = self.pick(which).filter(|index| !self.threads[*index].is_ticket) else { return };
        let thread = &mut self.threads[index];
        (thread.state, thread.updated_at, thread.last_reply_at) = ("open", now, now);
        thread.count += 1;
        let (author, id) = (thread.contacts[0], format!("7{}{}", thread.id, thread.count));
        self.wrote(author, now);
        let part = json!({
            "type": "conversation_part", "id": id, "part_type": "comment", "body": "hello", "created_at": now,
            "author": { "type": "user", "id": contact_id(author).as_str() },
        });
        self.report(index, "conversation.user.replied", &[part], now);
    }

    fn set_state(&mut self, which: usize, state: &'static str, topic: &str, now: i64) {
        let Some(index) = self.pick(which) else { return };
        let thread = &mut self.threads[index];
        if thread.is_ticket {
            let (from, to) = if state == "closed" { ("submitted", "resolved") } else { ("resolved", "in_progress") };
            let part = state_part(&thread.id, thread.parts.len(), from, to, now);
            thread.parts.push(part);
        }
        thread.last_close_at = if state == "closed" { Some(now) } else { thread.last_close_at };
        (thread.state, thread.updated_at) = (state, now);
        thread.count += 1;
        let topic = if thread.is_ticket { "ticket.state.updated" } else { topic };
        self.report(index, topic, &[], now);
    }

    fn rate(&mut self, which: usize, score: u32, now: i64) {
        let Some(index) = self.pick(which).filter(|index| !self.threads[*index].is_ticket) else { return };
        let thread = &mut self.threads[index];
        let rater = thread.contacts[0];
        thread.updated_at = now;
        thread.count += 1;
        thread.rating = Some(json!({
            "rating": score, "created_at": thread.created_at, "updated_at": now,
            "contact": { "type": "contact", "id": contact_id(rater).as_str() },
        }));
        let rated = Some((now, now, thread.id.clone(), score));
        let person = &mut self.people[rater];
        person.rated = person.rated.take().max(rated);
        self.report(index, "conversation.rating.added", &[], now);
    }

    fn delete(&mut self, which: usize, now: i64) {
        let Some(index) = self.pick(which).filter(|index| !self.threads[*index].is_ticket) else { return };
        self.threads[index].is_deleted = true;
        let item = json!({ "type": "conversation", "conversation_id": self.threads[index].id });
        self.push("conversation.deleted", item, now);
    }

    fn set_address(&mut self, contact: usize, address: Option<usize>, now: i64) {
        let contact = self.survivor(contact);
        self.people[contact].email = address;
        self.people[contact].updated_at = now;
        self.tell_of(contact, now);
    }

    /// The survivor has everything that the other one had; Intercom tells of each of its threads.
    fn merge(&mut self, from: usize, into: usize, now: i64) {
        let into = self.survivor(into);
        if from == into
            || self.people[from].merged_into.is_some()
            || self.people.iter().any(|one| one.merged_into == Some(from))
        {
            return;
        }
        self.is_blurred = true;
        let old = self.people[from].clone();
        self.people[from].merged_into = Some(into);
        self.people[into].updated_at = now;
        self.people[into].wrote_at = self.people[into].wrote_at.max(old.wrote_at);
        self.people[into].rated = self.people[into].rated.take().max(old.rated);
        self.push("contact.merged", self.contact_item(into), now);
        for index in 0..self.threads.len() {
            let thread = &mut self.threads[index];
            if thread.is_deleted || !thread.contacts.contains(&from) {
                continue;
            }
            thread.contacts.retain(|contact| *contact != from);
            if !thread.contacts.contains(&into) {
                thread.contacts.insert(0, into);
            }
            thread.updated_at = now;
            thread.count += 1;
            let topic = if thread.is_ticket { "ticket.attribute.updated" } else { "conversation.admin.assigned" };
            self.report(index, topic, &[], now);
        }
    }

    pub(super) fn tell_of(&mut self, contact: usize, now: i64) {
        let item = self.contact_item(self.survivor(contact));
        self.push("contact.user.updated", item, now);
    }

    fn contact_item(&self, index: usize) -> Value {
        let person = &self.people[index];
        let email = person.email.map(address);
        json!({ "type": "contact", "id": contact_id(index).as_str(), "role": "user", "email": email, "updated_at": person.updated_at })
    }

    fn wrote(&mut self, contact: usize, now: i64) {
        let person = &mut self.people[contact];
        person.wrote_at = person.wrote_at.max(Some(now));
    }

    fn report(&mut self, index: usize, topic: &str, parts: &[Value], now: i64) {
        let item = self.threads[index].item(parts);
        self.push(topic, item, now);
    }

    fn push(&mut self, topic: &str, item: Value, now: i64) {
        let body = json!({
            "type": "notification_event", "app_id": WORKSPACE, "id": format!("notif_{}", self.reports.len()), "topic": topic,
            "created_at": now, "data": { "type": "notification_event_data", "item": item },
        });
        self.reports.push(Report { body: body.to_string().into_bytes(), arrived: false });
    }

    fn of_address<'t>(&'t self, wanted: &'t str) -> impl Iterator<Item = usize> + 't {
        (0..CONTACTS).filter(move |index| {
            let person = &self.people[*index];
            person.merged_into.is_none() && person.email.map(address).as_deref() == Some(wanted)
        })
    }

    fn open(&self, wanted: &str, is_ticket: bool) -> u64 {
        let theirs: Vec<usize> = self.of_address(wanted).collect();
        let open = self.threads.iter().filter(|thread| {
            let is_open = !thread.is_deleted && thread.state != "closed" && thread.is_ticket == is_ticket;
            is_open && thread.contacts.iter().any(|contact| theirs.contains(contact))
        });
        open.count() as u64
    }

    pub(super) fn addresses_with_something_open(&self) -> impl Iterator<Item = String> {
        (0..ADDRESSES).map(address).filter(|wanted| self.open(wanted, false) + self.open(wanted, true) > 0)
    }

    /// What a profile says is what is true. The last message is exact, or at most a step behind.
    pub(super) fn check(&self, wanted: &str, said: &Value, is_exact: bool) {
        assert_eq!(
            said["Intercom_open_conversations"],
            self.open(wanted, false),
            "conversations of {wanted}: {self:#?}"
        );
        assert_eq!(said["Intercom_open_tickets"], self.open(wanted, true), "tickets of {wanted}: {self:#?}");
        if self.is_blurred {
            return;
        }
        let moment = |second: i64| jiff::Timestamp::from_second(second).expect("in range").to_string();
        if let Some((at, _, _, score)) = self.of_address(wanted).filter_map(|one| self.people[one].rated.clone()).max()
        {
            assert_eq!(said["Intercom_last_rating"], score, "rating of {wanted}: {self:#?}");
            assert_eq!(said["Intercom_last_rating_at"], moment(at), "{wanted}");
        }
        if let Some(at) = self.of_address(wanted).filter_map(|one| self.people[one].wrote_at).max().filter(|_| is_exact)
        {
            assert_eq!(said["Intercom_last_contact_at"], moment(at), "last message of {wanted}: {self:#?}");
        }
    }
}

impl Thread {
    fn item(&self, parts: &[Value]) -> Value {
        let contacts: Vec<Value> =
            self.contacts.iter().map(|one| json!({ "type": "contact", "id": contact_id(*one).as_str() })).collect();
        let contacts = json!({ "type": "contact.list", "contacts": contacts });
        if self.is_ticket {
            let category = if self.state == "closed" { "resolved" } else { "in_progress" };
            return json!({
                "type": "ticket", "id": self.id, "ticket_id": "12", "created_at": self.created_at, "updated_at": self.updated_at,
                "category": "Customer", "ticket_state": { "category": category }, "contacts": contacts,
                "ticket_parts": { "ticket_parts": self.parts, "total_count": self.count.max(self.parts.len() as u64) },
            });
        }
        json!({
            "type": "conversation", "id": self.id, "created_at": self.created_at, "updated_at": self.updated_at,
            "state": self.state, "contacts": contacts, "conversation_rating": self.rating,
            "source": { "type": "conversation", "delivered_as": "customer_initiated",
                "author": { "type": "user", "id": contact_id(self.starter).as_str() } },
            "conversation_parts": { "conversation_parts": parts, "total_count": parts.len() },
            "statistics": { "count_conversation_parts": self.count, "last_close_at": self.last_close_at,
                "last_contact_reply_at": self.last_reply_at },
        })
    }
}

fn state_part(thread: &str, index: usize, from: &str, to: &str, at: i64) -> Value {
    json!({
        "type": "ticket_part", "id": format!("5{thread}{index}"), "part_type": "ticket_state_updated_by_admin",
        "previous_ticket_state": from, "ticket_state": to, "created_at": at, "author": { "type": "admin", "id": "1" },
    })
}
