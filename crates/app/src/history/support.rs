//! What Intercom knows of open conversations and tickets and the records of support state do not.
//!
//! Found items take the way of all others, through the queue to the consumer, which alone changes records. So this reader needs no
//! crash story of its own: what was queued twice changes nothing the second time.

use std::collections::BTreeSet;

use domain::contact::Contact;
use domain::directory::Directory;
use domain::history::{Envelope, Scope, Span, StreamName, Trouble};
use domain::intercom::read_rest;
use domain::mapping::left_out;
use domain::rules::ContactRules;
use domain::support::{Fact, of_item};
use domain::{ContactId, MessageId, WorkspaceId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::page::{KeepError, outcome_of};
use super::tick::Outcome;
use super::{HistoryStore, Importer, checkpoints};
use crate::deliver::people::cache_key;
use crate::ports::{Accepted, Clock, FoundItem, Intercom, IntercomSearch, SearchBy, SearchQuery, StoreResult};
use crate::support::{About, Note, Person, SupportBook};

#[cfg(test)]
mod tests;

/// Name of the document that says how far the search for open items has come.
const DOCUMENT: &str = "support-search";

/// The books that count what was queued for the sake of support state.
const BOOK: &str = "support";

/// None of an item's events is ours: only what it says about support.
const NO_EVENTS: Scope = Scope::Reconcile { bound: i64::MAX };

/// How far the search for open items has come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Search {
    /// Everything that was open at its beginning was queued.
    done: bool,
    /// Support state was switched off since: what happened meanwhile nobody has seen.
    off: bool,
    /// What is left.
    left: Vec<Gap>,
}

/// A span of `created_at` that is still to be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Gap {
    stream: StreamName,
    span: Span,
    per_page: u32,
    /// Where to go on, in a second that holds more than a page.
    cursor: Option<String>,
}

const DAY: i64 = 24 * 3600;

impl Gap {
    /// Two halves, where it is wider than `narrowest` seconds. A page that was too large for Intercom may have been so by chance:
    /// the halves try a larger one again.
    fn split(&self, narrowest: i64) -> Option<[Self; 2]> {
        let Span { from, to } = self.span;
        let middle = from + (to - from) / 2;
        let per_page = (self.per_page * 2).min(self.stream.full_page());
        let half = |span| Self { span, per_page, cursor: None, ..self.clone() };
        (self.span.width() > narrowest).then(|| [half(Span::new(from, middle)), half(Span::new(middle, to))])
    }
}

/// What a page of a gap came to.
enum Progress {
    /// What is left of the gap.
    Left(Vec<Gap>),
    /// Nothing more is to be had now.
    Later,
}

impl<S: HistoryStore, I: Intercom + IntercomSearch, C: Clock> Importer<S, I, C> {
    /// Queues what is open in Intercom, once: when support state is new here, or was switched on again. Goes on where it was
    /// interrupted; a page that was read twice is queued twice, which changes nothing.
    pub(super) async fn look_for_open(&self, deadline: Timestamp) -> StoreResult<()> {
        let stored = self.store.load(DOCUMENT).await?;
        let mut version = stored.as_ref().map(|document| document.version);
        // What cannot be read is begun again.
        let mut search: Option<Search> = stored.and_then(|document| serde_json::from_str(&document.body).ok());
        if self.options.support_state.is_none() {
            if let Some(search) = search.filter(|search| !search.off) {
                self.note_search(&Search { off: true, ..search }, version).await?;
            }
            return Ok(());
        }
        if search.as_ref().is_some_and(|search| search.off) {
            search = None;
        }
        let mut search = search.unwrap_or_else(|| Search { left: self.everything(), ..Search::default() });
        if search.done {
            return Ok(());
        }
        let Ok(workspace) = self.workspace().await else { return Ok(()) };
        while let Some(gap) = search.left.pop() {
            let progress = if self.clock.now() >= deadline {
                Progress::Later
            } else {
                self.read_open(&gap, &workspace.id).await?
            };
            match progress {
                Progress::Left(left) => search.left.extend(left),
                Progress::Later => {
                    search.left.push(gap);
                    self.note_search(&search, version).await?;
                    return Ok(());
                }
            }
            search.done = search.left.is_empty();
            if !self.note_search(&search, version).await? {
                // Another process is at it.
                return Ok(());
            }
            version = self.store.load(DOCUMENT).await?.map(|document| document.version);
        }
        tracing::info!("what is open in Intercom was looked up for the profiles");
        Ok(())
    }

    fn everything(&self) -> Vec<Gap> {
        let span = Span::new(0, self.now() + 1);
        let gap = |stream: StreamName| Gap { stream, span, per_page: stream.full_page(), cursor: None };
        StreamName::ALL.into_iter().map(gap).collect()
    }

    async fn note_search(&self, search: &Search, version: Option<u64>) -> StoreResult<bool> {
        self.store.save(DOCUMENT, &serde_json::to_string(search).unwrap_or_default(), version).await
    }

