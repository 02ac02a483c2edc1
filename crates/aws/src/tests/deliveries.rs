//! Two processes and one message, and messages and items that another version wrote.

use std::collections::BTreeMap;
use std::time::Duration;

use app::contract::{self, PassTime};
use app::ports::{
    Accepted, Claim, ClaimOutcome, Claimed, DeadLetters, End, EventRecord, Fate, Inbox, Lane, Ledger, Overview,
    Progress, Settlement, WorkQueue,
};
use bytes::Bytes;
use domain::{EventKey, Identity, SignatureScheme};

use super::{TestStore, World};
use crate::queue::{OutMessage, Queues};
use crate::table::{Attributes, Key, Value};

const HIDE: Duration = Duration::from_secs(300);

fn key() -> EventKey {
    EventKey::new("w", format_args!("ticket-created:1"))
}

async fn accept(world: &World) {
    let body = Bytes::from_static(b"{}");
    let accepted = Accepted { scheme: SignatureScheme::Hub, received_at: contract::START, body };
    world.store.accept(accepted).await.expect("accepted");
}

async fn take(store: &TestStore) -> Vec<Claimed> {
    store.claim(Lane::Live, 10, usize::MAX, HIDE).await.expect("claimed")
}

async fn ask(store: &TestStore, message: &Claimed, email: &str) -> ClaimOutcome {
    let identity = Identity { email: Some(email.to_owned()), ..Identity::default() };
    let claim = Claim { key: key().hash(), message: message.id.clone(), identity };
    store.claim_events(vec![claim]).await.expect("an answer").remove(0)
}

fn delivered_settlement(message: &Claimed) -> Settlement {
    let sent = EventRecord {
        key: Some(key().hash()),
        key_text: key().to_string(),
        metric: "Intercom Created Ticket".to_owned(),
        contact: None,
        time: None,
        fate: Fate::Sent,
        at: contract::START,
    };
    Settlement {
        profiles: 0,
        item: None,
        id: message.id.clone(),
        receipt: message.receipt.clone(),
        end: End::Delivered,
        events: vec![sent],
        keys: vec![key().hash()],
    }
}

async fn deliver(store: &TestStore, message: &Claimed) {
    store.settle(vec![delivered_settlement(message)]).await.expect("settled");
}

async fn delivered(store: &TestStore) -> (u64, u64, u64) {
    let books = store.books().await.expect("books");
    let sent = books.metrics.iter().map(|metric| metric.delivered).sum();
    (books.delivered, sent, books.in_flight)
}

/// The second waits for the first, then goes on with the first's identifiers; the first, which only slept, finds itself fenced.
#[tokio::test]
async fn a_slow_process_and_its_successor_count_once() {
    for slow_comes_first in [true, false] {
        let world = World::new();
        accept(&world).await;
        let (slow, fast) = (world.store.clone(), world.another());
        let first = take(&slow).await.remove(0);
        assert_eq!(ask(&slow, &first, "first@example.com").await, ClaimOutcome::Fresh);
        world.queues.deliver_again();
        let second = take(&fast).await.remove(0);
        assert!(matches!(ask(&fast, &second, "new@example.com").await, ClaimOutcome::Busy { .. }));
        world.clock.pass(HIDE).await;
        let second = take(&fast).await.remove(0);
        let kept = Identity { email: Some("first@example.com".to_owned()), ..Identity::default() };
        assert_eq!(ask(&fast, &second, "new@example.com").await, ClaimOutcome::Resumed(kept));
        for process in
            if slow_comes_first { [(&slow, &first), (&fast, &second)] } else { [(&fast, &second), (&slow, &first)] }
        {
            deliver(process.0, process.1).await;
        }
        assert_eq!(delivered(&fast).await, (1, 1, 0));
    }
}

/// The delete was lost: the message comes again, to a process that knows nothing.
#[tokio::test]
async fn an_ended_message_that_comes_again_is_dropped() {
    let world = World::new();
    accept(&world).await;
    let first = take(&world.store).await.remove(0);
    assert_eq!(ask(&world.store, &first, "a@example.com").await, ClaimOutcome::Fresh);
    world.queues.push_fault(crate::memory::Fault::RequestLost);
    deliver(&world.store, &first).await;
    assert_eq!(delivered(&world.store).await, (1, 1, 1), "it is still on the queue");
    world.clock.pass(HIDE).await;
    let other = world.another();
    let again = take(&other).await.remove(0);
    assert_eq!(ask(&other, &again, "b@example.com").await, ClaimOutcome::SentByThis);
    let settlement = Settlement {
        profiles: 0,
        item: None,
        id: again.id.clone(),
        receipt: again.receipt.clone(),
        end: End::Delivered,
        events: Vec::new(),
        keys: vec![key().hash()],
    };
    other.settle(vec![settlement]).await.expect("settled");
    assert_eq!(delivered(&other).await, (1, 1, 0));
}

