//! What Intercom says to a webhook, and how.

mod common;

use std::{collections::HashMap, time::Duration};

use common::{NOW, Receiver, start};
use sandbox::intercom::{ApiVersion, Category, ContactSpec, DeliveryOptions, DeliveryState, Notification, sign};
use serde_json::{Value, json};

fn json_of(notification: &Notification) -> Value {
    serde_json::from_slice(&notification.body).expect("valid")
}

#[tokio::test]
async fn a_delivery_is_signed_and_retried_once_after_a_minute() {
    let sandbox = start().await;
    let receiver = Receiver::start(&[503]).await;
    let workspace = sandbox.intercom();
    let ada = workspace.add_contact(ContactSpec::user("ada@shop.co", "Ada Byron"));
    workspace.set_webhook(&receiver.url);
    let acted = workspace.start_conversation(&ada, "Where is it?").expect("known");
    while workspace.deliveries()[0].attempts.is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(workspace.deliveries()[0].state, DeliveryState::Waiting);
    sandbox.clock().advance(Duration::from_secs(60));
    workspace.idle().await;
    let hits = receiver.hits();
    assert_eq!(hits.len(), 2);
    for hit in &hits {
        let signature = hit.headers["x-hub-signature"].to_str().expect("text");
        assert_eq!(signature, sign(&hit.body, workspace.client_secret()));
        assert_eq!(hit.headers["user-agent"], "intercom-parrot-service-client/1.0");
    }
    assert_eq!(&hits[0].body[..], &acted.notifications[0].body[..]);
    let (first, second) = (hits[0].json(), hits[1].json());
    assert_eq!(first["id"], second["id"]);
    assert_eq!((&first["delivery_attempts"], &first["delivery_status"]), (&json!(1), &json!("pending")));
    assert_eq!((&second["delivery_attempts"], &second["delivery_status"]), (&json!(2), &json!("retry")));
    let delivery = &workspace.deliveries()[0];
    assert_eq!((delivery.state, delivery.attempts.len()), (DeliveryState::Delivered, 2));
    assert_eq!(delivery.attempts[1].at_ms, (NOW + 60) * 1000);
}

#[tokio::test]
async fn a_410_disables_and_two_failures_lose() {
    let sandbox = start().await;
    let receiver = Receiver::start(&[500, 500, 410]).await;
    let workspace = sandbox.intercom();
    workspace.set_webhook(&receiver.url);
    workspace.set_delivery(DeliveryOptions { retry_after_ms: 0, ..DeliveryOptions::default() });
    for expected in [DeliveryState::Lost, DeliveryState::Lost, DeliveryState::Lost] {
        workspace.ping().expect("always");
        workspace.idle().await;
        assert_eq!(workspace.deliveries().last().map(|delivery| delivery.state), Some(expected));
    }
    assert!(!workspace.webhook_enabled());
    assert_eq!(receiver.hits().len(), 3);
    let ping = receiver.hits()[0].json();
    assert_eq!((&ping["id"], &ping["delivery_status"], &ping["topic"]), (&Value::Null, &Value::Null, &json!("ping")));
}

#[tokio::test]
async fn duplicates_drops_and_disorder() {
    let sandbox = start().await;
    let receiver = Receiver::start(&[]).await;
    let workspace = sandbox.intercom();
    let ada = workspace.add_contact(ContactSpec::user("ada@shop.co", "Ada Byron"));
    workspace.set_webhook(&receiver.url);
    workspace.set_delivery(DeliveryOptions {
        duplicate_share: 0.5,
        drop_share: 0.25,
        shuffle_window: 16,
        concurrency: 1,
        ..DeliveryOptions::default()
    });
    let mut sent = Vec::new();
    for _ in 0..64 {
        sent.extend(
            workspace.start_conversation(&ada, "Hello").expect("known").notifications.into_iter().map(|one| one.id),
        );
    }
    workspace.idle().await;
    let dropped = workspace.deliveries().iter().filter(|delivery| delivery.state == DeliveryState::Dropped).count();
    assert!((5..30).contains(&dropped), "{dropped}");
    let mut seen: HashMap<String, usize> = HashMap::new();
    let order: Vec<String> =
        receiver.hits().iter().map(|hit| hit.json()["id"].as_str().unwrap_or_default().to_owned()).collect();
    order.iter().for_each(|id| *seen.entry(id.clone()).or_default() += 1);
    assert_eq!(seen.len(), 64 - dropped);
    assert!(seen.values().any(|times| *times == 2));
    let positions: Vec<usize> = order.iter().filter_map(|id| sent.iter().position(|one| one == id)).collect();
    assert!(!positions.is_sorted());
}

#[tokio::test]
async fn probe_and_lifecycle_calls() {
    let sandbox = start().await;
    let workspace = sandbox.intercom();
    assert!(workspace.probe().await.is_err());
    let receiver = Receiver::start(&[]).await;
    workspace.set_webhook(&receiver.url);
    assert_eq!(workspace.probe().await, Ok(200));
    assert_eq!(workspace.uninstall().await, Ok(200));
    assert_eq!(workspace.health_check().await, Ok(200));
    let hits = receiver.hits();
    assert_eq!(hits[0].method, "HEAD");
    assert_eq!(hits[1].json(), json!({ "app_id": "sandbox1" }));
    assert_eq!(hits[2].json(), json!({ "workspace_id": "sandbox1" }));
    assert!(hits[1].headers.contains_key("x-body-signature") && !hits[1].headers.contains_key("x-hub-signature"));
}

