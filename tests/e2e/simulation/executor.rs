//! Polls one future by hand: to its end, or until the plug is pulled.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use app::fakes::ManualClock;
use app::ports::Clock;

#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// One poll. A future that waits for nothing but time gets it.
pub(crate) fn poll_once<T>(future: Pin<&mut (dyn Future<Output = T> + '_)>, clock: &ManualClock) -> Option<T> {
    let flag = Arc::new(Flag::default());
    let waker = Waker::from(Arc::clone(&flag));
    match future.poll(&mut Context::from_waker(&waker)) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => {
            if !flag.0.load(Ordering::SeqCst)
                && let Some(wake) = clock.next_wake()
            {
                clock.set(wake);
            }
            None
        }
    }
}

/// Many times what the longest future needs: one that is polled more often waits for nothing, and its test is to fail within a
/// second and say so, not to stand still.
const MOST_POLLS: usize = 20_000;

/// Runs to the end.
pub(crate) fn run<T>(future: impl Future<Output = T>, clock: &ManualClock) -> T {
    let end = run_for(future, clock, MOST_POLLS);
    end.unwrap_or_else(|| panic!("the future never ends: {MOST_POLLS} polls, and the clock stands at {}", clock.now()))
}

/// Runs for at most so many polls. `None`: it was cut off, wherever it was.
pub(crate) fn run_for<T>(future: impl Future<Output = T>, clock: &ManualClock, polls: usize) -> Option<T> {
    let mut future = Box::pin(future);
    (0..polls).find_map(|_| poll_once(future.as_mut(), clock))
}

/// Runs two, in the order that the bits of the pattern say.
pub(crate) fn run_two<T>(a: impl Future<Output = T>, b: impl Future<Output = T>, clock: &ManualClock, pattern: u64) {
    let (mut a, mut b) = (Box::pin(a), Box::pin(b));
    let (mut a_done, mut b_done) = (false, false);
    for turn in 0..2 * MOST_POLLS {
        if a_done && b_done {
            return;
        }
        if b_done || (!a_done && (pattern >> (turn % 64)) & 1 == 0) {
            a_done = poll_once(a.as_mut(), clock).is_some();
        } else {
            b_done = poll_once(b.as_mut(), clock).is_some();
        }
    }
    panic!("two futures never end: {} polls, and the clock stands at {}", 2 * MOST_POLLS, clock.now());
}
