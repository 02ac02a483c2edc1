//! Failures, refusals and a key that is not valid.

use app::ports::{CallError, Deletable, VendorState};
use domain::klaviyo::ProfileChange;
use domain::limits::Endpoint;
use domain::recipes::AssetKind;

use super::*;

const BODY: &[u8] = b"{}";

async fn send(api: &Klaviyo) -> Result<(), CallError> {
    api.one(Bytes::from_static(BODY)).await
}

#[tokio::test(start_paused = true)]
async fn an_accepted_event_is_one_request() {
    let (stage, api) = Stage::klaviyo([]).await;
    send(&api).await.expect("accepted");
    api.bulk(Bytes::from_static(BODY)).await.expect("accepted");
    assert_eq!(stage.paths(), ["/api/events", "/api/event-bulk-create-jobs"]);
    assert!(stage.seen().iter().all(|seen| seen.body.as_deref() == Some(BODY)));
}

#[tokio::test(start_paused = true)]
async fn what_may_pass_is_tried_again_in_place() {
    for step in [says(500), says(502), says(503), says(524), says(408), breaks(Flaw::Cut), breaks(Flaw::Timeout)] {
        let (stage, api) = Stage::klaviyo([step.clone(), step]).await;
        send(&api).await.expect("accepted at the third try");
        let times = stage.times();
        assert_eq!(times.len(), 3);
        assert!(times[1] - times[0] >= 400 && times[2] - times[1] >= 800, "{times:?}");
        assert!(stage.seen().iter().all(|seen| seen.body.as_deref() == Some(BODY)));
    }
}

