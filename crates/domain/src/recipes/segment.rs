//! Bodies of `POST /api/segments`.

use serde_json::{Value, json};

use super::{Parts, Recipe};

/// Custom profile properties are named in this form (<https://developers.klaviyo.com/en/reference/segments_api_overview>).
pub(super) const OPEN_TICKETS: &str = "properties['Intercom_open_tickets']";

pub(super) fn body(recipe: Recipe, parts: &Parts) -> Option<Value> {
    let condition = match recipe {
        Recipe::SubmittedTicket => at_least_once(parts.metric.as_deref()?, 30, None),
        Recipe::LowRating => at_least_once(parts.metric.as_deref()?, 90, Some(low_rating())),
        Recipe::OpenTicket => json!({
            "type": "profile-property", "property": OPEN_TICKETS,
            "filter": { "type": "numeric", "operator": "greater-than", "value": 0 },
        }),
        Recipe::AfterLowRating | Recipe::AskForReview => return None,
    };
    let definition = json!({ "condition_groups": [{ "conditions": [condition] }] });
    let attributes = json!({ "name": recipe.title(), "definition": definition, "is_starred": false });
    Some(json!({ "data": { "type": "segment", "attributes": attributes } }))
}

/// The metric happened at least once in the last days, and where there is a filter, with such a property.
fn at_least_once(metric: &str, days: u32, filter: Option<Value>) -> Value {
    json!({
        "type": "profile-metric", "metric_id": metric, "measurement": "count",
        "measurement_filter": { "type": "numeric", "operator": "greater-than-or-equal", "value": 1 },
        "timeframe_filter": { "type": "date", "operator": "in-the-last", "unit": "day", "quantity": days },
        "metric_filters": filter.map(|filter| vec![filter]),
    })
}

/// Intercom's scale is 1 to 5.
fn low_rating() -> Value {
    json!({
        "property": "Conversation Rating",
        "filter": { "type": "numeric", "operator": "less-than-or-equal", "value": 2 },
    })
}
