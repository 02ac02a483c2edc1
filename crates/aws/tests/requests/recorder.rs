//! AWS as the SDK meets it, one request at a time: what was asked for is kept as text, and the answer is what was told, or what a
//! table and queues would say that believe everything. Conditions are recorded and not checked: the stand-ins in
//! `src/memory` do that.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::io::Read as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region, SharedCredentialsProvider};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// Clones share what they hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recorder(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    seen: String,
    requests: usize,
    told: VecDeque<(u16, Value)>,
    told_to: Option<(String, (u16, Value))>,
    items: BTreeMap<(String, String), Value>,
    messages: Vec<Value>,
    handed_out: u64,
}

impl Recorder {
    /// For the clients of all services. Three tries, as the SDK has it, with hardly a pause.
    pub(crate) fn config(&self) -> SdkConfig {
        let retry = RetryConfig::standard().with_initial_backoff(std::time::Duration::from_millis(1));
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new("eu-west-1"))
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new("id", "key", None, None, "test")))
            .retry_config(retry)
            .http_client(self.clone())
            .build()
    }

    /// The next answers, whatever is asked for.
    pub(crate) fn will_say(&self, answers: impl IntoIterator<Item = (u16, Value)>) {
        self.lock().told.extend(answers);
    }

    /// The answer to the next request for this operation.
    pub(crate) fn when(&self, operation: &str, answer: (u16, Value)) {
        self.lock().told_to = Some((operation.to_owned(), answer));
    }

    /// Everything that was asked for since the last look, as text.
    pub(crate) fn seen(&self) -> String {
        std::mem::take(&mut self.lock().seen)
    }

    /// How many requests there were.
    pub(crate) fn requests(&self) -> usize {
        self.lock().requests
    }

    /// Lets the log go on under a heading.
    pub(crate) fn heading(&self, text: &str) {
        let _ = writeln!(self.lock().seen, "## {text}\n");
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HttpClient for Recorder {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Recorder {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or("(no target)").to_owned();
        let body: Value = serde_json::from_slice(request.body().bytes().unwrap_or_default()).expect("JSON");
        let mut state = self.lock();
        let heading = format!("{} {} {target}", request.method(), request.uri());
        let shown = serde_json::to_string_pretty(&readable(body.clone())).expect("JSON");
        let _ = writeln!(state.seen, "{heading}\n{shown}\n");
        state.requests += 1;
        let operation = target.split('.').next_back().unwrap_or_default();
        let meant = state.told_to.take_if(|(meant, _)| meant == operation);
        let (status, answer) = match meant.map(|(_, answer)| answer).or_else(|| state.told.pop_front()) {
            Some(told) => told,
            None => (200, state.answer(operation, &body)),
        };
        let status = StatusCode::try_from(status).expect("a status");
        HttpConnectorFuture::ready(Ok(HttpResponse::new(status, SdkBody::from(answer.to_string()))))
    }
}

impl State {
    fn answer(&mut self, operation: &str, body: &Value) -> Value {
        match operation {
            "PutItem" => self.put(&body["Item"]),
            "DeleteItem" => self.delete(&body["Key"]),
            "TransactWriteItems" => {
                for part in body["TransactItems"].as_array().into_iter().flatten() {
                    self.put(&part["Put"]["Item"]);
                    self.delete(&part["Delete"]["Key"]);
                }
                json!({})
            }
            "GetItem" => match self.get(&body["Key"]) {
                Some(item) => json!({ "Item": item }),
                None => json!({}),
            },
            "BatchGetItem" => {
                let keys = body["RequestItems"]["state"]["Keys"].as_array().into_iter().flatten();
                let found: Vec<Value> = keys.filter_map(|key| self.get(key)).collect();
                json!({ "Responses": { "state": found } })
            }
            "Query" => self.query(body),
            "SendMessage" => self.send(body),
            "SendMessageBatch" => {
                for entry in body["Entries"].as_array().into_iter().flatten() {
                    self.send(entry);
                }
                json!({ "Successful": [], "Failed": [] })
            }
            "ReceiveMessage" => json!({ "Messages": std::mem::take(&mut self.messages) }),
            "GetQueueAttributes" => json!({ "Attributes": { "ApproximateNumberOfMessages": "2",
                "ApproximateNumberOfMessagesNotVisible": "3", "ApproximateNumberOfMessagesDelayed": "4" } }),
            "GetSecretValue" => json!({ "SecretString": r#"{"KLAVIYO_API_KEY":"pk_1"}"# }),
            _ => json!({ "Successful": [], "Failed": [] }),
        }
    }

    fn put(&mut self, item: &Value) -> Value {
        if let Some(key) = key(item) {
            self.items.insert(key, item.clone());
        }
        json!({})
    }

    fn delete(&mut self, item: &Value) -> Value {
        if let Some(key) = key(item) {
            self.items.remove(&key);
        }
        json!({})
    }

    fn get(&self, item: &Value) -> Option<Value> {
        self.items.get(&key(item)?).cloned()
    }

    fn query(&self, body: &Value) -> Value {
        let value = |name: &str| body["ExpressionAttributeValues"][name]["S"].as_str();
        let rule = body["KeyConditionExpression"].as_str().unwrap_or_default();
        let (from, to) = (value(":from").unwrap_or_default(), value(":to").unwrap_or("~~"));
        let within = |sk: &str| if rule.contains("sk < :from") { sk < from } else { sk > from && sk <= to };
        let of_partition = self.items.iter().filter(|((pk, _), _)| Some(pk.as_str()) == value(":pk"));
        let mut found: Vec<&Value> = of_partition.filter(|((_, sk), _)| within(sk)).map(|(_, item)| item).collect();
        if body["ScanIndexForward"] == false {
            found.reverse();
        }
        found.truncate(usize::try_from(body["Limit"].as_u64().unwrap_or(u64::MAX)).unwrap_or(usize::MAX));
        json!({ "Items": found })
    }

    fn send(&mut self, message: &Value) -> Value {
        self.handed_out += 1;
        let number = self.handed_out;
        self.messages.push(json!({
            "MessageId": format!("message-{number}"), "ReceiptHandle": format!("receipt-{number}"),
            "Body": message["MessageBody"], "MessageAttributes": message["MessageAttributes"],
            "Attributes": { "ApproximateReceiveCount": "1", "SentTimestamp": "1784102400000" },
        }));
        json!({ "MessageId": format!("message-{number}") })
    }
}

fn key(item: &Value) -> Option<(String, String)> {
    Some((item["pk"]["S"].as_str()?.to_owned(), item["sk"]["S"].as_str()?.to_owned()))
}

/// What the SDK made up is left out, and what was packed is unpacked.
fn readable(value: Value) -> Value {
    match value {
        Value::Object(object) => {
            let field = |(name, value): (String, Value)| match (name.as_str(), &value) {
                ("ClientRequestToken", _) => (name, "(the SDK's own)".into()),
                ("B", Value::String(text)) => match unpacked(text) {
                    Some(json) => ("B, deflated".to_owned(), json),
                    None => (name, value),
                },
                _ => (name, readable(value)),
            };
            Value::Object(object.into_iter().map(field).collect())
        }
        Value::Array(values) => Value::Array(values.into_iter().map(readable).collect()),
        other => other,
    }
}

fn unpacked(text: &str) -> Option<Value> {
    let packed = STANDARD.decode(text).ok()?;
    let mut json = Vec::new();
    flate2::read::DeflateDecoder::new(packed.as_slice()).read_to_end(&mut json).ok()?;
    serde_json::from_slice(&json).ok()
}