#[tokio::test(start_paused = true)]
async fn three_failures_are_the_callers_business_and_count() {
    let (stage, api) = Stage::klaviyo(vec![says(503); 3]).await;
    let error = send(&api).await.expect_err("fails");
    let CallError::Unavailable { counts, reason, until, .. } = error else { panic!("{error}") };
    assert!(counts);
    assert_eq!(reason, "it answered 503");
    assert!(until > stage.clock.now());
    assert_eq!(stage.times().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_took_long_is_not_repeated_in_place() {
    let (stage, api) = Stage::klaviyo([Step::Breaks(Duration::from_secs(10), Flaw::Timeout)]).await;
    let error = send(&api).await.expect_err("fails");
    assert!(matches!(error, CallError::Unavailable { counts: true, .. }), "{error}");
    assert_eq!(stage.times().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_vendor_that_is_down_costs_no_tries_and_gets_one_probe_at_a_time() {
    let (stage, api) = Stage::klaviyo(vec![says(503); 20]).await;
    let mut counted = 0;
    let until_open = loop {
        match send(&api).await.expect_err("fails") {
            CallError::Unavailable { counts: false, until, .. } => break until,
            CallError::Unavailable { .. } => counted += 1,
            other => panic!("{other}"),
        }
    };
    assert_eq!((counted, stage.times().len()), (1, 5));
    assert!(matches!(send(&api).await, Err(CallError::Unavailable { counts: false, .. })));
    assert_eq!(stage.times().len(), 5, "nothing is sent while the breaker is open");
    tokio::time::sleep(Duration::try_from(until_open.duration_since(stage.clock.now())).expect("ahead")).await;
    assert!(matches!(send(&api).await, Err(CallError::Unavailable { counts: false, .. })));
    assert_eq!(stage.times().len(), 6, "a probe is not repeated in place");
    stage.script.steps.lock().expect("sound").clear();
    tokio::time::sleep(Duration::from_secs(2)).await;
    send(&api).await.expect("the probe");
    send(&api).await.expect("all others");
}

#[tokio::test(start_paused = true)]
async fn a_dead_key_stops_everything_until_a_probe_succeeds() {
    let (stage, api) = Stage::klaviyo([says(202), says(401), says(401)]).await;
    send(&api).await.expect("accepted");
    assert_eq!(stage.vendors.blocked(), None);
    let error = send(&api).await.expect_err("stopped");
    let CallError::Stopped { reason, .. } = &error else { panic!("{error}") };
    assert!(reason.contains("KLAVIYO_API_KEY"), "{reason}");
    let blocked = stage.vendors.blocked().expect("blocked");
    assert_eq!((blocked.vendor, &blocked.reason), (Vendor::Klaviyo, reason));
    for _ in 0..50 {
        assert!(matches!(api.bulk(Bytes::new()).await, Err(CallError::Stopped { .. })));
    }
    assert_eq!(stage.times().len(), 2);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(matches!(send(&api).await, Err(CallError::Stopped { .. })));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(matches!(send(&api).await, Err(CallError::Stopped { .. })));
    assert_eq!(stage.times().len(), 3, "two seconds after the second refusal");
    tokio::time::sleep(Duration::from_secs(1)).await;
    send(&api).await.expect("the probe");
    assert_eq!(stage.vendors.blocked(), None);
    send(&api).await.expect("all others");
}

#[tokio::test(start_paused = true)]
async fn an_edge_that_forbids_now_and_then_is_over_within_a_second() {
    let (stage, api) = Stage::klaviyo([says(202), says(403)]).await;
    send(&api).await.expect("accepted");
    let error = send(&api).await.expect_err("stopped");
    let CallError::Stopped { until, .. } = error else { panic!("{error}") };
    tokio::time::sleep(Duration::try_from(until.duration_since(stage.clock.now())).expect("ahead")).await;
    send(&api).await.expect("accepted");
    assert_eq!(stage.vendors.blocked(), None);
    assert!(stage.clock.0.elapsed() < Duration::from_millis(1_100));
}

#[tokio::test(start_paused = true)]
async fn a_probe_of_a_dead_key_that_fails_otherwise_counts_for_nothing() {
    for step in [says(503), Step::Breaks(Duration::from_secs(10), Flaw::Timeout)] {
        let (stage, api) = Stage::klaviyo([says(401), step]).await;
        send(&api).await.expect_err("stopped");
        tokio::time::sleep(Duration::from_secs(1)).await;
        let error = send(&api).await.expect_err("fails");
        assert!(matches!(error, CallError::Stopped { .. } | CallError::Unavailable { counts: false, .. }), "{error}");
        assert!(stage.vendors.blocked().is_some());
        assert_eq!(stage.times().len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_restart_probes_a_dead_key_at_once() {
    let (stage, api) = Stage::klaviyo([says(401)]).await;
    assert!(matches!(send(&api).await, Err(CallError::Stopped { .. })));
    let (again, api) = Stage::klaviyo_on(stage.papers.clone(), []).await;
    send(&api).await.expect("accepted");
    assert_eq!(again.times(), [0]);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_address_or_a_retired_revision_stops_instead_of_killing_events() {
    for status in [301, 302, 308, 404, 405, 410, 415] {
        let (stage, api) = Stage::klaviyo([says(status)]).await;
        let error = send(&api).await.expect_err("stopped");
        assert!(matches!(&error, CallError::Stopped { reason, .. } if reason.contains("KLAVIYO_API_URL")), "{error}");
        assert!(stage.vendors.blocked().is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_carries_what_klaviyo_said_and_shows_none_of_it() {
    let body = r#"{"errors":[{"code":"invalid","title":"Invalid input.","detail":"ann@acme.io is bad",
        "source":{"pointer":"/data/attributes/events-bulk-create/data/7/attributes"}}]}"#;
    let (stage, api) = Stage::klaviyo([Step::Says(400, Vec::new(), body), Step::Says(400, Vec::new(), "<html>")]).await;
    let error = api.bulk(Bytes::from_static(BODY)).await.expect_err("refused");
    assert!(!error.to_string().contains("acme"), "{error}");
    let CallError::Refused { status: 400, errors, .. } = error else { panic!("{error}") };
    assert_eq!(errors[0].pointer.as_deref(), Some("/data/attributes/events-bulk-create/data/7/attributes"));
    let error = api.bulk(Bytes::from_static(BODY)).await.expect_err("refused");
    assert!(matches!(&error, CallError::Refused { errors, .. } if errors.is_empty()), "{error}");
    assert_eq!(stage.times().len(), 2, "a refusal is not repeated");
}

#[tokio::test(start_paused = true)]
async fn a_task_that_is_dropped_in_the_middle_holds_nobody() {
    let (stage, api) = Stage::klaviyo(vec![Step::Hangs; 6]).await;
    for _ in 0..6 {
        tokio::time::timeout(Duration::from_secs(1), send(&api)).await.expect_err("hangs");
    }
    send(&api).await.expect("the next first request; what we gave up is no failure of the vendor");
    assert_eq!(stage.times().len(), 7);
}

#[tokio::test(start_paused = true)]
async fn who_am_i_at_klaviyo() {
    let account = r#"{"data":[{"type":"account","id":"AbC123","attributes":{"test_account":true,
        "contact_information":{"organization_name":"Acme","default_sender_email":"a@acme.io"}}}]}"#;
    let metrics = r#"{"data":[{"id":"m1","attributes":{"name":"Created Ticket","integration":{"name":"Intercom"}}}],
        "links":{"next":"https://elsewhere.example/api/metrics?page%5Bcursor%5D=x"}}"#;
    let rest = r#"{"data":[{"id":"m2","attributes":{"name":"Opened Email"}}],"links":{"next":null}}"#;
    let (stage, api) = Stage::klaviyo([json(account), json(metrics), json(rest), says(403)]).await;
    let found = api.account().await.expect("readable");
    assert_eq!((found.id.as_str(), found.name.as_deref(), found.test), ("AbC123", Some("Acme"), true));
    let found = api.metrics().await.expect("readable");
    assert_eq!(found.iter().map(|metric| metric.name.as_str()).collect::<Vec<_>>(), ["Created Ticket", "Opened Email"]);
    assert_eq!(found[0].integration.as_deref(), Some("Intercom"));
    assert_eq!(stage.paths(), ["/api/accounts", "/api/metrics", "/api/metrics?page%5Bcursor%5D=x"]);
    assert!(matches!(api.account().await, Err(CallError::Forbidden { .. })));
}

#[tokio::test(start_paused = true)]
async fn an_asset_is_found_by_its_whole_name() {
    let other = r#"{"data":[{"type":"segment","id":"S1","attributes":{"name":"Open: \"now\", or so"}}],
        "links":{"next":"https://elsewhere.example/api/segments?page%5Bcursor%5D=x"}}"#;
    let wanted =
        r#"{"data":[{"type":"segment","id":"S2","attributes":{"name":"Open: \"now\""}}],"links":{"next":null}}"#;
    let (stage, api) = Stage::klaviyo([json(other), json(wanted), says(403)]).await;
    let found = api.find_asset(AssetKind::Segment, "Open: \"now\"").await.expect("readable");
    assert_eq!(found.as_deref(), Some("S2"));
    let filter = "equals%28name%2C%22Open%3A%20%5C%22now%5C%22%22%29";
    assert_eq!(
        stage.paths(),
        [format!("/api/segments?filter={filter}"), "/api/segments?page%5Bcursor%5D=x".to_owned()]
    );
    let error = api.find_asset(AssetKind::Flow, "x").await.expect_err("forbidden");
    assert_eq!(error.to_string(), "Klaviyo does not allow looking for flows (scope flows:read)");
}

/// What Klaviyo may have made is not made again by us: its answer may be lost, and a repetition would make a second one.
#[tokio::test(start_paused = true)]
async fn making_something_is_never_repeated_in_place() {
    for step in [says(503), Step::Breaks(Duration::from_secs(10), Flaw::Timeout)] {
        let (stage, api) = Stage::klaviyo([step]).await;
        let error = api.create_asset(AssetKind::Segment, &serde_json::json!({})).await.expect_err("fails");
        assert!(matches!(error, CallError::Unavailable { .. }), "{error}");
        assert_eq!(stage.times().len(), 1);
    }
    let made = Step::Says(201, Vec::new(), r#"{"data":{"type":"segment","id":"S9","attributes":{"name":"x"}}}"#);
    let (stage, api) = Stage::klaviyo([with(429, "retry-after", 1), made]).await;
    let id = api.create_asset(AssetKind::Segment, &serde_json::json!({})).await.expect("made");
    assert_eq!((id.as_str(), stage.times().len()), ("S9", 2), "a refusal made nothing, so it is repeated");
}

/// The address is in the body and nowhere else.
#[tokio::test(start_paused = true)]
async fn a_deletion_names_one_person() {
    let (stage, api) = Stage::klaviyo([says(202), says(403)]).await;
    let person = Deletable::Email("ann@acme.io".to_owned());
    api.request_deletion(&person).await.expect("taken");
    let seen = stage.seen();
    let body: serde_json::Value = serde_json::from_slice(seen[0].body.as_deref().expect("a body")).expect("JSON");
    assert_eq!(
        body["data"]["attributes"]["profile"]["data"]["attributes"],
        serde_json::json!({"email": "ann@acme.io"})
    );
    let error = api.request_deletion(&person).await.expect_err("forbidden");
    assert!(error.to_string().contains("data-privacy:write") && !error.to_string().contains("acme"), "{error}");
    assert!(!format!("{person:?}").contains("acme"));
}

#[tokio::test(start_paused = true)]
async fn a_profile_has_a_request_and_limits_of_its_own() {
    let (stage, api) = Stage::klaviyo([says(201), says(200), says(503), says(200)]).await;
    let write = async || api.profile(Bytes::from_static(BODY)).await;
    assert_eq!(write().await.expect("written"), ProfileChange::Created);
    assert_eq!(write().await.expect("written"), ProfileChange::Updated);
    assert_eq!(write().await.expect("written at the second try"), ProfileChange::Updated);
    assert_eq!(stage.paths(), ["/api/profile-import"; 4]);
    // 75 a second: none of these is sent early, and none of them takes an event's place.
    let room = api.caller.room(Endpoint::KlaviyoEvents);
    let before = stage.clock.now();
    for _ in 0..160 {
        write().await.expect("written");
    }
    assert!(stage.clock.now().duration_since(before).as_secs() >= 1);
    for window in stage.times().windows(76) {
        assert!(window[75] - window[0] >= 1_000, "{window:?}");
    }
    assert_eq!(api.caller.room(Endpoint::KlaviyoEvents), room);
}

#[tokio::test(start_paused = true)]
async fn a_profile_s_trouble_is_the_vendor_s_or_its_own() {
    let refusal = r#"{"errors":[{"code":"duplicate_profile","detail":"ann@acme.io"}]}"#;
    let steps = [Step::Says(409, Vec::new(), refusal), says(403), with(429, "retry-after", 40), says(404)];
    let (stage, api) = Stage::klaviyo(steps).await;
    let write = async || api.profile(Bytes::from_static(BODY)).await.expect_err("fails");
    let error = write().await;
    assert!(matches!(&error, CallError::Refused { status: 409, .. }) && !error.to_string().contains("acme"), "{error}");
    assert!(matches!(write().await, CallError::Forbidden { .. }));
    assert_eq!(stage.vendors.blocked(), None, "a key that may not write profiles delivers events all the same");
    // What it is told to wait holds events as well.
    assert!(matches!(write().await, CallError::Wait { .. }));
    assert!(matches!(send(&api).await, Err(CallError::Wait { .. })));
    tokio::time::sleep(Duration::from_secs(41)).await;
    let CallError::Stopped { reason, .. } = write().await else { panic!("a wrong address stops") };
    assert!(reason.contains("404 on profiles") && reason.contains("KLAVIYO_API_URL"), "{reason}");
}
