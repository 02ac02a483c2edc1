//! The loop that every request of both vendors goes through.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use app::ports::{CallError, Clock, Documents, Jitter, StoreError, Vendor};
use domain::klaviyo::{ApiError, parse_errors};
use domain::limits::{Change, Endpoint, Governor, HoldKind, Outcome, Quota, Ticket, quota};
use domain::retry::{Decision, IN_PLACE, Meaning, decide, meaning};
use jiff::Timestamp;

use crate::memory;
use crate::transport::{Flaw, Outgoing, Reply, Transport};

/// The longest that a call sleeps for permission before it is the caller's turn to wait.
const PATIENCE: Duration = Duration::from_secs(2);

/// The same for the reads of the import: longer than Intercom's window of 10 seconds, because a page that is given up is read again
/// with all its parts. Nobody waits for it, and what is cut off at a function's end is as after a crash.
const READERS_PATIENCE: Duration = Duration::from_secs(12);

/// How often those who wait for another request's answer look again.
const POLL: Duration = Duration::from_millis(20);

/// When a caller should come back that ran out of patience, or failed, with nothing better known.
const SOON: Duration = Duration::from_secs(1);

/// One vendor, as all tasks share it.
pub(crate) struct Caller<T, C, J, D> {
    vendor: Vendor,
    transport: T,
    governor: Arc<Mutex<Governor>>,
    /// Whether one of the tasks asks for a new share of shared limits.
    renewing: AtomicBool,
    clock: Arc<C>,
    jitter: Arc<J>,
    documents: Arc<D>,
}

/// What a try came to.
enum Verdict<R> {
    Done(R),
    Refused(u16, Vec<ApiError>),
    Forbidden,
    Throttled(Option<Duration>),
    Denied { reason: String, everywhere: bool },
    Failed { reason: String, told: Option<Duration>, again: bool },
}

impl<T: Transport, C: Clock, J: Jitter, D: Documents> Caller<T, C, J, D> {
    pub(crate) fn new(vendor: Vendor, transport: T, governor: Governor, ports: (Arc<C>, Arc<J>, Arc<D>)) -> Self {
        let (clock, jitter, documents) = ports;
        Self {
            vendor,
            transport,
            governor: Arc::new(Mutex::new(governor)),
            renewing: AtomicBool::new(false),
            clock,
            jitter,
            documents,
        }
    }

    /// Takes in what an earlier process was told.
    pub(crate) async fn load(&self) -> Result<(), StoreError> {
        memory::load(&*self.documents, self.vendor, &self.governor, self.clock.now()).await
    }

    pub(crate) fn governor(&self) -> Arc<Mutex<Governor>> {
        self.governor.clone()
    }

    pub(crate) fn room(&self, endpoint: Endpoint) -> u32 {
        lock(&self.governor).room(endpoint, self.clock.now())
    }

    /// Sends a request until it has an answer, or until waiting is the caller's business. `read` makes sense of the
    /// answer; what it cannot read counts as a failure of the vendor.
    pub(crate) async fn call<R: Send>(
        &self,
        request: &Outgoing,
        read: impl Fn(&Reply) -> Result<R, Flaw> + Send + Sync,
    ) -> Result<R, CallError> {
        let started = self.clock.now();
        let mut patience = patience(request.endpoint);
        let mut tries = 0;
        self.keep(false).await;
        loop {
            let permit = self.admitted(request.endpoint, &mut patience).await?;
            let sent = self.transport.send(request).await;
            let now = self.clock.now();
            let quota = sent.as_ref().ok().map(|reply| quota::read(request.endpoint, |name| reply.header(name), now));
            let verdict = judge(request, sent, &read, now);
            let changes = permit.settle(verdict.outcome(request.endpoint), quota, now);
            self.tell(&changes);
            let told = matches!(verdict, Verdict::Throttled(_) | Verdict::Failed { told: Some(_), .. });
            self.keep(told).await;
            match verdict {
                Verdict::Done(done) => return Ok(done),
                Verdict::Throttled(_) => {}
                Verdict::Failed { reason, told, again } => {
                    tries += 1;
                    let elapsed = Duration::try_from(now.duration_since(started)).unwrap_or_default();
                    match decide(IN_PLACE, tries, elapsed, self.jitter.unit()) {
                        // The same page again would fail again: its reader asks for a smaller one. What may have been made must
                        // not be made twice: its maker looks first.
                        _ if matches!(request.endpoint, Endpoint::IntercomSearch | Endpoint::KlaviyoCreates) => {
                            return Err(self.unavailable(reason, now));
                        }
                        Decision::Again(delay) if again && told.is_none() && !self.failing() => {
                            self.clock.sleep(delay).await;
                        }
                        _ => return Err(self.unavailable(reason, now)),
                    }
                }
                verdict => return Err(self.error(request, verdict, now)),
            }
        }
    }

