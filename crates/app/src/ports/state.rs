//! The queue and the state that outlives a process.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use domain::{ContactId, Identity, KeyHash, MessageId, SignatureScheme};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{ItemCount, SupportStates};

/// Why a store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Locked, full, throttled or unreachable: the same call may succeed later. Nothing was written.
    #[error("the {store} is not available: {detail}")]
    Unavailable {
        /// Which store, for a human: "SQLite file", "queue".
        store: &'static str,
        /// The cause, without personal data.
        detail: String,
    },
    /// What the store holds cannot be read by this version.
    #[error("the {store} holds something this version cannot read: {detail}")]
    Unreadable {
        /// Which store.
        store: &'static str,
        /// What and where, without personal data.
        detail: String,
    },
}

/// Result of a storage port.
pub type StoreResult<T> = Result<T, StoreError>;

/// The queues. Live traffic always goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Notifications from the webhook.
    Live,
    /// Items found by the history import.
    History,
    /// Items found by reconcile: their events are live, but they are none of the six counters' messages. A store with few queues
    /// may serve them with [`Lane::Live`]'s, where [`Accepted::scheme`] tells them apart.
    Reconcile,
}

/// A webhook call whose signature was right, as the queue keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Which of Intercom's two signatures it carried: topics carry one, lifecycle calls the other. What we read ourselves has none.
    pub scheme: SignatureScheme,
    /// When the webhook accepted it.
    pub received_at: Timestamp,
    /// The notification: as received, or trimmed where it was large. Not necessarily JSON, nor UTF-8.
    pub body: Bytes,
}

/// The webhook's only port.
pub trait Inbox: Send + Sync {
    /// Keeps the notification durably on the live queue and counts it as accepted, both or neither.
    ///
    /// Returns only after it would survive a power cut. If the caller stops waiting (drops the future), the
    /// notification is either not kept at all or kept and counted.
    fn accept(&self, accepted: Accepted) -> impl Future<Output = StoreResult<()>> + Send;
}

/// The import's side of the history queue.
pub trait HistoryInbox: Send + Sync {
    /// Puts items on the history queue, visible at once; all of them or none. Durable when it returns: only then may the
    /// checkpoint move on. They never touch the six counters, whatever becomes of them.
    fn enqueue_history(&self, items: Vec<Accepted>) -> impl Future<Output = StoreResult<()>> + Send;

    /// Puts items that reconcile found on [`Lane::Reconcile`], by the same law.
    fn enqueue_reconcile(&self, items: Vec<Accepted>) -> impl Future<Output = StoreResult<()>> + Send;

    /// How many are on the history queue, claimed ones included: the import waits when it is deep.
    fn history_depth(&self) -> impl Future<Output = StoreResult<u64>> + Send;
}

/// What was tried so far with a message; kept by us because a queue's own receive count also counts waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// Tries that failed while the vendor was answering others. Waits told by a vendor do not count.
    pub attempts: u16,
    /// How often a contact was asked for and was unknown or had no address yet.
    pub contact_tries: u16,
    /// Whether one of the message's events has been sent.
    pub sent: bool,
}

/// Proof of one claim of a message. A later claim of the same message makes it stale.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Receipt(pub String);

/// A message claimed from a queue.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// Stays the same across retries, parking and replay.
    pub id: MessageId,
    /// Needed to settle it.
    pub receipt: Receipt,
    /// What was accepted.
    pub accepted: Accepted,
    /// What was tried before.
    pub progress: Progress,
}

/// The consumer's side of the queues.
pub trait WorkQueue: Send + Sync {
    /// Claims up to `max_messages` visible messages of at most `max_bytes` together (but at least one), oldest
    /// first, and hides them for `hide`. If the process dies, they come back: after `hide`, or when the store is opened again.
    fn claim(
        &self,
        lane: Lane,
        max_messages: usize,
        max_bytes: usize,
        hide: Duration,
    ) -> impl Future<Output = StoreResult<Vec<Claimed>>> + Send;

    /// Ends or defers claimed messages: for each, everything in the [`Settlement`] or nothing. A settlement whose receipt is
    /// stale leaves the message alone (somebody else has it), but still records its sent events, once.
    fn settle(&self, settlements: Vec<Settlement>) -> impl Future<Output = StoreResult<()>> + Send;

    /// When the next message of the lane becomes visible, if there is one that waits.
    fn next_visible(&self, lane: Lane) -> impl Future<Output = StoreResult<Option<Timestamp>>> + Send;
}

/// What happened to a claimed message, with all that has to be written with it.
#[derive(Clone, Debug)]
pub struct Settlement {
    /// The message.
    pub id: MessageId,
    /// The claim.
    pub receipt: Receipt,
    /// Where the message goes.
    pub end: End,
    /// One record for each event that got a fate, for the ledger, the metric counters and the list of recent events.
    pub events: Vec<EventRecord>,
    /// The keys of all its events that were looked at, those that wait included: a queue that delivers at least once finds out by
    /// them whether an earlier delivery of the message has ended.
    pub keys: Vec<KeyHash>,
    /// For an item of history or reconcile that reached its end: its entry in the books, written with the rest. It is ignored where
    /// the receipt is stale. What is discarded, expires or is settled again later replaces what it left open.
    pub item: Option<ItemCount>,
    /// How many profiles were written for the message without an event. Counted with it; where the receipt is stale they are not,
    /// although they were written: the one who has the message writes and counts them again.
    pub profiles: u64,
}

