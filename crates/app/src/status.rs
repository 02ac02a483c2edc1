//! The status report: the books and the vendors' state, in the form that the status API gives out.

use std::collections::BTreeMap;

use domain::history::State;
use jiff::Timestamp;
use serde::Serialize;

use crate::history::{history_report, reconcile_report};
use crate::ports::{Blocked, Books, Documents, ItemBooks, MetricCount, Overview, StoreResult, VendorState};

/// What `GET /api/status` answers. Names are fixed; scripts and dashboards read them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StatusReport {
    /// Webhook calls answered 200: the sum of the next four and `in_flight`.
    pub accepted: u64,
    /// Ended as delivered.
    pub delivered: u64,
    /// Ended as skipped, by reason.
    pub skipped: BTreeMap<String, u64>,
    /// Waiting for a contact.
    pub parked: u64,
    /// Refused, waiting for a human.
    pub dead: u64,
    /// On the live queue.
    pub in_flight: u64,
    /// When the last webhook call was accepted.
    pub last_webhook_at: Option<Timestamp>,
    /// When Klaviyo last took an event.
    pub last_delivery_at: Option<Timestamp>,
    /// Age of the oldest message in flight; 0 when there is none.
    pub queue_age_seconds: u64,
    /// Until when a vendor told us to wait.
    pub throttled_until: Option<Timestamp>,
    /// Events by metric, whatever their source.
    pub metrics: Vec<MetricCount>,
    /// Profiles that were written without an event, because the contact changed.
    pub profile_updates: u64,
    /// The history import.
    pub history: HistoryReport,
    /// The vendor that refuses our key.
    pub blocked: Option<Blocked>,
    /// The sweep for what the webhook missed.
    pub reconcile: ReconcileReport,
    /// Variables that are missing; the webhook answers 503 until they are there.
    pub setup: Vec<String>,
}

/// The history import.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HistoryReport {
    /// Where it stands.
    pub state: State,
    /// Since when.
    pub since: Option<Timestamp>,
    /// When it was started.
    pub started_at: Option<Timestamp>,
    /// Conversations and tickets.
    pub streams: Vec<StreamReport>,
    /// Why it failed.
    pub error: Option<String>,
}

/// One stream of the history import.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct StreamReport {
    /// `conversations` or `tickets`.
    pub name: &'static str,
    /// Items there are.
    pub total: u64,
    /// Items whose events all have a fate.
    pub done: u64,
    /// `done` of `total`.
    pub percent: f64,
    /// Events sent for them.
    pub events: u64,
    /// Time left, at the rate so far.
    pub eta_seconds: Option<u64>,
    /// Items done in a second of work; pauses do not count.
    pub items_per_second: f64,
    /// Events delivered.
    pub delivered: u64,
    /// Events skipped, by reason.
    pub skipped: BTreeMap<String, u64>,
    /// Events parked.
    pub parked: u64,
    /// Events refused.
    pub dead: u64,
    /// What a human should know about the stream.
    pub note: Option<String>,
}

/// The sweep for what the webhook missed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ReconcileReport {
    /// When the last sweep ended.
    pub last_at: Option<Timestamp>,
    /// Events delivered.
    pub delivered: u64,
    /// Events skipped, by reason.
    pub skipped: BTreeMap<String, u64>,
    /// Events parked.
    pub parked: u64,
    /// Events refused.
    pub dead: u64,
    /// Since when it finds events while no webhook call comes: Intercom suspends a subscription without telling anybody.
    pub silent_since: Option<Timestamp>,
    /// What it cannot read.
    pub note: Option<String>,
}

impl Default for HistoryReport {
    fn default() -> Self {
        let stream = |name| StreamReport { name, ..StreamReport::default() };
        Self {
            state: State::Idle,
            since: None,
            started_at: None,
            streams: vec![stream("conversations"), stream("tickets")],
            error: None,
        }
    }
}