#[tokio::test]
async fn conversations_carry_ids_and_only_the_parts_in_question() {
    let sandbox = start().await;
    let workspace = sandbox.intercom();
    let ada = workspace.add_contact(ContactSpec::user("ada@shop.co", "Ada Byron"));
    let created = workspace.start_conversation(&ada, "Is <it> here?").expect("known");
    let item = json_of(&created.notifications[0])["data"]["item"].clone();
    assert_eq!(item["contacts"]["contacts"], json!([{ "type": "contact", "id": ada, "external_id": null }]));
    assert_eq!(item["conversation_parts"]["total_count"], 0);
    assert_eq!(item["source"]["body"], "Is <it> here?");
    let replied = workspace.contact_replies(&created.id, "Hello?").expect("known");
    let item = json_of(&replied.notifications[0])["data"]["item"].clone();
    assert_eq!(item["conversation_parts"]["conversation_parts"][0]["id"], replied.parts[0].id.as_str());
    assert_eq!(item["conversation_parts"]["total_count"], 1);
}

#[tokio::test]
async fn shapes_follow_the_version() {
    for version in ApiVersion::ALL {
        let sandbox = start().await;
        let workspace = sandbox.intercom();
        workspace.set_api_version(version);
        let ada = workspace.add_contact(ContactSpec::user("ada@shop.co", "Ada Byron"));
        let conversation = workspace.start_conversation(&ada, "Hi").expect("known");
        let item = json_of(&conversation.notifications[0])["data"]["item"].clone();
        let new = version >= ApiVersion::V2_15;
        assert_eq!(item["source"]["body"], if new { "Hi" } else { "<p>Hi</p>" });
        assert_eq!(item["statistics"]["first_contact_reply_at"].is_i64(), new);
        assert_eq!(item["admin_assignee_id"], if version >= ApiVersion::V2_16 { json!(0) } else { Value::Null });
        let rated = workspace.rate(&conversation.id, 4, None).expect("known");
        let rating = json_of(&rated.notifications[0])["data"]["item"]["conversation_rating"].clone();
        assert_eq!(rating.get("updated_at").is_some(), version >= ApiVersion::V2_14);

        let ticket = workspace.create_ticket(&ada, "Order problem", "Wrong size").expect("known");
        let mut topics: Vec<&str> = ticket.notifications.iter().map(|one| one.topic.as_str()).collect();
        topics.sort_unstable();
        assert_eq!(topics, ["ticket.created", "ticket.state.updated"]);
        let item = json_of(&ticket.notifications[0])["data"]["item"].clone();
        assert_eq!(item["ticket_state"].is_object(), version >= ApiVersion::V2_12);
        let nobody = if version >= ApiVersion::V2_16 { json!(0) } else { json!("0") };
        assert_eq!(item["admin_assignee_id"], nobody);
        let resolved = workspace.set_ticket_state(&ticket.id, Category::Resolved).expect("known");
        let topics: Vec<&str> = resolved.notifications.iter().map(|one| one.topic.as_str()).collect();
        let expected: &[&str] = if new {
            &["ticket.state.updated", "ticket.resolved", "ticket.closed"]
        } else {
            &["ticket.state.updated", "ticket.closed"]
        };
        assert_eq!(topics, expected);
        let closed = json_of(&resolved.notifications[topics.len() - 1])["data"]["item"].clone();
        assert_eq!(closed.get("ticket").is_some(), new);
    }
}

#[tokio::test]
async fn replies_on_tickets_come_twice_and_move_waiting_ones() {
    let sandbox = start().await;
    let workspace = sandbox.intercom();
    let ada = workspace.add_contact(ContactSpec::user("ada@shop.co", "Ada Byron"));
    let ticket = workspace.create_ticket(&ada, "", "Wrong size").expect("known").id;
    workspace.set_ticket_state(&ticket, Category::WaitingOnCustomer).expect("known");
    let replied = workspace.contact_replies_to_ticket(&ticket, "42").expect("known");
    let topics: Vec<&str> = replied.notifications.iter().map(|one| one.topic.as_str()).collect();
    assert_eq!(topics, ["ticket.contact.replied", "conversation.user.replied", "ticket.state.updated"]);
    let item = json_of(&replied.notifications[0])["data"]["item"].clone();
    assert_eq!(
        (&item["type"], &item["ticket_part"]["id"]),
        (&json!("ticket_ticket_part"), &json!(replied.parts[0].id))
    );
    assert!(json_of(&replied.notifications[1])["data"]["item"]["ticket"].is_object());
    assert_eq!(replied.parts[1].state, Some(Category::InProgress));
    workspace.subscribe(["ticket.state.updated"]);
    let resolved = workspace.set_ticket_state(&ticket, Category::Resolved).expect("known");
    assert_eq!(resolved.notifications.len(), 1);
    assert!(workspace.set_ticket_state("1", Category::Resolved).is_err());
}
