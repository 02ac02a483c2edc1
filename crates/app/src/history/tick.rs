//! One bounded piece of the import.

use std::time::Duration;

use domain::history::{Checkpoint, Judgement, State, Step, StreamName, Trouble, Window, history_book};
use futures_util::future::{Either, select};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use jiff::Timestamp;

use super::page::Reading;
use super::{HistoryStore, Importer, checkpoints};
use crate::ports::{CallError, Clock, Intercom, IntercomSearch, StoreError, StoreResult};

/// What a tick came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TickReport {
    /// Whether the import runs and there is more to do.
    pub running: bool,
    /// Pages that came.
    pub pages: u64,
}

/// No new page is asked for so shortly before the deadline: it would be cut off.
const LAST_PAGE: Duration = Duration::from_secs(5);

/// How soon a queue is looked at again that was deep.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// How soon it is asked again whether the queue has given everything its fate: each time is a write.
const SETTLE_AGAIN: Duration = Duration::from_secs(1);

/// What became of a page that was asked for.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It came, and where its items are taken, they are on the queue or counted.
    Came(Judgement),
    /// It did not come.
    Trouble(Trouble, Timestamp),
    /// This stream is not to be had.
    Forbidden(String),
    /// Nothing is to be had before a human did something; it may be asked again then.
    Stopped(String, Timestamp),
    /// The question itself is refused, which a repetition does not change.
    Refused(String),
    /// The store did not take its items: it is read again.
    NotKept(StoreError),
}

impl<S: HistoryStore, I: Intercom + IntercomSearch, C: Clock> Importer<S, I, C> {
    /// Works on the import until the deadline, or until there is nothing to do. It may be dropped at any await, as a crash would
    /// do: what is not committed is done again. `owner` names this process; no two processes share a name.
    pub async fn tick(&self, owner: &str, deadline: Timestamp) -> StoreResult<TickReport> {
        let mut report = TickReport { running: false, pages: 0 };
        let Some(mut checkpoint) = self.take_lease(owner).await? else { return Ok(report) };
        let workspace = match self.workspace().await {
            Ok(workspace) => workspace,
            Err(error) => {
                self.no_workspace(owner, &error).await?;
                return Ok(report);
            }
        };
        let mut busy: Vec<Window> = Vec::new();
        let mut flight = FuturesUnordered::new();
        let start = self.clock.now();
        let long = Duration::try_from(deadline.duration_since(start)).unwrap_or_default() > LAST_PAGE * 2;
        while self.clock.now() < deadline && checkpoint.is_owned_by(owner) {
            let now = self.clock.now();
            let last_call = long && now.checked_add(LAST_PAGE).is_ok_and(|then| then > deadline);
            let mut wait = LOOK_AGAIN;
            if !last_call && !self.is_deep().await? {
                while let Step::Read(window) = checkpoint.next(&busy, now.as_second()) {
                    busy.push(window.clone());
                    let stream = checkpoint.stream(window.stream).clone();
                    let (run, bound) = (checkpoint.run, checkpoint.bound);
                    flight.push(self.read(Reading { stream, window, run, bound, workspace: workspace.id.clone() }));
                }
                match checkpoint.next(&busy, now.as_second()) {
                    Step::Settle => {
                        checkpoint = self.settle(owner).await?;
                        wait = SETTLE_AGAIN;
                    }
                    Step::Wait(until) => {
                        let until = Timestamp::from_second(until).unwrap_or(now);
                        wait = Duration::try_from(until.duration_since(now)).unwrap_or_default().min(LOOK_AGAIN);
                    }
                    Step::Read(_) | Step::Rest => {}
                }
            }
            if flight.is_empty() {
                if last_call || !checkpoint.is_owned_by(owner) {
                    break;
                }
                self.clock.sleep(wait.max(Duration::from_millis(1))).await;
                continue;
            }
            let slept = self.clock.sleep(wait.max(Duration::from_millis(20)));
            let Either::Left((Some(first), _)) = select(flight.next(), std::pin::pin!(slept)).await else { continue };
            let mut came = vec![first];
            while let Some(Some(more)) = flight.next().now_or_never() {
                came.push(more);
            }
            busy.retain(|window| came.iter().all(|(other, _)| other != window));
            report.pages += came.len() as u64;
            checkpoint = self.commit(owner, &checkpoint, came).await?;
        }
        report.running = checkpoint.state == State::Running;
        // Lost with a crash, it runs out by itself.
        checkpoints::change(&self.store, |checkpoint| {
            let owned = checkpoint.is_owned_by(owner);
            checkpoint.release(owner);
            (owned, ())
        })
        .await?;
        Ok(report)
    }

    /// The checkpoint, if it is ours to work on now.
    async fn take_lease(&self, owner: &str) -> StoreResult<Option<Checkpoint>> {
        let (now, length) = (self.now(), self.lease());
        let taken = checkpoints::change(&self.store, |checkpoint| {
            let taken = checkpoint.lease(owner, now, length);
            (taken, taken)
        });
        let (checkpoint, taken) = taken.await?;
        if taken && checkpoint.run > 1 && checkpoint.stream(StreamName::Conversations).read() == 0 {
            self.forget_books(checkpoint.run - 1).await?;
        }
        Ok(taken.then_some(checkpoint))
    }

    fn lease(&self) -> i64 {
        i64::try_from(self.options.lease.as_secs()).unwrap_or(i64::MAX / 4)
    }

