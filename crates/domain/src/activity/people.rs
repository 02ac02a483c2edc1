//! Who did it. An author id among the contacts decides before the author's type does.

use crate::ids::ContactId;
use crate::intercom::{Author, Item};
use crate::skip::Skip;

/// How a missing author is called among the types.
pub(super) const NO_AUTHOR: &str = "none";

/// What an author is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Actor {
    /// A customer.
    Contact(ContactId),
    /// A teammate or a whole team.
    Teammate,
    /// A bot, Fin included.
    Bot,
    /// A type that this version does not know, and none of the contacts.
    Unknown(String),
}

/// Classifies an author.
pub(super) fn actor(author: Option<&Author<'_>>, item: &Item<'_>) -> Actor {
    let unknown = |kind: &str| Actor::Unknown(kind.to_owned());
    let Some(author) = author else { return unknown(NO_AUTHOR) };
    let id = author.id.id();
    if let Some(id) = id.filter(|id| item.has_contact(id)) {
        return Actor::Contact(ContactId::new(id));
    }
    match (author.kind.get(), id) {
        // A contact who is no longer listed: detached since, or merged into the one that is.
        (Some("user" | "lead" | "contact" | "visitor"), Some(id)) => Actor::Contact(ContactId::new(id)),
        (Some("admin" | "team"), _) => Actor::Teammate,
        (Some("bot"), _) => Actor::Bot,
        (Some(kind), _) => unknown(kind),
        (None, _) => unknown(NO_AUTHOR),
    }
}

/// The first contact, to whom tickets belong.
pub(super) fn first_contact(item: &Item<'_>) -> Result<ContactId, Skip> {
    item.contact_ids().next().map(ContactId::new).ok_or(Skip::NoContact)
}

/// The contact who began the conversation, else the first one.
pub(super) fn starter_or_first(item: &Item<'_>) -> Result<ContactId, Skip> {
    let author = item.source.0.as_ref().and_then(|source| source.author.0.as_ref());
    match actor(author, item) {
        Actor::Contact(id) => Ok(id),
        _ => first_contact(item),
    }
}
