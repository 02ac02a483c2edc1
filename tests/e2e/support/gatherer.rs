//! Lambda's event source as AWS has it, in place of the emulator's: it gathers up to a thousand messages for one call.
//! (<https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html>)

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tests::emulator::{Caller, Stack};

/// As the template has it.
const BATCH: usize = 1_000;

/// Polls until it is dropped.
pub(crate) struct Gatherer(Arc<AtomicBool>);

struct Source {
    caller: Caller,
    queue: String,
    arn: String,
    function: String,
}

impl Gatherer {
    /// From the live queue to the consumer. The emulator's own event source has to be off.
    pub(crate) fn start(stack: &Stack<'_>) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&ended);
        let source = Source {
            caller: stack.caller(),
            queue: stack.output("LiveQueueUrl").to_owned(),
            arn: stack.attribute("LiveQueueUrl", "QueueArn"),
            function: stack.output("ConsumerFunctionName").to_owned(),
        };
        std::thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                if source.hand_over().is_none() {
                    std::thread::sleep(Duration::from_millis(500));
                }
            }
        });
        Self(ended)
    }
}

impl Drop for Gatherer {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Source {
    /// One batch: what is there, up to the limit. What the function does not report as failed is deleted; nothing is when it fails.
    fn hand_over(&self) -> Option<()> {
        let mut records = Vec::new();
        while records.len() < BATCH {
            let taken = self.take()?;
            if taken.is_empty() {
                break;
            }
            records.extend(taken);
        }
        if records.is_empty() {
            return None;
        }
        let path = format!("/2015-03-31/functions/{}/invocations", self.function);
        let answer = self.caller.post(&path, &json!({ "Records": records }))?;
        let failed: Vec<&Value> =
            answer["batchItemFailures"].as_array()?.iter().map(|one| &one["itemIdentifier"]).collect();
        let done: Vec<&Value> = records.iter().filter(|record| !failed.contains(&&record["messageId"])).collect();
        for ten in done.chunks(10) {
            let entry = |(id, record): (usize, &&Value)| json!({ "Id": id.to_string(), "ReceiptHandle": record["receiptHandle"] });
            let entries: Vec<Value> = ten.iter().enumerate().map(entry).collect();
            self.caller.call("AmazonSQS.DeleteMessageBatch", &json!({ "QueueUrl": self.queue, "Entries": entries }))?;
        }
        Some(())
    }

    fn take(&self) -> Option<Vec<Value>> {
        let input = json!({
            "QueueUrl": self.queue, "MaxNumberOfMessages": 10, "MessageAttributeNames": ["All"],
            "MessageSystemAttributeNames": ["All"],
        });
        let taken = self.caller.call("AmazonSQS.ReceiveMessage", &input)?;
        Some(taken["Messages"].as_array().into_iter().flatten().map(|message| self.record(message)).collect())
    }

    /// As Lambda hands it over, with names that begin with small letters.
    fn record(&self, message: &Value) -> Value {
        let attribute = |value: &Value| json!({ "stringValue": value["StringValue"], "dataType": value["DataType"] });
        let attributes = message["MessageAttributes"].as_object().into_iter().flatten();
        let attributes: serde_json::Map<String, Value> =
            attributes.map(|(name, value)| (name.clone(), attribute(value))).collect();
        json!({
            "messageId": message["MessageId"], "receiptHandle": message["ReceiptHandle"], "body": message["Body"],
            "attributes": message["Attributes"], "messageAttributes": attributes, "md5OfBody": message["MD5OfBody"],
            "eventSource": "aws:sqs", "eventSourceARN": self.arn, "awsRegion": "us-east-1",
        })
    }
}
