//! The schedule's ticks, one after the other without its minute between them, and always two at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tests::http::request;

/// Ticks until it is dropped. Every invocation of the function is one tick, whoever calls.
pub(crate) struct Schedule(Arc<AtomicBool>);

impl Schedule {
    /// Calls `function` through the emulator at `address`.
    pub(crate) fn start(address: &str, function: &str) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        for _ in 0..2 {
            let (address, ended) = (address.to_owned(), Arc::clone(&ended));
            let path = format!("/2015-03-31/functions/{function}/invocations");
            std::thread::spawn(move || {
                while !ended.load(Ordering::Relaxed) {
                    // A tick that was killed, or that takes longer than this waits, is followed by the next one.
                    let _ = request(&address, "POST", &path, &[], b"{}");
                    std::thread::sleep(Duration::from_millis(500));
                }
            });
        }
        Self(ended)
    }
}

impl Drop for Schedule {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
