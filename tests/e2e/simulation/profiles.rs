//! Contacts that change, under everything that can go wrong: notifications late, doubled and in any order, crashes at every await,
//! lost requests, answers and commits, two consumers at once. In the end, when every notification was seen at least once, the
//! profile of everybody who was sent says what is true in Intercom, and nobody else has one.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use app::deliver::{Consumer, ConsumerOptions, Deps};
use app::fakes::{FakeIntercom, FakeKlaviyo, Fault, ManualClock, NoJitter};
use app::ports::{Accepted, CallError, Clock, Inbox, Overview, Vendor};
use bytes::Bytes;
use domain::contact::Contact;
use domain::{ContactId, Rules, SignatureScheme};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::backend::{Backend, InMemory, OnAws, SimConsumer};
use super::executor::{run, run_for, run_two};
use super::flaky::StoreFault;
use super::ops::Kind;
use super::payloads::{WORKSPACE, contact_topic, fact};

/// More with `PROPTEST_CASES`.
const CASES: u32 = 3_000;
const CASES_ON_AWS: u32 = 1_000;

/// The last one never writes.
const CONTACTS: usize = 3;

#[derive(Clone, Debug)]
enum Op {
    /// A contact gets another plan, and a notification is made of it that nobody has delivered yet.
    Change(usize),
    /// One of the notifications that were made arrives, perhaps not for the first time.
    Arrives(usize),
    /// The newest one arrives.
    ArrivesAtOnce,
    /// A contact writes; never the last one.
    Writes(usize),
    Step,
    StepAndCrash(usize),
    TwoSteps(u64),
    Wait(u32),
    LoseRequest,
    LoseResponse,
    LoseCommit,
    LoseStoreAnswer,
    LoseQueueAnswer,
    DeliverAgain,
    Throttle,
    BreakIntercom,
    Heal,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        10 => (0..CONTACTS).prop_map(Op::Change),
        5 => (0..30usize).prop_map(Op::Arrives),
        9 => Just(Op::ArrivesAtOnce),
        9 => Just(Op::Step),
        6 => (1..80usize).prop_map(Op::StepAndCrash),
        5 => any::<u64>().prop_map(Op::TwoSteps),
        3 => prop_oneof![1..5u32, 20..90u32, 290..400u32, 3_000..9_000u32].prop_map(Op::Wait),
        2 => Just(Op::LoseRequest),
        3 => Just(Op::LoseResponse),
        2 => Just(Op::LoseCommit),
        2 => Just(Op::LoseStoreAnswer),
        1 => Just(Op::LoseQueueAnswer),
        1 => Just(Op::DeliverAgain),
        1 => Just(Op::Throttle),
        1 => Just(Op::BreakIntercom),
        2 => Just(Op::Heal),
    ]
}

/// With events in between, and one consumer: an event that another one sends at the same moment may carry the contact of a moment
/// ago.
fn op_with_events() -> impl Strategy<Value = Op> {
    let alone = op().prop_map(|op| if let Op::TwoSteps(_) = op { Op::Step } else { op });
    prop_oneof![4 => alone, 1 => (0..CONTACTS - 1).prop_map(Op::Writes)]
}

struct World<B: Backend> {
    clock: ManualClock,
    backend: B,
    store: B::Store,
    intercom: FakeIntercom,
    klaviyo: FakeKlaviyo,
    consumer: SimConsumer<B::Store>,
    plans: [u64; CONTACTS],
    made: Vec<Vec<u8>>,
    arrived: BTreeSet<usize>,
    facts: usize,
}

fn contact_id(index: usize) -> ContactId {
    ContactId::new(format!("c{index}"))
}

fn address(index: usize) -> String {
    format!("c{index}@sim.test")
}

impl<B: Backend> World<B> {
    /// All but the last contact have written, and Klaviyo has their event.
    fn new() -> Self {
        let clock = ManualClock::at("2026-06-01T12:00:00Z".parse().expect("a time"));
        let backend = B::new(clock.clone());
        let store = backend.process();
        let (intercom, klaviyo) = (FakeIntercom::new(WORKSPACE), FakeKlaviyo::default());
        let consumer = consumer(&clock, &store, &intercom, &klaviyo);
        let (plans, made, arrived) = ([0; CONTACTS], Vec::new(), BTreeSet::new());
        let mut world = Self { clock, backend, store, intercom, klaviyo, consumer, plans, made, arrived, facts: 0 };
        (0..CONTACTS).for_each(|contact| world.put(contact));
        (0..CONTACTS - 1).for_each(|contact| world.apply(&Op::Writes(contact)));
        world.drain();
        world
    }

