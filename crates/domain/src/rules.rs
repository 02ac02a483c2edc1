//! What a shop wants sent: the settings, as the pure decisions read them.

use std::collections::BTreeSet;

use crate::metric::Metric;

/// Every choice that shapes an event. `Default` suits most shops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Put before every metric name.
    pub metric_prefix: String,
    /// Metrics that are on.
    pub metrics: BTreeSet<Metric>,
    /// Those of them that the history import sends as well.
    pub history_metrics: BTreeSet<Metric>,
    /// Whose events are sent.
    pub contacts: ContactRules,
    /// Which custom attributes become `Attribute: {name}` and `Intercom: {name}`.
    pub attributes: AttributeRules,
    /// Longest message text that is sent, in characters; 0 sends none.
    pub message_text_max_chars: usize,
    /// Which parts of the profile are written.
    pub profile: ProfileRules,
    /// Whether Back-office and Tracker tickets count.
    pub internal_tickets: bool,
}

/// Whose events are sent.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ContactRules {
    /// Roles that count (`user`, `lead`); empty: all.
    pub roles: BTreeSet<String>,
    /// Only contacts with one of these tags; empty: all.
    pub only_tags: BTreeSet<String>,
    /// Contacts with one of these tags are left out.
    pub except_tags: BTreeSet<String>,
    /// E-mail domains that are left out, lower case, without `@`. Subdomains are left out with them.
    pub except_email_domains: BTreeSet<String>,
    /// Only contacts that the shop itself knows: role `user`.
    pub identified_only: bool,
}

/// Which custom attributes are sent.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct AttributeRules {
    /// Of conversations.
    pub conversation: Choice,
    /// Of tickets.
    pub ticket: Choice,
    /// Of contacts.
    pub contact: Choice,
}

/// A choice among names.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Choice {
    /// Every one.
    #[default]
    All,
    /// Only these; an empty set sends none.
    Only(BTreeSet<String>),
    /// All but these.
    Except(BTreeSet<String>),
}

impl Choice {
    /// Whether a name is chosen.
    pub fn allows(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.contains(name),
            Self::Except(names) => !names.contains(name),
        }
    }
}

/// Which parts of the profile are written. Identifiers always are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileRules {
    /// First and last name.
    pub name: bool,
    /// Avatar.
    pub image: bool,
    /// City, region, country.
    pub location: bool,
    /// The `Intercom …` properties.
    pub properties: bool,
    /// Intercom's external id as Klaviyo's: only where the shop does not use that field for something else.
    pub external_id: bool,
    /// Whether the profile is written again when a contact changes who was sent before.
    pub updates: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            metric_prefix: "Intercom ".to_owned(),
            metrics: Metric::ALL.into_iter().filter(|metric| metric.on_by_default()).collect(),
            history_metrics: BTreeSet::from([
                Metric::CreatedConversation,
                Metric::RatedConversation,
                Metric::CreatedTicket,
                Metric::SubmittedTicket,
                Metric::ResolvedTicket,
            ]),
            contacts: ContactRules::default(),
            attributes: AttributeRules::default(),
            message_text_max_chars: 0,
            profile: ProfileRules::default(),
            internal_tickets: false,
        }
    }
}

impl Default for ProfileRules {
    fn default() -> Self {
        Self { name: true, image: true, location: true, properties: true, external_id: false, updates: true }
    }
}

impl Rules {
    /// The metric's full name.
    pub fn metric_name(&self, metric: Metric) -> String {
        format!("{}{}", self.metric_prefix, metric.name())
    }

    /// Whether the metric is sent.
    pub fn wants(&self, metric: Metric) -> bool {
        self.metrics.contains(&metric)
    }
}
