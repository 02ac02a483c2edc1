//! A contact, from REST or from a `contact.*` notification, folded into one form.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::ids::ContactId;
use crate::lenient::{Flag, List, Maybe, Moment, Number, Text};

/// A person in Intercom, with what the profile in Klaviyo needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Contact {
    /// Intercom's id; after a merge the survivor's.
    pub id: ContactId,
    /// The shop's own id; for leads a UUID that Intercom made up.
    pub external_id: Option<String>,
    /// `user` or `lead`.
    pub role: Option<String>,
    /// As typed.
    pub email: Option<String>,
    /// As typed.
    pub phone: Option<String>,
    /// In E.164 where Intercom could read it.
    pub formatted_phone: Option<String>,
    /// Full name.
    pub name: Option<String>,
    /// Avatar's URL.
    pub image: Option<String>,
    /// City name.
    pub city: Option<String>,
    /// Region name.
    pub region: Option<String>,
    /// Country name.
    pub country: Option<String>,
    /// Mail to it bounced for good.
    pub has_hard_bounced: Option<bool>,
    /// Marked Intercom mail as spam.
    pub marked_email_as_spam: Option<bool>,
    /// Unsubscribed from Intercom mail. Says nothing about consent in Klaviyo.
    pub unsubscribed_from_emails: Option<bool>,
    /// How many subscription types were opted out of.
    pub opted_out_count: Option<u64>,
    /// Tag ids and, where the answer had them, names.
    pub tags: Vec<Tag>,
    /// How many tags there are; more than `tags` when the answer held the first page only.
    pub tag_count: u64,
    /// Custom attributes as they came.
    pub custom_attributes: Map<String, Value>,
    /// Last change.
    pub updated_at: Option<jiff::Timestamp>,
}

/// A tag on a contact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tag {
    /// Intercom's id.
    pub id: String,
    /// Name, where the payload had it.
    pub name: Option<String>,
}

/// The bytes are not a contact.
#[derive(Debug, thiserror::Error)]
#[error("not a contact: {0}")]
pub struct ContactError(String);

impl Contact {
    /// A contact of whom nothing but the id is known.
    pub fn with_id(id: ContactId) -> Self {
        Self {
            id,
            external_id: None,
            role: None,
            email: None,
            phone: None,
            formatted_phone: None,
            name: None,
            image: None,
            city: None,
            region: None,
            country: None,
            has_hard_bounced: None,
            marked_email_as_spam: None,
            unsubscribed_from_emails: None,
            opted_out_count: None,
            tags: Vec::new(),
            tag_count: 0,
            custom_attributes: Map::new(),
            updated_at: None,
        }
    }

    /// Reads a contact object of any API version from 2.11 to 2.16.
    pub fn parse(json: &[u8]) -> Result<Self, ContactError> {
        let wire: WireContact<'_> =
            serde_json::from_slice(json).map_err(|error| ContactError(crate::parse::describe(&error)))?;
        wire.fold().ok_or_else(|| ContactError("it has no id".to_owned()))
    }
}

#[derive(Deserialize)]
#[serde(default)]
pub(crate) struct WireContact<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    external_id: Text<'a>,
    role: Text<'a>,
    email: Text<'a>,
    phone: Text<'a>,
    formatted_phone: Text<'a>,
    name: Text<'a>,
    avatar: Value,
    location: Maybe<WireLocation<'a>>,
    has_hard_bounced: Flag,
    marked_email_as_spam: Flag,
    unsubscribed_from_emails: Flag,
    opted_out_subscription_types: Maybe<WireCount>,
    tags: List<WireTag<'a>>,
    custom_attributes: Value,
    updated_at: Moment,
}

impl Default for WireContact<'_> {
    fn default() -> Self {
        Self {
            id: Text::default(),
            external_id: Text::default(),
            role: Text::default(),
            email: Text::default(),
            phone: Text::default(),
            formatted_phone: Text::default(),
            name: Text::default(),
            avatar: Value::Null,
            location: Maybe(None),
            has_hard_bounced: Flag(None),
            marked_email_as_spam: Flag(None),
            unsubscribed_from_emails: Flag(None),
            opted_out_subscription_types: Maybe(None),
            tags: List::default(),
            custom_attributes: Value::Null,
            updated_at: Moment(None),
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct WireLocation<'a> {
    #[serde(borrow)]
    city: Text<'a>,
    region: Text<'a>,
    country: Text<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct WireCount {
    total_count: Number,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct WireTag<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    name: Text<'a>,
}

impl WireContact<'_> {
    pub(crate) fn fold(self) -> Option<Contact> {
        let owned = |text: &Text<'_>| text.get().map(str::to_owned);
        let location = self.location.0.unwrap_or_default();
        let tags: Vec<Tag> = self
            .tags
            .items
            .iter()
            .filter_map(|tag| Some(Tag { id: tag.id.id()?.to_owned(), name: owned(&tag.name) }))
            .collect();
        Some(Contact {
            id: ContactId::new(self.id.id()?),
            external_id: owned(&self.external_id),
            role: owned(&self.role),
            email: owned(&self.email),
            phone: owned(&self.phone),
            formatted_phone: owned(&self.formatted_phone),
            name: owned(&self.name),
            image: image_url(&self.avatar),
            city: owned(&location.city),
            region: owned(&location.region),
            country: owned(&location.country),
            has_hard_bounced: self.has_hard_bounced.0,
            marked_email_as_spam: self.marked_email_as_spam.0,
            unsubscribed_from_emails: self.unsubscribed_from_emails.0,
            opted_out_count: self.opted_out_subscription_types.0.and_then(|list| list.total_count.count()),
            tag_count: self.tags.total_count.unwrap_or(0).max(tags.len() as u64),
            tags,
            custom_attributes: match self.custom_attributes {
                Value::Object(map) => map,
                _ => Map::new(),
            },
            updated_at: self.updated_at.0,
        })
    }
}

/// `{"type": "avatar", "image_url": …}`, or the URL itself in some versions.
fn image_url(avatar: &Value) -> Option<String> {
    let url = avatar.as_str().or_else(|| avatar.get("image_url").and_then(Value::as_str))?;
    url.starts_with("http").then(|| url.to_owned())
}
