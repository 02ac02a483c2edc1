//! The smaller commands: completion, events, parked, dead letters by groups, doctor's look from outside, and other settings.

use std::fs;

use serde_json::json;
use tests::binary;

use super::json_of;
use crate::support::{SOON, World, conversation};

#[test]
fn every_shell_gets_a_script_that_knows_the_commands() {
    let world = World::vendors();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let ended = world.execute(&["completion", shell]);
        assert_eq!(ended.code, Some(0), "{shell}: {}", ended.stderr);
        for word in ["dead-letters", "recipes", "--public"] {
            assert!(ended.stdout.contains(word.trim_start_matches('-')), "{shell}: {word}");
        }
    }
    assert_eq!(world.execute(&["completion", "tcsh"]).code, Some(2));
    // Every command explains itself with an example, and the exit codes are told.
    let help = world.execute(&["--help"]).stdout;
    assert!(help.contains("Exit codes: 0"), "{help}");
    let commands =
        help.lines().filter_map(|line| line.strip_prefix("  ")).filter(|line| line.starts_with(char::is_alphabetic));
    let names: Vec<&str> =
        commands.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").collect();
    assert!(names.len() >= 16, "{names:?}");
    for name in names {
        let help = world.execute(&["help", name]).stdout;
        assert!(help.contains("Example"), "{name}: {help}");
    }
    world.finish();
}

#[test]
fn events_are_filtered_and_dead_letters_steered_in_groups() {
    let mut world = World::start();
    let (ada, bo) = (world.customer("Ada Byron"), world.customer("Bo Byron"));
    for (id, contact, reason) in [("1", &ada, "No."), ("2", &ada, "No."), ("3", &bo, "Never.")] {
        world.sandbox.klaviyo().refuse_when("Conversation ID", id, reason);
        let item = conversation(id, contact, world.now() - 60);
        assert_eq!(world.notify("conversation.user.created", &item).status, 200);
    }
    let item = conversation("4", &bo, world.now() - 60);
    assert_eq!(world.notify("conversation.user.created", &item).status, 200);
    world.wait_for("three are dead", SOON, |status| status["dead"] == 3 && status["in_flight"] == 0);
    let events = |arguments: &[&str]| {
        let ended = world.execute(&[&["events", "--json"], arguments].concat());
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        json_of(&ended)["items"].as_array().expect("a list").len()
    };
    assert_eq!(events(&["--fate", "dead"]), 3);
    assert_eq!(events(&["--fate", "dead", "--contact", &ada]), 2);
    assert_eq!(events(&["--fate", "dead", "--limit", "1"]), 1);
    assert_eq!(events(&["--metric", "Intercom Created Conversation", "--fate", "sent"]), 1);
    assert_eq!(events(&["--metric", "nothing"]), 0);
    assert!(world.execute(&["events"]).stdout.contains("Intercom Created Conversation"));

    let groups = json_of(&world.execute(&["dead-letters", "groups", "--json"]));
    let counts: Vec<u64> =
        groups["groups"].as_array().expect("a list").iter().filter_map(|group| group["count"].as_u64()).collect();
    assert_eq!(counts.iter().sum::<u64>(), 3, "{groups}");
    assert_eq!(world.execute(&["dead-letters", "discard", "--all"]).code, Some(2), "nobody is there to be asked");
    let none = json_of(&world.execute(&["dead-letters", "discard", "--reason", "nothing like it", "--yes", "--json"]));
    assert_eq!(none["done"], json!(0));
    world.sandbox.klaviyo().refuse_nothing();
    let replayed = json_of(&world.execute(&["dead-letters", "replay", "--all", "--yes", "--json"]));
    assert_eq!(replayed["done"], json!(3), "{replayed}");
    world.wait_for("none is dead", SOON, |status| status["dead"] == 0 && status["in_flight"] == 0);
    assert_eq!(world.sandbox.klaviyo().event_count(), 4);
    world.finish();
}

#[test]
fn doctor_calls_the_public_address_as_intercom_does() {
    let mut world = World::start();
    let url = format!("http://{}", world.address());
    let found = |world: &World, url: &str| json_of(&world.execute(&["doctor", "--json", "--public", url]));
    let health = |report: &serde_json::Value, name: &str| {
        let checks = report["checks"].as_array().expect("a list");
        let check = checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("{name}: {report:#}"));
        check["health"].as_str().expect("a word").to_owned()
    };
    let report = found(&world, &url);
    assert_eq!(health(&report, "public address"), "bad", "it is not HTTPS");
    for name in ["reached from here", "call without a signature", "signed call", "Klaviyo segments:read"] {
        assert_eq!(health(&report, name), "good", "{name}: {report:#}");
    }
    let status = world.wait_for_end(1, SOON);
    assert_eq!(status["skipped"]["health check"], json!(1), "{status}");
    assert_eq!(health(&found(&world, "http://127.0.0.1:1"), "reached from here"), "bad");
    assert_eq!(health(&found(&world, &format!("{url}/elsewhere")), "reached from here"), "bad");
    world.set("INTERCOM_CLIENT_SECRET", "another");
    assert_eq!(health(&found(&world, &url), "signed call"), "bad");
    world.finish();
}

#[test]
fn explain_shows_what_other_settings_would_change() {
    let world = World::vendors();
    let payload = binary::workspace().join("crates/domain/tests/payloads/conversation.user.created.v2_16.json");
    let payload = payload.display().to_string();
    let planned = world.folder().join("planned.toml");
    let explain = |settings: &str| {
        fs::write(&planned, settings).expect("is written");
        world.execute(&["explain", &payload, "--settings", &planned.display().to_string()])
    };
    let same = explain("history_days = 30");
    assert_eq!(same.code, Some(0), "{}", same.stderr);
    assert!(same.stdout.contains("change nothing"), "{}", same.stdout);
    let other = explain("metric_prefix = \"Help \"");
    assert!(other.stdout.contains("- event: Intercom Created Conversation"), "{}", other.stdout);
    assert!(other.stdout.contains("+ event: Help Created Conversation"), "{}", other.stdout);
    assert_eq!(explain("metric_prefx = 1").code, Some(2));
    world.finish();
}
