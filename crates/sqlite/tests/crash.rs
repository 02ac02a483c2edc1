//! Killed at any moment: what was answered is there, and the books add up.
//!
//! The test starts itself again as a child that accepts, claims and settles as fast as it can, and kills it. The child writes
//! down what it is about to do and what was answered; a line that was written survives the kill, as does what SQLite wrote.

#[path = "crash/child.rs"]
mod child;
#[path = "crash/journal.rs"]
mod journal;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use app::ports::{Lane, Overview, WorkQueue};
use journal::Journal;
use rusqlite::Connection;
use sqlite::{SqliteOptions, SqliteStore};

const ROUNDS: u64 = 25;
const FOLDER: &str = "SQLITE_CRASH_TEST_FOLDER";

/// Does nothing unless the other test started it.
#[test]
fn the_child() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        child::work(Path::new(&folder));
    }
}

#[test]
fn killed_at_any_moment_nothing_answered_is_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut killed_at_work = 0;
    for round in 0..ROUNDS {
        let before = Journal::read(folder.path()).answered.len();
        let mut child = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "the_child"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("the child starts");
        std::thread::sleep(Duration::from_millis(20 + moment(round) % 300));
        child.kill().expect("it is killed");
        child.wait().expect("it is gone");
        let journal = Journal::read(folder.path());
        killed_at_work += u64::from(journal.answered.len() > before);
        check(&folder.path().join("state.db"), &journal);
    }
    assert!(killed_at_work > ROUNDS / 3, "the child was killed before it did anything: {killed_at_work}");
    all_is_served_again(folder.path());
}

/// Somewhere in the child's life; the clock's digits are random enough.
fn moment(round: u64) -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    u64::from(now.subsec_nanos()) / 1_000 + round * 37
}

fn check(path: &Path, journal: &Journal) {
    if !path.exists() || std::fs::metadata(path).is_ok_and(|file| file.len() == 0) {
        assert!(journal.answered.is_empty(), "answered before there was a file");
        return;
    }
    let file = Connection::open(path).expect("it opens");
    let health: String = file.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("checked");
    assert_eq!(health, "ok");
    let tables: i64 = file.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).expect("counted");
    if tables == 0 {
        assert!(journal.answered.is_empty(), "answered before there were tables");
        return;
    }
    rows_and_books_agree(&file);

    let number = |sql: &str| file.query_row(sql, [], |row| row.get::<_, i64>(0)).expect("counted").unsigned_abs();
    let mut statement = file.prepare("SELECT substr(body, 1, 12) FROM messages").expect("prepared");
    let kept: std::collections::HashSet<u64> = statement
        .query_map([], |row| row.get::<_, Vec<u8>>(0))
        .expect("read")
        .map(|body| String::from_utf8(body.expect("read")).expect("digits").parse().expect("digits"))
        .collect();
    for message in &journal.answered {
        assert!(kept.contains(message) || journal.ending.contains(message), "{message} was answered and is lost");
    }
    for message in &journal.ended {
        assert!(!kept.contains(message), "{message} was ended and is back");
    }
    let accepted = number("SELECT accepted FROM totals");
    assert!((journal.answered.len() as u64..=journal.asked.len() as u64).contains(&accepted), "{accepted}");
    let ended = number("SELECT delivered + (SELECT coalesce(sum(messages), 0) FROM skipped) FROM totals");
    assert!((journal.ended.len() as u64..=journal.ending.len() as u64).contains(&ended), "{ended}");
}

/// The books are counted along; here the rows are counted afresh.
fn rows_and_books_agree(file: &Connection) {
    const PAIRS: [(&str, &str); 6] = [
        ("SELECT in_flight FROM totals", "SELECT count(*) FROM queue WHERE lane = 0"),
        ("SELECT parked FROM totals", "SELECT count(*) FROM parked"),
        ("SELECT dead FROM totals", "SELECT count(*) FROM dead_letters"),
        ("SELECT in_flight + parked + dead FROM totals", "SELECT count(*) FROM messages"),
        ("SELECT coalesce(sum(delivered), 0) FROM metrics", "SELECT count(*) FROM ledger WHERE sent"),
        (
            "SELECT accepted FROM totals",
            "SELECT delivered + parked + dead + in_flight + (SELECT coalesce(sum(messages), 0) FROM skipped) FROM totals",
        ),
    ];
    for (books, rows) in PAIRS {
        let number = |sql: &str| file.query_row(sql, [], |row| row.get::<_, i64>(0)).expect("counted");
        assert_eq!(number(books), number(rows), "{books} should be {rows}");
    }
}

fn all_is_served_again(folder: &Path) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let store = SqliteStore::open(&folder.join("state.db"), SqliteOptions::default(), child::SystemClock)
            .expect("it opens");
        let in_flight = store.books().await.expect("books answer").in_flight;
        let mut served = 0;
        loop {
            let batch = store.claim(Lane::Live, 1_000, usize::MAX, Duration::from_secs(3_600)).await.expect("claimed");
            if batch.is_empty() {
                break;
            }
            served += batch.len() as u64;
        }
        assert_eq!(served, in_flight, "what was claimed when it was killed is visible again");
    });
}
