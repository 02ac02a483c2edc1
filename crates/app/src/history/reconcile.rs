//! The sweep for what the webhook missed: everything changed since the last one, less what the ledger knows.

use std::time::Duration;

use domain::history::{Envelope, RECONCILE_BOOK, Scope, Span, Stream, StreamName, Trouble};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::page::{outcome_of, question, sort_out};
use super::tick::Outcome;
use super::{HistoryStore, Importer, checkpoints};
use crate::ports::{Clock, Documents, Intercom, IntercomSearch, Overview, SearchBy, StoreResult};

/// Name of the document that says how far the sweeps have come.
pub(super) const DOCUMENT: &str = "reconcile";

/// Intercom's search shows a change up to so much later, in seconds.
const LOOK_BACK: i64 = 300;

/// Events older than the sweep's bound by this are history's.
const OLDEST: i64 = 24 * 3600;

/// After a long outage a sweep takes so much at a time, and the next one goes on.
const LONGEST: i64 = 24 * 3600;

/// An event that is younger is on its way by itself.
const ON_ITS_WAY: Duration = Duration::from_secs(60);

/// How far the sweeps have come. Moments are Unix seconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Swept {
    /// Every change before it was looked at.
    pub(super) to: Option<i64>,
    /// When the last sweep ended.
    pub(super) at: Option<i64>,
    /// Since when events are found and no webhook comes.
    pub(super) silent_since: Option<i64>,
    /// What could not be read.
    pub(super) note: Option<String>,
}

/// How far the sweeps have come, and the version that it is stored under.
pub(super) async fn load(store: &impl Documents) -> StoreResult<(Swept, Option<u64>)> {
    let document = store.load(DOCUMENT).await?;
    let version = document.as_ref().map(|document| document.version);
    // What cannot be read is begun again: the ledger spares the repetition.
    let swept = document.and_then(|document| serde_json::from_str(&document.body).ok()).unwrap_or_default();
    Ok((swept, version))
}

impl<S: HistoryStore + Overview, I: Intercom + IntercomSearch, C: Clock> Importer<S, I, C> {
    /// Sweeps, if it is time to. Gives how many items were queued. If we die before the document is written, the same sweep is done
    /// again; two at once queue an event twice, and the ledger lets one of them send it.
    pub async fn reconcile(&self, deadline: Timestamp) -> StoreResult<u64> {
        let Some(interval) = self.options.reconcile_interval else { return Ok(0) };
        let first_start = self.first_start().await?;
        let (mut swept, mut version) = load(&self.store).await?;
        let now = self.now();
        let due = swept.at.is_none_or(|at| now - at >= seconds(interval) || at > now);
        if !due {
            return Ok(0);
        }
        if swept.to.is_some_and(|to| to > now + 1) {
            // A clock that was set back: how far nobody knows, so that the last sweep says nothing about what is before it. Noted before
            // anybody is asked: when the clock has caught up, it would not show any more.
            swept.to = Some(now - LONGEST);
            if !self.note(&swept, version).await? {
                return Ok(0);
            }
            version = load(&self.store).await?.1;
        }
        let Ok(workspace) = self.workspace().await else { return Ok(0) };
        let bound = swept.to.unwrap_or(first_start);
        let from = bound - LOOK_BACK;
        let to = (now + 1).min(from + LONGEST + LOOK_BACK);
        let coarse = checkpoints::load(&self.store).await.map(|(checkpoint, _)| checkpoint).unwrap_or_default();
        swept.note = None;
        let mut queued = 0;
        for name in StreamName::ALL {
            let stream = Stream::for_sweep(name, Span::new(from, to), coarse.stream(name).is_coarse());
            // A look back may reach behind the first start, whose past is history's. A clock that was set back has that start ahead.
            let scope = Scope::Reconcile { bound: bound.max(first_start.min(now)) - OLDEST };
            match self.sweep(stream, scope, &workspace.id, deadline).await? {
                SweepEnd::All(items) => queued += items,
                SweepEnd::NotAllowed(what) => swept.note = Some(format!("Intercom does not let us read {what}")),
                // Later, from where this one began.
                SweepEnd::Interrupted => return Ok(queued),
            }
        }
        swept.to = Some(to - 1);
        swept.at = Some(self.now());
        self.notice_silence(&mut swept, queued, first_start).await?;
        self.note(&swept, version).await?;
        Ok(queued)
    }

