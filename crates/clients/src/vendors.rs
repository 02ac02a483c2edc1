//! What holds the vendors back, for the status.

use std::fmt;
use std::sync::{Arc, Mutex};

use app::ports::{Blocked, Clock, Documents, StoreResult, Vendor, VendorState};
use domain::limits::{Governor, Stored};
use jiff::Timestamp;

use crate::caller::lock;
use crate::memory;

/// The state of both vendors, as their clients see it.
pub struct VendorStates<C> {
    clock: Arc<C>,
    intercom: Arc<Mutex<Governor>>,
    klaviyo: Arc<Mutex<Governor>>,
}

impl<C> Clone for VendorStates<C> {
    fn clone(&self) -> Self {
        Self { clock: self.clock.clone(), intercom: self.intercom.clone(), klaviyo: self.klaviyo.clone() }
    }
}

/// Says what it is; keys and state stay inside.
impl<C> fmt::Debug for VendorStates<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VendorStates").finish_non_exhaustive()
    }
}

impl<C: Clock> VendorStates<C> {
    pub(crate) fn new(clock: Arc<C>, intercom: Arc<Mutex<Governor>>, klaviyo: Arc<Mutex<Governor>>) -> Self {
        Self { clock, intercom, klaviyo }
    }
}

impl<C: Clock> VendorState for VendorStates<C> {
    fn throttled_until(&self) -> Option<Timestamp> {
        let now = self.clock.now();
        lock(&self.intercom).told_until(now).max(lock(&self.klaviyo).told_until(now))
    }

    fn blocked(&self) -> Option<Blocked> {
        // Klaviyo first: without it nothing is delivered at all.
        [(Vendor::Klaviyo, &self.klaviyo), (Vendor::Intercom, &self.intercom)].into_iter().find_map(
            |(vendor, governor)| {
                let governor = lock(governor);
                let (reason, since) = governor.stopped()?;
                Some(Blocked { vendor, reason: reason.to_owned(), since })
            },
        )
    }
}

/// The state of both vendors, as the processes that call them wrote it down: for one that watches and calls nobody.
pub struct StoredVendors<C> {
    clock: C,
    intercom: Stored,
    klaviyo: Stored,
}

/// Says what it is.
impl<C> fmt::Debug for StoredVendors<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredVendors").finish_non_exhaustive()
    }
}

/// Reads what the callers wrote down with [`Limits::Shared`](crate::Limits::Shared): a picture of this moment, so take one
/// for each answer. Where limits are not shared, only told waits are in it.
pub async fn stored_vendors<C: Clock>(documents: &impl Documents, clock: C) -> StoreResult<StoredVendors<C>> {
    let intercom = memory::stored(documents, Vendor::Intercom, clock.now()).await?;
    let klaviyo = memory::stored(documents, Vendor::Klaviyo, clock.now()).await?;
    Ok(StoredVendors { clock, intercom, klaviyo })
}

impl<C: Clock> VendorState for StoredVendors<C> {
    fn throttled_until(&self) -> Option<Timestamp> {
        let now = self.clock.now();
        self.intercom.told_until(now).max(self.klaviyo.told_until(now))
    }

    fn blocked(&self) -> Option<Blocked> {
        [(Vendor::Klaviyo, &self.klaviyo), (Vendor::Intercom, &self.intercom)].into_iter().find_map(
            |(vendor, stored)| {
                let (reason, since) = stored.stopped()?;
                Some(Blocked { vendor, reason: reason.to_owned(), since })
            },
        )
    }
}
