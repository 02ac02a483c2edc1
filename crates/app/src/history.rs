//! The import of the past, and reconcile: reads Intercom, queues what is found, and keeps account.
//!
//! [`Importer::tick`] does a bounded piece of work and is called again and again, by a timer on one machine or by a schedule: it
//! takes the lease, reads windows side by side, and for each page first puts its items on the queue and counts those that need
//! none, then commits the checkpoint. If we die between the two, the page is read again: the ledger knows its events, the books
//! know its items, and nothing is sent or counted twice.

mod arrivals;
mod asking;
mod checkpoints;
mod page;
mod plan;
mod reconcile;
mod report;
mod support;
mod tick;
mod verify;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::Rules;
use domain::history::{Checkpoint, Illegal, StartFacts, Wish};

use crate::ports::{
    Cache, Clock, Documents, HistoryInbox, Intercom, IntercomSearch, ItemBooks, Ledger, StoreError, StoreResult,
    SupportStates, Workspace,
};

pub use arrivals::{Arrivals, MissingEvent};
pub use asking::{Asked, Asking, Questions};
pub use plan::{Plan, StreamPlan};
pub use report::{history_report, reconcile_report};
pub use tick::TickReport;
pub use verify::{Verification, VerifiedStream, VerifiedStretch, VerifyError};

/// Name of the document that holds the import's checkpoint.
pub const CHECKPOINT: &str = "history";

/// Storage for the import and reconcile.
pub trait HistoryStore: Documents + HistoryInbox + ItemBooks + Ledger + Cache + SupportStates {}
impl<T: Documents + HistoryInbox + ItemBooks + Ledger + Cache + SupportStates> HistoryStore for T {}

/// How the import works.
#[derive(Clone, Debug)]
pub struct HistoryOptions {
    /// How far back it goes; `None`: to the beginning.
    pub days: Option<u32>,
    /// Reading waits while so many items are on the queue.
    pub most_queued: u64,
    /// How long an owner that says nothing is believed to be at work.
    pub lease: Duration,
    /// How long a contact is remembered: longer than its item waits on the queue.
    pub contact_ttl: Duration,
    /// Conversations read with their parts at the same time, a window.
    pub concurrency: usize,
    /// How often reconcile sweeps; `None`: never.
    pub reconcile_interval: Option<Duration>,
    /// Without a webhook call for so long, events that only reconcile found raise an alarm.
    pub silence: Duration,
    /// Support state on profiles, as [`crate::deliver::ConsumerOptions::support_state`] says. `None`: there is none.
    pub support_state: Option<Duration>,
}

impl Default for HistoryOptions {
    fn default() -> Self {
        Self {
            days: None,
            most_queued: 5_000,
            lease: Duration::from_secs(90),
            contact_ttl: Duration::from_secs(3_600),
            concurrency: 8,
            reconcile_interval: Some(Duration::from_secs(300)),
            silence: Duration::from_secs(2 * 3_600),
            support_state: Some(Duration::ZERO),
        }
    }
}

/// The import and reconcile. Several processes may have one: the lease lets one of them work at a time.
#[derive(Debug)]
pub struct Importer<S, I, C> {
    store: S,
    intercom: I,
    clock: C,
    rules: Arc<Rules>,
    options: HistoryOptions,
    workspace: Mutex<Option<Workspace>>,
}

/// Why a wish was not granted.
#[derive(Debug, thiserror::Error)]
pub enum SteerError {
    /// It does not fit where the import stands.
    #[error(transparent)]
    Illegal(#[from] Illegal),
    /// The state could not be read or changed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl<S: HistoryStore, I: Intercom + IntercomSearch, C: Clock> Importer<S, I, C> {
    /// Wires an importer.
    pub fn new(store: S, intercom: I, clock: C, rules: Arc<Rules>, options: HistoryOptions) -> Self {
        Self { store, intercom, clock, rules, options, workspace: Mutex::new(None) }
    }

    /// When this deployment was first started; see [`first_start`].
    pub async fn first_start(&self) -> StoreResult<i64> {
        first_start(&self.store, self.now()).await
    }

    fn now(&self) -> i64 {
        self.clock.now().as_second()
    }
}

/// When this deployment was first started, in Unix seconds; noted when it is asked for the first time. What is older no webhook
/// can have told.
pub async fn first_start(store: &impl Documents, now: i64) -> StoreResult<i64> {
    const DOCUMENT: &str = "first-start";
    loop {
        if let Some(document) = store.load(DOCUMENT).await? {
            return document.body.trim().parse().map_err(|_| StoreError::Unreadable {
                store: "document of the first start",
                detail: "it is not a number".to_owned(),
            });
        }
        store.save(DOCUMENT, &now.to_string(), None).await?;
    }
}

/// Since when, in Unix seconds, reconcile has been finding events while no webhook came: Intercom suspends a subscription without
/// a word. `None`: nothing speaks for that.
pub async fn silent_since(store: &impl Documents) -> StoreResult<Option<i64>> {
    Ok(reconcile::load(store).await?.0.silent_since)
}

/// Starts, pauses, resumes or restarts the import. The state has changed when it returns.
pub async fn steer(store: &impl Documents, wish: Wish, facts: StartFacts, now: i64) -> Result<Checkpoint, SteerError> {
    checkpoints::change(store, |checkpoint| match checkpoint.steer(wish, facts, now) {
        Ok(()) => (true, Ok(())),
        Err(illegal) => (false, Err(illegal)),
    })
    .await
    .map_err(SteerError::from)
    .and_then(|(checkpoint, answer)| answer.map(|()| checkpoint).map_err(SteerError::from))
}
