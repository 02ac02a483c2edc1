//! The books while a transaction is open: changes are added up in memory and written once per transaction.

use std::collections::BTreeMap;

use app::ports::{EventCounts, Lane};
use rusqlite::{Connection, params};

use crate::trouble::Trouble;

/// Numbers that are never given twice, not even to a message that follows a deleted one: the ledger knows messages by them.
///
/// Kept in memory and saved with the books. A transaction that fails leaves gaps, which nobody minds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sequences {
    message: i64,
    claim: i64,
}

const LOAD: &str = "SELECT last_message, last_claim FROM totals";

impl Sequences {
    /// As the file has them.
    pub(crate) fn load(connection: &Connection) -> Result<Self, Trouble> {
        Ok(connection.query_row(LOAD, [], |row| Ok(Self { message: row.get(0)?, claim: row.get(1)? }))?)
    }

    /// The higher of two, number by number: a file that was put back must not make numbers come again.
    pub(crate) fn not_below(self, other: Self) -> Self {
        Self { message: self.message.max(other.message), claim: self.claim.max(other.claim) }
    }

    /// The number of a new message.
    pub(crate) fn next_message(&mut self) -> i64 {
        self.message += 1;
        self.message
    }

    /// The number of a new claim.
    pub(crate) fn next_claim(&mut self) -> i64 {
        self.claim += 1;
        self.claim
    }
}

/// What calls change in the books.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    accepted: i64,
    delivered: i64,
    parked: i64,
    dead: i64,
    in_flight: i64,
    history_depth: i64,
    profiles: i64,
    last_webhook_at: Option<i64>,
    last_delivery_at: Option<i64>,
    skipped: BTreeMap<String, i64>,
    metrics: BTreeMap<String, (i64, i64)>,
    item_books: BTreeMap<String, BookChange>,
}

/// What calls change in one book of items.
#[derive(Debug, Default)]
struct BookChange {
    items: i64,
    delivered: i64,
    parked: i64,
    dead: i64,
    skipped: BTreeMap<String, i64>,
}

impl BookChange {
    fn add(&mut self, events: &EventCounts, sign: i64) {
        let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX) * sign;
        self.delivered += signed(events.delivered);
        self.parked += signed(events.parked);
        self.dead += signed(events.dead);
        for (reason, count) in &events.skipped {
            *self.skipped.entry(reason.clone()).or_default() += signed(*count);
        }
    }
}

/// A place where a message is, or a fate that it has: one of the terms of the sum.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place<'a> {
    /// On its queue, claimed or not.
    Queue,
    /// Waits for a contact.
    Parked,
    /// Waits for a human.
    Dead,
    /// Gone: something was sent.
    Delivered,
    /// Gone for a reason.
    Skipped(&'a str),
}

impl Changes {
    /// A webhook call was accepted.
    pub(crate) fn accepted(&mut self, received_at: i64) {
        self.accepted += 1;
        self.in_flight += 1;
        self.last_webhook_at = self.last_webhook_at.max(Some(received_at));
    }

    /// The import put a message on its queue.
    pub(crate) fn enqueued_history(&mut self) {
        self.history_depth += 1;
    }

    /// A message moves. Subtracts and adds in one place, so that the sum cannot come apart.
    pub(crate) fn moved(&mut self, lane: Lane, from: Place<'_>, to: Place<'_>) {
        self.add(lane, from, -1);
        self.add(lane, to, 1);
    }

    fn add(&mut self, lane: Lane, place: Place<'_>, count: i64) {
        match (lane, place) {
            (Lane::Live, Place::Queue) => self.in_flight += count,
            (Lane::Live, Place::Parked) => self.parked += count,
            (Lane::Live, Place::Dead) => self.dead += count,
            (Lane::Live, Place::Delivered) => self.delivered += count,
            (Lane::Live, Place::Skipped(reason)) => *self.skipped.entry(reason.to_owned()).or_default() += count,
            (Lane::History, Place::Queue) => self.history_depth += count,
            // What we read ourselves has books of its own; these are about webhook calls.
            (Lane::History | Lane::Reconcile, _) => {}
        }
    }

    /// An event was sent and had not been counted before.
    pub(crate) fn event_sent(&mut self, metric: &str, at: i64) {
        self.last_delivery_at = self.last_delivery_at.max(Some(at));
        match self.metrics.get_mut(metric) {
            Some((count, last)) => {
                *count += 1;
                *last = at.max(*last);
            }
            None => {
                self.metrics.insert(metric.to_owned(), (1, at));
            }
        }
    }

    /// Profiles were written without an event.
    pub(crate) fn profiles_written(&mut self, count: u64) {
        self.profiles += i64::try_from(count).unwrap_or(i64::MAX);
    }

    /// An item got its entry in a book, in place of an earlier one where there was one.
    pub(crate) fn item_counted(&mut self, book: &str, events: &EventCounts, instead_of: Option<&EventCounts>) {
        let change = self.item_books.entry(book.to_owned()).or_default();
        change.add(events, 1);
        match instead_of {
            Some(earlier) => change.add(earlier, -1),
            None => change.items += 1,
        }
    }

