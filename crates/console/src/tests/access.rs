//! Sign-in, sessions, and requests that a browser was led to send.

use super::*;

const OURS: &[(&str, &str)] = &[
    ("host", "127.0.0.1:8080"),
    ("sec-fetch-site", "same-origin"),
    ("x-console", "1"),
    ("content-type", "application/json"),
];

fn with<'a>(headers: &[(&'a str, &'a str)], more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let replaced = |name: &str| more.iter().any(|(other, _)| *other == name);
    headers.iter().filter(|(name, _)| !replaced(name)).chain(more).copied().collect()
}

fn site(access: Access) -> axum::Router {
    router(console(Store::default(), Vec::new(), access))
}

async fn send(site: &axum::Router, request: Request<Body>) -> Response<Body> {
    site.clone().oneshot(request).await.expect("the router answers")
}

fn sign_in(given: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let mut request = request("POST", "/api/session", headers);
    *request.body_mut() = Body::from(json!({"token": given}).to_string());
    request
}

/// The cookie as the browser sends it back.
async fn session(site: &axum::Router, headers: &[(&str, &str)]) -> String {
    let response = send(site, sign_in("right", headers)).await;
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    let set = response.headers()["set-cookie"].to_str().expect("text").to_owned();
    assert!(!set.contains("right"), "the token itself goes nowhere: {set}");
    set.split(';').next().expect("a pair").to_owned()
}

#[tokio::test]
async fn a_token_becomes_a_session_that_opens_the_api() {
    let site = site(token());
    let cookie = session(&site, OURS).await;
    let answered = send(&site, request("GET", "/api/status", &[("host", "127.0.0.1:8080"), ("cookie", &cookie)])).await;
    assert_eq!(answered.status(), StatusCode::OK);
    let looked = send(&site, request("GET", "/api/session", &[("host", "127.0.0.1:8080"), ("cookie", &cookie)])).await;
    let looked = body(looked).await;
    assert_eq!((&looked["signed_in"], &looked["about"]["place"]), (&json!(true), &json!("machine")));
    let out = send(&site, request("DELETE", "/api/session", OURS)).await;
    assert!(out.headers()["set-cookie"].to_str().expect("text").contains("Max-Age=0"));
}

#[tokio::test]
async fn over_https_the_cookie_is_secure_and_for_this_host_only() {
    let site = site(token());
    let https = with(OURS, &[("host", "console.example"), ("x-forwarded-proto", "https")]);
    let cookie = session(&site, &https).await;
    assert!(cookie.starts_with("__Host-console="), "{cookie}");
    let plain_name = cookie.replace("__Host-console", "console");
    for (cookie, status) in [(&cookie, 200), (&plain_name, 401)] {
        let asked = with(&https, &[("cookie", cookie)]);
        assert_eq!(send(&site, request("GET", "/api/status", &asked)).await.status(), status, "{cookie}");
    }
}

