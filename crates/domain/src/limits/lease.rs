//! A governor that shares its limits with other processes: what it holds of the document in [`super::shared`], and how it
//! asks for more.
//!
//! The caller's side of a renewal: load the document, [`Governor::plan`], save its text over the version that was loaded,
//! [`Governor::adopt`]. Another writer came first: load and plan again. The store failed: nothing is adopted, nothing is
//! sent, and what was to be reported stays to be reported.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::budget::{ARRIVES_WITHIN, Budget};
use super::gate::Gate;
use super::shared::group::{Observation, Terms, Tick, moment, tick_after};
use super::shared::{Grant, Report, Shared, Turn};
use super::{Change, Endpoint, Governor, Hold, HoldKind, INTERCOM, KLAVIYO, Outcome, Quota, Ticket, after};

/// A lease that ended so lately still tells how much the next one should be good for.
const LINGERS: Duration = Duration::from_secs(2);

/// What a process holds of the shared limits.
#[derive(Debug)]
pub(super) struct Lease {
    holder: String,
    key: String,
    terms: &'static [Terms],
    /// Number of the last one that was asked for.
    asked: u32,
    until: Timestamp,
    groups: Vec<Held>,
    /// Whether the next request may be the probe.
    probe: bool,
    /// A sibling's probe is on its way: look again then.
    look: Option<Timestamp>,
    /// What the siblings have to know and do not know yet.
    reports: Vec<Report>,
    seen: Option<Shared>,
}

/// Of one endpoint group.
#[derive(Debug, Default)]
struct Held {
    /// Places not used yet.
    places: u32,
    /// Sent under this lease.
    sent: u32,
    /// Sent and not answered.
    open: BTreeMap<u64, Timestamp>,
    /// Sent and answered: how many leases had been asked for by then, and the latest arrival of each.
    closed: Vec<(u32, Tick)>,
    /// Requests that wait for permission.
    waiting: u32,
    /// There was nothing: ask again then.
    again: Option<Timestamp>,
    heard: Option<Observation>,
}

impl Held {
    fn close(&mut self, id: u64, asked: u32, now: Timestamp) {
        if let Some(sent) = self.open.remove(&id) {
            self.closed.push((asked, tick_after(now.min(after(sent, ARRIVES_WITHIN)))));
        }
    }

    /// What must have arrived by now has, answered or not.
    fn close_old(&mut self, asked: u32, now: Timestamp) {
        let old = |(_, sent): &(&u64, &Timestamp)| after(**sent, ARRIVES_WITHIN) <= now;
        let old: Vec<u64> = self.open.iter().filter(old).map(|(id, _)| *id).collect();
        old.into_iter().for_each(|id| self.close(id, asked, now));
    }

    /// The latest arrival of each request on its way.
    fn flying(&self) -> Vec<Tick> {
        self.open.values().map(|sent| tick_after(after(*sent, ARRIVES_WITHIN))).collect()
    }
}

/// A renewal, as it would be.
#[derive(Debug)]
pub struct Plan {
    /// What to save; `None`: there is nothing new, the plan can be adopted as it is.
    pub text: Option<String>,
    /// Why the stored document could not be read, if it could not. It is then replaced, and every place counts as taken.
    pub unreadable: Option<String>,
    next: Shared,
    grant: Grant,
    number: u32,
    reports: usize,
}

impl Lease {
    /// Whether a request may go by the lease. The gate itself is open or lets one through.
    pub(super) fn check(&self, endpoint: Endpoint, gate: &Gate, now: Timestamp) -> Result<(), Hold> {
        let held = &self.groups[endpoint.budget()];
        if let Some(until) = self.look.filter(|until| *until > now && gate.one_at_a_time()) {
            return Err(gate.hold_until(until));
        }
        let may = held.places > 0 && self.until > now && (self.probe || !gate.one_at_a_time());
        match held.again.filter(|until| *until > now) {
            _ if may => Ok(()),
            Some(until) => Err(Hold { kind: HoldKind::Budget, until }),
            None => Err(Hold { kind: HoldKind::Lease, until: now }),
        }
    }

    pub(super) fn take(&mut self, endpoint: Endpoint, id: u64, now: Timestamp) {
        let held = &mut self.groups[endpoint.budget()];
        held.places = held.places.saturating_sub(1);
        held.sent += 1;
        held.open.insert(id, now);
        self.probe = false;
    }

