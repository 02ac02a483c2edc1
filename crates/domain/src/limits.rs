//! Rate limits known before they are hit, and what a vendor's refusals mean for the requests behind them.
//!
//! A [`Governor`] stands before one vendor. Every request asks it for a [`Ticket`] and gives the ticket back with what
//! came of it. It decides from three things:
//!
//! - **Budgets**, one for each endpoint group that the vendor limits: sliding windows over our own requests, led by the
//!   rate-limit headers of the answers. Why they never put one request too many into a window whose phase is the vendor's
//!   secret: see `limits/budget.rs`.
//! - **Told waits**: after a 429 nothing goes to that vendor, on any endpoint, before the wait ran out; then one request
//!   goes first and the others follow its success.
//! - **The state of the vendor**: stopped (it refuses our key, or the address is wrong) or failing (5xx, timeouts). Either
//!   lets one probe through at a time, at growing distances.
//!
//! Pure: time is an argument, nothing sleeps, nothing is sent. Limits and headers:
//! <https://developers.klaviyo.com/en/docs/rate_limits_and_error_handling> and
//! <https://developers.intercom.com/docs/references/rest-api/errors/rate-limiting>.

mod budget;
mod gate;
mod lease;
pub mod quota;
mod shared;

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use budget::{Budget, Pause, Window};
use gate::Gate;
use lease::Lease;
pub use lease::{Plan, Stored};
pub use quota::Quota;
use shared::group::Terms;

/// What [`Governor::room`] says where nothing is limited.
pub const UNLIMITED: u32 = 100_000;

/// Groups of endpoints that differ in their limit or in what a refusal means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    /// `POST /api/events`: 350 a second, 3,500 a minute.
    KlaviyoEvents,
    /// `POST /api/event-bulk-create-jobs`: 10 a second, 150 a minute.
    KlaviyoBulk,
    /// `POST /api/profile-import`: 75 a second, 750 a minute.
    KlaviyoProfiles,
    /// `GET /api/accounts` and `GET /api/metrics`, under the tighter of their limits: 1 a second, 15 a minute.
    KlaviyoReads,
    /// `POST /api/segments`, `POST /api/flows` and `POST /api/templates`, under the tightest of their limits: 1 a second, 15 a minute (and 100 a day, which a human does not reach).
    /// What is made twice is there twice, so an unknown outcome is never tried again in place.
    KlaviyoCreates,
    /// Reading metrics, looking for segments, flows and templates, and asking for deletions, under the tightest of their limits:
    /// 3 a second, 60 a minute.
    KlaviyoAssets,
    /// `GET /api/profiles` and `GET /api/events`, under the tighter of their limits: 75 a second, 700 a minute.
    KlaviyoLookups,
    /// `GET /me`.
    IntercomMe,
    /// `GET /contacts/{id}`.
    IntercomContacts,
    /// Reads of the import and of reconcile: many, large, and in no hurry. Same budget, of which they leave a part to others; their
    /// failures say nothing about single look-ups.
    IntercomSearch,
    /// Everything else of Intercom's REST API, which has one budget for all: 10,000 a minute, handed out 1,667 for
    /// each 10 seconds; less on old and trial plans.
    IntercomOther,
}

impl Endpoint {
    /// Whether refusing one of the two means that the other would be refused as well.
    fn same_permission(self, other: Self) -> bool {
        let events = |endpoint| matches!(endpoint, Self::KlaviyoEvents | Self::KlaviyoBulk);
        self == other || (events(self) && events(other))
    }

    /// Index of the budget in [`Governor::budgets`].
    fn budget(self) -> usize {
        match self {
            Self::KlaviyoEvents
            | Self::IntercomMe
            | Self::IntercomContacts
            | Self::IntercomSearch
            | Self::IntercomOther => 0,
            Self::KlaviyoBulk => 1,
            Self::KlaviyoProfiles => 2,
            Self::KlaviyoReads => 3,
            Self::KlaviyoCreates => 4,
            Self::KlaviyoAssets => 5,
            Self::KlaviyoLookups => 6,
        }
    }
}

/// Permission to send one request. Give it back with [`Governor::settle`], also when the request was never answered.
#[must_use = "a ticket that is not settled occupies its place in the window"]
#[derive(Debug)]
pub struct Ticket {
    id: u64,
    endpoint: Endpoint,
    sent: Timestamp,
    probe: bool,
}

