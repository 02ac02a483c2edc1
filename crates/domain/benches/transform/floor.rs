//! The floor: one fixed mapping, one API version, nothing to choose, no odd shape understood. It writes the same event.

use domain::contact::Contact;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use std::borrow::Cow;

#[derive(Deserialize)]
struct Notification<'a, T> {
    app_id: &'a str,
    data: Data<T>,
}

#[derive(Deserialize)]
struct Data<T> {
    item: T,
}

#[derive(Deserialize)]
struct Conversation<'a> {
    id: &'a str,
    created_at: i64,
    waiting_since: Option<i64>,
    #[serde(borrow)]
    source: Source<'a>,
    contacts: Contacts<'a>,
    admin_assignee_id: Option<u64>,
    team_assignee_id: Option<u64>,
    state: &'a str,
    tags: Tags<'a>,
    priority: &'a str,
    statistics: Statistics,
    title: &'a str,
    custom_attributes: Attributes<'a>,
    conversation_parts: Parts<'a>,
}

#[derive(Deserialize)]
struct Source<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    delivered_as: &'a str,
    #[serde(borrow)]
    author: Author<'a>,
}

#[derive(Deserialize)]
struct Author<'a> {
    id: &'a str,
}

#[derive(Deserialize)]
struct Contacts<'a> {
    #[serde(borrow)]
    contacts: Vec<Author<'a>>,
}

#[derive(Deserialize)]
struct Tags<'a> {
    #[serde(borrow)]
    tags: Vec<Tag<'a>>,
}

#[derive(Deserialize)]
struct Tag<'a> {
    name: &'a str,
}

#[derive(Deserialize)]
struct Statistics {
    count_reopens: u64,
    count_assignments: u64,
    count_conversation_parts: u64,
}

#[derive(Deserialize)]
struct Attributes<'a> {
    #[serde(rename = "Order number")]
    order: &'a str,
    #[serde(rename = "Gift wrap", default)]
    gift: Option<bool>,
    #[serde(rename = "Loaves", default)]
    loaves: Option<u64>,
}

#[derive(Deserialize)]
struct Parts<'a> {
    #[serde(borrow)]
    conversation_parts: Vec<Part<'a>>,
}

#[derive(Deserialize)]
struct Part<'a> {
    id: &'a str,
    created_at: i64,
    #[serde(borrow)]
    author: Author<'a>,
}

#[derive(Deserialize)]
struct TicketReply<'a> {
    #[serde(borrow)]
    ticket: Ticket<'a>,
    ticket_part: Part<'a>,
}

#[derive(Deserialize)]
struct Ticket<'a> {
    id: &'a str,
    ticket_id: &'a str,
    #[serde(borrow)]
    ticket_attributes: TicketAttributes<'a>,
    ticket_state: State<'a>,
    ticket_type: Tag<'a>,
    contacts: Contacts<'a>,
    category: &'a str,
    is_shared: bool,
    #[serde(borrow)]
    ticket_parts: History<'a>,
}

/// For `Minutes To First Reply` and `Ticket Part Count`; a fixed mapping does not walk the states.
#[derive(Deserialize)]
struct History<'a> {
    #[serde(borrow)]
    ticket_parts: Vec<HistoryPart<'a>>,
    total_count: u64,
}

#[derive(Deserialize)]
struct HistoryPart<'a> {
    created_at: i64,
    #[serde(borrow)]
    author: Kind<'a>,
}

#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
}

#[derive(Deserialize)]
struct State<'a> {
    category: &'a str,
    internal_label: &'a str,
}

#[derive(Deserialize)]
struct TicketAttributes<'a> {
    #[serde(rename = "_default_title_", borrow)]
    title: Cow<'a, str>,
    #[serde(rename = "_default_description_", borrow)]
    description: Cow<'a, str>,
    #[serde(rename = "Order number")]
    order: &'a str,
    #[serde(rename = "Tiers")]
    tiers: u64,
}

#[derive(Serialize)]
struct Request<'a, P> {
    data: Event<'a, P>,
}

#[derive(Serialize)]
struct Event<'a, P> {
    r#type: &'static str,
    attributes: EventAttributes<'a, P>,
}

#[derive(Serialize)]
struct EventAttributes<'a, P> {
    properties: P,
    time: jiff::Timestamp,
    unique_id: String,
    metric: Metric,
    profile: ProfileData<'a>,
}

#[derive(Serialize)]
struct ProfileData<'a> {
    data: Profile<'a>,
}

#[derive(Serialize)]
struct Profile<'a> {
    r#type: &'static str,
    attributes: ProfileAttributes<'a>,
}

#[derive(Serialize)]
struct ProfileAttributes<'a> {
    email: Option<&'a str>,
    phone_number: Option<&'a str>,
    first_name: Option<&'a str>,
    last_name: Option<&'a str>,
    image: Option<&'a str>,
    location: Location<'a>,
    properties: ProfileProperties<'a>,
}

