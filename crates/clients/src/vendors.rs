//! What holds the vendors back, for the status.

use std::fmt;
use std::sync::{Arc, Mutex};

use app::ports::{Blocked, Clock, Vendor, VendorState};
use domain::limits::Governor;
use jiff::Timestamp;

use crate::caller::lock;

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
