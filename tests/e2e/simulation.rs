//! The live path under everything that can go wrong, thousands of times.
//!
//! A test is a list of operations: a webhook, a duplicate, a step of one or of two consumers that is cut off at any await, a lost
//! request, a lost answer, a lost commit, a contact that gets or changes its address, a clock that jumps. They run on the real
//! application code, with a manual clock and stateful fakes. After every operation the books must add up (law 1) and no event may
//! be in Klaviyo twice (law 2). In the end everything is healed, and then exactly what should be in Klaviyo must be there.
//!
//! Failing lists are shrunk. What was found is kept below as a named test.

#[path = "simulation/backend.rs"]
mod backend;
#[path = "simulation/executor.rs"]
mod executor;
#[path = "simulation/flaky.rs"]
mod flaky;
#[path = "simulation/history.rs"]
mod history;
#[path = "simulation/ops.rs"]
mod ops;
#[path = "simulation/payloads.rs"]
mod payloads;
#[path = "simulation/profiles.rs"]
mod profiles;
#[path = "simulation/support.rs"]
mod support;
#[path = "simulation/world.rs"]
mod world;

use backend::{Backend, InMemory, OnAws};
use ops::{Op, ops};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use world::World;

/// More with `PROPTEST_CASES`.
const CASES: u32 = 8_000;

/// On the AWS adapter, whose stories have many more awaits.
const CASES_ON_AWS: u32 = 3_000;

fn tell<B: Backend>(ops: &[Op]) {
    let mut world = World::<B>::new();
    for op in ops {
        world.apply(op);
        world.assert_laws();
    }
    world.heal_and_finish();
}

/// A named story, in every world.
fn run(ops: &[Op]) {
    tell::<InMemory>(ops);
    tell::<OnAws<false>>(ops);
    tell::<OnAws<true>>(ops);
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases: std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(cases),
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        max_shrink_iters: 20_000,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config(CASES))]

    #[test]
    fn every_story_ends_well(story in ops()) {
        tell::<InMemory>(&story);
    }
}

proptest! {
    #![proptest_config(config(CASES_ON_AWS))]

    #[test]
    fn every_story_ends_well_on_aws(story in ops()) {
        tell::<OnAws<false>>(&story);
    }

    #[test]
    fn every_story_ends_well_on_aws_with_an_event_source(story in ops()) {
        tell::<OnAws<true>>(&story);
    }
}

/// A crash between the send and the settlement, and a new address before the next try: Klaviyo would see another profile.
#[test]
fn a_new_address_after_a_crash_does_not_double() {
    for polls in 1..40 {
        run(&[
            Op::Webhook { kind: ops::Kind::Created, contact: 0 },
            Op::StepAndCrash { polls },
            Op::ChangeEmail { contact: 0 },
            Op::ContactChanged { contact: 0 },
            Op::Wait { seconds: 400 },
            Op::Step,
        ]);
    }
}

/// Two notifications of one event are worked on at the same time by two consumers.
#[test]
fn two_consumers_share_an_event() {
    for pattern in 0..64 {
        run(&[
            Op::Webhook { kind: ops::Kind::Created, contact: 0 },
            Op::StepAndCrash { polls: 6 },
            Op::Duplicate { which: 0 },
            Op::Wait { seconds: 301 },
            Op::TwoSteps { pattern },
        ]);
    }
}

/// The settlement is written and its answer lost: it is written again, with a receipt that is stale by then.
#[test]
fn a_settlement_written_twice_counts_once() {
    run(&[
        Op::Webhook { kind: ops::Kind::Reply, contact: 0 },
        Op::LoseStoreAnswer,
        Op::Step,
        Op::LoseStoreAnswer,
        Op::Step,
    ]);
}