impl Ticket {
    /// Whether the others wait for this request's answer.
    pub fn is_probe(&self) -> bool {
        self.probe
    }
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The vendor accepted our key and did, or refused, just this request.
    Answered,
    /// 403 on something we can do without. Says that the vendor lives, not that the key is good for its main purpose.
    Forbidden,
    /// 429, with the wait it told.
    Throttled(Option<Duration>),
    /// The key or the address is wrong: nothing of that kind will succeed before a human did something.
    Denied {
        /// One sentence that names the setting to mend. No secrets.
        reason: String,
        /// Whether it concerns every endpoint (401) or this one and its kin (403, 404).
        everywhere: bool,
    },
    /// 5xx, timeout, cut connection or an unreadable answer, with the wait it told, if it told one.
    Failed(Option<Duration>),
    /// Given up by us before an answer came.
    Abandoned,
}

/// Why a request may not go now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// The reason.
    pub kind: HoldKind,
    /// When asking again makes sense. For [`HoldKind::Probing`] a guess: it ends with an answer, whenever that comes.
    pub until: Timestamp,
}

/// Reasons of a [`Hold`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HoldKind {
    /// Our own count of the limit is used up.
    Budget,
    /// Limits are shared, and the lease is used up or over: [`Governor::plan`] asks for another.
    Lease,
    /// The vendor told us to wait.
    Told,
    /// One request went first and the others wait for its answer.
    Probing,
    /// The vendor refuses our key, for this reason.
    Stopped(String),
    /// The vendor failed several times in a row.
    Failing,
}

/// A change worth one line in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The vendor told us to wait until then. The only change that has to be saved.
    Told(Timestamp),
    /// Stopped, for this reason.
    Stopped(String),
    /// No longer stopped.
    Resumed,
    /// Failed too often in a row: one probe at a time from now on.
    Failing,
    /// Answers again.
    Recovered,
}

/// What stands before one vendor. See the [module](self).
#[derive(Debug)]
pub struct Governor {
    /// By [`Endpoint::budget`]. Empty where limits are switched off; told waits hold all the same.
    budgets: Vec<Budget>,
    gate: Gate,
    /// Where limits are shared with other processes.
    lease: Option<Lease>,
    next_id: u64,
    latest: Timestamp,
    /// Share of a window, in percent, that [`Endpoint::IntercomSearch`] may use up.
    search_share: u32,
}

/// What outlives the process: the told wait. Window counts do not, because the vendor knows them better: after a restart
/// the first request of each group goes alone, and the headers of its answer say what is left.
#[derive(Serialize, Deserialize)]
struct Saved {
    version: u32,
    told: Option<gate::Told>,
    refusals: u32,
}

/// Version of what [`Governor::saved`] writes.
const SAVED_VERSION: u32 = 1;

/// What was saved cannot be read by this version.
#[derive(Debug, thiserror::Error)]
#[error("the saved limits cannot be read: {0}")]
pub struct SavedError(String);

const SECOND: Duration = Duration::from_secs(1);

/// When a request that leaves a part of the window to others asks again: places become free one by one.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
const MINUTE: Duration = Duration::from_secs(60);

/// By [`Endpoint::budget`].
const KLAVIYO: [Terms; 7] = [
    Terms { burst: Some(350), steady: 3_500, span: MINUTE },
    Terms { burst: Some(10), steady: 150, span: MINUTE },
    Terms { burst: Some(75), steady: 750, span: MINUTE },
    Terms { burst: Some(1), steady: 15, span: MINUTE },
    Terms { burst: Some(1), steady: 15, span: MINUTE },
    Terms { burst: Some(3), steady: 60, span: MINUTE },
    Terms { burst: Some(75), steady: 700, span: MINUTE },
];

const INTERCOM: [Terms; 1] = [Terms { burst: None, steady: 1_667, span: Duration::from_secs(10) }];

impl Governor {
    /// For Klaviyo, with the documented limits of the groups we use, or without any.
    pub fn klaviyo(limited: bool) -> Self {
        Self::new(if limited { &KLAVIYO } else { &[] }, gate::KLAVIYO_WAIT)
    }

    /// For Intercom, with the default limit of its REST API, or without any.
    pub fn intercom(limited: bool) -> Self {
        Self::new(if limited { &INTERCOM } else { &[] }, gate::INTERCOM_WAIT)
    }

    fn new(terms: &'static [Terms], wait: gate::DefaultWait) -> Self {
        let budget = |terms: &Terms| {
            let burst = terms.burst.map(|most| Window::new(most, SECOND));
            Budget::new(burst.into_iter().chain([Window::new(terms.steady, terms.span)]).collect())
        };
        let budgets = terms.iter().map(budget).collect();
        Self { budgets, gate: Gate::new(wait), lease: None, next_id: 0, latest: Timestamp::MIN, search_share: 80 }
    }

    /// How much of a window, in percent, may be used up before [`Endpoint::IntercomSearch`] waits: the rest is for live look-ups
    /// and for the workspace's other apps.
    pub fn set_search_share(&mut self, percent: u32) {
        self.search_share = percent.min(100);
    }

