//! Who did it. An author id among the contacts decides before the author's type does.

use crate::ids::ContactId;
use crate::intercom::{Author, Item};
use crate::skip::Skip;

/// How a missing author is called among the types.
pub(super) const NO_AUTHOR: &str = "none";

/// What an author is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Actor<'a> {
    /// A customer.
    Contact(&'a str),
    /// A teammate or a whole team.
    Teammate,
    /// A bot, Fin included.
    Bot,
    /// A type that this version does not know, and none of the contacts.
    Unknown(&'a str),
}

/// Classifies an author.
pub(super) fn actor<'a>(author: Option<&'a Author<'a>>, item: &Item<'_>) -> Actor<'a> {
    let Some(author) = author else { return Actor::Unknown(NO_AUTHOR) };
    let id = author.id.id();
    if let Some(id) = id.filter(|id| item.has_contact(id)) {
        return Actor::Contact(id);
    }
    match (author.kind.get(), id) {
        // A contact who is no longer listed: detached since, or merged into the one that is.
        (Some("user" | "lead" | "contact" | "visitor"), Some(id)) => Actor::Contact(id),
        (Some("admin" | "team"), _) => Actor::Teammate,
        (Some("bot"), _) => Actor::Bot,
        (Some(kind), _) => Actor::Unknown(kind),
        (None, _) => Actor::Unknown(NO_AUTHOR),
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
        Actor::Contact(id) => Ok(ContactId::new(id)),
        _ => first_contact(item),
    }
}
