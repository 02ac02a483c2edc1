//! What the page says about this installation: where it runs, and what it keeps for how long.

use app::settings::Settings;
use serde::Serialize;

/// Where it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// One process with a file.
    Machine,
    /// The same against stand-ins of both vendors.
    Demo,
    /// Functions, queues and a table.
    Aws,
}

/// An installation. Nothing secret, nothing about people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct About {
    /// Where it runs.
    pub place: Place,
    /// The product's version.
    pub version: &'static str,
    /// Put before every metric name.
    pub metric_prefix: String,
    /// Characters of message text that are sent; 0: none.
    pub message_text_max_chars: usize,
    /// How long an event waits for its contact to become known, in days.
    pub parked_days: u64,
    /// How many recent events are listed.
    pub recent_events: u64,
    /// How long the ledger keeps its keys, in days; `None`: for good.
    pub ledger_days: Option<u64>,
}

impl About {
    /// What the settings say.
    pub fn new(place: Place, settings: &Settings) -> Self {
        const DAY: u64 = 24 * 3_600;
        Self {
            place,
            version: env!("CARGO_PKG_VERSION"),
            metric_prefix: settings.rules.metric_prefix.clone(),
            message_text_max_chars: settings.rules.message_text_max_chars,
            parked_days: settings.parked_for.as_secs() / DAY,
            recent_events: settings.retention.recent_events,
            ledger_days: settings.retention.ledger.map(|kept| kept.as_secs() / DAY),
        }
    }
}
