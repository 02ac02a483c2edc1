//! Shapes that differ from the usual ones in one thing, and what they mean. Seconds count from the start of the story.

use domain::intercom::{ContactChange, Unreadable, contact_change, read};
use domain::{ContactId, Rules, SignatureScheme, Verified};
use serde_json::{Value, json};

use crate::support::{MARA, START, TOBIN, Variant, every_metric, fixture, lines};

#[track_caller]
fn check(variant: Variant, expected: &[&str]) {
    check_with(variant, &Rules::default(), expected);
}

#[track_caller]
fn check_with(variant: Variant, rules: &Rules, expected: &[&str]) {
    assert_eq!(lines(&variant.bytes(), rules), expected);
}

fn created() -> Variant {
    Variant::of("conversation.user.created.v2_16")
}

fn rated() -> Variant {
    Variant::of("conversation.rating.added.v2_16")
}

fn replied() -> Variant {
    Variant::of("conversation.user.replied.v2_14")
}

fn resolved() -> Variant {
    Variant::of("ticket.resolved.v2_16")
}

const CREATED: &str = "Created Conversation, conversation-created:90210000000101, +0 s, mara";
const READ: &str = "Read Conversation, conversation-read:90210000000101:70044, +10 s, mara";
const RATED: &str = "Rated Conversation, conversation-rated:90210000000101:1790005000, +5060 s, mara";
const SUBMITTED: &str = "Submitted Ticket, ticket-submitted:90210000000202:60002, +2 s, mara";
const ON_HOLD: &str = "Marked Ticket On Hold, ticket-on-hold:90210000000202:60004, +600 s, mara";
const IN_PROGRESS: &str = "skipped: state in progress";
const RESOLVED: &str = "Resolved Ticket, ticket-resolved:90210000000202:60007, +4000 s, mara";

fn state_part(id: &str, at: i64, from: &str, to: &str) -> Value {
    json!({"type": "ticket_part", "id": id, "part_type": "ticket_state_updated_by_workflow", "created_at": START + at,
        "author": {"type": "bot", "id": "7300"}, "ticket_state": to, "previous_ticket_state": from})
}

#[test]
fn who_began_a_conversation() {
    let not_started = ["skipped: not started by a contact"];
    check(created().set("/source/author", json!({"type": "admin", "id": "7301"})), &not_started);
    check(created().set("/source/author", json!({"type": "bot", "id": "7300"})), &not_started);
    for delivered_as in ["admin_initiated", "automated", "campaigns_initiated", "operator_initiated"] {
        check(created().set("/source/delivered_as", delivered_as), &not_started);
    }
    check(
        created().set("/source/author", json!({"type": "gateway", "id": "5"})),
        &["skipped: unknown author type: gateway"],
    );
    // The id among the contacts decides before the type does.
    check(created().set("/source/author/type", "gateway"), &[CREATED]);
    check(created().set("/source/author/type", "admin"), &[CREATED]);
    check(created().set("/source", Value::Null), &["dead: no author of its first message"]);
}

#[test]
fn lists_of_contacts_in_every_form() {
    let mara = json!({"type": "contact", "id": MARA});
    let second = json!({"type": "user", "id": "7301"});
    for contacts in [json!([mara.clone()]), json!({"contacts": [{"id": MARA, "role": "lead"}]}), json!([MARA])] {
        check(created().set("/contacts", contacts).set("/source/author/type", "gateway"), &[CREATED]);
    }
    for nobody in [Value::Null, json!({}), json!([]), json!("none"), json!({"contacts": []}), json!([null, 0, ""])] {
        check(
            created().set("/contacts", nobody.clone()).set("/source/author", second.clone()),
            &["Created Conversation, conversation-created:90210000000101, +0 s, 7301"],
        );
        check(
            resolved().set("/contacts", nobody),
            &["skipped: no contact", "skipped: no contact", IN_PROGRESS, "skipped: no contact"],
        );
    }
}

#[test]
fn ids_as_numbers_and_missing() {
    check(created().set("/id", 90_210_000_000_101_i64), &[CREATED]);
    for nothing in [Value::Null, json!(""), json!(0), json!({}), json!([1])] {
        check(created().set("/id", nothing), &["dead: no conversation id"]);
    }
    check(created().without("/created_at"), &["dead: no time of the event"]);
    check(created().set("/id", "9".repeat(300)), &["dead: no id of a usable length"]);
}

