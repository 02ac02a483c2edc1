//! The stand-in Klaviyo over HTTP.

mod common;

use std::time::Duration;

use common::{KLAVIYO, NOW, bulk, event, klaviyo, send, start};
use sandbox::{Keep, klaviyo::Via};
use serde_json::{Value, json};

fn single(key: &str, email: &str) -> Value {
    json!({ "data": event(key, email) })
}

#[tokio::test]
async fn a_single_event_is_taken_and_a_repeat_discarded() {
    let sandbox = start().await;
    for _ in 0..2 {
        let reply = klaviyo(&sandbox, "POST", "/api/events", &single("k1", "Ada@shop.co")).await;
        assert_eq!((reply.status, reply.text.as_str()), (202, ""));
        assert_eq!(reply.header("ratelimit-limit"), "3500");
    }
    let events = sandbox.klaviyo().events();
    assert_eq!(events.len(), 1);
    assert_eq!((events[0].time, events[0].via, events[0].backfill), (1_782_901_230, Via::Single, false));
    assert_eq!(events[0].email.as_deref(), Some("Ada@shop.co"));
    assert_eq!(sandbox.klaviyo().discards().repeated, 1);
    assert_eq!(sandbox.klaviyo().profiles()[0].events, 1);
    assert_eq!(sandbox.klaviyo().requests()[0].count, 2);
    assert_eq!(sandbox.klaviyo().request_bodies(1).len(), 1);
    sandbox.stop().await;
}

#[tokio::test]
async fn the_door_is_guarded() {
    let sandbox = start().await;
    let url = format!("{}/api/events", sandbox.klaviyo_url());
    let body = || single("k", "a@shop.co").to_string().into();
    let changed =
        |name: &str, value: &'static str| KLAVIYO.map(|(key, old)| if key == name { (key, value) } else { (key, old) });
    for (headers, status) in [
        (changed("authorization", "Klaviyo-API-Key wrong"), 401),
        (changed("authorization", "Bearer pk_sandbox"), 401),
        (changed("revision", "2025-10-15"), 400),
        (changed("revision", "latest"), 400),
        (changed("content-type", "application/json"), 415),
        (changed("accept", "application/json"), 415),
        (changed("revision", "2026-10-15"), 202),
    ] {
        assert_eq!(send("POST", &url, &headers, body()).await.expect("an answer").status, status);
    }
    assert_eq!(klaviyo(&sandbox, "GET", "/api/nothing", &Value::Null).await.status, 404);
    assert_eq!(klaviyo(&sandbox, "POST", "/api/accounts", &json!({})).await.status, 405);
    assert_eq!(klaviyo(&sandbox, "POST", "/api/events", &json!([1])).await.status, 400);
}

#[tokio::test]
async fn bulk_is_all_or_nothing_with_pointers() {
    let sandbox = start().await;
    let path = "/api/event-bulk-create-jobs";
    let mut job = bulk(&[("a", "a@shop.co"), ("b", "not an address"), ("c", "c@shop.co")]);
    let groups = "/data/attributes/events-bulk-create/data";
    job["data"]["attributes"]["events-bulk-create"]["data"][2]["attributes"]["events"]["data"][0]["attributes"]["time"] =
        json!("soon");
    let reply = klaviyo(&sandbox, "POST", path, &job).await;
    assert_eq!(reply.status, 400);
    let expected = [
        format!("{groups}/1/attributes/profile/data/attributes/email"),
        format!("{groups}/2/attributes/events/data/0/attributes/time"),
    ];
    assert_eq!(reply.pointers(), expected);
    assert!(sandbox.klaviyo().events().is_empty());

    let twice = bulk(&[("a", "a@shop.co"), ("a", "A@shop.co"), ("a", "b@shop.co")]);
    let reply = klaviyo(&sandbox, "POST", path, &twice).await;
    assert_eq!(reply.pointers(), [format!("{groups}/1/attributes/events/data/0/attributes/unique_id")]);

    assert_eq!(klaviyo(&sandbox, "POST", path, &bulk(&[("a", "a@shop.co"), ("b", "b@shop.co")])).await.status, 202);
    let events = sandbox.klaviyo().events();
    assert_eq!(events.len(), 2);
    assert!(events.iter().all(|event| event.backfill && event.via == Via::Bulk));
    // Against what is stored, a repeat is dropped in silence.
    assert_eq!(klaviyo(&sandbox, "POST", path, &bulk(&[("a", "a@shop.co")])).await.status, 202);
    assert_eq!(sandbox.klaviyo().discards().repeated, 1);
    let many: Vec<(String, String)> = (0..1001).map(|n| (n.to_string(), format!("{n}@shop.co"))).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(key, email)| (key.as_str(), email.as_str())).collect();
    assert_eq!(klaviyo(&sandbox, "POST", path, &bulk(&many)).await.status, 400);
}

