//! What profiles say about support, while it goes on and after it.

use std::time::Duration;

use sandbox::intercom::{Category, ContactSpec};
use serde_json::Value;
use tests::wait::until;

use crate::support::{PARKING, SOON, World};

/// The properties of a contact's profile that are about support, by the end of its address.
fn said(world: &World, address: &str) -> Value {
    let profiles = world.sandbox.klaviyo().profiles();
    let profile = profiles.into_iter().find(|profile| profile.email.as_deref() == Some(address));
    let properties = profile.map(|profile| profile.properties).unwrap_or_default();
    let mut found = serde_json::Map::new();
    for name in ["open_conversations", "open_tickets", "last_rating", "last_rating_at", "last_contact_at"] {
        if let Some(value) = properties.get(&format!("Intercom_{name}")) {
            found.insert(name.to_owned(), value.clone());
        }
    }
    Value::Object(found)
}

/// Waits until the profile has so many open conversations and tickets.
fn wait_for_open(world: &World, address: &str, conversations: u64, tickets: u64) {
    wait_for_open_within(world, address, (conversations, tickets), SOON);
}

fn wait_for_open_within(world: &World, address: &str, (conversations, tickets): (u64, u64), limit: Duration) {
    let what = format!("{conversations} conversations and {tickets} tickets open");
    until(&what, limit, || {
        let said = said(world, address);
        (said["open_conversations"] == conversations && said["open_tickets"] == tickets).then_some(())
    });
}

fn address_of(name: &str) -> String {
    format!("{}@customers.sandbox-shop.co", name.to_lowercase().replace(' ', "."))
}

#[test]
fn the_numbers_go_up_and_back_down() {
    let mut world = World::start();
    let contact = world.customer("Ada Quimby");
    let address = address_of("Ada Quimby");
    let intercom = world.sandbox.intercom();
    let started = intercom.start_conversation(&contact, "Is anybody there?").expect("it starts");
    wait_for_open(&world, &address, 1, 0);
    assert!(said(&world, &address)["last_contact_at"].is_string());
    // Closed by a teammate: no event says so.
    let events = world.sandbox.klaviyo().event_count();
    let id = started.id;
    intercom.close_conversation(&id).expect("it closes");
    wait_for_open(&world, &address, 0, 0);
    intercom.open_conversation(&id).expect("it opens");
    wait_for_open(&world, &address, 1, 0);
    intercom.snooze_conversation(&id, world.now() + 86_400).expect("it snoozes");
    intercom.delete_conversation(&id).expect("it goes");
    wait_for_open(&world, &address, 0, 0);
    assert_eq!(world.sandbox.klaviyo().event_count(), events, "none of this is an event");
    world.wait_until_quiet(SOON);
    world.finish();
}

#[test]
fn tickets_ratings_and_a_shared_address() {
    let mut world = World::start();
    let one = world.customer("Bea Quimby");
    let address = address_of("Bea Quimby");
    let intercom = world.sandbox.intercom();
    intercom.clear_webhook();
    let two = intercom.add_contact(ContactSpec::user(address.clone(), "Bee Quimby"));
    world.private("Bee Quimby");
    world.announce();
    let intercom = world.sandbox.intercom();
    let conversation = intercom.start_conversation(&one, "A question").expect("it starts").id;
    let ticket = intercom.create_ticket(&two, "", "It broke").expect("it comes").id;
    wait_for_open(&world, &address, 1, 1);
    intercom.rate(&conversation, 2, None).expect("it is rated");
    until("the rating", SOON, || (said(&world, &address)["last_rating"] == 2).then_some(()));
    assert!(said(&world, &address)["last_rating_at"].is_string());
    intercom.set_ticket_state(&ticket, Category::Resolved).expect("it is resolved");
    wait_for_open(&world, &address, 1, 0);
    intercom.close_conversation(&conversation).expect("it closes");
    wait_for_open(&world, &address, 0, 0);
    world.wait_until_quiet(SOON);
    world.finish();
}

/// What was open before we came, and a closing whose webhook never arrived.
#[test]
fn what_was_open_before_is_known_and_a_lost_closing_is_found() {
    let mut world = World::vendors();
    let contact = world.customer("Cyd Quimby");
    let address = address_of("Cyd Quimby");
    let intercom = world.sandbox.intercom();
    let before = intercom.start_conversation(&contact, "Before you came").expect("it starts").id;
    world.set("SETTINGS", "reconcile_interval_seconds = 1");
    world.run();
    // Nothing is sent for the sake of it: a profile may cost money. The next event takes it along.
    let intercom = world.sandbox.intercom();
    let now = intercom.start_conversation(&contact, "And now").expect("it starts").id;
    wait_for_open_within(&world, &address, (2, 0), PARKING);
    intercom.clear_webhook();
    intercom.close_conversation(&before).expect("it closes");
    intercom.close_conversation(&now).expect("it closes");
    wait_for_open_within(&world, &address, (0, 0), PARKING);
    world.finish();
}
