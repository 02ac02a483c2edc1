//! Books of items: what history and reconcile find is counted once, whatever is read or delivered twice.

use std::collections::BTreeMap;

use domain::{KeyHash, SignatureScheme};

use super::{HIDE, Laws, PassTime, Store, books, contact, dead, notification};
use crate::ports::{
    Accepted, Books, Claimed, End, EventCounts, ItemBook, ItemCount, Lane, Parking, Progress, Settlement,
};

pub(super) async fn run_all<S: Store, T: PassTime>(laws: &Laws<impl AsyncFn() -> (S, T)>) {
    laws.hold("an_item_counts_once", async |store: &S, _: &T| an_item_counts_once(store).await).await;
    laws.hold("what_was_delivered_wins_over_duplicates", async |store: &S, _: &T| {
        what_was_delivered_wins_over_duplicates(store).await
    })
    .await;
    laws.hold("a_settlement_counts_its_item_with_its_receipt_only", a_settlement_counts_its_item_with_its_receipt_only)
        .await;
    laws.hold("what_was_left_open_is_replaced", what_was_left_open_is_replaced).await;
    laws.hold("reconcile_has_a_lane_of_its_own", reconcile_has_a_lane_of_its_own).await;
    laws.hold("forgotten_books_are_empty", async |store: &S, _: &T| forgotten_books_are_empty(store).await).await;
}

const BOOK: &str = "history/1/tickets";

fn entry(name: &str) -> KeyHash {
    KeyHash::of(name)
}

fn sent(count: u64) -> EventCounts {
    EventCounts { delivered: count, ..EventCounts::default() }
}

fn skipped(reason: &str, count: u64) -> EventCounts {
    EventCounts { skipped: BTreeMap::from([(reason.to_owned(), count)]), ..EventCounts::default() }
}

fn item(name: &str, events: EventCounts) -> ItemCount {
    ItemCount { book: BOOK.to_owned(), entry: entry(name), events }
}

async fn book<S: Store>(store: &S) -> ItemBook {
    store.item_book(BOOK).await.expect("item_book answers")
}

/// A page that is read again after a crash counts its items again; the books must not notice.
pub async fn an_item_counts_once<S: Store>(store: &S) {
    assert_eq!(book(store).await, ItemBook::default());
    let items = vec![item("1", sent(2)), item("2", skipped("no contact", 1)), item("1", sent(5))];
    store.count_items(items.clone()).await.expect("count_items answers");
    store.count_items(items).await.expect("count_items answers");
    store.count_items(Vec::new()).await.expect("count_items answers");
    let mut events = skipped("no contact", 1);
    events.delivered = 2;
    assert_eq!(book(store).await, ItemBook { items: 2, events });
    assert_eq!(store.item_book("history/2/tickets").await.expect("item_book answers"), ItemBook::default());
}

/// Two messages of one item, because its page was read twice: the one that loses the events may come to its end first.
pub async fn what_was_delivered_wins_over_duplicates<S: Store>(store: &S) {
    let mut mixed = skipped("duplicate", 1);
    mixed.delivered = 2;
    for events in [skipped("duplicate", 3), mixed.clone(), skipped("duplicate", 3)] {
        store.count_items(vec![item("1", events)]).await.expect("count_items answers");
    }
    assert_eq!(book(store).await, ItemBook { items: 1, events: mixed });
}

async fn claim_history<S: Store>(store: &S) -> Vec<Claimed> {
    store.claim(Lane::History, 100, usize::MAX, HIDE).await.expect("claim answers")
}

async fn settle<S: Store>(store: &S, claimed: &Claimed, end: End, item: ItemCount) {
    let settlement = Settlement {
        id: claimed.id.clone(),
        receipt: claimed.receipt.clone(),
        end,
        events: Vec::new(),
        keys: Vec::new(),
        item: Some(item),
        profiles: 0,
    };
    store.settle(vec![settlement]).await.expect("settle answers");
}

/// The owner of the message says what became of it, nobody else.
pub async fn a_settlement_counts_its_item_with_its_receipt_only<S: Store, T: PassTime>(store: &S, time: &T) {
    store.enqueue_history(vec![notification("a", time)]).await.expect("enqueue_history answers");
    let slow = claim_history(store).await;
    time.pass(HIDE).await;
    let fresh = claim_history(store).await;
    settle(store, &slow[0], End::Delivered, item("a", sent(9))).await;
    assert_eq!(book(store).await, ItemBook::default());
    settle(store, &fresh[0], End::Delivered, item("a", sent(1))).await;
    settle(store, &fresh[0], End::Delivered, item("a", sent(1))).await;
    assert_eq!(book(store).await, ItemBook { items: 1, events: sent(1) });
    assert_eq!(books(store).await, Books::default());
}

