//! Calls that write: single events, bulk events, profile-import, deletion.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::{
    Keep, State, Via,
    profiles::Upsert,
    read,
    routes::document,
    validate::{ApiError, EventInput, Problems, ProfileInput},
};
use crate::server::{Answer, Request};

const MAX_BODY: usize = 5 << 20;
const MAX_PROFILE_BODY: usize = 100 << 10;
const MAX_BULK_EVENTS: usize = 1_000;
const GROUPS: &str = "/data/attributes/events-bulk-create/data";

/// One profile of a bulk job with its events, each with the pointer to its attributes.
struct Group {
    profile: ProfileInput,
    at: String,
    events: Vec<(EventInput, String)>,
}

impl State {
    /// `POST /api/events`.
    pub(crate) fn create_event(&mut self, request: &Request, now_ms: i64) -> Answer {
        if let Some(answer) = self.counted(request) {
            return answer;
        }
        let body = match self.parsed(request) {
            Ok(body) => body,
            Err(answer) => return answer,
        };
        let mut problems = Problems::default();
        let at = "/data/attributes";
        let attributes = resource(&mut problems, &body["data"], "event", "/data");
        // A profile without its `data` wrapper gets the vague pointer, as reported by users.
        let wrapped = attributes.pointer("/profile/data").filter(|data| data.is_object());
        if wrapped.is_none() {
            problems.add("/data", "'profile' is a required field for the resource 'event'.");
        }
        let profile = wrapped.map(|data| problems.profile(data, &format!("{at}/profile/data")));
        let event = problems.event(attributes, at, now_ms.div_euclid(1000));
        if let (Some(profile), Some(event)) = (&profile, &event) {
            self.poisoned(&mut problems, profile, &format!("{at}/profile/data"), Some((event, at)));
        }
        match (problems.0.is_empty(), profile, event) {
            (true, Some(profile), Some(event)) => {
                self.store.accept(&profile, event, Via::Single, now_ms);
                Answer::empty(202)
            }
            _ => self.invalid(&problems.0),
        }
    }

    /// `POST /api/event-bulk-create-jobs`: all or nothing.
    pub(crate) fn create_events(&mut self, request: &Request, now_ms: i64) -> Answer {
        if let Some(answer) = self.counted(request) {
            return answer;
        }
        let body = match self.parsed(request) {
            Ok(body) => body,
            Err(answer) => return answer,
        };
        let mut problems = Problems::default();
        let attributes = resource(&mut problems, &body["data"], "event-bulk-create-job", "/data");
        let groups = self.groups(&mut problems, attributes, now_ms.div_euclid(1000));
        let total: usize = groups.iter().map(|group| group.events.len()).sum();
        if total > MAX_BULK_EVENTS {
            problems.add(GROUPS, format!("More than {MAX_BULK_EVENTS} events in one request."));
        }
        if total == 0 && problems.0.is_empty() {
            problems.add(GROUPS, "At least one event is required.");
        }
        self.repeated(&mut problems, &groups);
        if !problems.0.is_empty() {
            return self.invalid(&problems.0);
        }
        for group in groups {
            for (event, _) in group.events {
                self.store.accept(&group.profile, event, Via::Bulk, now_ms);
            }
        }
        Answer::empty(202)
    }

    fn groups(&mut self, problems: &mut Problems, attributes: &Value, now: i64) -> Vec<Group> {
        let Some(list) = attributes.pointer("/events-bulk-create/data").and_then(Value::as_array) else {
            problems.add(GROUPS, "'events-bulk-create' is a required field.");
            return Vec::new();
        };
        let mut groups = Vec::with_capacity(list.len());
        for (i, group) in list.iter().enumerate() {
            let at_group = format!("{GROUPS}/{i}");
            let attributes = resource(problems, group, "event-bulk-create", &at_group);
            let at = format!("{at_group}/attributes/profile/data");
            let Some(wrapped) = attributes.pointer("/profile/data").filter(|data| data.is_object()) else {
                problems.add(format!("{at_group}/attributes/profile"), "'profile' is a required field.");
                continue;
            };
            let profile = problems.profile(wrapped, &at);
            let backfill = attributes.get("backfill") == Some(&Value::Bool(true));
            let Some(items) = attributes.pointer("/events/data").and_then(Value::as_array) else {
                problems.add(format!("{at_group}/attributes/events"), "'events' is a required field.");
                continue;
            };
            let mut events = Vec::with_capacity(items.len());
            for (j, item) in items.iter().enumerate() {
                let at_item = format!("{at_group}/attributes/events/data/{j}");
                let attributes = resource(problems, item, "event", &at_item);
                let at_event = format!("{at_item}/attributes");
                if let Some(mut event) = problems.event(attributes, &at_event, now) {
                    event.backfill |= backfill;
                    self.poisoned(problems, &profile, &at, Some((&event, &at_event)));
                    events.push((event, at_event));
                }
            }
            groups.push(Group { profile, at, events });
        }
        groups
    }

    /// The same unique_id twice for one profile and metric fails the whole request.
    fn repeated(&self, problems: &mut Problems, groups: &[Group]) {
        let mut seen = HashSet::new();
        for group in groups {
            let owner = match self.store.profiles.find(&group.profile) {
                Some(index) => format!("#{index}"),
                None => {
                    let input = &group.profile;
                    let email = input.email.as_ref().map(|email| email.to_lowercase());
                    [&input.external_id, &email, &input.phone, &input.anonymous_id]
                        .into_iter()
                        .flatten()
                        .next()
                        .cloned()
                        .unwrap_or_else(|| group.at.clone())
                }
            };
            for (event, at) in &group.events {
                if let Some(unique_id) = &event.unique_id
                    && !seen.insert((owner.clone(), event.metric.as_str(), unique_id.as_str()))
                {
                    problems.add(
                        format!("{at}/unique_id"),
                        "'unique_id' must be unique for each profile and metric within a request.",
                    );
                }
            }
        }
    }

