//! Several governors over one document against a vendor with fixed windows of unknown phase. Requests, loads and saves take
//! random times; holders crash; the answer of a save gets lost, or comes from a store that repeated the save by itself.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use super::simulation::{Fixed, MS, Random, SEC, micros, moment};
use super::*;

mod stories;

/// A holder knows what a sibling was told after the sibling's save and one lease.
const KNOWN_WITHIN: u64 = 2_600 * MS;

struct Setting {
    endpoint: Endpoint,
    windows: &'static [(u32, u64)],
    holders: usize,
    /// Requests that a holder has under way or waiting.
    concurrency: u32,
    seconds: u64,
    latency: std::ops::Range<u64>,
    /// Requests of another app in a minute.
    others: u64,
    /// A holder crashes about once in so many seconds and comes back as a new one.
    crash_every: u64,
    /// Of a thousand saves so many seem to fail and do not.
    lost_saves: u64,
    /// Between these moments the vendor refuses everything.
    refuses: (u64, u64),
}

impl Default for Setting {
    fn default() -> Self {
        Self {
            endpoint: Endpoint::KlaviyoBulk,
            windows: &[(10, SEC), (150, 60 * SEC)],
            holders: 4,
            concurrency: 2,
            seconds: 600,
            latency: 5 * MS..120 * MS,
            others: 0,
            crash_every: 0,
            lost_saves: 0,
            refuses: (0, 0),
        }
    }
}

#[derive(Debug, Default)]
struct Tally {
    accepted: usize,
    by_holder: HashMap<usize, usize>,
    refused: usize,
    others: usize,
    /// Sent although the wait was known for [`KNOWN_WITHIN`], or by the very holder that was told.
    early: usize,
    loads: usize,
    saves: usize,
    longest_text: usize,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Wake(usize),
    Loaded(usize, u64),
    Saved(usize, u64, bool),
    Arrives(u64),
    Answered(u64),
    Other,
    Crash,
}

struct Holder {
    governor: Governor,
    /// Grows with each crash: what was under way then is nobody's business any more.
    life: u64,
    plan: Option<Plan>,
    renewing: bool,
    flying: u32,
    wake: u64,
    told_until: u64,
}

struct Flying {
    holder: usize,
    life: u64,
    ticket: Ticket,
    answer: Option<(Outcome, Quota)>,
}

struct World<'a> {
    setting: &'a Setting,
    random: Random,
    now: u64,
    heap: BinaryHeap<Reverse<(u64, Event)>>,
    windows: Vec<Fixed>,
    holders: Vec<Holder>,
    flying: HashMap<u64, Flying>,
    next: u64,
    document: Option<(u64, String)>,
    /// Told waits: since when the first holder knows, and until when.
    told: Vec<(u64, u64)>,
    tally: Tally,
}

fn holder(setting: &Setting, name: u64, life: u64) -> Holder {
    let name = format!("{name:08x}");
    let mut governor = match setting.endpoint {
        Endpoint::IntercomOther => Governor::intercom_shared(&name, "key"),
        _ => Governor::klaviyo_shared(&name, "key"),
    };
    (0..setting.concurrency).for_each(|_| governor.waits(setting.endpoint));
    Holder { governor, life, plan: None, renewing: false, flying: 0, wake: 0, told_until: 0 }
}

fn run(seed: u64, setting: &Setting) -> Tally {
    let mut random = Random(seed);
    let mut world = World {
        windows: setting.windows.iter().map(|(most, span)| Fixed::new(*most, *span, &mut random)).collect(),
        holders: (0..setting.holders).map(|_| holder(setting, random.next() >> 32, 0)).collect(),
        heap: BinaryHeap::new(),
        setting,
        random,
        now: 0,
        flying: HashMap::new(),
        next: 0,
        document: None,
        told: Vec::new(),
        tally: Tally::default(),
    };
    for index in 0..setting.holders {
        let at = world.random.within(0..SEC);
        world.heap.push(Reverse((at, Event::Wake(index))));
    }
    if setting.others > 0 {
        world.after(SEC, Event::Other);
    }
    if setting.crash_every > 0 {
        world.after(SEC, Event::Crash);
    }
    while let Some(Reverse((now, event))) = world.heap.pop() {
        if now > setting.seconds * SEC {
            break;
        }
        world.now = now;
        match event {
            Event::Wake(index) => world.send(index),
            Event::Loaded(index, life) => world.loaded(index, life),
            Event::Saved(index, life, known) => world.saved(index, life, known),
            Event::Arrives(id) => world.arrives(id),
            Event::Answered(id) => world.answered(id),
            Event::Other => world.other(),
            Event::Crash => world.crash(),
        }
    }
    world.tally
}

