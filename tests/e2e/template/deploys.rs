//! The template deploys as it is, and what it wires together is connected. The functions are stand-ins that only
//! echo: what the real ones do is tested elsewhere.

use std::time::Duration;

use serde_json::{Value, json};
use tests::emulator::{Deploy, Emulator, Request, Stack};
use tests::wait;

use super::echo;

const LIMIT: Duration = Duration::from_secs(20);

fn get(stack: &Stack<'_>, url: &str, request: Request<'_>) -> Value {
    let answer = stack.send(url, request);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

#[test]
fn the_stack_deploys_and_its_parts_are_connected() {
    let emulator = Emulator::start();
    let binaries = emulator.scratch().join("binaries");
    echo::functions(&binaries);
    let secret = emulator.create_secret("keys", &json!({"CONSOLE_TOKEN": "t"}));
    let parameters = [("SecretArn", secret.as_str())];
    let what = Deploy { stack: "shop", parameters: &parameters, binaries: &binaries };
    let stack = emulator.deploy(what);
    assert_eq!(stack.outputs().len(), 9);

    urls_reach_their_functions(&stack, &secret);
    both_queues_reach_the_consumer(&emulator, &stack);
    let said = stack.invoke("BackfillFunctionName", &json!({"any": "payload"})).expect("the function answers");
    assert_eq!(said["event"], json!({"any": "payload"}));

    // An update of one parameter reaches the functions and keeps every address.
    let parameters = [("SecretArn", secret.as_str()), ("Settings", r#"{"metric_prefix":""}"#)];
    let again = emulator.deploy(Deploy { parameters: &parameters, ..what });
    assert_eq!(again.outputs(), stack.outputs());
    let said = get(&again, "WebhookUrl", Request { method: "GET", path: "/", headers: &[], body: b"" });
    assert_eq!(said["environment"]["SETTINGS"], r#"{"metric_prefix":""}"#);
}

fn urls_reach_their_functions(stack: &Stack<'_>, secret: &str) {
    let text = [("content-type", "application/json"), ("x-hub-signature", "sha1=00")];
    let said = get(stack, "WebhookUrl", Request { method: "POST", path: "/a", headers: &text, body: b"{}" });
    assert_eq!(said["event"]["rawPath"], "/a");
    assert_eq!(said["event"]["body"], "{}");
    assert_eq!(said["event"]["headers"]["x-hub-signature"], "sha1=00");
    assert_eq!(said["environment"]["SECRET_ARN"], secret);
    assert_eq!(said["environment"]["SETTINGS"], Value::Null, "blank would be refused");
    let bytes = [("content-type", "application/octet-stream")];
    let said = get(stack, "WebhookUrl", Request { method: "POST", path: "/", headers: &bytes, body: &[0, 255] });
    assert_eq!((&said["event"]["isBase64Encoded"], &said["event"]["body"]), (&json!(true), &json!("AP8=")));
    let said = get(stack, "ConsoleUrl", Request { method: "GET", path: "/", headers: &[], body: b"" });
    assert_eq!(said["environment"]["STATE_TABLE"], stack.output("StateTableName"));
}

/// What fails stays, hidden for the queue's visibility, and what does not goes.
fn both_queues_reach_the_consumer(emulator: &Emulator, stack: &Stack<'_>) {
    for (queue, body) in [("LiveQueueUrl", "fine"), ("LiveQueueUrl", "fails"), ("HistoryQueueUrl", "old")] {
        let input = json!({"QueueUrl": stack.output(queue), "MessageBody": body});
        emulator.call("AmazonSQS.SendMessage", &input);
    }
    wait::until("what does not fail is gone", LIMIT, || {
        let left = (stack.depth("LiveQueueUrl"), stack.depth("HistoryQueueUrl"));
        (left == ([0, 1, 0], [0, 0, 0])).then_some(())
    });
    let lines = wait::until("the consumer's log", LIMIT, || {
        let lines = stack.logs("consumer").join("\n");
        ["fine", "fails", "old"].iter().all(|body| lines.contains(&format!("took {body}"))).then_some(lines)
    });
    assert!(lines.contains("HistoryQueue") && lines.contains("LiveQueue"), "{lines}");
    assert_eq!(stack.depth("DeadLetterQueueUrl"), [0, 0, 0]);
}
