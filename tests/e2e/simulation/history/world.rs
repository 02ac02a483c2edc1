//! A workspace with a past and a present, and the laws that hold in it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use app::deliver::{Consumer, ConsumerOptions, Deps};
use app::fakes::{FakeIntercom, FakeKlaviyo, Fault, ManualClock, MemoryStore, NoJitter};
use app::history::{HistoryOptions, Importer, history_report, reconcile_report, steer};
use app::ports::{Accepted, Cache, CallError, Clock, FoundItem, Inbox, Lane, Overview, Vendor, WorkQueue};
use bytes::Bytes;
use domain::contact::Contact;
use domain::history::{StartFacts, State, StreamName, Wish};
use domain::{ContactId, Rules, SignatureScheme};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::super::executor::{run, run_for, run_two};
use super::super::flaky::{FlakyStore, StoreFault};
use super::super::payloads::WORKSPACE;
use super::Op;

const DAY: i64 = 86_400;

/// Contacts: two with an address, one without, one that Intercom does not know.
const CONTACTS: [&str; 4] = ["ann", "bob", "nobody", "gone"];

pub(super) struct World {
    clock: ManualClock,
    store: FlakyStore,
    intercom: FakeIntercom,
    klaviyo: FakeKlaviyo,
    importer: Importer<FlakyStore, FakeIntercom, ManualClock>,
    consumer: Consumer<FlakyStore, FakeIntercom, FakeKlaviyo, ManualClock, NoJitter>,
    /// Keys of events, with the moment of each and whether it is live's.
    expected: BTreeMap<String, bool>,
    items: BTreeMap<&'static str, u64>,
    accepted: u64,
    next: u64,
    owners: u64,
    started_at: i64,
    /// The start, or earlier where the clock was set back behind it: by the right time it was then.
    earliest: i64,
    /// The last moment that the clock showed before it was set back.
    latest: i64,
}

impl World {
    pub(super) fn new(past: usize) -> Self {
        let clock = ManualClock::at("2026-06-01T12:00:00Z".parse().expect("a time"));
        let store = FlakyStore::new(MemoryStore::new(clock.clone()));
        let (intercom, klaviyo) = (FakeIntercom::new(WORKSPACE), FakeKlaviyo::default());
        for name in ["ann", "bob"] {
            let email = Some(format!("{name}@sim.test"));
            intercom.put(Contact { email, ..Contact::with_id(ContactId::new(name)) });
        }
        intercom.put(Contact::with_id(ContactId::new("nobody")));
        let importer = new_importer(&clock, &store, &intercom);
        let consumer = new_consumer(&clock, &store, &intercom, &klaviyo);
        let mut world = Self {
            started_at: clock.now().as_second(),
            earliest: clock.now().as_second(),
            latest: clock.now().as_second(),
            clock,
            store,
            intercom,
            klaviyo,
            importer,
            consumer,
            expected: BTreeMap::new(),
            items: BTreeMap::new(),
            accepted: 0,
            next: 0,
            owners: 0,
        };
        for number in 0..past {
            let age = 1 + i64::try_from(number * number % 300).expect("small");
            world.past(age * DAY, number % CONTACTS.len(), number % 3 == 0);
        }
        run(world.importer.first_start(), &world.clock).expect("noted");
        world.wish(Wish::Start);
        world
    }

    pub(super) fn klaviyo_requests(&self) -> u64 {
        self.klaviyo.requests()
    }

    pub(super) fn searches(&self) -> u64 {
        self.intercom.searches()
    }

    /// An item of the past: found by search, told by no webhook.
    pub(super) fn past(&mut self, age: i64, contact: usize, ticket: bool) {
        let at = self.clock.now().as_second().min(self.started_at) - age;
        let keys = self.put(at, at, CONTACTS[contact], ticket);
        self.expect(keys, contact, false);
    }

    /// Conversations of so many different customers, and the import begun again.
    pub(super) fn crowd(&mut self, customers: usize) {
        for number in 0..customers {
            let name = format!("customer{number}");
            let email = Some(format!("{name}@sim.test"));
            self.intercom.put(Contact { email, ..Contact::with_id(ContactId::new(&name)) });
            let at = self.started_at - (1 + i64::try_from(number).expect("small")) * 7_000;
            let keys = self.put(at, at, &name, false);
            self.expected.extend(keys.into_iter().map(|key| (key, false)));
        }
        self.wish(Wish::Restart);
    }

