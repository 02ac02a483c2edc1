//! Refused and parked ones, by the buttons.

use sandbox::intercom::ContactSpec;
use serde_json::json;

use crate::world::World;

/// Titles that Klaviyo refuses in these tests.
const CURSED: &str = "Cursed parcel";

#[test]
fn a_refused_one_is_explained_and_replayed_and_one_is_discarded() {
    let world = World::start();
    let ada = world.customer("Ada Byron");
    world.subscribe_to("ticket.created");
    let intercom = world.sandbox.intercom();
    world.sandbox.klaviyo().refuse_when("Ticket name", CURSED, "no such parcels here");
    for _ in 0..3 {
        intercom.create_ticket(&ada, "Order problem", CURSED).expect("filed");
    }
    world.wait_for("three are dead", |status| status["dead"] == 3 && status["in_flight"] == 0);
    world.sign_in();
    let browser = &world.browser;
    browser.wait_for("3 notifications were refused and wait for you.");
    world.section("letters");
    browser.wait_for("Refused, by cause");
    browser.screenshot("letters");

    browser.press("One by one");
    let letter = "return [...document.querySelectorAll('button')].find((node) => node.ariaLabel?.startsWith('Explain ')).ariaLabel";
    let explain = browser.script(letter, &[]);
    browser.press(explain.as_str().expect("a name"));
    browser.wait_for("What the rules say");
    browser.wait_for("Personal data is hidden.");
    assert!(!browser.text().contains(CURSED), "{}", browser.text());
    browser.screenshot("letter-explained");
    browser.press("Show personal data");
    browser.wait_for(CURSED);
    assert!(world.log().contains("a dead letter was shown with its personal data"));
    browser.press("Close");

    let id = explain.as_str().expect("a name").trim_start_matches("Explain ");
    browser.press(&format!("Discard {id}"));
    browser.wait_for("This cannot be undone.");
    browser.press("Discard");
    browser.wait_for("1 notification discarded.");
    world.sandbox.klaviyo().refuse_nothing();
    browser.press("Replay group 1");
    browser.wait_for("Replay 2 notifications?");
    browser.press("Replay");
    browser.wait_for("2 notifications put back on the queue.");
    let status = world.wait_for("nothing is dead", |status| status["dead"] == 0 && status["in_flight"] == 0);
    assert_eq!(status["skipped"]["discarded"], 1);
    browser.wait_until(
        "what became of them",
        "const fates = [...document.querySelectorAll('main .tag')].filter((tag) => tag.innerText === 'delivered'); return fates.length === 2 && document.body.innerText.includes('Nothing was refused.')",
    );
    browser.screenshot("letters-replayed");
    world.no_complaints_but(&["401 (Unauthorized)"]);
}

#[test]
fn who_waits_is_looked_at_again_by_hand() {
    let world = World::start();
    world.subscribe();
    let intercom = world.sandbox.intercom();
    let lead = intercom.add_contact(ContactSpec::lead());
    intercom.start_conversation(&lead, "Who am I?").expect("started");
    world.sign_in();
    let browser = &world.browser;
    world.wait_for("one is parked", |status| status["parked"] == 1);
    world.section("letters");
    browser.wait_for(&lead);
    // Nobody is told, as when the notification gets lost.
    intercom.clear_webhook();
    intercom.set_email(&lead, "lead@customers.sandbox-shop.co").expect("set");
    browser.press(&format!("Look again for contact {lead}"));
    browser.wait_for("1 notification put back on the queue.");
    world.wait_for("it is delivered", |status| status["parked"] == 0 && status["delivered"] == 1);

    world.section("events");
    browser.wait_for("Intercom Created Conversation");
    browser.fill("contact", &format!("{lead}\u{e007}"));
    browser.wait_until("both fates of one event", "return document.querySelectorAll('tbody tr').length === 2");
    browser.script(
        "const fate = document.getElementById('fate'); fate.value = 'sent'; fate.dispatchEvent(new Event('change'))",
        &[],
    );
    browser.wait_until("the sent one", "return document.querySelectorAll('tbody tr').length === 1");
    browser.fill("contact", "nobody\u{e007}");
    browser.wait_for("No such event is listed.");
    assert_eq!(
        browser.script("return document.getElementById('announce').textContent", &[]),
        json!("0 events are listed.")
    );
}
