//! Signals, and telling everybody to stop.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// How long running work may take to finish after the first signal.
pub(crate) const GRACE: Duration = Duration::from_secs(10);

/// `SIGXFSZ` on Linux and macOS: a write beyond the file-size limit. Caught, the write fails and is reported; not caught, it kills.
const FILE_SIZE_EXCEEDED: i32 = 25;

/// What a program that serves listens for.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    _file_size: Signal,
}

impl Signals {
    /// From now on these signals no longer kill.
    pub(crate) fn register() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            _file_size: signal(SignalKind::from_raw(FILE_SIZE_EXCEEDED))?,
        })
    }

    /// Waits for Ctrl-C or SIGTERM.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    /// From now on one more signal ends the process at once.
    pub(crate) fn end_at_once_on_next(&mut self) {
        // The same signals once more; where they cannot be had, the operating system's own way remains: kill -9.
        let Ok(mut again) = Self::register() else { return };
        tokio::spawn(async move {
            again.next().await;
            std::process::exit(130);
        });
    }
}

/// Tells everybody who holds a [`Stop`].
#[derive(Debug)]
pub(crate) struct StopSwitch(watch::Sender<bool>);

/// Learns that it is time to stop: when told, or when the switch is gone.
#[derive(Clone, Debug)]
pub(crate) struct Stop(watch::Receiver<bool>);

impl StopSwitch {
    pub(crate) fn new() -> (Self, Stop) {
        let (sender, receiver) = watch::channel(false);
        (Self(sender), Stop(receiver))
    }

    pub(crate) fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Stop {
    pub(crate) async fn requested(mut self) {
        // An error means that the switch was dropped, which is a request too.
        let _ = self.0.wait_for(|stop| *stop).await;
    }

    pub(crate) fn is_requested(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }
}
