//! What becomes of every field. The first line that fits a path decides.

use serde_json::Value;

use super::FieldFate;
use crate::rules::Rules;

/// What a line of the table says.
#[derive(Clone, Copy)]
enum Role {
    /// Becomes this event property.
    Property(&'static str),
    /// A part's text: decides whether it is a message, and is sent where the settings ask for it.
    PartText,
    /// Takes part in the decision which event arises, when, and whose it is.
    Decides(&'static str),
    /// Not sent, for this reason.
    Dropped(&'static str),
    /// A custom attribute of a conversation, a ticket, a contact.
    ConversationAttribute,
    TicketAttribute,
    ContactAttribute,
}

use Role::{ContactAttribute, ConversationAttribute, Decides, Dropped, PartText, Property, TicketAttribute};

/// `*` fits one step, `**` the rest.
const ENVELOPE: &[(&str, Role)] = &[
    ("topic", Decides("chooses the rule")),
    ("app_id", Decides("the workspace, part of the key")),
    ("created_at", Decides("time of Read Conversation; end of the 24 hours in which state changes are looked for")),
    ("id", Dropped("the key is made of the object's own ids, so that retries and other topics give the same")),
    ("type", Dropped("always the same")),
    ("**", Dropped("about the delivery, not about the customer")),
];

const CONVERSATION: &[(&str, Role)] = &[
    ("type", Decides("tells tickets from conversations where no topic does")),
    ("id", Property("Conversation ID")),
    ("created_at", Decides("time of Created Conversation")),
    ("title", Property("Title")),
    ("snoozed_until", Property("Snoozed Until")),
    ("waiting_since", Property("Waiting Since")),
    ("priority", Property("Priority")),
    ("team_assignee_id", Property("Assigned Team")),
    ("admin_assignee_id", Property("Assigned Admin Name")),
    ("tags.tags.*.name", Property("Tags")),
    ("state", Property("State")),
    ("sla_applied.sla_status", Property("SLA Status")),
    ("conversation_rating.rating", Property("Conversation Rating")),
    ("conversation_rating.remark", Property("Remark")),
    ("conversation_rating.created_at", Decides("part of the rating's key")),
    ("conversation_rating.updated_at", Decides("time of Rated Conversation")),
    ("conversation_rating.contact.id", Decides("whose rating it is")),
    ("conversation_rating.teammate.id", Property("Rated Admin Name")),
    ("source.type", Property("Conversation source")),
    ("source.delivered_as", Property("Conversation Delivered As")),
    ("source.author.id", Decides("who began it")),
    ("source.author.type", Decides("who began it, where the id is none of the contacts")),
    ("source.body", Property("Message")),
    ("contacts.contacts.*.id", Decides("whose event it is")),
    ("statistics.count_conversation_parts", Property("Conversation Part Count")),
    ("statistics.count_reopens", Property("Reopen Count")),
    ("statistics.count_assignments", Property("Assignment Count")),
    ("statistics.time_to_admin_reply", Property("Minutes To First Reply")),
    ("statistics.first_contact_reply_at", Property("Minutes To First Reply")),
    ("statistics.first_admin_reply_at", Property("Minutes To First Reply")),
    ("custom_attributes.*", ConversationAttribute),
    ("conversation_parts.total_count", Decides("whether all parts are shown")),
    ("conversation_parts.conversation_parts.*.id", Decides("part of the key")),
    ("conversation_parts.conversation_parts.*.created_at", Decides("time of a reply; which part is the newest")),
    ("conversation_parts.conversation_parts.*.part_type", Decides("notes and system parts are no replies")),
    ("conversation_parts.conversation_parts.*.author.id", Decides("who replied")),
    ("conversation_parts.conversation_parts.*.author.type", Decides("who replied")),
    (
        "conversation_parts.conversation_parts.*.attachments.**",
        Decides("a part with files is a reply, with or without text"),
    ),
    ("conversation_parts.conversation_parts.*.body", PartText),
    ("ticket.**", Decides("the thread is a ticket's: the ticket's topics carry it")),
    ("conversation_id", Dropped("a deleted conversation gives no event")),
    ("open", Dropped("State says it")),
    ("read", Dropped("Read Conversation says it")),
    ("updated_at", Dropped("changes with everything, so nothing is made of it")),
];

const TICKET: &[(&str, Role)] = &[
    ("type", Decides("tells tickets from conversations where no topic does")),
    ("id", Property("Conversation ID")),
    ("ticket_id", Property("Ticket ID")),
    ("ticket_attributes._default_title_", Property("Ticket name")),
    ("ticket_attributes._default_description_", Property("Ticket description")),
    ("ticket_attributes.*", TicketAttribute),
    ("ticket_state", Property("Ticket State Category")),
    ("ticket_state.category", Property("Ticket State Category")),
    ("ticket_state.internal_label", Property("Ticket State")),
    ("ticket_state_internal_label", Property("Ticket State")),
    ("ticket_type.name", Property("Ticket Type")),
    ("ticket_type.category", Property("Category")),
    ("ticket_type.is_internal", Decides("tickets for teammates only are left out")),
    ("category", Property("Category")),
    ("is_shared", Property("Shared")),
    ("snoozed_until", Property("Snoozed Until")),
    ("team_assignee_id", Property("Assigned Team")),
    ("admin_assignee_id", Property("Assigned Admin Name")),
    ("contacts.contacts.*.id", Decides("whose event it is")),
    ("created_at", Decides("time of Created Ticket, where no state part is shown")),
    ("ticket_parts.total_count", Property("Ticket Part Count")),
    ("ticket_parts.ticket_parts.*.id", Decides("part of the key")),
    ("ticket_parts.ticket_parts.*.part_type", Decides("finds state changes and replies")),
    ("ticket_parts.ticket_parts.*.ticket_state", Decides("which metric")),
    ("ticket_parts.ticket_parts.*.previous_ticket_state", Decides("a move inside one category is no event")),
    ("ticket_parts.ticket_parts.*.created_at", Decides("time of the event")),
    ("ticket_parts.ticket_parts.*.author.**", Decides("who replied")),
    ("ticket_parts.ticket_parts.*.attachments.**", Decides("a part with files is a reply")),
    ("ticket_parts.ticket_parts.*.body", Decides("whether the part says anything; the text stays here")),
    ("updated_at", Decides("time of Resolved Ticket in history, where no state part is shown")),
    ("open", Dropped("Ticket State says it")),
];

const TICKET_PART: &[(&str, Role)] = &[
    ("id", Decides("part of the key")),
    ("created_at", Decides("time of the reply")),
    ("part_type", Decides("notes are no replies")),
    ("author.id", Decides("who replied")),
    ("author.type", Decides("who replied")),
    ("attachments.**", Decides("a part with files is a reply, with or without text")),
    ("body", PartText),
];

const CONTACT: &[(&str, Role)] = &[
    ("id", Property("Intercom contact ID")),
    ("role", Property("Contact role")),
    ("email", Property("email")),
    ("formatted_phone", Property("phone_number")),
    ("phone", Property("phone_number")),
    ("name", Property("first_name")),
    ("avatar", Property("image")),
    ("avatar.image_url", Property("image")),
    ("location.city", Property("city")),
    ("location.region", Property("region")),
    ("location.country", Property("country")),
    ("external_id", Property("external_id")),
    ("has_hard_bounced", Property("Intercom_has_hard_bounced")),
    ("marked_email_as_spam", Property("Intercom_marked_email_as_spam")),
    ("unsubscribed_from_emails", Property("Intercom_unsubscribed_from_emails")),
    ("opted_out_subscription_types.total_count", Property("Intercom_opted_out_subscription_types_count")),
    ("tags.tags.*.id", Property("Intercom_tags")),
    ("tags.tags.*.name", Property("Intercom_tags")),
    ("custom_attributes.*", ContactAttribute),
];

/// The fate of every leaf of the input.
pub(super) fn fates(json: &Value, kind: &str, rules: &Rules, sent: &[String]) -> Vec<FieldFate> {
    let mut leaves = Vec::new();
    collect(json, &mut Vec::new(), &mut leaves);
    let judge = Judge { rules, sent, sends_profile_only: kind == "contact" };
    leaves
        .into_iter()
        .map(|(path, value)| FieldFate {
            fate: judge.fate(table(json, kind, &path), &path, value),
            path: path.join("."),
        })
        .collect()
}

/// Every scalar and every empty list or object.
fn collect<'a>(value: &'a Value, path: &mut Vec<String>, leaves: &mut Vec<(Vec<String>, &'a Value)>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (name, member) in map {
                path.push(name.clone());
                collect(member, path, leaves);
                path.pop();
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                path.push(index.to_string());
                collect(item, path, leaves);
                path.pop();
            }
        }
        leaf => leaves.push((path.clone(), leaf)),
    }
}

