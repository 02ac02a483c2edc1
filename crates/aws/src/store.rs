//! The store: what it holds and how its parts find each other.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use app::ports::Clock;
use jiff::Timestamp;

use crate::cache::LocalCache;
use crate::config::StoreOptions;
use crate::queue::{Queues, SdkQueues};
use crate::registry::Registry;
use crate::table::{SdkTable, Table};
use crate::writer::Writer;

/// Every storage port on one table and two queues. Cheap to clone; clones share what they hold.
pub struct AwsStore<C, T = SdkTable, Q = SdkQueues> {
    pub(crate) table: Arc<T>,
    pub(crate) queues: Arc<Q>,
    pub(crate) options: Arc<StoreOptions>,
    clock: Arc<C>,
    shared: Arc<Shared>,
}

/// What one process knows.
struct Shared {
    registry: Mutex<Registry>,
    writer: Mutex<Arc<Writer>>,
    cache: Mutex<LocalCache>,
    names: Arc<dyn Fn() -> String + Send + Sync>,
}

impl<C: Clock + 'static, T: Table, Q: Queues> AwsStore<C, T, Q> {
    /// Puts the parts together. `names` gives a name that no other process has, each time it is called.
    pub fn new(
        table: T,
        queues: Q,
        clock: C,
        options: StoreOptions,
        names: Arc<dyn Fn() -> String + Send + Sync>,
    ) -> Self {
        let writer = Mutex::new(Arc::new(Writer::new(names(), clock.now())));
        let shared = Shared { registry: Mutex::default(), writer, cache: Mutex::default(), names };
        Self {
            table: Arc::new(table),
            queues: Arc::new(queues),
            options: Arc::new(options),
            clock: Arc::new(clock),
            shared: Arc::new(shared),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// When an item may be deleted, as DynamoDB wants it.
    pub(crate) fn expires_in(&self, seconds: i64) -> i64 {
        self.now().as_second().saturating_add(seconds)
    }

    pub(crate) fn registry(&self) -> MutexGuard<'_, Registry> {
        self.shared.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn cache(&self) -> MutexGuard<'_, LocalCache> {
        self.shared.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The writer that new messages are taken under. One that has collected gaps, or rests, is followed by a fresh one.
    pub(crate) fn writer(&self) -> Arc<Writer> {
        let now = self.now();
        let mut writer = self.shared.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if writer.is_worn(now) {
            *writer = Arc::new(Writer::new((self.shared.names)(), now));
        }
        Arc::clone(&writer)
    }
}

impl<C, T, Q> Clone for AwsStore<C, T, Q> {
    fn clone(&self) -> Self {
        Self {
            table: Arc::clone(&self.table),
            queues: Arc::clone(&self.queues),
            options: Arc::clone(&self.options),
            clock: Arc::clone(&self.clock),
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<C, T, Q> std::fmt::Debug for AwsStore<C, T, Q> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AwsStore")
    }
}
