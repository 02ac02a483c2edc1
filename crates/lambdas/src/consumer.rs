//! The consumer function: a batch from SQS in, the messages that have to stay on the queue out.
//!
//! Lambda deletes what is not reported as failed. Crash story: until we have answered, SQS has every message, and hands it out
//! again when its visibility ends; the store knows what became of it before.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use app::deliver::{Consumer, ConsumerOptions, Deps, Processed};
use app::ports::{Clock, Intercom, Jitter, Klaviyo, Lane, StoreError};
use app::settings::Settings;
use aws::secrets::SecretReader;
use aws::{AwsStore, QueueRecord, Queues, Table};
use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use clients::time::{SystemClock, SystemJitter};
use clients::{IntercomClient, KlaviyoClient};
use jiff::Timestamp;

use crate::configuration::Configuration;
use crate::keys::{KeyError, KeyRing, Store};
use crate::metrics::{self, Metric};

/// What has to be left of the function's time when the last request begins: the longest request, and the settlement.
pub const RESERVE: Duration = Duration::from_secs(25);

/// Longest preparation: Lambda begins anew with a function that is not ready after ten seconds
/// (<https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html>).
const PREPARATION: Duration = Duration::from_secs(8);

/// How long a contact is remembered, by each function on its own. One that Intercom says has changed is forgotten by all at once;
/// this is for a `contact.*` notification that never came.
const CONTACT_TTL: Duration = Duration::from_secs(5 * 60);

type VendorConsumer = Consumer<
    Store,
    IntercomClient<SystemClock, SystemJitter, Store>,
    KlaviyoClient<SystemClock, SystemJitter, Store>,
    SystemClock,
    SystemJitter,
>;

/// Why a batch was not looked at. Its messages come back.
#[derive(Debug, thiserror::Error)]
pub enum ConsumerError {
    /// No keys.
    #[error("nothing can be delivered: {0}")]
    Keys(#[from] KeyError),
    /// No table, or no queue.
    #[error("nothing can be delivered: {0}")]
    Store(#[from] StoreError),
    /// Not what SQS sends.
    #[error("a record of the event has no {0}; is this function called by SQS?")]
    Record(&'static str),
}

/// Delivers batches.
#[derive(Debug)]
pub struct ConsumerFunction<R> {
    store: Store,
    keys: KeyRing<R>,
    settings: Settings,
    history_queue: String,
    stack: String,
    built: Mutex<Option<(u64, Arc<VendorConsumer>)>>,
}

impl<R: SecretReader> ConsumerFunction<R> {
    /// Reads nothing yet.
    pub fn new(store: Store, keys: KeyRing<R>, configuration: &Configuration) -> Self {
        Self {
            store,
            keys,
            settings: configuration.settings.clone(),
            history_queue: queue_name(&configuration.aws.history_queue_url).to_owned(),
            stack: configuration.stack.clone(),
            built: Mutex::default(),
        }
    }

    /// Reads the keys and the limits, so that the first batch need not: connections are made while Lambda still gives a starting
    /// function a whole core. What fails here fails again with the first batch, which says so.
    pub async fn prepare(&self) {
        match tokio::time::timeout(PREPARATION, self.consumer()).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "not ready yet: trying again with the first batch"),
            Err(_) => tracing::warn!("the keys and the limits take long to read: trying again with the first batch"),
        }
    }

    /// Delivers what can be delivered before `deadline`, the moment at which Lambda ends us.
    pub async fn deliver(&self, event: SqsEvent, deadline: SystemTime) -> Result<SqsBatchResponse, ConsumerError> {
        let consumer = self.consumer().await?;
        let lane = lane(&event, &self.history_queue);
        let records = event.records.into_iter().map(record).collect::<Result<Vec<_>, _>>()?;
        let deadline = Timestamp::try_from(deadline.checked_sub(RESERVE).unwrap_or(deadline)).unwrap_or(Timestamp::MAX);
        let (failures, processed) = deliver(&self.store, &consumer, lane, records, deadline).await?;
        self.report(&processed);
        self.keys.look_again().await;
        let mut response = SqsBatchResponse::default();
        failures.into_iter().for_each(|id| response.add_failure(id));
        Ok(response)
    }

    fn report(&self, processed: &Processed) {
        let counts = [(Metric::DeadLetters, processed.dead), (Metric::Uninstalled, processed.uninstalls)];
        let counts: Vec<_> =
            counts.into_iter().filter(|(_, count)| *count > 0).map(|(metric, count)| (metric, count as u64)).collect();
        metrics::emit(&self.stack, &counts, SystemClock.now());
    }

    async fn consumer(&self) -> Result<Arc<VendorConsumer>, KeyError> {
        let (clients, generation) = self.keys.clients().await?;
        let mut built = self.built.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, consumer)) = built.as_ref().filter(|(known, _)| *known == generation) {
            return Ok(Arc::clone(consumer));
        }
        let deps = Deps {
            store: self.store.clone(),
            intercom: clients.intercom,
            klaviyo: clients.klaviyo,
            clock: SystemClock,
            jitter: SystemJitter,
        };
        let consumer = Arc::new(Consumer::new(deps, Arc::new(self.settings.rules.clone()), options(&self.settings)));
        *built = Some((generation, Arc::clone(&consumer)));
        Ok(consumer)
    }
}

