//! Contacts that change: the profiles of people who were sent follow, and nobody else's come into being.

use sandbox::klaviyo::StoredProfile;
use sandbox::{Fault, FaultKind, Matcher};
use serde_json::{Value, json};
use tests::wait::until;

use crate::support::{SOON, World};

const IMPORT: &str = "/api/profile-import";

fn profile(world: &World, email: &str) -> Option<StoredProfile> {
    world.sandbox.klaviyo().profiles().into_iter().find(|profile| profile.email.as_deref() == Some(email))
}

fn imports(world: &World) -> u64 {
    let requests = world.sandbox.klaviyo().requests();
    requests.iter().filter(|one| one.endpoint.contains(IMPORT)).map(|one| one.count).sum()
}

fn wait_for_property(world: &World, email: &str, name: &str, value: &Value) -> StoredProfile {
    until("the profile follows", SOON, || {
        profile(world, email).filter(|profile| profile.properties.get(name).unwrap_or(&Value::Null) == value)
    })
}

#[test]
fn a_change_reaches_the_profile_of_somebody_who_was_sent_and_of_nobody_else() {
    let mut world = World::start();
    let (ada, email) = (world.customer("Ada Byron"), "ada.byron@customers.sandbox-shop.co");
    let silent = world.customer("Bruno Costa");
    let intercom = world.sandbox.intercom().clone();
    intercom.start_conversation(&ada, "Where is my parcel?").expect("starts");
    world.wait_for_events(1, SOON);
    world.wait_until_quiet(SOON);
    assert_eq!(imports(&world), 0, "what changes rides on the event");

    intercom.set_contact_attribute(&silent, "Plan", "gold").expect("is set");
    intercom.set_contact_attribute(&ada, "Plan", "gold").expect("is set");
    wait_for_property(&world, email, "Intercom: Plan", &json!("gold"));
    intercom.tag_contact(&ada, "vip").expect("is tagged");
    wait_for_property(&world, email, "Intercom_tags", &json!(["vip"]));
    intercom.untag_contact(&ada, "vip").expect("is untagged");
    let profile = wait_for_property(&world, email, "Intercom_tags", &Value::Null);
    assert_eq!(profile.properties["Intercom: Plan"], "gold", "what did not change stays");

    let status = world.wait_until_quiet(SOON);
    assert_eq!(world.sandbox.klaviyo().profiles().len(), 1, "who was never sent is not billed");
    assert_eq!(world.sandbox.klaviyo().event_count(), 1, "a change is no event");
    assert_eq!(status["profile_updates"], 3, "{status}");
    assert_eq!(status["skipped"]["contact change"].as_u64(), Some(status["accepted"].as_u64().expect("a number") - 1));
    world.finish();
}

#[test]
fn what_says_nothing_new_costs_no_call() {
    let mut world = World::start();
    let (ada, email) = (world.customer("Ada Byron"), "ada.byron@customers.sandbox-shop.co");
    let intercom = world.sandbox.intercom().clone();
    intercom.start_conversation(&ada, "Where is my parcel?").expect("starts");
    world.wait_for_events(1, SOON);
    let old = intercom.set_contact_attribute(&ada, "Plan", "silver").expect("is set");
    wait_for_property(&world, email, "Intercom: Plan", &json!("silver"));
    let new = intercom.at(world.now() + 5).set_contact_attribute(&ada, "Plan", "gold").expect("is set");
    wait_for_property(&world, email, "Intercom: Plan", &json!("gold"));
    world.wait_until_quiet(SOON);
    let before = imports(&world);
    // The older one late, both once more, and a change of something that is not written.
    for notification in [&old.notifications[0], &new.notifications[0], &old.notifications[0]] {
        intercom.redeliver(notification);
    }
    intercom.at(world.now() + 9).set_contact_attribute(&ada, "Plan", "gold").expect("is set");
    let status = world.wait_until_quiet(SOON);
    assert_eq!(imports(&world), before, "{status}");
    assert_eq!(status["profile_updates"], 2, "{status}");
    assert_eq!(profile(&world, email).expect("is there").properties["Intercom: Plan"], "gold");
    world.finish();
}

