use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::Rules;
use futures_util::FutureExt as _;

use super::*;
use crate::contract::START;
use crate::fakes::{FakeIntercom, ManualClock, MemoryStore};
use crate::history::HistoryOptions;
use crate::ports::{Lane, WorkQueue as _};

const ITEMS: usize = 60;

/// Opened one a minute, all on one day.
fn busy_day(intercom: &FakeIntercom, stream: StreamName) {
    for minute in 0..ITEMS {
        let at = START.as_second() - 30 * DAY - i64::try_from(minute).expect("small") * 60;
        let json = format!(
            r#"{{"type":"conversation","id":"{minute}","created_at":{at},"updated_at":{at},"state":"open","open":true}}"#
        );
        let item = FoundItem { id: minute.to_string(), created_at: at, updated_at: at, json: Bytes::from(json) };
        intercom.put_thread(stream, item);
    }
}

/// How many questions were asked until everything open was queued.
fn questions(intercom: &FakeIntercom) -> u64 {
    let clock = ManualClock::at(START);
    let store = MemoryStore::new(clock.clone());
    let options = HistoryOptions { reconcile_interval: None, ..HistoryOptions::default() };
    let rules = Arc::new(Rules::default());
    let importer = Importer::new(store.clone(), intercom.clone(), clock, rules, options);
    let work = async {
        for _ in 0..10 {
            importer.reconcile(Timestamp::MAX).await.expect("the store works");
        }
        store.claim(Lane::Reconcile, 10 * ITEMS, usize::MAX, Duration::from_secs(60)).await.expect("claimed").len()
    };
    let mut work = std::pin::pin!(work);
    let queued = loop {
        if let Some(queued) = work.as_mut().now_or_never() {
            break queued;
        }
    };
    assert_eq!(queued, ITEMS, "each once");
    intercom.searches()
}

/// A filter that compares days gives the same day for each of its seconds: parting it would take a question for each.
#[test]
fn a_busy_day_of_a_filter_that_compares_days_takes_a_few_questions() {
    let intercom = FakeIntercom::new("w1");
    busy_day(&intercom, StreamName::Conversations);
    intercom.compare_days();
    let asked = questions(&intercom);
    assert!(asked < 60, "{asked} questions for {ITEMS} items");
}

/// Pages that failed by chance make the next ones small, but not for ever.
#[test]
fn pages_that_failed_by_chance_do_not_stay_small() {
    let intercom = FakeIntercom::new("w1");
    // Tickets are asked for first.
    busy_day(&intercom, StreamName::Tickets);
    intercom.lose_searches(4);
    let asked = questions(&intercom);
    assert!(asked < 60, "{asked} questions for {ITEMS} items");
}