    /// Intercom knows the contact as it is now.
    fn put(&self, index: usize) {
        let plan = Map::from_iter([("Plan".to_owned(), json!(self.plans[index]))]);
        let updated_at = jiff::Timestamp::from_second(self.clock.now().as_second()).ok();
        let (email, custom_attributes) = (Some(address(index)), plan);
        self.intercom.put(Contact { email, updated_at, custom_attributes, ..Contact::with_id(contact_id(index)) });
    }

    fn apply(&mut self, op: &Op) {
        match op {
            Op::Change(contact) => {
                self.plans[*contact] += 1;
                self.put(*contact);
                let (id, email) = (contact_id(*contact), address(*contact));
                let at = self.clock.now().as_second();
                let body =
                    contact_topic("contact.user.updated", id.as_str(), Some(&email), 1_000 + self.made.len(), at);
                let mut told: Value = serde_json::from_slice(&body).expect("JSON");
                told["data"]["item"]["updated_at"] = json!(at);
                self.made.push(told.to_string().into_bytes());
            }
            Op::Arrives(which) if !self.made.is_empty() => self.arrives(which % self.made.len()),
            Op::ArrivesAtOnce if !self.made.is_empty() => self.arrives(self.made.len() - 1),
            Op::Arrives(_) | Op::ArrivesAtOnce => {}
            Op::Writes(contact) => {
                let at = self.clock.now().as_second();
                let body = fact(Kind::Created, contact_id(*contact).as_str(), self.facts, at).body;
                self.facts += 1;
                self.accept(body);
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
            Op::LoseRequest => self.klaviyo.push_fault(Fault::RequestLost(self.fails(Vendor::Klaviyo))),
            Op::LoseResponse => self.klaviyo.push_fault(Fault::ResponseLost(self.fails(Vendor::Klaviyo))),
            Op::LoseCommit => self.backend.push_fault(StoreFault::CommitLost),
            Op::LoseStoreAnswer => self.backend.push_fault(StoreFault::AnswerLost),
            Op::LoseQueueAnswer => self.backend.push_queue_fault(StoreFault::AnswerLost),
            Op::DeliverAgain => self.backend.deliver_again(),
            Op::Throttle => {
                let until = self.clock.now() + jiff::SignedDuration::from_secs(30);
                self.klaviyo.set_trouble(Some(CallError::Wait { vendor: Vendor::Klaviyo, until }));
            }
            Op::BreakIntercom => self.intercom.set_trouble(Some(self.fails(Vendor::Intercom))),
            Op::Heal => {
                self.klaviyo.set_trouble(None);
                self.intercom.set_trouble(None);
            }
        }
    }

    fn another(&self, store: &B::Store) -> SimConsumer<B::Store> {
        consumer(&self.clock, store, &self.intercom, &self.klaviyo)
    }

    fn arrives(&mut self, which: usize) {
        self.arrived.insert(which);
        self.accept(self.made[which].clone());
    }

    fn accept(&self, body: Vec<u8>) {
        let body = Bytes::from(body);
        let accepted = Accepted { scheme: SignatureScheme::Hub, received_at: self.clock.now(), body };
        self.backend.with_calm_queue(|| run(self.store.accept(accepted), &self.clock)).expect("accepted");
    }

    /// Everything works again, and what never arrived arrives.
    fn finish(&mut self) {
        self.apply(&Op::Heal);
        self.backend.heal();
        self.drain();
        let missing: Vec<usize> = (0..self.made.len()).filter(|which| !self.arrived.contains(which)).collect();
        missing.into_iter().for_each(|which| self.arrives(which));
        self.drain();
        // What a crashed process held comes back.
        self.clock.advance(Duration::from_secs(400));
        self.drain();
        let profiles = self.klaviyo.profiles();
        let there: Vec<&String> = profiles.keys().collect();
        let wanted: Vec<String> = (0..CONTACTS - 1).map(address).collect();
        assert_eq!(there, wanted.iter().collect::<Vec<_>>(), "who has a profile");
        for contact in 0..CONTACTS - 1 {
            let said = &profiles[&address(contact)]["properties"]["Intercom: Plan"];
            assert_eq!(said, &json!(self.plans[contact]), "contact {contact}");
        }
        let books = run(self.backend.calm().books(), &self.clock).expect("books");
        assert_eq!((books.in_flight, books.dead, books.parked), (0, 0, 0), "{books:?}");
        assert_eq!(books.accepted, books.delivered + books.skipped.values().sum::<u64>(), "{books:?}");
        assert!(books.profile_updates <= self.klaviyo.imports().len() as u64, "{books:?}");
    }

    fn drain(&self) {
        self.backend.drain(&self.store, &self.consumer, &self.clock);
    }

    fn fails(&self, vendor: Vendor) -> CallError {
        let until = self.clock.now() + jiff::SignedDuration::from_secs(2);
        CallError::Unavailable { vendor, reason: "connection cut".to_owned(), counts: false, until }
    }
}

fn consumer<S: app::ports::ConsumerStore + Clone>(
    clock: &ManualClock,
    store: &S,
    intercom: &FakeIntercom,
    klaviyo: &FakeKlaviyo,
) -> SimConsumer<S> {
    let (store, intercom, klaviyo) = (store.clone(), intercom.clone(), klaviyo.clone());
    let deps = Deps { store, intercom, klaviyo, clock: clock.clone(), jitter: NoJitter };
    let options = ConsumerOptions { support_state: Some(Duration::ZERO), ..ConsumerOptions::default() };
    Consumer::new(deps, Arc::new(Rules::default()), options)
}

fn tell<B: Backend>(ops: &[Op]) {
    let mut world = World::<B>::new();
    ops.iter().for_each(|op| world.apply(op));
    world.finish();
}

proptest! {
    #![proptest_config(super::config(CASES))]

    #[test]
    fn contacts_say_what_is_true(story in proptest::collection::vec(op(), 1..50)) {
        tell::<InMemory>(&story);
    }

    #[test]
    fn contacts_say_what_is_true_among_events(story in proptest::collection::vec(op_with_events(), 1..50)) {
        tell::<InMemory>(&story);
    }
}

proptest! {
    #![proptest_config(super::config(CASES_ON_AWS))]

    #[test]
    fn contacts_say_what_is_true_on_aws(story in proptest::collection::vec(op(), 1..40)) {
        tell::<OnAws<false>>(&story);
    }

    #[test]
    fn contacts_say_what_is_true_on_aws_with_an_event_source(story in proptest::collection::vec(op(), 1..40)) {
        tell::<OnAws<true>>(&story);
    }
}

/// A crash after the import and before the sign-off, while another consumer writes something newer: the first writes again.
#[test]
fn who_died_while_writing_writes_again() {
    for polls in 1..60 {
        for pattern in [0, 0x5555, u64::MAX] {
            let story = [
                Op::Change(0),
                Op::ArrivesAtOnce,
                Op::StepAndCrash(polls),
                Op::Change(0),
                Op::ArrivesAtOnce,
                Op::TwoSteps(pattern),
            ];
            tell::<InMemory>(&story);
            tell::<OnAws<false>>(&story);
        }
    }
}

/// Ten notifications of one contact in one batch are one question and one import, and another one that says nothing new is none.
#[test]
fn a_burst_is_written_once() {
    let mut world = World::<InMemory>::new();
    for _ in 0..10 {
        world.apply(&Op::Change(0));
        world.apply(&Op::ArrivesAtOnce);
    }
    let asked = world.intercom.contact_calls();
    world.apply(&Op::Step);
    assert_eq!((world.klaviyo.imports().len(), world.intercom.contact_calls()), (1, asked + 1));
    world.apply(&Op::Wait(60));
    (0..10).for_each(|which| world.apply(&Op::Arrives(which)));
    world.apply(&Op::Step);
    assert_eq!(world.klaviyo.imports().len(), 1);
    world.finish();
}

/// Who never wrote costs neither a question nor an import.
#[test]
fn nobody_is_asked_about_who_was_never_sent() {
    let mut world = World::<InMemory>::new();
    let asked = world.intercom.contact_calls();
    world.apply(&Op::Change(CONTACTS - 1));
    world.apply(&Op::ArrivesAtOnce);
    world.apply(&Op::Step);
    assert_eq!((world.klaviyo.imports().len(), world.intercom.contact_calls()), (0, asked));
    world.finish();
}

/// What Klaviyo refuses is left out and does not come again; the next change is written.
#[test]
fn a_refused_profile_holds_nothing_up() {
    let mut world = World::<InMemory>::new();
    world.klaviyo.set_imports_refused(true);
    world.apply(&Op::Change(0));
    world.apply(&Op::ArrivesAtOnce);
    world.apply(&Op::Step);
    let requests = world.klaviyo.requests();
    world.klaviyo.set_imports_refused(false);
    world.apply(&Op::ArrivesAtOnce);
    world.apply(&Op::Step);
    assert_eq!(world.klaviyo.requests(), requests, "it is not offered again");
    world.apply(&Op::Change(0));
    world.apply(&Op::ArrivesAtOnce);
    world.finish();
}
