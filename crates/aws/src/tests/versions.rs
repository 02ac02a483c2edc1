//! What another version stored.
//!
//! `versions/1.json` is the table and the queues as version 1 left them, with one of each form. It is written once
//! (`UPDATE_FIXTURE=1` while there is no file for the version) and never changed: deployments have such items. A version that
//! stores something else gets a file of its own, and all of them are read here.
//!
//! The rule that makes a deployment's both directions safe: `v` of an item counts what was *added*. A reader accepts any, leaves
//! aside what it does not know and keeps it when it writes; a change that is more than an addition gets new names. A message's
//! `v` is stricter: a higher one stays on the queue for who understands it.

use std::collections::BTreeMap;
use std::time::Duration;

use app::contract::{self, PassTime};
use app::ports::{
    Accepted, Cache, Claim, ClaimOutcome, Claimed, Clock, DeadLetters, Documents, End, EventCounts, EventRecord, Fate,
    Inbox, ItemBooks, ItemCount, Lane, Ledger, Overview, ParkedMessages, Parking, Progress, Retention, Settlement,
    WorkQueue,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use domain::limits::{Governor, Stored};
use domain::{ContactId, EventKey, Identity, KeyHash, SignatureScheme};
use jiff::SignedDuration;
use serde_json::{Value as Json, json};

use super::{TestStore, World};
use crate::queue::QueueRecord;
use crate::table::{Attributes, Key, Value};
use crate::totals::BASE;

const HIDE: Duration = Duration::from_secs(300);
const BOOK: &str = "history/1/tickets";

/// How much later than [`contract::START`] the fixture was left.
const LEFT_AFTER: SignedDuration = SignedDuration::from_hours(4);

fn key(name: &str) -> KeyHash {
    EventKey::new("w", format_args!("{name}")).hash()
}

fn jane() -> Identity {
    Identity { email: Some("jane@example.com".to_owned()), ..Identity::default() }
}

async fn take(world: &World, store: &TestStore, name: &str) -> Claimed {
    let body = Bytes::from(format!(r#"{{"message":"{name}"}}"#));
    let accepted = Accepted { scheme: SignatureScheme::Hub, received_at: contract::START, body };
    world.store.accept(accepted).await.expect("accepted");
    store.claim(Lane::Live, 1, usize::MAX, HIDE).await.expect("claimed").remove(0)
}

async fn ask(store: &TestStore, message: &Claimed, name: &str) -> ClaimOutcome {
    let claim = Claim { key: key(name), message: message.id.clone(), identity: jane() };
    store.claim_events(vec![claim]).await.expect("an answer").remove(0)
}

async fn settle(store: &TestStore, message: &Claimed, end: End, sent: Option<&str>) {
    let event = |name: &str| EventRecord {
        key: Some(key(name)),
        key_text: format!("intercom:w:{name}"),
        metric: "Intercom Created Ticket".to_owned(),
        contact: Some(ContactId::new("c1")),
        time: Some(contract::START),
        fate: Fate::Sent,
        at: contract::START,
    };
    let settlement = Settlement {
        item: None,
        profiles: 0,
        id: message.id.clone(),
        receipt: message.receipt.clone(),
        end,
        keys: sent.iter().map(|name| key(name)).collect(),
        events: sent.map(event).into_iter().collect(),
    };
    store.settle(vec![settlement]).await.expect("settled");
}

fn parked(contact: &str) -> End {
    let at = |days: i64| contract::START + SignedDuration::from_hours(24 * days);
    let progress = Progress { contact_tries: 4, ..Progress::default() };
    End::Parked(Parking { contacts: vec![ContactId::new(contact)], next_check: at(1), expires: at(30), progress })
}

/// One of each form, with the names that [`read`] asks for.
async fn written() -> World {
    let world = World::new();
    let early = world.another();
    let message = take(&world, &early, "folded").await;
    ask(&early, &message, "folded").await;
    settle(&early, &message, End::Delivered, Some("folded")).await;
    world.clock.pass(Duration::from_secs(4 * 3600)).await;
    let retention = Retention { recent_events: 100, ledger: None };
    world.store.clean(world.clock.now(), retention).await.expect("folded");

    let store = world.another();
    let message = take(&world, &store, "delivered").await;
    ask(&store, &message, "delivered").await;
    settle(&store, &message, End::Delivered, Some("delivered")).await;
    let message = take(&world, &store, "skipped").await;
    settle(&store, &message, End::Skipped("ping".to_owned()), None).await;
    let message = take(&world, &store, "dead").await;
    let dead = End::Dead { reason: "refused".to_owned(), topic: "ticket.created".to_owned() };
    settle(&store, &message, dead, None).await;
    let message = take(&world, &store, "parked").await;
    settle(&store, &message, parked("c1"), None).await;
    let message = take(&world, &store, "released").await;
    settle(&store, &message, parked("c2"), None).await;
    let message = take(&world, &store, "tried").await;
    let until = world.clock.now() + SignedDuration::from_secs(600);
    let progress = Progress { attempts: 3, ..Progress::default() };
    settle(&store, &message, End::Deferred { until, progress }, None).await;
    let message = take(&world, &store, "claimed").await;
    assert_eq!(ask(&store, &message, "claimed").await, ClaimOutcome::Fresh);
    store.release(&[ContactId::new("c2")]).await.expect("released");

    let events = EventCounts { delivered: 1, dead: 1, ..EventCounts::default() };
    store.count_items(vec![ItemCount { book: BOOK.to_owned(), entry: key("item"), events }]).await.expect("counted");
    store.forget(&["contact/1".to_owned()]).await.expect("noted");
    let mut governor = Governor::klaviyo_shared("holder", "key");
    governor.waits(domain::limits::Endpoint::KlaviyoEvents);
    let limits = governor.plan(None, world.clock.now()).and_then(|plan| plan.text).expect("a document");
    let checkpoint = domain::history::Checkpoint::default().to_text();
    for (name, body) in [("limits/klaviyo", limits), ("history", checkpoint)] {
        assert!(store.save(name, &body, None).await.expect("saved"));
    }
    world
}

fn text_of(world: &World) -> String {
    let value = |value: &Value| match value {
        Value::Text(text) => json!({ "S": text }),
        Value::Number(number) => json!({ "N": number.to_string() }),
        Value::Bytes(bytes) => json!({ "B": STANDARD.encode(bytes) }),
    };
    let item = |(key, item): (&Key, &crate::table::Item)| {
        let attributes: BTreeMap<&String, Json> = item.iter().map(|(name, one)| (name, value(one))).collect();
        json!({ "pk": key.pk, "sk": key.sk, "item": attributes })
    };
    let items: Vec<Json> = world.table.items().iter().map(item).collect();
    let message =
        |record: QueueRecord| json!({ "id": record.message_id, "body": record.body, "attributes": record.attributes });
    let messages: Vec<Json> = world.queues.records(Lane::Live).into_iter().map(message).collect();
    serde_json::to_string_pretty(&json!({ "items": items, "messages": messages })).expect("JSON") + "\n"
}

/// A world of this version on what another one left. `later`: with what a version after this one might have added.
fn left(text: &str, later: bool) -> World {
    let mut world = World::new();
    // No process ever has the name of another one.
    world.started.store(100, std::sync::atomic::Ordering::Relaxed);
    world.store = world.another();
    world.clock.advance(Duration::try_from(LEFT_AFTER + SignedDuration::from_hours(1)).expect("positive"));
    let left: Json = serde_json::from_str(text).expect("JSON");
    let string = |json: &Json| json.as_str().expect("a string").to_owned();
    for stored in left["items"].as_array().expect("items") {
        let mut item = crate::table::Item::new();
        for (name, value) in stored["item"].as_object().expect("attributes") {
            let value = match (&value["S"], &value["N"], &value["B"]) {
                (Json::String(text), ..) => Value::Text(text.clone()),
                (_, Json::String(number), _) => Value::Number(number.parse().expect("a number")),
                (.., bytes) => Value::Bytes(STANDARD.decode(string(bytes)).expect("base64")),
            };
            item.insert(name.clone(), value);
        }
        if later {
            item.insert("v".to_owned(), Value::Number(2));
            item.insert("later".to_owned(), Value::Text("added".to_owned()));
        }
        world.table.plant(Key::new(string(&stored["pk"]), string(&stored["sk"])), item);
    }
    for message in left["messages"].as_array().expect("messages") {
        let attributes = serde_json::from_value(message["attributes"].clone()).expect("attributes");
        world.queues.plant(
            Lane::Live,
            QueueRecord {
                message_id: string(&message["id"]),
                receipt_handle: String::new(),
                body: string(&message["body"]),
                attributes,
                receive_count: 1,
                sent_at: contract::START.as_millisecond(),
            },
        );
    }
    world
}

/// Everything in it is understood and brought to its end.
async fn read(world: &World) {
    let store = world.another();
    let before = store.books().await.expect("books");
    let shown = (before.delivered, before.skipped["ping"], before.parked, before.dead, before.metrics[0].delivered);
    assert_eq!(shown, (2, 1, 1, 1, 2));
    assert_eq!(before.in_flight, 3, "tried, claimed, released");
    let recent = store.recent_events(10).await.expect("a list");
    let keys: Vec<&str> = recent.iter().map(|event| event.key.as_str()).collect();
    assert_eq!(keys.len(), 2, "one in a share, one on the list: {keys:?}");
    assert!(keys.contains(&"intercom:w:folded") && keys.contains(&"intercom:w:delivered"));
    assert_eq!(
        store.known_events(&[key("folded"), key("delivered"), key("other")]).await.expect("an answer"),
        [true, true, false]
    );

    for message in store.claim(Lane::Live, 10, usize::MAX, HIDE).await.expect("claimed") {
        let body = String::from_utf8(message.accepted.body.to_vec()).expect("text");
        let name = ["tried", "claimed", "released"].into_iter().find(|name| body.contains(name)).expect("a known one");
        assert_eq!(message.progress.attempts, if name == "tried" { 3 } else { 0 }, "{name}");
        let outcome = ask(&store, &message, name).await;
        let kept = if name == "claimed" { ClaimOutcome::Resumed(jane()) } else { ClaimOutcome::Fresh };
        assert_eq!(outcome, kept, "{name}");
        settle(&store, &message, End::Delivered, Some(name)).await;
    }
    assert_eq!(store.release(&[ContactId::new("c1")]).await.expect("released"), 1);
    let letter = store.dead_letters(None, 10).await.expect("letters").items.remove(0);
    assert_eq!(letter.reason, "refused");
    assert!(store.replay(&letter.id).await.expect("replayed"));
    for message in store.claim(Lane::Live, 10, usize::MAX, HIDE).await.expect("claimed") {
        let body = String::from_utf8(message.accepted.body.to_vec()).expect("text");
        settle(&store, &message, End::Skipped(body), None).await;
    }
    let after = store.books().await.expect("books");
    assert_eq!((after.delivered, after.parked, after.dead, after.in_flight), (5, 0, 0, 0), "{after:?}");
    assert_eq!(after.accepted, before.accepted);
    assert!(
        after.skipped.contains_key(r#"{"message":"parked"}"#) && after.skipped.contains_key(r#"{"message":"dead"}"#)
    );

    let book = store.item_book(BOOK).await.expect("a book");
    assert_eq!((book.items, book.events.delivered, book.events.dead), (1, 1, 1));
    let limits = store.load("limits/klaviyo").await.expect("an answer").expect("it is there");
    assert_eq!(Stored::read(Some(&limits.body), world.clock.now()).stopped(), None);
    let mut governor = Governor::klaviyo_shared("another", "key");
    assert_eq!(governor.look(Some(&limits.body), world.clock.now()), None, "it can be read");
    let checkpoint = store.load("history").await.expect("an answer").expect("it is there");
    domain::history::Checkpoint::from_text(&checkpoint.body).expect("it can be read");
    assert!(store.save("history", &checkpoint.body, Some(checkpoint.version)).await.expect("saved"));
    store.forget(&["contact/2".to_owned()]).await.expect("noted");
}

/// Redelivered although they had ended: the markers and claims of the other version still say so.
async fn ended_messages_stay_ended(world: &World) {
    // The ids that the fixture's messages had.
    for (number, name) in [(1, "folded"), (2, "delivered"), (3, "skipped")] {
        let attributes = [("v", "1"), ("scheme", "hub"), ("received", "1784102400000000"), ("encoding", "text")];
        let record = QueueRecord {
            message_id: format!("m-{}", ids(number)),
            receipt_handle: String::new(),
            body: format!(r#"{{"message":"{name}"}}"#),
            attributes: attributes.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            receive_count: 1,
            sent_at: contract::START.as_millisecond(),
        };
        world.queues.plant(Lane::Live, record);
    }
    let store = world.another();
    let mut known = 0;
    for message in store.claim(Lane::Live, 10, usize::MAX, HIDE).await.expect("claimed") {
        let body = String::from_utf8(message.accepted.body.to_vec()).expect("text");
        let name = ["folded", "delivered", "tried", "claimed", "released", "skipped"].into_iter();
        let name = name.into_iter().find(|name| body.contains(name)).expect("a known one");
        assert_ne!(name, "skipped", "its marker says that it ended");
        if matches!(name, "folded" | "delivered") {
            assert_eq!(ask(&store, &message, name).await, ClaimOutcome::SentByThis, "{name}");
            known += 1;
        }
    }
    assert_eq!(known, 2);
}

/// The queue's number of the fixture's message: receipts count as well.
fn ids(message: u64) -> u64 {
    2 * message - 1
}

const VERSION_1: &str = include_str!("versions/1.json");

#[tokio::test]
async fn what_version_1_left_is_understood() {
    read(&left(VERSION_1, false)).await;
    ended_messages_stay_ended(&left(VERSION_1, false)).await;
}

/// During a deployment the old functions meet what the new ones wrote.
#[tokio::test]
async fn what_a_later_version_added_is_left_aside_and_kept() {
    let world = left(VERSION_1, true);
    let before = world.table.items();
    read(&world).await;
    ended_messages_stay_ended(&left(VERSION_1, true)).await;
    let after = world.table.items();
    for (key, item) in before {
        let Some(now) = after.get(&key) else { continue };
        // A share, a claim and the changed contacts are rewritten by many; markers and documents belong to who writes them.
        let shared = ["totals", "e#", "changed", "recent"].iter().any(|kind| key.pk.starts_with(kind));
        if shared || *now == item {
            assert_eq!(now.text("later"), Some("added"), "{key:?}");
        }
    }
    assert!(after.keys().any(|key| key.sk == BASE));
}

/// The fixture is what this version writes, so it is the one that the next version has to read.
#[tokio::test]
async fn this_version_stores_what_its_fixture_has() {
    let now = text_of(&written().await);
    if std::env::var_os("UPDATE_FIXTURE").is_some() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tests/versions/1.json");
        std::fs::write(path, &now).expect("written");
        return;
    }
    assert_eq!(
        forms(&now),
        forms(VERSION_1),
        "the stored form has changed: keep versions/1.json, add the next version's file and read both"
    );
}

/// Names and types of everything stored. What the documents say is their owners' business.
fn forms(text: &str) -> Vec<String> {
    let left: Json = serde_json::from_str(text).expect("JSON");
    let of_item = |item: &Json| {
        let attributes = item["item"].as_object().expect("attributes").iter();
        let attributes: Vec<String> = attributes
            .map(|(name, value)| format!("{name}:{}", value.as_object().expect("a type").keys().next().expect("one")))
            .collect();
        format!("{} {} {}", item["pk"], item["sk"], attributes.join(" "))
    };
    let of_message = |message: &Json| {
        let attributes = message["attributes"].as_object().expect("attributes");
        format!("{} {:?}", message["body"], attributes.keys().collect::<Vec<_>>())
    };
    let items = left["items"].as_array().expect("items").iter().map(of_item);
    items.chain(left["messages"].as_array().expect("messages").iter().map(of_message)).collect()
}
