//! Dead letters in bulk, explained, and what became of them; on the store of the tests.

use app::fakes::{ManualClock, MemoryStore};
use app::ports::{Claimed, End, EventRecord, Fate, Inbox as _, Lane, Parking, Progress, Settlement, WorkQueue as _};
use bytes::Bytes;
use domain::{EventKey, SignatureScheme};

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

/// A ticket that a contact filed, as Intercom tells of it.
fn notification(ticket: usize) -> Bytes {
    let item = json!({"type": "ticket", "id": ticket.to_string(), "ticket_id": "77", "created_at": 1_784_000_000,
        "ticket_attributes": {"_default_title_": "My knee hurts"}, "category": "Customer",
        "ticket_state": {"category": "submitted", "internal_label": "Submitted"},
        "contacts": {"contacts": [{"type": "contact", "id": "c1"}]}});
    let told = json!({"type": "notification_event", "app_id": "ws", "topic": "ticket.created",
        "created_at": 1_784_000_000, "data": {"type": "notification_event_data", "item": item}});
    Bytes::from(told.to_string())
}

struct World {
    store: MemoryStore,
    site: axum::Router,
}

impl World {
    /// So many dead letters of one cause, and one of another.
    async fn with_dead(count: usize) -> Self {
        let store = MemoryStore::new(ManualClock::at(NOW));
        for ticket in 0..=count {
            let body = if ticket == count { Bytes::from_static(b"{odd") } else { notification(ticket + 1) };
            store.accept(Accepted { scheme: SignatureScheme::Hub, received_at: NOW, body }).await.expect("accepted");
        }
        for (number, claimed) in claim(&store).await.into_iter().enumerate() {
            let reason = if number == count { "unreadable" } else { "Klaviyo refused it" };
            settle(
                &store,
                claimed,
                End::Dead { reason: reason.to_owned(), topic: "ticket.created".to_owned() },
                vec![],
            )
            .await;
        }
        let site = router(console(store.clone(), Vec::new(), token()));
        Self { store, site }
    }

    async fn get(&self, path: &str) -> Value {
        let answer = self.site.clone().oneshot(request("GET", path, &[TOKEN])).await.expect("answers");
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        body(answer).await
    }

    async fn post(&self, path: &str, given: Value) -> (u16, Value) {
        let mut asked = request("POST", path, &[TOKEN]);
        *asked.body_mut() = Body::from(given.to_string());
        let answer = self.site.clone().oneshot(asked).await.expect("answers");
        (answer.status().as_u16(), body(answer).await)
    }
}

async fn claim(store: &MemoryStore) -> Vec<Claimed> {
    store.claim(Lane::Live, 1_000, usize::MAX, MINUTE).await.expect("claimed")
}

async fn settle(store: &MemoryStore, claimed: Claimed, end: End, events: Vec<EventRecord>) {
    let settlement =
        Settlement { id: claimed.id, receipt: claimed.receipt, end, events, keys: vec![], item: None, profiles: 0 };
    store.settle(vec![settlement]).await.expect("settled");
}

#[tokio::test]
async fn causes_are_counted_and_a_group_is_steered_piece_by_piece() {
    let world = World::with_dead(120).await;
    let groups = world.get("/api/dead-letters/groups").await;
    assert_eq!((&groups["counted"], &groups["whole"]), (&json!(121), &json!(true)));
    assert_eq!(groups["groups"][0]["reason"], "Klaviyo refused it");
    assert_eq!((&groups["groups"][0]["count"], &groups["groups"][1]["count"]), (&json!(120), &json!(1)));
    let (mut steered, mut after, mut pieces) = (0, Value::Null, 0);
    loop {
        let wish = json!({"action": "replay", "reason": "Klaviyo refused it", "after": after});
        let (status, piece) = world.post("/api/dead-letters/steer", wish).await;
        assert_eq!(status, 200, "{piece}");
        assert!(piece["looked_at"].as_u64() <= Some(50), "a piece is bounded: {piece}");
        steered += piece["steered"].as_u64().expect("a count");
        after = piece["next"].clone();
        pieces += 1;
        if after.is_null() {
            break;
        }
    }
    assert_eq!((steered, pieces), (120, 3));
    let left = world.get("/api/dead-letters").await;
    assert_eq!(left["items"].as_array().map(Vec::len), Some(1), "the other cause stays");
    let (status, piece) = world.post("/api/dead-letters/steer", json!({"action": "discard"})).await;
    assert_eq!((status, &piece["steered"]), (200, &json!(1)));
    let books = world.get("/api/status").await;
    assert_eq!(
        (&books["dead"], &books["in_flight"], &books["skipped"]["discarded"]),
        (&json!(0), &json!(120), &json!(1))
    );
    for odd in [json!({}), json!({"action": "burn"}), json!({"action": "replay", "after": "a b"})] {
        assert_eq!(world.post("/api/dead-letters/steer", odd).await.0, 400);
    }
}

