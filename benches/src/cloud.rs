//! Lambda's runtime API, SQS, DynamoDB and Secrets Manager, as far as the consumer meets them: one table in memory, and counts of
//! what it costs.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::StatusCode;
use serde_json::{Map, Value, json as value};
use tokio::sync::Notify;

use crate::http::{Answer, Call, function_environment, invocation, json, secret, serve};

/// What the function asked of AWS.
#[derive(Clone, Debug, Default)]
pub struct Costs {
    /// Calls of the table and of the queues by operation.
    pub calls: BTreeMap<String, u64>,
    /// Bytes of the requests to the table.
    pub table_sent: u64,
    /// Bytes of its answers.
    pub table_received: u64,
    /// Write units: each kilobyte of an item that is written.
    pub write_units: u64,
}

/// An invocation's times.
#[derive(Clone, Copy, Debug)]
pub struct Invocation {
    /// From being handed out to the answer.
    pub took: Duration,
    /// Messages that the function wants to stay on the queue.
    pub failures: usize,
}

#[derive(Default)]
struct State {
    events: VecDeque<Bytes>,
    handed_out: Option<Instant>,
    done: Vec<Invocation>,
    costs: Costs,
    failures: Vec<String>,
    table: BTreeMap<(String, String), Map<String, Value>>,
}

/// Serves until the process ends.
#[derive(Clone)]
pub struct Cloud {
    /// Where.
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
    wake: Arc<Notify>,
}

impl Cloud {
    /// Starts it; `latency` is what table and queues take to answer.
    ///
    /// # Errors
    /// When no port can be bound.
    pub fn start(latency: Duration) -> std::io::Result<Self> {
        let (state, wake) = (Arc::new(Mutex::new(State::default())), Arc::new(Notify::new()));
        let (shared, waking) = (Arc::clone(&state), Arc::clone(&wake));
        let address = serve(move |call| answer(latency, Arc::clone(&shared), Arc::clone(&waking), call))?;
        Ok(Self { address, state, wake })
    }

    /// The environment of a function that delivers.
    pub fn environment(&self, intercom: &str, klaviyo: &str) -> Vec<(&'static str, String)> {
        let mut variables = function_environment(self.address);
        variables.push(("HISTORY_QUEUE_URL", "http://queue.test/000000000000/history".to_owned()));
        variables.push(("STATE_TABLE", "state".to_owned()));
        variables.push(("INTERCOM_API_URL", intercom.to_owned()));
        variables.push(("KLAVIYO_API_URL", klaviyo.to_owned()));
        variables
    }

    /// Hands out events, one after the other, and waits until the last one is answered.
    ///
    /// # Errors
    /// When the function reports a failure or is not done in time.
    pub fn invoke(&self, events: Vec<Bytes>, patience: Duration) -> anyhow::Result<Vec<Invocation>> {
        let wanted = events.len();
        {
            let mut state = lock(&self.state);
            state.done.clear();
            state.events.extend(events);
        }
        self.wake.notify_one();
        let started = Instant::now();
        loop {
            std::thread::sleep(Duration::from_millis(2));
            let state = lock(&self.state);
            anyhow::ensure!(state.failures.is_empty(), "the function failed: {:?}", state.failures);
            if state.done.len() == wanted {
                return Ok(state.done.clone());
            }
            anyhow::ensure!(started.elapsed() < patience, "the function is too slow: {} of {wanted}", state.done.len());
        }
    }

