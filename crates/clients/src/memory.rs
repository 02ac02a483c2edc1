//! Limits in the state: told waits, so that they outlive the process; and, where limits are shared, everything.

use std::sync::Mutex;
use std::time::Duration;

use app::ports::{Clock, Documents, Jitter, StoreError, StoreResult, Vendor};
use domain::limits::{Governor, Stored};
use jiff::Timestamp;

use crate::caller::lock;

/// How often another writer may come first before we leave it to them.
const ROUNDS: u32 = 8;

/// Who was too late tries again after a random part of this, longer each time.
const SPREAD: Duration = Duration::from_millis(10);

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
    let stored = documents.load(name(vendor)).await?;
    if lock(governor).is_shared() {
        let unreadable = lock(governor).look(stored.as_ref().map(|document| document.body.as_str()), now);
        tell_unreadable(vendor, unreadable.as_deref());
    } else if let Some(document) = stored {
        merge(governor, vendor, &document.body, now);
    }
    Ok(())
}

/// Takes the governor's news to its siblings and a new share of the limits from them. If we die before the save, nobody
/// heard of it and our last lease runs out; after it, the new one does. If only the save's answer is lost, the lease is
/// found under a number that we do not know, and given back.
pub(crate) async fn renew<C: Clock, J: Jitter>(
    documents: &impl Documents,
    vendor: Vendor,
    governor: &Mutex<Governor>,
    clock: &C,
    jitter: &J,
) -> StoreResult<()> {
    for round in 1..=ROUNDS {
        let stored = documents.load(name(vendor)).await?;
        let body = stored.as_ref().map(|document| document.body.as_str());
        let Some(plan) = lock(governor).plan(body, clock.now()) else { return Ok(()) };
        let saved = match &plan.text {
            Some(text) => documents.save(name(vendor), text, stored.map(|document| document.version)).await?,
            None => true,
        };
        if saved {
            tell_unreadable(vendor, plan.unreadable.as_deref());
            lock(governor).adopt(plan);
            return Ok(());
        }
        clock.sleep(SPREAD.mul_f64(f64::from(round) * jitter.unit())).await;
    }
    Err(StoreError::Unavailable { store: "limits", detail: "other writers came first every time".to_owned() })
}

/// What the callers of a vendor wrote down last.
pub(crate) async fn stored(documents: &impl Documents, vendor: Vendor, now: Timestamp) -> StoreResult<Stored> {
    let document = documents.load(name(vendor)).await?;
    Ok(Stored::read(document.as_ref().map(|document| document.body.as_str()), now))
}

fn tell_unreadable(vendor: Vendor, error: Option<&str>) {
    if let Some(error) = error {
        let vendor = vendor.name();
        tracing::warn!(vendor, error, "the shared limits cannot be read: every place counts as taken for one window");
    }
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