    /// Waits for permission, but not for long.
    async fn admitted(&self, endpoint: Endpoint, patience: &mut Duration) -> Result<Permit<'_, C>, CallError> {
        let mut queued = None;
        loop {
            let now = self.clock.now();
            let hold = match lock(&self.governor).admit(endpoint, now) {
                Ok(ticket) => {
                    return Ok(Permit { governor: &self.governor, clock: &*self.clock, ticket: Some(ticket) });
                }
                Err(hold) => hold,
            };
            let (wait, until) = match hold.kind {
                HoldKind::Stopped(reason) => {
                    return Err(CallError::Stopped { vendor: self.vendor, reason, until: hold.until });
                }
                HoldKind::Failing => {
                    return Err(CallError::Unavailable {
                        vendor: self.vendor,
                        reason: "it failed several times in a row".to_owned(),
                        counts: false,
                        until: hold.until,
                    });
                }
                HoldKind::Lease => {
                    queued.get_or_insert_with(|| Queued::new(&self.governor, endpoint));
                    if let Some(renewal) = Renewal::begin(&self.renewing) {
                        self.renew(renewal).await.map_err(|_| self.store_failed())?;
                        continue;
                    }
                    (POLL, later(now, SOON))
                }
                HoldKind::Probing => (POLL, later(now, SOON)),
                HoldKind::Budget | HoldKind::Told => {
                    (Duration::try_from(hold.until.duration_since(now)).unwrap_or_default(), hold.until)
                }
            };
            // At least a millisecond, so that a clock of low resolution does not make this a busy loop.
            let wait = wait.max(Duration::from_millis(1));
            *patience = patience.checked_sub(wait).ok_or(CallError::Wait { vendor: self.vendor, until })?;
            self.clock.sleep(wait).await;
        }
    }

    fn failing(&self) -> bool {
        lock(&self.governor).failing()
    }

    fn unavailable(&self, reason: String, now: Timestamp) -> CallError {
        let governor = lock(&self.governor);
        let until = [governor.told_until(now), governor.next_probe(), Some(later(now, SOON))];
        CallError::Unavailable {
            vendor: self.vendor,
            reason,
            counts: !governor.failing() && governor.stopped().is_none(),
            until: until.into_iter().flatten().max().unwrap_or(now),
        }
    }

    fn error<R>(&self, request: &Outgoing, verdict: Verdict<R>, now: Timestamp) -> CallError {
        let vendor = self.vendor;
        match verdict {
            Verdict::Refused(status, errors) => CallError::Refused { vendor, status, errors },
            Verdict::Forbidden => CallError::Forbidden { vendor, what: request.what.to_owned() },
            Verdict::Denied { reason, .. } => {
                let until = lock(&self.governor).next_probe().unwrap_or_else(|| later(now, SOON));
                CallError::Stopped { vendor, reason, until }
            }
            Verdict::Failed { reason, .. } => self.unavailable(reason, now),
            Verdict::Done(_) | Verdict::Throttled(_) => CallError::Wait { vendor, until: later(now, SOON) },
        }
    }

    /// Keeps what was told before anybody hears of it. Without a store that works it is at least obeyed by this process.
    async fn keep(&self, told: bool) {
        if lock(&self.governor).is_shared() {
            while lock(&self.governor).has_news() {
                match Renewal::begin(&self.renewing) {
                    // What could not be told is told with the next call.
                    Some(renewal) => {
                        if self.renew(renewal).await.is_err() {
                            return;
                        }
                    }
                    // Who renews now may have planned before our news, or may die: look again.
                    None => self.clock.sleep(POLL).await,
                }
            }
        } else if told
            && let Err(error) = memory::save(&*self.documents, self.vendor, &self.governor, self.clock.now()).await
        {
            tracing::warn!(vendor = self.vendor.name(), %error, "the wait we were told is not saved");
        }
    }

    async fn renew(&self, _one_at_a_time: Renewal<'_>) -> Result<(), StoreError> {
        let renewed = memory::renew(&*self.documents, self.vendor, &self.governor, &*self.clock, &*self.jitter).await;
        renewed.inspect_err(|error| {
            let vendor = self.vendor.name();
            tracing::warn!(vendor, %error, "the limits could not be shared: nothing is sent until they can");
        })
    }

    fn store_failed(&self) -> CallError {
        CallError::Wait { vendor: self.vendor, until: later(self.clock.now(), SOON) }
    }

    fn tell(&self, changes: &[Change]) {
        let vendor = self.vendor.name();
        for change in changes {
            match change {
                Change::Told(until) => tracing::warn!(vendor, %until, "told to wait"),
                Change::Stopped(reason) => tracing::warn!(vendor, reason, "stopped"),
                Change::Resumed => tracing::warn!(vendor, "resumed"),
                Change::Failing => tracing::warn!(vendor, "fails again and again: one probe at a time"),
                Change::Recovered => tracing::warn!(vendor, "answers again"),
            }
        }
    }
}

