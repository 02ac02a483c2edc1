//! The commands, as a person or a script types them.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use sandbox::{Fault, FaultKind, Matcher};
use serde_json::{Value, json};
use tests::binary;
use tests::http::request;
use tests::process::{Ended, Process};

use crate::support::{SOON, World, conversation};

fn payloads() -> Vec<PathBuf> {
    let folder = binary::workspace().join("crates/domain/tests/payloads");
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder).expect("there are payloads").map(|entry| entry.expect("readable").path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    files
}

fn json_of(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("not JSON: {}{}", ended.stdout, ended.stderr))
}

#[test]
fn the_demo_ends_well_and_prints_its_table() {
    let world = World::vendors();
    let mut command = world.command(&["demo", "--exit"]);
    // On a fresh machine there is no environment at all.
    command.env_clear();
    let ended = Process::start(&mut command).end(Duration::from_secs(120));
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    for metric in sandbox::scenario::METRICS {
        assert!(ended.stdout.contains(&format!("Intercom {metric}")), "{metric}: {}", ended.stdout);
    }
    assert!(!ended.stdout.contains("difference"), "{}", ended.stdout);
    let complete = ended.stdout.find("history is complete").expect("the import ends");
    let live = ended.stdout.find("notifications accepted").expect("live events follow");
    assert!(complete < live, "history first: {}", ended.stdout);
    let total = ended.stdout.lines().find(|line| line.starts_with("total")).expect("a table");
    let totals: Vec<u64> = total.split_whitespace().skip(1).map(|count| count.parse().expect("a number")).collect();
    assert!(totals[0] > 300 && totals[2] > 300, "the past and the day: {total}");
    assert_eq!((totals[0], totals[2], totals[0] + totals[2]), (totals[1], totals[3], totals[4]), "{total}");
    assert!(!world.data_dir().exists(), "the demo leaves nothing behind");
    world.finish();
}

#[test]
fn explain_says_what_becomes_of_every_payload() {
    let world = World::vendors();
    let mut with_events = 0;
    for file in payloads() {
        let name = file.display().to_string();
        let ended = world.execute(&["explain", &name, "--json"]);
        assert_eq!(ended.code, Some(0), "{name}: {}", ended.stderr);
        let explained = json_of(&ended);
        let events = explained["events"].as_array().expect("a list");
        let findings = explained["findings"].as_array().map_or(0, Vec::len);
        assert!(!events.is_empty() || findings > 0 || name.contains("contact"), "{name}: {explained}");
        for event in events {
            let metric = event["metric"].as_str().expect("a metric");
            assert!(metric.starts_with("Intercom "), "{name}: {event}");
            assert!(event["key"].as_str().is_some_and(|key| key.starts_with("intercom:")), "{name}: {event}");
            let sent = event["request"].to_string();
            assert!(sent.contains(event["key"].as_str().expect("a key")), "{name}: {sent}");
        }
        with_events += usize::from(!events.is_empty());
    }
    assert!(with_events >= 15, "{with_events} payloads give events");

    let created = payloads().into_iter().find(|path| path.ends_with("conversation.user.created.v2_16.json"));
    let created = created.expect("it is there").display().to_string();
    let words = world.execute(&["explain", &created]);
    assert!(words.stdout.contains("event: Intercom Created Conversation"), "{}", words.stdout);
    let wrong = world.execute(&["explain", &created, "--signature", &format!("sha1={}", "0".repeat(40))]);
    assert_eq!(wrong.code, Some(1), "{}", wrong.stderr);
    let right = world.signature(&fs::read(&created).expect("is read"));
    assert_eq!(world.execute(&["explain", &created, "--signature", &right]).code, Some(0));

    let unreadable = world.folder().join("unreadable.json");
    fs::write(&unreadable, "{").expect("is written");
    assert_eq!(world.execute(&["explain", &unreadable.display().to_string()]).code, Some(1));
    assert_eq!(world.execute(&["explain", "/nowhere.json"]).code, Some(2));
    world.finish();
}

