//! Records of support state.

use super::{Laws, PassTime, Store};
use crate::ports::{Document, Look, RecordWrite};

pub(super) async fn run_all<S: Store, T: PassTime>(laws: &Laws<impl AsyncFn() -> (S, T)>) {
    laws.hold(
        "a_record_is_saved_only_over_the_version_that_was_read",
        a_record_is_saved_only_over_the_version_that_was_read,
    )
    .await;
    laws.hold("one_conflict_does_not_stop_the_others", one_conflict_does_not_stop_the_others).await;
    laws.hold("records_come_in_the_order_of_the_keys", records_come_in_the_order_of_the_keys).await;
}

fn write(key: &str, body: &str, expected: Option<u64>) -> RecordWrite {
    RecordWrite { key: key.to_owned(), body: body.to_owned(), expected }
}

async fn save<S: Store>(store: &S, writes: Vec<RecordWrite>) -> Vec<bool> {
    store.save_support_records(writes).await.expect("save answers")
}

async fn records<S: Store>(store: &S, keys: &[&str]) -> Vec<Option<Document>> {
    let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
    store.support_records(&keys, Look::Exact).await.expect("records answer")
}

/// Two owners cannot both win; the one that lost changes nothing.
pub async fn a_record_is_saved_only_over_the_version_that_was_read<S: Store, T: PassTime>(store: &S, _time: &T) {
    assert_eq!(save(store, vec![write("profile/a", "x", Some(1))]).await, [false], "there is none yet");
    assert_eq!(save(store, vec![write("profile/a", "one", None)]).await, [true]);
    assert_eq!(save(store, vec![write("profile/a", "x", None)]).await, [false], "there is one already");
    let first = records(store, &["profile/a"]).await.remove(0).expect("it was saved");
    assert_eq!(first.body, "one");
    assert_eq!(save(store, vec![write("profile/a", "two", Some(first.version))]).await, [true]);
    assert_eq!(save(store, vec![write("profile/a", "x", Some(first.version))]).await, [false], "somebody was faster");
    assert_eq!(save(store, vec![write("profile/a", "x", Some(u64::MAX))]).await, [false]);
    let second = records(store, &["profile/a"]).await.remove(0).expect("it was saved");
    assert_eq!(second.body, "two");
    assert!(second.version > first.version);
}

/// A batch is many wishes, not one.
pub async fn one_conflict_does_not_stop_the_others<S: Store, T: PassTime>(store: &S, _time: &T) {
    assert_eq!(save(store, Vec::new()).await, [false; 0]);
    assert_eq!(save(store, vec![write("b", "old", None)]).await, [true]);
    let wishes = vec![write("a", "new", None), write("b", "new", None), write("c", "new", None)];
    assert_eq!(save(store, wishes).await, [true, false, true]);
    let bodies: Vec<_> = records(store, &["a", "b", "c"]).await.into_iter().flatten().map(|one| one.body).collect();
    assert_eq!(bodies, ["new", "old", "new"]);
}

/// What is not there is a gap, and documents are elsewhere.
pub async fn records_come_in_the_order_of_the_keys<S: Store, T: PassTime>(store: &S, _time: &T) {
    assert_eq!(save(store, vec![write("a", "1", None), write("b", "2", None)]).await, [true, true]);
    assert!(store.save("c", "a document", None).await.expect("save answers"));
    let found = records(store, &["b", "c", "a", "b"]).await;
    let bodies: Vec<_> = found.iter().map(|one| one.as_ref().map(|one| one.body.as_str())).collect();
    assert_eq!(bodies, [Some("2"), None, Some("1"), Some("2")]);
    assert_eq!(records(store, &[]).await, []);
    assert_eq!(store.load("a").await.expect("load answers"), None);
}
