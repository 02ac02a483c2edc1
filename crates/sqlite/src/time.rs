//! Moments as the file keeps them: microseconds since 1970.

use std::time::Duration;

use jiff::Timestamp;

/// For a column. Rounds down, so that nothing becomes visible later than it should.
pub(crate) fn micros(moment: Timestamp) -> i64 {
    moment.as_microsecond()
}

/// From a column. A number that is no moment can only come from a damaged file; it becomes the nearest one.
pub(crate) fn moment(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or(if micros < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

/// A length of time in the same unit. Saturates, so that "hide for ever" is not an overflow.
pub(crate) fn length(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
