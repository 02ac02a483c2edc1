//! What the rate-limit headers of an answer say.
//!
//! - Klaviyo: `RateLimit-Limit: 10, 10;w=1, 150;w=60` (or one number), `RateLimit-Remaining`, `RateLimit-Reset` in
//!   seconds, about the minute; on a 429 only `Retry-After`.
//!   <https://developers.klaviyo.com/en/docs/rate_limits_and_error_handling>
//! - Intercom: `X-RateLimit-Limit`, `X-RateLimit-Remaining`, `X-RateLimit-Reset` in Unix seconds, about the current 10
//!   seconds; on a 429 as well.
//!   <https://developers.intercom.com/docs/references/rest-api/errors/rate-limiting>
//!
//! Headers are passed as a look-up function (names in lower case), because this crate knows no HTTP library.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

use super::{Endpoint, gap};

/// The limits an answer told. Whatever it did not tell is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// Requests in the short window (Klaviyo's second).
    pub burst: Option<u32>,
    /// Requests in the window that the two numbers below are about.
    pub steady: Option<u32>,
    /// What is left of it, for all apps together.
    pub remaining: Option<u32>,
    /// It ends within this time: told seconds are rounded up, so this is never too early.
    pub resets_in: Option<Duration>,
}

/// No told moment is believed beyond this; a later one is a mistake (milliseconds, a broken clock).
const LONGEST: Duration = Duration::from_secs(24 * 3_600);

/// Reads the headers of an answer from this endpoint, 429s included.
pub fn read<'a>(endpoint: Endpoint, header: impl Fn(&str) -> Option<&'a str>, now: Timestamp) -> Quota {
    match endpoint {
        Endpoint::KlaviyoEvents => klaviyo(header, 350),
        Endpoint::KlaviyoBulk => klaviyo(header, 10),
        Endpoint::KlaviyoProfiles | Endpoint::KlaviyoLookups => klaviyo(header, 75),
        Endpoint::KlaviyoReads => klaviyo(header, 1),
        // Several endpoints with limits of their own: what one says is not about the others.
        Endpoint::KlaviyoCreates | Endpoint::KlaviyoAssets => Quota::default(),
        Endpoint::IntercomMe | Endpoint::IntercomContacts | Endpoint::IntercomSearch | Endpoint::IntercomOther => {
            intercom(header, now)
        }
    }
}

/// Klaviyo's headers. `burst` is the documented number of the short window: it tells which of the two a lone number means.
fn klaviyo<'a>(header: impl Fn(&str) -> Option<&'a str>, burst: u32) -> Quota {
    let limit = header("ratelimit-limit").unwrap_or_default();
    let mut quota = Quota::default();
    let mut lone = None;
    for item in limit.split(',') {
        let mut parts = item.split(';').map(str::trim);
        let number = parts.next().and_then(whole).filter(|number| *number > 0);
        match parts.find_map(|part| part.strip_prefix("w=")) {
            Some("1") => quota.burst = number,
            Some("60") => quota.steady = number,
            Some(_) => {}
            None => lone = lone.or(number),
        }
    }
    if quota.burst.is_none() && quota.steady.is_none() && lone != Some(burst) {
        quota.steady = lone;
    }
    let remaining = header("ratelimit-remaining").and_then(whole);
    let reset = header("ratelimit-reset").and_then(whole);
    // By the IETF draft the numbers are about the window that binds. The second is over before its answer is here.
    let about_the_second = lone == Some(quota.burst.unwrap_or(burst)) && reset.is_some_and(|seconds| seconds <= 1);
    if !about_the_second {
        quota.remaining = remaining;
        // Whether the told second is rounded up or down is not documented.
        quota.resets_in =
            reset.map(|seconds| Duration::from_secs(u64::from(seconds) + 1)).filter(|told| *told < LONGEST);
    }
    quota
}

/// Intercom's headers.
fn intercom<'a>(header: impl Fn(&str) -> Option<&'a str>, now: Timestamp) -> Quota {
    Quota {
        burst: None,
        steady: header("x-ratelimit-limit").and_then(whole).filter(|limit| *limit > 0),
        // The documentation's example counts the request itself only in the answer to the next.
        remaining: header("x-ratelimit-remaining").and_then(whole).map(|left| left.saturating_sub(1)),
        // A window is 10 seconds long: a longer one is a sign that two clocks differ.
        resets_in: reset_moment(&header, now).map(|told| told.min(Duration::from_secs(60))),
    }
}

/// The wait that a refusal told: `Retry-After` in seconds or as a date, else `X-RateLimit-Reset`.
pub fn told_wait<'a>(header: impl Fn(&str) -> Option<&'a str>, now: Timestamp) -> Option<Duration> {
    let asked = header("retry-after").and_then(|text| {
        let text = text.trim();
        if let Ok(seconds) = text.parse::<u64>() {
            return Some(Duration::from_secs(seconds));
        }
        let until = date(text)?;
        Some(from_server(until, &header, now))
    });
    asked.or_else(|| reset_moment(&header, now)).filter(|told| *told <= LONGEST)
}

fn reset_moment<'a>(header: &impl Fn(&str) -> Option<&'a str>, now: Timestamp) -> Option<Duration> {
    let seconds: i64 = header("x-ratelimit-reset")?.trim().parse().ok()?;
    let told = from_server(Timestamp::from_second(seconds).ok()?, header, now);
    (told <= LONGEST).then_some(told)
}

