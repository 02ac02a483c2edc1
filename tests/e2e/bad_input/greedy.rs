//! Senders that want memory, time or connections.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use tests::http::Connection;
use tests::wait::until;

use crate::support::{HOOK, SOON, World};

/// Limit of a body, in bytes.
const MOST: usize = 6 * 1024 * 1024;

fn head(length: &str) -> String {
    format!("POST {HOOK} HTTP/1.1\r\nhost: x\r\nx-hub-signature: sha1={}\r\n{length}\r\n\r\n", "0".repeat(40))
}

#[test]
fn a_body_over_6_mb_is_refused_and_one_of_6_mb_is_not() {
    let world = World::start();
    let signed = |length: usize| {
        let body = vec![b' '; length];
        world.post_with(&[("x-hub-signature", &world.signature(&body))], &body).status
    };
    assert_eq!(signed(MOST), 200, "exactly 6 MB, signed: a dead letter");
    assert_eq!(signed(MOST + 1), 413);
    let status = world.wait_for_end(1, SOON);
    assert_eq!((&status["accepted"], &status["dead"]), (&1.into(), &1.into()), "{status}");
    world.finish();
}

#[test]
fn a_claim_of_100_gb_is_refused_without_reading() {
    let world = World::start();
    let before = world.peak_memory_kib();
    // The second one is larger than a length can be, and no HTTP any more.
    for (claimed, answers) in [("100000000000", 413..414), ("18446744073709551615", 400..500)] {
        let mut connection = Connection::open(world.address()).expect("it listens");
        connection.write(head(&format!("content-length: {claimed}")).as_bytes()).expect("is sent");
        // Who has heard enough may hang up before it is sent.
        let _ = connection.write(&[b'x'; 1_000]);
        let answer = connection.answer(false).expect("an answer");
        assert!(answers.contains(&answer.status), "{claimed}: {}", answer.status);
    }
    assert!(world.peak_memory_kib() < before + 4_096, "nothing was reserved for it");
    assert_eq!(world.count("accepted"), 0);
    world.finish();
}

#[test]
fn chunks_without_end_are_cut_off() {
    let world = World::start();
    let before = world.peak_memory_kib();
    let mut stream = TcpStream::connect(world.address()).expect("it listens");
    stream.set_write_timeout(Some(Duration::from_secs(10))).expect("is set");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("is set");
    stream.write_all(head("transfer-encoding: chunked").as_bytes()).expect("is sent");
    let chunk = [b"10000\r\n".as_slice(), &[b'x'; 0x1_0000], b"\r\n"].concat();
    let mut sent = 0_usize;
    // 64 MB are more than anybody should take.
    while sent < 64 * 1024 * 1024 && stream.write_all(&chunk).is_ok() {
        sent += chunk.len();
    }
    let mut answer = String::new();
    // The connection may be reset before the answer is read.
    let _ = stream.read_to_string(&mut answer);
    let cut = sent < 64 * 1024 * 1024;
    assert!(cut || answer.starts_with("HTTP/1.1 413"), "{sent} bytes were taken: {answer:?}");
    assert!(world.peak_memory_kib() < before + 16 * 1_024, "no more than one body is held");
    assert_eq!(world.count("accepted"), 0);
    world.finish();
}

#[test]
fn three_hundred_that_dribble_keep_nobody_waiting() {
    let world = World::start();
    let before = world.peak_memory_kib();
    let mut dribblers: Vec<TcpStream> = (0..300)
        .map(|n| {
            let mut stream = TcpStream::connect(world.address()).expect("it listens");
            // Some never finish their head, some dribble a body, some claim a large one.
            let start = match n % 3 {
                0 => format!("POST {HOOK} HTTP/1.1\r\nhost: x\r\n"),
                1 => head("content-length: 60000"),
                _ => head(&format!("content-length: {MOST}")),
            };
            stream.write_all(start.as_bytes()).expect("is sent");
            stream
        })
        .collect();
    let end = Instant::now() + Duration::from_secs(6);
    let mut slowest = Duration::ZERO;
    while Instant::now() < end {
        for stream in &mut dribblers {
            // Those that were cut off are.
            let _ = stream.write_all(b"x");
        }
        let began = Instant::now();
        let body = world.notification("ping", &serde_json::json!({ "type": "ping" }));
        assert_eq!(world.post(&body).status, 200);
        slowest = slowest.max(began.elapsed());
    }
    assert!(slowest < Duration::from_secs(1), "a real notification waited {slowest:?}");
    assert!(world.peak_memory_kib() < before + 32 * 1_024, "{} KiB", world.peak_memory_kib());
    // In the end they are all thrown out.
    until("the dribblers are cut off", Duration::from_secs(40), || {
        dribblers.retain_mut(|stream| stream.write_all(b"x").is_ok());
        dribblers.is_empty().then_some(())
    });
    world.wait_until_quiet(SOON);
    world.finish();
}
