//! Support state: facts from payloads, and records under facts in any order.

use domain::contact::Contact;
use domain::intercom::{Call, read};
use domain::support::{Fact, Facts, Home, Rated, Record, Said, Summary, Version, of_notification, profile_key};
use domain::{ContactId, Identity, Rules, SignatureScheme, Verified};
use proptest::prelude::*;
use serde_json::{Value, json};

const NOW: i64 = 1_780_000_000;

fn facts(topic: &str, item: &Value) -> Facts {
    let body = json!({
        "topic": topic, "app_id": "shop", "id": "notif_1", "created_at": NOW,
        "data": { "type": "notification_event_data", "item": item },
    })
    .to_string();
    match read(Verified::from_queue(SignatureScheme::Hub, body.as_bytes())).expect("reads") {
        Call::Notification(notification) => of_notification(&Rules::default(), &notification, NOW),
        other => panic!("{other:?}"),
    }
}

fn conversation(state: &str, at: i64) -> Value {
    json!({
        "type": "conversation", "id": "c-1", "created_at": NOW - 500, "updated_at": at, "state": state,
        "source": { "author": { "type": "user", "id": "ann" } },
        "contacts": { "contacts": [{ "type": "contact", "id": "ann" }] },
        "statistics": { "count_conversation_parts": 3, "last_close_at": null, "last_contact_reply_at": NOW - 40 },
    })
}

fn ticket(category: &str, at: i64) -> Value {
    json!({
        "type": "ticket", "id": "t-1", "created_at": NOW - 500, "updated_at": at, "category": "Customer",
        "ticket_state": { "category": category },
        "contacts": { "contacts": [{ "type": "contact", "id": "ann" }] },
        "ticket_parts": { "ticket_parts": [{
            "type": "ticket_part", "id": "5", "part_type": "ticket_state_updated_by_admin", "created_at": at,
            "previous_ticket_state": "submitted", "ticket_state": category, "author": { "type": "admin", "id": "1" },
        }], "total_count": 1 },
    })
}

fn summary(reports: &[Facts]) -> Summary {
    let mut record = Record::default();
    for fact in reports.iter().flat_map(|report| &report.facts) {
        record.take(fact, NOW);
    }
    record.summary()
}

fn open(conversations: u64, tickets: u64) -> impl Fn(&Summary) -> bool {
    move |summary| (summary.open_conversations, summary.open_tickets) == (conversations, tickets)
}

#[track_caller]
fn check(reports: &[Facts], conversations: u64, tickets: u64) {
    let summary = summary(reports);
    assert!(open(conversations, tickets)(&summary), "{summary:?}");
}

#[test]
fn open_and_snoozed_conversations_are_open() {
    for (state, expected) in [("open", 1), ("snoozed", 1), ("closed", 0)] {
        check(&[facts("conversation.admin.replied", &conversation(state, NOW))], expected, 0);
    }
}

#[test]
fn a_ticket_is_open_until_it_is_resolved() {
    for (category, expected) in [("submitted", 1), ("in_progress", 1), ("waiting_on_customer", 1), ("resolved", 0)] {
        check(&[facts("ticket.state.updated", &ticket(category, NOW))], 0, expected);
    }
}

#[test]
fn reads_and_internal_tickets_say_nothing() {
    assert_eq!(facts("conversation.read", &conversation("open", NOW)), Facts::default());
    let mut internal = ticket("submitted", NOW);
    internal["category"] = json!("Back-office");
    assert_eq!(facts("ticket.created", &internal), Facts::default());
}

#[test]
fn a_conversation_that_became_a_ticket_counts_as_the_ticket() {
    let before = facts("conversation.user.created", &conversation("open", NOW - 90));
    let mut converted = conversation("open", NOW + 5);
    converted["ticket"] = json!({ "id": 1, "state": "submitted" });
    let converted = facts("conversation.admin.closed", &converted);
    let mut of_same_id = ticket("submitted", NOW);
    of_same_id["id"] = json!("c-1");
    let ticket = facts("ticket.created", &of_same_id);
    check(&[before.clone(), converted.clone()], 0, 0);
    check(&[before.clone(), ticket.clone()], 0, 1);
    // Whatever the conversation's state is: the ticket has its own.
    check(&[before, ticket, converted], 0, 1);
}

