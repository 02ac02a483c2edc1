//! A holder's turn with the document: what it says, and the lease that it gets.

use jiff::Timestamp;

use super::super::gate::{DefaultWait, Gate};
use super::super::{Outcome, Ticket};
use super::group::{Observation, Terms, Tick, moment, tick};
use super::{Entry, LEASE, LEASE_SECONDS, LOOK, MOST_HOLDERS, PROBE, Probe, Shared};

/// What the siblings have to know of a request.
#[derive(Debug)]
pub(in super::super) struct Report {
    pub(in super::super) ticket: Ticket,
    pub(in super::super) outcome: Outcome,
    /// Failures in a row before it, as its process met them.
    pub(in super::super) failures: u32,
    pub(in super::super) at: Timestamp,
}

/// What a holder says and asks.
#[derive(Debug)]
pub(in super::super) struct Turn<'a> {
    pub(in super::super) holder: &'a str,
    pub(in super::super) key: &'a str,
    pub(in super::super) wait: DefaultWait,
    /// Number of the lease that is asked for.
    pub(in super::super) number: u32,
    /// By group: each request that has an answer, with the number of leases that had been asked for by then, and its latest
    /// arrival. What was answered before the lease that the document holds was asked for is in the document.
    pub(in super::super) used: Vec<Vec<(u32, Tick)>>,
    /// By group: the latest arrival of each request that is on its way. Its place goes over into the next lease, so that
    /// its own arrival counts in the end.
    pub(in super::super) flying: Vec<Vec<Tick>>,
    /// By group: how many places are wanted.
    pub(in super::super) asks: Vec<u32>,
    pub(in super::super) heard: Vec<Option<Observation>>,
    pub(in super::super) reports: &'a [Report],
}

/// What a holder may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Grant {
    pub(in super::super) until: Tick,
    /// Whether there was a lease that places of requests on their way could go over from.
    pub(in super::super) goes_over: bool,
    /// By group: places and share.
    pub(in super::super) groups: Vec<(u32, u32)>,
    /// By group: whether it waits for a share.
    starves: Vec<bool>,
    /// By group: when to ask again, where nothing was granted.
    pub(in super::super) again: Vec<Option<Tick>>,
    /// The one place is for a probe.
    pub(in super::super) probe: bool,
    /// A sibling's probe is on its way: look again then.
    pub(in super::super) look: Option<Tick>,
    /// Whether the document has to be saved for the grant to be valid.
    pub(in super::super) save: bool,
}

impl Shared {
    /// Takes in what a holder says, and gives it a new lease.
    pub(in super::super) fn turn(&mut self, turn: &Turn<'_>, terms: &[Terms]) -> Grant {
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
    /// How many places the gate lets a holder have, all groups together.
    fn allowed(&mut self, turn: &Turn<'_>, grant: &mut Grant) -> u32 {
        let gate = Gate::rebuilt(turn.wait, self.gate_for(turn.key), 0, None);
        if gate.check(moment(self.at)).is_err() {
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
}

fn count(list: &[Tick]) -> u32 {
    u32::try_from(list.len()).unwrap_or(u32::MAX)
}