/// The table for a path, and how many of its steps lead to the object that the table is about.
fn table(json: &Value, kind: &str, path: &[String]) -> (&'static [(&'static str, Role)], usize) {
    match kind {
        "conversation" => return (CONVERSATION, 0),
        "ticket" => return (TICKET, 0),
        "contact" => return (CONTACT, 0),
        _ => {}
    }
    if path.first().map(String::as_str) != Some("data") || path.get(1).map(String::as_str) != Some("item") {
        return (ENVELOPE, 0);
    }
    let topic = json.get("topic").and_then(Value::as_str).unwrap_or_default();
    let inner = path.get(2).map(String::as_str);
    if topic.starts_with("ticket.") {
        return match inner {
            Some("ticket") => (TICKET, 3),
            Some("ticket_part") => (TICKET_PART, 3),
            Some("contact") => (CONTACT, 3),
            _ => (TICKET, 2),
        };
    }
    if topic.starts_with("contact.") { (CONTACT, 2) } else { (CONVERSATION, 2) }
}

struct Judge<'a> {
    rules: &'a Rules,
    sent: &'a [String],
    sends_profile_only: bool,
}

impl Judge<'_> {
    fn fate(&self, (table, skip): (&[(&str, Role)], usize), path: &[String], value: &Value) -> String {
        let steps = &in_usual_lists(&path[skip.min(path.len())..]);
        match table.iter().find(|(pattern, _)| fits(pattern, steps)).map(|(_, role)| *role) {
            Some(Decides(what)) => format!("decides: {what}"),
            Some(Dropped(why)) => format!("dropped: {why}"),
            Some(PartText) if self.rules.message_text_max_chars == 0 => {
                "decides: whether the part says anything; the text itself is off in the settings".to_owned()
            }
            Some(PartText) => self.property("Message", value),
            Some(Property("Message")) if self.rules.message_text_max_chars == 0 => {
                "dropped: message text is off in the settings".to_owned()
            }
            Some(Property("external_id")) if !self.rules.profile.external_id => {
                "dropped: Intercom's external id is off in the settings".to_owned()
            }
            Some(Property(name)) => self.property(name, value),
            Some(ConversationAttribute) => {
                self.attribute("Attribute: ", steps, value, &self.rules.attributes.conversation)
            }
            Some(TicketAttribute) => self.attribute("Attribute: ", steps, value, &self.rules.attributes.ticket),
            Some(ContactAttribute) => self.attribute("Intercom: ", steps, value, &self.rules.attributes.contact),
            None => "dropped: no rule reads it".to_owned(),
        }
    }

    fn property(&self, name: &str, value: &Value) -> String {
        if self.sent.iter().any(|sent| sent == name) {
            format!("mapped: {name}")
        } else if is_empty(value) {
            format!("left out: {name} is empty")
        } else if self.sends_profile_only {
            format!("mapped: {name}, with the contact's next event")
        } else if self.sent.is_empty() {
            format!("not sent: no event arises ({name})")
        } else {
            format!("left out: {name} does not belong to this event, or its value is not known")
        }
    }

    fn attribute(&self, prefix: &str, steps: &[String], value: &Value, choice: &crate::rules::Choice) -> String {
        let name = steps.get(1).map(String::as_str).unwrap_or_default();
        if !choice.allows(name) {
            return "dropped: the settings leave this attribute out".to_owned();
        }
        let full = format!("{prefix}{name}");
        if self.sent.iter().any(|sent| *sent == full || sent.starts_with(&format!("{full}."))) {
            return format!("mapped: {full}");
        }
        self.property(&full, value)
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty() || text == "0",
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(_) => false,
    }
}