    /// What was asked since the last time.
    pub fn costs(&self) -> Costs {
        std::mem::take(&mut lock(&self.state).costs)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn answer(latency: Duration, state: Arc<Mutex<State>>, wake: Arc<Notify>, call: Call) -> Answer {
    let arrived = Instant::now();
    let Some(operation) = call.operation().map(str::to_owned) else {
        return runtime(&state, &wake, &call, arrived).await;
    };
    if operation == "GetSecretValue" {
        return secret();
    }
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    let request: Value = serde_json::from_slice(&call.body).unwrap_or_default();
    let mut state = lock(&state);
    *state.costs.calls.entry(operation.clone()).or_default() += 1;
    let is_table = call.headers.get("x-amz-target").is_some_and(|target| target.as_bytes().starts_with(b"DynamoDB"));
    let answer = if is_table { state.table_call(&operation, &request) } else { queue_call(&operation, &request) };
    let Some((status, body)) = answer else {
        state.failures.push(format!("it called {operation}"));
        return json(StatusCode::BAD_REQUEST, "{}");
    };
    let body = body.to_string();
    if is_table {
        state.costs.table_sent += call.body.len() as u64;
        state.costs.table_received += body.len() as u64;
    }
    json(status, body)
}

async fn runtime(state: &Mutex<State>, wake: &Notify, call: &Call, arrived: Instant) -> Answer {
    if call.path.ends_with("/next") {
        loop {
            {
                let mut state = lock(state);
                if let Some(event) = state.events.pop_front() {
                    state.handed_out = Some(Instant::now());
                    return invocation(event);
                }
            }
            wake.notified().await;
        }
    }
    let mut state = lock(state);
    if call.path.ends_with("/response") {
        let response: Value = serde_json::from_slice(&call.body).unwrap_or_default();
        let failures = response["batchItemFailures"].as_array().map_or(0, Vec::len);
        let took = state.handed_out.map(|at| arrived - at).unwrap_or_default();
        state.done.push(Invocation { took, failures });
    } else {
        let text = String::from_utf8_lossy(&call.body).into_owned();
        state.failures.push(format!("{}: {text}", call.path));
    }
    json(StatusCode::ACCEPTED, "{}")
}

fn queue_call(operation: &str, request: &Value) -> Option<(StatusCode, Value)> {
    let ids: Vec<Value> =
        request["Entries"].as_array().into_iter().flatten().map(|entry| value!({ "Id": entry["Id"] })).collect();
    let body = match operation {
        "DeleteMessageBatch" | "ChangeMessageVisibilityBatch" => value!({ "Successful": ids, "Failed": [] }),
        "GetQueueAttributes" => value!({ "Attributes": {
            "ApproximateNumberOfMessages": "0", "ApproximateNumberOfMessagesNotVisible": "0",
            "ApproximateNumberOfMessagesDelayed": "0",
        } }),
        _ => return None,
    };
    Some((StatusCode::OK, body))
}

impl State {
    /// The operations of the adapter, in the few forms in which it uses them.
    fn table_call(&mut self, operation: &str, request: &Value) -> Option<(StatusCode, Value)> {
        match operation {
            "GetItem" => {
                let item = self.table.get(&place(&request["Key"])?);
                Some((StatusCode::OK, item.map_or(value!({}), |item| value!({ "Item": item }))))
            }
            "BatchGetItem" => {
                let keys = request["RequestItems"]["state"]["Keys"].as_array()?;
                let items: Vec<_> = keys.iter().filter_map(|key| self.table.get(&place(key)?)).collect();
                Some((StatusCode::OK, value!({ "Responses": { "state": items }, "UnprocessedKeys": {} })))
            }
            "PutItem" | "DeleteItem" => Some(match self.write(request)? {
                None => (StatusCode::OK, value!({})),
                Some(there) => {
                    let kind = "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException";
                    (StatusCode::BAD_REQUEST, value!({ "__type": kind, "message": "no", "Item": there }))
                }
            }),
            "TransactWriteItems" => {
                for part in request["TransactItems"].as_array()? {
                    self.write(part.get("Put").or(part.get("Delete"))?)?;
                }
                Some((StatusCode::OK, value!({})))
            }
            "Query" => {
                let pk = request["ExpressionAttributeValues"][":pk"]["S"].as_str()?;
                let from = (pk.to_owned(), String::new());
                let rows = self.table.range(from..).take_while(|((partition, _), _)| partition == pk);
                let limit = usize::try_from(request["Limit"].as_u64()?).ok()?;
                let items: Vec<_> = rows.map(|(_, item)| item).take(limit).collect();
                Some((StatusCode::OK, value!({ "Items": items, "Count": items.len() })))
            }
            _ => None,
        }
    }

    /// Gives what was there where the condition did not hold.
    fn write(&mut self, request: &Value) -> Option<Option<Value>> {
        let (item, key) = (request["Item"].as_object(), request.get("Key"));
        let place = place(item.map_or_else(|| key.cloned(), |item| Some(Value::Object(item.clone()))).as_ref()?)?;
        let there = self.table.get(&place);
        if !holds(request, there) {
            return Some(Some(there.map_or(Value::Null, |there| Value::Object(there.clone()))));
        }
        let written = item.or(there).map_or(0, size);
        self.costs.write_units += written.div_ceil(1_024).max(1);
        match item {
            Some(item) => drop(self.table.insert(place, item.clone())),
            None => drop(self.table.remove(&place)),
        }
        Some(None)
    }
}

fn place(key: &Value) -> Option<(String, String)> {
    Some((key["pk"]["S"].as_str()?.to_owned(), key["sk"]["S"].as_str()?.to_owned()))
}

/// The conditions that the adapter writes: alternatives of terms that all hold.
fn holds(request: &Value, there: Option<&Map<String, Value>>) -> bool {
    let Some(condition) = request["ConditionExpression"].as_str() else { return true };
    let attribute = |name: &str| {
        let name = request["ExpressionAttributeNames"][name].as_str().unwrap_or(name);
        there.and_then(|item| item.get(name))
    };
    let term = |term: &str| {
        if let Some(name) = term.strip_prefix("attribute_not_exists(").and_then(|rest| rest.strip_suffix(')')) {
            return attribute(name).is_none();
        }
        if let Some(name) = term.strip_prefix("attribute_exists(").and_then(|rest| rest.strip_suffix(')')) {
            return attribute(name).is_some();
        }
        let mut words = term.split(' ');
        let (name, operator, other) = (words.next(), words.next(), words.next());
        let (Some(left), Some(other)) = (name.and_then(attribute), other) else { return false };
        let right = &request["ExpressionAttributeValues"][other];
        let number = |value: &Value| value["N"].as_str().and_then(|text| text.parse::<i64>().ok());
        match operator {
            Some("=") => left == right,
            Some("<") => number(left) < number(right),
            _ => false,
        }
    };
    condition.split(" OR ").any(|all| all.split(" AND ").all(term))
}

/// As DynamoDB counts it: names and values.
fn size(item: &Map<String, Value>) -> u64 {
    let value = |value: &Value| match (value["S"].as_str(), value["N"].as_str(), value["B"].as_str()) {
        (Some(text), _, _) => text.len(),
        (_, Some(number), _) => number.len().div_ceil(2) + 1,
        (_, _, Some(base64)) => base64.len() / 4 * 3,
        _ => 1,
    };
    item.iter().map(|(name, content)| (name.len() + value(content)) as u64).sum()
}

/// A batch as Lambda's event source hands it over.
pub fn batch(bodies: &[Bytes], first: usize, queue: &str, scheme: &str) -> Bytes {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let text = |text: &str| value!({ "stringValue": text, "stringListValues": [], "binaryListValues": [], "dataType": "String" });
    let records: Vec<Value> = bodies
        .iter()
        .enumerate()
        .map(|(index, body)| {
            let number = first + index;
            value!({
                "messageId": format!("19dd0b57-b21e-4ac1-bd88-{number:012}"),
                "receiptHandle": format!("{}{number:012}", "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a".repeat(8)),
                "body": String::from_utf8_lossy(body),
                "attributes": {
                    "ApproximateReceiveCount": "1", "SentTimestamp": now.as_millis().to_string(),
                    "SenderId": "AIDAIENQZJOLO23YVJ4VO", "ApproximateFirstReceiveTimestamp": now.as_millis().to_string(),
                },
                "messageAttributes": {
                    "v": text("1"), "scheme": text(scheme), "received": text(&now.as_micros().to_string()),
                    "encoding": text("text"),
                },
                "md5OfBody": "098f6bcd4621d373cade4e832627b4f6", "eventSource": "aws:sqs",
                "eventSourceARN": format!("arn:aws:sqs:eu-west-1:000000000000:{queue}"), "awsRegion": "eu-west-1",
            })
        })
        .collect();
    Bytes::from(value!({ "Records": records }).to_string())
}

/// Sums of several costs, per event.
pub fn calls_of(costs: &Costs, operations: &[&str]) -> u64 {
    let table: HashMap<&str, u64> = costs.calls.iter().map(|(name, count)| (name.as_str(), *count)).collect();
    operations.iter().filter_map(|name| table.get(name)).sum()
}
