//! What a batch costs, held to the unit: the design's figure of cost stands on it.

use std::time::Duration;

use app::contract::{self, PassTime};
use app::ports::{
    Accepted, Claim, ClaimOutcome, Claimed, End, EventRecord, Fate, Inbox, Lane, Ledger, Overview, RecordWrite,
    Settlement, SupportStates, WorkQueue,
};
use bytes::Bytes;
use domain::{ContactId, EventKey, Identity, SignatureScheme};
use jiff::SignedDuration;

use super::World;
use crate::StoreOptions;

async fn accept(world: &World, count: usize) -> Vec<Claimed> {
    for number in 0..count {
        let body = Bytes::from(format!(r#"{{"id":"notif_{number}"}}"#));
        let accepted = Accepted { scheme: SignatureScheme::Hub, received_at: contract::START, body };
        world.store.accept(accepted).await.expect("accepted");
    }
    world.store.claim(Lane::Live, count, usize::MAX, Duration::from_secs(300)).await.expect("claimed")
}

const METRICS: [(&str, &str); 9] = [
    ("Created Conversation", "conversation-created"),
    ("Rated Conversation", "conversation-rated"),
    ("Read Conversation", "conversation-read"),
    ("Replied to Conversation", "conversation-replied"),
    ("Created Ticket", "ticket-created"),
    ("Submitted Ticket", "ticket-submitted"),
    ("Replied to Ticket", "ticket-replied"),
    ("Marked Ticket On Hold", "ticket-on-hold"),
    ("Resolved Ticket", "ticket-resolved"),
];

/// As uneven as real ones: ids, contacts and moments do not repeat.
fn sent(number: usize) -> EventRecord {
    let mixed = u64::try_from(number).expect("small").wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let (metric, kind) = METRICS[number % METRICS.len()];
    let key = EventKey::new("abcd1234", format_args!("{kind}:2154{:011}", mixed % 100_000_000_000));
    let at = |micros: u64| contract::START + SignedDuration::from_micros(i64::try_from(micros).expect("in range"));
    let happened = 1_000_000 * u64::try_from(number).expect("small");
    EventRecord {
        key: Some(key.hash()),
        key_text: key.to_string(),
        metric: format!("Intercom {metric}"),
        contact: Some(ContactId::new(format!("6762f0dd{mixed:016x}"))),
        time: Some(at(happened)),
        fate: Fate::Sent,
        at: at(happened + 1_000_000 + mixed % 1_000_000),
    }
}

async fn deliver(world: &World, claimed: &[Claimed]) {
    deliver_numbered(world, claimed, 0).await;
}

async fn deliver_numbered(world: &World, claimed: &[Claimed], first: usize) {
    let claim = |(number, message): (usize, &Claimed)| Claim {
        key: sent(first + number).key.expect("a key"),
        message: message.id.clone(),
        identity: Identity { email: Some("somebody.with.a.long.name@example.com".to_owned()), ..Identity::default() },
    };
    let outcomes = world.store.claim_events(claimed.iter().enumerate().map(claim).collect()).await.expect("claimed");
    assert!(outcomes.iter().all(|outcome| *outcome == ClaimOutcome::Fresh));
    let settlement = |(number, message): (usize, &Claimed)| Settlement {
        profiles: 0,
        item: None,
        keys: Vec::new(),
        id: message.id.clone(),
        receipt: message.receipt.clone(),
        end: End::Delivered,
        events: vec![sent(first + number)],
    };
    world.store.settle(claimed.iter().enumerate().map(settlement).collect()).await.expect("settled");
}

/// Delivered at the first try: one write unit for each event, one for the books.
#[tokio::test]
async fn a_delivered_batch_costs_one_unit_for_each_event_and_one_more() {
    let lean = StoreOptions { recent_events: 0, ..StoreOptions::default() };
    for count in [1, 10, 100] {
        let world = World::with(lean.clone());
        let claimed = accept(&world, count).await;
        assert_eq!(world.table.write_units(), 0, "accepting and taking write nothing");
        deliver(&world, &claimed).await;
        assert_eq!(world.table.write_units(), count as u64 + 1);
    }
}

/// The list of recent events rides on the books: half a unit for each batch of ten, with all nine metrics in the books.
#[tokio::test]
async fn the_list_of_recent_events_costs_half_a_unit_for_each_batch() {
    const BATCHES: usize = 40;
    let world = World::new();
    for batch in 0..BATCHES {
        let claimed = accept(&world, 10).await;
        deliver_numbered(&world, &claimed, batch * 10).await;
        world.clock.pass(Duration::from_secs(1)).await;
    }
    let listed = world.table.write_units() - 11 * BATCHES as u64;
    assert!(
        listed * 1_000 <= BATCHES as u64 * 10 * 55,
        "{listed} units for {BATCHES} batches; the bill has 0.055 an event"
    );
    assert_eq!(world.store.recent_events(1_000).await.expect("a list").len(), 10 * BATCHES);
}

/// An event that comes alone costs its claim and the books.
#[tokio::test]
async fn events_that_come_alone_share_the_list_s_units() {
    const EVENTS: usize = 60;
    let world = World::new();
    for number in 0..EVENTS {
        let claimed = accept(&world, 1).await;
        deliver_numbered(&world, &claimed, number).await;
        world.clock.pass(Duration::from_secs(60)).await;
    }
    let listed = world.table.write_units() - 2 * EVENTS as u64;
    assert!(listed <= 4, "{listed} units for {EVENTS} events");
}

/// What the setting `ledger` saves.
#[tokio::test]
async fn without_the_ledger_a_batch_costs_one_unit() {
    let world = World::with(StoreOptions { exact: false, recent_events: 0, ..StoreOptions::default() });
    let claimed = accept(&world, 10).await;
    let settlement = |(number, message): (usize, &Claimed)| Settlement {
        profiles: 0,
        item: None,
        keys: Vec::new(),
        id: message.id.clone(),
        receipt: message.receipt.clone(),
        end: if number % 2 == 0 { End::Delivered } else { End::Skipped("off".to_owned()) },
        events: if number % 2 == 0 { vec![sent(number)] } else { Vec::new() },
    };
    world.store.settle(claimed.iter().enumerate().map(settlement).collect()).await.expect("settled");
    assert_eq!(world.table.write_units(), 1);
    let books = world.store.books().await.expect("books answer");
    let sent: u64 = books.metrics.iter().map(|metric| metric.delivered).sum();
    assert_eq!((books.delivered, books.skipped["off"], sent), (5, 5, 5));
}

/// A message that is not wanted costs one unit: its marker, without which a second delivery would count it again.
#[tokio::test]
async fn a_skipped_batch_costs_one_unit_for_each_message_and_one_more() {
    let world = World::new();
    let claimed = accept(&world, 10).await;
    let settlement = |message: &Claimed| Settlement {
        profiles: 0,
        item: None,
        keys: Vec::new(),
        id: message.id.clone(),
        receipt: message.receipt.clone(),
        end: End::Skipped("ping".to_owned()),
        events: Vec::new(),
    };
    world.store.settle(claimed.iter().map(settlement).collect()).await.expect("settled");
    assert_eq!(world.table.write_units(), 10 + 1);
}

/// While a vendor makes everybody wait, a batch costs its claims and one write of the books; nothing is opened again.
#[tokio::test]
async fn a_batch_that_waits_costs_its_claims_and_one_more() {
    let world = World::new();
    let claimed = accept(&world, 10).await;
    let claims = claimed.iter().enumerate().map(|(number, message)| Claim {
        key: sent(number).key.expect("a key"),
        message: message.id.clone(),
        identity: Identity::default(),
    });
    world.store.claim_events(claims.collect()).await.expect("claimed");
    let settlement = |message: &Claimed| Settlement {
        profiles: 0,
        item: None,
        keys: Vec::new(),
        id: message.id.clone(),
        receipt: message.receipt.clone(),
        end: End::Deferred { until: contract::START, progress: message.progress },
        events: Vec::new(),
    };
    world.store.settle(claimed.iter().map(settlement).collect()).await.expect("settled");
    assert_eq!(world.table.write_units(), 10 + 1);
}

/// A record of a customer with a handful of threads is one unit, and so is every change of it; looking costs no write.
#[tokio::test]
async fn a_record_of_support_state_costs_one_unit_a_change() {
    let world = World::new();
    let thread = |number: u64| {
        format!(r#""21547000000{number}":{{"at":1784102400,"parts":12,"closed":true,"seen":1784102401}}"#)
    };
    let threads: Vec<String> = (0..5).map(thread).collect();
    let body = format!(
        r#"{{"v":1,"identity":{{"email":"somebody.with.a.long.name@example.com"}},"members":{{"6762f0dd1bb69f9f2193bb83":{{"threads":{{{}}},"wrote":1784102400}}}},"teller":"writer-0123456789abcdef/123"}}"#,
        threads.join(",")
    );
    let key = "profile/0123456789abcdef0123456789abcdef".to_owned();
    for expected in [None, Some(1), Some(2)] {
        let before = world.table.write_units();
        let write = RecordWrite { key: key.clone(), body: body.clone(), expected };
        assert_eq!(world.store.save_support_records(vec![write]).await.expect("saved"), [true]);
        world.store.support_records(std::slice::from_ref(&key), app::ports::Look::Glance).await.expect("read");
        assert_eq!(world.table.write_units() - before, 1);
    }
}
