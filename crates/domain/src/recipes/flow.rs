//! Bodies of `POST /api/flows`: a trigger, a delay, one e-mail as a draft.

use serde_json::{Value, json};

use super::segment::OPEN_TICKETS;
use super::{Parts, Recipe};

/// What differs between the flows.
struct Flow {
    /// Which ratings.
    rating: (&'static str, u32),
    /// Also how old an event may be that still enters, where it is more than four hours
    /// (<https://help.klaviyo.com/hc/en-us/articles/360017706091>).
    delay: (&'static str, u32),
    /// Nobody enters again within so many days.
    reentry_days: u32,
    /// Only while nothing is open: nobody wants to be asked for a review in the middle of a complaint.
    nothing_open: bool,
    subject: &'static str,
    preview: &'static str,
}

fn flow(recipe: Recipe) -> Option<Flow> {
    match recipe {
        Recipe::AfterLowRating => Some(Flow {
            rating: ("less-than-or-equal", 2),
            delay: ("hours", 1),
            reentry_days: 30,
            nothing_open: false,
            subject: "Sorry that we let you down",
            preview: "Tell us what went wrong, and we put it right.",
        }),
        Recipe::AskForReview => Some(Flow {
            rating: ("equals", 5),
            delay: ("days", 1),
            reentry_days: 90,
            nothing_open: true,
            subject: "Would you tell others?",
            preview: "A short review helps a small team a great deal.",
        }),
        Recipe::SubmittedTicket | Recipe::OpenTicket | Recipe::LowRating => None,
    }
}

pub(super) fn body(recipe: Recipe, parts: &Parts) -> Option<Value> {
    let flow = flow(recipe)?;
    let definition = json!({
        "triggers": [trigger(parts.metric.as_deref()?, &flow)],
        "profile_filter": profile_filter(&flow),
        "entry_action_id": "delay",
        "reentry_criteria": { "duration": flow.reentry_days, "unit": "day" },
        "actions": [delay(&flow), email(recipe, &flow, parts)?],
    });
    let attributes = json!({ "name": recipe.title(), "definition": definition });
    Some(json!({ "data": { "type": "flow", "attributes": attributes } }))
}

/// Klaviyo keeps events that were sent with `backfill` out of flows by itself. The second condition says it again for whoever
/// reads the flow or copies its trigger, and for events in which another sender wrote it as a property.
fn trigger(metric: &str, flow: &Flow) -> Value {
    let (operator, value) = flow.rating;
    let condition = |field: &str, filter: Value| {
        let condition = json!({ "type": "metric-property", "metric_id": metric, "field": field, "filter": filter });
        json!({ "conditions": [condition] })
    };
    let groups = [
        condition("Conversation Rating", json!({ "type": "numeric", "operator": operator, "value": value })),
        condition("backfill", json!({ "type": "existence", "operator": "not-set" })),
    ];
    json!({ "type": "metric", "id": metric, "trigger_filter": { "condition_groups": groups } })
}

/// Only people who subscribed: a rating is no consent. Groups are joined by "and", conditions of a group by "or".
fn profile_filter(flow: &Flow) -> Value {
    let consent = json!({
        "channel": "email", "can_receive_marketing": true,
        "consent_status": { "subscription": "subscribed", "filters": null },
    });
    let mut groups = vec![json!({ "conditions": [{ "type": "profile-marketing-consent", "consent": consent }] })];
    if flow.nothing_open {
        let open = |filter: Value| json!({ "type": "profile-property", "property": OPEN_TICKETS, "filter": filter });
        let none = open(json!({ "type": "numeric", "operator": "less-than-or-equal", "value": 0 }));
        let unknown = open(json!({ "type": "existence", "operator": "not-set" }));
        groups.push(json!({ "conditions": [none, unknown] }));
    }
    json!({ "condition_groups": groups })
}

fn delay(flow: &Flow) -> Value {
    let (unit, value) = flow.delay;
    json!({
        "temporary_id": "delay", "type": "time-delay", "links": { "next": "email" },
        "data": { "unit": unit, "value": value },
    })
}

fn email(recipe: Recipe, flow: &Flow, parts: &Parts) -> Option<Value> {
    let (address, name) = match &parts.sender {
        Some((address, name)) => (Some(address), Some(name)),
        None => (None, None),
    };
    let message = json!({
        "name": recipe.title(), "template_id": parts.template.as_deref()?,
        "from_email": address, "from_label": name,
        "subject_line": flow.subject, "preview_text": flow.preview,
        "smart_sending_enabled": true, "transactional": false, "add_tracking_params": false,
    });
    Some(json!({
        "temporary_id": "email", "type": "send-email", "links": { "next": null },
        "data": { "status": "draft", "message": message },
    }))
}
