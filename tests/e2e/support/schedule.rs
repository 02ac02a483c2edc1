//! The schedule's ticks, one after the other without its minute between them, and always two at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use tests::emulator::Stack;

/// Ticks until it is dropped. Every invocation of the function is one tick, whoever calls.
pub(crate) struct Schedule(Arc<AtomicBool>);

impl Schedule {
    /// Calls the stack's backfill function.
    pub(crate) fn start(stack: &Stack<'_>) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        for _ in 0..2 {
            let (caller, ended) = (stack.caller(), Arc::clone(&ended));
            let path = format!("/2015-03-31/functions/{}/invocations", stack.output("BackfillFunctionName"));
            std::thread::spawn(move || {
                while !ended.load(Ordering::Relaxed) {
                    // A tick that was killed, or that takes longer than this waits, is followed by the next one.
                    let _ = caller.post(&path, &json!({}));
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
