//! A person who asked to be forgotten is: here, and on request in Klaviyo.

use serde_json::{Value, json};

use super::json_of;
use crate::support::{PARKING, SOON, World, conversation};

#[test]
fn a_person_is_forgotten_and_nobody_else() {
    let mut world = World::start();
    let (ada, bo) = (world.customer("Ada Byron"), world.customer("Bo Byron"));
    world.sandbox.klaviyo().refuse_when("Conversation ID", "1", "No.");
    world.sandbox.klaviyo().refuse_when("Conversation ID", "2", "No.");
    for (id, contact) in [("1", &ada), ("2", &bo), ("3", &ada), ("4", &bo)] {
        let item = conversation(id, contact, world.now() - 60);
        assert_eq!(world.notify("conversation.user.created", &item).status, 200);
    }
    world.wait_for("two are dead", SOON, |status| status["dead"] == 2 && status["in_flight"] == 0);
    assert_eq!(world.sandbox.klaviyo().profiles().len(), 2);

    let unasked = world.execute(&["forget", "--contact", &ada]);
    assert_eq!(unasked.code, Some(2), "nobody is there to be asked: {}", unasked.stderr);
    let email = "ADA.byron@customers.sandbox-shop.co";
    world.private(email);
    let forgotten = world.execute(&["forget", "--email", email, "--klaviyo", "--yes", "--json"]);
    assert_eq!(forgotten.code, Some(0), "{}", forgotten.stderr);
    let report = json_of(&forgotten);
    assert_eq!((&report["dead_letters"], &report["klaviyo_deletions"]), (&json!(1), &json!(1)), "{report}");
    assert_eq!(report["contacts"], json!([ada]), "{report}");
    assert!(report["recent_events"].as_u64() >= Some(2) && report["cached_contacts"] == 1, "{report}");
    assert!(report["notes"][0].as_str().is_some_and(|note| note.contains("Intercom")), "{report}");

    let status = world.status();
    assert_eq!((&status["dead"], &status["skipped"]["forgotten"]), (&json!(1), &json!(1)), "{status}");
    let left: Vec<Option<String>> =
        world.sandbox.klaviyo().profiles().into_iter().map(|profile| profile.email).collect();
    assert_eq!(left, [Some("bo.byron@customers.sandbox-shop.co".to_owned())]);
    let events = world.api("GET", "/api/events/recent?limit=100").text();
    assert!(!events.contains(&ada) && events.contains(&bo), "{events}");
    let again = json_of(&world.execute(&["forget", "--email", email, "--yes", "--json"]));
    assert_eq!(again["dead_letters"], json!(0), "{again}");
    world.finish();
}

#[test]
fn whoever_is_parked_is_forgotten_by_the_contact() {
    let mut world = World::start();
    let intercom = world.sandbox.intercom();
    let (one, other) = (intercom.add_lead(), intercom.add_lead());
    for lead in [&one, &other] {
        intercom.start_conversation(lead, "Do you ship to Norway?").expect("starts");
    }
    let settled = |status: &Value| status["parked"] == 2 && status["in_flight"] == 0;
    world.wait_for("both are parked", PARKING, settled);
    let report = json_of(&world.execute(&["forget", "--contact", &one, "--yes", "--json"]));
    assert_eq!((&report["parked"], &report["klaviyo_deletions"]), (&json!(1), &json!(0)), "{report}");
    let refused = world.execute(&["forget", "--contact", &other, "--klaviyo", "--yes"]);
    assert_eq!(refused.code, Some(1), "no address is known: {}", refused.stdout);
    assert_eq!(world.count("parked"), 1);
    let bad = world.execute(&["forget", "--email", "nobody", "--yes"]);
    assert_eq!(bad.code, Some(1), "{}", bad.stdout);
    world.run_again_and_count(1);
    world.finish();
}

impl World {
    /// What was forgotten stays so after a restart.
    fn run_again_and_count(&mut self, parked: u64) {
        self.stop();
        self.run();
        assert_eq!(self.count("parked"), parked);
    }
}
