//! What happened to taken messages, and the crash story of this adapter.
//!
//! # How a message ends
//!
//! 1. Before the books: what must be found by whoever gets the message again. Its claims carry our writer and number. A *marker*
//!    is written unless the message is simple: handed out for the first time, ends as delivered, we hold a claim of it, and asked
//!    for all of its events.
//! 2. The books: one conditional write of our writer's share makes the numbers of all messages of the batch done (or void) and
//!    counts what they came to. Nothing has happened before this write; everything has after it. What is rare (parked, dead) is a
//!    transaction of its own: record, pointers, marker and the books.
//! 3. After the books: the queue: what ended is deleted (by Lambda, where its
//!    event source handed it over), what waits becomes visible at its time.
//!
//! # If we die
//!
//! - before 2: claims and marker carry a number that is not done. The next delivery declares it lost, which makes sure that it
//!   never becomes done, and starts again with the identifiers of the first time; Klaviyo folds the two sends. Counted once.
//! - after 2: the next delivery finds the marker and the number done, and drops the message. A simple message has no marker, but
//!   its claims, looked up by the keys of its events, say that this very message sent one, and a message that goes on after it
//!   sent something always has a marker: so this one has ended. Nothing is counted again.
//! - and a write's answer alone is lost: entries and markers carry our number, and the share has it or not, so every step can
//!   be repeated; [`AwsStore::book`] leaves out what is there.
//!
//! # If two of us hold one message
//!
//! SQS hands a message out again when its time has run out, even if we are only slow. The second waits until the first's time
//! is over (`until`), then declares its number lost. From then on the first's books refuse it. Both may have sent, with the
//! same identifiers. Whoever still comes to an end without a claim writes a marker under a condition, and one of the two
//! finds the other's.
//!
//! SQS may even hand it out twice in the same moment, and call both times the first. Both claim the same events, so one finds the
//! other's claims; unless each skips what the other one sends (a contact's tag changed in between). Hence who ends a message
//! without having asked for all of its events looks at their claims, and writes a marker. What stays possible: two versions of us,
//! or two sets of settings, that see no event in common in one message during a deployment.
//!
//! A number is *void* rather than done when nothing of the message was sent: its claims then speak for nothing, and need not be
//! rewritten. In the rare message of which a part was sent, the other part's claims are opened first.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use app::ports::{
    Clock, End, EventRecord, Fate, ItemBooks, ItemCount, Lane, Progress, Receipt, Settlement, StoreResult,
};
use domain::KeyHash;
use futures_util::{StreamExt, stream};

use crate::claims::CONCURRENCY;
use crate::marker::Says;
use crate::queue::{Queues, queue_of};
use crate::recent::Stored;
use crate::registry::Taken;
use crate::store::AwsStore;
use crate::table::Table;
use crate::take::wait_until;
use crate::totals::{Delta, PROFILES, Settled};

/// A settlement on its way.
struct Ending {
    taken: Arc<Taken>,
    settlement: Settlement,
    /// Somebody else has the message: only what was sent is recorded.
    stale: bool,
    /// The message ends without having asked for all of its events: their claims may be somebody else's.
    unasked: bool,
    /// What goes into the books together with the others, if anything does.
    delta: Option<Delta>,
}

/// The items of history and reconcile that reach their end here.
fn items(endings: &[Ending]) -> Vec<ItemCount> {
    endings.iter().filter(|ending| !ending.stale).filter_map(|ending| ending.settlement.item.clone()).collect()
}

/// What the queue is told.
enum Leaves {
    Deleted,
    Hidden(Duration),
    /// It is not ours.
    Alone,
}

