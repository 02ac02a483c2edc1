//! Sliding windows over the requests of one endpoint group.
//!
//! # Why no window of the vendor ever sees one request too many
//!
//! The vendor counts in fixed windows of length *T* whose phase we do not know, at the moment when a request reaches it.
//! We know two bounds of that moment: it is not before we sent the request, and not after its answer came. So a place in
//! the window is taken from the moment of sending until *T* after the **answer**: if request *n + N* is sent *T* after the
//! answer to request *n*, the two reached the vendor at least *T* apart, whatever the network did to either of them.
//! Counting from the moments of sending instead would go wrong as soon as one request is slower than the next.
//!
//! The price is one round trip for each *N* requests, which costs nothing in the long run: ten bulk requests a second are
//! only possible until the 150 of the minute are gone. So that a slow answer (Klaviyo may think for seconds about 4 MB,
//! long after it counted the request) does not hold its place for that long, a request is taken to have arrived
//! [`ARRIVES_WITHIN`] after it was sent at the latest; with 10 places that still allows 150 a minute.
//!
//! On top comes a guard of 5 ms and a thousandth of *T*, for clocks that run at different speeds.
//!
//! # Other apps use the same account
//!
//! `Remaining` and `Reset` of an answer tell what is left of the vendor's own window. They bound what we send until that
//! window ends: *Remaining* less the requests that may not be counted in it yet. `Limit` replaces the documented number in
//! both directions. A 429 although we counted well means that somebody else was faster, and we give way:
//!
//! - In the short window, about which no header tells, our share is halved and grows back slowly. Half of ten a second is
//!   still twice what the minute allows, so this costs nothing but the very first seconds of a backlog.
//! - In the long window somebody took the last place while our request was on its way. From then on the last few places
//!   are left to others, twice as many with each refusal up to a tenth of the window, one less each ten windows.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use jiff::Timestamp;

use super::quota::Quota;
use super::{after, before, gap};

/// The longest that a request is on its way: the time that a connection may take to be set up.
pub(super) const ARRIVES_WITHIN: Duration = Duration::from_secs(3);

/// A halved share grows back by a tenth of the limit each so many windows: five minutes for Klaviyo's second, which the
/// minute makes up for; half a minute for Intercom's ten seconds, which have nothing behind them.
const fn regrow_every(only_window: bool) -> u32 {
    if only_window { 3 } else { 300 }
}

/// One place that is left to others is taken back each so many windows.
const RECLAIM_EVERY: u32 = 10;

/// At most `most` requests in any `span`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    most: u32,
    span: Duration,
}

impl Window {
    pub(super) fn new(most: u32, span: Duration) -> Self {
        Self { most, span }
    }

    /// How long a place stays taken after its request arrived.
    fn held(&self) -> Duration {
        self.span + Duration::from_millis(5) + self.span / 1_000
    }
}

/// The vendor's current window, as its headers described it.
#[derive(Clone, Copy, Debug)]
struct Seen {
    /// The smallest `Remaining` of this window.
    least: u32,
    /// It has ended by then.
    ends: Timestamp,
}

/// A number that was changed by a refusal and goes back with time.
#[derive(Clone, Copy, Debug)]
struct Cut {
    to: u32,
    at: Timestamp,
}

/// When the next request may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pause {
    /// Then, and not before.
    Until(Timestamp),
    /// When one of the requests that are on their way is answered.
    ForAnswer,
}

/// The budget of one endpoint group.
#[derive(Debug)]
pub(super) struct Budget {
    /// Shortest first. The last one is the one that headers describe.
    windows: Vec<Window>,
    /// Sent and not settled: when each was sent.
    in_flight: BTreeMap<u64, Timestamp>,
    /// Settled: the latest moment at which each can have arrived, in order.
    arrived: VecDeque<Timestamp>,
    seen: Option<Seen>,
    /// Requests without an answer that had headers: they may be missing in [`Seen::least`].
    unheard: Vec<Timestamp>,
    /// Whether the vendor has answered at all; until then one request goes at a time.
    known: bool,
    /// Our share of the shortest window.
    cut: Option<Cut>,
    /// Places of the vendor's window that are left to others.
    reserve: Option<Cut>,
}

