//! Small shapes inside items that differ between API versions.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::lenient::{Flag, Text};

/// Who wrote something.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub struct Author<'a> {
    /// `user`, `lead`, `admin`, `bot`, `team`.
    #[serde(rename = "type")]
    pub kind: Text<'a>,
    /// Contact id or admin id.
    pub id: Text<'a>,
}

/// Something with a name.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub struct Named<'a> {
    /// Its name.
    pub name: Text<'a>,
}

/// How many entries a list has; the entries themselves are not read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count(pub(super) usize);

/// A reference: an object with an `id`, or the id itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RefId<'a>(Text<'a>);

impl RefId<'_> {
    /// The id, unless it means nobody.
    pub fn id(&self) -> Option<&str> {
        self.0.id()
    }
}

/// A ticket's state: an object since 2.12, its category as text before.
#[derive(Clone, Debug, Default)]
pub struct StateRef<'a> {
    /// `submitted`, `in_progress`, `waiting_on_customer`, `resolved`. The only stable name of a state.
    pub category: Text<'a>,
    /// What teammates see; editable and translated.
    pub internal_label: Text<'a>,
}

/// A ticket's type: an object, in legacy tickets its name.
#[derive(Clone, Debug, Default)]
pub struct TypeRef<'a> {
    /// Name.
    pub name: Text<'a>,
    /// `Customer`, `Back-office`, `Tracker`.
    pub category: Text<'a>,
    /// For teammates only.
    pub is_internal: Flag,
}

/// Custom attributes in their order.
#[derive(Clone, Debug, Default)]
pub struct Attributes<'a>(pub Vec<(Cow<'a, str>, Attribute<'a>)>);

impl<'a> Attributes<'a> {
    /// The value under a name.
    pub fn get(&self, name: &str) -> Option<&Attribute<'a>> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }
}

/// Value of a custom attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute<'a> {
    /// null.
    Null,
    /// true or false.
    Bool(bool),
    /// Any number.
    Number(serde_json::Number),
    /// Text; HTML in some.
    Text(Cow<'a, str>),
    /// A list of anything.
    List(Vec<Attribute<'a>>),
    /// An object.
    Object(Vec<(Cow<'a, str>, Attribute<'a>)>),
}

impl Attribute<'_> {
    /// The text of a text attribute.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl<'a> From<&'a serde_json::Value> for Attribute<'a> {
    fn from(value: &'a serde_json::Value) -> Self {
        use serde_json::Value;
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(value) => Self::Number(value.clone()),
            Value::String(text) => Self::Text(Cow::Borrowed(text)),
            Value::Array(items) => Self::List(items.iter().map(Self::from).collect()),
            Value::Object(map) => {
                Self::Object(map.iter().map(|(name, value)| (Cow::Borrowed(name.as_str()), value.into())).collect())
            }
        }
    }
}

/// Consumes what is left of an object.
fn drain<'de, A: MapAccess<'de>>(map: &mut A) -> Result<(), A::Error> {
    while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
    Ok(())
}

/// Consumes what is left of a list and counts it.
fn drain_list<'de, A: SeqAccess<'de>>(seq: &mut A) -> Result<usize, A::Error> {
    let mut count = 0;
    while seq.next_element::<IgnoredAny>()?.is_some() {
        count += 1;
    }
    Ok(count)
}

/// Visits any JSON value and gives the text of scalars; objects go to a closure-like handler.
macro_rules! any_visitor {
    ($visitor:ident, $target:ident, $what:literal, |$map:ident| $on_map:block, |$text:ident| $on_text:expr) => {
        struct $visitor;

        impl<'de> Visitor<'de> for $visitor {
            type Value = $target<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($what)
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok($target::default())
            }

            fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
                Ok($target::default())
            }

            fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
                let $text: Cow<'de, str> = Cow::Owned(value.to_string());
                Ok($on_text)
            }

            fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
                let $text: Cow<'de, str> = Cow::Owned(value.to_string());
                Ok($on_text)
            }

            fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
                Ok($target::default())
            }

            fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
                let $text: Cow<'de, str> = Cow::Borrowed(value);
                Ok($on_text)
            }

            fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
                let $text: Cow<'de, str> = Cow::Owned(value.to_owned());
                Ok($on_text)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                drain_list(&mut seq)?;
                Ok($target::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut $map: A) -> Result<Self::Value, A::Error> {
                $on_map
            }
        }

        impl<'de: 'a, 'a> Deserialize<'de> for $target<'a> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any($visitor)
            }
        }
    };
}

