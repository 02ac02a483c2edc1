//! Support state under everything that can go wrong: reports late, doubled and in any order, addresses that are shared and change,
//! merges, deletions, crashes at every await, lost requests, answers and commits. In the end, when every report was seen at least
//! once, each profile at Klaviyo says what is true in Intercom.

#[path = "support/truth.rs"]
mod truth;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use app::deliver::{Consumer, ConsumerOptions, Deps};
use app::fakes::{FakeIntercom, FakeKlaviyo, Fault, ManualClock, NoJitter};
use app::ports::{CallError, Clock, Inbox, Vendor};
use bytes::Bytes;
use domain::contact::Contact;
use domain::{Rules, SignatureScheme};
use proptest::prelude::*;

use super::backend::{Backend, InMemory, OnAws, SimConsumer};
use super::executor::{run, run_for, run_two};
use super::flaky::StoreFault;
use super::payloads::WORKSPACE;
use truth::{Act, CONTACTS, Truth};

/// More with `PROPTEST_CASES`.
const CASES: u32 = 3_000;
const CASES_ON_AWS: u32 = 1_000;

#[derive(Clone, Debug)]
enum Op {
    /// Something happens in Intercom, and a webhook is made of it that nobody has delivered yet.
    Act(Act),
    /// One of the webhooks that were made arrives, perhaps not for the first time.
    Arrives(usize),
    /// The newest one arrives.
    ArrivesAtOnce,
    Step,
    StepAndCrash(usize),
    TwoSteps(u64),
    Wait(u32),
    LoseRequest,
    LoseResponse,
    LoseCommit,
    LoseStoreAnswer,
    Throttle,
    Heal,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        12 => truth::act().prop_map(Op::Act),
        5 => (0..30usize).prop_map(Op::Arrives),
        9 => Just(Op::ArrivesAtOnce),
        9 => Just(Op::Step),
        5 => (1..80usize).prop_map(Op::StepAndCrash),
        3 => any::<u64>().prop_map(Op::TwoSteps),
        3 => prop_oneof![1..5u32, 20..90u32, 290..400u32, 3_000..9_000u32].prop_map(Op::Wait),
        2 => Just(Op::LoseRequest),
        2 => Just(Op::LoseResponse),
        2 => Just(Op::LoseCommit),
        2 => Just(Op::LoseStoreAnswer),
        1 => Just(Op::Throttle),
        2 => Just(Op::Heal),
    ]
}

struct World<B: Backend> {
    clock: ManualClock,
    backend: B,
    store: B::Store,
    intercom: FakeIntercom,
    klaviyo: FakeKlaviyo,
    consumer: SimConsumer<B::Store>,
    truth: Truth,
    step: Duration,
}

impl<B: Backend> World<B> {
    fn new(step: Duration) -> Self {
        let clock = ManualClock::at("2026-06-01T12:00:00Z".parse().expect("a time"));
        let backend = B::new(clock.clone());
        let store = backend.process();
        let (intercom, klaviyo) = (FakeIntercom::new(WORKSPACE), FakeKlaviyo::default());
        let truth = Truth::new(clock.now().as_second());
        let consumer = consumer(&clock, &store, &intercom, &klaviyo, step);
        let world = Self { clock, backend, store, intercom, klaviyo, consumer, truth, step };
        (0..CONTACTS).for_each(|contact| world.put(contact));
        world
    }

    /// Intercom knows the contact as it is now.
    fn put(&self, index: usize) {
        let contact = self.truth.contact(index);
        if let Some(survivor) = contact.merged_into {
            return self.intercom.merge(&truth::contact_id(index), &truth::contact_id(survivor));
        }
        let updated_at = Some(jiff::Timestamp::from_second(contact.updated_at).expect("in range"));
        let email = contact.email.map(truth::address);
        self.intercom.put(Contact { email, updated_at, ..Contact::with_id(truth::contact_id(index)) });
    }

