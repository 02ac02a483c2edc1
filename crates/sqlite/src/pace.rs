//! When to stop collecting calls and commit.
//!
//! Callers that were answered together come back one after the other. A writer that starts with the first of them syncs for one
//! and makes the rest wait for a whole sync: two syncs for everybody, half the rate. So where the last transactions had many
//! calls, the writer waits for about as many again, but never longer than a fraction of what a commit takes anyway.

use std::time::Duration;

/// The wait is this part of a commit.
const PART: u32 = 4;
/// Whatever the disk does, nobody waits longer for company.
const LONGEST: Duration = Duration::from_millis(2);
/// Below this, waiting costs more than it gives.
const SHORTEST: Duration = Duration::from_micros(50);

/// How large the last transactions were and how long their commits took.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    last: usize,
    before: usize,
    commit: Duration,
}

impl Pace {
    /// A transaction with so many calls was committed.
    pub(crate) fn committed(&mut self, calls: usize, took: Duration) {
        self.before = self.last;
        self.last = calls;
        self.commit = took;
    }

    /// How many calls to expect. The larger of two, because one small transaction between two large ones proves nothing.
    pub(crate) fn expected(&self) -> usize {
        self.last.max(self.before)
    }

    /// How long to wait for them.
    pub(crate) fn patience(&self) -> Duration {
        let part = (self.commit / PART).min(LONGEST);
        if self.expected() < 2 || part < SHORTEST { Duration::ZERO } else { part }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lone_caller_never_waits_for_company() {
        let mut pace = Pace::default();
        assert_eq!(pace.patience(), Duration::ZERO);
        pace.committed(64, Duration::from_millis(4));
        assert_eq!((pace.expected(), pace.patience()), (64, Duration::from_millis(1)));
        pace.committed(1, Duration::from_millis(4));
        assert_eq!(pace.expected(), 64, "one small one proves nothing");
        pace.committed(1, Duration::from_millis(4));
        assert_eq!(pace.patience(), Duration::ZERO);
    }

    #[test]
    fn the_wait_is_short_beside_the_commit_and_bounded() {
        let mut pace = Pace::default();
        pace.committed(64, Duration::from_secs(1));
        assert_eq!(pace.patience(), LONGEST);
        pace.committed(64, Duration::from_micros(20));
        assert_eq!(pace.patience(), Duration::ZERO, "on a fast disk waiting costs more than it gives");
    }
}
