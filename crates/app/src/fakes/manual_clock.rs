//! Time that stands still until a test moves it.

use std::future::{Future, poll_fn};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::ports::Clock;

/// A clock that a test sets. Clones show the same time.
#[derive(Clone, Debug)]
pub struct ManualClock {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    now: Timestamp,
    sleepers: Vec<(Timestamp, Waker)>,
}

impl ManualClock {
    /// Starts at a moment.
    pub fn at(now: Timestamp) -> Self {
        Self { state: Arc::new(Mutex::new(State { now, sleepers: Vec::new() })) }
    }

    /// Jumps to a moment, also backwards, and wakes those who have slept long enough.
    pub fn set(&self, now: Timestamp) {
        let woken = {
            let mut state = self.lock();
            state.now = now;
            let (woken, asleep) = state.sleepers.drain(..).partition(|(until, _)| *until <= now);
            state.sleepers = asleep;
            woken
        };
        // Outside the lock: a waker may poll at once, and the poll asks for the time.
        let woken: Vec<(Timestamp, Waker)> = woken;
        for (_, waker) in woken {
            waker.wake();
        }
    }

    /// Moves on.
    pub fn advance(&self, by: Duration) {
        self.set(later(self.now(), by));
    }

    /// When the first sleeper wants to wake up, for simulations that jump from one event to the next.
    pub fn next_wake(&self) -> Option<Timestamp> {
        self.lock().sleepers.iter().map(|(until, _)| *until).min()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.lock().now
    }

    /// The deadline counts from the call, not from the first poll.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send {
        let until = later(self.now(), duration);
        poll_fn(move |context| {
            let mut state = self.lock();
            if state.now >= until {
                return Poll::Ready(());
            }
            // Polled again by the same task: one entry is enough.
            if !state.sleepers.iter().any(|(at, waker)| *at == until && waker.will_wake(context.waker())) {
                state.sleepers.push((until, context.waker().clone()));
            }
            Poll::Pending
        })
    }
}

/// Saturates at the end of time.
pub(super) fn later(moment: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by).ok().and_then(|by| moment.checked_add(by).ok()).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_sleeper_wakes_when_its_time_has_come() {
        let clock = ManualClock::at(Timestamp::UNIX_EPOCH);
        let mut sleep = pin!(clock.sleep(Duration::from_secs(10)));
        assert!(sleep.as_mut().now_or_never().is_none());
        clock.advance(Duration::from_secs(9));
        assert!(sleep.as_mut().now_or_never().is_none());
        assert_eq!(clock.next_wake(), Some(Timestamp::from_second(10).expect("in range")));
        clock.advance(Duration::from_secs(1));
        assert_eq!(clock.next_wake(), None, "it was woken");
        assert!(sleep.as_mut().now_or_never().is_some());
    }

    #[test]
    fn no_time_is_no_sleep() {
        let clock = ManualClock::at(Timestamp::UNIX_EPOCH);
        assert!(clock.sleep(Duration::ZERO).now_or_never().is_some());
        clock.advance(Duration::MAX);
        assert_eq!(clock.now(), Timestamp::MAX);
    }
}
