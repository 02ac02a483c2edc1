//! The import and reconcile under everything that can go wrong, beside live traffic.
//!
//! The world has a past (conversations and tickets in Intercom's search) and goes on living: live events come by webhook, some of
//! their webhooks get lost, old items are imported by others with old dates while we read. Ticks are cut off at any await, two run
//! at once, writes and answers get lost, the clock jumps. In the end every event is in Klaviyo exactly once, what history sent
//! carries `backfill`, the six counters know nothing of it, and every item has its entry in the books.

#[path = "history/long_past.rs"]
mod long_past;
#[path = "history/world.rs"]
mod world;

use proptest::prelude::*;
use world::World;

use crate::config;

/// More with `PROPTEST_CASES`.
const CASES: u32 = 1_000;

#[derive(Clone, Debug)]
pub(super) enum Op {
    Tick,
    TickAndCrash {
        polls: usize,
    },
    TwoTicks {
        pattern: u64,
    },
    Step,
    StepAndCrash {
        polls: usize,
    },
    /// A live conversation or ticket; its webhook may get lost.
    Live {
        ticket: bool,
        lost: bool,
        contact: usize,
    },
    /// One with an old date appears while we read.
    Late {
        age_days: i64,
        contact: usize,
    },
    Reconcile,
    ReconcileAndCrash {
        polls: usize,
    },
    Pause,
    Resume,
    Restart,
    LoseSearches {
        count: u64,
    },
    BreakIntercom,
    RevokeToken,
    HealIntercom,
    LoseCommit,
    LoseStoreAnswer,
    LoseKlaviyoRequest,
    LoseKlaviyoAnswer,
    Wait {
        seconds: u32,
    },
    ClockBack {
        seconds: u32,
    },
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        6 => Just(Op::Tick),
        8 => (1usize..220).prop_map(|polls| Op::TickAndCrash { polls }),
        2 => any::<u64>().prop_map(|pattern| Op::TwoTicks { pattern }),
        5 => Just(Op::Step),
        4 => (1usize..60).prop_map(|polls| Op::StepAndCrash { polls }),
        4 => (any::<bool>(), any::<bool>(), 0usize..4).prop_map(|(ticket, lost, contact)| Op::Live { ticket, lost, contact }),
        2 => (1i64..300, 0usize..4).prop_map(|(age_days, contact)| Op::Late { age_days, contact }),
        3 => Just(Op::Reconcile),
        2 => (1usize..80).prop_map(|polls| Op::ReconcileAndCrash { polls }),
        1 => Just(Op::Pause),
        2 => Just(Op::Resume),
        1 => Just(Op::Restart),
        2 => (1u64..9).prop_map(|count| Op::LoseSearches { count }),
        1 => Just(Op::BreakIntercom),
        1 => Just(Op::RevokeToken),
        2 => Just(Op::HealIntercom),
        3 => Just(Op::LoseCommit),
        3 => Just(Op::LoseStoreAnswer),
        1 => Just(Op::LoseKlaviyoRequest),
        1 => Just(Op::LoseKlaviyoAnswer),
        3 => (1u32..2_000).prop_map(|seconds| Op::Wait { seconds }),
        1 => (1u32..4_000).prop_map(|seconds| Op::ClockBack { seconds }),
    ];
    prop::collection::vec(op, 0..40)
}

fn run(past: usize, ops: &[Op]) {
    let mut world = World::new(past);
    for op in ops {
        world.apply(op);
        world.assert_laws();
    }
    world.heal_and_finish();
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 2_000, ..config(CASES) })]

    #[test]
    fn every_import_ends_complete(past in 0usize..40, story in ops()) {
        run(past, &story);
    }
}

/// Intercom is down from when the clock is set back until it has caught up: the sweep remembers that it was.
#[test]
fn a_clock_that_was_set_back_during_an_outage_hides_no_lost_webhook() {
    run(
        0,
        &[
            Op::Wait { seconds: 301 },
            Op::Reconcile,
            Op::BreakIntercom,
            Op::ClockBack { seconds: 376 },
            Op::Tick,
            Op::Live { ticket: false, lost: true, contact: 0 },
        ],
    );
}

/// Live events carry Intercom's time, which ours has to reach before a sweep can see them.
#[test]
fn a_clock_that_was_set_back_again_and_again_hides_no_lost_webhook() {
    let live = Op::Live { ticket: false, lost: true, contact: 0 };
    let back = [410, 2_949, 2_982, 3_999].map(|seconds| Op::ClockBack { seconds });
    let [first, second, third, fourth] = back;
    run(0, &[first, second, live, third, fourth]);
}

/// A crash at every single await of an import's beginning: whatever was done is not done twice.
#[test]
fn a_tick_may_be_cut_off_anywhere() {
    for polls in (1..160).step_by(3) {
        run(12, &[Op::TickAndCrash { polls }, Op::Tick, Op::Step]);
    }
}