#[derive(Serialize)]
struct Location<'a> {
    city: Option<&'a str>,
    region: Option<&'a str>,
    country: Option<&'a str>,
}

#[derive(Serialize)]
struct ProfileProperties<'a> {
    #[serde(rename = "Intercom contact ID")]
    id: &'a str,
    #[serde(rename = "Contact role")]
    role: Option<&'a str>,
    #[serde(rename = "Intercom_has_hard_bounced")]
    bounced: Option<bool>,
    #[serde(rename = "Intercom_marked_email_as_spam")]
    spam: Option<bool>,
    #[serde(rename = "Intercom_unsubscribed_from_emails")]
    unsubscribed: Option<bool>,
    #[serde(rename = "Intercom_opted_out_subscription_types_count")]
    opted_out: Option<u64>,
    #[serde(rename = "Intercom_tags")]
    tags: [&'static str; 2],
    #[serde(rename = "Intercom: Favourite bread")]
    bread: Option<&'a str>,
    #[serde(rename = "Intercom: Orders")]
    orders: Option<i64>,
    #[serde(rename = "Intercom: Newsletter")]
    newsletter: Option<bool>,
    #[serde(rename = "Intercom: Debt")]
    debt: Option<i64>,
}

#[derive(Serialize)]
struct Metric {
    data: MetricData,
}

#[derive(Serialize)]
struct MetricData {
    r#type: &'static str,
    attributes: Name,
}

#[derive(Serialize)]
struct Name {
    name: &'static str,
}

#[derive(Serialize)]
struct ConversationProperties<'a> {
    email: &'a str,
    #[serde(rename = "Title")]
    title: &'a str,
    #[serde(rename = "Waiting Since")]
    waiting: Option<jiff::Timestamp>,
    #[serde(rename = "Priority")]
    priority: &'a str,
    #[serde(rename = "Assigned Team")]
    team: Option<u64>,
    #[serde(rename = "Assigned Admin Name")]
    admin: Option<u64>,
    #[serde(rename = "Tags")]
    tags: Vec<&'a str>,
    #[serde(rename = "Conversation source")]
    source: &'a str,
    #[serde(rename = "Conversation Delivered As")]
    delivered_as: &'a str,
    #[serde(rename = "Conversation Part Count")]
    parts: u64,
    #[serde(rename = "Reopen Count")]
    reopens: u64,
    #[serde(rename = "Assignment Count")]
    assignments: u64,
    #[serde(rename = "Conversation ID")]
    id: &'a str,
    #[serde(rename = "Conversation URL")]
    url: String,
    #[serde(rename = "State")]
    state: &'a str,
    #[serde(rename = "Attribute: Order number")]
    order: &'a str,
    #[serde(rename = "Attribute: Gift wrap")]
    gift: Option<bool>,
    #[serde(rename = "Attribute: Loaves")]
    loaves: Option<u64>,
}

#[derive(Serialize)]
struct TicketProperties<'a> {
    email: &'a str,
    #[serde(rename = "Category")]
    category: &'a str,
    #[serde(rename = "Ticket Part Count")]
    parts: u64,
    #[serde(rename = "Ticket ID")]
    number: &'a str,
    #[serde(rename = "Ticket Type")]
    kind: &'a str,
    #[serde(rename = "Ticket name")]
    title: &'a str,
    #[serde(rename = "Ticket description")]
    description: &'a str,
    #[serde(rename = "Shared")]
    shared: bool,
    #[serde(rename = "Conversation ID")]
    id: &'a str,
    #[serde(rename = "Conversation URL")]
    url: String,
    #[serde(rename = "Ticket State")]
    label: &'a str,
    #[serde(rename = "Ticket State Category")]
    state: &'a str,
    #[serde(rename = "Minutes To First Reply")]
    first_reply: Option<f64>,
    #[serde(rename = "Attribute: Order number")]
    order: &'a str,
    #[serde(rename = "Attribute: Tiers")]
    tiers: u64,
}

/// The mapping, for one contact.
pub(crate) struct Fixed {
    contact: Contact,
}

impl Fixed {
    pub(crate) fn new(contact: &Contact) -> Self {
        Self { contact: contact.clone() }
    }

    fn email(&self) -> &str {
        self.contact.email.as_deref().unwrap_or_default()
    }

