//! Told waits in the state, so that they outlive the process and reach its siblings.

use std::sync::Mutex;

use app::ports::{Documents, StoreError, StoreResult, Vendor};
use domain::limits::Governor;
use jiff::Timestamp;

use crate::caller::lock;

/// How often another writer may come first before we leave it to them.
const ROUNDS: usize = 8;

fn name(vendor: Vendor) -> &'static str {
    match vendor {
        Vendor::Intercom => "limits/intercom",
        Vendor::Klaviyo => "limits/klaviyo",
    }
}

pub(crate) async fn load(
    documents: &impl Documents,
    vendor: Vendor,
    governor: &Mutex<Governor>,
    now: Timestamp,
) -> StoreResult<()> {
    if let Some(document) = documents.load(name(vendor)).await? {
        merge(governor, vendor, &document.body, now);
    }
    Ok(())
}

/// Merges what is stored with what we know, the later wait winning, and stores the result.
pub(crate) async fn save(
    documents: &impl Documents,
    vendor: Vendor,
    governor: &Mutex<Governor>,
    now: Timestamp,
) -> StoreResult<()> {
    for _ in 0..ROUNDS {
        let stored = documents.load(name(vendor)).await?;
        if let Some(document) = &stored {
            merge(governor, vendor, &document.body, now);
        }
        let body = lock(governor).saved();
        if stored.as_ref().is_some_and(|document| document.body == body) {
            return Ok(());
        }
        if documents.save(name(vendor), &body, stored.map(|document| document.version)).await? {
            return Ok(());
        }
    }
    Err(StoreError::Unavailable { store: "limits", detail: "other writers came first every time".to_owned() })
}

/// What cannot be read (written by a later version) is as good as not there: the vendor will say it again.
fn merge(governor: &Mutex<Governor>, vendor: Vendor, body: &str, now: Timestamp) {
    if let Err(error) = lock(governor).merge(body, now) {
        tracing::warn!(vendor = vendor.name(), %error, "starting without the waits told earlier");
    }
}