#[test]
fn doctor_finds_a_healthy_set_up_healthy() {
    let world = World::vendors();
    let ended = world.execute(&["doctor", "--json"]);
    let found = json_of(&ended);
    assert_eq!((ended.code, &found["good"]), (Some(0), &json!(true)), "{found:#}");
    let names: Vec<&str> =
        found["checks"].as_array().expect("a list").iter().filter_map(|check| check["name"].as_str()).collect();
    for wanted in ["Intercom token", "Klaviyo key", "data directory", "clock against Intercom", "clock against Klaviyo"]
    {
        assert!(names.contains(&wanted), "{wanted} is not among {names:?}");
    }
    let klaviyo = world.sandbox.klaviyo();
    assert_eq!(klaviyo.event_count(), 0, "it only looks");
    world.finish();
}

#[test]
fn doctor_says_what_is_wrong_and_what_to_do() {
    let bad = |change: fn(&mut World), says: &[&str]| {
        let mut world = World::vendors();
        change(&mut world);
        let ended = world.execute(&["doctor"]);
        assert_eq!(ended.code, Some(1), "{}{}", ended.stdout, ended.stderr);
        for words in says {
            assert!(ended.stdout.contains(words), "wanted {words:?} in\n{}", ended.stdout);
        }
        assert!(ended.stdout.contains("BAD") && ended.stdout.contains('→'), "{}", ended.stdout);
        world.finish();
    };
    bad(|world| world.set("INTERCOM_ACCESS_TOKEN", "wrong"), &["Intercom token", "401", "INTERCOM_ACCESS_TOKEN"]);
    bad(|world| world.set("KLAVIYO_API_KEY", "pk_wrong"), &["Klaviyo key", "401", "KLAVIYO_API_KEY"]);
    bad(|world| world.unset("KLAVIYO_API_KEY"), &["KLAVIYO_API_KEY is missing"]);
    bad(|world| world.set("KLAVIYO_API_URL", "http://127.0.0.1:1"), &["no answer from http://127.0.0.1:1"]);
    bad(|world| world.set("SETTINGS", "histori_days = 1"), &["histori_days", "history_days"]);
    bad(|world| world.set("DATA_DIR", "/proc/nowhere"), &["/proc/nowhere"]);
    bad(
        |world| {
            let fault = Fault::forever(Matcher::path("/contacts/"), FaultKind::status(403));
            world.sandbox.intercom().faults().push(fault);
        },
        &["Intercom contacts", "Read one user"],
    );
    bad(
        |world| {
            let fault = Fault::forever(Matcher::path("/api/events"), FaultKind::status(403));
            world.sandbox.klaviyo().faults().push(fault);
        },
        &["Klaviyo events", "events:write"],
    );
}

#[test]
fn dead_letters_are_listed_replayed_and_discarded() {
    let mut world = World::start();
    let ada = world.customer("Ada Byron");
    for (id, property) in [("1", "1"), ("2", "2")] {
        world.sandbox.klaviyo().refuse_when("Conversation ID", property, "No.");
        let item = conversation(id, &ada, world.now() - 60);
        assert_eq!(world.notify("conversation.user.created", &item).status, 200);
    }
    world.wait_for("both are dead", SOON, |status| status["dead"] == 2 && status["in_flight"] == 0);
    let url = format!("http://{}", world.address());
    let list = |world: &World| {
        let ended = world.execute(&["dead-letters", "list", "--json", "--url", &url]);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        json_of(&ended)["items"].as_array().expect("a list").clone()
    };
    let letters = list(&world);
    assert_eq!(letters.len(), 2);
    let id = |index: usize| letters[index]["id"].as_str().expect("an id").to_owned();
    let words = world.execute(&["dead-letters", "list", "--url", &url]);
    assert!(words.stdout.contains(&id(0)) && words.stdout.contains("Klaviyo refused it"), "{}", words.stdout);

    // Without --url it finds the process that runs on this data directory.
    let unasked = world.execute(&["dead-letters", "discard", &id(0)]);
    assert_eq!(unasked.code, Some(2), "nobody is there to be asked: {}", unasked.stderr);
    assert_eq!(world.execute(&["dead-letters", "discard", &id(0), "--yes"]).code, Some(0));
    world.sandbox.klaviyo().refuse_nothing();
    assert_eq!(world.execute(&["dead-letters", "replay", &id(1)]).code, Some(0));
    let status = world.wait_for("none is dead", SOON, |status| status["dead"] == 0 && status["in_flight"] == 0);
    assert_eq!((&status["delivered"], &status["skipped"]["discarded"]), (&json!(1), &json!(1)), "{status}");
    assert!(list(&world).is_empty());
    assert_eq!(world.execute(&["dead-letters", "replay", "nobody"]).code, Some(1));

    world.set("CONSOLE_TOKEN", "wrong");
    assert_eq!(world.execute(&["dead-letters", "list", "--url", &url]).code, Some(2), "the token is asked for");
    world.finish();
}

