//! Shares of the books: of processes that rest, and of those that are gone.

use std::time::Duration;

use app::contract::{self, PassTime};
use app::ports::{
    Accepted, Claim, ClaimOutcome, Claimed, DeadLetters, End, EventRecord, Fate, Inbox, Lane, Ledger, Overview,
    Retention, Settlement, WorkQueue,
};
use bytes::Bytes;
use domain::{EventKey, Identity, SignatureScheme};

use super::{TestStore, World};
use crate::totals::TOTALS;

const RETENTION: Retention = Retention { recent_events: 1_000, ledger: None };

async fn take(world: &World, store: &TestStore) -> Claimed {
    let body = Bytes::from_static(b"{}");
    let accepted = Accepted { scheme: SignatureScheme::Hub, received_at: contract::START, body };
    world.store.accept(accepted).await.expect("accepted");
    store.claim(Lane::Live, 1, usize::MAX, Duration::from_secs(300)).await.expect("claimed").remove(0)
}

async fn settle(world: &World, store: &TestStore, message: &Claimed, number: usize) {
    let key = EventKey::new("w", format_args!("ticket-created:{number}"));
    let claim = Claim { key: key.hash(), message: message.id.clone(), identity: Identity::default() };
    assert_eq!(store.claim_events(vec![claim]).await.expect("an answer"), [ClaimOutcome::Fresh]);
    let sent = EventRecord {
        key: Some(key.hash()),
        key_text: key.to_string(),
        metric: "Intercom Created Ticket".to_owned(),
        contact: None,
        time: None,
        fate: Fate::Sent,
        at: app::ports::Clock::now(&world.clock),
    };
    let settlement = Settlement {
        item: None,
        profiles: 0,
        id: message.id.clone(),
        receipt: message.receipt.clone(),
        end: End::Delivered,
        events: vec![sent],
        keys: vec![key.hash()],
    };
    store.settle(vec![settlement]).await.expect("settled");
}

fn shares(world: &World) -> usize {
    world.table.items().keys().filter(|key| key.pk == TOTALS).count()
}

/// Every function that ever ran leaves a share: within hours they are one, with the same sums and the same list.
#[tokio::test]
async fn shares_of_processes_that_are_gone_become_one() {
    let world = World::new();
    for number in 0..5 {
        let store = world.another();
        let message = take(&world, &store).await;
        settle(&world, &store, &message, number).await;
        world.clock.pass(Duration::from_secs(60)).await;
    }
    let look = async || {
        let books = world.store.books().await.expect("books");
        (books.delivered, books.metrics[0].clone(), world.store.recent_events(10).await.expect("a list"))
    };
    let before = look().await;
    let clean = async || world.store.clean(app::ports::Clock::now(&world.clock), RETENTION).await.expect("an answer");
    assert_eq!((clean().await, shares(&world)), (0, 5), "they are too young");
    world.clock.pass(Duration::from_secs(4 * 3600)).await;
    assert_eq!((clean().await, shares(&world)), (5, 1));
    assert_eq!(look().await, before);
    assert_eq!((before.0, before.2.len()), (5, 5));
}

/// A process that slept for hours takes nothing under a share that may be folded at any moment.
#[tokio::test]
async fn a_process_that_rested_begins_a_fresh_share() {
    let world = World::new();
    let message = take(&world, &world.store).await;
    settle(&world, &world.store, &message, 0).await;
    world.clock.pass(Duration::from_secs(2 * 3600)).await;
    let message = take(&world, &world.store).await;
    world.clock.pass(Duration::from_secs(3600 + 1)).await;
    let now = app::ports::Clock::now(&world.clock);
    assert_eq!(world.store.clean(now, RETENTION).await.expect("an answer"), 1);
    settle(&world, &world.store, &message, 1).await;
    let books = world.store.books().await.expect("books");
    assert_eq!((books.delivered, books.metrics[0].delivered, books.in_flight), (2, 2, 0));
}

/// A share that was folded under its owner: nothing is dropped without a word, and the next try uses another share.
#[tokio::test]
async fn a_change_that_meets_a_folded_share_is_made_in_another() {
    let world = World::new();
    let message = take(&world, &world.store).await;
    let dead = Settlement {
        item: None,
        profiles: 0,
        keys: Vec::new(),
        id: message.id.clone(),
        receipt: message.receipt.clone(),
        end: End::Dead { reason: "refused".to_owned(), topic: "ticket.created".to_owned() },
        events: Vec::new(),
    };
    world.store.settle(vec![dead]).await.expect("settled");
    let later = contract::START + jiff::SignedDuration::from_hours(4);
    assert_eq!(world.another().clean(later, RETENTION).await.expect("an answer"), 1);
    let letter = world.store.dead_letters(None, 1).await.expect("letters").items.remove(0).id;
    world.store.discard(&letter).await.expect_err("its share is closed");
    assert!(world.store.discard(&letter).await.expect("discarded"));
    let books = world.store.books().await.expect("books");
    assert_eq!((books.dead, books.skipped["discarded"]), (0, 1));
    assert!(world.store.dead_letters(None, 1).await.expect("letters").items.is_empty());
}
