//! What the template tells a function through its environment.

use std::ffi::OsString;
use std::time::Duration;

use app::environment::{
    EnvironmentError, INTERCOM_URL, INTERCOM_URL_DEFAULT, KLAVIYO_URL, KLAVIYO_URL_DEFAULT, Reader,
};
use app::settings::Settings;
use aws::{AwsConfig, StoreOptions};

/// The live queue's address, the only variable beside the secret that the webhook needs.
pub const LIVE_QUEUE_URL: &str = "LIVE_QUEUE_URL";
/// The ARN of the secret with the four values.
pub const SECRET_ARN: &str = "SECRET_ARN";
const HISTORY_QUEUE_URL: &str = "HISTORY_QUEUE_URL";
const STATE_TABLE: &str = "STATE_TABLE";
const STACK_NAME: &str = "STACK_NAME";
/// How long the queues hide a message that the event source handed over, in seconds: the figure of the queues themselves.
const QUEUE_VISIBILITY: &str = "QUEUE_VISIBILITY_SECONDS";

/// SQS hides for 12 hours at most.
const LONGEST_VISIBILITY: u64 = 12 * 3600;

/// For the functions that deliver, do chores, or show.
#[derive(Clone, Debug)]
pub struct Configuration {
    /// Queues and table.
    pub aws: AwsConfig,
    /// `INTERCOM_API_URL`.
    pub intercom_url: String,
    /// `KLAVIYO_API_URL`.
    pub klaviyo_url: String,
    /// What a shop wants.
    pub settings: Settings,
    /// The stack's name, for metrics.
    pub stack: String,
    /// Where the keys are, for people; the secrets are read elsewhere.
    pub secret: String,
}

impl Configuration {
    /// Reads everything; gives all problems, not only the first.
    pub fn read(lookup: impl Fn(&str) -> Option<OsString>) -> Result<Self, EnvironmentError> {
        let mut reader = Reader::new(lookup);
        let live_queue_url = needed(&mut reader, LIVE_QUEUE_URL);
        let history_queue_url = needed(&mut reader, HISTORY_QUEUE_URL);
        let state_table = needed(&mut reader, STATE_TABLE);
        let settings = reader.settings(|path| std::fs::read_to_string(path));
        let options = StoreOptions {
            ledger: settings.retention.ledger,
            exact: settings.ledger,
            recent_events: usize::try_from(settings.retention.recent_events).unwrap_or(usize::MAX),
            visibility: visibility(&mut reader),
        };
        let configuration = Self {
            aws: AwsConfig { live_queue_url, history_queue_url, state_table, options },
            intercom_url: reader.url(INTERCOM_URL, INTERCOM_URL_DEFAULT),
            klaviyo_url: reader.url(KLAVIYO_URL, KLAVIYO_URL_DEFAULT),
            settings,
            secret: reader.text(SECRET_ARN).unwrap_or_default(),
            stack: reader.text(STACK_NAME).unwrap_or_else(|| "intercom-klaviyo".to_owned()),
        };
        if reader.problems.is_empty() { Ok(configuration) } else { Err(EnvironmentError { problems: reader.problems }) }
    }
}

/// The address of the live queue alone.
pub fn live_queue_url(lookup: impl Fn(&str) -> Option<OsString>) -> Result<String, EnvironmentError> {
    let mut reader = Reader::new(lookup);
    let url = needed(&mut reader, LIVE_QUEUE_URL);
    if reader.problems.is_empty() { Ok(url) } else { Err(EnvironmentError { problems: reader.problems }) }
}

/// Only the consumer is told: the others take nothing from an event source.
///
/// A figure below the queues' own costs a message that is taken over early; one above it a message that waits for nobody. Neither
/// loses or doubles anything, but the template gives both the same.
fn visibility<L: Fn(&str) -> Option<OsString>>(reader: &mut Reader<L>) -> Duration {
    let default = StoreOptions::default().visibility;
    let Some(text) = reader.text(QUEUE_VISIBILITY) else { return default };
    match text.parse().ok().filter(|seconds| (1..=LONGEST_VISIBILITY).contains(seconds)) {
        Some(seconds) => Duration::from_secs(seconds),
        None => {
            let problem = format!("{QUEUE_VISIBILITY} is not a whole number from 1 to {LONGEST_VISIBILITY}");
            reader.problems.push(format!("{problem}; template.yaml sets it"));
            default
        }
    }
}

fn needed<L: Fn(&str) -> Option<OsString>>(reader: &mut Reader<L>, name: &str) -> String {
    let before = reader.problems.len();
    let text = reader.text(name);
    if text.is_none() && reader.problems.len() == before {
        reader.problems.push(format!("{name} is not set; template.yaml sets it"));
    }
    text.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Configuration, EnvironmentError> {
        Configuration::read(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(*value))
        })
    }

    #[test]
    fn everything_that_is_missing_is_named_at_once() {
        let wrong = [("SETTINGS", "metric_prefx = 1"), ("STATE_TABLE", " "), ("QUEUE_VISIBILITY_SECONDS", "0")];
        let error = read(&wrong).expect_err("much is missing");
        for part in [
            "LIVE_QUEUE_URL is not set",
            "HISTORY_QUEUE_URL is not set",
            "STATE_TABLE is set but blank",
            "QUEUE_VISIBILITY_SECONDS is not a whole number from 1 to 43200",
        ] {
            assert!(error.problems.iter().any(|problem| problem.contains(part)), "{part}: {error}");
        }
        assert!(error.to_string().contains("metric_prefix"), "unknown settings are refused by name: {error}");
    }

    #[test]
    fn the_template_s_variables_are_enough() {
        let configuration = read(&[
            ("LIVE_QUEUE_URL", "https://sqs.eu-west-1.amazonaws.com/1/live"),
            ("HISTORY_QUEUE_URL", "https://sqs.eu-west-1.amazonaws.com/1/history"),
            ("STATE_TABLE", "state"),
            ("STACK_NAME", "shop"),
            ("QUEUE_VISIBILITY_SECONDS", "90"),
            ("SETTINGS", r#"{"retention": {"recent_events": 0}}"#),
        ])
        .expect("complete");
        assert_eq!(
            (configuration.stack.as_str(), configuration.klaviyo_url.as_str()),
            ("shop", "https://a.klaviyo.com")
        );
        assert_eq!(configuration.aws.options.recent_events, 0);
        assert_eq!(configuration.aws.options.visibility, Duration::from_secs(90));
    }
}