#[test]
fn times_in_every_form() {
    for same in [json!(START.to_string()), json!("2026-09-21T14:13:20.000+00:00"), json!("2026-09-21T16:13:20.9+02:00")]
    {
        check(created().set("/created_at", same), &[CREATED]);
    }
    check(created().set("/created_at", 631_151_999), &["skipped: time out of range"]);
    check(created().set("/created_at", START + 400 * 86_400), &["skipped: time out of range"]);
    // Milliseconds are no time that anything happened at.
    check(created().set("/created_at", START * 1000), &["dead: no time of the event"]);
}

#[test]
fn ratings_that_are_none() {
    for none in [Value::Null, json!({}), json!([]), json!(""), json!({"rating": null, "created_at": START})] {
        check(rated().set("/conversation_rating", none), &["skipped: rating without a score"]);
    }
    for none in [json!(0), json!(""), json!("NaN")] {
        check(rated().set("/conversation_rating/rating", none), &["skipped: rating without a score"]);
    }
    // The score of a bot's answers is another thing.
    let bots = json!({"rating": 5, "rating_remark": "good bot"});
    check(
        rated().set("/conversation_rating", Value::Null).set("/ai_agent", bots),
        &["skipped: rating without a score"],
    );
    check(
        rated().set("/conversation_rating/created_at", Value::Null),
        &["dead: no time at which the rating was asked for"],
    );
}

#[test]
fn whose_rating_and_when() {
    check(rated().set("/conversation_rating/contact/id", TOBIN), &[&RATED.replace("mara", "tobin")]);
    check(rated().without("/conversation_rating/contact"), &[RATED]);
    // Before 2.14 the part tells when; a part of an earlier request does not, and a changed score not again.
    let old = || Variant::of("conversation.rating.added.v2_13");
    let part = |at: i64| json!({"type": "conversation_part", "id": "7", "part_type": "conversation_rating_changed", "created_at": START + at});
    let with = |parts: Vec<Value>| old().set("/conversation_parts/conversation_parts", parts);
    check(with(vec![part(400), part(5090), part(5060)]), &[RATED]);
    check(with(vec![]), &[&RATED.replace("5060", "5000")]);
}

#[test]
fn reading_is_keyed_by_the_newest_part() {
    let read = || Variant::of("conversation.read.v2_14");
    check(read(), &[READ]);
    check(read().set("/conversation_parts/conversation_parts", json!([])), &[&READ.replace("70044", "start")]);
    // The reader is the contact who began it, else the first.
    let two = json!({"contacts": [{"id": TOBIN}, {"id": MARA}]});
    check(read().set("/contacts", two.clone()), &[READ]);
    check(
        read().set("/contacts", two).set("/source/author", json!({"type": "admin", "id": "7301"})),
        &[&READ.replace("mara", "tobin")],
    );
}

#[test]
fn replies_of_every_kind() {
    let reply = "Replied to Conversation, conversation-replied:70001, +300 s, mara";
    let part = |name: &str| format!("/conversation_parts/conversation_parts/0/{name}");
    check(replied(), &[reply]);
    for kind in ["comment", "assignment", "open", "close", "quick_reply", "something_new"] {
        check(replied().set(&part("part_type"), kind), &[reply]);
    }
    for kind in ["note", "note_and_reopen", "conversation_attribute_updated_by_user", "attribute_collected"] {
        check(replied().set(&part("part_type"), kind), &["skipped: no reply in it"]);
    }
    for body in [Value::Null, json!(""), json!("<p></p>"), json!("  &nbsp; ")] {
        check(replied().set(&part("body"), body), &["skipped: no reply in it"]);
    }
    check(replied().set(&part("body"), "<p><img src=\"loaf.jpg\"></p>"), &[reply]);
    check(replied().set(&part("body"), Value::Null).set(&part("attachments"), json!([{"name": "a"}])), &[reply]);
    // Merged or detached since: the type says that it is a contact.
    let gone = "64a1f0c2d3b4e5a697881200";
    check(replied().set(&part("author/id"), gone), &[&reply.replace("mara", gone)]);
    check(replied().set(&part("author"), Value::Null), &["skipped: unknown author type: none"]);
    check(replied().set(&part("id"), Value::Null), &["dead: no part id"]);
}

