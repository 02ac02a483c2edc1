//! Everything that a story happens in, and the laws that hold in it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use app::deliver::{Consumer, ConsumerOptions, Deps};
use app::fakes::{FakeIntercom, FakeKlaviyo, Fault, ManualClock, NoJitter};
use app::housekeeping::Housekeeper;
use app::ports::{CallError, Clock, DeadLetters, Overview, Retention, Vendor};
use app::receive::Receiver;
use bytes::Bytes;
use domain::contact::Contact;
use domain::limits::{Endpoint, Governor, Outcome};
use domain::signature::sign_hub;
use domain::{ClientSecrets, ContactId, Rules};
use http::{HeaderMap, HeaderValue};
use jiff::Timestamp;
use secrecy::SecretString;

use super::backend::{Backend, SimConsumer};
use super::executor::{run, run_for, run_two};
use super::flaky::StoreFault;
use super::ops::{CONTACTS, Op};
use super::payloads::{WORKSPACE, contact_topic, fact};

pub(crate) struct World<B: Backend> {
    clock: ManualClock,
    backend: B,
    store: B::Store,
    intercom: FakeIntercom,
    klaviyo: FakeKlaviyo,
    secrets: ClientSecrets,
    receiver: Receiver<B::Store, ManualClock>,
    consumer: SimConsumer<B::Store>,
    sent: Vec<Bytes>,
    keys: Vec<String>,
    unreadable: u64,
    accepted: u64,
    facts: usize,
    emails: usize,
    current_email: [Option<String>; CONTACTS],
}

fn contact_id(index: usize) -> ContactId {
    ContactId::new(format!("c{index}"))
}

impl<B: Backend> World<B> {
    pub(crate) fn new() -> Self {
        let clock = ManualClock::at("2026-06-01T12:00:00Z".parse().expect("a time"));
        let backend = B::new(clock.clone());
        let store = backend.process();
        let (intercom, klaviyo) = (FakeIntercom::new(WORKSPACE), FakeKlaviyo::default());
        let secrets = ClientSecrets::parse(&SecretString::from("sim")).expect("usable");
        let mut current_email = [const { None }; CONTACTS];
        for (index, slot) in current_email.iter_mut().enumerate() {
            // The first and the last have an address from the start.
            let email = (index == 0 || index == CONTACTS - 1).then(|| format!("first{index}@sim.test"));
            intercom.put(Contact { email: email.clone(), ..Contact::with_id(contact_id(index)) });
            *slot = email;
        }
        let receiver = Receiver::new(store.clone(), clock.clone(), Some(secrets.clone()));
        let consumer = new_consumer(&clock, &store, &intercom, &klaviyo);
        Self {
            clock,
            backend,
            store,
            intercom,
            klaviyo,
            secrets,
            receiver,
            consumer,
            sent: Vec::new(),
            keys: Vec::new(),
            unreadable: 0,
            accepted: 0,
            facts: 0,
            emails: 0,
            current_email,
        }
    }

