//! What Klaviyo checks before it answers 202, and where its error pointers point.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// One entry of a JSON:API error list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) detail: String,
    pub(crate) pointer: String,
}

impl ApiError {
    pub(crate) fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), pointer: pointer.into() }
    }

    pub(crate) fn json(&self, id: String) -> Value {
        json!({
            "id": id, "status": 400, "code": "invalid", "title": "Invalid input.", "detail": self.detail,
            "source": { "pointer": self.pointer }, "links": {}, "meta": {},
        })
    }
}

/// A profile as a request names it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ProfileInput {
    pub(crate) id: Option<String>,
    pub(crate) external_id: Option<String>,
    pub(crate) email: Option<String>,
    pub(crate) phone: Option<String>,
    pub(crate) anonymous_id: Option<String>,
    /// Everything but identifiers and `properties`; `null` clears.
    pub(crate) attributes: Map<String, Value>,
    pub(crate) properties: Map<String, Value>,
    /// `patch_properties` of `meta`.
    pub(crate) patch: Map<String, Value>,
}

/// An event as a request names it, without its profile.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct EventInput {
    pub(crate) metric: String,
    pub(crate) unique_id: Option<String>,
    /// Unix seconds.
    pub(crate) time: i64,
    pub(crate) properties: Map<String, Value>,
    pub(crate) backfill: bool,
}

const MAX_STRING: usize = 100 * 1024;
const MAX_PROPERTIES: usize = 400;
const MAX_ITEMS: usize = 4_000;
const MAX_DEPTH: usize = 10;
const IDENTIFIERS: [&str; 6] = ["email", "phone_number", "external_id", "anonymous_id", "_kx", "properties"];

/// Collects errors, so that one answer can name several.
#[derive(Debug, Default)]
pub(crate) struct Problems(pub(crate) Vec<ApiError>);

impl Problems {
    pub(crate) fn add(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        self.0.push(ApiError::new(pointer, detail));
    }

    /// Reads a profile resource (`{"type":"profile","id"?,"attributes":{…}}`) found at `at`.
    pub(crate) fn profile(&mut self, resource: &Value, at: &str) -> ProfileInput {
        let mut profile = ProfileInput::default();
        let empty = Map::new();
        let attributes = resource.get("attributes").and_then(Value::as_object).unwrap_or(&empty);
        let at_attributes = format!("{at}/attributes");
        profile.id = self.text(resource, "id", at, 255);
        let whole = Value::Object(attributes.clone());
        profile.email = self.text(&whole, "email", &at_attributes, usize::MAX);
        profile.phone = self.text(&whole, "phone_number", &at_attributes, usize::MAX);
        profile.external_id = self.text(&whole, "external_id", &at_attributes, 255);
        profile.anonymous_id = self.text(&whole, "anonymous_id", &at_attributes, 255);
        let kx = self.text(&whole, "_kx", &at_attributes, 255);
        if profile.email.as_deref().is_some_and(|email| !email_is_valid(email)) {
            self.add(format!("{at_attributes}/email"), "Invalid email address");
        }
        if profile.phone.as_deref().is_some_and(|phone| !phone_is_valid(phone)) {
            self.add(format!("{at_attributes}/phone_number"), "Invalid phone number format (E.164 expected).");
        }
        let named = [&profile.id, &profile.email, &profile.phone, &profile.external_id, &profile.anonymous_id, &kx];
        if named.iter().all(|identifier| identifier.is_none()) {
            self.add(
                at_attributes.clone(),
                "A profile must have at least one of these identifiers: id, email, phone_number, external_id, anonymous_id, _kx.",
            );
        }
        if whole.to_string().len() > 95 * 1024 {
            self.add(at_attributes.clone(), "Profile is larger than 95 KB.");
        }
        profile.properties = self.object(&whole, "properties", &at_attributes).unwrap_or_default();
        let others = attributes.iter().filter(|(key, _)| !IDENTIFIERS.contains(&key.as_str()));
        profile.attributes = others.map(|(key, value)| (key.clone(), value.clone())).collect();
        let patch = resource.pointer("/meta/patch_properties").and_then(Value::as_object);
        profile.patch = patch.cloned().unwrap_or_default();
        profile
    }