    /// Books of the run before, a piece at a time; what is left is forgotten at the next start.
    async fn forget_books(&self, run: u64) -> StoreResult<()> {
        for stream in StreamName::ALL {
            for _ in 0..1_000 {
                if self.store.forget_book(&history_book(run, stream)).await? == 0 {
                    break;
                }
            }
        }
        Ok(())
    }

    async fn is_deep(&self) -> StoreResult<bool> {
        Ok(self.store.history_depth().await? >= self.options.most_queued)
    }

    /// The workspace of our token; asked once a process.
    pub(super) async fn workspace(&self) -> Result<crate::ports::Workspace, CallError> {
        if let Some(known) = self.workspace.lock().ok().and_then(|known| known.clone()) {
            return Ok(known);
        }
        let workspace = self.intercom.workspace().await?;
        if let Ok(mut slot) = self.workspace.lock() {
            *slot = Some(workspace.clone());
        }
        Ok(workspace)
    }

    /// Without a workspace there are no keys. A refused token stops the import in words; anything else passes by itself.
    async fn no_workspace(&self, owner: &str, error: &CallError) -> StoreResult<()> {
        const NO_ID: &str = "Intercom does not let us read /me, and without the workspace's id no event has a key";
        let now = self.now();
        checkpoints::change(&self.store, |checkpoint| {
            let owned = checkpoint.is_owned_by(owner);
            match error {
                _ if !owned => {}
                CallError::Stopped { reason, until, .. } => checkpoint.refused(reason, until.as_second(), now),
                CallError::Forbidden { .. } | CallError::Refused { .. } => checkpoint.fail(NO_ID.to_owned(), now),
                CallError::Wait { .. } | CallError::Unavailable { .. } => {}
            }
            checkpoint.release(owner);
            (owned, ())
        })
        .await?;
        Ok(())
    }

    /// Everything is read: whether it has a fate as well.
    async fn settle(&self, owner: &str) -> StoreResult<Checkpoint> {
        let (checkpoint, _) = checkpoints::load(&self.store).await?;
        // The queue first: what is on it now may be in the books a moment later, never the other way round.
        let queue_empty = self.store.history_depth().await? == 0;
        let mut with_fate = [0; 2];
        for (place, stream) in with_fate.iter_mut().zip(StreamName::ALL) {
            *place = self.store.item_book(&history_book(checkpoint.run, stream)).await?.items;
        }
        let (run, now, length) = (checkpoint.run, self.now(), self.lease());
        let (checkpoint, ()) = checkpoints::change(&self.store, |checkpoint| {
            if !checkpoint.is_owned_by(owner) || checkpoint.run != run {
                return (false, ());
            }
            let changed = checkpoint.settle(with_fate, queue_empty, now);
            (checkpoint.lease(owner, now, length) || changed, ())
        })
        .await?;
        match checkpoint.state {
            State::Done => tracing::info!(run, "the history import is done: every item has a fate"),
            State::Failed => tracing::error!(run, error = checkpoint.error, "the history import failed"),
            State::Idle | State::Running | State::Paused => {}
        }
        Ok(checkpoint)
    }

    /// Writes down what pages meant, after their items are on the queue, and prolongs the lease.
    async fn commit(&self, owner: &str, known: &Checkpoint, came: Vec<(Window, Outcome)>) -> StoreResult<Checkpoint> {
        for (window, outcome) in &came {
            match outcome {
                Outcome::Stopped(reason, _) => tracing::error!(reason, "the history import is refused"),
                Outcome::Refused(reason) => tracing::error!(reason, "the history import stops"),
                Outcome::Forbidden(what) => tracing::warn!(what, "Intercom does not allow it; its history is left out"),
                Outcome::NotKept(error) => tracing::error!(%error, "a page could not be kept and is read again"),
                Outcome::Trouble(Trouble::TooHeavy, _) => {
                    tracing::info!(stream = window.stream.as_str(), per_page = window.per_page, "a page did not come");
                }
                Outcome::Came(_) | Outcome::Trouble(Trouble::Later, _) => {}
            }
        }
        let (run, now, length) = (known.run, self.now(), self.lease());
        let (checkpoint, ()) = checkpoints::change(&self.store, |checkpoint| {
            if !checkpoint.is_owned_by(owner) || checkpoint.run != run {
                return (false, ());
            }
            checkpoint.lease(owner, now, length);
            for (window, outcome) in &came {
                apply(checkpoint, window, outcome, now);
            }
            (true, ())
        })
        .await?;
        Ok(checkpoint)
    }
}

fn apply(checkpoint: &mut Checkpoint, window: &Window, outcome: &Outcome, now: i64) {
    if matches!(outcome, Outcome::Came(_)) {
        checkpoint.came();
    }
    let stream = checkpoint.stream_mut(window.stream);
    match outcome {
        Outcome::Came(judgement) => stream.apply(window, judgement.clone()),
        // What was told may be over while the trouble is not: nothing is asked twice in a second.
        Outcome::Trouble(trouble, until) => stream.failed(window, trouble.clone(), until.as_second().max(now) + 1),
        Outcome::NotKept(_) => stream.failed(window, Trouble::Later, now + 1),
        Outcome::Forbidden(_) if window.stream == StreamName::Tickets => {
            stream.skip("tickets are not in the plan, or the access token may not read them".to_owned());
        }
        Outcome::Forbidden(what) => checkpoint.fail(format!("Intercom does not let us read {what}"), now),
        Outcome::Refused(reason) => checkpoint.fail(reason.clone(), now),
        Outcome::Stopped(reason, until) => checkpoint.refused(reason, until.as_second(), now),
    }
}
