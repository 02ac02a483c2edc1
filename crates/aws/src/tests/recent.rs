//! The list of recent events: partly in the shares of the books, partly a list.

use std::time::Duration;

use app::contract::{self, PassTime};
use app::ports::{
    Accepted, Claim, Claimed, End, EventRecord, Fate, Inbox, Lane, Ledger, Overview, Settlement, WorkQueue,
};
use bytes::Bytes;
use domain::{ContactId, EventKey, Identity, SignatureScheme};
use jiff::SignedDuration;

use super::{TestStore, World};
use crate::StoreOptions;
use crate::memory::Fault;
use crate::recent::{RECENT, Stored};
use crate::table::Key;

fn event(number: usize) -> EventRecord {
    let key = EventKey::new("abcd1234", format_args!("ticket-created:{number}"));
    EventRecord {
        key: Some(key.hash()),
        key_text: key.to_string(),
        metric: "Intercom Created Ticket".to_owned(),
        contact: Some(ContactId::new(format!("6762f0dd{:016x}", number.wrapping_mul(0x9E37_79B9_7F4A_7C15)))),
        time: None,
        fate: Fate::Sent,
        at: contract::START + SignedDuration::from_secs(i64::try_from(number).expect("small")),
    }
}

async fn take(world: &World, store: &TestStore) -> Claimed {
    let body = Bytes::from_static(b"{}");
    let accepted = Accepted { scheme: SignatureScheme::Hub, received_at: contract::START, body };
    world.store.accept(accepted).await.expect("accepted");
    store.claim(Lane::Live, 1, usize::MAX, Duration::from_secs(300)).await.expect("claimed").remove(0)
}

async fn deliver(world: &World, store: &TestStore, numbers: std::ops::Range<usize>) {
    let message = take(world, store).await;
    let settlement = ready(store, &message, numbers).await;
    store.settle(vec![settlement]).await.expect("settled");
}

/// Claimed, and not settled yet.
async fn ready(store: &TestStore, message: &Claimed, numbers: std::ops::Range<usize>) -> Settlement {
    let claim = |number| Claim {
        key: event(number).key.expect("a key"),
        message: message.id.clone(),
        identity: Identity::default(),
    };
    store.claim_events(numbers.clone().map(claim).collect()).await.expect("claimed");
    Settlement {
        item: None,
        profiles: 0,
        keys: Vec::new(),
        id: message.id.clone(),
        receipt: message.receipt.clone(),
        end: End::Delivered,
        events: numbers.map(event).collect(),
    }
}

/// The keys' numbers, as they are listed.
async fn listed(store: &TestStore, limit: usize) -> Vec<usize> {
    let events = store.recent_events(limit).await.expect("a list");
    let number = |event: app::ports::RecentEvent| event.key.rsplit(':').next().and_then(|number| number.parse().ok());
    events.into_iter().map(|event| number(event).expect("a number")).collect()
}

fn down(numbers: std::ops::Range<usize>) -> Vec<usize> {
    numbers.rev().collect()
}

/// Whatever lies where, the newest of all come first.
#[tokio::test]
async fn the_newest_events_of_all_processes_come_first() {
    let world = World::new();
    let other = world.another();
    for batch in 0..20 {
        let store = if batch % 3 == 0 { &other } else { &world.store };
        deliver(&world, store, batch * 5..batch * 5 + 5).await;
        world.clock.pass(Duration::from_secs(5)).await;
    }
    let all = down(0..100);
    for limit in [1, 7, 50, 99, 100, 1_000] {
        assert_eq!(listed(&world.store, limit).await, all[..limit.min(100)], "{limit}");
    }
}

/// The settings' length is a bound, whatever is asked for.
#[tokio::test]
async fn no_more_is_listed_than_the_settings_say() {
    for most in [0, 3] {
        let world = World::with(StoreOptions { recent_events: most, ..StoreOptions::default() });
        deliver(&world, &world.store, 0..7).await;
        assert_eq!(listed(&world.store, 10).await, down(7 - most..7));
        assert!(most > 0 || world.table.items().keys().all(|key| key.pk != RECENT));
    }
}

/// A write of the books whose answer is lost, while events leave the share with it: they are listed, once.
#[tokio::test]
async fn events_that_leave_a_share_with_a_lost_answer_are_listed() {
    for fault in [Fault::ResponseLost, Fault::RequestLost, Fault::Throttled] {
        let world = World::new();
        let mut to = 0;
        // Until the share is so full that the next events leave it.
        while !world.table.items().keys().any(|key| key.pk == RECENT) {
            let message = take(&world, &world.store).await;
            let settlement = ready(&world.store, &message, to..to + 3).await;
            to += 3;
            world.table.push_fault(fault);
            world.store.settle(vec![settlement.clone()]).await.expect_err("no answer");
            world.store.settle(vec![settlement]).await.expect("settled");
            world.clock.pass(Duration::from_secs(3)).await;
            assert_eq!(listed(&world.store, 1_000).await, down(0..to), "{fault:?}");
        }
    }
}

/// The list refuses an item: what should have been on it comes with the next one.
#[tokio::test]
async fn what_could_not_be_listed_is_listed_later() {
    let world = World::new();
    let mut to = 0;
    while !world.table.items().keys().any(|key| key.pk == RECENT) {
        deliver(&world, &world.store, to..to + 30).await;
        to += 30;
    }
    let message = take(&world, &world.store).await;
    let settlement = ready(&world.store, &message, to..to + 90).await;
    // The books are written, the list is not: the last fault pushed comes first, and the books' write meets none.
    world.table.skip_then_fault(1, Fault::RequestLost);
    world.store.settle(vec![settlement]).await.expect("settled");
    assert_eq!(listed(&world.store, 1_000).await, down(0..to));
    deliver(&world, &world.store, to + 90..to + 91).await;
    assert_eq!(listed(&world.store, 1_000).await, down(0..to + 91));
}

/// A million events on the list: what is asked for is read, and little more.
#[tokio::test]
async fn a_long_list_answers_fast() {
    let world = World::new();
    let item = |item: usize| {
        let events: Vec<Stored> = (item * 20..item * 20 + 20).map(|number| Stored::new(&event(number))).collect();
        world.store.listing(&events).remove(0).item.expect("an item")
    };
    let old = item(0);
    for number in 0..50_000 {
        let written = event(number * 20 + 20).at.as_microsecond();
        // The newest two thousand differ; of the others only the number matters.
        let item = if number >= 49_900 { item(number) } else { old.clone() };
        world.table.plant(Key::new(RECENT, format!("{written:017}#0000000000#000#w")), item);
    }
    for (limit, most) in [(1, 2), (50, 100), (1_000, 200)] {
        let before = world.table.queried();
        assert_eq!(listed(&world.store, limit).await, down(1_000_000 - limit..1_000_000));
        let read = world.table.queried() - before;
        assert!(read <= most, "{read} items for {limit} events");
    }
}
