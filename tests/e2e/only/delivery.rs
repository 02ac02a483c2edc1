//! Batches of which a part fails.

use std::time::Duration;

use serde_json::json;
use tests::wait::until;

use super::answers::{dead_letter, the_console_is_closed};
use super::levers::consume;
use crate::support::{SOON, World, conversation};

/// Posts these while nobody consumes, so that they come as one batch.
pub(super) fn in_one_batch(world: &World, bodies: &[Vec<u8>]) {
    consume(world, false);
    // A poll that was on its way when it was switched off ends first.
    std::thread::sleep(Duration::from_secs(2));
    for body in bodies {
        assert_eq!(world.post(body).status, 200);
    }
    let stack = world.product.stack();
    let count = bodies.len() as u64;
    until("all are on the queue", SOON, || (stack.depth("LiveQueueUrl") == [count, 0, 0]).then_some(()));
    consume(world, true);
}

#[test]
fn a_poison_message_in_a_batch_of_ten_dies_alone_and_lives_again_without_its_cause() {
    let mut world = World::start();
    let ada = world.customer("Ada Byron");
    world.sandbox.klaviyo().refuse_when("Conversation ID", "1004", "That conversation is not welcome.");
    let body = |number: u32| {
        let item = conversation(&number.to_string(), &ada, world.now() - 60);
        world.notification("conversation.user.created", &item)
    };
    in_one_batch(&world, &(1_000..1_010).map(body).collect::<Vec<_>>());
    let status = world.wait_for("nine are delivered, one is dead", SOON, |status| {
        status["delivered"] == 9 && status["dead"] == 1 && status["in_flight"] == 0
    });
    assert_eq!(world.sandbox.klaviyo().event_count(), 9, "{status}");
    assert!(!world.has_event("conversation-created:1004"));

    let letter = dead_letter(&world);
    let id = letter["id"].as_str().expect("an id");
    assert_eq!(letter["topic"], "conversation.user.created");
    assert!(letter["reason"].as_str().is_some_and(|reason| reason.contains("not welcome")), "{letter}");
    the_console_is_closed(&world, id);
    assert_eq!(world.count("dead"), 1, "nobody without the token has touched it");
    world.sandbox.klaviyo().refuse_nothing();
    assert_eq!(world.api("POST", &format!("/api/dead-letters/{id}/replay")).status, 200);
    world.wait_for_events(10, SOON);
    assert!(world.has_event("conversation-created:1004"));
    let status = world.wait_for_end(10, SOON);
    assert_eq!((&status["delivered"], &status["dead"]), (&json!(10), &json!(0)), "{status}");

    assert_eq!(world.post(b"Hello from the test").status, 200);
    world.wait_for("it is dead", SOON, |status| status["dead"] == 1);
    let id = dead_letter(&world)["id"].as_str().expect("an id").to_owned();
    assert_eq!(world.api("POST", &format!("/api/dead-letters/{id}/discard")).status, 200);
    let status = world.wait_for_end(11, SOON);
    assert_eq!((&status["dead"], &status["delivered"]), (&json!(0), &json!(10)), "{status}");
    world.finish();
}
