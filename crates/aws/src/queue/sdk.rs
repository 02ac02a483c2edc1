//! SQS.

use std::collections::BTreeMap;
use std::time::Duration;

use app::ports::{Lane, StoreError, StoreResult};
use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, Message, MessageAttributeValue,
    MessageSystemAttributeName, QueueAttributeName, SendMessageBatchRequestEntry,
};

use super::{MAX_MESSAGE_BYTES, MOST_PER_CALL, OutMessage, QueueRecord, Queues};
use crate::trouble::{QUEUE, unavailable};

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
            for (index, message) in batch.into_iter().enumerate() {
                let entry = SendMessageBatchRequestEntry::builder()
                    .id(index.to_string())
                    .set_message_attributes(Some(attributes(message.attributes)?))
                    .message_body(message.body)
                    .build();
                entries.push(entry.map_err(|_| incomplete())?);
            }
            let call = self.client.send_message_batch().queue_url(self.url(lane)).set_entries(Some(entries));
            let answer = call.send().await.map_err(|error| queue_trouble("send messages", &error))?;
            if let Some(failed) = answer.failed().first() {
                return Err(refused("a message of a batch was refused", failed.code()));
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
            let mut entries = Vec::with_capacity(batch.len());
            for (index, receipt) in batch.iter().enumerate() {
                let entry = DeleteMessageBatchRequestEntry::builder().id(index.to_string()).receipt_handle(receipt);
                entries.push(entry.build().map_err(|_| incomplete())?);
            }
            let call = self.client.delete_message_batch().queue_url(self.url(lane)).set_entries(Some(entries));
            // A receipt that is refused is stale: the message is somebody else's by now.
            call.send().await.map_err(|error| queue_trouble("delete messages", &error))?;
        }
        Ok(())
    }

    async fn hide(&self, lane: Lane, receipts: Vec<(String, Duration)>) -> StoreResult<()> {
        for batch in receipts.chunks(MOST_PER_CALL) {
            let mut entries = Vec::with_capacity(batch.len());
            for (index, (receipt, wait)) in batch.iter().enumerate() {
                let entry = ChangeMessageVisibilityBatchRequestEntry::builder()
                    .id(index.to_string())
                    .receipt_handle(receipt)
                    .visibility_timeout(seconds(*wait));
                entries.push(entry.build().map_err(|_| incomplete())?);
            }
            let call = self.client.change_message_visibility_batch().queue_url(self.url(lane));
            call.set_entries(Some(entries))
                .send()
                .await
                .map_err(|error| queue_trouble("change the visibility of messages", &error))?;
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

fn refused(what: &str, code: &str) -> StoreError {
    unavailable(QUEUE, format!("{what}: {code}"))
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
        receive_count: number(MessageSystemAttributeName::ApproximateReceiveCount)
            .and_then(|count| u32::try_from(count).ok())
            .unwrap_or(1),
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
