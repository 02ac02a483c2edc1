//! What notifications and items say about support.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::stand::{Version, company};
use crate::history::StreamName;
use crate::ids::ContactId;
use crate::intercom::{Author, Item, Notification, Part};
use crate::rules::Rules;

/// What a report says about one contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// About whom.
    pub contact: ContactId,
    /// In which thread.
    pub thread: String,
    /// Everybody who takes part, the contact included.
    pub contacts: Vec<ContactId>,
    /// How the thread stands; `None` where the report does not say.
    pub said: Option<Said>,
    /// When the contact last wrote in it, in Unix seconds, as far as the report shows.
    pub wrote_at: Option<i64>,
    /// The contact's rating of it.
    pub rated: Option<Rated>,
    /// When this was so, in Unix seconds: the notification's time, or when the item was read.
    pub seen: i64,
}

/// How a thread stands, as a report says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Said {
    /// Which report.
    pub version: Version,
    /// The last moment, in Unix seconds, at which it may have been closed or opened again, where the report shows that: nothing
    /// of the kind has happened since. The earliest of all moments where it never was closed; `None` where the report does not show it.
    pub unmoved_since: Option<i64>,
}

/// A rating. The derived order says which of two is the last one: the later; of one moment, that of the later report.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Rated {
    /// When it was given or changed, in Unix seconds.
    pub at: i64,
    /// The version of its conversation: a score that was changed before API 2.14 has no time of its own.
    #[serde(rename = "v")]
    pub version: i64,
    /// The conversation.
    #[serde(rename = "in")]
    pub thread: String,
    /// 1 to 5.
    pub score: u32,
}

/// What one notification or item says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// About the contacts that take part.
    pub facts: Vec<Fact>,
    /// That contacts who wrote in it take part no more: merged into another, or detached.
    pub former: Vec<Fact>,
    /// A thread that is deleted: the report says nothing else.
    pub deleted: Option<String>,
}

/// What a notification says. `now`: when it was accepted, for one without a time of its own.
pub fn of_notification(rules: &Rules, notification: &Notification<'_>, now: i64) -> Facts {
    let topic = notification.topic.get().unwrap_or_default();
    let item = &notification.item;
    let seen = notification.created_at.0.map_or(now, |at| at.as_second());
    match topic {
        // Reads are the most frequent topic by far and change nothing here.
        "conversation.read" => Facts::default(),
        "conversation.deleted" => deleted(item.conversation_id.id().or(item.id.id())),
        "ticket.deleted" => deleted(item.as_ticket().id.id().or(item.ticket_id.id())),
        _ if topic.starts_with("conversation.") => conversation(item, seen),
        _ if topic.starts_with("ticket.") => ticket(rules, item, seen),
        _ => Facts::default(),
    }
}

/// What an item of the REST API says that was read at `seen`, in Unix seconds.
pub fn of_item(rules: &Rules, stream: StreamName, item: &Item<'_>, seen: i64) -> Facts {
    match stream {
        StreamName::Conversations => conversation(item, seen),
        StreamName::Tickets => ticket(rules, item, seen),
    }
}

fn deleted(thread: Option<&str>) -> Facts {
    Facts { deleted: thread.map(str::to_owned), ..Facts::default() }
}

fn conversation(item: &Item<'_>, seen: i64) -> Facts {
    if !matches!(item.kind.get(), None | Some("conversation")) {
        return Facts::default();
    }
    let Some(id) = item.id.id() else { return Facts::default() };
    let open = match item.state.get() {
        Some("open" | "snoozed") => Some(true),
        Some("closed") => Some(false),
        _ => item.open.0,
    };
    let is_ticket = item.ticket.0.is_some();
    let parts = &item.conversation_parts.items;
    let at = newest(item, parts).unwrap_or(seen);
    let statistics = item.statistics.0.as_ref();
    let said = open.map(|open| Said {
        version: Version {
            deleted: false,
            ticket: false,
            at,
            parts: statistics.and_then(|one| one.count_conversation_parts.count()).unwrap_or(0),
            closed: is_ticket || !open,
            left: false,
            company: 0,
        },
        unmoved_since: statistics
            .filter(|_| !is_ticket)
            .map(|one| one.last_close_at.0.map_or(i64::MIN, |closed_at| closed_at.as_second())),
    });
    let mut people = People::of(item);
    people.wrote(item.source.0.as_ref().and_then(|source| source.author.0.as_ref()), item.created_at.0);
    parts.iter().filter(|part| part.is_message()).for_each(|part| people.part(part));
    people.last(statistics.and_then(|one| one.last_contact_reply_at.0));
    people.rating(item, at);
    people.facts(id, said, seen)
}

