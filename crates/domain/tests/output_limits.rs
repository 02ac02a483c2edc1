//! Whatever Intercom sends, what goes to Klaviyo keeps Klaviyo's limits.

use std::collections::BTreeSet;
use std::fmt;

use domain::Rules;
use domain::activity::Finding;
use domain::contact::Contact;
use domain::klaviyo::PreparedEvent;
use domain::mapping::Origin;
use proptest::prelude::*;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Value, json};

use crate::hostile::any_json;
use crate::support::{Variant, event_for, every_metric, fixture, fixture_names, request, with_findings};

/// Checks what holds for every event.
#[track_caller]
pub(crate) fn check_limits(event: &PreparedEvent, origin: Origin) {
    let request = request(event);
    let attributes = &request["data"]["attributes"];
    assert!(event.key.as_str().chars().count() <= 255 && attributes["unique_id"] == event.key.as_str());
    assert_eq!(attributes.get("backfill"), (origin == Origin::History).then_some(&Value::Bool(true)));
    let properties = attributes["properties"].as_object().expect("properties");
    assert!(properties.len() <= 250, "{} properties", properties.len());
    for (name, value) in properties {
        let empty = value.is_null() || value == "" || value.as_f64() == Some(0.0);
        assert!(!empty && is_flat(value), "{name}: {value}");
    }
    let profile = &attributes["profile"]["data"];
    assert!(profile.to_string().len() <= 32_000);
    for (name, value) in profile["attributes"]["properties"].as_object().into_iter().flatten() {
        assert!(is_flat(value), "{name}: {value}");
    }
    let body = String::from_utf8(event.single_body()).expect("UTF-8");
    assert_eq!(
        serde_json::from_str::<OnceEach>(&body).map(|_| ()).map_err(|error| error.to_string()),
        Ok(()),
        "{body}"
    );
}

/// A scalar, or a list of them; texts of at most 8 KB, numbers that fit 64 bits.
fn is_flat(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().all(|item| !item.is_array() && is_flat(item)),
        Value::Object(_) => false,
        Value::String(text) => text.len() <= 8 * 1024,
        Value::Number(number) => number.is_i64() || number.is_f64(),
        Value::Bool(_) | Value::Null => true,
    }
}

/// Any JSON in which no object has a name twice.
struct OnceEach;

impl<'de> Deserialize<'de> for OnceEach {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OnceVisitor;

        impl<'de> Visitor<'de> for OnceVisitor {
            type Value = OnceEach;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("names that stand once")
            }

            fn visit_bool<E>(self, _: bool) -> Result<OnceEach, E> {
                Ok(OnceEach)
            }

            fn visit_i64<E>(self, _: i64) -> Result<OnceEach, E> {
                Ok(OnceEach)
            }

            fn visit_u64<E>(self, _: u64) -> Result<OnceEach, E> {
                Ok(OnceEach)
            }

            fn visit_f64<E>(self, _: f64) -> Result<OnceEach, E> {
                Ok(OnceEach)
            }

            fn visit_str<E>(self, _: &str) -> Result<OnceEach, E> {
                Ok(OnceEach)
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<OnceEach, A::Error> {
                while seq.next_element::<OnceEach>()?.is_some() {}
                Ok(OnceEach)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<OnceEach, A::Error> {
                let mut names = BTreeSet::new();
                while let Some((name, OnceEach)) = map.next_entry::<String, OnceEach>()? {
                    if !names.insert(name.clone()) {
                        return Err(serde::de::Error::custom(format!("{name} stands twice")));
                    }
                }
                Ok(OnceEach)
            }
        }

        deserializer.deserialize_any(OnceVisitor)
    }
}

fn check_all(input: &[u8], contact: &Contact) {
    let rules = Rules { message_text_max_chars: 100_000, ..every_metric() };
    with_findings(input, &rules, |findings, origin| {
        for finding in findings {
            if let Finding::Event(activity) = finding {
                for origin in [origin, Origin::Live, Origin::History] {
                    check_limits(&event_for(activity, contact, &rules, origin), origin);
                }
            }
        }
    });
}

