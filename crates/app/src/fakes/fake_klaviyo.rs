//! A Klaviyo that keeps what it is sent by its own rule, fails when told to, and can be asked afterwards.

mod profiles;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::klaviyo::{ApiError, PreparedEvent, PreparedProfile, ProfileChange};
use serde_json::{Map, Value};

use super::yield_once;
use crate::ports::{CallError, Klaviyo, Room, Vendor};

pub use profiles::Import;
use profiles::{Profiles, profile_of};

/// Cheap to clone; clones are the same account.
#[derive(Clone, Debug, Default)]
pub struct FakeKlaviyo {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    stored: Vec<Stored>,
    seen: HashSet<(String, String, String)>,
    profiles: Profiles,
    poison: HashSet<String>,
    trouble: Option<CallError>,
    faults: VecDeque<Fault>,
    requests: u64,
}

/// An event that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Full metric name.
    pub metric: String,
    /// `unique_id`.
    pub key: String,
    /// RFC 3339.
    pub time: String,
    /// The address, else the phone number: Klaviyo's profile.
    pub profile: String,
    /// Whether it came in a bulk request.
    pub bulk: bool,
    /// Whether it was marked as history, which sets off no flow.
    pub backfill: bool,
}

/// What happens to one coming request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It never arrives.
    RequestLost(CallError),
    /// It arrives and is processed, and the answer is lost.
    ResponseLost(CallError),
}

impl FakeKlaviyo {
    /// What is there, in the order of arrival.
    pub fn stored(&self) -> Vec<Stored> {
        self.lock().stored.clone()
    }

    /// Keys that are there more than once: under different profiles, because one profile never holds two.
    pub fn doubled(&self) -> Vec<String> {
        let state = self.lock();
        let mut counts: HashMap<&str, u32> = HashMap::new();
        for event in &state.stored {
            *counts.entry(&event.key).or_default() += 1;
        }
        counts.into_iter().filter(|(_, count)| *count > 1).map(|(key, _)| key.to_owned()).collect()
    }

    /// Requests so far, refused and lost ones included.
    pub fn requests(&self) -> u64 {
        self.lock().requests
    }

    /// The profiles by address, else phone number: their attributes as they stand after all that was sent, `properties` inside.
    pub fn profiles(&self) -> BTreeMap<String, Map<String, Value>> {
        self.lock().profiles.all().clone()
    }

    /// What was written without an event, in the order of arrival.
    pub fn imports(&self) -> Vec<Import> {
        self.lock().profiles.imports().to_vec()
    }

    /// Every profile that is written without an event is refused from now on, or taken again.
    pub fn set_imports_refused(&self, refused: bool) {
        self.lock().profiles.refuse(refused);
    }

    /// Events with this key are refused from now on, or taken again.
    pub fn set_poison(&self, key: &str, poisoned: bool) {
        let mut state = self.lock();
        if poisoned {
            state.poison.insert(key.to_owned());
        } else {
            state.poison.remove(key);
        }
    }

    /// Every call fails like this, unprocessed, until it is healed with `None`.
    pub fn set_trouble(&self, trouble: Option<CallError>) {
        self.lock().trouble = trouble;
    }

    /// The next request without a fault of its own gets this one.
    pub fn push_fault(&self, fault: Fault) {
        self.lock().faults.push_back(fault);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn process<R>(&self, work: impl FnOnce(&mut State) -> Result<R, CallError>) -> Result<R, CallError> {
        let mut state = self.lock();
        state.requests += 1;
        if let Some(trouble) = &state.trouble {
            return Err(trouble.clone());
        }
        let fault = state.faults.pop_front();
        if let Some(Fault::RequestLost(error)) = fault {
            return Err(error);
        }
        let done = work(&mut state);
        match fault {
            Some(Fault::ResponseLost(error)) => Err(error),
            _ => done,
        }
    }
}

impl State {
    /// All or nothing, as Klaviyo does it.
    fn take(&mut self, events: &[&PreparedEvent], bulk: bool) -> Result<(), CallError> {
        let errors: Vec<ApiError> = events
            .iter()
            .enumerate()
            .filter(|(_, event)| self.poison.contains(event.key.as_str()))
            .map(|(index, event)| ApiError {
                detail: Some(format!("Invalid input for {:?}.", event.identity.email)),
                pointer: Some(if bulk {
                    format!("/data/attributes/events-bulk-create/data/{index}/attributes")
                } else {
                    "/data/attributes".to_owned()
                }),
                ..ApiError::default()
            })
            .collect();
        if !errors.is_empty() {
            return Err(CallError::Refused { vendor: Vendor::Klaviyo, status: 400, errors });
        }
        for event in events {
            let profile = profile_of(&event.identity);
            self.profiles.write(&profile, event.profile_json());
            let rule = (profile.clone(), event.metric.clone(), event.key.as_str().to_owned());
            if self.seen.insert(rule) {
                self.stored.push(Stored {
                    metric: event.metric.clone(),
                    key: event.key.as_str().to_owned(),
                    time: domain::mapping::rfc3339(event.time),
                    profile,
                    bulk,
                    backfill: String::from_utf8_lossy(&event.single_body()).contains(r#""backfill":true"#),
                });
            }
        }
        Ok(())
    }
}

impl Klaviyo for FakeKlaviyo {
    async fn send_one(&self, event: &PreparedEvent) -> Result<(), CallError> {
        yield_once().await;
        let result = self.process(|state| state.take(&[event], false));
        yield_once().await;
        result
    }

    async fn send_bulk(&self, events: &[&PreparedEvent]) -> Result<(), CallError> {
        yield_once().await;
        let result = self.process(|state| state.take(events, true));
        yield_once().await;
        result
    }

    async fn import_profile(&self, profile: &PreparedProfile) -> Result<ProfileChange, CallError> {
        yield_once().await;
        let result = self.process(|state| state.profiles.import(profile));
        yield_once().await;
        result
    }

    fn room(&self) -> Room {
        Room { single_now: 350, bulk_now: 10 }
    }
}
