//! The import from its plan to its proof, by the buttons.

use std::time::Duration;

use sandbox::{Fault, FaultKind, Matcher, SeedSpec};

use crate::world::World;

#[test]
fn the_past_is_planned_imported_paused_restarted_and_checked() {
    let world = World::start();
    let intercom = world.sandbox.intercom();
    intercom.seed_history(&SeedSpec { conversations: 300, tickets: 80, contacts: 100, ..SeedSpec::default() });
    world.sign_in();
    let browser = &world.browser;
    world.section("history");
    browser.wait_for("Not started");
    browser.press("Plan");
    browser.wait_for("What an import would take");
    browser.wait_for("Newly billable profiles, at most");
    assert_eq!(world.sandbox.klaviyo().event_count(), 0, "nothing starts by itself");
    browser.screenshot("history-plan");

    // Slow enough to be watched.
    let slow = FaultKind::slow(Duration::from_millis(400));
    intercom.faults().push(Fault::forever(Matcher::path("/conversations/search"), slow.clone()));
    intercom.faults().push(Fault::forever(Matcher::path("/tickets/search"), slow));
    browser.press("Start the import");
    browser.wait_for("It sets off no flow.");
    browser.press("Start");
    browser.wait_for("Running");
    browser.wait_until("progress", "return [...document.querySelectorAll('progress')].some((bar) => bar.value > 0)");
    browser.screenshot("history-running");
    browser.press("Pause");
    browser.wait_for("Paused");
    assert_eq!(world.wait_for("it is paused", |_| true)["history"]["state"], "paused");
    browser.press("Resume");
    browser.wait_for("Running");
    intercom.faults().clear();
    browser.wait_for("Finished");
    browser
        .wait_until("all of it", "return [...document.querySelectorAll('progress')].every((bar) => bar.value === 100)");

    browser.press("Check completeness");
    browser.wait_for("Complete: every item that Intercom counts is accounted for.");
    browser.screenshot("history-done");
    let sent = world.sandbox.klaviyo().event_count();
    browser.press("Restart");
    browser.wait_for("This is harmless");
    browser.press("Restart");
    world.wait_for("the second one is done", |status| {
        status["history"]["state"] == "done" && status["history"]["streams"][0]["events"] == 0
    });
    browser.wait_for("Finished");
    assert_eq!(world.sandbox.klaviyo().event_count(), sent, "a second import sends nothing");
    world.no_complaints_but(&["401 (Unauthorized)"]);
}
