//! Conversations: created, rated, read, replied to.

use jiff::Timestamp;

use super::people::{self, Actor, actor, starter_or_first};
use super::{Candidate, Context, Finding};
use crate::ids::ContactId;
use crate::intercom::{Item, Part, Rating};
use crate::metric::Metric;
use crate::skip::Skip;

/// Whose replies a topic is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Replier {
    Contact,
    Teammate,
    Bot,
}

impl Replier {
    fn metric(self) -> Metric {
        match self {
            Self::Contact => Metric::RepliedToConversation,
            Self::Teammate => Metric::TeammateRepliedToConversation,
            Self::Bot => Metric::BotRepliedToConversation,
        }
    }
}

impl<'c> Context<'c> {
    /// Created Conversation: only what a contact began.
    pub(super) fn created<'a>(&self, item: &'a Item<'a>) -> Finding<'a> {
        let Some(id) = item.id.id() else { return Finding::Odd("conversation id") };
        let contact = match begun_by(item) {
            Ok(contact) => contact,
            Err(Skip::UnknownAuthor(kind)) if kind == people::NO_AUTHOR => {
                return Finding::Odd("author of its first message");
            }
            Err(skip) => return Finding::Skip(skip),
        };
        self.event(Candidate {
            metric: Metric::CreatedConversation,
            key: self.key(format_args!("conversation-created:{id}")),
            time: item.created_at.0,
            contact: Ok(contact),
            item,
            part: None,
            estimated: false,
        })
    }

    /// Rated Conversation: once the score is there. `created_at` of the rating is when it was asked for, which makes it
    /// part of the key and not the time.
    pub(super) fn rated<'a>(&self, item: &'a Item<'a>) -> Finding<'a> {
        let Some(id) = item.id.id() else { return Finding::Odd("conversation id") };
        let Some(rating) = item.conversation_rating.0.as_ref().filter(|rating| rating.score().is_some()) else {
            return Finding::Skip(Skip::NoScore);
        };
        let Some(asked_at) = rating.created_at.0 else { return Finding::Odd("time at which the rating was asked for") };
        let contact = match rating.contact.id() {
            Some(id) => Ok(ContactId::new(id)),
            None => starter_or_first(item),
        };
        self.event(Candidate {
            metric: Metric::RatedConversation,
            key: self.key(format_args!("conversation-rated:{id}:{}", asked_at.as_second())),
            time: Some(rated_at(item, rating, asked_at)),
            contact,
            item,
            part: None,
            estimated: false,
        })
    }

    /// Read Conversation: keyed by the newest part, so that reading the same messages twice is one event.
    pub(super) fn read<'a>(&self, item: &'a Item<'a>, notified_at: Option<Timestamp>) -> Finding<'a> {
        let Some(id) = item.id.id() else { return Finding::Odd("conversation id") };
        let newest = item.newest_conversation_part().and_then(|part| part.id.id()).unwrap_or("start");
        self.event(Candidate {
            metric: Metric::ReadConversation,
            key: self.key(format_args!("conversation-read:{id}:{newest}")),
            time: notified_at,
            contact: starter_or_first(item),
            item,
            part: None,
            estimated: false,
        })
    }

    /// Replies in a notification: one event for each message of the wanted kind of author.
    pub(super) fn replies<'a>(&self, item: &'a Item<'a>, replier: Replier) -> Vec<Finding<'a>> {
        if item.ticket.0.is_some() {
            return vec![Finding::Skip(Skip::ReplyOfTicket)];
        }
        let mut findings: Vec<_> = item
            .conversation_parts
            .items
            .iter()
            .filter(|part| if replier == Replier::Bot { part.is_bot_message() } else { part.is_message() })
            .filter_map(|part| self.reply(item, part, replier))
            .collect();
        if findings.is_empty() {
            findings.push(Finding::Skip(Skip::NoReply));
        }
        findings
    }

    /// One part as a reply; `None` where somebody else wrote it.
    pub(super) fn reply<'a>(&self, item: &'a Item<'a>, part: &'a Part<'a>, replier: Replier) -> Option<Finding<'a>> {
        let contact = match (actor(part.author().as_ref(), item), replier) {
            (Actor::Contact(id), Replier::Contact) => Ok(id),
            (Actor::Teammate, Replier::Teammate) | (Actor::Bot, Replier::Bot) => starter_or_first(item),
            (Actor::Unknown(kind), _) => return Some(Finding::Skip(Skip::UnknownAuthor(kind))),
            _ => return None,
        };
        let Some(part_id) = part.id.id() else { return Some(Finding::Odd("part id")) };
        let what = match replier {
            Replier::Contact => "conversation-replied",
            Replier::Teammate => "conversation-teammate-replied",
            Replier::Bot => "conversation-bot-replied",
        };
        Some(self.event(Candidate {
            metric: replier.metric(),
            key: self.key(format_args!("{what}:{part_id}")),
            time: part.created_at.0,
            contact,
            item,
            part: Some(part),
            estimated: false,
        }))
    }
}

/// The contact who began the conversation, or why it does not count.
fn begun_by(item: &Item<'_>) -> Result<ContactId, Skip> {
    let source = item.source.0.as_ref();
    let contact = match actor(source.and_then(|source| source.author.0.as_ref()), item) {
        Actor::Contact(id) => id,
        Actor::Unknown(kind) if !is_ticket(item) => return Err(Skip::UnknownAuthor(kind)),
        _ if is_ticket(item) => return Err(Skip::IsTicket),
        _ => return Err(Skip::NotStartedByContact),
    };
    match source.and_then(|source| source.delivered_as.get()) {
        None | Some("customer_initiated") => Ok(contact),
        Some(_) => Err(Skip::NotStartedByContact),
    }
}

/// Since 2024-08 conversation search returns tickets as well: a `ticket` object and no source of their own. A customer's
/// conversation that was converted keeps its source, and with it a contact as author.
fn is_ticket(item: &Item<'_>) -> bool {
    let source = item.source.0.as_ref().and_then(|source| source.kind.get());
    item.ticket.0.is_some() && matches!(source, None | Some("unknown"))
}

/// When the rating was given: `updated_at` since 2.14; before that the part that records it (the first one after it was
/// asked for, because the first score is the one that was sent); else when it was asked for.
pub(crate) fn rated_at(item: &Item<'_>, rating: &Rating<'_>, asked_at: Timestamp) -> Timestamp {
    let recorded = || {
        item.conversation_parts
            .items
            .iter()
            .filter(|part| part.part_type.get() == Some("conversation_rating_changed"))
            .filter_map(|part| part.created_at.0)
            .filter(|at| *at >= asked_at)
            .min()
    };
    rating.updated_at.0.or_else(recorded).unwrap_or(asked_at)
}
