//! Law 1, watched from outside all the time: `accepted = delivered + skipped + parked + dead + in flight` at every look.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;
use tests::http::request;

use super::TOKEN;

#[derive(Default)]
struct Shared {
    address: Mutex<Option<String>>,
    stop: AtomicBool,
    looks: AtomicU64,
    wrong: Mutex<Vec<String>>,
}

/// Looks ten times a second.
pub(super) struct Watcher {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Watcher {
    pub(super) fn start() -> Self {
        let shared = Arc::new(Shared::default());
        let watched = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            while !watched.stop.load(Ordering::Relaxed) {
                let address = watched.address.lock().unwrap_or_else(PoisonError::into_inner).clone();
                if let Some(address) = address {
                    look(&watched, &address);
                }
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        Self { shared, thread: Some(thread) }
    }

    pub(super) fn look_at(&self, address: Option<&str>) {
        *self.shared.address.lock().unwrap_or_else(PoisonError::into_inner) = address.map(str::to_owned);
    }

    /// Ends, and passes judgement.
    pub(super) fn finish(&mut self) {
        self.stop();
        let wrong = self.shared.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(wrong.is_empty(), "the books did not add up: {:?}", wrong.first());
    }

    fn stop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.stop();
    }
}

fn look(shared: &Shared, address: &str) {
    let bearer = format!("Bearer {TOKEN}");
    // Nobody answers while the product is down or in set-up with another token; that is for the tests themselves.
    let Ok(answer) = request(address, "GET", "/api/status", &[("authorization", &bearer)], b"") else { return };
    if answer.status != 200 {
        return;
    }
    shared.looks.fetch_add(1, Ordering::Relaxed);
    if let Err(problem) = judge(&answer.json()) {
        shared.wrong.lock().unwrap_or_else(PoisonError::into_inner).push(problem);
    }
}

fn judge(status: &Value) -> Result<(), String> {
    let number = |name: &str| status[name].as_u64().ok_or_else(|| format!("no {name} in {status}"));
    let mut skipped = 0;
    for (reason, count) in status["skipped"].as_object().ok_or("skipped is no object")? {
        skipped +=
            count.as_u64().filter(|_| !reason.is_empty()).ok_or_else(|| format!("skipped {reason:?}: {count}"))?;
    }
    let sum = number("delivered")? + skipped + number("parked")? + number("dead")? + number("in_flight")?;
    let accepted = number("accepted")?;
    if accepted == sum { Ok(()) } else { Err(format!("{accepted} accepted, {sum} accounted for: {status}")) }
}

#[test]
fn books_that_do_not_add_up_are_found() {
    let mut status = serde_json::json!({
        "accepted": 5, "delivered": 1, "skipped": {"ping": 1}, "parked": 1, "dead": 1, "in_flight": 1,
    });
    assert_eq!(judge(&status), Ok(()));
    status["accepted"] = 6.into();
    assert!(judge(&status).is_err());
}
