//! Forgetting a person who asked for it: what we keep of them, and on request what Klaviyo has.
//!
//! Klaviyo first, because a refusal there (a missing scope, say) is then told before anything else has changed. Every step may be
//! repeated, so if we die in between, the same wish finishes the rest. What Intercom has is Intercom's: as long as the contact exists
//! there, new events bring it back, and the report says so.

mod desk;

use domain::contact::Contact;
use domain::forget::Person;
use domain::mapping::identity_of;
use domain::{ContactId, Rules};
use serde::Serialize;

use crate::ports::{
    CallError, ContactLookup, ContactSearch, DeadLetters, Deletable, Intercom, KlaviyoAccount, PersonalData,
    StoreError, Traces,
};

pub use desk::Forgetting;

/// Under which reason forgotten messages are counted as skipped.
pub const FORGOTTEN: &str = "forgotten";

/// Dead letters read at once.
const PAGE: usize = 100;

/// Who is to be forgotten, and how far.
#[derive(Clone, PartialEq, Eq)]
pub struct ForgetWish {
    /// By whom they are known.
    pub who: Who,
    /// Whether Klaviyo is asked to delete them as well.
    pub klaviyo: bool,
}

/// By what a person is named.
#[derive(Clone, PartialEq, Eq)]
pub enum Who {
    /// An e-mail address.
    Email(String),
    /// Intercom's contact.
    Contact(ContactId),
}

/// Prints the kind, never an address.
impl std::fmt::Debug for ForgetWish {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let who = match &self.who {
            Who::Email(_) => "email",
            Who::Contact(id) => id.as_str(),
        };
        f.debug_struct("ForgetWish").field("who", &who).field("klaviyo", &self.klaviyo).finish()
    }
}

/// What was taken away. Holds ids and counts only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ForgetReport {
    /// Intercom's ids of the person.
    pub contacts: Vec<String>,
    /// Parked messages that were given up.
    pub parked: u64,
    /// Dead letters that were given up.
    pub dead_letters: u64,
    /// What lists and caches held.
    #[serde(flatten)]
    pub traces: Traces,
    /// Requests for deletion that Klaviyo took.
    pub klaviyo_deletions: u64,
    /// What a human should know.
    pub notes: Vec<String>,
}

/// Why nothing, or not everything, was taken away.
#[derive(Debug, thiserror::Error)]
pub enum ForgetError {
    /// Klaviyo did not take the request. Nothing was taken away yet.
    #[error("Klaviyo was not asked to delete the person, and nothing was removed here: {0}")]
    Klaviyo(CallError),
    /// Klaviyo can be asked by address or phone number only, and none is known.
    #[error(
        "Klaviyo deletes by e-mail address or phone number, and Intercom knows neither of this contact: use the e-mail address"
    )]
    NoIdentifier,
    /// The store failed half-way.
    #[error("not everything was removed, try again: {0}")]
    Store(#[from] StoreError),
}

/// Forgets people.
#[derive(Debug)]
pub struct Forgetter<S, I, K> {
    store: S,
    intercom: I,
    klaviyo: K,
    rules: std::sync::Arc<Rules>,
}

impl<S, I, K> Forgetter<S, I, K>
where
    S: PersonalData + DeadLetters,
    I: Intercom + ContactSearch,
    K: KlaviyoAccount,
{
    /// Touches nothing yet.
    pub fn new(store: S, intercom: I, klaviyo: K, rules: std::sync::Arc<Rules>) -> Self {
        Self { store, intercom, klaviyo, rules }
    }

    /// Takes everything away that is kept of the person.
    pub async fn forget(&self, wish: &ForgetWish) -> Result<ForgetReport, ForgetError> {
        let mut report = ForgetReport::default();
        let mut person = Person::default();
        let mut identifiers = Vec::new();
        match &wish.who {
            Who::Email(email) => {
                person.add_email(email);
                identifiers.push(Deletable::Email(email.trim().to_owned()));
                for id in self.store.cached_contacts(email).await? {
                    person.add_contact(id);
                }
            }
            Who::Contact(id) => person.add_contact(id.clone()),
        }
        self.ask_intercom(&wish.who, &mut person, &mut identifiers, &mut report).await;
        if wish.klaviyo {
            if identifiers.is_empty() {
                return Err(ForgetError::NoIdentifier);
            }
            for identifier in &identifiers {
                self.klaviyo.request_deletion(identifier).await.map_err(ForgetError::Klaviyo)?;
                report.klaviyo_deletions += 1;
            }
        }
        report.contacts = person.contacts().iter().map(|id| id.as_str().to_owned()).collect();
        report.parked = self.store.drop_parked(person.contacts(), FORGOTTEN).await?;
        report.dead_letters = self.drop_dead_letters(&person).await?;
        report.traces = self.store.drop_traces(&person).await?;
        report.traces.support_records = crate::support::forget(&self.store, person.contacts(), person.emails()).await?;
        Ok(report)
    }

    /// Learns ids and addresses. Intercom may be out of reach, or know nobody any more: then what is known already has to do.
    async fn ask_intercom(
        &self,
        who: &Who,
        person: &mut Person,
        identifiers: &mut Vec<Deletable>,
        report: &mut ForgetReport,
    ) {
        let found = match who {
            Who::Email(email) => self.intercom.contacts_by_email(email.trim()).await,
            Who::Contact(id) => self.intercom.contact(id).await.map(|found| match found {
                ContactLookup::Found(contact) => vec![*contact],
                ContactLookup::Unknown => Vec::new(),
            }),
        };
        match found {
            Ok(contacts) => {
                if !contacts.is_empty() {
                    let note = "The contact still exists in Intercom: what happens there next is sent to Klaviyo again. Delete it \
                                there as well.";
                    report.notes.push(note.to_owned());
                }
                for contact in contacts {
                    self.add(&contact, person, identifiers);
                }
            }
            Err(error) => {
                report.notes.push(format!("Intercom could not be asked who this is ({error}): run it again later."))
            }
        }
    }

    fn add(&self, contact: &Contact, person: &mut Person, identifiers: &mut Vec<Deletable>) {
        person.add_contact(contact.id.clone());
        let identity = identity_of(contact, &self.rules);
        // An address is enough: Klaviyo deletes everybody with it. The phone number stands in where there is none.
        let identifier = match (identity.email, identity.phone) {
            (Some(email), _) => {
                person.add_email(&email);
                Deletable::Email(email)
            }
            (None, Some(phone)) => Deletable::Phone(phone),
            (None, None) => return,
        };
        let same = |known: &Deletable| match (known, &identifier) {
            (Deletable::Email(one), Deletable::Email(other)) => one.eq_ignore_ascii_case(other),
            (one, other) => one == other,
        };
        if !identifiers.iter().any(same) {
            identifiers.push(identifier);
        }
    }

    /// A letter says in its bytes whom it is about.
    async fn drop_dead_letters(&self, person: &Person) -> Result<u64, StoreError> {
        let mut dropped = 0;
        let mut cursor: Option<String> = None;
        loop {
            let page = self.store.dead_letters(cursor.as_deref(), PAGE).await?;
            for letter in &page.items {
                let theirs = match self.store.dead_letter_body(&letter.id).await? {
                    Some(accepted) => person.is_in(&accepted.body),
                    None => false,
                };
                if theirs && self.store.drop_dead_letter(&letter.id, FORGOTTEN).await? {
                    dropped += 1;
                }
            }
            match page.next {
                Some(next) => cursor = Some(next),
                None => return Ok(dropped),
            }
        }
    }
}

#[cfg(test)]
mod tests;
