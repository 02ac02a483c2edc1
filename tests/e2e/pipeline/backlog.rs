//! Many events at once, and one among them that Klaviyo refuses.

use std::time::Duration;

use sandbox::klaviyo::Via;
use sandbox::{Fault, FaultKind, Matcher};
use serde_json::Value;

use crate::product::FEWER;
use crate::support::{HOOK, SOON, World, conversation};

const BACKLOG: usize = 1_500 / FEWER;

/// Makes a backlog: Klaviyo asks to wait, and meanwhile the webhooks come in.
fn pile_up(world: &mut World, first: usize, count: usize) {
    let names = ["Ada Byron", "Bruno Costa", "Chloe Durand", "Ivo Novak", "Petra Lind"];
    let contacts: Vec<String> = names.iter().map(|name| world.customer(name)).collect();
    world.sandbox.klaviyo().faults().push(Fault::times(Matcher::path("/api/"), FaultKind::throttled(6), 1));
    world.product.pile_up();
    let mut connection = world.connection();
    let started = world.now() - 600;
    for number in first..first + count {
        let contact = &contacts[number % contacts.len()];
        let body =
            world.notification("conversation.user.created", &conversation(&number.to_string(), contact, started));
        let signature = world.signature(&body);
        let answer = connection.send("POST", HOOK, &[("x-hub-signature", &signature)], &body).expect("it answers");
        assert_eq!(answer.status, 200);
    }
    world.product.gather();
}

#[test]
fn one_refused_event_in_a_backlog_takes_no_other_along() {
    let mut world = World::start();
    let culprit = (1_000_000 + BACKLOG / 2 - 37).to_string();
    let refusal = "Invalid input for Ivo Novak, ivo.novak@customers.sandbox-shop.co, +353861234567";
    world.sandbox.klaviyo().refuse_when("Conversation ID", culprit.as_str(), refusal);
    world.private("+353861234567");
    pile_up(&mut world, 1_000_000, BACKLOG);

    let status = world.wait_for_end(BACKLOG as u64, Duration::from_secs(90));
    assert_eq!((&status["delivered"], &status["dead"]), (&(BACKLOG - 1).into(), &1.into()), "{status}");
    assert_eq!(world.sandbox.klaviyo().event_count(), BACKLOG - 1);
    assert!(!world.has_event(&format!("conversation-created:{culprit}")));
    let in_bulk = world.sandbox.klaviyo().events().iter().filter(|event| event.via == Via::Bulk).count();
    assert!(in_bulk > BACKLOG * 9 / 10, "{in_bulk} came in bulk");
    assert!(world.klaviyo_requests() < 100, "{} requests", world.klaviyo_requests());

    let letters = world.api("GET", "/api/dead-letters").json();
    let letters = letters["items"].as_array().expect("a list");
    assert_eq!(letters.len(), 1, "{letters:?}");
    let text = |name: &str| letters[0][name].as_str().unwrap_or_else(|| panic!("no {name}"));
    let (id, reason) = (text("id"), text("reason"));
    assert_eq!(text("topic"), "conversation.user.created");
    assert!(text("at").ends_with('Z'));
    assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')), "{id}");
    assert!(reason.contains("400") && reason.contains("Invalid input"), "Klaviyo's own words: {reason}");
    for secret in ["Novak", "ivo.novak", "sandbox-shop", "1234"] {
        assert!(!reason.contains(secret), "{reason}");
    }

    // As long as the cause is there, a replay ends where it began; once it is gone, it delivers.
    let replay = format!("/api/dead-letters/{id}/replay");
    assert_eq!(world.api("POST", &replay).status, 200);
    world.wait_for("refused again", SOON, |status| status["dead"] == 1 && status["in_flight"] == 0);
    world.sandbox.klaviyo().refuse_nothing();
    let again = world.api("GET", "/api/dead-letters").json();
    let id = again["items"][0]["id"].as_str().expect("it is listed").to_owned();
    assert_eq!(world.api("POST", &format!("/api/dead-letters/{id}/replay")).status, 200);
    world.wait_for("delivered", SOON, |status| status["dead"] == 0 && status["delivered"] == BACKLOG);
    assert!(world.has_event(&format!("conversation-created:{culprit}")));
    assert_eq!(world.api("GET", "/api/dead-letters").json()["items"], Value::Array(Vec::new()));
    assert_eq!(world.sandbox.klaviyo().early_requests(), []);
    world.finish();
}

#[test]
fn a_discarded_letter_counts_as_skipped() {
    let mut world = World::start();
    world.sandbox.klaviyo().refuse_when("Conversation ID", "2000001", "No.");
    pile_up(&mut world, 2_000_000, 3);
    world.wait_for_end(3, SOON);
    let letters = world.api("GET", "/api/dead-letters").json();
    let id = letters["items"][0]["id"].as_str().expect("it is listed").to_owned();
    assert_eq!(world.api("POST", "/api/dead-letters/nobody/discard").status, 404);
    assert_eq!(world.api("POST", &format!("/api/dead-letters/{id}/discard")).status, 200);
    assert_eq!(world.api("POST", &format!("/api/dead-letters/{id}/replay")).status, 404, "it is gone for good");
    let status = world.status();
    assert_eq!((&status["dead"], &status["skipped"]["discarded"]), (&0.into(), &1.into()), "{status}");
    assert_eq!(status["delivered"], 2);
    world.finish();
}

#[test]
fn a_refusal_that_quotes_a_phone_number_as_people_write_it_does_not_tell_it() {
    let mut world = World::start();
    let number = "+353 86 123 45 67";
    world.private(number);
    world.sandbox.klaviyo().refuse_when("Conversation ID", "3000000", format!("The number {number} is not valid."));
    pile_up(&mut world, 3_000_000, 1);
    world.wait_for("it is refused", SOON, |status| status["dead"] == 1);
    let letters = world.api("GET", "/api/dead-letters").text();
    assert!(!letters.contains("123 45"), "{letters}");
    world.finish();
}
