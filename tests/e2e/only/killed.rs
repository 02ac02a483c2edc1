//! A consumer that is killed, and one that cannot record what it is given.

use std::time::Duration;

use sandbox::{Fault, FaultKind, Matcher};
use serde_json::json;
use tests::wait::{throughout, until};

use super::delivery::in_one_batch;
use super::levers::{consume, set_variable};
use crate::support::{PARKING, SOON, World, conversation};

/// Klaviyo has the events, the consumer dies before it hears so, and SQS hands the messages to another one.
#[test]
fn killed_after_klaviyo_took_the_events_a_consumer_sends_none_of_them_twice() {
    let mut world = World::start();
    let ada = world.customer("Ada Byron");
    world.hasten();
    let takes_it_and_says_nothing = || Fault::times(Matcher::path("/api/event"), FaultKind::HangAfter, 1);
    let (mut accepted, mut repeated) = (0, 0);
    // Two events go singly, twenty in bulk.
    for tickets in [1_u64, 10] {
        let before = world.sandbox.klaviyo().event_count();
        world.sandbox.klaviyo().faults().push(takes_it_and_says_nothing());
        let bodies: Vec<_> =
            (0..tickets).map(|n| submitted_and_resolved(&world, &ada, 500 + 100 * tickets + n)).collect();
        in_one_batch(&world, &bodies);
        accepted += tickets;
        let events = 2 * usize::try_from(tickets).expect("few");
        until("Klaviyo has taken some", SOON, || (world.sandbox.klaviyo().event_count() > before).then_some(()));
        world.kill();
        let taken = world.sandbox.klaviyo().event_count();
        throughout("nobody else has the messages yet", Duration::from_secs(3), || {
            world.sandbox.klaviyo().event_count() == taken
        });
        assert!(world.count("in_flight") > 0, "they are on the queue");
        world.wait_for("all are delivered", PARKING, |status| {
            status["delivered"] == accepted && status["in_flight"] == 0
        });
        let there: Vec<_> = world.sandbox.klaviyo().events().into_iter().map(|event| event.unique_id).collect();
        assert_eq!(there.len(), before + events, "each of them once: {there:?}, {}", world.status());
        let again = world.sandbox.klaviyo().discards().repeated;
        assert!(again > repeated, "what was taken was sent again, and folded by its unique_id");
        repeated = again;
    }
    let status = world.status();
    assert_eq!((&status["dead"], &status["skipped"]), (&json!(0), &json!({})), "{status}");
    world.finish();
}

/// One message of two events: a ticket's state was changed, and its whole story stands in it.
fn submitted_and_resolved(world: &World, contact: &str, number: u64) -> Vec<u8> {
    let at = world.now() - 60;
    let part = |id: String, from: &str, to: &str, at: i64| {
        json!({ "type": "ticket_part", "id": id, "part_type": "ticket_state_updated_by_admin", "ticket_state": to,
            "previous_ticket_state": from, "created_at": at })
    };
    let parts = [
        part(format!("{number}1"), "submitted", "submitted", at),
        part(format!("{number}2"), "submitted", "resolved", at + 30),
    ];
    let item = json!({
        "type": "ticket", "id": number.to_string(), "ticket_id": "5", "created_at": at, "category": "Customer",
        "ticket_state": { "category": "resolved" }, "contacts": { "contacts": [{ "type": "contact", "id": contact }] },
        "ticket_parts": { "type": "ticket_part.list", "total_count": 2, "ticket_parts": parts },
    });
    world.notification("ticket.state.updated", &item)
}

/// A consumer without its table cannot even record what it is given. What SQS has handed over too often then waits in the dead-letter
/// queue, and an operator moves it back.
#[test]
fn what_cannot_be_recorded_waits_in_the_dead_letter_queue_and_comes_back() {
    let mut world = World::start();
    let ada = world.customer("Ada Byron");
    let stack = world.product.stack();
    let table = stack.output("StateTableName").to_owned();
    set_variable(&world, "ConsumerFunctionName", "STATE_TABLE", Some("nobody"));
    stack.set_attribute("LiveQueueUrl", "VisibilityTimeout", "1");
    let mut redrive = stack.attribute("LiveQueueUrl", "RedrivePolicy");
    assert!(redrive.contains("1000"), "what the template says: {redrive}");
    redrive = redrive.replace("1000", "3");
    stack.set_attribute("LiveQueueUrl", "RedrivePolicy", &redrive);
    let item = conversation("61", &ada, world.now() - 60);
    assert_eq!(world.notify("conversation.user.created", &item).status, 200);
    until("it was handed over three times", SOON, || (stack.depth("DeadLetterQueueUrl") == [1, 0, 0]).then_some(()));
    assert_eq!(stack.depth("LiveQueueUrl"), [0, 0, 0]);

    // The table is there again. `aws sqs start-message-move-task` does this; the emulator does not know it.
    consume(&world, false);
    set_variable(&world, "ConsumerFunctionName", "STATE_TABLE", Some(&table));
    stack.set_attribute("LiveQueueUrl", "VisibilityTimeout", "360");
    consume(&world, true);
    assert_eq!(stack.redrive(), 1);
    world.wait_for_events(1, SOON);
    let status = world.wait_for_end(1, SOON);
    assert_eq!((&status["delivered"], &status["dead"]), (&json!(1), &json!(0)), "{status}");
    world.finish();
}
