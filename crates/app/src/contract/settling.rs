//! Settling: who may, and what a receipt is worth.

use std::time::Duration;

use domain::MessageId;

use super::{HIDE, Laws, PassTime, Store, accept, books, claim, claim_one, dead, event, settle, settle_with};
use crate::ports::{End, Fate, Parking, Progress, Receipt, Settlement};

pub(super) async fn run_all<S: Store, T: PassTime>(laws: &Laws<impl AsyncFn() -> (S, T)>) {
    laws.hold("a_settled_message_is_gone", a_settled_message_is_gone).await;
    laws.hold("a_stale_receipt_leaves_the_message_alone", a_stale_receipt_leaves_the_message_alone).await;
    laws.hold("a_stale_receipt_still_records_what_was_sent_once", a_stale_receipt_still_records_what_was_sent_once)
        .await;
    laws.hold(
        "a_receipt_is_good_after_hiding_until_the_next_claim",
        a_receipt_is_good_after_hiding_until_the_next_claim,
    )
    .await;
    laws.hold("a_receipt_is_good_once", a_receipt_is_good_once).await;
    laws.hold(
        "a_receipt_dies_when_its_message_leaves_and_comes_back",
        a_receipt_dies_when_its_message_leaves_and_comes_back,
    )
    .await;
    laws.hold("one_stale_settlement_does_not_stop_the_others", one_stale_settlement_does_not_stop_the_others).await;
}

/// Whatever its end, it is not served again.
pub async fn a_settled_message_is_gone<S: Store, T: PassTime>(store: &S, time: &T) {
    accept(store, time, &["a", "b", "c", "d"]).await;
    let claimed = claim(store).await;
    let parking = Parking {
        contacts: vec![super::contact("c1")],
        next_check: time.now(),
        expires: time.now() + jiff::SignedDuration::from_hours(720),
        progress: Progress::default(),
    };
    let ends = [End::Delivered, End::Skipped("no match".to_owned()), dead("refused"), End::Parked(parking)];
    for (message, end) in claimed.iter().zip(ends) {
        settle(store, message, end).await;
    }
    time.pass(HIDE + Duration::from_secs(1)).await;
    assert!(claim(store).await.is_empty());
    assert_eq!(books(store).await.in_flight, 0);
}

/// A worker that was too slow must not end what another one is working on.
pub async fn a_stale_receipt_leaves_the_message_alone<S: Store, T: PassTime>(store: &S, time: &T) {
    accept(store, time, &["a"]).await;
    let slow = claim_one(store).await;
    time.pass(HIDE).await;
    let fresh = claim_one(store).await;
    let far = time.now() + jiff::SignedDuration::from_hours(1);
    settle(store, &slow, End::Delivered).await;
    settle(store, &slow, dead("refused")).await;
    settle(store, &slow, End::Deferred { until: far, progress: Progress { attempts: 9, ..Progress::default() } }).await;
    let after = books(store).await;
    assert_eq!((after.in_flight, after.delivered, after.dead), (1, 0, 0));
    time.pass(HIDE).await;
    let third = claim_one(store).await;
    assert_eq!((third.id, third.progress), (fresh.id, Progress::default()));
}

/// What Klaviyo took, it took; the other worker must find it in the ledger, and the counter must not move twice.
pub async fn a_stale_receipt_still_records_what_was_sent_once<S: Store, T: PassTime>(store: &S, time: &T) {
    accept(store, time, &["a"]).await;
    let slow = claim_one(store).await;
    time.pass(HIDE).await;
    let fresh = claim_one(store).await;
    let sent = event("conversation-created:1", "Created Conversation", Fate::Sent, time);
    let skipped = event("conversation-read:1:2", "Read Conversation", Fate::Skipped("off".to_owned()), time);
    settle_with(store, &slow, End::Delivered, vec![sent.clone(), skipped.clone()]).await;
    let between = books(store).await;
    assert_eq!((between.in_flight, between.delivered), (1, 0), "the message is the other worker's");
    assert_eq!(between.metrics.len(), 1, "the send counts: {:?}", between.metrics);
    let recent = async || store.recent_events(10).await.expect("recent_events answer");
    assert_eq!(recent().await.len(), 1, "the rest is for the other worker to say");
    settle_with(store, &fresh, End::Delivered, vec![sent, skipped]).await;
    let after = books(store).await;
    assert_eq!((after.in_flight, after.delivered), (0, 1));
    assert_eq!(after.metrics[0].delivered, 1, "counted once");
    assert_eq!(recent().await.len(), 2, "listed once");
}

/// Being slow alone is no reason to do the work twice.
pub async fn a_receipt_is_good_after_hiding_until_the_next_claim<S: Store, T: PassTime>(store: &S, time: &T) {
    accept(store, time, &["a"]).await;
    let slow = claim_one(store).await;
    time.pass(HIDE + Duration::from_secs(1)).await;
    settle(store, &slow, End::Delivered).await;
    assert!(claim(store).await.is_empty());
    assert_eq!(books(store).await.delivered, 1);
}

/// A repeated call, after an answer that was lost, changes nothing; nor does one for a message that never was.
pub async fn a_receipt_is_good_once<S: Store, T: PassTime>(store: &S, time: &T) {
    accept(store, time, &["a"]).await;
    let claimed = claim_one(store).await;
    let until = time.now();
    settle(store, &claimed, End::Deferred { until, progress: Progress::default() }).await;
    settle(store, &claimed, End::Delivered).await;
    assert_eq!(books(store).await.in_flight, 1, "it was deferred, the receipt is used up");
    let again = claim_one(store).await;
    settle(store, &again, End::Delivered).await;
    settle(store, &again, End::Delivered).await;
    assert_eq!(books(store).await.delivered, 1);
    let nobody = Settlement {
        keys: Vec::new(),
        id: MessageId::new("999999999"),
        receipt: Receipt("no receipt".to_owned()),
        end: End::Delivered,
        events: Vec::new(),
        profiles: 0,
        item: None,
    };
    store.settle(vec![nobody]).await.expect("settle answers");
    assert_eq!(books(store).await.delivered, 1);
}

/// The message that comes back from the dead letters is the same; the claim is not.
pub async fn a_receipt_dies_when_its_message_leaves_and_comes_back<S: Store, T: PassTime>(store: &S, time: &T) {
    accept(store, time, &["a"]).await;
    let before = claim_one(store).await;
    settle(store, &before, dead("refused")).await;
    let page = store.dead_letters(None, 10).await.expect("dead_letters answer");
    assert!(store.replay(&page.items[0].id).await.expect("replay answers"));
    let after = claim_one(store).await;
    assert_eq!(after.id, before.id, "the ledger knows it by this id");
    settle(store, &before, End::Delivered).await;
    assert_eq!(books(store).await.in_flight, 1);
}

/// Each message of a call stands for itself.
pub async fn one_stale_settlement_does_not_stop_the_others<S: Store, T: PassTime>(store: &S, time: &T) {
    accept(store, time, &["a", "b"]).await;
    let claimed = claim(store).await;
    let settlement = |index: usize, receipt: Receipt| Settlement {
        keys: Vec::new(),
        id: claimed[index].id.clone(),
        receipt,
        end: End::Delivered,
        events: Vec::new(),
        profiles: 0,
        item: None,
    };
    let stale = settlement(0, Receipt("stale".to_owned()));
    let good = settlement(1, claimed[1].receipt.clone());
    store.settle(vec![stale, good.clone(), good]).await.expect("settle answers");
    let after = books(store).await;
    assert_eq!((after.delivered, after.in_flight), (1, 1));
}
