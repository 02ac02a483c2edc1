//! Waiting for facts, with a deadline.

use std::time::{Duration, Instant};

/// Asks again and again until there is an answer.
///
/// # Panics
/// When there is none within `limit`.
pub fn until<T>(what: &str, limit: Duration, ask: impl FnMut() -> Option<T>) -> T {
    try_until(limit, ask).unwrap_or_else(|| panic!("waited {limit:?} in vain: {what}"))
}

/// Asks again and again until there is an answer, or time is over.
pub fn try_until<T>(limit: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if Instant::now() >= deadline {
            return None;
        }
        std::thread::sleep(Duration::from_millis(25));
    }
}

/// Watches for a while that something stays true.
///
/// # Panics
/// When it does not.
pub fn throughout(what: &str, time: Duration, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        assert!(holds(), "no longer true: {what}");
        std::thread::sleep(Duration::from_millis(25));
    }
}
