//! Reading never panics and never overflows: whatever comes is findings or unreadable.

use std::collections::BTreeMap;

use domain::contact::Contact;
use domain::explain::{ExplainContext, explain};
use domain::intercom::{contact_change, read, read_rest};
use domain::trim::trim;
use domain::{Rules, SignatureScheme, Verified};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::output_limits::check_limits;
use crate::support::{directory, event, every_metric, fixture, fixture_names, lines, now, with_findings};

/// Everything that reads bytes from outside, and the checks of what comes out.
fn read_all(bytes: &[u8]) {
    for scheme in [SignatureScheme::Hub, SignatureScheme::Body] {
        let _ = read(Verified::from_queue(scheme, bytes));
    }
    let verified = Verified::from_queue(SignatureScheme::Hub, bytes);
    let _ = (read_rest(bytes), contact_change(verified), Contact::parse(bytes));
    let _ = trim(verified);
    let rules = every_metric();
    with_findings(bytes, &rules, |findings, origin| {
        for finding in findings {
            if let domain::activity::Finding::Event(activity) = finding {
                check_limits(&event(activity, &rules, origin), origin);
            }
        }
    });
}

fn explain_it(bytes: &[u8]) {
    let context = ExplainContext { workspace: None, now: now(), contact: None, directory: directory() };
    let _ = explain(bytes, None, &Rules::default(), &context);
}

/// JSON of any shape, with Intercom's own names among the members.
pub(crate) fn any_json() -> impl Strategy<Value = Value> {
    let names = prop::sample::select(vec![
        "id",
        "type",
        "contacts",
        "source",
        "author",
        "body",
        "created_at",
        "ticket",
        "ticket_parts",
        "ticket_part",
        "conversation_parts",
        "conversation_rating",
        "rating",
        "part_type",
        "attachments",
        "ticket_state",
        "category",
        "x",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        prop::sample::select(vec![
            "0",
            "",
            "user",
            "comment",
            "ticket_state_updated_by_admin",
            "resolved",
            "2026-01-01T00:00:00Z"
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 48, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(names.clone().prop_map(str::to_owned), inner, 0..8).prop_map(
                |members: BTreeMap<String, Value>| members.into_iter().collect::<serde_json::Map<_, _>>().into()
            ),
        ]
    })
}

fn topics() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "conversation.user.created",
        "conversation.rating.added",
        "conversation.read",
        "conversation.user.replied",
        "conversation.operator.replied",
        "ticket.created",
        "ticket.contact.replied",
        "ticket.state.updated",
        "contact.merged",
        "ping",
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        read_all(&bytes);
        explain_it(&bytes);
    }

    #[test]
    fn any_document(json in any_json()) {
        let bytes = serde_json::to_vec(&json).expect("JSON");
        read_all(&bytes);
        explain_it(&bytes);
    }

    #[test]
    fn any_item_under_any_topic(item in any_json(), topic in topics(), at in any_json()) {
        let call = json!({"app_id": "lnl8w2q7", "topic": topic, "created_at": at, "data": {"item": item}});
        let bytes = serde_json::to_vec(&call).expect("JSON");
        read_all(&bytes);
        explain_it(&bytes);
    }

    #[test]
    fn cut_and_spoiled_fixtures(
        name in prop::sample::select(fixture_names()),
        cut in any::<prop::sample::Index>(),
        spoiled in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut bytes = fixture(&name);
        read_all(&bytes[..cut.index(bytes.len())]);
        let at = spoiled.index(bytes.len());
        bytes[at] = byte;
        read_all(&bytes);
    }
}

/// Every node of every fixture, taken out or replaced by something else.
#[test]
fn any_node_may_be_missing_or_of_another_kind() {
    let others = [
        Value::Null,
        json!(true),
        json!(0),
        json!(-1),
        json!(1e308),
        json!(u64::MAX),
        json!(""),
        json!("x"),
        json!([]),
        json!({}),
        json!([[null, {}, 7, "x"]]),
        json!({"id": {"id": []}, "total_count": -5}),
        json!("0"),
        json!(i64::MIN),
    ];
    let mut turn = 0;
    for name in fixture_names() {
        let original: Value = serde_json::from_slice(&fixture(&name)).expect("JSON");
        for path in nodes(&original) {
            for _ in 0..2 {
                turn += 1;
                let mut changed = original.clone();
                *changed.pointer_mut(&path).expect("the node") = others[turn % others.len()].clone();
                read_all(&serde_json::to_vec(&changed).expect("JSON"));
            }
            let mut without = original.clone();
            let (parent, last) = path.rsplit_once('/').expect("a path");
            match without.pointer_mut(parent).expect("the parent") {
                Value::Object(members) => drop(members.remove(&unescaped(last))),
                Value::Array(items) => drop(items.remove(last.parse().expect("an index"))),
                _ => {}
            }
            read_all(&serde_json::to_vec(&without).expect("JSON"));
        }
    }
}

