//! Taking messages from a queue: by asking, or from the hand of Lambda's event source.
//!
//! SQS delivers at least once. Who takes a message that was handed out before, or came back, reads its marker first: one that
//! has ended is not given out again. A message taken for the first time costs no read.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use app::ports::{Accepted, Claimed, Clock, Lane, Progress, Receipt, Settlement, StoreResult, WorkQueue};
use domain::{MessageId, SignatureScheme};
use jiff::{SignedDuration, Timestamp};

use crate::envelope::{self, CameFrom, Opened, Return};
use crate::marker::Marker;
use crate::queue::{LONGEST_WAIT, MOST_PER_CALL, QueueRecord, Queues, queue_of};
use crate::registry::{Delivery, Taken};
use crate::store::AwsStore;
use crate::table::Table;
use crate::totals::Standing;

/// How long a message of a newer version is left alone: a deployment takes minutes.
const NEWER_WAIT: Duration = Duration::from_secs(60);

/// What became of the records of a batch.
#[derive(Debug, Default)]
pub struct TakenBatch {
    /// To be worked on.
    pub claimed: Vec<Claimed>,
    /// Queue's message ids that have to stay on the queue: somebody else works on them, or a newer version has to.
    pub left: Vec<String>,
    /// Queue's message ids that have ended before and may be deleted.
    pub finished: Vec<String>,
    names: HashMap<MessageId, String>,
}

impl TakenBatch {
    /// The queue's ids to report as failed, so that the event source does not delete them: `unfinished` as the consumer gave it,
    /// and what was left.
    pub fn failures(&self, unfinished: &[MessageId]) -> Vec<String> {
        let unfinished = unfinished.iter().filter_map(|id| self.names.get(id));
        unfinished.chain(&self.left).cloned().collect()
    }
}

/// What a look at one record says.
enum Look {
    Take(Box<Delivery>),
    Bury(Box<Delivery>, String),
    Finished,
    Leave(Duration),
}

impl<C: Clock + 'static, T: Table, Q: Queues> WorkQueue for AwsStore<C, T, Q> {
    /// In the queue's order, which is none. Messages beyond `max_bytes` are put back at once; they then count one more receive.
    async fn claim(
        &self,
        lane: Lane,
        max_messages: usize,
        max_bytes: usize,
        hide: Duration,
    ) -> StoreResult<Vec<Claimed>> {
        let lane = queue_of(lane);
        let mut claimed: Vec<Claimed> = Vec::new();
        let mut bytes = 0_usize;
        while claimed.len() < max_messages && bytes < max_bytes.max(1) {
            let most = (max_messages - claimed.len()).min(MOST_PER_CALL);
            let mut records = self.queues.receive(lane, most, hide).await?;
            if records.is_empty() {
                break;
            }
            let fits = records.iter().scan(bytes, |sum, record| {
                *sum = sum.saturating_add(record.body.len());
                Some(*sum)
            });
            let mut fits = fits.take_while(|sum| *sum <= max_bytes).count();
            if claimed.is_empty() {
                fits = fits.max(1);
            }
            let surplus = records.split_off(fits);
            bytes = records.iter().fold(bytes, |sum, record| sum.saturating_add(record.body.len()));
            let full = !surplus.is_empty();
            if full {
                let back = surplus.into_iter().map(|record| (record.receipt_handle, Duration::ZERO)).collect();
                self.queues.hide(lane, back).await?;
            }
            let receipts: HashMap<String, String> =
                records.iter().map(|record| (record.message_id.clone(), record.receipt_handle.clone())).collect();
            let batch = self.take(lane, records, hide, false).await?;
            let ended = batch.finished.iter().filter_map(|id| receipts.get(id).cloned()).collect::<Vec<_>>();
            if !ended.is_empty() {
                self.queues.delete(lane, ended).await?;
            }
            claimed.extend(batch.claimed);
            if full {
                break;
            }
        }
        Ok(claimed)
    }

    async fn settle(&self, settlements: Vec<Settlement>) -> StoreResult<()> {
        self.settle_all(settlements).await
    }

    /// SQS does not say when: now where one is visible, in a second where all are hidden.
    async fn next_visible(&self, lane: Lane) -> StoreResult<Option<Timestamp>> {
        let (visible, hidden) = self.queues.depth(queue_of(lane)).await?;
        Ok(match (visible, hidden) {
            (0, 0) => None,
            (0, _) => self.now().checked_add(SignedDuration::from_secs(1)).ok(),
            _ => Some(self.now()),
        })
    }
}

