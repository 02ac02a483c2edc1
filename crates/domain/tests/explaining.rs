//! `explain` says what becomes of every field, and says the truth: what it calls dropped changes nothing.

use domain::Rules;
use domain::explain::{ExplainContext, Explanation, explain};
use domain::klaviyo::PreparedEvent;
use serde_json::{Value, json};

use crate::support::{WORKSPACE, contact, directory, events, every_metric, fixture, fixture_names, now, request};

fn explained(input: &[u8], rules: &Rules) -> Explanation {
    let context = ExplainContext {
        workspace: Some(WORKSPACE.to_owned()),
        now: now(),
        contact: Some(contact(&domain::ContactId::new(crate::support::MARA))),
        directory: directory(),
    };
    explain(input, None, rules, &context)
}

/// Paths of all scalars and empty lists and objects.
fn leaves(value: &Value, path: &str, found: &mut Vec<String>) {
    let join = |step: &str| if path.is_empty() { step.to_owned() } else { format!("{path}.{step}") };
    match value {
        Value::Object(members) if !members.is_empty() => {
            members.iter().for_each(|(name, member)| leaves(member, &join(name), found));
        }
        Value::Array(items) if !items.is_empty() => {
            items.iter().enumerate().for_each(|(index, item)| leaves(item, &join(&index.to_string()), found));
        }
        _ => found.push(path.to_owned()),
    }
}

#[test]
fn every_field_has_a_fate() {
    for name in fixture_names() {
        let input = fixture(&name);
        let json: Value = serde_json::from_slice(&input).expect("JSON");
        let mut expected = Vec::new();
        leaves(&json, "", &mut expected);
        let fields = explained(&input, &Rules::default()).fields;
        let mut named: Vec<String> = fields.iter().map(|field| field.path.clone()).collect();
        expected.sort();
        named.sort();
        assert_eq!(named, expected, "{name}");
        assert!(fields.iter().all(|field| !field.fate.is_empty()), "{name}");
    }
}

#[test]
fn its_events_are_those_of_production() {
    for name in fixture_names() {
        let input = fixture(&name);
        let told: Vec<_> =
            explained(&input, &every_metric()).events.into_iter().map(|event| (event.key, event.request)).collect();
        let mut sent: Vec<_> = events(&input, &every_metric())
            .iter()
            .map(|event| (event.key.as_str().to_owned(), request(event)))
            .collect();
        // Given a contact, `explain` takes it as it is, whoever's event it is.
        for (_, request) in &mut sent {
            request["data"]["attributes"]["profile"]["data"]["attributes"]["properties"]["Intercom contact ID"] =
                json!(crate::support::MARA);
        }
        assert_eq!(told, sent, "{name}");
    }
}

#[test]
fn what_is_dropped_changes_nothing() {
    let rules = every_metric();
    let mut untrue = Vec::new();
    let sent = |json: &Value| -> Vec<PreparedEvent> { events(&serde_json::to_vec(json).expect("JSON"), &rules) };
    for name in
        fixture_names().into_iter().filter(|name| !name.starts_with("lifecycle") && !name.starts_with("rest.contact"))
    {
        let input = fixture(&name);
        let json: Value = serde_json::from_slice(&input).expect("JSON");
        let before = sent(&json);
        for field in explained(&input, &rules).fields {
            if field.fate.starts_with("dropped") {
                let mut changed = json.clone();
                let leaf = changed.pointer_mut(&pointer(&field.path)).expect("the leaf");
                *leaf = if leaf.is_number() { json!(1_790_012_345) } else { json!("1790012345") };
                if sent(&changed) != before {
                    untrue.push(format!("{name}: {} is {}", field.path, field.fate));
                }
            }
        }
    }
    assert!(untrue.is_empty(), "{untrue:#?}");
}

fn pointer(path: &str) -> String {
    format!("/{}", path.replace('.', "/"))
}

#[test]
fn lists_in_other_forms_are_explained_alike() {
    let fate = |contacts: Value, path: &str| {
        let created = crate::support::Variant::of("conversation.user.created.v2_16").set("/contacts", contacts);
        let fields = explained(&created.bytes(), &Rules::default()).fields;
        fields.into_iter().find(|field| field.path == path).map(|field| field.fate)
    };
    let expected = Some("decides: whose event it is".to_owned());
    assert_eq!(fate(json!({"contacts": [{"id": "5"}]}), "data.item.contacts.contacts.0.id"), expected);
    assert_eq!(fate(json!([{"id": "5"}]), "data.item.contacts.0.id"), expected);
    assert_eq!(fate(json!({"data": [{"id": "5"}]}), "data.item.contacts.data.0.id"), expected);
}
