//! The laws of the storage ports hold for the SQLite file.

use app::contract;
use app::fakes::ManualClock;
use sqlite::{SqliteOptions, SqliteStore};

#[tokio::test]
async fn it_keeps_the_contract() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = std::cell::Cell::new(0);
    contract::run_all(async || {
        made.set(made.get() + 1);
        let clock = ManualClock::at(contract::START);
        let path = folder.path().join(format!("{}.db", made.get()));
        let store = SqliteStore::open(&path, SqliteOptions::default(), clock.clone()).expect("it opens");
        (store, clock)
    })
    .await;
}
