//! A locked file, a full disk, a damaged row: nothing half done, nothing kept that was not answered, and well again afterwards.

use std::path::PathBuf;
use std::time::Duration;

use app::contract::START;
use app::fakes::ManualClock;
use app::ports::{Accepted, Claim, End, Inbox, Lane, Ledger, Overview, Settlement, StoreError, WorkQueue};
use bytes::Bytes;
use domain::{EventKey, Identity, SignatureScheme};
use rusqlite::Connection;
use sqlite::{SqliteOptions, SqliteStore};
use tempfile::TempDir;

struct Bench {
    store: SqliteStore,
    path: PathBuf,
    _folder: TempDir,
}

fn open(options: SqliteOptions) -> Bench {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("state.db");
    let store = SqliteStore::open(&path, options, ManualClock::at(START)).expect("it opens");
    Bench { store, path, _folder: folder }
}

impl Bench {
    fn other_program(&self) -> Connection {
        Connection::open(&self.path).expect("SQLite lets others in")
    }

    async fn accept(&self, size: usize) -> Result<(), StoreError> {
        let body = Bytes::from(vec![b'x'; size]);
        self.store.accept(Accepted { scheme: SignatureScheme::Hub, received_at: START, body }).await
    }

    async fn claim(&self, max: usize) -> Vec<app::ports::Claimed> {
        self.store.claim(Lane::Live, max, usize::MAX, Duration::from_secs(60)).await.expect("claim answers")
    }

    async fn accepted(&self) -> u64 {
        let books = self.store.books().await.expect("books answer");
        assert_eq!(books.accepted, books.in_flight + books.delivered, "{books:?}");
        books.accepted
    }
}

fn locked_soon() -> SqliteOptions {
    SqliteOptions { lock_timeout: Duration::from_millis(300), ..SqliteOptions::default() }
}

#[track_caller]
fn assert_unavailable(result: Result<(), StoreError>, word: &str) {
    match result {
        Err(error @ StoreError::Unavailable { .. }) => assert!(error.to_string().contains(word), "{error}"),
        other => panic!("should be unavailable because of {word}: {other:?}"),
    }
}

#[tokio::test]
async fn a_webhook_refused_because_of_a_lock_is_not_kept() {
    let bench = open(locked_soon());
    let other = bench.other_program();
    other.execute_batch("BEGIN EXCLUSIVE").expect("locked");
    assert_unavailable(bench.accept(100).await, "locked");
    other.execute_batch("ROLLBACK").expect("unlocked");
    assert_eq!(bench.accepted().await, 0);
    bench.accept(100).await.expect("well again");
    assert_eq!((bench.accepted().await, bench.claim(10).await.len()), (1, 1));
}

#[tokio::test]
async fn a_webhook_that_gave_up_while_the_file_was_locked_is_not_kept() {
    let bench = open(SqliteOptions::default());
    let other = bench.other_program();
    other.execute_batch("BEGIN EXCLUSIVE").expect("locked");
    let gave_up = tokio::time::timeout(Duration::from_millis(150), bench.accept(100)).await;
    assert!(gave_up.is_err(), "the lock still holds");
    other.execute_batch("ROLLBACK").expect("unlocked");
    bench.accept(100).await.expect("well again");
    assert_eq!((bench.accepted().await, bench.claim(10).await.len()), (1, 1));
}

#[tokio::test]
async fn a_webhook_that_still_waits_when_the_lock_goes_is_kept() {
    let bench = open(SqliteOptions::default());
    let other = bench.other_program();
    other.execute_batch("BEGIN EXCLUSIVE").expect("locked");
    let unlock = async {
        tokio::time::sleep(Duration::from_millis(150)).await;
        assert_eq!(bench.accepted().await, 0, "reading goes on");
        other.execute_batch("ROLLBACK").expect("unlocked");
    };
    let (result, ()) = tokio::join!(bench.accept(100), unlock);
    result.expect("the lock went in time");
    assert_eq!(bench.accepted().await, 1);
}

