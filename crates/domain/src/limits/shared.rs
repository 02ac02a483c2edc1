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
mod turn;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::gate::GateRecord;
use super::{Endpoint, SAVED_VERSION};
use group::{Group, TICK, Terms, Tick, share_lingers, tick};
pub(super) use turn::{Grant, Report, Turn};

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

    /// Places of the holders, each until the last moment at which its requests can arrive.
    fn outstanding(&self, group: usize) -> Vec<(Tick, u32)> {
        let of_group = |entry: &Entry| {
            let places: u32 = entry.grants.iter().filter(|(index, ..)| *index == group).map(|grant| grant.1).sum();
            (last_arrival(entry.until), places)
        };
        self.holders.values().map(of_group).collect()
    }
    /// The gate for a holder of this key. A stop that another key met does not concern it.
    pub(super) fn gate_for(&self, key: &str) -> GateRecord {
        let mut gate = self.gate.clone();
        if gate.stop.is_some() && self.stopped_key.as_deref() != Some(key) {
            gate.probe_at_once();
        }
        gate
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

/// The last moment at which a request under a lease can arrive.
fn last_arrival(until: Tick) -> Tick {
    until + Tick::try_from(super::budget::ARRIVES_WITHIN.as_millis() / TICK.as_millis()).unwrap_or(0)
}
