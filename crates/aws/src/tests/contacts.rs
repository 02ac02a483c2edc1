//! Contacts are remembered by each process; that one changed is known to all.

use app::contract::PassTime;
use app::ports::{Cache, Clock};
use jiff::SignedDuration;
use std::time::Duration;

use super::{TestStore, World};
use crate::memory::Fault;

fn keys(numbers: &[u32]) -> Vec<String> {
    numbers.iter().map(|number| format!("contact/{number}")).collect()
}

async fn remember(world: &World, store: &TestStore, number: u32) {
    let entries = keys(&[number]).into_iter().map(|key| (key, "as it was".to_owned())).collect();
    store.remember(entries, world.clock.now() + SignedDuration::from_mins(5)).await.expect("remembered");
}

async fn known(world: &World, store: &TestStore, numbers: &[u32]) -> Vec<bool> {
    let cached = store.cached(&keys(numbers), world.clock.now()).await.expect("an answer");
    cached.iter().map(Option::is_some).collect()
}

/// One process reads the change, and the other one has the contact in its memory.
#[tokio::test]
async fn a_changed_contact_is_forgotten_by_all_processes_at_once() {
    let world = World::new();
    let (one, other) = (world.store.clone(), world.another());
    for store in [&one, &other] {
        remember(&world, store, 1).await;
        remember(&world, store, 2).await;
    }
    world.clock.pass(Duration::from_secs(1)).await;
    one.forget(&keys(&[1])).await.expect("forgotten");
    for store in [&one, &other] {
        assert_eq!(known(&world, store, &[1, 2]).await, [false, true]);
        remember(&world, store, 1).await;
        assert_eq!(known(&world, store, &[1, 2]).await, [true, true], "asked for again, it is good again");
    }
}

/// Two changes at the same time, an answer that is lost: none is overwritten by another.
#[tokio::test]
async fn changes_that_meet_are_all_kept() {
    let world = World::new();
    let (one, other) = (world.store.clone(), world.another());
    let third = world.another();
    for number in 1..=3 {
        remember(&world, &third, number).await;
    }
    world.clock.pass(Duration::from_secs(1)).await;
    let (left, right) = (keys(&[1]), keys(&[2]));
    let (left, right) = tokio::join!(one.forget(&left), other.forget(&right));
    left.and(right).expect("both forgotten");
    assert_eq!(known(&world, &third, &[1, 2, 3]).await, [false, false, true]);
    world.table.push_fault(Fault::ResponseLost);
    one.forget(&keys(&[3])).await.expect_err("nobody knows");
    assert_eq!(known(&world, &third, &[1, 2, 3]).await, [false, false, false]);
}

/// What an ordinary batch pays for it: nothing to write, one read where somebody is remembered, none where nobody is.
#[tokio::test]
async fn looking_costs_a_read_and_no_write() {
    let world = World::new();
    assert_eq!(known(&world, &world.store, &[1]).await, [false]);
    assert_eq!(world.table.reads(), 0);
    remember(&world, &world.store, 1).await;
    assert_eq!(known(&world, &world.store, &[1, 2, 3]).await, [true, false, false]);
    assert_eq!((world.table.reads(), world.table.write_units()), (1, 0));
}
