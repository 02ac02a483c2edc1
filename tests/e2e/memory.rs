//! A long queue and large bodies do not make the process large.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sandbox::klaviyo::Keep;
use sandbox::{Fault, FaultKind, Matcher};
use serde_json::json;

use crate::support::{HOOK, World, conversation};

const QUEUED: usize = 20_000;
const LARGE: usize = 40;
const POSTERS: usize = 3;
/// The promise is 64 MiB for the binary as it is shipped, and `cargo bench -p benches --bench accept` holds it to that. An unoptimised
/// one has 5 MiB more of its own code in memory before it does anything, and more as it runs.
const LIMIT_KIB: u64 = if cfg!(debug_assertions) { 72 } else { 64 } * 1_024;

#[test]
fn twenty_thousand_queued_notifications_and_large_bodies_stay_small() {
    // The log of so many events is not what this is about.
    let mut world = World::start_with(&[("RUST_LOG", "info")]);
    let klaviyo = world.sandbox.klaviyo().clone();
    klaviyo.set_keep(Keep::KeysOnly);
    klaviyo.faults().push(Fault::forever(Matcher::path("/api/"), FaultKind::html(503)));
    let contacts: Vec<String> = (0..50_u8).map(|n| world.customer(&format!("Customer Nr{n:04}"))).collect();
    let started = world.now() - 600;
    // As long as a real one.
    let padding = json!({ "padding": "Hello from the test. ".repeat(110) });
    let small = |n: usize| {
        let mut item = conversation(&format!("small{n}"), &contacts[n % contacts.len()], started);
        item["custom_attributes"] = padding.clone();
        world.notification("conversation.user.created", &item)
    };
    let idle = world.peak_memory_kib();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..POSTERS {
            scope.spawn(|| {
                let mut connection = world.connection();
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= QUEUED {
                        break;
                    }
                    let body = small(n);
                    let signature = world.signature(&body);
                    let answer = connection.send("POST", HOOK, &[("x-hub-signature", &signature)], &body);
                    assert_eq!(answer.expect("it answers").status, 200);
                }
            });
        }
    });
    let after_small = world.peak_memory_kib();
    let text = "Hello from the test. ".repeat(7_000);
    let parts: Vec<_> = (0..20)
        .map(|n| {
            json!({ "id": n.to_string(), "part_type": "comment", "body": text, "created_at": started,
            "author": { "type": "user", "id": contacts[0] } })
        })
        .collect();
    let next_large = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..POSTERS {
            scope.spawn(|| {
                let mut connection = world.connection();
                loop {
                    let n = next_large.fetch_add(1, Ordering::Relaxed);
                    if n >= LARGE {
                        break;
                    }
                    let mut item = conversation(&format!("large{n}"), &contacts[0], started);
                    item["conversation_parts"] = json!({ "conversation_parts": parts, "total_count": parts.len() });
                    let body = world.notification("conversation.user.created", &item);
                    assert!(body.len() > 2_500_000, "{}", body.len());
                    let signature = world.signature(&body);
                    let answer = connection.send("POST", HOOK, &[("x-hub-signature", &signature)], &body);
                    assert_eq!(answer.expect("it answers").status, 200);
                }
            });
        }
    });
    let queued = world.peak_memory_kib();
    klaviyo.faults().clear();
    let status = world.wait_for_end((QUEUED + LARGE) as u64, Duration::from_secs(150));
    assert_eq!(status["delivered"], QUEUED + LARGE, "{status}");
    assert_eq!(klaviyo.event_count(), QUEUED + LARGE);
    let peak = world.peak_memory_kib();
    assert!(
        peak < LIMIT_KIB,
        "{peak} KiB at its peak, {queued} KiB before delivery, {after_small} KiB before the large bodies, {idle} KiB at first"
    );
    world.finish();
}