/// The second import finds everything in the ledger: not one request to Klaviyo.
#[test]
fn a_second_import_sends_nothing() {
    let mut world = World::new(60);
    world.finish_import();
    let requests = world.klaviyo_requests();
    assert!(requests > 0);
    world.apply(&Op::Restart);
    world.finish_import();
    assert_eq!(world.klaviyo_requests(), requests);
    world.heal_and_finish();
}

/// On AWS the importer's cache is not the consumer's: it asks for the contacts of the past together as well.
#[test]
fn contacts_of_the_past_are_asked_for_together() {
    let mut world = World::new(0);
    world.crowd(150);
    world.apply(&Op::Tick);
    world.forget_contacts();
    world.apply(&Op::Step);
    assert_eq!(world.delivered(), 150);
    assert_eq!(world.contact_calls(), 0, "none of them singly");
    world.heal_and_finish();
}

/// An outage that goes on past the moment that was told for the next try: it is asked once a second, not as fast as it refuses.
#[test]
fn an_outage_that_outlasts_its_announced_end_is_asked_once_a_second() {
    let mut world = World::new(0);
    world.finish_import();
    world.apply(&Op::Restart);
    world.apply(&Op::BreakIntercom);
    world.apply(&Op::Wait { seconds: 10 });
    let searches = world.searches();
    world.apply(&Op::Tick);
    let asked = world.searches() - searches;
    assert!((2..=2 * 20).contains(&asked), "{asked} questions about two streams in the twenty seconds of a tick");
    world.assert_laws();
    world.heal_and_finish();
}

/// Reconcile brings what the webhook lost, as a live event, once, and then asks nobody for nothing.
#[test]
fn reconcile_repairs_a_lost_webhook() {
    let mut world = World::new(5);
    world.apply(&Op::Wait { seconds: 400 });
    world.apply(&Op::Live { ticket: true, lost: true, contact: 0 });
    world.apply(&Op::Wait { seconds: 400 });
    world.apply(&Op::Reconcile);
    world.apply(&Op::Step);
    let requests = world.klaviyo_requests();
    assert_eq!(requests, 2, "created and submitted");
    world.apply(&Op::Wait { seconds: 400 });
    world.apply(&Op::Reconcile);
    world.apply(&Op::Step);
    assert_eq!(world.klaviyo_requests(), requests);
    world.assert_laws();
    world.heal_and_finish();
}

/// A long sweep that Intercom interrupts goes on with what is left of it.
#[test]
fn an_interrupted_sweep_resumes() {
    let sweep = |interrupted: bool| {
        let mut world = World::new(0);
        world.apply(&Op::Wait { seconds: 400 });
        for _ in 0..300 {
            world.apply(&Op::Live { ticket: false, lost: true, contact: 0 });
            world.apply(&Op::Wait { seconds: 1 });
        }
        world.apply(&Op::Wait { seconds: 400 });
        let before = world.searches();
        if interrupted {
            world.break_intercom_after(5);
            world.apply(&Op::Reconcile);
            assert_eq!(world.searches() - before, 6, "five answers and a refusal");
            world.apply(&Op::HealIntercom);
        }
        world.apply(&Op::Reconcile);
        let searches = world.searches() - before;
        world.heal_and_finish();
        searches
    };
    let whole = sweep(false);
    assert!(whole > 8, "{whole} pages are worth interrupting");
    assert_eq!(sweep(true), whole + 1, "nothing is read twice but the page that was refused");
}

/// A clock that was set back makes reconcile look a day back, and what it finds from before the first start stays history's.
#[test]
fn a_clock_that_was_set_back_makes_nothing_old_live() {
    let mut world = World::new(0);
    world.apply(&Op::Wait { seconds: 400 });
    world.apply(&Op::Reconcile);
    world.past(86_400 + 100, 0, false);
    world.apply(&Op::ClockBack { seconds: 300 });
    world.apply(&Op::Step);
    world.assert_laws();
    world.heal_and_finish();
}

/// A wait that was told before the clock was set back, far enough to outlast an import.
#[test]
fn a_wait_from_before_the_clock_was_set_back_ends() {
    let late = Op::Late { age_days: 2, contact: 0 };
    let (first, second) = (Op::ClockBack { seconds: 3_900 }, Op::ClockBack { seconds: 3_900 });
    run(0, &[Op::LoseKlaviyoRequest, first, second, late]);
}

/// Two of a customer's events in the import's own day: live's, whoever comes first.
#[test]
fn the_import_leaves_what_is_young_to_live() {
    let mut world = World::new(3);
    world.apply(&Op::Live { ticket: false, lost: false, contact: 0 });
    world.finish_import();
    world.assert_laws();
    world.heal_and_finish();
}