    pub(crate) fn apply(&mut self, op: &Op) {
        match op {
            Op::Webhook { kind, contact } => {
                let fact = fact(*kind, contact_id(*contact).as_str(), self.facts, self.clock.now().as_second());
                self.facts += 1;
                self.unreadable += u64::from(*kind == super::ops::Kind::Unreadable);
                self.keys.extend(fact.keys);
                self.post(Bytes::from(fact.body));
            }
            Op::Duplicate { which } => {
                if let Some(body) = self.sent.get(*which % self.sent.len().max(1)).cloned() {
                    self.unreadable += u64::from(serde_json::from_slice::<serde_json::Value>(&body).is_err());
                    self.post(body);
                }
            }
            Op::Step => drop(run(self.backend.step(&self.store, &self.consumer), &self.clock)),
            Op::StepAndCrash { polls } => {
                if run_for(self.backend.step(&self.store, &self.consumer), &self.clock, *polls).is_none() {
                    // What the process knew is gone.
                    self.store = self.backend.process();
                    self.consumer = new_consumer(&self.clock, &self.store, &self.intercom, &self.klaviyo);
                }
            }
            Op::TwoSteps { pattern } => {
                let store = self.backend.process();
                let other = new_consumer(&self.clock, &store, &self.intercom, &self.klaviyo);
                let one = self.backend.step(&self.store, &self.consumer);
                run_two(one, self.backend.step(&store, &other), &self.clock, *pattern);
            }
            Op::Housekeeping => self.housekeeping(),
            Op::Wait { seconds } => self.clock.advance(Duration::from_secs(u64::from(*seconds))),
            Op::LoseRequest => self.klaviyo.push_fault(Fault::RequestLost(self.lost())),
            Op::LoseResponse => self.klaviyo.push_fault(Fault::ResponseLost(self.lost())),
            Op::LoseCommit => self.backend.push_fault(StoreFault::CommitLost),
            Op::LoseStoreAnswer => self.backend.push_fault(StoreFault::AnswerLost),
            Op::LoseQueueCall => self.backend.push_queue_fault(StoreFault::CommitLost),
            Op::LoseQueueAnswer => self.backend.push_queue_fault(StoreFault::AnswerLost),
            Op::DeliverAgain => self.backend.deliver_again(),
            Op::Throttle => {
                self.klaviyo.set_trouble(Some(CallError::Wait { vendor: Vendor::Klaviyo, until: self.in_seconds(30) }));
            }
            Op::RefuseKey => self.klaviyo.set_trouble(Some(CallError::Stopped {
                vendor: Vendor::Klaviyo,
                reason: "401".to_owned(),
                until: self.in_seconds(2),
            })),
            Op::HealKlaviyo => self.klaviyo.set_trouble(None),
            Op::BreakIntercom => self.intercom.set_trouble(Some(CallError::Unavailable {
                vendor: Vendor::Intercom,
                reason: "502".to_owned(),
                counts: false,
                until: self.in_seconds(3),
            })),
            Op::HealIntercom => self.intercom.set_trouble(None),
            Op::ChangeEmail { contact } => {
                self.emails += 1;
                self.set_email(*contact, Some(format!("new{}@sim.test", self.emails)));
            }
            Op::LoseEmail { contact } => self.set_email(*contact, None),
            Op::ContactChanged { contact } => self.tell_of_contact("contact.user.updated", *contact),
            Op::MergeTold => self.tell_of_contact("contact.merged", 0),
            Op::Merge { from, into } if from != into && *into != 1 && *from != 0 => {
                self.intercom.merge(&contact_id(*from), &contact_id(0));
            }
            Op::Merge { .. } => {}
            Op::Poison { which } => {
                if let Some(key) = self.keys.get(*which % self.keys.len().max(1)) {
                    self.klaviyo.set_poison(key, true);
                }
            }
            Op::ReplayAll => self.replay_all(),
        }
    }

    /// Law 1: everything answered 200 is in exactly one place. Law 2: nothing is there twice, and nothing unheard of.
    pub(crate) fn assert_laws(&self) {
        if B::EXACT {
            self.assert_books();
        }
        assert_eq!(self.klaviyo.doubled(), Vec::<String>::new(), "doubled");
        let known: BTreeSet<_> = self.keys.iter().collect();
        for event in self.klaviyo.stored() {
            assert!(known.contains(&event.key), "nobody expected {}", event.key);
        }
    }

    /// The first law. Where the queue counts for itself, it holds once the queue is quiet.
    fn assert_books(&self) {
        let books = run(self.backend.calm().books(), &self.clock).expect("books");
        let skipped: u64 = books.skipped.values().sum();
        assert_eq!(books.accepted, self.accepted, "accepted: {books:?}");
        assert_eq!(
            books.accepted,
            books.delivered + skipped + books.parked + books.dead + books.in_flight,
            "the books do not add up: {books:?}"
        );
    }

    /// Klaviyo refuses our key for so long. It is probed when the governor says so, and what waits is handed out when its wait ends.
    /// Gives how often one message was handed out at most.
    pub(crate) fn refuse_key_for(&self, time: Duration) -> u32 {
        let end = self.clock.now() + time;
        let mut governor = Governor::klaviyo(true);
        while self.clock.now() < end {
            let now = self.clock.now();
            if let Ok(ticket) = governor.admit(Endpoint::KlaviyoEvents, now) {
                let denied = Outcome::Denied { reason: "401".to_owned(), everywhere: true };
                governor.settle(&ticket, denied, None, now);
            }
            let until = governor.next_probe().expect("it is stopped");
            let trouble = CallError::Stopped { vendor: Vendor::Klaviyo, reason: "401".to_owned(), until };
            self.klaviyo.set_trouble(Some(trouble));
            if run(self.backend.step(&self.store, &self.consumer), &self.clock) == 0 {
                let next = self.backend.next_visible().expect("nothing is given up");
                self.clock.set(next.max(now));
            }
        }
        self.backend.most_receives()
    }

