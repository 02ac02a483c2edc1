//! The item of a notification: a conversation, a ticket, a reply to a ticket, a contact, a ping.
//!
//! One struct for all, because the topic that tells them apart comes after the item in Intercom's JSON, and reading twice
//! would cost more than the absent fields do.

use std::fmt;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, IntoDeserializer, MapAccess, Visitor};

use super::shapes::{Attributes, Author, Body, Count, Named, RefId, StateRef, TypeRef, Unread};
use crate::lenient::{Flag, List, Maybe, Moment, Number, Text};

/// Everything that some rule reads of a conversation or ticket. Absent where the object is of another kind.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub struct Item<'a> {
    /// `conversation`, `ticket`, `ticket_ticket_part`, `contact`, `ping`; some items carry none.
    #[serde(rename = "type")]
    pub kind: Text<'a>,
    /// Text in most versions, a number in legacy tickets.
    pub id: Text<'a>,
    /// For a ticket that was a conversation: the conversation's.
    pub created_at: Moment,
    /// Last change. In REST snapshots of tickets it can be older than the newest part.
    pub updated_at: Moment,
    /// Since when the contact waits for an answer.
    pub waiting_since: Moment,
    /// Until when it is snoozed.
    pub snoozed_until: Moment,
    /// The message that started a conversation.
    pub source: Maybe<SourceMessage<'a>>,
    /// Ids only.
    pub contacts: List<RefId<'a>>,
    /// `open`, `closed`, `snoozed`.
    pub state: Text<'a>,
    /// Whether it is open.
    pub open: Flag,
    /// `priority`/`not_priority` before 2.16, `none` to `urgent` since.
    pub priority: Text<'a>,
    /// Title of the conversation.
    pub title: Text<'a>,
    /// Assigned teammate; `0` is nobody.
    pub admin_assignee_id: Text<'a>,
    /// Assigned team; `0` is none.
    pub team_assignee_id: Text<'a>,
    /// Tags on a conversation.
    pub tags: List<Named<'a>>,
    /// Applied SLA.
    pub sla_applied: Maybe<Sla<'a>>,
    /// Counters and durations.
    pub statistics: Maybe<Statistics>,
    /// The newest rating. `{}` in old versions where there is none.
    pub conversation_rating: Maybe<Rating<'a>>,
    /// Of a conversation.
    pub custom_attributes: Attributes<'a>,
    /// In a notification only the parts it is about, in REST the newest 500.
    pub conversation_parts: List<Part<'a>>,
    /// In a conversation the legacy ticket, in a reply to a ticket the whole ticket. A ticket holds no other.
    #[serde(deserialize_with = "inner_ticket")]
    pub ticket: Maybe<Box<Item<'a>>>,
    /// The number that people see; not usable in API paths.
    pub ticket_id: Text<'a>,
    /// Of a ticket, title and description among them.
    pub ticket_attributes: Attributes<'a>,
    /// Object since 2.12, category text before.
    pub ticket_state: StateRef<'a>,
    /// Label beside a text `ticket_state`.
    pub ticket_state_internal_label: Text<'a>,
    /// Name and category.
    pub ticket_type: TypeRef<'a>,
    /// The whole history, capped at the newest 500.
    pub ticket_parts: List<Part<'a>>,
    /// `Customer`, `Back-office`, `Tracker`.
    pub category: Text<'a>,
    /// Whether the customer sees the ticket.
    pub is_shared: Flag,
    /// In a reply to a ticket: the reply.
    pub ticket_part: Maybe<Part<'a>>,
    /// In `conversation.deleted`, which carries nothing else.
    pub conversation_id: Text<'a>,
}

/// Reads the ticket inside an item, and nothing below a `ticket` inside that: an item that holds items without end must not
/// exhaust the stack.
fn inner_ticket<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Maybe<Box<Item<'a>>>, D::Error> {
    struct Inner<'a>(Box<Item<'a>>);

    impl<'de: 'a, 'a> Deserialize<'de> for Inner<'a> {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_map(InnerVisitor).map(|item| Self(Box::new(item)))
        }
    }

    struct InnerVisitor;

    impl<'de> Visitor<'de> for InnerVisitor {
        type Value = Item<'de>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a ticket")
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
            Item::deserialize(MapAccessDeserializer::new(WithoutTicket(map)))
        }
    }

    let inner: Maybe<Inner<'a>> = Maybe::deserialize(deserializer)?;
    Ok(Maybe(inner.0.map(|inner| inner.0)))
}

