//! The account-wide count of one endpoint group.
//!
//! The law of `limits/budget.rs` (a place is taken from before the request leaves until one window after it arrived) holds
//! for all processes together, because a place is taken *in the document* before anybody sends, and stays taken until one
//! window after the latest moment at which the request can have arrived. What a holder reports with its next lease, it
//! reports with the arrival that it saw; what is never reported counts as arrived when the lease was over and
//! [`ARRIVES_WITHIN`] had passed.
//!
//! Of the short window holders get *shares*: so many requests in any second, which each keeps by itself with a sliding
//! window. All shares together are never more than the limit, and one that is given up stays taken until its last request
//! can no longer be in the vendor's second.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::super::budget::ARRIVES_WITHIN;
use super::super::{Quota, after};

/// Moments in the document: whole tenths of a second since 1970, rounded so that a place is never free too early.
pub(in super::super) type Tick = i64;

pub(in super::super) const TICK: Duration = Duration::from_millis(100);

/// How many moments of places are kept apart. More are put together, at the later one.
const MOST_PLACES: usize = 14;

/// The same for shares.
const MOST_SHARES: usize = 6;

/// A halved share of the short window grows back by a tenth of the limit each so many ticks: a quarter of an hour.
const REGROW_EVERY: Tick = 9_000;

/// Places of the long window that are left to other apps as soon as there are any.
const LEFT_TO_OTHERS: u32 = 4;

/// One place that is left to others is taken back each so many windows.
const RECLAIM_EVERY: Tick = 10;

/// The latest tick that is not after the moment.
pub(in super::super) fn tick(at: Timestamp) -> Tick {
    at.as_millisecond().div_euclid(100)
}

/// The first tick that is not before the moment.
pub(in super::super) fn tick_after(at: Timestamp) -> Tick {
    at.as_microsecond().div_euclid(100_000) + Tick::from(at.as_microsecond().rem_euclid(100_000) > 0)
}

/// The moment of a tick.
pub(in super::super) fn moment(tick: Tick) -> Timestamp {
    Timestamp::from_millisecond(tick.saturating_mul(100)).unwrap_or(Timestamp::MAX)
}

fn ticks(length: Duration) -> Tick {
    Tick::try_from(length.as_millis().div_ceil(TICK.as_millis())).unwrap_or(Tick::MAX)
}

/// How long after its last moment the share of a lease can still be felt: on its way, then in the vendor's second.
pub(in super::super) fn share_lingers() -> Tick {
    ticks(ARRIVES_WITHIN + Duration::from_millis(1_010))
}

/// The documented limits of a group.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Terms {
    /// Requests in any second, where the vendor limits that.
    pub(in super::super) burst: Option<u32>,
    /// Requests in any `span`.
    pub(in super::super) steady: u32,
    /// Length of the longer window.
    pub(in super::super) span: Duration,
}

impl Terms {
    /// How long a place stays taken after its request arrived, with the guard of `limits/budget.rs`.
    pub(super) fn held(&self) -> Tick {
        ticks(self.span + Duration::from_millis(5) + self.span / 1_000)
    }
}

/// What an answer's headers said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Observation {
    pub(in super::super) sent: Timestamp,
    pub(in super::super) heard: Timestamp,
    pub(in super::super) quota: Quota,
}

/// The vendor's current window by its headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Seen(Tick, Tick, i64, u32);

impl Seen {
    /// It has ended by then.
    fn ends(&self) -> Tick {
        self.0
    }

    /// When the request was sent whose answer said it.
    fn sent(&self) -> Tick {
        self.1
    }

    /// What may still be granted.
    fn left(&self) -> i64 {
        self.2
    }

    /// How many places were deducted only because nobody knows yet whether the vendor counted them.
    fn unsure(&self) -> u32 {
        self.3
    }
}

/// Places or shares, and the moment from which they are free.
type Moments = Vec<(Tick, u32)>;

