//! One page: from Intercom's answer to items on the queue, and to entries in the books for those that need no queue.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use domain::activity::{Context, Finding};
use domain::contact::Contact;
use domain::history::{
    Envelope, PageSeen, Purpose, Scope, Stream, StreamName, Trouble, Window, entry_hash, findings, history_book,
};
use domain::intercom::read_rest;
use domain::mapping::identity_of;
use domain::{ContactId, KeyHash, Metric, SignatureScheme, Skip, WorkspaceId};
use futures_util::StreamExt;
use futures_util::stream;

use super::tick::Outcome;
use super::{HistoryStore, Importer};
use crate::deliver::people::cache_key;
use crate::ports::{
    Accepted, CallError, Clock, EventCounts, FoundItem, Intercom, IntercomSearch, ItemCount, SearchBy, SearchPage,
    SearchQuery, StoreResult,
};

/// What is needed to read a page.
pub(super) struct Reading {
    pub(super) stream: Stream,
    pub(super) window: Window,
    pub(super) run: u64,
    pub(super) bound: i64,
    pub(super) workspace: WorkspaceId,
}

/// What an item came to before anybody was asked about its contacts.
struct Drafted {
    item: FoundItem,
    /// Keys and contacts of the events that it holds.
    events: Vec<(KeyHash, ContactId)>,
    skipped: Vec<Skip>,
    /// Something in it has to be seen by a human: the consumer makes it a dead letter.
    odd: bool,
}

impl<S: HistoryStore, I: Intercom + IntercomSearch, C: Clock> Importer<S, I, C> {
    /// Reads a page and keeps its items. If we die anywhere in here, the page is read again.
    pub(super) async fn read(&self, reading: Reading) -> (Window, Outcome) {
        let outcome = self.read_page(&reading).await;
        (reading.window, outcome)
    }

    async fn read_page(&self, reading: &Reading) -> Outcome {
        let window = &reading.window;
        let query = question(window, SearchBy::CreatedAt);
        let page = match self.intercom.search(&query).await {
            Ok(page) => page,
            Err(error) => return outcome_of(&error),
        };
        let (seen, mut inside) = sort_out(window, page, |item| item.created_at);
        let judgement = reading.stream.judge(window, seen);
        if !judgement.takes_items() {
            return Outcome::Came(judgement);
        }
        if window.stream == StreamName::Conversations
            && self.rules.history_metrics.contains(&Metric::RepliedToConversation)
            && let Err(error) = self.complete(&mut inside).await
        {
            return outcome_of(&error);
        }
        match self.keep(reading, inside).await {
            Ok(()) => Outcome::Came(judgement),
            Err(KeepError::Store(error)) => Outcome::NotKept(error),
            Err(KeepError::Call(error)) => outcome_of(&error),
        }
    }

    /// Replaces conversations by themselves with their parts, which search does not give.
    async fn complete(&self, items: &mut Vec<FoundItem>) -> Result<(), CallError> {
        let whole: Vec<Result<FoundItem, CallError>> = stream::iter(std::mem::take(items))
            .map(|item| async move {
                let parts = self.intercom.conversation(&item.id).await?;
                // Deleted since: what search gave is what there was.
                Ok(match parts {
                    Some(json) => FoundItem { json, ..item },
                    None => item,
                })
            })
            .buffer_unordered(self.options.concurrency)
            .collect()
            .await;
        *items = whole.into_iter().collect::<Result<_, _>>()?;
        Ok(())
    }