/// The members of an object, but for `ticket`.
struct WithoutTicket<A>(A);

impl<'de, A: MapAccess<'de>> MapAccess<'de> for WithoutTicket<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        while let Some(name) = self.0.next_key::<Text<'de>>()? {
            let name = name.0.unwrap_or_default();
            if name != "ticket" {
                return seed.deserialize(name.into_deserializer()).map(Some);
            }
            self.0.next_value::<IgnoredAny>()?;
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.0.next_value_seed(seed)
    }
}

/// How a conversation began.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub struct SourceMessage<'a> {
    /// `conversation`, `email`, …; null or `unknown` for tickets and API-made ones.
    #[serde(rename = "type")]
    pub kind: Text<'a>,
    /// `customer_initiated`, `admin_initiated`, `automated`, `campaigns_initiated`, `operator_initiated`.
    pub delivered_as: Text<'a>,
    /// The first message.
    pub body: Body<'a>,
    /// Who wrote it.
    pub author: Maybe<Author<'a>>,
}

/// SLA summary.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub struct Sla<'a> {
    /// `hit`, `missed`, `active`, `cancelled`.
    pub sla_status: Text<'a>,
}

/// Conversation statistics. Dates are ISO text before 2.15, Unix seconds since.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Statistics {
    /// All parts, not only those in the payload.
    pub count_conversation_parts: Number,
    /// How often it was reopened.
    pub count_reopens: Number,
    /// How often it was assigned.
    pub count_assignments: Number,
    /// Seconds to the first answer of a teammate.
    pub time_to_admin_reply: Number,
    /// First message of the contact.
    pub first_contact_reply_at: Moment,
    /// First answer of a teammate.
    pub first_admin_reply_at: Moment,
    /// Last message of a contact.
    pub last_contact_reply_at: Moment,
    /// When it was last closed.
    pub last_close_at: Moment,
}

/// A rating that was asked for; `rating` is absent until it is given.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub struct Rating<'a> {
    /// 1 to 5; see [`Rating::score`].
    pub rating: Number,
    /// What the contact wrote with it; can come later than the score.
    pub remark: Text<'a>,
    /// When it was asked for.
    pub created_at: Moment,
    /// When it was given or changed; since 2.14.
    pub updated_at: Moment,
    /// Who rated.
    pub contact: RefId<'a>,
    /// Who was rated.
    pub teammate: RefId<'a>,
}

/// An entry of a conversation's or ticket's history. A ticket brings all of them, and of most only type and time are looked at:
/// the rest is read when somebody asks.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub struct Part<'a> {
    /// Unique in the workspace only.
    pub id: Text<'a>,
    /// `comment`, `note`, `assignment`, `ticket_state_updated_by_admin`, …
    pub part_type: Text<'a>,
    /// What it says; absent for system parts.
    pub body: Body<'a>,
    /// When.
    pub created_at: Moment,
    /// Who.
    pub author: Unread<'a>,
    /// Files.
    pub attachments: Unread<'a>,
    /// Of a state part: the new category.
    pub ticket_state: Text<'a>,
    /// Of a state part: the old category.
    pub previous_ticket_state: Text<'a>,
}

/// Intercom cuts a ticket's history at this many parts, silently.
const PART_CAP: usize = 500;