    /// Applies the rules of [`Poison`](super::Poison), to an event or to a profile that came alone.
    fn poisoned(
        &self,
        problems: &mut Problems,
        profile: &ProfileInput,
        at_profile: &str,
        event: Option<(&EventInput, &str)>,
    ) {
        for rule in &self.poison {
            let text = |value: &Option<String>| value.as_deref() == rule.value.as_str() && value.is_some();
            let (hit, pointer) = match (rule.field.as_str(), event) {
                ("email", _) => (text(&profile.email), format!("{at_profile}/attributes/email")),
                ("phone_number", _) => (text(&profile.phone), format!("{at_profile}/attributes/phone_number")),
                ("unique_id", Some((event, at))) => (text(&event.unique_id), format!("{at}/unique_id")),
                ("metric", Some((event, at))) => {
                    (rule.value == event.metric, format!("{at}/metric/data/attributes/name"))
                }
                (name, Some((event, at))) => {
                    (event.properties.get(name) == Some(&rule.value), format!("{at}/properties/{name}"))
                }
                (name, None) => (
                    profile.properties.get(name) == Some(&rule.value),
                    format!("{at_profile}/attributes/properties/{name}"),
                ),
            };
            if hit {
                problems.add(pointer, rule.detail.clone());
            }
        }
    }

    /// Too large bodies, and the mode that only counts. `None`: go on and parse.
    fn counted(&mut self, request: &Request) -> Option<Answer> {
        if request.body.len() > MAX_BODY {
            return Some(self.error(
                413,
                "payload_too_large",
                "Payload too large.",
                "The request is larger than 5 MB.",
            ));
        }
        if self.store.keep != Keep::CountsOnly {
            return None;
        }
        self.store.accepted += occurrences(&request.body, b"\"unique_id\"");
        Some(Answer::empty(202))
    }

    /// `POST /api/profile-import`: create or update.
    pub(crate) fn import_profile(&mut self, request: &Request, now_ms: i64) -> Answer {
        if request.body.len() > MAX_PROFILE_BODY {
            return self.error(413, "payload_too_large", "Payload too large.", "The request is larger than 100 KB.");
        }
        let body = match self.parsed(request) {
            Ok(body) => body,
            Err(answer) => return answer,
        };
        let mut problems = Problems::default();
        resource(&mut problems, &body["data"], "profile", "/data");
        let profile = problems.profile(&body["data"], "/data");
        self.poisoned(&mut problems, &profile, "/data", None);
        if !problems.0.is_empty() {
            return self.invalid(&problems.0);
        }
        let (status, index) = match self.store.profiles.upsert(&profile, now_ms.div_euclid(1000)) {
            Upsert::Created(index) => (201, index),
            Upsert::Updated(index) => (200, index),
            Upsert::UnknownId => {
                return self.error(404, "not_found", "Not found.", "A profile with that id does not exist.");
            }
        };
        let shown = self.store.profiles.get(index).map(read::profile).unwrap_or_default();
        document(status, &json!({ "data": shown, "links": {} }))
    }

    /// `POST /api/data-privacy-deletion-jobs`: forgets one person.
    pub(crate) fn delete_profile(&mut self, request: &Request, _now_ms: i64) -> Answer {
        let body = match self.parsed(request) {
            Ok(body) => body,
            Err(answer) => return answer,
        };
        let mut problems = Problems::default();
        let attributes = resource(&mut problems, &body["data"], "data-privacy-deletion-job", "/data");
        let at = "/data/attributes/profile/data";
        let profile = problems.profile(&attributes["profile"]["data"], at);
        if !problems.0.is_empty() {
            return self.invalid(&problems.0);
        }
        if let Some(index) = self.store.profiles.find(&profile) {
            self.store.profiles.delete(index);
        }
        Answer::empty(202)
    }
}

/// The attributes of a resource object, having checked its type.
fn resource<'a>(problems: &mut Problems, value: &'a Value, kind: &str, at: &str) -> &'a Value {
    static NOTHING: Value = Value::Null;
    if value.get("type").and_then(Value::as_str) != Some(kind) {
        problems.0.push(ApiError::new(format!("{at}/type"), format!("'type' must be '{kind}'.")));
    }
    value.get("attributes").filter(|attributes| attributes.is_object()).unwrap_or(&NOTHING)
}

fn occurrences(haystack: &[u8], needle: &[u8]) -> u64 {
    // Comparing whole words of the haystack only where the first byte fits keeps this near memory speed.
    let mut count = 0;
    let mut rest = haystack;
    while let Some(at) = rest.iter().position(|byte| byte == &b'_') {
        // `_` is rarer in JSON than the quotation mark; the needle has its only one at index 7.
        let start = at.checked_sub(7);
        if start.and_then(|start| rest.get(start..start + needle.len())) == Some(needle) {
            count += 1;
        }
        rest = rest.get(at + 1..).unwrap_or_default();
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counting_finds_every_key_and_nothing_else() {
        let body = br#"{"unique_id":"a_b","x":["unique_id_","unique_id"],"_":1,"unique_id":2}"#;
        assert_eq!(occurrences(body, b"\"unique_id\""), 3);
        assert_eq!(occurrences(b"_", b"\"unique_id\""), 0);
    }
}
