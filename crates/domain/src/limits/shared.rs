//! One document for all processes that call a vendor: who may send how much, and what the vendor told any of them.
//!
//! Each process is a *holder* with a *lease* of [`LEASE`]: places in the long window, a share of the short one (see
//! [`group`]), and the gate as it was. A process that sends asks for a new lease only when its own is used up or over, so a
//! batch of ten events costs one read and one write of a document that stays below a kilobyte.
//!
//! - **A holder dies**: its places and its share run out by themselves.
//! - **The answer of a save is lost**: a lease has a number. One that is found in the document and unknown to its holder was
//!   never used; its number says what the holder had reported by then.
//! - **A refusal** (429, a bad key, failures in a row, a probe's answer) is written at once; siblings see it with their next
//!   lease, so at most [`LEASE`] later, and requests that were on their way change nothing.
//! - **One probe at a time**: the document says whose it is, and until when the others wait for it if it dies.
//! - **Clocks** of the processes may differ by the guard of the windows (5 ms and a thousandth; clocks of functions on AWS
//!   differ by less than 1 ms). A document from a clock that is more than a second ahead is read as if it were of now: its
//!   lengths are kept, its moments are not.
//! - **Versions**: the document has the fields of version 1, which knew told waits only, and unknown fields are left aside.
//!   One that cannot be read counts as if all places were taken.

pub(super) mod group;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::gate::{DefaultWait, Gate, GateRecord};
use super::{Endpoint, Outcome, SAVED_VERSION, Ticket};
use group::{Group, Observation, TICK, Terms, Tick, share_lingers, tick};

/// How long a lease is valid. Also the longest time for which a holder may not know what a sibling was told.
pub(super) const LEASE: Tick = 20;

/// Whole seconds of a lease: with a share of one a second so many places are of use.
const LEASE_SECONDS: u32 = 2;

/// How long the others wait for a probe whose holder may have died: as long as the slowest request may take.
const PROBE: Tick = 350;

/// How often those who wait for a sibling's probe, or for a share, look again.
const LOOK: Tick = 5;

/// How many holders the document tells apart. The oldest of more is written down as places taken and a share given up,
/// which is what its lease comes to when nothing is reported.
const MOST_HOLDERS: usize = 10;

/// The lease of one holder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    /// Its number, counted by the holder.
    #[serde(rename = "n")]
    number: u32,
    #[serde(rename = "t")]
    until: Tick,
    /// Group, places, share. Places and share 0: it waits for a share.
    #[serde(rename = "g")]
    grants: Vec<(usize, u32, u32)>,
}

/// Whose request the others wait for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Probe {
    holder: String,
    until: Tick,
}

/// The document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Shared {
    version: u32,
    #[serde(flatten)]
    pub(super) gate: GateRecord,
    /// Fingerprint of the key that [`GateRecord::stop`] is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stopped_key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    probe: Option<Probe>,
    /// When it was written; as text all other ticks are relative to it.
    #[serde(default)]
    at: Tick,
    #[serde(default)]
    groups: Vec<Group>,
    #[serde(default)]
    holders: BTreeMap<String, Entry>,
    /// Whether it was moved to our clock. It has to be saved then, or every look would begin its waits anew.
    #[serde(skip)]
    moved: bool,
}

/// What the siblings have to know of a request.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) ticket: Ticket,
    pub(super) outcome: Outcome,
    /// Failures in a row before it, as its process met them.
    pub(super) failures: u32,
    pub(super) at: Timestamp,
}

/// What a holder says and asks.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    pub(super) holder: &'a str,
    pub(super) key: &'a str,
    pub(super) wait: DefaultWait,
    /// Number of the lease that is asked for.
    pub(super) number: u32,
    /// By group: each request that has an answer, with the number of leases that had been asked for by then, and its latest
    /// arrival. What was answered before the lease that the document holds was asked for is in the document.
    pub(super) used: Vec<Vec<(u32, Tick)>>,
    /// By group: the latest arrival of each request that is on its way. Its place goes over into the next lease, so that
    /// its own arrival counts in the end.
    pub(super) flying: Vec<Vec<Tick>>,
    /// By group: how many places are wanted.
    pub(super) asks: Vec<u32>,
    pub(super) heard: Vec<Option<Observation>>,
    pub(super) reports: &'a [Report],
}

