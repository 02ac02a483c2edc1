//! What goes onto a queue comes off it unchanged, by this version and by the next.

use super::*;

fn accepted(body: &[u8]) -> Accepted {
    let received_at = Timestamp::from_microsecond(1_784_102_400_123_456).expect("in range");
    Accepted { scheme: SignatureScheme::Hub, received_at, body: Bytes::copy_from_slice(body) }
}

fn record(message: OutMessage) -> QueueRecord {
    QueueRecord {
        message_id: "m1".to_owned(),
        receipt_handle: "r1".to_owned(),
        body: message.body,
        attributes: message.attributes,
        receive_count: 1,
        sent_at: 1_784_102_400_000,
    }
}

/// Bytes that nothing makes smaller.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..length).map(next).collect()
}

#[test]
fn every_body_that_fits_comes_back_unchanged() {
    let large = format!(r#"{{"text":"{}"}}"#, "words and \\u0000 words ".repeat(150_000));
    let cases: [(&[u8], &str); 7] = [
        (b"{}", "text"),
        ("{\"a\":\"\u{fffd} \u{10ffff}\"}".as_bytes(), "text"),
        ("\u{fffe}".as_bytes(), "base64"),
        (b"a\0b", "base64"),
        (b"\xff\xfe", "base64"),
        (b"", "deflate"),
        (large.as_bytes(), "deflate"),
    ];
    for (body, encoding) in cases {
        let sent = seal(&accepted(body), None);
        assert_eq!(sent.attributes["encoding"], encoding);
        assert!(!sent.body.is_empty() && sent.size() <= MAX_MESSAGE_BYTES && sent.body.chars().all(is_taken));
        match open(&record(sent)) {
            Opened::Message(back, None) => assert_eq!(back, accepted(body)),
            other => panic!("{other:?}"),
        }
    }
}

/// A human sees the beginning, and how much there was.
#[test]
fn what_nothing_makes_smaller_is_cut_and_says_so() {
    let body = noise(3 * 1024 * 1024);
    let sent = seal(&accepted(&body), None);
    assert!(sent.size() <= MAX_MESSAGE_BYTES);
    assert_eq!(sent, seal(&accepted(&body), None), "the same each time");
    let Opened::Message(back, None) = open(&record(sent)) else { panic!("a message") };
    assert!(back.body.len() > 700_000);
    let kept = back.body.windows(10).position(|window| window == b"\n[cut here").expect("the mark");
    assert_eq!(back.body[..kept], body[..kept]);
    let mark = String::from_utf8_lossy(&back.body[kept..]).into_owned();
    assert!(mark.contains("whole: 3145728 bytes, SHA-256 "), "{mark}");
}

#[test]
fn what_came_back_says_so() {
    let back = Return {
        id: MessageId::new("first"),
        generation: 3,
        from: CameFrom::Dead,
        letter: Some("0001784102400-first".to_owned()),
        progress: Progress { attempts: 1, contact_tries: 2, sent: true },
    };
    let sent = seal(&accepted(b"{}"), Some(&back));
    assert!(sent.attributes.len() <= 10, "SQS takes ten attributes");
    let Opened::Message(_, Some(opened)) = open(&record(sent)) else { panic!("a message that came back") };
    assert_eq!(opened, back);
}

/// A fixture of version 1, as it is on queues: every later version reads it.
#[test]
fn a_message_of_version_1_is_read() {
    let attributes = [("v", "1"), ("scheme", "hub"), ("received", "1784102400123456"), ("encoding", "text")];
    let mut attributes: BTreeMap<String, String> =
        attributes.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    attributes.insert("added-later".to_owned(), "is not looked at".to_owned());
    let sent = OutMessage { body: "{}".to_owned(), attributes };
    let Opened::Message(back, None) = open(&record(sent.clone())) else { panic!("a message") };
    assert_eq!(back, accepted(b"{}"));
    let mut newer = sent;
    newer.attributes.insert("v".to_owned(), "2".to_owned());
    assert!(matches!(open(&record(newer)), Opened::Newer), "a newer one is left for those who know it");
}

#[test]
fn what_is_not_ours_or_broken_is_kept_with_a_sentence() {
    let ours = seal(&accepted(b"\xff"), None);
    let changed = |name: &str, value: Option<&str>| {
        let mut message = ours.clone();
        match value {
            Some(value) => message.attributes.insert(name.to_owned(), value.to_owned()),
            None => message.attributes.remove(name),
        };
        record(message)
    };
    let broken = [
        changed("v", None),
        changed("scheme", Some("none")),
        changed("received", None),
        changed("encoding", Some("rot13")),
        changed("encoding", Some("deflate")),
        changed("id", Some("x")),
    ];
    for record in broken {
        match open(&record) {
            Opened::Foreign(kept, why) => {
                assert_eq!(kept.body.as_ref(), record.body.as_bytes());
                assert!(why.contains("message"), "{why}");
            }
            other => panic!("{other:?}"),
        }
    }
}