    /// Puts on the queue what has events to send, and counts the rest.
    async fn keep(&self, reading: &Reading, items: Vec<FoundItem>) -> Result<(), KeepError> {
        let stream = reading.window.stream;
        let scope = Scope::History { bound: reading.bound };
        let drafted = self.draft(stream, scope, &reading.workspace, items);
        let keys: Vec<KeyHash> = drafted.iter().flat_map(|draft| draft.events.iter().map(|(key, _)| *key)).collect();
        let mut known = self.store.known_events(&keys).await?.into_iter();
        let mut open: Vec<(Drafted, Vec<ContactId>)> = Vec::with_capacity(drafted.len());
        for mut draft in drafted {
            let mut contacts = Vec::new();
            for (_, contact) in &draft.events {
                match known.next() {
                    Some(true) => draft.skipped.push(Skip::Duplicate),
                    Some(false) | None => contacts.push(contact.clone()),
                }
            }
            open.push((draft, contacts));
        }
        let wanted = open.iter().flat_map(|(_, contacts)| contacts.iter().cloned()).collect();
        let people = self.people(wanted).await?;
        let book = history_book(reading.run, stream);
        let (mut queued, mut counted) = (Vec::new(), Vec::new());
        for (mut draft, contacts) in open {
            let anonymous = |id: &&ContactId| people.get(*id).is_some_and(|identified| !identified);
            let nobody = contacts.iter().filter(anonymous).count();
            if draft.odd || nobody < contacts.len() {
                let id = draft.item.id.clone();
                let envelope = Envelope::new(scope, stream, book.clone(), id, reading.workspace.to_string());
                queued.push(self.message(&envelope, &draft.item.json));
                continue;
            }
            draft.skipped.extend(std::iter::repeat_n(Skip::NotIdentifiable, nobody));
            let entry = entry_hash(&book, stream, &draft.item.id);
            counted.push(ItemCount { book: book.clone(), entry, events: skipped(&draft.skipped) });
        }
        if !queued.is_empty() {
            self.store.enqueue_history(queued).await?;
        }
        if !counted.is_empty() {
            self.store.count_items(counted).await?;
        }
        Ok(())
    }

    fn draft(&self, stream: StreamName, scope: Scope, workspace: &WorkspaceId, items: Vec<FoundItem>) -> Vec<Drafted> {
        items.into_iter().map(|item| self.draft_one(stream, scope, workspace, item)).collect()
    }

    fn draft_one(&self, stream: StreamName, scope: Scope, workspace: &WorkspaceId, item: FoundItem) -> Drafted {
        let context = Context { workspace: workspace.as_str(), rules: &self.rules, now: self.clock.now() };
        let (mut events, mut skipped, mut odd) = (Vec::new(), Vec::new(), false);
        match read_rest(&item.json) {
            Err(_) => odd = true,
            Ok(read) => {
                for finding in findings(&context, stream, scope, &read) {
                    match finding {
                        Finding::Event(event) => events.push((event.key.hash(), event.contact)),
                        Finding::Skip(reason) => skipped.push(reason),
                        Finding::Odd(_) => odd = true,
                    }
                }
            }
        }
        Drafted { item, events, skipped, odd }
    }

    pub(super) fn message(&self, envelope: &Envelope, item: &Bytes) -> Accepted {
        let trimmed = domain::trim::trim_item(item);
        let body = envelope.around(trimmed.as_deref().unwrap_or(item));
        Accepted { scheme: SignatureScheme::Rest, received_at: self.clock.now(), body: Bytes::from(body) }
    }

    /// Whether each contact can be identified, where that is known now. Puts those that can into the cache, so that the consumer
    /// need not ask for them one by one; the others it asks for itself.
    pub(super) async fn people(&self, mut wanted: Vec<ContactId>) -> Result<HashMap<ContactId, bool>, KeepError> {
        wanted.sort_unstable();
        wanted.dedup();
        let keys: Vec<String> = wanted.iter().map(cache_key).collect();
        let cached = self.store.cached(&keys, self.clock.now()).await?;
        let mut people = HashMap::with_capacity(wanted.len());
        let mut missing = Vec::new();
        for (id, cached) in wanted.into_iter().zip(cached.into_iter().map(Some).chain(std::iter::repeat(None))) {
            match cached.flatten() {
                Some(_) => drop(people.insert(id, true)),
                None => missing.push(id),
            }
        }
        if missing.is_empty() {
            return Ok(people);
        }
        let mut entries = Vec::new();
        for contact in self.intercom.contacts(&missing).await? {
            let identified = self.is_identified(&contact);
            if identified && let Ok(json) = serde_json::to_string(&contact) {
                entries.push((cache_key(&contact.id), json));
            }
            people.insert(contact.id, identified);
        }
        let expires = self.clock.now().checked_add(self.options.contact_ttl).unwrap_or(jiff::Timestamp::MAX);
        self.store.remember(entries, expires).await?;
        Ok(people)
    }

