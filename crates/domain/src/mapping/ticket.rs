//! Properties of the ticket metrics: the same for all five (the native integration renames them on Resolved Ticket, so
//! that one segment filter cannot serve them all).

use super::{Mapping, Properties, minutes_between};
use crate::activity::Activity;
use crate::intercom::{Attribute, Item, Part};
use crate::metric::Metric;
use crate::text::plain;

const TITLE: &str = "_default_title_";
const DESCRIPTION: &str = "_default_description_";

impl Mapping<'_> {
    pub(super) fn ticket_properties(&self, activity: &Activity<'_>, properties: &mut Properties) {
        let ticket = activity.item;
        let attribute = |name| ticket.ticket_attributes.get(name).and_then(Attribute::as_text).map(plain);
        properties.text("Category", ticket.ticket_category());
        self.assignees(activity, properties);
        properties.time("Snoozed Until", ticket.snoozed_until.0);
        properties.count("Ticket Part Count", part_count(ticket));
        properties.text("Ticket ID", ticket.ticket_id.id());
        properties.text("Ticket Type", ticket.ticket_type.name.get());
        properties.text("Ticket name", attribute(TITLE).as_deref());
        properties.text("Ticket description", attribute(DESCRIPTION).as_deref());
        properties.flag("Shared", ticket.is_shared.0);
        properties.text("Conversation ID", ticket.id.id());
        self.item_url(activity, properties);
        let (category, label) = state_at(activity);
        properties.text("Ticket State", label.or(category));
        properties.text("Ticket State Category", category);
        if activity.metric == Metric::ResolvedTicket && !activity.estimated {
            let opened = ticket.ticket_opened_at();
            properties.number("Minutes To Resolve", opened.and_then(|at| minutes_between(at, activity.time)));
        }
        properties.number("Minutes To First Reply", first_reply_minutes(ticket));
        if activity.estimated {
            properties.flag("Time estimated", Some(true));
        }
        let reply = matches!(activity.metric, Metric::RepliedToTicket | Metric::TeammateRepliedToTicket);
        self.message(activity.part.filter(|_| reply).map(|part| part.body), properties);
        for (name, value) in &ticket.ticket_attributes.0 {
            if name != TITLE && name != DESCRIPTION && self.rules.attributes.ticket.allows(name) {
                properties.attribute("Attribute: ", name, value);
            }
        }
    }
}

/// All parts, also those that the cap hides.
fn part_count(ticket: &Item<'_>) -> Option<u64> {
    let seen = ticket.ticket_parts.items.len() as u64;
    Some(ticket.ticket_parts.total_count.unwrap_or(0).max(seen))
}

/// Category and label of the state that the event speaks of. A state part knows its category only; the label is the
/// ticket's present one, where that is of the same category.
fn state_at<'a>(activity: &'a Activity<'_>) -> (Option<&'a str>, Option<&'a str>) {
    let ticket = activity.item;
    let present = ticket.ticket_state.category.get();
    let label = ticket.ticket_state.internal_label.get().or(ticket.ticket_state_internal_label.get());
    let category = match (activity.part.filter(|part| part.is_state_change()), activity.estimated) {
        (Some(part), _) => part.ticket_state.get(),
        (None, true) if activity.metric == Metric::SubmittedTicket => Some("submitted"),
        (None, _) => present,
    };
    (category, label.filter(|_| category == present))
}

/// From the ticket's beginning to the first message of a teammate after it.
fn first_reply_minutes(ticket: &Item<'_>) -> Option<f64> {
    let opened = ticket.ticket_opened_at()?;
    let by_teammate = |part: &Part<'_>| part.author().is_some_and(|author| author.kind.get() == Some("admin"));
    let mut answered = None;
    for part in &ticket.ticket_parts.items {
        // Whether it says anything is the dearest question, so it comes last.
        let earlier = part.created_at.0.filter(|at| *at >= opened && answered.is_none_or(|first| *at < first));
        if earlier.is_some() && by_teammate(part) && part.is_message() {
            answered = earlier;
        }
    }
    minutes_between(opened, answered?)
}