impl Budget {
    pub(super) fn new(windows: Vec<Window>) -> Self {
        Self {
            windows,
            in_flight: BTreeMap::new(),
            arrived: VecDeque::new(),
            seen: None,
            unheard: Vec::new(),
            known: false,
            cut: None,
            reserve: None,
        }
    }

    /// Keeps to a share of one window only, which somebody else hands out.
    pub(super) fn of_share() -> Self {
        Self { known: true, ..Self::new(vec![Window::new(0, Duration::from_secs(1))]) }
    }

    /// Sets the share. What was sent under an earlier one still counts.
    pub(super) fn share(&mut self, most: u32) {
        self.windows[0].most = most;
    }

    /// How many requests may go now.
    pub(super) fn room(&self, now: Timestamp) -> u32 {
        if !self.known {
            return u32::from(self.in_flight.is_empty());
        }
        let own = (0..self.windows.len()).map(|index| self.most(index, now).saturating_sub(self.taken(index, now)));
        own.min().unwrap_or(0).min(self.left_by_vendor(now).unwrap_or(u32::MAX))
    }

    /// Whether what is left of the last window is for others than those who may use up `percent` of it.
    pub(super) fn is_reserved(&self, percent: u32, now: Timestamp) -> bool {
        let last = self.windows.len() - 1;
        let reserve = u64::from(self.windows[last].most) * u64::from(100 - percent.min(100)) / 100;
        self.known && u64::from(self.room(now)) <= reserve
    }

    /// Why none may go now, if so.
    pub(super) fn pause(&self, now: Timestamp) -> Option<Pause> {
        if self.room(now) > 0 {
            return None;
        }
        if !self.known {
            return Some(Pause::ForAnswer);
        }
        let own = (0..self.windows.len()).filter_map(|index| self.free_at(index, now)).max();
        let vendor = match (self.seen, self.left_by_vendor(now)) {
            (Some(seen), Some(0)) if seen.least <= self.reserved(now) || self.in_flight.is_empty() => Some(seen.ends),
            _ => None,
        };
        Some(own.max(vendor).map_or(Pause::ForAnswer, Pause::Until))
    }

    pub(super) fn take(&mut self, id: u64, now: Timestamp) {
        let longest = self.windows.iter().map(Window::held).max().unwrap_or_default();
        let horizon = before(now, longest);
        while self.arrived.front().is_some_and(|arrival| *arrival <= horizon) {
            self.arrived.pop_front();
        }
        self.in_flight.insert(id, now);
    }

    /// Ends a request; `quota` is `None` when no answer came.
    pub(super) fn settle(&mut self, id: u64, quota: Option<Quota>, now: Timestamp) {
        let Some(sent) = self.in_flight.remove(&id) else { return };
        let arrival = now.min(after(sent, ARRIVES_WITHIN));
        let place = self.arrived.partition_point(|other| *other <= arrival);
        self.arrived.insert(place, arrival);
        self.known |= quota.is_some();
        let quota = quota.unwrap_or_default();
        self.learn(quota, sent, now);
        if self.seen.is_none_or(|seen| seen.ends <= now) {
            self.unheard.clear();
        } else if quota.remaining.is_none() {
            self.unheard.push(now);
        }
    }

    /// The vendor refused a request that we thought it had room for.
    pub(super) fn refused(&mut self, sent: Timestamp, told: Option<Duration>, now: Timestamp) {
        // All that were on their way together are refused together: that is one sign, not ten.
        let news = |cut: Option<Cut>| cut.is_none_or(|cut| sent > cut.at);
        let long = self.windows.len() == 1 || told.is_some_and(|told| told > self.windows[0].span * 2);
        if long && news(self.reserve) {
            let most = self.windows[self.windows.len() - 1].most / 10;
            self.reserve = Some(Cut { to: (self.reserved(now) * 2).clamp(2, most.max(2)), at: now });
        }
        if !(long && self.windows.len() > 1) && news(self.cut) {
            self.cut = Some(Cut { to: (self.most(0, now) / 2).max(1), at: now });
        }
    }