/// A dead letter that is replayed or discarded, a parked message that is released or expires: the books follow.
pub async fn what_was_left_open_is_replaced<S: Store, T: PassTime>(store: &S, time: &T) {
    let names = ["replayed", "discarded", "released", "expired"];
    let items = names.iter().map(|name| notification(name, time)).collect();
    store.enqueue_history(items).await.expect("enqueue_history answers");
    let open = |dead: u64, parked: u64| EventCounts { delivered: 1, dead, parked, ..EventCounts::default() };
    let claimed = claim_history(store).await;
    let parking = |name: &str, hours: i64| Parking {
        contacts: vec![contact(name)],
        next_check: time.now(),
        expires: time.now() + jiff::SignedDuration::from_hours(hours),
        progress: Progress::default(),
    };
    settle(store, &claimed[0], dead("refused"), item("replayed", open(1, 0))).await;
    time.pass(std::time::Duration::from_secs(1)).await;
    settle(store, &claimed[1], dead("refused"), item("discarded", open(2, 0))).await;
    settle(store, &claimed[2], End::Parked(parking("c1", 1)), item("released", open(0, 1))).await;
    settle(store, &claimed[3], End::Parked(parking("c2", 0)), item("expired", open(0, 3))).await;
    let all = EventCounts { delivered: 4, dead: 3, parked: 4, ..EventCounts::default() };
    assert_eq!(book(store).await, ItemBook { items: 4, events: all });
    let letters = store.dead_letters(None, 10).await.expect("dead_letters answer").items;
    assert!(store.discard(&letters[0].id).await.expect("discard answers"));
    assert!(store.replay(&letters[1].id).await.expect("replay answers"));
    assert_eq!(store.expire(time.now(), "too late").await.expect("expire answers"), 1);
    assert_eq!(store.release(&[contact("c1")]).await.expect("release answers"), 1);
    for message in claim_history(store).await {
        let name = if message.accepted.body.starts_with(br#"{"name":"replayed"#) { "replayed" } else { "released" };
        settle(store, &message, End::Delivered, item(name, sent(2))).await;
    }
    let reasons = [("discarded".to_owned(), 2), ("too late".to_owned(), 3)];
    let events = EventCounts { delivered: 6, skipped: BTreeMap::from(reasons), ..EventCounts::default() };
    assert_eq!(book(store).await, ItemBook { items: 4, events });
}

/// What reconcile found is neither the webhook's nor the import's.
pub async fn reconcile_has_a_lane_of_its_own<S: Store, T: PassTime>(store: &S, time: &T) {
    let found = Accepted { scheme: SignatureScheme::Rest, ..notification("a", time) };
    store.enqueue_reconcile(vec![found]).await.expect("enqueue_reconcile answers");
    assert_eq!(store.history_depth().await.expect("history_depth answers"), 0);
    assert!(claim_history(store).await.is_empty());
    let claimed = store.claim(Lane::Reconcile, 10, usize::MAX, HIDE).await.expect("claim answers");
    assert_eq!(super::names(&claimed), ["a"]);
    settle(store, &claimed[0], End::Delivered, item("a", sent(1))).await;
    assert_eq!((book(store).await.items, books(store).await), (1, Books::default()));
}

/// Books of an earlier run are dropped in pieces, others stay.
pub async fn forgotten_books_are_empty<S: Store>(store: &S) {
    let other = ItemCount { book: "history/2/tickets".to_owned(), ..item("1", sent(1)) };
    let many = (0..30).map(|n| item(&n.to_string(), sent(1))).chain([other]).collect();
    store.count_items(many).await.expect("count_items answers");
    let mut gone = 0;
    while let more @ 1.. = store.forget_book(BOOK).await.expect("forget_book answers") {
        gone += more;
    }
    assert_eq!((gone, book(store).await), (30, ItemBook::default()));
    assert_eq!(store.item_book("history/2/tickets").await.expect("item_book answers").items, 1);
}