/// How a consumer works that is handed its batches: nobody else waits for the table, so it writes without pauses.
pub fn options(settings: &Settings) -> ConsumerOptions {
    ConsumerOptions {
        piece: usize::MAX,
        ledger: settings.ledger,
        park_for: settings.parked_for,
        contact_ttl: CONTACT_TTL,
        support_state: settings.support_state.then_some(settings.support_step),
        ..ConsumerOptions::default()
    }
}

/// Takes a batch, delivers it, and says which of the queue's message ids have to stay on the queue.
pub async fn deliver<C, T, Q, I, K, J>(
    store: &AwsStore<C, T, Q>,
    consumer: &Consumer<AwsStore<C, T, Q>, I, K, C, J>,
    lane: Lane,
    records: Vec<QueueRecord>,
    deadline: Timestamp,
) -> Result<(Vec<String>, Processed), StoreError>
where
    C: Clock + 'static,
    T: Table,
    Q: Queues,
    I: Intercom,
    K: Klaviyo,
    J: Jitter,
{
    let batch = store.take_batch(lane, records).await?;
    let processed = consumer.process(lane, &batch.claimed, deadline).await;
    Ok((batch.failures(&processed.unfinished), processed))
}

/// All records of an event come from one queue.
fn lane(event: &SqsEvent, history_queue: &str) -> Lane {
    let arn = event.records.first().and_then(|record| record.event_source_arn.as_deref()).unwrap_or_default();
    match arn.rsplit(':').next() {
        Some(queue) if queue == history_queue => Lane::History,
        _ => Lane::Live,
    }
}

/// The last part of a queue's address.
fn queue_name(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or_default()
}

fn record(message: SqsMessage) -> Result<QueueRecord, ConsumerError> {
    let number = |name: &str| message.attributes.get(name).and_then(|value| value.parse::<i64>().ok());
    let receive_count = number("ApproximateReceiveCount").and_then(|count| u32::try_from(count).ok());
    let sent_at = number("SentTimestamp").unwrap_or(0);
    let attributes: BTreeMap<String, String> = message
        .message_attributes
        .into_iter()
        .filter_map(|(name, attribute)| Some((name, attribute.string_value?)))
        .collect();
    Ok(QueueRecord {
        message_id: message.message_id.ok_or(ConsumerError::Record("messageId"))?,
        receipt_handle: message.receipt_handle.ok_or(ConsumerError::Record("receiptHandle"))?,
        body: message.body.unwrap_or_default(),
        attributes,
        // Without a count it is taken for one that was handed out before: that costs a read and is never wrong.
        receive_count: receive_count.unwrap_or(2),
        sent_at,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(arn: &str) -> SqsEvent {
        serde_json::from_value(serde_json::json!({ "Records": [{
            "messageId": "m-1", "receiptHandle": "r-1", "body": "{}", "eventSourceARN": arn, "eventSource": "aws:sqs",
            "awsRegion": "eu-west-1", "md5OfBody": "x",
            "attributes": { "ApproximateReceiveCount": "3", "SentTimestamp": "1784102400000", "SenderId": "x",
                "ApproximateFirstReceiveTimestamp": "1784102400001" },
            "messageAttributes": { "v": { "stringValue": "1", "binaryValue": null, "stringListValues": [],
                "binaryListValues": [], "dataType": "String" } },
        }] }))
        .expect("an event as Lambda sends it")
    }

    #[test]
    fn a_record_is_read_as_lambda_sends_it() {
        let mut event = event("arn:aws:sqs:eu-west-1:1:live");
        let record = record(event.records.remove(0)).expect("complete");
        let expected = QueueRecord {
            message_id: "m-1".to_owned(),
            receipt_handle: "r-1".to_owned(),
            body: "{}".to_owned(),
            attributes: BTreeMap::from([("v".to_owned(), "1".to_owned())]),
            receive_count: 3,
            sent_at: 1_784_102_400_000,
        };
        assert_eq!(record, expected);
    }

    #[test]
    fn the_queue_decides_the_lane() {
        let history = queue_name("https://sqs.eu-west-1.amazonaws.com/1/shop-HistoryQueue-X");
        assert_eq!(lane(&event("arn:aws:sqs:eu-west-1:1:shop-HistoryQueue-X"), history), Lane::History);
        assert_eq!(lane(&event("arn:aws:sqs:eu-west-1:1:shop-LiveQueue-Y"), history), Lane::Live);
    }
}
