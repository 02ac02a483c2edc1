//! Stands between the functions and AWS: knows which function calls what, and refuses what its role does not grant.
//!
//! The emulator's own enforcement asks for an action that AWS does not have (`sqs:ChangeMessageVisibilityBatch`) and cannot say
//! afterwards what was used. Here a policy is what the template's are: a list of actions on single resources.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use super::REGION;
use crate::http::Answer;
use crate::proxy;

/// An action, and the ARN of what it is done to.
pub type Permission = (String, String);

/// The emulator's only account.
const ACCOUNT: &str = "000000000000";

/// What every function called, and what it may call.
#[derive(Debug)]
pub struct Witness {
    address: String,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Debug, Default)]
struct Seen {
    granted: BTreeMap<String, BTreeSet<Permission>>,
    used: BTreeMap<String, BTreeSet<Permission>>,
    refused: Vec<String>,
}

impl Witness {
    /// In front of the emulator at `emulator`; a function calls `http://{address}/{its name}`. Nothing is refused yet.
    pub(super) fn start(emulator: &str) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (emulator, watched) = (emulator.to_owned(), Arc::clone(&seen));
        let address = proxy::serve(move |request| {
            let (function, rest) = request.path[1..].split_once('/').unwrap_or((&request.path[1..], ""));
            let called = permissions(request.header("x-amz-target").unwrap_or_default(), &request.body);
            if let Some(refused) = watch(&mut lock(&watched), function, called) {
                return Ok(denied(&refused));
            }
            request.pass_on(&emulator, &emulator, &format!("/{rest}"))
        });
        Self { address, seen }
    }

    /// `host:port`.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// From now on each of these functions may do what is listed for it, and no more.
    pub fn enforce(&self, granted: BTreeMap<String, BTreeSet<Permission>>) {
        lock(&self.seen).granted = granted;
    }

    /// What each function has called.
    pub fn used(&self) -> BTreeMap<String, BTreeSet<Permission>> {
        lock(&self.seen).used.clone()
    }

    /// Calls that were refused.
    pub fn refused(&self) -> Vec<String> {
        lock(&self.seen).refused.clone()
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Notes what is called, and gives what is not allowed of it. What no policy of the stack names is not there: the emulator says so
/// better than a refusal would.
fn watch(seen: &mut Seen, function: &str, called: Vec<Permission>) -> Option<String> {
    let known: BTreeSet<&String> = seen.granted.values().flatten().map(|(_, resource)| resource).collect();
    let granted = seen.granted.get(function);
    let wrong = |one: &&Permission| {
        granted.is_some_and(|granted| known.contains(&one.1) && !granted.contains(*one)) || one.1.is_empty()
    };
    let refused = called.iter().find(wrong).map(|(action, resource)| format!("{function}: {action} on {resource:?}"));
    seen.refused.extend(refused.clone());
    seen.used.entry(function.to_owned()).or_default().extend(called);
    refused
}

/// What a request needs, by the documentation of each service
/// (<https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html>).
fn permissions(target: &str, body: &[u8]) -> Vec<Permission> {
    let input: Value = serde_json::from_slice(body).unwrap_or_default();
    let (service, operation) = target.split_once('.').unwrap_or((target, ""));
    let text = |name: &str| input[name].as_str().unwrap_or_default().to_owned();
    match service {
        // A batch needs what one message needs.
        "AmazonSQS" => vec![(format!("sqs:{}", operation.trim_end_matches("Batch")), queue(&text("QueueUrl")))],
        "DynamoDB_20120810" => tables(operation, &input),
        "secretsmanager" => vec![(format!("secretsmanager:{operation}"), text("SecretId"))],
        _ => vec![(target.to_owned(), String::new())],
    }
}

fn tables(operation: &str, input: &Value) -> Vec<Permission> {
    let on = |action: &str, name: &Value| (format!("dynamodb:{action}"), table(name.as_str().unwrap_or_default()));
    match operation {
        "BatchGetItem" => {
            let names = input["RequestItems"].as_object().into_iter().flatten();
            names.map(|(name, _)| (format!("dynamodb:{operation}"), table(name))).collect()
        }
        // A transaction needs what each of its parts needs, and nothing of its own.
        "TransactWriteItems" => {
            let items = input["TransactItems"].as_array().into_iter().flatten();
            let parts = items.flat_map(|item| item.as_object().into_iter().flatten());
            let action = |kind: &str| match kind {
                "ConditionCheck" => "ConditionCheckItem".to_owned(),
                other => format!("{other}Item"),
            };
            parts.map(|(kind, part)| on(&action(kind), &part["TableName"])).collect()
        }
        other => vec![on(other, &input["TableName"])],
    }
}

fn table(name: &str) -> String {
    if name.is_empty() { String::new() } else { format!("arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{name}") }
}

fn queue(url: &str) -> String {
    let name = url.rsplit('/').next().unwrap_or_default();
    if name.is_empty() { String::new() } else { format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{name}") }
}

fn denied(what: &str) -> Answer {
    let body =
        json!({"__type": "com.amazon.coral.service#AccessDeniedException", "message": format!("not granted: {what}")});
    let headers = vec![("content-type".to_owned(), "application/x-amz-json-1.0".to_owned())];
    Answer { status: 400, headers, body: body.to_string().into_bytes() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(action: &str, resource: &str) -> Permission {
        (action.to_owned(), resource.to_owned())
    }

    #[test]
    fn a_call_is_known_by_what_it_does_to_what() {
        let needs = |target: &str, input: Value| permissions(target, input.to_string().as_bytes());
        let live = "arn:aws:sqs:us-east-1:000000000000:live";
        let url = json!({"QueueUrl": "http://127.0.0.1:1/000000000000/live"});
        assert_eq!(needs("AmazonSQS.SendMessageBatch", url), [on("sqs:SendMessage", live)]);
        let table = "arn:aws:dynamodb:us-east-1:000000000000:table/state";
        let several = json!({"RequestItems": {"state": {}}});
        assert_eq!(needs("DynamoDB_20120810.BatchGetItem", several), [on("dynamodb:BatchGetItem", table)]);
        let one = json!({"TableName": "state"});
        assert_eq!(needs("DynamoDB_20120810.Query", one.clone()), [on("dynamodb:Query", table)]);
        let parts = json!({"TransactItems": [{"Put": one}, {"ConditionCheck": one}]});
        let wanted = [on("dynamodb:PutItem", table), on("dynamodb:ConditionCheckItem", table)];
        assert_eq!(needs("DynamoDB_20120810.TransactWriteItems", parts), wanted);
        let secret = json!({"SecretId": "arn:s"});
        assert_eq!(needs("secretsmanager.GetSecretValue", secret), [on("secretsmanager:GetSecretValue", "arn:s")]);
    }

    #[test]
    fn what_is_granted_to_another_function_is_refused_and_noted() {
        let mut seen = Seen::default();
        seen.granted.insert("webhook".to_owned(), BTreeSet::from([on("sqs:SendMessage", "live")]));
        seen.granted.insert("consumer".to_owned(), BTreeSet::from([on("sqs:ReceiveMessage", "live")]));
        assert_eq!(watch(&mut seen, "webhook", vec![on("sqs:SendMessage", "live")]), None);
        assert!(watch(&mut seen, "webhook", vec![on("sqs:ReceiveMessage", "live")]).is_some());
        assert_eq!(watch(&mut seen, "webhook", vec![on("sqs:SendMessage", "not there")]), None);
        assert!(watch(&mut seen, "webhook", vec![on("Kinesis.PutRecord", "")]).is_some(), "of no known service");
        assert_eq!((seen.refused.len(), seen.used["webhook"].len()), (2, 4));
    }
}
