//! Calls that read: events, profiles, metrics, the account. Filters and pages as far as a caller needs them.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    State,
    model::StoredEvent,
    profiles::Profile,
    routes::document,
    validate::{ApiError, ProfileInput},
};
use crate::server::{Answer, Request};

/// One `operator(field,value)` of a filter; values without their quotation marks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Condition {
    pub(crate) operator: String,
    pub(crate) field: String,
    pub(crate) values: Vec<String>,
}

/// Reads `equals(a,"b"),any(c,["d","e"])`, also inside `and(…)`.
pub(crate) fn conditions(filter: &str) -> Option<Vec<Condition>> {
    let filter = filter.trim();
    if let Some(inner) = filter.strip_prefix("and(").and_then(|rest| rest.strip_suffix(')')) {
        return conditions(inner);
    }
    let mut found = Vec::new();
    for call in split_outside(filter) {
        let (operator, rest) = call.trim().split_once('(')?;
        let inner = rest.strip_suffix(')')?;
        let mut arguments = split_outside(inner).into_iter();
        let field = arguments.next()?.trim().to_owned();
        let list = arguments.next().unwrap_or_default();
        let list = list.trim().trim_start_matches('[').trim_end_matches(']');
        let values = split_outside(list).into_iter().map(|value| value.trim().trim_matches('"').to_owned()).collect();
        found.push(Condition { operator: operator.to_owned(), field, values });
    }
    Some(found)
}