impl<C: Clock + 'static, T: Table, Q: Queues> AwsStore<C, T, Q> {
    /// Takes what Lambda's event source handed over. The event source deletes what is not reported as failed
    /// ([`TakenBatch::failures`]); what waits is given its wait by the settlement.
    pub async fn take_batch(&self, lane: Lane, records: Vec<QueueRecord>) -> StoreResult<TakenBatch> {
        self.take(queue_of(lane), records, self.options.visibility, true).await
    }

    async fn take(
        &self,
        lane: Lane,
        records: Vec<QueueRecord>,
        hide: Duration,
        by_event_source: bool,
    ) -> StoreResult<TakenBatch> {
        let now = self.now();
        self.registry().tidy(now);
        // A little before the queue gives it out again: who then gets it need not wait for us.
        let until = now.checked_add(hide - hide / 32).unwrap_or(Timestamp::MAX);
        let opened: Vec<Opened> = records.iter().map(envelope::open).collect();
        let markers = self.markers(&records, &opened).await?;
        let mut batch = TakenBatch::default();
        let (mut buried, mut waits) = (Vec::new(), Vec::new());
        for ((record, opened), marker) in records.into_iter().zip(opened).zip(markers) {
            let (accepted, back, foreign) = match opened {
                Opened::Message(accepted, back) => (accepted, back, None),
                Opened::Foreign(accepted, why) => (accepted, None, Some(why)),
                Opened::Newer => {
                    batch.left.push(record.message_id);
                    waits.push((record.receipt_handle, NEWER_WAIT));
                    continue;
                }
            };
            let delivery = delivery(lane, &record, accepted, back.as_ref(), (now, until, by_event_source));
            match self.look(delivery, back, marker, foreign).await? {
                Look::Finished => batch.finished.push(record.message_id),
                Look::Leave(wait) => {
                    batch.left.push(record.message_id);
                    waits.push((record.receipt_handle, wait));
                }
                Look::Take(delivery) => {
                    let taken = self.add(*delivery);
                    batch.names.insert(taken.id.clone(), record.message_id);
                    batch.claimed.push(claimed(&taken));
                }
                Look::Bury(delivery, why) => {
                    batch.finished.push(record.message_id);
                    buried.push((self.add(*delivery), why));
                }
            }
        }
        for (taken, why) in buried {
            self.bury_foreign(&taken, why).await?;
        }
        if !waits.is_empty() {
            self.queues.hide(lane, waits).await?;
        }
        Ok(batch)
    }

    fn add(&self, delivery: Delivery) -> Arc<Taken> {
        let writer = self.writer();
        self.registry().add(delivery, writer)
    }

    /// The markers of those that were handed out before or came back.
    async fn markers(&self, records: &[QueueRecord], opened: &[Opened]) -> StoreResult<Vec<Option<Marker>>> {
        let mut asked = Vec::new();
        for (index, (record, opened)) in records.iter().zip(opened).enumerate() {
            match opened {
                Opened::Message(_, Some(back)) => asked.push((index, Marker::key(&back.id))),
                Opened::Message(..) | Opened::Foreign(..) if record.receive_count > 1 => {
                    asked.push((index, Marker::key(&MessageId::new(&record.message_id))));
                }
                _ => {}
            }
        }
        let mut markers = vec![None; records.len()];
        if asked.is_empty() {
            return Ok(markers);
        }
        let items = self.table.get(asked.iter().map(|(_, key)| key.clone()).collect()).await?;
        for ((index, _), item) in asked.into_iter().zip(items) {
            markers[index] = item.as_ref().map(Marker::read);
        }
        Ok(markers)
    }

    async fn look(
        &self,
        mut delivery: Delivery,
        back: Option<Return>,
        marker: Option<Marker>,
        foreign: Option<String>,
    ) -> StoreResult<Look> {
        let now = self.now();
        // The same process has it in hand: a second copy would only confuse the first.
        if let Some(newest) = self.registry().newest(&delivery.id)
            && !newest.state().settled
            && newest.until > now
        {
            return Ok(Look::Leave(wait_until(newest.until, now)));
        }
        if let Some(marker) = &marker {
            if marker.generation > delivery.generation {
                return Ok(Look::Finished);
            }
            if marker.generation == delivery.generation {
                delivery.progress = marker.progress;
                if let Some(look) = self.ended(marker).await? {
                    return Ok(look);
                }
            }
        }
        delivery.marker = marker;
        if let Some(back) = back {
            match back.from {
                CameFrom::Parked => self.unpark(&back.id, back.generation).await?,
                CameFrom::Dead => self.exhume(back.letter.as_deref(), back.generation).await?,
            }
        }
        Ok(match foreign {
            Some(why) => Look::Bury(Box::new(delivery), why),
            None => Look::Take(Box::new(delivery)),
        })
    }

    /// Whether the message has ended. An end whose author has died before the books had it is no end.
    async fn ended(&self, marker: &Marker) -> StoreResult<Option<Look>> {
        if !marker.ended {
            return Ok(None);
        }
        if !marker.if_done {
            return Ok(Some(Look::Finished));
        }
        let (writer, number) = &marker.by;
        let now = self.now();
        let until = Timestamp::from_microsecond(marker.until).unwrap_or(Timestamp::MIN);
        Ok(match self.standing(writer, *number).await? {
            Standing::Done => Some(Look::Finished),
            Standing::Open if until > now => Some(Look::Leave(wait_until(until, now))),
            Standing::Open if self.fence(writer, *number).await? == Standing::Done => Some(Look::Finished),
            Standing::Open | Standing::NotSent => None,
        })
    }
}

fn delivery(
    queue: Lane,
    record: &QueueRecord,
    accepted: Accepted,
    back: Option<&Return>,
    (at, until, by_event_source): (Timestamp, Timestamp, bool),
) -> Delivery {
    Delivery {
        id: back.map_or_else(|| MessageId::new(&record.message_id), |back| back.id.clone()),
        receipt: record.receipt_handle.clone(),
        lane: if queue == Lane::Live && accepted.scheme == SignatureScheme::Rest { Lane::Reconcile } else { queue },
        accepted,
        progress: back.map_or_else(Progress::default, |back| back.progress),
        generation: back.map_or(0, |back| back.generation),
        first: record.receive_count <= 1 && back.is_none(),
        at,
        until,
        by_event_source,
        marker: None,
    }
}

fn claimed(taken: &Taken) -> Claimed {
    Claimed {
        id: taken.id.clone(),
        receipt: Receipt(taken.receipt.clone()),
        accepted: taken.accepted.clone(),
        progress: taken.progress,
    }
}

/// As long as SQS allows.
pub(crate) fn wait_until(until: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(until.duration_since(now)).unwrap_or(Duration::ZERO).min(LONGEST_WAIT)
}
