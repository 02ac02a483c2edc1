//! A long past: 130,000 conversations, through the real use cases, with everything that must not grow with them.

use std::sync::Arc;
use std::time::Duration;

use app::deliver::{Consumer, ConsumerOptions, Deps};
use app::fakes::{FakeKlaviyo, ManualClock, MemoryStore, NoJitter};
use app::history::{CHECKPOINT, HistoryOptions, Importer, history_report, steer};
use app::ports::{
    CallError, Clock, ContactLookup, Documents, FoundItem, HistoryInbox, Intercom, IntercomSearch, Lane, Names,
    SearchPage, SearchQuery, Workspace,
};
use bytes::Bytes;
use domain::contact::Contact;
use domain::history::{StartFacts, State, StreamName, Wish};
use domain::{ContactId, Rules, WorkspaceId};
use jiff::SignedDuration;
use serde_json::json;

use super::super::executor::run;
use super::super::payloads::WORKSPACE;

const ITEMS: u64 = 130_000;

/// Every so many conversations a crowd comes within one second: more than a page holds.
const CROWD_EVERY: u64 = 10_000;
const CROWD: u64 = 120;

/// An Intercom that makes its conversations up as they are asked for.
#[derive(Clone)]
struct Endless {
    moments: Arc<Vec<i64>>,
}

impl Endless {
    fn new(until: i64) -> Self {
        let mut at = until - 400 * 86_400;
        let step = |number: u64| if number % CROWD_EVERY < CROWD { 0 } else { 1 + (number % 7).cast_signed() * 70 };
        let moments = (0..ITEMS).map(|number| {
            at += step(number);
            at
        });
        Self { moments: Arc::new(moments.collect()) }
    }

    fn item(&self, number: usize) -> FoundItem {
        let (id, at, contact) = (format!("{}", 1 + number), self.moments[number], format!("c{}", number % 5_000));
        let json = json!({
            "type": "conversation", "id": id, "created_at": at, "updated_at": at,
            "source": { "type": "conversation", "delivered_as": "customer_initiated", "author": { "type": "user", "id": contact } },
            "contacts": { "type": "contact.list", "contacts": [{ "type": "contact", "id": contact }] },
        });
        FoundItem { id, created_at: at, updated_at: at, json: Bytes::from(json.to_string()) }
    }

    fn known(id: &ContactId) -> Contact {
        Contact { email: Some(format!("{id}@sim.test")), ..Contact::with_id(id.clone()) }
    }
}

impl IntercomSearch for Endless {
    async fn search(&self, query: &SearchQuery) -> Result<SearchPage, CallError> {
        if query.stream == StreamName::Tickets {
            return Ok(SearchPage::default());
        }
        let [from, to] = [query.span.from, query.span.to].map(|second| self.moments.partition_point(|at| *at < second));
        let start = from + query.cursor.as_ref().map_or(0, |cursor| cursor.parse().expect("ours"));
        let end = to.min(start + query.per_page as usize);
        let items: Vec<FoundItem> = (start..end).map(|number| self.item(number)).collect();
        let next = (end < to).then(|| (end - from).to_string());
        Ok(SearchPage { bytes: 400 * items.len() as u64, total: (to - from) as u64, items, next })
    }

    async fn conversation(&self, _: &str) -> Result<Option<Bytes>, CallError> {
        Ok(None)
    }
}

impl Intercom for Endless {
    async fn workspace(&self) -> Result<Workspace, CallError> {
        Ok(Workspace { id: WorkspaceId::new(WORKSPACE), name: None, region: None })
    }

    async fn contact(&self, id: &ContactId) -> Result<ContactLookup, CallError> {
        Ok(ContactLookup::Found(Box::new(Self::known(id))))
    }

    async fn contacts(&self, ids: &[ContactId]) -> Result<Vec<Contact>, CallError> {
        Ok(ids.iter().map(Self::known).collect())
    }

    async fn names(&self) -> Result<Names, CallError> {
        Ok(Names::default())
    }
}

/// Complete and once, and what is kept in between stays as small as with a short past: the checkpoint, the queue, and how many pages
/// are on their way.
#[test]
fn a_hundred_and_thirty_thousand_conversations_are_complete_and_need_no_more_room_than_a_few() {
    let clock = ManualClock::at("2026-06-01T12:00:00Z".parse().expect("a time"));
    let store = MemoryStore::new(clock.clone());
    let intercom = Endless::new(clock.now().as_second() - 86_400);
    let klaviyo = FakeKlaviyo::default();
    let (rules, options) = (Arc::new(Rules::default()), HistoryOptions::default());
    let most_queued = options.most_queued;
    let importer = Importer::new(store.clone(), intercom.clone(), clock.clone(), Arc::clone(&rules), options);
    let deps =
        Deps { store: store.clone(), intercom, klaviyo: klaviyo.clone(), clock: clock.clone(), jitter: NoJitter };
    let consumer = Consumer::new(deps, rules, ConsumerOptions::default());
    let now = clock.now().as_second();
    run(steer(&store, Wish::Start, StartFacts { first_start: now, days: None }, now), &clock).expect("started");
    let (mut largest, mut deepest) = (0, 0);
    for _ in 0..2_000 {
        let deadline = clock.now().checked_add(SignedDuration::from_secs(4)).expect("in range");
        run(importer.tick("owner", deadline), &clock).expect("a tick");
        let document = run(store.load(CHECKPOINT), &clock).expect("loaded").expect("there");
        largest = largest.max(document.body.len());
        deepest = deepest.max(run(store.history_depth(), &clock).expect("a depth"));
        for _ in 0..8 {
            run(consumer.step(Lane::History), &clock);
        }
        clock.advance(Duration::from_secs(1));
        if run(history_report(&store), &clock).expect("a report").state == State::Done {
            break;
        }
    }
    let report = run(history_report(&store), &clock).expect("a report");
    assert_eq!(report.state, State::Done, "{report:?}");
    let stream = &report.streams[0];
    assert_eq!((stream.total, stream.done, stream.delivered, &stream.note), (ITEMS, ITEMS, ITEMS, &None));
    assert_eq!(klaviyo.stored().len() as u64, ITEMS);
    assert!(klaviyo.doubled().is_empty() && klaviyo.stored().iter().all(|event| event.backfill));
    assert!(largest < 4_096, "the checkpoint had {largest} bytes");
    // What was asked for when the queue was not deep yet: eight pages.
    assert!(deepest < most_queued + 8 * 50 + CROWD, "{deepest} items were on the queue");
    let verification = run(importer.verify(), &clock).expect("verified");
    assert!(verification.complete, "{verification:?}");
}
