//! The table of settings, and how each value is read.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use domain::Metric;
use domain::rules::Choice;
use serde_json::Value;

use super::{DAY, Settings};

/// One setting.
#[derive(Debug)]
pub struct Key {
    /// Its name; a dot stands for a TOML table.
    pub name: &'static str,
    /// What it takes, as shown to people in the documentation and in errors.
    pub wanted: &'static str,
    /// The default, as TOML.
    pub default: &'static str,
    /// One line for people.
    pub explanation: &'static str,
    /// Writes the value; `None` when it is not what is wanted.
    pub(super) set: fn(&mut Settings, &Value) -> Option<()>,
}

const SWITCH: &str = "true or false";
const NAMES: &str = "list of names";
const ATTRIBUTES: &str = "\"all\", \"none\", list of names, or { except = [names] }";
const ON: &str = "true";
const OFF: &str = "false";
const NONE: &str = "[]";

type Setter = fn(&mut Settings, &Value) -> Option<()>;

const fn key(
    name: &'static str,
    wanted: &'static str,
    default: &'static str,
    explanation: &'static str,
    set: Setter,
) -> Key {
    Key { name, wanted, default, explanation, set }
}

/// Every setting, in the order of the documentation.
pub const KEYS: &[Key] = &[
    key(
        "metric_prefix",
        "text of at most 64 characters",
        "\"Intercom \"",
        "Put before every metric name in Klaviyo; \"\" gives the bare names.",
        |s, v| put(&mut s.rules.metric_prefix, prefix(v)),
    ),
    key(
        "reconcile_interval_seconds",
        "whole number from 0 to 604800",
        "300",
        "How often Intercom is asked for what the webhook missed; 0 = never.",
        |s, v| put(&mut s.reconcile_interval, number(v, 604_800).map(seconds)),
    ),
    key(
        "history_days",
        "whole number from 0 to 36500",
        "0",
        "How far back the history import goes; 0 = everything.",
        |s, v| put(&mut s.history_days, number(v, 36_500).map(|days| u32::try_from(days).ok().filter(|d| *d > 0))),
    ),
    key(
        "history_share",
        "number from 0.1 to 1",
        "0.8",
        "How much of Intercom's quota the import and reconcile may use up; the rest is left to others.",
        |s, v| {
            put(
                &mut s.history_share,
                v.as_f64().filter(|n| (0.1..=1.0).contains(n)).map(|n| (n * 100.0).round() as u32),
            )
        },
    ),
    key(
        "history_metrics.replied_to_conversation",
        SWITCH,
        OFF,
        "History has replies to conversations too; costs a call for each conversation.",
        |s, v| history_metric(s, v, Metric::RepliedToConversation),
    ),
    key("history_metrics.replied_to_ticket", SWITCH, OFF, "History has replies to tickets too.", |s, v| {
        history_metric(s, v, Metric::RepliedToTicket)
    }),
    key("history_metrics.marked_ticket_on_hold", SWITCH, OFF, "History has tickets on hold too.", |s, v| {
        history_metric(s, v, Metric::MarkedTicketOnHold)
    }),
    key(
        "message_text_max_chars",
        "whole number from 0 to 8000",
        "0",
        "Longest message text put into an event; 0 = no message text leaves Intercom.",
        |s, v| put(&mut s.rules.message_text_max_chars, size(v, 8_000)),
    ),
    key("internal_tickets", SWITCH, OFF, "Whether Back-office and Tracker tickets count.", |s, v| {
        put(&mut s.rules.internal_tickets, v.as_bool())
    }),
    key(
        "parked_days",
        "whole number from 1 to 365",
        "30",
        "How long an event waits for its contact to get an e-mail address or phone number.",
        |s, v| put(&mut s.parked_for, days(v, 365).filter(|d| !d.is_zero())),
    ),
    key(
        "delivery_workers",
        "whole number from 1 to 32",
        "4",
        "How many batches of live events are delivered at the same time.",
        |s, v| put(&mut s.delivery_workers, size(v, 32).filter(|n| *n > 0)),
    ),
    key(
        "ledger",
        SWITCH,
        ON,
        "Remember each event before it is sent, so that none is sent twice; false leaves that to Klaviyo, which knows doubles only within one profile.",
        |s, v| put(&mut s.ledger, v.as_bool()),
    ),
    key(
        "support_state",
        SWITCH,
        ON,
        "Profiles say how many conversations and tickets are open, the last rating, and when the customer last wrote.",
        |s, v| put(&mut s.support_state, v.as_bool()),
    ),
    key(
        "support_step_minutes",
        "whole number from 0 to 1440",
        "60",
        "On AWS, how far the customer's last message has to advance to be written again, which saves table writes; 0 = each, as on one machine.",
        |s, v| put(&mut s.support_step, number(v, 1_440).map(|minutes| Duration::from_secs(60 * minutes))),
    ),
    metric_key("metrics.created_conversation", ON, "A contact starts a conversation.", |s, v| {
        metric(s, v, Metric::CreatedConversation)
    }),
    metric_key("metrics.rated_conversation", ON, "A contact rates a conversation.", |s, v| {
        metric(s, v, Metric::RatedConversation)
    }),
    metric_key("metrics.read_conversation", ON, "A contact reads a conversation; the most frequent one.", |s, v| {
        metric(s, v, Metric::ReadConversation)
    }),
    metric_key("metrics.replied_to_conversation", ON, "A contact replies to a conversation.", |s, v| {
        metric(s, v, Metric::RepliedToConversation)
    }),
    metric_key("metrics.created_ticket", ON, "A ticket comes into being.", |s, v| metric(s, v, Metric::CreatedTicket)),
    metric_key("metrics.submitted_ticket", ON, "A ticket's state becomes submitted.", |s, v| {
        metric(s, v, Metric::SubmittedTicket)
    }),
    metric_key("metrics.replied_to_ticket", ON, "A contact replies to a ticket.", |s, v| {
        metric(s, v, Metric::RepliedToTicket)
    }),
    metric_key("metrics.marked_ticket_on_hold", ON, "A ticket waits for the customer.", |s, v| {
        metric(s, v, Metric::MarkedTicketOnHold)
    }),
    metric_key("metrics.resolved_ticket", ON, "A ticket's state becomes resolved.", |s, v| {
        metric(s, v, Metric::ResolvedTicket)
    }),
    metric_key("metrics.teammate_replied_to_conversation", OFF, "A teammate replies to a conversation.", |s, v| {
        metric(s, v, Metric::TeammateRepliedToConversation)
    }),
    metric_key("metrics.bot_replied_to_conversation", OFF, "A bot replies to a conversation.", |s, v| {
        metric(s, v, Metric::BotRepliedToConversation)
    }),
    metric_key("metrics.teammate_replied_to_ticket", OFF, "A teammate replies to a ticket.", |s, v| {
        metric(s, v, Metric::TeammateRepliedToTicket)
    }),
    key(
        "contacts.roles",
        "list of \"user\" and \"lead\"",
        NONE,
        "Only contacts with one of these roles; empty = all.",
        |s, v| put(&mut s.rules.contacts.roles, names(v).filter(|set| set.iter().all(|r| r == "user" || r == "lead"))),
    ),
    key("contacts.only_tags", NAMES, NONE, "Only contacts with one of these tags; empty = all.", |s, v| {
        put(&mut s.rules.contacts.only_tags, names(v))
    }),
    key("contacts.except_tags", NAMES, NONE, "Contacts with one of these tags are left out.", |s, v| {
        put(&mut s.rules.contacts.except_tags, names(v))
    }),
    key(
        "contacts.except_email_domains",
        "list of domains such as \"example.com\"",
        NONE,
        "Contacts with an address at one of these domains, or at a subdomain, are left out.",
        |s, v| put(&mut s.rules.contacts.except_email_domains, domains(v)),
    ),
    key("contacts.identified_only", SWITCH, OFF, "Only contacts that the shop itself knows (role user).", |s, v| {
        put(&mut s.rules.contacts.identified_only, v.as_bool())
    }),
    key(
        "attributes.conversation",
        ATTRIBUTES,
        "\"all\"",
        "Custom attributes of conversations that go into the event.",
        |s, v| put(&mut s.rules.attributes.conversation, choice(v)),
    ),
    key("attributes.ticket", ATTRIBUTES, "\"all\"", "Ticket attributes that go into the event.", |s, v| {
        put(&mut s.rules.attributes.ticket, choice(v))
    }),
    key("attributes.contact", ATTRIBUTES, "\"all\"", "Contact attributes that go into the profile.", |s, v| {
        put(&mut s.rules.attributes.contact, choice(v))
    }),
    key("profile.name", SWITCH, ON, "Write first and last name.", |s, v| put(&mut s.rules.profile.name, v.as_bool())),
    key("profile.image", SWITCH, ON, "Write the avatar.", |s, v| put(&mut s.rules.profile.image, v.as_bool())),
    key("profile.location", SWITCH, ON, "Write city, region and country.", |s, v| {
        put(&mut s.rules.profile.location, v.as_bool())
    }),
    key("profile.properties", SWITCH, ON, "Write the profile properties that begin with Intercom.", |s, v| {
        put(&mut s.rules.profile.properties, v.as_bool())
    }),
    key(
        "profile.updates",
        SWITCH,
        ON,
        "Write the profile again when a contact changes whose events were sent before; needs support_state.",
        |s, v| put(&mut s.rules.profile.updates, v.as_bool()),
    ),
    key(
        "profile.external_id",
        SWITCH,
        OFF,
        "Write Intercom's external id as Klaviyo's; only where nothing else uses that field.",
        |s, v| put(&mut s.rules.profile.external_id, v.as_bool()),
    ),
    key(
        "retention.recent_events",
        "whole number from 0 to 100000",
        "1000",
        "How many recent events the status lists.",
        |s, v| put(&mut s.retention.recent_events, number(v, 100_000)),
    ),
    key(
        "retention.ledger_days",
        "0, or a whole number from 30 to 36500",
        "0",
        "How long delivered events are remembered, so that none is sent twice; 0 = for good.",
        |s, v| {
            let ledger = days(v, 36_500).filter(|age| age.is_zero() || *age >= 30 * DAY);
            put(&mut s.retention.ledger, ledger.map(|age| (!age.is_zero()).then_some(age)))
        },
    ),
];

