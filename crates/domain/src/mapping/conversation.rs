//! Properties of the conversation metrics.

use super::{Mapping, Properties, minutes, minutes_between};
use crate::activity::Activity;
use crate::intercom::Item;

impl Mapping<'_> {
    pub(super) fn conversation_properties(&self, activity: &Activity<'_>, properties: &mut Properties) {
        let item = activity.item;
        let statistics = item.statistics.0.as_ref();
        let source = item.source.0.as_ref();
        properties.text("Title", item.title.get());
        properties.time("Snoozed Until", item.snoozed_until.0);
        properties.time("Waiting Since", item.waiting_since.0);
        properties.text("Priority", item.priority.get());
        self.assignees(activity, properties);
        properties.list("Tags", item.tags.items.iter().filter_map(|tag| tag.name.get()));
        self.rating(item, properties);
        properties.text("Conversation source", source.and_then(|source| source.kind.get()));
        properties.text("Conversation Delivered As", source.and_then(|source| source.delivered_as.get()));
        let count = |number: Option<crate::lenient::Number>| number.and_then(crate::lenient::Number::count);
        properties.count("Conversation Part Count", count(statistics.map(|s| s.count_conversation_parts)));
        properties.text("SLA Status", item.sla_applied.0.as_ref().and_then(|sla| sla.sla_status.get()));
        properties.count("Reopen Count", count(statistics.map(|s| s.count_reopens)));
        properties.count("Assignment Count", count(statistics.map(|s| s.count_assignments)));
        properties.text("Conversation ID", item.id.id());
        self.item_url(activity, properties);
        properties.text("State", item.state.get());
        properties.number("Minutes To First Reply", first_reply_minutes(item));
        let body = match activity.part {
            Some(part) => Some(part.body),
            None if activity.metric == crate::metric::Metric::CreatedConversation => source.map(|source| source.body),
            None => None,
        };
        self.message(body, properties);
        for (name, value) in &item.custom_attributes.0 {
            if self.rules.attributes.conversation.allows(name) {
                properties.attribute("Attribute: ", name, value);
            }
        }
    }

    fn rating(&self, item: &Item<'_>, properties: &mut Properties) {
        let Some(rating) = item.conversation_rating.0.as_ref() else { return };
        properties.number("Conversation Rating", rating.score());
        properties.text("Remark", rating.remark.get());
        let rated = rating.teammate.id().and_then(|id| self.directory.admin(id));
        properties.text("Rated Admin Name", rated.and_then(|admin| admin.name.as_deref()));
    }
}

/// From the first message to the first answer of a teammate.
fn first_reply_minutes(item: &Item<'_>) -> Option<f64> {
    let statistics = item.statistics.0.as_ref()?;
    if let Some(seconds) = statistics.time_to_admin_reply.0.filter(|seconds| *seconds >= 0.0) {
        return Some(minutes(seconds));
    }
    let asked = statistics.first_contact_reply_at.0.or(item.created_at.0)?;
    minutes_between(asked, statistics.first_admin_reply_at.0?)
}