#[tokio::test]
async fn limits_refuse_and_remember_who_did_not_wait() {
    let sandbox = start().await;
    let ask = || klaviyo(&sandbox, "GET", "/api/accounts", &Value::Null);
    assert_eq!(ask().await.status, 200);
    let refused = ask().await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, "1"));
    assert_eq!(refused.header("ratelimit-limit"), "");
    assert_eq!(refused.json()["errors"][0]["code"], "throttled");
    sandbox.clock().advance(Duration::from_millis(500));
    assert_eq!(ask().await.status, 429);
    assert_eq!(sandbox.klaviyo().early_requests().len(), 1);
    sandbox.clock().advance(Duration::from_millis(500));
    assert_eq!(ask().await.status, 200);
    assert_eq!(sandbox.klaviyo().refused(), 2);
    sandbox.klaviyo().set_limits_enabled(false);
    assert_eq!(ask().await.status, 200);
}

#[tokio::test]
async fn poison_and_test_addresses() {
    let sandbox = start().await;
    sandbox.klaviyo().refuse_when("Ticket ID", "123", "ada@shop.co is not welcome");
    let reply = klaviyo(&sandbox, "POST", "/api/events", &single("k", "a@shop.co")).await;
    assert_eq!(reply.pointers(), ["/data/attributes/properties/Ticket ID"]);
    assert_eq!(reply.json()["errors"][0]["detail"], "ada@shop.co is not welcome");
    sandbox.klaviyo().refuse_nothing();
    sandbox.klaviyo().set_discard_test_addresses(true);
    assert_eq!(klaviyo(&sandbox, "POST", "/api/events", &single("k", "a@example.com")).await.status, 202);
    assert!(sandbox.klaviyo().events().is_empty());
    assert_eq!(sandbox.klaviyo().discards().test_address, 1);
}

#[tokio::test]
async fn what_was_sent_can_be_read() {
    let sandbox = start().await;
    sandbox.klaviyo().set_limits_enabled(false);
    for n in 0..5 {
        klaviyo(&sandbox, "POST", "/api/events", &single(&n.to_string(), "a@shop.co")).await;
    }
    let metrics =
        klaviyo(&sandbox, "GET", "/api/metrics?filter=equals(integration.name,%22API%22)", &Value::Null).await;
    let metric = metrics.json()["data"][0]["id"].as_str().expect("an id").to_owned();
    assert_eq!(metrics.json()["data"][0]["attributes"]["name"], "Intercom Created Ticket");
    let mut path = format!("/api/events?filter=equals(metric_id,%22{metric}%22)&page[size]=2")
        .replace('[', "%5B")
        .replace(']', "%5D");
    let mut seen = 0;
    loop {
        let page = klaviyo(&sandbox, "GET", &path, &Value::Null).await.json();
        seen += page["data"].as_array().map_or(0, Vec::len);
        let Some(next) = page["links"]["next"].as_str() else { break };
        path = next.trim_start_matches(&sandbox.klaviyo_url()).to_owned();
    }
    assert_eq!(seen, 5);
    let found = klaviyo(&sandbox, "GET", "/api/profiles?filter=equals(email,%22A@SHOP.CO%22)", &Value::Null).await;
    assert_eq!(found.json()["data"].as_array().map(Vec::len), Some(1));
    assert_eq!(klaviyo(&sandbox, "GET", "/api/events?filter=size(shoe,1)", &Value::Null).await.status, 400);
    assert_eq!(klaviyo(&sandbox, "GET", "/api/accounts", &Value::Null).await.json()["data"][0]["type"], "account");
}

