//! What AWS charges for the template as it is shipped: a month of live events, and an import. Pure: figures in, dollars out.

mod bill;
mod import;
mod prices;

pub use bill::{Bill, Item, Traffic};
pub use import::{Functions, Import, import_dollars};
pub use prices::AS_OF;

/// The figures of the template that money depends on.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    /// Memory of the webhook function, in MB.
    pub webhook_mb: f64,
    /// Memory of the consumer function, in MB.
    pub consumer_mb: f64,
    /// Memory of the backfill function, in MB.
    pub backfill_mb: f64,
    /// Whether the functions run on Graviton.
    pub arm64: bool,
    /// Most live messages in one call of the consumer.
    pub live_batch: f64,
    /// Minutes between two ticks.
    pub tick_minutes: f64,
    /// How many alarms there are.
    pub alarms: usize,
    /// How many queues Lambda polls.
    pub polled_queues: usize,
    /// Whether the table keeps backups for every second.
    pub backups: bool,
}

impl Figures {
    /// Those of the functions that an import keeps busy.
    pub fn of_import(&self) -> Functions {
        Functions { consumer_mb: self.consumer_mb, backfill_mb: self.backfill_mb, arm64: self.arm64 }
    }
}