impl StatusReport {
    /// Puts the pieces together.
    pub fn new(books: Books, vendors: &impl VendorState, setup: &[String], now: Timestamp) -> Self {
        let age = books.oldest_in_flight.map_or(0, |oldest| now.as_second() - oldest.as_second());
        Self {
            accepted: books.accepted,
            delivered: books.delivered,
            skipped: books.skipped,
            parked: books.parked,
            dead: books.dead,
            in_flight: books.in_flight,
            last_webhook_at: books.last_webhook_at,
            last_delivery_at: books.last_delivery_at,
            queue_age_seconds: u64::try_from(age).unwrap_or(0),
            throttled_until: vendors.throttled_until(),
            metrics: books.metrics,
            profile_updates: books.profile_updates,
            history: HistoryReport::default(),
            blocked: vendors.blocked(),
            reconcile: ReconcileReport::default(),
            setup: setup.to_vec(),
        }
    }

    /// Reads the books and puts the pieces together.
    pub async fn read(
        store: &(impl Overview + Documents + ItemBooks),
        vendors: &impl VendorState,
        setup: &[String],
        now: Timestamp,
    ) -> StoreResult<Self> {
        let books = store.books().await?;
        let history = history_report(store).await?;
        let reconcile = reconcile_report(store).await?;
        Ok(Self { history, reconcile, ..Self::new(books, vendors, setup, now) })
    }
}

/// Vendors that nobody talks to yet: set-up mode.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoVendors;

impl VendorState for NoVendors {
    fn throttled_until(&self) -> Option<Timestamp> {
        None
    }

    fn blocked(&self) -> Option<Blocked> {
        None
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ports::Vendor;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("in range")
    }

    struct Stopped;

    impl VendorState for Stopped {
        fn throttled_until(&self) -> Option<Timestamp> {
            Some(at(1_800_000_060))
        }

        fn blocked(&self) -> Option<Blocked> {
            Some(Blocked { vendor: Vendor::Klaviyo, reason: "401".to_owned(), since: at(1_800_000_000) })
        }
    }

    #[test]
    fn the_names_are_those_that_scripts_read() {
        let books = Books {
            accepted: 7,
            delivered: 2,
            skipped: BTreeMap::from([("ping".to_owned(), 1)]),
            parked: 1,
            dead: 1,
            in_flight: 2,
            last_webhook_at: Some(at(1_800_000_000)),
            last_delivery_at: None,
            oldest_in_flight: Some(at(1_799_999_990)),
            metrics: vec![MetricCount { name: "Intercom Created Ticket".to_owned(), delivered: 2, last_at: None }],
            profile_updates: 3,
        };
        let report = StatusReport::new(books, &Stopped, &["KLAVIYO_API_KEY".to_owned()], at(1_800_000_000));
        let stream = |name: &str| {
            json!({"name": name, "total": 0, "done": 0, "percent": 0.0, "events": 0, "eta_seconds": null, "items_per_second": 0.0,
                "delivered": 0, "skipped": {}, "parked": 0, "dead": 0, "note": null})
        };
        let expected = json!({
            "accepted": 7, "delivered": 2, "skipped": {"ping": 1}, "parked": 1, "dead": 1, "in_flight": 2,
            "last_webhook_at": "2027-01-15T08:00:00Z", "last_delivery_at": null, "queue_age_seconds": 10,
            "throttled_until": "2027-01-15T08:01:00Z",
            "metrics": [{"name": "Intercom Created Ticket", "delivered": 2, "last_at": null}],
            "profile_updates": 3,
            "history": {"state": "idle", "since": null, "started_at": null, "error": null,
                "streams": [stream("conversations"), stream("tickets")]},
            "blocked": {"vendor": "klaviyo", "reason": "401", "since": "2027-01-15T08:00:00Z"},
            "reconcile": {"last_at": null, "delivered": 0, "skipped": {}, "parked": 0, "dead": 0,
                "silent_since": null, "note": null},
            "setup": ["KLAVIYO_API_KEY"],
        });
        assert_eq!(serde_json::to_value(report).expect("serialises"), expected);
    }

    #[test]
    fn a_quiet_queue_has_no_age() {
        let report = StatusReport::new(Books::default(), &NoVendors, &[], at(1_800_000_000));
        assert_eq!(report.queue_age_seconds, 0);
        assert_eq!(report.blocked, None);
    }

    #[test]
    fn a_clock_that_went_back_gives_no_negative_age() {
        let books = Books { oldest_in_flight: Some(at(1_800_000_100)), ..Books::default() };
        assert_eq!(StatusReport::new(books, &NoVendors, &[], at(1_800_000_000)).queue_age_seconds, 0);
    }
}
