//! The import of the past and reconcile, against the sandbox.

use std::time::Duration;

use sandbox::SeedSpec;
use sandbox::scenario::{ExpectedEvent, HistoryOptions, expected_history};
use sandbox::{Fault, FaultKind, Matcher, Times};
use serde_json::Value;

use crate::product::FEWER;
use crate::support::{PARKING, PREFIX, SOON, World};

/// A debug build on a busy machine reads and sends some hundred items in this time.
const IMPORT: Duration = Duration::from_secs(180);

fn seeded(conversations: usize, tickets: usize) -> World {
    let mut world = World::vendors();
    world.hasten();
    let (conversations, tickets) = (conversations / FEWER, tickets / FEWER);
    let contacts = (conversations / 3).max(20);
    world.sandbox.intercom().seed_history(&SeedSpec { conversations, tickets, contacts, ..SeedSpec::default() });
    world
}

fn expected(world: &World) -> Vec<ExpectedEvent> {
    expected_history(world.sandbox.intercom(), &HistoryOptions::default())
}

fn steer(world: &World, action: &str, status: u16) -> Value {
    let answer = world.api("POST", &format!("/api/history/{action}"));
    assert_eq!(answer.status, status, "{action}: {}", answer.text());
    answer.json()
}

fn is_done(status: &Value) -> bool {
    status["history"]["state"] == "done"
}

fn check_numbers(status: &Value) {
    for stream in status["history"]["streams"].as_array().expect("a list") {
        assert_eq!((&stream["done"], &stream["percent"]), (&stream["total"], &100.0.into()), "{stream}");
        assert_eq!(
            (&stream["dead"], &stream["parked"], &stream["note"]),
            (&0.into(), &0.into(), &Value::Null),
            "{stream}"
        );
    }
}

#[test]
fn the_past_is_imported_completely_and_once() {
    let mut world = seeded(400, 120);
    world.run();
    let expected = expected(&world);
    let plan = world.execute(&["history", "plan", "--json", "--url", &format!("http://{}", world.product.console())]);
    assert_eq!(plan.code, Some(0), "{}", plan.stderr);
    let plan: Value = serde_json::from_str(&plan.stdout).expect("JSON");
    let planned = plan["events"].as_u64().expect("a number") as f64;
    assert!((0.6..1.6).contains(&(planned / expected.len() as f64)), "{plan} for {} events", expected.len());
    assert_eq!(world.sandbox.klaviyo().event_count(), 0, "nothing starts by itself");
    assert_eq!(steer(&world, "start", 200)["state"], "running");
    steer(&world, "start", 409);
    let status = world.wait_for("the import is done", IMPORT, is_done);
    check_numbers(&status);
    world.holds_exactly(&expected, PREFIX, SOON);
    let events = world.sandbox.klaviyo().events();
    assert!(events.iter().all(|event| event.backfill), "every one of them is marked as history");
    let sent: u64 = status["history"]["streams"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|s| s["events"].as_u64().unwrap_or(0))
        .sum();
    assert_eq!(sent, expected.len() as u64, "{status}");
    assert_eq!((&status["accepted"], &status["delivered"]), (&0.into(), &0.into()), "the six know nothing of it");
    let url = format!("http://{}", world.product.console());
    let verify = world.execute(&["history", "verify", "--url", &url]);
    assert_eq!(verify.code, Some(0), "{}{}", verify.stdout, verify.stderr);
    assert!(verify.stdout.contains("complete: nothing missing"), "{}", verify.stdout);

    let requests = world.klaviyo_requests();
    steer(&world, "restart", 200);
    let status = world.wait_for("the second import is done", IMPORT, is_done);
    check_numbers(&status);
    assert_eq!(world.klaviyo_requests(), requests, "a second import sends nothing");
    world.finish();
}

