//! Faults, the control API, and the scenario's own consistency.

mod common;

use std::{collections::HashSet, time::Duration};

use bytes::Bytes;
use common::{KLAVIYO, event, klaviyo, send, start};
use sandbox::{
    Fault, FaultKind, Matcher, Sandbox, SandboxConfig,
    scenario::{HistoryOptions, METRICS, expected_history, nine_metrics},
};
use serde_json::{Value, json};

async fn post(sandbox: &Sandbox, key: &str) -> Result<common::Reply, String> {
    let body = json!({ "data": event(key, "a@shop.co") }).to_string();
    send("POST", &format!("{}/api/events", sandbox.klaviyo_url()), &KLAVIYO, body.into()).await
}

#[tokio::test]
async fn connections_are_cut_before_and_after_the_work() {
    let sandbox = start().await;
    let faults = sandbox.klaviyo().faults();
    faults.push(Fault::times(Matcher::path("/api/events"), FaultKind::Before, 1));
    assert!(post(&sandbox, "a").await.is_err());
    assert_eq!(sandbox.klaviyo().event_count(), 0);
    faults.push(Fault::times(Matcher::method("POST", "/api"), FaultKind::After, 1));
    assert!(post(&sandbox, "a").await.is_err());
    assert_eq!(sandbox.klaviyo().event_count(), 1);
    assert_eq!(post(&sandbox, "b").await.map(|reply| reply.status), Ok(202));
    let cut: u64 = sandbox.klaviyo().requests().iter().filter(|count| count.status == 0).map(|count| count.count).sum();
    assert_eq!(cut, 2);
}

#[tokio::test]
async fn answers_are_replaced_emptied_truncated_and_delayed() {
    let sandbox = start().await;
    let faults = sandbox.klaviyo().faults();
    faults.push(Fault::times(Matcher::any(), FaultKind::html(502), 1));
    let reply = post(&sandbox, "a").await.expect("an answer");
    assert_eq!((reply.status, reply.header("content-type")), (502, "text/html"));
    faults.push(Fault::times(Matcher::any(), FaultKind::throttled(7), 1));
    let reply = post(&sandbox, "a").await.expect("an answer");
    assert_eq!((reply.status, reply.header("retry-after")), (429, "7"));
    faults.clear();

    let url = format!("{}/api/metrics", sandbox.klaviyo_url());
    faults.push(Fault::times(Matcher::path("/api/metrics"), FaultKind::EmptyBody, 1));
    let reply = send("GET", &url, &KLAVIYO, Bytes::new()).await.expect("an answer");
    assert_eq!((reply.status, reply.text.as_str()), (200, ""));
    faults.push(Fault::times(Matcher::path("/api/metrics"), FaultKind::Truncated, 1));
    let error = send("GET", &url, &KLAVIYO, Bytes::new()).await.expect_err("cut off");
    assert!(error.starts_with("body:"), "the head arrives, the body does not: {error}");
    faults.push(Fault::times(Matcher::any(), FaultKind::slow(Duration::from_millis(60)), 1));
    let began = std::time::Instant::now();
    assert_eq!(send("GET", &url, &KLAVIYO, Bytes::new()).await.map(|reply| reply.status), Ok(200));
    assert!(began.elapsed() >= Duration::from_millis(60));
    faults.push(Fault::times(Matcher::any(), FaultKind::Hang, 1));
    let hung = tokio::time::timeout(Duration::from_millis(100), post(&sandbox, "x")).await;
    assert!(hung.is_err());
}

async fn control(url: &str, method: &str, path: &str, body: &Value) -> common::Reply {
    let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
    send(method, &format!("{url}/_sandbox/{path}"), &[], body).await.expect("an answer")
}

