//! From fates to settlements: one for each message, written together.

use std::time::Duration;

use domain::Skip;
use domain::delivery::{EventFate, MessageFate, message_fate, parked_check_after};
use jiff::Timestamp;

use super::Consumer;
use super::batch::{State, WaitCause, Waiting, Work};
use super::profiles::Updates;
use super::reading::MessagePlan;
use crate::ports::{
    Claimed, Clock, ConsumerStore, End, EventCounts, EventRecord, Fate, Intercom, ItemCount, Jitter, Klaviyo, Parking,
    Settlement, StoreError, StoreResult,
};

/// What a batch came to.
pub(super) struct Outcome {
    pub(super) settlements: Vec<Settlement>,
    /// How many reached their end.
    pub(super) finished: usize,
    /// Set when a vendor holds everything back: claiming more before that would only move messages about.
    pub(super) paused_until: Option<Timestamp>,
}

/// What the events of one message say together.
#[derive(Default)]
struct Tally {
    fates: Vec<EventFate>,
    records: Vec<EventRecord>,
    waits: Vec<Waiting>,
    parked_for: Vec<domain::ContactId>,
    keys: Vec<domain::KeyHash>,
}

impl<S: ConsumerStore, I: Intercom, K: Klaviyo, C: Clock, J: Jitter> Consumer<S, I, K, C, J> {
    /// Every message back to the queue, nothing counted.
    pub(super) fn defer_all(&self, claimed: &[Claimed], until: Timestamp) -> Outcome {
        let settlements = claimed
            .iter()
            .map(|message| Settlement {
                keys: Vec::new(),
                id: message.id.clone(),
                receipt: message.receipt.clone(),
                end: End::Deferred { until, progress: message.progress },
                events: Vec::new(),
                profiles: 0,
                item: None,
            })
            .collect();
        Outcome { settlements, finished: 0, paused_until: Some(until) }
    }

    /// `updates`: what became of profiles without an event; messages may have to wait for it.
    pub(super) fn outcome(
        &self,
        claimed: &[Claimed],
        plans: Vec<MessagePlan>,
        works: Vec<Work<'_>>,
        updates: &Updates,
    ) -> Outcome {
        let now = self.deps.clock.now();
        let mut tallies: Vec<Tally> =
            plans.iter().map(|plan| Tally { fates: plan.fixed.clone(), ..Tally::default() }).collect();
        for work in works {
            self.tally(&mut tallies[work.message], work, now);
        }
        for (message, wait) in &updates.waits {
            tallies[*message].waits.push(*wait);
            tallies[*message].fates.push(EventFate::Waits);
        }
        let mut finished = 0;
        let mut vendor_waits = Vec::new();
        let mut settlements = Vec::with_capacity(claimed.len());
        for (index, ((message, plan), tally)) in claimed.iter().zip(plans).zip(tallies).enumerate() {
            let by_vendor = tally.waits.iter().filter(|wait| wait.cause == WaitCause::Vendor);
            vendor_waits.extend(by_vendor.map(|wait| wait.until));
            let counts = plan.counted.map(|(book, entry)| ItemCount { book, entry, events: counts(&tally.fates) });
            let mut settlement = self.settlement(message, &plan.topic, tally, now);
            settlement.profiles = updates.written.get(&index).copied().unwrap_or(0);
            if let Some(item) = counts {
                // Of a million items nobody reads one by one why they gave nothing: the books say how many.
                settlement.events.retain(|event| !matches!(event.fate, Fate::Skipped(_)));
                settlement.item = (!matches!(settlement.end, End::Deferred { .. })).then_some(item);
            }
            finished += usize::from(!matches!(settlement.end, End::Deferred { .. }));
            settlements.push(settlement);
        }
        let paused_until = if finished == 0 { vendor_waits.into_iter().min() } else { None };
        Outcome { settlements, finished, paused_until }
    }

    fn tally(&self, tally: &mut Tally, work: Work<'_>, now: Timestamp) {
        tally.keys.push(work.activity.key.hash());
        let fate = match work.state {
            State::Ended(fate) => fate,
            State::Waiting(wait) => {
                tally.waits.push(wait);
                EventFate::Waits
            }
            // Every event is ended or waits by now; one that is not is simply tried again.
            State::Open | State::Ready(_) => {
                tally.waits.push(Waiting { until: self.in_a_moment(), cause: WaitCause::Vendor });
                EventFate::Waits
            }
        };
        let shown = match &fate {
            EventFate::Sent => Some(Fate::Sent),
            EventFate::Skipped(reason) => Some(Fate::Skipped(reason.to_string())),
            EventFate::Parked => {
                tally.parked_for.push(work.activity.contact.clone());
                Some(Fate::Parked)
            }
            EventFate::Dead(reason) => Some(Fate::Dead(reason.clone())),
            EventFate::SentBefore | EventFate::Waits => None,
        };
        if let Some(fate) = shown {
            tally.records.push(EventRecord {
                key: Some(work.activity.key.hash()),
                key_text: work.activity.key.as_str().to_owned(),
                metric: self.rules.metric_name(work.activity.metric),
                contact: Some(work.activity.contact),
                time: Some(work.activity.time),
                fate,
                at: now,
            });
        }
        tally.fates.push(fate);
    }

