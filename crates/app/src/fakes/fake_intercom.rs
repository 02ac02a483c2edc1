//! An Intercom that a test changes: contacts appear, get an address, merge, vanish; the service fails.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::contact::Contact;
use domain::{ContactId, WorkspaceId};

use super::yield_once;
use crate::ports::{CallError, ContactLookup, Intercom, Names, Workspace};

/// Cheap to clone; clones are the same service.
#[derive(Clone, Debug)]
pub struct FakeIntercom {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    workspace: Workspace,
    contacts: HashMap<ContactId, Entry>,
    names: Names,
    trouble: Option<CallError>,
    contact_calls: u64,
}

#[derive(Debug)]
enum Entry {
    Known(Box<Contact>),
    MergedInto(ContactId),
}

impl FakeIntercom {
    /// An empty workspace.
    pub fn new(workspace: &str) -> Self {
        let workspace = Workspace { id: WorkspaceId::new(workspace), name: None, region: None };
        let state =
            State { workspace, contacts: HashMap::new(), names: Names::default(), trouble: None, contact_calls: 0 };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Adds a contact or replaces it.
    pub fn put(&self, contact: Contact) {
        self.lock().contacts.insert(contact.id.clone(), Entry::Known(Box::new(contact)));
    }

    /// Gives a contact this address, or takes it away.
    pub fn set_email(&self, id: &ContactId, email: Option<&str>) {
        if let Some(Entry::Known(contact)) = self.lock().contacts.get_mut(id) {
            contact.email = email.map(str::to_owned);
        }
    }

    /// From now on `from` is found as `into`.
    pub fn merge(&self, from: &ContactId, into: &ContactId) {
        self.lock().contacts.insert(from.clone(), Entry::MergedInto(into.clone()));
    }

    /// The contact is not known any more.
    pub fn delete(&self, id: &ContactId) {
        self.lock().contacts.remove(id);
    }

    /// What admins, teams and tags are called.
    pub fn set_names(&self, names: Names) {
        self.lock().names = names;
    }

    /// Every call fails like this until it is healed with `None`.
    pub fn set_trouble(&self, trouble: Option<CallError>) {
        self.lock().trouble = trouble;
    }

    /// How often a contact was asked for.
    pub fn contact_calls(&self) -> u64 {
        self.lock().contact_calls
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, id: &ContactId) -> Result<ContactLookup, CallError> {
        let mut state = self.lock();
        state.contact_calls += 1;
        if let Some(trouble) = &state.trouble {
            return Err(trouble.clone());
        }
        let mut id = id;
        for _hop in 0..4 {
            match state.contacts.get(id) {
                Some(Entry::Known(contact)) => return Ok(ContactLookup::Found(contact.clone())),
                Some(Entry::MergedInto(survivor)) => id = survivor,
                None => break,
            }
        }
        Ok(ContactLookup::Unknown)
    }
}

impl Intercom for FakeIntercom {
    async fn workspace(&self) -> Result<Workspace, CallError> {
        yield_once().await;
        let state = self.lock();
        state.trouble.clone().map_or_else(|| Ok(state.workspace.clone()), Err)
    }

    async fn contact(&self, id: &ContactId) -> Result<ContactLookup, CallError> {
        yield_once().await;
        let found = self.find(id);
        yield_once().await;
        found
    }

    async fn names(&self) -> Result<Names, CallError> {
        yield_once().await;
        let state = self.lock();
        state.trouble.clone().map_or_else(|| Ok(state.names.clone()), Err)
    }
}
