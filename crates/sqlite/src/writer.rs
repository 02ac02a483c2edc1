//! The thread that writes: group commit.
//!
//! Order of one round: wait for a call; take the file's write lock; only then take over the calls that are still wanted; run
//! them in one transaction; commit, which syncs once; answer them all. A webhook that gave up while the file was locked is
//! therefore not kept, and one that is answered 200 is on the disk.
//!
//! If we die before the commit, nothing happened and nobody was told otherwise. If we die between commit and answer, the
//! calls are kept and counted, and their callers find out by asking again.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rusqlite::Connection;

use crate::connection;
use crate::job::{Job, Queued, Work};
use crate::pace::Pace;
use crate::time::micros;
use crate::totals::{self, Changes, Sequences};
use crate::trouble::Trouble;
use crate::upkeep::Upkeep;

/// Calls in one transaction, so that the first does not wait for ever for the last.
const MAX_CALLS: usize = 1_024;
/// Bytes of bodies in one transaction, unless a single call has more.
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// Without calls for so long, the file is tidied up.
const IDLE: Duration = Duration::from_secs(1);

const BEGIN: &str = "BEGIN IMMEDIATE";
const COMMIT: &str = "COMMIT";
const ROLLBACK: &str = "ROLLBACK";
const SAVEPOINT: &str = "SAVEPOINT call";
const RELEASE: &str = "RELEASE call";
const ROLLBACK_CALL: &str = "ROLLBACK TO call";

/// Gives the moment now.
pub(crate) type Now = Box<dyn Fn() -> Timestamp + Send>;

/// The writer's state. Lives on its own thread until all senders are gone.
pub(crate) struct Writer {
    pub(crate) path: PathBuf,
    pub(crate) page_limit: Option<u32>,
    pub(crate) lock_timeout: Duration,
    pub(crate) now: Now,
    pub(crate) calls: Receiver<Queued>,
    /// `None` after trouble that makes a fresh start advisable.
    pub(crate) connection: Option<Connection>,
    pub(crate) sequences: Sequences,
    pub(crate) waiting: VecDeque<Queued>,
    pub(crate) upkeep: Upkeep,
    pub(crate) pace: Pace,
}

/// A call that was run, and what came of it by itself.
type Finished = (Box<dyn Job>, Option<Trouble>);

impl Writer {
    /// Works until the last sender is gone.
    pub(crate) fn run(mut self) {
        while self.wait() {
            self.round();
        }
    }

    /// Sleeps until there is a call. `false` when there will be none any more.
    fn wait(&mut self) -> bool {
        if !self.waiting.is_empty() {
            return true;
        }
        // The timeout is only used once after some work; then the thread sleeps without waking up.
        let call = if self.upkeep.is_due() {
            match self.calls.recv_timeout(IDLE) {
                Ok(call) => Some(call),
                Err(RecvTimeoutError::Timeout) => {
                    if let Some(connection) = &self.connection {
                        self.upkeep.idle(connection);
                    }
                    return true;
                }
                Err(RecvTimeoutError::Disconnected) => None,
            }
        } else {
            self.calls.recv().ok()
        };
        let more = call.is_some();
        self.waiting.extend(call);
        more
    }

    fn round(&mut self) {
        self.gather();
        if self.waiting.is_empty() {
            return;
        }
        if let Err(trouble) = self.open() {
            self.fail_waiting(&trouble);
            return;
        }
        let Some(connection) = self.connection.take() else { return };
        let verdict = match run(&connection, BEGIN) {
            Ok(()) => {
                self.drain();
                self.transaction(&connection)
            }
            Err(Trouble::Locked) => {
                self.fail_overdue();
                Ok(())
            }
            Err(trouble) => {
                self.fail_waiting(&trouble);
                Err(trouble)
            }
        };
        match verdict {
            Ok(()) => self.connection = Some(connection),
            Err(trouble) => self.recover(connection, &trouble),
        }
    }

    /// Takes what lies in the inbox, and waits a moment for the callers of the last transaction where that pays.
    fn gather(&mut self) {
        self.drain();
        let patience = self.pace.patience();
        let until = Instant::now() + patience;
        while self.waiting.len() < self.pace.expected().min(MAX_CALLS) && Instant::now() < until {
            // Not in the channel: there every single call would wake this thread.
            std::thread::sleep(patience / 8);
            self.drain();
        }
    }

