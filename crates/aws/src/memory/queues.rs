//! Two queues.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use app::ports::{Clock, Lane, StoreResult};
use jiff::{SignedDuration, Timestamp};

use super::{Fault, pause};
use crate::queue::{OutMessage, QueueRecord, Queues};
use crate::trouble::QUEUE;

/// Clones share what they hold. Kinder than SQS in one thing only: it serves in the order in which messages become visible.
#[derive(Clone)]
pub struct MemoryQueues {
    state: Arc<Mutex<State>>,
    now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

#[derive(Default)]
struct State {
    last: u64,
    messages: Vec<Message>,
    faults: Vec<Fault>,
}

struct Message {
    lane: Lane,
    record: QueueRecord,
    visible_at: Timestamp,
    order: u64,
}

impl MemoryQueues {
    /// Empty queues.
    pub fn new(clock: impl Clock + 'static) -> Self {
        Self { state: Arc::default(), now: Arc::new(move || clock.now()) }
    }

    /// What the next send, delete or change of a visibility meets; the last one pushed first.
    pub fn push_fault(&self, fault: Fault) {
        self.lock().faults.push(fault);
    }

    /// Nothing fails any more.
    pub fn heal(&self) {
        self.lock().faults.clear();
    }

    /// Takes the faults away, to be pushed again later.
    pub fn take_faults(&self) -> Vec<Fault> {
        std::mem::take(&mut self.lock().faults)
    }

    /// When the next message becomes visible, which SQS would not say.
    pub fn next_visible(&self, lane: Lane) -> Option<Timestamp> {
        self.lock().messages.iter().filter(|message| message.lane == lane).map(|message| message.visible_at).min()
    }

    /// How often the message was handed out that was handed out most. SQS moves one to the dead-letter queue after so many times.
    pub fn most_receives(&self) -> u32 {
        self.lock().messages.iter().map(|message| message.record.receive_count).max().unwrap_or(0)
    }

    /// Makes everything visible now, as when a delivery is repeated.
    pub fn deliver_again(&self) {
        let now = (self.now)();
        self.lock().messages.iter_mut().for_each(|message| message.visible_at = now);
    }

    /// The same, and the queue forgets that it did: a standard queue may hand a message out twice as if for the first time.
    pub fn hand_out_twice(&self) {
        self.deliver_again();
        self.lock().messages.iter_mut().for_each(|message| message.record.receive_count = 0);
    }

    /// Every message of a lane, in the order in which they came.
    pub fn records(&self, lane: Lane) -> Vec<QueueRecord> {
        let state = self.lock();
        let mut messages: Vec<&Message> = state.messages.iter().filter(|message| message.lane == lane).collect();
        messages.sort_by_key(|message| message.order);
        messages.into_iter().map(|message| message.record.clone()).collect()
    }

    /// Puts a message there as another version, or an earlier time, left it: visible now.
    pub fn plant(&self, lane: Lane, record: QueueRecord) {
        let visible_at = (self.now)();
        let mut state = self.lock();
        state.last += 1;
        let order = state.last;
        state.messages.push(Message { lane, record, visible_at, order });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn with_fault<R>(&self, change: impl FnOnce(&mut State) -> R) -> StoreResult<R> {
        pause().await;
        let result = {
            let mut state = self.lock();
            match state.faults.pop() {
                Some(fault @ (Fault::RequestLost | Fault::Throttled)) => Err(fault.error(QUEUE)),
                Some(fault @ Fault::ResponseLost) => {
                    change(&mut state);
                    Err(fault.error(QUEUE))
                }
                None => Ok(change(&mut state)),
            }
        };
        pause().await;
        result
    }
}

impl std::fmt::Debug for MemoryQueues {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MemoryQueues")
    }
}

impl Queues for MemoryQueues {
    async fn send(&self, lane: Lane, messages: Vec<OutMessage>) -> StoreResult<()> {
        let now = (self.now)();
        self.with_fault(|state| {
            for message in messages {
                assert!(message.size() <= 1024 * 1024 && !message.body.is_empty() && message.attributes.len() <= 10);
                state.last += 1;
                let record = QueueRecord {
                    message_id: format!("m-{}", state.last),
                    receipt_handle: String::new(),
                    body: message.body,
                    attributes: message.attributes,
                    receive_count: 0,
                    sent_at: now.as_millisecond(),
                };
                let order = state.last;
                state.messages.push(Message { lane, record, visible_at: now, order });
            }
        })
        .await
    }

    async fn receive(&self, lane: Lane, most: usize, hide: Duration) -> StoreResult<Vec<QueueRecord>> {
        assert!((1..=10).contains(&most));
        pause().await;
        let now = (self.now)();
        let hidden_until = later(now, hide);
        let mut guard = self.lock();
        let State { last, messages, .. } = &mut *guard;
        messages.sort_by_key(|message| (message.visible_at, message.order));
        let visible = messages.iter_mut().filter(|message| message.lane == lane && message.visible_at <= now);
        let mut records = Vec::new();
        for message in visible.take(most) {
            *last += 1;
            message.record.receipt_handle = format!("r-{last}");
            message.record.receive_count += 1;
            message.visible_at = hidden_until;
            records.push(message.record.clone());
        }
        drop(guard);
        Ok(records)
    }

    async fn delete(&self, lane: Lane, receipts: Vec<String>) -> StoreResult<()> {
        self.with_fault(|state| {
            state.messages.retain(|message| message.lane != lane || !receipts.contains(&message.record.receipt_handle));
        })
        .await
    }

    async fn hide(&self, lane: Lane, receipts: Vec<(String, Duration)>) -> StoreResult<()> {
        let now = (self.now)();
        self.with_fault(|state| {
            for (receipt, wait) in receipts {
                let whole = Duration::from_secs(wait.as_secs() + u64::from(wait.subsec_nanos() > 0));
                let mut ours =
                    state.messages.iter_mut().filter(|one| one.lane == lane && one.record.receipt_handle == receipt);
                if let Some(message) = ours.next() {
                    message.visible_at = later(now, whole);
                }
            }
        })
        .await
    }

    async fn depth(&self, lane: Lane) -> StoreResult<(u64, u64)> {
        pause().await;
        let now = (self.now)();
        let state = self.lock();
        let of_lane: Vec<_> = state.messages.iter().filter(|message| message.lane == lane).collect();
        let visible = of_lane.iter().filter(|message| message.visible_at <= now).count();
        Ok((visible as u64, (of_lane.len() - visible) as u64))
    }
}

fn later(now: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by).ok().and_then(|by| now.checked_add(by).ok()).unwrap_or(Timestamp::MAX)
}
