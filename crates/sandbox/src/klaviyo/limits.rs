//! Klaviyo's fixed-window limits: a burst window of one second and a steady one of one minute, some endpoints also
//! a day, for the account as a whole.

use std::collections::HashMap;

use serde::Serialize;

/// A request that arrives so soon after a refusal was under way before the caller could know of it.
const GRACE_MS: i64 = 100;
const SECOND_MS: i64 = 1_000;
const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 86_400_000;

/// A request that came although an earlier answer had asked to wait longer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EarlyRequest {
    /// The endpoint, such as `POST /api/events`.
    pub endpoint: String,
    /// When it came, Unix milliseconds.
    pub at_ms: i64,
    /// When it would have been welcome, Unix milliseconds.
    pub due_ms: i64,
}

/// An endpoint and its limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tier {
    pub(crate) name: &'static str,
    burst: u32,
    steady: u32,
    daily: Option<u32>,
}

const fn tier(name: &'static str, burst: u32, steady: u32) -> Tier {
    Tier { name, burst, steady, daily: None }
}

pub(crate) const EVENTS: Tier = tier("POST /api/events", 350, 3_500);
pub(crate) const EVENTS_READ: Tier = tier("GET /api/events", 350, 3_500);
pub(crate) const BULK: Tier = tier("POST /api/event-bulk-create-jobs", 10, 150);
pub(crate) const IMPORT: Tier = tier("POST /api/profile-import", 75, 750);
pub(crate) const PROFILES: Tier = tier("GET /api/profiles", 75, 750);
pub(crate) const ACCOUNTS: Tier = tier("GET /api/accounts", 1, 15);
pub(crate) const METRICS: Tier = tier("GET /api/metrics", 10, 150);
pub(crate) const SEGMENTS_READ: Tier = tier("GET /api/segments", 75, 750);
pub(crate) const FLOWS_READ: Tier = tier("GET /api/flows", 3, 60);
pub(crate) const FLOWS_PATCH: Tier = tier("PATCH /api/flows", 3, 60);
pub(crate) const TEMPLATES: Tier = tier("POST /api/templates", 75, 750);
pub(crate) const TEMPLATES_READ: Tier = tier("GET /api/templates", 75, 750);
pub(crate) const DELETION: Tier = tier("POST /api/data-privacy-deletion-jobs", 3, 60);
pub(crate) const SEGMENTS: Tier = Tier { daily: Some(100), ..tier("POST /api/segments", 1, 15) };
pub(crate) const FLOWS: Tier = Tier { daily: Some(100), ..tier("POST /api/flows", 1, 15) };

#[derive(Debug, Default)]
struct Window {
    index: i64,
    used: u32,
}

impl Window {
    /// Milliseconds until there is room again, or 0.
    fn wait(&mut self, now_ms: i64, length_ms: i64, limit: u32) -> i64 {
        let index = now_ms.div_euclid(length_ms);
        if index != self.index {
            *self = Self { index, used: 0 };
        }
        if self.used < limit { 0 } else { length_ms - now_ms.rem_euclid(length_ms) }
    }
}

#[derive(Debug, Default)]
struct Usage {
    second: Window,
    minute: Window,
    day: Window,
    refused_at_ms: i64,
    blocked_until_ms: i64,
}

/// What the limiter says to a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    Off,
    Pass { limit: u32, remaining: u32, reset_seconds: i64 },
    Refused { retry_after_seconds: i64 },
}

/// All windows of one account.
#[derive(Debug)]
pub(crate) struct Limiter {
    pub(crate) enabled: bool,
    usage: HashMap<&'static str, Usage>,
    pub(crate) refused: u64,
    pub(crate) early: Vec<EarlyRequest>,
}

impl Default for Limiter {
    fn default() -> Self {
        Self { enabled: true, usage: HashMap::new(), refused: 0, early: Vec::new() }
    }
}

impl Limiter {
    pub(crate) fn ask(&mut self, tier: Tier, now_ms: i64) -> Gate {
        if !self.enabled {
            return Gate::Off;
        }
        let usage = self.usage.entry(tier.name).or_default();
        if now_ms < usage.blocked_until_ms {
            if now_ms - usage.refused_at_ms > GRACE_MS {
                self.early.push(EarlyRequest {
                    endpoint: tier.name.into(),
                    at_ms: now_ms,
                    due_ms: usage.blocked_until_ms,
                });
            }
            self.refused += 1;
            return Gate::Refused { retry_after_seconds: seconds_up(usage.blocked_until_ms - now_ms) };
        }
        let waits = [
            usage.second.wait(now_ms, SECOND_MS, tier.burst),
            usage.minute.wait(now_ms, MINUTE_MS, tier.steady),
            tier.daily.map_or(0, |daily| usage.day.wait(now_ms, DAY_MS, daily)),
        ];
        let wait = waits.into_iter().max().unwrap_or(0);
        if wait > 0 {
            let retry_after_seconds = seconds_up(wait);
            usage.refused_at_ms = now_ms;
            usage.blocked_until_ms = now_ms + retry_after_seconds * SECOND_MS;
            self.refused += 1;
            return Gate::Refused { retry_after_seconds };
        }
        usage.second.used += 1;
        usage.minute.used += 1;
        usage.day.used += 1;
        Gate::Pass {
            limit: tier.steady,
            remaining: tier.steady - usage.minute.used,
            reset_seconds: seconds_up(MINUTE_MS - now_ms.rem_euclid(MINUTE_MS)),
        }
    }

    /// Forgets what was used and recorded; stays on or off.
    pub(crate) fn clear(&mut self) {
        *self = Self { enabled: self.enabled, ..Self::default() };
    }
}

fn seconds_up(ms: i64) -> i64 {
    ms.saturating_add(SECOND_MS - 1).div_euclid(SECOND_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn burst_then_wait_then_pass() {
        let mut limiter = Limiter::default();
        let start = 600_000_000_000;
        for left in (140..150).rev() {
            assert_eq!(limiter.ask(BULK, start), Gate::Pass { limit: 150, remaining: left, reset_seconds: 60 });
        }
        assert_eq!(limiter.ask(BULK, start + 200), Gate::Refused { retry_after_seconds: 1 });
        assert_eq!(limiter.ask(BULK, start + 250), Gate::Refused { retry_after_seconds: 1 });
        assert!(limiter.early.is_empty());
        assert_eq!(limiter.ask(BULK, start + 1_100), Gate::Refused { retry_after_seconds: 1 });
        assert_eq!(limiter.early.len(), 1);
        assert!(matches!(limiter.ask(BULK, start + 1_200), Gate::Pass { .. }));
        assert_eq!(limiter.refused, 3);
    }

    #[test]
    fn steady_and_daily_windows() {
        let mut limiter = Limiter::default();
        let start = 864_000_000_000;
        for second in 0..15 {
            assert!(matches!(limiter.ask(SEGMENTS, start + second * 1_000), Gate::Pass { .. }));
        }
        assert_eq!(limiter.ask(SEGMENTS, start + 15_000), Gate::Refused { retry_after_seconds: 45 });
        for n in 0..85 {
            assert!(matches!(limiter.ask(SEGMENTS, start + 60_000 + n * 5_000), Gate::Pass { .. }));
        }
        let Gate::Refused { retry_after_seconds } = limiter.ask(SEGMENTS, start + 600_000) else {
            panic!("the day is used up")
        };
        assert_eq!(retry_after_seconds, 85_800);
    }
}
