//! What a shop chooses.

use sandbox::intercom::{ContactSpec, Role};
use sandbox::scenario::nine_metrics;

use crate::support::{SOON, World, part};

#[test]
fn an_empty_prefix_gives_the_bare_names() {
    let world = World::with_settings(r#"metric_prefix = """#);
    let expected = nine_metrics(world.sandbox.intercom(), 1, world.now() - 600).expect("the script plays");
    world.holds_exactly(&expected, "", SOON);
    world.finish();
}

#[test]
fn metrics_that_are_off_are_skipped_by_name_and_message_text_is_cut() {
    let mut world = World::with_settings(
        r#"{"metrics": {"created_conversation": false, "teammate_replied_to_conversation": true}, "message_text_max_chars": 12}"#,
    );
    let ada = world.customer("Ada Byron");
    let intercom = world.sandbox.intercom();
    let id = intercom.start_conversation(&ada, "Where is my parcel?").expect("starts").id;
    let replied = intercom.contact_replies(&id, "Size 42 would be better").expect("replies");
    intercom.add_note(&id, "Courier says tomorrow").expect("is noted");
    intercom.admin_replies(&id, "It will be with you").expect("replies");
    world.wait_for_events(2, SOON);
    let status = world.wait_until_quiet(SOON);
    assert_eq!(status["skipped"]["metric off: Created Conversation"], 1, "{status}");
    let reply = world.event(&format!("conversation-replied:{}", part(&replied)));
    let text = reply.properties["Message"].as_str().expect("the setting asks for it");
    assert!(text.starts_with("Size 42 woul") && !text.contains("would"), "twelve characters, and a mark: {text}");
    let events = world.sandbox.klaviyo().events();
    assert_eq!(events.len(), 2, "the contact's reply and the teammate's, and no note");
    assert!(events.iter().all(|event| !format!("{:?}", event.properties).contains("Courier")));
    world.finish();
}

#[test]
fn contacts_that_the_settings_leave_out_are_skipped() {
    let mut world = World::with_settings(
        r#"contacts = { except_email_domains = ["staff.sandbox-shop.co"], identified_only = true, except_tags = ["vip"] }"#,
    );
    let intercom = world.sandbox.intercom().clone();
    let wanted = world.customer("Ada Byron");
    for email in ["boss@eu.staff.sandbox-shop.co", "lead@customers.sandbox-shop.co"] {
        world.private(email);
    }
    let staff = intercom.add_contact(ContactSpec::user("boss@eu.staff.sandbox-shop.co", "The Boss"));
    let lead = intercom
        .add_contact(ContactSpec { role: Role::Lead, ..ContactSpec::user("lead@customers.sandbox-shop.co", "A Lead") });
    let tagged = world.customer("Bruno Costa");
    intercom.tag_contact(&tagged, "vip").expect("is tagged");
    for contact in [&wanted, &staff, &lead, &tagged] {
        intercom.start_conversation(contact, "Hello?").expect("starts");
    }
    let events = world.wait_for_events(1, SOON);
    let status = world.wait_until_quiet(SOON);
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].email.as_deref(), Some("ada.byron@customers.sandbox-shop.co"));
    for rule in ["e-mail domain", "not identified", "tag"] {
        assert!(
            status["skipped"].as_object().is_some_and(|skipped| {
                skipped.keys().any(|reason| reason.contains("left out") && reason.ends_with(rule))
            }),
            "{rule}: {status}"
        );
    }
    assert_eq!(status["delivered"], 1, "{status}");
    world.finish();
}

#[test]
fn without_the_ledger_klaviyo_alone_tells_doubles_apart() {
    let mut world = World::with_settings("ledger = false");
    let ada = world.customer("Ada Byron");
    world.private("countess@customers.sandbox-shop.co");
    let intercom = world.sandbox.intercom();
    let started = intercom.start_conversation(&ada, "Where is my parcel?").expect("starts");
    world.wait_for_events(1, SOON);
    intercom.redeliver(&started.notifications[0]);
    world.wait_until_quiet(SOON);
    assert_eq!(world.sandbox.klaviyo().accepted(), 2, "it is sent again");
    assert_eq!(world.sandbox.klaviyo().event_count(), 1, "and Klaviyo folds it");
    intercom.set_email(&ada, "countess@customers.sandbox-shop.co").expect("changes");
    world.wait_until_quiet(SOON);
    intercom.redeliver(&started.notifications[0]);
    world.wait_until_quiet(SOON);
    assert_eq!(world.sandbox.klaviyo().event_count(), 2, "what the setting does without");
    world.finish();
}
