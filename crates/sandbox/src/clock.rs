//! The sandbox's own time: the system's, or one that a test moves by hand.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::sync::watch;

/// The end of the year 9999: what sums of times near it may reach still fits everywhere.
pub(crate) const LATEST: i64 = 253_402_300_799;

/// What both vendors take for the current time: limit windows, the one-minute retry, time stamps.
///
/// Clones share one clock. A real clock can be advanced as well (the offset is added to the system's time).
#[derive(Clone, Debug)]
pub struct SandboxClock {
    real: bool,
    offset_ms: Arc<watch::Sender<i64>>,
}

impl Default for SandboxClock {
    fn default() -> Self {
        Self::real()
    }
}

impl SandboxClock {
    /// The system's clock.
    pub fn real() -> Self {
        Self { real: true, offset_ms: Arc::new(watch::Sender::new(0)) }
    }

    /// A clock that stands at `unix_seconds` until it is moved.
    pub fn manual(unix_seconds: i64) -> Self {
        Self { real: false, offset_ms: Arc::new(watch::Sender::new(unix_seconds.saturating_mul(1000))) }
    }

    /// Unix time in milliseconds, between 1970 and 9999 whatever the clock was set to.
    pub fn now_ms(&self) -> i64 {
        self.base_ms().saturating_add(*self.offset_ms.borrow()).clamp(0, LATEST.saturating_mul(1000))
    }

    /// Unix time in whole seconds.
    pub fn now(&self) -> i64 {
        self.now_ms().div_euclid(1000)
    }

    /// Moves the clock forward and wakes everything that waits for it.
    pub fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.offset_ms.send_modify(|offset| *offset = offset.saturating_add(by));
    }

    /// Sets the clock to `unix_seconds`, backwards too.
    pub fn set(&self, unix_seconds: i64) {
        let offset = unix_seconds.saturating_mul(1000).saturating_sub(self.base_ms());
        self.offset_ms.send_replace(offset);
    }

    /// Waits until the clock shows `due_ms` (Unix milliseconds) or later.
    pub async fn sleep_until_ms(&self, due_ms: i64) {
        let mut moved = self.offset_ms.subscribe();
        loop {
            let left = due_ms.saturating_sub(self.now_ms());
            let Ok(left) = u64::try_from(left) else { return };
            if left == 0 {
                return;
            }
            if self.real {
                tokio::select! {
                    () = tokio::time::sleep(Duration::from_millis(left)) => {}
                    _ = moved.changed() => {}
                }
            } else if moved.changed().await.is_err() {
                return;
            }
        }
    }

    fn base_ms(&self) -> i64 {
        if !self.real {
            return 0;
        }
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_manual_clock_wakes_sleepers_when_moved() {
        let clock = SandboxClock::manual(1_000);
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep_until_ms(1_060_000).await }
        });
        tokio::task::yield_now().await;
        clock.advance(Duration::from_secs(59));
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        clock.advance(Duration::from_secs(1));
        sleeper.await.expect("sleeper ends");
        assert_eq!(clock.now(), 1_060);
        clock.set(5);
        assert_eq!(clock.now_ms(), 5_000);
    }
}
