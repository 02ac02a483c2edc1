//! kill -9, again and again, at any moment, under load, while both vendors fail now and then: nothing lost, nothing doubled.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use sandbox::intercom::{Acted, Category, IntercomSandbox};
use sandbox::scenario::ExpectedEvent;
use sandbox::{Fault, FaultKind, Faults, Matcher, Times};
use tests::http::Connection;

use crate::support::{HOOK, PARKING, PREFIX, World};

const ROUNDS: u32 = 16;
const ROUND_EVENTS: usize = 40;
/// Decides when it is killed and what fails.
const SEED: u64 = 20_260_801;

/// Numbers that look random and are the same every time (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % end
    }
}

/// What Intercom has to say, and who takes it.
#[derive(Default)]
struct Mail {
    waiting: Mutex<VecDeque<(Vec<u8>, String)>>,
    address: Mutex<String>,
    /// Answered 200.
    accepted: AtomicU64,
    /// Sent, and never answered.
    unanswered: AtomicU64,
    done: AtomicBool,
}

impl Mail {
    /// Posts until told to stop. What is not answered 200 is sent again, as Intercom and its operators would.
    fn carry(&self) {
        let mut connection: Option<(String, Connection)> = None;
        while !self.done.load(Ordering::Relaxed) {
            let Some((body, signature)) = self.waiting.lock().expect("whole").pop_front() else {
                std::thread::sleep(Duration::from_millis(5));
                continue;
            };
            let address = self.address.lock().expect("whole").clone();
            if connection.as_ref().is_none_or(|(host, _)| *host != address) {
                connection = Connection::open(&address).ok().map(|opened| (address.clone(), opened));
            }
            let sent = connection.as_mut().map(|(_, open)| {
                open.send("POST", HOOK, &[("x-hub-signature", &signature), ("content-type", "application/json")], &body)
            });
            match sent {
                Some(Ok(answer)) if answer.status == 200 => {
                    self.accepted.fetch_add(1, Ordering::Relaxed);
                }
                Some(Ok(_)) => self.again(body, signature),
                Some(Err(_)) => {
                    self.unanswered.fetch_add(1, Ordering::Relaxed);
                    connection = None;
                    self.again(body, signature);
                }
                None => self.again(body, signature),
            }
        }
    }

    fn again(&self, body: Vec<u8>, signature: String) {
        self.waiting.lock().expect("whole").push_front((body, signature));
        std::thread::sleep(Duration::from_millis(20));
    }

    fn is_empty(&self) -> bool {
        self.waiting.lock().expect("whole").is_empty()
    }
}

/// A day's work: what happens, and what Klaviyo should hold of it.
struct Shop<'a> {
    intercom: &'a IntercomSandbox,
    contacts: Vec<(String, String)>,
    expected: Vec<ExpectedEvent>,
    time: i64,
}

impl Shop<'_> {
    /// One conversation or ticket; its notifications.
    fn something_happens(&mut self, number: usize) -> Vec<Vec<u8>> {
        let (contact, email) = self.contacts[number % self.contacts.len()].clone();
        self.time += 1;
        let intercom = self.intercom.at(self.time);
        if number.is_multiple_of(3) {
            let created = intercom.create_ticket(&contact, "Order problem", "Wrong size").expect("is made");
            let first = created.parts.iter().find(|part| part.state.is_some()).expect("a state part").clone();
            self.expect("Created Ticket", format!("ticket-created:{}", created.id), first.at, &email);
            self.expect("Submitted Ticket", format!("ticket-submitted:{}:{}", created.id, first.id), first.at, &email);
            self.time = first.at + 1;
            let resolved =
                self.intercom.at(self.time).set_ticket_state(&created.id, Category::Resolved).expect("moves");
            let part = resolved.parts.iter().find(|part| part.state.is_some()).expect("a state part").clone();
            self.expect("Resolved Ticket", format!("ticket-resolved:{}:{}", created.id, part.id), part.at, &email);
            return bodies([created, resolved]);
        }
        let started = intercom.start_conversation(&contact, "Where is my parcel?").expect("starts");
        self.expect("Created Conversation", format!("conversation-created:{}", started.id), started.at, &email);
        bodies([started])
    }

    fn expect(&mut self, metric: &str, rest: String, time: i64, email: &str) {
        let key = format!("intercom:{}:{rest}", self.intercom.workspace_id());
        let email = Some(email.to_owned());
        self.expected.push(ExpectedEvent { metric: metric.to_owned(), key, time, email, phone: None });
    }
}