#[tokio::test]
async fn profiles_are_imported_and_deleted() {
    let sandbox = start().await;
    let profile = |properties: Value| {
        json!({ "data": { "type": "profile", "attributes": {
            "email": "a@shop.co", "first_name": "Ada", "properties": properties,
        } } })
    };
    assert_eq!(klaviyo(&sandbox, "POST", "/api/profile-import", &profile(json!({ "a": 0, "b": 1 }))).await.status, 201);
    assert_eq!(klaviyo(&sandbox, "POST", "/api/profile-import", &profile(json!({ "a": null }))).await.status, 200);
    let profiles = sandbox.klaviyo().profiles();
    assert_eq!(Value::Object(profiles[0].properties.clone()), json!({ "b": 1 }));
    assert_eq!(profiles[0].attributes["first_name"], "Ada");
    sandbox.klaviyo().refuse_when("b", 2, "no b of 2");
    let refused = klaviyo(&sandbox, "POST", "/api/profile-import", &profile(json!({ "b": 2 }))).await;
    assert_eq!((refused.status, refused.pointers()), (400, vec!["/data/attributes/properties/b".to_owned()]));
    let found = klaviyo(&sandbox, "GET", "/api/profiles?filter=equals(email,%22a@shop.co%22)", &Value::Null).await;
    assert_eq!(found.json()["data"][0]["attributes"]["properties"], json!({ "b": 1 }));
    let job = json!({ "data": { "type": "data-privacy-deletion-job", "attributes": { "profile": { "data": {
        "type": "profile", "attributes": { "email": "a@shop.co" },
    } } } } });
    assert_eq!(klaviyo(&sandbox, "POST", "/api/data-privacy-deletion-jobs", &job).await.status, 202);
    assert!(sandbox.klaviyo().profiles().is_empty());
}

#[tokio::test]
async fn assets_are_stored_and_listed() {
    let sandbox = start().await;
    let flow = |definition: Value| json!({ "data": { "type": "flow", "attributes": { "name": "CSAT follow-up", "definition": definition } } });
    let unknown = json!({ "triggers": [{ "type": "metric", "trigger_filter": { "metric_id": "nobody" } }] });
    assert_eq!(klaviyo(&sandbox, "POST", "/api/flows", &flow(unknown)).await.status, 400);
    sandbox.klaviyo().clear();
    let flow = flow(json!({ "triggers": [] }));
    let made = klaviyo(&sandbox, "POST", "/api/flows", &flow).await;
    assert_eq!((made.status, made.json()["data"]["attributes"]["status"].clone()), (201, json!("draft")));
    assert_eq!(klaviyo(&sandbox, "POST", "/api/flows", &flow).await.status, 429);
    let listed = klaviyo(&sandbox, "GET", "/api/flows", &Value::Null).await;
    assert_eq!(listed.json()["data"].as_array().map(Vec::len), Some(1));
    for (name, count) in [("CSAT%20follow-up", 1), ("CSAT", 0)] {
        let path = format!("/api/flows?filter=equals(name,%22{name}%22)");
        let listed = klaviyo(&sandbox, "GET", &path, &Value::Null).await;
        assert_eq!(listed.json()["data"].as_array().map(Vec::len), Some(count), "{name}");
    }
}

#[tokio::test]
async fn counts_only_parses_nothing() {
    let sandbox = start().await;
    sandbox.klaviyo().set_keep(Keep::CountsOnly);
    let job = bulk(&[("a", "nonsense"), ("b", "b@shop.co")]);
    assert_eq!(klaviyo(&sandbox, "POST", "/api/event-bulk-create-jobs", &job).await.status, 202);
    assert_eq!((sandbox.klaviyo().accepted(), sandbox.klaviyo().event_count()), (2, 0));
    sandbox.klaviyo().set_keep(Keep::KeysOnly);
    assert_eq!(klaviyo(&sandbox, "POST", "/api/events", &single("k", "a@shop.co")).await.status, 202);
    let events = sandbox.klaviyo().events();
    assert!(events[0].properties.is_empty());
    assert_eq!(events[0].received_at_ms, NOW * 1000);
    sandbox.klaviyo().clear();
    assert_eq!(sandbox.klaviyo().event_count(), 0);
}
