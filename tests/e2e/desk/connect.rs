//! From nothing to the first event, by commands and by the API that the page uses.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};
use tests::http::request;
use tests::wait::until;

use super::json_of;
use crate::support::{SOON, TOKEN, World, conversation};

const KEYS: [&str; 3] = ["INTERCOM_CLIENT_SECRET", "INTERCOM_ACCESS_TOKEN", "KLAVIYO_API_KEY"];

fn value(world: &World, name: &str) -> String {
    let command = world.command(&[]);
    let found = command.get_envs().find(|(known, _)| *known == name).and_then(|(_, value)| value);
    found.expect("is set").to_str().expect("UTF-8").to_owned()
}

fn post(world: &World, path: &str, body: &Value) -> tests::http::Answer {
    let bearer = format!("Bearer {TOKEN}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    request(world.address(), "POST", path, &headers, body.to_string().as_bytes()).expect("it answers")
}

/// Set-up mode: a process that has no keys yet, on a port that it keeps.
fn nothing() -> (World, Vec<String>) {
    let mut world = World::vendors();
    let keys: Vec<String> = KEYS.iter().map(|name| value(&world, name)).collect();
    KEYS.iter().for_each(|name| world.unset(name));
    keys.iter().for_each(|key| world.private(key));
    world.run();
    (world, keys)
}

#[test]
fn keys_entered_on_the_page_start_it_without_a_restart_by_hand() {
    let (mut world, keys) = nothing();
    let report = world.api("GET", "/api/connect").json();
    assert_eq!((&report["can_save"], &report["place"]), (&json!(true), &json!("machine")), "{report}");
    assert_eq!(report["missing"], json!(KEYS));
    assert_eq!(report["steps"][0]["done"], json!(false));
    let wrong = json!({ "intercom_access_token": "wrong", "klaviyo_api_key": keys[2] });
    let checked = post(&world, "/api/connect/check", &wrong);
    assert_eq!(checked.status, 200, "{}", checked.text());
    let text = checked.text();
    assert!(text.contains("401") && text.contains("Sandbox Shop") && !text.contains(&keys[2]), "{text}");

    fs::write(world.folder().join(".env"), "# mine\nKLAVIYO_API_KEY=pk_old\nOTHER=1\n").expect("is written");
    let entered = |overwrite: bool| {
        json!({ "intercom_client_secret": keys[0], "intercom_access_token": keys[1], "klaviyo_api_key": keys[2],
            "overwrite": overwrite })
    };
    let differs = post(&world, "/api/connect/save", &entered(false));
    assert_eq!(
        (differs.status, &differs.json()["variables"]),
        (409, &json!(["KLAVIYO_API_KEY"])),
        "{}",
        differs.text()
    );
    let saved = post(&world, "/api/connect/save", &entered(true));
    assert_eq!(saved.status, 200, "{}", saved.text());
    assert!(keys.iter().all(|key| !saved.text().contains(key)), "no answer holds a key");
    let file = world.folder().join(".env");
    assert_eq!(fs::metadata(&file).expect("is there").permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(&file).expect("is read");
    assert!(text.starts_with("# mine\n") && text.contains("OTHER=1\n") && text.contains(&keys[2]));

    world.process().line("the keys are there");
    until("it serves with the keys", SOON, || {
        let bearer = format!("Bearer {TOKEN}");
        let answer = request(world.address(), "GET", "/api/status", &[("authorization", &bearer)], b"").ok()?;
        (answer.status == 200 && answer.json()["setup"] == json!([])).then_some(())
    });
    let ada = world.customer("Ada Byron");
    let item = conversation("1", &ada, world.now() - 60);
    assert_eq!(world.notify("conversation.user.created", &item).status, 200);
    world.wait_for_events(1, SOON);
    until("the topic is seen", SOON, || {
        let report = world.api("GET", "/api/connect").json();
        let topics = report["topics"].as_array().expect("a list");
        let seen = topics.iter().find(|topic| topic["name"] == "conversation.user.created").expect("is listed");
        (seen["last_seen_at"].is_string() && report["steps"][3]["done"] == true).then_some(())
    });
    let late = post(&world, "/api/connect/save", &entered(true));
    assert_eq!(late.status, 409, "keys are taken in set-up mode only: {}", late.text());
    world.finish();
}

#[test]
fn connect_writes_the_file_and_a_waiting_process_starts() {
    let (mut world, keys) = nothing();
    assert_eq!(world.post(b"{}").status, 503, "Intercom sends it again later");
    let unasked = world.execute(&["connect"]);
    assert_eq!(unasked.code, Some(2), "nobody is there to be asked: {}", unasked.stdout);
    let missing = world.execute(&["connect", "--check"]);
    assert_eq!(missing.code, Some(1), "{}", missing.stderr);
    assert!(missing.stdout.contains("KLAVIYO_API_KEY is missing"), "{}", missing.stdout);

    // A script has them in its own environment; the process that waits has not.
    fs::write(world.folder().join("keys.env"), "").expect("is written");
    let mut command = world.command(&["connect", "--from-env", "--json", "--file", "keys.env"]);
    let secret = KEYS.iter().zip(&keys).map(|(name, key)| (*name, key.as_str()));
    command.envs(secret);
    let ended = tests::process::Process::start(&mut command).end(SOON);
    assert_eq!(ended.code, Some(1), "what the environment has wins over the file: {}{}", ended.stdout, ended.stderr);
    let text = KEYS.iter().zip(&keys).map(|(name, key)| format!("{name}='{key}'\n")).collect::<String>();
    fs::write(world.folder().join(".env"), text).expect("is written");
    world.process().line("the keys are there");
    until("it serves with the keys", SOON, || {
        let headers = [("x-hub-signature", "sha1=00")];
        let answer = request(world.address(), "POST", "/webhooks/intercom", &headers, b"{}").ok()?;
        (answer.status == 401).then_some(())
    });
    let checked = world.execute(&["connect", "--check", "--json"]);
    assert_eq!(checked.code, Some(0), "{}{}", checked.stdout, checked.stderr);
    let report = json_of(&checked);
    assert!(report["saved"].is_null() && report["running"]["missing"] == json!([]), "{report}");
    assert!(keys.iter().all(|key| !checked.stdout.contains(key)), "no output holds a key");
    let aws = world.execute(&["connect", "--check", "--aws-secret", "arn:aws:secretsmanager:eu-west-1:1:secret:x"]);
    assert!(aws.stdout.contains("--secret-id arn:aws:secretsmanager:eu-west-1:1:secret:x"), "{}", aws.stdout);
    world.finish();
}
