//! The importer of a deployment, for the function that reads Intercom and the one that plans and verifies.

use std::sync::Arc;

use app::history::{HistoryOptions, Importer};
use app::settings::Settings;
use clients::IntercomClient;
use clients::time::{SystemClock, SystemJitter};

use crate::keys::{Store, VendorClients};

/// Reads this deployment's Intercom.
pub type VendorImporter = Importer<Store, IntercomClient<SystemClock, SystemJitter, Store>, SystemClock>;

/// Wires it.
pub fn importer(store: Store, clients: &VendorClients, settings: &Settings) -> VendorImporter {
    let options = HistoryOptions {
        days: settings.history_days,
        reconcile_interval: settings.reconcile_interval,
        support_state: settings.support_state.then_some(settings.support_step),
        ..HistoryOptions::default()
    };
    Importer::new(store, clients.intercom.clone(), SystemClock, Arc::new(settings.rules.clone()), options)
}