/// JSON pointers of all nodes below the root.
fn nodes(value: &Value) -> Vec<String> {
    let below = |step: String, value: &Value| {
        let step = format!("/{}", step.replace('~', "~0").replace('/', "~1"));
        let inner = nodes(value).into_iter().map(|path| format!("{step}{path}"));
        std::iter::once(step.clone()).chain(inner).collect::<Vec<_>>()
    };
    match value {
        Value::Object(members) => members.iter().flat_map(|(name, member)| below(name.clone(), member)).collect(),
        Value::Array(items) => {
            items.iter().enumerate().flat_map(|(index, item)| below(index.to_string(), item)).collect()
        }
        _ => Vec::new(),
    }
}

fn unescaped(step: &str) -> String {
    step.replace("~1", "/").replace("~0", "~")
}

#[test]
fn a_hundred_thousand_brackets() {
    const DEEP: usize = 100_000;
    let lists = "[".repeat(DEEP);
    let closed = format!("{lists}{}", "]".repeat(DEEP));
    let objects = format!("{}1{}", r#"{"a":"#.repeat(DEEP), "}".repeat(DEEP));
    let tickets = format!("{}1{}", r#"{"ticket":"#.repeat(DEEP), "}".repeat(DEEP));
    let call =
        |item: &str| format!(r#"{{"topic":"ticket.created","app_id":"a","created_at":1,"data":{{"item":{item}}}}}"#);
    let field = |name: &str, value: &str| call(&format!(r#"{{"id":"1","{name}":{value}}}"#));
    let mut documents =
        vec![lists.clone(), closed.clone(), objects.clone(), tickets.clone(), call(&closed), call(&tickets)];
    for name in [
        "contacts",
        "source",
        "custom_attributes",
        "ticket_attributes",
        "ticket_parts",
        "statistics",
        "state",
        "unread",
        "tags",
    ] {
        documents.extend([field(name, &closed), field(name, &objects), field(name, &lists)]);
    }
    // As deep as the parser goes, where the frames are largest.
    documents.push(call(&format!("{}{{}}{}", r#"{"ticket":"#.repeat(120), "}".repeat(120))));
    documents.push(field("custom_attributes", &format!("{}1{}", r#"{"a":"#.repeat(120), "}".repeat(120))));
    for document in documents {
        read_all(document.as_bytes());
        explain_it(document.as_bytes());
    }
    // A field that nobody reads costs nothing, however deep it is.
    let created = String::from_utf8(fixture("conversation.user.created.v2_16")).expect("UTF-8");
    let with_depth = created.replacen(r#""topics":"#, &format!(r#""unread":{closed},"topics":"#), 1);
    assert_ne!(with_depth, created);
    let verified = Verified::from_queue(SignatureScheme::Hub, with_depth.as_bytes());
    assert!(read(verified).is_ok());
}

#[test]
fn huge_numbers_and_broken_text() {
    for number in ["1e400", "-1e400", "99999999999999999999999999", "-0", "0.0000000000000000001", "1e-400"] {
        for name in ["created_at", "id", "updated_at", "unread"] {
            let call = format!(
                r#"{{"topic":"conversation.user.created","app_id":"a","created_at":{number},"data":{{"item":{{"{name}":{number}}}}}}}"#
            );
            read_all(call.as_bytes());
            explain_it(call.as_bytes());
        }
    }
    let text = fixture("conversation.user.created.v2_16");
    let at = text.windows(4).position(|window| window == b"Rye ").expect("the title");
    for bytes in [[0xff, 0xfe, 0xfd, 0xfc], *b"\\ud8", [0xc3, b'"', b',', b'"'], [0, 1, 2, 3]] {
        let mut broken = text.clone();
        broken[at..at + 4].copy_from_slice(&bytes);
        read_all(&broken);
        explain_it(&broken);
    }
    assert_eq!(lines(br#"{"topic":"ping","data":{"item":{"type":"ping"}}}"#, &Rules::default()), ["skipped: ping"]);
}