    /// Adds those of a call that succeeded.
    pub(crate) fn absorb(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.delivered += other.delivered;
        self.parked += other.parked;
        self.dead += other.dead;
        self.in_flight += other.in_flight;
        self.history_depth += other.history_depth;
        self.profiles += other.profiles;
        self.last_webhook_at = self.last_webhook_at.max(other.last_webhook_at);
        self.last_delivery_at = self.last_delivery_at.max(other.last_delivery_at);
        for (reason, count) in other.skipped {
            *self.skipped.entry(reason).or_default() += count;
        }
        for (metric, (count, at)) in other.metrics {
            let entry = self.metrics.entry(metric).or_insert((0, at));
            *entry = (entry.0 + count, entry.1.max(at));
        }
        for (book, change) in other.item_books {
            let sum = self.item_books.entry(book).or_default();
            sum.items += change.items;
            sum.delivered += change.delivered;
            sum.parked += change.parked;
            sum.dead += change.dead;
            for (reason, count) in change.skipped {
                *sum.skipped.entry(reason).or_default() += count;
            }
        }
    }

    fn touches_totals(&self) -> bool {
        [self.accepted, self.delivered, self.parked, self.dead, self.in_flight, self.history_depth]
            .iter()
            .any(|n| *n != 0)
            || self.last_delivery_at.is_some()
    }
}

// `max` with two arguments is NULL when one of them is; each side stands in for the other.
const SAVE_TOTALS: &str = "
UPDATE totals SET
    accepted = accepted + ?1, delivered = delivered + ?2, parked = parked + ?3, dead = dead + ?4,
    in_flight = in_flight + ?5, history_depth = history_depth + ?6,
    last_webhook_at = max(coalesce(last_webhook_at, ?7), coalesce(?7, last_webhook_at)),
    last_delivery_at = max(coalesce(last_delivery_at, ?8), coalesce(?8, last_delivery_at)),
    last_message = ?9, last_claim = ?10";
const SAVE_SKIPPED: &str = "INSERT INTO skipped (reason, messages) VALUES (?1, ?2)
    ON CONFLICT (reason) DO UPDATE SET messages = messages + excluded.messages";
const SAVE_METRIC: &str = "INSERT INTO metrics (name, delivered, last_at) VALUES (?1, ?2, ?3)
    ON CONFLICT (name) DO UPDATE SET delivered = delivered + excluded.delivered, last_at = max(last_at, excluded.last_at)";

const SAVE_PROFILES: &str = "INSERT INTO meta (name, value) VALUES ('profile_updates', ?1)
    ON CONFLICT (name) DO UPDATE SET value = value + excluded.value";

const SAVE_BOOK: &str = "INSERT INTO item_books (name, items, delivered, parked, dead) VALUES (?1, ?2, ?3, ?4, ?5)
    ON CONFLICT (name) DO UPDATE SET items = items + excluded.items, delivered = delivered + excluded.delivered,
        parked = parked + excluded.parked, dead = dead + excluded.dead";
const SAVE_BOOK_SKIPPED: &str = "INSERT INTO item_book_skipped (book, reason, events) VALUES (?1, ?2, ?3)
    ON CONFLICT (book, reason) DO UPDATE SET events = events + excluded.events";

/// Writes what a transaction changed, as its last act, so that rows and books become true in the same instant.
pub(crate) fn save(
    connection: &Connection,
    changes: &Changes,
    before: Sequences,
    sequences: Sequences,
) -> Result<(), Trouble> {
    if changes.touches_totals() || before != sequences {
        connection.prepare_cached(SAVE_TOTALS)?.execute(params![
            changes.accepted,
            changes.delivered,
            changes.parked,
            changes.dead,
            changes.in_flight,
            changes.history_depth,
            changes.last_webhook_at,
            changes.last_delivery_at,
            sequences.message,
            sequences.claim,
        ])?;
    }
    for (reason, count) in &changes.skipped {
        connection.prepare_cached(SAVE_SKIPPED)?.execute(params![reason, count])?;
    }
    for (metric, (count, at)) in &changes.metrics {
        connection.prepare_cached(SAVE_METRIC)?.execute(params![metric, count, at])?;
    }
    if changes.profiles != 0 {
        connection.prepare_cached(SAVE_PROFILES)?.execute([changes.profiles])?;
    }
    for (book, change) in &changes.item_books {
        let BookChange { items, delivered, parked, dead, skipped } = change;
        connection.prepare_cached(SAVE_BOOK)?.execute(params![book, items, delivered, parked, dead])?;
        for (reason, count) in skipped.iter().filter(|(_, count)| **count != 0) {
            connection.prepare_cached(SAVE_BOOK_SKIPPED)?.execute(params![book, reason, count])?;
        }
    }
    Ok(())
}