    /// A request has an answer, or will never have one.
    fn close(&mut self, ticket: &Ticket, quota: Option<Quota>, now: Timestamp) {
        let held = &mut self.groups[ticket.endpoint.budget()];
        held.close(ticket.id, self.asked, now);
        if let Some(quota) = quota.filter(|_| held.heard.is_none_or(|heard| heard.sent <= ticket.sent)) {
            held.heard = Some(Observation { sent: ticket.sent, heard: now, quota });
        }
    }

    /// How many could go now: what is held, or what may be had. `share`: what the short window allows.
    pub(super) fn room(&self, endpoint: Endpoint, share: u32, now: Timestamp) -> u32 {
        let held = &self.groups[endpoint.budget()];
        let here = if self.until > now { held.places.min(share) } else { 0 };
        if held.again.is_some_and(|until| until > now) {
            return here;
        }
        here.max(self.seen.as_ref().map_or(0, |seen| seen.free((endpoint, &self.holder), self.terms, now)))
    }

    /// Uses nothing of it any more. In the document it runs out by itself.
    pub(super) fn end(&mut self) {
        self.until = Timestamp::MIN;
        self.look = None;
        self.groups.iter_mut().for_each(|held| (held.places, held.again) = (0, None));
    }

    /// What it asks for: the requests that wait, and as many again as the lease that is just over was good for, so that
    /// batches which follow each other closely need fewer leases.
    fn asks(&self, now: Timestamp) -> Vec<u32> {
        let recent = after(self.until, LINGERS) > now;
        self.groups.iter().map(|held| held.waiting + if recent { held.sent } else { 0 }).collect()
    }
}

/// Shared limits.
impl Governor {
    /// Klaviyo's limits, shared through a document with all who call with this account. `holder`: a name that no other
    /// process has. `key`: the key itself, of which only a fingerprint is kept, so that a stop is known to be about it.
    pub fn klaviyo_shared(holder: &str, key: &str) -> Self {
        Self::klaviyo(true).sharing(&KLAVIYO, holder, key)
    }

    /// Intercom's limits, shared through a document with all who read this workspace. See [`Governor::klaviyo_shared`].
    pub fn intercom_shared(holder: &str, key: &str) -> Self {
        Self::intercom(true).sharing(&INTERCOM, holder, key)
    }

    fn sharing(mut self, terms: &'static [Terms], holder: &str, key: &str) -> Self {
        // Where there is no short window, places alone limit.
        let short = terms.iter().filter(|terms| terms.burst.is_some());
        self.budgets = short.map(|_| Budget::of_share()).collect();
        self.lease = Some(Lease {
            holder: fingerprint(holder),
            key: fingerprint(key),
            terms,
            asked: 0,
            until: Timestamp::MIN,
            groups: terms.iter().map(|_| Held::default()).collect(),
            probe: false,
            look: None,
            reports: Vec::new(),
            seen: None,
        });
        self
    }

    /// Whether the limits are shared.
    pub fn is_shared(&self) -> bool {
        self.lease.is_some()
    }

    /// Whether something happened that the siblings have to know: [`Governor::plan`] writes it down.
    pub fn has_news(&self) -> bool {
        self.lease.as_ref().is_some_and(|lease| !lease.reports.is_empty())
    }

    /// A request begins to wait for permission.
    pub fn waits(&mut self, endpoint: Endpoint) {
        self.lease.iter_mut().for_each(|lease| lease.groups[endpoint.budget()].waiting += 1);
    }

    /// A request that waited does so no longer.
    pub fn waits_no_more(&mut self, endpoint: Endpoint) {
        let held = self.lease.as_mut().map(|lease| &mut lease.groups[endpoint.budget()]);
        held.into_iter().for_each(|held| held.waiting = held.waiting.saturating_sub(1));
    }

    /// Takes in what is stored, without asking for anything. Gives why it cannot be read, if it cannot.
    pub fn look(&mut self, stored: Option<&str>, now: Timestamp) -> Option<String> {
        let lease = self.lease.as_mut()?;
        let (document, unreadable) = Shared::read(stored, lease.terms, now);
        self.gate.adopt(document.gate_for(&lease.key));
        lease.seen = Some(document);
        unreadable
    }

