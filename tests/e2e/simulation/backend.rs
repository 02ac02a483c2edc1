//! What the stories are told on: one store in memory with every law, or the AWS adapter on stand-ins of its services.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use app::deliver::Consumer;
use app::fakes::{FakeIntercom, FakeKlaviyo, ManualClock, MemoryStore, NoJitter};
use app::ports::{Clock, ConsumerStore, DeadLetters, Documents, Inbox, Lane, Overview, ParkedMessages, WorkQueue};
use aws::memory::{Fault, MemoryQueues, MemoryTable};
use aws::{AwsStore, Queues, StoreOptions};
use jiff::Timestamp;

use super::executor::run;
use super::flaky::{FlakyStore, StoreFault};

/// A consumer on a backend's store.
pub(crate) type SimConsumer<S> = Consumer<S, FakeIntercom, FakeKlaviyo, ManualClock, NoJitter>;

/// Where messages and state live, whatever happens to processes.
pub(crate) trait Backend {
    type Store: Inbox + ConsumerStore + Clone;
    /// What the chores, the console and the tests use.
    type Calm: ParkedMessages + DeadLetters + Overview + Documents + WorkQueue + Clone;

    /// Whether the six counters add up at every look, or once the queues are quiet.
    const EXACT: bool;

    fn new(clock: ManualClock) -> Self;
    /// A process that has just started.
    fn process(&self) -> Self::Store;
    fn calm(&self) -> Self::Calm;
    /// How often the queue has handed out one message at most; only where the queue is a service of its own.
    fn most_receives(&self) -> u32 {
        0
    }
    fn push_fault(&self, fault: StoreFault);
    /// The next call of the queue fails, where the queue is a service of its own.
    fn push_queue_fault(&self, fault: StoreFault);
    /// Everything on the queue is handed out again, whoever has it.
    fn deliver_again(&self);
    fn heal(&self);
    /// The queue as the webhook meets it works: what it answers then is another test's business.
    fn with_calm_queue<T>(&self, call: impl FnOnce() -> T) -> T;
    fn next_visible(&self) -> Option<Timestamp>;
    /// One step of a consumer. Gives how many messages it took.
    fn step(&self, store: &Self::Store, consumer: &SimConsumer<Self::Store>) -> impl Future<Output = usize>;

    /// Steps until nothing is left, letting time pass where something waits.
    fn drain(&self, store: &Self::Store, consumer: &SimConsumer<Self::Store>, clock: &ManualClock) {
        for _ in 0..300 {
            if run(self.step(store, consumer), clock) > 0 {
                continue;
            }
            match self.next_visible() {
                Some(at) => clock.set(at.max(clock.now())),
                None => return,
            }
        }
        panic!("the queue never drains");
    }
}

/// The law in one lock.
pub(crate) struct InMemory {
    store: FlakyStore,
    clock: ManualClock,
}

impl Backend for InMemory {
    type Store = FlakyStore;
    type Calm = MemoryStore;
    const EXACT: bool = true;

    fn new(clock: ManualClock) -> Self {
        Self { store: FlakyStore::new(MemoryStore::new(clock.clone())), clock }
    }

    fn process(&self) -> FlakyStore {
        self.store.clone()
    }

    fn calm(&self) -> MemoryStore {
        self.store.inner.clone()
    }

    fn push_fault(&self, fault: StoreFault) {
        self.store.push_fault(fault);
    }

    fn push_queue_fault(&self, _: StoreFault) {}

    fn deliver_again(&self) {}

    fn heal(&self) {
        self.store.heal();
    }

    fn with_calm_queue<T>(&self, call: impl FnOnce() -> T) -> T {
        call()
    }

    fn next_visible(&self) -> Option<Timestamp> {
        super::executor::run(self.store.inner.next_visible(Lane::Live), &self.clock).expect("next")
    }

    async fn step(&self, _: &FlakyStore, consumer: &SimConsumer<FlakyStore>) -> usize {
        consumer.step(Lane::Live).await.claimed
    }
}

