//! Profiles and how Klaviyo folds them: by id, then external_id, then email, then phone number.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::validate::ProfileInput;

#[derive(Clone, Debug)]
pub(crate) struct Profile {
    pub(crate) id: String,
    pub(crate) email: Option<String>,
    pub(crate) phone: Option<String>,
    pub(crate) external_id: Option<String>,
    pub(crate) anonymous_id: Option<String>,
    pub(crate) attributes: Map<String, Value>,
    pub(crate) properties: Map<String, Value>,
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
    /// Where a merge moved it, or where a deletion left it: at itself, but gone.
    merged_into: Option<usize>,
    pub(crate) deleted: bool,
}

/// All profiles of the account.
#[derive(Debug, Default)]
pub(crate) struct Profiles {
    all: Vec<Profile>,
    by_id: HashMap<String, usize>,
    by_external: HashMap<String, usize>,
    by_email: HashMap<String, usize>,
    by_phone: HashMap<String, usize>,
    by_anonymous: HashMap<String, usize>,
}

/// Which profile an upsert ended at.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Upsert {
    Created(usize),
    Updated(usize),
    /// The request named an id that does not exist: Klaviyo accepts and drops it.
    UnknownId,
}

impl Profiles {
    pub(crate) fn get(&self, index: usize) -> Option<&Profile> {
        self.all.get(self.resolve(index))
    }

    /// The index a profile has now, after merges.
    pub(crate) fn resolve(&self, mut index: usize) -> usize {
        while let Some(next) = self.all.get(index).and_then(|profile| profile.merged_into) {
            index = next;
        }
        index
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &Profile)> {
        self.all.iter().enumerate().filter(|(_, profile)| profile.merged_into.is_none() && !profile.deleted)
    }

    pub(crate) fn find(&self, input: &ProfileInput) -> Option<usize> {
        let by = |map: &HashMap<String, usize>, key: Option<&str>| key.and_then(|key| map.get(key)).copied();
        let email = input.email.as_deref().map(fold);
        by(&self.by_id, input.id.as_deref())
            .or_else(|| by(&self.by_external, input.external_id.as_deref()))
            .or_else(|| by(&self.by_email, email.as_deref()).filter(|&at| self.may_take_external(at, input)))
            .or_else(|| by(&self.by_phone, input.phone.as_deref()).filter(|&at| self.may_take_external(at, input)))
            .or_else(|| by(&self.by_anonymous, input.anonymous_id.as_deref()))
            .map(|index| self.resolve(index))
    }

    /// external_id never takes part in merging: another one means another person.
    fn may_take_external(&self, index: usize, input: &ProfileInput) -> bool {
        let has = self.get(index).and_then(|profile| profile.external_id.as_ref());
        has.is_none() || input.external_id.is_none() || has == input.external_id.as_ref()
    }

    /// Finds or creates the profile and writes what the request says about it.
    pub(crate) fn upsert(&mut self, input: &ProfileInput, now: i64) -> Upsert {
        if input.id.as_ref().is_some_and(|id| !self.by_id.contains_key(id)) {
            return Upsert::UnknownId;
        }
        let (index, created) = match self.find(input) {
            Some(index) => (index, false),
            None => (self.create(now), true),
        };
        self.link(index, input);
        if let Some(profile) = self.all.get_mut(index) {
            profile.updated_at = now;
            write(&mut profile.attributes, &input.attributes);
            write(&mut profile.properties, &input.properties);
            patch(&mut profile.properties, &input.patch);
        }
        if created { Upsert::Created(index) } else { Upsert::Updated(index) }
    }

    /// Forgets a person. Returns whether there was one.
    pub(crate) fn delete(&mut self, index: usize) {
        let index = self.resolve(index);
        if let Some(profile) = self.all.get_mut(index) {
            profile.deleted = true;
        }
        for map in
            [&mut self.by_id, &mut self.by_external, &mut self.by_email, &mut self.by_phone, &mut self.by_anonymous]
        {
            map.retain(|_, at| *at != index);
        }
    }

    fn create(&mut self, now: i64) -> usize {
        let index = self.all.len();
        let id = format!("01SANDBOX{:017}", index + 1);
        self.by_id.insert(id.clone(), index);
        self.all.push(Profile {
            id,
            email: None,
            phone: None,
            external_id: None,
            anonymous_id: None,
            attributes: Map::new(),
            properties: Map::new(),
            created_at: now,
            updated_at: now,
            merged_into: None,
            deleted: false,
        });
        index
    }

    /// Gives the profile the identifiers that are free, and takes in a profile that has only the phone number.
    fn link(&mut self, index: usize, input: &ProfileInput) {
        if let Some(phone) = &input.phone {
            let other = self.by_phone.get(phone).map(|&at| self.resolve(at)).filter(|&at| at != index);
            match other {
                Some(other) if self.all.get(other).is_some_and(|p| p.email.is_none() && p.external_id.is_none()) => {
                    self.merge(other, index);
                    claim(&mut self.by_phone, phone.clone(), index, &mut self.all[index].phone, phone);
                }
                Some(_) => {}
                None => claim(&mut self.by_phone, phone.clone(), index, &mut self.all[index].phone, phone),
            }
        }
        if let Some(email) = &input.email {
            let taken = self.by_email.get(&fold(email)).is_some_and(|&at| self.resolve(at) != index);
            if !taken {
                claim(&mut self.by_email, fold(email), index, &mut self.all[index].email, email);
            }
        }
        if let Some(external) = &input.external_id {
            claim(&mut self.by_external, external.clone(), index, &mut self.all[index].external_id, external);
        }
        if let Some(anonymous) = &input.anonymous_id {
            claim(&mut self.by_anonymous, anonymous.clone(), index, &mut self.all[index].anonymous_id, anonymous);
        }
    }

