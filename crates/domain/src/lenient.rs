//! Reading what differs between Intercom's API versions: ids that are text, numbers, `0` or null; dates that are Unix
//! seconds or ISO 8601.
//!
//! None of these ever fails on a value of another kind: it reads as absent, because one odd field must not cost the event.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use jiff::Timestamp;
use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Text that borrows from the input where it can. Numbers and booleans read as their text; null, lists and objects as absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text<'a>(pub Option<Cow<'a, str>>);

impl<'a> Text<'a> {
    /// The text, if there is one that is not blank.
    pub fn get(&self) -> Option<&str> {
        let text = self.0.as_deref()?;
        // Hardly any has blanks around it.
        let is_plain = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_graphic);
        let bytes = text.as_bytes();
        let text = if is_plain(bytes.first()) && is_plain(bytes.last()) { text } else { text.trim() };
        Some(text).filter(|text| !text.is_empty())
    }

    /// The text as an id: `0` and blank mean nobody.
    pub fn id(&self) -> Option<&str> {
        self.get().filter(|id| *id != "0")
    }
}

/// A moment: Unix seconds, a numeric string, or ISO 8601.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment(pub Option<Timestamp>);

/// A whole number, from a number or a numeric string.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Number(pub Option<f64>);

/// `true` or `false`; everything else is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flag(pub Option<bool>);

/// A value of a shape that may be absent, null, or something else entirely (`{}`, `[]`, a string where an object is usual).
#[derive(Clone, Debug, PartialEq)]
pub struct Maybe<T>(pub Option<T>);

impl<T> Default for Maybe<T> {
    fn default() -> Self {
        Self(None)
    }
}

/// Reads a list whether it comes bare or as an object that holds it under any name (`{"type": "tag.list", "tags": […]}`).
#[derive(Clone, Debug, PartialEq)]
pub struct List<T> {
    /// The items.
    pub items: Vec<T>,
    /// `total_count`, where the object gives one.
    pub total_count: Option<u64>,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self { items: Vec::new(), total_count: None }
    }
}

/// What a JSON scalar was.
enum Scalar<'a> {
    Absent,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Cow<'a, str>),
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Scalar::Absent)
    }

    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(Scalar::Absent)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Scalar::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Scalar::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(i64::try_from(value).map_or(Scalar::Text(Cow::Owned(value.to_string())), Scalar::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Scalar::Float(value))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Absent)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Absent)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(match deserializer.deserialize_any(ScalarVisitor)? {
            Scalar::Absent => None,
            Scalar::Bool(value) => Some(Cow::Borrowed(if value { "true" } else { "false" })),
            Scalar::Int(value) => Some(Cow::Owned(value.to_string())),
            Scalar::Float(value) => Some(Cow::Owned(value.to_string())),
            Scalar::Text(value) => Some(value),
        }))
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(match deserializer.deserialize_any(ScalarVisitor)? {
            Scalar::Int(seconds) => moment_of(seconds),
            Scalar::Float(seconds) if seconds.is_finite() => moment_of(seconds as i64),
            Scalar::Text(text) => parse_moment(&text),
            _ => None,
        }))
    }
}

/// Zero is how some versions write "never".
fn moment_of(seconds: i64) -> Option<Timestamp> {
    if seconds == 0 { None } else { Timestamp::from_second(seconds).ok() }
}

fn parse_moment(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<i64>() {
        return moment_of(seconds);
    }
    let moment: Timestamp = text.parse().ok()?;
    // Klaviyo cuts to seconds; cutting here keeps live and history equal whichever form came.
    Timestamp::from_second(moment.as_second()).ok()
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(match deserializer.deserialize_any(ScalarVisitor)? {
            Scalar::Int(value) => Some(value as f64),
            Scalar::Float(value) => Some(value),
            Scalar::Text(text) => text.trim().parse().ok(),
            _ => None,
        }))
    }
}

impl Number {
    /// The number where it is a count.
    pub fn count(self) -> Option<u64> {
        self.0.filter(|n| *n >= 0.0 && *n <= 9e15).map(|n| n as u64)
    }
}

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(match deserializer.deserialize_any(ScalarVisitor)? {
            Scalar::Bool(value) => Some(value),
            _ => None,
        }))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Maybe<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MaybeVisitor(PhantomData)).map(Self)
    }
}

/// Objects are read as `T`; everything else is absent.
struct MaybeVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for MaybeVisitor<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object, or anything else for absent")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(de::value::MapAccessDeserializer::new(map)).map(Some)
    }
}

impl<'de, T: Deserialize<'de> + Default> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ListVisitor(PhantomData))
    }
}

struct ListVisitor<T>(PhantomData<T>);

/// Reads all entries.
fn entries<'de, T: Deserialize<'de> + Default, A: SeqAccess<'de>>(mut seq: A) -> Result<Vec<T>, A::Error> {
    let mut entries = Vec::new();
    while let Some(Entry(entry)) = seq.next_element()? {
        entries.push(entry);
    }
    Ok(entries)
}

