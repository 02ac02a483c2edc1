//! What happens in Intercom stands in Klaviyo: all nine metrics, once each, on the right profile, at the right time.

mod people;
mod profiles;
mod settings;
mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use sandbox::intercom::{ApiVersion, Category, DeliveryOptions, Notification};
use sandbox::klaviyo::{StoredEvent, Via};
use sandbox::scenario::{METRICS, nine_metrics};
use serde_json::{Value, json};
use tests::wait::{throughout, until};

use crate::support::{PARKING, PREFIX, SOON, World, part};

#[test]
fn all_nine_metrics_arrive_once_each_however_they_are_delivered() {
    let mut world = World::start_with(&[("RUST_LOG", "trace")]);
    let intercom = world.sandbox.intercom();
    intercom.set_delivery(DeliveryOptions {
        shuffle_window: 16,
        duplicate_share: 0.3,
        seed: 7,
        retry_after_ms: 500,
        ..DeliveryOptions::default()
    });
    let expected = nine_metrics(intercom, 2, world.now() - 3_600).expect("the script plays");
    let kinds: BTreeSet<&str> = expected.iter().map(|event| event.metric.as_str()).collect();
    assert_eq!(kinds.len(), METRICS.len());
    world.holds_exactly(&expected, PREFIX, SOON);

    let status = world.wait_until_quiet(PARKING);
    // One lead a round never says who it is. Its notification may have come twice, and each waits.
    let parked = status["parked"].as_u64().expect("a number");
    assert!((2..=4).contains(&parked), "{status}");
    assert_eq!(status["dead"], 0, "{status}");
    for metric in METRICS {
        let wanted = expected.iter().filter(|event| event.metric == metric).count();
        assert_eq!(delivered(&status, &format!("{PREFIX}{metric}")), wanted, "{metric}: {status}");
    }
    assert_eq!(status["blocked"], Value::Null);
    for time in ["last_webhook_at", "last_delivery_at"] {
        assert!(status[time].is_string(), "{time}: {status}");
    }
    let recent = world.api("GET", "/api/events/recent?limit=1000").json();
    assert!(recent["items"].as_array().is_some_and(|items| items.len() >= expected.len()), "{recent}");
    // A repeated start asks nobody again: everything is in the ledger.
    let sent = world.sandbox.klaviyo().accepted();
    world.stop();
    world.run();
    assert_eq!(world.count("parked"), parked, "the books survive");
    assert_eq!(world.sandbox.klaviyo().accepted(), sent);
    world.finish();
}

fn delivered(status: &Value, metric: &str) -> usize {
    let metrics = status["metrics"].as_array().expect("a list");
    let count = metrics.iter().find(|known| known["name"] == metric).and_then(|known| known["delivered"].as_u64());
    usize::try_from(count.unwrap_or(0)).expect("small")
}

#[test]
fn every_api_version_gives_the_same_events() {
    let world = World::start();
    let intercom = world.sandbox.intercom();
    let mut expected = Vec::new();
    for (index, version) in ApiVersion::ALL.into_iter().enumerate() {
        intercom.set_api_version(version);
        let from = world.now() - 7_200 + 600 * i64::try_from(index).expect("small");
        expected.extend(nine_metrics(intercom, 1, from).expect("the script plays"));
    }
    world.holds_exactly(&expected, PREFIX, SOON);
    world.finish();
}

#[track_caller]
fn has(event: &StoredEvent, wanted: &Value) {
    for (name, value) in wanted.as_object().expect("an object") {
        assert_eq!(event.properties.get(name), Some(value), "{} of {}", name, event.metric);
    }
    let empty = |value: &Value| value.is_null() || *value == json!("") || *value == json!(0) || *value == json!([]);
    let unset: Vec<_> = event.properties.iter().filter(|(_, value)| empty(value)).collect();
    assert!(unset.is_empty(), "absent beats empty: {unset:?}");
    let nested = event.properties.values().any(|value| match value {
        Value::Array(items) => items.iter().any(|item| item.is_array() || item.is_object()),
        other => other.is_object(),
    });
    assert!(!nested, "only scalars and simple lists: {:?}", event.properties);
}

