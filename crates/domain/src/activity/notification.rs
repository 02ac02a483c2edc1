//! From a notification to its findings: which topic asks which question.

use jiff::Timestamp;

use super::conversation::Replier;
use super::ticket::States;
use super::{Context, Finding};
use crate::intercom::{Item, Notification};
use crate::skip::Skip;

/// Everything that a notification says. Never empty.
pub fn from_notification<'a>(context: &Context<'_>, notification: &'a Notification<'a>) -> Vec<Finding<'a>> {
    let topic = notification.topic.get().unwrap_or_default();
    let item = &notification.item;
    let at = notification.created_at.0;
    match topic {
        "ping" => skip(Skip::Ping),
        "conversation.user.created" => vec![context.created(item)],
        "conversation.rating.added" => vec![context.rated(item)],
        "conversation.read" => vec![context.read(item, at)],
        "conversation.user.replied" => context.replies(item, Replier::Contact),
        "conversation.admin.replied" => context.replies(item, Replier::Teammate),
        "conversation.operator.replied" => context.replies(item, Replier::Bot),
        _ if topic.starts_with("contact.") => skip(Skip::ContactChange),
        _ if topic.starts_with("ticket.") => ticket_topic(context, topic, item, at),
        _ if is_understood(topic) => skip(Skip::NoEvent(topic.to_owned())),
        _ => skip(Skip::UnknownTopic(topic.to_owned())),
    }
}

fn skip<'a>(reason: Skip) -> Vec<Finding<'a>> {
    vec![Finding::Skip(reason)]
}

/// Topics that change a conversation without being one of the metrics.
fn is_understood(topic: &str) -> bool {
    matches!(
        topic,
        "conversation.admin.closed"
            | "conversation.admin.opened"
            | "conversation.admin.snoozed"
            | "conversation.admin.unsnoozed"
            | "conversation.admin.assigned"
            | "conversation.admin.noted"
            | "conversation.admin.single.created"
            | "conversation.admin.replied.translated"
            | "conversation.contact.attached"
            | "conversation.contact.detached"
            | "conversation.deleted"
            | "conversation.priority.updated"
            | "conversation_part.redacted"
            | "conversation_part.tag.created"
    )
}

/// All `ticket.*` topics: what the topic itself says, and the state parts of the last day, whichever topic it is.
fn ticket_topic<'a>(
    context: &Context<'_>,
    topic: &str,
    item: &'a Item<'a>,
    notified_at: Option<Timestamp>,
) -> Vec<Finding<'a>> {
    let ticket = item.as_ticket();
    if let Some(reason) = context.ticket_left_out(ticket) {
        return skip(reason);
    }
    let mut findings = match topic {
        "ticket.created" => vec![context.ticket_created(ticket)],
        "ticket.contact.replied" => ticket_replies(context, item, Replier::Contact),
        "ticket.admin.replied" => ticket_replies(context, item, Replier::Teammate),
        _ => Vec::new(),
    };
    if ticket.first_state_part().is_none() && ticket.ticket_parts_whole() {
        if findings.is_empty() {
            findings.push(Finding::Skip(ticket_without_states(topic)));
        }
    } else {
        findings.extend(context.ticket_states(ticket, States::Since(notified_at)));
    }
    findings
}

/// The reply that a ticket notification is about.
fn ticket_replies<'a>(context: &Context<'_>, item: &'a Item<'a>, replier: Replier) -> Vec<Finding<'a>> {
    let ticket = item.as_ticket();
    let reply = item
        .ticket_part
        .0
        .as_ref()
        .filter(|part| part.is_message())
        .and_then(|part| context.ticket_reply(ticket, part, replier));
    vec![reply.unwrap_or(Finding::Skip(Skip::NoReply))]
}

/// Why a ticket topic without state parts says nothing.
fn ticket_without_states(topic: &str) -> Skip {
    const KNOWN: [&str; 18] = [
        "ticket.state.updated",
        "ticket.resolved",
        "ticket.closed",
        "ticket.admin.assigned",
        "ticket.team.assigned",
        "ticket.attribute.updated",
        "ticket.note.created",
        "ticket.contact.attached",
        "ticket.contact.detached",
        "ticket.rating.provided",
        "ticket.admin.snoozed",
        "ticket.admin.unsnoozed",
        "ticket.admin.replied.translated",
        "ticket.deleted",
        "ticket.merged",
        "ticket.company.attached",
        "ticket.company.detached",
        "ticket.operator.replied",
    ];
    match topic {
        "ticket.state.updated" | "ticket.resolved" | "ticket.closed" => Skip::NoState,
        _ if KNOWN.contains(&topic) => Skip::NoEvent(topic.to_owned()),
        _ => Skip::UnknownTopic(topic.to_owned()),
    }
}
