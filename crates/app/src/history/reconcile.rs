//! The sweep for what the webhook missed: everything changed since the last one, less what the ledger knows.

use std::time::Duration;

use domain::history::{Envelope, RECONCILE_BOOK, Scope, Span, Stream, StreamName, Trouble};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::page::{outcome_of, question, sort_out};
use super::tick::Outcome;
use super::{HistoryStore, Importer, checkpoints};
use crate::ports::{Clock, Documents, FoundItem, Intercom, IntercomSearch, Overview, SearchBy, StoreResult};

/// Name of the document that says how far the sweeps have come.
pub(super) const DOCUMENT: &str = "reconcile";

/// Intercom's search shows a change up to so much later, in seconds.
const LOOK_BACK: i64 = 300;

/// Events older than the sweep's bound by this are history's.
const OLDEST: i64 = 24 * 3600;

/// After a long outage a sweep takes so much at a time, and the next one goes on.
const LONGEST: i64 = 24 * 3600;

/// So often at least it is written down how far a long sweep has come.
const PIECE: Duration = Duration::from_secs(20);

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
    /// A sweep that is not at its end: the next one goes on with it.
    pending: Option<Sweep>,
}

/// A sweep at work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Sweep {
    /// Changes before this second are looked at.
    to: i64,
    /// Older events are history's.
    bound: i64,
    /// Items queued so far.
    queued: u64,
    conversations: Stream,
    tickets: Stream,
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
    /// Sweeps, if it is time to, or goes on with a sweep that was interrupted. Gives how many items were queued. If we die before the
    /// document is written, some pages are read again; two at once queue an event twice, and the ledger lets one of them send it.
    pub async fn reconcile(&self, deadline: Timestamp) -> StoreResult<u64> {
        let mut queued = 0;
        loop {
            let (items, end) = self.sweep_a_piece(self.piece(deadline)).await?;
            queued += items;
            match end {
                SweepEnd::All | SweepEnd::NotAllowed(_) => break,
                SweepEnd::Late if self.clock.now() < deadline => {}
                SweepEnd::Late | SweepEnd::Trouble => return Ok(queued),
            }
        }
        // A piece at a time and last: what was lost a minute ago does not wait for what has been open for a year.
        self.look_for_open(self.piece(deadline)).await?;
        Ok(queued)
    }

    fn piece(&self, deadline: Timestamp) -> Timestamp {
        self.clock.now().checked_add(PIECE).unwrap_or(deadline).min(deadline)
    }

    /// Sweeps until `deadline`. Gives how many items were queued, and how it ended.
    async fn sweep_a_piece(&self, deadline: Timestamp) -> StoreResult<(u64, SweepEnd)> {
        let Some(interval) = self.options.reconcile_interval else { return Ok((0, SweepEnd::All)) };
        let first_start = self.first_start().await?;
        let (mut swept, mut version) = load(&self.store).await?;
        let now = self.now();
        if swept.to.is_some_and(|to| to > now + 1) {
            // A clock that was set back: how far nobody knows, so that the last sweep says nothing about what is before it. Noted before
            // anybody is asked: when the clock has caught up, it would not show any more.
            swept.to = Some(now - LONGEST);
            swept.at = None;
            swept.pending = None;
            if !self.note(&swept, version).await? {
                return Ok((0, SweepEnd::Trouble));
            }
            version = load(&self.store).await?.1;
        }
        let due = swept.at.is_none_or(|at| now - at >= seconds(interval) || at > now);
        if !due && swept.pending.is_none() {
            return Ok((0, SweepEnd::All));
        }
        let Ok(workspace) = self.workspace().await else { return Ok((0, SweepEnd::Trouble)) };
        let mut sweep = match swept.pending.take().filter(|pending| pending.to <= now + 1) {
            Some(pending) => pending,
            None => {
                swept.note = None;
                self.begin(swept.to, first_start, now).await
            }
        };
        let before = sweep.queued;
        let mut end = SweepEnd::All;
        for name in StreamName::ALL {
            end = self.sweep(&mut sweep, name, &workspace.id, deadline).await?;
            match &end {
                SweepEnd::All => {}
                SweepEnd::NotAllowed(what) => swept.note = Some(format!("Intercom does not let us read {what}")),
                SweepEnd::Late | SweepEnd::Trouble => break,
            }
        }
        let queued = sweep.queued - before;
        if matches!(end, SweepEnd::Late | SweepEnd::Trouble) {
            swept.pending = Some(sweep);
            self.note(&swept, version).await?;
            return Ok((queued, end));
        }
        swept.to = Some(sweep.to - 1);
        swept.at = Some(self.now());
        self.notice_silence(&mut swept, sweep.queued, first_start).await?;
        self.note(&swept, version).await?;
        Ok((queued, end))
    }

    /// A new sweep, from where the last one ended.
    async fn begin(&self, swept_to: Option<i64>, first_start: i64, now: i64) -> Sweep {
        let bound = swept_to.unwrap_or(first_start);
        let from = bound - LOOK_BACK;
        let to = (now + 1).min(from + LONGEST + LOOK_BACK);
        let coarse = checkpoints::load(&self.store).await.map(|(checkpoint, _)| checkpoint).unwrap_or_default();
        let stream = |name| Stream::for_sweep(name, Span::new(from, to), coarse.stream(name).is_coarse());
        Sweep {
            to,
            // A look back may reach behind the first start, whose past is history's. A clock that was set back has that start ahead.
            bound: bound.max(first_start.min(now)) - OLDEST,
            queued: 0,
            conversations: stream(StreamName::Conversations),
            tickets: stream(StreamName::Tickets),
        }
    }

    /// Saves how far the sweeps have come; `false` when another process was faster.
    async fn note(&self, swept: &Swept, version: Option<u64>) -> StoreResult<bool> {
        let body = serde_json::to_string(swept).unwrap_or_default();
        self.store.save(DOCUMENT, &body, version).await
    }

    /// Reads what is left of one stream.
    async fn sweep(
        &self,
        sweep: &mut Sweep,
        name: StreamName,
        workspace: &domain::WorkspaceId,
        deadline: Timestamp,
    ) -> StoreResult<SweepEnd> {
        let mut failures = 0;
        let Sweep { bound, queued, conversations, tickets, .. } = sweep;
        let scope = Scope::Reconcile { bound: *bound };
        let stream = match name {
            StreamName::Conversations => conversations,
            StreamName::Tickets => tickets,
        };
        while !stream.is_read() {
            let now = self.clock.now();
            if now >= deadline {
                return Ok(SweepEnd::Late);
            }
            if failures > 5 {
                return Ok(SweepEnd::Trouble);
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
                    Outcome::Forbidden(what) => {
                        stream.skip(what.clone());
                        return Ok(SweepEnd::NotAllowed(what));
                    }
                    _ => return Ok(SweepEnd::Trouble),
                },
            };
            let (seen, inside) = sort_out(&window, page, |item| item.updated_at);
            let judgement = stream.judge(&window, seen);
            if judgement.takes_items() {
                *queued += self.queue_lost(window.stream, scope, workspace, inside).await?;
            }
            stream.apply(&window, judgement);
        }
        Ok(SweepEnd::All)
    }

    async fn queue_lost(
        &self,
        stream: StreamName,
        scope: Scope,
        workspace: &domain::WorkspaceId,
        items: Vec<FoundItem>,
    ) -> StoreResult<u64> {
        let patience = self.options.reconcile_interval.unwrap_or(ON_ITS_WAY).min(ON_ITS_WAY);
        let settled = self.now() - seconds(patience);
        // Its webhook may be on the way; the next sweep looks back far enough to see it again.
        let items: Vec<FoundItem> = items.into_iter().filter(|item| item.updated_at <= settled).collect();
        let lost = self.lost_events(stream, scope, workspace, items.clone()).await?;
        let rest = items.into_iter().filter(|item| lost.iter().all(|(other, _)| other.id != item.id)).collect();
        self.queue_support_news(stream, workspace, rest).await?;
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
    /// All of it is read.
    All,
    /// It is not to be had.
    NotAllowed(String),
    /// Time is over; it goes on from here.
    Late,
    /// Intercom does not answer; it goes on from here later.
    Trouble,
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX / 4)
}