const fn metric_key(name: &'static str, default: &'static str, explanation: &'static str, set: Setter) -> Key {
    key(name, SWITCH, default, explanation, set)
}

/// The table as Markdown, for the README.
pub fn markdown_table() -> String {
    let mut table = "| setting | takes | default | what it does |\n| --- | --- | --- | --- |\n".to_owned();
    for key in KEYS {
        // Writing to a String cannot fail.
        let _ = writeln!(table, "| `{}` | {} | `{}` | {} |", key.name, key.wanted, key.default, key.explanation);
    }
    table
}

fn put<T>(place: &mut T, value: Option<T>) -> Option<()> {
    *place = value?;
    Some(())
}

fn prefix(value: &Value) -> Option<String> {
    let text = value.as_str()?;
    (text.chars().count() <= 64 && !text.contains(char::is_control)).then(|| text.to_owned())
}

fn number(value: &Value, max: u64) -> Option<u64> {
    value.as_u64().filter(|number| *number <= max)
}

fn size(value: &Value, max: u64) -> Option<usize> {
    number(value, max).and_then(|number| usize::try_from(number).ok())
}

fn seconds(number: u64) -> Option<Duration> {
    (number > 0).then(|| Duration::from_secs(number))
}

fn days(value: &Value, max: u64) -> Option<Duration> {
    number(value, max).map(|days| Duration::from_secs(days * DAY.as_secs()))
}

