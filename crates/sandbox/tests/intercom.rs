//! The stand-in Intercom over HTTP.

mod common;

use common::{INTERCOM, NOW, intercom, send, start};
use sandbox::{
    SeedSpec,
    intercom::{Category, ContactSpec},
};
use serde_json::{Value, json};

#[tokio::test]
async fn lookups_and_the_guard() {
    let sandbox = start().await;
    let me = intercom(&sandbox, "GET", "/me", &Value::Null).await;
    assert_eq!(me.json()["app"]["id_code"], "sandbox1");
    assert_eq!(me.header("intercom-version"), "2.16");
    assert_eq!(me.header("x-ratelimit-limit"), "1667");
    for path in ["/admins", "/teams", "/tags", "/ticket_types", "/ticket_states"] {
        assert_eq!(intercom(&sandbox, "GET", path, &Value::Null).await.status, 200, "{path}");
    }
    let url = format!("{}/me", sandbox.intercom_url());
    let with = |name: &str, value: &'static str| {
        INTERCOM.map(|(key, old)| if key == name { (key, value) } else { (key, old) })
    };
    for (headers, status) in [
        (with("authorization", "Bearer x"), 401),
        (with("accept", "text/html"), 406),
        (with("intercom-version", "9.9"), 400),
    ] {
        let reply = send("GET", &url, &headers, bytes::Bytes::new()).await.expect("an answer");
        assert_eq!((reply.status, reply.json()["type"].clone()), (status, json!("error.list")));
    }
}

#[tokio::test]
async fn contacts_merged_gone_and_late() {
    let sandbox = start().await;
    let workspace = sandbox.intercom();
    let ada = workspace.add_contact(ContactSpec::user("ada@shop.co", "Ada Byron"));
    let lead = workspace.add_lead();
    let path = |id: &str| format!("/contacts/{id}");
    let shown = intercom(&sandbox, "GET", &path(&lead), &Value::Null).await.json();
    assert_eq!((shown["role"].clone(), shown["email"].clone()), (json!("lead"), Value::Null));
    workspace.email_appears_at(&lead, "late@shop.co", NOW + 5).expect("known");
    assert_eq!(intercom(&sandbox, "GET", &path(&lead), &Value::Null).await.json()["email"], Value::Null);
    sandbox.clock().set(NOW + 5);
    assert_eq!(intercom(&sandbox, "GET", &path(&lead), &Value::Null).await.json()["email"], "late@shop.co");

    let query = json!({ "query": { "field": "id", "operator": "IN", "value": [ada, lead, "nobody"] } });
    assert_eq!(intercom(&sandbox, "POST", "/contacts/search", &query).await.json()["total_count"], 2);

    workspace.merge_contacts(&lead, &ada).expect("possible");
    let merged = intercom(&sandbox, "GET", &path(&lead), &Value::Null).await;
    assert_eq!(merged.status, 410);
    assert_eq!(merged.header("link"), format!("</contacts/{ada}>; rel=\"canonical\""));
    let old = [INTERCOM[0], INTERCOM[1], ("intercom-version", "2.15")];
    let url = format!("{}{}", sandbox.intercom_url(), path(&lead));
    assert_eq!(send("GET", &url, &old, bytes::Bytes::new()).await.expect("an answer").status, 404);
    assert_eq!(intercom(&sandbox, "POST", "/contacts/search", &query).await.json()["total_count"], 1);
    workspace.archive_contact(&ada).expect("known");
    assert_eq!(intercom(&sandbox, "GET", &path(&ada), &Value::Null).await.status, 404);
}

#[tokio::test]
async fn search_pages_cover_everything_once() {
    let sandbox = start().await;
    sandbox.intercom().seed_history(&SeedSpec { conversations: 130, tickets: 30, ..SeedSpec::default() });
    for (kind, total) in [("conversations", 160_u64), ("tickets", 30)] {
        let mut ids = std::collections::HashSet::new();
        let mut after = Value::Null;
        loop {
            let mut search = json!({
                "query": { "field": "created_at", "operator": ">=", "value": 0 },
                "pagination": { "per_page": 25 }, "sort": { "field": "created_at", "order": "ascending" },
            });
            if !after.is_null() {
                search["pagination"]["starting_after"] = after;
            }
            let page = intercom(&sandbox, "POST", &format!("/{kind}/search"), &search).await.json();
            let all = page["total_count"].as_u64().unwrap_or(0);
            assert!(all >= total, "converted conversations are tickets too");
            for item in page[kind].as_array().expect("a list") {
                assert_eq!(item.get("ticket_parts").is_some(), kind == "tickets");
                assert!(item.get("conversation_parts").is_none());
                assert!(ids.insert(item["id"].to_string()));
            }
            after = page["pages"]["next"]["starting_after"].clone();
            if after.is_null() {
                assert_eq!(ids.len() as u64, all);
                break;
            }
        }
    }
}

