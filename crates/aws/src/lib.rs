//! Queues, state and secrets on AWS: every storage port of `app` on SQS and DynamoDB, and the secrets from Secrets Manager.
//!
//! What a process may cost decides the shape. A live event is one conditional write (its claim in the ledger) and its share of
//! one write for the whole batch (the books); the webhook writes nothing but the queue. [`LiveInbox`] therefore stands alone
//! and links SQS only. The crash story, which is the reason for everything else, is told in `settle.rs`.
//!
//! Two narrow traits, [`Table`] and [`Queues`], stand between the logic and the SDK, so that the simulation can run the logic
//! with lost requests, lost answers and crashes at every await.

mod cache;
mod changed;
mod claims;
mod clean;
mod config;
mod dead_letters;
mod documents;
mod envelope;
mod forget;
mod inbox;
mod intervals;
mod items;
mod marker;
#[cfg(any(test, feature = "testing"))]
pub mod memory;
mod overview;
mod pack;
mod parked;
mod queue;
mod recent;
mod records;
mod registry;
mod seal;
pub mod secrets;
mod session;
mod settle;
mod store;
mod support;
mod table;
mod take;
#[cfg(test)]
mod tests;
mod totals;
mod trouble;
mod writer;

pub use config::{AwsConfig, StoreOptions, connect, random_name};
pub use inbox::LiveInbox;
pub use queue::{OutMessage, QueueRecord, Queues, SdkQueues};
pub use session::Session;
pub use store::AwsStore;
pub use table::{Condition, Item, Key, Query, SdkTable, Table, Transacted, Value, Write, Written};
pub use take::TakenBatch;
