//! What is wrong is said in plain words, with what to do.

use sandbox::{Fault, FaultKind, Matcher};

use crate::world::World;

#[test]
fn a_refused_key_is_said_with_its_repair() {
    let world = World::start();
    let ada = world.customer("Ada Byron");
    world.subscribe();
    let klaviyo = world.sandbox.klaviyo();
    klaviyo.faults().push(Fault::forever(Matcher::any(), FaultKind::status(401)));
    world.sandbox.intercom().start_conversation(&ada, "Where is my parcel?").expect("started");
    world.wait_for("it is blocked", |status| !status["blocked"].is_null());
    world.sign_in();
    let browser = &world.browser;
    browser.wait_for("Klaviyo refuses our key");
    browser.wait_for("Nothing is lost");
    browser.screenshot("overview-blocked");
    klaviyo.faults().clear();
    browser.wait_for("All well. Last event");
    let said = browser.script("return document.getElementById('announce').textContent", &[]);
    assert!(said.as_str().expect("text").starts_with("All well."), "who cannot see it is told: {said}");
}

#[test]
fn what_is_missing_is_named() {
    let world = World::start_without(&["KLAVIYO_API_KEY", "INTERCOM_ACCESS_TOKEN"]);
    world.sign_in();
    let browser = &world.browser;
    browser.wait_for("Set-up is not finished: INTERCOM_ACCESS_TOKEN, KLAVIYO_API_KEY are missing.");
    world.section("connect");
    browser.wait_for("Enter the three keys");
    world.section("history");
    browser.press("Plan");
    browser.wait_for("Intercom cannot be asked before its access token is set");
}

#[test]
fn a_console_that_is_gone_is_said_and_comes_back() {
    let world = World::start();
    world.sign_in();
    let browser = &world.browser;
    browser.script("window.real = window.fetch; window.fetch = () => Promise.reject(new TypeError('gone'))", &[]);
    browser.wait_for("The console does not answer.");
    browser.script("window.fetch = window.real", &[]);
    browser.wait_for("Ready. Nothing has come from Intercom yet.");
}
