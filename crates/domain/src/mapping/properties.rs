//! Writes a flat JSON object of scalars and simple lists inside Klaviyo's limits.
//!
//! Only top-level scalars and simple lists can be segmented, and in event properties 0, null and "" count as never set
//! (<https://developers.klaviyo.com/en/reference/events_api_overview>): such values are left out instead.

use std::fmt::Write as _;
use std::ops::Range;

use jiff::Timestamp;

use crate::intercom::Attribute;
use crate::text::{MAX_STRING_BYTES, cut, plain};

/// Most properties on an event; Klaviyo takes 400.
pub(super) const MAX_PROPERTIES: usize = 250;

/// Longest list.
const MAX_LIST: usize = 100;

/// Longest property name, in bytes.
const MAX_NAME_BYTES: usize = 200;

/// Deepest object inside an attribute that is still flattened.
const MAX_DEPTH: usize = 3;

/// The object under construction.
#[derive(Debug)]
pub struct Properties {
    json: String,
    /// Where the object begins.
    start: usize,
    count: usize,
    max_count: usize,
    max_bytes: usize,
    keeps_zero: bool,
    /// Where the names of custom attributes stand in `json`, quotes included.
    attribute_names: Vec<Range<usize>>,
}

impl Properties {
    /// At most so many properties and so many bytes of JSON; what comes later is dropped.
    pub fn new(max_count: usize, max_bytes: usize) -> Self {
        Self::after(String::with_capacity(1024), max_count, max_bytes)
    }

    /// An object at the end of some JSON; [`Properties::finish`] gives both.
    pub(super) fn after(mut json: String, max_count: usize, max_bytes: usize) -> Self {
        let start = json.len();
        json.push('{');
        Self { json, start, count: 0, max_count, max_bytes, keeps_zero: false, attribute_names: Vec::new() }
    }

    /// For profiles, where 0 is a value.
    pub fn keeping_zero(mut self) -> Self {
        self.keeps_zero = true;
        self
    }

    /// Text, cut to 8 KB on a character boundary and marked. Blank is left out.
    pub fn text(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value.filter(|value| !value.trim().is_empty()) {
            self.put("", name, |json| push_json_text(json, &cut(value, MAX_STRING_BYTES)));
        }
    }

    /// A number. 0 is left out unless zeros are kept.
    pub fn number(&mut self, name: &str, value: Option<f64>) {
        if let Some(value) = value.filter(|value| value.is_finite() && (*value != 0.0 || self.keeps_zero)) {
            self.put("", name, |json| push_number(json, value));
        }
    }

    /// A count.
    pub fn count(&mut self, name: &str, value: Option<u64>) {
        self.number(name, value.map(|value| value as f64));
    }

    /// true or false.
    pub fn flag(&mut self, name: &str, value: Option<bool>) {
        if let Some(value) = value {
            self.put("", name, |json| json.push_str(if value { "true" } else { "false" }));
        }
    }

    /// A moment in RFC 3339.
    pub fn time(&mut self, name: &str, value: Option<Timestamp>) {
        if let Some(value) = value {
            self.put("", name, |json| push_time(json, value));
        }
    }

    /// A text in pieces. They are short.
    pub(super) fn joined(&mut self, name: &str, pieces: &[&str]) {
        self.put("", name, |json| {
            json.push('"');
            pieces.iter().for_each(|piece| push_escaped(json, piece));
            json.push('"');
        });
    }

    /// An object of its own limits, left out where it stays empty.
    pub(super) fn object(&mut self, name: &str, max_bytes: usize, fill: impl FnOnce(&mut Self)) {
        let before = self.json.len();
        self.push_name("", name);
        let mut inner = Self::after(std::mem::take(&mut self.json), MAX_PROPERTIES, max_bytes).keeping_zero();
        fill(&mut inner);
        let is_empty = inner.count == 0;
        self.json = inner.finish();
        if is_empty {
            self.json.truncate(before);
        } else {
            self.count += 1;
        }
    }

    /// Bytes so far.
    pub(super) fn len(&self) -> usize {
        self.json.len() - self.start
    }

