//! Strange messages, and parts of the stack that are not there.

use std::time::{Duration, Instant};

use serde_json::json;
use tests::wait::until;

use super::levers::{put_on_queue, set_variable, silent_server, wait_for_line};
use crate::support::{PARKING, SOON, World, conversation};

/// Longest that Intercom is kept waiting.
const THREE_SECONDS: Duration = Duration::from_secs(3);

#[test]
fn strange_messages_and_a_missing_queue_are_said_and_lose_nothing() {
    let mut world = World::start();
    let ada = world.customer("Ada Byron");
    messages_that_are_not_ours(&world);
    any_payload_is_a_tick(&world, &ada);
    the_queue_is_not_available(&world);
    world.finish_without_books();
}

#[test]
fn missing_keys_and_a_missing_table_are_named() {
    let world = World::start();
    a_secret_lacks_keys(&world);
    the_table_is_gone(&world);
    world.finish_without_books();
}

fn messages_that_are_not_ours(world: &World) {
    put_on_queue(world, "{}", Some(2));
    put_on_queue(world, "Hello from the test", None);
    // The books know it before the queue does.
    world.wait_for("one is dead, the newer version's message waits for that version", SOON, |status| {
        status["dead"] == 1 && status["in_flight"] == 1
    });
    let letters = world.api("GET", "/api/dead-letters").json();
    let reason = letters["items"][0]["reason"].as_str().expect("a reason");
    assert!(reason.contains("was not put on the queue by the webhook"), "{reason}");
    assert_eq!(world.product.stack().depth("DeadLetterQueueUrl"), [0, 0, 0]);
}

/// A merge names the survivor only, so the parked event of the other contact is left to the sweep of a tick.
fn any_payload_is_a_tick(world: &World, survivor: &str) {
    let intercom = world.sandbox.intercom();
    let lead = intercom.add_lead();
    let id = intercom.start_conversation(&lead, "Do you ship to Norway?").expect("starts").id;
    world.wait_for("it is parked", PARKING, |status| status["parked"] == 1);
    intercom.merge_contacts(&lead, survivor).expect("merges");
    let stack = world.product.stack();
    let payloads = [json!(null), json!({}), json!([1, "two"]), json!("three"), json!({ "source": "aws.scheduler" })];
    let mut payloads = payloads.iter().cycle();
    let mut ticks = 0;
    until("ticks release it", PARKING, || {
        let payload = payloads.next().expect("for ever");
        assert_eq!(stack.invoke("BackfillFunctionName", payload), Ok(json!(null)), "{payload}");
        ticks += 1;
        (ticks >= 5 && world.has_event(&format!("conversation-created:{id}"))).then_some(())
    });
    // The message of the newer version stays on the queue; the books are exact once it is alone there.
    world.wait_for("it has left the parked ones", SOON, |status| status["parked"] == 0 && status["in_flight"] == 1);
}

fn the_queue_is_not_available(world: &World) {
    let body = world.notification("conversation.user.created", &conversation("51", "6f00", world.now() - 60));
    let accepted = world.count("accepted");
    set_variable(world, "WebhookFunctionName", "AWS_ENDPOINT_URL_SQS", Some(&silent_server()));
    for _ in 0..2 {
        let begun = Instant::now();
        let answer = world.post(&body);
        let took = begun.elapsed();
        assert_eq!(answer.status, 503, "{}", answer.text());
        assert!(took > Duration::from_secs(1), "it was tried: {took:?}");
        assert!(took < THREE_SECONDS, "503 within three seconds, not {took:?}");
    }
    set_variable(world, "WebhookFunctionName", "AWS_ENDPOINT_URL_SQS", None);
    wait_for_line(world, "webhook", &["queue", "answered 503"]);
    assert_eq!(world.count("accepted"), accepted, "nothing half-written");
    set_variable(world, "WebhookFunctionName", "LIVE_QUEUE_URL", Some("http://127.0.0.1/000000000000/nobody"));
    let begun = Instant::now();
    assert_eq!(world.post(&body).status, 503);
    assert!(begun.elapsed() < THREE_SECONDS);
    wait_for_line(world, "webhook", &["there is no queue at this URL; check LIVE_QUEUE_URL"]);
    let url = world.product.stack().output("LiveQueueUrl").to_owned();
    set_variable(world, "WebhookFunctionName", "LIVE_QUEUE_URL", Some(&url));
    assert_eq!(world.post(&body).status, 200, "and all is well again");
}

/// Functions that start anew read what the secret holds by then.
fn a_secret_lacks_keys(world: &World) {
    let body = world.notification("conversation.user.created", &conversation("52", "6f00", world.now() - 60));
    world.product.put_secret_without(&["INTERCOM_CLIENT_SECRET", "CONSOLE_TOKEN", "KLAVIYO_API_KEY"]);
    world.product.emulator().kill_functions();
    assert_eq!(world.post(&body).status, 503);
    wait_for_line(world, "webhook", &["INTERCOM_CLIENT_SECRET is neither a key of the secret", "answering 503"]);
    assert_eq!(world.api("GET", "/api/status").status, 502, "a console without a token does not start");
    // Its log says so in one sentence; the emulator keeps nothing that a function writes before its first answer.
    let tick = world.product.stack().invoke("BackfillFunctionName", &json!({}));
    assert!(tick.expect_err("no keys").to_string().contains("KLAVIYO_API_KEY is neither a key of the secret"));
    world.product.put_secret_without(&[]);
    world.product.emulator().kill_functions();
    assert_eq!(world.post(&body).status, 200);
    assert_eq!(world.api("GET", "/api/status").status, 200);
}

fn the_table_is_gone(world: &World) {
    let table = world.product.stack().output("StateTableName").to_owned();
    world.product.emulator().call("DynamoDB_20120810.DeleteTable", &json!({ "TableName": table }));
    let body = world.notification("conversation.user.created", &conversation("53", "6f00", world.now() - 60));
    assert_eq!(world.post(&body).status, 200, "the webhook needs no table");
    let sentence = format!("there is no table {table}; check STATE_TABLE");
    wait_for_line(world, "consumer", &[&sentence]);
    let stack = world.product.stack();
    assert!(stack.depth("LiveQueueUrl").iter().sum::<u64>() > 0, "it waits on the queue");
    assert_eq!(stack.depth("DeadLetterQueueUrl"), [0, 0, 0]);
    assert!(world.api("GET", "/api/status").status >= 500);
    wait_for_line(world, "console", &[&sentence]);
}