impl World<'_> {
    fn after(&mut self, delay: u64, event: Event) {
        self.heap.push(Reverse((self.now + delay, event)));
    }

    fn send(&mut self, index: usize) {
        let endpoint = self.setting.endpoint;
        while self.holders[index].flying < self.setting.concurrency {
            let holder = &mut self.holders[index];
            if holder.renewing {
                return;
            }
            if holder.governor.has_news() {
                return self.renew(index);
            }
            match holder.governor.admit(endpoint, moment(self.now)) {
                Ok(ticket) => {
                    holder.flying += 1;
                    holder.governor.waits_no_more(endpoint);
                    let told = |(since, until): &(u64, u64)| (since + KNOWN_WITHIN..*until).contains(&self.now);
                    self.tally.early += usize::from(self.now < holder.told_until || self.told.iter().any(told));
                    let life = holder.life;
                    self.flying.insert(self.next, Flying { holder: index, life, ticket, answer: None });
                    let delay = self.random.within(self.setting.latency.clone());
                    self.after(delay, Event::Arrives(self.next));
                    self.next += 1;
                }
                Err(hold) if hold.kind == HoldKind::Lease => return self.renew(index),
                Err(hold) => return self.wake_at(index, &hold),
            }
        }
    }

    fn wake_at(&mut self, index: usize, hold: &Hold) {
        let until = if hold.kind == HoldKind::Probing { self.now + 20 * MS } else { micros(hold.until) };
        let until = until.max(self.now + 1) + self.random.within(0..100 * MS);
        let holder = &mut self.holders[index];
        if holder.wake <= self.now || until < holder.wake {
            holder.wake = until;
            self.heap.push(Reverse((until, Event::Wake(index))));
        }
    }

    fn renew(&mut self, index: usize) {
        self.holders[index].renewing = true;
        let (delay, life) = (self.random.within(2 * MS..30 * MS), self.holders[index].life);
        self.after(delay, Event::Loaded(index, life));
    }

    /// What was loaded is as old as the way back was long.
    fn loaded(&mut self, index: usize, life: u64) {
        if self.holders[index].life != life {
            return;
        }
        self.tally.loads += 1;
        let (version, text) = self.document.clone().unzip();
        let plan = self.holders[index].governor.plan(text.as_deref(), moment(self.now)).expect("shared");
        assert_eq!(plan.unreadable, None);
        let Some(text) = plan.text.clone() else {
            self.holders[index].plan = Some(plan);
            return self.saved(index, life, true);
        };
        // The save arrives before anybody else's next one or after it.
        self.tally.saves += 1;
        self.tally.longest_text = self.tally.longest_text.max(text.len());
        let raced = self.random.within(0..100) < 5;
        let committed = !raced && self.document.as_ref().map(|(version, _)| *version) == version;
        let lost = self.random.within(0..1_000) < self.setting.lost_saves;
        if committed {
            self.document = Some((version.unwrap_or(0) + 1, text));
        }
        let delay = self.random.within(2 * MS..30 * MS);
        self.holders[index].plan = (committed && !lost).then_some(plan);
        self.after(delay, Event::Saved(index, life, !lost));
    }

    fn saved(&mut self, index: usize, life: u64, known: bool) {
        let holder = &mut self.holders[index];
        if holder.life != life {
            return;
        }
        holder.renewing = false;
        match holder.plan.take() {
            Some(plan) => holder.governor.adopt(plan),
            // Not saved, as far as we know: at once again, or after a while.
            None if known => return self.renew(index),
            None => return self.after(500 * MS, Event::Wake(index)),
        }
        self.send(index);
    }

    fn arrives(&mut self, id: u64) {
        let full = self.windows.iter_mut().map(|window| window.look(self.now)).filter(|(left, _)| *left == 0);
        let (from, to) = self.setting.refuses;
        let closed = (from..to).contains(&self.now).then_some(to);
        let answer = match full.map(|(_, ends)| ends).max().max(closed) {
            Some(ends) => {
                self.tally.refused += 1;
                (Outcome::Throttled(Some(s((ends - self.now).div_ceil(SEC)))), Quota::default())
            }
            None => {
                self.windows.iter_mut().for_each(|window| window.used += 1);
                self.tally.accepted += 1;
                *self.tally.by_holder.entry(self.flying[&id].holder).or_default() += 1;
                let (left, ends) = self.windows.last_mut().expect("one").look(self.now);
                let resets_in = Some(s((ends - self.now).div_ceil(SEC)));
                (Outcome::Answered, Quota { remaining: Some(left), resets_in, ..Quota::default() })
            }
        };
        self.flying.get_mut(&id).expect("sent").answer = Some(answer);
        let delay = self.random.within(self.setting.latency.clone());
        self.after(delay, Event::Answered(id));
    }

    fn answered(&mut self, id: u64) {
        let Flying { holder: index, life, ticket, answer } = self.flying.remove(&id).expect("sent");
        let holder = &mut self.holders[index];
        if holder.life != life {
            return;
        }
        let (outcome, quota) = answer.expect("decided");
        holder.flying -= 1;
        holder.governor.waits(self.setting.endpoint);
        if let Outcome::Throttled(Some(wait)) = &outcome {
            let until = self.now + u64::try_from(wait.as_micros()).expect("small");
            holder.told_until = holder.told_until.max(until);
            self.told.push((self.now, until));
        }
        holder.governor.settle(&ticket, outcome, Some(quota), moment(self.now));
        self.send(index);
    }

    fn other(&mut self) {
        if self.windows.iter_mut().all(|window| window.look(self.now).0 > 0) {
            self.windows.iter_mut().for_each(|window| window.used += 1);
            self.tally.others += 1;
        }
        let mean = 60 * SEC / self.setting.others;
        let delay = self.random.within(mean / 2..mean * 3 / 2);
        self.after(delay, Event::Other);
    }

    fn crash(&mut self) {
        let index = usize::try_from(self.random.within(0..self.setting.holders as u64)).expect("small");
        let (name, life) = (self.random.next() >> 32, self.holders[index].life + 1);
        self.holders[index] = holder(self.setting, name, life);
        self.after(SEC, Event::Wake(index));
        let mean = self.setting.crash_every * SEC;
        let delay = self.random.within(mean / 2..mean * 3 / 2);
        self.after(delay, Event::Crash);
    }
}