    /// Reads the attributes of one event found at `at`. `None` when a part without which there is no event is missing.
    pub(crate) fn event(&mut self, attributes: &Value, at: &str, now: i64) -> Option<EventInput> {
        let before = self.0.len();
        let metric = self.metric(attributes, at);
        let unique_id = self.unique_id(attributes, at);
        let time = self.time(attributes.get("time"), at, now);
        let properties = match attributes.get("properties") {
            None => {
                self.add(format!("{at}/properties"), "'properties' is a required field.");
                None
            }
            Some(_) => self.object(attributes, "properties", at),
        };
        if attributes.get("value").is_some_and(|value| !value.is_null() && !value.is_number()) {
            self.add(format!("{at}/value"), "'value' must be a number.");
        }
        let backfill = match attributes.get("backfill") {
            None | Some(Value::Null) => false,
            Some(Value::Bool(backfill)) => *backfill,
            Some(_) => {
                self.add(format!("{at}/backfill"), "'backfill' must be a boolean.");
                false
            }
        };
        if self.0.len() > before {
            return None;
        }
        Some(EventInput { metric: metric?, unique_id, time: time?, properties: properties?, backfill })
    }

    fn metric(&mut self, attributes: &Value, at: &str) -> Option<String> {
        let pointer = format!("{at}/metric/data/attributes/name");
        match attributes.pointer("/metric/data/attributes/name").and_then(Value::as_str) {
            None | Some("") => self.add(pointer, "'name' is a required field for the resource 'metric'."),
            Some(name) if name.chars().count() >= 128 => {
                self.add(pointer, "Metric name must be less than 128 characters.")
            }
            Some(name) => return Some(name.to_owned()),
        }
        None
    }

    fn unique_id(&mut self, attributes: &Value, at: &str) -> Option<String> {
        match attributes.get("unique_id") {
            None | Some(Value::Null) => None,
            Some(Value::String(id)) if (1..=255).contains(&id.chars().count()) => Some(id.clone()),
            Some(_) => {
                self.add(format!("{at}/unique_id"), "'unique_id' must be a string of 1 to 255 characters.");
                None
            }
        }
    }

    fn time(&mut self, time: Option<&Value>, at: &str, now: i64) -> Option<i64> {
        let pointer = format!("{at}/time");
        let time = match time {
            None | Some(Value::Null) => return Some(now),
            Some(Value::String(text)) => parse_time(text),
            Some(_) => None,
        };
        let Some(time) = time else {
            self.add(pointer, "'time' must be an ISO 8601 date and time.");
            return None;
        };
        let (earliest, latest) = time_bounds(now);
        if time < earliest || time > latest {
            self.add(pointer, "'time' must be after 1990 and not more than a year in the future.");
            return None;
        }
        Some(time)
    }

    fn text(&mut self, of: &Value, key: &str, at: &str, longest: usize) -> Option<String> {
        match of.get(key) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) if text.is_empty() => None,
            Some(Value::String(text)) if text.chars().count() <= longest => Some(text.clone()),
            Some(_) => {
                self.add(format!("{at}/{key}"), format!("'{key}' is not a valid string."));
                None
            }
        }
    }

    fn object(&mut self, of: &Value, key: &str, at: &str) -> Option<Map<String, Value>> {
        let pointer = format!("{at}/{key}");
        let map = match of.get(key) {
            None | Some(Value::Null) => return Some(Map::new()),
            Some(Value::Object(map)) => map,
            Some(_) => {
                self.add(pointer, format!("'{key}' must be an object."));
                return None;
            }
        };
        if map.len() > MAX_PROPERTIES {
            self.add(pointer.clone(), format!("More than {MAX_PROPERTIES} properties."));
        }
        for (name, value) in map {
            if let Err(detail) = value_fits(value, 1) {
                self.add(format!("{pointer}/{name}"), detail);
            }
        }
        Some(map.clone())
    }
}

fn value_fits(value: &Value, depth: usize) -> Result<(), &'static str> {
    if depth > MAX_DEPTH {
        return Err("Nested deeper than 10 levels.");
    }
    match value {
        Value::String(text) if text.len() > MAX_STRING => Err("String larger than 100 KB."),
        Value::Array(items) if items.len() > MAX_ITEMS => Err("More than 4,000 items."),
        Value::Array(items) => items.iter().try_for_each(|item| value_fits(item, depth + 1)),
        Value::Object(map) => map.values().try_for_each(|item| value_fits(item, depth + 1)),
        Value::Number(number) if number.as_u64().is_some_and(|n| i64::try_from(n).is_err()) => {
            Err("Integer does not fit into 64 bits.")
        }
        _ => Ok(()),
    }
}

/// Unix seconds of an ISO 8601 date and time; without an offset it counts as UTC.
fn parse_time(text: &str) -> Option<i64> {
    let stamp = text.parse::<Timestamp>().ok();
    let stamp = stamp.or_else(|| format!("{text}Z").parse().ok());
    Some(stamp?.as_millisecond().div_euclid(1000))
}

