//! Support state: what the profile says about talks with support that go on now, so that a flow can hold marketing back meanwhile.
//!
//! A *thread* is a conversation or a ticket. What a notification or item says about one is a [`Fact`], with a version; a
//! [`Record`] keeps, for one profile, the newest of each. Taking a fact in is a maximum, so facts may come late, twice and in any
//! order: the outcome is the same, and an older one never replaces a newer one.
//!
//! **Open** means that the customer may still expect something: a conversation that is open or snoozed, whoever began it; a ticket
//! whose state is not resolved. A conversation that became a ticket counts as the ticket.

mod facts;
mod home;
mod member;
mod record;
mod stand;
mod summary;
mod thread;

use crate::identity::Identity;
use crate::ids::{ContactId, KeyHash};

pub use facts::{Fact, Facts, Rated, Said, of_item, of_notification};
pub use home::Home;
pub use member::Member;
pub use record::{Effect, Record, RecordError};
pub use stand::{Stand, Version};
pub use summary::Summary;
pub use thread::Thread;

/// How long, in seconds, a thread that is not open is remembered, and how old a report may be that speaks of a thread nobody
/// remembers. The two together keep a late report from opening again what was closed and forgotten.
pub const MEMORY: i64 = 35 * 24 * 3600;

/// Under which name the record of a profile is kept. Klaviyo finds a profile by its external id, then the address, then the number.
/// The name is a hash: addresses stand in records, not in keys.
pub fn profile_key(identity: &Identity) -> Option<String> {
    let email = identity.email.as_deref().map(|email| format!("email {}", email.trim().to_lowercase()));
    let phone = identity.phone.as_deref().map(|phone| format!("phone {phone}"));
    let own = identity.external_id.as_deref().map(|id| format!("external {id}"));
    let name = own.or(email).or(phone)?;
    let hex: String = KeyHash::of(&name).as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    Some(format!("profile/{hex}"))
}

/// Under which name the record of a contact is kept that has no profile yet.
pub fn nameless_key(contact: &ContactId) -> String {
    format!("contact/{contact}")
}

/// Under which name it is kept which record a contact is in: [`Home`].
pub fn home_key(contact: &ContactId) -> String {
    format!("home/{contact}")
}

/// Under which name it is kept whose a thread is, for the notification of its deletion, which says nothing else.
pub fn thread_key(thread: &str) -> String {
    format!("thread/{thread}")
}
