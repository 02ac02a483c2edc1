//! What a vendor was asked: counters per endpoint and status, and the last requests whole.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use serde::Serialize;

/// The ring of recent requests holds at most so many bytes of bodies.
const RING_BYTES: usize = 16 << 20;
/// … and at most so many requests.
const RING_LENGTH: usize = 1_000;

/// How often an endpoint gave a status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RequestCount {
    /// HTTP method.
    pub method: String,
    /// The path with ids replaced by `{id}`.
    pub endpoint: String,
    /// HTTP status; 0 when the connection was cut by a fault.
    pub status: u16,
    /// How often.
    pub count: u64,
}

/// One request as it came in.
#[derive(Clone, Debug)]
pub struct RecordedRequest {
    /// When it came, Unix milliseconds of the sandbox's clock.
    pub at_ms: i64,
    /// HTTP method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The status it got; 0 when the connection was cut by a fault.
    pub status: u16,
    /// The body.
    pub body: Bytes,
}

#[derive(Debug, Default)]
struct Inner {
    counts: BTreeMap<(String, String, u16), u64>,
    ring: VecDeque<RecordedRequest>,
    ring_bytes: usize,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Traffic(Mutex<Inner>);

impl Traffic {
    pub(crate) fn record(&self, request: RecordedRequest, keep_body: bool) {
        let endpoint = endpoint(&request.path);
        let mut inner = self.lock();
        *inner.counts.entry((request.method.clone(), endpoint, request.status)).or_default() += 1;
        if !keep_body {
            return;
        }
        inner.ring_bytes += request.body.len();
        inner.ring.push_back(request);
        while inner.ring.len() > RING_LENGTH || inner.ring_bytes > RING_BYTES {
            let Some(oldest) = inner.ring.pop_front() else { break };
            inner.ring_bytes -= oldest.body.len();
        }
    }

    pub(crate) fn counts(&self) -> Vec<RequestCount> {
        let inner = self.lock();
        let count = |((method, endpoint, status), count): (&(String, String, u16), &u64)| RequestCount {
            method: method.clone(),
            endpoint: endpoint.clone(),
            status: *status,
            count: *count,
        };
        inner.counts.iter().map(count).collect()
    }

    /// The newest `limit` requests, oldest first.
    pub(crate) fn recent(&self, limit: usize) -> Vec<RecordedRequest> {
        let inner = self.lock();
        inner.ring.iter().skip(inner.ring.len().saturating_sub(limit)).cloned().collect()
    }

    pub(crate) fn clear(&self) {
        *self.lock() = Inner::default();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The path without its query, ids (anything with a digit) replaced: otherwise there is a counter per contact.
fn endpoint(path: &str) -> String {
    let path = path.split('?').next().unwrap_or(path);
    let part =
        |segment: &str| if segment.bytes().any(|b| b.is_ascii_digit()) { "{id}".into() } else { segment.to_owned() };
    path.split('/').map(part).collect::<Vec<String>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_share_a_counter_and_the_ring_keeps_the_newest() {
        let traffic = Traffic::default();
        for n in 0..RING_LENGTH + 5 {
            let request = RecordedRequest {
                at_ms: 0,
                method: "GET".into(),
                path: format!("/contacts/a{n}?x=1"),
                status: 200,
                body: Bytes::new(),
            };
            traffic.record(request, true);
        }
        let counts = traffic.counts();
        assert_eq!(counts.len(), 1);
        assert_eq!((counts[0].endpoint.as_str(), counts[0].count), ("/contacts/{id}", 1_005));
        let recent = traffic.recent(2);
        assert_eq!(recent[1].path, "/contacts/a1004?x=1");
        assert_eq!(traffic.recent(10_000).len(), RING_LENGTH);
    }
}
