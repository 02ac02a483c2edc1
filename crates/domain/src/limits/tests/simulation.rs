//! The governor against a vendor with fixed windows of unknown phase, over a network that delays every request by another
//! time. Nothing sleeps: moments are microseconds in a heap.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use super::*;

pub(super) const MS: u64 = 1_000;
pub(super) const SEC: u64 = 1_000 * MS;
const SEEDS: u64 = 15;

pub(super) fn moment(us: u64) -> Timestamp {
    Timestamp::from_microsecond(1_700_000_000_000_000 + i64::try_from(us).expect("small")).expect("in range")
}

pub(super) fn micros(at: Timestamp) -> u64 {
    u64::try_from(at.as_microsecond() - 1_700_000_000_000_000).expect("after the start")
}

pub(super) struct Random(pub(super) u64);

impl Random {
    /// SplitMix64.
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(super) fn within(&mut self, range: std::ops::Range<u64>) -> u64 {
        range.start + self.next() % (range.end - range.start)
    }
}

/// One fixed window of the vendor.
pub(super) struct Fixed {
    most: u32,
    span: u64,
    phase: u64,
    number: u64,
    pub(super) used: u32,
}

impl Fixed {
    pub(super) fn new(most: u32, span: u64, random: &mut Random) -> Self {
        Self { most, span, phase: random.within(0..span), number: 0, used: 0 }
    }

    /// What is left, and when the window ends.
    pub(super) fn look(&mut self, now: u64) -> (u32, u64) {
        let number = (now + self.phase) / self.span;
        if number != self.number {
            (self.number, self.used) = (number, 0);
        }
        (self.most - self.used, (number + 1) * self.span - self.phase)
    }
}

struct Setting {
    seconds: u64,
    /// Network and processing, each way.
    latency: std::ops::Range<u64>,
    /// Requests of another app in a minute.
    others: u64,
    /// Whether answers carry `RateLimit-*`.
    headers: bool,
    concurrency: usize,
}

impl Default for Setting {
    fn default() -> Self {
        Self { seconds: 600, latency: 5 * MS..120 * MS, others: 0, headers: true, concurrency: 32 }
    }
}

#[derive(Debug, Default)]
struct Tally {
    /// When each of ours was accepted.
    accepted: Vec<u64>,
    refused: u32,
    /// Those of the other app that were accepted.
    others: u32,
    /// Sent before a wait that we were told had run out.
    early: u32,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Wake,
    Other,
    Arrives(u64),
    Answered(u64),
}

/// The vendor, the network, and us.
struct World<'a> {
    setting: &'a Setting,
    random: Random,
    now: u64,
    heap: BinaryHeap<Reverse<(u64, Event)>>,
    windows: [Fixed; 2],
    /// Whether `RateLimit-Reset` is rounded up.
    round_up: bool,
    /// When each was decided on, and how.
    answers: HashMap<u64, (u64, Outcome, Quota)>,
    governor: Governor,
    tickets: HashMap<u64, Ticket>,
    wake: u64,
    told_until: u64,
    tally: Tally,
}

fn run(seed: u64, setting: &Setting) -> Tally {
    let mut random = Random(seed);
    let mut world = World {
        windows: [Fixed::new(10, SEC, &mut random), Fixed::new(150, 60 * SEC, &mut random)],
        round_up: random.within(0..2) == 1,
        setting,
        random,
        now: 0,
        heap: BinaryHeap::from([Reverse((0, Event::Wake))]),
        answers: HashMap::new(),
        governor: Governor::klaviyo(true),
        tickets: HashMap::new(),
        wake: 0,
        told_until: 0,
        tally: Tally::default(),
    };
    if setting.others > 0 {
        world.after(SEC, Event::Other);
    }
    while let Some(Reverse((now, event))) = world.heap.pop() {
        if now > setting.seconds * SEC {
            break;
        }
        world.now = now;
        match event {
            Event::Wake => {}
            Event::Other => world.other(),
            Event::Arrives(id) => world.arrives(id),
            Event::Answered(id) => world.answered(id),
        }
        world.send();
    }
    world.tally
}