fn ticket(rules: &Rules, item: &Item<'_>, seen: i64) -> Facts {
    let ticket = item.as_ticket();
    if ticket.is_internal_ticket() && !rules.internal_tickets {
        return Facts::default();
    }
    let Some(id) = ticket.id.id() else { return Facts::default() };
    let open = match ticket.ticket_state.category.get() {
        Some(category) => Some(category != "resolved"),
        None => ticket.open.0,
    };
    let parts = &ticket.ticket_parts.items;
    let said = open.map(|open| Said {
        version: Version {
            deleted: false,
            ticket: true,
            at: newest(ticket, parts).unwrap_or(seen),
            parts: ticket.ticket_parts.total_count.unwrap_or(parts.len() as u64),
            closed: !open,
            left: false,
            company: 0,
        },
        unmoved_since: ticket.state_parts().last().and_then(|part| part.created_at.0).map(|at| at.as_second()),
    });
    let mut people = People::of(ticket);
    if let Some(part) = item.ticket_part.0.as_ref().filter(|part| part.is_message()) {
        people.part(part);
    }
    // The newest message of a contact says it; what is before it need not be looked at.
    for part in parts.iter().rev().filter(|part| part.is_message()) {
        if people.part_of_contact(part) {
            break;
        }
    }
    people.facts(id, said, seen)
}

/// `updated_at`, or the newest part's time: in snapshots of tickets the former can be older.
fn newest(item: &Item<'_>, parts: &[Part<'_>]) -> Option<i64> {
    let parts = parts.iter().filter_map(|part| part.created_at.0).max();
    item.updated_at.0.max(parts).or(item.created_at.0).map(|at| at.as_second())
}

/// Who takes part, and when they last wrote.
struct People {
    there: BTreeMap<ContactId, (Option<i64>, Option<Rated>)>,
    former: Vec<ContactId>,
}

impl People {
    fn of(item: &Item<'_>) -> Self {
        let there = item.contact_ids().map(|id| (ContactId::new(id), (None, None))).collect();
        Self { there, former: Vec::new() }
    }

    /// Notes what somebody wrote; `true` where it was a contact who takes part.
    fn wrote(&mut self, author: Option<&Author<'_>>, at: Option<jiff::Timestamp>) -> bool {
        let Some(author) = author else { return false };
        let Some(id) = author.id.id() else { return false };
        let contact = ContactId::new(id);
        if let Some((wrote_at, _)) = self.there.get_mut(&contact) {
            *wrote_at = (*wrote_at).max(at.map(|at| at.as_second()));
            return true;
        }
        let is_contact = matches!(author.kind.get(), Some("user" | "lead" | "contact" | "visitor"));
        if is_contact && !self.there.is_empty() && !self.former.contains(&contact) {
            self.former.push(contact);
        }
        false
    }

    fn part(&mut self, part: &Part<'_>) {
        self.part_of_contact(part);
    }

    fn part_of_contact(&mut self, part: &Part<'_>) -> bool {
        self.wrote(part.author().as_ref(), part.created_at.0)
    }

    /// When a contact last replied: says who where there is one only.
    fn last(&mut self, at: Option<jiff::Timestamp>) {
        if self.there.len() == 1
            && let Some((wrote_at, _)) = self.there.values_mut().next()
        {
            *wrote_at = (*wrote_at).max(at.map(|at| at.as_second()));
        }
    }

    fn rating(&mut self, item: &Item<'_>, version: i64) {
        let Some(rating) = item.conversation_rating.0.as_ref() else { return };
        let (Some(score), Some(thread)) = (rating.score(), item.id.id()) else { return };
        let Some(asked_at) = rating.created_at.0 else { return };
        let at = crate::activity::rated_at(item, rating, asked_at).as_second();
        let rater = rating.contact.id().map(ContactId::new);
        let rater = rater.filter(|id| self.there.contains_key(id)).or_else(|| self.there.keys().next().cloned());
        if let Some((_, rated)) = rater.and_then(|rater| self.there.get_mut(&rater)) {
            *rated = Some(Rated { at, version, thread: thread.to_owned(), score: score.round() as u32 });
        }
    }

    fn facts(self, thread: &str, said: Option<Said>, seen: i64) -> Facts {
        let left = said.map(|said| Said { version: Version { left: true, ..said.version }, ..said });
        let contacts: Vec<ContactId> = self.there.keys().cloned().collect();
        let former = self.former.into_iter().map(|contact| Fact {
            contact,
            thread: thread.to_owned(),
            contacts: contacts.clone(),
            said: left,
            wrote_at: None,
            rated: None,
            seen,
        });
        let former = former.filter(|fact| fact.said.is_some()).collect();
        let company = company(self.there.keys().map(ContactId::as_str));
        let said = said.map(|said| Said { version: Version { company, ..said.version }, ..said });
        // A clock that is wrong by a day or more says nothing about when somebody wrote.
        let latest = seen.saturating_add(24 * 3600);
        let facts = self.there.into_iter().map(|(contact, (wrote_at, rated))| Fact {
            contact,
            thread: thread.to_owned(),
            contacts: contacts.clone(),
            said,
            wrote_at: wrote_at.filter(|at| *at <= latest),
            rated: rated.filter(|rated| rated.at <= latest),
            seen,
        });
        Facts { facts: facts.collect(), former, deleted: None }
    }
}
