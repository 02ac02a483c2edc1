//! What the adapter needs of a queue, in its own types.

mod sdk;

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use app::ports::{Lane, StoreResult};

pub use sdk::SdkQueues;
pub(crate) use sdk::send;

/// Messages that one call of SQS takes or gives
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html>).
pub(crate) const MOST_PER_CALL: usize = 10;

/// Largest message in bytes, attributes included, and largest sum of a batch.
pub(crate) const MAX_MESSAGE_BYTES: usize = 1024 * 1024;

/// SQS hides a message for at most 12 hours, counted from its receipt; a little less, because clocks differ.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(12 * 3600 - 60);

/// A message on its way to a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutMessage {
    /// Text in the characters that SQS takes.
    pub body: String,
    /// Message attributes, all of type String.
    pub attributes: BTreeMap<String, String>,
}

impl OutMessage {
    /// Bytes that SQS counts: body, and name, type and value of every attribute.
    pub(crate) fn size(&self) -> usize {
        let attributes = self.attributes.iter().map(|(name, value)| name.len() + "String".len() + value.len());
        self.body.len() + attributes.sum::<usize>()
    }
}

/// A message that a queue handed out, by a call or through Lambda's event source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueRecord {
    /// The queue's own id of the message.
    pub message_id: String,
    /// Proof of this delivery.
    pub receipt_handle: String,
    /// As it was sent.
    pub body: String,
    /// The message attributes of type String.
    pub attributes: BTreeMap<String, String>,
    /// How often it was handed out, this time included. Waits count too.
    pub receive_count: u32,
    /// When the queue got it, in milliseconds of Unix time.
    pub sent_at: i64,
}

/// The queue that serves a lane: what reconcile found waits with the webhook's messages, and its scheme tells it apart.
pub(crate) fn queue_of(lane: Lane) -> Lane {
    match lane {
        Lane::Live | Lane::Reconcile => Lane::Live,
        Lane::History => Lane::History,
    }
}

/// The two queues, named by [`Lane::Live`] and [`Lane::History`]. A standard queue delivers at least once and in no particular order.
pub trait Queues: Send + Sync + 'static {
    /// Puts messages on the queue. On an error some of them may be there.
    fn send(&self, lane: Lane, messages: Vec<OutMessage>) -> impl Future<Output = StoreResult<()>> + Send;

    /// Takes up to `most` (1 to 10) visible messages and hides them.
    fn receive(
        &self,
        lane: Lane,
        most: usize,
        hide: Duration,
    ) -> impl Future<Output = StoreResult<Vec<QueueRecord>>> + Send;

    /// Deletes by receipts. A stale receipt may do nothing.
    fn delete(&self, lane: Lane, receipts: Vec<String>) -> impl Future<Output = StoreResult<()>> + Send;

    /// Makes messages visible again after their waits. A stale receipt may do nothing.
    fn hide(&self, lane: Lane, receipts: Vec<(String, Duration)>) -> impl Future<Output = StoreResult<()>> + Send;

    /// How many are visible, and how many are hidden or delayed.
    fn depth(&self, lane: Lane) -> impl Future<Output = StoreResult<(u64, u64)>> + Send;
}