#[test]
fn killed_twenty_times_during_one_import_beside_live_traffic() {
    let mut world = seeded(300, 100);
    let ada = world.customer("Ada Byron");
    let past = expected(&world);
    for (path, seed) in [("/conversations/search", 1), ("/tickets/search", 2), ("/contacts/search", 3)] {
        for (kind, share) in [
            (FaultKind::status(504), 0.1),
            (FaultKind::After, 0.05),
            (FaultKind::slow(Duration::from_millis(200)), 0.4),
        ] {
            let times = Times::Probability { share, seed };
            world.sandbox.intercom().faults().push(Fault { on: Matcher::path(path), kind, times });
        }
    }
    for (kind, share) in [(FaultKind::After, 0.1), (FaultKind::Before, 0.05), (FaultKind::status(500), 0.05)] {
        let times = Times::Probability { share, seed: 9 };
        world.sandbox.klaviyo().faults().push(Fault { on: Matcher::path("/api/"), kind, times });
    }
    let mut all = past;
    world.run();
    steer(&world, "start", 200);
    for round in 0..20u64 {
        for _ in 0..3 {
            let started = world.sandbox.intercom().start_conversation(&ada, "Where is my parcel?").expect("starts");
            let key = world.key(&format!("conversation-created:{}", started.id));
            let email = Some("ada.byron@customers.sandbox-shop.co".to_owned());
            all.push(ExpectedEvent {
                metric: "Created Conversation".to_owned(),
                key,
                time: started.at,
                email,
                phone: None,
            });
        }
        world.wait_until_notified(SOON);
        std::thread::sleep(Duration::from_millis(100 + round * 37 % 400));
        world.kill();
        world.run();
    }
    world.sandbox.klaviyo().faults().clear();
    world.sandbox.intercom().faults().clear();
    let status = world.wait_for("the import is done", IMPORT, is_done);
    check_numbers(&status);
    world.holds_exactly(&all, PREFIX, PARKING);
    world.finish();
}

#[test]
fn a_pause_outlives_a_restart_of_the_process() {
    let mut world = seeded(150, 40);
    world.run();
    steer(&world, "pause", 409);
    steer(&world, "resume", 409);
    steer(&world, "start", 200);
    assert_eq!(steer(&world, "pause", 200)["state"], "paused");
    world.kill();
    world.run();
    std::thread::sleep(Duration::from_secs(2));
    let before = world.sandbox.klaviyo().event_count();
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(world.sandbox.klaviyo().event_count(), before, "nothing is sent");
    assert_eq!(world.status()["history"]["state"], "paused");
    steer(&world, "resume", 200);
    world.wait_for("the import is done", IMPORT, is_done);
    world.holds_exactly(&expected(&world), PREFIX, SOON);
    world.finish();
}

#[test]
fn tickets_outside_of_the_plan_are_left_out_and_a_revoked_token_stops_the_import() {
    let mut world = seeded(60, 20);
    world.sandbox.intercom().faults().push(Fault::forever(Matcher::path("/tickets/search"), FaultKind::status(403)));
    world.run();
    steer(&world, "start", 200);
    let status = world.wait_for("the import is done", IMPORT, is_done);
    assert!(status["history"]["streams"][1]["note"].as_str().is_some_and(|note| note.contains("plan")), "{status}");
    world.sandbox.intercom().faults().clear();
    world.sandbox.intercom().faults().push(Fault::forever(Matcher::any(), FaultKind::status(401)));
    steer(&world, "restart", 200);
    let status = world.wait_for("the import fails", SOON, |status| status["history"]["state"] == "failed");
    assert!(
        status["history"]["error"].as_str().is_some_and(|error| error.contains("INTERCOM_ACCESS_TOKEN")),
        "{status}"
    );
    world.sandbox.intercom().faults().clear();
    steer(&world, "resume", 200);
    world.wait_for("the import is done", IMPORT, is_done);
    world.holds_exactly(&expected(&world), PREFIX, SOON);
    world.finish();
}

#[test]
fn reconcile_brings_what_the_webhook_lost() {
    let mut world = World::start_with(&[("SETTINGS", "reconcile_interval_seconds = 1")]);
    world.hasten();
    let ada = world.customer("Ada Byron");
    world.sandbox.intercom().clear_webhook();
    let lost = world.sandbox.intercom().start_conversation(&ada, "Where is my parcel?").expect("starts").id;
    let ticket = world.sandbox.intercom().create_ticket(&ada, "Order problem", "Wrong size").expect("is made").id;
    world.wait_for_events(3, SOON);
    assert!(
        world.has_event(&format!("conversation-created:{lost}"))
            && world.has_event(&format!("ticket-created:{ticket}"))
    );
    assert!(world.sandbox.klaviyo().events().iter().all(|event| !event.backfill), "they are live events");
    let requests = world.klaviyo_requests();
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(world.klaviyo_requests(), requests, "nothing is missing, so Klaviyo is not asked");
    let status = world.status();
    assert_eq!(status["accepted"], 0, "{status}");
    // Two ticks at once may both find it; what the one sends is a duplicate to the other.
    let (sent, again) = (&status["reconcile"]["delivered"], &status["reconcile"]["skipped"]["duplicate"]);
    assert_eq!(sent.as_u64().unwrap_or(0) + again.as_u64().unwrap_or(0), 3, "{status}");
    assert!(again.is_null() || !crate::product::EXACT_AT_EVERY_LOOK, "one machine looks once: {status}");
    world.finish();
}
