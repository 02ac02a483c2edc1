//! Hides what an explanation says about a person: for eyes that want to know why, not who.

use serde_json::Value;

use super::Explanation;

/// Properties whose texts say nothing about a person. Everything else is hidden, what a shop adds above all.
const PLAIN: &[&str] = &[
    "Assigned Team",
    "Category",
    "Conversation Delivered As",
    "Conversation ID",
    "Conversation URL",
    "Conversation source",
    "Intercom contact ID",
    "Contact role",
    "Priority",
    "SLA Status",
    "Snoozed Until",
    "State",
    "Ticket ID",
    "Ticket State",
    "Ticket State Category",
    "Ticket Type",
    "Time estimated",
    "Waiting Since",
    "backfill",
];

/// What the request says about itself.
const ENVELOPE: &[&str] = &["type", "name", "unique_id", "time"];

/// Replaces every personal text and number in the requests; names, ids, moments and states stay.
pub fn mask(explanation: &mut Explanation) {
    for event in &mut explanation.events {
        let Some(attributes) = event.request.pointer_mut("/data/attributes") else { continue };
        if let Some(properties) = attributes.get_mut("properties") {
            mask_members(properties);
        }
        if let Some(profile) = attributes.pointer_mut("/profile/data/attributes") {
            mask_members(profile);
        }
        mask_rest(attributes);
    }
}

/// Values of an object by their names.
fn mask_members(object: &mut Value) {
    let Some(members) = object.as_object_mut() else { return mask_value(object) };
    for (name, value) in members {
        match value {
            Value::Object(_) => mask_members(value),
            _ if PLAIN.contains(&name.as_str()) => {}
            _ => mask_value(value),
        }
    }
}

/// What stands beside properties and profile: only names that are known may stay.
fn mask_rest(attributes: &mut Value) {
    let Some(members) = attributes.as_object_mut() else { return };
    for (name, value) in members {
        let known = ["properties", "profile", "metric"].contains(&name.as_str()) || ENVELOPE.contains(&name.as_str());
        if !known && value.is_string() {
            mask_value(value);
        }
    }
}

fn mask_value(value: &mut Value) {
    match value {
        Value::String(text) => {
            let length = text.chars().count();
            *text = format!("••• ({length} characters)");
        }
        Value::Array(items) => items.iter_mut().for_each(mask_value),
        Value::Object(members) => members.values_mut().for_each(mask_value),
        Value::Number(_) => *value = Value::from("•••"),
        Value::Null | Value::Bool(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::explain::ExplainedEvent;

    #[test]
    fn what_is_about_a_person_is_hidden() {
        let request = json!({"data": {"type": "event", "attributes": {
            "unique_id": "intercom:ws:ticket-created:1",
            "time": "2026-07-15T08:00:00Z",
            "metric": {"data": {"type": "metric", "attributes": {"name": "Intercom Created Ticket"}}},
            "properties": {"Title": "My leg hurts", "State": "open", "Attribute: Age": 44, "Tags": ["ill"],
                "email": "ada@example.com", "Shared": true},
            "profile": {"data": {"type": "profile", "attributes": {"email": "ada@example.com", "phone_number": "+491",
                "location": {"city": "Bonn"}, "properties": {"Intercom: Plan": "gold", "Contact role": "user"}}}},
        }}});
        let event = ExplainedEvent {
            metric: "Intercom Created Ticket".to_owned(),
            key: "intercom:ws:ticket-created:1".to_owned(),
            time: "2026-07-15T08:00:00Z".to_owned(),
            contact: "c1".to_owned(),
            note: None,
            request,
        };
        let mut explanation = Explanation {
            signature: String::new(),
            kind: "notification",
            topic: None,
            findings: Vec::new(),
            events: vec![event],
            fields: Vec::new(),
        };
        mask(&mut explanation);
        let text = explanation.events[0].request.to_string();
        for personal in ["leg", "44", "ill", "ada", "+491", "Bonn", "gold"] {
            assert!(!text.contains(personal), "{personal}: {text}");
        }
        for plain in [
            "Intercom Created Ticket",
            "ticket-created:1",
            "2026-07-15",
            "\"open\"",
            "\"user\"",
            "Title",
            "Attribute: Age",
        ] {
            assert!(text.contains(plain), "{plain}: {text}");
        }
    }
}