    /// Moves everything into the past by as much as the clock was set back.
    pub(super) fn shift(&mut self, step: Duration) {
        let back = |at: &mut Timestamp| *at = before(*at, step);
        self.in_flight.values_mut().for_each(back);
        self.arrived.iter_mut().for_each(back);
        self.unheard.iter_mut().for_each(back);
        self.seen.iter_mut().for_each(|seen| back(&mut seen.ends));
        self.cut.iter_mut().chain(&mut self.reserve).for_each(|cut| back(&mut cut.at));
    }

    fn learn(&mut self, quota: Quota, sent: Timestamp, now: Timestamp) {
        let last = self.windows.len() - 1;
        if let (Some(burst), true) = (quota.burst, last > 0) {
            self.windows[0].most = burst;
        }
        if let Some(steady) = quota.steady {
            self.windows[last].most = steady;
        }
        let (Some(remaining), Some(resets_in)) = (quota.remaining, quota.resets_in) else { return };
        // A window that is over before its end is known tells nothing.
        let ends = after(now, resets_in);
        let tolerance = self.windows[last].span / 2;
        self.seen = match self.seen.filter(|seen| seen.ends > now) {
            Some(seen) if ends > after(seen.ends, tolerance) => Some(Seen { least: remaining, ends }),
            // An answer that was slower than the window was long.
            Some(seen) if after(ends, tolerance) < seen.ends => Some(seen),
            // Each answer bounds the end from above by up to a second; the smallest bound is the best.
            Some(seen) => Some(Seen { least: seen.least.min(remaining), ends: seen.ends.min(ends) }),
            None => Some(Seen { least: remaining, ends }),
        };
        // Whatever ended before this one was sent was counted before it.
        self.unheard.retain(|ended| *ended >= sent);
    }

    /// What the vendor's headers leave us in its current window.
    fn left_by_vendor(&self, now: Timestamp) -> Option<u32> {
        let seen = self.seen.filter(|seen| seen.ends > now)?;
        let uncounted = u32::try_from(self.in_flight.len() + self.unheard.len()).unwrap_or(u32::MAX);
        Some(seen.least.saturating_sub(self.reserved(now)).saturating_sub(uncounted))
    }

    /// Places that are left to others.
    fn reserved(&self, now: Timestamp) -> u32 {
        let span = self.windows[self.windows.len() - 1].span;
        self.reserve.map_or(0, |cut| cut.to.saturating_sub(periods(cut.at, now, span * RECLAIM_EVERY)))
    }

    /// The limit of a window now: less while others are in the way.
    fn most(&self, index: usize, now: Timestamp) -> u32 {
        let Window { most, span } = self.windows[index];
        match self.cut {
            Some(cut) if index == 0 => {
                let steps = periods(cut.at, now, span * regrow_every(self.windows.len() == 1));
                most.min(cut.to.saturating_add(steps.saturating_mul((most / 10).max(1))))
            }
            _ => most,
        }
    }

    /// How many places of a window are taken: index of the first arrival that still counts, and those on their way.
    fn taken(&self, index: usize, now: Timestamp) -> u32 {
        let (first, flying) = self.counted(index, now);
        u32::try_from(self.arrived.len() - first + flying).unwrap_or(u32::MAX)
    }

    fn counted(&self, index: usize, now: Timestamp) -> (usize, usize) {
        let horizon = before(now, self.windows[index].held());
        let first = self.arrived.partition_point(|arrival| *arrival <= horizon);
        let flying = self.in_flight.values().filter(|sent| after(**sent, ARRIVES_WITHIN) > horizon).count();
        (first, flying)
    }

    /// When the next place of a full window becomes free; `None` if one is.
    fn free_at(&self, index: usize, now: Timestamp) -> Option<Timestamp> {
        let (first, flying) = self.counted(index, now);
        let settled = self.arrived.len() - first;
        let must_leave = (settled + flying + 1).checked_sub(self.most(index, now) as usize).filter(|n| *n > 0)?;
        let held = self.windows[index].held();
        Some(match self.arrived.get(first + must_leave - 1) {
            Some(arrival) => after(*arrival, held),
            // All the places are on their way. Each is free `held` after its answer, which is not before now.
            None => after(now, held),
        })
    }
}

/// How many whole periods have passed.
fn periods(from: Timestamp, to: Timestamp, length: Duration) -> u32 {
    u32::try_from(gap(from, to).as_millis() / length.as_millis().max(1)).unwrap_or(u32::MAX)
}