/// One group's part of the document. Moments are relative to the document's own while it is text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Group {
    /// Places of requests whose arrival is bounded.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    taken: Moments,
    /// Shares that were given up.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tail: Moments,
    /// Limits that the vendor told, short and long window.
    #[serde(skip_serializing_if = "is_untold")]
    told: (Option<u32>, Option<u32>),
    #[serde(skip_serializing_if = "Option::is_none")]
    seen: Option<Seen>,
    /// Our share of the short window, since when: halved by a refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    cut: Option<(Tick, u32)>,
    /// Places that are left to other apps, since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    reserve: Option<(Tick, u32)>,
}

fn is_untold(told: &(Option<u32>, Option<u32>)) -> bool {
    *told == (None, None)
}

impl Group {
    /// With every place taken, for a document that cannot be read: the windows may be full.
    pub(super) fn full(terms: &Terms, now: Tick) -> Self {
        let until = now + ticks(ARRIVES_WITHIN) + terms.held();
        Self { taken: vec![(until, terms.steady)], ..Self::default() }
    }

    /// Adds to every moment.
    pub(super) fn shift(&mut self, by: Tick) {
        self.taken.iter_mut().chain(&mut self.tail).for_each(|(at, _)| *at += by);
        self.cut.iter_mut().chain(&mut self.reserve).for_each(|(at, _)| *at += by);
        self.seen.iter_mut().for_each(|seen| (seen.0, seen.1) = (seen.0 + by, seen.1 + by));
    }

    /// Drops what is over.
    pub(super) fn tidy(&mut self, now: Tick) {
        self.taken.retain(|(until, _)| *until > now);
        self.tail.retain(|(until, _)| *until > now);
        self.seen = self.seen.filter(|seen| seen.ends() > now);
    }

    /// Takes `places` until one window after `arrival`.
    pub(super) fn arrived(&mut self, terms: &Terms, arrival: Tick, places: u32) {
        add(&mut self.taken, arrival + terms.held(), places, MOST_PLACES);
    }

    /// Keeps a share until its last request can no longer count.
    pub(super) fn give_up(&mut self, last: Tick, share: u32) {
        add(&mut self.tail, last + share_lingers(), share, MOST_SHARES);
    }

    /// Takes in what a holder heard. `outstanding`: places of other holders, each until the last moment of arrival.
    pub(super) fn observe(&mut self, terms: &Terms, heard: &Observation, outstanding: &[(Tick, u32)]) {
        let quota = heard.quota;
        self.told = (quota.burst.or(self.told.0), quota.steady.or(self.told.1));
        let (Some(remaining), Some(resets_in)) = (quota.remaining, quota.resets_in) else { return };
        let (sent, ends) = (tick(heard.sent), tick_after(after(heard.heard, resets_in)));
        let half = ticks(terms.span) / 2;
        let ends = match self.seen {
            // Of an earlier window, or older than what is known of this one.
            Some(seen) if ends + half < seen.ends() || sent < seen.sent() => return,
            // Each answer bounds the end from above by up to a second; the smallest bound is the best.
            Some(seen) if ends <= seen.ends() + half => ends.min(seen.ends()),
            _ => ends,
        };
        // Whatever arrived before this request was sent was counted before it; of the rest nobody knows.
        let held: u32 = outstanding.iter().map(|(_, places)| places).sum();
        let own = self.steady(terms).saturating_sub(total(&self.taken)).saturating_sub(held);
        if remaining.saturating_add(1) < own {
            // Alone we would have at least as many left as our own count says: another app uses the account.
            let now = tick(heard.heard);
            self.reserve = Some((now, self.reserved(terms, now).max(LEFT_TO_OTHERS)));
        }
        let arrived = self.taken.iter().map(|(until, places)| (until - terms.held(), *places));
        let unsure: u32 = arrived.chain(outstanding.iter().copied()).filter(|(at, _)| *at > sent).map(|(_, n)| n).sum();
        self.seen = Some(Seen(ends, sent, i64::from(remaining) - i64::from(unsure), unsure));
    }