#[test]
fn a_sample_is_accepted_and_ends_as_what_it_is() {
    let mut world = World::start();
    let ada = world.customer("Ada Byron");
    let url = format!("http://{}", world.address());
    let topics = ["conversation.user.created", "ticket.created", "ping"];
    for topic in topics {
        let ended = world.execute(&["send-sample", topic, "--url", &url, "--contact", &ada]);
        assert_eq!(ended.code, Some(0), "{topic}: {}", ended.stderr);
        assert!(ended.stdout.contains("accepted"), "{}", ended.stdout);
    }
    let status = world.wait_for_end(3, SOON);
    assert_eq!((&status["delivered"], &status["skipped"]["ping"]), (&json!(2), &json!(1)), "{status}");
    assert_eq!(world.sandbox.klaviyo().events()[0].email.as_deref(), Some("ada.byron@customers.sandbox-shop.co"));

    assert_eq!(world.execute(&["send-sample", "no.such.topic", "--url", &url]).code, Some(2));
    assert_eq!(world.execute(&["send-sample", "ping", "--url", "http://127.0.0.1:1"]).code, Some(1));
    world.set("INTERCOM_CLIENT_SECRET", "another");
    let wrong = world.execute(&["send-sample", "ping", "--url", &url]);
    assert_eq!(wrong.code, Some(1));
    assert!(wrong.stderr.contains("INTERCOM_CLIENT_SECRET"), "{}", wrong.stderr);
    world.finish();
}

#[test]
fn the_sandbox_prints_what_points_run_at_it() {
    let mut world = World::vendors();
    // `run` needs an address before it runs, because the sandbox has to know where to send.
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    let webhook = format!("http://127.0.0.1:{port}/webhooks/intercom");
    let mut vendors = Process::start(&mut world.command(&["sandbox", "--webhook-url", &webhook]));
    vendors.line("# Notifications go to ");
    let names =
        ["INTERCOM_API_URL", "INTERCOM_CLIENT_SECRET", "INTERCOM_ACCESS_TOKEN", "KLAVIYO_API_URL", "KLAVIYO_API_KEY"];
    for name in names {
        world.unset(name);
        let value = vendors.line(&format!("export {name}="));
        world.set(name, &value);
    }
    world.set("LISTEN", &format!("127.0.0.1:{port}"));
    let of = |world: &World, name: &str| {
        let command = world.command(&[]);
        let value = command.get_envs().find(|(known, _)| *known == name).and_then(|(_, value)| value);
        value.expect("is set").to_str().expect("UTF-8").trim_start_matches("http://").to_owned()
    };
    let (intercom, klaviyo) = (of(&world, "INTERCOM_API_URL"), of(&world, "KLAVIYO_API_URL"));
    world.run();
    let act = |action: Value| {
        let body = action.to_string();
        let answer =
            request(&intercom, "POST", "/_sandbox/act", &[("content-type", "application/json")], body.as_bytes());
        let answer = answer.expect("it answers");
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()[0]["id"].as_str().expect("an id").to_owned()
    };
    let email = "ada@customers.sandbox-shop.co";
    world.private(email);
    let ada = act(json!({ "action": "add_contact", "contact": { "email": email, "name": "Ada" } }));
    act(json!({ "action": "start_conversation", "contact": ada, "text": "Where is my parcel?" }));
    tests::wait::until("the event is there", SOON, || {
        let events = request(&klaviyo, "GET", "/_sandbox/events", &[], b"").expect("it answers").text();
        (events.contains(email) && events.contains("Intercom Created Conversation")).then_some(())
    });
    world.finish();
    vendors.terminate();
    assert_eq!(vendors.end(Duration::from_secs(10)).code, Some(0), "SIGTERM ends it in order");
}
