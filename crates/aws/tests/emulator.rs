//! The adapter with the real SDK, against an emulator of the services (`common/mod.rs` sets it up).
//!
//! The environment of a process cannot be changed safely while it runs, so the laws run in a child of this very test, which
//! has the emulator in its environment, as a function on AWS has it.

mod common;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use app::contract::{self, PassTime};
use app::fakes::ManualClock;
use app::ports::{Accepted, Clock, Inbox, Lane, StoreError, WorkQueue};
use aws::{AwsConfig, AwsStore, LiveInbox, Session, StoreOptions};
use aws_config::BehaviorVersion;
use bytes::Bytes;
use common::Emulator;
use domain::SignatureScheme;
use jiff::Timestamp;

/// Beside what the stand-ins leave out (`src/tests/laws.rs`): SQS has no order.
const WITHOUT: &[&str] = &[
    "the_next_visible_moment_is_known",
    "the_oldest_in_flight_is_known",
    "old_ledger_keys_go_only_when_retention_says_so",
    "the_list_of_recent_events_is_kept_short",
    "the_oldest_comes_first",
    "a_claim_is_bounded_by_messages",
    "a_claim_is_bounded_by_bytes_but_serves_one",
];

/// The services keep real time. The laws compare moments, so this clock stands still between two of their waits, which are real.
#[derive(Clone, Debug)]
struct RealTime(ManualClock);

impl RealTime {
    fn new() -> Self {
        Self(ManualClock::at(Timestamp::from_second(Timestamp::now().as_second()).expect("in range")))
    }
}

impl Clock for RealTime {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

impl PassTime for RealTime {
    /// A little more: SQS counts from its own "now".
    async fn pass(&self, duration: Duration) {
        tokio::time::sleep(duration + Duration::from_millis(60)).await;
        self.0.advance(duration);
    }
}

static MADE: AtomicU64 = AtomicU64::new(0);

/// Queues and a table of their own, under names that nothing else has.
async fn deployment() -> AwsConfig {
    use aws_sdk_dynamodb::types::{AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType};
    let name = format!("t{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
    let config = aws_config::load_defaults(BehaviorVersion::v2026_01_12()).await;
    let sqs = aws_sdk_sqs::Client::new(&config);
    let queue = async |lane: &str| {
        let made = sqs.create_queue().queue_name(format!("{name}-{lane}")).send().await.expect("a queue");
        made.queue_url.expect("a URL")
    };
    let key = |name: &str, kind| {
        let element = KeySchemaElement::builder().attribute_name(name).key_type(kind).build().expect("complete");
        let attribute = AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S);
        (element, attribute.build().expect("complete"))
    };
    let (pk, sk) = (key("pk", KeyType::Hash), key("sk", KeyType::Range));
    aws_sdk_dynamodb::Client::new(&config)
        .create_table()
        .table_name(&name)
        .billing_mode(BillingMode::PayPerRequest)
        .key_schema(pk.0)
        .key_schema(sk.0)
        .attribute_definitions(pk.1)
        .attribute_definitions(sk.1)
        .send()
        .await
        .expect("a table");
    AwsConfig {
        live_queue_url: queue("live").await,
        history_queue_url: queue("history").await,
        state_table: name,
        options: StoreOptions::default(),
    }
}

async fn store() -> (AwsStore<RealTime>, RealTime) {
    let time = RealTime::new();
    (aws::connect(&Session::open().await, &deployment().await, time.clone()), time)
}

#[test]
fn it_works_on_the_emulator() {
    let emulator = Emulator::start();
    for test in ["child_laws", "child_inbox", "child_missing"] {
        emulator.run_test(test);
    }
}

#[tokio::test]
#[ignore = "runs as a child of it_works_on_the_emulator"]
async fn child_laws() {
    contract::run_without(WITHOUT, store).await;
}

/// What the webhook's inbox sends is what the store takes: text, other bytes, and what is larger than SQS takes.
#[tokio::test]
#[ignore = "runs as a child of it_works_on_the_emulator"]
async fn child_inbox() {
    let config = deployment().await;
    let inbox = LiveInbox::connect(&Session::open().await, &config.live_queue_url);
    let store = aws::connect(&Session::open().await, &config, RealTime::new());
    let json = format!(r#"{{"text":"{}"}}"#, "many words, ".repeat(200_000));
    for body in ["{\"a\":\"ä 😀\"}".as_bytes(), b"\xff\x00", "\u{1}\u{FFFE}".as_bytes(), b"", json.as_bytes()] {
        let received_at = Timestamp::from_microsecond(1_784_102_400_123_456).expect("in range");
        let accepted = Accepted { scheme: SignatureScheme::Body, received_at, body: Bytes::copy_from_slice(body) };
        inbox.accept(accepted.clone()).await.expect("accepted");
        let claimed = store.claim(Lane::Live, 10, usize::MAX, Duration::from_secs(60)).await.expect("claimed");
        assert_eq!(claimed.len(), 1);
        assert_eq!(claimed[0].accepted, accepted);
    }
}

/// One sentence that says what to look at.
#[tokio::test]
#[ignore = "runs as a child of it_works_on_the_emulator"]
async fn child_missing() {
    use app::ports::Documents;
    let mut config = deployment().await;
    config.state_table = "nobody".to_owned();
    config.live_queue_url.push_str("-nobody");
    let store = aws::connect(&Session::open().await, &config, RealTime::new());
    let table = store.load("workspace").await.expect_err("there is no table");
    assert!(matches!(table, StoreError::Unavailable { .. }));
    let expected =
        "the state table is not available: could not read an item: there is no table nobody; check STATE_TABLE";
    assert_eq!(table.to_string(), expected);
    let queue = store.claim(Lane::Live, 1, 1, Duration::from_secs(1)).await.expect_err("there is no queue");
    assert!(queue.to_string().contains("check LIVE_QUEUE_URL"), "{queue}");
}