#[tokio::test]
async fn the_control_api_drives_both_vendors() {
    let sandbox = start().await;
    let (intercom, klaviyo_url) = (sandbox.intercom_url(), sandbox.klaviyo_url());
    let made =
        control(&intercom, "POST", "act", &json!({ "action": "add_contact", "contact": { "email": "a@shop.co" } }))
            .await;
    let ada = made.json()[0]["id"].clone();
    let acted = control(
        &intercom,
        "POST",
        "act",
        &json!([{ "action": "start_conversation", "contact": ada, "text": "Hi", "at": 1_700_000_000 }, { "action": "ping" }]),
    )
    .await
    .json();
    assert_eq!(acted[0]["notifications"][0]["body"]["created_at"], 1_700_000_000);
    let wrong = control(&intercom, "POST", "act", &json!({ "action": "contact_reads", "conversation": "7" })).await;
    assert_eq!((wrong.status, wrong.json()["index"].clone()), (400, json!(0)));
    assert_eq!(control(&intercom, "POST", "act", &json!({ "action": "dance" })).await.status, 400);
    assert_eq!(control(&intercom, "POST", "webhook", &json!({ "url": null })).await.status, 200);
    assert_eq!(
        control(&intercom, "POST", "settings", &json!({ "api_version": "2.11", "delivery": { "seed": 3 } }))
            .await
            .status,
        200
    );
    assert_eq!(control(&intercom, "POST", "seed", &json!({ "conversations": 10, "tickets": 2 })).await.status, 200);
    assert_eq!(control(&intercom, "GET", "state", &Value::Null).await.json()["vendor"], "intercom");
    assert_eq!(control(&intercom, "GET", "deliveries", &Value::Null).await.json(), json!([]));

    assert_eq!(control(&klaviyo_url, "POST", "limits", &json!({ "enabled": false })).await.status, 200);
    let fault = json!({ "on": { "path": "/api/events" }, "kind": "status", "status": 503, "times": { "times": 1 } });
    assert_eq!(control(&klaviyo_url, "POST", "faults", &fault).await.status, 200);
    assert_eq!(post(&sandbox, "a").await.map(|reply| reply.status), Ok(503));
    assert_eq!(control(&klaviyo_url, "DELETE", "faults", &Value::Null).await.status, 200);
    assert_eq!(post(&sandbox, "a").await.map(|reply| reply.status), Ok(202));
    assert_eq!(control(&klaviyo_url, "GET", "events", &Value::Null).await.json()[0]["unique_id"], "a");
    assert_eq!(control(&klaviyo_url, "GET", "profiles", &Value::Null).await.json()[0]["email"], "a@shop.co");
    let before = sandbox.clock().now();
    let moved = control(&klaviyo_url, "POST", "clock", &json!({ "advance_seconds": 90 })).await;
    assert_eq!(moved.json()["now"], before + 90);
    assert_eq!(control(&klaviyo_url, "POST", "clear", &Value::Null).await.status, 200);
    assert_eq!(sandbox.klaviyo().event_count(), 0);
    assert_eq!(control(&klaviyo_url, "GET", "nothing", &Value::Null).await.status, 404);
}

#[tokio::test]
async fn the_scenario_has_every_metric_and_no_key_twice() {
    let sandbox = start().await;
    let expected = nine_metrics(sandbox.intercom(), 3, sandbox.clock().now()).expect("plays");
    let metrics: HashSet<&str> = expected.iter().map(|event| event.metric.as_str()).collect();
    assert_eq!(metrics, HashSet::from(METRICS));
    let keys: HashSet<&str> = expected.iter().map(|event| event.key.as_str()).collect();
    assert_eq!(keys.len(), expected.len());
    assert!(expected.iter().all(|event| event.email.is_some() || event.phone.is_some()));
}

#[test]
fn a_sandbox_on_its_own_thread_answers_and_ends() {
    let sandbox = Sandbox::start_on_thread(SandboxConfig::default()).expect("starts");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let reply = klaviyo(&sandbox, "GET", "/api/accounts", &Value::Null).await;
        assert_eq!(reply.status, 200);
        let url = sandbox.klaviyo_url();
        sandbox.stop().await;
        assert!(send("GET", &format!("{url}/api/accounts"), &KLAVIYO, Bytes::new()).await.is_err());
    });
}

#[tokio::test]
async fn the_script_and_the_model_agree_on_what_is_expected() {
    let sandbox = start().await;
    let from = sandbox.clock().now();
    let mut played = nine_metrics(sandbox.intercom(), 4, from).expect("plays");
    // Reading leaves no trace in the workspace.
    played.retain(|event| event.metric != "Read Conversation");
    sandbox.clock().advance(Duration::from_secs(3_600));
    let mut walked = expected_history(sandbox.intercom(), &HistoryOptions::everything());
    played.sort();
    walked.sort();
    assert_eq!(played, walked);
}
