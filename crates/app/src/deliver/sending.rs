//! Sends what is ready: singly when few, in bulk when many, and cuts a refused bulk request down until only the culprit is
//! left.

use std::sync::atomic::Ordering;
use std::time::Duration;

use domain::delivery::{
    EventFate, MAX_ATTEMPTS, Route, cut_down, next_batch, refusal, refuses_as_duplicate, refuses_phone, route,
};
use domain::klaviyo::{ApiError, BULK_MAX_BYTES, BULK_MAX_EVENTS, PreparedEvent};
use domain::mapping::{Mapping, Origin};
use domain::{Identity, Skip};
use futures_util::StreamExt;
use futures_util::stream;
use jiff::Timestamp;

use super::Consumer;
use super::batch::{State, WaitCause, Work};
use super::workspace::{Ours, app_url};
use crate::ports::{CallError, Claimed, Clock, ConsumerStore, Intercom, Jitter, Klaviyo, Lane};

/// Until when a failed call is not to be repeated.
pub(super) fn wait_of(error: &CallError) -> Timestamp {
    wait_and_cause(error).0
}

/// Until when a failed call is not to be repeated, and what that costs the event.
pub(super) fn wait_and_cause(error: &CallError) -> (Timestamp, WaitCause) {
    match error {
        CallError::Wait { until, .. } | CallError::Stopped { until, .. } => (*until, WaitCause::Vendor),
        CallError::Unavailable { until, counts: true, .. } => (*until, WaitCause::Attempt),
        CallError::Unavailable { until, .. } => (*until, WaitCause::Vendor),
        // Not about this event: somebody has to look at the set-up. The log says what.
        CallError::Refused { .. } | CallError::Forbidden { .. } => (Timestamp::MIN, WaitCause::Attempt),
    }
}

/// What a single send came to.
enum Verdict {
    Taken,
    /// Klaviyo has it.
    Duplicate,
    Refused(u16, Vec<ApiError>),
    Failed(CallError),
    /// There was no time left for it.
    NotTried,
}

/// What a batch is sent under.
pub(super) struct Sending<'a> {
    pub(super) lane: Lane,
    pub(super) ours: &'a Ours,
    pub(super) claimed: &'a [Claimed],
    /// No request begins after it.
    pub(super) deadline: Timestamp,
}

/// A bulk request to be sent: indices into the prepared events, and how often it was cut down already.
struct BulkRequest {
    events: Vec<usize>,
    round: u32,
}

