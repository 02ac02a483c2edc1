//! Forgetting a person: what each store takes away.

use std::future::Future;

use domain::ContactId;
use domain::contact::Contact;
use domain::forget::Person;
use serde::Serialize;

use super::{CallError, StoreResult};

/// What lists and caches held of a person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Traces {
    /// Cached contacts.
    pub cached_contacts: u64,
    /// Entries of the list of recent events.
    pub recent_events: u64,
    /// Identifiers that a claimed event carries until it is known to be sent.
    pub identifiers: u64,
    /// Records of support state.
    pub support_records: u64,
}

/// Finding a person in Intercom.
pub trait ContactSearch: Send + Sync {
    /// Contacts with this e-mail address, at most 150 (`POST /contacts/search`).
    fn contacts_by_email(&self, email: &str) -> impl Future<Output = Result<Vec<Contact>, CallError>> + Send;
}

/// Taking away what is kept of a person. Every method may be repeated: what is gone stays gone.
///
/// What is on a queue is not touched: it is delivered within seconds, and forgotten with the next call.
pub trait PersonalData: super::SupportStates + Send + Sync {
    /// Contacts with this e-mail address, whatever its case, as far as the cache knows them.
    fn cached_contacts(&self, email: &str) -> impl Future<Output = StoreResult<Vec<ContactId>>> + Send;

    /// Gives up every parked message that waits for one of the contacts, whatever its lane: counted as skipped for `reason`, its
    /// bytes are dropped. Gives how many.
    fn drop_parked(&self, contacts: &[ContactId], reason: &str) -> impl Future<Output = StoreResult<u64>> + Send;

    /// Gives up a dead letter: counted as skipped for `reason`, its bytes are dropped. `false` when there is none with this id.
    fn drop_dead_letter(&self, id: &str, reason: &str) -> impl Future<Output = StoreResult<bool>> + Send;

    /// Takes the person out of caches and lists. An event that was claimed and never known to be sent loses its identifiers and
    /// counts as sent from then on, so that nothing is sent for it again.
    fn drop_traces(&self, person: &Person) -> impl Future<Output = StoreResult<Traces>> + Send;
}
