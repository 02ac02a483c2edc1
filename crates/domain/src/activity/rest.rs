//! From REST items, as search gives them: the same findings as live, for history and reconcile.

use jiff::SignedDuration;

use super::conversation::Replier;
use super::ticket::States;
use super::{Context, Finding};
use crate::intercom::{Item, Part};
use crate::skip::Skip;

/// Created and Rated Conversation, and the contact's replies where the item carries its parts (`GET /conversations/{id}`).
pub fn conversation_from_rest<'a>(context: &Context<'_>, item: &'a Item<'a>) -> Vec<Finding<'a>> {
    let mut findings = vec![context.created(item)];
    if item.conversation_rating.0.as_ref().is_some_and(|rating| rating.score().is_some()) {
        findings.push(context.rated(item));
    }
    findings.extend(
        replies_before_ticket(item)
            .filter_map(|part| context.reply(item, part, Replier::Contact))
            .filter(|found| !matches!(found, Finding::Skip(Skip::UnknownAuthor(_)))),
    );
    findings
}

/// Messages that belong to the conversation: all of them, or, where it was converted, those before the ticket's first state
/// part (none, where that part is not shown or the list is cut: the ticket brings its replies itself).
fn replies_before_ticket<'a>(item: &'a Item<'a>) -> impl Iterator<Item = &'a Part<'a>> {
    let parts = &item.conversation_parts.items;
    let converted = item.ticket.0.is_some();
    let states = parts.iter().filter(|part| part.is_state_change());
    let opened = states.filter_map(|part| part.created_at.0).min().filter(|_| item.conversation_parts_whole());
    parts.iter().filter(move |part| part.is_message() && (!converted || part.created_at.0 < opened))
}

/// Created, Submitted, On Hold and Resolved Ticket, and the contact's replies: ticket search carries every part.
pub fn ticket_from_rest<'a>(context: &Context<'_>, ticket: &'a Item<'a>) -> Vec<Finding<'a>> {
    if let Some(reason) = context.ticket_left_out(ticket) {
        return vec![Finding::Skip(reason)];
    }
    let mut findings = vec![context.ticket_created(ticket)];
    if ticket.first_state_part().is_none() {
        findings.extend(if is_old_import(context, ticket) {
            context.ticket_estimated(ticket)
        } else if ticket.ticket_parts_whole() {
            vec![Finding::Skip(Skip::NoState)]
        } else {
            vec![Finding::Skip(Skip::StateHistoryCut)]
        });
    } else {
        findings.extend(context.ticket_states(ticket, States::All));
    }
    let replies = ticket.ticket_parts.items.iter().filter(|part| part.is_message());
    findings.extend(
        replies
            .filter_map(|part| context.ticket_reply(ticket, part, Replier::Contact))
            .filter(|found| !matches!(found, Finding::Skip(Skip::UnknownAuthor(_)))),
    );
    findings
}

/// A ticket over a day old whose list of parts is whole and holds no state part was made by an import. A younger one
/// may still get its first state part.
fn is_old_import(context: &Context<'_>, ticket: &Item<'_>) -> bool {
    let old = ticket
        .created_at
        .0
        .and_then(|at| at.checked_add(SignedDuration::from_hours(24)).ok())
        .is_some_and(|grown| grown < context.now);
    old && ticket.ticket_parts_whole()
}
