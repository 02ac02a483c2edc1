//! Tickets, their parts, types and states. They look alike in webhooks and REST.

use serde_json::{Map, Value, json};

use super::{PARTS_SHOWN, assignees, attachments, author, contacts};
use crate::intercom::{
    model::{Model, Part, Thread},
    perform::since,
    spec::{ApiVersion, Category},
};

/// One part of a ticket.
pub(crate) fn ticket_part(model: &Model, part: &Part) -> Value {
    let mut shown = Map::new();
    let mut put = |key: &str, value: Value| {
        shown.insert(key.to_owned(), value);
    };
    put("type", json!("ticket_part"));
    put("id", json!(part.id.to_string()));
    put("part_type", json!(part.kind.as_str()));
    if let Some(text) = &part.body {
        put("body", json!(text));
    }
    if let Some((state, previous)) = part.states {
        put("ticket_state", json!(state));
        put("previous_ticket_state", json!(previous));
    }
    put("created_at", json!(part.at));
    put("updated_at", json!(part.at));
    put("author", author(model, part.author, false));
    put("attachments", json!(attachments(part)));
    put("redacted", json!(false));
    Value::Object(shown)
}

fn ticket_assignee(id: Option<u64>, version: ApiVersion) -> Value {
    let id = id.unwrap_or(0);
    if since(version, ApiVersion::V2_16) { json!(id) } else { json!(id.to_string()) }
}

/// The old ticket object, still found in `conversation.ticket`.
pub(crate) fn legacy_ticket(model: &Model, thread: &Thread) -> Value {
    let Some(ticket) = &thread.ticket else { return Value::Null };
    let (kind, state) = (&model.ticket_types[ticket.kind], &model.ticket_states[ticket.state]);
    json!({
        "type": "ticket", "id": thread.id, "url": format!("https://app.intercom.com/a/apps/{}/conversations/{}", model.workspace, thread.id),
        "custom_attributes": {
            "_default_title_": { "value": ticket.title, "type": "string" },
            "_default_description_": { "value": ticket.description, "type": "string" },
        },
        "state": state.category, "ticket_type": kind.name, "ticket_type_description": "", "ticket_type_emoji": "🎟",
        "ticket_custom_state_admin_label": state.internal, "ticket_custom_state_user_label": state.external,
    })
}

/// A ticket type, as tickets carry it and `GET /ticket_types` lists it.
pub(crate) fn ticket_type(model: &Model, index: usize) -> Value {
    let kind = &model.ticket_types[index];
    let attribute = |n: u64, name: &str| {
        json!({
            "type": "ticket_type_attribute", "id": (8_514_183 + n).to_string(), "workspace_id": model.workspace, "name": name,
            "description": "", "data_type": "string", "input_options": { "multiline": n > 0 }, "order": n,
            "required_to_create": false, "required_to_create_for_contacts": false, "visible_on_create": true,
            "visible_to_contacts": true, "default": true, "ticket_type_id": kind.id, "archived": false,
            "created_at": 1_767_066_651, "updated_at": 1_767_066_651,
        })
    };
    json!({
        "type": "ticket_type", "id": kind.id.to_string(), "name": kind.name, "description": "", "icon": "🎟",
        "workspace_id": model.workspace, "archived": false, "created_at": 1_767_066_651, "updated_at": 1_767_066_651,
        "is_internal": kind.category != "Customer", "category": kind.category,
        "ticket_type_attributes": { "type": "list", "data": [attribute(0, "_default_title_"), attribute(1, "_default_description_")] },
    })
}

/// One of the workspace's ticket states.
pub(crate) fn ticket_state(model: &Model, index: usize) -> Value {
    let state = &model.ticket_states[index];
    json!({
        "type": "ticket_state", "id": state.id.to_string(), "category": state.category,
        "internal_label": state.internal, "external_label": state.external,
    })
}

/// A ticket with its history: the newest 500 parts.
pub(crate) fn ticket(model: &Model, thread: &Thread, version: ApiVersion) -> Value {
    let Some(ticket) = &thread.ticket else { return Value::Null };
    let state = &model.ticket_states[ticket.state];
    let (admin, team) = assignees(model, thread);
    let mut attributes: Map<String, Value> = ticket.attributes.clone().into_iter().collect();
    attributes.insert("_default_title_".into(), json!(ticket.title));
    attributes.insert("_default_description_".into(), json!(ticket.description));
    let kept = thread.parts.get(thread.parts.len().saturating_sub(PARTS_SHOWN)..).unwrap_or_default();
    let parts: Vec<Value> = kept.iter().map(|part| ticket_part(model, part)).collect();
    let category = model.ticket_types[ticket.kind].category;
    let mut shown = json!({
        "type": "ticket", "id": thread.id.to_string(), "ticket_id": ticket.display.to_string(), "ticket_attributes": attributes,
        "ticket_type": ticket_type(model, ticket.kind), "contacts": contacts(model, thread),
        "admin_assignee_id": ticket_assignee(admin, version), "team_assignee_id": ticket_assignee(team, version),
        "created_at": thread.created_at, "updated_at": thread.updated_at,
        "ticket_parts": { "type": "ticket_part.list", "ticket_parts": parts, "total_count": thread.parts.len() },
        "open": state.category != Category::Resolved, "snoozed_until": thread.snoozed_until,
        "linked_objects": { "type": "list", "data": [], "total_count": 0, "has_more": false },
        "category": category, "is_shared": category == "Customer", "company_id": null, "channel": "messenger",
    });
    if since(version, ApiVersion::V2_12) {
        shown["ticket_state"] = ticket_state(model, ticket.state);
    } else {
        shown["ticket_state"] = json!(state.category);
        shown["ticket_state_internal_label"] = json!(state.internal);
        shown["ticket_state_external_label"] = json!(state.external);
    }
    if since(version, ApiVersion::V2_16) {
        shown["previous_ticket_state_id"] = json!(model.ticket_states[ticket.previous_state].id.to_string());
    }
    shown
}