fn patience(endpoint: Endpoint) -> Duration {
    if endpoint == Endpoint::IntercomSearch { READERS_PATIENCE } else { PATIENCE }
}

fn judge<R>(
    request: &Outgoing,
    sent: Result<Reply, Flaw>,
    read: impl Fn(&Reply) -> Result<R, Flaw>,
    now: Timestamp,
) -> Verdict<R> {
    let failed = |flaw: Flaw| Verdict::Failed { again: flaw != Flaw::TooLarge, reason: flaw.to_string(), told: None };
    let reply = match sent {
        Ok(reply) => reply,
        Err(flaw) => return failed(flaw),
    };
    match meaning(request.endpoint, reply.status) {
        Meaning::Answer => read(&reply).map_or_else(failed, Verdict::Done),
        Meaning::Throttled => Verdict::Throttled(quota::told_wait(|name| reply.header(name), now)),
        Meaning::Denied { reason, everywhere } => Verdict::Denied { reason, everywhere },
        Meaning::Forbidden => Verdict::Forbidden,
        Meaning::Refused => Verdict::Refused(reply.status, parse_errors(&reply.body)),
        Meaning::Failed => Verdict::Failed {
            reason: format!("it answered {}", reply.status),
            // Intercom sends its window's end with every answer: only an explicit request to wait is one.
            told: reply.header("retry-after").and_then(|_| quota::told_wait(|name| reply.header(name), now)),
            again: true,
        },
    }
}

impl<R> Verdict<R> {
    fn outcome(&self, endpoint: Endpoint) -> Outcome {
        match self {
            // A page that was too much for Intercom must not make the look-ups of live events wait.
            Self::Failed { told: None, .. } if endpoint == Endpoint::IntercomSearch => Outcome::Abandoned,
            Self::Done(_) | Self::Refused(..) => Outcome::Answered,
            Self::Forbidden => Outcome::Forbidden,
            Self::Throttled(told) => Outcome::Throttled(*told),
            Self::Denied { reason, everywhere } => Outcome::Denied { reason: reason.clone(), everywhere: *everywhere },
            Self::Failed { told, .. } => Outcome::Failed(*told),
        }
    }
}

/// The right to ask for a new share, for one task at a time; given back however it ends.
struct Renewal<'a>(&'a AtomicBool);

impl<'a> Renewal<'a> {
    fn begin(renewing: &'a AtomicBool) -> Option<Self> {
        (!renewing.swap(true, Ordering::AcqRel)).then(|| Self(renewing))
    }
}

impl Drop for Renewal<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// A request that waits for a share of shared limits, so that the next one that is asked for is large enough.
struct Queued<'a>(&'a Mutex<Governor>, Endpoint);

impl<'a> Queued<'a> {
    fn new(governor: &'a Mutex<Governor>, endpoint: Endpoint) -> Self {
        lock(governor).waits(endpoint);
        Self(governor, endpoint)
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        lock(self.0).waits_no_more(self.1);
    }
}

/// A ticket that gives itself back when its task is dropped in the middle, so that nobody waits for its answer.
struct Permit<'a, C: Clock> {
    governor: &'a Mutex<Governor>,
    clock: &'a C,
    ticket: Option<Ticket>,
}

impl<C: Clock> Permit<'_, C> {
    fn settle(mut self, outcome: Outcome, quota: Option<Quota>, now: Timestamp) -> Vec<Change> {
        self.ticket.take().map(|ticket| lock(self.governor).settle(&ticket, outcome, quota, now)).unwrap_or_default()
    }
}

impl<C: Clock> Drop for Permit<'_, C> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            let now = self.clock.now();
            lock(self.governor).settle(&ticket, Outcome::Abandoned, None, now);
        }
    }
}

/// A task that panicked in here left nothing half done that matters: counts and moments.
pub(crate) fn lock(governor: &Mutex<Governor>) -> MutexGuard<'_, Governor> {
    governor.lock().unwrap_or_else(PoisonError::into_inner)
}

fn later(now: Timestamp, by: Duration) -> Timestamp {
    now.checked_add(by).unwrap_or(Timestamp::MAX)
}
