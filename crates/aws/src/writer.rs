//! Each process is one writer with its own share of the books, so that processes never wait for each other.
//!
//! Every message that is taken gets the writer's next number, and whatever is kept elsewhere about it (claims, a marker) carries
//! writer and number. The share says which numbers are settled; it changes in one conditional write, which is therefore the
//! moment at which all messages of a batch end. A number is
//!
//! - *done*: what was claimed under it was sent, and is counted in this very write;
//! - *void*: nothing claimed under it was sent;
//! - *lost*: somebody else found its message on the queue again and declared its owner dead. The owner, should it live, finds
//!   that out at its own write, which is conditional on the version it knows, and leaves the message alone.
//!
//! So two processes that hold one message are told apart by one item, whatever their clocks say. If the answer of such a write
//! is lost, the number itself tells whether it happened.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use app::ports::{Clock, StoreResult};
use jiff::Timestamp;

use crate::intervals::Intervals;
use crate::queue::Queues;
use crate::recent::Stored;
use crate::store::AwsStore;
use crate::table::{Attributes, Key, Table, Transacted, Write, Written};
use crate::totals::{Delta, Settled, Standing, Totals};
use crate::trouble::{TABLE, unavailable, unreadable};

/// How often a conflict is answered by reading again, before the caller is told to come back later.
const ROUNDS: usize = 20;

/// A writer that wrote nothing for so many seconds is followed by a fresh one, long before its share is folded (`clean.rs`).
pub(crate) const REST: i64 = 3600;

/// Most events that wait to be listed, should the list refuse them for long.
const MOST_UNLISTED: usize = 2_000;

/// This process, as the table knows it.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) id: String,
    last: AtomicU64,
    saves: AtomicU64,
    known: Mutex<Option<Totals>>,
    worn: AtomicBool,
    /// When it last wrote, or was made, in seconds.
    touched: AtomicI64,
    waiting: Mutex<Waiting>,
}

/// Events that are neither in the share nor on the list of recent ones.
#[derive(Debug, Default)]
struct Waiting {
    unlisted: Vec<Stored>,
    doubts: Vec<Doubt>,
}

/// Events that left the share with a write of which nobody knows yet whether it happened, and the numbers that it settles.
#[derive(Debug)]
struct Doubt {
    numbers: Vec<u64>,
    shed: Vec<Stored>,
}

impl Writer {
    pub(crate) fn new(id: String, now: Timestamp) -> Self {
        Self {
            id,
            last: AtomicU64::new(0),
            saves: AtomicU64::new(0),
            known: Mutex::new(None),
            worn: AtomicBool::new(false),
            touched: AtomicI64::new(now.as_second()),
            waiting: Mutex::default(),
        }
    }