/// What a holder may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) until: Tick,
    /// Whether there was a lease that places of requests on their way could go over from.
    pub(super) goes_over: bool,
    /// By group: places and share.
    pub(super) groups: Vec<(u32, u32)>,
    /// By group: whether it waits for a share.
    starves: Vec<bool>,
    /// By group: when to ask again, where nothing was granted.
    pub(super) again: Vec<Option<Tick>>,
    /// The one place is for a probe.
    pub(super) probe: bool,
    /// A sibling's probe is on its way: look again then.
    pub(super) look: Option<Tick>,
    /// Whether the document has to be saved for the grant to be valid.
    pub(super) save: bool,
}

impl Shared {
    /// The document, or an empty one where there is none. The error says why it cannot be read; then every place is taken.
    pub(super) fn read(body: Option<&str>, terms: &[Terms], now: Timestamp) -> (Self, Option<String>) {
        let at = tick(now);
        let fresh = |group: &dyn Fn(&Terms) -> Group| Self {
            version: SAVED_VERSION,
            gate: GateRecord::default(),
            stopped_key: None,
            probe: None,
            at,
            groups: terms.iter().map(group).collect(),
            holders: BTreeMap::new(),
            moved: false,
        };
        let Some(body) = body else { return (fresh(&|_| Group::default()), None) };
        let read = match serde_json::from_str::<Self>(body) {
            Ok(read) if read.version == SAVED_VERSION => Ok(read),
            Ok(read) => Err(format!("version {} instead of {SAVED_VERSION}", read.version)),
            Err(error) => Err(crate::parse::describe(&error)),
        };
        match read {
            Err(error) => (fresh(&|terms| Group::full(terms, at)), Some(error)),
            Ok(mut document) => {
                document.shift(document.at);
                document.settle_clock(now);
                document.groups.resize(terms.len(), Group::default());
                document.tidy(terms);
                (document, None)
            }
        }
    }

    /// As text.
    pub(super) fn text(&self) -> String {
        let mut relative = self.clone();
        relative.shift(-self.at);
        serde_json::json!(relative).to_string()
    }

    fn shift(&mut self, by: Tick) {
        self.groups.iter_mut().for_each(|group| group.shift(by));
        self.holders.values_mut().for_each(|entry| entry.until += by);
        self.probe.iter_mut().for_each(|probe| probe.until += by);
    }

    /// Time in the document never goes backwards, unless a clock was wrong: then everything moves along.
    fn settle_clock(&mut self, now: Timestamp) {
        let at = tick(now);
        let ahead = self.gate.ahead(now);
        if ahead > Duration::from_secs(1) {
            self.gate.shift(ahead);
            self.moved = true;
        }
        let step = self.at - at;
        if step > 10 {
            self.shift(-step);
            self.at = at;
            self.moved = true;
        }
        self.at = self.at.max(at);
    }

    fn tidy(&mut self, terms: &[Terms]) {
        let now = self.at;
        self.groups.iter_mut().for_each(|group| group.tidy(now));
        let over = |entry: &Entry| entry.until + share_lingers() <= now;
        let gone: Vec<String> = self.holders.iter().filter(|(_, e)| over(e)).map(|(name, _)| name.clone()).collect();
        gone.iter().for_each(|name| self.fold(name, terms));
        self.probe = self.probe.take().filter(|probe| probe.until > now);
    }

    /// Writes a lease down as what it comes to when nothing is reported any more.
    fn fold(&mut self, holder: &str, terms: &[Terms]) {
        let Some(entry) = self.holders.remove(holder) else { return };
        for (group, places, share) in entry.grants {
            if let (Some(group), Some(terms)) = (self.groups.get_mut(group), terms.get(group)) {
                group.arrived(terms, last_arrival(entry.until), places);
                group.give_up(entry.until, share);
            }
        }
        self.tidy_groups();
    }

    fn tidy_groups(&mut self) {
        let now = self.at;
        self.groups.iter_mut().for_each(|group| group.tidy(now));
    }

