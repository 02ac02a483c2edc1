//! Every section, on a desk and in a hand, by day and by night: axe finds nothing, and the pictures are kept.

use sandbox::SeedSpec;
use sandbox::intercom::ContactSpec;
use sandbox::scenario::nine_metrics;
use tests::browser::{VIEWS, View};

use crate::world::World;

const SECTIONS: [&str; 7] = ["overview", "events", "history", "letters", "connect", "recipes", "privacy"];

fn busy() -> World {
    let world = World::start();
    world.subscribe();
    let intercom = world.sandbox.intercom();
    world.sandbox.klaviyo().refuse_when("Ticket name", "Cursed parcel", "no such parcels here");
    let from = intercom.clock().now() - 3_600;
    nine_metrics(intercom, 4, from).expect("played");
    let ada = world.customer("Ada Byron");
    intercom.create_ticket(&ada, "Order problem", "Cursed parcel").expect("filed");
    let lead = intercom.add_contact(ContactSpec::lead());
    intercom.start_conversation(&lead, "Who am I?").expect("started");
    world.wait_for("some are dead, some are parked", |status| {
        status["dead"].as_u64() > Some(0) && status["parked"].as_u64() > Some(0) && status["in_flight"] == 0
    });
    // What is older than this is the import's.
    intercom.clear_webhook();
    intercom.seed_history(&SeedSpec { conversations: 60, tickets: 20, contacts: 30, ..SeedSpec::default() });
    world
}

/// Takes the picture, and gives what is wrong with it.
fn check(world: &World, name: &str, view: View) -> Vec<String> {
    let browser = &world.browser;
    let mut wrong: Vec<String> = browser.violations();
    browser.screenshot(&format!("{name}-{}", view.name));
    let wider = browser.script("return document.documentElement.scrollWidth - innerWidth", &[]);
    if wider.as_i64() > Some(0) {
        wrong.push(format!("{wider} pixels too wide"));
    }
    wrong.into_iter().map(|wrong| format!("{name}, {}: {wrong}", view.name)).collect()
}

#[test]
fn every_section_is_fit_for_everybody() {
    let world = busy();
    let browser = &world.browser;
    let mut wrong = Vec::new();
    for view in VIEWS {
        browser.look(view);
        browser.go(&world.url("/"));
        browser.wait_for("Console token");
        wrong.extend(check(&world, "sign-in", view));
    }
    browser.look(VIEWS[0]);
    world.sign_in();
    world.section("history");
    browser.press("Start the import");
    browser.press("Start");
    world.wait_for("the import is done", |status| status["history"]["state"] == "done");
    for section in SECTIONS {
        browser.look(VIEWS[0]);
        world.section(section);
        if section == "letters" {
            browser.press("One by one");
        }
        if section == "overview" {
            browser.press("As a table");
        }
        for view in VIEWS {
            browser.look(view);
            wrong.extend(check(&world, section, view));
        }
    }
    world.section("letters");
    browser.press("One by one");
    let name = "return [...document.querySelectorAll('button')].find((node) => node.ariaLabel?.startsWith('Explain ')).ariaLabel";
    browser.press(browser.script(name, &[]).as_str().expect("a name"));
    browser.wait_for("What the rules say");
    for view in VIEWS {
        browser.look(view);
        wrong.extend(check(&world, "explained", view));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    world.no_complaints_but(&["401 (Unauthorized)", "404 (Not Found)"]);
}