#[test]
fn conversation_events_say_what_the_agreement_lists() {
    let mut world = World::start();
    let email = "ada.byron@customers.sandbox-shop.co";
    let ada = world.customer("Ada Byron");
    let start = world.now() - 600;
    let at = |offset: i64| world.sandbox.intercom().at(start + offset);
    let id = at(0).start_conversation(&ada, "Where is my parcel?").expect("starts").id;
    at(1).tag_conversation(&id, "delivery").expect("is tagged");
    at(1).set_conversation_attribute(&id, "Order number", "A-17").expect("is set");
    at(60).admin_replies(&id, "Let me look.").expect("replies");
    let replied = at(120).contact_replies(&id, "Thank you").expect("replies");
    at(130).contact_reads(&id).expect("reads");
    at(140).request_rating(&id).expect("asks");
    at(200).rate(&id, 5, Some("Quick and kind")).expect("rates");
    world.wait_for_events(4, SOON);

    let workspace = world.sandbox.intercom().workspace_id();
    let url = format!("https://app.intercom.com/a/apps/{workspace}/conversations/{id}");
    let created = world.event(&format!("conversation-created:{id}"));
    assert_eq!((created.time, created.email.as_deref(), created.backfill), (start, Some(email), false));
    has(
        &created,
        &json!({
            "email": email, "Conversation ID": id, "Conversation URL": url, "State": "open",
            "Conversation source": "conversation", "Conversation Delivered As": "customer_initiated",
        }),
    );
    let reply = world.event(&format!("conversation-replied:{}", part(&replied)));
    assert_eq!(reply.time, start + 120);
    has(
        &reply,
        &json!({
            "Assigned Team": "Support", "Tags": ["delivery"], "Attribute: Order number": "A-17", "Minutes To First Reply": 1,
            "Conversation Part Count": reply.properties["Conversation Part Count"],
        }),
    );
    assert!(
        reply.properties["Assigned Admin Name"].is_string() && reply.properties["Assigned Admin Email"].is_string()
    );
    let read = world.event(&format!("conversation-read:{id}:{}", part(&replied)));
    assert_eq!(read.time, start + 130);
    let rated = world.event(&format!("conversation-rated:{id}:{}", start + 140));
    assert_eq!(rated.time, start + 200);
    has(&rated, &json!({ "Conversation Rating": 5, "Remark": "Quick and kind" }));
    assert!(rated.properties["Rated Admin Name"].is_string());
    for event in world.sandbox.klaviyo().events() {
        assert!(!event.properties.contains_key("Message"), "no text leaves Intercom unless a setting asks for it");
        assert!(event.metric.starts_with(PREFIX));
    }
    world.finish();
}

#[test]
fn ticket_events_say_what_the_agreement_lists() {
    let mut world = World::start();
    let bruno = world.customer("Bruno Costa");
    let start = world.now() - 7_200;
    let at = |offset: i64| world.sandbox.intercom().at(start + offset);
    let created = at(0).create_ticket(&bruno, "Order problem", "Wrong size delivered").expect("is made");
    let id = created.id.clone();
    at(300).admin_replies_to_ticket(&id, "Which size?").expect("replies");
    let held = at(600).set_ticket_state(&id, Category::WaitingOnCustomer).expect("moves");
    let replied = at(900).contact_replies_to_ticket(&id, "Size 42").expect("replies");
    let resolved = at(3_600).set_ticket_state(&id, Category::Resolved).expect("moves");
    world.wait_for_events(5, SOON);

    let first = created.parts.iter().find(|part| part.state.is_some()).expect("a state part");
    let state_part = |acted: &sandbox::intercom::Acted| {
        acted.parts.iter().find(|part| part.state.is_some()).expect("a state part").id.clone()
    };
    let same = json!({
        "Category": "Customer", "Ticket Type": "Order problem", "Ticket name": "Wrong size delivered",
        "Ticket description": "As told on the phone.", "Shared": true, "Conversation ID": id,
        "email": "bruno.costa@customers.sandbox-shop.co",
    });
    let expected = [
        (format!("ticket-created:{id}"), first.at, json!({ "Ticket State": "Submitted" })),
        (format!("ticket-submitted:{id}:{}", first.id), first.at, json!({ "Ticket State Category": "submitted" })),
        (
            format!("ticket-on-hold:{id}:{}", state_part(&held)),
            start + 600,
            json!({ "Ticket State Category": "waiting_on_customer", "Assigned Team": "Support" }),
        ),
        (format!("ticket-replied:{}", replied.parts[0].id), start + 900, json!({})),
        (
            format!("ticket-resolved:{id}:{}", state_part(&resolved)),
            start + 3_600,
            json!({ "Ticket State Category": "resolved" }),
        ),
    ];
    let display = world.event(&expected[0].0).properties["Ticket ID"].clone();
    assert!(display.as_str().is_some_and(|number| number != id), "the display number, as text: {display}");
    for (key, time, more) in expected {
        let event = world.event(&key);
        assert_eq!(event.time, time, "{key}");
        has(&event, &same);
        has(&event, &more);
        assert_eq!(event.properties["Ticket ID"], display);
    }
    let minutes = world.event(&format!("ticket-resolved:{id}:{}", state_part(&resolved)));
    assert!(minutes.properties["Minutes To Resolve"].as_f64().is_some_and(|minutes| (59.0..=60.0).contains(&minutes)));
    world.finish();
}

