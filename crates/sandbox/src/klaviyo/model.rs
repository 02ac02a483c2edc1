//! What the account holds: events, metrics, and what was silently discarded after its 202.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    profiles::{Profiles, Upsert},
    validate::{EventInput, ProfileInput},
};

/// How an event came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// `POST /api/events`.
    Single,
    /// `POST /api/event-bulk-create-jobs`.
    Bulk,
}

/// How much of what is sent is kept. Benchmarks want to measure the sender, not this stand-in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// Everything, and everything is checked.
    #[default]
    Everything,
    /// Everything is checked; events are kept without their properties, request bodies not at all.
    KeysOnly,
    /// Nothing is parsed: only occurrences of `"unique_id"` are counted.
    CountsOnly,
}

/// An event as the account holds it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StoredEvent {
    /// Klaviyo's id for it.
    pub id: String,
    /// The metric's whole name, prefix included.
    pub metric: String,
    /// As sent.
    pub unique_id: Option<String>,
    /// Unix seconds.
    pub time: i64,
    /// As sent; empty with [`Keep::KeysOnly`].
    pub properties: Map<String, Value>,
    /// The profile it belongs to now, after merges.
    pub profile_id: String,
    /// That profile's address.
    pub email: Option<String>,
    /// That profile's phone number.
    pub phone_number: Option<String>,
    /// That profile's external id.
    pub external_id: Option<String>,
    /// Whether it was marked as history.
    pub backfill: bool,
    /// How it came.
    pub via: Via,
    /// Unix milliseconds.
    pub received_at_ms: i64,
}

/// A profile as the account holds it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StoredProfile {
    /// Klaviyo's id.
    pub id: String,
    /// Address.
    pub email: Option<String>,
    /// E.164.
    pub phone_number: Option<String>,
    /// External id.
    pub external_id: Option<String>,
    /// Everything else at the top level: names, image, location, …
    pub attributes: Map<String, Value>,
    /// Custom properties.
    pub properties: Map<String, Value>,
    /// Unix seconds.
    pub created_at: i64,
    /// Unix seconds.
    pub updated_at: i64,
    /// How many events it has.
    pub events: u64,
}

/// Events that were answered 202 and then dropped, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Discards {
    /// Same profile, metric and unique_id as an earlier one.
    pub repeated: u64,
    /// Same profile, metric and second as an earlier one, without unique_id.
    pub same_second: u64,
    /// Sent to a test domain.
    pub test_address: u64,
    /// The profile id does not exist.
    pub unknown_profile: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) metric: usize,
    profile: usize,
    pub(crate) unique_id: Option<Box<str>>,
    pub(crate) time: i64,
    pub(crate) properties: Map<String, Value>,
    backfill: bool,
    via: Via,
    received_at_ms: i64,
}

/// A metric; it comes into being with its first event.
#[derive(Clone, Debug)]
pub(crate) struct Metric {
    pub(crate) name: String,
    pub(crate) created_at: i64,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Store {
    pub(crate) profiles: Profiles,
    pub(crate) metrics: Vec<Metric>,
    metric_by_name: HashMap<String, usize>,
    events: Vec<Event>,
    seen: HashSet<(usize, usize, Box<str>)>,
    pub(crate) discards: Discards,
    /// Events that passed validation, kept or not.
    pub(crate) accepted: u64,
    pub(crate) keep: Keep,
    pub(crate) discard_test_addresses: bool,
}

impl Store {
    /// Takes an event that passed validation, as Klaviyo does after its 202.
    pub(crate) fn accept(&mut self, profile: &ProfileInput, event: EventInput, via: Via, now_ms: i64) {
        self.accepted += 1;
        if self.discard_test_addresses && profile.email.as_deref().is_some_and(is_test_address) {
            self.discards.test_address += 1;
            return;
        }
        let (Upsert::Created(owner) | Upsert::Updated(owner)) = self.profiles.upsert(profile, now_ms.div_euclid(1000))
        else {
            self.discards.unknown_profile += 1;
            return;
        };
        let metric = self.metric(&event.metric, now_ms.div_euclid(1000));
        let unique_id: Option<Box<str>> = event.unique_id.map(Into::into);
        let key = unique_id.clone().unwrap_or_else(|| event.time.to_string().into());
        if !self.seen.insert((owner, metric, key)) {
            match unique_id {
                Some(_) => self.discards.repeated += 1,
                None => self.discards.same_second += 1,
            }
            return;
        }
        self.events.push(Event {
            metric,
            profile: owner,
            unique_id,
            time: event.time,
            properties: if self.keep == Keep::Everything { event.properties } else { Map::new() },
            backfill: event.backfill,
            via,
            received_at_ms: now_ms,
        });
    }

    pub(crate) fn len(&self) -> usize {
        self.events.len()
    }

    /// Stored events in order of arrival, without those of deleted profiles.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = StoredEvent> + '_ {
        self.events.iter().enumerate().filter_map(|(index, event)| self.stored(index, event))
    }

    pub(crate) fn metric_name(&self, index: usize) -> &str {
        self.metrics.get(index).map_or("", |metric| metric.name.as_str())
    }

    pub(crate) fn metric_index(&self, name: &str) -> Option<usize> {
        self.metric_by_name.get(name).copied()
    }

    pub(crate) fn stored_profiles(&self) -> Vec<StoredProfile> {
        let mut counts: HashMap<usize, u64> = HashMap::new();
        for event in &self.events {
            *counts.entry(self.profiles.resolve(event.profile)).or_default() += 1;
        }
        let profile = |(index, profile): (usize, &super::profiles::Profile)| StoredProfile {
            id: profile.id.clone(),
            email: profile.email.clone(),
            phone_number: profile.phone.clone(),
            external_id: profile.external_id.clone(),
            attributes: profile.attributes.clone(),
            properties: profile.properties.clone(),
            created_at: profile.created_at,
            updated_at: profile.updated_at,
            events: counts.get(&index).copied().unwrap_or_default(),
        };
        self.profiles.iter().map(profile).collect()
    }

    /// Forgets everything that was sent; settings stay.
    pub(crate) fn clear(&mut self) {
        *self = Self { keep: self.keep, discard_test_addresses: self.discard_test_addresses, ..Self::default() };
    }

    fn stored(&self, index: usize, event: &Event) -> Option<StoredEvent> {
        let profile = self.profiles.get(event.profile).filter(|profile| !profile.deleted)?;
        Some(StoredEvent {
            id: format!("sandboxEvent{:09}", index + 1),
            metric: self.metric_name(event.metric).to_owned(),
            unique_id: event.unique_id.as_deref().map(str::to_owned),
            time: event.time,
            properties: event.properties.clone(),
            profile_id: profile.id.clone(),
            email: profile.email.clone(),
            phone_number: profile.phone.clone(),
            external_id: profile.external_id.clone(),
            backfill: event.backfill,
            via: event.via,
            received_at_ms: event.received_at_ms,
        })
    }

    fn metric(&mut self, name: &str, now: i64) -> usize {
        if let Some(&index) = self.metric_by_name.get(name) {
            return index;
        }
        let index = self.metrics.len();
        self.metrics.push(Metric { name: name.to_owned(), created_at: now });
        self.metric_by_name.insert(name.to_owned(), index);
        index
    }
}

fn is_test_address(email: &str) -> bool {
    let domain = email.rsplit('@').next().unwrap_or_default().to_lowercase();
    matches!(domain.as_str(), "example.com" | "example.org" | "example.net" | "test.com")
}
