//! The consumer: from claimed messages to events in Klaviyo, one batch a step.
//!
//! A step claims messages, reads them, finds their contacts, claims the events in the ledger, sends them, and settles every
//! message in one write. Crash story: until the settlement is written the queue still has the messages, so a crash anywhere
//! repeats the step. What was sent before the crash is sent again with the identifiers that the ledger kept, and Klaviyo folds
//! the two by profile, metric and `unique_id`.

mod batch;
mod names;
pub(crate) mod people;
mod profiles;
mod reading;
mod sending;
mod settling;
mod support;
mod turn;
mod workspace;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::{MessageId, Rules, Skip};
use jiff::Timestamp;

use crate::ports::{Claimed, Clock, ConsumerStore, End, Intercom, Jitter, Klaviyo, Lane, Settlement, StoreError};
use crate::topics::TopicNotes;

use names::NameBook;
use workspace::WorkspaceBook;

/// Most messages in a small batch: few enough to go singly.
const SMALL_BATCH: usize = domain::delivery::FEW;

/// How soon a worker looks again that may not take a large batch and has no room for single events.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// How long items of a paused import stay away that a queue hands over by itself.
const PAUSED: Duration = Duration::from_secs(60);

/// How a consumer works.
#[derive(Clone, Debug)]
pub struct ConsumerOptions {
    /// Most messages in a large batch.
    pub max_messages: usize,
    /// How many batches may be large at the same time; the others are small and go singly. Bounds memory: two are enough to keep
    /// Klaviyo's bulk endpoint at its limit, and the rest keeps events moving when a large batch meets a slow contact.
    pub large_batches: usize,
    /// Most bytes of messages in a step: bounds memory.
    pub max_bytes: usize,
    /// How long claimed messages stay hidden from others: longer than any step takes.
    pub hide: Duration,
    /// Most rows that one write to the store concerns, where webhooks wait for the same store: they must not wait for a whole
    /// batch.
    pub piece: usize,
    /// Contacts asked for, and single events sent, at the same time.
    pub concurrency: usize,
    /// Whether events are claimed in the ledger before they are sent. Without it Klaviyo alone tells doubles apart, within one
    /// profile only.
    pub ledger: bool,
    /// How long an event waits for its contact, counted from the webhook.
    pub park_for: Duration,
    /// How long a contact is remembered.
    pub contact_ttl: Duration,
    /// Support state on profiles: how far a customer's last message has to advance to be written again, zero for every one. `None`:
    /// there is no support state.
    pub support_state: Option<Duration>,
}

impl Default for ConsumerOptions {
    fn default() -> Self {
        Self {
            max_messages: 1_000,
            large_batches: 2,
            max_bytes: 3 * 1024 * 1024,
            hide: Duration::from_secs(300),
            piece: 200,
            concurrency: 16,
            ledger: true,
            park_for: Duration::from_secs(30 * 24 * 3600),
            contact_ttl: Duration::from_secs(15 * 60),
            support_state: Some(Duration::ZERO),
        }
    }
}

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepReport {
    /// Messages taken from the queue.
    pub claimed: usize,
    /// Messages that reached their end.
    pub finished: usize,
    /// When the next step can do something; `None`: at once where something was claimed, else when a message arrives.
    pub next_wake: Option<Timestamp>,
}

/// What became of messages that somebody else claimed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Processed {
    /// The messages that stay on the queue: they wait, or what became of them could not be written.
    pub unfinished: Vec<MessageId>,
    /// How many were dead-lettered.
    pub dead: usize,
    /// How many were calls that said that the Intercom app was uninstalled.
    pub uninstalls: usize,
}

impl Processed {
    fn of(settlements: &[Settlement]) -> Self {
        let mut processed = Self::default();
        for settlement in settlements {
            match &settlement.end {
                End::Deferred { .. } => processed.unfinished.push(settlement.id.clone()),
                End::Dead { .. } => processed.dead += 1,
                End::Skipped(reason) if *reason == Skip::Uninstall.to_string() => processed.uninstalls += 1,
                End::Delivered | End::Skipped(_) | End::Parked(_) => {}
            }
        }
        processed
    }
}

/// The ports that a consumer works with.
#[derive(Clone, Debug)]
pub struct Deps<S, I, K, C, J> {
    /// Queue and state.
    pub store: S,
    /// Where contacts and names come from.
    pub intercom: I,
    /// Where events go.
    pub klaviyo: K,
    /// Time.
    pub clock: C,
    /// Randomness, to spread retries.
    pub jitter: J,
}

