//! What is recorded about events: metric counters, the list of recent ones, and cleaning up.

use std::time::Duration;

use super::{Laws, PassTime, Store, accept, books, claim, claim_one, event, key, settle_with};
use crate::ports::{Claim, ClaimOutcome, End, Fate, Progress, Retention};

pub(super) async fn run_all<S: Store, T: PassTime>(laws: &Laws<impl AsyncFn() -> (S, T)>) {
    laws.hold("a_sent_event_is_counted_once_under_its_metric", a_sent_event_is_counted_once_under_its_metric).await;
    laws.hold("recent_events_are_listed_newest_first", recent_events_are_listed_newest_first).await;
    laws.hold("the_list_of_recent_events_is_kept_short", the_list_of_recent_events_is_kept_short).await;
    laws.hold("old_ledger_keys_go_only_when_retention_says_so", old_ledger_keys_go_only_when_retention_says_so).await;
}

/// The key decides: a second record, by whichever message, changes nothing.
pub async fn a_sent_event_is_counted_once_under_its_metric<S: Store, T: PassTime>(store: &S, time: &T) {
    accept(store, time, &["a", "b", "c"]).await;
    let claimed = claim(store).await;
    let first = time.now();
    let created = |name| event(name, "Created Ticket", Fate::Sent, time);
    let until = time.now();
    let deferred = End::Deferred { until, progress: Progress { sent: true, ..Progress::default() } };
    settle_with(store, &claimed[0], deferred, vec![created("ticket-created:1"), created("ticket-created:1")]).await;
    let after = books(store).await;
    assert_eq!((after.metrics[0].name.as_str(), after.metrics[0].delivered), ("Intercom Created Ticket", 1));
    assert_eq!((after.metrics[0].last_at, after.last_delivery_at), (Some(first), Some(first)));

    time.pass(Duration::from_secs(1)).await;
    let skipped = event("ticket-resolved:1", "Resolved Ticket", Fate::Skipped("off".to_owned()), time);
    settle_with(store, &claimed[1], End::Delivered, vec![created("ticket-created:1"), skipped]).await;
    let after = books(store).await;
    assert_eq!(after.metrics.len(), 1, "only what was sent is counted");
    assert_eq!((after.metrics[0].delivered, after.last_delivery_at), (1, Some(first)));

    let second = time.now();
    let rated = event("conversation-rated:1:1", "Rated Conversation", Fate::Sent, time);
    settle_with(store, &claimed[2], End::Delivered, vec![created("ticket-created:2"), rated]).await;
    let after = books(store).await;
    let shown: Vec<_> = after.metrics.iter().map(|metric| (metric.name.as_str(), metric.delivered)).collect();
    assert_eq!(shown, [("Intercom Created Ticket", 2), ("Intercom Rated Conversation", 1)]);
    assert_eq!(after.last_delivery_at, Some(second));
}

/// With fate and reason, and nothing that is personal data.
pub async fn recent_events_are_listed_newest_first<S: Store, T: PassTime>(store: &S, time: &T) {
    accept(store, time, &["a"]).await;
    let claimed = claim_one(store).await;
    let fates = [Fate::Sent, Fate::Skipped("switched off".to_owned()), Fate::Parked, Fate::Dead("refused".to_owned())];
    let mut events = Vec::new();
    for (number, fate) in fates.into_iter().enumerate() {
        events.push(event(&format!("conversation-created:{number}"), "Created Conversation", fate, time));
        time.pass(Duration::from_secs(1)).await;
    }
    settle_with(store, &claimed, End::Delivered, events.clone()).await;
    let recent = store.recent_events(10).await.expect("recent_events answer");
    let shown: Vec<_> = recent.iter().map(|event| (event.fate.as_str(), event.reason.as_deref())).collect();
    let expected = [("dead", Some("refused")), ("parked", None), ("skipped", Some("switched off")), ("sent", None)];
    assert_eq!(shown, expected);
    let (shown, kept) = (&recent[3], &events[0]);
    assert_eq!((shown.at, &shown.metric, &shown.key, shown.time), (kept.at, &kept.metric, &kept.key_text, kept.time));
    assert_eq!(shown.contact.as_deref(), Some("c1"));
    assert_eq!(store.recent_events(2).await.expect("recent_events answer"), recent[..2]);
}

/// Cleaning until nothing goes any more leaves the newest ones.
pub async fn the_list_of_recent_events_is_kept_short<S: Store, T: PassTime>(store: &S, time: &T) {
    accept(store, time, &["a"]).await;
    let claimed = claim_one(store).await;
    let events = (0..7).map(|number| event(&format!("ticket-created:{number}"), "Created Ticket", Fate::Sent, time));
    settle_with(store, &claimed, End::Delivered, events.collect()).await;
    let keep = async |recent_events| {
        let retention = Retention { recent_events, ledger: None };
        store.clean(time.now(), retention).await.expect("clean answers")
    };
    assert_eq!(keep(7).await, 0);
    assert_eq!(keep(3).await, 4);
    let recent = store.recent_events(10).await.expect("recent_events answer");
    let keys: Vec<_> = recent.into_iter().map(|event| event.key).collect();
    let expected: Vec<_> = [6, 5, 4].iter().map(|n| key(&format!("ticket-created:{n}")).to_string()).collect();
    assert_eq!(keys, expected);
    assert_eq!(keep(3).await, 0);
    assert_eq!(books(store).await.metrics[0].delivered, 7, "the counters stay");
}

/// By default for good: a key that is forgotten can be sent again.
pub async fn old_ledger_keys_go_only_when_retention_says_so<S: Store, T: PassTime>(store: &S, time: &T) {
    accept(store, time, &["a", "b"]).await;
    let claimed = claim(store).await;
    let sent = event("ticket-created:1", "Created Ticket", Fate::Sent, time);
    settle_with(store, &claimed[0], End::Delivered, vec![sent]).await;
    time.pass(Duration::from_secs(3)).await;
    let ask = async || {
        let identity = domain::Identity { email: Some("jane@example.com".to_owned()), ..Default::default() };
        let claim = Claim { key: key("ticket-created:1").hash(), message: claimed[1].id.clone(), identity };
        store.claim_events(vec![claim]).await.expect("claim_events answer").remove(0)
    };
    let clean =
        async |ledger| store.clean(time.now(), Retention { recent_events: 100, ledger }).await.expect("clean answers");
    assert_eq!(clean(None).await, 0);
    assert_eq!(clean(Some(Duration::from_secs(60))).await, 0, "it is younger than that");
    assert_eq!(ask().await, ClaimOutcome::Taken);
    assert_eq!(clean(Some(Duration::from_secs(1))).await, 1);
    assert_eq!(ask().await, ClaimOutcome::Fresh);
}
