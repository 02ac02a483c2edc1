mod access;
mod letters;
mod page;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use app::connect::KeyPlace;
use app::ports::{
    Accepted, Books, Clock, DeadLetter, DeadLetterPage, DeadLetters, Document, Documents, ItemBook, ItemBooks,
    ItemCount, Overview, ParkedMessage, ParkedMessages, RecentEvent, Retention, StoreError, StoreResult,
};
use app::settings::Settings;
use app::status::NoVendors;
use axum::body::Body;
use domain::{ContactId, MessageId, Rules};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::{About, Access, Attempts, Console, Desk, Place, health_router, router};

/// 2026-07-15T08:00:00Z.
const NOW: Timestamp = Timestamp::constant(1_784_102_400, 0);

#[derive(Default)]
struct Store {
    locked: bool,
    documents: Mutex<HashMap<String, Document>>,
}

impl Store {
    fn check(&self) -> StoreResult<()> {
        match self.locked {
            true => Err(StoreError::Unavailable { store: "SQLite file", detail: "locked".to_owned() }),
            false => Ok(()),
        }
    }
}

impl Overview for Store {
    async fn books(&self) -> StoreResult<Books> {
        self.check()?;
        Ok(Books { accepted: 3, delivered: 3, ..Books::default() })
    }

    async fn recent_events(&self, limit: usize) -> StoreResult<Vec<RecentEvent>> {
        let event = RecentEvent {
            at: NOW,
            metric: "Intercom Created Ticket".to_owned(),
            key: "intercom:ws:ticket-created:1".to_owned(),
            contact: None,
            time: None,
            fate: "sent".to_owned(),
            reason: None,
        };
        Ok(vec![event; limit.min(2)])
    }

    async fn clean(&self, _: Timestamp, _: Retention) -> StoreResult<u64> {
        Ok(0)
    }
}

impl Documents for Store {
    async fn load(&self, name: &str) -> StoreResult<Option<Document>> {
        self.check()?;
        Ok(self.documents.lock().expect("sound").get(name).cloned())
    }

    async fn save(&self, name: &str, body: &str, expected: Option<u64>) -> StoreResult<bool> {
        self.check()?;
        let mut documents = self.documents.lock().expect("sound");
        if documents.get(name).map(|document| document.version) != expected {
            return Ok(false);
        }
        let document = Document { version: expected.unwrap_or(0) + 1, body: body.to_owned() };
        documents.insert(name.to_owned(), document);
        Ok(true)
    }
}

impl ItemBooks for Store {
    async fn count_items(&self, _: Vec<ItemCount>) -> StoreResult<()> {
        Ok(())
    }

    async fn item_book(&self, _: &str) -> StoreResult<ItemBook> {
        self.check()?;
        Ok(ItemBook::default())
    }

    async fn forget_book(&self, _: &str) -> StoreResult<u64> {
        Ok(0)
    }
}

impl DeadLetters for Store {
    async fn dead_letters(&self, after: Option<&str>, _: usize) -> StoreResult<DeadLetterPage> {
        let item = DeadLetter {
            id: "dl_1-a".to_owned(),
            at: NOW,
            reason: "why".to_owned(),
            topic: "ticket.created".to_owned(),
        };
        match after {
            None => Ok(DeadLetterPage { items: vec![item], next: Some("dl_1-a".to_owned()) }),
            Some(_) => Ok(DeadLetterPage::default()),
        }
    }

    async fn replay(&self, id: &str) -> StoreResult<bool> {
        Ok(id == "dl_1-a")
    }

    async fn discard(&self, id: &str) -> StoreResult<bool> {
        Ok(id == "dl_1-a")
    }

    async fn dead_letter_body(&self, _: &str) -> StoreResult<Option<Accepted>> {
        Ok(None)
    }
}

impl ParkedMessages for Store {
    async fn release(&self, _: &[ContactId]) -> StoreResult<u64> {
        Ok(0)
    }

    async fn due(&self, _: Timestamp, _: usize) -> StoreResult<Vec<ParkedMessage>> {
        Ok(Vec::new())
    }