    fn apply(&mut self, op: &Op) {
        match op {
            Op::Act(act) => {
                self.clock.advance(Duration::from_secs(u64::from(act.pause())));
                self.truth.apply(act, self.clock.now().as_second());
                (0..CONTACTS).for_each(|contact| self.put(contact));
            }
            Op::Arrives(which) => {
                let made = self.truth.reports.len();
                if made > 0 {
                    self.arrives(which % made);
                }
            }
            Op::ArrivesAtOnce => {
                if let Some(newest) = self.truth.reports.len().checked_sub(1) {
                    self.arrives(newest);
                }
            }
            Op::Step => drop(run(self.backend.step(&self.store, &self.consumer), &self.clock)),
            Op::StepAndCrash(polls) => {
                if run_for(self.backend.step(&self.store, &self.consumer), &self.clock, *polls).is_none() {
                    self.store = self.backend.process();
                    self.consumer = self.another(&self.store);
                }
            }
            Op::TwoSteps(pattern) => {
                let store = self.backend.process();
                let other = self.another(&store);
                let one = self.backend.step(&self.store, &self.consumer);
                run_two(one, self.backend.step(&store, &other), &self.clock, *pattern);
            }
            Op::Wait(seconds) => self.clock.advance(Duration::from_secs(u64::from(*seconds))),
            Op::LoseRequest => self.klaviyo.push_fault(Fault::RequestLost(self.lost())),
            Op::LoseResponse => self.klaviyo.push_fault(Fault::ResponseLost(self.lost())),
            Op::LoseCommit => self.backend.push_fault(StoreFault::CommitLost),
            Op::LoseStoreAnswer => self.backend.push_fault(StoreFault::AnswerLost),
            Op::Throttle => {
                let until = self.clock.now() + jiff::SignedDuration::from_secs(30);
                self.klaviyo.set_trouble(Some(CallError::Wait { vendor: Vendor::Klaviyo, until }));
            }
            Op::Heal => self.klaviyo.set_trouble(None),
        }
    }

    fn another(&self, store: &B::Store) -> SimConsumer<B::Store> {
        consumer(&self.clock, store, &self.intercom, &self.klaviyo, self.step)
    }

    fn arrives(&mut self, which: usize) {
        let body = Bytes::from(self.truth.reports[which].body.clone());
        self.truth.reports[which].arrived = true;
        let accepted = app::ports::Accepted { scheme: SignatureScheme::Hub, received_at: self.clock.now(), body };
        self.backend.with_calm_queue(|| run(self.store.accept(accepted), &self.clock)).expect("accepted");
    }

    /// Everything works again; what never arrived arrives, and everybody's contact is told once more, as a later change would be.
    fn finish(&mut self) {
        self.klaviyo.set_trouble(None);
        self.backend.heal();
        self.drain();
        for which in 0..self.truth.reports.len() {
            if !self.truth.reports[which].arrived {
                self.arrives(which);
            }
        }
        self.drain();
        self.clock.advance(Duration::from_secs(25 * 3600));
        for contact in 0..CONTACTS {
            self.truth.tell_of(contact, self.clock.now().as_second());
            self.arrives(self.truth.reports.len() - 1);
        }
        self.drain();
        // What a crashed process held comes back.
        self.clock.advance(Duration::from_secs(400));
        self.drain();
        let profiles = self.klaviyo.profiles();
        for (address, attributes) in &profiles {
            let Some(said) =
                attributes.get("properties").filter(|all| all.get("Intercom_open_conversations").is_some())
            else {
                continue;
            };
            self.truth.check(address, said, self.step.is_zero());
        }
        // Who was never sent an event waits for the first one: an import would make a profile.
        let sent: BTreeSet<String> = self.klaviyo.stored().into_iter().map(|event| event.profile).collect();
        for address in self.truth.addresses_with_something_open().filter(|address| sent.contains(address)) {
            let said = profiles.get(&address).and_then(|attributes| attributes.get("properties"));
            let said = said.and_then(|all| all.get("Intercom_open_conversations"));
            assert!(said.is_some(), "{address} has something open, and Klaviyo does not know: {profiles:?}");
        }
    }