impl<'a> Item<'a> {
    /// The ticket that a `ticket.*` item is or holds. The legacy ticket inside attach notifications has no parts.
    pub fn as_ticket(&self) -> &Item<'a> {
        self.ticket.0.as_deref().unwrap_or(self)
    }

    /// Whether the parts of a ticket are all there.
    pub fn ticket_parts_whole(&self) -> bool {
        is_whole(&self.ticket_parts)
    }

    /// Whether the parts of a conversation, as `GET` gives them, are all there.
    pub fn conversation_parts_whole(&self) -> bool {
        is_whole(&self.conversation_parts)
    }

    /// State parts, oldest first: by time, then by position.
    pub fn state_parts(&self) -> Vec<&Part<'a>> {
        let mut parts: Vec<_> = self.ticket_parts.items.iter().filter(|part| part.is_state_change()).collect();
        parts.sort_by_key(|part| part.created_at.0);
        parts
    }

    /// The newest part of a conversation: the latest in time, the last of them in position.
    pub fn newest_conversation_part(&self) -> Option<&Part<'a>> {
        self.conversation_parts.items.iter().max_by_key(|part| part.created_at.0)
    }

    /// Ids of the contacts, in order.
    pub fn contact_ids(&self) -> impl Iterator<Item = &str> {
        self.contacts.items.iter().filter_map(RefId::id)
    }

    /// Whether this contact takes part.
    pub fn has_contact(&self, id: &str) -> bool {
        self.contact_ids().any(|contact| contact == id)
    }

    /// When the ticket came into being: its first state part where that can be seen, else `created_at`, which for a
    /// converted conversation is the conversation's.
    pub fn ticket_opened_at(&self) -> Option<Timestamp> {
        let first = self.first_state_part().filter(|_| self.ticket_parts_whole());
        first.and_then(|part| part.created_at.0).or(self.created_at.0)
    }

    /// The oldest state part that is shown.
    pub fn first_state_part(&self) -> Option<&Part<'a>> {
        self.ticket_parts.items.iter().filter(|part| part.is_state_change()).min_by_key(|part| part.created_at.0)
    }

    /// The ticket's category name, from the ticket or its type.
    pub fn ticket_category(&self) -> Option<&str> {
        self.category.get().or_else(|| self.ticket_type.category.get())
    }

    /// Whether a ticket is for teammates only: Back-office and Tracker.
    pub fn is_internal_ticket(&self) -> bool {
        let internal_name = self.ticket_category().is_some_and(|name| {
            let name = name.to_ascii_lowercase();
            name.starts_with("back") || name == "task" || name == "tracker"
        });
        internal_name || self.ticket_type.is_internal.0 == Some(true)
    }
}

/// The cap hides the oldest parts.
fn is_whole(parts: &List<Part<'_>>) -> bool {
    match parts.total_count {
        Some(total) => parts.items.len() as u64 >= total,
        None => parts.items.len() < PART_CAP,
    }
}

impl Rating<'_> {
    /// The score, once it is given.
    pub fn score(&self) -> Option<f64> {
        self.rating.0.filter(|score| *score > 0.0)
    }
}

impl<'a> Part<'a> {
    /// Who wrote it.
    pub fn author(&self) -> Option<Author<'a>> {
        self.author.read::<Maybe<Author<'a>>>()?.0
    }

    /// Whether the part records a move between ticket states, by whomever.
    pub fn is_state_change(&self) -> bool {
        self.part_type.0.as_deref().is_some_and(|kind| kind.starts_with("ticket_state_updated"))
    }

    /// Whether the part is something that a person sent: text or files, never an internal note, and never what Intercom
    /// records by itself.
    pub fn is_message(&self) -> bool {
        let kind = self.part_type.get().unwrap_or_default();
        !NOT_MESSAGES.iter().any(|prefix| kind.starts_with(prefix))
            && (self.body.has_content() || self.attachments.read::<Count>().is_some_and(|files| files.0 > 0))
    }

    /// Whether the part is something that a bot said to the customer, rather than a notice of Intercom's.
    pub fn is_bot_message(&self) -> bool {
        matches!(self.part_type.get(), Some("comment" | "quick_reply")) && self.is_message()
    }
}

/// How the types of parts begin that are no messages, even where they have a text and a contact as author. A list of the
/// types that are messages would be shorter and wrong: a reply can come as `assignment`, `open`, `close` and more.
const NOT_MESSAGES: [&str; 11] = [
    "note",
    "attribute_",
    "channel_and_reply_time_expectation",
    "conversation_",
    "custom_action_",
    "fin_guidance",
    "language_detection",
    "operator_workflow",
    "participant_",
    "ticket_",
    "title_changed",
];
