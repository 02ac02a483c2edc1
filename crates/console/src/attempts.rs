//! How often somebody may guess the token: a fixed few bytes, whatever comes.

use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

/// Wrong tokens that are answered at once.
const BURST: i64 = 10;

/// Milliseconds after which another one is.
const REFILL_MS: i64 = 2_000;

/// Wrong tokens so far. One for each process: on AWS each instance of the function has its own, so what all of them allow together
/// is a multiple of it. That is still far from guessing the 64 digits of a token that we made; who chooses a token chooses a long one.
///
/// While it is exhausted nobody's token is looked at, the right one included: a limit that lets the right guess through limits
/// nothing. Who is signed in stays signed in.
#[derive(Debug, Default)]
pub struct Attempts(Mutex<Spent>);

/// The moment, in milliseconds since 1970, at which all attempts are there again.
#[derive(Debug, Default)]
struct Spent {
    full_at: i64,
}

impl Attempts {
    /// Whether a token may be looked at now; otherwise in how many seconds.
    pub(crate) fn check(&self, now: Timestamp) -> Result<(), i64> {
        let spent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let missing = spent.full_at - now.as_millisecond() - (BURST - 1) * REFILL_MS;
        if missing <= 0 { Ok(()) } else { Err(missing.div_euclid(1_000) + 1) }
    }

    /// A token was wrong.
    pub(crate) fn failed(&self, now: Timestamp) {
        let mut spent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = now.as_millisecond();
        // A clock that was set back must not lock anybody out for longer than from empty to full.
        spent.full_at = spent.full_at.clamp(now, now + BURST * REFILL_MS) + REFILL_MS;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(1_000_000_000 + ms).expect("in range")
    }

    #[test]
    fn ten_at_once_then_one_in_two_seconds() {
        let attempts = Attempts::default();
        for _ in 0..10 {
            assert_eq!(attempts.check(at(0)), Ok(()));
            attempts.failed(at(0));
        }
        assert_eq!(attempts.check(at(0)), Err(3));
        assert_eq!(attempts.check(at(1_999)), Err(1));
        assert_eq!(attempts.check(at(2_000)), Ok(()));
        attempts.failed(at(2_000));
        assert!(attempts.check(at(2_000)).is_err());
        assert_eq!(attempts.check(at(60_000)), Ok(()));
    }

    #[test]
    fn a_clock_that_was_set_back_locks_nobody_out() {
        let attempts = Attempts::default();
        for _ in 0..20 {
            attempts.failed(at(1_000_000));
        }
        attempts.failed(at(0));
        assert_eq!(attempts.check(at(30_000)), Ok(()));
    }
}
