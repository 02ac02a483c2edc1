//! Why something does not become an event. Each reason is counted under its name in the status.

use std::fmt;

use crate::metric::Metric;

/// A reason. Its text is the key under `skipped` in the status, so it holds no ids and no personal data.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Skip {
    /// Intercom's test notification.
    Ping,
    /// Intercom's health check.
    HealthCheck,
    /// The app was uninstalled.
    Uninstall,
    /// The notification belongs to another workspace than the access token.
    OtherWorkspace,
    /// A topic that this version does not know.
    UnknownTopic(String),
    /// A topic that is understood and gives no event.
    NoEvent(String),
    /// A contact changed; may have released parked events.
    ContactChange,
    /// The metric is off in the settings.
    MetricOff(Metric),
    /// History is not to have this metric.
    NotInHistory(Metric),
    /// Younger than what the import may send.
    LeftToLive,
    /// Older than what reconcile may send, or of an estimated time.
    LeftToHistory,
    /// A teammate, a bot or a campaign began the conversation.
    NotStartedByContact,
    /// A search result that is a ticket, not a conversation.
    IsTicket,
    /// The reply is in a ticket's thread: the ticket's own topic carries it.
    ReplyOfTicket,
    /// No part of the notification is a message of the kind that its topic speaks of.
    NoReply,
    /// Asked for, not given yet.
    NoScore,
    /// Nobody to attribute it to.
    NoContact,
    /// Back-office and Tracker tickets are for teammates.
    InternalTicket,
    /// An author whose type is unknown and who is none of the contacts.
    UnknownAuthor(String),
    /// A state category that this version does not know.
    UnknownState(String),
    /// The ticket is being worked on: no metric.
    InProgress,
    /// A move between two custom states of one category.
    SameState,
    /// The ticket has no state part yet.
    NoState,
    /// Intercom shows the newest 500 parts only; the first states are hidden.
    StateHistoryCut,
    /// Before 1990 or more than a year ahead: Klaviyo refuses such times.
    TimeOutOfRange,
    /// Intercom does not know the contact: deleted or archived.
    ContactGone,
    /// The settings leave this contact out.
    ContactLeftOut(&'static str),
    /// Neither an e-mail address nor a usable phone number (history does not wait).
    NotIdentifiable,
    /// The event was sent before, or another notification brings it.
    Duplicate,
    /// Waited for its contact as long as the settings say.
    Expired,
    /// A person dropped it.
    Discarded,
}

/// Longest foreign word inside a reason: names come from outside and must not fill the status.
const MAX_WORD: usize = 60;

/// A word from outside as part of a reason.
fn word(text: &str) -> String {
    let clean: String =
        text.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')).take(MAX_WORD).collect();
    if clean.is_empty() { "(unnamed)".to_owned() } else { clean }
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ping => f.write_str("ping"),
            Self::HealthCheck => f.write_str("health check"),
            Self::Uninstall => f.write_str("uninstall"),
            Self::OtherWorkspace => f.write_str("other workspace"),
            Self::UnknownTopic(topic) => write!(f, "unknown topic: {}", word(topic)),
            Self::NoEvent(topic) => write!(f, "no event: {}", word(topic)),
            Self::ContactChange => f.write_str("contact change"),
            Self::MetricOff(metric) => write!(f, "metric off: {}", metric.name()),
            Self::NotInHistory(metric) => write!(f, "not in the history: {}", metric.name()),
            Self::LeftToLive => f.write_str("left to live delivery"),
            Self::LeftToHistory => f.write_str("left to history"),
            Self::NotStartedByContact => f.write_str("not started by a contact"),
            Self::IsTicket => f.write_str("is a ticket"),
            Self::ReplyOfTicket => f.write_str("reply belongs to a ticket"),
            Self::NoReply => f.write_str("no reply in it"),
            Self::NoScore => f.write_str("rating without a score"),
            Self::NoContact => f.write_str("no contact"),
            Self::InternalTicket => f.write_str("back-office or tracker ticket"),
            Self::UnknownAuthor(kind) => write!(f, "unknown author type: {}", word(kind)),
            Self::UnknownState(category) => write!(f, "unknown state category: {}", word(category)),
            Self::InProgress => f.write_str("state in progress"),
            Self::SameState => f.write_str("state unchanged"),
            Self::NoState => f.write_str("no state change"),
            Self::StateHistoryCut => f.write_str("state history cut"),
            Self::TimeOutOfRange => f.write_str("time out of range"),
            Self::ContactGone => f.write_str("contact gone"),
            Self::ContactLeftOut(rule) => write!(f, "contact left out: {rule}"),
            Self::NotIdentifiable => f.write_str("no e-mail or phone"),
            Self::Duplicate => f.write_str("duplicate"),
            Self::Expired => f.write_str("waited too long for the contact"),
            Self::Discarded => f.write_str("discarded"),
        }
    }
}