    /// Asks for one request.
    pub fn admit(&mut self, endpoint: Endpoint, now: Timestamp) -> Result<Ticket, Hold> {
        self.notice_time(now);
        self.gate.check(now)?;
        if let Some(lease) = &self.lease {
            lease.check(endpoint, &self.gate, now)?;
        }
        if let Some(budget) = self.budgets.get(endpoint.budget()) {
            match budget.pause(now) {
                None => {}
                Some(Pause::Until(until)) => return Err(Hold { kind: HoldKind::Budget, until }),
                Some(Pause::ForAnswer) => return Err(Hold { kind: HoldKind::Probing, until: now }),
            }
            if endpoint == Endpoint::IntercomSearch && budget.is_reserved(self.search_share, now) {
                return Err(Hold { kind: HoldKind::Budget, until: after(now, LOOK_AGAIN) });
            }
        }
        let id = self.next_id;
        self.next_id += 1;
        if let Some(budget) = self.budgets.get_mut(endpoint.budget()) {
            budget.take(id, now);
        }
        if let Some(lease) = &mut self.lease {
            lease.take(endpoint, id, now);
        }
        Ok(Ticket { id, endpoint, sent: now, probe: self.gate.enter(id) })
    }

    /// Gives a ticket back. `quota` is what the answer's headers said, `None` where no answer came.
    pub fn settle(&mut self, ticket: &Ticket, outcome: Outcome, quota: Option<Quota>, now: Timestamp) -> Vec<Change> {
        self.notice_time(now);
        if self.lease.is_some() {
            return self.settle_shared(ticket, outcome, quota, now);
        }
        if let Some(budget) = self.budgets.get_mut(ticket.endpoint.budget()) {
            budget.settle(ticket.id, quota, now);
            if let Outcome::Throttled(told) = outcome {
                budget.refused(ticket.sent, told, now);
            }
        }
        self.gate.settle(ticket, outcome, now)
    }

    /// How many requests could go right now. Asking changes nothing.
    pub fn room(&self, endpoint: Endpoint, now: Timestamp) -> u32 {
        if self.gate.check(now).is_err() {
            return 0;
        }
        let own = self.budgets.get(endpoint.budget()).map_or(UNLIMITED, |budget| budget.room(now));
        let room = self.lease.as_ref().map_or(own, |lease| lease.room(endpoint, own, now));
        if self.gate.one_at_a_time() { room.min(1) } else { room }
    }

    /// The end of the told wait, if it has not run out.
    pub fn told_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.gate.told_until().filter(|until| *until > now)
    }

    /// Reason and beginning of a stop.
    pub fn stopped(&self) -> Option<(&str, Timestamp)> {
        self.gate.stopped()
    }

    /// When one probe may go, while stopped or failing.
    pub fn next_probe(&self) -> Option<Timestamp> {
        self.gate.next_probe()
    }

    /// Whether the vendor failed so often in a row that a failure says nothing about the request.
    pub fn failing(&self) -> bool {
        self.gate.failing()
    }

    /// What has to outlive the process, as versioned JSON.
    pub fn saved(&self) -> String {
        let (told, refusals) = self.gate.memory();
        serde_json::json!(Saved { version: SAVED_VERSION, told, refusals }).to_string()
    }

    /// Takes in what an earlier or another process saved. The later of two waits holds.
    pub fn merge(&mut self, saved: &str, now: Timestamp) -> Result<(), SavedError> {
        let saved: Saved = serde_json::from_str(saved).map_err(|error| SavedError(crate::parse::describe(&error)))?;
        if saved.version != SAVED_VERSION {
            return Err(SavedError(format!("version {} instead of {SAVED_VERSION}", saved.version)));
        }
        if let Some(told) = saved.told {
            self.gate.remember(told, saved.refusals, now);
        }
        Ok(())
    }

    /// A clock that was set back would otherwise keep every window full, and every wait going, for as long as the step
    /// was: everything moves along with it. Steps below a second are tasks that read the clock in another order.
    fn notice_time(&mut self, now: Timestamp) {
        let step = gap(now, self.latest);
        if self.latest != Timestamp::MIN && step > SECOND {
            self.budgets.iter_mut().for_each(|budget| budget.shift(step));
            self.gate.shift(step);
            self.lease.iter_mut().for_each(Lease::end);
            self.latest = now;
        }
        self.latest = self.latest.max(now);
    }
}

/// `at + by`, without overflow.
fn after(at: Timestamp, by: Duration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// `at - by`, without overflow.
fn before(at: Timestamp, by: Duration) -> Timestamp {
    at.checked_sub(by).unwrap_or(Timestamp::MIN)
}

/// From one moment to a later one; zero if it is not later.
fn gap(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or(Duration::ZERO)
}

#[cfg(test)]
mod tests;
