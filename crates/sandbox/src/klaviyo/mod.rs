//! The stand-in Klaviyo account.

mod assets;
mod limits;
mod model;
mod profiles;
mod read;
mod routes;
mod validate;
mod write;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::{
    limits::EarlyRequest,
    model::{Discards, Keep, StoredEvent, StoredProfile, Via},
};
use crate::{
    clock::SandboxClock,
    faults::Faults,
    rng::Rng,
    traffic::{RecordedRequest, RequestCount, Traffic},
};

/// The oldest revision that knows `backfill`.
pub(crate) const OLDEST_REVISION: &str = "2026-07-15";

/// Refuses every event, and every profile that comes alone, in which a field has a value: a stand-in for validation rules that nobody wrote down.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Poison {
    /// `email`, `phone_number`, `unique_id`, `metric`, or the name of a property of the event, or of the profile that comes alone.
    pub field: String,
    /// The value that is refused.
    pub value: Value,
    /// What the error's `detail` says.
    pub detail: String,
}

#[derive(Debug)]
pub(crate) struct State {
    store: model::Store,
    limiter: limits::Limiter,
    assets: assets::Assets,
    poison: Vec<Poison>,
    rng: Rng,
}

/// A handle on the stand-in Klaviyo; clones share the account.
#[derive(Clone, Debug)]
pub struct KlaviyoSandbox {
    key: Arc<str>,
    clock: SandboxClock,
    faults: Faults,
    traffic: Arc<Traffic>,
    state: Arc<Mutex<State>>,
}

impl KlaviyoSandbox {
    pub(crate) fn new(key: &str, clock: SandboxClock) -> Self {
        let state = State {
            store: model::Store::default(),
            limiter: limits::Limiter::default(),
            assets: assets::Assets::default(),
            poison: Vec::new(),
            rng: Rng::new(0x6B6C_6176),
        };
        Self {
            key: key.into(),
            clock,
            faults: Faults::default(),
            traffic: Arc::default(),
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// The stored events in order of arrival. Deleted profiles' events are gone; merged ones' show the survivor.
    pub fn events(&self) -> Vec<StoredEvent> {
        self.lock().store.iter().collect()
    }

    /// How many events are stored; cheaper than [`events`](Self::events).
    pub fn event_count(&self) -> usize {
        self.lock().store.len()
    }

    /// How many events passed validation, discarded ones included. With [`Keep::CountsOnly`] it is all there is.
    pub fn accepted(&self) -> u64 {
        self.lock().store.accepted
    }

    /// The profiles in order of creation.
    pub fn profiles(&self) -> Vec<StoredProfile> {
        self.lock().store.stored_profiles()
    }

    /// The names of what was made, with their kind (`segment`, `flow`, `template`), in order.
    pub fn assets(&self) -> Vec<(String, String)> {
        self.lock().assets.list()
    }

    /// Events answered 202 and dropped afterwards.
    pub fn discards(&self) -> Discards {
        self.lock().store.discards
    }

    /// Requests per endpoint and status.
    pub fn requests(&self) -> Vec<RequestCount> {
        self.traffic.counts()
    }

    /// The newest requests, oldest first, at most `limit`. None are kept unless [`Keep::Everything`] is set.
    pub fn request_bodies(&self, limit: usize) -> Vec<RecordedRequest> {
        self.traffic.recent(limit)
    }

    /// Requests that came before a Retry-After had run out.
    pub fn early_requests(&self) -> Vec<EarlyRequest> {
        self.lock().limiter.early.clone()
    }

    /// How many requests the limits refused (429), early ones included.
    pub fn refused(&self) -> u64 {
        self.lock().limiter.refused
    }

    /// The faults of this vendor.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Switches the rate limits on or off; they are on at first.
    pub fn set_limits_enabled(&self, enabled: bool) {
        self.lock().limiter.enabled = enabled;
    }

    /// How much is kept of what is sent.
    pub fn set_keep(&self, keep: Keep) {
        self.lock().store.keep = keep;
    }

    /// Whether events to example.com, test.com and the like vanish after their 202, as at the real one. Off at first.
    pub fn set_discard_test_addresses(&self, discard: bool) {
        self.lock().store.discard_test_addresses = discard;
    }

    /// Refuses, from now on, every event in which `field` has `value`. See [`Poison`].
    pub fn refuse_when(&self, field: impl Into<String>, value: impl Into<Value>, detail: impl Into<String>) {
        self.lock().poison.push(Poison { field: field.into(), value: value.into(), detail: detail.into() });
    }

    /// Lifts all [`refuse_when`](Self::refuse_when) rules.
    pub fn refuse_nothing(&self) {
        self.lock().poison.clear();
    }

    /// Forgets events, profiles, metrics, assets, counters and the use of the limits. Settings, faults and
    /// `refuse_when` rules stay.
    pub fn clear(&self) {
        let mut state = self.lock();
        state.store.clear();
        state.limiter.clear();
        state.assets = assets::Assets::default();
        drop(state);
        self.traffic.clear();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
