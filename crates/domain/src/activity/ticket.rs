//! Tickets: created, submitted, on hold, resolved, replied to.
//!
//! A ticket notification carries the ticket's whole history, so every one repairs what an earlier, lost one should have
//! said: the state parts of its last day are walked, and each is an event under its own key.

use jiff::{SignedDuration, Timestamp};

use super::conversation::Replier;
use super::people::{Actor, actor, first_contact};
use super::{Candidate, Context, Finding};
use crate::intercom::{Item, Part};
use crate::metric::Metric;
use crate::skip::Skip;

/// How far back a live notification looks.
const LOOK_BACK: SignedDuration = SignedDuration::from_hours(24);

/// Which state parts to report.
#[derive(Clone, Copy, Debug)]
pub(super) enum States {
    /// Those of the 24 hours before this moment, and always the newest.
    Since(Option<Timestamp>),
    /// All of them: history and reconcile bound them by time elsewhere.
    All,
}

impl<'c> Context<'c> {
    /// Whether the settings leave the whole ticket out.
    pub(super) fn ticket_left_out(&self, ticket: &Item<'_>) -> Option<Skip> {
        (ticket.is_internal_ticket() && !self.rules.internal_tickets).then_some(Skip::InternalTicket)
    }

    /// Created Ticket.
    pub(super) fn ticket_created<'a>(&self, ticket: &'a Item<'a>) -> Finding<'a> {
        let Some(id) = ticket.id.id() else { return Finding::Odd("ticket id") };
        self.event(Candidate {
            metric: Metric::CreatedTicket,
            key: self.key(format_args!("ticket-created:{id}")),
            time: ticket.ticket_opened_at(),
            contact: first_contact(ticket),
            item: ticket,
            part: None,
            estimated: false,
        })
    }

    /// Submitted, on hold and resolved, from the ticket's state parts. The topic never decides which state it is.
    pub(super) fn ticket_states<'a>(&self, ticket: &'a Item<'a>, which: States) -> Vec<Finding<'a>> {
        let parts = ticket.state_parts();
        let whole = ticket.ticket_parts_whole();
        let Some(newest) = parts.len().checked_sub(1) else {
            return vec![Finding::Skip(if whole { Skip::NoState } else { Skip::StateHistoryCut })];
        };
        let since = match which {
            States::Since(Some(at)) => at.checked_sub(LOOK_BACK).ok(),
            States::Since(None) => Some(Timestamp::MAX),
            States::All => None,
        };
        let mut findings: Vec<_> = parts
            .iter()
            .enumerate()
            .filter(|(index, part)| *index == newest || since.is_none_or(|since| part.created_at.0 >= Some(since)))
            .map(|(index, part)| match self.ticket_state(ticket, part, whole && index == 0) {
                // It may be the very first, which counts, or a later move, which does not: that is hidden.
                Finding::Skip(Skip::SameState) if !whole && index == 0 => Finding::Skip(Skip::StateHistoryCut),
                finding => finding,
            })
            .collect();
        let said = |finding: &Finding<'_>| matches!(finding, Finding::Skip(Skip::StateHistoryCut));
        if !whole && hides_states_since(ticket, since) && !findings.iter().any(said) {
            findings.push(Finding::Skip(Skip::StateHistoryCut));
        }
        findings
    }