/// Lists come bare, or in an object under any name: the tables have them under their usual one.
fn in_usual_lists(path: &[String]) -> Vec<String> {
    const LISTS: [&str; 4] = ["contacts", "tags", "conversation_parts", "ticket_parts"];
    let is_index = |step: Option<&String>| step.is_some_and(|step| step.bytes().all(|b| b.is_ascii_digit()));
    let mut steps = path.to_vec();
    if let Some(list) = LISTS.iter().find(|list| steps.first().is_some_and(|first| first == *list)) {
        if is_index(steps.get(1)) {
            steps.insert(1, (*list).to_owned());
        } else if is_index(steps.get(2)) {
            steps[1] = (*list).to_owned();
        }
    }
    steps
}

/// Whether a path fits a pattern. A trailing `*` also fits what lies below it, as custom attributes can be objects.
fn fits(pattern: &str, path: &[String]) -> bool {
    let mut steps = path.iter();
    let mut parts = pattern.split('.').peekable();
    while let Some(part) = parts.next() {
        match (part, steps.next()) {
            ("**", _) => return true,
            ("*", Some(_)) if parts.peek().is_none() => return true,
            ("*", Some(_)) => {}
            (name, Some(step)) if name == step => {}
            // A leaf above the pattern's end is null or empty: it stands for the members that it does not have.
            (_, None) => return true,
            _ => return false,
        }
    }
    steps.next().is_none()
}
