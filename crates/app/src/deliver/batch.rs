//! One batch: the order in which everything happens between claim and settlement.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use domain::activity::Activity;
use domain::contact::Contact;
use domain::delivery::EventFate;
use domain::intercom::ContactChange;
use domain::mapping::Origin;
use domain::support::Summary;
use domain::{ContactId, Identity, KeyHash, Skip};
use jiff::Timestamp;

use super::Consumer;
use super::reading::{self, MessagePlan};
use super::sending::Sending;
use super::settling::Outcome;
use super::support::Batch;
use crate::ports::{Claim, ClaimOutcome, Claimed, Clock, ConsumerStore, Intercom, Jitter, Klaviyo, Lane, StoreResult};

/// An event on its way.
pub(super) struct Work<'a> {
    /// Index of its message in the batch.
    pub(super) message: usize,
    /// How it is sent: what the import found can only go as history.
    pub(super) origin: Origin,
    pub(super) activity: Activity<'a>,
    pub(super) state: State,
    /// Key of the record whose support state rides on it.
    pub(super) told: Option<String>,
}

/// How far it got.
pub(super) enum State {
    /// Its contact is not known yet.
    Open,
    /// May be sent, once the ledger agrees.
    Ready(Box<Ready>),
    /// Has its fate.
    Ended(EventFate),
    /// To be tried again.
    Waiting(Waiting),
}

/// What sending needs.
pub(super) struct Ready {
    pub(super) contact: Arc<Contact>,
    pub(super) identity: Identity,
    /// What the profile is to say about support.
    pub(super) support: Option<Summary>,
}

/// Why and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) until: Timestamp,
    pub(super) cause: WaitCause,
}

/// What a wait costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WaitCause {
    /// A vendor's limit, a refused key, an outage, or another worker: nothing is counted.
    Vendor,
    /// The event failed while others did not.
    Attempt,
    /// The contact is unknown or has no address yet.
    Contact,
}

impl Work<'_> {
    pub(super) fn end(&mut self, fate: EventFate) {
        self.state = State::Ended(fate);
    }

    pub(super) fn wait(&mut self, until: Timestamp, cause: WaitCause) {
        self.state = State::Waiting(Waiting { until, cause });
    }
}

impl<S: ConsumerStore, I: Intercom, K: Klaviyo, C: Clock, J: Jitter> Consumer<S, I, K, C, J> {
    pub(super) async fn deliver(&self, lane: Lane, claimed: &[Claimed], deadline: Timestamp) -> Outcome {
        let ours = match self.our_workspace().await {
            Ok(ours) => ours,
            Err(until) => return self.defer_all(claimed, until),
        };
        let calls: Vec<_> = claimed.iter().map(reading::read_message).collect();
        let planning = reading::Planning { ours: &ours, rules: &self.rules, now: self.deps.clock.now() };
        let (plans, mut works) = planning.plan(&calls);
        self.note_contact_changes(&plans).await;
        self.note_topics(&plans).await;
        drop_doubles_within_messages(&mut works);
        let others = self.people_of_facts(&plans).await;
        let people = self.find_people(claimed, &mut works, others, deadline).await;
        if let Err(until) = self.claim_in_ledger(claimed, &mut works).await {
            return self.defer_all(claimed, until);
        }
        let batch = Batch { claimed, plans: &plans, people: &people, deadline };
        let mut support = match self.note_support(&batch, &mut works).await {
            Ok(support) => support,
            Err(until) => return self.defer_all(claimed, until),
        };
        self.send(&Sending { lane, ours: &ours, claimed, deadline }, &mut works).await;
        self.tell_support(&mut support, claimed, &works, deadline).await;
        let mut updates = self.update_profiles(claimed, &plans, deadline).await;
        updates.absorb(support.waits, support.written);
        self.outcome(claimed, plans, works, &updates)
    }

    /// For whoever connects and wants to see what has arrived.
    async fn note_topics(&self, plans: &[MessagePlan]) {
        let live = plans.iter().filter(|plan| plan.counted.is_none()).map(|plan| plan.topic.as_str());
        self.topics.note(&self.deps.store, live, self.deps.clock.now().as_second()).await;
    }