    /// As if the importer and the consumer were two processes that each remember for themselves.
    pub(super) fn forget_contacts(&self) {
        let keys: Vec<String> = (0..1_000).map(|number| format!("contact/customer{number}")).collect();
        run(self.store.inner.forget(&keys), &self.clock).expect("forgotten");
    }

    /// The key is refused once Intercom has answered so many searches.
    pub(super) fn break_intercom_after(&self, searches: u64) {
        let until = self.in_seconds(3);
        let stopped = CallError::Stopped { vendor: Vendor::Intercom, reason: "401".to_owned(), until };
        self.intercom.set_trouble_after(searches, stopped);
    }

    pub(super) fn delivered(&self) -> usize {
        self.klaviyo.stored().len()
    }

    pub(super) fn contact_calls(&self) -> u64 {
        self.intercom.contact_calls()
    }

    fn expect(&mut self, keys: Vec<String>, contact: usize, live: bool) {
        if contact < 2 {
            self.expected.extend(keys.into_iter().map(|key| (key, live)));
        }
    }

    fn put(&mut self, created_at: i64, updated_at: i64, contact: &str, ticket: bool) -> Vec<String> {
        self.next += 1;
        let id = format!("{}", 1_000 + self.next);
        let (stream, json, keys) = match ticket {
            true => (
                StreamName::Tickets,
                ticket_item(&id, contact, created_at),
                vec![
                    format!("intercom:{WORKSPACE}:ticket-created:{id}"),
                    format!("intercom:{WORKSPACE}:ticket-submitted:{id}:p{id}"),
                ],
            ),
            false => (
                StreamName::Conversations,
                conversation_item(&id, contact, created_at),
                vec![format!("intercom:{WORKSPACE}:conversation-created:{id}")],
            ),
        };
        *self.items.entry(stream.as_str()).or_default() += 1;
        let json = Bytes::from(json.to_string());
        self.intercom.put_thread(stream, FoundItem { id, created_at, updated_at, json });
        keys
    }

    pub(super) fn apply(&mut self, op: &Op) {
        match op {
            Op::Tick => drop(run(self.importer.tick("owner", self.in_seconds(20)), &self.clock)),
            Op::TickAndCrash { polls } => {
                if run_for(self.importer.tick("owner", self.in_seconds(20)), &self.clock, *polls).is_none() {
                    self.importer = new_importer(&self.clock, &self.store, &self.intercom);
                }
            }
            Op::TwoTicks { pattern } => {
                self.owners += 1;
                let name = format!("other{}", self.owners);
                let other = new_importer(&self.clock, &self.store, &self.intercom);
                let deadline = self.in_seconds(20);
                run_two(self.importer.tick("owner", deadline), other.tick(&name, deadline), &self.clock, *pattern);
            }
            Op::Step => self.step(),
            Op::StepAndCrash { polls } => {
                let mut crashed = false;
                for lane in [Lane::Live, Lane::History, Lane::Reconcile] {
                    crashed |= run_for(self.consumer.step(lane), &self.clock, *polls).is_none();
                }
                if crashed {
                    self.consumer = new_consumer(&self.clock, &self.store, &self.intercom, &self.klaviyo);
                }
            }
            Op::Live { ticket, lost, contact } => self.live(*ticket, *lost, *contact),
            Op::Late { age_days, contact } => self.late(*age_days * DAY, *contact),
            Op::Reconcile => drop(run(self.importer.reconcile(self.in_seconds(60)), &self.clock)),
            Op::ReconcileAndCrash { polls } => {
                run_for(self.importer.reconcile(self.in_seconds(60)), &self.clock, *polls);
            }
            Op::Pause => self.wish(Wish::Pause),
            Op::Resume => self.wish(Wish::Resume),
            Op::Restart => self.wish(Wish::Restart),
            Op::LoseSearches { count } => self.intercom.lose_searches(*count),
            Op::BreakIntercom => self.intercom.set_trouble(Some(CallError::Unavailable {
                vendor: Vendor::Intercom,
                reason: "502".to_owned(),
                counts: false,
                until: self.in_seconds(3),
            })),
            Op::RevokeToken => self.intercom.set_trouble(Some(CallError::Stopped {
                vendor: Vendor::Intercom,
                reason: "401".to_owned(),
                until: self.in_seconds(3),
            })),
            Op::HealIntercom => self.intercom.set_trouble(None),
            Op::LoseCommit => self.store.push_fault(StoreFault::CommitLost),
            Op::LoseStoreAnswer => self.store.push_fault(StoreFault::AnswerLost),
            Op::LoseKlaviyoRequest => self.klaviyo.push_fault(Fault::RequestLost(self.lost())),
            Op::LoseKlaviyoAnswer => self.klaviyo.push_fault(Fault::ResponseLost(self.lost())),
            Op::Wait { seconds } => self.clock.advance(Duration::from_secs(u64::from(*seconds))),
            Op::ClockBack { seconds } => {
                let back = SignedDuration::from_secs(i64::from(*seconds));
                self.latest = self.latest.max(self.clock.now().as_second());
                self.clock.set(self.clock.now().checked_sub(back).expect("in range"));
                self.earliest = self.earliest.min(self.clock.now().as_second());
                // It is called every second or so, also when the store failed the time before, and so notices soon.
                while run(self.importer.reconcile(self.in_seconds(60)), &self.clock).is_err() {}
            }
        }
    }