impl<S: ConsumerStore, I: Intercom, K: Klaviyo, C: Clock, J: Jitter> Consumer<S, I, K, C, J> {
    /// Sends every ready event and gives each its fate.
    pub(super) async fn send(&self, batch: &Sending<'_>, works: &mut [Work<'_>]) {
        let Sending { lane, ours, claimed, deadline } = *batch;
        let ready: Vec<usize> =
            (0..works.len()).filter(|index| matches!(works[*index].state, State::Ready(_))).collect();
        if ready.is_empty() {
            return;
        }
        let directory = match self.names_for(works, &ready).await {
            Ok(directory) => directory,
            Err(error) => {
                for index in ready {
                    let attempts = claimed[works[index].message].progress.attempts;
                    self.failed(&mut works[index], &error, attempts);
                }
                return;
            }
        };
        let region = match ours {
            Ours::Known(workspace) => workspace.region.as_deref(),
            Ours::Unknown => None,
        };
        let mapping = Mapping {
            rules: &self.rules,
            directory: &directory,
            app_url: app_url(region),
            // Each event's own is set where it is prepared.
            origin: Origin::History,
        };
        let prepared: Vec<PreparedEvent> = ready.iter().filter_map(|index| prepare(&mapping, &works[*index])).collect();
        if lane == Lane::History {
            self.history_batch.store(next_batch(claimed.len(), prepared.len()), Ordering::Relaxed);
        }
        let room = self.deps.klaviyo.room();
        let verdicts = match route(prepared.len(), lane != Lane::History, room.single_now, room.bulk_now) {
            Route::Singly => self.singly(&prepared, (0..prepared.len()).collect(), deadline).await,
            Route::Bulk => self.in_bulk(&prepared, deadline).await,
        };
        for (position, verdict) in verdicts {
            let work = &mut works[ready[position]];
            let attempts = claimed[work.message].progress.attempts;
            self.conclude(&mapping, work, verdict, attempts).await;
        }
    }

    /// Names, if any of the events carries an id that needs one.
    async fn names_for(
        &self,
        works: &[Work<'_>],
        ready: &[usize],
    ) -> Result<std::sync::Arc<domain::directory::Directory>, CallError> {
        let at_hand = self.names_at_hand();
        let (mut needed, mut missing) = (false, false);
        for work in ready.iter().map(|index| &works[*index]) {
            let State::Ready(ready) = &work.state else { continue };
            let item = work.activity.item;
            let rated = item.conversation_rating.0.as_ref().and_then(|rating| rating.teammate.id());
            let admins = item.admin_assignee_id.id().into_iter().chain(rated);
            let lacks_admin = admins.clone().any(|id| at_hand.admin(id).is_none());
            let team = item.team_assignee_id.id();
            let lacks_team = team.is_some_and(|id| at_hand.team(id).is_none());
            let mut nameless = ready.contact.tags.iter().filter(|tag| tag.name.is_none()).peekable();
            needed |= admins.count() > 0 || team.is_some() || nameless.peek().is_some();
            missing |= lacks_admin || lacks_team || nameless.any(|tag| at_hand.tag(&tag.id).is_none());
        }
        if !needed {
            return Ok(at_hand);
        }
        let names = self.names(false).await?;
        if !missing { Ok(names) } else { self.names_with_newcomers(works, ready).await }
    }

    /// Asks once more where an id is newer than the names.
    async fn names_with_newcomers(
        &self,
        works: &[Work<'_>],
        ready: &[usize],
    ) -> Result<std::sync::Arc<domain::directory::Directory>, CallError> {
        let names = self.names_at_hand();
        let unknown = ready.iter().map(|index| works[*index].activity.item).any(|item| {
            item.admin_assignee_id.id().is_some_and(|id| names.admin(id).is_none())
                || item.team_assignee_id.id().is_some_and(|id| names.team(id).is_none())
        });
        if unknown { self.names(true).await } else { Ok(names) }
    }

    async fn singly(&self, events: &[PreparedEvent], which: Vec<usize>, deadline: Timestamp) -> Vec<(usize, Verdict)> {
        stream::iter(which)
            .map(|index| async move {
                if self.is_late(deadline) {
                    return (index, Verdict::NotTried);
                }
                (index, self.one(&events[index]).await)
            })
            .buffer_unordered(self.options.concurrency)
            .collect()
            .await
    }

    async fn one(&self, event: &PreparedEvent) -> Verdict {
        match self.deps.klaviyo.send_one(event).await {
            Ok(()) => Verdict::Taken,
            Err(CallError::Refused { errors, .. }) if refuses_as_duplicate(&errors) => Verdict::Duplicate,
            Err(CallError::Refused { status, errors, .. }) => Verdict::Refused(status, errors),
            Err(error) => Verdict::Failed(error),
        }
    }

    /// Sends in requests of at most 1,000 events and 4 MB. The requests that a refusal is cut down into are sent one after the
    /// other; what is named as culprit goes singly.
    async fn in_bulk(&self, events: &[PreparedEvent], deadline: Timestamp) -> Vec<(usize, Verdict)> {
        let mut requests: Vec<BulkRequest> =
            split(events).into_iter().rev().map(|events| BulkRequest { events, round: 0 }).collect();
        let mut verdicts = Vec::with_capacity(events.len());
        let mut singly = Vec::new();
        while let Some(request) = requests.pop() {
            if request.events.len() == 1 {
                singly.extend(request.events);
                continue;
            }
            if self.is_late(deadline) {
                verdicts.extend(request.events.into_iter().map(|index| (index, Verdict::NotTried)));
                continue;
            }
            let batch: Vec<&PreparedEvent> = request.events.iter().map(|index| &events[*index]).collect();
            match self.deps.klaviyo.send_bulk(&batch).await {
                Ok(()) => verdicts.extend(request.events.into_iter().map(|index| (index, Verdict::Taken))),
                Err(CallError::Refused { errors, status, .. }) => {
                    tracing::info!(status, events = batch.len(), "a bulk request was refused; cutting it down");
                    let cut = cut_down(request.events.len(), &errors, request.round);
                    singly.extend(cut.singly.into_iter().map(|at| request.events[at]));
                    requests.extend(cut.bulk.into_iter().map(|part| BulkRequest {
                        events: part.into_iter().map(|at| request.events[at]).collect(),
                        round: request.round + 1,
                    }));
                }
                Err(error) => {
                    verdicts.extend(request.events.into_iter().map(|index| (index, Verdict::Failed(error.clone()))));
                }
            }
        }
        verdicts.extend(self.singly(events, singly, deadline).await);
        verdicts
    }

    async fn conclude(&self, mapping: &Mapping<'_>, work: &mut Work<'_>, verdict: Verdict, attempts: u16) {
        match verdict {
            Verdict::Taken => work.end(EventFate::Sent),
            Verdict::Duplicate => work.end(EventFate::Skipped(Skip::Duplicate)),
            Verdict::Refused(_, errors) if refuses_phone(&errors) && has_more_than_phone(&work.state) => {
                self.without_phone(mapping, work, attempts).await;
            }
            Verdict::Refused(status, errors) => {
                tracing::warn!(key = %work.activity.key, status, "Klaviyo refused an event");
                work.end(EventFate::Dead(refusal("Klaviyo", status, &errors, &texts(mapping, work))));
            }
            Verdict::Failed(error) => self.failed(work, &error, attempts),
            Verdict::NotTried => work.wait(self.deps.clock.now(), WaitCause::Vendor),
        }
    }

    /// An address is enough: the phone number that Klaviyo cannot read stays as a property.
    async fn without_phone(&self, mapping: &Mapping<'_>, work: &mut Work<'_>, attempts: u16) {
        let State::Ready(ready) = &mut work.state else { return };
        let contact = std::sync::Arc::make_mut(&mut ready.contact);
        contact.phone = contact.phone.take().or(ready.identity.phone.take());
        ready.identity = Identity { phone: None, ..ready.identity.clone() };
        let Some(event) = prepare(mapping, work) else { return };
        match self.one(&event).await {
            Verdict::Taken => work.end(EventFate::Sent),
            Verdict::Duplicate => work.end(EventFate::Skipped(Skip::Duplicate)),
            Verdict::Refused(status, errors) => {
                work.end(EventFate::Dead(refusal("Klaviyo", status, &errors, &event.texts())));
            }
            Verdict::Failed(error) => self.failed(work, &error, attempts),
            Verdict::NotTried => {}
        }
    }

    /// A call failed: the event waits, or is given up when it alone keeps failing.
    pub(super) fn failed(&self, work: &mut Work<'_>, error: &CallError, attempts: u16) {
        let (until, cause) = wait_and_cause(error);
        if cause == WaitCause::Attempt && attempts + 1 >= MAX_ATTEMPTS {
            work.end(EventFate::Dead(format!("gave up after {MAX_ATTEMPTS} tries: {error}")));
            return;
        }
        let backoff = self.after(self.backoff(attempts));
        work.wait(if cause == WaitCause::Attempt { until.max(backoff) } else { until }, cause);
    }

    pub(super) fn is_late(&self, deadline: Timestamp) -> bool {
        self.deps.clock.now() >= deadline
    }

    /// 1 s, doubling, to 5 minutes; spread by half, so that what failed together is not tried together.
    pub(super) fn backoff(&self, attempts: u16) -> Duration {
        let seconds = 2f64.powi(i32::from(attempts.min(10))).min(300.0);
        Duration::from_secs_f64(seconds * (0.75 + self.deps.jitter.unit() / 2.0))
    }
}

fn prepare(mapping: &Mapping<'_>, work: &Work<'_>) -> Option<PreparedEvent> {
    match &work.state {
        State::Ready(ready) => {
            let mapping = Mapping { origin: work.origin, ..*mapping };
            let support = ready.support.as_ref();
            Some(mapping.event_with_support(&work.activity, &ready.contact, &ready.identity, support))
        }
        _ => None,
    }
}

/// Cuts a list of events into requests inside Klaviyo's limits.
fn split(events: &[PreparedEvent]) -> Vec<Vec<usize>> {
    let mut requests = Vec::new();
    let mut current = Vec::new();
    let mut bytes = 0;
    for (index, event) in events.iter().enumerate() {
        let size = event.bulk_len();
        if !current.is_empty() && (current.len() == BULK_MAX_EVENTS || bytes + size > BULK_MAX_BYTES) {
            requests.push(std::mem::take(&mut current));
            bytes = 0;
        }
        bytes += size;
        current.push(index);
    }
    if !current.is_empty() {
        requests.push(current);
    }
    requests
}

fn has_more_than_phone(state: &State) -> bool {
    matches!(state, State::Ready(ready) if ready.identity.phone.is_some()
        && (ready.identity.email.is_some() || ready.identity.external_id.is_some()))
}

/// What must not stand in a reason.
fn texts(mapping: &Mapping<'_>, work: &Work<'_>) -> Vec<String> {
    prepare(mapping, work).map(|event| event.texts()).unwrap_or_default()
}