/// Found here: the ledger gave the event to the first message and the answer was lost. In the next batch a duplicate stood
/// before it, so the first was dropped as a double of the duplicate, and the duplicate as taken by the first.
#[test]
fn a_duplicate_before_the_owner_of_the_event_does_not_lose_it() {
    run(&[
        Op::Webhook { kind: ops::Kind::Created, contact: 0 },
        Op::Webhook { kind: ops::Kind::Created, contact: 3 },
        Op::Webhook { kind: ops::Kind::Created, contact: 0 },
        Op::LoseStoreAnswer,
        Op::Duplicate { which: 0 },
        Op::Step,
        Op::Duplicate { which: 0 },
        Op::Wait { seconds: 1 },
    ]);
}

/// Contact 1 has no address at first. Its next event after it got one brings along what waited, without a `contact.*` notification
/// and without the sweep.
#[test]
fn a_later_event_releases_what_is_parked() {
    let mut world = World::<InMemory>::new();
    world.apply(&Op::Webhook { kind: ops::Kind::Created, contact: 1 });
    for _ in 0..6 {
        world.apply(&Op::Step);
        world.apply(&Op::Wait { seconds: 25 });
    }
    assert_eq!(world.parked(), 1);
    world.apply(&Op::ChangeEmail { contact: 1 });
    world.apply(&Op::Webhook { kind: ops::Kind::Reply, contact: 1 });
    world.apply(&Op::Step);
    assert_eq!(world.parked(), 0);
    world.assert_laws();
    world.heal_and_finish();
}

/// Contact 1 waits without an address and is merged into one who has one. The notification does not say who was merged.
#[test]
fn a_merge_makes_the_sweep_look_at_what_is_parked() {
    let mut world = World::<InMemory>::new();
    world.apply(&Op::Webhook { kind: ops::Kind::Created, contact: 1 });
    for _ in 0..6 {
        world.apply(&Op::Step);
        world.apply(&Op::Wait { seconds: 5 });
    }
    world.apply(&Op::Wait { seconds: 10 });
    world.apply(&Op::Step);
    assert_eq!(world.parked(), 1);
    world.apply(&Op::Merge { from: 1, into: 0 });
    world.apply(&Op::Housekeeping);
    assert_eq!(world.parked(), 1, "nobody told us, and it is not due");
    world.apply(&Op::MergeTold);
    world.apply(&Op::Step);
    world.apply(&Op::Housekeeping);
    assert_eq!(world.parked(), 0);
    world.assert_laws();
    world.heal_and_finish();
}

/// Found here: the message ended, its delete was lost, and when it came again its contact had lost the address. So the second
/// delivery had no reason to ask the ledger, took the message for one that goes on, and it was counted twice in the end.
#[test]
fn a_message_that_comes_again_with_its_contact_unknown_is_counted_once() {
    run(&[
        Op::LoseEmail { contact: 0 },
        Op::ChangeEmail { contact: 2 },
        Op::Webhook { kind: ops::Kind::Created, contact: 0 },
        Op::Webhook { kind: ops::Kind::Created, contact: 2 },
        Op::LoseQueueCall,
        Op::Step,
        Op::Merge { from: 2, into: 3 },
        Op::DeliverAgain,
        Op::TwoSteps { pattern: 737_381_508_895_998_731 },
    ]);
}

/// What the dead-letter queue is for comes after a thousand receives. The deployed stack shows the same for minutes; its clocks cannot
/// be moved.
#[test]
fn three_days_of_a_refused_key_bring_nothing_near_the_dead_letter_queue() {
    const MOST: u32 = 1_000;
    let mut world = World::<OnAws<true>>::new();
    for contact in [0, 3].into_iter().cycle().take(40) {
        world.apply(&Op::Webhook { kind: ops::Kind::Created, contact });
    }
    let receives = world.refuse_key_for(std::time::Duration::from_secs(3 * 24 * 3600));
    // A probe every quarter of an hour, and one message that is probed with.
    assert!((200..MOST / 2).contains(&receives), "{receives}");
    world.assert_laws();
    world.heal_and_finish();
}