/// An entry of a list. One of another kind than `T` reads as an empty one, so that counts and positions stay what they are.
struct Entry<T>(T);

impl<'de, T: Deserialize<'de> + Default> Deserialize<'de> for Entry<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EntryVisitor(PhantomData)).map(Self)
    }
}

struct EntryVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de> + Default> Visitor<'de> for EntryVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an entry of a list")
    }

    fn visit_unit<E>(self) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_i64<E>(self, value: i64) -> Result<T, E> {
        Ok(T::deserialize(de::value::I64Deserializer::<de::value::Error>::new(value)).unwrap_or_default())
    }

    fn visit_u64<E>(self, value: u64) -> Result<T, E> {
        Ok(T::deserialize(de::value::U64Deserializer::<de::value::Error>::new(value)).unwrap_or_default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<T, E> {
        Ok(T::deserialize(de::value::BorrowedStrDeserializer::<de::value::Error>::new(value)).unwrap_or_default())
    }

    fn visit_str<E>(self, value: &str) -> Result<T, E> {
        Ok(T::deserialize(de::value::StrDeserializer::<de::value::Error>::new(value)).unwrap_or_default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<T, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(T::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(de::value::MapAccessDeserializer::new(map))
    }
}

/// A value inside a list object: the list itself, a number, or something of no interest.
enum Member<T> {
    Items(Vec<T>),
    Number(u64),
    Other,
}

impl<'de, T: Deserialize<'de> + Default> Visitor<'de> for ListVisitor<T> {
    type Value = List<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list, or an object that holds one")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(List::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(List::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(List::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(List::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(List::default())
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(List::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        Ok(List { items: entries(seq)?, total_count: None })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut list = List::default();
        while let Some(name) = map.next_key::<Text<'de>>()? {
            match map.next_value::<Member<T>>()? {
                Member::Items(items) if list.items.is_empty() => list.items = items,
                Member::Number(n) if name.get() == Some("total_count") => list.total_count = Some(n),
                _ => {}
            }
        }
        Ok(list)
    }
}

impl<'de, T: Deserialize<'de> + Default> Deserialize<'de> for Member<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MemberVisitor(PhantomData))
    }
}

struct MemberVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de> + Default> Visitor<'de> for MemberVisitor<T> {
    type Value = Member<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Member::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Member::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Member::Other)
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Member::Number(value))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Member::Other)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(Member::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        entries(seq).map(Member::Items)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Member::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_moment(json: &str, expected: Option<&str>) {
        let moment: Moment = serde_json::from_str(json).expect("reads");
        assert_eq!(moment.0.map(|m| m.to_string()).as_deref(), expected, "{json}");
    }

    #[test]
    fn moments_in_every_form() {
        check_moment("1768031789", Some("2026-01-10T07:56:29Z"));
        check_moment("\"1768031789\"", Some("2026-01-10T07:56:29Z"));
        check_moment("\"2026-01-10T07:56:29.945+00:00\"", Some("2026-01-10T07:56:29Z"));
        check_moment("\"2026-01-10T07:56:29Z\"", Some("2026-01-10T07:56:29Z"));
        for absent in ["null", "0", "\"\"", "\"soon\"", "{}", "[1]", "true", "99999999999999999999"] {
            check_moment(absent, None);
        }
    }

    #[test]
    fn ids_in_every_form() {
        for (json, expected) in [
            ("\"12\"", Some("12")),
            ("12", Some("12")),
            ("0", None),
            ("\"0\"", None),
            ("\"\"", None),
            ("null", None),
            ("{\"a\": [1, {}]}", None),
        ] {
            let text: Text<'_> = serde_json::from_str(json).expect("reads");
            assert_eq!(text.id(), expected, "{json}");
        }
    }

    #[test]
    fn plain_text_is_borrowed() {
        let text: Text<'_> = serde_json::from_str("\"plain\"").expect("reads");
        assert!(matches!(text.0, Some(Cow::Borrowed("plain"))));
    }

    #[test]
    fn lists_bare_and_wrapped() {
        for json in [r#"[1, 2]"#, r#"{"type": "x", "things": [1, 2], "total_count": 2, "odd": {"a": 1}}"#] {
            let list: List<u8> = serde_json::from_str(json).expect("reads");
            assert_eq!(list.items, [1, 2], "{json}");
        }
        for json in ["null", "3", "\"x\"", "{}"] {
            let list: List<u8> = serde_json::from_str(json).expect("reads");
            assert!(list.items.is_empty(), "{json}");
        }
    }

    #[test]
    fn odd_entries_keep_their_place() {
        let list: List<u8> = serde_json::from_str(r#"[1, null, [7], "x", 2.5, true, 3]"#).expect("reads");
        assert_eq!(list.items, [1, 0, 0, 0, 0, 0, 3]);
    }
}
