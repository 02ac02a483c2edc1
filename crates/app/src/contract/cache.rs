//! What is remembered for a while.

use std::time::Duration;

use jiff::SignedDuration;

use super::{Laws, PassTime, Store};
use crate::ports::Retention;

pub(super) async fn run_all<S: Store, T: PassTime>(laws: &Laws<impl AsyncFn() -> (S, T)>) {
    laws.hold("values_come_back_in_the_order_of_the_keys", values_come_back_in_the_order_of_the_keys).await;
    laws.hold("values_expire_and_are_cleaned_up", values_expire_and_are_cleaned_up).await;
    laws.hold("values_are_replaced_and_forgotten", values_are_replaced_and_forgotten).await;
}

async fn cached<S: Store, T: PassTime>(store: &S, time: &T, keys: &[&str]) -> Vec<Option<String>> {
    let keys: Vec<_> = keys.iter().map(|key| (*key).to_owned()).collect();
    store.cached(&keys, time.now()).await.expect("cached answers")
}

async fn remember<S: Store, T: PassTime>(store: &S, time: &T, entries: &[(&str, &str)], seconds: i64) {
    let entries = entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    store.remember(entries, time.now() + SignedDuration::from_secs(seconds)).await.expect("remember answers");
}

fn values(expected: &[Option<&str>]) -> Vec<Option<String>> {
    expected.iter().map(|value| value.map(str::to_owned)).collect()
}

/// One place per key asked for, empty where there is nothing; the same key may be asked for twice.
pub async fn values_come_back_in_the_order_of_the_keys<S: Store, T: PassTime>(store: &S, time: &T) {
    remember(store, time, &[("a", "1"), ("b", "2")], 60).await;
    let found = cached(store, time, &["b", "x", "a", "b"]).await;
    assert_eq!(found, values(&[Some("2"), None, Some("1"), Some("2")]));
    assert!(cached(store, time, &[]).await.is_empty());
}

/// At the moment itself it is gone, whether it was cleaned up or not.
pub async fn values_expire_and_are_cleaned_up<S: Store, T: PassTime>(store: &S, time: &T) {
    remember(store, time, &[("a", "1"), ("b", "2")], 2).await;
    remember(store, time, &[("c", "3")], 60).await;
    time.pass(Duration::from_secs(2)).await;
    assert_eq!(cached(store, time, &["a", "b", "c"]).await, values(&[None, None, Some("3")]));
    let retention = Retention { recent_events: 10, ledger: None };
    assert_eq!(store.clean(time.now(), retention).await.expect("clean answers"), 2);
    assert_eq!(store.clean(time.now(), retention).await.expect("clean answers"), 0);
    assert_eq!(cached(store, time, &["c"]).await, values(&[Some("3")]));
}

/// The last value counts, with its own expiry.
pub async fn values_are_replaced_and_forgotten<S: Store, T: PassTime>(store: &S, time: &T) {
    remember(store, time, &[("a", "1"), ("b", "2")], 1).await;
    remember(store, time, &[("a", "new")], 60).await;
    time.pass(Duration::from_secs(1)).await;
    assert_eq!(cached(store, time, &["a", "b"]).await, values(&[Some("new"), None]));
    store.forget(&["a".to_owned(), "never there".to_owned()]).await.expect("forget answers");
    assert_eq!(cached(store, time, &["a"]).await, values(&[None]));
}