    fn drain(&self) {
        self.backend.drain(&self.store, &self.consumer, &self.clock);
    }

    fn lost(&self) -> CallError {
        let until = self.clock.now() + jiff::SignedDuration::from_secs(2);
        let reason = "connection cut".to_owned();
        CallError::Unavailable { vendor: Vendor::Klaviyo, reason, counts: false, until }
    }
}

fn consumer<S: app::ports::ConsumerStore + Clone>(
    clock: &ManualClock,
    store: &S,
    intercom: &FakeIntercom,
    klaviyo: &FakeKlaviyo,
    step: Duration,
) -> SimConsumer<S> {
    let (store, intercom, klaviyo) = (store.clone(), intercom.clone(), klaviyo.clone());
    let deps = Deps { store, intercom, klaviyo, clock: clock.clone(), jitter: NoJitter };
    let options = ConsumerOptions { support_state: Some(step), ..ConsumerOptions::default() };
    Consumer::new(deps, Arc::new(Rules::default()), options)
}

fn tell<B: Backend>(ops: &[Op], step: u64) {
    let mut world = World::<B>::new(Duration::from_secs(step));
    ops.iter().for_each(|op| world.apply(op));
    world.finish();
}

proptest! {
    #![proptest_config(super::config(CASES))]

    #[test]
    fn profiles_say_what_is_true(story in proptest::collection::vec(op(), 1..50)) {
        tell::<InMemory>(&story, 0);
    }

    /// Fewer writes, and only the last message is less exact.
    #[test]
    fn profiles_say_what_is_true_in_steps_of_an_hour(story in proptest::collection::vec(op(), 1..50)) {
        tell::<InMemory>(&story, 3_600);
    }
}

proptest! {
    #![proptest_config(super::config(CASES_ON_AWS))]

    #[test]
    fn profiles_say_what_is_true_on_aws(story in proptest::collection::vec(op(), 1..40)) {
        tell::<OnAws<false>>(&story, 3_600);
    }

    #[test]
    fn profiles_say_what_is_true_on_aws_with_an_event_source(story in proptest::collection::vec(op(), 1..40)) {
        tell::<OnAws<true>>(&story, 0);
    }
}

/// A named story, in every world.
fn run_story(ops: &[Op]) {
    tell::<InMemory>(ops, 0);
    tell::<InMemory>(ops, 3_600);
    tell::<OnAws<false>>(ops, 3_600);
    tell::<OnAws<true>>(ops, 0);
}

/// Found here: what is closed was taken for known, so that nobody kept whose it is when it opened, and its deletion found nobody.
#[test]
fn a_conversation_that_was_closed_first_is_found_when_it_is_deleted() {
    run_story(&[
        Op::Act(Act::Start { contact: 2, other: None, pause: 0 }),
        Op::Act(Act::Close { which: 0, pause: 0 }),
        Op::ArrivesAtOnce,
        Op::Act(Act::Reply { which: 0, pause: 0 }),
        Op::Act(Act::Delete { which: 0 }),
    ]);
}

/// Found here: nobody tells who was merged, so the old address kept the ticket. The ticket's next report gives the old one away,
/// also when an older one that still names it is in the same batch.
#[test]
fn a_ticket_leaves_the_address_of_a_contact_that_was_merged() {
    run_story(&[
        Op::Act(Act::Ticket { contact: 0 }),
        Op::ArrivesAtOnce,
        Op::Step,
        Op::Arrives(0),
        Op::Act(Act::Merge { from: 0, into: 1 }),
        Op::ArrivesAtOnce,
    ]);
}

