//! SQS.

use std::collections::BTreeMap;
use std::time::Duration;

use app::ports::{Lane, StoreError, StoreResult};
use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::types::{
    BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, Message,
    MessageAttributeValue, MessageSystemAttributeName, QueueAttributeName, SendMessageBatchRequestEntry,
};

use super::{MAX_MESSAGE_BYTES, MOST_PER_CALL, OutMessage, QueueRecord, Queues};
use crate::trouble::{QUEUE, unavailable};

/// How often what SQS refuses of a batch for reasons of its own is tried.
const TRIES: usize = 2;

/// Both queues by their URLs.
#[derive(Clone, Debug)]
pub struct SdkQueues {
    client: Client,
    live: String,
    history: String,
}

impl SdkQueues {
    /// No network.
    pub fn new(config: &SdkConfig, live: &str, history: &str) -> Self {
        Self { client: Client::new(config), live: live.to_owned(), history: history.to_owned() }
    }

    fn url(&self, lane: Lane) -> &str {
        match lane {
            Lane::Live | Lane::Reconcile => &self.live,
            Lane::History => &self.history,
        }
    }
}

impl Queues for SdkQueues {
    async fn send(&self, lane: Lane, messages: Vec<OutMessage>) -> StoreResult<()> {
        for batch in batches(messages) {
            if let [single] = batch.as_slice() {
                send(&self.client, self.url(lane), single.clone()).await?;
                continue;
            }
            let mut entries = Vec::with_capacity(batch.len());
            for (index, message) in batch.iter().cloned().enumerate() {
                let entry = SendMessageBatchRequestEntry::builder()
                    .id(index.to_string())
                    .set_message_attributes(Some(attributes(message.attributes)?))
                    .message_body(message.body)
                    .build();
                entries.push(entry.map_err(|_| incomplete())?);
            }
            let call = self.client.send_message_batch().queue_url(self.url(lane)).set_entries(Some(entries));
            let answer = call.send().await.map_err(|error| queue_trouble("send messages", &error))?;
            // Only these are sent again, each by itself: the others are on the queue.
            for index in told(lane, "send", answer.failed()).into_iter().map(|refused| refused.index) {
                if let Some(message) = batch.get(index) {
                    send(&self.client, self.url(lane), message.clone()).await?;
                }
            }
        }
        Ok(())
    }

    async fn receive(&self, lane: Lane, most: usize, hide: Duration) -> StoreResult<Vec<QueueRecord>> {
        let call = self
            .client
            .receive_message()
            .queue_url(self.url(lane))
            .max_number_of_messages(i32::try_from(most.clamp(1, MOST_PER_CALL)).unwrap_or(1))
            .visibility_timeout(seconds(hide))
            .message_attribute_names("All")
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp);
        let answer = call.send().await.map_err(|error| queue_trouble("receive messages", &error))?;
        Ok(answer.messages.unwrap_or_default().into_iter().filter_map(record).collect())
    }

    async fn delete(&self, lane: Lane, receipts: Vec<String>) -> StoreResult<()> {
        for batch in receipts.chunks(MOST_PER_CALL) {
            let mut left: Vec<usize> = (0..batch.len()).collect();
            for _ in 0..TRIES {
                let mut entries = Vec::with_capacity(left.len());
                for index in &left {
                    let entry = DeleteMessageBatchRequestEntry::builder().id(index.to_string());
                    entries.push(
                        entry
                            .receipt_handle(batch.get(*index).cloned().unwrap_or_default())
                            .build()
                            .map_err(|_| incomplete())?,
                    );
                }
                let call = self.client.delete_message_batch().queue_url(self.url(lane)).set_entries(Some(entries));
                let answer = call.send().await.map_err(|error| queue_trouble("delete messages", &error))?;
                left = worth_another_try(told(lane, "delete", answer.failed()));
                if left.is_empty() {
                    break;
                }
            }
        }
        Ok(())
    }

    async fn hide(&self, lane: Lane, receipts: Vec<(String, Duration)>) -> StoreResult<()> {
        for batch in receipts.chunks(MOST_PER_CALL) {
            let mut left: Vec<usize> = (0..batch.len()).collect();
            for _ in 0..TRIES {
                let mut entries = Vec::with_capacity(left.len());
                for index in &left {
                    let Some((receipt, wait)) = batch.get(*index) else { continue };
                    let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(index.to_string());
                    let entry = entry.receipt_handle(receipt).visibility_timeout(seconds(*wait));
                    entries.push(entry.build().map_err(|_| incomplete())?);
                }
                let call = self.client.change_message_visibility_batch().queue_url(self.url(lane));
                let answer = call.set_entries(Some(entries)).send().await;
                let answer = answer.map_err(|error| queue_trouble("change the visibility of messages", &error))?;
                left = worth_another_try(told(lane, "hide", answer.failed()));
                if left.is_empty() {
                    break;
                }
            }
        }
        Ok(())
    }

    async fn depth(&self, lane: Lane) -> StoreResult<(u64, u64)> {
        use QueueAttributeName::{
            ApproximateNumberOfMessages as Visible, ApproximateNumberOfMessagesDelayed as Delayed,
            ApproximateNumberOfMessagesNotVisible as Hidden,
        };
        let names = vec![Visible, Hidden, Delayed];
        let call = self.client.get_queue_attributes().queue_url(self.url(lane)).set_attribute_names(Some(names));
        let answer = call.send().await.map_err(|error| queue_trouble("read the queue's depth", &error))?;
        let counts = answer.attributes.unwrap_or_default();
        let count = |name| counts.get(&name).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
        Ok((count(Visible), count(Hidden) + count(Delayed)))
    }
}