    /// One state part. The very first part of a ticket reads `submitted → submitted` and counts; a later move inside one
    /// category is between two custom states and does not.
    fn ticket_state<'a>(&self, ticket: &'a Item<'a>, part: &'a Part<'a>, first: bool) -> Finding<'a> {
        let Some(id) = ticket.id.id() else { return Finding::Odd("ticket id") };
        let Some(part_id) = part.id.id() else { return Finding::Odd("part id") };
        let category = part.ticket_state.get().unwrap_or("none");
        let (metric, what) = match category {
            "submitted" => (Metric::SubmittedTicket, "ticket-submitted"),
            "waiting_on_customer" => (Metric::MarkedTicketOnHold, "ticket-on-hold"),
            "resolved" => (Metric::ResolvedTicket, "ticket-resolved"),
            "in_progress" => return Finding::Skip(Skip::InProgress),
            other => return Finding::Skip(Skip::UnknownState(other.to_owned())),
        };
        if !first && part.previous_ticket_state.get() == Some(category) {
            return Finding::Skip(Skip::SameState);
        }
        self.event(Candidate {
            metric,
            key: self.key(format_args!("{what}:{id}:{part_id}")),
            time: part.created_at.0,
            contact: first_contact(ticket),
            item: ticket,
            part: Some(part),
            estimated: false,
        })
    }

    /// A reply in a ticket's thread; `None` where somebody of another kind wrote it.
    ///
    /// A contact's part that is older than a converted ticket's first state part belongs to the conversation it was.
    pub(super) fn ticket_reply<'a>(
        &self,
        ticket: &'a Item<'a>,
        part: &'a Part<'a>,
        replier: Replier,
    ) -> Option<Finding<'a>> {
        let contact = match (actor(part.author().as_ref(), ticket), replier) {
            (Actor::Contact(id), Replier::Contact) => Ok(id),
            (Actor::Teammate, Replier::Teammate) => first_contact(ticket),
            (Actor::Unknown(kind), _) => return Some(Finding::Skip(Skip::UnknownAuthor(kind))),
            _ => return None,
        };
        let Some(part_id) = part.id.id() else { return Some(Finding::Odd("part id")) };
        let (metric, key) = match replier {
            Replier::Contact if before_ticket(ticket, part) => {
                (Metric::RepliedToConversation, self.key(format_args!("conversation-replied:{part_id}")))
            }
            Replier::Contact => (Metric::RepliedToTicket, self.key(format_args!("ticket-replied:{part_id}"))),
            _ => (Metric::TeammateRepliedToTicket, self.key(format_args!("ticket-teammate-replied:{part_id}"))),
        };
        Some(self.event(Candidate {
            metric,
            key,
            time: part.created_at.0,
            contact,
            item: ticket,
            part: Some(part),
            estimated: false,
        }))
    }

    /// Tickets without any state part are imports of old: their history is concluded from the ticket itself and marked.
    pub(super) fn ticket_estimated<'a>(&self, ticket: &'a Item<'a>) -> Vec<Finding<'a>> {
        let Some(id) = ticket.id.id() else { return vec![Finding::Odd("ticket id")] };
        let estimate = |metric, what: &str, time| {
            self.event(Candidate {
                metric,
                key: self.key(format_args!("{what}:{id}:estimated")),
                time,
                contact: first_contact(ticket),
                item: ticket,
                part: None,
                estimated: true,
            })
        };
        let mut findings = vec![estimate(Metric::SubmittedTicket, "ticket-submitted", ticket.created_at.0)];
        if ticket.ticket_state.category.get() == Some("resolved") {
            findings.push(estimate(Metric::ResolvedTicket, "ticket-resolved", ticket.updated_at.0));
        }
        findings
    }
}

/// Whether a cut list may hide states that are asked for: the oldest part that is shown is younger than where the question begins.
fn hides_states_since(ticket: &Item<'_>, since: Option<Timestamp>) -> bool {
    let oldest = ticket.ticket_parts.items.iter().filter_map(|part| part.created_at.0).min();
    since.is_none_or(|since| oldest.is_none_or(|oldest| oldest > since))
}

/// Whether the part was written while the ticket was still a conversation.
fn before_ticket(ticket: &Item<'_>, part: &Part<'_>) -> bool {
    ticket.ticket_parts_whole()
        && ticket
            .first_state_part()
            .is_some_and(|first| part.created_at.0.is_some() && part.created_at.0 < first.created_at.0)
}
