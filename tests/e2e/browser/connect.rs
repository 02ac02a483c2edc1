//! From nothing to the first event, on the page alone.

use sandbox::SandboxConfig;
use sandbox::scenario::nine_metrics;
use tests::browser::VIEWS;

use crate::world::World;

#[test]
fn from_no_keys_to_the_first_event() {
    let world = World::start_without(&["INTERCOM_CLIENT_SECRET", "INTERCOM_ACCESS_TOKEN", "KLAVIYO_API_KEY"]);
    let config = SandboxConfig::default();
    world.sign_in();
    let browser = &world.browser;
    browser.wait_for("Set-up is not finished");
    world.section("connect");
    browser.wait_for("Enter the three keys");
    for view in VIEWS {
        browser.look(view);
        let violations = browser.violations();
        browser.screenshot(&format!("connect-nothing-{}", view.name));
        assert!(violations.is_empty(), "{}: {violations:#?}", view.name);
    }
    browser.look(VIEWS[0]);
    // The stand-in Intercom is in none of the regions: what it is called by stays as the environment has it.
    browser.script("document.querySelector('#region option').value = ''", &[]);
    browser.fill("intercom-token", "wrong");
    browser.press("Check the keys");
    browser.wait_for("401");
    browser.fill("intercom-secret", &config.client_secret);
    browser.fill("intercom-token", &config.access_token);
    browser.fill("klaviyo-key", &config.klaviyo_key);
    browser.press("Check the keys");
    browser.wait_for("Sandbox Shop");
    browser.screenshot("connect-checked");
    browser.press("Save");
    world.wait_for("it goes on with the keys", |status| status["setup"].as_array().is_some_and(Vec::is_empty));
    let html = browser.script(
        "return document.documentElement.outerHTML + [...document.querySelectorAll('input')].map((one) => one.value)",
        &[],
    );
    for key in [&config.client_secret, &config.access_token, &config.klaviyo_key] {
        assert!(!html.as_str().expect("text").contains(key), "no key stays on the page");
        assert!(!world.log().contains(key.as_str()), "nor is one in the log");
    }
    world.subscribe();
    let ada = world.customer("Ada Byron");
    world.sandbox.intercom().start_conversation(&ada, "Where is my parcel?").expect("started");
    world.wait_for("the first event", |status| status["delivered"] == 1);
    browser.wait_until("four steps done", "return [...document.querySelectorAll('ol.steps h2 .tag')].filter((tag) => tag.innerText === 'done').length === 4");
    browser.screenshot("connect-done");
    world.section("overview");
    browser.wait_for("All well. Last event");
}

#[test]
fn a_recipe_is_made_on_a_click() {
    let world = World::start();
    world.subscribe();
    let intercom = world.sandbox.intercom();
    nine_metrics(intercom, 1, intercom.clock().now() - 3_600).expect("played");
    world.wait_for("a rating was sent", |status| {
        let metrics = status["metrics"].as_array().expect("a list");
        metrics.iter().any(|metric| metric["name"] == "Intercom Rated Conversation") && status["in_flight"] == 0
    });
    world.sign_in();
    let browser = &world.browser;
    world.section("recipes");
    let make = "return [...document.querySelectorAll('main button')].map((node) => node.ariaLabel).find((name) => name?.startsWith('Make ')) ?? null";
    browser.wait_until("the recipes", &format!("return (() => {{ {make} }})() !== null"));
    let name = browser.script(make, &[]);
    browser.press(name.as_str().expect("a name"));
    browser.wait_for("What is there under this name stays as it is.");
    browser.screenshot("recipe-preview");
    assert!(world.sandbox.klaviyo().assets().is_empty(), "a preview makes nothing");
    browser.press("Make it");
    browser.wait_for("is in Klaviyo.");
    assert!(!world.sandbox.klaviyo().assets().is_empty());
}

#[test]
fn a_person_is_forgotten_after_a_question() {
    let world = World::start();
    world.subscribe();
    let ada = world.customer("Ada Byron");
    world.sandbox.intercom().start_conversation(&ada, "Where is my parcel?").expect("started");
    world.wait_for("it is delivered", |status| status["delivered"] == 1 && status["in_flight"] == 0);
    world.sign_in();
    let browser = &world.browser;
    world.section("privacy");
    browser.fill("who", &ada);
    browser.press("Forget this person");
    browser.wait_for("Forget this person?");
    browser.press("Forget");
    browser.wait_for("Forgotten.");
    browser.wait_for("listed event");
    world.section("events");
    browser.fill("contact", &format!("{ada}\u{e007}"));
    browser.wait_for("No such event is listed.");
}