/// From now until a moment by the vendor's clock. The answer's own `Date` says what that clock shows, cut to seconds, so
/// that the result is never too short; without it our clock has to do.
fn from_server<'a>(until: Timestamp, header: &impl Fn(&str) -> Option<&'a str>, now: Timestamp) -> Duration {
    match header("date").and_then(date) {
        Some(theirs) if gap(theirs, until) <= LONGEST && gap(until, theirs) <= Duration::from_secs(60) => {
            gap(theirs, until)
        }
        _ => gap(now, until),
    }
}

fn date(text: &str) -> Option<Timestamp> {
    DateTimeParser::new().parse_timestamp(text.trim()).ok()
}

fn whole(text: &str) -> Option<u32> {
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2023-11-14 22:13:20 UTC.
    const NOW: i64 = 1_700_000_000;

    fn now() -> Timestamp {
        Timestamp::from_second(NOW).expect("in range")
    }

    fn lookup<'a>(headers: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<&'a str> {
        |name| headers.iter().find(|(other, _)| *other == name).map(|(_, value)| *value)
    }

    #[track_caller]
    fn klaviyo(
        limit: &str,
        remaining: &str,
        reset: &str,
        expected: (Option<u32>, Option<u32>, Option<u32>, Option<u64>),
    ) {
        let headers = [("ratelimit-limit", limit), ("ratelimit-remaining", remaining), ("ratelimit-reset", reset)];
        let quota = read(Endpoint::KlaviyoBulk, lookup(&headers), now());
        let resets_in = quota.resets_in.map(|told| told.as_secs());
        assert_eq!((quota.burst, quota.steady, quota.remaining, resets_in), expected);
    }

    #[test]
    fn klaviyos_headers_in_both_forms() {
        klaviyo("150", "149", "42", (None, Some(150), Some(149), Some(43)));
        klaviyo("10, 10;w=1, 150;w=60", "149", "42", (Some(10), Some(150), Some(149), Some(43)));
        klaviyo("4, 4;w=1,60;w=60, 225;w=86400", "3", "59", (Some(4), Some(60), Some(3), Some(60)));
        // About the second: over before it is read.
        klaviyo("10, 10;w=1, 150;w=60", "9", "1", (Some(10), Some(150), None, None));
        klaviyo("10", "9", "0", (None, None, None, None));
        klaviyo("10", "9", "30", (None, None, Some(9), Some(31)));
        klaviyo("", "x", "-1", (None, None, None, None));
    }

    #[track_caller]
    fn intercom(headers: &[(&str, &str)], expected: (Option<u32>, Option<u32>, Option<u64>)) {
        let quota = read(Endpoint::IntercomOther, lookup(headers), now());
        assert_eq!((quota.steady, quota.remaining, quota.resets_in.map(|told| told.as_secs())), expected);
    }

    #[test]
    fn intercoms_headers_are_read_by_its_own_clock() {
        let reset = (NOW + 7).to_string();
        let limits = [("x-ratelimit-limit", "166"), ("x-ratelimit-remaining", "80"), ("x-ratelimit-reset", &reset)];
        intercom(&limits, (Some(166), Some(79), Some(7)));
        let ahead = "Tue, 14 Nov 2023 22:13:25 GMT";
        intercom(&[limits[0], limits[1], limits[2], ("date", ahead)], (Some(166), Some(79), Some(2)));
        intercom(&[("x-ratelimit-limit", "0"), ("x-ratelimit-remaining", "0")], (None, Some(0), None));
        intercom(&[("x-ratelimit-reset", "1700000007000")], (None, None, None));
    }

    #[track_caller]
    fn waits(headers: &[(&str, &str)], expected: Option<u64>) {
        assert_eq!(told_wait(lookup(headers), now()), expected.map(Duration::from_secs));
    }

    #[test]
    fn told_waits_in_seconds_as_a_date_and_as_the_windows_end() {
        waits(&[("retry-after", "17")], Some(17));
        waits(&[("retry-after", " 0 ")], Some(0));
        waits(&[("retry-after", "Tue, 14 Nov 2023 22:13:50 GMT")], Some(30));
        waits(&[("retry-after", "Tue, 14 Nov 2023 22:13:50 GMT"), ("date", "Tue, 14 Nov 2023 22:13:10 GMT")], Some(40));
        waits(&[("retry-after", "Tue, 14 Nov 2023 22:00:00 GMT")], Some(0));
        waits(&[("x-ratelimit-reset", "1700000008")], Some(8));
        waits(&[("retry-after", "soon"), ("x-ratelimit-reset", "1700000008")], Some(8));
        waits(&[("retry-after", "1.5")], None);
        waits(&[("retry-after", "99999999999999")], None);
        waits(&[("x-ratelimit-reset", "1700000008000")], None);
        waits(&[], None);
    }

    #[test]
    fn a_date_by_a_clock_that_has_nothing_to_do_with_ours_is_left_aside() {
        waits(&[("x-ratelimit-reset", "1700000008"), ("date", "Mon, 23 Nov 2026 21:00:00 GMT")], Some(8));
        waits(&[("x-ratelimit-reset", "1700000008"), ("date", "Fri, 01 Jan 2021 00:00:00 GMT")], Some(8));
    }
}
