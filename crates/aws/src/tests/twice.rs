//! One message, handed out twice in one moment, both times as if for the first time.

use std::time::Duration;

use app::contract::{self, PassTime};
use app::ports::{
    Accepted, Claim, ClaimOutcome, Claimed, Clock, End, EventRecord, Fate, Inbox, Lane, Ledger, Overview, Settlement,
    WorkQueue,
};
use bytes::Bytes;
use domain::{EventKey, Identity, SignatureScheme};

use super::{TestStore, World};

const HIDE: Duration = Duration::from_secs(300);

fn key(number: usize) -> EventKey {
    EventKey::new("w", format_args!("ticket-resolved:{number}"))
}

async fn take(store: &TestStore) -> Claimed {
    store.claim(Lane::Live, 1, usize::MAX, HIDE).await.expect("claimed").remove(0)
}

/// Both deliveries of one message, each to its own process.
async fn twice(world: &World, one: &TestStore, other: &TestStore) -> (Claimed, Claimed) {
    let body = Bytes::from_static(b"{}");
    let accepted = Accepted { scheme: SignatureScheme::Hub, received_at: contract::START, body };
    world.store.accept(accepted).await.expect("accepted");
    let first = take(one).await;
    world.queues.hand_out_twice();
    let second = take(other).await;
    assert_eq!(first.id, second.id);
    (first, second)
}

async fn ask(store: &TestStore, message: &Claimed, number: usize) -> ClaimOutcome {
    let claim = Claim { key: key(number).hash(), message: message.id.clone(), identity: Identity::default() };
    store.claim_events(vec![claim]).await.expect("an answer").remove(0)
}

/// A message of two events of which these were sent; the contact of the others is left out.
async fn settle(store: &TestStore, message: &Claimed, sent: &[usize]) {
    let event = |number: usize| EventRecord {
        key: Some(key(number).hash()),
        key_text: key(number).to_string(),
        metric: "Intercom Resolved Ticket".to_owned(),
        contact: None,
        time: None,
        fate: if sent.contains(&number) { Fate::Sent } else { Fate::Skipped("contact left out".to_owned()) },
        at: contract::START,
    };
    let settlement = Settlement {
        item: None,
        profiles: 0,
        id: message.id.clone(),
        receipt: message.receipt.clone(),
        end: if sent.is_empty() { End::Skipped("contact left out".to_owned()) } else { End::Delivered },
        events: vec![event(1), event(2)],
        keys: vec![key(1).hash(), key(2).hash()],
    };
    store.settle(vec![settlement]).await.expect("settled");
}

/// What the books say of one message, once whoever has it came to an end.
async fn fates(world: &World) -> (u64, u64) {
    world.clock.pass(HIDE).await;
    let late = world.another();
    for again in late.claim(Lane::Live, 10, usize::MAX, HIDE).await.expect("claimed") {
        for number in [1, 2] {
            ask(&late, &again, number).await;
        }
        settle(&late, &again, &[]).await;
    }
    let books = world.store.books().await.expect("books");
    assert_eq!(books.in_flight, 0, "{books:?}");
    (books.delivered + books.skipped.values().sum::<u64>(), books.metrics.iter().map(|metric| metric.delivered).sum())
}

/// Each skips what the other one sends, so neither meets the other's claim by asking for it.
#[tokio::test]
async fn two_deliveries_that_send_different_events_count_once() {
    for overlapping in [false, true] {
        for (left, right) in [(&[1][..], &[2][..]), (&[1], &[]), (&[], &[2]), (&[1, 2], &[])] {
            let world = World::new();
            let (one, other) = (world.store.clone(), world.another());
            let (first, second) = twice(&world, &one, &other).await;
            for number in left {
                assert_eq!(ask(&one, &first, *number).await, ClaimOutcome::Fresh);
            }
            if !overlapping {
                settle(&one, &first, left).await;
            }
            for number in right {
                assert_eq!(ask(&other, &second, *number).await, ClaimOutcome::Fresh);
            }
            settle(&other, &second, right).await;
            if overlapping {
                settle(&one, &first, left).await;
            }
            let (ended, _) = fates(&world).await;
            assert_eq!(ended, 1, "{left:?} and {right:?}, overlapping: {overlapping}");
        }
    }
}

/// The same event: the second waits for the first.
#[tokio::test]
async fn two_deliveries_that_send_the_same_event_count_once() {
    let world = World::new();
    let (one, other) = (world.store.clone(), world.another());
    let (first, second) = twice(&world, &one, &other).await;
    assert_eq!(ask(&one, &first, 1).await, ClaimOutcome::Fresh);
    let until = match ask(&other, &second, 1).await {
        ClaimOutcome::Busy { until } => until,
        outcome => panic!("{outcome:?}"),
    };
    settle(&one, &first, &[1]).await;
    let settlement = Settlement {
        item: None,
        profiles: 0,
        id: second.id.clone(),
        receipt: second.receipt.clone(),
        end: End::Deferred { until, progress: second.progress },
        events: Vec::new(),
        keys: vec![key(1).hash()],
    };
    other.settle(vec![settlement]).await.expect("settled");
    assert!(until > world.clock.now());
    assert_eq!(fates(&world).await, (1, 1));
}

/// A message whose contact is left out costs its marker, the books, and a look at its claims.
#[tokio::test]
async fn who_asked_for_nothing_looks_and_marks() {
    let world = World::new();
    let body = Bytes::from_static(b"{}");
    let accepted = Accepted { scheme: SignatureScheme::Hub, received_at: contract::START, body };
    world.store.accept(accepted).await.expect("accepted");
    let message = take(&world.store).await;
    let reads = world.table.reads();
    settle(&world.store, &message, &[]).await;
    // The two claims, and the share that this process writes for the first time: it is looked for in both of its places.
    assert_eq!((world.table.write_units(), world.table.reads() - reads), (2, 2 + 2));
}
