//! Every fixture in a snapshot: what it means, and the requests that carry it.

use crate::support::{fixture, fixture_names, rendered};
use domain::Rules;
use domain::contact::Contact;

#[track_caller]
fn check(file: &str) {
    let name = file.strip_suffix(".json").expect("a JSON file");
    snapshot(name, &rendered(&fixture(name), &Rules::default()));
}

fn snapshot(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

macro_rules! snapshots {
    ($($test:ident: $file:literal,)*) => {
        $(#[test] fn $test() { check($file); })*

        const CHECKED: &[&str] = &[$($file),*];
    };
}

snapshots! {
    conversation_created_2_11: "conversation.user.created.v2_11.json",
    conversation_created_2_16: "conversation.user.created.v2_16.json",
    conversation_replied_2_14: "conversation.user.replied.v2_14.json",
    several_parts_in_one_reply_notification: "conversation.user.replied.v2_16.json",
    teammate_replied: "conversation.admin.replied.v2_14.json",
    bot_replied: "conversation.operator.replied.v2_16.json",
    conversation_read_with_unordered_parts: "conversation.read.v2_14.json",
    rating_before_updated_at_existed: "conversation.rating.added.v2_13.json",
    rating_2_16: "conversation.rating.added.v2_16.json",
    conversation_closed: "conversation.admin.closed.v2_16.json",
    conversation_deleted: "conversation.deleted.json",
    ticket_created_2_11: "ticket.created.v2_11.json",
    ticket_created_from_a_conversation: "ticket.created.v2_16.json",
    ticket_on_hold: "ticket.state.updated.waiting.v2_14.json",
    ticket_moved_on_by_itself: "ticket.state.updated.in-progress.v2_16.json",
    ticket_resolved_as_text_state: "ticket.state.updated.resolved.v2_11.json",
    ticket_resolved_topic: "ticket.resolved.v2_16.json",
    ticket_closed_means_resolved_before_2_15: "ticket.closed.v2_13.json",
    ticket_closed_does_not_mean_resolved_since_2_15: "ticket.closed.v2_15.json",
    ticket_reply_2_14: "ticket.contact.replied.v2_14.json",
    ticket_reply_that_is_a_file: "ticket.contact.replied.v2_16.json",
    ticket_reply_of_a_teammate: "ticket.admin.replied.v2_14.json",
    legacy_ticket_with_a_contact: "ticket.contact.attached.v2_14.json",
    contact_updated: "contact.user.updated.v2_14.json",
    contact_tagged: "contact.user.tag.created.v2_16.json",
    contact_merged: "contact.merged.v2_16.json",
    ping: "ping.json",
    rest_conversation_2_16: "rest.conversation.v2_16.json",
    rest_conversation_2_11: "rest.conversation.v2_11.json",
    rest_ticket_among_conversations: "rest.conversation.is-ticket.v2_16.json",
    rest_conversation_that_became_a_ticket: "rest.conversation.converted.v2_16.json",
    rest_ticket_2_16: "rest.ticket.v2_16.json",
    rest_ticket_2_11: "rest.ticket.v2_11.json",
    rest_ticket_of_an_old_import: "rest.ticket.old-import.v2_16.json",
}

#[test]
fn contacts_in_full() {
    let read = |name: &str| Contact::parse(&fixture(name)).map(|contact| format!("{contact:#?}")).expect("reads");
    snapshot("rest.contact.user.v2_16", &read("rest.contact.user.v2_16"));
    snapshot("rest.contact.lead.v2_16", &read("rest.contact.lead.v2_16"));
}

#[test]
fn profiles_in_full() {
    let profile = |name: &str| {
        let contact = Contact::parse(&fixture(name)).expect("reads");
        let rules = Rules::default();
        let created = fixture("conversation.user.created.v2_16");
        let event = crate::support::with_findings(&created, &rules, |findings, origin| match findings {
            [domain::activity::Finding::Event(activity)] => {
                crate::support::event_for(activity, &contact, &rules, origin)
            }
            other => panic!("{other:?}"),
        });
        let request = crate::support::request(&event.expect("reads"));
        serde_json::to_string_pretty(&request["data"]["attributes"]["profile"]).expect("JSON")
    };
    snapshot("profile.user", &profile("rest.contact.user.v2_16"));
    snapshot("profile.lead", &profile("rest.contact.lead.v2_16"));
}

#[test]
fn no_fixture_is_forgotten() {
    let elsewhere =
        ["lifecycle.health-check", "lifecycle.uninstall", "rest.contact.lead.v2_16", "rest.contact.user.v2_16"];
    for name in fixture_names() {
        assert!(elsewhere.contains(&name.as_str()) || CHECKED.contains(&format!("{name}.json").as_str()), "{name}");
    }
}
