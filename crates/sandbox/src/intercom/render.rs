//! From the model to Intercom's JSON, in the shape of any API version from 2.11 to 2.16.

mod contact;
mod conversation;
mod ticket;

use jiff::Timestamp;
use serde_json::{Value, json};

pub(crate) use self::{
    contact::contact,
    conversation::conversation,
    ticket::{ticket, ticket_part, ticket_state, ticket_type},
};
use super::{
    model::{Author, BOT, Contact, Model, Part, Thread},
    spec::Role,
};

/// Where the JSON goes: webhooks differ from REST in dates and bodies before 2.15.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Medium {
    Webhook,
    Rest,
}

/// Intercom shows at most so many parts, the newest.
pub(crate) const PARTS_SHOWN: usize = 500;

fn iso(seconds: i64) -> String {
    Timestamp::from_second(seconds).map(|at| format!("{at:.3}")).unwrap_or_default()
}

pub(crate) fn tag_id(tag: usize) -> String {
    (7_522_900 + tag).to_string()
}

/// Tag objects as a conversation or `GET /contacts/{id}/tags` lists them.
pub(crate) fn tags(model: &Model, tags: &[usize]) -> Vec<Value> {
    let named = tags.iter().filter_map(|tag| model.tags.get(*tag).map(|name| (tag, name)));
    named.map(|(tag, name)| json!({ "type": "tag", "id": tag_id(*tag), "name": name })).collect()
}

fn contacts(model: &Model, thread: &Thread) -> Value {
    let one =
        |contact: &Contact| json!({ "type": "contact", "id": contact.id, "external_id": contact.spec.external_id });
    let indices = thread.contacts.iter().map(|index| model.survivor(*index));
    let mut seen = Vec::with_capacity(thread.contacts.len());
    indices.for_each(|index| {
        if !seen.contains(&index) {
            seen.push(index);
        }
    });
    let shown: Vec<Value> = seen.into_iter().filter_map(|index| model.contacts.get(index)).map(one).collect();
    json!({ "type": "contact.list", "contacts": shown })
}

/// Who wrote a part or a first message.
fn author(model: &Model, author: Author, in_source: bool) -> Value {
    match author {
        Author::Contact(index) => {
            let contact = &model.contacts[model.survivor(index)];
            // Leads are called leads in the source, and users in parts.
            let kind = if in_source && contact.spec.role == Role::Lead { "lead" } else { "user" };
            let email = contact.spec.email.as_deref().unwrap_or_default();
            json!({ "type": kind, "id": contact.id, "name": contact.spec.name, "email": email })
        }
        Author::Admin(index) => teammate(model, index, "admin"),
        Author::Bot => teammate(model, BOT, "bot"),
    }
}

fn teammate(model: &Model, index: usize, kind: &str) -> Value {
    let admin = model.admins.get(index).or(model.admins.first());
    admin.map_or(
        Value::Null,
        |admin| json!({ "type": kind, "id": admin.id.to_string(), "name": admin.name, "email": admin.email }),
    )
}

fn attachments(part: &Part) -> Vec<Value> {
    let one = |n: u8| {
        json!({
            "type": "upload", "name": format!("photo-{n}.jpg"), "content_type": "image/jpeg", "filesize": 48_213,
            "url": format!("https://downloads.intercomcdn.com/sandbox/{}-{n}.jpg", part.id), "width": 800, "height": 600,
        })
    };
    (0..part.attachments).map(one).collect()
}

fn assignees(model: &Model, thread: &Thread) -> (Option<u64>, Option<u64>) {
    let admin = thread.admin.and_then(|index| model.admins.get(index)).map(|admin| admin.id);
    (admin, thread.team.and_then(|index| model.teams.get(index)).map(|team| team.id))
}