    /// How many messages wait for their contact.
    pub(crate) fn parked(&self) -> u64 {
        run(self.backend.calm().books(), &self.clock).expect("books").parked
    }

    /// Everything works again and everybody has an address: then every event is there, once, and nothing waits.
    pub(crate) fn heal_and_finish(&mut self) {
        self.klaviyo.set_trouble(None);
        self.intercom.set_trouble(None);
        self.backend.heal();
        for contact in 0..CONTACTS {
            if self.current_email[contact].is_none() {
                self.set_email(contact, Some(format!("last{contact}@sim.test")));
            }
        }
        for key in &self.keys {
            self.klaviyo.set_poison(key, false);
        }
        for round in 0..6 {
            self.drain();
            self.housekeeping();
            // A daily sweep finds what is parked, also under another contact's id.
            self.clock.advance(Duration::from_secs(25 * 3600));
            self.housekeeping();
            self.drain();
            if round < 3 {
                self.replay_all();
            }
        }
        self.assert_laws();
        self.assert_books();
        let books = run(self.backend.calm().books(), &self.clock).expect("books");
        assert_eq!((books.in_flight, books.parked), (0, 0), "something still waits: {books:?}");
        assert_eq!(books.dead, self.unreadable, "dead letters: {books:?}");
        let there: BTreeSet<String> = self.klaviyo.stored().into_iter().map(|event| event.key).collect();
        let wanted: BTreeSet<String> = self.keys.iter().cloned().collect();
        assert_eq!(there, wanted, "what is in Klaviyo is not what should be");
        let counted: u64 = books.metrics.iter().map(|metric| metric.delivered).sum();
        assert_eq!(counted, wanted.len() as u64, "metrics count each event once");
    }

    fn drain(&self) {
        self.backend.drain(&self.store, &self.consumer, &self.clock);
    }

    fn tell_of_contact(&mut self, topic: &str, contact: usize) {
        self.facts += 1;
        let email = self.current_email[contact].as_deref();
        let at = self.clock.now().as_second();
        self.post(Bytes::from(contact_topic(topic, contact_id(contact).as_str(), email, self.facts, at)));
    }

    fn housekeeping(&self) {
        let retention = Retention { recent_events: 1000, ledger: None };
        let rules = Arc::new(Rules::default());
        let store = self.backend.calm();
        let keeper = Housekeeper::new(store, self.intercom.clone(), self.clock.clone(), rules, retention);
        run(keeper.tick(), &self.clock);
    }

    fn replay_all(&self) {
        let calm = self.backend.calm();
        let page = run(calm.dead_letters(None, 1000), &self.clock).expect("page");
        for letter in page.items {
            // A replay that dies half-way is the store's to mend.
            match run(calm.replay(&letter.id), &self.clock) {
                Ok(replayed) => assert!(replayed),
                Err(error) => assert!(!B::EXACT, "{error}"),
            }
        }
    }

    fn post(&mut self, body: Bytes) {
        let mut headers = HeaderMap::new();
        let signature = HeaderValue::from_str(&sign_hub(&self.secrets, &body)).expect("a header");
        headers.insert("x-hub-signature", signature);
        let receive = || run(self.receiver.receive(&headers, body.clone()), &self.clock);
        let answer = self.backend.with_calm_queue(receive);
        assert_eq!(answer.status, 200);
        self.accepted += 1;
        self.sent.push(body);
    }

    fn set_email(&mut self, contact: usize, email: Option<String>) {
        self.intercom.set_email(&contact_id(contact), email.as_deref());
        self.current_email[contact] = email;
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
        self.clock.now().checked_add(jiff::SignedDuration::from_secs(seconds)).expect("in range")
    }
}

fn new_consumer<S: app::ports::ConsumerStore + Clone>(
    clock: &ManualClock,
    store: &S,
    intercom: &FakeIntercom,
    klaviyo: &FakeKlaviyo,
) -> SimConsumer<S> {
    let deps = Deps {
        store: store.clone(),
        intercom: intercom.clone(),
        klaviyo: klaviyo.clone(),
        clock: clock.clone(),
        jitter: NoJitter,
    };
    Consumer::new(deps, Arc::new(Rules::default()), ConsumerOptions::default())
}
