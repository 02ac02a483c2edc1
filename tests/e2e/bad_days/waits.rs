//! Waits that Klaviyo tells are waited out, by everybody, also after a restart.

use std::time::Duration;

use jiff::Timestamp;
use sandbox::{Fault, FaultKind, Matcher, RecordedRequest};
use serde_json::{Value, json};
use tests::wait::throughout;

use crate::support::{SOON, World};

fn throttled(world: &World, seconds: u32) {
    world.sandbox.klaviyo().faults().push(Fault::times(Matcher::path("/api/"), FaultKind::throttled(seconds), 1));
}

/// Events requests, oldest first. Their time is that of the answer.
fn requests(world: &World) -> Vec<RecordedRequest> {
    let all = world.sandbox.klaviyo().request_bodies(1_000);
    all.into_iter().filter(|request| request.method == "POST").collect()
}

#[test]
fn nothing_is_sent_before_the_wait_is_over_and_then_one_goes_first() {
    const WAIT: u32 = 5;
    const SLOW: i64 = 1_500;
    let mut world = World::start();
    let ada = world.customer("Ada Byron");
    throttled(&world, WAIT);
    let start = |n: usize| world.sandbox.intercom().start_conversation(&ada, &format!("question {n}")).expect("starts");
    start(0);
    let status = world.wait_for("the wait is told", SOON, |status| !status["throttled_until"].is_null());
    assert_eq!(status["blocked"], Value::Null, "a limit is no refused key: {status}");
    // Every answer takes a while from now on, so that whoever goes second shows.
    let slow = FaultKind::slow(Duration::from_millis(SLOW.unsigned_abs()));
    world.sandbox.klaviyo().faults().push(Fault::forever(Matcher::path("/api/"), slow));
    (1..8).for_each(|n| drop(start(n)));
    let under_way = || world.sandbox.klaviyo().faults().struck() >= 2;
    tests::wait::until("the first one is under way", SOON, || under_way().then_some(()));
    (8..12).for_each(|n| drop(start(n)));
    world.wait_for_events(12, SOON);
    world.wait_until_quiet(SOON);

    let requests = requests(&world);
    let refused = requests.iter().position(|request| request.status == 429).expect("it was refused");
    let after = &requests[refused + 1..];
    let (told, probe, second) = (requests[refused].at_ms, after[0].at_ms, after[1].at_ms);
    assert!(probe - SLOW >= told + i64::from(WAIT) * 1_000, "asked again {} ms after the refusal", probe - SLOW - told);
    assert!(
        second - SLOW >= probe - 50,
        "the second left {} ms before the first was answered",
        probe - (second - SLOW)
    );
    assert_eq!(requests.iter().filter(|request| request.status == 429).count(), 1);
    assert_eq!(world.status()["throttled_until"], Value::Null);
    world.finish();
}

#[test]
fn an_hour_is_kept_over_a_restart_and_costs_no_attempts() {
    let mut world = World::start();
    let ada = world.customer("Ada Byron");
    throttled(&world, 3_600);
    let began = world.now();
    world.sandbox.intercom().start_conversation(&ada, "Where is my parcel?").expect("starts");
    let until = |world: &World| {
        let status = world.wait_for("the wait is told", SOON, |status| !status["throttled_until"].is_null());
        let until = status["throttled_until"].as_str().expect("a time").parse::<Timestamp>().expect("RFC 3339");
        until.as_second()
    };
    let told = until(&world);
    assert!((began + 3_590..=began + 3_660).contains(&told), "{}", told - began);
    (1..5).for_each(|n| drop(world.sandbox.intercom().start_conversation(&ada, &format!("{n}")).expect("starts")));
    world.wait_for("all are accepted", SOON, |status| status["accepted"] == 5);
    assert_eq!(world.klaviyo_requests(), 1);
    let quiet = |world: &World| {
        throughout("nothing is sent and nothing given up", Duration::from_secs(4), || {
            world.klaviyo_requests() == 1 && world.count("dead") == 0 && world.count("in_flight") >= 5
        });
    };
    quiet(&world);
    for kill in [true, false] {
        if kill {
            world.kill()
        } else {
            world.stop()
        }
        world.run();
        assert!((told - 2..=told + 2).contains(&until(&world)), "the told wait is kept with the state");
        world.sandbox.intercom().start_conversation(&ada, "one more").expect("starts");
        quiet(&world);
    }
    assert_eq!(world.wait_for("all are in flight", SOON, |status| status["in_flight"] == 7)["dead"], json!(0));
    world.finish();
}

#[test]
fn refusals_that_go_on_use_up_no_attempts() {
    let mut world = World::start();
    let ada = world.customer("Ada Byron");
    // More refusals than an event has attempts.
    world.sandbox.klaviyo().faults().push(Fault::times(Matcher::path("/api/"), FaultKind::throttled(1), 14));
    world.sandbox.intercom().start_conversation(&ada, "Where is my parcel?").expect("starts");
    world.wait_for_events(1, Duration::from_secs(60));
    let status = world.wait_until_quiet(SOON);
    assert_eq!((&status["delivered"], &status["dead"]), (&json!(1), &json!(0)), "{status}");
    world.finish();
}
