//! The fake account's profiles: key by key the last value that was written, `null` clears.

use std::collections::BTreeMap;

use domain::Identity;
use domain::klaviyo::{ApiError, PreparedProfile, ProfileChange};
use serde_json::{Map, Value};

use crate::ports::{CallError, Vendor};

/// A profile that was written without an event.
#[derive(Clone, Debug, PartialEq)]
pub struct Import {
    /// The address, else the phone number.
    pub profile: String,
    /// What it said.
    pub attributes: Map<String, Value>,
    /// Whether it made the profile.
    pub change: ProfileChange,
}

#[derive(Debug, Default)]
pub(super) struct Profiles {
    all: BTreeMap<String, Map<String, Value>>,
    imports: Vec<Import>,
    refused: bool,
}

impl Profiles {
    pub(super) fn all(&self) -> &BTreeMap<String, Map<String, Value>> {
        &self.all
    }

    pub(super) fn imports(&self) -> &[Import] {
        &self.imports
    }

    pub(super) fn refuse(&mut self, refused: bool) {
        self.refused = refused;
    }

    /// What rides on an event, or comes alone: `{"type":"profile","attributes":{…}}`.
    pub(super) fn write(&mut self, profile: &str, json: &str) -> ProfileChange {
        let said: Value = serde_json::from_str(json).unwrap_or_default();
        let change = if self.all.contains_key(profile) { ProfileChange::Updated } else { ProfileChange::Created };
        let attributes = self.all.entry(profile.to_owned()).or_default();
        for (name, value) in said["attributes"].as_object().into_iter().flatten() {
            match (name.as_str(), value) {
                ("properties", Value::Object(changes)) => {
                    let properties = attributes.entry(name.clone()).or_insert_with(|| Value::Object(Map::new()));
                    if let Value::Object(properties) = properties {
                        changes.iter().for_each(|(name, value)| set(properties, name, value));
                    }
                }
                _ => set(attributes, name, value),
            }
        }
        change
    }

    pub(super) fn import(&mut self, prepared: &PreparedProfile) -> Result<ProfileChange, CallError> {
        if self.refused {
            let detail = Some(format!("Invalid input for {:?}.", prepared.identity.email));
            let errors = vec![ApiError { detail, pointer: Some("/data/attributes".to_owned()), ..ApiError::default() }];
            return Err(CallError::Refused { vendor: Vendor::Klaviyo, status: 400, errors });
        }
        let body: Value = serde_json::from_slice(&prepared.body()).unwrap_or_default();
        let profile = profile_of(&prepared.identity);
        let change = self.write(&profile, &body["data"].to_string());
        let unset = body["data"]["meta"]["patch_properties"]["unset"].as_array().cloned().unwrap_or_default();
        if let Some(Value::Object(properties)) = self.all.get_mut(&profile).and_then(|all| all.get_mut("properties")) {
            unset.iter().filter_map(Value::as_str).for_each(|name| drop(properties.remove(name)));
        }
        let attributes = body["data"]["attributes"].as_object().cloned().unwrap_or_default();
        self.imports.push(Import { profile, attributes, change });
        Ok(change)
    }
}

fn set(map: &mut Map<String, Value>, name: &str, value: &Value) {
    if value.is_null() {
        map.remove(name);
    } else {
        map.insert(name.to_owned(), value.clone());
    }
}

/// Klaviyo's profile, as this fake folds them.
pub(super) fn profile_of(identity: &Identity) -> String {
    let email = identity.email.as_deref().map(str::to_lowercase);
    email.or_else(|| identity.phone.clone()).unwrap_or_default()
}
