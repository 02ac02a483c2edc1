//! Metrics by CloudWatch's embedded metric format: one line of JSON on stdout becomes metrics, without a call and without a price
//! for the call (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>).
//!
//! Lines are written only when there is something to say, because the log is billed by its length; they hold numbers and the
//! stack's name, nothing else.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// Where the alarms look; the template names it too.
pub const NAMESPACE: &str = "IntercomKlaviyo";

/// What is measured. The names stand in the template's alarms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    /// Messages that were dead-lettered.
    DeadLetters,
    /// Uninstall calls of the Intercom app.
    Uninstalled,
    /// 1 while a vendor refuses our key, else 0.
    VendorStopped,
    /// Webhook calls that the books came to know since the last look.
    Accepted,
    /// 1 while reconcile finds events and no webhook comes, else 0.
    SubscriptionSilent,
    /// Age of the oldest live event that waits, in seconds. SQS leaves those that it has handed out several times out of its own
    /// figure.
    QueueAgeSeconds,
}

impl Metric {
    fn name(self) -> &'static str {
        match self {
            Self::DeadLetters => "DeadLetters",
            Self::Uninstalled => "Uninstalled",
            Self::VendorStopped => "VendorStopped",
            Self::Accepted => "Accepted",
            Self::SubscriptionSilent => "SubscriptionSilent",
            Self::QueueAgeSeconds => "QueueAgeSeconds",
        }
    }

    fn unit(self) -> &'static str {
        match self {
            Self::QueueAgeSeconds => "Seconds",
            Self::DeadLetters | Self::Uninstalled | Self::VendorStopped | Self::Accepted | Self::SubscriptionSilent => {
                "Count"
            }
        }
    }
}

/// The line for some metrics of a stack; `None` where there are none.
pub fn line(stack: &str, metrics: &[(Metric, u64)], now: Timestamp) -> Option<String> {
    if metrics.is_empty() {
        return None;
    }
    let definitions: Vec<Value> =
        metrics.iter().map(|(metric, _)| json!({ "Name": metric.name(), "Unit": metric.unit() })).collect();
    let mut line = Map::new();
    line.insert(
        "_aws".to_owned(),
        json!({
            "Timestamp": now.as_millisecond(),
            "CloudWatchMetrics": [{ "Namespace": NAMESPACE, "Dimensions": [["Stack"]], "Metrics": definitions }],
        }),
    );
    line.insert("Stack".to_owned(), stack.into());
    for (metric, value) in metrics {
        line.insert(metric.name().to_owned(), (*value).into());
    }
    Some(Value::Object(line).to_string())
}

/// Writes the line to stdout, where CloudWatch looks for it.
#[expect(clippy::print_stdout, reason = "stdout is the interface")]
pub fn emit(stack: &str, metrics: &[(Metric, u64)], now: Timestamp) {
    if let Some(line) = line(stack, metrics, now) {
        println!("{line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_cloudwatch_asks_for() {
        let now = Timestamp::from_millisecond(1_800_000_000_123).expect("in range");
        let line = line("shop", &[(Metric::DeadLetters, 2), (Metric::Uninstalled, 1)], now).expect("there is a line");
        let value: Value = serde_json::from_str(&line).expect("JSON");
        let expected = json!({
            "_aws": {
                "Timestamp": 1_800_000_000_123_i64,
                "CloudWatchMetrics": [{
                    "Namespace": "IntercomKlaviyo", "Dimensions": [["Stack"]],
                    "Metrics": [{"Name": "DeadLetters", "Unit": "Count"}, {"Name": "Uninstalled", "Unit": "Count"}],
                }],
            },
            "Stack": "shop", "DeadLetters": 2, "Uninstalled": 1,
        });
        assert_eq!(value, expected);
    }

    #[test]
    fn nothing_to_say_is_no_line() {
        assert_eq!(line("shop", &[], Timestamp::UNIX_EPOCH), None);
    }
}