    fn step(&self) {
        for lane in [Lane::Live, Lane::Reconcile, Lane::History] {
            run(self.consumer.step(lane), &self.clock);
        }
    }

    fn live(&mut self, ticket: bool, lost: bool, contact: usize) {
        let at = self.clock.now().as_second().max(self.started_at);
        let keys = self.put(at, at, CONTACTS[contact], ticket);
        let id = format!("{}", 1_000 + self.next);
        self.expect(keys, contact, true);
        if lost {
            return;
        }
        let (topic, item) = match ticket {
            true => ("ticket.created", ticket_item(&id, CONTACTS[contact], at)),
            false => ("conversation.user.created", conversation_item(&id, CONTACTS[contact], at)),
        };
        let body = json!({
            "type": "notification_event", "app_id": WORKSPACE, "id": format!("notif_{id}"), "topic": topic,
            "created_at": at + 1, "data": { "type": "notification_event_data", "item": item },
        });
        let accepted = Accepted {
            scheme: SignatureScheme::Hub,
            received_at: self.clock.now(),
            body: Bytes::from(body.to_string()),
        };
        run(self.store.inner.accept(accepted), &self.clock).expect("accepted");
        self.accepted += 1;
    }

    /// Imported into Intercom by somebody with its old date. A window that was read before does not know it: `restart` does.
    fn late(&mut self, age: i64, contact: usize) {
        self.past(age, contact, false);
    }

    pub(super) fn assert_laws(&self) {
        let books = run(self.store.inner.books(), &self.clock).expect("books");
        let skipped: u64 = books.skipped.values().sum();
        assert_eq!(books.accepted, self.accepted, "the six are about webhook calls alone");
        assert_eq!(
            books.accepted,
            books.delivered + skipped + books.parked + books.dead + books.in_flight,
            "{books:?}"
        );
        assert_eq!(self.klaviyo.doubled(), Vec::<String>::new(), "doubled");
        for event in self.klaviyo.stored() {
            let live = self.expected.get(&event.key);
            assert!(live.is_some(), "nobody expected {}", event.key);
            let at: Timestamp = event.time.parse().expect("RFC 3339");
            let young = at.as_second() >= self.started_at;
            assert!(!(event.backfill && young), "history sent a live event: {event:?}");
            assert!(
                event.backfill || at.as_second() >= self.earliest - DAY,
                "an old event without backfill: {event:?}"
            );
        }
        let report = run(history_report(&self.store.inner), &self.clock).expect("a report");
        for stream in &report.streams {
            assert!(stream.done <= stream.total && stream.percent <= 100.0, "{stream:?}");
            assert_eq!(stream.percent >= 100.0, report.state == State::Done, "{report:?}");
        }
    }

    /// Ticks and steps until the import is done.
    pub(super) fn finish_import(&mut self) {
        // Waits that were told before the clock was set back end only when it has caught up.
        for _ in 0..400 + self.behind() / 10 {
            run(self.importer.tick("owner", self.in_seconds(4)), &self.clock).expect("a tick");
            self.step();
            let report = run(history_report(&self.store.inner), &self.clock).expect("a report");
            match report.state {
                State::Done => return,
                State::Paused | State::Failed => self.wish(Wish::Resume),
                State::Idle | State::Running => {}
            }
            self.clock.advance(Duration::from_secs(10));
        }
        let report = run(history_report(&self.store.inner), &self.clock).expect("a report");
        panic!("the import never ends: {report:?}");
    }

    /// Seconds until the clock shows again what it showed before it was set back.
    fn behind(&self) -> i64 {
        (self.latest - self.clock.now().as_second()).max(0)
    }