/// The adapter, with or without an event source in front of it.
pub(crate) struct OnAws<const EVENT_SOURCE: bool> {
    clock: ManualClock,
    table: MemoryTable,
    queues: MemoryQueues,
    started: Arc<AtomicU64>,
    calm: AwsStore<ManualClock, MemoryTable, MemoryQueues>,
}

/// Hidden for as long as the consumer's options say as well.
const VISIBILITY: Duration = Duration::from_secs(300);

impl<const EVENT_SOURCE: bool> OnAws<EVENT_SOURCE> {
    fn start(
        clock: &ManualClock,
        table: &MemoryTable,
        queues: &MemoryQueues,
        started: &Arc<AtomicU64>,
    ) -> AwsStore<ManualClock, MemoryTable, MemoryQueues> {
        let started = Arc::clone(started);
        let names = Arc::new(move || format!("writer{}", started.fetch_add(1, Ordering::Relaxed)));
        let options = StoreOptions { visibility: VISIBILITY, ..StoreOptions::default() };
        AwsStore::new(table.clone(), queues.clone(), clock.clone(), options, names)
    }
}

fn on_aws(fault: StoreFault) -> Fault {
    match fault {
        StoreFault::CommitLost => Fault::RequestLost,
        StoreFault::AnswerLost => Fault::ResponseLost,
    }
}

impl<const EVENT_SOURCE: bool> Backend for OnAws<EVENT_SOURCE> {
    type Store = AwsStore<ManualClock, MemoryTable, MemoryQueues>;
    type Calm = Self::Store;
    const EXACT: bool = false;

    fn new(clock: ManualClock) -> Self {
        let (table, queues, started) = (MemoryTable::default(), MemoryQueues::new(clock.clone()), Arc::default());
        let calm = Self::start(&clock, &table, &queues, &started);
        Self { clock, table, queues, started, calm }
    }

    fn most_receives(&self) -> u32 {
        self.queues.most_receives()
    }

    fn process(&self) -> Self::Store {
        Self::start(&self.clock, &self.table, &self.queues, &self.started)
    }

    fn calm(&self) -> Self::Calm {
        self.calm.clone()
    }

    fn push_fault(&self, fault: StoreFault) {
        self.table.push_fault(on_aws(fault));
    }

    fn push_queue_fault(&self, fault: StoreFault) {
        self.queues.push_fault(on_aws(fault));
    }

    fn deliver_again(&self) {
        self.queues.deliver_again();
    }

    fn heal(&self) {
        self.table.heal();
        self.queues.heal();
    }

    fn with_calm_queue<T>(&self, call: impl FnOnce() -> T) -> T {
        let faults = self.queues.take_faults();
        let result = call();
        faults.into_iter().for_each(|fault| self.queues.push_fault(fault));
        result
    }

    fn next_visible(&self) -> Option<Timestamp> {
        self.queues.next_visible(Lane::Live)
    }

    async fn step(&self, store: &Self::Store, consumer: &SimConsumer<Self::Store>) -> usize {
        if !EVENT_SOURCE {
            return consumer.step(Lane::Live).await.claimed;
        }
        // What Lambda does: hands over a batch, and deletes what the function does not report.
        let Ok(records) = self.queues.receive(Lane::Live, 10, VISIBILITY).await else { return 0 };
        let receipts: Vec<(String, String)> =
            records.iter().map(|record| (record.message_id.clone(), record.receipt_handle.clone())).collect();
        let Ok(batch) = store.take_batch(Lane::Live, records).await else { return receipts.len() };
        let deadline = self.clock.now() + jiff::SignedDuration::from_secs(50);
        let processed = consumer.process(Lane::Live, &batch.claimed, deadline).await;
        let failed = batch.failures(&processed.unfinished);
        let done = receipts.iter().filter(|(id, _)| !failed.contains(id)).map(|(_, receipt)| receipt.clone()).collect();
        // A delete that fails is a message that comes back.
        let _ = self.queues.delete(Lane::Live, done).await;
        receipts.len()
    }
}
