//! Law 3, the part that storage keeps: history has its own queue and never touches the six counters.

use super::{
    HIDE, Laws, PassTime, Store, accept, books, claim, contact, dead, event, names, notification, settle, settle_with,
};
use crate::ports::{Books, Claimed, End, Fate, Lane, Parking, Progress};

pub(super) async fn run_all<S: Store, T: PassTime>(laws: &Laws<impl AsyncFn() -> (S, T)>) {
    laws.hold("lanes_do_not_mix", lanes_do_not_mix).await;
    laws.hold("history_never_touches_the_six", history_never_touches_the_six).await;
    laws.hold("a_replayed_history_letter_goes_back_to_history", a_replayed_history_letter_goes_back_to_history).await;
}

async fn enqueue<S: Store, T: PassTime>(store: &S, time: &T, names: &[&str]) {
    let items = names.iter().map(|name| notification(name, time)).collect();
    store.enqueue_history(items).await.expect("enqueue_history answers");
}

async fn claim_history<S: Store>(store: &S) -> Vec<Claimed> {
    store.claim(Lane::History, 100, usize::MAX, HIDE).await.expect("claim answers")
}

async fn depth<S: Store>(store: &S) -> u64 {
    store.history_depth().await.expect("history_depth answers")
}

/// A consumer of live traffic never sees history, and the other way round.
pub async fn lanes_do_not_mix<S: Store, T: PassTime>(store: &S, time: &T) {
    accept(store, time, &["live"]).await;
    enqueue(store, time, &["old", "older"]).await;
    enqueue(store, time, &[]).await;
    assert_eq!(depth(store).await, 2);
    assert!(store.next_visible(Lane::History).await.expect("next_visible answers").is_some());
    assert_eq!(names(&claim(store).await), ["live"]);
    assert_eq!(names(&claim_history(store).await), ["old", "older"]);
    assert_eq!(depth(store).await, 2, "claimed ones count");
}

/// Whatever becomes of them; but what was sent counts under its metric.
pub async fn history_never_touches_the_six<S: Store, T: PassTime>(store: &S, time: &T) {
    enqueue(store, time, &["a", "b", "c", "d", "e"]).await;
    let claimed = claim_history(store).await;
    let expires = time.now();
    let parking =
        Parking { contacts: vec![contact("c1")], next_check: expires, expires, progress: Progress::default() };
    let sent = event("conversation-created:1", "Created Conversation", Fate::Sent, time);
    settle_with(store, &claimed[0], End::Delivered, vec![sent]).await;
    let ends = [End::Skipped("no e-mail or phone".to_owned()), dead("refused"), End::Parked(parking)];
    for (message, end) in claimed[1..].iter().zip(ends) {
        settle(store, message, end).await;
    }
    assert_eq!(depth(store).await, 1);
    let until = time.now();
    settle(store, &claimed[4], End::Deferred { until, progress: Progress::default() }).await;
    store.expire(time.now(), "gone").await.expect("expire answers");
    let letter = store.dead_letters(None, 1).await.expect("dead_letters answer").items.remove(0);
    assert!(store.discard(&letter.id).await.expect("discard answers"));
    let after = books(store).await;
    assert_eq!((after.metrics.len(), after.last_delivery_at), (1, Some(until)));
    let six = Books { metrics: Vec::new(), last_delivery_at: None, ..after };
    assert_eq!(six, Books::default());
    assert_eq!(depth(store).await, 1);
}

/// In the live queue it would count as in flight without ever having been accepted.
pub async fn a_replayed_history_letter_goes_back_to_history<S: Store, T: PassTime>(store: &S, time: &T) {
    enqueue(store, time, &["a", "b"]).await;
    let claimed = claim_history(store).await;
    let expires = time.now() + jiff::SignedDuration::from_hours(1);
    let parking =
        Parking { contacts: vec![contact("c1")], next_check: expires, expires, progress: Progress::default() };
    settle(store, &claimed[0], dead("refused")).await;
    settle(store, &claimed[1], End::Parked(parking)).await;
    let letter = store.dead_letters(None, 1).await.expect("dead_letters answer").items.remove(0);
    assert!(store.replay(&letter.id).await.expect("replay answers"));
    assert_eq!(store.release(&[contact("c1")]).await.expect("release answers"), 1);
    assert!(claim(store).await.is_empty());
    assert_eq!(claim_history(store).await.len(), 2);
    assert_eq!(books(store).await, Books::default());
}