    /// A list of texts, blanks dropped, at most 100. Empty is left out.
    pub fn list<'v>(&mut self, name: &str, values: impl Iterator<Item = &'v str>) {
        let mut values = values.filter(|value| !value.trim().is_empty()).take(MAX_LIST).peekable();
        if values.peek().is_none() {
            return;
        }
        self.put("", name, |json| {
            json.push('[');
            for (index, value) in values.enumerate() {
                if index > 0 {
                    json.push(',');
                }
                push_json_text(json, &cut(value, MAX_STRING_BYTES));
            }
            json.push(']');
        });
    }

    /// A custom attribute: scalars and lists of scalars as they are, objects flattened with dots, all else left out. Where
    /// flattening or cutting gives the same name twice, the first value stays.
    pub fn attribute(&mut self, prefix: &str, name: &str, value: &Attribute<'_>) {
        self.attribute_at(prefix, name, value, 0);
    }

    fn attribute_at(&mut self, prefix: &str, name: &str, value: &Attribute<'_>, depth: usize) {
        let before = self.json.len();
        match value {
            Attribute::Null => {}
            Attribute::Bool(value) => {
                self.put(prefix, name, |json| json.push_str(if *value { "true" } else { "false" }))
            }
            Attribute::Number(value) => match (value.as_i64(), value.as_f64()) {
                (Some(0), _) if !self.keeps_zero => {}
                (Some(value), _) => self.put(prefix, name, |json| {
                    let _ = write!(json, "{value}");
                }),
                (None, Some(value)) if value != 0.0 || self.keeps_zero => {
                    self.put(prefix, name, |json| push_number(json, value));
                }
                (None, _) => {}
            },
            Attribute::Text(value) => {
                let text = plain(value);
                if !text.is_empty() {
                    self.put(prefix, name, |json| push_json_text(json, &cut(&text, MAX_STRING_BYTES)));
                }
            }
            Attribute::List(items) => self.scalars(&format!("{prefix}{name}"), items),
            Attribute::Object(members) if depth < MAX_DEPTH => {
                for (member, value) in members {
                    self.attribute_at(prefix, &format!("{name}.{member}"), value, depth + 1);
                }
            }
            Attribute::Object(_) => {}
        }
        if !matches!(value, Attribute::Object(_)) {
            self.keep_first(before);
        }
    }

    /// Takes the property that was written at `before` back where its name is there already.
    fn keep_first(&mut self, before: usize) {
        if self.json.len() == before {
            return;
        }
        let start = before + usize::from(self.count > 1);
        let Some(length) = name_length(&self.json[start..]) else { return };
        let name = start..start + length;
        let there = |known: &Range<usize>| known.len() == length && self.json[known.clone()] == self.json[name.clone()];
        if self.attribute_names.iter().any(there) {
            self.json.truncate(before);
            self.count -= 1;
        } else {
            self.attribute_names.push(name);
        }
    }

    /// A list of scalars, as texts: one type for good, whatever the first value happened to be.
    fn scalars(&mut self, name: &str, items: &[Attribute<'_>]) {
        let texts: Vec<String> = items
            .iter()
            .filter_map(|item| match item {
                Attribute::Bool(value) => Some(value.to_string()),
                Attribute::Number(value) => Some(value.to_string()),
                Attribute::Text(value) => Some(value.to_string()),
                _ => None,
            })
            .collect();
        self.list(name, texts.iter().map(String::as_str));
    }

    fn push_name(&mut self, prefix: &str, name: &str) {
        self.json.push_str(if self.count > 0 { ",\"" } else { "\"" });
        self.json.push_str(prefix);
        push_escaped(&mut self.json, &cut(name, MAX_NAME_BYTES - prefix.len()));
        self.json.push_str("\":");
    }

    /// Writes one property. Prefixes are our own and need no escape.
    fn put(&mut self, prefix: &str, name: &str, write: impl FnOnce(&mut String)) {
        if self.count >= self.max_count {
            return;
        }
        let before = self.json.len();
        self.push_name(prefix, name);
        write(&mut self.json);
        if self.len() >= self.max_bytes {
            self.json.truncate(before);
            return;
        }
        self.count += 1;
    }

    /// The JSON so far, with the object at its end.
    pub fn finish(mut self) -> String {
        self.json.push('}');
        self.json
    }
}

/// Bytes of the JSON string at the start, quotes included.
fn name_length(json: &str) -> Option<usize> {
    let mut escaped = false;
    let end = json.bytes().skip(1).position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })?;
    Some(end + 2)
}

/// RFC 3339 in UTC, whole seconds: what Klaviyo keeps of a time.
pub fn rfc3339(moment: Timestamp) -> String {
    whole_seconds(moment).to_string()
}

fn whole_seconds(moment: Timestamp) -> Timestamp {
    // `from_second` of a value that came from a `Timestamp` is always in range.
    Timestamp::from_second(moment.as_second()).unwrap_or(moment)
}

