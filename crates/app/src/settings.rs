//! The settings: TOML or one line of JSON becomes typed choices, or one message that names everything that is wrong.
//!
//! Pure: takes text and reads neither environment nor files. The keys, their defaults and their explanations stand in
//! one table, [`KEYS`]; the documentation is made from it.

mod keys;
mod problem;
mod tree;

use std::time::Duration;

use domain::Rules;

use crate::ports::Retention;

pub use keys::{KEYS, Key, markdown_table};
pub use problem::SettingsError;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Every choice that a shop can make. `Default` suits most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What is sent, and for whom.
    pub rules: Rules,
    /// How often Intercom is asked for what the webhook missed; `None`: never.
    pub reconcile_interval: Option<Duration>,
    /// How far back history goes; `None`: to the beginning.
    pub history_days: Option<u32>,
    /// How much of Intercom's quota, in percent, the import and reconcile may use up.
    pub history_share: u32,
    /// How long an event waits for its contact to become known.
    pub parked_for: Duration,
    /// How long finished things are kept.
    pub retention: Retention,
    /// How many batches of live events are delivered at the same time.
    pub delivery_workers: usize,
    /// Whether events are claimed in the ledger before they are sent.
    pub ledger: bool,
    /// Whether profiles say what is open in Intercom.
    pub support_state: bool,
    /// How far, on AWS, a customer's last message has to advance to be written again.
    pub support_step: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            rules: Rules::default(),
            reconcile_interval: Some(Duration::from_secs(300)),
            history_days: None,
            history_share: 80,
            parked_for: 30 * DAY,
            retention: Retention { recent_events: 1_000, ledger: None },
            delivery_workers: 4,
            ledger: true,
            support_state: true,
            support_step: Duration::from_secs(3_600),
        }
    }
}

impl Settings {
    /// Reads TOML, or JSON where the text begins with `{`. Empty text gives the defaults.
    pub fn parse(text: &str) -> Result<Self, SettingsError> {
        let tree = tree::read(text)?;
        let mut settings = Self::default();
        let problems = tree::apply(&tree, &mut settings);
        if problems.is_empty() { Ok(settings) } else { Err(SettingsError::new(problems)) }
    }

    /// Whether the value of the `SETTINGS` variable is the settings themselves rather than the path of a file.
    pub fn is_inline(value: &str) -> bool {
        let value = value.trim();
        value.starts_with(['{', '[', '#']) || value.contains(['=', '\n'])
    }
}

#[cfg(test)]
mod tests;
