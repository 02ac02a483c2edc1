//! Accepting: one call of SQS, and nothing else.

use std::time::Duration;

use app::ports::{Accepted, HistoryInbox, Inbox, Lane, StoreResult};
use aws_config::SdkConfig;
use aws_sdk_sqs::Client;

use app::ports::Clock;

use crate::envelope;
use crate::queue::{self, Queues};
use crate::session::Session;
use crate::store::AwsStore;
use crate::table::Table;

/// The webhook's side of the live queue. Links SQS alone: the webhook's start, memory and size have budgets.
#[derive(Clone, Debug)]
pub struct LiveInbox {
    client: Client,
    url: String,
}

impl LiveInbox {
    /// No network. A send ends within 2.3 s, because the webhook has to
    /// answer within 3; a first try that hangs is given up after 1 s.
    pub fn connect(session: &Session, live_queue_url: &str) -> Self {
        Self::new(&session.within(Duration::from_millis(1_000), Duration::from_millis(2_300)), live_queue_url)
    }

    /// By a configuration of the caller's, whose time-outs then hold.
    pub fn new(config: &SdkConfig, live_queue_url: &str) -> Self {
        Self { client: Client::new(config), url: live_queue_url.to_owned() }
    }
}

impl Inbox for LiveInbox {
    /// SQS keeps a message in several places before it answers
    /// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-basic-architecture.html>). If only the
    /// answer is lost, the SDK or Intercom sends it again, and the ledger makes one event of the two; as the queue itself is
    /// the count of what was accepted, both copies are counted and both get a fate.
    async fn accept(&self, accepted: Accepted) -> StoreResult<()> {
        queue::send(&self.client, &self.url, envelope::seal(&accepted, None)).await
    }
}

impl<C: Clock + 'static, T: Table, Q: Queues> Inbox for AwsStore<C, T, Q> {
    async fn accept(&self, accepted: Accepted) -> StoreResult<()> {
        self.queues.send(Lane::Live, vec![envelope::seal(&accepted, None)]).await
    }
}

impl<C: Clock + 'static, T: Table, Q: Queues> HistoryInbox for AwsStore<C, T, Q> {
    /// SQS takes ten at a time, so after an error some may be there and others not. The import then enqueues its page again
    /// before it commits the checkpoint, and the ledger makes one event of two.
    async fn enqueue_history(&self, items: Vec<Accepted>) -> StoreResult<()> {
        if items.is_empty() {
            return Ok(());
        }
        self.queues.send(Lane::History, items.iter().map(|item| envelope::seal(item, None)).collect()).await
    }

    /// As [`enqueue_history`](HistoryInbox::enqueue_history), on the live queue.
    async fn enqueue_reconcile(&self, items: Vec<Accepted>) -> StoreResult<()> {
        if items.is_empty() {
            return Ok(());
        }
        self.queues.send(Lane::Live, items.iter().map(|item| envelope::seal(item, None)).collect()).await
    }

    async fn history_depth(&self) -> StoreResult<u64> {
        let (visible, hidden) = self.queues.depth(Lane::History).await?;
        Ok(visible + hidden)
    }
}
