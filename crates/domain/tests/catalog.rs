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

/// Support state is not part of a single notification, and few fixtures have a bad phone number.
#[test]
fn whatever_is_in_the_catalogue_is_written() {
    let [conversations, tickets, profile] = written();
    for property in PROPERTIES {
        let name = property.name;
        let elsewhere =
            name.starts_with("Intercom_open_") || name.starts_with("Intercom_last_") || name == "Intercom_phone_raw";
        let found = match property.on {
            On::Conversations => conversations.contains(name),
            On::Tickets => tickets.contains(name),
            On::Events => conversations.contains(name) || tickets.contains(name),
            On::Profile => profile.contains(name) || elsewhere,
        };
        assert!(found, "no fixture has {name}");
    }
}
