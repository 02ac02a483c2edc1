//! Whether anything may go to a vendor at all: told waits, a refused key, failures in a row.
//!
//! In each of the three states the way back is the same: when the wait is over **one** request goes first (the probe, the
//! next real request), and only its answer opens the gate for the others. Requests that were on their way when the gate
//! closed change nothing any more, except that a longer told wait counts.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Change, Endpoint, Hold, HoldKind, Outcome, Ticket, after, before, gap};

/// Failures in a row after which a vendor counts as failing.
const FAILURES: u32 = 5;

/// First wait between probes, and the first wait of a refusal that told none.
const FIRST: Duration = Duration::from_secs(1);

/// Longest wait between probes of a failing vendor, and of refusals that tell none.
const LONGEST_FAILING: Duration = Duration::from_secs(60);

/// Longest wait between probes of a vendor that refuses our key.
const LONGEST_STOPPED: Duration = Duration::from_secs(15 * 60);

/// Added to every told wait: the vendor's timer and ours need not end in the same millisecond.
const GUARD: Duration = Duration::from_millis(100);

/// What to wait after a 429 that tells nothing useful.
#[derive(Clone, Copy, Debug)]
pub(super) struct DefaultWait {
    first: Duration,
}

/// One second, doubling.
pub(super) const KLAVIYO_WAIT: DefaultWait = DefaultWait { first: FIRST };

/// The length of Intercom's window.
pub(super) const INTERCOM_WAIT: DefaultWait = DefaultWait { first: Duration::from_secs(10) };

/// A wait that the vendor told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Told {
    since: Timestamp,
    until: Timestamp,
}

/// The vendor refuses our key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stop {
    pub(super) reason: String,
    pub(super) since: Timestamp,
    /// When the next probe may go.
    until: Timestamp,
    wait: Duration,
    /// `None`: any success ends it. Else only the success of a request of the same kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    endpoint: Option<Endpoint>,
}

/// The vendor failed several times in a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Failing {
    until: Timestamp,
    wait: Duration,
}

/// What several processes share of their gates: all but the requests that each has on its way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct GateRecord {
    /// Stays after it ran out, until a probe succeeds.
    #[serde(default)]
    pub(super) told: Option<Told>,
    /// In a row.
    #[serde(default)]
    refusals: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) stop: Option<Stop>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failing: Option<Failing>,
}

impl GateRecord {
    /// The end of the told wait, whether it ran out or not.
    pub(super) fn told_until(&self) -> Option<Timestamp> {
        self.told.map(|told| told.until)
    }

    /// Moves everything into the past.
    pub(super) fn shift(&mut self, step: Duration) {
        let back = |at: &mut Timestamp| *at = before(*at, step);
        self.told.iter_mut().for_each(|told| [&mut told.since, &mut told.until].into_iter().for_each(back));
        self.stop.iter_mut().for_each(|stop| [&mut stop.since, &mut stop.until].into_iter().for_each(back));
        self.failing.iter_mut().for_each(|failing| back(&mut failing.until));
    }

    /// How far the clock that wrote it is ahead of ours, as far as the record shows: what it says began later than now.
    pub(super) fn ahead(&self, now: Timestamp) -> Duration {
        let told = self.told.map(|told| gap(now, told.since));
        told.max(self.stop.as_ref().map(|stop| gap(now, stop.since))).unwrap_or_default()
    }

    /// A stop that another key met: with ours a probe may go at once.
    pub(super) fn probe_at_once(&mut self) {
        if let Some(stop) = &mut self.stop {
            (stop.until, stop.wait) = (stop.since, FIRST);
        }
    }
}

#[derive(Debug)]
pub(super) struct Gate {
    default_wait: DefaultWait,
    shared: GateRecord,
    /// In a row.
    failures: u32,
    /// The ticket whose answer decides.
    probe: Option<u64>,
}

impl Gate {
    pub(super) fn new(default_wait: DefaultWait) -> Self {
        Self { default_wait, shared: GateRecord::default(), failures: 0, probe: None }
    }