fn time_bounds(now: i64) -> (i64, i64) {
    const YEAR_1990: i64 = 631_152_000;
    // The longest year; the documentation says no more than "1 year".
    const A_YEAR: i64 = 366 * 86_400;
    (YEAR_1990, now.saturating_add(A_YEAR))
}

fn email_is_valid(email: &str) -> bool {
    let Some((local, domain)) = email.rsplit_once('@') else { return false };
    let odd = |c: char| {
        c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | ',' | ';' | '(' | ')' | '[' | ']' | '"')
    };
    email.chars().count() <= 100
        && !local.is_empty()
        && !local.starts_with('.')
        && !local.ends_with('.')
        && !local.contains("..")
        && !local.contains('@')
        && !email.contains(odd)
        && domain.contains('.')
        && domain.split('.').all(|label| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-'))
}

fn phone_is_valid(phone: &str) -> bool {
    let Some(digits) = phone.strip_prefix('+') else { return false };
    (7..=15).contains(&digits.len()) && !digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_790_000_000;

    fn pointers(attributes: Value) -> Vec<String> {
        let mut problems = Problems::default();
        problems.event(&attributes, "/data/attributes", NOW);
        problems.0.into_iter().map(|error| error.pointer).collect()
    }

    fn with(change: impl FnOnce(&mut Value)) -> Value {
        let mut event = json!({
            "properties": {"a": 1}, "time": "2026-07-01T10:20:30+00:00", "unique_id": "k",
            "metric": {"data": {"type": "metric", "attributes": {"name": "Created Ticket"}}},
        });
        change(&mut event);
        event
    }

    #[test]
    fn a_good_event_is_read() {
        let mut problems = Problems::default();
        let event = problems.event(&with(|_| {}), "/x", NOW).expect("good");
        assert_eq!((event.time, event.metric.as_str(), event.backfill), (1_782_901_230, "Created Ticket", false));
        assert!(problems.0.is_empty());
    }

    #[test]
    fn every_rule_points_at_its_field() {
        let case = |path: &str, value: Value| {
            pointers(with(|event| {
                event[path] = value;
            }))
        };
        assert_eq!(case("time", json!("1989-12-31T23:59:59Z")), ["/data/attributes/time"]);
        assert_eq!(case("time", json!("2099-01-01T00:00:00Z")), ["/data/attributes/time"]);
        assert_eq!(case("time", json!(1_790_000_000)), ["/data/attributes/time"]);
        assert_eq!(case("time", json!("yesterday")), ["/data/attributes/time"]);
        assert_eq!(case("unique_id", json!("")), ["/data/attributes/unique_id"]);
        assert_eq!(case("unique_id", json!("x".repeat(256))), ["/data/attributes/unique_id"]);
        assert_eq!(case("metric", json!({})), ["/data/attributes/metric/data/attributes/name"]);
        assert_eq!(case("properties", json!([])), ["/data/attributes/properties"]);
        assert_eq!(case("properties", json!({"s": "x".repeat(MAX_STRING + 1)})), ["/data/attributes/properties/s"]);
        assert_eq!(case("properties", json!({"l": vec![0; 4001]})), ["/data/attributes/properties/l"]);
        let many: Map<String, Value> = (0..401).map(|n| (n.to_string(), json!(1))).collect();
        assert_eq!(case("properties", Value::Object(many)), ["/data/attributes/properties"]);
        let deep = (0..11).fold(json!(1), |inner, _| json!([inner]));
        assert_eq!(case("properties", json!({"d": deep})), ["/data/attributes/properties/d"]);
        assert!(case("time", json!("2026-07-01T10:20:30")).is_empty());
    }

    #[test]
    fn profiles_need_a_valid_identifier() {
        let of = |attributes: Value| {
            let mut problems = Problems::default();
            problems.profile(&json!({"type": "profile", "attributes": attributes}), "/p");
            problems.0.into_iter().map(|error| error.pointer).collect::<Vec<_>>()
        };
        assert!(of(json!({"email": "ada@shop.co"})).is_empty());
        assert_eq!(of(json!({"email": ""})), ["/p/attributes"]);
        assert_eq!(of(json!({"first_name": "Ada"})), ["/p/attributes"]);
        assert_eq!(of(json!({"email": "ada@@shop.co"})), ["/p/attributes/email"]);
        assert_eq!(of(json!({"email": format!("{}@shop.co", "a".repeat(93))})), ["/p/attributes/email"]);
        assert_eq!(of(json!({"email": "ada@shop.co", "phone_number": "0123"})), ["/p/attributes/phone_number"]);
        assert!(of(json!({"phone_number": "+15005550006"})).is_empty());
    }
}
