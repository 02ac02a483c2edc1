//! Every call of every port as the exact requests that the SDK sends, and what the adapter makes of what AWS answers.
//!
//! The snapshots are reviewed like code: permissions, prices and the crash story all hang on these requests.

#[path = "requests/recorder.rs"]
mod recorder;
#[path = "requests/refusals.rs"]
mod refusals;

use std::sync::Arc;
use std::time::Duration;

use app::contract;
use app::fakes::ManualClock;
use app::ports::{
    Accepted, Cache, Claim, Claimed, DeadLetters, Documents, End, EventCounts, EventRecord, Fate, HistoryInbox, Inbox,
    ItemBooks, ItemCount, Lane, Ledger, Overview, ParkedMessages, Parking, Progress, Receipt, Retention, Settlement,
    WorkQueue,
};
use aws::secrets::{SecretReader, SecretsManager};
use aws::{AwsStore, LiveInbox, SdkQueues, SdkTable, StoreOptions};
use bytes::Bytes;
use domain::{ContactId, EventKey, Identity, SignatureScheme};
use jiff::SignedDuration;

use recorder::Recorder;

const LIVE: &str = "https://sqs.eu-west-1.amazonaws.com/1/live";
const HISTORY: &str = "https://sqs.eu-west-1.amazonaws.com/1/history";

type SdkStore = AwsStore<ManualClock>;

fn store(recorder: &Recorder, clock: &ManualClock) -> SdkStore {
    let config = recorder.config();
    let (table, queues) = (SdkTable::new(&config, "state"), SdkQueues::new(&config, LIVE, HISTORY));
    AwsStore::new(table, queues, clock.clone(), StoreOptions::default(), Arc::new(|| "writer".to_owned()))
}

fn world() -> (Recorder, ManualClock, SdkStore) {
    let (recorder, clock) = (Recorder::default(), ManualClock::at(contract::START));
    let store = store(&recorder, &clock);
    (recorder, clock, store)
}

fn accepted(body: &'static str) -> Accepted {
    let body = Bytes::from_static(body.as_bytes());
    Accepted { scheme: SignatureScheme::Hub, received_at: contract::START, body }
}

fn read_by_us(body: &'static str) -> Accepted {
    Accepted { scheme: SignatureScheme::Rest, ..accepted(body) }
}

fn key() -> EventKey {
    EventKey::new("abcd1234", format_args!("ticket-created:1"))
}

fn event(fate: Fate) -> EventRecord {
    EventRecord {
        key: Some(key().hash()),
        key_text: key().to_string(),
        metric: "Intercom Created Ticket".to_owned(),
        contact: Some(ContactId::new("c1")),
        time: Some(contract::START),
        fate,
        at: contract::START,
    }
}

fn settlement(claimed: &Claimed, end: End, events: Vec<EventRecord>) -> Settlement {
    Settlement {
        item: None,
        profiles: 0,
        id: claimed.id.clone(),
        receipt: Receipt(claimed.receipt.0.clone()),
        end,
        keys: events.iter().filter_map(|event| event.key).collect(),
        events,
    }
}

