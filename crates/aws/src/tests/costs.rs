//! What a batch costs, held to the unit: the design's figure of cost stands on it.

use std::time::Duration;

use app::contract;
use app::ports::{
    Accepted, Claim, ClaimOutcome, Claimed, End, EventRecord, Fate, Inbox, Lane, Ledger, Overview, Settlement,
    WorkQueue,
};
use bytes::Bytes;
use domain::{ContactId, EventKey, Identity, SignatureScheme};

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

fn sent(number: usize) -> EventRecord {
    let key = EventKey::new("abcd1234", format_args!("conversation-created:215470000{number:04}"));
    EventRecord {
        key: Some(key.hash()),
        key_text: key.to_string(),
        metric: "Intercom Created Conversation".to_owned(),
        contact: Some(ContactId::new("6762f0dd1bb69f9f2193bb83")),
        time: Some(contract::START),
        fate: Fate::Sent,
        at: contract::START,
    }
}

async fn deliver(world: &World, claimed: &[Claimed]) {
    let claim = |(number, message): (usize, &Claimed)| Claim {
        key: sent(number).key.expect("a key"),
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
        events: vec![sent(number)],
    };
    world.store.settle(claimed.iter().enumerate().map(settlement).collect()).await.expect("settled");
}

/// Delivered at the first try: one write unit for each event, one for the books.
#[tokio::test]
async fn a_delivered_batch_costs_one_unit_for_each_event_and_one_more() {
    let lean = StoreOptions { recent_events: false, ..StoreOptions::default() };
    for count in [1, 10, 100] {
        let world = World::with(lean.clone());
        let claimed = accept(&world, count).await;
        assert_eq!(world.table.write_units(), 0, "accepting and taking write nothing");
        deliver(&world, &claimed).await;
        assert_eq!(world.table.write_units(), count as u64 + 1);
    }
}

/// The list of recent events is one item a batch, ten events and more to the unit.
#[tokio::test]
async fn the_list_of_recent_events_costs_a_share() {
    let world = World::new();
    let claimed = accept(&world, 10).await;
    deliver(&world, &claimed).await;
    assert_eq!(world.table.write_units(), 10 + 1 + 1);
}

/// What the setting `ledger` saves.
#[tokio::test]
async fn without_the_ledger_a_batch_costs_one_unit() {
    let world = World::with(StoreOptions { exact: false, recent_events: false, ..StoreOptions::default() });
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
    assert_eq!((books.delivered, books.skipped["off"], books.metrics[0].delivered), (5, 5, 5));
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
