//! Faults on demand: what a network or a vendor may do to a caller, at will and repeatably.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::rng::Rng;

/// Which requests a fault is for.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Matcher {
    /// The HTTP method; any when absent.
    #[serde(default)]
    pub method: Option<String>,
    /// How the path starts; empty fits all.
    #[serde(default)]
    pub path: String,
}

impl Matcher {
    /// Every request.
    pub fn any() -> Self {
        Self::default()
    }

    /// Requests whose path starts with `path`, of any method.
    pub fn path(path: impl Into<String>) -> Self {
        Self { method: None, path: path.into() }
    }

    /// Requests of one method whose path starts with `path`.
    pub fn method(method: impl Into<String>, path: impl Into<String>) -> Self {
        Self { method: Some(method.into()), path: path.into() }
    }

    fn fits(&self, method: &str, path: &str) -> bool {
        self.method.as_deref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method)) && path.starts_with(&self.path)
    }
}

/// What goes wrong.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FaultKind {
    /// The connection is cut; the work is not done.
    Before,
    /// The work is done; the connection is cut instead of an answer.
    After,
    /// The answer comes later by so much. Adds up with other faults.
    Slow {
        /// In milliseconds.
        millis: u64,
    },
    /// No answer ever; the connection stays open. The work is not done.
    Hang,
    /// No answer ever; the connection stays open. The work is done.
    HangAfter,
    /// This answer instead of the real one; the work is not done.
    Status {
        /// HTTP status.
        status: u16,
        /// The body as it is.
        #[serde(default)]
        body: String,
        /// Extra headers.
        #[serde(default)]
        headers: Vec<(String, String)>,
    },
    /// The work is done and answered with the right status, and an empty body.
    EmptyBody,
    /// The work is done; the answer breaks off half-way through its body.
    Truncated,
}

impl FaultKind {
    /// See [`FaultKind::Slow`].
    pub fn slow(by: Duration) -> Self {
        Self::Slow { millis: u64::try_from(by.as_millis()).unwrap_or(u64::MAX) }
    }

    /// An error page of a proxy in front of the vendor: HTML, not JSON.
    pub fn html(status: u16) -> Self {
        Self::Status {
            status,
            body: format!(
                "<html><head><title>{status}</title></head><body><center><h1>{status}</h1></center></body></html>"
            ),
            headers: vec![("content-type".into(), "text/html".into())],
        }
    }

    /// 429 that asks to wait for `seconds`.
    pub fn throttled(seconds: u32) -> Self {
        Self::Status { status: 429, body: String::new(), headers: vec![("retry-after".into(), seconds.to_string())] }
    }

    /// A plain status with an empty body.
    pub fn status(status: u16) -> Self {
        Self::Status { status, body: String::new(), headers: Vec::new() }
    }
}

/// How often a fault strikes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Times {
    /// Every matching request.
    #[default]
    Forever,
    /// The next n matching requests.
    Times(u64),
    /// A share (0.0 to 1.0) of the matching requests, the same ones for the same seed.
    Probability {
        /// 0.0 to 1.0.
        share: f64,
        /// Start of the random sequence.
        seed: u64,
    },
    /// The n-th, 2n-th, … matching request.
    EveryNth(u64),
}

/// One fault.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Fault {
    /// Which requests.
    #[serde(default)]
    pub on: Matcher,
    /// What happens to them.
    #[serde(flatten)]
    pub kind: FaultKind,
    /// How often.
    #[serde(default)]
    pub times: Times,
}

impl Fault {
    /// A fault for every matching request.
    pub fn forever(on: Matcher, kind: FaultKind) -> Self {
        Self { on, kind, times: Times::Forever }
    }

    /// A fault for the next `n` matching requests.
    pub fn times(on: Matcher, kind: FaultKind, n: u64) -> Self {
        Self { on, kind, times: Times::Times(n) }
    }
}

#[derive(Debug)]
struct Armed {
    fault: Fault,
    seen: u64,
    struck: u64,
    rng: Rng,
}

impl Armed {
    fn strikes(&mut self) -> bool {
        self.seen += 1;
        let strikes = match &self.fault.times {
            Times::Forever => true,
            Times::Times(n) => self.struck < *n,
            Times::Probability { share, .. } => self.rng.chance(*share),
            Times::EveryNth(n) => *n > 0 && self.seen.is_multiple_of(*n),
        };
        self.struck += u64::from(strikes);
        strikes
    }
}

/// The faults of one vendor. Clones share one list.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Mutex<Vec<Armed>>>);

/// What the list says about one request.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) delay: Duration,
    pub(crate) kind: Option<FaultKind>,
}

impl Faults {
    /// Adds a fault. The first one in the list that strikes decides; delays add up.
    pub fn push(&self, fault: Fault) {
        let seed = if let Times::Probability { seed, .. } = fault.times { seed } else { 0 };
        self.lock().push(Armed { fault, seen: 0, struck: 0, rng: Rng::new(seed) });
    }

    /// Removes all faults.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// How often any fault now in the list has struck.
    pub fn struck(&self) -> u64 {
        self.lock().iter().map(|armed| armed.struck).sum()
    }

    pub(crate) fn decide(&self, method: &str, path: &str) -> Verdict {
        let mut verdict = Verdict::default();
        for armed in self.lock().iter_mut().filter(|armed| armed.fault.on.fits(method, path)) {
            if let FaultKind::Slow { millis } = armed.fault.kind {
                if armed.strikes() {
                    verdict.delay += Duration::from_millis(millis);
                }
            } else if verdict.kind.is_none() && armed.strikes() {
                verdict.kind = Some(armed.fault.kind.clone());
            }
        }
        verdict
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Armed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_nth_and_delays() {
        let faults = Faults::default();
        faults.push(Fault {
            on: Matcher::path("/a"),
            kind: FaultKind::slow(Duration::from_millis(5)),
            times: Times::EveryNth(2),
        });
        faults.push(Fault::times(Matcher::method("post", "/a"), FaultKind::Before, 1));
        let first = faults.decide("POST", "/a/b");
        assert!(matches!(first.kind, Some(FaultKind::Before)) && first.delay.is_zero());
        let second = faults.decide("POST", "/a");
        assert!(second.kind.is_none() && second.delay == Duration::from_millis(5));
        assert!(faults.decide("GET", "/b").kind.is_none());
        assert_eq!(faults.struck(), 2);
    }

    #[test]
    fn json_form() {
        let fault: Fault = serde_json::from_str(
            r#"{"on":{"path":"/api"},"kind":"status","status":503,"times":{"probability":{"share":0.5,"seed":1}}}"#,
        )
        .expect("parses");
        assert!(matches!(fault.kind, FaultKind::Status { status: 503, .. }));
        let fault: Fault = serde_json::from_str(r#"{"kind":"before","times":{"times":2}}"#).expect("parses");
        assert!(matches!(fault.times, Times::Times(2)));
    }
}