    /// The next number; never given twice.
    pub(crate) fn next(&self) -> u64 {
        self.last.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Tells the saves of documents apart. Not from the numbers of messages, which must come in runs.
    pub(crate) fn next_save(&self) -> u64 {
        self.saves.fetch_add(1, Ordering::Relaxed)
    }

    /// Whether a fresh one should follow: it has gaps, or was folded, or may soon be.
    pub(crate) fn is_worn(&self, now: Timestamp) -> bool {
        let idle = now.as_second().saturating_sub(self.touched.load(Ordering::Relaxed));
        idle > REST || self.worn.load(Ordering::Relaxed)
    }

    fn known(&self) -> Option<Totals> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn learn(&self, totals: Option<Totals>) {
        if totals.as_ref().is_some_and(Totals::is_worn) {
            self.worn.store(true, Ordering::Relaxed);
        }
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = totals;
    }

    fn wrote(&self, totals: Totals, shed: Vec<Stored>, now: Timestamp) {
        self.touched.store(now.as_second(), Ordering::Relaxed);
        self.learn(Some(totals));
        self.put_back_unlisted(shed);
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A write whose answer is lost settled all of its numbers or none.
    fn resolve_doubts(&self, totals: &Totals) {
        let mut waiting = self.waiting();
        for doubt in std::mem::take(&mut waiting.doubts) {
            if doubt.numbers.iter().any(|number| totals.done.contains(*number) || totals.void.contains(*number)) {
                waiting.unlisted.extend(doubt.shed);
            }
        }
    }

    fn doubt(&self, doubt: Doubt) {
        if !doubt.shed.is_empty() {
            self.waiting().doubts.push(doubt);
        }
    }

    /// What is to be listed.
    pub(crate) fn take_unlisted(&self) -> Vec<Stored> {
        std::mem::take(&mut self.waiting().unlisted)
    }

    /// What is to be listed later.
    pub(crate) fn put_back_unlisted(&self, events: Vec<Stored>) {
        let unlisted = &mut self.waiting().unlisted;
        unlisted.extend(events);
        let surplus = unlisted.len().saturating_sub(MOST_UNLISTED);
        unlisted.drain(..surplus);
    }
}

/// What came of a change of the books.
#[derive(Debug, Default)]
pub(crate) struct Booked {
    /// Numbers that are somebody else's by now; nothing of them was written.
    pub(crate) lost: Vec<u64>,
    /// A condition of the other writes did not hold; nothing was written.
    pub(crate) refused: bool,
}

/// Where a writer's share is.
pub(crate) enum Share {
    Totals(Totals),
    /// Folded into the base; these of its numbers were done.
    Folded(Intervals),
}

impl Share {
    fn standing(&self, number: u64) -> Standing {
        match self {
            Self::Totals(totals) => totals.standing(number),
            Self::Folded(done) if done.contains(number) => Standing::Done,
            Self::Folded(_) => Standing::NotSent,
        }
    }
}

/// Where it is kept which numbers of a folded writer were done.
pub(crate) fn folded_key(writer: &str) -> Key {
    Key::new(format!("w#{writer}"), "-")
}

impl<C: Clock + 'static, T: Table, Q: Queues> AwsStore<C, T, Q> {
    /// Changes the books, together with `with` or not at all. Changes that are there already are left out.
    pub(crate) async fn book(&self, writer: &Arc<Writer>, deltas: &[Delta], with: &[Write]) -> StoreResult<Booked> {
        let booked = self.book_share(writer, deltas, with).await;
        self.list_recent(writer).await;
        booked
    }

    async fn book_share(&self, writer: &Arc<Writer>, deltas: &[Delta], with: &[Write]) -> StoreResult<Booked> {
        for _ in 0..ROUNDS {
            let known = writer.known();
            let fresh = known.is_none();
            let share = match known {
                Some(totals) => Share::Totals(totals),
                None => self.share(&writer.id).await?,
            };
            let (booked, rest) = split(&share, deltas, with);
            let Share::Totals(totals) = share else {
                writer.worn.store(true, Ordering::Relaxed);
                if rest.is_empty() {
                    return Ok(booked);
                }
                return Err(unavailable(
                    TABLE,
                    "this process's share of the books was closed; trying again with another",
                ));
            };
            writer.resolve_doubts(&totals);
            if fresh {
                writer.learn(Some(totals.clone()));
            }
            if rest.is_empty() {
                return Ok(booked);
            }
            let mut next = totals.with(&rest, self.now());
            let numbers: Vec<u64> = rest.iter().filter_map(|delta| delta.number).map(|(number, _)| number).collect();
            // Without a number nothing could tell, after a lost answer, whether they had left.
            let shed = if numbers.is_empty() { Vec::new() } else { next.shed(&writer.id)? };
            match self.write_share(writer, &totals, &next, with).await {
                Ok(Transacted::Done) => {
                    writer.wrote(next, shed, self.now());
                    return Ok(booked);
                }
                Ok(Transacted::Conflict(which)) if fresh && which.iter().any(|index| *index < with.len()) => {
                    return Ok(Booked { refused: true, ..booked });
                }
                // Somebody declared a number lost, another task of ours wrote, or an earlier try of this very write came through.
                Ok(Transacted::Conflict(_)) => {
                    writer.learn(None);
                    writer.doubt(Doubt { numbers, shed });
                }
                Err(error) => {
                    // It may have been written: the next try reads first.
                    writer.learn(None);
                    writer.doubt(Doubt { numbers, shed });
                    return Err(error);
                }
            }
        }
        Err(unavailable(TABLE, "the books change too fast; trying again"))
    }

    async fn write_share(
        &self,
        writer: &Writer,
        old: &Totals,
        next: &Totals,
        with: &[Write],
    ) -> StoreResult<Transacted> {
        let write = next.write(&writer.id, old.unchanged())?;
        if with.is_empty() {
            return Ok(match self.table.write(write).await? {
                Written::Done => Transacted::Done,
                Written::Conflict(_) => Transacted::Conflict(vec![0]),
            });
        }
        let mut writes = with.to_vec();
        writes.push(write);
        self.table.transact(writes).await
    }

    /// A writer's share as it is now. Read in this order: a share that was just folded is found in its second place.
    pub(crate) async fn share(&self, writer: &str) -> StoreResult<Share> {
        if let Some(item) = self.get(Totals::key(writer)).await? {
            return Ok(Share::Totals(Totals::read(item)?));
        }
        match self.get(folded_key(writer)).await? {
            None => Ok(Share::Totals(Totals::default())),
            Some(item) => {
                let done = Intervals::parse(item.text("done").unwrap_or_default());
                Ok(Share::Folded(done.ok_or_else(|| unreadable("a folded writer's numbers are odd"))?))
            }
        }
    }

    /// What is known of somebody's number.
    pub(crate) async fn standing(&self, writer: &str, number: u64) -> StoreResult<Standing> {
        Ok(self.share(writer).await?.standing(number))
    }

    /// Makes sure that the number's owner cannot settle it any more, unless it has. Never [`Standing::Open`].
    pub(crate) async fn fence(&self, writer: &str, number: u64) -> StoreResult<Standing> {
        for _ in 0..ROUNDS {
            let share = self.share(writer).await?;
            let standing = share.standing(number);
            let Share::Totals(totals) = share else { return Ok(standing) };
            if standing != Standing::Open {
                return Ok(standing);
            }
            let next = totals.losing(number, self.now());
            if self.table.write(next.write(writer, totals.unchanged())?).await? == Written::Done {
                return Ok(Standing::NotSent);
            }
        }
        Err(unavailable(TABLE, "the books change too fast; trying again"))
    }

    pub(crate) async fn get(&self, key: Key) -> StoreResult<Option<crate::table::Item>> {
        Ok(self.table.get(vec![key]).await?.pop().flatten())
    }
}

/// What is still to be written, what is somebody else's, and nothing of what is there already.
fn split<'d>(share: &Share, deltas: &'d [Delta], with: &[Write]) -> (Booked, Vec<&'d Delta>) {
    let mut booked = Booked::default();
    let mut rest = Vec::new();
    for delta in deltas {
        let Some((number, settled)) = delta.number else {
            rest.push(delta);
            continue;
        };
        let lost = match share {
            Share::Totals(totals) if totals.done.contains(number) || totals.void.contains(number) => continue,
            Share::Totals(totals) => totals.lost.contains(number),
            Share::Folded(done) if done.contains(number) => continue,
            Share::Folded(_) => true,
        };
        // "Nothing was sent" is true of a lost number as well.
        let empty = settled == Settled::Void && delta.counts.is_empty() && with.is_empty();
        match (lost, empty) {
            (false, _) => rest.push(delta),
            (true, true) => {}
            (true, false) => booked.lost.push(number),
        }
    }
    (booked, rest)
}