    async fn recheck_at(&self, _: &MessageId, _: Timestamp) -> StoreResult<()> {
        Ok(())
    }

    async fn expire(&self, _: Timestamp, _: &str) -> StoreResult<u64> {
        Ok(0)
    }
}

struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        NOW
    }

    async fn sleep(&self, _: Duration) {}
}

fn request(method: &str, path: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::empty()).expect("is a request")
}

async fn ask(access: Access, locked: bool, request: Request<Body>) -> Response<Body> {
    let store = Store { locked, ..Store::default() };
    let setup = vec!["X".to_owned()];
    router(console(store, setup, access)).oneshot(request).await.expect("the router answers")
}

fn console<S>(store: S, setup: Vec<String>, access: Access) -> Console<S, NoVendors, Still> {
    Console {
        store,
        vendors: NoVendors,
        clock: Still,
        setup,
        access,
        attempts: Arc::new(Attempts::default()),
        rules: Arc::new(Rules::default()),
        about: About::new(Place::Machine, &Settings::default()),
        history_days: None,
        asking: None,
        desk: Desk::empty(KeyPlace::Machine),
    }
}

async fn body(response: Response<Body>) -> Value {
    let bytes = response.into_body().collect().await.expect("a body").to_bytes();
    serde_json::from_slice(&bytes).expect("JSON")
}

const TOKEN: (&str, &str) = ("authorization", "Bearer right");

fn token() -> Access {
    Access::Token(SecretString::from("right"))
}

async fn ok(method: &str, path: &str) -> Value {
    let response = ask(token(), false, request(method, path, &[TOKEN])).await;
    assert_eq!(response.status(), StatusCode::OK, "{method} {path}");
    assert_eq!(response.headers()["cache-control"], "no-store");
    body(response).await
}

async fn refused(method: &str, path: &str, status: u16) {
    let response = ask(token(), false, request(method, path, &[TOKEN])).await;
    assert_eq!(response.status(), status, "{method} {path}");
    assert!(body(response).await["error"].is_string());
}

#[tokio::test]
async fn the_api_wants_the_token() {
    for path in ["/api/status", "/api/dead-letters", "/api/events/recent", "/api/history/start", "/api/nothing"] {
        for header in [None, Some("Bearer wrong"), Some("Bearer "), Some("Basic right"), Some("right"), Some("")] {
            let headers: Vec<_> = header.map(|value| ("authorization", value)).into_iter().collect();
            let response = ask(token(), false, request("GET", path, &headers)).await;
            assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{path} {header:?}");
            assert_eq!(response.headers()["www-authenticate"], "Bearer");
            assert!(body(response).await["error"].is_string());
        }
    }
    let response = ask(token(), false, request("GET", "/api/status", &[("authorization", "bearer right")])).await;
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn health_and_page_are_open() {
    for (path, kind) in [("/healthz", "text/plain; charset=utf-8"), ("/", "text/html; charset=utf-8")] {
        let response = ask(token(), false, request("GET", path, &[])).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], kind);
    }
}

#[tokio::test]
async fn the_demo_checks_the_host() {
    let ask = async |headers: &[(&str, &str)]| {
        ask(Access::Loopback, false, request("GET", "/api/status", headers)).await.status().as_u16()
    };
    assert_eq!(ask(&[("host", "localhost:8080")]).await, 200);
    assert_eq!(ask(&[("host", "127.0.0.1:8080")]).await, 200);
    assert_eq!(ask(&[("host", "evil.example:8080")]).await, 403);
    assert_eq!(ask(&[]).await, 403);
    assert_eq!(ask(&[("host", "localhost:8080"), ("origin", "http://localhost:8080")]).await, 200);
    assert_eq!(ask(&[("host", "localhost:8080"), ("origin", "https://evil.example")]).await, 403);
    assert_eq!(ask(&[("host", "localhost:8080"), ("origin", "null")]).await, 403);
}