#[test]
fn what_a_contact_wrote_and_rated_is_theirs() {
    let mut item = conversation("closed", NOW);
    item["contacts"] = json!({ "contacts": [{ "id": "ann" }, { "id": "bob" }] });
    item["conversation_parts"] = json!({ "conversation_parts": [
        { "id": "1", "part_type": "comment", "body": "hi", "created_at": NOW - 7, "author": { "type": "user", "id": "bob" } },
        { "id": "2", "part_type": "comment", "body": "hello", "created_at": NOW - 6, "author": { "type": "admin", "id": "9" } },
        { "id": "3", "part_type": "comment", "body": "eh", "created_at": NOW - 5, "author": { "type": "user", "id": "cid" } },
    ] });
    item["conversation_rating"] =
        json!({ "rating": 2, "created_at": NOW - 30, "updated_at": NOW - 3, "contact": { "id": "bob" } });
    let facts = facts("conversation.rating.added", &item);
    let of = |name: &str| facts.facts.iter().find(|fact| fact.contact.as_str() == name).expect("takes part");
    assert_eq!((of("ann").wrote_at, of("ann").rated.clone()), (Some(NOW - 500), None));
    let rated = Rated { at: NOW - 3, version: NOW, thread: "c-1".to_owned(), score: 2 };
    assert_eq!((of("bob").wrote_at, of("bob").rated.clone()), (Some(NOW - 7), Some(rated)));
    let former: Vec<_> =
        facts.former.iter().map(|fact| (fact.contact.as_str(), fact.said.map(|said| said.version.left))).collect();
    assert_eq!(former, [("cid", Some(true))]);
}

#[test]
fn a_deletion_is_the_end() {
    let deleted = facts("conversation.deleted", &json!({ "type": "conversation", "conversation_id": "c-1" }));
    assert_eq!(deleted.deleted.as_deref(), Some("c-1"));
    let mut record = Record::default();
    record.take(&facts("conversation.user.created", &conversation("open", NOW)).facts[0], NOW);
    record.delete(&ContactId::new("ann"), "c-1", NOW);
    assert_eq!(record.summary().open_conversations, 0);
    record.take(&facts("conversation.admin.opened", &conversation("open", NOW + 60)).facts[0], NOW + 60);
    assert_eq!(record.summary().open_conversations, 0, "what is deleted does not open again");
}

#[test]
fn contacts_who_share_a_profile_add_up_and_a_common_thread_counts_once() {
    let mut record = Record::default();
    let mut other = conversation("open", NOW);
    other["id"] = json!("c-2");
    other["contacts"] = json!({ "contacts": [{ "id": "ann" }, { "id": "bob" }] });
    let reports =
        [facts("conversation.user.created", &conversation("open", NOW)), facts("conversation.user.replied", &other)];
    for fact in reports.iter().flat_map(|report| &report.facts) {
        record.take(fact, NOW);
    }
    assert_eq!((record.members.len(), record.summary().open_conversations), (2, 2));
}

#[test]
fn a_late_report_does_not_open_what_was_closed_and_forgotten() {
    let year = 365 * 24 * 3600;
    let mut record = Record::default();
    record.take(&facts("conversation.admin.closed", &conversation("closed", NOW)).facts[0], NOW);
    // Much later something else happens, and what is closed is forgotten.
    let other = Fact { wrote_at: Some(NOW + year), ..with_thread("c-9", NOW + year, false) };
    record.take(&other, NOW + year);
    assert!(!record.members[&ContactId::new("ann")].threads.contains_key("c-1"));
    record.take(&facts("conversation.user.created", &conversation("open", NOW - 9)).facts[0], NOW + year);
    assert_eq!(record.summary().open_conversations, 0);
}

