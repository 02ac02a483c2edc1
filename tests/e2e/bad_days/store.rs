//! The store cannot be written: 503, so that Intercom tries again, and never a 200 that is not kept.

use std::io::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;
use tests::binary;

use crate::support::{HOOK, SOON, World, conversation};

#[test]
fn a_locked_store_is_a_503_within_three_seconds_and_nothing_is_kept() {
    let mut world = World::start();
    let ada = world.customer("Ada Byron");
    let body = |id: &str| world.notification("conversation.user.created", &conversation(id, &ada, world.now() - 60));
    assert_eq!(world.post(&body("1")).status, 200);
    world.wait_for_end(1, SOON);

    let other = rusqlite::Connection::open(world.data_dir().join("state.db")).expect("opens");
    other.busy_timeout(Duration::from_secs(5)).expect("is set");
    other.execute_batch("BEGIN EXCLUSIVE").expect("is locked");
    for _ in 0..2 {
        let began = Instant::now();
        assert_eq!(world.post(&body("2")).status, 503);
        assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    }
    assert_eq!(world.count("accepted"), 1, "the books can be read meanwhile");
    other.execute_batch("COMMIT").expect("is unlocked");
    drop(other);

    tests::wait::until("it works again", SOON, || (world.post(&body("3")).status == 200).then_some(()));
    world.wait_for_events(2, SOON);
    let status = world.wait_until_quiet(SOON);
    assert_eq!(status["accepted"], 2, "what was answered 503 is not kept: {status}");
    assert!(!world.has_event("conversation-created:2"));
    assert!(world.has_event("conversation-created:3"));
    world.finish();
}

#[test]
fn a_delivery_that_meets_a_locked_store_is_neither_lost_nor_doubled() {
    let mut world = World::start();
    let contacts = [world.customer("Ada Byron"), world.customer("Bruno Costa")];
    world.sandbox.klaviyo().faults().push(sandbox::Fault::times(
        sandbox::Matcher::path("/api/"),
        sandbox::FaultKind::slow(Duration::from_secs(2)),
        1,
    ));
    for (id, contact) in ["1", "2"].into_iter().zip(&contacts) {
        let item = conversation(id, contact, world.now() - 60);
        assert_eq!(world.notify("conversation.user.created", &item).status, 200);
    }
    // Locked between the send and its settlement.
    let other = rusqlite::Connection::open(world.data_dir().join("state.db")).expect("opens");
    other.busy_timeout(Duration::from_secs(5)).expect("is set");
    other.execute_batch("BEGIN EXCLUSIVE").expect("is locked");
    std::thread::sleep(Duration::from_secs(4));
    other.execute_batch("COMMIT").expect("is unlocked");
    world.wait_for_events(2, SOON);
    let status = world.wait_for_end(2, SOON);
    assert_eq!(status["delivered"], 2, "{status}");
    assert_eq!(world.sandbox.klaviyo().event_count(), 2);
    world.finish();
}

#[test]
fn a_full_disk_is_a_503_and_what_was_answered_200_is_there() {
    if Command::new("prlimit").arg("--version").output().is_err() {
        let _ = writeln!(std::io::stderr(), "skipped: there is no prlimit on this machine");
        return;
    }
    const LIMIT: u64 = 600 * 1024;
    let mut world = World::vendors();
    let ada = world.customer("Ada Byron");
    let mut command = Command::new("prlimit");
    world.surround(&mut command);
    command.arg(format!("--fsize={LIMIT}")).arg("--core=0").arg(binary::path()).arg("run");
    // `env_clear` leaves no PATH to find it with.
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    world.run_as(command);

    let padding = "x".repeat(20_000);
    let (mut accepted, mut refused) = (Vec::new(), 0);
    let mut connection = world.connection();
    for n in 1..400 {
        let mut item = conversation(&n.to_string(), &ada, world.now() - 60);
        item["custom_attributes"] = json!({ "padding": padding });
        let body = world.notification("conversation.user.created", &item);
        let signature = world.signature(&body);
        let began = Instant::now();
        let answer = connection.send("POST", HOOK, &[("x-hub-signature", &signature)], &body).expect("it answers");
        assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
        match answer.status {
            200 => accepted.push(n),
            503 => refused += 1,
            other => panic!("{other}"),
        }
        if refused > 5 {
            break;
        }
    }
    assert!(refused > 0, "the disk never filled up: {} accepted", accepted.len());
    assert!(!accepted.is_empty());
    world.kill();
    world.run();
    let status = world.wait_for_end(accepted.len() as u64, SOON);
    assert_eq!(status["accepted"], accepted.len(), "no 200 is lost and no 503 is kept: {status}");
    world.wait_for_events(accepted.len(), SOON);
    for n in &accepted {
        assert!(world.has_event(&format!("conversation-created:{n}")), "{n}");
    }
    assert_eq!(world.sandbox.klaviyo().event_count(), accepted.len());
    world.finish();
}