#[tokio::test]
async fn the_status_is_served() {
    let status = ok("GET", "/api/status").await;
    assert_eq!(status["accepted"], 3);
    assert_eq!(status["setup"], json!(["X"]));
    assert_eq!(status["history"]["state"], "idle");
}

#[tokio::test]
async fn dead_letters_are_listed_replayed_and_discarded() {
    let page = ok("GET", "/api/dead-letters").await;
    let item = json!({"id": "dl_1-a", "at": "2026-07-15T08:00:00Z", "reason": "why", "topic": "ticket.created"});
    assert_eq!(page, json!({"items": [item], "next": "dl_1-a"}));
    assert_eq!(ok("GET", "/api/dead-letters?after=dl_1-a").await, json!({"items": [], "next": null}));
    assert_eq!(ok("POST", "/api/dead-letters/dl_1-a/replay").await, json!({"id": "dl_1-a", "state": "replayed"}));
    assert_eq!(ok("POST", "/api/dead-letters/dl_1-a/discard").await, json!({"id": "dl_1-a", "state": "discarded"}));
}

/// The state has changed when the answer comes, and a move that does not fit changes nothing.
#[tokio::test]
async fn the_import_is_steered() {
    let router = router(console(Store::default(), Vec::new(), token()));
    let steer = async |action: &str| {
        let request = request("POST", &format!("/api/history/{action}"), &[TOKEN]);
        let response = router.clone().oneshot(request).await.expect("the router answers");
        (response.status().as_u16(), body(response).await)
    };
    for action in ["pause", "resume", "restart"] {
        assert_eq!(steer(action).await.0, 409, "{action} of what never started");
    }
    for (action, state) in
        [("start", "running"), ("pause", "paused"), ("resume", "running"), ("restart", "running"), ("pause", "paused")]
    {
        let (status, report) = steer(action).await;
        assert_eq!((status, &report["state"]), (200, &json!(state)), "{action}");
        let response = router.clone().oneshot(request("GET", "/api/status", &[TOKEN])).await.expect("answered");
        assert_eq!(body(response).await["history"]["state"], state);
    }
    let (status, refusal) = steer("start").await;
    assert_eq!((status, refusal["error"].is_string()), (409, true));
}

/// Without keys nothing could be read.
#[tokio::test]
async fn nothing_starts_in_set_up_mode() {
    refused("POST", "/api/history/start", 409).await;
    refused("GET", "/api/history/plan", 409).await;
}

#[tokio::test]
async fn recent_events_are_listed() {
    assert_eq!(ok("GET", "/api/events/recent").await["items"].as_array().map(Vec::len), Some(2));
    assert_eq!(ok("GET", "/api/events/recent?limit=1").await["items"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn what_does_not_exist_is_said_in_json() {
    refused("POST", "/api/dead-letters/unknown/replay", 404).await;
    refused("POST", "/api/dead-letters/a%20b/discard", 404).await;
    refused("POST", "/api/dead-letters/a%2Fb/discard", 404).await;
    refused("POST", "/api/dead-letters/%FF/discard", 404).await;
    refused("POST", "/api/history/begin", 404).await;
    refused("GET", "/api/history/begin", 409).await;
    refused("GET", "/api/dead-letters/dl_1-a/replay", 405).await;
    refused("DELETE", "/api/status", 405).await;
    refused("GET", "/nothing", 404).await;
    refused("GET", "/api/dead-letters?limit=x", 400).await;
    refused("GET", "/api/dead-letters?after=a%20b", 400).await;
}

#[tokio::test]
async fn a_locked_store_is_503() {
    let response = ask(token(), true, request("GET", "/api/status", &[TOKEN])).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(body(response).await, json!({"error": "the SQLite file is not available: locked"}));
}

#[tokio::test]
async fn the_public_listener_offers_health_alone() {
    for (path, status) in [("/healthz", 200), ("/", 404), ("/api/status", 404)] {
        let response = health_router().oneshot(request("GET", path, &[TOKEN])).await.expect("answers");
        assert_eq!(response.status(), status, "{path}");
    }
}
