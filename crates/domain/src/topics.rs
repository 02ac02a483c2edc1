//! The webhook topics to tick in Intercom, and what each is for.
//!
//! Names: <https://developers.intercom.com/docs/references/webhooks/webhook-models>.

use crate::metric::Metric;
use crate::rules::Rules;

/// What a topic is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Events of these metrics.
    Metrics(&'static [Metric]),
    /// Releases events of people whose address comes later, and keeps what is known of them fresh.
    People,
    /// Tells when support begins, ends and pauses: without them the numbers on profiles go down with the next sweep only.
    SupportState,
}

/// A topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Topic {
    /// As Intercom calls it.
    pub name: &'static str,
    /// Why it is ticked.
    pub purpose: Purpose,
}

const fn metrics(name: &'static str, metrics: &'static [Metric]) -> Topic {
    Topic { name, purpose: Purpose::Metrics(metrics) }
}

const fn support(name: &'static str) -> Topic {
    Topic { name, purpose: Purpose::SupportState }
}

const fn people(name: &'static str) -> Topic {
    Topic { name, purpose: Purpose::People }
}

/// All topics that can be of use, in the order of the documentation.
pub const TOPICS: [Topic; 26] = [
    metrics("conversation.user.created", &[Metric::CreatedConversation]),
    metrics("conversation.rating.added", &[Metric::RatedConversation]),
    metrics("conversation.read", &[Metric::ReadConversation]),
    metrics("conversation.user.replied", &[Metric::RepliedToConversation]),
    metrics("ticket.created", &[Metric::CreatedTicket]),
    metrics("ticket.state.updated", &[Metric::SubmittedTicket, Metric::MarkedTicketOnHold, Metric::ResolvedTicket]),
    metrics("ticket.contact.replied", &[Metric::RepliedToTicket]),
    support("conversation.admin.closed"),
    support("conversation.admin.opened"),
    support("conversation.admin.snoozed"),
    support("conversation.admin.unsnoozed"),
    support("conversation.deleted"),
    people("contact.user.created"),
    people("contact.user.updated"),
    people("contact.lead.created"),
    people("contact.lead.updated"),
    people("contact.lead.signed_up"),
    people("contact.email.updated"),
    people("contact.merged"),
    people("contact.user.tag.created"),
    people("contact.user.tag.deleted"),
    people("contact.lead.tag.created"),
    people("contact.lead.tag.deleted"),
    metrics("conversation.admin.replied", &[Metric::TeammateRepliedToConversation]),
    metrics("conversation.operator.replied", &[Metric::BotRepliedToConversation]),
    metrics("ticket.admin.replied", &[Metric::TeammateRepliedToTicket]),
];

/// The call by which Intercom's *Send a test request* shows that the address is right.
pub const PING: &str = "ping";

impl Topic {
    /// Whether these rules have a use for it.
    pub fn is_wanted(&self, rules: &Rules) -> bool {
        match self.purpose {
            Purpose::Metrics(metrics) => metrics.iter().any(|metric| rules.wants(*metric)),
            Purpose::People | Purpose::SupportState => true,
        }
    }

    /// Why it is ticked, in words.
    pub fn reason(&self, rules: &Rules) -> String {
        match self.purpose {
            Purpose::Metrics(metrics) => {
                metrics.iter().map(|metric| rules.metric_name(*metric)).collect::<Vec<_>>().join(", ")
            }
            Purpose::People => "people whose address comes later, and changes of people".to_owned(),
            Purpose::SupportState => "support state on profiles, which goes back down".to_owned(),
        }
    }
}

/// Whether a name is one of ours, or [`PING`]: only those are remembered, so that a hostile sender cannot fill a list.
pub fn is_known(name: &str) -> bool {
    name == PING || TOPICS.iter().any(|topic| topic.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_has_a_topic() {
        for metric in Metric::ALL {
            let has = |topic: &Topic| matches!(topic.purpose, Purpose::Metrics(metrics) if metrics.contains(&metric));
            assert!(TOPICS.iter().any(has), "{}", metric.name());
        }
    }

    #[test]
    fn what_the_settings_turn_off_is_not_wanted() {
        let rules = Rules::default();
        let wanted = |name: &str| TOPICS.iter().any(|topic| topic.name == name && topic.is_wanted(&rules));
        assert!(wanted("conversation.admin.closed") && wanted("contact.user.tag.created"));
        assert!(wanted("ticket.created") && wanted("contact.merged") && !wanted("conversation.admin.replied"));
        assert!(is_known("ping") && is_known("ticket.created") && !is_known("company.created"));
    }
}
