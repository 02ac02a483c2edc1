//! An import at the size of a real shop, from an Intercom that does all at once what is reported of it, through a process that gets
//! killed.

use std::time::Duration;

use sandbox::intercom::SearchQuirks;
use sandbox::scenario::{ExpectedEvent, HistoryOptions, expected_history};
use sandbox::{Fault, FaultKind, Matcher, SeedSpec, Times};
use serde_json::Value;

use crate::support::{PARKING, PREFIX, World};

/// A debug build on a busy machine takes a minute.
const IMPORT: Duration = Duration::from_secs(400);

fn steer(world: &World, action: &str) {
    let answer = world.api("POST", &format!("/api/history/{action}"));
    assert_eq!(answer.status, 200, "{action}: {}", answer.text());
}

fn stream(status: &Value, index: usize, name: &str) -> u64 {
    status["history"]["streams"][index][name].as_u64().unwrap_or_default()
}

/// Half-way at least: something is done, and not all.
fn is_under_way(status: &Value) -> bool {
    let (done, total) = (stream(status, 0, "done"), stream(status, 0, "total"));
    status["history"]["state"] == "running" && done > total / 10
}

fn run_of(world: &World, arguments: &[&str]) -> Value {
    let url = format!("http://{}", world.address());
    let ended = world.execute(&[arguments, &["--json", "--url", &url]].concat());
    serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{arguments:?}: {}{}", ended.stdout, ended.stderr))
}

/// Pages in any order from a filter that compares days, with a proxy that gives up on large ones; limits that are told and obeyed;
/// answers that break off, and HTML.
fn misbehave(world: &World) {
    let intercom = world.sandbox.intercom();
    intercom.set_search_quirks(SearchQuirks { index_lag_seconds: 2, days_only: true, unsorted: true, heavy_above: 40 });
    let reset = (world.now() + 3).to_string();
    let limited = FaultKind::Status {
        status: 429,
        body: String::new(),
        headers: vec![("x-ratelimit-remaining".into(), "0".into()), ("x-ratelimit-reset".into(), reset)],
    };
    for (path, kind, times) in [
        ("/conversations/search", limited, Times::Times(1)),
        ("/", FaultKind::After, Times::Probability { share: 0.02, seed: 1 }),
        ("/", FaultKind::html(502), Times::Probability { share: 0.02, seed: 2 }),
        ("/", FaultKind::EmptyBody, Times::Probability { share: 0.01, seed: 3 }),
        ("/", FaultKind::Truncated, Times::Probability { share: 0.01, seed: 4 }),
    ] {
        intercom.faults().push(Fault { on: Matcher::path(path), kind, times });
    }
    for (kind, seed) in [(FaultKind::After, 5), (FaultKind::status(500), 6), (FaultKind::throttled(1), 7)] {
        let times = Times::Probability { share: 0.03, seed };
        world.sandbox.klaviyo().faults().push(Fault { on: Matcher::path("/api/event"), kind, times });
    }
}

/// 5,000 conversations and 2,000 tickets with `LONG_IMPORT` set; a tenth of that otherwise, with everything else the same.
fn size() -> (usize, usize) {
    if std::env::var_os("LONG_IMPORT").is_some() { (5_000, 2_000) } else { (500, 200) }
}

