//! What the environment may and may not say, and who is let in.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use tests::http::request;

use crate::support::{HOOK, SOON, TOKEN, World};

/// `run` does not start, and says this.
#[track_caller]
fn refuses(variables: &[(&str, &str)], says: &[&str]) {
    let world = refused(variables, says);
    assert!(!world.data_dir().exists(), "nothing is made before the environment is right");
    world.finish();
}

#[track_caller]
fn refused(variables: &[(&str, &str)], says: &[&str]) -> World {
    let mut world = World::vendors();
    variables.iter().for_each(|(name, value)| world.set(name, value));
    let ended = world.execute(&["run"]);
    assert_eq!(ended.code, Some(2), "{variables:?}: {}{}", ended.stdout, ended.stderr);
    for words in says {
        assert!(ended.stderr.contains(words), "{variables:?}: wanted {words:?} in {}", ended.stderr);
    }
    world
}

#[test]
fn blank_variables_are_refused_by_name() {
    let names = [
        "INTERCOM_CLIENT_SECRET",
        "INTERCOM_ACCESS_TOKEN",
        "INTERCOM_API_URL",
        "KLAVIYO_API_KEY",
        "KLAVIYO_API_URL",
        "CONSOLE_TOKEN",
        "SETTINGS",
        "DATA_DIR",
        "LISTEN",
    ];
    for name in names {
        refuses(&[(name, " ")], &[name, "blank"]);
    }
    refuses(&[("INTERCOM_CLIENT_SECRET", " , ,,")], &["INTERCOM_CLIENT_SECRET", "commas"]);
}

#[test]
fn settings_are_refused_by_name_with_the_nearest_known_one() {
    refuses(&[("SETTINGS", "histori_days = 3")], &["histori_days", "history_days"]);
    refuses(
        &[("SETTINGS", r#"{"metrics":{"red_conversation":true}}"#)],
        &["red_conversation", "metrics.read_conversation"],
    );
    refuses(&[("SETTINGS", r#"metric_prefix = 7"#)], &["metric_prefix", "7"]);
    refuses(&[("SETTINGS", r#"{"reconcile_interval_seconds": -1}"#)], &["reconcile_interval_seconds", "-1"]);
    refuses(&[("SETTINGS", "/nowhere/settings.toml")], &["/nowhere/settings.toml"]);
    refuses(&[("SETTINGS", "{ this is not JSON")], &["JSON"]);
    refuses(
        &[("SETTINGS", "histori_days = 3"), ("LISTEN", "nowhere"), ("KLAVIYO_API_URL", "klaviyo")],
        &["histori_days", "LISTEN", "KLAVIYO_API_URL"],
    );
}

#[test]
fn keys_do_not_cross_a_network_in_clear_text() {
    for name in ["KLAVIYO_API_URL", "INTERCOM_API_URL"] {
        refused(&[(name, "http://vendor.sandbox-shop.co")], &[name, "https"]).finish();
    }
}

#[test]
fn an_absent_secret_is_set_up_mode() {
    for missing in ["INTERCOM_CLIENT_SECRET", "INTERCOM_ACCESS_TOKEN", "KLAVIYO_API_KEY"] {
        let mut world = World::vendors();
        world.unset(missing);
        world.run();
        let body = world.notification("ping", &serde_json::json!({ "type": "ping" }));
        assert_eq!(world.post(&body).status, 503, "{missing}: Intercom tries again");
        assert_eq!(request(world.address(), "HEAD", HOOK, &[], b"").expect("it answers").status, 200);
        let status = world.status();
        assert_eq!(status["setup"], serde_json::json!([missing]));
        assert_eq!(status["accepted"], 0);
        assert!(world.process().stdout().contains(missing), "it is said at the start as well");
        world.finish();
    }
}

#[test]
fn two_processes_do_not_share_a_store() {
    let world = World::start();
    let second = world.execute(&["run"]);
    assert_ne!(second.code, Some(0));
    assert!(second.stderr.contains("in use"), "{}", second.stderr);
    world.finish();
}

#[test]
fn without_a_console_token_one_is_made_and_kept() {
    let mut world = World::vendors();
    world.unset("CONSOLE_TOKEN");
    world.run();
    let path = world.data_dir().join("console-token");
    let token = fs::read_to_string(&path).expect("it is kept").trim().to_owned();
    assert_eq!(fs::metadata(&path).expect("is there").permissions().mode() & 0o777, 0o600);
    assert!(token.len() >= 32, "not to be guessed");
    assert!(world.process().line("console token: ").contains(&token), "it is printed");
    assert!(!world.process().stderr().contains(&token), "and not logged");
    let ask = |bearer: &str| {
        request(world.address(), "GET", "/api/status", &[("authorization", bearer)], b"").expect("it answers").status
    };
    assert_eq!(ask(&format!("Bearer {token}")), 200);
    assert_eq!(ask(&format!("Bearer {TOKEN}")), 401);
    // The commands on this machine find address and token by themselves.
    let status = world.execute(&["status", "--json"]);
    assert_eq!(status.code, Some(0), "{}", status.stderr);
    world.kill();
    world.run();
    assert_eq!(fs::read_to_string(&path).expect("it is kept").trim(), token, "the same after a restart");
    world.finish();
}

#[test]
fn the_api_wants_the_token_and_the_rest_does_not() {
    let mut world = World::start();
    let ask = |path: &str, headers: &[(&str, &str)]| {
        let method = if path.ends_with("/replay") || path.ends_with("/discard") { "POST" } else { "GET" };
        request(world.address(), method, path, headers, b"").expect("it answers").status
    };
    let api = [
        "/api/status",
        "/api/dead-letters",
        "/api/events/recent",
        "/api/dead-letters/1/replay",
        "/api/dead-letters/1/discard",
    ];
    // Fewer in all than the ten wrong ones after which everybody has to wait; each way to be wrong on another path.
    let longer = format!("Bearer {TOKEN}x");
    for (path, wrong) in api.into_iter().zip(["Bearer wrong", &longer, TOKEN, "Basic Y29uc29sZQ=="]) {
        assert_eq!(ask(path, &[("authorization", wrong)]), 401, "{path} {wrong}");
    }
    for path in api {
        assert_eq!(ask(path, &[]), 401, "{path}");
        assert_ne!(ask(path, &[("authorization", &format!("Bearer {TOKEN}"))]), 401, "{path}");
    }
    assert_eq!(ask("/healthz", &[]), 200);
    assert_eq!(ask("/", &[]), 200);
    assert_eq!(ask("/nowhere", &[]), 404);
    let mode = |name: &str| fs::metadata(world.data_dir().join(name)).expect("is there").permissions().mode() & 0o777;
    assert_eq!(mode("state.db"), 0o600, "it holds personal data");
    world.private(TOKEN);
    world.wait_until_quiet(SOON);
    world.finish();
}
