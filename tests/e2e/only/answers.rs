//! What the function URLs answer, and bodies that a queue does not take as they are.

use sandbox::intercom::sign_lifecycle;
use serde_json::{Value, json};
use tests::http::{Answer, Header, request};

use crate::support::{HOOK, SOON, TOKEN, World, conversation};

/// 200, 401, 404, 405 and 413; 503 is with the troubles.
#[test]
fn the_webhook_answers_as_agreed_and_keeps_every_body() {
    let mut world = World::start();
    let ada = world.customer("Ada Byron");
    let ask = |method: &str, path: &str, headers: &[Header<'_>], body: &[u8]| {
        request(world.webhook(), method, path, headers, body).expect("it answers")
    };
    let ping = world.notification("ping", &json!({ "type": "ping", "message": "something something interzen" }));
    let signature = world.signature(&ping);
    let hub = ("x-hub-signature", signature.as_str());
    for path in ["/", HOOK] {
        assert_eq!(ask("HEAD", path, &[], b"").status, 200, "{path}");
        let answer = ask("POST", path, &[hub], &ping);
        assert_eq!((answer.status, answer.body.len()), (200, 0), "{path}");
        for method in ["GET", "PUT", "PATCH", "DELETE"] {
            let answer = ask(method, path, &[hub], b"");
            assert_eq!((answer.status, answer.header("allow")), (405, Some("HEAD, POST")), "{method} {path}");
        }
        assert_eq!(ask("POST", path, &[], &ping).status, 401, "no signature");
        assert_eq!(ask("POST", path, &[("x-hub-signature", "sha1=00")], &ping).status, 401, "a wrong signature");
    }
    assert_eq!(ask("POST", "/elsewhere", &[hub], &ping).status, 404);
    let lifecycle = sign_lifecycle(&ping, world.sandbox.intercom().client_secret());
    let answer = ask("POST", "/", &[("x-body-signature", &lifecycle)], &ping);
    assert_eq!((answer.status, answer.json()), (200, json!({ "state": "OK" })));
    assert_eq!(ask("POST", "/", &[("x-body-signature", "00")], &ping).status, 401);
    let too_much = vec![b' '; 6 * 1024 * 1024 + 1];
    assert_eq!(world.post(&too_much).status, 413);

    // Bytes reach the function in base64 unless they are called text or JSON.
    let once = world.notification("conversation.user.created", &conversation("41", &ada, world.now() - 60));
    for kind in ["application/octet-stream", "application/json", "text/plain; charset=utf-8"] {
        assert_eq!(typed(&world, kind, &once).status, 200, "{kind}");
    }
    assert_eq!(typed(&world, "application/octet-stream", b"{\"topic\":\"\xff\xfe\xc3\x28\"}").status, 200);
    let large = with_note(&world, &ada, "42", &"Hello from the test. ".repeat(100_000));
    assert!(large.len() > 2_000_000, "{}", large.len());
    assert_eq!(world.post(&large).status, 200);
    assert_eq!(world.post(&with_note(&world, &ada, "43", &noise(2_000_000))).status, 200);

    world.wait_for_events(2, SOON);
    let status = world.wait_for_end(9, SOON);
    assert!(world.has_event("conversation-created:41") && world.has_event("conversation-created:42"));
    assert_eq!((&status["delivered"], &status["dead"]), (&json!(2), &json!(2)), "{status}");
    assert_eq!(status["skipped"]["duplicate"], 2, "{status}");
    world.finish();
}

fn typed(world: &World, kind: &str, body: &[u8]) -> Answer {
    world.post_with(&[("content-type", kind), ("x-hub-signature", &world.signature(body))], body)
}

/// Trimming keeps custom attributes whole, so this stays as large as it is.
fn with_note(world: &World, contact: &str, id: &str, note: &str) -> Vec<u8> {
    let mut item = conversation(id, contact, world.now() - 60);
    item["custom_attributes"] = json!({ "Note": note });
    world.notification("conversation.user.created", &item)
}

/// Letters that no compression makes small.
fn noise(length: usize) -> String {
    let mut state = 7_u64;
    let mut letter = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[(state >> 58) as usize])
    };
    (0..length).map(|_| letter()).collect()
}

/// The token opens it, through the function URL too, and nothing else does.
pub(super) fn the_console_is_closed(world: &World, letter: &str) {
    let paths = [
        ("GET", "/api/status".to_owned()),
        ("GET", "/api/events/recent".to_owned()),
        ("GET", "/api/dead-letters".to_owned()),
        ("POST", format!("/api/dead-letters/{letter}/replay")),
        ("POST", format!("/api/dead-letters/{letter}/discard")),
    ];
    let wrong = format!("Bearer {TOKEN}x");
    for (method, path) in &paths {
        for headers in [&[][..], &[("authorization", wrong.as_str())], &[("authorization", TOKEN)]] {
            let answer = request(world.product.console(), method, path, headers, b"").expect("it answers");
            assert_eq!(answer.status, 401, "{method} {path} {headers:?}");
        }
    }
    let health = request(world.product.console(), "GET", "/healthz", &[], b"").expect("it answers");
    assert_eq!(health.status, 200);
}

/// The only dead letter.
pub(super) fn dead_letter(world: &World) -> Value {
    let letters = world.api("GET", "/api/dead-letters").json();
    let letters = letters["items"].as_array().expect("a list").clone();
    assert_eq!(letters.len(), 1, "{letters:?}");
    letters[0].clone()
}
