//! Comparing what was expected with what is stored.

use std::collections::HashMap;

use serde::Serialize;

use super::ExpectedEvent;
use crate::klaviyo::StoredEvent;

/// One way in which the account differs from what was expected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "difference", rename_all = "snake_case")]
pub enum Difference {
    /// Expected and not there.
    Missing {
        /// Bare metric name.
        metric: String,
        /// The unique_id.
        key: String,
    },
    /// There and not expected.
    Extra {
        /// Whole metric name.
        metric: String,
        /// The unique_id, empty when it has none.
        key: String,
    },
    /// There more than once, on whatever profiles.
    Doubled {
        /// Bare metric name.
        metric: String,
        /// The unique_id.
        key: String,
        /// How often.
        count: usize,
    },
    /// There at another time.
    WrongTime {
        /// Bare metric name.
        metric: String,
        /// The unique_id.
        key: String,
        /// Unix seconds.
        expected: i64,
        /// Unix seconds.
        stored: i64,
    },
    /// There on another profile.
    WrongProfile {
        /// Bare metric name.
        metric: String,
        /// The unique_id.
        key: String,
        /// Address or phone number.
        expected: String,
        /// Address or phone number.
        stored: String,
    },
}

/// Everything in which `stored` differs from `expected`; empty when they agree exactly. `metric_prefix` is what the
/// stored names have in front of the bare ones.
pub fn check(expected: &[ExpectedEvent], stored: &[StoredEvent], metric_prefix: &str) -> Vec<Difference> {
    let mut found: HashMap<(&str, &str), Vec<&StoredEvent>> = HashMap::new();
    let mut differences = Vec::new();
    for event in stored {
        match (event.metric.strip_prefix(metric_prefix), &event.unique_id) {
            (Some(metric), Some(key)) => found.entry((metric, key)).or_default().push(event),
            _ => differences.push(extra(event)),
        }
    }
    for wanted in expected {
        let Some(events) = found.remove(&(wanted.metric.as_str(), wanted.key.as_str())) else {
            differences.push(Difference::Missing { metric: wanted.metric.clone(), key: wanted.key.clone() });
            continue;
        };
        if events.len() > 1 {
            let (metric, key) = (wanted.metric.clone(), wanted.key.clone());
            differences.push(Difference::Doubled { metric, key, count: events.len() });
        }
        differences.extend(events.first().into_iter().flat_map(|event| compare(wanted, event)));
    }
    let mut rest: Vec<&StoredEvent> = found.into_values().flatten().collect();
    rest.sort_by(|a, b| a.id.cmp(&b.id));
    differences.extend(rest.into_iter().map(extra));
    differences
}

fn extra(event: &StoredEvent) -> Difference {
    Difference::Extra { metric: event.metric.clone(), key: event.unique_id.clone().unwrap_or_default() }
}

fn compare(wanted: &ExpectedEvent, event: &StoredEvent) -> Vec<Difference> {
    let mut differences = Vec::new();
    let (metric, key) = (wanted.metric.clone(), wanted.key.clone());
    if wanted.time != event.time {
        let (metric, key) = (metric.clone(), key.clone());
        differences.push(Difference::WrongTime { metric, key, expected: wanted.time, stored: event.time });
    }
    let (expected, stored) = match &wanted.email {
        Some(email) => (email.to_lowercase(), event.email.as_deref().unwrap_or_default().to_lowercase()),
        None => (wanted.phone.clone().unwrap_or_default(), event.phone_number.clone().unwrap_or_default()),
    };
    if expected != stored {
        differences.push(Difference::WrongProfile { metric, key, expected, stored });
    }
    differences
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;
    use crate::klaviyo::Via;

    fn stored(metric: &str, key: &str, time: i64, email: &str) -> StoredEvent {
        StoredEvent {
            id: key.into(),
            metric: metric.into(),
            unique_id: Some(key.into()),
            time,
            properties: Map::new(),
            profile_id: "p".into(),
            email: Some(email.into()),
            phone_number: None,
            external_id: None,
            backfill: false,
            via: Via::Single,
            received_at_ms: 0,
        }
    }

    fn wanted(key: &str) -> ExpectedEvent {
        ExpectedEvent { metric: "M".into(), key: key.into(), time: 5, email: Some("A@b.co".into()), phone: None }
    }

    #[test]
    fn every_kind_of_difference() {
        let expected = [wanted("same"), wanted("missing"), wanted("twice"), wanted("late"), wanted("other")];
        let there = [
            stored("P M", "same", 5, "a@b.co"),
            stored("P M", "twice", 5, "a@b.co"),
            stored("P M", "twice", 5, "a@b.co"),
            stored("P M", "late", 6, "a@b.co"),
            stored("P M", "other", 5, "x@b.co"),
            stored("P M", "extra", 5, "a@b.co"),
            stored("M", "same", 5, "a@b.co"),
        ];
        let differences = check(&expected, &there, "P ");
        assert_eq!(differences.len(), 6, "{differences:?}");
        assert!(matches!(&differences[0], Difference::Extra { metric, .. } if metric == "M"));
        assert!(matches!(&differences[1], Difference::Missing { .. }));
        assert!(matches!(&differences[2], Difference::Doubled { count: 2, .. }));
        assert!(matches!(&differences[3], Difference::WrongTime { stored: 6, .. }));
        assert!(matches!(&differences[4], Difference::WrongProfile { .. }));
        assert!(matches!(&differences[5], Difference::Extra { key, .. } if key == "extra"));
        assert!(check(&expected[..1], &there[..1], "P ").is_empty());
    }
}