/// Delivers messages. Several workers may run steps of one consumer at the same time.
#[derive(Debug)]
pub struct Consumer<S, I, K, C, J> {
    deps: Deps<S, I, K, C, J>,
    rules: Arc<Rules>,
    options: ConsumerOptions,
    workspace: WorkspaceBook,
    names: NameBook,
    large_batches: Mutex<usize>,
    /// Items of history whose events fill one bulk request, as the last batch showed.
    history_batch: AtomicUsize,
    topics: TopicNotes,
}

/// The right to a large batch, given back when the step ends, however it ends.
struct LargeBatch<'a>(&'a Mutex<usize>);

impl Drop for LargeBatch<'_> {
    fn drop(&mut self) {
        if let Ok(mut running) = self.0.lock() {
            *running -= 1;
        }
    }
}

impl<S: ConsumerStore, I: Intercom, K: Klaviyo, C: Clock, J: Jitter> Consumer<S, I, K, C, J> {
    /// Wires a consumer.
    pub fn new(deps: Deps<S, I, K, C, J>, rules: Arc<Rules>, options: ConsumerOptions) -> Self {
        let history_batch = AtomicUsize::new(options.max_messages);
        Self {
            deps,
            rules,
            options,
            history_batch,
            workspace: WorkspaceBook::default(),
            names: NameBook::default(),
            large_batches: Mutex::new(0),
            topics: TopicNotes::default(),
        }
    }

    /// One batch, from claim to settlement. Never fails: what goes wrong is in the settlements, or the queue keeps the messages.
    pub async fn step(&self, lane: Lane) -> StepReport {
        let options = &self.options;
        let full = match lane {
            Lane::History => self.history_batch.load(Ordering::Relaxed).clamp(1, options.max_messages),
            Lane::Live | Lane::Reconcile => options.max_messages,
        };
        if lane == Lane::History && self.history_has_to_wait(full).await {
            return StepReport { claimed: 0, finished: 0, next_wake: Some(self.after(LOOK_AGAIN)) };
        }
        let large = self.large_batch();
        let most = if large.is_some() { full } else { SMALL_BATCH };
        // A small batch in bulk would waste one of Klaviyo's few bulk requests: it goes singly, or not now.
        if large.is_none() && (lane == Lane::History || (self.deps.klaviyo.room().single_now as usize) < most) {
            return StepReport { claimed: 0, finished: 0, next_wake: Some(self.after(LOOK_AGAIN)) };
        }
        let claimed = match self.deps.store.claim(lane, most, options.max_bytes, options.hide).await {
            Ok(claimed) => claimed,
            Err(error) => return self.store_failed("claim messages", &error),
        };
        if claimed.is_empty() {
            let next_wake = self.deps.store.next_visible(lane).await.unwrap_or_else(|error| {
                tracing::debug!(%error, "could not ask for the next message");
                Some(self.in_a_moment())
            });
            return StepReport { claimed: 0, finished: 0, next_wake };
        }
        let outcome = self.deliver(lane, &claimed, Timestamp::MAX).await;
        let finished = outcome.finished;
        let report = StepReport { claimed: claimed.len(), finished, next_wake: outcome.paused_until };
        match self.settle(outcome.settlements).await {
            Ok(()) => report,
            Err(error) => StepReport { finished: 0, ..self.store_failed("settle messages", &error) },
        }
    }

    /// Delivers messages that a queue handed over by itself, as SQS does with a function. After `deadline` nothing more is sent:
    /// what is left waits for the next time, and a caller that is cut off shortly after it loses nothing.
    pub async fn process(&self, lane: Lane, claimed: &[Claimed], deadline: Timestamp) -> Processed {
        let outcome = match lane == Lane::History && self.history_is_paused().await {
            true => self.defer_all(claimed, self.after(PAUSED)),
            false => self.deliver(lane, claimed, deadline).await,
        };
        let processed = Processed::of(&outcome.settlements);
        match self.settle(outcome.settlements).await {
            Ok(()) => processed,
            Err(error) => {
                tracing::error!(%error, "could not settle messages; the queue delivers them again");
                let unfinished = claimed.iter().map(|message| message.id.clone()).collect();
                Processed { unfinished, ..Processed::default() }
            }
        }
    }

    fn large_batch(&self) -> Option<LargeBatch<'_>> {
        let mut running = self.large_batches.lock().ok()?;
        (*running < self.options.large_batches).then(|| {
            *running += 1;
            LargeBatch(&self.large_batches)
        })
    }

    fn store_failed(&self, doing: &str, error: &StoreError) -> StepReport {
        tracing::error!(%error, "could not {doing}; trying again");
        StepReport { claimed: 0, finished: 0, next_wake: Some(self.in_a_moment()) }
    }

    fn in_a_moment(&self) -> Timestamp {
        self.after(Duration::from_secs(1))
    }

    fn after(&self, wait: Duration) -> Timestamp {
        self.deps.clock.now().checked_add(wait).unwrap_or(Timestamp::MAX)
    }
}