#[tokio::test]
async fn a_full_disk_keeps_exactly_what_was_answered() {
    let bench = open(SqliteOptions { page_limit: Some(80), ..SqliteOptions::default() });
    let mut kept = 0;
    let mut refused = 0;
    for _ in 0..10 {
        let results = futures_join(&bench, 16).await;
        kept += results.iter().filter(|result| result.is_ok()).count() as u64;
        for result in results.into_iter().filter(Result::is_err) {
            assert_unavailable(result, "full");
            refused += 1;
        }
    }
    assert!(kept > 0 && refused > 0, "{kept} kept, {refused} refused");
    assert_eq!(bench.accepted().await, kept);

    // Work done makes room. Its own rows are small, but it may need a page too, as on a real disk.
    let claimed = bench.claim(1_000).await;
    assert_eq!(claimed.len() as u64, kept);
    let settlements = claimed.into_iter().map(|claimed| Settlement {
        keys: Vec::new(),
        id: claimed.id,
        receipt: claimed.receipt,
        end: End::Delivered,
        events: Vec::new(),
        profiles: 0,
        item: None,
    });
    bench.store.settle(settlements.collect()).await.expect("deleting needs no room");
    bench.accept(3_000).await.expect("well again");
    assert_eq!(bench.accepted().await, kept + 1);
}

/// Several at once, so that they share a transaction.
async fn futures_join(bench: &Bench, count: usize) -> Vec<Result<(), StoreError>> {
    let calls: Vec<_> = (0..count)
        .map(|_| {
            let store = bench.store.clone();
            let body = Bytes::from(vec![b'x'; 3_000]);
            let accepted = Accepted { scheme: SignatureScheme::Hub, received_at: START, body };
            tokio::spawn(async move { store.accept(accepted).await })
        })
        .collect();
    let mut results = Vec::new();
    for call in calls {
        results.push(call.await.expect("no panic"));
    }
    results
}

#[tokio::test]
async fn after_an_error_that_sticks_to_the_connection_it_opens_a_new_one() {
    let bench = open(SqliteOptions::default());
    bench.accept(100).await.expect("accept answers");
    let other = bench.other_program();
    other.execute_batch("ALTER TABLE queue RENAME TO hidden").expect("renamed");
    assert_unavailable(bench.accept(100).await, "refused");
    other.execute_batch("ALTER TABLE hidden RENAME TO queue").expect("renamed back");
    bench.accept(100).await.expect("well again");
    assert_eq!((bench.accepted().await, bench.claim(10).await.len()), (2, 2));
}

#[tokio::test]
async fn a_row_that_cannot_be_read_spares_the_calls_beside_it() {
    let bench = open(SqliteOptions::default());
    bench.accept(100).await.expect("accept answers");
    let message = bench.claim(1).await.remove(0).id;
    let claim = |name: &str| {
        let identity = Identity { email: Some("jane@example.com".to_owned()), ..Identity::default() };
        Claim { key: EventKey::new("w", format_args!("{name}")).hash(), message: message.clone(), identity }
    };
    bench.store.claim_events(vec![claim("e1")]).await.expect("claim_events answer");
    bench.other_program().execute("UPDATE ledger SET identity = 'jane@example.com'", []).expect("damaged");
    let both = bench.store.claim_events(vec![claim("e2"), claim("e1")]);
    let (damaged, accepted) = tokio::join!(both, bench.accept(100));
    accepted.expect("it has nothing to do with that row");
    let error = damaged.expect_err("the row cannot be read");
    assert!(matches!(error, StoreError::Unreadable { .. }), "{error}");
    assert!(!error.to_string().contains("jane"), "{error}");
    let rows: i64 =
        bench.other_program().query_row("SELECT count(*) FROM ledger", [], |row| row.get(0)).expect("counted");
    assert_eq!(rows, 1, "all of a call or nothing");
}

#[tokio::test]
async fn calls_that_pile_up_behind_a_lock_do_not_eat_the_memory() {
    let options = SqliteOptions { backlog_bytes: 250, ..locked_soon() };
    let bench = open(options);
    let other = bench.other_program();
    other.execute_batch("BEGIN EXCLUSIVE").expect("locked");
    let (first, second, third) = tokio::join!(bench.accept(100), bench.accept(100), bench.accept(100));
    assert_unavailable(first, "locked");
    assert_unavailable(second, "locked");
    assert_unavailable(third, "too many calls");
    other.execute_batch("ROLLBACK").expect("unlocked");
    bench.accept(100).await.expect("well again");
}