    /// The vendor refused a request that the document had room for: somebody else was faster, and we give way, as in
    /// `limits/budget.rs`.
    pub(super) fn refused(&mut self, terms: &Terms, sent: Tick, told: Option<Duration>, now: Tick) {
        let news = |cut: Option<(Tick, u32)>| cut.is_none_or(|(at, _)| sent > at);
        let long = terms.burst.is_none() || told.is_some_and(|told| told > Duration::from_secs(2));
        if long && news(self.reserve) {
            let most = self.steady(terms) / 10;
            let left = (self.reserved(terms, now) * 2).clamp(LEFT_TO_OTHERS, most.max(LEFT_TO_OTHERS));
            self.reserve = Some((now, left));
        }
        if let (Some(burst), false, true) = (self.burst(terms, now), long, news(self.cut)) {
            // Never below half of the limit: several holders need a share each, and the minute is the tighter bound.
            let least = self.told.0.or(terms.burst).unwrap_or(burst) / 2;
            self.cut = Some((now, (burst / 2).max(least).max(1)));
        }
    }

    /// What all shares together may be.
    pub(super) fn burst(&self, terms: &Terms, now: Tick) -> Option<u32> {
        let most = self.told.0.or(terms.burst).filter(|_| terms.burst.is_some())?;
        let grown =
            self.cut.map_or(most, |(at, to)| to.saturating_add(periods(at, now, REGROW_EVERY) * (most / 10).max(1)));
        Some(most.min(grown))
    }

    /// What of it is given up and still felt.
    pub(super) fn tail(&self) -> u32 {
        total(&self.tail)
    }

    /// Places that are neither taken nor `outstanding`, as far as the vendor's own count allows.
    pub(super) fn free(&self, terms: &Terms, outstanding: u32, now: Tick) -> u32 {
        let own = self.steady(terms).saturating_sub(total(&self.taken)).saturating_sub(outstanding);
        own.min(self.left_by_vendor(terms, now).unwrap_or(u32::MAX))
    }

    /// Deducts what was granted.
    pub(super) fn granted(&mut self, places: u32) {
        self.seen.iter_mut().for_each(|seen| seen.2 -= i64::from(places));
    }

    /// When asking for places makes sense again, when there are none.
    pub(super) fn free_at(&self, terms: &Terms, now: Tick) -> Tick {
        let vendor = self.seen.filter(|_| self.left_by_vendor(terms, now) == Some(0));
        match (vendor, self.taken.first()) {
            // Somebody will report what was counted.
            (Some(seen), _) if seen.unsure() > 0 => seen.ends().min(now + 10),
            (Some(seen), _) => seen.ends(),
            (None, Some((until, _))) => *until,
            (None, None) => now + 10,
        }
    }

    fn steady(&self, terms: &Terms) -> u32 {
        self.told.1.unwrap_or(terms.steady)
    }

    fn left_by_vendor(&self, terms: &Terms, now: Tick) -> Option<u32> {
        let seen = self.seen.filter(|seen| seen.ends() > now)?;
        Some(u32::try_from(seen.left() - i64::from(self.reserved(terms, now))).unwrap_or(0))
    }

    fn reserved(&self, terms: &Terms, now: Tick) -> u32 {
        let every = ticks(terms.span) * RECLAIM_EVERY;
        self.reserve.map_or(0, |(at, to)| to.saturating_sub(periods(at, now, every)))
    }
}

fn periods(from: Tick, to: Tick, length: Tick) -> u32 {
    u32::try_from((to - from).max(0) / length).unwrap_or(u32::MAX)
}

fn total(moments: &Moments) -> u32 {
    moments.iter().fold(0, |sum, (_, places)| sum.saturating_add(*places))
}

/// Adds to a sorted list, and keeps it short: the two neighbours whose union costs least become one.
fn add(moments: &mut Moments, at: Tick, places: u32, most: usize) {
    if places == 0 {
        return;
    }
    let index = moments.partition_point(|(other, _)| *other < at);
    match moments.get_mut(index) {
        Some((other, sum)) if *other == at => *sum = sum.saturating_add(places),
        _ => moments.insert(index, (at, places)),
    }
    while moments.len() > most {
        let cost = |at: usize| (moments[at + 1].0 - moments[at].0) * i64::from(moments[at].1);
        let cheapest = (0..moments.len() - 1).min_by_key(|at| cost(*at)).unwrap_or(0);
        let (_, places) = moments.remove(cheapest);
        moments[cheapest].1 = moments[cheapest].1.saturating_add(places);
    }
}