    /// Plans a renewal over the stored document. From here on nothing is sent under the old lease: what is left of it goes
    /// back. `None` where limits are not shared.
    pub fn plan(&mut self, stored: Option<&str>, now: Timestamp) -> Option<Plan> {
        let lease = self.lease.as_mut()?;
        let asks = lease.asks(now);
        for held in &mut lease.groups {
            held.places = 0;
            held.close_old(lease.asked, now);
        }
        lease.asked += 1;
        let (mut next, unreadable) = Shared::read(stored, lease.terms, now);
        let turn = Turn {
            holder: &lease.holder,
            key: &lease.key,
            wait: self.gate.default_wait(),
            number: lease.asked,
            used: lease.groups.iter().map(|held| held.closed.clone()).collect(),
            flying: lease.groups.iter().map(Held::flying).collect(),
            asks,
            heard: lease.groups.iter().map(|held| held.heard).collect(),
            reports: &lease.reports,
        };
        let grant = next.turn(&turn, lease.terms);
        let text = (grant.save || unreadable.is_some()).then(|| next.text());
        Some(Plan { text, unreadable, next, grant, number: lease.asked, reports: lease.reports.len() })
    }

    /// Takes over a plan whose text was saved, or had none.
    pub fn adopt(&mut self, plan: Plan) {
        let Some(lease) = &mut self.lease else { return };
        lease.reports.drain(..plan.reports.min(lease.reports.len()));
        self.gate.adopt(plan.next.gate_for(&lease.key));
        // What happened while it was being saved is not in it.
        for report in &lease.reports {
            self.gate.settle(&report.ticket, report.outcome.clone(), report.at);
        }
        lease.look = plan.grant.look.map(moment);
        for (held, again) in lease.groups.iter_mut().zip(&plan.grant.again) {
            held.again = again.map(moment);
        }
        if plan.text.is_some() {
            (lease.until, lease.probe) = (moment(plan.grant.until), plan.grant.probe);
            for (index, (held, (places, share))) in lease.groups.iter_mut().zip(&plan.grant.groups).enumerate() {
                (held.places, held.sent, held.heard) = (*places, 0, None);
                held.closed.retain(|(asked, _)| *asked >= plan.number && plan.grant.goes_over);
                if !plan.grant.goes_over {
                    // What had been sent runs out with the lease that it was sent under.
                    held.open.clear();
                }
                self.budgets.get_mut(index).into_iter().for_each(|budget| budget.share(*share));
            }
        }
        lease.seen = Some(plan.next);
    }

    /// [`Governor::settle`] where limits are shared: the count is the document's business, and so is what others must know.
    pub(super) fn settle_shared(
        &mut self,
        ticket: &Ticket,
        outcome: Outcome,
        quota: Option<Quota>,
        now: Timestamp,
    ) -> Vec<Change> {
        if let Some(budget) = self.budgets.get_mut(ticket.endpoint.budget()) {
            budget.settle(ticket.id, Some(Quota::default()), now);
        }
        let failures = self.gate.failures();
        let changes = self.gate.settle(ticket, outcome.clone(), now);
        if let Some(lease) = &mut self.lease {
            lease.close(ticket, quota, now);
            if ticket.probe || !changes.is_empty() {
                let Ticket { id, endpoint, sent, probe } = *ticket;
                let ticket = Ticket { id, endpoint, sent, probe };
                lease.reports.push(Report { ticket, outcome, failures, at: now });
            }
        }
        changes
    }
}

/// Eight digits that tell texts apart and from which nobody can tell the text.
fn fingerprint(text: &str) -> String {
    hex::encode(Sha256::digest(text).get(..4).unwrap_or_default())
}

/// What a process that sends nothing can see.
#[derive(Debug)]
pub struct Stored(Shared);

impl Stored {
    /// Reads the document of a vendor. What cannot be read says nothing.
    pub fn read(stored: Option<&str>, now: Timestamp) -> Self {
        Self(Shared::read(stored, &[], now).0)
    }

    /// The end of the told wait, if it has not run out.
    pub fn told_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.0.gate.told_until().filter(|until| *until > now)
    }

    /// Reason and beginning of a stop.
    pub fn stopped(&self) -> Option<(&str, Timestamp)> {
        self.0.gate.stop.as_ref().map(|stop| (stop.reason.as_str(), stop.since))
    }
}