/// Puts one message on a queue; durable when it returns.
pub(crate) async fn send(client: &Client, url: &str, message: OutMessage) -> StoreResult<()> {
    let call = client
        .send_message()
        .queue_url(url)
        .set_message_attributes(Some(attributes(message.attributes)?))
        .message_body(message.body);
    call.send().await.map(drop).map_err(|error| queue_trouble("send a message", &error))
}

/// What failed, without the request's content: the SDK's own message may quote it.
fn queue_trouble<E, R>(doing: &str, error: &SdkError<E, R>) -> StoreError
where
    E: ProvideErrorMetadata,
{
    let detail = match error {
        SdkError::TimeoutError(_) => "no answer in time".to_owned(),
        SdkError::DispatchFailure(failure) if failure.is_timeout() => "no answer in time".to_owned(),
        SdkError::DispatchFailure(_) => "no connection, or no credentials".to_owned(),
        SdkError::ConstructionFailure(_) => "the request could not be built".to_owned(),
        other => match other.code() {
            Some(code) if code.contains("NonExistentQueue") || code.contains("QueueDoesNotExist") => {
                "there is no queue at this URL; check LIVE_QUEUE_URL and HISTORY_QUEUE_URL".to_owned()
            }
            Some(code) => code.to_owned(),
            None => "an answer that cannot be read".to_owned(),
        },
    };
    unavailable(QUEUE, format!("could not {doing}: {detail}"))
}

/// An entry of a batch that SQS did not do.
struct Refused {
    index: usize,
    /// It would be refused again: a receipt that is stale, because the message is somebody else's by now.
    ours: bool,
}

/// Logs what of a batch was refused, and gives it. Never an error: a message that was not deleted or hidden comes back by itself,
/// and is known then.
fn told(lane: Lane, doing: &str, failed: &[BatchResultErrorEntry]) -> Vec<Refused> {
    for entry in failed {
        let (entry_id, code, sender) = (entry.id(), entry.code(), entry.sender_fault());
        tracing::warn!(?lane, doing, entry_id, code, sender, "the queue refused an entry of a batch");
    }
    let refused =
        |entry: &BatchResultErrorEntry| Some(Refused { index: entry.id().parse().ok()?, ours: entry.sender_fault() });
    failed.iter().filter_map(refused).collect()
}

fn worth_another_try(refused: Vec<Refused>) -> Vec<usize> {
    refused.into_iter().filter(|refused| !refused.ours).map(|refused| refused.index).collect()
}

fn incomplete() -> StoreError {
    unavailable(QUEUE, "a request could not be built")
}

fn attributes(
    attributes: BTreeMap<String, String>,
) -> StoreResult<std::collections::HashMap<String, MessageAttributeValue>> {
    attributes
        .into_iter()
        .map(|(name, value)| {
            let value = MessageAttributeValue::builder().data_type("String").string_value(value).build();
            Ok((name, value.map_err(|_| incomplete())?))
        })
        .collect()
}

fn record(message: Message) -> Option<QueueRecord> {
    let system = message.attributes.unwrap_or_default();
    let number = |name| system.get(&name).and_then(|text| text.parse::<i64>().ok());
    Some(QueueRecord {
        // Without a count it is taken for one that was handed out before: that costs a read and is never wrong.
        receive_count: number(MessageSystemAttributeName::ApproximateReceiveCount)
            .and_then(|count| u32::try_from(count).ok())
            .unwrap_or(2),
        sent_at: number(MessageSystemAttributeName::SentTimestamp).unwrap_or(0),
        message_id: message.message_id?,
        receipt_handle: message.receipt_handle?,
        body: message.body.unwrap_or_default(),
        attributes: message
            .message_attributes
            .unwrap_or_default()
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.string_value?)))
            .collect(),
    })
}

/// Rounded up: not before its time.
fn seconds(wait: Duration) -> i32 {
    let whole = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    i32::try_from(whole.min(12 * 3600)).unwrap_or(0)
}

/// Cuts into batches of at most ten messages and 1 MiB.
fn batches(messages: Vec<OutMessage>) -> Vec<Vec<OutMessage>> {
    let mut batches: Vec<Vec<OutMessage>> = Vec::new();
    let mut bytes = 0;
    for message in messages {
        let size = message.size();
        match batches.last_mut() {
            Some(batch) if batch.len() < MOST_PER_CALL && bytes + size <= MAX_MESSAGE_BYTES => {
                bytes += size;
                batch.push(message);
            }
            _ => {
                bytes = size;
                batches.push(vec![message]);
            }
        }
    }
    batches
}