fn with_thread(thread: &str, at: i64, open: bool) -> Fact {
    let version = Version { deleted: false, ticket: false, at, parts: 0, closed: !open, left: false, company: 0 };
    Fact {
        contact: ContactId::new("ann"),
        thread: thread.to_owned(),
        contacts: Vec::new(),
        said: Some(Said { version, unmoved_since: None }),
        wrote_at: None,
        rated: None,
        seen: at,
    }
}

#[test]
fn a_reply_in_an_open_conversation_is_written_once_a_step_unless_something_may_hide() {
    let reply = |at: i64, closed_at: Option<i64>| {
        let mut item = conversation("open", at);
        item["statistics"]["last_contact_reply_at"] = json!(at);
        item["statistics"]["last_close_at"] = json!(closed_at);
        facts("conversation.user.replied", &item).facts.remove(0)
    };
    let mut known = Record::default();
    known.take(&reply(NOW, None), NOW);
    let is_worth = |fact: &Fact, step| {
        let mut after = known.clone();
        let effect = after.take(fact, NOW);
        known.is_worth(&after, effect, step)
    };
    assert!(!is_worth(&reply(NOW + 60, None), 3600), "a minute later");
    assert!(is_worth(&reply(NOW + 60, None), 0), "exact");
    assert!(is_worth(&reply(NOW + 3600, None), 3600), "an hour later");
    assert!(is_worth(&reply(NOW + 60, Some(NOW + 30)), 3600), "closed in between, by a report that is not here yet");
    assert!(!is_worth(&reply(NOW - 60, None), 0), "an older one");
}

#[test]
fn records_read_back_and_newer_ones_are_refused() {
    let mut record = Record::default();
    record.identity.email = Some("ann@shop.test".to_owned());
    record.take(&facts("conversation.rating.added", &conversation("open", NOW)).facts[0], NOW);
    assert_eq!(Record::from_text(&record.to_text()), Ok(record.clone()));
    assert!(Record::from_text(&record.to_text().replace("\"v\":1", "\"v\":2")).is_err());
    assert!(Record::from_text("[]").is_err());
    let mut home = Home::new("profile/a".to_owned(), Some(5));
    home.move_to("profile/b".to_owned(), Some(6));
    assert_eq!(Home::from_text(&home.to_text()), Ok(home.clone()));
    assert!(!home.may_move(Some(5)) && home.may_move(Some(6)) && home.may_move(None));
    home.move_to("profile/a".to_owned(), Some(7));
    assert_eq!(home.leaving, ["profile/b"], "where it lives it does not leave");
    assert!(record.to_text().len() < 500, "{}", record.to_text());
}

#[test]
fn a_profile_is_named_by_what_klaviyo_finds_it_by() {
    let identity = |email: Option<&str>, phone: Option<&str>| Identity {
        email: email.map(str::to_owned),
        phone: phone.map(str::to_owned),
        external_id: None,
    };
    assert_eq!(profile_key(&identity(None, None)), None);
    let ann = profile_key(&identity(Some("Ann@Shop.test"), Some("+4930123456")));
    assert_eq!(ann, profile_key(&identity(Some("ann@shop.test"), None)));
    assert_ne!(ann, profile_key(&identity(None, Some("+4930123456"))));
    assert!(!ann.expect("a key").contains("shop"));
}

#[test]
fn the_profile_says_it_zero_included() {
    let contact = Contact { email: Some("ann@shop.test".to_owned()), ..Contact::with_id(ContactId::new("ann")) };
    let mut properties = domain::mapping::Properties::new(50, 5_000).keeping_zero();
    let summary = Summary { last_rating: Some(4), last_rating_at: Some(NOW), ..Summary::default() };
    summary.write(&mut properties);
    let written: Value = serde_json::from_str(&properties.finish()).expect("JSON");
    let expected = json!({
        "Intercom_open_conversations": 0, "Intercom_open_tickets": 0,
        "Intercom_last_rating": 4, "Intercom_last_rating_at": "2026-05-28T20:26:40Z",
    });
    assert_eq!(written, expected);
    assert!(contact.email.is_some());
}

