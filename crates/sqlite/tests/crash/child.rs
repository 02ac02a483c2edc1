//! The one that gets killed.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use app::ports::{
    Accepted, Claim, ClaimOutcome, Claimed, Clock, DeadLetters, End, EventRecord, Fate, Inbox, Lane, Ledger,
    ParkedMessages, Parking, Progress, Settlement, WorkQueue,
};
use bytes::Bytes;
use domain::{ContactId, EventKey, Identity, SignatureScheme};
use jiff::{SignedDuration, Timestamp};
use sqlite::{SqliteOptions, SqliteStore};

use crate::journal::{Journal, Pen};

pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// Runs until it is killed.
pub(crate) fn work(folder: &Path) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let next = Journal::read(folder).asked.into_iter().max().map_or(0, |last| last + 1);
        let next = Arc::new(AtomicU64::new(next));
        let pen = Arc::new(Pen::open(folder));
        let store = SqliteStore::open(&folder.join("state.db"), SqliteOptions::default(), SystemClock);
        let store = store.expect("it opens after every kill");
        for _ in 0..6 {
            tokio::spawn(webhooks(store.clone(), Arc::clone(&pen), Arc::clone(&next)));
        }
        consumer(store, &pen).await;
    });
}

async fn webhooks(store: SqliteStore, pen: Arc<Pen>, next: Arc<AtomicU64>) {
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let mut body = format!("{number:012}");
        body.push_str(&"x".repeat(usize::try_from(number % 9_000).unwrap_or(0)));
        pen.note("asked", number);
        let accepted =
            Accepted { scheme: SignatureScheme::Hub, received_at: Timestamp::now(), body: Bytes::from(body) };
        store.accept(accepted).await.expect("accepted");
        pen.note("answered", number);
    }
}

async fn consumer(store: SqliteStore, pen: &Pen) {
    let waiting = [ContactId::new("c1")];
    for round in 0_u64.. {
        let claimed = store.claim(Lane::Live, 20, usize::MAX, Duration::from_secs(60)).await.expect("claimed");
        let mut settlements = Vec::new();
        let mut ending = Vec::new();
        for message in claimed {
            let number: u64 = String::from_utf8_lossy(&message.accepted.body[..12]).parse().expect("a number");
            let settlement = settlement(&store, message, number + round).await;
            if matches!(settlement.end, End::Delivered | End::Skipped(_)) {
                pen.note("ending", number);
                ending.push(number);
            }
            settlements.push(settlement);
        }
        store.settle(settlements).await.expect("settled");
        for number in ending {
            pen.note("ended", number);
        }
        if round % 3 == 0 {
            store.release(&waiting).await.expect("released");
            for letter in store.dead_letters(None, 5).await.expect("listed").items {
                store.replay(&letter.id).await.expect("replayed");
            }
        }
    }
}

async fn settlement(store: &SqliteStore, message: Claimed, choice: u64) -> Settlement {
    let soon = Timestamp::now() + SignedDuration::from_millis(5);
    let mut events = Vec::new();
    let end = match choice % 5 {
        0 => {
            events.extend(send(store, &message).await);
            End::Delivered
        }
        1 => End::Skipped("no match".to_owned()),
        2 => End::Dead { reason: "refused".to_owned(), topic: "ticket.created".to_owned() },
        3 => {
            let contacts = vec![ContactId::new("c1"), ContactId::new("c2")];
            let expires = soon + SignedDuration::from_hours(1);
            End::Parked(Parking { contacts, next_check: soon, expires, progress: message.progress })
        }
        _ => End::Deferred { until: soon, progress: Progress { attempts: 1, ..message.progress } },
    };
    Settlement { keys: Vec::new(), id: message.id, receipt: message.receipt, end, events, profiles: 0, item: None }
}

/// Claims an event; the send itself is left out.
async fn send(store: &SqliteStore, message: &Claimed) -> Option<EventRecord> {
    let key = EventKey::new("w", format_args!("ticket-created:{}", message.id));
    let identity = Identity { email: Some("jane@example.com".to_owned()), ..Identity::default() };
    let claim = Claim { key: key.hash(), message: message.id.clone(), identity };
    let outcome = store.claim_events(vec![claim]).await.expect("claimed").remove(0);
    assert!(matches!(outcome, ClaimOutcome::Fresh | ClaimOutcome::Resumed(_)), "{outcome:?}: nobody else has it");
    Some(EventRecord {
        key: Some(key.hash()),
        key_text: key.to_string(),
        metric: "Intercom Created Ticket".to_owned(),
        contact: None,
        time: None,
        fate: Fate::Sent,
        at: Timestamp::now(),
    })
}