    /// Whether a request may go, as a probe or freely.
    pub(super) fn check(&self, now: Timestamp) -> Result<(), Hold> {
        let told = self.told_until().unwrap_or(Timestamp::MIN);
        if let Some(stop) = &self.shared.stop {
            let until = stop.until.max(told);
            if until > now || self.probe.is_some() {
                let until = if until > now { until } else { after(now, FIRST) };
                return Err(Hold { kind: HoldKind::Stopped(stop.reason.clone()), until });
            }
        }
        if told > now {
            return Err(Hold { kind: HoldKind::Told, until: told });
        }
        if let Some(failing) = &self.shared.failing
            && (failing.until > now || self.probe.is_some())
        {
            let until = if failing.until > now { failing.until } else { after(now, FIRST) };
            return Err(Hold { kind: HoldKind::Failing, until });
        }
        if self.probe.is_some() {
            return Err(Hold { kind: HoldKind::Probing, until: now });
        }
        Ok(())
    }

    /// Whether the next request is a probe.
    pub(super) fn one_at_a_time(&self) -> bool {
        self.shared.told.is_some() || self.shared.stop.is_some() || self.shared.failing.is_some()
    }

    /// Lets a request through that [`Gate::check`] allowed. Gives whether it is the probe.
    pub(super) fn enter(&mut self, id: u64) -> bool {
        let probe = self.one_at_a_time();
        if probe {
            self.probe = Some(id);
        }
        probe
    }

    pub(super) fn settle(&mut self, ticket: &Ticket, outcome: Outcome, now: Timestamp) -> Vec<Change> {
        let probe = self.probe == Some(ticket.id);
        if probe {
            self.probe = None;
        }
        let mut changes = Vec::new();
        match outcome {
            Outcome::Abandoned => {}
            Outcome::Failed(told) => {
                changes.extend(told.and_then(|told| self.wait(told, now)));
                changes.extend(self.failed(probe, now));
            }
            Outcome::Throttled(told) => {
                changes.extend(self.alive(probe, now));
                changes.extend(self.throttled(ticket.sent, told, now));
                self.probe_later(probe, now);
            }
            Outcome::Forbidden => {
                changes.extend(self.alive(probe, now));
                self.unrefused();
                self.probe_later(probe, now);
            }
            Outcome::Denied { reason, everywhere } => {
                changes.extend(self.alive(probe, now));
                let endpoint = (!everywhere).then_some(ticket.endpoint);
                changes.extend(self.denied(probe, reason, endpoint, now));
            }
            Outcome::Answered => {
                changes.extend(self.alive(probe, now));
                self.unrefused();
                let ended =
                    |stop: &Stop| stop.endpoint.is_none_or(|endpoint| endpoint.same_permission(ticket.endpoint));
                if probe && self.shared.stop.as_ref().is_some_and(ended) {
                    self.shared.stop = None;
                    changes.push(Change::Resumed);
                }
            }
        }
        changes
    }

    pub(super) fn told_until(&self) -> Option<Timestamp> {
        self.shared.told.map(|told| told.until)
    }

    pub(super) fn stopped(&self) -> Option<(&str, Timestamp)> {
        self.shared.stop.as_ref().map(|stop| (stop.reason.as_str(), stop.since))
    }

    pub(super) fn failing(&self) -> bool {
        self.shared.failing.is_some()
    }

    pub(super) fn next_probe(&self) -> Option<Timestamp> {
        let stopped = self.shared.stop.as_ref().map(|stop| stop.until);
        stopped.max(self.shared.failing.as_ref().map(|failing| failing.until))
    }

    pub(super) fn memory(&self) -> (Option<Told>, u32) {
        (self.shared.told, self.shared.refusals)
    }

    pub(super) fn remember(&mut self, mut told: Told, refusals: u32, now: Timestamp) {
        // Told by a process whose clock was ahead of ours: the length is what was told.
        let ahead = gap(now, told.since);
        told = Told { since: before(told.since, ahead), until: before(told.until, ahead) };
        if self.shared.told.is_none_or(|own| own.until < told.until) {
            self.shared.told = Some(told);
            self.shared.refusals = self.shared.refusals.max(refusals);
        }
    }

    /// What the siblings of this process have to know.
    pub(super) fn record(&self) -> GateRecord {
        self.shared.clone()
    }

    /// Takes over what the siblings know, all of what was known here included.
    pub(super) fn adopt(&mut self, record: GateRecord) {
        self.shared = record;
    }

    pub(super) fn default_wait(&self) -> DefaultWait {
        self.default_wait
    }