any_visitor!(
    RefIdVisitor,
    RefId,
    "an object with an id, or an id",
    |map| {
        let mut found = RefId::default();
        while let Some(name) = map.next_key::<Key<'de>>()? {
            if name.0 == "id" {
                found.0 = map.next_value()?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    },
    |text| RefId(Text(Some(text)))
);

any_visitor!(
    StateRefVisitor,
    StateRef,
    "a ticket state",
    |map| {
        let mut found = StateRef::default();
        while let Some(name) = map.next_key::<Key<'de>>()? {
            match &*name.0 {
                "category" => found.category = map.next_value()?,
                "internal_label" => found.internal_label = map.next_value()?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(found)
    },
    |text| StateRef { category: Text(Some(text)), ..StateRef::default() }
);

any_visitor!(
    TypeRefVisitor,
    TypeRef,
    "a ticket type",
    |map| {
        let mut found = TypeRef::default();
        while let Some(name) = map.next_key::<Key<'de>>()? {
            match &*name.0 {
                "name" => found.name = map.next_value()?,
                "category" => found.category = map.next_value()?,
                "is_internal" => found.is_internal = map.next_value()?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(found)
    },
    |text| TypeRef { name: Text(Some(text)), ..TypeRef::default() }
);

any_visitor!(
    AttributesVisitor,
    Attributes,
    "an object of attributes",
    |map| {
        let mut found = Vec::with_capacity(map.size_hint().unwrap_or(0));
        while let Some((name, value)) = map.next_entry::<Key<'de>, Attribute<'de>>()? {
            found.push((name.0, value));
        }
        Ok(Attributes(found))
    },
    |_text| Attributes::default()
);

/// A name that borrows where it can: plain `Cow` keys always allocate.
struct Key<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Key<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Text::deserialize(deserializer).map(|text| Self(text.0.unwrap_or_default()))
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct CountVisitor;

        impl<'de> Visitor<'de> for CountVisitor {
            type Value = usize;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_unit<E>(self) -> Result<usize, E> {
                Ok(0)
            }

            fn visit_bool<E>(self, _: bool) -> Result<usize, E> {
                Ok(0)
            }

            fn visit_i64<E>(self, _: i64) -> Result<usize, E> {
                Ok(0)
            }

            fn visit_u64<E>(self, _: u64) -> Result<usize, E> {
                Ok(0)
            }

            fn visit_f64<E>(self, _: f64) -> Result<usize, E> {
                Ok(0)
            }

            fn visit_str<E>(self, _: &str) -> Result<usize, E> {
                Ok(0)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<usize, A::Error> {
                drain_list(&mut seq)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<usize, A::Error> {
                drain(&mut map).map(|()| 0)
            }
        }

        deserializer.deserialize_any(CountVisitor).map(Count)
    }
}

/// Deeper than this nothing is read: no property comes of it, and depth is a way to exhaust the stack.
const MAX_DEPTH: u8 = 4;

/// Reads a value at some depth inside an attribute.
#[derive(Clone, Copy)]
struct AtDepth(u8);

impl<'de> DeserializeSeed<'de> for AtDepth {
    type Value = Attribute<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        if self.0 > MAX_DEPTH {
            return IgnoredAny::deserialize(deserializer).map(|_| Attribute::Null);
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Attribute<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        AtDepth(0).deserialize(deserializer)
    }
}

impl<'de> Visitor<'de> for AtDepth {
    type Value = Attribute<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an attribute's value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Attribute::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Attribute::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Attribute::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Attribute::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(serde_json::Number::from_f64(value).map_or(Attribute::Null, Attribute::Number))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Attribute::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Attribute::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(AtDepth(self.0 + 1))? {
            items.push(item);
        }
        Ok(Attribute::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(name) = map.next_key::<Key<'de>>()? {
            members.push((name.0, map.next_value_seed(AtDepth(self.0 + 1))?));
        }
        Ok(Attribute::Object(members))
    }
}

/// A value as it stands in the JSON.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unread<'a>(Option<&'a RawValue>);

impl<'a> Unread<'a> {
    /// Reads it. `None` where it is absent or not readable.
    pub fn read<T: Deserialize<'a>>(&self) -> Option<T> {
        serde_json::from_str(self.0?.get()).ok()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Unread<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&RawValue>::deserialize(deserializer).map(|raw| Self(Some(raw)))
    }
}

/// A message's text, decoded when somebody asks.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(transparent, bound(deserialize = "'de: 'a"))]
pub struct Body<'a>(Unread<'a>);

impl<'a> Body<'a> {
    /// The text: HTML before 2.15 and in tickets, plain since. `None` where it is blank.
    pub fn text(&self) -> Option<Cow<'a, str>> {
        self.0.read::<Text<'a>>()?.0.filter(|text| !text.trim().is_empty())
    }

    /// Whether it says anything: text, or an inline picture or video.
    pub fn has_content(&self) -> bool {
        let raw = self.0.0.map_or("null", RawValue::get);
        // A text that cannot be decoded is a text.
        raw.starts_with('"')
            && serde_json::from_str::<Text<'_>>(raw).map_or(true, |text| text.get().is_some_and(has_content))
    }
}

/// Whether HTML or plain text says anything.
pub(crate) fn has_content(body: &str) -> bool {
    const EMBEDDED: [&str; 4] = ["<img", "<video", "<audio", "<iframe"];
    !crate::text::plain(body).is_empty() || EMBEDDED.iter().any(|tag| body.contains(tag))
}
