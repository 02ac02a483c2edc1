//! A month of live traffic: from figures and traffic to the lines of a bill.

use serde::Serialize;

use super::Figures;
use super::prices::{
    ALARM_MONTH, LAMBDA_GB_SECOND_ARM64, LAMBDA_GB_SECOND_X86_64, LAMBDA_REQUEST, LOG_GB, METRIC_MONTH, SCHEDULE_CALL,
    SECRET_MONTH, SECRET_READ, SQS_REQUEST, TABLE_BACKUP_GB_MONTH, TABLE_GB_MONTH, TABLE_READ, TABLE_WRITE,
};

/// Minutes of a month of 30 days.
const MONTH_MINUTES: f64 = 30.0 * 24.0 * 60.0;

/// SQS counts 64 KB as one request.
pub(super) const SQS_KB: f64 = 64.0;

/// Functions that have been called lately, each of which reads the secret every five minutes.
const WARM_FUNCTIONS: f64 = 4.0;

/// Billed time of one webhook call in milliseconds, an estimate on a measured part: `cargo bench --workspace --bench functions`
/// sees 0.3 ms on a whole core with a queue that answers at once. 128 MB of Lambda get 1/14 of a core (1,769 MB get a whole one,
/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html>), hence some 4 ms; SQS's own answer takes the rest.
const WEBHOOK_MS: f64 = 8.0;

/// Billed time of one call of the consumer, and what each event adds, from `cargo bench --workspace --bench consumer`. Computing
/// takes 1.9 ms of a core for one event, 6.2 ms for ten, 41 ms for a hundred: at a fourteenth of a core 20 ms and 6 ms an event.
/// Waiting takes the rest: a look-up at Intercom and a send to Klaviyo, 100 ms each (an assumption: neither publishes a figure),
/// and the table's answers one after the other.
pub(super) const CONSUMER_MS: f64 = 310.0;
pub(super) const CONSUMER_MS_PER_EVENT: f64 = 6.0;

/// So many contacts are looked up at the same time; the next ones wait for a look-up more.
const LOOK_UPS_TOGETHER: f64 = 16.0;
const LOOK_UP_MS: f64 = 100.0;

/// What support state does for each notification, in shares of all, from this mix: in one conversation a customer starts it, replies
/// three times and reads eight times, a teammate closes it; one in five is rated, one in ten becomes a ticket that is resolved.
/// Reads change nothing and are not looked at; nor is a reply written that came within the hour, as nine of ten do. Every fourth
/// conversation is of somebody new. What a record takes is held by `crates/aws/src/tests/costs.rs`.
const SUPPORT_MIX: SupportMix =
    SupportMix { notifications: 13.5, looked_at: 5.5, changed: 2.7, opened: 1.1, newcomers: 0.25 };

/// Of one conversation.
struct SupportMix {
    /// Notifications in all.
    notifications: f64,
    /// Those for which the record is read, at half the price of an exact look.
    looked_at: f64,
    /// Those that write it, and look exactly after they told Klaviyo.
    changed: f64,
    /// Threads that are opened: another write, of whose they are.
    opened: f64,
    /// Contacts that are new: another look and another write, of which record is theirs.
    newcomers: f64,
}

impl SupportMix {
    /// Dollars for each notification.
    fn dollars(&self) -> f64 {
        let reads = self.looked_at * 0.5 + self.changed + self.newcomers;
        let writes = self.changed + self.opened + self.newcomers;
        (reads * TABLE_READ + writes * TABLE_WRITE) / self.notifications
    }
}

/// Leases of the vendors' limits that a batch takes, each one read and one write of less than a KB: two when it comes alone, one of
/// each vendor; half as many in busy hours, when batches share them (`crates/clients/src/tests/shared.rs`).
const LEASES_ALONE: f64 = 2.0;
const LEASES_BUSY: f64 = 1.0;

/// Write units that the list of recent events takes for each event (`crates/aws/src/tests/costs.rs`).
const LISTED: f64 = 0.055;

/// Billed time of one tick when there is nothing to do.
const TICK_MS: f64 = 150.0;

/// An entry of the ledger in bytes, with the 100 bytes that DynamoDB adds to each item.
const LEDGER_BYTES: f64 = 300.0;

/// Lambda polls a queue that is empty with five pollers, each of which waits 20 seconds.
const IDLE_POLLS: f64 = 5.0 * 3.0 * MONTH_MINUTES;

/// Metrics that the functions write themselves.
const METRICS: f64 = 5.0;