    fn settlement(&self, message: &Claimed, topic: &str, mut tally: Tally, now: Timestamp) -> Settlement {
        let mut progress = message.progress;
        progress.sent |= tally.fates.iter().any(|fate| matches!(fate, EventFate::Sent | EventFate::SentBefore));
        if tally.waits.iter().any(|wait| wait.cause == WaitCause::Attempt) {
            progress.attempts = progress.attempts.saturating_add(1);
        }
        if tally.waits.iter().any(|wait| wait.cause == WaitCause::Contact) {
            progress.contact_tries = progress.contact_tries.saturating_add(1);
        }
        let end = match message_fate(&tally.fates, progress.sent) {
            MessageFate::Deferred => {
                let until = tally.waits.iter().map(|wait| wait.until).max().unwrap_or(now);
                // What will be recorded when the message ends is not recorded now, except what was sent.
                tally.records.retain(|record| record.fate == Fate::Sent);
                End::Deferred { until, progress }
            }
            MessageFate::Dead(reason) => {
                tracing::warn!(message = %message.id, topic, reason, "dead-lettered");
                End::Dead { reason, topic: topic.to_owned() }
            }
            MessageFate::Parked => End::Parked(Parking {
                contacts: tally.parked_for,
                next_check: now.checked_add(parked_check_after(Duration::ZERO)).unwrap_or(Timestamp::MAX),
                expires: message.accepted.received_at.checked_add(self.options.park_for).unwrap_or(Timestamp::MAX),
                progress,
            }),
            MessageFate::Delivered => End::Delivered,
            MessageFate::Skipped(reason) => {
                if tally.records.is_empty() && reason != Skip::Ping {
                    tally.records.push(skipped_message(topic, &reason, now));
                }
                End::Skipped(reason.to_string())
            }
        };
        let (id, receipt) = (message.id.clone(), message.receipt.clone());
        Settlement { id, receipt, end, events: tally.records, keys: tally.keys, profiles: 0, item: None }
    }

    /// Writes the settlements, patiently: until they are written, what was sent is known to nobody but the ledger's claims.
    ///
    /// A piece at a time, so that webhooks, which wait for the same store, get their turn in between. If we die between two
    /// pieces, the messages of the second are delivered again, with the identifiers of the first time.
    pub(super) async fn settle(&self, mut settlements: Vec<Settlement>) -> StoreResult<()> {
        while !settlements.is_empty() {
            let rest = settlements.split_off(settlements.len().min(self.options.piece.max(1)));
            self.settle_piece(std::mem::replace(&mut settlements, rest)).await?;
        }
        Ok(())
    }

    async fn settle_piece(&self, settlements: Vec<Settlement>) -> StoreResult<()> {
        let mut wait = Duration::from_millis(100);
        loop {
            match self.deps.store.settle(settlements.clone()).await {
                Err(StoreError::Unavailable { .. }) if wait < self.options.hide / 4 => {
                    self.deps.clock.sleep(wait).await;
                    wait *= 2;
                }
                result => return result,
            }
        }
    }
}

/// What became of an item's events, for its entry in the books.
fn counts(fates: &[EventFate]) -> EventCounts {
    let mut counts = EventCounts::default();
    for fate in fates {
        match fate {
            EventFate::Sent | EventFate::SentBefore => counts.delivered += 1,
            EventFate::Skipped(reason) => *counts.skipped.entry(reason.to_string()).or_default() += 1,
            EventFate::Parked => counts.parked += 1,
            EventFate::Dead(_) => counts.dead += 1,
            EventFate::Waits => {}
        }
    }
    counts
}

/// A message that never became an event, for the list of recent events.
fn skipped_message(topic: &str, reason: &Skip, now: Timestamp) -> EventRecord {
    EventRecord {
        key: None,
        key_text: String::new(),
        metric: topic.to_owned(),
        contact: None,
        time: None,
        fate: Fate::Skipped(reason.to_string()),
        at: now,
    }
}
