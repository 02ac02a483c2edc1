//! Trimming before the queue loses nothing that a rule reads.

use domain::trim::{TRIM_ABOVE_BYTES, trim};
use domain::{Rules, SignatureScheme, Verified};
use serde_json::{Value, json};

use crate::support::{events, every_metric, fixture, fixture_names, lines};

fn trimmed(body: &[u8]) -> Option<Vec<u8>> {
    trim(Verified::from_queue(SignatureScheme::Hub, body))
}

const LONG: &str = "<p>It said &lt;b&gt;fresh&lt;/b&gt; &amp; it was, <em>every</em> crumb — so I&nbsp;ate it.</p>\n";

/// Makes every text long, in ways that cutting could get wrong.
fn blow_up(value: &mut Value, name: &str, seen: &mut usize) {
    match value {
        Value::Object(members) => {
            members.iter_mut().for_each(|(name, member)| blow_up(member, name, seen));
            if members.contains_key("part_type") {
                members.insert("metadata".to_owned(), json!({"raw": "x".repeat(2000)}));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| blow_up(item, name, seen)),
        Value::String(text) if name == "body" && !text.is_empty() => {
            *seen += 1;
            *text = match *seen % 4 {
                // A picture and no text; tags and no content; text; text that reads as a tag once it is plain.
                0 => format!("<p>{}<img src=\"loaf.jpg\"></p>", " ".repeat(40_000)),
                1 => format!("<p>{}</p>", "<br>".repeat(9_000)),
                2 => LONG.repeat(600),
                _ => "&lt;b&gt;".repeat(6_000),
            };
        }
        _ => {}
    }
}

fn blown_up(name: &str, shift: usize) -> Vec<u8> {
    let mut json: Value = serde_json::from_slice(&fixture(name)).expect("JSON");
    let mut seen = shift;
    blow_up(&mut json, "", &mut seen);
    // More attributes than an event takes, in an order of their own: which of them are left out must not change.
    let many: serde_json::Map<String, Value> =
        (0..300).map(|n| (format!("{} field", (n * 7919) % 1000), json!(n))).collect();
    let attributes =
        serde_json::to_string(&many).expect("JSON").replacen('{', r#"{"zz first":"1","_default_title_":"Late","#, 1);
    let text = serde_json::to_string(&json).expect("JSON");
    let text = text.replacen(r#""ticket_attributes":{"#, &format!(r#""ticket_attributes":{},"was":{{"#, attributes), 1);
    text.replacen(r#""custom_attributes":{"#, &format!(r#""custom_attributes":{attributes},"had":{{"#), 1)
        .replacen(
            r#""ticket_type_attributes":"#,
            &format!(r#""filler":"{}","ticket_type_attributes":"#, "y".repeat(30_000)),
            1,
        )
        .into_bytes()
}

#[test]
fn findings_and_requests_stay_the_same() {
    let mut compared = 0;
    for name in
        fixture_names().into_iter().filter(|name| name.starts_with("conversation.") || name.starts_with("ticket."))
    {
        for shift in 0..4 {
            let body = blown_up(&name, shift);
            let Some(smaller) = trimmed(&body) else { continue };
            assert!(smaller.len() < body.len());
            for text in [0, 40, 5_000, 20_000] {
                let rules = Rules { message_text_max_chars: text, ..every_metric() };
                assert_eq!(lines(&smaller, &rules), lines(&body, &rules), "{name} {shift}");
                assert_eq!(events(&smaller, &rules), events(&body, &rules), "{name} {shift} {text}");
                compared += events(&body, &rules).len();
            }
        }
    }
    assert!(compared > 100, "{compared} events");
}

#[test]
fn small_ones_and_what_is_no_json_stay_as_they_are() {
    assert_eq!(trimmed(&fixture("ticket.resolved.v2_16")), None);
    assert_eq!(trimmed(&vec![b'['; TRIM_ABOVE_BYTES + 1]), None);
    assert_eq!(trimmed(&vec![0xff; TRIM_ABOVE_BYTES + 1]), None);
    let list = format!("[{}1]", "1,".repeat(TRIM_ABOVE_BYTES));
    assert_eq!(trimmed(list.as_bytes()), None);
}

#[test]
fn moves_inside_one_category_stay_recognisable() {
    let again = json!({"id": "60900", "part_type": "ticket_state_updated_by_admin", "created_at": crate::support::START + 4_500,
        "ticket_state": "resolved", "previous_ticket_state": "resolved", "body": "<p>Still done.</p>".repeat(4_000)});
    let body = crate::support::Variant::of("ticket.resolved.v2_16").push("/ticket_parts/ticket_parts", again).bytes();
    let smaller = trimmed(&body).expect("trimmed");
    assert_eq!(lines(&smaller, &Rules::default()).last().map(String::as_str), Some("skipped: state unchanged"));
    assert_eq!(lines(&smaller, &Rules::default()), lines(&body, &Rules::default()));
}

#[test]
fn megabytes_of_thread_become_small() {
    let mut json: Value = serde_json::from_slice(&fixture("ticket.contact.replied.v2_16")).expect("JSON");
    let parts = json["data"]["item"]["ticket"]["ticket_parts"]["ticket_parts"].as_array_mut().expect("parts");
    let reply = parts[4].clone();
    while parts.len() < 500 {
        let mut part = reply.clone();
        part["id"] = json!(format!("9{:010}", parts.len()));
        part["body"] = json!(LONG.repeat(70));
        part["metadata"] = json!({"quick_reply_options": [{"text": "Yes"}, {"text": "No"}]});
        part["attachments"] = json!([{"name": "loaf.jpg", "url": "https://lantern.test/".repeat(8)}]);
        parts.push(part);
    }
    json["data"]["item"]["ticket"]["ticket_parts"]["total_count"] = json!(500);
    let body = serde_json::to_vec(&json).expect("JSON");
    assert!(body.len() > 3_000_000, "{}", body.len());
    let smaller = trimmed(&body).expect("trimmed");
    assert!(smaller.len() < 256 * 1024, "{}", smaller.len());
    assert_eq!(events(&smaller, &every_metric()), events(&body, &every_metric()));
}
