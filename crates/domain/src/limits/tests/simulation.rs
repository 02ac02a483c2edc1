//! The governor against a vendor with fixed windows of unknown phase, over a network that delays every request by another
//! time. Nothing sleeps: moments are microseconds in a heap.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::*;

const MS: u64 = 1_000;
const SEC: u64 = 1_000 * MS;
const SEEDS: u64 = 40;

fn moment(us: u64) -> Timestamp {
    Timestamp::from_microsecond(1_700_000_000_000_000 + i64::try_from(us).expect("small")).expect("in range")
}

fn micros(at: Timestamp) -> u64 {
    u64::try_from(at.as_microsecond() - 1_700_000_000_000_000).expect("after the start")
}

struct Random(u64);

impl Random {
    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn within(&mut self, range: std::ops::Range<u64>) -> u64 {
        range.start + self.next() % (range.end - range.start)
    }
}

/// One fixed window of the vendor.
struct Fixed {
    most: u32,
    span: u64,
    phase: u64,
    number: u64,
    used: u32,
}

impl Fixed {
    fn new(most: u32, span: u64, random: &mut Random) -> Self {
        Self { most, span, phase: random.within(0..span), number: 0, used: 0 }
    }

    /// What is left, and when the window ends.
    fn look(&mut self, now: u64) -> (u32, u64) {
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
struct Result {
    accepted: Vec<u64>,
    refused: u32,
    others: u32,
    early: u32,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Wake,
    Other,
    Arrives(u64),
    Answered(u64),
}

fn run(seed: u64, setting: &Setting) -> Result {
    let mut random = Random(seed);
    let mut windows = [Fixed::new(10, SEC, &mut random), Fixed::new(150, 60 * SEC, &mut random)];
    let round_up = random.within(0..2) == 1;
    let mut governor = Governor::klaviyo(true);
    let (mut result, mut heap) = (Result::default(), BinaryHeap::from([Reverse((0, Event::Wake))]));
    let (mut tickets, mut answers) = (std::collections::HashMap::new(), std::collections::HashMap::new());
    let (mut told_until, mut wake) = (0, 0);
    if setting.others > 0 {
        heap.push(Reverse((random.within(0..SEC), Event::Other)));
    }
    while let Some(Reverse((now, event))) = heap.pop() {
        if now > setting.seconds * SEC {
            break;
        }
        match event {
            Event::Wake => {}
            Event::Other => {
                // The other app is refused as well when a window is full, and comes back.
                let room = windows.iter_mut().all(|window| window.look(now).0 > 0);
                if room {
                    windows.iter_mut().for_each(|window| window.used += 1);
                    result.others += 1;
                }
                let mean = 60 * SEC / setting.others;
                heap.push(Reverse((now + random.within(mean / 2..mean * 3 / 2), Event::Other)));
            }
            Event::Arrives(id) => {
                let full = windows.iter_mut().filter_map(|window| match window.look(now) {
                    (0, ends) => Some(ends),
                    _ => None,
                });
                let whole = |us: u64| if round_up { us.div_ceil(SEC) } else { us / SEC };
                let answer = match full.max() {
                    Some(ends) => (Outcome::Throttled(Some(s((ends - now).div_ceil(SEC)))), Quota::default()),
                    None => {
                        windows.iter_mut().for_each(|window| window.used += 1);
                        let (left, ends) = windows[1].look(now);
                        let reset = whole(ends - now).to_string();
                        let left = left.to_string();
                        let header = |name: &str| match name {
                            "ratelimit-limit" => Some("10, 10;w=1, 150;w=60"),
                            "ratelimit-remaining" => Some(left.as_str()),
                            "ratelimit-reset" => Some(reset.as_str()),
                            _ => None,
                        };
                        let quota = quota::read(
                            Endpoint::KlaviyoBulk,
                            |name| setting.headers.then(|| header(name))?,
                            moment(now),
                        );
                        (Outcome::Answered, quota)
                    }
                };
                match answer.0 {
                    Outcome::Answered => result.accepted.push(now),
                    _ => result.refused += 1,
                }
                answers.insert(id, (now, answer));
                heap.push(Reverse((now + random.within(setting.latency.clone()), Event::Answered(id))));
            }
            Event::Answered(id) => {
                let ticket: Ticket = tickets.remove(&id).expect("sent");
                let (arrived, (outcome, quota)) = answers.remove(&id).expect("answered");
                if let Outcome::Throttled(Some(wait)) = &outcome {
                    told_until = told_until.max(arrived + u64::try_from(wait.as_micros()).expect("small"));
                }
                governor.settle(&ticket, outcome, Some(quota), moment(now));
            }
        }
        while tickets.len() < setting.concurrency {
            match governor.admit(Endpoint::KlaviyoBulk, moment(now)) {
                Ok(ticket) => {
                    result.early += u32::from(now < told_until);
                    heap.push(Reverse((now + random.within(setting.latency.clone()), Event::Arrives(ticket.id))));
                    tickets.insert(ticket.id, ticket);
                }
                Err(hold) => {
                    let until = if hold.kind == HoldKind::Probing { now + 20 * MS } else { micros(hold.until) };
                    if wake <= now || until < wake {
                        wake = until.max(now + 1);
                        heap.push(Reverse((wake, Event::Wake)));
                    }
                    break;
                }
            }
        }
    }
    result
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
    eprintln!("sent {sent} refused {refused} least {least} of 4500");
}
