//! What an import adds to the bill, once.

use super::bill::{CONSUMER_MS, CONSUMER_MS_PER_EVENT, SQS_KB, lambda};
use super::prices::{SQS_REQUEST, TABLE_READ, TABLE_WRITE};

/// The functions that an import keeps busy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Functions {
    /// Memory of the consumer function, in MB.
    pub consumer_mb: f64,
    /// Memory of the backfill function, in MB.
    pub backfill_mb: f64,
    /// Whether they run on Graviton.
    pub arm64: bool,
}

impl Functions {
    /// Those of the template as it is shipped, which a test of `cost` compares with it.
    pub const SHIPPED: Self = Self { consumer_mb: 128.0, backfill_mb: 512.0, arm64: true };
}

/// What an import reads and sends.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Import {
    /// Conversations and tickets.
    pub items: f64,
    /// Events sent for them.
    pub events: f64,
    /// Pages read.
    pub pages: f64,
    /// Minutes that it takes: so long the backfill function runs.
    pub minutes: f64,
}

/// Size of an item on the queue in KB, and how many items come together in one call of the consumer, both estimates.
const ITEM_KB: f64 = 4.0;
const ITEMS_IN_A_CALL: f64 = 100.0;

/// SQS takes and hands out at most ten messages in a request.
const TOGETHER: f64 = 10.0;

/// Write units of an item in the books, a transaction counting double (`crates/aws/src/items.rs`), and of a page: the checkpoint is a
/// document of a few kilobytes.
const UNITS_OF_AN_ITEM: f64 = 2.0;
const UNITS_OF_A_PAGE: f64 = 8.0;

/// What an import adds to the bill, in US dollars. An event costs one unit, the ledger's, as live.
pub fn import_dollars(functions: Functions, import: Import) -> f64 {
    let Import { items, events, pages, minutes } = import;
    let requests = items / TOGETHER * (2.0 * (ITEM_KB * TOGETHER / SQS_KB).ceil() + 1.0);
    let calls = items / ITEMS_IN_A_CALL;
    let consumer_ms = CONSUMER_MS + CONSUMER_MS_PER_EVENT * ITEMS_IN_A_CALL;
    let writes = items * UNITS_OF_AN_ITEM + events + pages * UNITS_OF_A_PAGE + calls * UNITS_OF_AN_ITEM;
    SQS_REQUEST * requests
        + lambda(functions.arm64, calls, functions.consumer_mb, consumer_ms)
        + lambda(functions.arm64, minutes, functions.backfill_mb, 60_000.0)
        + TABLE_WRITE * writes
        + TABLE_READ * (events + pages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_with_what_is_imported_and_stays_small() {
        let of = |millions: f64| {
            let items = millions * 1e6;
            let import = Import { items, events: items * 1.5, pages: items / 30.0, minutes: items / 8_000.0 };
            import_dollars(Functions::SHIPPED, import)
        };
        assert!(of(0.0).abs() < 1e-9);
        assert!((of(2.0) - 2.0 * of(1.0)).abs() < 1e-9);
        assert!((1.5..6.0).contains(&of(1.0)), "{}", of(1.0));
    }
}