    pub(super) fn heal_and_finish(&mut self) {
        self.intercom.set_trouble(None);
        self.intercom.heal_searches();
        self.store.heal();
        self.finish_import();
        // Items that appeared in windows which were read before are the next import's.
        self.wish(Wish::Restart);
        self.finish_import();
        // A webhook that was lost when the clock was ahead of ours is found once ours has caught up, a look back later.
        for _ in 0..16 + self.behind() / 400 {
            self.clock.advance(Duration::from_secs(400));
            run(self.importer.reconcile(self.in_seconds(60)), &self.clock).expect("a sweep");
            self.drain();
        }
        self.assert_laws();
        let there: BTreeSet<String> = self.klaviyo.stored().into_iter().map(|event| event.key).collect();
        let wanted: BTreeSet<String> = self.expected.keys().cloned().collect();
        assert_eq!(there, wanted, "what is in Klaviyo is not what should be");
        let report = run(history_report(&self.store.inner), &self.clock).expect("a report");
        let verification = run(self.importer.verify(), &self.clock).expect("verified");
        assert!(verification.complete, "{verification:?}");
        for stream in &report.streams {
            assert_eq!((stream.done, stream.parked, stream.dead), (stream.total, 0, 0), "{stream:?}");
        }
        let reconcile = run(reconcile_report(&self.store.inner), &self.clock).expect("a report");
        assert_eq!(reconcile.dead, 0);
    }

    fn drain(&self) {
        for _ in 0..300 {
            let mut waits: Vec<Timestamp> = Vec::new();
            for lane in [Lane::Live, Lane::Reconcile, Lane::History] {
                run(self.consumer.step(lane), &self.clock);
                waits.extend(run(self.store.inner.next_visible(lane), &self.clock).expect("next"));
            }
            let Some(next) = waits.into_iter().min() else { return };
            self.clock.set(next.max(self.clock.now()));
        }
        panic!("the queues never drain");
    }

    fn wish(&self, wish: Wish) {
        let now = self.clock.now().as_second();
        let facts = StartFacts { first_start: self.started_at, days: Some(400) };
        // Refused where it does not fit, or not written where the story says so: both are part of it.
        let _ = run(steer(&self.store, wish, facts, now), &self.clock);
    }

    fn lost(&self) -> CallError {
        CallError::Unavailable {
            vendor: Vendor::Klaviyo,
            reason: "connection cut".to_owned(),
            counts: false,
            until: self.in_seconds(2),
        }
    }

    fn in_seconds(&self, seconds: i64) -> Timestamp {
        self.clock.now().checked_add(SignedDuration::from_secs(seconds)).expect("in range")
    }
}

fn conversation_item(id: &str, contact: &str, at: i64) -> Value {
    json!({
        "type": "conversation", "id": id, "created_at": at, "updated_at": at,
        "source": { "type": "conversation", "delivered_as": "customer_initiated", "author": { "type": "user", "id": contact } },
        "contacts": { "type": "contact.list", "contacts": [{ "type": "contact", "id": contact }] },
    })
}

fn ticket_item(id: &str, contact: &str, at: i64) -> Value {
    json!({
        "type": "ticket", "id": id, "ticket_id": "12", "created_at": at, "updated_at": at, "category": "Customer",
        "contacts": { "type": "contact.list", "contacts": [{ "type": "contact", "id": contact }] },
        "ticket_parts": { "total_count": 1, "ticket_parts": [{
            "type": "ticket_part", "id": format!("p{id}"), "part_type": "ticket_state_updated_by_admin",
            "previous_ticket_state": "submitted", "ticket_state": "submitted", "created_at": at,
            "author": { "type": "admin", "id": "1" },
        }]},
    })
}

fn new_importer(
    clock: &ManualClock,
    store: &FlakyStore,
    intercom: &FakeIntercom,
) -> Importer<FlakyStore, FakeIntercom, ManualClock> {
    Importer::new(store.clone(), intercom.clone(), clock.clone(), Arc::new(Rules::default()), HistoryOptions::default())
}

fn new_consumer(
    clock: &ManualClock,
    store: &FlakyStore,
    intercom: &FakeIntercom,
    klaviyo: &FakeKlaviyo,
) -> Consumer<FlakyStore, FakeIntercom, FakeKlaviyo, ManualClock, NoJitter> {
    let deps = Deps {
        store: store.clone(),
        intercom: intercom.clone(),
        klaviyo: klaviyo.clone(),
        clock: clock.clone(),
        jitter: NoJitter,
    };
    Consumer::new(deps, Arc::new(Rules::default()), ConsumerOptions::default())
}
