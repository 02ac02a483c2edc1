//! Whose event it is: addresses that come late or never, merged and vanished contacts, several contacts.

use sandbox::intercom::ContactSpec;
use serde_json::{Value, json};

use crate::support::{PARKING, SOON, World, part};

#[test]
fn an_address_that_comes_late_is_waited_for() {
    let mut world = World::start();
    world.private("late@customers.sandbox-shop.co");
    let intercom = world.sandbox.intercom();
    let lead = intercom.add_lead();
    let id = intercom.start_conversation(&lead, "Do you ship to Norway?").expect("starts").id;
    intercom.email_appears_at(&lead, "late@customers.sandbox-shop.co", world.now() + 3).expect("will appear");
    world.wait_for_events(1, SOON);
    let event = world.event(&format!("conversation-created:{id}"));
    assert_eq!(event.email.as_deref(), Some("late@customers.sandbox-shop.co"));
    assert_eq!(world.count("parked"), 0);
    world.finish();
}

#[test]
fn without_an_address_it_is_parked_until_the_contact_is_known() {
    let mut world = World::start();
    world.private("found@customers.sandbox-shop.co");
    let intercom = world.sandbox.intercom();
    let (lead, silent) = (intercom.add_lead(), intercom.add_lead());
    let id = intercom.start_conversation(&lead, "Do you ship to Norway?").expect("starts").id;
    intercom.start_conversation(&silent, "Do you ship to Iceland?").expect("starts");
    // On SQS the parked ones are counted before their messages go, so the queue is waited for as well.
    let settled = |status: &Value| status["parked"] == 2 && status["in_flight"] == 0;
    let status = world.wait_for("both are parked", PARKING, settled);
    assert_eq!(status["dead"], json!(0), "{status}");
    assert_eq!(world.sandbox.klaviyo().event_count(), 0, "a profile without identifier would be somebody else's");

    // It survives a restart, and `contact.…` releases the one and not the other.
    world.kill();
    world.run();
    assert_eq!(world.count("parked"), 2);
    world.sandbox.intercom().set_email(&lead, "found@customers.sandbox-shop.co").expect("becomes known");
    world.wait_for_events(1, SOON);
    let event = world.event(&format!("conversation-created:{id}"));
    assert_eq!(event.email.as_deref(), Some("found@customers.sandbox-shop.co"));
    world.wait_for("one is left", SOON, |status| status["parked"] == 1 && status["in_flight"] == 0);
    world.finish();
}

#[test]
fn merged_contacts_are_followed_however_often_they_were_merged() {
    let mut world = World::start();
    let intercom = world.sandbox.intercom().clone();
    let survivor = world.customer("Chloe Durand");
    let (lead, middle) = (intercom.add_lead(), intercom.add_lead());
    intercom.clear_webhook();
    let started = intercom.start_conversation(&lead, "I was not signed in.").expect("starts");
    intercom.merge_contacts(&lead, &middle).expect("merges");
    intercom.merge_contacts(&middle, &survivor).expect("merges");
    // The notification was made before the merges and names a contact that is no longer there.
    assert_eq!(world.post(&started.notifications[0].body).status, 200);
    world.wait_for_events(1, SOON);
    let event = world.event(&format!("conversation-created:{}", started.id));
    assert_eq!(event.email.as_deref(), Some("chloe.durand@customers.sandbox-shop.co"));
    world.finish();
}

#[test]
fn contacts_that_are_gone_are_counted_as_gone() {
    let mut world = World::start();
    let intercom = world.sandbox.intercom().clone();
    let (archived, deleted) = (world.customer("Dmitri Orlov"), world.customer("Emeka Obi"));
    intercom.clear_webhook();
    let bodies: Vec<Vec<u8>> = [&archived, &deleted]
        .map(|contact| intercom.start_conversation(contact, "Hello?").expect("starts").notifications[0].body.clone())
        .to_vec();
    intercom.archive_contact(&archived).expect("is archived");
    intercom.delete_contact(&deleted).expect("is deleted");
    bodies.iter().for_each(|body| assert_eq!(world.post(body).status, 200));
    let status = world.wait_for_end(2, SOON);
    assert_eq!(status["skipped"]["contact gone"], 2, "{status}");
    assert_eq!(world.sandbox.klaviyo().event_count(), 0);
    world.finish();
}

#[test]
fn a_phone_number_that_is_none_stays_as_text_and_a_real_one_identifies() {
    let mut world = World::start();
    let intercom = world.sandbox.intercom().clone();
    let raw = "(415) 555-01 ext 9";
    for text in [raw, "+491512345678", "freya@customers.sandbox-shop.co", "Freya Lind"] {
        world.private(text);
    }
    let odd = ContactSpec {
        phone: Some(raw.to_owned()),
        ..ContactSpec::user("freya@customers.sandbox-shop.co", "Freya Lind")
    };
    let (odd, by_phone) = (
        intercom.add_contact(odd),
        intercom.add_contact(ContactSpec { phone: Some("+491512345678".to_owned()), ..ContactSpec::default() }),
    );
    let first = intercom.start_conversation(&odd, "Hello?").expect("starts").id;
    let second = intercom.start_conversation(&by_phone, "Hello?").expect("starts").id;
    world.wait_for_events(2, SOON);
    let profile = |event: &str| {
        let id = world.event(&format!("conversation-created:{event}")).profile_id;
        world.sandbox.klaviyo().profiles().into_iter().find(|profile| profile.id == id).expect("it has a profile")
    };
    let odd = profile(&first);
    assert_eq!((odd.email.as_deref(), &odd.phone_number), (Some("freya@customers.sandbox-shop.co"), &None));
    assert_eq!(odd.properties["Intercom_phone_raw"], raw);
    assert_eq!(odd.attributes.get("first_name").and_then(Value::as_str), Some("Freya"));
    assert_eq!(odd.external_id, None, "never unless a setting says so");
    let by_phone = profile(&second);
    assert_eq!((by_phone.email, by_phone.phone_number.as_deref()), (None, Some("+491512345678")));
    world.finish();
}

#[test]
fn of_several_contacts_the_one_who_acts_gets_the_event() {
    let mut world = World::start();
    let intercom = world.sandbox.intercom().clone();
    let (first, second) = (world.customer("Giulia Conti"), world.customer("Hana Kimura"));
    let id = intercom.start_conversation(&first, "We ordered together.").expect("starts").id;
    intercom.attach_contact(&id, &second).expect("joins");
    let by_second = intercom.this_contact_replies(&id, &second, "And mine is missing.").expect("replies");
    let by_first = intercom.this_contact_replies(&id, &first, "Mine is here.").expect("replies");
    world.wait_for_events(3, SOON);
    let who = |key: String| world.event(&key).email.unwrap_or_default();
    assert!(who(format!("conversation-created:{id}")).starts_with("giulia"));
    assert!(who(format!("conversation-replied:{}", part(&by_second))).starts_with("hana"));
    assert!(who(format!("conversation-replied:{}", part(&by_first))).starts_with("giulia"));
    world.finish();
}
