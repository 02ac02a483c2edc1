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
        Endpoint::KlaviyoProfiles => klaviyo(header, 75),
        Endpoint::KlaviyoReads => klaviyo(header, 1),
        Endpoint::IntercomMe | Endpoint::IntercomContacts | Endpoint::IntercomOther => intercom(header, now),
    }
}

/// Klaviyo's headers. `burst` is the documented number of the short window: it tells which of the two a lone number means.
fn klaviyo<'a>(header: impl Fn(&str) -> Option<&'a str>, burst: u32) -> Quota {
    let limit = header("ratelimit-limit").unwrap_or_default();
    let mut quota = Quota::default();
    let mut lone = None;
    for item in limit.split(',') {
        let mut parts = item.split(';').map(str::trim);
        let number = parts.next().and_then(whole);
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
