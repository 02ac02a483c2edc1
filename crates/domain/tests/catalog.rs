//! The catalogue of properties against what the mapping writes for every fixture.

use std::collections::BTreeSet;

use domain::Rules;
use domain::mapping::catalog::{On, PROPERTIES};
use serde_json::Value;

use crate::support::{events, every_metric, fixture, fixture_names, request};

/// Written names: on conversation events, on ticket events, on the profile. Attributes fold into the catalogue's form.
fn written() -> [BTreeSet<String>; 3] {
    let rules = Rules { message_text_max_chars: 500, internal_tickets: true, ..every_metric() };
    let mut written = [BTreeSet::new(), BTreeSet::new(), BTreeSet::new()];
    for name in fixture_names() {
        for event in events(&fixture(&name), &rules) {
            let on = usize::from(event.metric.contains("Ticket"));
            let sent = request(&event);
            let attributes = &sent["data"]["attributes"];
            take(&attributes["properties"], &mut written[on]);
            take(&attributes["profile"]["data"]["attributes"]["properties"], &mut written[2]);
        }
    }
    written
}

fn take(properties: &Value, names: &mut BTreeSet<String>) {
    for name in properties.as_object().into_iter().flatten().map(|(name, _)| name.as_str()) {
        let folded = match name {
            _ if name.starts_with("Attribute: ") => "Attribute: {name}",
            _ if name.starts_with("Intercom: ") => "Intercom: {name}",
            name => name,
        };
        names.insert(folded.to_owned());
    }
}

#[test]
fn whatever_is_written_is_in_the_catalogue() {
    let [conversations, tickets, profile] = written();
    let listed = |on: On, name: &str| PROPERTIES.iter().any(|property| property.on == on && property.name == name);
    for name in &conversations {
        assert!(listed(On::Conversations, name) || listed(On::Events, name), "{name} of conversations");
    }
    for name in &tickets {
        assert!(listed(On::Tickets, name) || listed(On::Events, name), "{name} of tickets");
    }
    for name in &profile {
        assert!(listed(On::Profile, name), "{name} of profiles");
    }
}

/// Either a fixture has it, or at least the mapping knows its name: no notification has every field there is.
#[test]
fn whatever_is_in_the_catalogue_can_be_written() {
    const MAPPING: [&str; 4] = [
        include_str!("../src/mapping.rs"),
        include_str!("../src/mapping/conversation.rs"),
        include_str!("../src/mapping/profile.rs"),
        include_str!("../src/mapping/ticket.rs"),
    ];
    let [conversations, tickets, profile] = written();
    for property in PROPERTIES {
        let name = property.name;
        // Written with a record of their own, see the support state.
        if name.starts_with("Intercom_open_") || name.starts_with("Intercom_last_") {
            continue;
        }
        let found = match property.on {
            On::Conversations => conversations.contains(name),
            On::Tickets => tickets.contains(name),
            On::Events => conversations.contains(name) || tickets.contains(name),
            On::Profile => profile.contains(name),
        };
        let known = MAPPING.iter().any(|source| source.contains(&format!("\"{name}\"")));
        assert!(found || known, "nothing writes {name}");
    }
}