#[test]
fn thousands_of_items_of_an_intercom_that_misbehaves_are_all_there_in_the_end() {
    let mut world = World::vendors();
    world.set("SETTINGS", "reconcile_interval_seconds = 2");
    let (conversations, tickets) = size();
    let spec = SeedSpec { conversations, tickets, contacts: conversations / 3, ..SeedSpec::default() };
    world.sandbox.intercom().seed_history(&spec);
    let mut expected = expected_history(world.sandbox.intercom(), &HistoryOptions::default());
    let ada = world.customer("Ada Byron");
    misbehave(&world);
    world.run();
    steer(&world, "start");
    for _ in 0..3 {
        world.wait_for("the import is under way", IMPORT, is_under_way);
        world.kill();
        world.run();
    }

    // A webhook that is lost while the index is late: the sweep sees it when the index does.
    world.sandbox.intercom().clear_webhook();
    let lost = world.sandbox.intercom().start_conversation(&ada, "Where is my parcel?").expect("starts");
    expected.push(ExpectedEvent {
        metric: "Created Conversation".to_owned(),
        key: world.key(&format!("conversation-created:{}", lost.id)),
        time: lost.at,
        email: Some("ada.byron@customers.sandbox-shop.co".to_owned()),
        phone: None,
    });

    // The token is revoked in the middle: it stops in words, and goes on from there.
    let revoked = Fault::forever(Matcher::any(), FaultKind::status(401));
    world.sandbox.intercom().faults().push(revoked);
    let failed = world.wait_for("the import fails", IMPORT, |status| status["history"]["state"] == "failed");
    let before = stream(&failed, 0, "done");
    world.sandbox.intercom().faults().clear();
    world.sandbox.klaviyo().faults().clear();
    steer(&world, "resume");
    let done = world.wait_for("the import is done", IMPORT, |status| status["history"]["state"] == "done");
    assert!(stream(&done, 0, "done") >= before, "it goes on from where it was");
    world.holds_exactly(&expected, PREFIX, PARKING);

    let verified = run_of(&world, &["history", "verify"]);
    assert_eq!(verified["complete"], true, "{verified}");
    let (sampled, arrived) = (&verified["klaviyo"]["sampled"], &verified["klaviyo"]["arrived"]);
    assert!(sampled.as_u64() > Some(20) && sampled == arrived, "{verified}");
    assert_eq!(world.sandbox.intercom().refused(), 0, "our own count of the limit holds");
    world.finish();
}

/// `verify` also looks for what arrived, and says what it may not look at; `plan` asks which profiles are new.
#[test]
fn klaviyo_is_asked_what_it_has() {
    let mut world = World::vendors();
    let spec = SeedSpec { conversations: 200, tickets: 60, contacts: 80, ..SeedSpec::default() };
    world.sandbox.intercom().seed_history(&spec);
    world.run();
    let plan = run_of(&world, &["history", "plan"]);
    let number = |plan: &Value, name: &str| plan[name].as_u64().unwrap_or_else(|| panic!("{name}: {plan}"));
    assert_eq!(number(&plan, "new_billable_profiles"), number(&plan, "billable_profiles_at_most"), "an empty account");
    assert!(number(&plan, "new_profiles") >= number(&plan, "new_billable_profiles"), "{plan}");
    assert!(number(&plan, "profiles_sampled") > 10 && plan["note"].is_null(), "{plan}");
    assert!(plan["dollars_on_aws"].as_f64().is_some_and(|dollars| (0.0..0.1).contains(&dollars)), "{plan}");
    steer(&world, "start");
    world.wait_for("the import is done", IMPORT, |status| status["history"]["state"] == "done");
    let plan = run_of(&world, &["history", "plan"]);
    assert_eq!((number(&plan, "new_billable_profiles"), number(&plan, "new_profiles")), (0, 0), "{plan}");

    let verified = run_of(&world, &["history", "verify"]);
    assert_eq!((&verified["complete"], &verified["klaviyo"]["missing"]), (&true.into(), &serde_json::json!([])));
    assert!(verified["klaviyo"]["arrived"].as_u64() > Some(20), "{verified}");
    for path in ["/api/events", "/api/profiles"] {
        let refused = Fault::forever(Matcher::method("GET", path), FaultKind::status(403));
        world.sandbox.klaviyo().faults().push(refused);
    }
    let verified = run_of(&world, &["history", "verify"]);
    assert!(verified["klaviyo"]["note"].as_str().is_some_and(|note| note.contains("events:read")), "{verified}");
    assert_eq!(verified["complete"], true, "what Intercom counts is known all the same");
    let plan = run_of(&world, &["history", "plan"]);
    assert!(plan["note"].as_str().is_some_and(|note| note.contains("profiles:read")), "{plan}");
    assert!(plan["new_profiles"].is_null(), "{plan}");
    world.sandbox.klaviyo().faults().clear();

    // An account that dropped what it took.
    world.sandbox.klaviyo().clear();
    let verified = run_of(&world, &["history", "verify"]);
    assert_eq!(verified["klaviyo"]["arrived"], 0, "{verified}");
    let ended = world.execute(&["history", "verify", "--url", &format!("http://{}", world.address())]);
    assert!(ended.code == Some(1) && ended.stdout.contains("not there: Intercom "), "{}{}", ended.stdout, ended.stderr);
    world.finish();
}
