//! What operators and accidents do to a stack.

use std::net::TcpListener;

use serde_json::json;

use crate::support::{SOON, World};

/// Whether the consumer is handed messages.
pub(super) fn consume(world: &World, enabled: bool) {
    world.product.consume(enabled);
}

/// Sets or, with `None`, removes a variable of the function whose name is in the output `function`.
pub(super) fn set_variable(world: &World, function: &str, name: &str, value: Option<&str>) {
    world.product.stack().set_variable(function, name, value);
}

/// The address of somebody who takes connections and never answers, until the test's process ends.
pub(super) fn silent_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("its number");
    std::thread::spawn(move || listener.incoming().flatten().collect::<Vec<_>>());
    format!("http://{address}")
}

/// Puts a message on the live queue that the webhook did not put there. `version` is the attribute by which ours are known.
pub(super) fn put_on_queue(world: &World, body: &str, version: Option<u32>) {
    let attribute = |text: &str| json!({ "DataType": "String", "StringValue": text });
    let attributes = version.map(|version| {
        json!({ "v": attribute(&version.to_string()), "what": attribute("only the next version knows"),
            "scheme": attribute("hub"), "received": attribute("1784102400123456") })
    });
    let mut input = json!({ "QueueUrl": world.product.stack().output("LiveQueueUrl"), "MessageBody": body });
    if let Some(attributes) = attributes {
        input["MessageAttributes"] = attributes;
    }
    world.product.emulator().call("AmazonSQS.SendMessage", &input);
}

/// Waits for a line of the function's log that has all of these words.
pub(super) fn wait_for_line(world: &World, function: &str, words: &[&str]) -> String {
    tests::wait::until(&format!("{function} says {words:?}"), SOON, || {
        let lines = world.product.stack().logs(function);
        lines.into_iter().find(|line| words.iter().all(|word| line.contains(word)))
    })
}
