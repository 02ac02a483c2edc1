//! What a new process finds, and whom it meets.

use std::path::Path;
use std::time::Duration;

use app::contract::START;
use app::fakes::ManualClock;
use app::ports::{
    Accepted, Claim, ClaimOutcome, Claimed, DeadLetters, Documents, End, Inbox, ItemBooks, Lane, Ledger, Overview,
    ParkedMessages, Parking, Progress, Settlement, StoreError, WorkQueue,
};
use bytes::Bytes;
use domain::{ContactId, EventKey, Identity, SignatureScheme};
use jiff::SignedDuration;
use rusqlite::Connection;
use sqlite::{SqliteOptions, SqliteStore};

fn open(path: &Path, clock: &ManualClock) -> Result<SqliteStore, StoreError> {
    SqliteStore::open(path, SqliteOptions::default(), clock.clone())
}

async fn accept(store: &SqliteStore, body: &'static str) {
    let accepted =
        Accepted { scheme: SignatureScheme::Hub, received_at: START, body: Bytes::from_static(body.as_bytes()) };
    store.accept(accepted).await.expect("accept answers");
}

async fn claim(store: &SqliteStore) -> Vec<Claimed> {
    store.claim(Lane::Live, 10, usize::MAX, Duration::from_secs(3_600)).await.expect("claim answers")
}

async fn defer(store: &SqliteStore, claimed: &Claimed, seconds: i64) {
    let until = START + SignedDuration::from_secs(seconds);
    let end = End::Deferred { until, progress: Progress { attempts: 2, ..Progress::default() } };
    let settlement = Settlement {
        keys: Vec::new(),
        id: claimed.id.clone(),
        receipt: claimed.receipt.clone(),
        end,
        events: Vec::new(),
        profiles: 0,
        item: None,
    };
    store.settle(vec![settlement]).await.expect("settle answers");
}

#[tokio::test]
async fn what_was_claimed_is_given_out_again_and_what_was_deferred_waits_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("state.db");
    let clock = ManualClock::at(START);
    let store = open(&path, &clock).expect("it opens");
    for body in ["claimed", "deferred"] {
        accept(&store, body).await;
    }
    let before = claim(&store).await;
    defer(&store, &before[1], 60).await;
    accept(&store, "new").await;
    drop(store);

    let store = open(&path, &clock).expect("it opens again");
    let again = claim(&store).await;
    let bodies: Vec<_> = again.iter().map(|claimed| &claimed.accepted.body[..]).collect();
    assert_eq!(bodies, [&b"claimed"[..], b"new"], "the oldest first");
    assert_eq!(again[0].id, before[0].id);
    assert_ne!(again[0].receipt, before[0].receipt, "the dead process's receipt is worth nothing");
    clock.advance(Duration::from_secs(60));
    let deferred = claim(&store).await;
    assert_eq!((&deferred[0].accepted.body[..], deferred[0].progress.attempts), (&b"deferred"[..], 2));
    assert_eq!(store.books().await.expect("books answer").in_flight, 3);
}

#[tokio::test]
async fn numbers_of_messages_are_never_given_twice() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("state.db");
    let clock = ManualClock::at(START);
    let key = EventKey::new("w", format_args!("ticket-created:1")).hash();
    let wish = |claimed: &Claimed| {
        vec![Claim { key, message: claimed.id.clone(), identity: Identity { email: None, ..Identity::default() } }]
    };
    let store = open(&path, &clock).expect("it opens");
    accept(&store, "a").await;
    let first = claim(&store).await.remove(0);
    store.claim_events(wish(&first)).await.expect("claim_events answer");
    let end = End::Skipped("no match".to_owned());
    let settlement = Settlement {
        keys: Vec::new(),
        id: first.id.clone(),
        receipt: first.receipt.clone(),
        end,
        events: Vec::new(),
        profiles: 0,
        item: None,
    };
    store.settle(vec![settlement]).await.expect("settle answers");
    drop(store);

    // The queue is empty now. A message with the old number would be taken for the one that has the key.
    let store = open(&path, &clock).expect("it opens again");
    accept(&store, "b").await;
    let second = claim(&store).await.remove(0);
    assert_ne!(second.id, first.id);
    let outcomes = store.claim_events(wish(&second)).await.expect("claim_events answer");
    assert_eq!(outcomes, [ClaimOutcome::Taken]);
}

#[test]
fn a_second_process_is_refused_in_one_sentence() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("state.db");
    let clock = ManualClock::at(START);
    let store = open(&path, &clock).expect("it opens");
    let error = open(&path, &clock).err().expect("it is in use").to_string();
    assert!(error.contains("in use by another process") && error.contains("DATA_DIR"), "{error}");
    drop(store);
    open(&path, &clock).expect("the lock went with the store");
}

#[test]
fn other_files_are_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = ManualClock::at(START);
    let refused = |path: &Path, word: &str| {
        let error = open(path, &clock).err().expect("refused").to_string();
        assert!(error.contains(word), "{error}");
    };
    let text = folder.path().join("text.db");
    std::fs::write(&text, "this is no database, and long enough to be taken for one by nobody at all".repeat(20))
        .expect("written");
    refused(&text, "not an SQLite database");

    let foreign = folder.path().join("foreign.db");
    let connection = Connection::open(&foreign).expect("made");
    connection.execute_batch("CREATE TABLE theirs (a)").expect("made");
    refused(&foreign, "another program's database");

    let newer = folder.path().join("newer.db");
    drop(open(&newer, &clock).expect("made"));
    let connection = Connection::open(&newer).expect("opened");
    connection.execute_batch("UPDATE meta SET value = 99 WHERE name = 'format_version'").expect("changed");
    refused(&newer, "it has format 99");

    refused(&foreign.join("below-a-file.db"), "cannot create");
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_can_read_the_files() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("made/on/demand/state.db");
    std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
    std::fs::write(&path, "").expect("an empty file with the usual mode");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).expect("the usual mode");
    let store = open(&path, &ManualClock::at(START)).expect("it opens");
    accept(&store, "a").await;
    for suffix in ["", "-wal", "-shm", ".lock"] {
        let file = format!("{}{suffix}", path.display());
        let mode = std::fs::metadata(&file).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}

