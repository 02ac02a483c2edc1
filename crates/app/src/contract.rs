//! The laws of the storage ports, as tests that every adapter runs.
//!
//! One function per law. Each gets a fresh, empty store and the time it lives by. [`run_all`] runs them all; an adapter that
//! cannot keep one by its nature (a queue without order, say) leaves it out by name ([`run_without`]) and says in its own tests why.

mod books;
mod cache;
mod dead_letters;
mod documents;
mod events;
mod forget;
mod history;
mod items;
mod ledger;
mod parked;
mod queue;
mod settling;
mod support;

use std::cell::Cell;
use std::future::{Future, ready};
use std::time::Duration;

use bytes::Bytes;
use domain::{ContactId, EventKey, SignatureScheme};
use jiff::Timestamp;

use crate::fakes::ManualClock;
use crate::ports::{
    Accepted, Books, Claimed, Clock, ConsumerStore, DeadLetters, End, EventRecord, Fate, HistoryInbox, Inbox,
    ItemBooks, Lane, Overview, PersonalData, Settlement,
};

pub use books::*;
pub use cache::*;
pub use dead_letters::*;
pub use documents::*;
pub use events::*;
pub use forget::*;
pub use history::*;
pub use items::*;
pub use ledger::*;
pub use parked::*;
pub use queue::*;
pub use settling::*;
pub use support::*;

/// A good moment for a [`ManualClock`] to start at: 2026-07-15T08:00:00Z.
pub const START: Timestamp = Timestamp::constant(1_784_102_400, 0);

/// How long the laws hide what they claim. Short, because a store that lives by real time really waits.
const HIDE: Duration = Duration::from_secs(2);

/// All storage ports together.
pub trait Store: Inbox + HistoryInbox + ItemBooks + ConsumerStore + DeadLetters + Overview + PersonalData {}
impl<T: Inbox + HistoryInbox + ItemBooks + ConsumerStore + DeadLetters + Overview + PersonalData> Store for T {}

/// Time that can be let pass: at once where the clock is manual, by waiting where the store lives by real time.
pub trait PassTime: Clock {
    /// Returns when the clock shows so much more.
    fn pass(&self, duration: Duration) -> impl Future<Output = ()> + Send;
}

impl PassTime for ManualClock {
    fn pass(&self, duration: Duration) -> impl Future<Output = ()> + Send {
        self.advance(duration);
        ready(())
    }
}

/// Every law, each with a fresh store from `make`.
pub async fn run_all<S, T, F>(make: F)
where
    S: Store,
    T: PassTime,
    F: AsyncFn() -> (S, T),
{
    run_without(&[], make).await;
}

/// Every law but those named, which the adapter cannot keep by its nature. It says in its own tests why.
///
/// # Panics
///
/// Where a name is no law's: it was renamed, or dropped.
pub async fn run_without<S, T, F>(without: &'static [&'static str], make: F)
where
    S: Store,
    T: PassTime,
    F: AsyncFn() -> (S, T),
{
    let laws = Laws { make, without, left_out: Cell::new(0) };
    queue::run_all(&laws).await;
    settling::run_all(&laws).await;
    books::run_all(&laws).await;
    events::run_all(&laws).await;
    parked::run_all(&laws).await;
    dead_letters::run_all(&laws).await;
    ledger::run_all(&laws).await;
    documents::run_all(&laws).await;
    cache::run_all(&laws).await;
    history::run_all(&laws).await;
    items::run_all(&laws).await;
    forget::run_all(&laws).await;
    support::run_all(&laws).await;
    assert_eq!(laws.left_out.get(), without.len(), "not every name is a law's: {without:?}");
}

/// Runs laws on fresh stores.
struct Laws<F> {
    make: F,
    without: &'static [&'static str],
    left_out: Cell<usize>,
}

impl<F> Laws<F> {
    async fn hold<S, T>(&self, name: &str, law: impl AsyncFn(&S, &T))
    where
        F: AsyncFn() -> (S, T),
    {
        if self.without.contains(&name) {
            self.left_out.set(self.left_out.get() + 1);
            return;
        }
        let (store, time) = (self.make)().await;
        law(&store, &time).await;
    }
}

/// A notification that can be told from others.
fn notification(name: &str, time: &impl Clock) -> Accepted {
    Accepted {
        scheme: SignatureScheme::Hub,
        received_at: time.now(),
        body: Bytes::from(format!(r#"{{"name":"{name}"}}"#)),
    }
}

/// Accepts one notification per name, a second apart.
async fn accept<S: Inbox, T: PassTime>(store: &S, time: &T, names: &[&str]) {
    for name in names {
        store.accept(notification(name, time)).await.expect("accept answers");
        time.pass(Duration::from_secs(1)).await;
    }
}

/// Claims from the live queue without a bound that matters.
async fn claim<S: crate::ports::WorkQueue>(store: &S) -> Vec<Claimed> {
    store.claim(Lane::Live, 100, usize::MAX, HIDE).await.expect("claim answers")
}

/// Claims the one message that is visible.
async fn claim_one<S: crate::ports::WorkQueue>(store: &S) -> Claimed {
    let mut claimed = claim(store).await;
    assert_eq!(claimed.len(), 1, "exactly one message should be visible");
    claimed.remove(0)
}

/// The names given to [`notification`].
fn names(claimed: &[Claimed]) -> Vec<String> {
    let name = |one: &Claimed| {
        let text = String::from_utf8_lossy(&one.accepted.body).into_owned();
        text.trim_start_matches(r#"{"name":""#).trim_end_matches(r#""}"#).to_owned()
    };
    claimed.iter().map(name).collect()
}

async fn settle<S: crate::ports::WorkQueue>(store: &S, claimed: &Claimed, end: End) {
    settle_with(store, claimed, end, Vec::new()).await;
}

async fn settle_with<S: crate::ports::WorkQueue>(store: &S, claimed: &Claimed, end: End, events: Vec<EventRecord>) {
    let settlement = Settlement {
        keys: Vec::new(),
        id: claimed.id.clone(),
        receipt: claimed.receipt.clone(),
        end,
        events,
        profiles: 0,
        item: None,
    };
    store.settle(vec![settlement]).await.expect("settle answers");
}

/// The books, after checking that they add up: law 1 holds at every look.
async fn books<S: Overview>(store: &S) -> Books {
    let books = store.books().await.expect("books answer");
    let skipped: u64 = books.skipped.values().sum();
    let sum = books.delivered + skipped + books.parked + books.dead + books.in_flight;
    assert_eq!(books.accepted, sum, "accepted = delivered + skipped + parked + dead + in flight: {books:?}");
    books
}

fn dead(reason: &str) -> End {
    End::Dead { reason: reason.to_owned(), topic: "conversation.user.created".to_owned() }
}

fn contact(id: &str) -> ContactId {
    ContactId::new(id)
}

fn key(name: &str) -> EventKey {
    EventKey::new("workspace", format_args!("{name}"))
}

/// A record of an event under the metric `Intercom {metric}`.
fn event(name: &str, metric: &str, fate: Fate, time: &impl Clock) -> EventRecord {
    EventRecord {
        key: Some(key(name).hash()),
        key_text: key(name).to_string(),
        metric: format!("Intercom {metric}"),
        contact: Some(contact("c1")),
        time: Some(START),
        fate,
        at: time.now(),
    }
}
