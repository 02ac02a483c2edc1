//! Notifications, and what each must become. The expectation is written here by hand, not asked of the product.

use serde_json::{Value, json};

use super::ops::Kind;

pub(crate) const WORKSPACE: &str = "simshop";

/// A notification and the keys of its events.
pub(crate) struct Fact {
    pub(crate) body: Vec<u8>,
    pub(crate) keys: Vec<String>,
}

/// The `n`th fact, at `at` Unix seconds.
pub(crate) fn fact(kind: Kind, contact: &str, n: usize, at: i64) -> Fact {
    let conversation = format!("9{n:05}");
    let key = |rest: String| format!("intercom:{WORKSPACE}:{rest}");
    let (topic, item, keys) = match kind {
        Kind::Created => (
            "conversation.user.created",
            conversation_item(&conversation, contact, at, &[]),
            vec![key(format!("conversation-created:{conversation}"))],
        ),
        Kind::Reply | Kind::TwoReplies => {
            let count = if kind == Kind::Reply { 1 } else { 2 };
            let parts: Vec<Value> = (0..count).map(|i| comment(&format!("7{n:05}{i}"), contact, at)).collect();
            let keys = (0..count).map(|i| key(format!("conversation-replied:7{n:05}{i}"))).collect();
            ("conversation.user.replied", conversation_item(&conversation, contact, at, &parts), keys)
        }
        Kind::Rating => {
            let mut item = conversation_item(&conversation, contact, at, &[]);
            item["conversation_rating"] = json!({
                "rating": 4, "created_at": at - 60, "updated_at": at, "contact": { "type": "contact", "id": contact },
            });
            ("conversation.rating.added", item, vec![key(format!("conversation-rated:{conversation}:{}", at - 60))])
        }
        Kind::Read => (
            "conversation.read",
            conversation_item(&conversation, contact, at, &[]),
            vec![key(format!("conversation-read:{conversation}:start"))],
        ),
        Kind::TicketCreated => (
            "ticket.created",
            ticket_item(&conversation, contact, at, &[state_part(n, 0, "submitted", "submitted", at)]),
            vec![
                key(format!("ticket-created:{conversation}")),
                key(format!("ticket-submitted:{conversation}:5{n:05}0")),
            ],
        ),
        Kind::TicketResolved => (
            "ticket.state.updated",
            ticket_item(
                &conversation,
                contact,
                at,
                &[state_part(n, 0, "submitted", "submitted", at - 90), state_part(n, 1, "submitted", "resolved", at)],
            ),
            vec![
                key(format!("ticket-submitted:{conversation}:5{n:05}0")),
                key(format!("ticket-resolved:{conversation}:5{n:05}1")),
            ],
        ),
        Kind::TicketReply => {
            let ticket =
                ticket_item(&conversation, contact, at, &[state_part(n, 0, "submitted", "submitted", at - 90)]);
            let item = json!({ "type": "ticket_ticket_part", "ticket": ticket, "ticket_part": comment(&format!("6{n:05}"), contact, at) });
            let keys =
                vec![key(format!("ticket-replied:6{n:05}")), key(format!("ticket-submitted:{conversation}:5{n:05}0"))];
            ("ticket.contact.replied", item, keys)
        }
        Kind::Ping => ("ping", json!({ "type": "ping", "message": "hello" }), vec![]),
        Kind::Unknown => ("weather.changed", json!({ "type": "weather" }), vec![]),
        Kind::Unreadable => return Fact { body: format!("{{\"n\": {n}, ").into_bytes(), keys: vec![] },
    };
    Fact { body: notification(topic, item, n, at), keys }
}

/// The webhook that tells of a contact's change, or of a merge, which names the survivor only.
pub(crate) fn contact_topic(topic: &str, contact: &str, email: Option<&str>, n: usize, at: i64) -> Vec<u8> {
    notification(topic, json!({ "type": "contact", "id": contact, "role": "user", "email": email }), n, at)
}

fn notification(topic: &str, item: Value, n: usize, at: i64) -> Vec<u8> {
    json!({
        "type": "notification_event", "app_id": WORKSPACE, "id": format!("notif_{n}"), "topic": topic,
        "created_at": at + 1, "data": { "type": "notification_event_data", "item": item },
    })
    .to_string()
    .into_bytes()
}

fn conversation_item(id: &str, contact: &str, at: i64, parts: &[Value]) -> Value {
    json!({
        "type": "conversation", "id": id, "created_at": at,
        "source": { "type": "conversation", "delivered_as": "customer_initiated", "author": { "type": "user", "id": contact } },
        "contacts": { "type": "contact.list", "contacts": [{ "type": "contact", "id": contact }] },
        "conversation_parts": { "conversation_parts": parts, "total_count": parts.len() },
    })
}

fn ticket_item(id: &str, contact: &str, at: i64, parts: &[Value]) -> Value {
    json!({
        "type": "ticket", "id": id, "ticket_id": "12", "created_at": at - 90, "category": "Customer",
        "contacts": { "type": "contact.list", "contacts": [{ "type": "contact", "id": contact }] },
        "ticket_parts": { "ticket_parts": parts, "total_count": parts.len() },
    })
}

fn comment(id: &str, contact: &str, at: i64) -> Value {
    json!({
        "type": "conversation_part", "id": id, "part_type": "comment", "body": "hello", "created_at": at,
        "author": { "type": "user", "id": contact },
    })
}

fn state_part(n: usize, index: usize, from: &str, to: &str, at: i64) -> Value {
    json!({
        "type": "ticket_part", "id": format!("5{n:05}{index}"), "part_type": "ticket_state_updated_by_admin",
        "previous_ticket_state": from, "ticket_state": to, "created_at": at, "author": { "type": "admin", "id": "1" },
    })
}