#[tokio::test]
async fn a_changed_token_ends_sessions() {
    let cookie = session(&site(token()), OURS).await;
    let changed = site(Access::Token(SecretString::from("changed")));
    let asked = with(OURS, &[("cookie", &cookie)]);
    assert_eq!(send(&changed, request("GET", "/api/status", &asked)).await.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn wrong_tokens_are_refused_and_soon_not_even_looked_at() {
    let site = site(token());
    let kept = session(&site, OURS).await;
    for number in 0..10 {
        let answered = match number % 2 {
            0 => send(&site, sign_in("wrong", OURS)).await,
            _ => send(&site, request("GET", "/api/status", &[("authorization", "Bearer wrong")])).await,
        };
        assert_eq!(answered.status(), StatusCode::UNAUTHORIZED);
        assert!(answered.headers().get("set-cookie").is_none());
    }
    let answered = send(&site, sign_in("right", OURS)).await;
    assert_eq!(answered.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(answered.headers().contains_key("retry-after"));
    let answered = send(&site, request("GET", "/api/status", &[TOKEN])).await;
    assert_eq!(answered.status(), StatusCode::TOO_MANY_REQUESTS);
    let asked = with(OURS, &[("cookie", &kept)]);
    assert_eq!(send(&site, request("GET", "/api/status", &asked)).await.status(), StatusCode::OK, "a session goes on");
}

#[tokio::test]
async fn what_no_own_page_sent_changes_nothing() {
    let site = site(token());
    let cookie = session(&site, OURS).await;
    let post = async |headers: &[(&str, &str)]| {
        send(&site, request("POST", "/api/dead-letters/dl_1-a/replay", headers)).await.status().as_u16()
    };
    let cookie = ("cookie", cookie.as_str());
    let host = ("host", "127.0.0.1:8080");
    assert_eq!(post(&with(OURS, &[cookie])).await, 200);
    assert_eq!(post(&[host, cookie, ("origin", "http://127.0.0.1:8080"), ("x-console", "1")]).await, 200);
    for site in ["cross-site", "same-site", "none", ""] {
        assert_eq!(post(&with(OURS, &[cookie, ("sec-fetch-site", site)])).await, 403, "{site}");
    }
    assert_eq!(post(&[host, cookie, ("sec-fetch-site", "same-origin")]).await, 403, "a form sets no header");
    for origin in ["https://evil.example", "null", "http://127.0.0.1:9090"] {
        assert_eq!(post(&[host, cookie, ("origin", origin), ("x-console", "1")]).await, 403, "{origin}");
    }
    assert_eq!(post(&[host, cookie, ("x-console", "1")]).await, 403, "nothing says where it comes from");
    assert_eq!(post(&[TOKEN]).await, 200, "no browser sends a bearer by itself");
}

#[tokio::test]
async fn nobody_is_signed_in_by_another_page() {
    let site = site(token());
    for headers in [with(OURS, &[("sec-fetch-site", "cross-site")]), vec![("content-type", "text/plain")]] {
        let answered = send(&site, sign_in("right", &headers)).await;
        assert_eq!(answered.status(), StatusCode::FORBIDDEN);
        assert!(answered.headers().get("set-cookie").is_none());
    }
    let mut odd = request("POST", "/api/session", OURS);
    *odd.body_mut() = Body::from("{}");
    assert_eq!(send(&site, odd).await.status(), StatusCode::BAD_REQUEST);
    let mut long = request("POST", "/api/session", OURS);
    *long.body_mut() = Body::from(json!({"token": "x".repeat(10_000)}).to_string());
    assert_eq!(send(&site, long).await.status(), StatusCode::BAD_REQUEST);
}

/// A tunnel in front of the webhook makes every caller look local; the name that they called tells them apart.
#[tokio::test]
async fn a_token_that_nobody_chose_is_for_this_machine() {
    let site = site(Access::LocalToken(SecretString::from("right")));
    for (host, path, status) in [
        ("127.0.0.1:8080", "/api/status", 200),
        ("tunnel.example", "/api/status", 403),
        ("tunnel.example", "/", 403),
        ("tunnel.example", "/healthz", 200),
    ] {
        assert_eq!(send(&site, request("GET", path, &[TOKEN, ("host", host)])).await.status(), status, "{host}{path}");
    }
}

#[tokio::test]
async fn another_page_does_not_steer_the_demo() {
    let site = site(Access::Loopback);
    for (from, status) in [("same-origin", 200), ("none", 200), ("cross-site", 403)] {
        let asked = [("host", "localhost:8080"), ("sec-fetch-site", from)];
        let answered = send(&site, request("POST", "/api/dead-letters/dl_1-a/replay", &asked)).await;
        assert_eq!(answered.status(), status, "{from}");
    }
    let looked = send(&site, request("GET", "/api/session", &[("host", "localhost:8080")])).await;
    assert_eq!(body(looked).await["signed_in"], false);
}
