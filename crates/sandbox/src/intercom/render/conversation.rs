//! Conversations and their parts.

use serde_json::{Value, json};

use super::{
    Medium, PARTS_SHOWN, assignees, attachments, author, contacts, iso, tags, teammate, ticket::legacy_ticket,
};
use crate::intercom::{
    model::{Author, BOT, Model, Origin, Part, Rating, Thread},
    perform::since,
    spec::ApiVersion,
};

/// A body as conversation webhooks show it: plain text from 2.15, HTML before; REST always HTML.
fn body(text: &str, version: ApiVersion, medium: Medium) -> String {
    if medium == Medium::Rest || !since(version, ApiVersion::V2_15) {
        return text.to_owned();
    }
    let mut plain = String::with_capacity(text.len());
    let mut inside = false;
    for c in text.chars() {
        match c {
            '<' => inside = true,
            '>' => inside = false,
            c if !inside => plain.push(c),
            _ => {}
        }
    }
    plain.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

/// One part of a conversation.
pub(crate) fn conversation_part(model: &Model, part: &Part, version: ApiVersion, medium: Medium) -> Value {
    let mut by = author(model, part.author, false);
    by["from_ai_agent"] = json!(false);
    by["is_ai_answer"] = json!(false);
    let mut shown = json!({
        "type": "conversation_part", "id": part.id.to_string(), "part_type": part.kind.as_str(),
        "body": part.body.as_ref().map(|text| body(text, version, medium)),
        "created_at": part.at, "updated_at": part.at, "notified_at": part.at, "assigned_to": null, "author": by,
        "attachments": attachments(part), "external_id": null, "redacted": false, "email_message_metadata": null,
    });
    if since(version, ApiVersion::V2_13) {
        shown["metadata"] = json!({});
        shown["state"] = json!("open");
        shown["tags"] = json!([]);
        shown["event_details"] = json!({});
        shown["app_package_code"] = Value::Null;
    }
    shown
}

/// Who is assigned. 0 or null stands for nobody, by version.
fn conversation_assignee(id: Option<u64>, version: ApiVersion) -> Value {
    match id {
        Some(id) => json!(id),
        None if since(version, ApiVersion::V2_16) => json!(0),
        None => Value::Null,
    }
}

fn rating(model: &Model, rating: Option<&Rating>, version: ApiVersion) -> Value {
    // From 2.15 only a rating that was given is shown.
    let hidden = |rating: &&Rating| rating.score.is_some() || !since(version, ApiVersion::V2_15);
    let Some(rating) = rating.filter(hidden) else { return Value::Null };
    let contact = &model.contacts[model.survivor(rating.contact)];
    let teammate = model.admins.get(rating.admin).map(|admin| json!({ "type": "admin", "id": admin.id.to_string() }));
    let mut shown = json!({
        "rating": rating.score, "remark": rating.remark, "created_at": rating.asked_at,
        "contact": { "type": "contact", "id": contact.id, "external_id": contact.spec.external_id }, "teammate": teammate,
    });
    if since(version, ApiVersion::V2_14) {
        shown["updated_at"] = json!(rating.updated_at);
    }
    shown
}

fn source(model: &Model, thread: &Thread, version: ApiVersion, medium: Medium) -> Value {
    let (kind, delivered_as, by) = match thread.origin {
        Origin::Contact(index) => ("conversation", "customer_initiated", author(model, Author::Contact(index), true)),
        Origin::Admin(index) => ("conversation", "admin_initiated", author(model, Author::Admin(index), true)),
        Origin::Campaign => ("conversation", "automated", author(model, Author::Bot, true)),
        // A ticket among conversations: no type, and the bot listed as an admin.
        Origin::Ticket => ("", "admin_initiated", teammate(model, BOT, "admin")),
    };
    let kind = match kind {
        "" => Value::Null,
        _ if thread.by_email => json!("email"),
        kind => json!(kind),
    };
    json!({
        "type": kind, "id": thread.id.to_string(), "delivered_as": delivered_as, "subject": "",
        "body": body(&thread.text, version, medium), "author": by, "attachments": [],
        "url": matches!(thread.origin, Origin::Contact(_)).then_some("https://sandbox-shop.co/orders"), "redacted": false,
    })
}

fn statistics(thread: &Thread, version: ApiVersion, medium: Medium) -> Value {
    let date = |at: Option<i64>| match at {
        Some(at) if medium == Medium::Webhook && !since(version, ApiVersion::V2_15) => json!(iso(at)),
        at => json!(at),
    };
    let replies = || thread.parts.iter().filter(|part| part.is_reply());
    let by_admin = |part: &&Part| matches!(part.author, Author::Admin(_));
    let by_contact = |part: &&Part| matches!(part.author, Author::Contact(_));
    let closes = || thread.parts.iter().filter(|part| part.kind.as_str() == "close").map(|part| part.at);
    let assigned = || thread.parts.iter().filter(|part| part.kind.as_str() == "assignment").map(|part| part.at);
    let started = matches!(thread.origin, Origin::Contact(_)).then_some(thread.created_at);
    let first_admin = replies().filter(by_admin).map(|part| part.at).min();
    let last_contact = replies().filter(by_contact).map(|part| part.at).max();
    let reopens = thread.parts.iter().filter(|part| part.kind.as_str() == "open").count();
    json!({
        "type": "conversation_statistics",
        "time_to_assignment": assigned().min().map(|at| at - thread.created_at),
        "time_to_admin_reply": first_admin.map(|at| at - thread.created_at),
        "time_to_first_close": closes().min().map(|at| at - thread.created_at),
        "time_to_last_close": closes().max().map(|at| at - thread.created_at),
        "median_time_to_reply": first_admin.map(|at| at - thread.created_at),
        "first_contact_reply_at": date(started.or_else(|| replies().filter(by_contact).map(|part| part.at).min())),
        "first_assignment_at": date(assigned().min()), "first_admin_reply_at": date(first_admin),
        "first_close_at": date(closes().min()), "last_assignment_at": date(assigned().max()),
        "last_assignment_admin_reply_at": date(first_admin), "last_contact_reply_at": date(last_contact.or(started)),
        "last_admin_reply_at": date(replies().filter(by_admin).map(|part| part.at).max()),
        "last_close_at": date(closes().max()), "last_closed_by_id": null, "count_reopens": reopens,
        "count_assignments": assigned().count(), "count_conversation_parts": thread.parts.len() + 1,
        "assigned_team_first_response_time": [], "assigned_team_first_response_time_in_office_hours": [],
        "handling_time": null,
    })
}

/// A conversation. `parts: None` leaves them out, as search and lists do.
pub(crate) fn conversation(
    model: &Model,
    thread: &Thread,
    parts: Option<&[&Part]>,
    version: ApiVersion,
    medium: Medium,
) -> Value {
    let (admin, team) = assignees(model, thread);
    let started = matches!(thread.origin, Origin::Contact(_)).then_some(thread.created_at);
    let priority = match (since(version, ApiVersion::V2_16), thread.priority) {
        (true, true) => "high",
        (true, false) => "none",
        (false, true) => "priority",
        (false, false) => "not_priority",
    };
    let mut shown = json!({
        "type": "conversation", "id": thread.id.to_string(), "created_at": thread.created_at, "updated_at": thread.updated_at,
        "waiting_since": (thread.state.as_str() == "open").then_some(thread.updated_at), "snoozed_until": thread.snoozed_until,
        "source": source(model, thread, version, medium), "contacts": contacts(model, thread),
        "first_contact_reply": started.map(|at| json!({ "created_at": at, "type": "conversation", "url": null })),
        "admin_assignee_id": conversation_assignee(admin, version), "team_assignee_id": conversation_assignee(team, version),
        "open": thread.state.as_str() != "closed", "state": thread.state, "read": thread.read,
        "tags": { "type": "tag.list", "tags": tags(model, &thread.tags) }, "priority": priority, "sla_applied": null,
        "statistics": statistics(thread, version, medium),
        "conversation_rating": rating(model, thread.rating.as_deref(), version),
        "teammates": { "type": "admin.list", "admins": admin.map(|id| json!({ "type": "admin", "id": id.to_string() })).into_iter().collect::<Vec<_>>() },
        "title": thread.title, "custom_attributes": thread.attributes,
        "topics": { "type": "topic.list", "topics": [], "total_count": 0 },
        "ticket": thread.ticket.is_some().then(|| legacy_ticket(model, thread)),
        "linked_objects": { "type": "list", "data": [], "total_count": 0, "has_more": false },
        "ai_agent": null, "ai_agent_participated": false,
    });
    if since(version, ApiVersion::V2_16) {
        shown["company"] = Value::Null;
        shown["channel"] = json!({ "initial": "messenger", "current": "messenger" });
    }
    if let Some(parts) = parts {
        let kept = parts.get(parts.len().saturating_sub(PARTS_SHOWN)..).unwrap_or_default();
        let rendered: Vec<Value> = kept.iter().map(|part| conversation_part(model, part, version, medium)).collect();
        shown["conversation_parts"] =
            json!({ "type": "conversation_part.list", "conversation_parts": rendered, "total_count": parts.len() });
    }
    shown
}
