//! Intercom and Klaviyo over HTTPS.
//!
//! [`connect`] gives one client for each vendor and one view of what holds them back. Both clients run the same loop
//! (`caller`): ask the governor for permission, send, read the answer, decide. What is decided is pure and lives in
//! [`domain::limits`] and [`domain::retry`]; this crate sends bytes, sleeps, and keeps told waits in the state, so that a
//! restart does not forget them.
//!
//! What it promises, beyond the ports:
//!
//! - No request leaves before a told wait (`Retry-After`, `X-RateLimit-Reset`) ran out, on any endpoint of that vendor,
//!   also after a restart. Then one request goes first.
//! - Requests may be repeated, also those that were sent and never answered: reads change nothing, and events carry a `unique_id`.
//!   Hence a cut connection is simply tried again. Only what makes a segment, flow or template is sent once: its caller looks first.
//! - Keys, bodies, addresses of persons and contact data are in no error text and no log line.
//! - With [`Limits::Shared`], any number of processes over one store keep to the limits together (`domain/src/limits/shared.rs`),
//!   and nothing is sent while the store cannot be asked.
//!
//! Clients are cheap to clone and shared by many tasks; no lock is held while anything waits.

mod account;
mod caller;
mod config;
mod intercom;
mod klaviyo;
mod looking;
mod memory;
mod search;
pub mod time;
mod transport;
mod vendors;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use app::ports::{Clock, Documents, Jitter, Vendor};
use domain::limits::Governor;
use secrecy::ExposeSecret;

use caller::Caller;
pub use config::{ClientConfig, ClientError, Limits, Timeouts};
pub use intercom::IntercomClient;
pub use klaviyo::KlaviyoClient;
pub use vendors::{StoredVendors, VendorStates, stored_vendors};

/// Both vendors, and what holds them back.
pub struct Clients<C, J, D> {
    /// Reading Intercom.
    pub intercom: IntercomClient<C, J, D>,
    /// Writing to Klaviyo.
    pub klaviyo: KlaviyoClient<C, J, D>,
    /// For the status.
    pub vendors: VendorStates<C>,
}

impl<C, J, D> Clone for Clients<C, J, D> {
    fn clone(&self) -> Self {
        Self { intercom: self.intercom.clone(), klaviyo: self.klaviyo.clone(), vendors: self.vendors.clone() }
    }
}

/// Says what it is; keys and state stay inside.
impl<C, J, D> fmt::Debug for Clients<C, J, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clients").finish_non_exhaustive()
    }
}

/// Builds the clients and takes in the waits that an earlier process was told. Sends nothing.
pub async fn connect<C: Clock, J: Jitter, D: Documents>(
    config: ClientConfig,
    clock: Arc<C>,
    jitter: Arc<J>,
    documents: Arc<D>,
) -> Result<Clients<C, J, D>, ClientError> {
    let (to_intercom, to_klaviyo) = transport::build(&config)?;
    let (for_intercom, for_klaviyo) = governors(&config);
    let ports = (clock.clone(), jitter, documents);
    let intercom = Arc::new(Caller::new(Vendor::Intercom, to_intercom, for_intercom, ports.clone()));
    let klaviyo = Arc::new(Caller::new(Vendor::Klaviyo, to_klaviyo, for_klaviyo, ports));
    intercom.load().await?;
    klaviyo.load().await?;
    let vendors = VendorStates::new(clock, intercom.governor(), klaviyo.governor());
    Ok(Clients {
        intercom: IntercomClient::new(intercom, config.timeouts),
        klaviyo: KlaviyoClient::new(klaviyo, config.timeouts),
        vendors,
    })
}

fn governors(config: &ClientConfig) -> (Governor, Governor) {
    let (mut intercom, klaviyo) = match &config.limits {
        Limits::Documented => (Governor::intercom(true), Governor::klaviyo(true)),
        Limits::Off => (Governor::intercom(false), Governor::klaviyo(false)),
        Limits::Shared { holder } => (
            Governor::intercom_shared(holder, config.intercom_token.expose_secret().trim()),
            Governor::klaviyo_shared(holder, config.klaviyo_key.expose_secret().trim()),
        ),
    };
    intercom.set_search_share(config.search_share);
    (intercom, klaviyo)
}
