//! Nothing is parsed, kept or counted that does not carry the signature of the client secret over exactly these bytes.

use sandbox::intercom::{sign, sign_lifecycle};
use serde_json::{Value, json};
use tests::http::request;

use crate::support::{HOOK, SOON, World, conversation};

/// The body that all of these tests send: signed, it is one event.
fn body(world: &World, contact: &str) -> Vec<u8> {
    world.notification("conversation.user.created", &conversation("31", contact, world.now() - 60))
}

#[test]
fn only_the_right_signature_over_the_raw_bytes_is_let_in() {
    let mut world = World::start();
    let ada = world.customer("Ada Byron");
    let body = body(&world, &ada);
    let right = world.signature(&body);
    let (_, digits) = right.split_once('=').expect("sha1=…");
    let reserialised = serde_json::to_vec_pretty(&serde_json::from_slice::<Value>(&body).expect("JSON")).expect("JSON");
    let lifecycle = sign_lifecycle(&body, "sandbox-client-secret");
    let wrong = [
        ("empty", String::new()),
        ("prefix alone", "sha1=".to_owned()),
        ("digits alone", digits.to_owned()),
        ("truncated", right[..right.len() - 1].to_owned()),
        ("lengthened", format!("{right}0")),
        ("upper-case prefix", format!("SHA1={digits}")),
        ("sha256 prefix", format!("sha256={digits}")),
        ("HMAC-SHA256", format!("sha256={lifecycle}")),
        ("one digit wrong", format!("{}{}", &right[..right.len() - 1], if right.ends_with('0') { '1' } else { '0' })),
        ("not hexadecimal", format!("sha1={}", "z".repeat(40))),
        ("other secret", sign(&body, "another-secret")),
        ("empty secret", sign(&body, "")),
        ("of re-serialised JSON", sign(&reserialised, "sandbox-client-secret")),
        ("of another body", sign(b"{}", "sandbox-client-secret")),
    ];
    for (what, signature) in wrong {
        assert_eq!(world.post_with(&[("x-hub-signature", &signature)], &body).status, 401, "{what}");
    }
    assert_eq!(world.post_with(&[], &body).status, 401, "no signature");
    assert_eq!(world.post_with(&[("x-hub-signature", &right)], &reserialised).status, 401, "re-serialised body");
    assert_eq!(world.post_with(&[("x-body-signature", "sha1=00")], &body).status, 401, "wrong lifecycle signature");
    assert_eq!(world.count("accepted"), 0, "what was refused is not counted");

    assert_eq!(
        world.post_with(&[("X-Hub-Signature", &right.replace(digits, &digits.to_uppercase()))], &body).status,
        200
    );
    world.wait_for_events(1, SOON);
    let lines = world.process().stderr().lines().filter(|line| line.contains("refused")).count();
    assert!(lines < 10, "at most a line a second: {lines}");
    world.finish();
}

#[test]
fn with_both_headers_the_hub_signature_decides() {
    let mut world = World::start();
    let ada = world.customer("Ada Byron");
    let body = body(&world, &ada);
    let (hub, lifecycle) = (world.signature(&body), sign_lifecycle(&body, "sandbox-client-secret"));
    let wrong_hub = world.post_with(&[("x-hub-signature", "sha1=00"), ("x-body-signature", &lifecycle)], &body);
    assert_eq!(wrong_hub.status, 401);
    let right_hub = world.post_with(&[("x-hub-signature", &hub), ("x-body-signature", "nonsense")], &body);
    assert_eq!(right_hub.status, 200);
    world.wait_for_events(1, SOON);
    world.finish();
}

#[test]
fn lifecycle_calls_are_answered_and_never_become_events() {
    let mut world = World::start();
    let ada = world.customer("Ada Byron");
    let call =
        |body: &[u8]| world.post_with(&[("x-body-signature", &sign_lifecycle(body, "sandbox-client-secret"))], body);
    let health = call(br#"{"workspace_id":"sandbox1"}"#);
    assert_eq!((health.status, health.json()), (200, json!({ "state": "OK" })));
    assert_eq!(call(br#"{"app_id":"sandbox1"}"#).status, 200);
    // A whole notification under the lifecycle's signature is no notification.
    assert_eq!(call(&body(&world, &ada)).status, 200);
    let status = world.wait_for_end(3, SOON);
    assert_eq!(status["skipped"]["health check"], 1, "{status}");
    assert_eq!(world.sandbox.klaviyo().event_count(), 0);
    assert!(world.process().stderr().contains("uninstalled"), "an uninstall raises an alarm");
    world.finish();
}

#[test]
fn other_methods_are_told_so() {
    let world = World::start();
    let ask = |method: &str| request(world.webhook(), method, HOOK, &[], b"").expect("it answers");
    assert_eq!(ask("HEAD").status, 200, "Intercom asks so when the URL is saved");
    for method in ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        let answer = ask(method);
        assert_eq!(answer.status, 405, "{method}");
        assert_eq!(answer.header("allow"), Some("HEAD, POST"));
    }
    assert_eq!(world.count("accepted"), 0);
    world.finish();
}

#[test]
fn while_secrets_rotate_both_are_good() {
    let world = World::start_with(&[("INTERCOM_CLIENT_SECRET", "new-secret, sandbox-client-secret ,")]);
    for secret in ["new-secret", "sandbox-client-secret"] {
        let body = world.notification("ping", &json!({ "type": "ping", "message": "hi" }));
        assert_eq!(world.post_with(&[("x-hub-signature", &sign(&body, secret))], &body).status, 200, "{secret}");
    }
    for secret in ["", " ", "new-secret, sandbox-client-secret ,"] {
        assert_eq!(world.post_with(&[("x-hub-signature", &sign(b"{}", secret))], b"{}").status, 401, "{secret:?}");
    }
    world.wait_for_end(2, SOON);
    world.finish();
}
