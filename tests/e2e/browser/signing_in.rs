//! The token is asked for once, and the page keeps nothing of it.

use serde_json::json;

use crate::world::{TOKEN, World};

#[test]
fn a_wrong_token_is_refused_a_right_one_opens_and_signing_out_closes() {
    let world = World::start();
    let browser = &world.browser;
    browser.go(&world.url("/"));
    browser.fill("token", "wrong\u{e007}");
    browser.wait_for("This is not the console's token.");
    assert_eq!(browser.cookie("console"), None);
    browser.fill("token", &format!("{TOKEN}\u{e007}"));
    browser.wait_for("Ready. Nothing has come from Intercom yet.");
    assert_eq!(browser.script("return document.activeElement.id", &[]), "content", "the focus follows");

    let cookie = browser.cookie("console").expect("a session");
    assert_eq!((&cookie["httpOnly"], &cookie["sameSite"]), (&json!(true), &json!("Strict")));
    let seen =
        browser.script("return document.cookie + JSON.stringify(localStorage) + JSON.stringify(sessionStorage)", &[]);
    assert_eq!(seen, "{}{}", "no script sees the session");
    let html = browser.script("return document.documentElement.outerHTML", &[]);
    assert!(!html.as_str().expect("text").contains(TOKEN), "nor does the page hold the token");

    browser.go(&world.url("/#/privacy"));
    browser.wait_for("What is kept");
    browser.press("Sign out");
    browser.wait_for("You have signed out.");
    assert_eq!(browser.cookie("console"), None);
    browser.go(&world.url("/"));
    browser.wait_for("Console token");
    world.no_complaints_but(&["401 (Unauthorized)"]);
    assert!(!world.log().contains(TOKEN));
}

/// A session that ends elsewhere ends here with a sentence, not with an empty page.
#[test]
fn a_session_that_ended_asks_for_the_token_again() {
    let world = World::start();
    world.sign_in();
    let browser = &world.browser;
    browser.script(
        "return fetch('/api/session', { method: 'DELETE', headers: { 'x-console': '1' } }).then(() => true)",
        &[],
    );
    browser.wait_for("Your session has ended.");
    browser.fill("token", &format!("{TOKEN}\u{e007}"));
    browser.wait_for("Ready.");
}

#[test]
fn the_keyboard_is_enough() {
    const TAB: &str = "\u{e004}";
    const ENTER: &str = "\u{e007}";
    let world = World::start();
    world.sign_in();
    let browser = &world.browser;
    browser.go(&world.url("/#/overview"));
    browser.script("document.activeElement.blur(); location.reload()", &[]);
    browser.wait_until("the overview", "return document.getElementById('content').dataset.drawn === 'overview'");
    let focused = || browser.script("return (document.activeElement.innerText ?? '').trim()", &[]);
    browser.keys(TAB);
    assert_eq!(focused(), "Skip to the content");
    browser.keys(ENTER);
    browser.wait_until("the content has the focus", "return document.activeElement.id === 'content'");
    assert_eq!(browser.script("return document.querySelector('nav [aria-current]').innerText", &[]), "Overview");
    browser.script("document.querySelector('nav a').focus()", &[]);
    for name in ["Events", "History"] {
        browser.keys(TAB);
        assert_eq!(focused(), name);
    }
    browser.keys(ENTER);
    browser.wait_until("History", "return document.getElementById('content').dataset.drawn === 'history'");
    assert_eq!(browser.script("return document.activeElement.id", &[]), "content");
    browser.press("Start the import");
    browser.wait_until("the question", "return document.activeElement.innerText === 'Cancel'");
    browser.keys("\u{e00c}");
    browser.wait_until("Escape says no", "return document.querySelector('dialog') === null");
    assert_eq!(focused(), "Start the import", "the focus goes back to where it was");
    world.no_complaints_but(&["401 (Unauthorized)"]);
}