    /// Takes in what a holder says, and gives it a new lease.
    pub(super) fn turn(&mut self, turn: &Turn<'_>, terms: &[Terms]) -> Grant {
        let goes_over = self.holders.contains_key(turn.holder);
        let before = self.settle_lease(turn, terms);
        for (index, heard) in turn.heard.iter().enumerate() {
            let mut outstanding = self.outstanding(index);
            outstanding.extend(turn.flying[index].iter().map(|arrival| (*arrival, 1)));
            if let (Some(heard), Some(group)) = (heard, self.groups.get_mut(index)) {
                group.observe(&terms[index], heard, &outstanding);
            }
        }
        turn.reports.iter().for_each(|report| self.report(turn, report, terms));
        let mut grant = Grant {
            until: self.at + LEASE,
            goes_over,
            save: self.moved || !turn.reports.is_empty(),
            ..Grant::default()
        };
        grant.groups = vec![(0, 0); terms.len()];
        grant.again = vec![None; terms.len()];
        grant.starves = vec![false; terms.len()];
        let most = self.allowed(turn, &mut grant);
        let mut left = most;
        for (index, terms) in terms.iter().enumerate() {
            let ask = turn.asks.get(index).copied().unwrap_or(0).min(left);
            if ask > 0 {
                let own = if goes_over { count(&turn.flying[index]) } else { 0 };
                self.grant(index, terms, (ask, before[index].0, own), &mut grant);
                // Of a probe there is one, whatever its endpoint.
                left = if grant.probe { left - grant.groups[index].0 } else { left };
            }
        }
        self.enter(turn, &before, &grant, terms);
        grant
    }

    /// Ends the holder's previous lease. Gives, by group, its share and the last moment of that share.
    fn settle_lease(&mut self, turn: &Turn<'_>, terms: &[Terms]) -> Vec<(u32, Tick)> {
        let mut shares = vec![(0, self.at); terms.len()];
        let Some(entry) = self.holders.remove(turn.holder) else { return shares };
        for (index, _, share) in &entry.grants {
            let (Some(group), Some(terms)) = (self.groups.get_mut(*index), terms.get(*index)) else { continue };
            shares[*index] = (*share, entry.until);
            let used = turn.used[*index].iter().filter(|(asked, _)| *asked >= entry.number);
            used.for_each(|(_, arrival)| group.arrived(terms, *arrival, 1));
        }
        self.tidy_groups();
        shares
    }

    /// Places of the holders, each until the last moment at which its requests can arrive.
    fn outstanding(&self, group: usize) -> Vec<(Tick, u32)> {
        let of_group = |entry: &Entry| {
            let places: u32 = entry.grants.iter().filter(|(index, ..)| *index == group).map(|grant| grant.1).sum();
            (last_arrival(entry.until), places)
        };
        self.holders.values().map(of_group).collect()
    }

    fn report(&mut self, turn: &Turn<'_>, report: &Report, terms: &[Terms]) {
        let ticket = &report.ticket;
        let ours = ticket.probe && self.probe.as_ref().is_some_and(|probe| probe.holder == turn.holder);
        if ours {
            self.probe = None;
        }
        let mut gate = Gate::rebuilt(turn.wait, self.gate.clone(), report.failures, ticket.probe.then_some(ticket.id));
        gate.settle(ticket, report.outcome.clone(), report.at);
        self.gate = gate.record();
        match &report.outcome {
            Outcome::Denied { .. } => self.stopped_key = Some(turn.key.to_owned()),
            Outcome::Throttled(told) => {
                let index = ticket.endpoint.budget();
                if let (Some(group), Some(terms)) = (self.groups.get_mut(index), terms.get(index)) {
                    group.refused(terms, tick(ticket.sent), *told, self.at);
                }
            }
            _ => {}
        }
        if self.gate.stop.is_none() {
            self.stopped_key = None;
        }
    }

    /// The gate for a holder of this key. A stop that another key met does not concern it.
    pub(super) fn gate_for(&self, key: &str) -> GateRecord {
        let mut gate = self.gate.clone();
        if gate.stop.is_some() && self.stopped_key.as_deref() != Some(key) {
            gate.probe_at_once();
        }
        gate
    }

    /// How many places the gate lets a holder have, all groups together.
    fn allowed(&mut self, turn: &Turn<'_>, grant: &mut Grant) -> u32 {
        let gate = Gate::rebuilt(turn.wait, self.gate_for(turn.key), 0, None);
        if gate.check(group::moment(self.at)).is_err() {
            return 0;
        }
        if !gate.one_at_a_time() {
            return u32::MAX;
        }
        match self.probe.as_ref().filter(|probe| probe.holder != turn.holder) {
            Some(probe) => {
                grant.look = Some(probe.until.min(self.at + LOOK));
                0
            }
            None => {
                grant.probe = true;
                1
            }
        }
    }