    fn merge(&mut self, from: usize, into: usize) {
        let (Some(source), true) = (self.all.get(from).cloned(), from != into) else { return };
        self.all[from].merged_into = Some(into);
        let target = &mut self.all[into];
        // The destination's values win.
        for (key, value) in source.properties {
            target.properties.entry(key).or_insert(value);
        }
        for (key, value) in source.attributes {
            target.attributes.entry(key).or_insert(value);
        }
    }
}

/// Writes an identifier to a profile and to its index, releasing the one it replaces.
fn claim(map: &mut HashMap<String, usize>, key: String, index: usize, field: &mut Option<String>, value: &str) {
    if field.as_deref() != Some(value)
        && let Some(old) = field.replace(value.to_owned())
    {
        map.remove(&old).or_else(|| map.remove(&fold(&old)));
    }
    map.insert(key, index);
}

fn fold(email: &str) -> String {
    email.to_lowercase()
}

/// Key by key; `null` clears.
fn write(target: &mut Map<String, Value>, changes: &Map<String, Value>) {
    for (key, value) in changes {
        match value {
            Value::Null => {
                target.remove(key);
            }
            value => {
                target.insert(key.clone(), value.clone());
            }
        }
    }
}

fn patch(properties: &mut Map<String, Value>, patch: &Map<String, Value>) {
    for (key, value) in patch.get("append").and_then(Value::as_object).into_iter().flatten() {
        let list = properties.entry(key.clone()).or_insert_with(|| Value::Array(Vec::new()));
        if !list.is_array() {
            *list = Value::Array(vec![list.take()]);
        }
        for item in items(value) {
            if let Value::Array(list) = &mut *list
                && !list.contains(item)
            {
                list.push(item.clone());
            }
        }
    }
    for (key, value) in patch.get("unappend").and_then(Value::as_object).into_iter().flatten() {
        if let Some(Value::Array(list)) = properties.get_mut(key) {
            list.retain(|item| !items(value).contains(item));
        }
    }
    for key in patch.get("unset").map(items).unwrap_or_default().iter().filter_map(Value::as_str) {
        properties.remove(key);
    }
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn input(email: Option<&str>, phone: Option<&str>, external: Option<&str>) -> ProfileInput {
        let own = |text: Option<&str>| text.map(str::to_owned);
        ProfileInput { email: own(email), phone: own(phone), external_id: own(external), ..ProfileInput::default() }
    }

    #[test]
    fn folding_follows_the_priority() {
        let mut profiles = Profiles::default();
        assert_eq!(profiles.upsert(&input(Some("Ada@Shop.co"), None, None), 1), Upsert::Created(0));
        assert_eq!(profiles.upsert(&input(Some("ada@shop.co"), None, Some("7")), 1), Upsert::Updated(0));
        // Another external_id is another person, even with the same address.
        assert_eq!(profiles.upsert(&input(Some("ada@shop.co"), None, Some("8")), 1), Upsert::Created(1));
        assert_eq!(profiles.upsert(&input(None, Some("+15005550006"), None), 1), Upsert::Created(2));
        // One call that links address and phone folds the phone's profile into the address's.
        assert_eq!(profiles.upsert(&input(Some("ada@shop.co"), Some("+15005550006"), None), 1), Upsert::Updated(0));
        assert_eq!(profiles.resolve(2), 0);
        assert_eq!(profiles.iter().count(), 2);
        let unknown = ProfileInput { id: Some("nope".into()), ..ProfileInput::default() };
        assert_eq!(profiles.upsert(&unknown, 1), Upsert::UnknownId);
    }

    #[test]
    fn null_clears_absent_keeps_and_patches_apply() {
        let mut profiles = Profiles::default();
        let mut ada = input(Some("ada@shop.co"), None, None);
        ada.properties = json!({"a": 1, "b": 2}).as_object().cloned().unwrap_or_default();
        profiles.upsert(&ada, 1);
        ada.properties = json!({"a": null}).as_object().cloned().unwrap_or_default();
        ada.patch = json!({"append": {"tags": "vip"}, "unset": "x"}).as_object().cloned().unwrap_or_default();
        profiles.upsert(&ada, 2);
        let stored = profiles.get(0).expect("stored");
        assert_eq!(Value::Object(stored.properties.clone()), json!({"b": 2, "tags": ["vip"]}));
    }

    #[test]
    fn a_changed_address_frees_the_old_one() {
        let mut profiles = Profiles::default();
        profiles.upsert(&input(Some("old@shop.co"), None, Some("7")), 1);
        profiles.upsert(&input(Some("new@shop.co"), None, Some("7")), 1);
        assert_eq!(profiles.upsert(&input(Some("old@shop.co"), None, None), 1), Upsert::Created(1));
    }
}