/// Of two events one was sent, and the other one has to wait: the next delivery sends just that one, with the identifiers of before.
#[tokio::test]
async fn of_a_message_that_was_sent_in_part_the_rest_is_sent_later() {
    let rest = EventKey::new("w", format_args!("ticket-resolved:1"));
    let until = contract::START;
    let progress = Progress { sent: true, ..Progress::default() };
    let dead = End::Dead { reason: "refused".to_owned(), topic: "ticket.resolved".to_owned() };
    let untold = End::Deferred { until, progress: Progress::default() };
    for end in [End::Deferred { until, progress }, untold, dead] {
        let world = World::new();
        accept(&world).await;
        let first = take(&world.store).await.remove(0);
        assert_eq!(ask(&world.store, &first, "first@example.com").await, ClaimOutcome::Fresh);
        let identity = Identity { email: Some("first@example.com".to_owned()), ..Identity::default() };
        let claim = |message: &Claimed| Claim {
            key: rest.hash(),
            message: message.id.clone(),
            identity: Identity { email: Some(format!("{}@example.com", message.receipt.0)), ..identity.clone() },
        };
        let wish = Claim { identity: identity.clone(), ..claim(&first) };
        assert_eq!(world.store.claim_events(vec![wish]).await.expect("an answer"), [ClaimOutcome::Fresh]);
        let mut settlement = delivered_settlement(&first);
        settlement.end = end.clone();
        settlement.keys.push(rest.hash());
        world.store.settle(vec![settlement]).await.expect("settled");
        if let Some(letter) = world.store.dead_letters(None, 1).await.expect("letters").items.first() {
            assert!(world.store.replay(&letter.id).await.expect("replayed"));
        }
        let other = world.another();
        let second = take(&other).await.remove(0);
        assert_eq!(ask(&other, &second, "new@example.com").await, ClaimOutcome::SentByThis, "{end:?}");
        let outcome = other.claim_events(vec![claim(&second)]).await.expect("an answer");
        assert_eq!(outcome, [ClaimOutcome::Resumed(identity)], "{end:?}");
        let mut settlement = delivered_settlement(&second);
        settlement.events[0].key = Some(rest.hash());
        settlement.keys.push(rest.hash());
        other.settle(vec![settlement]).await.expect("settled");
        assert_eq!(delivered(&other).await, (1, 2, 0), "{end:?}");
    }
}

/// A human finds what somebody else put on the queue; what a newer version put there waits for it.
#[tokio::test]
async fn foreign_messages_are_buried_and_newer_ones_left() {
    let world = World::new();
    let message = |version: Option<&str>| OutMessage {
        body: "{}".to_owned(),
        attributes: version.map(|version| ("v".to_owned(), version.to_owned())).into_iter().collect::<BTreeMap<_, _>>(),
    };
    world.queues.send(Lane::Live, vec![message(None), message(Some("2"))]).await.expect("sent");
    assert!(take(&world.store).await.is_empty());
    let letters = world.store.dead_letters(None, 10).await.expect("letters").items;
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].reason, "this message was not put on the queue by the webhook or the import");
    let books = world.store.books().await.expect("books");
    assert_eq!((books.dead, books.in_flight), (1, 1), "the newer one is still there");
}

/// A newer version may have added attributes to the books: they survive, and do not disturb.
#[tokio::test]
async fn what_a_newer_version_added_to_the_books_survives() {
    let world = World::new();
    accept(&world).await;
    let message = take(&world.store).await.remove(0);
    ask(&world.store, &message, "a@example.com").await;
    deliver(&world.store, &message).await;
    let (key, mut item): (Key, _) =
        world.table.items().into_iter().find(|(key, _)| key.pk == "totals").expect("a writer's share");
    item.insert("v".to_owned(), Value::Number(2));
    item.insert("added".to_owned(), Value::Text("later".to_owned()));
    let version = item.number("version").expect("a version");
    item.insert("version".to_owned(), Value::Number(version + 1));
    world.table.plant(key.clone(), item);
    accept(&world).await;
    let message = take(&world.store).await.remove(0);
    deliver(&world.store, &message).await;
    assert_eq!(world.table.items()[&key].text("added"), Some("later"));
    assert_eq!(delivered(&world.store).await, (2, 1, 0));
}