#[tokio::test]
async fn what_became_of_steered_letters_is_told() {
    let world = World::with_dead(4).await;
    let ids: Vec<String> = world.get("/api/dead-letters").await["items"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|letter| letter["id"].as_str().expect("an id").to_owned())
        .collect();
    let (discarded, replayed) = ids.split_first().expect("five");
    assert_eq!(world.post(&format!("/api/dead-letters/{discarded}/discard"), Value::Null).await.0, 200);
    for id in replayed {
        assert_eq!(world.post(&format!("/api/dead-letters/{id}/replay"), Value::Null).await.0, 200);
    }
    for claimed in claim(&world.store).await {
        let told: Value = serde_json::from_slice(&claimed.accepted.body).expect("JSON");
        let ticket = told["data"]["item"]["id"].as_str().expect("an id").to_owned();
        let key = EventKey::new("ws", format_args!("ticket-created:{ticket}"));
        let record = |fate| EventRecord {
            key: Some(key.hash()),
            key_text: key.as_str().to_owned(),
            metric: "Intercom Created Ticket".to_owned(),
            contact: None,
            time: None,
            fate,
            at: NOW,
        };
        match ticket.as_str() {
            "1" => settle(&world.store, claimed, End::Delivered, vec![record(Fate::Sent)]).await,
            "2" => {
                let end = End::Dead { reason: "again".to_owned(), topic: "ticket.created".to_owned() };
                settle(&world.store, claimed, end, vec![record(Fate::Dead("again".to_owned()))]).await;
            }
            "3" => {
                let parking = Parking {
                    contacts: vec![ContactId::new("c1")],
                    next_check: NOW,
                    expires: Timestamp::MAX,
                    progress: Progress::default(),
                };
                settle(&world.store, claimed, End::Parked(parking), vec![record(Fate::Parked)]).await;
            }
            _ => {}
        }
    }
    let steered = world.get("/api/dead-letters/steered").await;
    let mut fates: Vec<&str> =
        steered["items"].as_array().expect("a list").iter().filter_map(|letter| letter["now"].as_str()).collect();
    fates.sort_unstable();
    assert_eq!(fates, ["delivered", "discarded", "on its way", "parked", "refused again"]);

    let parked = world.get("/api/parked").await;
    assert_eq!((&parked["items"][0]["contacts"], &parked["more"]), (&json!(["c1"]), &json!(false)));
    assert_eq!(world.post("/api/parked/release", json!({"contact": "c1"})).await, (200, json!({"released": 1})));
    assert_eq!(world.post("/api/parked/release", json!({"contact": ""})).await.0, 400);
    assert_eq!(world.get("/api/parked").await["items"], json!([]));
}

#[tokio::test]
async fn an_explanation_hides_people_until_it_is_asked_to_show_them() {
    let world = World::with_dead(1).await;
    let letters = world.get("/api/dead-letters").await;
    let readable = letters["items"].as_array().expect("a list").iter().find(|letter| letter["reason"] != "unreadable");
    let path = format!("/api/dead-letters/{}/explain", readable.expect("one")["id"].as_str().expect("an id"));
    let hidden = world.get(&path).await;
    assert_eq!(hidden["events"][0]["metric"], "Intercom Created Ticket");
    assert!(!hidden.to_string().contains("knee"), "{hidden}");
    assert!(hidden["fields"].as_array().is_some_and(|fields| !fields.is_empty()));
    let (status, shown) = world.post(&format!("{path}?reveal=1"), Value::Null).await;
    assert!(status == 200 && shown.to_string().contains("My knee hurts"), "{shown}");
    let looked = request("GET", &format!("{path}?reveal=1"), &[TOKEN]);
    assert_eq!(world.site.clone().oneshot(looked).await.expect("answers").status(), 405);
    let nobody = request("GET", "/api/dead-letters/none/explain", &[TOKEN]);
    assert_eq!(world.site.clone().oneshot(nobody).await.expect("answers").status(), 404);
}

#[tokio::test]
async fn hours_and_filters_answer() {
    let world = World::with_dead(1).await;
    let hours = world.get("/api/events/hours").await;
    assert_eq!((&hours["from"], &hours["metrics"]), (&json!("2026-07-13T09:00:00Z"), &json!([])));
    let events = world.get("/api/events/recent?fate=sent&metric=x&contact=c1&limit=3").await;
    assert_eq!(events, json!({"items": [], "next": null}));
}