#[tokio::test]
async fn search_refuses_what_the_real_one_refuses() {
    let sandbox = start().await;
    let ask = async |path: &str, change: Value| {
        let mut search = json!({ "query": { "field": "created_at", "operator": ">", "value": 0 } });
        for (key, value) in change.as_object().expect("an object") {
            search[key] = value.clone();
        }
        let reply = intercom(&sandbox, "POST", path, &search).await;
        (reply.status, reply.json()["errors"][0]["code"].as_str().unwrap_or_default().to_owned())
    };
    let refused = |status: u16, code: &str| (status, code.to_owned());
    let conversations = "/conversations/search";
    assert_eq!(
        ask(conversations, json!({ "pagination": { "per_page": 151 } })).await,
        refused(400, "invalid_per_page")
    );
    assert_eq!(
        ask(conversations, json!({ "sort": { "field": "id", "order": "ascending" } })).await,
        refused(400, "invalid_field")
    );
    let bad_order = json!({ "sort": { "field": "created_at", "order": "desc" } });
    assert_eq!(ask(conversations, bad_order).await, refused(400, "invalid_sort_order"));
    let bad_cursor = json!({ "pagination": { "starting_after": "" } });
    assert_eq!(ask("/tickets/search", bad_cursor).await, refused(500, "server_error"));
    let unknown = json!({ "query": { "field": "shoe", "operator": "=", "value": 1 } });
    assert_eq!(ask(conversations, unknown).await, refused(400, "invalid_field"));
}

#[tokio::test]
async fn a_ticket_among_conversations_looks_like_the_capture() {
    let sandbox = start().await;
    let workspace = sandbox.intercom();
    let ada = workspace.add_contact(ContactSpec::user("ada@shop.co", "Ada Byron"));
    let ticket = workspace.create_ticket(&ada, "", "Wrong size").expect("known").id;
    workspace.set_ticket_state(&ticket, Category::Resolved).expect("known");
    let shown = intercom(&sandbox, "GET", &format!("/tickets/{ticket}"), &Value::Null).await.json();
    let parts = shown["ticket_parts"]["ticket_parts"].as_array().expect("a list").clone();
    let first = parts.iter().find(|part| part["ticket_state"].is_string()).expect("a state part");
    assert_eq!((&first["ticket_state"], &first["previous_ticket_state"]), (&json!("submitted"), &json!("submitted")));
    assert_eq!(shown["ticket_state"]["category"], "resolved");
    let search = json!({ "query": { "field": "id", "operator": "=", "value": ticket } });
    let found = intercom(&sandbox, "POST", "/conversations/search", &search).await.json();
    let item = &found["conversations"][0];
    assert_eq!((&item["source"]["type"], &item["source"]["author"]["name"]), (&Value::Null, &json!("Fin")));
    assert_eq!(item["ticket"]["state"], "resolved");
}

#[tokio::test]
async fn the_rate_limit_is_per_ten_seconds() {
    let sandbox = start().await;
    sandbox.intercom().set_rate_limit(2);
    for remaining in ["1", "0"] {
        let reply = intercom(&sandbox, "GET", "/me", &Value::Null).await;
        assert_eq!((reply.status, reply.header("x-ratelimit-remaining")), (200, remaining));
    }
    let refused = intercom(&sandbox, "GET", "/me", &Value::Null).await;
    assert_eq!((refused.status, refused.json()["errors"][0]["code"].clone()), (429, json!("rate_limit_exceeded")));
    sandbox.clock().set(refused.header("x-ratelimit-reset").parse().expect("a number"));
    assert_eq!(intercom(&sandbox, "GET", "/me", &Value::Null).await.status, 200);
    assert_eq!(sandbox.intercom().refused(), 1);
}