/// Made by format 1 and never changed since: whatever later formats do, this must come through.
const FORMAT_1: &str = include_str!("fixtures/format-1.sql");

#[tokio::test]
async fn a_file_of_the_first_format_still_opens() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("state.db");
    Connection::open(&path).expect("made").execute_batch(FORMAT_1).expect("filled");
    let store = open(&path, &ManualClock::at(START)).expect("it opens");
    let books = store.books().await.expect("books answer");
    assert_eq!((books.accepted, books.delivered, books.parked, books.dead, books.in_flight), (5, 1, 1, 1, 1));
    assert_eq!(books.skipped.get("no match"), Some(&1));
    assert_eq!((books.metrics[0].name.as_str(), books.metrics[0].delivered), ("Intercom Created Ticket", 1));
    let claimed = claim(&store).await;
    assert_eq!(&claimed[0].accepted.body[..], b"waiting");
    let letters = store.dead_letters(None, 10).await.expect("dead_letters answer");
    assert_eq!(letters.items[0].reason, "refused");
    let checkpoint = store.load("checkpoint").await.expect("load answers").expect("it is there");
    assert_eq!(checkpoint.body, "{}");
    assert_eq!(store.recent_events(10).await.expect("recent_events answer").len(), 1);
    let key = EventKey::new("w", format_args!("ticket-created:1")).hash();
    let wish = Claim { key, message: claimed[0].id.clone(), identity: Identity::default() };
    assert_eq!(store.claim_events(vec![wish]).await.expect("claim_events answer"), [ClaimOutcome::Taken]);
}

/// As the program that made it left it: the same file with the tables and rows of its format.
const FORMAT_2: &str = include_str!("fixtures/format-2.sql");

#[tokio::test]
async fn a_file_of_the_second_format_still_opens() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("state.db");
    Connection::open(&path).expect("made").execute_batch(&format!("{FORMAT_1}\n{FORMAT_2}")).expect("filled");
    let store = open(&path, &ManualClock::at(START)).expect("it opens");
    let book = store.item_book("history/1/tickets").await.expect("item_book answers");
    assert_eq!((book.items, book.events.delivered, book.events.dead, book.events.skipped["duplicate"]), (2, 3, 1, 1));
    let letters = store.dead_letters(None, 10).await.expect("dead_letters answer").items;
    assert_eq!((letters.len(), letters[0].reason.as_str()), (2, "refused too"));
    assert!(store.discard(&letters[0].id).await.expect("discard answers"));
    let book = store.item_book("history/1/tickets").await.expect("item_book answers");
    assert_eq!((book.events.dead, book.events.skipped["discarded"]), (0, 1), "what it left open is closed");
    assert_eq!(&claim(&store).await[0].accepted.body[..], b"waiting");
}

/// A newer program's file is left as it is, with a sentence that says what to do.
#[tokio::test]
async fn a_file_of_a_newer_format_is_refused_and_untouched() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("state.db");
    drop(open(&path, &ManualClock::at(START)).expect("made"));
    let connection = Connection::open(&path).expect("opened");
    connection
        .execute_batch(
            "UPDATE meta SET value = 99 WHERE name = 'format_version'; CREATE TABLE later (x); PRAGMA wal_checkpoint",
        )
        .expect("changed");
    drop(connection);
    let error = open(&path, &ManualClock::at(START)).err().expect("it is newer").to_string();
    assert!(error.contains("it has format 99") && error.contains("use the newer program that wrote it"), "{error}");
    let connection = Connection::open(&path).expect("opened");
    let later: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'later'", [], |row| row.get(0))
        .expect("an answer");
    assert_eq!(later, 1);
}

#[tokio::test]
async fn what_ended_leaves_no_personal_data_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("state.db");
    let store = open(&path, &ManualClock::at(START)).expect("it opens");
    for body in ["a", "b", "c", "d"] {
        accept(&store, body).await;
    }
    let parking = Parking {
        contacts: vec![ContactId::new("c1"), ContactId::new("c2")],
        next_check: START,
        expires: START,
        progress: Progress::default(),
    };
    let dead = End::Dead { reason: "refused".to_owned(), topic: "ticket.created".to_owned() };
    let ends = [End::Delivered, End::Skipped("no match".to_owned()), End::Parked(parking), dead];
    let settlements = claim(&store).await.into_iter().zip(ends).map(|(claimed, end)| Settlement {
        keys: Vec::new(),
        id: claimed.id,
        receipt: claimed.receipt,
        end,
        events: Vec::new(),
        profiles: 0,
        item: None,
    });
    store.settle(settlements.collect()).await.expect("settle answers");
    store.expire(START, "contact unknown").await.expect("expire answers");
    let letter = store.dead_letters(None, 1).await.expect("dead_letters answer").items.remove(0);
    store.discard(&letter.id).await.expect("discard answers");
    let file = Connection::open(&path).expect("opened");
    for table in ["messages", "queue", "parked", "parked_contacts", "dead_letters"] {
        let rows: i64 =
            file.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).expect("counted");
        assert_eq!(rows, 0, "{table}");
    }
}
