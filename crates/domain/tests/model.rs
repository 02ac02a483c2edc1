//! A conversation and a ticket as they happened, and how Intercom tells of them: live and in search, in each API version.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{MARA, START, TOBIN, WORKSPACE, at};

/// API versions that differ in shape.
pub(crate) const VERSIONS: [u16; 6] = [211, 212, 213, 214, 215, 216];

#[derive(Clone, Debug)]
pub(crate) struct Rating {
    score: u8,
    asked: i64,
    given: i64,
    remark: Option<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct Conversation {
    begun_by: &'static str,
    contacts: Vec<&'static str>,
    replies: Vec<(&'static str, i64)>,
    rating: Option<Rating>,
    assigned: bool,
    first_answer: Option<i64>,
}

pub(crate) fn conversations() -> impl Strategy<Value = Conversation> {
    let who = || prop::sample::select(vec![MARA, TOBIN, "7301", "7300"]);
    let rating = (1_u8..=5, 0_i64..90_000, 0_i64..9_000, prop::option::of("[a-z ]{0,9}"))
        .prop_map(|(score, asked, wait, remark)| Rating { score, asked, given: asked + wait, remark });
    let contacts = prop::sample::select(vec![vec![MARA], vec![MARA, TOBIN], vec![TOBIN, MARA]]);
    (
        who(),
        contacts,
        prop::collection::vec((who(), 1_i64..90_000), 0..5),
        prop::option::of(rating),
        any::<bool>(),
        prop::option::of(0_i64..9_999),
    )
        .prop_map(|(begun_by, contacts, replies, rating, assigned, first_answer)| Conversation {
            begun_by,
            contacts,
            replies,
            rating,
            assigned,
            first_answer,
        })
}

fn author(id: &str, in_source: bool) -> Value {
    let kind = match id {
        "7301" => "admin",
        "7300" => "bot",
        TOBIN if in_source => "lead",
        _ => "user",
    };
    json!({"type": kind, "id": id, "name": null, "email": ""})
}

/// Text as HTML before 2.15 in conversations.
fn body(version: u16, text: &str) -> Value {
    if version < 215 { json!(format!("<p>{text}</p>")) } else { json!(text) }
}

/// Nobody, and somebody, as each version writes it.
fn assignee(version: u16, id: Option<u32>) -> Value {
    match (version, id) {
        (216.., id) => json!(id.unwrap_or(0)),
        (213 | 215, None) => json!("0"),
        (_, None) => Value::Null,
        (212, Some(id)) => json!(id),
        (_, Some(id)) => json!(id.to_string()),
    }
}

fn contact_list(version: u16, ids: &[&str]) -> Value {
    let entries: Vec<Value> = ids
        .iter()
        .map(|id| {
            if version == 211 {
                json!({"id": id, "role": "lead"})
            } else {
                json!({"type": "contact", "id": id, "external_id": "LNL-1"})
            }
        })
        .collect();
    json!({"type": "contact.list", "contacts": entries})
}

pub(crate) fn call(topic: &str, at: i64, item: Value) -> Vec<u8> {
    let call = json!({"type": "notification_event", "app_id": WORKSPACE, "id": "notif_1", "topic": topic, "created_at": START + at,
        "data": {"type": "notification_event_data", "item": item}});
    serde_json::to_vec(&call).expect("JSON")
}

impl Conversation {
    fn item(&self, version: u16) -> Value {
        let moment = |seconds: i64| if version < 215 { json!(at(seconds).to_string()) } else { json!(START + seconds) };
        let begun =
            if self.begun_by == MARA || self.begun_by == TOBIN { "customer_initiated" } else { "admin_initiated" };
        json!({"type": "conversation", "id": "551", "created_at": START, "updated_at": START + 99, "waiting_since": START, "title": "",
            "source": {"type": "conversation", "id": "1", "delivered_as": begun, "body": body(version, "Hello"), "author": author(self.begun_by, true)},
            "contacts": contact_list(version, &self.contacts), "admin_assignee_id": assignee(version, self.assigned.then_some(7301)),
            "team_assignee_id": assignee(version, None), "open": true, "state": "open", "tags": {"type": "tag.list", "tags": []},
            "statistics": {"count_conversation_parts": 5, "count_reopens": 0, "first_contact_reply_at": moment(0),
                "first_admin_reply_at": self.first_answer.map(moment)},
            "conversation_rating": self.rating(version), "custom_attributes": {"Loaves": 3}, "ticket": null})
    }

    fn rating(&self, version: u16) -> Value {
        let Some(rating) = &self.rating else { return if version == 211 { json!({}) } else { Value::Null } };
        let mut value = json!({"rating": rating.score, "remark": rating.remark, "created_at": START + rating.asked,
            "contact": {"type": "contact", "id": self.contacts[0]}, "teammate": {"type": "admin", "id": assignee(version, Some(7301))}});
        if version >= 214 {
            value["updated_at"] = json!(START + rating.given);
        }
        value
    }

    /// What Intercom sends while it happens.
    pub(crate) fn live(&self, version: u16) -> Vec<Vec<u8>> {
        let with = |parts: Value| {
            let mut item = self.item(version);
            let count = parts.as_array().map_or(0, Vec::len);
            item["conversation_parts"] =
                json!({"type": "conversation_part.list", "conversation_parts": parts, "total_count": count});
            item
        };
        let mut calls = vec![call("conversation.user.created", 1, with(json!([])))];
        for (index, (who, at)) in self.replies.iter().enumerate() {
            let part = json!({"type": "conversation_part", "id": format!("{}", 800 + index), "part_type": "comment", "created_at": START + at,
                "body": body(version, "More"), "author": author(who, false), "attachments": []});
            calls.push(call("conversation.user.replied", at + 1, with(json!([part]))));
            calls.push(call("conversation.read", at + 1, with(json!([part]))));
        }
        if let Some(rating) = &self.rating {
            let part = json!({"id": "890", "part_type": "conversation_rating_changed", "created_at": START + rating.given, "author": author("7300", false)});
            calls.push(call("conversation.rating.added", rating.given + 1, with(json!([part]))));
        }
        calls
    }

    /// What search gives afterwards: no parts.
    pub(crate) fn rest(&self, version: u16) -> Vec<u8> {
        serde_json::to_vec(&self.item(version)).expect("JSON")
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Step {
    State(&'static str),
    Reply(&'static str),
    Note,
}

#[derive(Clone, Debug)]
pub(crate) struct Ticket {
    contacts: Vec<&'static str>,
    /// What was said while it was a conversation.
    before: Vec<i64>,
    opened: i64,
    steps: Vec<(i64, Step)>,
}

pub(crate) fn tickets() -> impl Strategy<Value = Ticket> {
    let step = prop_oneof![
        prop::sample::select(vec!["submitted", "in_progress", "waiting_on_customer", "resolved"]).prop_map(Step::State),
        prop::sample::select(vec![MARA, TOBIN, "7301"]).prop_map(Step::Reply),
        Just(Step::Note),
    ];
    let gap = prop_oneof![Just(0_i64), 1_i64..5_000, 80_000_i64..90_000];
    let contacts = prop::sample::select(vec![vec![], vec![MARA], vec![TOBIN, MARA]]);
    (contacts, prop::collection::vec(1_i64..400, 0..3), 500_i64..1_500, prop::collection::vec((gap, step), 0..8))
        .prop_map(|(contacts, before, opened, steps)| {
            let mut at = opened;
            let steps = steps
                .into_iter()
                .map(|(gap, step)| {
                    at += gap;
                    (at, step)
                })
                .collect();
            Ticket { contacts, before, opened, steps }
        })
}

impl Ticket {
    pub(crate) fn lasted_less_than_a_day(&self) -> bool {
        self.steps.last().is_none_or(|(at, _)| at - self.opened < 86_000)
    }

    /// The whole history: parts in the order in which they happened, and each with the topics that tell of it.
    fn history(&self) -> Vec<(i64, Value, Vec<&'static str>)> {
        let mut before = self.before.clone();
        before.sort_unstable();
        let part = |id: usize, at: i64, kind: &str, who: &str| {
            json!({"type": "ticket_part", "id": format!("{}", 700 + id), "part_type": kind, "created_at": START + at, "updated_at": START + at,
                "author": author(who, false), "attachments": []})
        };
        let said = |mut part: Value| {
            part["body"] = json!("<p>More</p>");
            part
        };
        let moved = |mut part: Value, from: &str, to: &str| {
            part["ticket_state"] = json!(to);
            part["previous_ticket_state"] = json!(from);
            part
        };
        let mut history: Vec<(i64, Value, Vec<&'static str>)> = Vec::new();
        for at in before {
            history.push((at, said(part(history.len(), at, "comment", MARA)), vec!["conversation.user.replied"]));
        }
        let first =
            moved(part(history.len(), self.opened, "ticket_state_updated_by_admin", "7300"), "submitted", "submitted");
        history.push((self.opened, first, vec!["ticket.state.updated", "ticket.created"]));
        let mut state = "submitted";
        for (at, step) in &self.steps {
            let id = history.len();
            match step {
                Step::State(to) => {
                    let topics = if *to == "resolved" {
                        vec!["ticket.state.updated", "ticket.resolved", "ticket.closed"]
                    } else {
                        vec!["ticket.state.updated"]
                    };
                    history.push((
                        *at,
                        moved(part(id, *at, "ticket_state_updated_by_workflow", "7301"), state, to),
                        topics,
                    ));
                    state = to;
                }
                Step::Reply(who) => {
                    let topic = if *who == "7301" { "ticket.admin.replied" } else { "ticket.contact.replied" };
                    history.push((*at, said(part(id, *at, "comment", who)), vec![topic]));
                }
                Step::Note => history.push((*at, said(part(id, *at, "note", "7301")), vec!["ticket.note.created"])),
            }
        }
        history
    }

    fn item(&self, version: u16, parts: &[Value]) -> Value {
        let newest =
            parts.iter().rev().find_map(|part| part.get("ticket_state")).and_then(Value::as_str).unwrap_or("submitted");
        let mut item = json!({"type": "ticket", "id": "552", "ticket_id": "12", "ticket_attributes": {"_default_title_": "Late", "Tiers": 2},
            "ticket_type": {"name": "Delivery", "category": "Customer", "is_internal": false}, "category": "Customer", "is_shared": true,
            "contacts": contact_list(version, &self.contacts), "admin_assignee_id": assignee(version, Some(7301)),
            "team_assignee_id": assignee(version, None), "created_at": START, "updated_at": START + 5,
            "ticket_parts": {"type": "ticket_part.list", "ticket_parts": parts, "total_count": parts.len()}});
        if version < 212 {
            item["ticket_state"] = json!(newest);
            item["ticket_state_internal_label"] = json!(format!("Our {newest}"));
        } else {
            item["ticket_state"] = json!({"id": "9", "category": newest, "internal_label": format!("Our {newest}")});
        }
        item
    }

    pub(crate) fn live(&self, version: u16) -> Vec<Vec<u8>> {
        let history = self.history();
        let parts: Vec<Value> = history.iter().map(|(_, part, _)| part.clone()).collect();
        let mut calls = Vec::new();
        for (index, (at, part, topics)) in history.iter().enumerate() {
            let ticket = self.item(version, &parts[..=index]);
            for topic in topics {
                let item = match *topic {
                    "conversation.user.replied" => json!({"type": "conversation", "id": "552", "created_at": START,
                        "contacts": contact_list(version, &self.contacts), "conversation_parts": {"conversation_parts": [part]}}),
                    "ticket.contact.replied" | "ticket.admin.replied" | "ticket.note.created" => {
                        json!({"ticket": ticket, "ticket_part": part})
                    }
                    "ticket.closed" if version >= 215 => json!({"ticket": ticket}),
                    _ => ticket.clone(),
                };
                calls.push(call(topic, at + 1, item));
            }
        }
        calls
    }

    pub(crate) fn rest(&self, version: u16) -> Vec<u8> {
        let parts: Vec<Value> = self.history().into_iter().map(|(_, part, _)| part).collect();
        serde_json::to_vec(&self.item(version, &parts)).expect("JSON")
    }
}