    /// Takes what lies in the inbox, up to one transaction's worth.
    fn drain(&mut self) {
        while self.waiting.len() < MAX_CALLS {
            match self.calls.try_recv() {
                Ok(call) => self.waiting.push_back(call),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
            }
        }
    }

    /// A connection to work with, opened again where the last one was given up.
    fn open(&mut self) -> Result<(), Trouble> {
        if self.connection.is_none() {
            let connection = connection::writer(&self.path, self.page_limit)?;
            self.sequences = self.sequences.not_below(Sequences::load(&connection)?);
            self.connection = Some(connection);
        }
        Ok(())
    }

    /// Everything between the lock and the answers.
    fn transaction(&mut self, connection: &Connection) -> Result<(), Trouble> {
        let before = self.sequences;
        let mut changes = Changes::default();
        let mut finished: Vec<Finished> = Vec::new();
        let mut bytes = 0;
        let mut verdict = Ok(());
        let now = micros((self.now)());
        while let Some(call) = self.waiting.pop_front() {
            // From here on the call is done even if its caller goes away.
            if !call.job.wanted() {
                continue;
            }
            bytes += call.load.bytes;
            let mut work = Work { connection, changes: Changes::default(), sequences: &mut self.sequences, now };
            let mut job = call.job;
            let own = match attempt(&mut job, &mut work, call.isolated) {
                Ok(()) => None,
                Err(trouble) if trouble.is_for_all() || !call.isolated => {
                    finished.push((job, None));
                    verdict = Err(trouble);
                    break;
                }
                Err(trouble) => Some(trouble),
            };
            if own.is_none() {
                changes.absorb(work.changes);
            }
            finished.push((job, own));
            if bytes >= MAX_BYTES {
                break;
            }
        }
        let commit = Instant::now();
        let verdict = verdict
            .and_then(|()| totals::save(connection, &changes, before, self.sequences))
            .and_then(|()| run(connection, if finished.is_empty() { ROLLBACK } else { COMMIT }));
        self.pace.committed(finished.len(), commit.elapsed());
        for (job, own) in finished {
            job.answer(match (&verdict, own) {
                (Err(trouble), _) => Err(trouble.clone()),
                (Ok(()), Some(own)) => Err(own),
                (Ok(()), None) => Ok(()),
            });
        }
        if verdict.is_ok() {
            self.upkeep.worked(connection);
        }
        verdict
    }

    /// Leaves no transaction open, and no connection that met an error which may stick to it.
    fn recover(&mut self, connection: Connection, trouble: &Trouble) {
        tracing::warn!(%trouble, "the SQLite file could not be written");
        // Some errors roll back by themselves; then there is nothing to roll back.
        let rolled_back = connection.is_autocommit() || run(&connection, ROLLBACK).is_ok();
        if rolled_back && !trouble.wants_reopening() {
            self.connection = Some(connection);
        }
    }

    /// Answers the calls whose time is up while somebody else has the lock. The others may still get it.
    fn fail_overdue(&mut self) {
        let limit = self.lock_timeout;
        for call in std::mem::take(&mut self.waiting) {
            if !call.job.wanted() {
                continue;
            }
            if call.since.elapsed() >= limit {
                call.job.answer(Err(Trouble::Locked));
            } else {
                self.waiting.push_back(call);
            }
        }
    }

    fn fail_waiting(&mut self, trouble: &Trouble) {
        for call in self.waiting.drain(..) {
            call.job.answer(Err(trouble.clone()));
        }
    }
}

/// Runs one call, in a savepoint where it can fail without the others.
fn attempt(job: &mut Box<dyn Job>, work: &mut Work<'_>, isolated: bool) -> Result<(), Trouble> {
    if !isolated {
        return job.run(work);
    }
    run(work.connection, SAVEPOINT)?;
    let result = job.run(work);
    match &result {
        Err(trouble) if trouble.is_for_all() => return result,
        Err(_) => run(work.connection, ROLLBACK_CALL)?,
        Ok(()) => {}
    }
    run(work.connection, RELEASE)?;
    result
}

fn run(connection: &Connection, statement: &str) -> Result<(), Trouble> {
    connection.prepare_cached(statement)?.execute([])?;
    Ok(())
}
