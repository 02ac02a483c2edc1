//! Threads that read, each with a connection of its own. They never wait for the writer, nor the writer for them.

use std::path::PathBuf;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;

use crate::connection;
use crate::trouble::Trouble;

/// Something to read. Gets a connection, or why there is none, and answers its caller itself. What it returns decides whether
/// the connection is kept.
pub(crate) type Question = Box<dyn FnOnce(Result<&Connection, Trouble>) -> Result<(), Trouble> + Send>;

/// Where the threads take their questions from.
pub(crate) type Questions = Arc<Mutex<Receiver<Question>>>;

/// The state of one reading thread.
pub(crate) struct Reader {
    pub(crate) path: PathBuf,
    pub(crate) questions: Questions,
}

impl Reader {
    /// Works until the last sender is gone.
    pub(crate) fn run(self) {
        let mut connection: Option<Connection> = None;
        while let Some(question) = self.next() {
            let opened = match connection.take() {
                Some(open) => Ok(open),
                None => connection::reader(&self.path),
            };
            match opened {
                Ok(open) => {
                    let result = question(Ok(&open));
                    // After trouble with the file the next question starts afresh: nothing sticks.
                    if !matches!(result, Err(trouble) if trouble.wants_reopening()) {
                        connection = Some(open);
                    }
                }
                Err(trouble) => {
                    let _ = question(Err(trouble));
                }
            }
        }
    }

    /// One thread at a time waits in the channel, the others for the lock; either way they sleep.
    fn next(&self) -> Option<Question> {
        self.questions.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
    }
}
