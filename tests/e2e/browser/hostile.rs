//! What comes from Intercom is somebody else's text, and some of it is meant to be more than that.

use crate::world::World;

/// Tags are taken out of titles on the way to Klaviyo; what is written in entities becomes what it stands for.
const TITLE: &str = "&lt;img src=x onerror=&quot;window.hacked=1&quot;&gt;&lt;script&gt;window.hacked=1&lt;/script&gt;";

const HOSTILE: &str = "<img src=x onerror=\"window.hacked=1\"><script>window.hacked=1</script><b>bold</b>";

#[test]
fn a_hostile_title_is_shown_and_does_nothing() {
    let world = World::start();
    let ada = world.customer("Ada Byron");
    world.subscribe_to("ticket.created");
    let intercom = world.sandbox.intercom();
    intercom.set_contact_attribute(&ada, HOSTILE, HOSTILE).expect("set");
    world.sandbox.klaviyo().refuse_when("metric", "Intercom Created Ticket", HOSTILE);
    intercom.create_ticket(&ada, "Order problem", TITLE).expect("filed");
    world.wait_for("it is dead", |status| status["dead"] == 1 && status["in_flight"] == 0);
    world.sign_in();
    let browser = &world.browser;
    for section in ["overview", "events", "letters"] {
        world.section(section);
    }
    browser.press("One by one");
    let explain = "return [...document.querySelectorAll('button')].find((node) => node.ariaLabel?.startsWith('Explain ')).ariaLabel";
    browser.press(browser.script(explain, &[]).as_str().expect("a name"));
    browser.press("Show personal data");
    browser.wait_for("<img src=x onerror=");
    let made = browser
        .script("return document.querySelectorAll('main img, dialog img, main b, dialog b, main script').length", &[]);
    assert_eq!((made, browser.script("return window.hacked ?? 0", &[])), (0.into(), 0.into()));

    // And were it to become markup by some mistake, the policy would not let it run.
    browser.script(
        "const node = document.createElement('div'); node.innerHTML = arguments[0]; document.body.append(node)",
        &[HOSTILE.into()],
    );
    browser.script("const node = document.createElement('script'); node.textContent = 'window.hacked = 1'; document.body.append(node)", &[]);
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert_eq!(browser.script("return window.hacked ?? 0", &[]), 0);
    assert!(browser.complaints().iter().any(|complaint| complaint.contains("Content Security Policy")));
}