    fn grant(&mut self, index: usize, terms: &Terms, (ask, own, flying): (u32, u32, u32), grant: &mut Grant) {
        let now = self.at;
        let entries = || self.holders.values().flat_map(|e| e.grants.iter().map(move |g| (e.until, g)));
        let (mut active, mut shares, mut starving, mut outstanding) = (1u32, 0u32, false, flying);
        for (until, (_, places, share)) in entries().filter(|(_, grant)| grant.0 == index) {
            active += u32::from(until > now);
            starving |= until > now && *places == 0;
            shares += *share;
            outstanding += *places;
        }
        let group = &mut self.groups[index];
        let share = group.burst(terms, now).map(|most| {
            let free = most.saturating_sub(shares).saturating_sub(group.tail());
            // Who comes new leaves half of what is free to the next; who grows may take it; who sees others go without
            // takes no more than an equal part.
            let fair = if starving { (most / active).max(1) } else { u32::MAX };
            ask.min(fair).min(if own > 0 { free } else { free.div_ceil(2) })
        });
        let free = group.free(terms, outstanding, now);
        let of_use = share.map_or(u32::MAX, |share| share.saturating_mul(LEASE_SECONDS));
        let places = ask.min(of_use).min(free.div_ceil(active));
        grant.save |= places > 0;
        if places == 0 {
            // Only who waits for a share alone has to be seen: the others then give some back.
            grant.starves[index] = share == Some(0) && free > 0;
            grant.save |= grant.starves[index];
            let until = if grant.starves[index] { now + 2 * LOOK } else { group.free_at(terms, now).max(now + 3) };
            let returned = self.holders.values().map(|entry| entry.until).filter(|until| *until > now).min();
            grant.again[index] = Some(returned.map_or(until, |returned| until.min(returned.max(now + 2 * LOOK))));
            return;
        }
        group.granted(places);
        grant.groups[index] = (places, share.unwrap_or(0));
    }

    /// Writes the new lease down, and the shares that the old one had beyond it.
    fn enter(&mut self, turn: &Turn<'_>, before: &[(u32, Tick)], grant: &Grant, terms: &[Terms]) {
        for (group, ((had, until), (_, has))) in self.groups.iter_mut().zip(before.iter().zip(&grant.groups)) {
            group.give_up(*until, had.saturating_sub(*has));
        }
        let flying = |index: usize| if grant.goes_over { count(&turn.flying[index]) } else { 0 };
        let grants: Vec<_> = (grant.groups.iter().enumerate())
            .map(|(index, (places, share))| (index, *places + flying(index), *share))
            .filter(|(index, places, _)| *places > 0 || grant.starves[*index])
            .collect();
        if grant.probe && grant.groups.iter().any(|(places, _)| *places > 0) {
            self.probe = Some(Probe { holder: turn.holder.to_owned(), until: self.at + PROBE });
        }
        if grants.is_empty() {
            return;
        }
        self.holders.insert(turn.holder.to_owned(), Entry { number: turn.number, until: grant.until, grants });
        while self.holders.len() > MOST_HOLDERS {
            let oldest = self.holders.iter().min_by_key(|(_, entry)| entry.until).map(|(name, _)| name.clone());
            self.fold(&oldest.unwrap_or_default(), terms);
        }
    }

    /// How many places a holder could expect from a new lease.
    pub(super) fn free(&self, (endpoint, holder): (Endpoint, &str), terms: &[Terms], now: Timestamp) -> u32 {
        let mut copy = self.clone();
        copy.at = copy.at.max(tick(now));
        copy.tidy(terms);
        let index = endpoint.budget();
        let (Some(group), Some(terms)) = (copy.groups.get(index), terms.get(index)) else { return super::UNLIMITED };
        let outstanding = copy.outstanding(index).iter().map(|(_, places)| places).sum();
        let free = group.free(terms, outstanding, copy.at);
        let others = copy.holders.iter().filter(|(name, _)| *name != holder).flat_map(|(_, entry)| &entry.grants);
        let shares: u32 = others.filter(|grant| grant.0 == index).map(|grant| grant.2).sum();
        let share = |burst: u32| burst.saturating_sub(group.tail()).saturating_sub(shares);
        group.burst(terms, copy.at).map_or(free, |burst| free.min(share(burst)))
    }
}

fn count(list: &[Tick]) -> u32 {
    u32::try_from(list.len()).unwrap_or(u32::MAX)
}

/// The last moment at which a request under a lease can arrive.
fn last_arrival(until: Tick) -> Tick {
    until + Tick::try_from(super::budget::ARRIVES_WITHIN.as_millis() / TICK.as_millis()).unwrap_or(0)
}
