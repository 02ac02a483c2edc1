//! The adapter on in-memory stand-ins of table and queues.

mod contacts;
mod costs;
mod deliveries;
mod laws;
mod recent;
mod shares;
mod twice;
mod versions;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use app::contract;
use app::fakes::ManualClock;

use crate::memory::{MemoryQueues, MemoryTable};
use crate::{AwsStore, StoreOptions};

pub(crate) type TestStore = AwsStore<ManualClock, MemoryTable, MemoryQueues>;

/// A store that somebody can look behind.
pub(crate) struct World {
    pub(crate) clock: ManualClock,
    pub(crate) table: MemoryTable,
    pub(crate) queues: MemoryQueues,
    pub(crate) store: TestStore,
    started: Arc<AtomicU64>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(StoreOptions::default())
    }

    pub(crate) fn with(options: StoreOptions) -> Self {
        let clock = ManualClock::at(contract::START);
        let (table, queues, started) = (MemoryTable::default(), MemoryQueues::new(clock.clone()), Arc::default());
        let store = process(&clock, &table, &queues, options, &started);
        Self { clock, table, queues, store, started }
    }

    /// Another process on the same table and queues.
    pub(crate) fn another(&self) -> TestStore {
        process(&self.clock, &self.table, &self.queues, StoreOptions::default(), &self.started)
    }
}

fn process(
    clock: &ManualClock,
    table: &MemoryTable,
    queues: &MemoryQueues,
    options: StoreOptions,
    started: &Arc<AtomicU64>,
) -> TestStore {
    let started = Arc::clone(started);
    let names = Arc::new(move || format!("writer{}", started.fetch_add(1, Ordering::Relaxed)));
    AwsStore::new(table.clone(), queues.clone(), clock.clone(), options, names)
}
