//! Notifications as Intercom writes them in API version 2.16, made up: nobody's data.

use serde_json::{Value, json};

/// Topics that there is a sample for.
pub(super) const TOPICS: &[&str] = &[
    "ping",
    "conversation.user.created",
    "conversation.user.replied",
    "conversation.rating.added",
    "conversation.read",
    "ticket.created",
    "ticket.state.updated",
    "ticket.contact.replied",
];

/// What samples share.
pub(super) struct Sample {
    pub(super) workspace: String,
    /// A contact that exists, or a made-up one.
    pub(super) contact: Option<String>,
    /// Unix seconds.
    pub(super) now: i64,
}

impl Sample {
    /// The whole notification. Ids are built on `number`.
    pub(super) fn notification(&self, topic: &str, number: &str) -> Value {
        let id = (topic != "ping").then(|| format!("notif_sample-{number}"));
        let status = (topic != "ping").then_some("pending");
        json!({
            "type": "notification_event",
            "app_id": self.workspace,
            "data": {"type": "notification_event_data", "item": self.item(topic, number)},
            "links": {},
            "id": id,
            "topic": topic,
            "delivery_status": status,
            "delivery_attempts": 1,
            "delivered_at": 0,
            "first_sent_at": self.now,
            "created_at": self.now,
            "self": null,
        })
    }

    fn item(&self, topic: &str, number: &str) -> Value {
        match topic {
            "ping" => json!({"type": "ping", "message": "something something interzen"}),
            "ticket.contact.replied" => json!({
                "type": "ticket_ticket_part",
                "ticket": self.ticket(number, "submitted"),
                "ticket_part": {
                    "type": "ticket_part", "id": format!("{number}9"), "part_type": "comment", "body": "<p>Any news?</p>",
                    "created_at": self.now, "updated_at": self.now, "author": self.author(number),
                },
            }),
            "ticket.created" => self.ticket(number, "submitted"),
            "ticket.state.updated" => self.ticket(number, "resolved"),
            topic => self.conversation(topic, number),
        }
    }

    fn contact(&self, number: &str) -> String {
        self.contact.clone().unwrap_or_else(|| format!("5a3b1e2f0{number}"))
    }

    fn author(&self, number: &str) -> Value {
        json!({"type": "user", "id": self.contact(number), "name": null, "email": ""})
    }

    fn conversation(&self, topic: &str, number: &str) -> Value {
        let started = self.now - 60;
        let parts = match topic {
            "conversation.user.replied" => json!([{
                "type": "conversation_part", "id": format!("{number}1"), "part_type": "comment", "body": "One more thing …",
                "created_at": self.now, "updated_at": self.now, "notified_at": self.now, "assigned_to": null,
                "author": self.author(number), "attachments": [], "external_id": null, "redacted": false,
            }]),
            _ => json!([]),
        };
        let rating = (topic == "conversation.rating.added").then(|| {
            json!({
                "rating": 5, "remark": "Quick and friendly", "created_at": started, "updated_at": self.now,
                "contact": {"type": "contact", "id": self.contact(number), "external_id": null},
                "teammate": {"type": "admin", "id": 1},
            })
        });
        json!({
            "type": "conversation", "id": number, "created_at": started, "updated_at": self.now,
            "waiting_since": started, "snoozed_until": null,
            "source": {
                "type": "conversation", "id": format!("{number}0"), "delivered_as": "customer_initiated", "subject": "",
                "body": "Where is my parcel?", "author": self.author(number), "attachments": [],
                "url": "https://shop.example/orders", "redacted": false,
            },
            "contacts": {"type": "contact.list", "contacts": [
                {"type": "contact", "id": self.contact(number), "external_id": null}
            ]},
            "first_contact_reply": {"created_at": started, "type": "conversation", "url": null},
            "admin_assignee_id": 0, "team_assignee_id": 0, "open": true, "state": "open",
            "read": topic == "conversation.read", "priority": "none", "title": "Sample: where is my parcel?",
            "tags": {"type": "tag.list", "tags": []}, "statistics": null, "conversation_rating": rating,
            "custom_attributes": {"Sample": true}, "ticket": null,
            "conversation_parts": {"type": "conversation_part.list", "conversation_parts": parts, "total_count": parts_len(&parts)},
        })
    }

    fn ticket(&self, number: &str, state: &str) -> Value {
        let created = self.now - 60;
        let state_part = |nth: u8, from: &str, to: &str, at: i64| {
            json!({
                "type": "ticket_part", "id": format!("{number}{nth}"), "part_type": "ticket_state_updated_by_admin",
                "ticket_state": to, "previous_ticket_state": from, "created_at": at, "updated_at": at,
                "author": {"type": "admin", "id": "1", "name": "Sample Teammate"},
            })
        };
        let mut parts = vec![state_part(1, "submitted", "submitted", created)];
        if state != "submitted" {
            parts.push(state_part(2, "submitted", state, self.now));
        }
        json!({
            "type": "ticket", "id": number, "ticket_id": "1001", "category": "Customer", "is_shared": true, "open": true,
            "ticket_attributes": {
                "_default_title_": "Sample: broken lamp", "_default_description_": "It arrived in two pieces.", "Sample": true,
            },
            "ticket_state": {"type": "ticket_state", "id": "1", "category": state, "internal_label": state, "external_label": state},
            "ticket_type": {"type": "ticket_type", "id": "1", "name": "Returns", "category": "Customer", "is_internal": false},
            "contacts": {"type": "contact.list", "contacts": [
                {"type": "contact", "id": self.contact(number), "external_id": null}
            ]},
            "admin_assignee_id": 0, "team_assignee_id": 0, "created_at": created, "updated_at": self.now, "snoozed_until": null,
            "ticket_parts": {"type": "ticket_part.list", "ticket_parts": parts, "total_count": parts.len()},
        })
    }
}

fn parts_len(parts: &Value) -> usize {
    parts.as_array().map_or(0, Vec::len)
}

#[cfg(test)]
mod tests {
    use domain::Rules;
    use domain::directory::Directory;
    use domain::explain::{ExplainContext, explain};
    use jiff::Timestamp;

    use super::*;

    #[track_caller]
    fn check(topic: &str, metrics: &[&str]) {
        let sample = Sample { workspace: "ws".to_owned(), contact: None, now: 1_800_000_000 };
        let body = sample.notification(topic, "123").to_string();
        let now = Timestamp::from_second(1_800_000_001).expect("in range");
        let context = ExplainContext { workspace: None, now, contact: None, directory: Directory::default() };
        let explanation = explain(body.as_bytes(), None, &Rules::default(), &context);
        let mut found: Vec<&str> = explanation.events.iter().map(|event| event.metric.as_str()).collect();
        found.sort_unstable();
        assert_eq!(found, metrics, "{topic}: {:?}", explanation.findings);
    }

    #[test]
    fn each_sample_gives_its_events() {
        check("ping", &[]);
        check("conversation.user.created", &["Intercom Created Conversation"]);
        check("conversation.user.replied", &["Intercom Replied to Conversation"]);
        check("conversation.rating.added", &["Intercom Rated Conversation"]);
        check("conversation.read", &["Intercom Read Conversation"]);
        check("ticket.contact.replied", &["Intercom Replied to Ticket", "Intercom Submitted Ticket"]);
        check("ticket.created", &["Intercom Created Ticket", "Intercom Submitted Ticket"]);
        check("ticket.state.updated", &["Intercom Resolved Ticket", "Intercom Submitted Ticket"]);
    }
}