#[test]
fn replies_in_a_ticket_s_thread_are_the_ticket_s() {
    for topic in ["conversation.user.replied", "conversation.admin.replied", "conversation.operator.replied"] {
        let ticket = json!({"type": "ticket", "id": 1, "state": "submitted"});
        check(replied().set("^/topic", topic).set("/ticket", ticket), &["skipped: reply belongs to a ticket"]);
    }
}

#[test]
fn teammates_and_bots_have_metrics_of_their_own() {
    check_with(
        Variant::of("conversation.admin.replied.v2_14"),
        &every_metric(),
        &["Teammate Replied to Conversation, conversation-teammate-replied:70021, +400 s, mara"],
    );
    check_with(
        Variant::of("ticket.admin.replied.v2_14"),
        &every_metric(),
        &["Teammate Replied to Ticket, ticket-teammate-replied:60010, +500 s, mara", SUBMITTED],
    );
    // The notice of when somebody will answer is no reply.
    check_with(
        Variant::of("conversation.operator.replied.v2_16"),
        &every_metric(),
        &["Bot Replied to Conversation, conversation-bot-replied:70032, +5 s, mara"],
    );
}

#[test]
fn any_ticket_topic_repairs_what_was_lost() {
    for topic in
        ["ticket.state.updated", "ticket.closed", "ticket.admin.assigned", "ticket.note.created", "ticket.of.tomorrow"]
    {
        check(resolved().set("^/topic", topic), &[SUBMITTED, ON_HOLD, IN_PROGRESS, RESOLVED]);
    }
    // 24 hours back, and the newest part however old it is.
    check(resolved().set("^/created_at", START + 86_400 + 601), &[IN_PROGRESS, RESOLVED]);
    check(resolved().set("^/created_at", START + 10 * 86_400), &[RESOLVED]);
    check(resolved().set("^/created_at", Value::Null), &[RESOLVED]);
    let created = "Created Ticket, ticket-created:90210000000202, +2 s, mara";
    check(resolved().set("^/topic", "ticket.created"), &[created, SUBMITTED, ON_HOLD, IN_PROGRESS, RESOLVED]);
}

#[test]
fn parts_decide_whatever_the_ticket_says() {
    for state in [json!("in_progress"), json!({"category": "waiting_on_customer"}), Value::Null, json!(7)] {
        check(resolved().set("/ticket_state", state), &[SUBMITTED, ON_HOLD, IN_PROGRESS, RESOLVED]);
    }
    // A ticket beside other members, and one that is the item: `item.ticket ?? item`.
    let ticket = resolved().get("").clone();
    check(
        resolved().set("^/data/item", json!({"type": "x", "ticket": ticket})),
        &[SUBMITTED, ON_HOLD, IN_PROGRESS, RESOLVED],
    );
}

#[test]
fn moves_inside_one_category() {
    let parts = "/ticket_parts/ticket_parts";
    let waits_again = state_part("60100", 4500, "waiting_on_customer", "waiting_on_customer");
    check(
        resolved().push(parts, waits_again),
        &[SUBMITTED, ON_HOLD, IN_PROGRESS, RESOLVED, "skipped: state unchanged"],
    );
    // Reopened and resolved again: another event.
    let again = resolved()
        .push(parts, state_part("60100", 4500, "resolved", "in_progress"))
        .push(parts, state_part("60101", 4600, "in_progress", "resolved"));
    let second = RESOLVED.replace("60007", "60101").replace("4000", "4600");
    check(again, &[SUBMITTED, ON_HOLD, IN_PROGRESS, RESOLVED, IN_PROGRESS, &second]);
    check(
        resolved().push(parts, state_part("60100", 4500, "resolved", "simmering")),
        &[SUBMITTED, ON_HOLD, IN_PROGRESS, RESOLVED, "skipped: unknown state category: simmering"],
    );
}

#[test]
fn unordered_parts_and_parts_of_one_second() {
    let reversed: Vec<Value> = {
        let ticket = resolved();
        ticket.get("/ticket_parts/ticket_parts").as_array().expect("parts").iter().rev().cloned().collect()
    };
    check(resolved().set("/ticket_parts/ticket_parts", reversed), &[SUBMITTED, ON_HOLD, IN_PROGRESS, RESOLVED]);
    // The later in position is the newer: only it is always reported.
    let parts = json!([
        state_part("1", 5, "submitted", "waiting_on_customer"),
        state_part("2", 5, "waiting_on_customer", "resolved")
    ]);
    let one_second = resolved().set("/ticket_parts", json!({"ticket_parts": parts, "total_count": 2}));
    check(
        one_second.set("^/created_at", START + 10 * 86_400),
        &["Resolved Ticket, ticket-resolved:90210000000202:2, +5 s, mara"],
    );
}