fn any_fact() -> impl Strategy<Value = Fact> {
    let stand = (any::<bool>(), any::<bool>(), 0i64..6, 0u64..3);
    let wrote = proptest::option::of(0i64..9);
    let rated = proptest::option::of((0i64..5, 0i64..3, 1u32..6));
    (0..3u32, proptest::option::weighted(0.9, stand), wrote, rated).prop_map(|(thread, stand, wrote, rated)| Fact {
        contact: ContactId::new(if thread == 2 { "bob" } else { "ann" }),
        thread: format!("c-{thread}"),
        contacts: Vec::new(),
        said: stand.map(|(ticket, closed, at, parts)| Said {
            version: Version { deleted: false, ticket, at: NOW + at, parts, closed, left: false, company: 0 },
            unmoved_since: Some(NOW),
        }),
        wrote_at: wrote.map(|at| NOW + at),
        rated: rated.map(|(at, version, score)| Rated { at: NOW + at, version, thread: format!("c-{thread}"), score }),
        seen: NOW,
    })
}

proptest! {
    /// Late, doubled and reordered reports leave the same record, and it says what the newest of each says.
    #[test]
    fn order_and_doubles_do_not_matter(
        facts in proptest::collection::vec(any_fact(), 0..12),
        order in proptest::collection::vec(any::<prop::sample::Index>(), 0..30),
    ) {
        let mut straight = Record::default();
        for fact in &facts {
            straight.take(fact, NOW);
        }
        let mut shuffled = Record::default();
        if !facts.is_empty() {
            for index in order {
                shuffled.take(index.get(&facts), NOW);
            }
        }
        for fact in facts.iter().rev() {
            shuffled.take(fact, NOW);
        }
        prop_assert_eq!(&shuffled, &straight);
        let newest = |thread: &str| {
            facts.iter().filter(|fact| fact.thread == thread).filter_map(|fact| Some(fact.said?.version)).max()
        };
        let stands: Vec<Version> = ["c-0", "c-1", "c-2"].into_iter().filter_map(newest).collect();
        let count = |ticket| stands.iter().filter(|version| version.ticket == ticket && !version.closed).count() as u64;
        let summary = straight.summary();
        prop_assert_eq!((summary.open_conversations, summary.open_tickets), (count(false), count(true)));
        prop_assert_eq!(summary.last_contact_at, facts.iter().filter_map(|fact| fact.wrote_at).max());
    }

    /// What is not worth a write may be forgotten: whatever comes later, open and closed are the same.
    #[test]
    fn what_is_not_written_is_not_missed(facts in proptest::collection::vec(any_fact(), 0..14)) {
        // Reports that are honest about when the thread last moved: of each state that the thread ever had.
        let honest = |fact: &Fact| {
            let mut fact = fact.clone();
            if let Some(said) = &mut fact.said {
                said.version.parts = 0;
                let moved = facts.iter().filter(|other| other.thread == fact.thread).filter_map(|other| other.said);
                let moved = moved.map(|other| other.version).filter(|other| other.at <= said.version.at && other.closed != said.version.closed);
                said.unmoved_since = Some(moved.map(|other| other.at).max().unwrap_or(i64::MIN));
            }
            fact
        };
        let (mut lazy, mut eager) = (Record::default(), Record::default());
        for fact in facts.iter().map(honest) {
            eager.take(&fact, NOW);
            let mut after = lazy.clone();
            let effect = after.take(&fact, NOW);
            if lazy.is_worth(&after, effect, 1_000) {
                lazy = after;
            }
        }
        let (lazy, eager) = (lazy.summary(), eager.summary());
        prop_assert_eq!((lazy.open_conversations, lazy.open_tickets), (eager.open_conversations, eager.open_tickets));
        prop_assert_eq!(lazy.last_rating, eager.last_rating);
    }
}
