//! Intercom's API fails: nothing is lost, and Klaviyo hears everything once it works.

use std::time::Duration;

use sandbox::{Fault, FaultKind, Matcher};
use serde_json::{Value, json};
use tests::wait::throughout;

use crate::support::{PARKING, SOON, World};

fn happens(world: &World, contact: &str) -> String {
    let id = world.sandbox.intercom().start_conversation(contact, "Where is my parcel?").expect("starts").id;
    format!("conversation-created:{id}")
}

fn calls(world: &World) -> u64 {
    world.sandbox.intercom().requests().iter().map(|count| count.count).sum()
}

#[test]
fn errors_cuts_and_nonsense_are_retried() {
    let mut world = World::start();
    let kinds = [
        FaultKind::status(500),
        FaultKind::html(502),
        FaultKind::html(503),
        FaultKind::Before,
        FaultKind::After,
        FaultKind::Truncated,
        FaultKind::EmptyBody,
    ];
    let count = kinds.len();
    for (index, kind) in kinds.into_iter().enumerate() {
        // A contact that is not in the cache.
        let contact = world.customer(&format!("Customer Nr{index:04}"));
        world.sandbox.intercom().faults().push(Fault::times(Matcher::path("/contacts/"), kind, 2));
        happens(&world, &contact);
        world.wait_for_events(index + 1, SOON);
        world.sandbox.intercom().faults().clear();
    }
    let status = world.wait_until_quiet(SOON);
    assert_eq!((&status["delivered"], &status["dead"]), (&json!(count), &json!(0)), "{status}");
    world.finish();
}

#[test]
fn its_limit_is_waited_out() {
    let mut world = World::start();
    let contact = world.customer("Ada Byron");
    let reset = world.now() + 5;
    let headers = [("x-ratelimit-limit", 1_667), ("x-ratelimit-remaining", 0), ("x-ratelimit-reset", reset)];
    let kind = FaultKind::Status {
        status: 429,
        body: r#"{"type":"error.list","errors":[{"code":"rate_limit_exceeded"}]}"#.to_owned(),
        headers: headers.map(|(name, value)| (name.to_owned(), value.to_string())).to_vec(),
    };
    world.sandbox.intercom().faults().push(Fault::times(Matcher::path("/contacts/"), kind, 1));
    let key = happens(&world, &contact);
    world.wait_for("the wait is told", SOON, |status| !status["throttled_until"].is_null());
    let asked = calls(&world);
    while world.now() < reset {
        assert_eq!(calls(&world), asked, "nothing is asked before the reset");
        std::thread::sleep(Duration::from_millis(20));
    }
    world.wait_for_events(1, SOON);
    assert!(world.has_event(&key));
    world.finish();
}

#[test]
fn a_small_limit_is_obeyed_while_many_new_contacts_come() {
    let mut world = World::start();
    world.sandbox.intercom().set_rate_limit(20);
    let contacts: Vec<String> = (0..60).map(|n| world.customer(&format!("Customer Nr{n:04}"))).collect();
    contacts.iter().for_each(|contact| drop(happens(&world, contact)));
    world.wait_for_events(60, PARKING);
    let refused = world.sandbox.intercom().refused();
    assert!(refused <= 20, "{refused} of about 65 calls were refused");
    let status = world.wait_until_quiet(SOON);
    assert_eq!((&status["delivered"], &status["dead"]), (&json!(60), &json!(0)), "{status}");
    world.finish();
}

#[test]
fn a_contact_that_hangs_is_asked_for_again() {
    let mut world = World::start();
    let contact = world.customer("Ada Byron");
    world.sandbox.intercom().faults().push(Fault::times(Matcher::path("/contacts/"), FaultKind::Hang, 1));
    let key = happens(&world, &contact);
    world.wait_for_events(1, PARKING);
    assert!(world.has_event(&key));
    world.finish();
}

/// Intercom refuses the token on some paths; later it works again.
fn refused_token(status_code: u16, on: Matcher, from_the_start: bool) {
    let mut world = World::vendors();
    let contact = world.customer("Ada Byron");
    let fault = Fault::forever(on, FaultKind::status(status_code));
    if from_the_start {
        world.sandbox.intercom().faults().push(fault);
        world.run();
    } else {
        world.run();
        let other = world.customer("Bruno Costa");
        happens(&world, &other);
        world.wait_for_events(1, SOON);
        // It leaves the queue a moment after it is there.
        world.wait_until_quiet(SOON);
        world.sandbox.intercom().faults().push(fault);
    }
    let before = world.sandbox.klaviyo().event_count();
    let key = happens(&world, &contact);
    let status = world.wait_for("delivery is stopped", SOON, |status| !status["blocked"].is_null());
    assert_eq!(status["blocked"]["vendor"], "intercom", "{status}");
    let reason = status["blocked"]["reason"].as_str().expect("a reason");
    assert!(reason.contains(&status_code.to_string()) && reason.contains("INTERCOM_ACCESS_TOKEN"), "{reason}");
    (0..10).for_each(|_| drop(happens(&world, &contact)));
    world.wait_until_notified(SOON);
    let asked = calls(&world);
    throughout("the queue is intact", Duration::from_secs(5), || {
        let status = world.status();
        status["in_flight"] == 11 && status["dead"] == 0 && !status["blocked"].is_null()
    });
    let probes = calls(&world) - asked;
    assert!(probes <= 6, "one probe now and then, not {probes}");
    world.sandbox.intercom().faults().clear();
    world.wait_for_events(before + 11, PARKING);
    assert!(world.has_event(&key));
    assert_eq!(world.wait_until_quiet(SOON)["blocked"], Value::Null);
    world.finish();
}

#[test]
fn a_token_that_is_refused_stops_delivery_until_it_works() {
    refused_token(401, Matcher::any(), false);
}

#[test]
fn a_token_that_is_refused_from_the_start_loses_nothing() {
    refused_token(401, Matcher::any(), true);
}

#[test]
fn a_token_that_may_not_read_contacts_stops_delivery_until_it_may() {
    refused_token(403, Matcher::path("/contacts/"), false);
}

#[test]
fn names_that_may_not_be_read_are_done_without() {
    let mut world = World::vendors();
    let contact = world.customer("Ada Byron");
    for path in ["/admins", "/teams", "/tags"] {
        world.sandbox.intercom().faults().push(Fault::forever(Matcher::path(path), FaultKind::status(403)));
    }
    world.run();
    let intercom = world.sandbox.intercom();
    let id = intercom.start_conversation(&contact, "Where is my parcel?").expect("starts").id;
    intercom.admin_replies(&id, "Let me look.").expect("replies");
    let replied = intercom.contact_replies(&id, "Thanks").expect("replies");
    world.wait_for_events(2, SOON);
    let event = world.event(&format!("conversation-replied:{}", crate::support::part(&replied)));
    assert!(!event.properties.contains_key("Assigned Admin Name"), "{:?}", event.properties);
    assert_eq!(world.status()["blocked"], Value::Null);
    world.finish();
}