    /// One page. A gap whose items do not fit on one is read in halves, so that neither order nor cursor can hide one. Only what
    /// cannot be told apart by the filter is read on by cursor: a second, or a day where Intercom's filter compares days. Parting
    /// such a day further would ask for the same days again for every second of it.
    async fn read_open(&self, gap: &Gap, workspace: &WorkspaceId) -> StoreResult<Progress> {
        let Gap { stream, span, per_page, cursor } = gap.clone();
        let asked = self.asked(gap).await;
        let query = SearchQuery { stream, by: SearchBy::CreatedAtOfOpen, span: asked, per_page, cursor };
        let page = match self.intercom.search(&query).await {
            Ok(page) => page,
            Err(error) => {
                return Ok(match outcome_of(&error) {
                    Outcome::Trouble(Trouble::TooHeavy, _) if per_page > 1 => {
                        Progress::Left(vec![Gap { per_page: per_page / 2, cursor: None, ..gap.clone() }])
                    }
                    Outcome::Forbidden(what) => {
                        tracing::warn!(what, "Intercom does not let us look up what is open");
                        Progress::Left(Vec::new())
                    }
                    _ => Progress::Later,
                });
            }
        };
        let knows_seconds = asked == span && page.items.iter().all(|item| span.contains(item.created_at));
        let narrowest = if knows_seconds { 1 } else { DAY };
        let is_whole = page.next.is_none() || page.items.len() as u64 >= page.total;
        if !is_whole
            && gap.cursor.is_none()
            && let Some(halves) = gap.split(narrowest)
        {
            return Ok(Progress::Left(halves.into()));
        }
        let inside = page.items.iter().filter(|item| span.contains(item.created_at));
        let messages = inside.map(|item| self.support_message(stream, workspace, item)).collect();
        self.store.enqueue_reconcile(messages).await?;
        let next = page.next.filter(|next| !is_whole && gap.cursor.as_ref() != Some(next));
        Ok(Progress::Left(next.map(|next| Gap { cursor: Some(next), ..gap.clone() }).into_iter().collect()))
    }

    /// A day more on each side where Intercom's filter is known to know days only.
    async fn asked(&self, gap: &Gap) -> Span {
        let coarse = checkpoints::load(&self.store).await.is_ok_and(|(known, _)| known.stream(gap.stream).is_coarse());
        let margin = if coarse { DAY } else { 0 };
        Span::new((gap.span.from - margin).max(0), gap.span.to + margin)
    }

    /// Queues those of a sweep's items that say something about support which the records do not know: a closing whose webhook was
    /// lost. They are no lost events, and no sign that the subscription is dead.
    pub(super) async fn queue_support_news(
        &self,
        stream: StreamName,
        workspace: &WorkspaceId,
        items: Vec<FoundItem>,
    ) -> StoreResult<()> {
        let Some(step) = self.options.support_state else { return Ok(()) };
        let mut facts: Vec<(usize, Fact)> = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let Ok(read) = read_rest(&item.json) else { continue };
            let said = of_item(&self.rules, stream, &read, self.now());
            facts.extend(said.facts.into_iter().map(|fact| (index, fact)));
        }
        let wanted = facts.iter().map(|(_, fact)| fact.contact.clone()).collect();
        let people = match self.identified(wanted).await {
            Ok(people) => people,
            Err(KeepError::Store(error)) => return Err(error),
            // Later: the next sweep looks back far enough.
            Err(KeepError::Call(_)) => return Ok(()),
        };
        let notes = facts.into_iter().filter_map(|(index, fact)| {
            let contact = people.iter().find(|contact| contact.id == fact.contact)?;
            let person = Person::new(&fact.contact, contact, &self.rules);
            Some(Note { person, message: MessageId::new(index.to_string()), about: About::Fact(fact) })
        });
        let step = i64::try_from(step.as_secs()).unwrap_or(i64::MAX);
        let book = SupportBook::new(&self.store, self.now(), step);
        let news = book.is_news(notes.collect()).await?;
        let found = items.iter().enumerate().filter(|(index, _)| news.contains(&MessageId::new(index.to_string())));
        let messages: Vec<_> = found.map(|(_, item)| self.support_message(stream, workspace, item)).collect();
        if !messages.is_empty() {
            tracing::info!(stream = stream.as_str(), items = messages.len(), "support state is brought up to date");
            self.store.enqueue_reconcile(messages).await?;
        }
        Ok(())
    }

    fn support_message(&self, stream: StreamName, workspace: &WorkspaceId, item: &FoundItem) -> Accepted {
        let entry = format!("{}@{}", item.id, item.updated_at);
        let envelope = Envelope::new(NO_EVENTS, stream, BOOK.to_owned(), entry, workspace.to_string());
        self.message(&envelope, &item.json)
    }

    /// Those of the contacts that can be identified and are not left out, as far as that is known now.
    async fn identified(&self, wanted: BTreeSet<ContactId>) -> Result<Vec<Contact>, KeepError> {
        let wanted: Vec<ContactId> = wanted.into_iter().collect();
        let known = self.people(wanted.clone()).await?;
        let keys: Vec<String> = wanted.iter().filter(|id| known.get(*id) == Some(&true)).map(cache_key).collect();
        let cached = self.store.cached(&keys, self.clock.now()).await?;
        let contacts = cached.into_iter().flatten().filter_map(|json| serde_json::from_str::<Contact>(&json).ok());
        // Tags have names that nobody asks for here: the consumer decides about them.
        let rules =
            ContactRules { only_tags: BTreeSet::new(), except_tags: BTreeSet::new(), ..self.rules.contacts.clone() };
        Ok(contacts.filter(|contact| left_out(contact, &rules, &Directory::default()).is_none()).collect())
    }
}
