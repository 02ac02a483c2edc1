//! Every body that is produced, against Klaviyo's own description of the requests, where it is at hand.

use domain::contact::Contact;
use domain::klaviyo::{PreparedEvent, PreparedProfile, bulk_body};
use domain::mapping::{identity_of, properties_only};
use domain::recipes::{AssetKind, Parts, Recipe};
use domain::rules::ProfileRules;
use domain::{ContactId, Rules};
use jsonschema::Validator;
use serde_json::{Value, json};

use crate::support::{contact, events, every_metric, fixture, fixture_names, profile_alone, shared};

#[test]
#[expect(clippy::print_stderr, reason = "a test that did nothing says so")]
fn requests_fit_klaviyo_s_description() {
    let Some(path) = shared("contracts/klaviyo-2026-07-15.json") else {
        eprintln!("Klaviyo's description is not at hand: nothing checked");
        return;
    };
    let description: Value = serde_json::from_slice(&std::fs::read(path).expect("the description")).expect("JSON");
    let single = request_schema(&description, "/api/events");
    let bulk = request_schema(&description, "/api/event-bulk-create-jobs");
    let mut all: Vec<PreparedEvent> = Vec::new();
    for name in fixture_names() {
        all.extend(events(&fixture(&name), &Rules { message_text_max_chars: 500, ..every_metric() }));
    }
    assert!(all.len() > 30, "{}", all.len());
    for event in &all {
        check(&single, &event.single_body());
    }
    check(&bulk, &bulk_body(&all.iter().collect::<Vec<_>>()));
    let mara = contact(&ContactId::new("1"));
    let rules = Rules { profile: ProfileRules { external_id: true, ..ProfileRules::default() }, ..Rules::default() };
    let whole = profile_alone(&mara, &rules);
    let part = properties_only(&identity_of(&mara, &rules), |properties| properties.number("Open", Some(0.0)));
    let bare = profile_alone(&Contact { email: mara.email.clone(), ..Contact::with_id(mara.id.clone()) }, &rules);
    let profile = request_schema(&description, "/api/profile-import");
    for prepared in [&whole, &part, &bare] {
        check(&profile, &prepared.body());
    }
    assert!(!profile.is_valid(&json!({"data": {"type": "profile", "attributes": {"mail": "a"}}})));
    // The check can fail.
    assert!(!single.is_valid(&json!({"data": {"type": "event", "attributes": {"propertys": {}}}})));
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that did nothing says so")]
fn recipes_fit_klaviyo_s_description() {
    let Some(path) = shared("contracts/klaviyo-2026-07-15.json") else {
        eprintln!("Klaviyo's description is not at hand: nothing checked");
        return;
    };
    let description: Value = serde_json::from_slice(&std::fs::read(path).expect("the description")).expect("JSON");
    let schema = |kind: AssetKind| request_schema(&description, kind.path());
    let (segments, flows, templates) =
        (schema(AssetKind::Segment), schema(AssetKind::Flow), schema(AssetKind::Template));
    for sender in [None, Some(("care@shop.example".to_owned(), "Shop".to_owned()))] {
        let parts = Parts { metric: Some("M1".to_owned()), template: Some("T1".to_owned()), sender };
        for recipe in Recipe::ALL {
            let body = recipe.body(&parts).expect("all parts are there");
            let schema = if recipe.kind() == AssetKind::Segment { &segments } else { &flows };
            check(schema, body.to_string().as_bytes());
            if let Some(template) = recipe.template() {
                check(&templates, template.to_string().as_bytes());
            }
        }
    }
    // The check can fail: one word inside the condition is Klaviyo's other spelling.
    let parts = Parts { metric: Some("M1".to_owned()), ..Parts::default() };
    let body = Recipe::LowRating.body(&parts).expect("all parts are there").to_string();
    let slip: Value = serde_json::from_str(&body.replace(r#""property""#, r#""field""#)).expect("JSON");
    assert!(!segments.is_valid(&slip));
}

/// The profile that is written alone is the one that rides on events, and one that says little says nothing else.
#[test]
fn a_profile_alone_is_the_events_profile() {
    let mara = contact(&ContactId::new("1"));
    let rules = Rules::default();
    let body = |prepared: &PreparedProfile| serde_json::from_slice::<Value>(&prepared.body()).expect("JSON");
    let event = &events(&fixture("ticket.created.v2_16"), &every_metric())[0];
    let mut riding: Value = serde_json::from_str(event.profile_json()).expect("JSON");
    let alone = profile_alone(&Contact { id: event.contact.clone(), ..mara.clone() }, &rules);
    // The contact of the fixture has an attribute without a value; what it never had is not there to be taken away.
    riding["meta"] = json!({ "patch_properties": { "unset": ["Intercom: Nickname"] } });
    assert_eq!(body(&alone), json!({ "data": riding }));
    let untagged = Contact { tags: Vec::new(), tag_count: 0, ..mara.clone() };
    let unset = &body(&profile_alone(&untagged, &rules))["data"]["meta"]["patch_properties"]["unset"];
    assert_eq!(unset, &json!(["Intercom_tags", "Intercom: Nickname"]));
    let silent = Rules { profile: ProfileRules { properties: false, ..ProfileRules::default() }, ..Rules::default() };
    assert_eq!(body(&profile_alone(&untagged, &silent))["data"]["meta"], Value::Null);
    assert!(alone.texts().iter().any(|text| Some(text) == mara.email.as_ref()));
    let mail = mara.email.clone().expect("an address");
    assert!(!format!("{alone:?}").contains(&mail));
    let part = properties_only(&identity_of(&mara, &rules), |properties| properties.number("Open", Some(0.0)));
    let attributes = &body(&part)["data"]["attributes"];
    assert_eq!((&attributes["email"], &attributes["properties"]), (&json!(mail), &json!({ "Open": 0 })));
    let names: Vec<&String> = attributes.as_object().expect("an object").keys().collect();
    assert!(names.iter().all(|name| ["email", "phone_number", "properties"].contains(&name.as_str())), "{names:?}");
}

#[track_caller]
fn check(schema: &Validator, body: &[u8]) {
    let body: Value = serde_json::from_slice(body).expect("JSON");
    let errors: Vec<String> =
        schema.iter_errors(&body).map(|error| format!("{error} at {}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:#?}\n{body:#}");
}

fn request_schema(description: &Value, path: &str) -> Validator {
    let body = &description["paths"][path]["post"]["requestBody"]["content"]["application/vnd.api+json"]["schema"];
    let mut schemas = json!({"components": {"schemas": description["components"]["schemas"]}});
    to_json_schema(&mut schemas);
    let mut root = body.clone();
    root["components"] = schemas["components"].take();
    jsonschema::validator_for(&root).expect("a schema")
}

/// `OpenAPI` 3.0 is not quite JSON Schema: it has `nullable`. Members that it does not name are refused here, to catch slips.
fn to_json_schema(node: &mut Value) {
    match node {
        Value::Array(items) => items.iter_mut().for_each(to_json_schema),
        Value::Object(members) => {
            members.values_mut().for_each(to_json_schema);
            // "An integer or a number" is what it says of every filter's value; a whole number is both.
            if let Some(choice) = members.remove("oneOf") {
                members.insert("anyOf".to_owned(), choice);
            }
            if members.remove("nullable") == Some(Value::Bool(true))
                && let Some(kind @ Value::String(_)) = members.get("type").cloned()
            {
                members.insert("type".to_owned(), json!([kind, "null"]));
            }
            let named = members.get("properties").and_then(Value::as_object).is_some_and(|named| !named.is_empty());
            if named && members.get("type").is_some_and(|kind| kind == "object" || kind == &json!(["object", "null"])) {
                members.entry("additionalProperties").or_insert(Value::Bool(false));
            }
        }
        _ => {}
    }
}