#[test]
fn the_same_fact_is_one_event_whichever_way_it_comes_again() {
    let mut world = World::start();
    let ada = world.customer("Ada Byron");
    let intercom = world.sandbox.intercom();
    intercom.clear_webhook();
    let started = intercom.start_conversation(&ada, "Where is my parcel?").expect("starts");
    let ticket = intercom.create_ticket(&ada, "Order problem", "Broken zip").expect("is made");
    let resolved = intercom.set_ticket_state(&ticket.id, Category::Resolved).expect("moves");
    let topics: BTreeSet<&str> = resolved.notifications.iter().map(|one| one.topic.as_str()).collect();
    assert!(topics.contains("ticket.resolved") && topics.contains("ticket.state.updated"), "{topics:?}");

    let all: Vec<&Notification> =
        [&started, &ticket, &resolved].into_iter().flat_map(|acted| &acted.notifications).collect();
    let mut accepted = 0;
    // Newest first, then the same bytes again, then Intercom's own retry, which differs in two fields.
    for notification in all.iter().rev().chain(all.iter()) {
        assert_eq!(world.post(&notification.body).status, 200);
        accepted += 1;
    }
    world.announce();
    for notification in &all {
        intercom.redeliver(notification);
        accepted += 1;
    }
    let status = world.wait_for_end(accepted, SOON);
    let keys: BTreeSet<_> = world.sandbox.klaviyo().events().into_iter().map(|event| event.unique_id).collect();
    assert_eq!(keys.len(), 4, "created conversation, created, submitted, resolved ticket: {keys:?}");
    assert_eq!(world.sandbox.klaviyo().accepted(), 4, "a duplicate does not even cost a call");
    assert!(status["skipped"]["duplicate"].as_u64().is_some_and(|count| count > 0), "{status}");
    world.finish();
}

#[test]
fn a_changed_address_does_not_double_an_event() {
    let mut world = World::start();
    let ada = world.customer("Ada Byron");
    world.private("countess@customers.sandbox-shop.co");
    let intercom = world.sandbox.intercom();
    let started = intercom.start_conversation(&ada, "Where is my parcel?").expect("starts");
    world.wait_for_events(1, SOON);
    intercom.set_email(&ada, "countess@customers.sandbox-shop.co").expect("changes");
    world.wait_until_quiet(SOON);
    // Klaviyo dedupes per profile: under the new address it would take the event a second time.
    intercom.redeliver(&started.notifications[0]);
    world.wait_until_quiet(SOON);
    assert_eq!(world.sandbox.klaviyo().event_count(), 1);
    let second = intercom.start_conversation(&ada, "And the other one?").expect("starts");
    let events = world.wait_for_events(2, SOON);
    world.wait_until_quiet(SOON);
    assert_eq!(events.len(), 2);
    let newest = world.event(&format!("conversation-created:{}", second.id));
    assert_eq!(
        newest.email.as_deref(),
        Some("countess@customers.sandbox-shop.co"),
        "whichever process delivers it, the cached contact was forgotten"
    );
    world.finish();
}

#[test]
fn a_few_events_go_one_by_one_and_at_once() {
    let mut world = World::start();
    let ada = world.customer("Ada Byron");
    for text in ["one", "two", "three"] {
        let began = std::time::Instant::now();
        let id = world.sandbox.intercom().start_conversation(&ada, text).expect("starts").id;
        until("the event is there", Duration::from_secs(10), || {
            world.has_event(&format!("conversation-created:{id}")).then_some(())
        });
        assert!(began.elapsed() < Duration::from_secs(10));
    }
    assert!(world.sandbox.klaviyo().events().iter().all(|event| event.via == Via::Single));
    world.finish();
}

#[test]
fn intercom_s_own_calls_are_answered_and_give_no_event() {
    let world = World::start();
    let intercom = world.sandbox.intercom();
    intercom.ping().expect("pings");
    world.wait_until_notified(SOON);
    world.wait_for("the ping counts", SOON, |status| status["skipped"]["ping"] == 1);
    throughout("nothing is sent", Duration::from_millis(300), || world.sandbox.klaviyo().event_count() == 0);
    world.finish();
}