impl World<'_> {
    fn after(&mut self, delay: u64, event: Event) {
        self.heap.push(Reverse((self.now + delay, event)));
    }

    /// The other app is refused as well when a window is full, and comes back.
    fn other(&mut self) {
        if self.windows.iter_mut().all(|window| window.look(self.now).0 > 0) {
            self.windows.iter_mut().for_each(|window| window.used += 1);
            self.tally.others += 1;
        }
        let mean = 60 * SEC / self.setting.others;
        let delay = self.random.within(mean / 2..mean * 3 / 2);
        self.after(delay, Event::Other);
    }

    /// One of ours reaches the vendor.
    fn arrives(&mut self, id: u64) {
        let full = self.windows.iter_mut().map(|window| window.look(self.now)).filter(|(left, _)| *left == 0);
        let answer = match full.map(|(_, ends)| ends).max() {
            Some(ends) => {
                self.tally.refused += 1;
                (self.now, Outcome::Throttled(Some(s((ends - self.now).div_ceil(SEC)))), Quota::default())
            }
            None => {
                self.windows.iter_mut().for_each(|window| window.used += 1);
                self.tally.accepted.push(self.now);
                (self.now, Outcome::Answered, self.quota())
            }
        };
        self.answers.insert(id, answer);
        let delay = self.random.within(self.setting.latency.clone());
        self.after(delay, Event::Answered(id));
    }

    fn quota(&mut self) -> Quota {
        let (left, ends) = self.windows[1].look(self.now);
        let rest = ends - self.now;
        let reset = if self.round_up { rest.div_ceil(SEC) } else { rest / SEC }.to_string();
        let left = left.to_string();
        let header = |name: &str| match name {
            "ratelimit-limit" => Some("10, 10;w=1, 150;w=60"),
            "ratelimit-remaining" => Some(left.as_str()),
            "ratelimit-reset" => Some(reset.as_str()),
            _ => None,
        };
        let headers = self.setting.headers;
        quota::read(Endpoint::KlaviyoBulk, |name| headers.then(|| header(name))?, moment(self.now))
    }

    /// The answer reaches us.
    fn answered(&mut self, id: u64) {
        let ticket = self.tickets.remove(&id).expect("sent");
        let (decided, outcome, quota) = self.answers.remove(&id).expect("answered");
        if let Outcome::Throttled(Some(wait)) = &outcome {
            self.told_until = self.told_until.max(decided + u64::try_from(wait.as_micros()).expect("small"));
        }
        self.governor.settle(&ticket, outcome, Some(quota), moment(self.now));
    }

    /// We send whatever is allowed.
    fn send(&mut self) {
        while self.tickets.len() < self.setting.concurrency {
            match self.governor.admit(Endpoint::KlaviyoBulk, moment(self.now)) {
                Ok(ticket) => {
                    self.tally.early += u32::from(self.now < self.told_until);
                    let delay = self.random.within(self.setting.latency.clone());
                    self.after(delay, Event::Arrives(ticket.id));
                    self.tickets.insert(ticket.id, ticket);
                }
                Err(hold) => return self.wake_at(&hold),
            }
        }
    }

    fn wake_at(&mut self, hold: &Hold) {
        let until = if hold.kind == HoldKind::Probing { self.now + 20 * MS } else { micros(hold.until) };
        if self.wake <= self.now || until < self.wake {
            self.wake = until.max(self.now + 1);
            self.heap.push(Reverse((self.wake, Event::Wake)));
        }
    }
}

#[test]
fn no_refusal_and_nearly_the_full_rate_alone() {
    for seed in 0..SEEDS {
        for headers in [true, false] {
            let result = run(seed, &Setting { headers, ..Setting::default() });
            assert_eq!(result.refused, 0, "seed {seed}, headers {headers}");
            assert!(result.accepted.len() >= 1_500 * 95 / 100, "seed {seed}: {}", result.accepted.len());
        }
    }
}

#[test]
fn a_hundred_bulk_requests_take_less_than_twelve_seconds() {
    for seed in 0..SEEDS {
        let result = run(seed, &Setting { seconds: 30, ..Setting::default() });
        assert!(result.accepted[99] <= 12 * SEC, "seed {seed}: {} ms", result.accepted[99] / MS);
        assert_eq!(result.refused, 0, "seed {seed}");
    }
}

#[test]
fn slow_answers_cost_neither_refusals_nor_rate() {
    for seed in 0..SEEDS {
        let result = run(seed, &Setting { latency: 500 * MS..1_400 * MS, ..Setting::default() });
        assert_eq!(result.refused, 0, "seed {seed}");
        assert!(result.accepted.len() >= 1_500 * 95 / 100, "seed {seed}: {}", result.accepted.len());
    }
}

#[test]
fn another_app_that_eats_half_the_budget_is_left_its_half() {
    let (mut sent, mut refused, mut least) = (0, 0, usize::MAX);
    for seed in 0..SEEDS {
        let result = run(seed, &Setting { others: 75, seconds: 1_800, ..Setting::default() });
        assert_eq!(result.early, 0, "seed {seed}: sent before a told wait ran out");
        sent += result.accepted.len();
        refused += result.refused as usize;
        least = least.min(result.accepted.len() + result.others as usize);
    }
    assert!(refused * 500 <= sent, "{refused} of {sent} refused");
    assert!(least * 100 >= 4_500 * 95, "both together sent {least} of 4500");
}