/// Appends a moment as a JSON string.
pub(super) fn push_time(json: &mut String, moment: Timestamp) {
    let _ = write!(json, "\"{}\"", whole_seconds(moment));
}

/// Appends a JSON string.
pub(crate) fn push_json_text(json: &mut String, text: &str) {
    json.push('"');
    push_escaped(json, text);
    json.push('"');
}

/// Appends the inside of a JSON string.
pub(super) fn push_escaped(json: &mut String, text: &str) {
    let needs_escape = |b: u8| (b < 0x20) | (b == b'"') | (b == b'\\');
    // Looking at every byte without leaving early is what processors do fastest.
    if !text.bytes().fold(false, |found, byte| found | needs_escape(byte)) {
        return json.push_str(text);
    }
    let mut from = 0;
    for (at, byte) in text.bytes().enumerate() {
        if needs_escape(byte) {
            // Escaped bytes are ASCII, so both ends are character boundaries.
            json.push_str(&text[from..at]);
            let _ = match byte {
                b'"' => json.write_str("\\\""),
                b'\\' => json.write_str("\\\\"),
                b'\n' => json.write_str("\\n"),
                b'\r' => json.write_str("\\r"),
                b'\t' => json.write_str("\\t"),
                other => write!(json, "\\u{other:04x}"),
            };
            from = at + 1;
        }
    }
    json.push_str(&text[from..]);
}

/// Appends a number without a needless fraction. Large ones get an exponent, because Klaviyo refuses integers of more than 64
/// bits.
fn push_number(json: &mut String, value: f64) {
    let _ = match value.abs() {
        size if size < 9e15 && value.fract() == 0.0 => write!(json, "{}", value as i64),
        1e-6..9e15 => write!(json, "{value}"),
        _ => write!(json, "{value:e}"),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_values_are_left_out() {
        let mut properties = Properties::new(10, usize::MAX);
        properties.text("a", Some("  "));
        properties.number("b", Some(0.0));
        properties.list("c", ["", " "].into_iter());
        properties.flag("d", Some(false));
        properties.count("e", Some(3));
        assert_eq!(properties.finish(), r#"{"d":false,"e":3}"#);
    }

    #[test]
    fn profiles_keep_zero() {
        let mut properties = Properties::new(10, usize::MAX).keeping_zero();
        properties.count("a", Some(0));
        properties.attribute("", "b", &Attribute::Number(0.into()));
        assert_eq!(properties.finish(), r#"{"a":0,"b":0}"#);
    }

    #[test]
    fn the_count_and_byte_limits_hold() {
        let mut properties = Properties::new(2, usize::MAX);
        for name in ["a", "b", "c"] {
            properties.flag(name, Some(true));
        }
        assert_eq!(properties.finish(), r#"{"a":true,"b":true}"#);
        let mut properties = Properties::new(10, 20);
        properties.text("long", Some("0123456789012345"));
        properties.flag("a", Some(true));
        assert_eq!(properties.finish(), r#"{"a":true}"#);
    }

    #[test]
    fn long_text_is_cut_and_marked() {
        let mut properties = Properties::new(1, usize::MAX);
        properties.text("a", Some(&"ü".repeat(8000)));
        let value: serde_json::Value = serde_json::from_str(&properties.finish()).expect("JSON");
        let text = value["a"].as_str().expect("text");
        assert!(text.len() <= MAX_STRING_BYTES && text.ends_with(crate::text::CUT_MARK));
    }

    #[test]
    fn every_text_survives_as_json() {
        let odd = "quote \" slash \\ line\nreturn\r tab\t null\0 bell\u{7} é 🎉 \u{2028}";
        let mut properties = Properties::new(1, usize::MAX);
        properties.text(odd, Some(odd));
        let value: serde_json::Value = serde_json::from_str(&properties.finish()).expect("JSON");
        assert_eq!(value[odd], odd);
    }

    #[test]
    fn nested_attributes_are_flattened() {
        let json = r#"{"city": "Bonn", "geo": {"lat": 1.5, "deep": {"er": {"lost": 1}}}, "tags": ["a", 2, {"x": 1}], "none": null}"#;
        let value: Attribute<'_> = serde_json::from_str(json).expect("reads");
        let mut properties = Properties::new(20, usize::MAX);
        properties.attribute("Attribute: ", "place", &value);
        assert_eq!(
            properties.finish(),
            r#"{"Attribute: place.city":"Bonn","Attribute: place.geo.lat":1.5,"Attribute: place.tags":["a","2"]}"#
        );
    }
}
