//! A Klaviyo account, as people set it up: what it is called, what it holds, and what is made in it.

use std::fmt;
use std::future::Future;

use domain::recipes::AssetKind;
use serde_json::Value;

use super::CallError;

/// The account behind the key (`GET /api/accounts`, scope accounts:read).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Klaviyo's id, which is the public API key as well.
    pub id: String,
    /// The organisation's name.
    pub name: Option<String>,
    /// A test account, as Klaviyo flags it.
    pub test: bool,
    /// Address and name that it sends from, where both are set.
    pub sender: Option<(String, String)>,
}

/// A metric of the account (`GET /api/metrics`, scope metrics:read).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountMetric {
    /// Klaviyo's id.
    pub id: String,
    /// Not unique: the same name from another integration is another metric.
    pub name: String,
    /// Where its events come from: "API" for ours, "Intercom" for Klaviyo's own integration.
    pub integration: Option<String>,
}

/// By what Klaviyo knows somebody who is to be deleted there; it takes one identifier at a time.
#[derive(Clone, PartialEq, Eq)]
pub enum Deletable {
    /// An e-mail address.
    Email(String),
    /// A phone number in E.164.
    Phone(String),
}

/// Prints which kind it is, never the value.
impl fmt::Debug for Deletable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Email(_) => "Email",
            Self::Phone(_) => "Phone",
        })
    }
}

/// Setting up Klaviyo. None of it is needed for delivery, so a key that lacks the scopes holds nothing up.
pub trait KlaviyoAccount: Send + Sync {
    /// Whose key this is. [`CallError::Forbidden`] when the key may write events but not read accounts.
    fn account(&self) -> impl Future<Output = Result<Account, CallError>> + Send;

    /// All metrics of the account.
    fn metrics(&self) -> impl Future<Output = Result<Vec<AccountMetric>, CallError>> + Send;

    /// The id of the first segment, flow or template of exactly this name.
    fn find_asset(&self, kind: AssetKind, name: &str)
    -> impl Future<Output = Result<Option<String>, CallError>> + Send;

    /// Makes one and gives its id. Sent once: when it fails with [`CallError::Unavailable`] it may have been made all the same,
    /// and only [`KlaviyoAccount::find_asset`] tells.
    fn create_asset(&self, kind: AssetKind, body: &Value) -> impl Future<Output = Result<String, CallError>> + Send;

    /// Asks Klaviyo to delete everybody with this identifier, for good (`POST /api/data-privacy-deletion-jobs`, scope
    /// data-privacy:write). May be repeated: who is gone stays gone.
    fn request_deletion(&self, person: &Deletable) -> impl Future<Output = Result<(), CallError>> + Send;
}