#[test]
fn the_cap_hides_the_first_parts() {
    // The first visible part may be the first, which counts, or a move inside one category: that is hidden.
    check(
        resolved().set("/ticket_parts/total_count", 900),
        &["skipped: state history cut", ON_HOLD, IN_PROGRESS, RESOLVED],
    );
    let rest = || Variant::of("rest.ticket.v2_16").set("/ticket_parts/total_count", 900);
    let created = "Created Ticket, ticket-created:90210000000202, +0 s, mara";
    let reply = "Replied to Ticket, ticket-replied:60005, +900 s, mara";
    check(rest(), &[created, "skipped: state history cut", ON_HOLD, IN_PROGRESS, RESOLVED, reply]);
    let unseen = resolved().set("/ticket_parts/total_count", 900).set("/ticket_parts/ticket_parts", json!([]));
    check(unseen, &["skipped: state history cut"]);
    let none = rest().set("/ticket_parts/ticket_parts", json!([]));
    check(none, &[created, "skipped: state history cut"]);
}

#[test]
fn tickets_without_state_parts() {
    let old = || Variant::of("rest.ticket.old-import.v2_16");
    let created = "Created Ticket, ticket-created:90210000000202, +0 s, mara";
    let submitted = "Submitted Ticket, ticket-submitted:90210000000202:estimated, +0 s, mara, estimated";
    let resolved = "Resolved Ticket, ticket-resolved:90210000000202:estimated, +200000 s, mara, estimated";
    let reply = "Replied to Ticket, ticket-replied:60021, +100 s, mara";
    check(old(), &[created, submitted, resolved, reply]);
    check(old().set("/ticket_state", "resolved"), &[created, submitted, resolved, reply]);
    check(old().set("/ticket_state", "in_progress"), &[created, submitted, reply]);
    // Younger than a day: its first state part may still come.
    let young = old().set("/created_at", START + 259_200 - 3600);
    check(young, &[&created.replace("+0", "+255600"), "skipped: no state change", reply]);
    // Live never estimates.
    let live = Variant::of("ticket.created.v2_16").set("/ticket_parts", json!({"ticket_parts": [], "total_count": 0}));
    check(live, &[created]);
    let live = Variant::of("ticket.state.updated.waiting.v2_14").set("/ticket_parts", Value::Null);
    check(live, &["skipped: no state change"]);
}

#[test]
fn replies_older_than_the_ticket_are_the_conversation_s() {
    let part = json!({"type": "ticket_part", "id": "60200", "part_type": "comment", "created_at": START + 1, "body": "Hello?",
        "author": {"type": "user", "id": MARA}});
    let conversation = "Replied to Conversation, conversation-replied:60200, +1 s, mara";
    check(
        Variant::of("rest.ticket.old-import.v2_16")
            .set("/ticket_parts/ticket_parts", json!([part, state_part("60201", 2, "submitted", "submitted")])),
        &[
            "Created Ticket, ticket-created:90210000000202, +2 s, mara",
            "Submitted Ticket, ticket-submitted:90210000000202:60201, +2 s, mara",
            conversation,
        ],
    );
    check(Variant::of("ticket.contact.replied.v2_14").set("/ticket_part", part), &[conversation, SUBMITTED, ON_HOLD]);
    // Within one second it is the ticket's.
    let at_once = Variant::of("ticket.contact.replied.v2_14").set("/ticket_part/created_at", START + 2);
    check(at_once, &["Replied to Ticket, ticket-replied:60005, +2 s, mara", SUBMITTED, ON_HOLD]);
    // The conversation that it was, read whole, gives the same; where its list is cut, the ticket's own list speaks.
    let converted = || Variant::of("rest.conversation.converted.v2_16");
    let begun = "Created Conversation, conversation-created:90210000000202, +0 s, mara";
    check(
        converted(),
        &[
            begun,
            "Replied to Conversation, conversation-replied:70071, +60 s, mara",
            "Replied to Conversation, conversation-replied:70072, +90 s, mara",
        ],
    );
    check(converted().set("/conversation_parts/total_count", 700), &[begun]);
}