    fn is_identified(&self, contact: &Contact) -> bool {
        identity_of(contact, &self.rules).is_known()
    }

    /// Of a page that reconcile read: messages for the items that hold an event which nobody has.
    pub(super) async fn lost_events(
        &self,
        stream: StreamName,
        scope: Scope,
        workspace: &WorkspaceId,
        items: Vec<FoundItem>,
    ) -> StoreResult<Vec<(FoundItem, usize)>> {
        let drafted = self.draft(stream, scope, workspace, items);
        let keys: Vec<KeyHash> = drafted.iter().flat_map(|draft| draft.events.iter().map(|(key, _)| *key)).collect();
        let mut known = self.store.known_events(&keys).await?.into_iter();
        let mut lost = Vec::new();
        for draft in drafted {
            let unknown = draft.events.iter().filter(|_| known.next() == Some(false)).count();
            if unknown > 0 {
                lost.push((draft.item, unknown));
            }
        }
        Ok(lost)
    }
}

/// Why a page's items were not kept.
pub(super) enum KeepError {
    Store(crate::ports::StoreError),
    Call(CallError),
}

impl From<crate::ports::StoreError> for KeepError {
    fn from(error: crate::ports::StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<CallError> for KeepError {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

/// The question behind a window.
pub(super) fn question(window: &Window, by: SearchBy) -> SearchQuery {
    let Window { stream, asked, per_page, cursor, .. } = window.clone();
    SearchQuery { stream, by, span: asked, per_page, cursor }
}

/// What a page says, and its different items inside the window.
pub(super) fn sort_out(
    window: &Window,
    page: SearchPage,
    at: impl Fn(&FoundItem) -> i64,
) -> (PageSeen, Vec<FoundItem>) {
    let mut ids = HashSet::with_capacity(page.items.len());
    let different: Vec<FoundItem> = page.items.into_iter().filter(|item| ids.insert(item.id.clone())).collect();
    let margin = domain::history::Span::new(window.asked.from - 1, window.asked.to.saturating_add(1));
    let seen = PageSeen {
        total: page.total,
        raw: different.len() as u64,
        inside: different.iter().filter(|item| window.span.contains(at(item))).count() as u64,
        far: different.iter().filter(|item| !margin.contains(at(item))).count() as u64,
        example: different.first().map(&at),
        bytes: page.bytes,
        next: page.next,
    };
    let inside = match window.purpose {
        Purpose::Read => different.into_iter().filter(|item| window.span.contains(at(item))).collect(),
        Purpose::Count | Purpose::Calibrate | Purpose::Ping => Vec::new(),
    };
    (seen, inside)
}

/// What a failed call means for the page.
pub(super) fn outcome_of(error: &CallError) -> Outcome {
    match error {
        CallError::Unavailable { counts: true, until, .. } => Outcome::Trouble(Trouble::TooHeavy, *until),
        CallError::Unavailable { until, .. } | CallError::Wait { until, .. } => {
            Outcome::Trouble(Trouble::Later, *until)
        }
        CallError::Stopped { reason, until, .. } => Outcome::Stopped(reason.clone(), *until),
        CallError::Forbidden { what, .. } => Outcome::Forbidden(what.clone()),
        CallError::Refused { status, .. } => {
            Outcome::Refused(format!("Intercom refused a search with {status}; please report this"))
        }
    }
}

fn skipped(reasons: &[Skip]) -> EventCounts {
    let mut counts = EventCounts::default();
    for reason in reasons {
        *counts.skipped.entry(reason.to_string()).or_default() += 1;
    }
    counts
}
