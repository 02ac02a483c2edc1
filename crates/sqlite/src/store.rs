//! The store: opening, closing, and the way to its threads.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use app::ports::{Clock, StoreError, StoreResult};
use jiff::Timestamp;
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::file::ProcessLock;
use crate::job::{Backlog, Call, Queued, Work};
use crate::pace::Pace;
use crate::readers::{Question, Reader};
use crate::totals::Sequences;
use crate::trouble::Trouble;
use crate::upkeep::Upkeep;
use crate::writer::Writer;
use crate::{connection, file, queue, schema};

/// How the store behaves.
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    /// How long a call waits while another program has the file locked. Below the webhook's three seconds.
    pub lock_timeout: Duration,
    /// Threads that read.
    pub readers: usize,
    /// Bytes that waiting calls may hold together; more are turned away, so that a stuck disk does not eat the memory.
    pub backlog_bytes: usize,
    /// For tests: the file may not have more pages, as if the disk were full.
    pub page_limit: Option<u32>,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self { lock_timeout: Duration::from_secs(2), readers: 2, backlog_bytes: 16 * 1024 * 1024, page_limit: None }
    }
}

/// Queues and state in one file. Cheap to clone; the file is closed when the last clone is dropped, which waits for the calls
/// that were taken over.
#[derive(Clone)]
pub struct SqliteStore {
    inner: Arc<Inner>,
}

struct Inner {
    options: SqliteOptions,
    backlog: Backlog,
    // `None` only while dropping: the threads end when their channels do.
    writer: Option<Sender<Queued>>,
    readers: Option<Sender<Question>>,
    threads: Vec<JoinHandle<()>>,
    _lock: ProcessLock,
}

impl SqliteStore {
    /// Opens the file, or makes it, and gives out again every message that was claimed when the last process ended.
    ///
    /// Blocks for as long as the disk takes. Fails with one sentence when another process has the file, when a newer version
    /// wrote it, or when it cannot be written.
    pub fn open(path: &Path, options: SqliteOptions, clock: impl Clock + 'static) -> StoreResult<Self> {
        Self::start(path, options, clock).map_err(StoreError::from)
    }

    fn start(path: &Path, options: SqliteOptions, clock: impl Clock + 'static) -> Result<Self, Trouble> {
        let lock = {
            file::prepare(path)?;
            ProcessLock::take(path)?
        };
        let connection = open_file(path, &options, clock.now())?;
        let sequences = Sequences::load(&connection)?;
        let (calls, inbox) = channel();
        let (questions, asked) = channel();
        let writer = Writer {
            path: path.to_owned(),
            page_limit: options.page_limit,
            lock_timeout: options.lock_timeout,
            now: Box::new(move || clock.now()),
            calls: inbox,
            connection: Some(connection),
            sequences,
            waiting: VecDeque::new(),
            upkeep: Upkeep::default(),
            pace: Pace::default(),
        };
        let mut threads = vec![spawn("sqlite-writer", move || writer.run())?];
        let asked = Arc::new(Mutex::new(asked));
        for _ in 0..options.readers.max(1) {
            let reader = Reader { path: path.to_owned(), questions: Arc::clone(&asked) };
            threads.push(spawn("sqlite-reader", move || reader.run())?);
        }
        let backlog = Backlog::default();
        let inner = Inner { options, backlog, writer: Some(calls), readers: Some(questions), threads, _lock: lock };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Runs a closure in the writer's next transaction; returns after its commit.
    ///
    /// `isolated` calls may fail alone and get a savepoint; the others take the whole transaction with them.
    pub(crate) async fn write<T, F>(&self, bytes: usize, isolated: bool, wish: F) -> StoreResult<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Work<'_>) -> Result<T, Trouble> + Send + 'static,
    {
        let inner = &self.inner;
        let load = inner.backlog.admit(bytes, inner.options.backlog_bytes);
        let load = load.ok_or(Trouble::Stopped("too many calls wait for the disk; try again later"))?;
        let (call, answer) = Call::new(wish);
        let queued = Queued { job: Box::new(call), since: Instant::now(), isolated, load };
        inner.writer.as_ref().and_then(|writer| writer.send(queued).ok()).ok_or(STOPPED)?;
        answer.await.unwrap_or(Err(STOPPED.into()))
    }

    /// Asks a reader.
    pub(crate) async fn read<T, F>(&self, question: F) -> StoreResult<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Trouble> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let boxed: Question = Box::new(move |connection| {
            let result = connection.and_then(question);
            let trouble = result.as_ref().err().cloned();
            // The caller may have gone away; nothing depends on the answer then.
            let _ = reply.send(result);
            trouble.map_or(Ok(()), Err)
        });
        self.inner.readers.as_ref().and_then(|readers| readers.send(boxed).ok()).ok_or(STOPPED)?;
        Ok(answer.await.unwrap_or(Err(STOPPED))?)
    }
}

const STOPPED: Trouble = Trouble::Stopped("its thread has ended; restart the program");

fn open_file(path: &Path, options: &SqliteOptions, now: Timestamp) -> Result<Connection, Trouble> {
    let mut connection = connection::writer(path, options.page_limit)?;
    schema::migrate(&mut connection, schema::STEPS)?;
    queue::give_out_again(&connection, now)?;
    Ok(connection)
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, Trouble> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .map_err(|error| Trouble::Broken(format!("its thread cannot be started: {error}")))
}

/// Closes the channels, waits for the threads, and only then lets the next process in.
impl Drop for Inner {
    fn drop(&mut self) {
        self.writer = None;
        self.readers = None;
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so already; there is nothing left to do for it.
            let _ = thread.join();
        }
    }
}
