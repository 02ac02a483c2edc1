//! Intercom's objects, of API versions 2.11 to 2.16, webhook and REST alike, read in one pass into one form.
//!
//! Sources: <https://developers.intercom.com/docs/references/2.16/webhooks/webhook-models>, Intercom's OpenAPI files, and
//! published captures. Only fields that some rule reads are here; all else is skipped without being allocated.

mod item;
mod shapes;

use serde::Deserialize;
use serde_json::value::RawValue;

pub use item::{Item, Part, Rating, SourceMessage, Statistics};
pub(crate) use shapes::has_content;
pub use shapes::{Attribute, Attributes, Author, Body, Named, StateRef, TypeRef, Unread};

use crate::contact::Contact;
use crate::ids::ContactId;
use crate::lenient::{Maybe, Moment, Text};
use crate::parse::{describe, from_slice};
use crate::signature::{SignatureScheme, Verified};

/// A webhook call, read.
#[derive(Debug)]
pub enum Call<'a> {
    /// A topic.
    Notification(Box<Notification<'a>>),
    /// `X-Body-Signature`: Intercom asks whether we are alive.
    HealthCheck,
    /// `X-Body-Signature`: the app was uninstalled. No more notifications will come.
    Uninstall,
}

/// The envelope and its item.
#[derive(Debug)]
pub struct Notification<'a> {
    /// `notif_…`; null on pings. Intercom's retry repeats it.
    pub id: Text<'a>,
    /// `conversation.user.created`, …
    pub topic: Text<'a>,
    /// The workspace.
    pub app_id: Text<'a>,
    /// When Intercom made the notification.
    pub created_at: Moment,
    /// What it is about.
    pub item: Item<'a>,
}

/// Bytes that carry a right signature but are no notification.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Not JSON, or JSON of another shape.
    #[error("the body is {0}")]
    Body(String),
    /// A part without which nothing can be said.
    #[error("the notification has no {0}")]
    Missing(&'static str),
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct Envelope<'a> {
    #[serde(default)]
    id: Text<'a>,
    #[serde(default)]
    topic: Text<'a>,
    #[serde(default)]
    app_id: Text<'a>,
    #[serde(default)]
    created_at: Moment,
    #[serde(default)]
    data: Maybe<Data<'a>>,
    #[serde(default)]
    workspace_id: Text<'a>,
}

#[derive(Deserialize, Default)]
#[serde(bound(deserialize = "'de: 'a"))]
struct Data<'a> {
    #[serde(default)]
    item: Maybe<Box<Item<'a>>>,
}

/// Reads a call. Only verified bytes fit.
pub fn read(verified: Verified<'_>) -> Result<Call<'_>, Unreadable> {
    let envelope: Envelope<'_> = from_slice(verified.body()).map_err(|error| Unreadable::Body(describe(&error)))?;
    if verified.scheme() == SignatureScheme::Body {
        // Intercom's uninstall call names the app, its health check the workspace.
        let uninstall = envelope.app_id.get().is_some() && envelope.workspace_id.get().is_none();
        return Ok(if uninstall { Call::Uninstall } else { Call::HealthCheck });
    }
    if envelope.topic.get().is_none() {
        return Err(Unreadable::Missing("topic"));
    }
    let item = envelope.data.0.and_then(|data| data.item.0).ok_or(Unreadable::Missing("data.item"))?;
    Ok(Call::Notification(Box::new(Notification {
        id: envelope.id,
        topic: envelope.topic,
        app_id: envelope.app_id,
        created_at: envelope.created_at,
        item: *item,
    })))
}

/// What a `contact.*` notification is about.
#[derive(Clone, Debug, PartialEq)]
pub struct ContactChange {
    /// The contact as it is now, as far as the notification shows it; after a merge the survivor.
    pub contact: Contact,
    /// The contact that became this one, where a merge names it: older payloads name the survivor only.
    pub merged_from: Option<ContactId>,
}

/// What a `contact.*` notification says. `None` where its item is no contact: some are about a subscription.
///
/// Most topics have the contact as their item, those of tags have it inside (`contact_tag`), and those of deletions have its id
/// and little more: <https://developers.intercom.com/docs/references/2.16/webhooks/webhook-models>.
pub fn contact_change(verified: Verified<'_>) -> Option<ContactChange> {
    #[derive(Deserialize)]
    struct ContactEnvelope<'a> {
        #[serde(borrow)]
        data: ContactData<'a>,
    }
    #[derive(Deserialize)]
    struct ContactData<'a> {
        #[serde(borrow)]
        item: &'a RawValue,
    }
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Around<'a> {
        #[serde(borrow)]
        contact: Option<&'a RawValue>,
        merged_from: Maybe<Merged<'a>>,
    }
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Merged<'a> {
        #[serde(borrow)]
        id: Text<'a>,
    }
    let envelope: ContactEnvelope<'_> = serde_json::from_slice(verified.body()).ok()?;
    let item = envelope.data.item;
    let around: Around<'_> = serde_json::from_str(item.get()).ok()?;
    let inside = around.contact.and_then(|contact| Contact::parse(contact.get().as_bytes()).ok());
    let merged_from = around.merged_from.0.and_then(|merged| merged.id.id().map(ContactId::new));
    let contact = inside.or_else(|| Contact::parse(item.get().as_bytes()).ok())?;
    Some(ContactChange { contact, merged_from })
}

/// Reads a conversation or ticket as REST gives it.
pub fn read_rest(json: &[u8]) -> Result<Item<'_>, Unreadable> {
    from_slice(json).map_err(|error| Unreadable::Body(describe(&error)))
}
