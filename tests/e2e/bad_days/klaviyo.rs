//! Klaviyo fails, and everything is there in the end, once.

use std::time::Duration;

use sandbox::{Fault, FaultKind, Matcher};
use serde_json::{Value, json};
use tests::wait::throughout;

use crate::product::EXACT_AT_EVERY_LOOK;
use crate::support::{PARKING, SOON, World};

fn api() -> Matcher {
    Matcher::path("/api/")
}

/// A conversation; the key of its event.
fn happens(world: &World, contact: &str) -> String {
    let id = world.sandbox.intercom().start_conversation(contact, "Where is my parcel?").expect("starts").id;
    format!("conversation-created:{id}")
}

#[test]
fn errors_and_cuts_are_retried_under_the_same_key() {
    let mut world = World::start();
    let ada = world.customer("Ada Byron");
    let mut keys = Vec::new();
    let kinds = [
        FaultKind::status(500),
        FaultKind::html(502),
        FaultKind::html(503),
        FaultKind::status(504),
        FaultKind::status(524),
        FaultKind::Before,
        FaultKind::After,
        FaultKind::Truncated,
        FaultKind::slow(Duration::from_secs(2)),
    ];
    for kind in kinds {
        world.sandbox.klaviyo().faults().push(Fault::times(api(), kind, 2));
        keys.push(happens(&world, &ada));
        world.wait_for_events(keys.len(), SOON);
        world.wait_until_quiet(SOON);
        world.sandbox.klaviyo().faults().clear();
    }
    keys.iter().for_each(|key| assert_eq!(world.event(key).unique_id, Some(world.key(key))));
    let discards = world.sandbox.klaviyo().discards();
    assert!(discards.repeated > 0, "what was cut after the work was sent again and folded by its unique_id");
    let status = world.status();
    assert_eq!((&status["delivered"], &status["dead"]), (&json!(keys.len()), &json!(0)), "{status}");
    world.finish();
}

#[test]
fn an_answer_that_never_comes_is_not_waited_for_for_ever() {
    let mut world = World::start();
    let (ada, bruno) = (world.customer("Ada Byron"), world.customer("Bruno Costa"));
    // The first request of a process goes alone; this is about the later ones.
    happens(&world, &ada);
    world.wait_for_events(1, SOON);
    world.sandbox.klaviyo().faults().push(Fault::times(api(), FaultKind::Hang, 1));
    let hangs = happens(&world, &ada);
    tests::wait::until("it hangs", SOON, || (world.sandbox.klaviyo().faults().struck() == 1).then_some(()));
    let other = happens(&world, &bruno);
    world.wait_for_events(2, Duration::from_secs(8));
    assert!(world.has_event(&other), "others are not held up");
    world.wait_for_events(3, SOON);
    assert!(world.has_event(&hangs));
    world.finish();
}

#[test]
fn an_outage_uses_up_no_attempts_and_is_not_hammered() {
    let mut world = World::start();
    let ada = world.customer("Ada Byron");
    world.sandbox.klaviyo().faults().push(Fault::forever(api(), FaultKind::html(503)));
    let keys: Vec<String> = (0..30).map(|_| happens(&world, &ada)).collect();
    world.wait_for("all are accepted", SOON, |status| status["accepted"] == 30);
    throughout("nothing is given up", Duration::from_secs(12), || world.count("dead") == 0);
    let asked = world.klaviyo_requests();
    assert!(asked < 60, "{asked} requests into an outage of twelve seconds");
    assert_eq!(world.count("in_flight"), 30);
    world.sandbox.klaviyo().faults().clear();
    world.wait_for_events(30, PARKING);
    let status = world.wait_until_quiet(SOON);
    assert_eq!(status["delivered"], 30, "{status}");
    keys.iter().for_each(|key| assert!(world.has_event(key)));
    world.finish();
}

/// Klaviyo refuses the key; later it works again.
fn refused_key(status_code: u16, on: Matcher) {
    let mut world = World::start();
    let ada = world.customer("Ada Byron");
    world.sandbox.klaviyo().faults().push(Fault::forever(on, FaultKind::status(status_code)));
    let key = happens(&world, &ada);
    let status = world.wait_for("delivery is stopped", SOON, |status| !status["blocked"].is_null());
    let blocked = &status["blocked"];
    assert_eq!(blocked["vendor"], "klaviyo", "{status}");
    let reason = blocked["reason"].as_str().expect("a reason");
    assert!(reason.contains(&status_code.to_string()) && reason.contains("KLAVIYO_API_KEY"), "{reason}");
    assert!(blocked["since"].is_string());
    (0..20).for_each(|_| drop(happens(&world, &ada)));
    world.wait_for("the webhook goes on", SOON, |status| status["accepted"] == 21);
    let before = world.klaviyo_requests();
    throughout("the queue is intact", Duration::from_secs(6), || {
        let status = world.status();
        status["in_flight"] == 21 && status["dead"] == 0 && !status["blocked"].is_null()
    });
    let probes = world.klaviyo_requests() - before;
    assert!((1..=6).contains(&probes), "one probe now and then, not {probes}");

    world.sandbox.klaviyo().faults().clear();
    world.wait_for_events(21, PARKING);
    let status = world.wait_until_quiet(SOON);
    assert_eq!((&status["blocked"], &status["delivered"]), (&Value::Null, &json!(21)), "{status}");
    assert!(world.has_event(&key));
    assert!(world.log().contains("KLAVIYO_API_KEY"), "the log says it too");
    world.finish();
}

#[test]
fn a_key_that_is_refused_stops_delivery_until_it_works() {
    refused_key(401, api());
}

#[test]
fn a_key_that_may_not_write_events_stops_delivery_until_it_may() {
    refused_key(403, Matcher::path("/api/event"));
}

#[test]
fn a_blocked_pipeline_probes_at_once_after_a_restart() {
    let mut world = World::start();
    // A function may be ended with the message still in its hands; its queue then gives it out again after a while.
    world.hasten();
    let at_once = if EXACT_AT_EVERY_LOOK { Duration::from_secs(10) } else { PARKING };
    let ada = world.customer("Ada Byron");
    world.sandbox.klaviyo().faults().push(Fault::forever(api(), FaultKind::status(401)));
    let key = happens(&world, &ada);
    world.wait_for("delivery is stopped", SOON, |status| !status["blocked"].is_null());
    world.sandbox.klaviyo().faults().clear();
    world.stop();
    world.run();
    world.wait_for_events(1, at_once);
    assert!(world.has_event(&key));
    world.finish();
}
