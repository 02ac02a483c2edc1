//! A store that can fail before or after it did what it was asked, and that gives the simulation a place to crash at every
//! call.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use app::fakes::MemoryStore;
use app::ports::{
    Accepted, Books, Cache, Claim, ClaimOutcome, Claimed, Document, Documents, HistoryInbox, Inbox, ItemBook,
    ItemBooks, ItemCount, Lane, Ledger, Look, Overview, ParkedMessage, ParkedMessages, RecentEvent, RecordWrite,
    Retention, Settlement, StoreError, StoreResult, SupportStates, WorkQueue,
};
use domain::{ContactId, KeyHash, MessageId};
use jiff::Timestamp;

/// What the next call of settle or claim_events meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StoreFault {
    /// Nothing is written.
    CommitLost,
    /// It is written, and the caller does not learn it.
    AnswerLost,
}

#[derive(Clone, Debug)]
pub(crate) struct FlakyStore {
    pub(crate) inner: MemoryStore,
    faults: Arc<Mutex<Vec<StoreFault>>>,
}

impl FlakyStore {
    pub(crate) fn new(inner: MemoryStore) -> Self {
        Self { inner, faults: Arc::default() }
    }

    pub(crate) fn push_fault(&self, fault: StoreFault) {
        self.faults.lock().expect("no panic holds it").push(fault);
    }

    pub(crate) fn heal(&self) {
        self.faults.lock().expect("no panic holds it").clear();
    }

    async fn with_fault<T>(&self, call: impl Future<Output = StoreResult<T>>) -> StoreResult<T> {
        let lost = || StoreError::Unavailable { store: "simulated store", detail: "lost".to_owned() };
        pause().await;
        let fault = self.faults.lock().expect("no panic holds it").pop();
        if fault == Some(StoreFault::CommitLost) {
            return Err(lost());
        }
        let result = call.await;
        pause().await;
        if fault == Some(StoreFault::AnswerLost) { Err(lost()) } else { result }
    }
}

/// A place where a crash can happen.
async fn pause() {
    let mut paused = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut paused, true) {
            return std::task::Poll::Ready(());
        }
        context.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}

impl Inbox for FlakyStore {
    async fn accept(&self, accepted: Accepted) -> StoreResult<()> {
        self.inner.accept(accepted).await
    }
}

impl HistoryInbox for FlakyStore {
    async fn enqueue_history(&self, items: Vec<Accepted>) -> StoreResult<()> {
        self.with_fault(self.inner.enqueue_history(items)).await
    }

    async fn enqueue_reconcile(&self, items: Vec<Accepted>) -> StoreResult<()> {
        self.with_fault(self.inner.enqueue_reconcile(items)).await
    }

    async fn history_depth(&self) -> StoreResult<u64> {
        self.inner.history_depth().await
    }
}

impl ItemBooks for FlakyStore {
    async fn count_items(&self, items: Vec<ItemCount>) -> StoreResult<()> {
        self.with_fault(self.inner.count_items(items)).await
    }

    async fn item_book(&self, book: &str) -> StoreResult<ItemBook> {
        pause().await;
        self.inner.item_book(book).await
    }

    async fn forget_book(&self, book: &str) -> StoreResult<u64> {
        pause().await;
        self.inner.forget_book(book).await
    }
}

impl Overview for FlakyStore {
    async fn books(&self) -> StoreResult<Books> {
        self.inner.books().await
    }

    async fn recent_events(&self, limit: usize) -> StoreResult<Vec<RecentEvent>> {
        self.inner.recent_events(limit).await
    }

    async fn clean(&self, now: Timestamp, retention: Retention) -> StoreResult<u64> {
        self.inner.clean(now, retention).await
    }
}

impl WorkQueue for FlakyStore {
    async fn claim(&self, lane: Lane, max: usize, bytes: usize, hide: Duration) -> StoreResult<Vec<Claimed>> {
        let claimed = self.inner.claim(lane, max, bytes, hide).await;
        pause().await;
        claimed
    }

    async fn settle(&self, settlements: Vec<Settlement>) -> StoreResult<()> {
        self.with_fault(self.inner.settle(settlements)).await
    }

    async fn next_visible(&self, lane: Lane) -> StoreResult<Option<Timestamp>> {
        self.inner.next_visible(lane).await
    }
}

impl Ledger for FlakyStore {
    async fn claim_events(&self, claims: Vec<Claim>) -> StoreResult<Vec<ClaimOutcome>> {
        self.with_fault(self.inner.claim_events(claims)).await
    }

    async fn known_events(&self, keys: &[KeyHash]) -> StoreResult<Vec<bool>> {
        pause().await;
        self.inner.known_events(keys).await
    }
}

impl Documents for FlakyStore {
    async fn load(&self, name: &str) -> StoreResult<Option<Document>> {
        self.inner.load(name).await
    }

    async fn save(&self, name: &str, body: &str, expected: Option<u64>) -> StoreResult<bool> {
        self.with_fault(self.inner.save(name, body, expected)).await
    }
}

impl SupportStates for FlakyStore {
    async fn support_records(&self, keys: &[String], look: Look) -> StoreResult<Vec<Option<Document>>> {
        pause().await;
        self.inner.support_records(keys, look).await
    }

    async fn save_support_records(&self, writes: Vec<RecordWrite>) -> StoreResult<Vec<bool>> {
        self.with_fault(self.inner.save_support_records(writes)).await
    }
}

impl Cache for FlakyStore {
    async fn cached(&self, keys: &[String], now: Timestamp) -> StoreResult<Vec<Option<String>>> {
        pause().await;
        self.inner.cached(keys, now).await
    }

    async fn remember(&self, entries: Vec<(String, String)>, expires: Timestamp) -> StoreResult<()> {
        pause().await;
        self.inner.remember(entries, expires).await
    }

    async fn forget(&self, keys: &[String]) -> StoreResult<()> {
        self.inner.forget(keys).await
    }
}

impl ParkedMessages for FlakyStore {
    async fn release(&self, contacts: &[ContactId]) -> StoreResult<u64> {
        pause().await;
        self.inner.release(contacts).await
    }

    async fn due(&self, now: Timestamp, limit: usize) -> StoreResult<Vec<ParkedMessage>> {
        self.inner.due(now, limit).await
    }

    async fn recheck_at(&self, id: &MessageId, next_check: Timestamp) -> StoreResult<()> {
        self.inner.recheck_at(id, next_check).await
    }

    async fn expire(&self, now: Timestamp, reason: &str) -> StoreResult<u64> {
        self.inner.expire(now, reason).await
    }
}