    /// Contacts that changed are asked for afresh, and those that can be identified now release what waited for them.
    async fn note_contact_changes(&self, plans: &[MessagePlan]) {
        let changed: Vec<&ContactChange> = plans.iter().filter_map(|plan| plan.changed_contact.as_deref()).collect();
        if changed.is_empty() {
            return;
        }
        let ids = changed.iter().flat_map(|change| [Some(&change.contact.id), change.merged_from.as_ref()]).flatten();
        let keys: Vec<_> = ids.map(super::people::cache_key).collect();
        if let Err(error) = self.deps.store.forget(&keys).await {
            tracing::warn!(%error, "a changed contact could not be forgotten; it is stale for some minutes");
        }
        let known: Vec<_> = changed
            .iter()
            .filter(|change| domain::mapping::identity_of(&change.contact, &self.rules).is_known())
            .flat_map(|change| [Some(change.contact.id.clone()), change.merged_from.clone()])
            .flatten()
            .collect();
        self.release(&known).await;
        if plans.iter().any(MessagePlan::is_merge_of_nobody_known) {
            self.look_at_parked_soon().await;
        }
    }

    /// Puts what waited for these contacts back on the queue.
    pub(super) async fn release(&self, contacts: &[ContactId]) {
        if contacts.is_empty() {
            return;
        }
        match self.deps.store.release(contacts).await {
            Ok(0) => {}
            Ok(released) => tracing::info!(released, "parked messages released: their contact is known now"),
            Err(error) => tracing::warn!(%error, "parked messages could not be released; the sweep will"),
        }
    }

    /// A merge may name the survivor only, and then nobody knows which parked message it concerns: those that the sweep would look at next
    /// are looked at now.
    async fn look_at_parked_soon(&self) {
        const LOOK_AT: usize = 50;
        let looked_at = async {
            let now = self.deps.clock.now();
            for parked in self.deps.store.due(Timestamp::MAX, LOOK_AT).await? {
                self.deps.store.recheck_at(&parked.id, now).await?;
            }
            StoreResult::Ok(())
        };
        if let Err(error) = looked_at.await {
            tracing::warn!(%error, "parked messages are looked at later");
        }
    }

    /// Claims what is ready. An event that another message has is that message's.
    async fn claim_in_ledger(&self, claimed: &[Claimed], works: &mut [Work<'_>]) -> Result<(), Timestamp> {
        let mut claims = Vec::new();
        let mut owners = Vec::new();
        for (index, work) in works.iter().enumerate() {
            if let State::Ready(ready) = &work.state {
                claims.push(Claim {
                    key: work.activity.key.hash(),
                    message: claimed[work.message].id.clone(),
                    identity: ready.identity.clone(),
                });
                owners.push(index);
            }
        }
        if claims.is_empty() || !self.options.ledger {
            return Ok(());
        }
        let mut outcomes = Vec::with_capacity(claims.len());
        for piece in claims.chunks(self.options.piece.max(1)) {
            let claimed = self.deps.store.claim_events(piece.to_vec()).await.map_err(|error| {
                tracing::error!(%error, "events could not be claimed; trying again");
                self.after(Duration::from_secs(1))
            })?;
            outcomes.extend(claimed);
        }
        for (index, outcome) in owners.into_iter().zip(outcomes) {
            let work = &mut works[index];
            match outcome {
                ClaimOutcome::Fresh => {}
                ClaimOutcome::Resumed(identity) => {
                    if let State::Ready(ready) = &mut work.state {
                        ready.identity = identity;
                    }
                }
                ClaimOutcome::SentByThis => work.end(EventFate::SentBefore),
                ClaimOutcome::Taken => work.end(EventFate::Skipped(Skip::Duplicate)),
                ClaimOutcome::Busy { until } => work.wait(until, WaitCause::Vendor),
            }
        }
        Ok(())
    }
}

/// A message that names an event twice means it once. Between messages only the ledger decides: it knows which of them began
/// to send the event, and dropping that one here, because another came before it in the batch, would lose it.
fn drop_doubles_within_messages(works: &mut [Work<'_>]) {
    let mut seen: HashSet<(usize, KeyHash)> = HashSet::with_capacity(works.len());
    for work in works {
        if !seen.insert((work.message, work.activity.key.hash())) {
            work.end(EventFate::Skipped(Skip::Duplicate));
        }
    }
}