/// Where a message goes. All but [`End::Deferred`] take it off the queue and count it under exactly one fate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// At least one event was sent, and nothing waits.
    Delivered,
    /// Nothing was wanted, for this reason.
    Skipped(String),
    /// Waits, off the queue, until one of the contacts can be identified.
    Parked(Parking),
    /// Refused for good; kept with its bytes, for a human.
    Dead {
        /// One sentence without personal data.
        reason: String,
        /// The topic, or what stood for it.
        topic: String,
    },
    /// Back to the queue, visible again at `until`. Still in flight.
    Deferred {
        /// When it becomes visible.
        until: Timestamp,
        /// What was tried, to be handed out with the next claim.
        progress: Progress,
    },
}

/// How long and for whom a message is parked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parking {
    /// The contacts it waits for. Any of them releases it.
    pub contacts: Vec<ContactId>,
    /// When the sweep looks at it next.
    pub next_check: Timestamp,
    /// When it is given up and counted as skipped (or delivered, where [`Progress::sent`]).
    pub expires: Timestamp,
    /// What was tried.
    pub progress: Progress,
}

/// Fate of one event, for ledger, counters and the list of recent events. Holds no personal data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRecord {
    /// The ledger's key; `None` for an event that never got one.
    pub key: Option<KeyHash>,
    /// The key as text, for people.
    pub key_text: String,
    /// The metric's full name, prefix included.
    pub metric: String,
    /// Whose event it is.
    pub contact: Option<ContactId>,
    /// When it happened, if that is known.
    pub time: Option<Timestamp>,
    /// What became of it.
    pub fate: Fate,
    /// When that was.
    pub at: Timestamp,
}

/// Fate of one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Klaviyo took it. Marks the key as sent and counts it under its metric, once however often it is recorded.
    Sent,
    /// Not wanted.
    Skipped(String),
    /// Waits for its contact.
    Parked,
    /// Refused.
    Dead(String),
}

/// A wish to send an event.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Which event.
    pub key: KeyHash,
    /// For which message.
    pub message: MessageId,
    /// The identifiers it would carry.
    pub identity: Identity,
}

/// Who may send an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimOutcome {
    /// Nobody had it: now this message does.
    Fresh,
    /// This message had it before and may have sent it: send it again with the same identifiers, so that Klaviyo's
    /// own rule (profile, metric, `unique_id`) folds the two.
    Resumed(Identity),
    /// This message sent it before, and that is recorded.
    SentByThis,
    /// Another message has it or sent it.
    Taken,
    /// This very message is being delivered by somebody else right now, as a queue that delivers at least once may cause:
    /// look again at `until`, when they have either finished or died.
    Busy {
        /// When it is known what became of the other delivery.
        until: Timestamp,
    },
}

/// The ledger of delivered keys.
pub trait Ledger: Send + Sync {
    /// Claims events before they are sent. Durable when it returns: if we die after the send, the next try finds the
    /// identifiers it was sent with. One outcome for each claim, in order; of two claims of one key the first wins.
    fn claim_events(&self, claims: Vec<Claim>) -> impl Future<Output = StoreResult<Vec<ClaimOutcome>>> + Send;

    /// Whether each event is in the ledger, claimed or sent: somebody has it or will send it. A look, which promises nothing.
    fn known_events(&self, keys: &[KeyHash]) -> impl Future<Output = StoreResult<Vec<bool>>> + Send;
}

/// A small versioned text under a fixed name: limits told by a vendor, the workspace, a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Grows with each save.
    pub version: u64,
    /// The text, JSON by convention.
    pub body: String,
}

/// Documents with compare-and-set, so that two owners cannot both win.
pub trait Documents: Send + Sync {
    /// The document, if there is one.
    fn load(&self, name: &str) -> impl Future<Output = StoreResult<Option<Document>>> + Send;

    /// Saves if the stored version is still `expected` (`None`: there is none yet). `false` when it is not: read again.
    fn save(&self, name: &str, body: &str, expected: Option<u64>) -> impl Future<Output = StoreResult<bool>> + Send;
}

/// What is remembered for a while: contacts and names looked up at Intercom.
pub trait Cache: Send + Sync {
    /// The values that are there and not expired at `now`, in the order of the keys.
    fn cached(&self, keys: &[String], now: Timestamp) -> impl Future<Output = StoreResult<Vec<Option<String>>>> + Send;

    /// Remembers values until `expires`. May be lost in a crash.
    fn remember(
        &self,
        entries: Vec<(String, String)>,
        expires: Timestamp,
    ) -> impl Future<Output = StoreResult<()>> + Send;

    /// Forgets values.
    fn forget(&self, keys: &[String]) -> impl Future<Output = StoreResult<()>> + Send;
}