fn metric(settings: &mut Settings, value: &Value, metric: Metric) -> Option<()> {
    if value.as_bool()? {
        settings.rules.metrics.insert(metric);
    } else {
        settings.rules.metrics.remove(&metric);
    }
    Some(())
}

fn history_metric(settings: &mut Settings, value: &Value, metric: Metric) -> Option<()> {
    if value.as_bool()? {
        settings.rules.history_metrics.insert(metric);
    } else {
        settings.rules.history_metrics.remove(&metric);
    }
    Some(())
}

fn names(value: &Value) -> Option<BTreeSet<String>> {
    value.as_array()?.iter().map(name).collect()
}

fn name(value: &Value) -> Option<String> {
    let text = value.as_str()?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

fn domains(value: &Value) -> Option<BTreeSet<String>> {
    value.as_array()?.iter().map(domain).collect()
}

fn domain(value: &Value) -> Option<String> {
    let text = name(value)?;
    let text = text.strip_prefix('@').unwrap_or(&text).to_lowercase();
    let fits = !text.is_empty() && !text.starts_with('.') && !text.contains(['@', ' ', ',', '/']);
    fits.then_some(text)
}

fn choice(value: &Value) -> Option<Choice> {
    match value {
        Value::String(word) if word == "all" => Some(Choice::All),
        Value::String(word) if word == "none" => Some(Choice::Only(BTreeSet::new())),
        Value::Array(_) => names(value).map(Choice::Only),
        Value::Object(table) if table.len() == 1 => names(table.get("except")?).map(Choice::Except),
        _ => None,
    }
}
