//! A plain address in front of a function URL: the emulator tells functions apart by the host's name, which resolves nowhere.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tests::proxy;

/// Listens until the test's process ends.
pub(crate) struct Gateway {
    address: String,
    counts: Arc<Counts>,
}

/// What Lambda's own metrics count for a function URL.
#[derive(Default)]
struct Counts {
    requests: AtomicU64,
    refused: AtomicU64,
    failed: AtomicU64,
    accepted: AtomicU64,
}

impl Gateway {
    /// In front of `url`, which the emulator at `emulator` serves.
    pub(crate) fn start(emulator: &str, url: &str) -> Self {
        let counts = Arc::new(Counts::default());
        let (emulator, counter) = (emulator.to_owned(), Arc::clone(&counts));
        let host = url.trim_start_matches("https://").trim_end_matches('/').to_owned();
        let address = proxy::serve(move |request| {
            let answer = request.pass_on(&emulator, &host, &request.path)?;
            counter.requests.fetch_add(1, Ordering::SeqCst);
            let kind = match answer.status {
                400..500 => Some(&counter.refused),
                500.. => Some(&counter.failed),
                200 if request.method == "POST" => Some(&counter.accepted),
                _ => None,
            };
            kind.map(|kind| kind.fetch_add(1, Ordering::SeqCst));
            Ok(answer)
        });
        Self { address, counts }
    }

    /// `host:port`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// How many POSTs were answered 200.
    pub(crate) fn accepted(&self) -> u64 {
        self.counts.accepted.load(Ordering::SeqCst)
    }

    /// `UrlRequestCount`, `Url4xxCount` and `Url5xxCount`, as CloudWatch would have them.
    pub(crate) fn metrics(&self) -> [u64; 3] {
        let counts = &self.counts;
        [&counts.requests, &counts.refused, &counts.failed].map(|count| count.load(Ordering::SeqCst))
    }
}
