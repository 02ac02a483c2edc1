//! Every role has exactly what its function needs. Every scenario of the stack runs under these policies, and what they do not grant is
//! refused; here everything is used that they do grant.

use std::collections::{BTreeMap, BTreeSet};

use sandbox::{Fault, FaultKind, Matcher};
use tests::emulator::Permission;
use tests::wait::until;

use crate::support::{PARKING, SOON, World};

const A_DAY: i64 = 24 * 3600;

#[test]
fn nothing_is_granted_that_is_not_used() {
    let mut world = World::vendors();
    world.set("SETTINGS", "reconcile_interval_seconds = 10");
    world.hasten();
    world.run();
    let ada = world.customer("Ada Byron");
    the_past_is_imported_and_one_of_it_refused(&world, &ada);
    waits_and_dead_letters(&world, &ada);
    a_webhook_is_lost(&world, &ada);
    people_become_known(&mut world, &ada);
    // Chores come when they are due, so the ticks have some time.
    let mut left = BTreeMap::new();
    let used = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        until("all is used", PARKING, || {
            left = unused(&world);
            left.is_empty().then_some(())
        });
    }));
    assert!(used.is_ok(), "granted, and never used: {left:#?}");
    world.wait_for("nothing waits", PARKING, |status| status["in_flight"] == 0);
    world.finish();
}

/// A history that waits, is planned, started, paused, resumed, verified, and done once more.
fn the_past_is_imported_and_one_of_it_refused(world: &World, contact: &str) {
    let intercom = world.sandbox.intercom();
    intercom.clear_webhook();
    let earlier = intercom.at(world.now() - 3 * A_DAY);
    let ids = ["one", "two", "three"].map(|text| earlier.start_conversation(contact, text).expect("starts").id);
    for id in &ids[1..] {
        world.sandbox.klaviyo().refuse_when("Conversation ID", id.as_str(), "That conversation is not welcome.");
    }
    throttle(world);
    world.announce();
    assert_eq!(world.api("GET", "/api/history/plan").status, 200);
    import(world, "start");
    assert_eq!(world.sandbox.klaviyo().event_count(), 1);
    // Before another import forgets the items that these leave open.
    world.sandbox.klaviyo().refuse_nothing();
    let letters = letters(world);
    assert_eq!(letters.len(), 2, "{letters:?}");
    judge(world, &letters[0], "replay");
    judge(world, &letters[1], "discard");
    world.wait_for_events(2, SOON);
    import(world, "restart");
    assert_eq!(world.api("GET", "/api/history/verify").status, 200);
}

fn import(world: &World, action: &str) {
    assert_eq!(world.api("POST", &format!("/api/history/{action}")).status, 200, "{action}");
    // It may be done before.
    for action in ["pause", "resume"] {
        assert!(matches!(world.api("POST", &format!("/api/history/{action}")).status, 200 | 409), "{action}");
    }
    world.wait_for("it is done", PARKING, |status| status["history"]["state"] == "done");
}

/// Reconcile puts on the live queue what the webhook never brought.
fn a_webhook_is_lost(world: &World, contact: &str) {
    let intercom = world.sandbox.intercom();
    intercom.clear_webhook();
    let lost = intercom.start_conversation(contact, "five").expect("starts").id;
    until("reconcile finds it", PARKING, || world.has_event(&format!("conversation-created:{lost}")).then_some(()));
    world.announce();
}

fn waits_and_dead_letters(world: &World, contact: &str) {
    let intercom = world.sandbox.intercom();
    throttle(world);
    world.sandbox.klaviyo().refuse_when("Conversation ID", "71", "That conversation is not welcome.");
    let told = |id: &str| {
        world.notify("conversation.user.created", &crate::support::conversation(id, contact, world.now() - 60))
    };
    assert_eq!(told("71").status, 200);
    assert_eq!(told("72").status, 200);
    world.wait_for("one is dead", SOON, |status| status["dead"] == 1 && status["in_flight"] == 0);
    judge(world, &letters(world)[0], "replay");
    world.wait_for("it is dead again", SOON, |status| status["dead"] == 1 && status["in_flight"] == 0);
    judge(world, &letters(world)[0], "discard");
    world.sandbox.klaviyo().refuse_nothing();
    assert_eq!(world.api("GET", "/api/events/recent").status, 200);
    drop(intercom.start_conversation(contact, "four").expect("starts"));
    world.wait_for_events(4, SOON);
    world.wait_for("nothing waits", SOON, |status| status["in_flight"] == 0);
}

/// The consumer puts back what waits for a contact of which it is told; a merge names the survivor only, so that is left to a tick.
fn people_become_known(world: &mut World, survivor: &str) {
    world.private("late@customers.sandbox-shop.co");
    let intercom = world.sandbox.intercom().clone();
    let (late, merged) = (intercom.add_lead(), intercom.add_lead());
    for lead in [&late, &merged] {
        intercom.start_conversation(lead, "Do you ship to Norway?").expect("starts");
    }
    // Reconcile finds them again and again as long as nobody knows whose they are, so the queue is not quiet.
    world.wait_for("both are parked", PARKING, |status| status["parked"] == 2);
    intercom.set_email(&late, "late@customers.sandbox-shop.co").expect("becomes known");
    intercom.merge_contacts(&merged, survivor).expect("merges");
    world.wait_for("both are released", PARKING, |status| status["parked"] == 0);
}

fn throttle(world: &World) {
    world.sandbox.klaviyo().faults().push(Fault::times(Matcher::path("/api/event"), FaultKind::throttled(2), 1));
}

/// The ids of the dead letters, the newest first.
fn letters(world: &World) -> Vec<String> {
    let items = world.api("GET", "/api/dead-letters").json();
    let items = items["items"].as_array().expect("a list").clone();
    items.iter().map(|letter| letter["id"].as_str().expect("an id").to_owned()).collect()
}

fn judge(world: &World, letter: &str, sentence: &str) {
    let answer = world.api("POST", &format!("/api/dead-letters/{letter}/{sentence}"));
    assert_eq!(answer.status, 200, "{sentence}: {}", answer.text());
}

/// What is granted to each function, and neither called by it nor by AWS in its name.
fn unused(world: &World) -> BTreeMap<String, BTreeSet<Permission>> {
    let (stack, witness) = (world.product.stack(), world.product.emulator().witness());
    let used = witness.used();
    let mut left = stack.granted();
    for (function, permissions) in &mut left {
        let consumer = function == stack.output("ConsumerFunctionName");
        permissions
            .retain(|one| !used.get(function).is_some_and(|used| used.contains(one)) && !by_aws(&one.0, consumer));
    }
    left.retain(|_, permissions| !permissions.is_empty());
    left
}

/// Lambda writes the log of a function, and its event source takes from the queues, in the name of the function's role:
/// <https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html>.
fn by_aws(action: &str, consumer: bool) -> bool {
    let polled = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"];
    action.starts_with("logs:") || (consumer && polled.contains(&action))
}
