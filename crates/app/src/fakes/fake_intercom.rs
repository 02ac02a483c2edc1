//! An Intercom that a test changes: contacts appear, get an address, merge, vanish; the service fails.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use domain::contact::Contact;
use domain::history::{Span, StreamName};
use domain::{ContactId, WorkspaceId};
use jiff::Timestamp;

use super::yield_once;
use crate::ports::{
    CallError, ContactLookup, ContactSearch, FoundItem, Intercom, IntercomSearch, Names, SearchBy, SearchPage,
    SearchQuery, Vendor, Workspace,
};

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
    /// Trouble that begins after so many more searches.
    coming: Option<(u64, CallError)>,
    contact_calls: u64,
    threads: Vec<Thread>,
    searches: u64,
    lose_searches: u64,
    compares_days: bool,
}

/// A conversation or ticket that search finds.
#[derive(Debug)]
struct Thread {
    stream: StreamName,
    item: FoundItem,
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
        let state = State {
            workspace,
            contacts: HashMap::new(),
            names: Names::default(),
            trouble: None,
            coming: None,
            contact_calls: 0,
            threads: Vec::new(),
            searches: 0,
            lose_searches: 0,
            compares_days: false,
        };
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

    /// So many more searches are answered; then every call fails like this until it is healed with [`FakeIntercom::set_trouble`].
    pub fn set_trouble_after(&self, searches: u64, trouble: CallError) {
        self.lock().coming = Some((searches, trouble));
    }

    /// How often a contact was asked for.
    pub fn contact_calls(&self) -> u64 {
        self.lock().contact_calls
    }

    /// Search finds this conversation or ticket from now on, in place of an earlier state of it.
    pub fn put_thread(&self, stream: StreamName, item: FoundItem) {
        let mut state = self.lock();
        state.threads.retain(|thread| thread.stream != stream || thread.item.id != item.id);
        state.threads.push(Thread { stream, item });
    }

    /// So many searches fail in a row, as pages that are too much for Intercom do.
    pub fn lose_searches(&self, count: u64) {
        self.lock().lose_searches += count;
    }

    /// Search compares the days of moments from now on, as Intercom did for years.
    pub fn compare_days(&self) {
        self.lock().compares_days = true;
    }

    /// Searches answer again.
    pub fn heal_searches(&self) {
        self.lock().lose_searches = 0;
    }

    /// How often a search was asked.
    pub fn searches(&self) -> u64 {
        self.lock().searches
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

impl State {
    fn search(&mut self, query: &SearchQuery) -> Result<SearchPage, CallError> {
        self.searches += 1;
        match self.coming.take() {
            Some((0, trouble)) => self.trouble = Some(trouble),
            coming => self.coming = coming.map(|(left, trouble)| (left - 1, trouble)),
        }
        if let Some(trouble) = &self.trouble {
            return Err(trouble.clone());
        }
        if self.lose_searches > 0 {
            self.lose_searches -= 1;
            let reason = "504".to_owned();
            let until = Timestamp::MIN;
            return Err(CallError::Unavailable { vendor: Vendor::Intercom, reason, counts: true, until });
        }
        let at = |item: &FoundItem| match query.by {
            SearchBy::CreatedAt | SearchBy::CreatedAtOfOpen => item.created_at,
            SearchBy::UpdatedAt => item.updated_at,
        };
        let day = |second: i64| second.div_euclid(86_400) * 86_400;
        let span = match self.compares_days {
            true => Span::new(day(query.span.from), day(query.span.to - 1) + 86_400),
            false => query.span,
        };
        let mut found: Vec<&FoundItem> = self
            .threads
            .iter()
            .filter(|thread| thread.stream == query.stream && span.contains(at(&thread.item)))
            .filter(|thread| query.by != SearchBy::CreatedAtOfOpen || is_open(&thread.item))
            .map(|thread| &thread.item)
            .collect();
        found.sort_by_key(|item| (at(item), item.id.clone()));
        let start: usize = query.cursor.as_ref().and_then(|cursor| cursor.parse().ok()).unwrap_or(0);
        let items: Vec<FoundItem> =
            found.iter().skip(start).take(query.per_page as usize).map(|item| (*item).clone()).collect();
        let end = start + items.len();
        let next = (end < found.len()).then(|| end.to_string());
        Ok(SearchPage { bytes: 1_000 * items.len() as u64, total: found.len() as u64, items, next })
    }
}

/// As Intercom's filters of the two searches see it.
fn is_open(item: &FoundItem) -> bool {
    let item: serde_json::Value = serde_json::from_slice(&item.json).unwrap_or_default();
    matches!(item["state"].as_str(), Some("open" | "snoozed")) || item["open"] == true
}

impl ContactSearch for FakeIntercom {
    async fn contacts_by_email(&self, email: &str) -> Result<Vec<Contact>, CallError> {
        yield_once().await;
        let state = self.lock();
        if let Some(trouble) = &state.trouble {
            return Err(trouble.clone());
        }
        let has = |contact: &Contact| contact.email.as_deref().is_some_and(|known| known.eq_ignore_ascii_case(email));
        let known = state.contacts.values().filter_map(|entry| match entry {
            Entry::Known(contact) => Some(contact.as_ref().clone()),
            Entry::MergedInto(_) => None,
        });
        Ok(known.filter(has).collect())
    }
}

impl IntercomSearch for FakeIntercom {
    async fn search(&self, query: &SearchQuery) -> Result<SearchPage, CallError> {
        yield_once().await;
        let page = self.lock().search(query);
        yield_once().await;
        page
    }

    async fn conversation(&self, id: &str) -> Result<Option<Bytes>, CallError> {
        yield_once().await;
        let state = self.lock();
        if let Some(trouble) = &state.trouble {
            return Err(trouble.clone());
        }
        let found = state.threads.iter().find(|thread| thread.item.id == id);
        Ok(found.map(|thread| thread.item.json.clone()))
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

    async fn contacts(&self, ids: &[ContactId]) -> Result<Vec<Contact>, CallError> {
        yield_once().await;
        let state = self.lock();
        if let Some(trouble) = &state.trouble {
            return Err(trouble.clone());
        }
        let known = ids.iter().filter_map(|id| match state.contacts.get(id) {
            Some(Entry::Known(contact)) => Some(contact.as_ref().clone()),
            Some(Entry::MergedInto(_)) | None => None,
        });
        Ok(known.collect())
    }

    async fn names(&self) -> Result<Names, CallError> {
        yield_once().await;
        let state = self.lock();
        state.trouble.clone().map_or_else(|| Ok(state.names.clone()), Err)
    }
}