/// A parked message, as the sweep sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParkedMessage {
    /// The message.
    pub id: MessageId,
    /// Whom it waits for.
    pub contacts: Vec<ContactId>,
    /// Since when.
    pub parked_at: Timestamp,
}

/// Messages that wait for a contact.
pub trait ParkedMessages: Send + Sync {
    /// Puts every message that waits for one of the contacts back on the live queue, visible at once, with its
    /// [`Progress`] (contact tries reset). Gives how many.
    fn release(&self, contacts: &[ContactId]) -> impl Future<Output = StoreResult<u64>> + Send;

    /// Parked messages whose check is due, oldest check first.
    fn due(&self, now: Timestamp, limit: usize) -> impl Future<Output = StoreResult<Vec<ParkedMessage>>> + Send;

    /// Sets the next check.
    fn recheck_at(&self, id: &MessageId, next_check: Timestamp) -> impl Future<Output = StoreResult<()>> + Send;

    /// Gives up those that expired: skipped for `reason`, or delivered where something was sent. Gives how many.
    fn expire(&self, now: Timestamp, reason: &str) -> impl Future<Output = StoreResult<u64>> + Send;
}

/// A message that was refused for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeadLetter {
    /// Of `[A-Za-z0-9_-]+`.
    pub id: String,
    /// When it was refused.
    pub at: Timestamp,
    /// Why, without personal data.
    pub reason: String,
    /// The topic of the notification.
    pub topic: String,
}

/// A page of dead letters, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DeadLetterPage {
    /// The page.
    pub items: Vec<DeadLetter>,
    /// Cursor of the next page.
    pub next: Option<String>,
}

/// What a human does with refused messages.
pub trait DeadLetters: Send + Sync {
    /// A page, starting after the cursor.
    fn dead_letters(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> impl Future<Output = StoreResult<DeadLetterPage>> + Send;

    /// Puts it back on the live queue with fresh [`Progress`] (`sent` kept). `false` when there is none with this id.
    fn replay(&self, id: &str) -> impl Future<Output = StoreResult<bool>> + Send;

    /// Counts it as skipped, reason `discarded`, and drops its bytes. `false` when there is none with this id.
    fn discard(&self, id: &str) -> impl Future<Output = StoreResult<bool>> + Send;

    /// The notification as it was accepted, for `explain`.
    fn dead_letter_body(&self, id: &str) -> impl Future<Output = StoreResult<Option<Accepted>>> + Send;
}

/// How often a metric's events were sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MetricCount {
    /// Full name, prefix included.
    pub name: String,
    /// Events that Klaviyo took.
    pub delivered: u64,
    /// When the last one was taken.
    pub last_at: Option<Timestamp>,
}

/// The books, read in one instant: `accepted = delivered + skipped + parked + dead + in_flight`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Books {
    /// Webhook calls answered 200.
    pub accepted: u64,
    /// Ended as delivered.
    pub delivered: u64,
    /// Ended as skipped, by reason.
    pub skipped: BTreeMap<String, u64>,
    /// Waiting for a contact.
    pub parked: u64,
    /// Refused, waiting for a human.
    pub dead: u64,
    /// On the live queue, claimed ones included.
    pub in_flight: u64,
    /// When the last one was accepted.
    pub last_webhook_at: Option<Timestamp>,
    /// When Klaviyo last took an event.
    pub last_delivery_at: Option<Timestamp>,
    /// When the oldest message in flight was accepted.
    pub oldest_in_flight: Option<Timestamp>,
    /// Events by metric, whatever their source.
    pub metrics: Vec<MetricCount>,
    /// Profiles that were written without an event.
    pub profile_updates: u64,
}

/// A recent event, for people who look. Holds ids only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RecentEvent {
    /// When it got its fate.
    pub at: Timestamp,
    /// Metric name.
    pub metric: String,
    /// Event key.
    pub key: String,
    /// Intercom's contact id.
    pub contact: Option<String>,
    /// When it happened.
    pub time: Option<Timestamp>,
    /// `sent`, `skipped`, `parked` or `dead`.
    pub fate: String,
    /// Why, where there is a why.
    pub reason: Option<String>,
}

/// How long finished things are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// How many recent events are listed.
    pub recent_events: u64,
    /// Ledger keys older than this are dropped; `None` keeps them for good.
    pub ledger: Option<Duration>,
}

/// Reading the state, and keeping it small.
pub trait Overview: Send + Sync {
    /// The books, consistent in themselves.
    fn books(&self) -> impl Future<Output = StoreResult<Books>> + Send;

    /// The newest events, newest first.
    fn recent_events(&self, limit: usize) -> impl Future<Output = StoreResult<Vec<RecentEvent>>> + Send;

    /// Removes what retention says, a bounded piece at a time. Gives how many rows went.
    fn clean(&self, now: Timestamp, retention: Retention) -> impl Future<Output = StoreResult<u64>> + Send;
}

/// Everything the consumer needs from storage.
pub trait ConsumerStore:
    WorkQueue + HistoryInbox + Ledger + Cache + ParkedMessages + Documents + SupportStates
{
}
impl<T: WorkQueue + HistoryInbox + Ledger + Cache + ParkedMessages + Documents + SupportStates> ConsumerStore for T {}
