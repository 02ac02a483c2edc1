//! Accepting and claiming.

use std::time::Duration;

use bytes::Bytes;
use domain::SignatureScheme;

use super::{HIDE, Laws, PassTime, Store, accept, claim, claim_one, names, notification, settle};
use crate::ports::{Accepted, End, Lane, Progress};

pub(super) async fn run_all<S: Store, T: PassTime>(laws: &Laws<impl AsyncFn() -> (S, T)>) {
    laws.hold("accepted_bytes_come_back_unchanged", accepted_bytes_come_back_unchanged).await;
    laws.hold("the_oldest_comes_first", the_oldest_comes_first).await;
    laws.hold("a_claim_is_bounded_by_messages", a_claim_is_bounded_by_messages).await;
    laws.hold("a_claim_is_bounded_by_bytes_but_serves_one", a_claim_is_bounded_by_bytes_but_serves_one).await;
    laws.hold("a_claimed_message_is_hidden_and_comes_back", a_claimed_message_is_hidden_and_comes_back).await;
    laws.hold("a_deferred_message_waits_and_keeps_its_progress", a_deferred_message_waits_and_keeps_its_progress).await;
    laws.hold("a_deferred_message_does_not_hold_others_up", a_deferred_message_does_not_hold_others_up).await;
    laws.hold("the_next_visible_moment_is_known", the_next_visible_moment_is_known).await;
}

/// The webhook verified these bytes; any other bytes would not be what Intercom signed.
pub async fn accepted_bytes_come_back_unchanged<S: Store, T: PassTime>(store: &S, time: &T) {
    let bodies = [Bytes::from_static(b"\xff\x00\xfenot text"), Bytes::new(), Bytes::from(vec![b'x'; 300_000])];
    for (body, scheme) in bodies.into_iter().zip([SignatureScheme::Hub, SignatureScheme::Body, SignatureScheme::Hub]) {
        let accepted = Accepted { scheme, received_at: time.now(), body };
        store.accept(accepted.clone()).await.expect("accept answers");
        let claimed = claim_one(store).await;
        assert_eq!(claimed.accepted, accepted);
        assert_eq!(claimed.progress, Progress::default(), "nothing was tried yet");
        settle(store, &claimed, End::Delivered).await;
    }
    assert!(claim(store).await.is_empty(), "an empty queue gives nothing");
}

/// Served in the order of arrival, and so is what becomes visible again: by the moment it does.
pub async fn the_oldest_comes_first<S: Store, T: PassTime>(store: &S, time: &T) {
    accept(store, time, &["a", "b", "c"]).await;
    let claimed = claim(store).await;
    assert_eq!(names(&claimed), ["a", "b", "c"]);
    for (message, seconds) in claimed.iter().zip([3, 1, 2]) {
        let until = time.now() + jiff::SignedDuration::from_secs(seconds);
        settle(store, message, End::Deferred { until, progress: Progress::default() }).await;
    }
    time.pass(Duration::from_secs(3)).await;
    assert_eq!(names(&claim(store).await), ["b", "c", "a"]);
}

/// No more than asked for; the rest stays visible.
pub async fn a_claim_is_bounded_by_messages<S: Store, T: PassTime>(store: &S, time: &T) {
    accept(store, time, &["a", "b", "c"]).await;
    assert!(store.claim(Lane::Live, 0, usize::MAX, HIDE).await.expect("claim answers").is_empty());
    let first = store.claim(Lane::Live, 2, usize::MAX, HIDE).await.expect("claim answers");
    assert_eq!(names(&first), ["a", "b"]);
    assert_eq!(names(&claim(store).await), ["c"]);
}

/// Memory is bounded, but a message larger than the bound must not block the queue for ever.
pub async fn a_claim_is_bounded_by_bytes_but_serves_one<S: Store, T: PassTime>(store: &S, time: &T) {
    accept(store, time, &["a", "b", "c"]).await;
    let size = notification("a", time).body.len();
    let by_bytes = async |bytes| store.claim(Lane::Live, 100, bytes, HIDE).await.expect("claim answers");
    assert_eq!(names(&by_bytes(0).await), ["a"], "one always goes");
    assert_eq!(names(&by_bytes(2 * size).await), ["b", "c"], "the bound itself is allowed");
    time.pass(HIDE).await;
    assert_eq!(by_bytes(2 * size - 1).await.len(), 1, "not a byte more than the bound");
}

/// Nobody else gets it while it is worked on; if the worker dies, it comes back with the same id and another receipt.
pub async fn a_claimed_message_is_hidden_and_comes_back<S: Store, T: PassTime>(store: &S, time: &T) {
    accept(store, time, &["a"]).await;
    let first = claim_one(store).await;
    assert!(claim(store).await.is_empty(), "it is hidden");
    time.pass(HIDE / 2).await;
    assert!(claim(store).await.is_empty(), "it is hidden all the time");
    time.pass(HIDE / 2).await;
    let second = claim_one(store).await;
    assert_eq!(second.id, first.id);
    assert_ne!(second.receipt, first.receipt);
    assert_eq!(second.accepted, first.accepted);
}

/// What was tried is handed out with the next claim, which comes when it was asked for, not when the claim's hiding ends.
pub async fn a_deferred_message_waits_and_keeps_its_progress<S: Store, T: PassTime>(store: &S, time: &T) {
    accept(store, time, &["a"]).await;
    let claimed = claim_one(store).await;
    let progress = Progress { attempts: 3, contact_tries: 2, sent: true };
    let until = time.now() + jiff::SignedDuration::from_secs(4);
    settle(store, &claimed, End::Deferred { until, progress }).await;
    time.pass(Duration::from_secs(3)).await;
    assert!(claim(store).await.is_empty(), "not before its time");
    time.pass(Duration::from_secs(1)).await;
    let again = claim_one(store).await;
    assert_eq!((again.id, again.progress), (claimed.id, progress));
    time.pass(HIDE).await;
    assert_eq!(claim_one(store).await.progress, progress, "kept when nobody settled");
}

/// A customer whose event waits for a vendor does not make others wait.
pub async fn a_deferred_message_does_not_hold_others_up<S: Store, T: PassTime>(store: &S, time: &T) {
    accept(store, time, &["a"]).await;
    let claimed = claim_one(store).await;
    let until = time.now() + jiff::SignedDuration::from_hours(1);
    settle(store, &claimed, End::Deferred { until, progress: Progress::default() }).await;
    accept(store, time, &["b"]).await;
    assert_eq!(names(&claim(store).await), ["b"]);
}

/// So that a consumer can sleep exactly as long as there is nothing to do. Claimed ones count: they may come back.
pub async fn the_next_visible_moment_is_known<S: Store, T: PassTime>(store: &S, time: &T) {
    let next = async || store.next_visible(Lane::Live).await.expect("next_visible answers");
    assert_eq!(next().await, None);
    accept(store, time, &["a"]).await;
    assert!(next().await.is_some_and(|at| at <= time.now()), "it is visible now");
    let claimed = claim_one(store).await;
    assert!(next().await.is_some_and(|at| at > time.now()), "it may come back");
    let until = time.now() + jiff::SignedDuration::from_hours(1);
    settle(store, &claimed, End::Deferred { until, progress: Progress::default() }).await;
    assert_eq!(next().await, Some(until));
    assert_eq!(store.next_visible(Lane::History).await.expect("next_visible answers"), None, "lanes do not mix");
}
