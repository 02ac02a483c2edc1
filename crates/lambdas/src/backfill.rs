//! The backfill function: each invocation, whatever its payload, is one tick of the chores, of reconcile and of the import.
//!
//! Crash story: ticks may overlap and may be cut off anywhere. The import has one owner at a time, by its lease; what a tick left
//! half done is done again, and the ledger and the books of items notice.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use app::history::silent_since;
use app::housekeeping::Housekeeper;
use app::ports::{Clock as _, Documents, Overview, StoreError, VendorState};
use app::settings::Settings;
use aws::secrets::SecretReader;
use clients::time::SystemClock;
use jiff::Timestamp;

use crate::configuration::Configuration;
use crate::importer::importer;
use crate::keys::{KeyError, KeyRing, Store};
use crate::metrics::{self, Metric};

/// Where the sum of the books at the last look is kept.
const LAST_LOOK: &str = "metrics/accepted";

/// What has to be left of the function's time when the import asks for its last page, which may take 18 seconds.
const RESERVE: Duration = Duration::from_secs(30);

/// Does the chores.
#[derive(Debug)]
pub struct Backfill<R> {
    store: Store,
    keys: KeyRing<R>,
    settings: Settings,
    stack: String,
}

impl<R: SecretReader> Backfill<R> {
    /// Reads nothing yet.
    pub fn new(store: Store, keys: KeyRing<R>, configuration: &Configuration) -> Self {
        let (settings, stack) = (configuration.settings.clone(), configuration.stack.clone());
        Self { store, keys, settings, stack }
    }

    /// One tick, until shortly before `deadline`, the moment at which Lambda ends us. What fails is done in a later one.
    pub async fn tick(&self, deadline: SystemTime) -> Result<(), KeyError> {
        let (clients, _) = self.keys.clients().await?;
        let deadline = Timestamp::try_from(deadline.checked_sub(RESERVE).unwrap_or(deadline)).unwrap_or(Timestamp::MAX);
        let rules = Arc::new(self.settings.rules.clone());
        let (store, retention) = (self.store.clone(), self.settings.retention);
        Housekeeper::new(store, clients.intercom.clone(), SystemClock, rules, retention).tick().await;
        let importer = importer(self.store.clone(), &clients, &self.settings);
        if let Err(error) = importer.reconcile(deadline).await {
            tracing::warn!(%error, "what the webhook missed could not be looked for; trying again at the next tick");
        }
        self.measure().await;
        if let Err(error) = importer.tick(&aws::random_name(), deadline).await {
            tracing::warn!(%error, "the import could not go on; trying again at the next tick");
        }
        self.keys.look_again().await;
        Ok(())
    }

    /// What the alarms look at. Before the import, which may take all the time there is.
    async fn measure(&self) {
        let mut measured = Vec::new();
        match clients::stored_vendors(&self.store, SystemClock).await {
            Ok(vendors) => measured.push((Metric::VendorStopped, u64::from(vendors.blocked().is_some()))),
            Err(error) => tracing::warn!(%error, "what holds the vendors back could not be read"),
        }
        match self.books().await {
            Ok(books) => measured.extend(books),
            Err(error) => tracing::warn!(%error, "the books could not be read"),
        }
        match silent_since(&self.store).await {
            Ok(since) => measured.push((Metric::SubscriptionSilent, u64::from(since.is_some()))),
            Err(error) => tracing::warn!(%error, "what reconcile found could not be read"),
        }
        metrics::emit(&self.stack, &measured, SystemClock.now());
    }

    /// How many webhook calls the books have come to know since the last look, and how old the oldest one is that waits. If we die
    /// after saving, the calls are missing in the metric, once; the books themselves lose nothing.
    async fn books(&self) -> Result<[(Metric, u64); 2], StoreError> {
        let books = self.store.books().await?;
        let last = self.store.load(LAST_LOOK).await?;
        let before = last.as_ref().and_then(|last| last.body.parse().ok()).unwrap_or(0);
        let version = last.map(|last| last.version);
        let unchanged = version.is_some() && before == books.accepted;
        let saved = unchanged || self.store.save(LAST_LOOK, &books.accepted.to_string(), version).await?;
        let news = if saved { books.accepted.saturating_sub(before) } else { 0 };
        let now = SystemClock.now().as_second();
        let age = books.oldest_in_flight.map_or(0, |oldest| now.saturating_sub(oldest.as_second()));
        Ok([(Metric::Accepted, news), (Metric::QueueAgeSeconds, u64::try_from(age).unwrap_or(0))])
    }
}
