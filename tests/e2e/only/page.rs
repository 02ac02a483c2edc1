//! The console's page through its function's URL: whole, packed as it is asked for, and opened by a session.

use std::io::Read as _;

use serde_json::json;
use tests::http::{Answer, Header, request};

use crate::support::{SOON, TOKEN, World, conversation};

#[test]
fn the_page_is_served_and_its_session_opens_the_api() {
    let mut world = World::start();
    let ask = |world: &World, method: &str, path: &str, headers: &[Header<'_>], body: &[u8]| -> Answer {
        request(world.product.console(), method, path, headers, body).expect("it answers")
    };
    let page = ask(&world, "GET", "/", &[], b"");
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(page.header("content-security-policy").is_some_and(|policy| policy.starts_with("default-src 'none'")));
    let html = page.text();
    let script = html.split('"').find(|part| part.ends_with("/app.js")).expect("the page names its script").to_owned();
    let plain = ask(&world, "GET", &script, &[], b"");
    assert!(plain.header("cache-control").is_some_and(|value| value.contains("immutable")));
    let packed = ask(&world, "GET", &script, &[("accept-encoding", "gzip")], b"");
    assert_eq!((packed.status, packed.header("content-encoding")), (200, Some("gzip")));
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(&*packed.body).read_to_end(&mut unpacked).expect("the bytes arrive as they are");
    assert_eq!(unpacked, plain.body);

    let ours = [("sec-fetch-site", "same-origin"), ("x-console", "1"), ("x-forwarded-proto", "https")];
    let wrong = ask(&world, "POST", "/api/session", &ours, json!({"token": "wrong"}).to_string().as_bytes());
    assert_eq!(wrong.status, 401, "{}", wrong.text());
    let entered = ask(&world, "POST", "/api/session", &ours, json!({"token": TOKEN}).to_string().as_bytes());
    assert_eq!(entered.status, 204, "{}", entered.text());
    let cookie = entered.header("set-cookie").expect("a session").to_owned();
    assert!(cookie.starts_with("__Host-console=") && cookie.contains("Secure"), "{cookie}");
    let session = ("cookie", cookie.split(';').next().expect("a pair"));

    let ada = world.customer("Ada Byron");
    assert_eq!(world.notify("conversation.user.created", &conversation("1", &ada, world.now() - 60)).status, 200);
    world.wait_for_events(1, SOON);
    let https = ("x-forwarded-proto", "https");
    for path in [
        "/api/session",
        "/api/status",
        "/api/events/hours",
        "/api/events/recent",
        "/api/dead-letters/groups",
        "/api/dead-letters/steered",
        "/api/parked",
    ] {
        let answer = ask(&world, "GET", path, &[session, https], b"");
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        assert_eq!(ask(&world, "GET", path, &[https], b"").status, 401, "{path}");
    }
    let steer = json!({"action": "replay"}).to_string();
    let led = [session, https, ("sec-fetch-site", "cross-site"), ("x-console", "1")];
    assert_eq!(ask(&world, "POST", "/api/dead-letters/steer", &led, steer.as_bytes()).status, 403);
    let own = [session, https, ("sec-fetch-site", "same-origin"), ("x-console", "1")];
    let piece = ask(&world, "POST", "/api/dead-letters/steer", &own, steer.as_bytes());
    assert_eq!((piece.status, piece.json()["steered"].clone()), (200, json!(0)), "{}", piece.text());
    world.finish();
}