    /// Saves how far the sweeps have come; `false` when another process was faster.
    async fn note(&self, swept: &Swept, version: Option<u64>) -> StoreResult<bool> {
        let body = serde_json::to_string(swept).unwrap_or_default();
        self.store.save(DOCUMENT, &body, version).await
    }

    async fn sweep(
        &self,
        mut stream: Stream,
        scope: Scope,
        workspace: &domain::WorkspaceId,
        deadline: Timestamp,
    ) -> StoreResult<SweepEnd> {
        let mut queued = 0;
        let mut failures = 0;
        while !stream.is_read() {
            let now = self.clock.now();
            if now >= deadline || failures > 5 {
                return Ok(SweepEnd::Interrupted);
            }
            let Some(window) = stream.window(&[], now.as_second()) else {
                self.clock.sleep(Duration::from_millis(200)).await;
                continue;
            };
            let page = match self.intercom.search(&question(&window, SearchBy::UpdatedAt)).await {
                Ok(page) => page,
                Err(error) => match outcome_of(&error) {
                    Outcome::Trouble(trouble, until) => {
                        failures += u32::from(trouble == Trouble::Later);
                        // As the import does: nothing is asked twice in a second, whatever moment was told.
                        stream.failed(&window, trouble, until.as_second().max(self.now()) + 1);
                        continue;
                    }
                    Outcome::Forbidden(what) => return Ok(SweepEnd::NotAllowed(what)),
                    _ => return Ok(SweepEnd::Interrupted),
                },
            };
            let (seen, inside) = sort_out(&window, page, |item| item.updated_at);
            let judgement = stream.judge(&window, seen);
            if judgement.takes_items() {
                queued += self.queue_lost(window.stream, scope, workspace, inside).await?;
            }
            stream.apply(&window, judgement);
        }
        Ok(SweepEnd::All(queued))
    }

    async fn queue_lost(
        &self,
        stream: StreamName,
        scope: Scope,
        workspace: &domain::WorkspaceId,
        items: Vec<crate::ports::FoundItem>,
    ) -> StoreResult<u64> {
        let patience = self.options.reconcile_interval.unwrap_or(ON_ITS_WAY).min(ON_ITS_WAY);
        let settled = self.now() - seconds(patience);
        // Its webhook may be on the way; the next sweep looks back far enough to see it again.
        let items = items.into_iter().filter(|item| item.updated_at <= settled).collect();
        let lost = self.lost_events(stream, scope, workspace, items).await?;
        if lost.is_empty() {
            return Ok(0);
        }
        let messages: Vec<_> = lost
            .iter()
            .map(|(item, _)| {
                // Of one state of the item: what changes later is another entry.
                let entry = format!("{}@{}", item.id, item.updated_at);
                let (book, workspace) = (RECONCILE_BOOK.to_owned(), workspace.to_string());
                self.message(&Envelope::new(scope, stream, book, entry, workspace), &item.json)
            })
            .collect();
        let events: usize = lost.iter().map(|(_, events)| events).sum();
        tracing::warn!(
            stream = stream.as_str(),
            items = messages.len(),
            events,
            "the webhook missed events; they are sent now"
        );
        let count = messages.len() as u64;
        self.store.enqueue_reconcile(messages).await?;
        Ok(count)
    }

    /// Intercom suspends a subscription without telling anybody.
    async fn notice_silence(&self, swept: &mut Swept, queued: u64, first_start: i64) -> StoreResult<()> {
        let last = self.store.books().await?.last_webhook_at.map_or(first_start, |at| at.as_second());
        let silent = self.now() - last >= seconds(self.options.silence);
        if !silent {
            swept.silent_since = None;
        } else if queued > 0 {
            swept.silent_since.get_or_insert(last);
        }
        if let Some(since) = swept.silent_since {
            let hours = (self.now() - since) / 3600;
            tracing::error!(hours, "ALARM: things happen in Intercom and no webhook comes: look at the subscription");
        }
        Ok(())
    }
}

/// How a sweep of one stream ended.
enum SweepEnd {
    All(u64),
    NotAllowed(String),
    Interrupted,
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX / 4)
}