/// What goes through in a month.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Traffic {
    /// Live notifications, most of them with one event.
    pub events: f64,
    /// How many of them one call of the consumer takes on average.
    pub batch: f64,
    /// Size of a notification in KB.
    pub kilobytes: f64,
    /// Without ledger, support state, alarms and backups: see the guide.
    pub lean: bool,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Item {
    /// For what.
    pub what: &'static str,
    /// US dollars.
    pub dollars: f64,
}

/// A month's bill in US dollars.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bill {
    /// What grows with the number of events.
    pub by_events: Vec<Item>,
    /// What is due each month, whether anything happens or not.
    pub standing: Vec<Item>,
}

impl Bill {
    /// The bill of that traffic.
    pub fn of(figures: &Figures, traffic: Traffic) -> Self {
        let Traffic { events, kilobytes, lean, .. } = traffic;
        let calls = events / traffic.batch;
        // SQS hands out and deletes at most ten messages in a request, and counts each 64 KB of it.
        let together = traffic.batch.min(10.0);
        let chunks = |kilobytes: f64| (kilobytes / SQS_KB).ceil().max(1.0);
        let requests = events * chunks(kilobytes) + events / together * (chunks(kilobytes * together) + 1.0);
        let further_look_ups = (traffic.batch / LOOK_UPS_TOGETHER).ceil() - 1.0;
        let consumer_ms = CONSUMER_MS + CONSUMER_MS_PER_EVENT * traffic.batch + further_look_ups.max(0.0) * LOOK_UP_MS;
        let support = if lean { 0.0 } else { events * SUPPORT_MIX.dollars() };
        let ledger = if lean { 0.0 } else { events };
        let leases = if traffic.batch > 1.0 { LEASES_BUSY } else { LEASES_ALONE };
        let listed = if lean { 0.0 } else { events * LISTED };
        let by_events = vec![
            item("webhook function", lambda(figures.arm64, events, figures.webhook_mb, WEBHOOK_MS)),
            item("live queue", SQS_REQUEST * requests),
            item("consumer function", lambda(figures.arm64, calls, figures.consumer_mb, consumer_ms)),
            item("table: one write for each event (the ledger)", ledger * TABLE_WRITE),
            item(
                "table: books, limits and recent events of each batch",
                // The books are one write (`crates/aws/src/tests/costs.rs`); one read tells which contacts changed, one whether
                // anything is parked.
                calls * ((1.0 + leases) * TABLE_WRITE + (2.0 + leases) * TABLE_READ) + listed * TABLE_WRITE,
            ),
            item("table: support state of the profiles", support),
            item("logs", events * 2.0 / 1e9 * LOG_GB),
        ];
        let ticks = MONTH_MINUTES / figures.tick_minutes;
        let alarms = if lean { 0.0 } else { figures.alarms as f64 * ALARM_MONTH + METRICS * METRIC_MONTH };
        let standing = vec![
            item("polling of empty queues", figures.polled_queues as f64 * IDLE_POLLS * SQS_REQUEST),
            item(
                "ticks",
                lambda(figures.arm64, ticks, figures.backfill_mb, TICK_MS) + ticks * (SCHEDULE_CALL + 8.0 * TABLE_READ),
            ),
            item(
                "ledger, for each month in which such events came",
                ledger * LEDGER_BYTES / 1e9 * storage(figures, lean),
            ),
            item("secret", SECRET_MONTH + WARM_FUNCTIONS * MONTH_MINUTES / 5.0 * SECRET_READ),
            item("alarms and metrics", alarms),
        ];
        Self { by_events, standing }
    }

    /// What grows with the number of events, in US dollars.
    pub fn by_events_total(&self) -> f64 {
        self.by_events.iter().map(|item| item.dollars).sum()
    }

    /// What is due each month all the same, in US dollars.
    pub fn standing_total(&self) -> f64 {
        self.standing.iter().map(|item| item.dollars).sum()
    }
}

fn item(what: &'static str, dollars: f64) -> Item {
    Item { what, dollars }
}

/// Calls of a function, each of so many milliseconds.
pub(super) fn lambda(arm64: bool, calls: f64, megabytes: f64, millis: f64) -> f64 {
    let gb_second = if arm64 { LAMBDA_GB_SECOND_ARM64 } else { LAMBDA_GB_SECOND_X86_64 };
    calls * (LAMBDA_REQUEST + megabytes / 1_024.0 * millis / 1_000.0 * gb_second)
}

fn storage(figures: &Figures, lean: bool) -> f64 {
    TABLE_GB_MONTH + if figures.backups && !lean { TABLE_BACKUP_GB_MONTH } else { 0.0 }
}
