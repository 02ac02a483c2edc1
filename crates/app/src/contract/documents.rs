//! Documents with compare-and-set.

use super::{Laws, PassTime, Store};
use crate::ports::Document;

pub(super) async fn run_all<S: Store, T: PassTime>(laws: &Laws<impl AsyncFn() -> (S, T)>) {
    laws.hold(
        "a_document_is_saved_only_over_the_version_that_was_read",
        a_document_is_saved_only_over_the_version_that_was_read,
    )
    .await;
    laws.hold("documents_do_not_mix", documents_do_not_mix).await;
}

async fn load<S: Store>(store: &S, name: &str) -> Option<Document> {
    store.load(name).await.expect("load answers")
}

async fn save<S: Store>(store: &S, name: &str, body: &str, expected: Option<u64>) -> bool {
    store.save(name, body, expected).await.expect("save answers")
}

/// Two owners cannot both win; the one that lost changes nothing.
pub async fn a_document_is_saved_only_over_the_version_that_was_read<S: Store, T: PassTime>(store: &S, _time: &T) {
    assert_eq!(load(store, "checkpoint").await, None);
    assert!(!save(store, "checkpoint", "{}", Some(1)).await, "there is none yet");
    assert!(!save(store, "checkpoint", "{}", Some(u64::MAX)).await);
    assert!(save(store, "checkpoint", r#"{"page":1}"#, None).await);
    assert!(!save(store, "checkpoint", "{}", None).await, "there is one already");
    let first = load(store, "checkpoint").await.expect("it was saved");
    assert_eq!(first.body, r#"{"page":1}"#);
    assert!(save(store, "checkpoint", r#"{"page":2}"#, Some(first.version)).await);
    assert!(!save(store, "checkpoint", "{}", Some(first.version)).await, "somebody was faster");
    let second = load(store, "checkpoint").await.expect("it was saved");
    assert_eq!(second.body, r#"{"page":2}"#);
    assert!(second.version > first.version);
}

/// Each name has its own versions.
pub async fn documents_do_not_mix<S: Store, T: PassTime>(store: &S, _time: &T) {
    assert!(save(store, "limits", "a", None).await);
    assert!(save(store, "workspace", "b", None).await);
    assert_eq!(load(store, "limits").await.map(|document| document.body).as_deref(), Some("a"));
    assert_eq!(load(store, "workspace").await.map(|document| document.body).as_deref(), Some("b"));
    assert_eq!(load(store, "limit").await, None);
}