    fn profile(&self) -> ProfileData<'_> {
        let contact = &self.contact;
        let attribute = |name: &str| contact.custom_attributes.get(name);
        let (first, last) = contact.name.as_deref().and_then(|name| name.split_once(' ')).unzip();
        let properties = ProfileProperties {
            id: contact.id.as_str(),
            role: contact.role.as_deref(),
            bounced: contact.has_hard_bounced,
            spam: contact.marked_email_as_spam,
            unsubscribed: contact.unsubscribed_from_emails,
            opted_out: contact.opted_out_count,
            tags: ["wholesale", "bonn"],
            bread: attribute("Favourite bread").and_then(serde_json::Value::as_str),
            orders: attribute("Orders").and_then(serde_json::Value::as_i64),
            newsletter: attribute("Newsletter").and_then(serde_json::Value::as_bool),
            debt: attribute("Debt").and_then(serde_json::Value::as_i64),
        };
        let attributes = ProfileAttributes {
            email: contact.email.as_deref(),
            phone_number: contact.formatted_phone.as_deref(),
            first_name: first,
            last_name: last,
            image: contact.image.as_deref(),
            location: Location {
                city: contact.city.as_deref(),
                region: contact.region.as_deref(),
                country: contact.country.as_deref(),
            },
            properties,
        };
        ProfileData { data: Profile { r#type: "profile", attributes } }
    }

    pub(crate) fn conversation(&self, key: &[u8], header: &str, body: &[u8]) -> usize {
        verify(key, header, body);
        let read: Notification<'_, Conversation<'_>> = serde_json::from_slice(body).expect("it reads");
        let item = &read.data.item;
        let part = item.conversation_parts.conversation_parts.first();
        let (what, id, at, author) = match part {
            None => ("created", item.id, item.created_at, item.source.author.id),
            Some(part) => ("replied", part.id, part.created_at, part.author.id),
        };
        assert!(item.contacts.contacts.iter().any(|contact| contact.id == author), "a contact's");
        let properties = ConversationProperties {
            email: self.email(),
            title: item.title,
            waiting: item.waiting_since.map(timestamp),
            priority: item.priority,
            team: item.team_assignee_id,
            admin: item.admin_assignee_id,
            tags: item.tags.tags.iter().map(|tag| tag.name).collect(),
            source: item.source.kind,
            delivered_as: item.source.delivered_as,
            parts: item.statistics.count_conversation_parts,
            reopens: item.statistics.count_reopens,
            assignments: item.statistics.count_assignments,
            id: item.id,
            url: format!("https://app.intercom.com/a/apps/{}/conversations/{}", read.app_id, item.id),
            state: item.state,
            order: item.custom_attributes.order,
            gift: item.custom_attributes.gift,
            loaves: item.custom_attributes.loaves,
        };
        self.write(properties, at, format!("intercom:{}:conversation-{what}:{id}", read.app_id))
    }

    pub(crate) fn ticket(&self, key: &[u8], header: &str, body: &[u8]) -> usize {
        verify(key, header, body);
        let read: Notification<'_, TicketReply<'_>> = serde_json::from_slice(body).expect("it reads");
        let (ticket, part) = (&read.data.item.ticket, &read.data.item.ticket_part);
        assert!(ticket.contacts.contacts.iter().any(|contact| contact.id == part.author.id), "a contact's");
        let history = &ticket.ticket_parts.ticket_parts;
        let opened = history.first().map_or(0, |part| part.created_at);
        let answer = history.iter().find(|part| part.author.kind == "admin");
        let properties = TicketProperties {
            email: self.email(),
            category: ticket.category,
            parts: ticket.ticket_parts.total_count,
            number: ticket.ticket_id,
            kind: ticket.ticket_type.name,
            title: &ticket.ticket_attributes.title,
            description: &ticket.ticket_attributes.description,
            shared: ticket.is_shared,
            id: ticket.id,
            url: format!("https://app.intercom.com/a/apps/{}/conversations/{}", read.app_id, ticket.id),
            label: ticket.ticket_state.internal_label,
            state: ticket.ticket_state.category,
            first_reply: answer.map(|answer| (answer.created_at - opened) as f64 / 60.0),
            order: ticket.ticket_attributes.order,
            tiers: ticket.ticket_attributes.tiers,
        };
        self.write(properties, part.created_at, format!("intercom:{}:ticket-replied:{}", read.app_id, part.id))
    }

    fn write(&self, properties: impl Serialize, at: i64, unique_id: String) -> usize {
        let name = Name { name: "Intercom Event" };
        let attributes = EventAttributes {
            properties,
            time: timestamp(at),
            unique_id,
            metric: Metric { data: MetricData { r#type: "metric", attributes: name } },
            profile: self.profile(),
        };
        let request = Request { data: Event { r#type: "event", attributes } };
        serde_json::to_vec(&request).expect("JSON").len()
    }
}

fn timestamp(at: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_second(at).expect("a time")
}

fn verify(key: &[u8], header: &str, body: &[u8]) {
    let mut expected = [0; 20];
    hex::decode_to_slice(&header[5..], &mut expected).expect("digits");
    let mut mac = Hmac::<Sha1>::new_from_slice(key).expect("any key");
    mac.update(body);
    mac.verify_slice(&expected).expect("a right signature");
}