impl<C: Clock + 'static, T: Table, Q: Queues> AwsStore<C, T, Q> {
    pub(crate) async fn settle_all(&self, settlements: Vec<Settlement>) -> StoreResult<()> {
        let mut seen = HashSet::new();
        let endings: Vec<Ending> = settlements
            .into_iter()
            .filter(|settlement| seen.insert(settlement.receipt.clone()))
            .filter_map(|settlement| self.ending(settlement))
            .collect();
        self.count_items(items(&endings)).await?;
        let prepared: Vec<_> =
            stream::iter(endings.into_iter().map(|ending| self.prepare(ending))).buffered(CONCURRENCY).collect().await;
        let mut endings = prepared.into_iter().collect::<StoreResult<Vec<Ending>>>()?;
        self.book_all(&mut endings).await?;
        self.leave_queue(&endings).await;
        let mut registry = self.registry();
        endings.iter().for_each(|ending| registry.settle(&ending.taken));
        Ok(())
    }

    /// A receipt that we do not know is used up, or was never ours.
    fn ending(&self, settlement: Settlement) -> Option<Ending> {
        let registry = self.registry();
        let taken = registry.by_receipt(&settlement.receipt.0)?;
        let stale = !registry.is_newest(&taken);
        let ends = self.options.exact && !matches!(settlement.end, End::Deferred { .. });
        let unasked = ends && settlement.keys.iter().any(|key| !taken.state().asked.contains(key));
        Some(Ending { taken, settlement, stale, unasked, delta: None })
    }

    /// Step 1, and step 2 of what is rare.
    async fn prepare(&self, ending: Ending) -> StoreResult<Ending> {
        let taken = Arc::clone(&ending.taken);
        let (counted, keys) = self.counted(&taken, &ending.settlement).await?;
        let sent = !keys.is_empty();
        let mut delta = self.sends(taken.number, &counted);
        if ending.stale {
            return self.stale(ending, delta).await;
        }
        if taken.lane == Lane::Live {
            delta.latest.push(("webhook".to_owned(), taken.accepted.received_at.as_microsecond()));
        }
        if ending.settlement.profiles > 0 {
            delta = delta.count(PROFILES, i64::try_from(ending.settlement.profiles).unwrap_or(i64::MAX));
        }
        // In the order in which they were recorded; of those that were sent, only what counts.
        let mut once = keys.clone();
        let counts = |event: &&EventRecord| event.fate != Fate::Sent || event.key.is_some_and(|key| once.remove(&key));
        delta.listed = self.listed(ending.settlement.events.iter().filter(counts));
        if self.has_ended(&ending).await? {
            return self.is_over(ending, delta).await;
        }
        match ending.settlement.end.clone() {
            End::Delivered => self.ends(ending, delta, "delivered".to_owned(), &keys).await,
            End::Skipped(reason) => self.ends(ending, delta, format!("s:{reason}"), &keys).await,
            End::Deferred { progress, .. } => self.goes_on(ending, delta, progress, &keys).await,
            End::Parked(parking) => {
                self.open_if_mixed(&taken, &keys).await?;
                let ours = self.park(&taken, &parking, (delta, ending.settlement.item.as_ref())).await?;
                Ok(self.rare(ending, ours))
            }
            End::Dead { reason, topic } => {
                self.open_if_mixed(&taken, &keys).await?;
                let progress = Progress { sent: sent || taken.progress.sent, ..taken.progress };
                let item = ending.settlement.item.as_ref();
                let ours = self.bury(&taken, (&reason, &topic), progress, (delta, item)).await?;
                Ok(self.rare(ending, ours))
            }
        }
    }

    /// Whether an earlier delivery ended the message without a marker. The claims tell, also those that this delivery had no
    /// reason to ask for: it may wait for a contact that the first one knew.
    async fn has_ended(&self, ending: &Ending) -> StoreResult<bool> {
        let taken = &ending.taken;
        let sent_before = {
            let state = taken.state();
            if (taken.first && !ending.unasked) || taken.generation > 0 || state.marker.is_some() {
                return Ok(false);
            }
            state.sent_before
        };
        Ok(sent_before || self.was_sent_by_another_delivery(taken, &ending.settlement.keys).await?)
    }

    /// The events that count as sent under our number, each key once.
    async fn counted(
        &self,
        taken: &Taken,
        settlement: &Settlement,
    ) -> StoreResult<(Vec<EventRecord>, HashSet<KeyHash>)> {
        let mut keys = HashSet::new();
        let mut counted = Vec::new();
        for event in settlement.events.iter().filter(|event| event.fate == Fate::Sent) {
            // Without a key nothing could tell a second record of it from the first.
            let Some(key) = event.key else { continue };
            if !keys.contains(&key) && (!self.options.exact || self.holds(taken, &key).await?) {
                keys.insert(key);
                counted.push(event.clone());
            }
        }
        Ok((counted, keys))
    }

    /// What a number's share of the books becomes by the events that were sent under it.
    fn sends(&self, number: u64, counted: &[EventRecord]) -> Delta {
        let mut delta = Delta { number: Some((number, done_if(!counted.is_empty()))), ..Delta::default() };
        for event in counted {
            delta = delta.count(format!("m:{}", event.metric), 1);
            let at = event.at.as_microsecond();
            delta.latest.extend([(format!("t:{}", event.metric), at), ("delivery".to_owned(), at)]);
        }
        delta.listed = self.listed(counted.iter());
        delta
    }

    fn listed<'e>(&self, events: impl Iterator<Item = &'e EventRecord>) -> Vec<Stored> {
        if self.options.recent_events == 0 { Vec::new() } else { events.map(Stored::new).collect() }
    }

    /// Somebody else has the message. What was sent is counted, and a marker says that the message goes on.
    async fn stale(&self, mut ending: Ending, delta: Delta) -> StoreResult<Ending> {
        if !delta.counts.is_empty() {
            let progress = Progress { sent: true, ..ending.taken.progress };
            self.mark(&ending.taken, Says::Tried, progress).await?;
            ending.delta = Some(delta);
        }
        Ok(ending)
    }

    /// It ended at an earlier delivery, without a marker. Should an event of it wait now, a marker says so to the next delivery.
    async fn is_over(&self, mut ending: Ending, delta: Delta) -> StoreResult<Ending> {
        if matches!(ending.settlement.end, End::Deferred { .. }) {
            self.mark(&ending.taken, Says::Ended, ending.taken.progress).await?;
        }
        ending.delta = Some(delta);
        Ok(ending)
    }

    async fn ends(
        &self,
        mut ending: Ending,
        delta: Delta,
        counter: String,
        sent: &HashSet<KeyHash>,
    ) -> StoreResult<Ending> {
        let taken = &ending.taken;
        let delta = Delta { number: Some((taken.number, Settled::Done)), ..delta };
        let delta = if taken.lane == Lane::Live { delta.count(counter, 1) } else { delta };
        let claimed = ending.settlement.end == End::Delivered && !sent.is_empty();
        let simple = taken.first && !ending.unasked && (claimed || !self.options.exact);
        if (simple && self.now() < taken.until) || self.mark(taken, Says::EndsWithNumber, taken.progress).await? {
            ending.delta = Some(delta);
            return Ok(ending);
        }
        self.becomes_stale(ending).await
    }

    async fn goes_on(
        &self,
        mut ending: Ending,
        mut delta: Delta,
        progress: Progress,
        sent: &HashSet<KeyHash>,
    ) -> StoreResult<Ending> {
        let taken = &ending.taken;
        self.open_if_mixed(taken, sent).await?;
        if (!sent.is_empty() || progress != taken.progress) && !self.mark(taken, Says::Tried, progress).await? {
            return self.becomes_stale(ending).await;
        }
        if taken.lane == Lane::Live {
            delta.waiting = Some(taken.accepted.received_at.as_microsecond());
        }
        ending.delta = Some(delta);
        Ok(ending)
    }

    async fn open_if_mixed(&self, taken: &Arc<Taken>, sent: &HashSet<KeyHash>) -> StoreResult<()> {
        if sent.is_empty() {
            return Ok(());
        }
        self.open_unsent(taken, sent).await
    }

    /// The marker says that the message ended with somebody else. What we sent still counts: the marker that stands there makes
    /// sure that nobody takes our claim for the message's end.
    async fn becomes_stale(&self, mut ending: Ending) -> StoreResult<Ending> {
        let (counted, _) = self.counted(&ending.taken, &ending.settlement).await?;
        ending.stale = true;
        ending.delta = Some(self.sends(ending.taken.number, &counted));
        Ok(ending)
    }

    fn rare(&self, mut ending: Ending, ours: bool) -> Ending {
        ending.stale |= !ours;
        ending
    }

    /// Step 2. The messages of a batch may have been taken under two writers, when one was worn in between.
    async fn book_all(&self, endings: &mut [Ending]) -> StoreResult<()> {
        let mut writers: Vec<_> = endings.iter().map(|ending| Arc::clone(&ending.taken.writer)).collect();
        writers.dedup_by(|one, other| one.id == other.id);
        for writer in writers {
            let of_writer = |ending: &&mut Ending| ending.taken.writer.id == writer.id && ending.delta.is_some();
            let mut some: Vec<&mut Ending> = endings.iter_mut().filter(of_writer).collect();
            if some.is_empty() {
                continue;
            }
            let deltas: Vec<Delta> = some.iter_mut().filter_map(|ending| ending.delta.take()).collect();
            let booked = self.book(&writer, &deltas, &[]).await?;
            for ending in some.into_iter().filter(|ending| booked.lost.contains(&ending.taken.number)) {
                ending.stale = true;
            }
        }
        Ok(())
    }

    /// Step 3. A failure here costs a repetition: the message comes back, and its marker or claim says that it has ended.
    async fn leave_queue(&self, endings: &[Ending]) {
        for lane in [Lane::Live, Lane::History] {
            let (mut deleted, mut hidden) = (Vec::new(), Vec::new());
            for ending in endings.iter().filter(|ending| queue_of(ending.taken.lane) == lane) {
                match self.leaves(ending) {
                    Leaves::Deleted => deleted.push(ending.taken.receipt.clone()),
                    Leaves::Hidden(wait) => hidden.push((ending.taken.receipt.clone(), wait)),
                    Leaves::Alone => {}
                }
            }
            let told = async {
                if !deleted.is_empty() {
                    self.queues.delete(lane, deleted).await?;
                }
                if !hidden.is_empty() {
                    self.queues.hide(lane, hidden).await?;
                }
                StoreResult::Ok(())
            };
            if let Err(error) = told.await {
                tracing::warn!(%error, "the queue was not told what became of messages; it delivers them again");
            }
        }
    }

    fn leaves(&self, ending: &Ending) -> Leaves {
        match &ending.settlement.end {
            _ if ending.stale => Leaves::Alone,
            End::Deferred { until, .. } => {
                let now = self.now();
                let so_far = Duration::try_from(now.duration_since(ending.taken.at)).unwrap_or_default();
                let most = crate::queue::LONGEST_WAIT.saturating_sub(so_far);
                Leaves::Hidden(wait_until(*until, now).min(most))
            }
            _ if ending.taken.by_event_source => Leaves::Alone,
            _ => Leaves::Deleted,
        }
    }

    /// A message that nobody can read as one of ours becomes a dead letter at once.
    pub(crate) async fn bury_foreign(&self, taken: &Arc<Taken>, reason: String) -> StoreResult<()> {
        let settlement = Settlement {
            keys: Vec::new(),
            id: taken.id.clone(),
            receipt: Receipt(taken.receipt.clone()),
            end: End::Dead { reason, topic: "(unreadable)".to_owned() },
            events: Vec::new(),
            profiles: 0,
            item: None,
        };
        self.settle_all(vec![settlement]).await
    }
}

fn done_if(sent: bool) -> Settled {
    if sent { Settled::Done } else { Settled::Void }
}
