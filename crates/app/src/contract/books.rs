//! Law 1: at every look, accepted = delivered + skipped + parked + dead + in flight.

use std::collections::BTreeMap;

use super::{HIDE, Laws, PassTime, Store, accept, books, claim, contact, dead, settle};
use crate::ports::{Books, Claimed, End, Parking, Progress, Settlement};

pub(super) async fn run_all<S: Store, T: PassTime>(laws: &Laws<impl AsyncFn() -> (S, T)>) {
    laws.hold("an_empty_store_has_empty_books", an_empty_store_has_empty_books).await;
    laws.hold("every_fate_is_counted_where_it_belongs", every_fate_is_counted_where_it_belongs).await;
    laws.hold("the_books_add_up_after_every_step", the_books_add_up_after_every_step).await;
    laws.hold("the_oldest_in_flight_is_known", the_oldest_in_flight_is_known).await;
    laws.hold("written_profiles_are_counted_by_the_owner", written_profiles_are_counted_by_the_owner).await;
}

/// Nothing is made up.
pub async fn an_empty_store_has_empty_books<S: Store, T: PassTime>(store: &S, _time: &T) {
    assert_eq!(books(store).await, Books::default());
}

/// Exactly one counter per message; skipped ones by their reason.
pub async fn every_fate_is_counted_where_it_belongs<S: Store, T: PassTime>(store: &S, time: &T) {
    let last = time.now() + jiff::SignedDuration::from_secs(5);
    accept(store, time, &["a", "b", "c", "d", "e", "f"]).await;
    let claimed = claim(store).await;
    assert_eq!(books(store).await.in_flight, 6, "claimed ones are in flight");
    let parking = Parking {
        contacts: vec![contact("c1")],
        next_check: time.now(),
        expires: time.now() + jiff::SignedDuration::from_hours(1),
        progress: Progress::default(),
    };
    let ends = [
        End::Delivered,
        End::Skipped("no match".to_owned()),
        End::Skipped("no match".to_owned()),
        End::Skipped("switched off".to_owned()),
        dead("refused"),
        End::Parked(parking),
    ];
    for (message, end) in claimed.iter().zip(ends) {
        settle(store, message, end).await;
    }
    let after = books(store).await;
    let skipped = BTreeMap::from([("no match".to_owned(), 2), ("switched off".to_owned(), 1)]);
    assert_eq!((after.accepted, after.delivered, after.parked, after.dead, after.in_flight), (6, 1, 1, 1, 0));
    assert_eq!(after.skipped, skipped);
    assert!(after.last_webhook_at.is_some_and(|at| at >= last), "{:?}", after.last_webhook_at);
    assert_eq!(after.last_delivery_at, None, "no event was sent");
}

/// A long way through all places, and a look after each step, which checks the sum.
pub async fn the_books_add_up_after_every_step<S: Store, T: PassTime>(store: &S, time: &T) {
    accept(store, time, &["a", "b", "c", "d"]).await;
    books(store).await;
    for round in 0..4_u16 {
        let claimed = claim(store).await;
        books(store).await;
        for (index, message) in claimed.iter().enumerate() {
            let progress = Progress { attempts: round, contact_tries: 0, sent: index == 0 };
            let expires = time.now() + jiff::SignedDuration::from_secs(1);
            let contacts = vec![contact("c1"), contact("c2")];
            let parking = Parking { contacts, next_check: time.now(), expires, progress };
            let end = match (index + usize::from(round)) % 4 {
                0 => End::Deferred { until: time.now(), progress },
                1 => End::Parked(parking),
                2 => dead("refused"),
                _ if round < 2 => End::Deferred { until: time.now(), progress },
                _ => End::Delivered,
            };
            settle(store, message, end).await;
            books(store).await;
        }
        store.release(&[contact("c2")]).await.expect("release answers");
        books(store).await;
        for letter in store.dead_letters(None, 1).await.expect("dead_letters answer").items {
            store.replay(&letter.id).await.expect("replay answers");
            books(store).await;
        }
        time.pass(HIDE).await;
        store.expire(time.now(), "contact unknown").await.expect("expire answers");
        books(store).await;
    }
    assert_eq!(books(store).await.accepted, 4);
}

/// By acceptance, not by when it is visible: the status shows how far behind we are.
pub async fn the_oldest_in_flight_is_known<S: Store, T: PassTime>(store: &S, time: &T) {
    let first = time.now();
    accept(store, time, &["a", "b"]).await;
    assert_eq!(books(store).await.oldest_in_flight, Some(first));
    let claimed = claim(store).await;
    let far = time.now() + jiff::SignedDuration::from_hours(1);
    settle(store, &claimed[0], End::Deferred { until: far, progress: Progress::default() }).await;
    assert_eq!(books(store).await.oldest_in_flight, Some(first), "deferred is in flight");
    settle(store, &claimed[1], End::Delivered).await;
    assert_eq!(books(store).await.oldest_in_flight, Some(first));
    time.pass(HIDE).await;
    assert_eq!(books(store).await.in_flight, 1);
}

/// With a message that ends and with one that goes on, and not by somebody whose receipt is stale: the owner writes them again.
pub async fn written_profiles_are_counted_by_the_owner<S: Store, T: PassTime>(store: &S, time: &T) {
    accept(store, time, &["a", "b"]).await;
    let slow = claim(store).await;
    time.pass(HIDE).await;
    let owned = claim(store).await;
    let settlement = |message: &Claimed, end: End, profiles: u64| Settlement {
        id: message.id.clone(),
        receipt: message.receipt.clone(),
        end,
        events: Vec::new(),
        keys: Vec::new(),
        item: None,
        profiles,
    };
    let skipped = || End::Skipped("contact change".to_owned());
    let later = || End::Deferred { until: time.now(), progress: Progress::default() };
    store.settle(vec![settlement(&owned[0], later(), 1), settlement(&owned[1], skipped(), 2)]).await.expect("settles");
    assert_eq!(books(store).await.profile_updates, 3);
    store.settle(vec![settlement(&slow[0], skipped(), 4), settlement(&slow[1], skipped(), 4)]).await.expect("settles");
    assert_eq!(books(store).await.profile_updates, 3);
}
