//! From the environment's names to a store.

use std::sync::Arc;
use std::time::Duration;

use app::ports::Clock;

use crate::queue::SdkQueues;
use crate::session::Session;
use crate::store::AwsStore;
use crate::table::SdkTable;

/// Where queues and state are.
#[derive(Clone, Debug)]
pub struct AwsConfig {
    /// `LIVE_QUEUE_URL`.
    pub live_queue_url: String,
    /// `HISTORY_QUEUE_URL`.
    pub history_queue_url: String,
    /// `STATE_TABLE`: its name. Keys `pk` and `sk` are strings, and `ttl` is its expiry attribute.
    pub state_table: String,
    /// How the store works.
    pub options: StoreOptions,
}

/// How the store works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreOptions {
    /// The visibility timeout of the queues, which the template tells the consumer: how long a message that the event source handed
    /// over stays hidden from others. At least six times the function's timeout, so that no function outlives it.
    pub visibility: Duration,
    /// How long ledger entries are kept; `None` keeps them for good. DynamoDB deletes by it, at no cost.
    pub ledger: Option<Duration>,
    /// Whether every event is remembered, so that none is counted twice: one write unit for each event. Without it (the setting
    /// `ledger`) a message that comes back after a crash may be counted twice.
    pub exact: bool,
    /// How many recent events are listed at most: about half a write unit for each batch. 0, as in a lean deployment, costs
    /// nothing.
    pub recent_events: usize,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { visibility: Duration::from_secs(360), ledger: None, exact: true, recent_events: 1_000 }
    }
}

/// The store of a deployment. No network: what is wrong with URLs, table or permissions shows at the first call.
pub fn connect<C: Clock + 'static>(session: &Session, config: &AwsConfig, clock: C) -> AwsStore<C> {
    let sdk = session.within(Duration::from_secs(5), Duration::from_secs(12));
    let queues = SdkQueues::new(&sdk, &config.live_queue_url, &config.history_queue_url);
    let table = SdkTable::new(&sdk, &config.state_table);
    AwsStore::new(table, queues, clock, config.options.clone(), Arc::new(random_name))
}

/// A name that no other process has.
pub fn random_name() -> String {
    let mut bytes = [0_u8; 9];
    if aws_lc_rs::rand::fill(&mut bytes).is_err() {
        // Two processes under one name would share their numbers, so a name there must be.
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        return format!("t{}-{}", since.as_nanos(), std::process::id());
    }
    base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, bytes)
}