fn bodies(acted: impl IntoIterator<Item = Acted>) -> Vec<Vec<u8>> {
    acted.into_iter().flat_map(|acted| acted.notifications).map(|notification| notification.body).collect()
}

fn trouble(faults: &Faults, path: &str, seed: u64) {
    let kinds = [
        (FaultKind::Before, 0.05),
        (FaultKind::After, 0.10),
        (FaultKind::status(500), 0.05),
        (FaultKind::slow(Duration::from_millis(150)), 0.30),
    ];
    for (number, (kind, share)) in kinds.into_iter().enumerate() {
        let times = Times::Probability { share, seed: seed + number as u64 };
        faults.push(Fault { on: Matcher::path(path), kind, times });
    }
}

#[test]
fn killed_again_and_again_nothing_is_lost_and_nothing_doubled() {
    let mut world = World::vendors();
    let names = ["Ada Byron", "Bruno Costa", "Chloe Durand", "Dmitri Orlov", "Emeka Obi", "Freya Lind", "Hana Kimura"];
    let contacts = names.map(|name| {
        let email = format!("{}@customers.sandbox-shop.co", name.to_lowercase().replace(' ', "."));
        (world.customer(name), email)
    });
    trouble(world.sandbox.klaviyo().faults(), "/api/", SEED);
    trouble(world.sandbox.intercom().faults(), "/contacts/", SEED + 10);
    let intercom = world.sandbox.intercom().clone();
    let mut shop =
        Shop { intercom: &intercom, contacts: contacts.to_vec(), expected: Vec::new(), time: world.now() - 80_000 };
    let mut numbers = Numbers(SEED);
    let mail = Mail::default();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| mail.carry());
        }
        // Whatever goes wrong here, the carriers have to end, or the scope never does.
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for round in 0..ROUNDS {
                world.run();
                *mail.address.lock().expect("whole") = world.address().to_owned();
                // Only what the test posts itself: Intercom's two tries would not outlast this.
                intercom.clear_webhook();
                for number in 0..ROUND_EVENTS {
                    let bodies = shop.something_happens(number + round as usize);
                    let mut waiting = mail.waiting.lock().expect("whole");
                    waiting.extend(bodies.into_iter().map(|body| (body.clone(), world.signature(&body))));
                }
                std::thread::sleep(Duration::from_millis(numbers.below(1_200)));
                world.kill();
            }
            world.run();
            *mail.address.lock().expect("whole") = world.address().to_owned();
            intercom.clear_webhook();
            world.sandbox.klaviyo().faults().clear();
            world.sandbox.intercom().faults().clear();
            tests::wait::until("all mail is delivered", PARKING, || mail.is_empty().then_some(()));
        }));
        mail.done.store(true, Ordering::Relaxed);
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
    });

    world.holds_exactly(&shop.expected, PREFIX, PARKING);
    let status = world.wait_until_quiet(PARKING);
    let accepted = status["accepted"].as_u64().expect("a number");
    let (answered, unanswered) = (mail.accepted.load(Ordering::Relaxed), mail.unanswered.load(Ordering::Relaxed));
    assert!(
        (answered..=answered + unanswered).contains(&accepted),
        "{accepted} accepted, {answered} answered 200, {unanswered} never answered"
    );
    assert_eq!((&status["dead"], &status["parked"]), (&0.into(), &0.into()), "{status}");
    let sent: u64 =
        status["metrics"].as_array().expect("a list").iter().filter_map(|one| one["delivered"].as_u64()).sum();
    assert_eq!(sent, shop.expected.len() as u64, "each event is counted once: {status}");
    world.finish();
}

#[test]
fn a_kill_between_send_and_settlement_repeats_the_send_under_the_same_key() {
    let mut world = World::start();
    let ada = world.customer("Ada Byron");
    // Klaviyo has it, and we never hear so.
    world.sandbox.klaviyo().faults().push(Fault::times(Matcher::path("/api/"), FaultKind::After, 1));
    let id = world.sandbox.intercom().start_conversation(&ada, "Where is my parcel?").expect("starts").id;
    world.wait_for_events(1, PARKING);
    world.kill();
    world.run();
    let status = world.wait_for_end(1, PARKING);
    assert_eq!(status["delivered"], 1, "{status}");
    assert_eq!(world.sandbox.klaviyo().event_count(), 1);
    assert!(world.has_event(&format!("conversation-created:{id}")));
    world.finish();
}