/// Splits at commas that are in no bracket and in no string.
fn split_outside(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth, mut quoted) = (Vec::new(), 0, 0_i32, false);
    for (at, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '(' | '[' if !quoted => depth += 1,
            ')' | ']' if !quoted => depth -= 1,
            ',' if !quoted && depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// A page of `items` and the links around it. The cursor is the offset in hex, so that nobody takes it for a number.
pub(crate) fn page<T>(
    request: &Request,
    mut items: Vec<T>,
    default: usize,
    max: usize,
) -> Result<(Vec<T>, Value), ApiError> {
    let size = match request.parameter("page[size]").map(str::parse::<usize>) {
        None => default,
        Some(Ok(size)) if (1..=max).contains(&size) => size,
        Some(_) => return Err(ApiError::new("page[size]", format!("Page size must be between 1 and {max}."))),
    };
    let from = match request.parameter("page[cursor]") {
        None | Some("") => 0,
        Some(cursor) => {
            usize::from_str_radix(cursor, 16).map_err(|_| ApiError::new("page[cursor]", "Invalid cursor."))?
        }
    };
    let total = items.len();
    let rest = items.split_off(from.min(total));
    let next = from.saturating_add(size);
    let host = request.header("host").unwrap_or("localhost");
    let others = request.query.iter().filter(|(key, _)| key != "page[cursor]").map(|(key, value)| encode(key, value));
    let link = |cursor: usize| {
        let mut query: Vec<String> = others.clone().collect();
        query.push(encode("page[cursor]", &format!("{cursor:x}")));
        format!("http://{host}{}?{}", request.path, query.join("&"))
    };
    let links = json!({
        "self": format!("http://{host}{}", request.path),
        "next": (next < total).then(|| link(next)),
        "prev": (from > 0).then(|| link(from.saturating_sub(size))),
    });
    Ok((rest.into_iter().take(size).collect(), links))
}

fn encode(key: &str, value: &str) -> String {
    let escape = |text: &str| {
        let byte = |b: u8| {
            if b.is_ascii_alphanumeric() || b"-_.~".contains(&b) {
                char::from(b).to_string()
            } else {
                format!("%{b:02X}")
            }
        };
        text.bytes().map(byte).collect::<String>()
    };
    format!("{}={}", escape(key), escape(value))
}

pub(crate) fn rfc3339(seconds: i64) -> String {
    Timestamp::from_second(seconds).map(|at| at.to_string().replace('Z', "+00:00")).unwrap_or_default()
}

/// A profile as JSON:API shows it.
pub(crate) fn profile(profile: &Profile) -> Value {
    let mut attributes = profile.attributes.clone();
    let mut put = |key: &str, value: Value| attributes.insert(key.to_owned(), value);
    put("email", json!(profile.email));
    put("phone_number", json!(profile.phone));
    put("external_id", json!(profile.external_id));
    put("properties", Value::Object(profile.properties.clone()));
    put("created", json!(rfc3339(profile.created_at)));
    put("updated", json!(rfc3339(profile.updated_at)));
    json!({ "type": "profile", "id": profile.id, "attributes": attributes, "links": { "self": format!("/api/profiles/{}/", profile.id) } })
}

fn event(event: &StoredEvent, metric_id: &str) -> Value {
    json!({
        "type": "event", "id": event.id,
        "attributes": {
            "timestamp": event.time, "datetime": rfc3339(event.time), "event_properties": event.properties, "uuid": event.id,
        },
        "relationships": {
            "profile": { "data": { "type": "profile", "id": event.profile_id } },
            "metric": { "data": { "type": "metric", "id": metric_id } },
        },
        "links": { "self": format!("/api/events/{}/", event.id) },
    })
}

pub(crate) fn metric_id(index: usize) -> String {
    format!("SBX{:03}", index + 1)
}

fn wanted(found: &StoredEvent, metric: &str, condition: &Condition) -> Option<bool> {
    let value = condition.values.first().map_or("", String::as_str);
    let at = || value.parse::<Timestamp>().map(|at| at.as_second()).or_else(|_| value.parse::<i64>()).ok();
    Some(match (condition.operator.as_str(), condition.field.as_str()) {
        ("equals", "metric_id") => metric == value,
        ("equals", "profile_id") => found.profile_id == value,
        ("has", "profile" | "metric") => true,
        ("equals", "datetime" | "timestamp") => found.time == at()?,
        ("greater-or-equal", "datetime" | "timestamp") => found.time >= at()?,
        ("greater-than", "datetime" | "timestamp") => found.time > at()?,
        ("less-or-equal", "datetime" | "timestamp") => found.time <= at()?,
        ("less-than", "datetime" | "timestamp") => found.time < at()?,
        _ => return None,
    })
}

impl State {
    fn refused_parameter(&mut self, error: &ApiError) -> Answer {
        let error = json!({
            "id": self.rng.uuid(), "status": 400, "code": "invalid", "title": "Invalid input.", "detail": error.detail,
            "source": { "parameter": error.pointer }, "links": {}, "meta": {},
        });
        document(400, &json!({ "errors": [error] }))
    }

    fn paged(&mut self, request: &Request, items: Vec<Value>, default: usize, max: usize) -> Answer {
        match page(request, items, default, max) {
            Ok((data, links)) => document(200, &json!({ "data": data, "links": links })),
            Err(error) => self.refused_parameter(&error),
        }
    }

    fn bad_filter(&mut self) -> Answer {
        self.refused_parameter(&ApiError::new("filter", "Invalid filter provided."))
    }

    /// The events that fit, with their metrics' ids; `None` when a condition makes no sense.
    fn matching_events(&self, conditions: &[Condition]) -> Option<Vec<(StoredEvent, String)>> {
        let mut found = Vec::new();
        for event in self.store.iter() {
            let metric = self.store.metric_index(&event.metric).map(metric_id).unwrap_or_default();
            let verdicts = conditions.iter().map(|condition| wanted(&event, &metric, condition));
            if verdicts.collect::<Option<Vec<bool>>>()?.into_iter().all(|fits| fits) {
                found.push((event, metric));
            }
        }
        Some(found)
    }

    /// `GET /api/events`.
    pub(crate) fn list_events(&mut self, request: &Request, _now_ms: i64) -> Answer {
        let Some(conditions) = request.parameter("filter").map_or(Some(Vec::new()), conditions) else {
            return self.bad_filter();
        };
        let Some(mut found) = self.matching_events(&conditions) else { return self.bad_filter() };
        match request.parameter("sort") {
            None | Some("-datetime" | "-timestamp") => found.sort_by_key(|(event, _)| std::cmp::Reverse(event.time)),
            Some("datetime" | "timestamp") => found.sort_by_key(|(event, _)| event.time),
            Some(_) => return self.refused_parameter(&ApiError::new("sort", "Invalid sort provided.")),
        }
        match page(request, found, 200, 1_000) {
            Ok((found, links)) => {
                let data: Vec<Value> = found.iter().map(|(stored, metric)| event(stored, metric)).collect();
                document(200, &json!({ "data": data, "links": links }))
            }
            Err(error) => self.refused_parameter(&error),
        }
    }

    /// `GET /api/profiles`.
    pub(crate) fn list_profiles(&mut self, request: &Request, _now_ms: i64) -> Answer {
        let Some(conditions) = request.parameter("filter").map_or(Some(Vec::new()), conditions) else {
            return self.bad_filter();
        };
        let mut indices: Vec<usize> = match conditions.first() {
            None => self.store.profiles.iter().map(|(index, _)| index).collect(),
            Some(condition) if matches!(condition.operator.as_str(), "equals" | "any") => {
                let mut input = Vec::new();
                for value in &condition.values {
                    let mut one = ProfileInput::default();
                    match condition.field.as_str() {
                        "email" => one.email = Some(value.clone()),
                        "phone_number" => one.phone = Some(value.clone()),
                        "external_id" => one.external_id = Some(value.clone()),
                        "id" => one.id = Some(value.clone()),
                        _ => return self.bad_filter(),
                    }
                    input.push(one);
                }
                input.iter().filter_map(|one| self.store.profiles.find(one)).collect()
            }
            Some(_) => return self.bad_filter(),
        };
        indices.dedup();
        let items: Vec<Value> =
            indices.into_iter().filter_map(|index| self.store.profiles.get(index)).map(profile).collect();
        self.paged(request, items, 20, 100)
    }

    /// `GET /api/metrics`.
    pub(crate) fn list_metrics(&mut self, request: &Request, _now_ms: i64) -> Answer {
        let Some(conditions) = request.parameter("filter").map_or(Some(Vec::new()), conditions) else {
            return self.bad_filter();
        };
        let known = |c: &Condition| {
            c.operator == "equals" && matches!(c.field.as_str(), "integration.name" | "integration.category")
        };
        if !conditions.iter().all(known) {
            return self.bad_filter();
        }
        let fits = conditions.iter().all(|condition| condition.values.iter().all(|value| value == "API"));
        let items = if fits {
            (0..self.store.metrics.len()).map(|index| self.metric_json(index)).collect()
        } else {
            Vec::new()
        };
        self.paged(request, items, 200, 200)
    }

    /// `GET /api/metrics/{id}` and `…/flow-triggers`.
    pub(crate) fn get_metric(&mut self, request: &Request, _now_ms: i64) -> Answer {
        let segments = request.segments();
        let wanted = segments.get(2).copied().unwrap_or_default();
        let index = (0..self.store.metrics.len()).find(|index| metric_id(*index) == wanted);
        match (index, segments.get(3).copied()) {
            (Some(index), None | Some("")) => document(200, &json!({ "data": self.metric_json(index), "links": {} })),
            (Some(_), Some("flow-triggers" | "metric-properties")) => {
                document(200, &json!({ "data": [], "links": {} }))
            }
            _ => self.error(404, "not_found", "Not found.", "A metric with that id does not exist."),
        }
    }

    fn metric_json(&self, index: usize) -> Value {
        let created = self.store.metrics.get(index).map_or(0, |metric| metric.created_at);
        json!({
            "type": "metric", "id": metric_id(index),
            "attributes": {
                "name": self.store.metric_name(index), "created": rfc3339(created), "updated": rfc3339(created),
                "integration": { "object": "integration", "id": "SBXAPI", "key": "api", "name": "API", "category": "API" },
            },
            "links": { "self": format!("/api/metrics/{}/", metric_id(index)) },
        })
    }

    /// `GET /api/accounts`.
    pub(crate) fn account(&mut self, _request: &Request, _now_ms: i64) -> Answer {
        let account = json!({
            "type": "account", "id": "SBXACC",
            "attributes": {
                "test_account": true, "industry": "Ecommerce", "timezone": "UTC", "preferred_currency": "EUR",
                "public_api_key": "SBXACC", "locale": "en-US",
                "contact_information": {
                    "default_sender_name": "Sandbox Shop", "default_sender_email": "hello@sandbox-shop.co",
                    "website_url": "https://sandbox-shop.co", "organization_name": "Sandbox Shop",
                    "street_address": {
                        "address1": null, "address2": null, "city": null, "region": null, "country": null, "zip": null,
                    },
                },
            },
            "links": { "self": "/api/accounts/SBXACC/" },
        });
        document(200, &json!({ "data": [account], "links": {} }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_read() {
        let read = conditions(r#"and(equals(metric_id,"a,b"),any(email,["x@y.z","q"]),has(profile))"#).expect("valid");
        assert_eq!(read.len(), 3);
        assert_eq!(read[0].values, ["a,b"]);
        assert_eq!(read[1].values, ["x@y.z", "q"]);
        assert_eq!(read[2].field, "profile");
        assert!(conditions("nonsense").is_none());
    }
}