#[test]
fn tickets_for_teammates_are_left_out() {
    for category in ["Back-office", "Tracker", "back_office", "task", "tracker"] {
        check(resolved().set("/category", category), &["skipped: back-office or tracker ticket"]);
        let by_type = resolved().without("/category").set("/ticket_type/category", category);
        check(by_type, &["skipped: back-office or tracker ticket"]);
    }
    check(resolved().set("/ticket_type/is_internal", true), &["skipped: back-office or tracker ticket"]);
    let all = Rules { internal_tickets: true, ..Rules::default() };
    check_with(resolved().set("/category", "Tracker"), &all, &[SUBMITTED, ON_HOLD, IN_PROGRESS, RESOLVED]);
}

#[test]
fn tickets_among_search_results() {
    let listed = || Variant::of("rest.conversation.is-ticket.v2_16");
    check(listed(), &["skipped: is a ticket"]);
    check(listed().set("/source/type", "unknown"), &["skipped: is a ticket"]);
    check(listed().set("/source", Value::Null), &["skipped: is a ticket"]);
    // A customer's conversation that was converted later counts; so does the rating of one that a teammate began.
    let rest = || Variant::of("rest.conversation.v2_16");
    check(rest().set("/ticket", json!({"id": 5})), &[CREATED, RATED]);
    check(rest().set("/source/delivered_as", "admin_initiated"), &["skipped: not started by a contact", RATED]);
}

#[test]
fn topics_without_an_event() {
    for topic in [
        "conversation.admin.opened",
        "conversation.admin.snoozed",
        "conversation.admin.unsnoozed",
        "conversation.admin.noted",
    ] {
        check(
            Variant::of("conversation.admin.closed.v2_16").set("^/topic", topic),
            &[&format!("skipped: no event: {topic}")],
        );
    }
    check(created().set("^/topic", "conversation.of.tomorrow"), &["skipped: unknown topic: conversation.of.tomorrow"]);
    check(created().set("^/topic", "contact.deleted"), &["skipped: contact change"]);
}

#[test]
fn calls_about_the_app_itself() {
    let call =
        |name: &str| read(Verified::from_queue(SignatureScheme::Body, &fixture(name))).map(|call| format!("{call:?}"));
    assert_eq!(call("lifecycle.health-check"), Ok("HealthCheck".to_owned()));
    assert_eq!(call("lifecycle.uninstall"), Ok("Uninstall".to_owned()));
}

#[test]
fn notifications_without_a_topic_or_an_item() {
    let unreadable = |variant: Variant| {
        let bytes = variant.bytes();
        read(Verified::from_queue(SignatureScheme::Hub, &bytes)).map(|_| ()).expect_err("unreadable")
    };
    assert_eq!(unreadable(created().set("^/topic", Value::Null)), Unreadable::Missing("topic"));
    for nothing in [Value::Null, json!([]), json!("x")] {
        assert_eq!(unreadable(created().set("^/data/item", nothing.clone())), Unreadable::Missing("data.item"));
        assert_eq!(unreadable(created().set("^/data", nothing)), Unreadable::Missing("data.item"));
    }
}

#[test]
fn contacts_of_notifications() {
    let read = |bytes: &[u8]| contact_change(Verified::from_queue(SignatureScheme::Hub, bytes));
    let of = |name: &str| read(&fixture(name));
    let mara = of("contact.user.updated.v2_14").expect("a contact").contact;
    assert_eq!((mara.id.as_str(), mara.email.as_deref()), (MARA, Some("mara@lantern.test")));
    let merged = of("contact.merged.v2_16").expect("a contact");
    assert_eq!(merged, ContactChange { contact: mara, merged_from: None }, "dates differ, and nothing else");
    let tagged = of("contact.user.tag.created.v2_16").expect("a contact").contact;
    assert_eq!((tagged.id.as_str(), tagged.tags.len()), (MARA, 1), "the contact is inside");
    let named = Variant::of("contact.merged.v2_16").set("/merged_from", json!({"type": "contact", "id": TOBIN}));
    assert_eq!(read(&named.bytes()).and_then(|change| change.merged_from), Some(ContactId::new(TOBIN)));
    for odd in [Value::Null, json!(7), json!([]), json!({}), json!({"id": null})] {
        let bytes = Variant::of("contact.merged.v2_16").set("/merged_from", odd.clone()).set("/contact", odd).bytes();
        assert_eq!(read(&bytes).as_ref(), Some(&merged));
    }
    assert!(of("conversation.deleted").is_none());
}