fn long_text() -> impl Strategy<Value = String> {
    ("\\PC{0,20}", prop::sample::select(vec![1_usize, 3, 700, 20_000]))
        .prop_map(|(text, times)| text.chars().cycle().take(if text.is_empty() { 0 } else { times }).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_attributes_and_texts(
        attributes in prop::collection::hash_map(".{0,12}", any_json(), 0..400),
        title in long_text(),
        number in any::<f64>(),
        which in prop::sample::select(vec!["conversation.user.created.v2_16", "conversation.rating.added.v2_16", "ticket.resolved.v2_16", "rest.ticket.v2_16"]),
    ) {
        let attributes: Value = attributes.into_iter().collect::<serde_json::Map<_, _>>().into();
        let variant = Variant::of(which)
            .set("/custom_attributes", attributes.clone())
            .set("/ticket_attributes", attributes.clone())
            .set("/title", title.clone())
            .set("/priority", title.clone())
            .set("/tags", json!([{"name": title}, {"name": ""}, null]))
            .set("/statistics", json!({"count_reopens": number, "count_assignments": "0", "time_to_admin_reply": number}));
        let mut mara: Value = serde_json::from_slice(&fixture("rest.contact.user.v2_16")).expect("JSON");
        mara["custom_attributes"] = attributes;
        for name in ["name", "phone", "external_id", "role"] {
            mara[name] = json!(title);
        }
        mara["avatar"] = json!(format!("https://lantern.test/{title}"));
        mara["location"] = json!({"city": title, "region": title, "country": title});
        let contact = Contact::parse(&serde_json::to_vec(&mara).expect("JSON")).expect("a contact");
        check_all(&variant.bytes(), &contact);
    }
}

#[test]
fn every_fixture_keeps_the_limits() {
    let contact = Contact::parse(&fixture("rest.contact.user.v2_16")).expect("a contact");
    for name in fixture_names() {
        check_all(&fixture(&name), &contact);
    }
}

#[test]
fn named_properties_come_before_attributes() {
    let many: serde_json::Map<String, Value> = (0..400).map(|n| (n.to_string(), json!(n + 1))).collect();
    let bytes = Variant::of("conversation.rating.added.v2_16").set("/custom_attributes", many).bytes();
    let contact = Contact::parse(&fixture("rest.contact.user.v2_16")).expect("a contact");
    let event = with_findings(&bytes, &every_metric(), |findings, origin| match findings {
        [Finding::Event(activity)] => request(&event_for(activity, &contact, &every_metric(), origin)),
        other => panic!("{other:?}"),
    });
    let properties = event.expect("reads")["data"]["attributes"]["properties"].as_object().expect("properties").clone();
    assert_eq!(properties.len(), 250);
    for name in ["email", "phone_number", "Conversation Rating", "Remark", "Minutes To First Reply", "SLA Status"] {
        assert!(properties.contains_key(name), "{name}");
    }
}

#[test]
fn attributes_that_flatten_to_one_name_stand_once() {
    let attributes = json!({"a": {"b": 1}, "a.b": 2});
    let bytes = Variant::of("conversation.user.created.v2_16").set("/custom_attributes", attributes).bytes();
    check_all(&bytes, &Contact::parse(&fixture("rest.contact.user.v2_16")).expect("a contact"));
}

#[test]
fn numbers_beyond_64_bits_stay_numbers() {
    let attributes = json!({"huge": u64::MAX, "tiny": 5e-324, "vast": 1e300, "most": i64::MAX});
    let bytes = Variant::of("conversation.user.created.v2_16").set("/custom_attributes", attributes).bytes();
    check_all(&bytes, &Contact::parse(&fixture("rest.contact.user.v2_16")).expect("a contact"));
}
