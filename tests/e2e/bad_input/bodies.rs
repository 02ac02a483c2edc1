//! Signed bodies that make no sense, or only half.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{PARKING, SOON, World, conversation};

#[test]
fn what_cannot_be_read_is_kept_as_a_dead_letter() {
    let world = World::start();
    let deep = |open: &str, close: &str| [open.repeat(100_000), close.repeat(100_000)].concat();
    let with_deep_item = format!(
        r#"{{"topic":"conversation.user.created","app_id":"sandbox1","data":{{"item":{}}}}}"#,
        deep(r#"{"a":"#, "}").replace("\"a\":}", "\"a\":1}")
    );
    let bodies: Vec<(&str, Vec<u8>)> = vec![
        ("empty", Vec::new()),
        ("not JSON", b"Hello from the test".to_vec()),
        ("half JSON", br#"{"topic":"conversation.user"#.to_vec()),
        ("a list", b"[1,2,3]".to_vec()),
        ("a number", b"17".to_vec()),
        ("null", b"null".to_vec()),
        ("invalid UTF-8", b"{\"topic\":\"\xff\xfe\xc3\x28\"}".to_vec()),
        ("NUL bytes", vec![0; 100]),
        ("no topic", br#"{"app_id":"sandbox1","data":{"item":{}}}"#.to_vec()),
        ("no item", br#"{"topic":"conversation.user.created","app_id":"sandbox1","data":{}}"#.to_vec()),
        ("no data", br#"{"topic":"ticket.created","app_id":"sandbox1"}"#.to_vec()),
        ("no workspace", br#"{"topic":"ticket.created","data":{"item":{"id":"1"}}}"#.to_vec()),
        ("100,000 brackets", deep("[", "]").into_bytes()),
        ("100,000 braces in the item", with_deep_item.into_bytes()),
        ("item without id", world.notification("conversation.user.created", &json!({ "type": "conversation" }))),
    ];
    let count = bodies.len() as u64;
    for (what, body) in &bodies {
        assert_eq!(world.post(body).status, 200, "{what}");
    }
    let status = world.wait_for_end(count, SOON);
    let letters = world.api("GET", "/api/dead-letters?limit=100").json();
    let letters = letters["items"].as_array().expect("a list").clone();
    assert_eq!(status["dead"], count, "{status} {letters:?}");
    assert_eq!(letters.len() as u64, count);
    for letter in &letters {
        let reason = letter["reason"].as_str().expect("a reason");
        assert!(!reason.is_empty() && !reason.contains("Hello"), "a reason, and nothing of the content: {reason}");
    }
    assert_eq!(world.sandbox.klaviyo().accepted(), 0);

    // They can be looked at page by page, replayed (to no avail) and discarded.
    let page = world.api("GET", "/api/dead-letters?limit=2").json();
    let next = page["next"].as_str().expect("there are more");
    let second = world.api("GET", &format!("/api/dead-letters?limit=2&after={next}")).json();
    assert_ne!(page["items"], second["items"]);
    let id = letters[0]["id"].as_str().expect("an id");
    assert_eq!(world.api("POST", &format!("/api/dead-letters/{id}/replay")).status, 200);
    world.wait_for("dead again", SOON, |status| status["dead"] == count && status["in_flight"] == 0);
    world.finish();
}

#[test]
fn what_is_unknown_is_skipped_and_counted_under_its_name() {
    let mut world = World::start();
    let ada = world.customer("Ada Byron");
    let now = world.now() - 60;
    let part = |author: Value| {
        let mut item = conversation("77", &ada, now);
        let one = json!({ "type": "conversation_part", "id": "5", "part_type": "comment", "body": "<p>Hello from the test</p>",
            "created_at": now, "author": author });
        item["conversation_parts"] = json!({ "conversation_parts": [one], "total_count": 1 });
        item
    };
    let ticket = json!({
        "type": "ticket", "id": "78", "ticket_id": "9", "created_at": now, "category": "Customer",
        "ticket_state": { "category": "teleported" }, "contacts": { "contacts": [{ "id": ada }] },
        "ticket_parts": { "total_count": 1, "ticket_parts": [{ "id": "6", "part_type": "ticket_state_updated_by_admin",
            "ticket_state": "teleported", "previous_ticket_state": "submitted", "created_at": now }] },
    });
    let mut other_workspace: Value =
        serde_json::from_slice(&world.notification("conversation.user.created", &conversation("79", &ada, now)))
            .expect("JSON");
    other_workspace["app_id"] = json!("somebody-else");
    let bodies = [
        world.notification("conversation.quantum.entangled", &conversation("76", &ada, now)),
        world.notification("conversation.user.replied", &part(json!({ "type": "hologram", "id": "1" }))),
        world.notification("ticket.state.updated", &ticket),
        other_workspace.to_string().into_bytes(),
        world.notification("conversation.user.replied", &part(json!({ "type": "admin", "id": "1" }))),
    ];
    bodies.iter().for_each(|body| assert_eq!(world.post(body).status, 200));
    let status = world.wait_for_end(5, SOON);
    let expected = [
        "unknown topic: conversation.quantum.entangled",
        "unknown author type: hologram",
        "unknown state category: teleported",
        "other workspace",
        "no reply in it",
    ];
    for reason in expected {
        assert_eq!(status["skipped"][reason], 1, "{reason}: {status}");
    }
    assert_eq!(world.sandbox.klaviyo().event_count(), 0);
    // An author of an unknown type who is one of the contacts is that contact.
    assert_eq!(world.notify("conversation.user.replied", &part(json!({ "type": "hologram", "id": ada }))).status, 200);
    world.wait_for_events(1, SOON);
    assert!(world.has_event("conversation-replied:5"));
    world.finish();
}

#[test]
fn a_ticket_of_3_mb_with_500_parts_gives_all_its_new_state_changes() {
    let mut world = World::start();
    let ada = world.customer("Ada Byron");
    let now = world.now() - 3_600;
    let text = format!("<p>{}</p>", "Hello from the test. ".repeat(300));
    let mut parts: Vec<Value> = (0..494)
        .map(|n| json!({ "type": "ticket_part", "id": n.to_string(), "part_type": "comment", "body": text, "created_at": now + n,
            "author": { "type": "user", "id": ada } }))
        .collect();
    let states = ["submitted", "in_progress", "waiting_on_customer", "in_progress", "resolved", "waiting_on_customer"];
    for (index, state) in states.iter().enumerate() {
        let previous = if index == 0 { "submitted" } else { states[index - 1] };
        let position = index * 80;
        parts.insert(
            position,
            json!({ "type": "ticket_part", "id": format!("9{index}"), "part_type": "ticket_state_updated_by_admin",
                "ticket_state": state, "previous_ticket_state": previous, "created_at": now + 80 * index as i64 }),
        );
    }
    let item = json!({
        "type": "ticket", "id": "500", "ticket_id": "5", "created_at": now, "category": "Customer",
        "ticket_state": { "category": "waiting_on_customer", "internal_label": "On hold" },
        "contacts": { "contacts": [{ "type": "contact", "id": ada }] },
        "ticket_parts": { "type": "ticket_part.list", "total_count": 500, "ticket_parts": parts },
    });
    let body = world.notification("ticket.state.updated", &item);
    assert!(body.len() > 3_000_000, "{}", body.len());
    assert_eq!(world.post(&body).status, 200);
    world.wait_for_events(4, SOON);
    let keys = ["ticket-submitted:500:90", "ticket-on-hold:500:92", "ticket-resolved:500:94", "ticket-on-hold:500:95"];
    for (key, index) in keys.into_iter().zip([0, 2, 4, 5]) {
        let event = world.event(key);
        assert_eq!(event.time, now + 80 * index, "{key}");
        assert_eq!(event.properties["Ticket Part Count"], 500, "{key}");
    }
    let status = world.wait_for_end(1, SOON);
    assert_eq!((&status["delivered"], world.sandbox.klaviyo().event_count()), (&json!(1), 4));
    world.finish();
}

#[test]
fn times_out_of_range_are_skipped_and_old_ones_delivered() {
    const YEAR: i64 = 366 * 86_400;
    let mut world = World::start();
    let ada = world.customer("Ada Byron");
    let now = world.now();
    for (id, time) in [("1984", 444_000_000), ("2y", now + 2 * YEAR), ("never", 0), ("5y", now - 5 * YEAR)] {
        let sent = world.notify("conversation.user.created", &conversation(id, &ada, time));
        assert_eq!(sent.status, 200);
    }
    let status = world.wait_for_end(4, SOON);
    assert_eq!(status["delivered"], 1, "{status}");
    assert_eq!(world.event("conversation-created:5y").time, now - 5 * YEAR);
    assert!(status["skipped"]["time out of range"].as_u64().is_some_and(|count| count >= 2), "{status}");
    world.finish();
}

#[test]
fn an_unknown_contact_does_not_hold_up_the_others() {
    let mut world = World::start();
    let ada = world.customer("Ada Byron");
    let now = world.now() - 60;
    assert_eq!(
        world.notify("conversation.user.created", &conversation("1", "6f0000000000000000000000", now)).status,
        200
    );
    assert_eq!(world.notify("conversation.user.created", &conversation("2", &ada, now)).status, 200);
    tests::wait::until("the other one is there", Duration::from_secs(10), || {
        world.has_event("conversation-created:2").then_some(())
    });
    let status = world.wait_for_end(2, PARKING);
    assert_eq!(status["skipped"]["contact gone"], 1, "{status}");
    world.finish();
}
