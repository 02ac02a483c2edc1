//! A call on its way to the writer thread and back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use app::ports::StoreResult;
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::totals::{Changes, Sequences};
use crate::trouble::Trouble;

/// What a call may use while it runs inside the shared transaction.
pub(crate) struct Work<'a> {
    /// The connection, with the transaction open.
    pub(crate) connection: &'a Connection,
    /// What the call changes in the books; written once per transaction, for all calls together.
    pub(crate) changes: Changes,
    /// Numbers that are never given twice.
    pub(crate) sequences: &'a mut Sequences,
    /// The moment, in the file's unit.
    pub(crate) now: i64,
}

/// Something to do in the transaction. The three steps are called in this order, each at most once.
pub(crate) trait Job: Send {
    /// Whether somebody still waits for it.
    fn wanted(&self) -> bool;
    /// Does it. Nothing is promised yet.
    fn run(&mut self, work: &mut Work<'_>) -> Result<(), Trouble>;
    /// Tells the caller, after the commit or when it is clear that there will be none.
    fn answer(self: Box<Self>, verdict: Result<(), Trouble>);
}

/// A job made of a closure, with the way back to its caller.
///
/// A caller that gives up drops the receiver; that is one atomic flag, which the writer looks at after it has the lock. So
/// a call is either taken back before it was taken over, or kept and counted: never half.
pub(crate) struct Call<T, F> {
    wish: Option<F>,
    result: Option<T>,
    reply: oneshot::Sender<StoreResult<T>>,
}

impl<T, F> Call<T, F> {
    /// The call, and where its answer will arrive.
    pub(crate) fn new(wish: F) -> (Self, oneshot::Receiver<StoreResult<T>>) {
        let (reply, answer) = oneshot::channel();
        (Self { wish: Some(wish), result: None, reply }, answer)
    }
}

impl<T, F> Job for Call<T, F>
where
    T: Send,
    F: FnOnce(&mut Work<'_>) -> Result<T, Trouble> + Send,
{
    fn wanted(&self) -> bool {
        !self.reply.is_closed()
    }

    fn run(&mut self, work: &mut Work<'_>) -> Result<(), Trouble> {
        if let Some(wish) = self.wish.take() {
            self.result = Some(wish(work)?);
        }
        Ok(())
    }

    fn answer(self: Box<Self>, verdict: Result<(), Trouble>) {
        let answer = match (verdict, self.result) {
            (Ok(()), Some(result)) => Ok(result),
            (Ok(()), None) => Err(Trouble::Stopped("the call was not run").into()),
            (Err(trouble), _) => Err(trouble.into()),
        };
        // An error means that the caller went away after the call was taken over: it is done all the same.
        let _ = self.reply.send(answer);
    }
}

/// A job in the writer's inbox.
pub(crate) struct Queued {
    /// What to do.
    pub(crate) job: Box<dyn Job>,
    /// Since when it waits, for the lock's time limit.
    pub(crate) since: Instant,
    /// Whether it can fail by itself and so needs a savepoint.
    pub(crate) isolated: bool,
    /// Its share of the memory that waiting calls may hold; given back on drop.
    pub(crate) load: Load,
}

/// Bytes held by waiting calls, together.
#[derive(Clone, Default)]
pub(crate) struct Backlog(Arc<AtomicUsize>);

impl Backlog {
    /// Adds a call's bytes, unless that would exceed the limit. A single call may always come, however large.
    pub(crate) fn admit(&self, bytes: usize, limit: usize) -> Option<Load> {
        let before = self.0.fetch_add(bytes, Ordering::Relaxed);
        // Made first, so that a refusal gives the bytes back by dropping it.
        let load = Load { backlog: self.clone(), bytes };
        (before == 0 || before.saturating_add(bytes) <= limit).then_some(load)
    }
}

/// One call's part of the [`Backlog`].
pub(crate) struct Load {
    backlog: Backlog,
    pub(crate) bytes: usize,
}

impl Drop for Load {
    fn drop(&mut self) {
        self.backlog.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_backlog_is_bounded_but_never_shuts_out_a_lone_call() {
        let backlog = Backlog::default();
        let huge = backlog.admit(1_000, 100).expect("a lone call may come");
        assert!(backlog.admit(1, 100).is_none());
        drop(huge);
        let first = backlog.admit(60, 100).expect("room");
        assert!(backlog.admit(60, 100).is_none());
        drop(first);
        assert!(backlog.admit(60, 100).is_some());
        assert_eq!(backlog.0.load(Ordering::Relaxed), 0);
    }
}