/// One message, taken; what that asked for is not kept.
async fn taken(recorder: &Recorder, store: &SdkStore) -> Claimed {
    store.accept(accepted(r#"{"id":"notif_1"}"#)).await.expect("accepted");
    let claimed = store.claim(Lane::Live, 1, usize::MAX, Duration::from_secs(360)).await.expect("claimed");
    recorder.seen();
    claimed.into_iter().next().expect("a message")
}

fn claim_of(claimed: &Claimed) -> Claim {
    let identity = Identity { email: Some("jane@example.com".to_owned()), ..Identity::default() };
    Claim { key: key().hash(), message: claimed.id.clone(), identity }
}

#[tokio::test]
async fn accepting() {
    let (recorder, _, store) = world();
    recorder.heading("the webhook's inbox");
    LiveInbox::new(&recorder.config(), LIVE).accept(accepted("{}")).await.expect("accepted");
    recorder.heading("Inbox::accept, of bytes that SQS does not take");
    store.accept(accepted("\u{1}")).await.expect("accepted");
    recorder.heading("HistoryInbox::enqueue_history, of two");
    store.enqueue_history(vec![read_by_us(r#"{"n":1}"#), read_by_us(r#"{"n":2}"#)]).await.expect("enqueued");
    recorder.heading("HistoryInbox::enqueue_reconcile, of one");
    store.enqueue_reconcile(vec![read_by_us(r#"{"n":3}"#)]).await.expect("enqueued");
    recorder.heading("HistoryInbox::history_depth");
    assert_eq!(store.history_depth().await.expect("a depth"), 9);
    insta::assert_snapshot!(recorder.seen());
}

#[tokio::test]
async fn delivering() {
    let (recorder, _, store) = world();
    store.accept(accepted(r#"{"id":"notif_1"}"#)).await.expect("accepted");
    recorder.seen();
    recorder.heading("WorkQueue::claim");
    let claimed = store.claim(Lane::Live, 1, usize::MAX, Duration::from_secs(360)).await.expect("claimed").remove(0);
    recorder.heading("WorkQueue::next_visible");
    store.next_visible(Lane::Live).await.expect("an answer");
    recorder.heading("Ledger::claim_events, of an event that nobody has");
    store.claim_events(vec![claim_of(&claimed)]).await.expect("claimed");
    recorder.heading("WorkQueue::settle, delivered at the first try");
    store.settle(vec![settlement(&claimed, End::Delivered, vec![event(Fate::Sent)])]).await.expect("settled");
    recorder.heading("Ledger::known_events, of one and of two");
    let other = EventKey::new("abcd1234", format_args!("ticket-created:2"));
    assert_eq!(store.known_events(&[key().hash()]).await.expect("an answer"), [true]);
    assert_eq!(store.known_events(&[key().hash(), other.hash()]).await.expect("an answer"), [true, false]);
    insta::assert_snapshot!(recorder.seen());
}

/// What was tried is kept in a marker, and the message hidden; then it is handed out again.
#[tokio::test]
async fn waiting_and_coming_back() {
    let (recorder, clock, store) = world();
    let claimed = taken(&recorder, &store).await;
    recorder.heading("WorkQueue::settle, deferred after a try");
    let progress = Progress { attempts: 1, ..Progress::default() };
    let until = contract::START + SignedDuration::from_secs(20);
    let end = End::Deferred { until, progress };
    store.settle(vec![settlement(&claimed, end, Vec::new())]).await.expect("settled");
    recorder.heading("WorkQueue::claim, of a message that was handed out before");
    let message = serde_json::json!({ "MessageId": "message-1", "ReceiptHandle": "receipt-2", "Body": "{}",
        "MessageAttributes": { "v": { "DataType": "String", "StringValue": "1" },
            "scheme": { "DataType": "String", "StringValue": "hub" },
            "received": { "DataType": "String", "StringValue": "1784102400000000" } },
        "Attributes": { "ApproximateReceiveCount": "2", "SentTimestamp": "1784102400000" } });
    clock.advance(Duration::from_secs(20));
    recorder.will_say([(200, serde_json::json!({ "Messages": [message] }))]);
    let again = store.claim(Lane::Live, 1, usize::MAX, Duration::from_secs(360)).await.expect("claimed").remove(0);
    assert_eq!(again.progress, progress);
    recorder.heading("WorkQueue::settle, skipped");
    store.settle(vec![settlement(&again, End::Skipped("ping".to_owned()), Vec::new())]).await.expect("settled");
    insta::assert_snapshot!(recorder.seen());
}

#[tokio::test]
async fn parking() {
    let (recorder, clock, store) = world();
    let claimed = taken(&recorder, &store).await;
    let after = |seconds| contract::START + SignedDuration::from_secs(seconds);
    let parking = Parking {
        contacts: vec![ContactId::new("c1"), ContactId::new("c2")],
        next_check: after(60),
        expires: after(600),
        progress: Progress { contact_tries: 4, ..Progress::default() },
    };
    recorder.heading("WorkQueue::settle, parked");
    store.settle(vec![settlement(&claimed, End::Parked(parking), vec![event(Fate::Parked)])]).await.expect("settled");
    clock.advance(Duration::from_secs(60));
    recorder.heading("ParkedMessages::due");
    let due = store.due(after(60), 10).await.expect("a list");
    assert_eq!(due.len(), 1);
    recorder.heading("ParkedMessages::recheck_at");
    store.recheck_at(&due[0].id, after(120)).await.expect("set");
    recorder.heading("ParkedMessages::release");
    assert_eq!(store.release(&[ContactId::new("c2")]).await.expect("released"), 1);
    recorder.heading("ParkedMessages::expire, of nothing");
    assert_eq!(store.expire(after(9_000), "parked too long").await.expect("an answer"), 0);
    insta::assert_snapshot!(recorder.seen());
}

#[tokio::test]
async fn expiring() {
    let (recorder, _, store) = world();
    let claimed = taken(&recorder, &store).await;
    let expires = contract::START + SignedDuration::from_secs(600);
    let contacts = vec![ContactId::new("c1")];
    let parking = Parking { contacts, next_check: expires, expires, progress: Progress::default() };
    store.settle(vec![settlement(&claimed, End::Parked(parking), Vec::new())]).await.expect("settled");
    recorder.seen();
    assert_eq!(store.expire(expires, "parked too long").await.expect("an answer"), 1);
    insta::assert_snapshot!(recorder.seen());
}

#[tokio::test]
async fn burying() {
    let (recorder, _, store) = world();
    let claimed = taken(&recorder, &store).await;
    let dead = || End::Dead { reason: "Klaviyo refused it".to_owned(), topic: "ticket.created".to_owned() };
    recorder.heading("WorkQueue::settle, dead");
    store.settle(vec![settlement(&claimed, dead(), Vec::new())]).await.expect("settled");
    recorder.heading("DeadLetters::dead_letters");
    let letter = store.dead_letters(None, 5).await.expect("a page").items.remove(0).id;
    recorder.heading("DeadLetters::dead_letters, the next page");
    store.dead_letters(Some(&letter), 5).await.expect("a page");
    recorder.heading("DeadLetters::dead_letter_body");
    assert!(store.dead_letter_body(&letter).await.expect("an answer").is_some());
    recorder.heading("DeadLetters::replay");
    assert!(store.replay(&letter).await.expect("an answer"));
    recorder.heading("WorkQueue::claim and settle, dead again");
    let again = store.claim(Lane::Live, 1, usize::MAX, Duration::from_secs(360)).await.expect("claimed").remove(0);
    store.settle(vec![settlement(&again, dead(), Vec::new())]).await.expect("settled");
    recorder.heading("DeadLetters::discard");
    assert!(store.discard(&letter).await.expect("an answer"));
    insta::assert_snapshot!(recorder.seen());
}

#[tokio::test]
async fn documents_and_cache() {
    let (recorder, _, store) = world();
    recorder.heading("Documents::load and save, of a new one");
    assert_eq!(store.load("limits/klaviyo").await.expect("an answer"), None);
    assert!(store.save("limits/klaviyo", "{}", None).await.expect("an answer"));
    recorder.heading("Documents::save, over another");
    assert!(store.save("limits/klaviyo", "{\"a\":1}", Some(1)).await.expect("an answer"));
    recorder.heading("Cache::forget");
    store.forget(&["contact/1".to_owned()]).await.expect("forgotten");
    recorder.heading("Cache::cached, of something that is at hand");
    store.remember(vec![("contact/2".to_owned(), "{}".to_owned())], jiff::Timestamp::MAX).await.expect("remembered");
    store.cached(&["contact/2".to_owned()], contract::START).await.expect("an answer");
    insta::assert_snapshot!(recorder.seen());
}

#[tokio::test]
async fn books_of_items() {
    let (recorder, _, store) = world();
    let count = |number: u32| ItemCount {
        book: "history/1/tickets".to_owned(),
        entry: EventKey::new("abcd1234", format_args!("item:{number}")).hash(),
        events: EventCounts { delivered: 2, parked: u64::from(number), ..EventCounts::default() },
    };
    recorder.heading("ItemBooks::count_items");
    store.count_items(vec![count(0), count(1)]).await.expect("counted");
    recorder.heading("ItemBooks::item_book");
    assert_eq!(store.item_book("history/1/tickets").await.expect("a book").items, 2);
    recorder.heading("ItemBooks::forget_book");
    assert_eq!(store.forget_book("history/1/tickets").await.expect("forgotten"), 2);
    insta::assert_snapshot!(recorder.seen());
}

#[tokio::test]
async fn looking() {
    let (recorder, clock, store) = world();
    let claimed = taken(&recorder, &store).await;
    store.claim_events(vec![claim_of(&claimed)]).await.expect("claimed");
    store.settle(vec![settlement(&claimed, End::Delivered, vec![event(Fate::Sent)])]).await.expect("settled");
    recorder.seen();
    recorder.heading("Overview::books");
    assert_eq!(store.books().await.expect("books").delivered, 1);
    recorder.heading("Overview::recent_events");
    assert_eq!(store.recent_events(10).await.expect("a list").len(), 1);
    recorder.heading("Overview::clean, hours after the last write");
    clock.advance(Duration::from_secs(4 * 3600));
    let retention = Retention { recent_events: 10, ledger: None };
    let now = contract::START + SignedDuration::from_hours(4);
    assert_eq!(store.clean(now, retention).await.expect("an answer"), 1);
    insta::assert_snapshot!(recorder.seen());
}

#[tokio::test]
async fn reading_the_secret() {
    let recorder = Recorder::default();
    let arn = "arn:aws:secretsmanager:eu-west-1:1:secret:shop";
    SecretsManager::new(&recorder.config()).read(arn).await.expect("a secret");
    insta::assert_snapshot!(recorder.seen());
}