    /// Failures in a row, as this process met them.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// A gate in which one request of a sibling, or of ours, is about to be settled.
    pub(super) fn rebuilt(wait: DefaultWait, shared: GateRecord, failures: u32, probe: Option<u64>) -> Self {
        Self { default_wait: wait, shared, failures, probe }
    }

    /// What the requests that wait for the probe wait for, and until then.
    pub(super) fn hold_until(&self, until: Timestamp) -> Hold {
        let kind = match (&self.shared.stop, &self.shared.failing) {
            (Some(stop), _) => HoldKind::Stopped(stop.reason.clone()),
            (None, Some(_)) => HoldKind::Failing,
            (None, None) => HoldKind::Told,
        };
        Hold { kind, until }
    }

    pub(super) fn shift(&mut self, step: Duration) {
        self.shared.shift(step);
    }

    /// The vendor answered something: it works, and a wait that ran out has served.
    fn alive(&mut self, probe: bool, now: Timestamp) -> Option<Change> {
        if !probe && (self.shared.failing.is_some() || self.shared.told.is_some()) {
            return None;
        }
        self.failures = 0;
        if self.shared.told.is_some_and(|told| told.until <= now) {
            self.shared.told = None;
        }
        self.shared.failing.take().map(|_| Change::Recovered)
    }

    /// A request got through: the next refusal starts from the beginning.
    fn unrefused(&mut self) {
        if self.shared.told.is_none() {
            self.shared.refusals = 0;
        }
    }

    fn throttled(&mut self, sent: Timestamp, told: Option<Duration>, now: Timestamp) -> Option<Change> {
        // Of requests that were on their way together only the first refusal lengthens the default wait.
        if self.shared.told.is_none_or(|told| sent >= told.until) {
            self.shared.refusals += 1;
        }
        // A window that ends within the second told more than nothing at all.
        let first = if told.is_some() { FIRST } else { self.default_wait.first };
        let doubled = first.saturating_mul(1 << (self.shared.refusals.clamp(1, 7) - 1));
        let default = doubled.min(LONGEST_FAILING);
        self.wait(told.filter(|told| *told >= FIRST).unwrap_or(default), now)
    }

    fn wait(&mut self, told: Duration, now: Timestamp) -> Option<Change> {
        let until = after(now, told + GUARD);
        if self.shared.told.is_some_and(|told| told.until >= until) {
            return None;
        }
        let running = self.shared.told.filter(|told| told.until > now);
        self.shared.told = Some(Told { since: running.map_or(now, |told| told.since), until });
        // Those that were on their way together are all refused, each a few milliseconds later: one change, not ten.
        running.is_none_or(|told| gap(told.until, until) >= FIRST).then_some(Change::Told(until))
    }

    fn denied(&mut self, probe: bool, reason: String, endpoint: Option<Endpoint>, now: Timestamp) -> Option<Change> {
        match &mut self.shared.stop {
            None => {
                self.shared.stop =
                    Some(Stop { reason: reason.clone(), since: now, until: after(now, FIRST), wait: FIRST, endpoint });
                Some(Change::Stopped(reason))
            }
            Some(stop) if probe => {
                stop.wait = (stop.wait * 2).min(LONGEST_STOPPED);
                stop.until = after(now, stop.wait);
                stop.endpoint = endpoint;
                let news = stop.reason != reason;
                stop.reason.clone_from(&reason);
                news.then_some(Change::Stopped(reason))
            }
            Some(_) => None,
        }
    }

    fn failed(&mut self, probe: bool, now: Timestamp) -> Option<Change> {
        self.probe_later(probe, now);
        self.failures = self.failures.saturating_add(1);
        match &mut self.shared.failing {
            Some(failing) if probe => {
                failing.wait = (failing.wait * 2).min(LONGEST_FAILING);
                failing.until = after(now, failing.wait);
                None
            }
            None if self.failures >= FAILURES => {
                self.shared.failing = Some(Failing { until: after(now, FIRST), wait: FIRST });
                Some(Change::Failing)
            }
            _ => None,
        }
    }

    /// A probe that settled nothing about a stop: the next one waits as long as this one did.
    fn probe_later(&mut self, probe: bool, now: Timestamp) {
        if let (Some(stop), true) = (&mut self.shared.stop, probe) {
            stop.until = after(now, stop.wait);
        }
    }
}