#[test]
fn a_profile_that_klaviyo_refuses_or_loses_holds_nothing_up() {
    let mut world = World::start();
    let (ada, email) = (world.customer("Ada Byron"), "ada.byron@customers.sandbox-shop.co");
    let intercom = world.sandbox.intercom().clone();
    intercom.start_conversation(&ada, "Where is my parcel?").expect("starts");
    world.wait_for_events(1, SOON);
    world.wait_until_quiet(SOON);
    // Refused for good: left out, and no event or message dies of it.
    world.sandbox.klaviyo().refuse_when("Intercom: Plan", "tin", "ada.byron@customers.sandbox-shop.co has a tin plan");
    intercom.set_contact_attribute(&ada, "Plan", "tin").expect("is set");
    let status = world.wait_until_quiet(SOON);
    assert_eq!((&status["dead"], &status["profile_updates"]), (&json!(0), &json!(0)), "{status}");
    // Unavailable: the message waits, and the profile follows.
    let faults = world.sandbox.klaviyo().faults().clone();
    faults.push(Fault::times(Matcher::path(IMPORT), FaultKind::After, 4));
    intercom.set_contact_attribute(&ada, "Plan", "gold").expect("is set");
    wait_for_property(&world, email, "Intercom: Plan", &json!("gold"));
    let status = world.wait_until_quiet(SOON);
    assert_eq!((&status["dead"], &status["profile_updates"]), (&json!(0), &json!(1)), "{status}");
    world.finish();
}

#[test]
fn an_address_nobody_was_sent_to_waits_for_its_first_event() {
    let mut world = World::start();
    let (ada, old, new) =
        (world.customer("Ada Byron"), "ada.byron@customers.sandbox-shop.co", "countess@customers.sandbox-shop.co");
    world.private(new);
    let intercom = world.sandbox.intercom().clone();
    intercom.start_conversation(&ada, "Where is my parcel?").expect("starts");
    world.wait_for_events(1, SOON);
    intercom.set_email(&ada, new).expect("changes");
    intercom.set_contact_attribute(&ada, "Plan", "gold").expect("is set");
    world.wait_until_quiet(SOON);
    assert!(profile(&world, new).is_none(), "an import would make a profile, which may cost money");
    assert_eq!(profile(&world, old).expect("is there").properties.get("Intercom: Plan"), None);
    intercom.start_conversation(&ada, "And the other one?").expect("starts");
    world.wait_for_events(2, SOON);
    assert_eq!(profile(&world, new).expect("came with the event").properties["Intercom: Plan"], "gold");
    world.finish();
}

#[test]
fn contacts_who_are_left_out_and_a_setting_that_is_off_write_nothing() {
    for settings in [r#"profile = { updates = false }"#, r#"contacts = { except_tags = ["staff"] }"#] {
        let mut world = World::with_settings(settings);
        let ada = world.customer("Ada Byron");
        let intercom = world.sandbox.intercom().clone();
        intercom.start_conversation(&ada, "Where is my parcel?").expect("starts");
        world.wait_for_events(1, SOON);
        world.wait_until_quiet(SOON);
        intercom.tag_contact(&ada, "staff").expect("is tagged");
        intercom.set_contact_attribute(&ada, "Plan", "gold").expect("is set");
        let status = world.wait_until_quiet(SOON);
        assert_eq!((imports(&world), &status["profile_updates"]), (0, &json!(0)), "{settings}: {status}");
        world.finish();
    }
}

#[test]
fn a_remark_or_another_score_later_is_no_second_event() {
    let mut world = World::start();
    let ada = world.customer("Ada Byron");
    let intercom = world.sandbox.intercom().clone();
    let start = world.now() - 600;
    let at = |offset: i64| intercom.at(start + offset);
    let id = at(0).start_conversation(&ada, "Where is my parcel?").expect("starts").id;
    at(60).request_rating(&id).expect("asks");
    let rated = at(120).rate(&id, 2, None).expect("rates");
    world.wait_for_events(2, SOON);
    let event = world.event(&format!("conversation-rated:{id}:{}", start + 60));
    let remarked = at(180).add_remark(&id, "Slow").expect("remarks");
    let changed = at(240).rate(&id, 5, None).expect("rates");
    world.wait_until_quiet(SOON);
    for acted in [&changed, &remarked, &rated] {
        intercom.redeliver(&acted.notifications[0]);
    }
    let status = world.wait_until_quiet(SOON);
    assert_eq!(world.sandbox.klaviyo().event_count(), 2, "{status}");
    assert_eq!(world.sandbox.klaviyo().accepted(), 2, "it does not even cost a call");
    assert_eq!(world.event(&format!("conversation-rated:{id}:{}", start + 60)).properties, event.properties);
    assert_eq!(event.properties["Conversation Rating"], 2);
    world.finish();
}