/// Found here: one contact of a conversation had to move first, and was taken for the only one who takes part.
#[test]
fn two_contacts_of_one_conversation_of_whom_one_has_to_move() {
    run_story(&[
        Op::Act(Act::ChangeAddress { contact: 1, address: 1 }),
        Op::Act(Act::Start { contact: 0, other: None, pause: 0 }),
        Op::Arrives(1),
        Op::StepAndCrash(14),
        Op::Act(Act::Start { contact: 1, other: Some(0), pause: 0 }),
        Op::ArrivesAtOnce,
        Op::Act(Act::LoseAddress { contact: 0 }),
        Op::Act(Act::Start { contact: 0, other: None, pause: 0 }),
    ]);
}

/// Found here: everybody left an address, which was told, and then nobody told it of the next one.
#[test]
fn an_address_that_was_left_is_told_of_whoever_comes() {
    run_story(&[
        Op::Act(Act::ChangeAddress { contact: 3, address: 1 }),
        Op::Act(Act::ChangeAddress { contact: 1, address: 1 }),
        Op::Act(Act::Start { contact: 3, other: None, pause: 0 }),
        Op::ArrivesAtOnce,
        Op::Step,
        Op::Act(Act::ChangeAddress { contact: 3, address: 2 }),
        Op::ArrivesAtOnce,
        Op::Step,
        Op::Act(Act::Start { contact: 2, other: Some(1), pause: 0 }),
    ]);
}

/// Found here: the report that somebody had left was itself asked who takes part.
#[test]
fn a_merged_contact_s_old_report_does_not_speak_for_the_survivor() {
    run_story(&[
        Op::Act(Act::Start { contact: 2, other: None, pause: 0 }),
        Op::Act(Act::Start { contact: 0, other: None, pause: 0 }),
        Op::Act(Act::Merge { from: 2, into: 0 }),
        Op::Arrives(1),
        Op::Step,
        Op::Act(Act::ChangeAddress { contact: 0, address: 1 }),
        Op::Act(Act::Start { contact: 0, other: None, pause: 0 }),
    ]);
}

/// Found here: the event arrived and its answer was lost, so the profile was taken for one that was never told.
#[test]
fn a_profile_is_taken_for_told_before_the_first_event_takes_it_along() {
    run_story(&[
        Op::LoseRequest,
        Op::Step,
        Op::LoseStoreAnswer,
        Op::Act(Act::Ticket { contact: 3 }),
        Op::Arrives(0),
        Op::Step,
        Op::Arrives(0),
        Op::Step,
        Op::Act(Act::LoseAddress { contact: 3 }),
        Op::LoseResponse,
        Op::Step,
        Op::Arrives(5),
    ]);
}

/// Found here: the deletion came between the farewell of a merged contact and the next try to tell its address.
#[test]
fn a_deletion_does_not_hide_a_farewell_that_was_not_told() {
    run_story(&[
        Op::Act(Act::Start { contact: 3, other: None, pause: 0 }),
        Op::Arrives(0),
        Op::Step,
        Op::Throttle,
        Op::Act(Act::Merge { from: 3, into: 1 }),
        Op::ArrivesAtOnce,
        Op::ArrivesAtOnce,
        Op::Act(Act::Delete { which: 0 }),
        Op::TwoSteps(0),
        Op::Arrives(3),
    ]);
}

/// Found here: two messages of one batch moved a contact to two addresses, by one look at where it was.
#[test]
fn a_contact_that_came_back_stays() {
    run_story(&[
        Op::Act(Act::Start { contact: 3, other: None, pause: 0 }),
        Op::Act(Act::Start { contact: 0, other: None, pause: 0 }),
        Op::Throttle,
        Op::Arrives(12),
        Op::Step,
        Op::Act(Act::ChangeAddress { contact: 3, address: 1 }),
        Op::ArrivesAtOnce,
        Op::Step,
        Op::Step,
        Op::Act(Act::ChangeAddress { contact: 3, address: 0 }),
        Op::Step,
    ]);
}
