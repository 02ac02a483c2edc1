//! The laws of the storage ports, on the stand-ins.
//!
//! The stand-in queue serves in order, so the laws of order are held to here; the tests on the emulator leave them out.

use std::time::Duration;

use app::contract::{self, PassTime};
use app::ports::{Accepted, Claim, ClaimOutcome, Inbox, Lane, Ledger, WorkQueue};
use bytes::Bytes;
use domain::{EventKey, Identity, SignatureScheme};

use super::World;
use crate::StoreOptions;

/// What the services cannot do by their nature:
/// - SQS tells how many messages are hidden, not until when, nor how old they are. What waits is known from who put it back.
/// - DynamoDB deletes by each entry's own expiry, which is set when it is written (`StoreOptions::ledger`, tested below);
///   looking through the whole ledger for old entries would cost more than the events.
/// - So it is with recent events: who reads stops at the length (`StoreOptions::recent_events`, tested in `recent.rs`), because a
///   delete costs what the write did.
const WITHOUT: &[&str] = &[
    "the_next_visible_moment_is_known",
    "the_oldest_in_flight_is_known",
    "old_ledger_keys_go_only_when_retention_says_so",
    "the_list_of_recent_events_is_kept_short",
];

#[tokio::test]
async fn it_keeps_the_contract() {
    contract::run_without(WITHOUT, async || {
        let world = World::new();
        (world.store, world.clock)
    })
    .await;
}

/// An entry that has expired counts for nothing, also while DynamoDB has not deleted it.
#[tokio::test]
async fn an_expired_ledger_entry_is_forgotten() {
    let ledger = Some(Duration::from_secs(60));
    let world = World::with(StoreOptions { ledger, ..StoreOptions::default() });
    for _ in 0..2 {
        let body = Bytes::from_static(b"{}");
        let accepted = Accepted { scheme: SignatureScheme::Hub, received_at: contract::START, body };
        world.store.accept(accepted).await.expect("accepted");
    }
    let claimed = world.store.claim(Lane::Live, 2, usize::MAX, Duration::from_secs(600)).await.expect("claimed");
    let ask = async |index: usize| {
        let key = EventKey::new("w", format_args!("ticket-created:1")).hash();
        let claim = Claim { key, message: claimed[index].id.clone(), identity: Identity::default() };
        world.store.claim_events(vec![claim]).await.expect("an answer").remove(0)
    };
    assert_eq!(ask(0).await, ClaimOutcome::Fresh);
    world.clock.pass(Duration::from_secs(60)).await;
    assert_eq!(ask(1).await, ClaimOutcome::Taken, "not a second too early");
    world.clock.pass(Duration::from_secs(1)).await;
    assert_eq!(ask(1).await, ClaimOutcome::Fresh);
}
