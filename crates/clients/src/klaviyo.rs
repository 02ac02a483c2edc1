//! Klaviyo's side of the ports.

use std::fmt;
use std::sync::Arc;

use app::ports::{CallError, Clock, Documents, Jitter, Klaviyo, Room};
use bytes::Bytes;
use domain::klaviyo::{PreparedEvent, PreparedProfile, ProfileChange, bulk_body};
use domain::limits::Endpoint;
use serde::Deserialize;

use crate::caller::Caller;
use crate::config::Timeouts;
use crate::transport::{Flaw, HttpTransport, Outgoing, Transport};

/// As much of an answer to a write as is worth reading: its errors.
const MOST_OF_ERRORS: usize = 64 * 1024;

/// As much as a list may have.
pub(crate) const MOST_OF_A_LIST: usize = 8 * 1024 * 1024;

/// Pages of metrics that are read; an account has some dozens of metrics, a page 200.
const MOST_PAGES: usize = 25;

/// Writes to Klaviyo. Cheap to clone.
pub struct KlaviyoClient<C, J, D>(pub(crate) Api<HttpTransport, C, J, D>);

impl<C, J, D> Clone for KlaviyoClient<C, J, D> {
    fn clone(&self) -> Self {
        Self(Api { caller: self.0.caller.clone(), timeouts: self.0.timeouts })
    }
}

/// Says what it is; keys and state stay inside.
impl<C, J, D> fmt::Debug for KlaviyoClient<C, J, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KlaviyoClient").finish_non_exhaustive()
    }
}

/// The account behind the key (`GET /api/accounts`, scope accounts:read).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Klaviyo's id, which is the public API key as well.
    pub id: String,
    /// The organisation's name.
    pub name: Option<String>,
    /// A test account, as Klaviyo flags it.
    pub test: bool,
}

/// A metric of the account (`GET /api/metrics`, scope metrics:read).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Klaviyo's id.
    pub id: String,
    /// Not unique: the same name from another integration is another metric.
    pub name: String,
    /// Where its events come from: "API" for ours, "Intercom" for Klaviyo's own integration.
    pub integration: Option<String>,
}

impl<C: Clock, J: Jitter, D: Documents> KlaviyoClient<C, J, D> {
    pub(crate) fn new(caller: Arc<Caller<HttpTransport, C, J, D>>, timeouts: Timeouts) -> Self {
        Self(Api { caller, timeouts })
    }

    /// Whose key this is. [`CallError::Forbidden`] when the key may write events but not read accounts.
    pub async fn account(&self) -> Result<Account, CallError> {
        self.0.account().await
    }

    /// All metrics of the account.
    pub async fn metrics(&self) -> Result<Vec<Metric>, CallError> {
        self.0.metrics().await
    }
}

impl<C: Clock, J: Jitter, D: Documents> Klaviyo for KlaviyoClient<C, J, D> {
    async fn send_one(&self, event: &PreparedEvent) -> Result<(), CallError> {
        self.0.one(event.single_body().into()).await
    }

    async fn send_bulk(&self, events: &[&PreparedEvent]) -> Result<(), CallError> {
        if events.is_empty() {
            return Ok(());
        }
        self.0.bulk(bulk_body(events).into()).await
    }

    async fn import_profile(&self, profile: &PreparedProfile) -> Result<ProfileChange, CallError> {
        self.0.profile(profile.body().into()).await
    }

    fn room(&self) -> Room {
        Room {
            single_now: self.0.caller.room(Endpoint::KlaviyoEvents),
            bulk_now: self.0.caller.room(Endpoint::KlaviyoBulk),
        }
    }
}

/// The same over any transport.
pub(crate) struct Api<T, C, J, D> {
    pub(crate) caller: Arc<Caller<T, C, J, D>>,
    pub(crate) timeouts: Timeouts,
}

#[derive(Deserialize)]
struct Accounts {
    data: Vec<WireAccount>,
}

#[derive(Deserialize)]
struct WireAccount {
    id: String,
    #[serde(default)]
    attributes: AccountAttributes,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct AccountAttributes {
    test_account: Option<bool>,
    contact_information: Option<ContactInformation>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ContactInformation {
    organization_name: Option<String>,
}

#[derive(Deserialize)]
struct Metrics {
    data: Vec<WireMetric>,
    #[serde(default)]
    links: Links,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Links {
    next: Option<String>,
}

#[derive(Deserialize)]
struct WireMetric {
    id: String,
    attributes: MetricAttributes,
}

#[derive(Deserialize)]
struct MetricAttributes {
    name: String,
    #[serde(default)]
    integration: Option<Integration>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Integration {
    name: Option<String>,
}

impl<T: Transport, C: Clock, J: Jitter, D: Documents> Api<T, C, J, D> {
    /// `POST /api/events`, <https://developers.klaviyo.com/en/reference/create_event>.
    pub(crate) async fn one(&self, body: Bytes) -> Result<(), CallError> {
        self.write(Endpoint::KlaviyoEvents, "/api/events", body).await
    }

    /// `POST /api/event-bulk-create-jobs`, <https://developers.klaviyo.com/en/reference/bulk_create_events>.
    pub(crate) async fn bulk(&self, body: Bytes) -> Result<(), CallError> {
        self.write(Endpoint::KlaviyoBulk, "/api/event-bulk-create-jobs", body).await
    }

    /// `POST /api/profile-import`, <https://developers.klaviyo.com/en/reference/create_or_update_profile>.
    pub(crate) async fn profile(&self, body: Bytes) -> Result<ProfileChange, CallError> {
        let request = Outgoing {
            endpoint: Endpoint::KlaviyoProfiles,
            what: "profiles",
            path: "/api/profile-import".to_owned(),
            body: Some(body),
            timeout: self.timeouts.single,
            most: MOST_OF_ERRORS,
        };
        // The status says it all. The body repeats the profile, which is nobody's business here.
        let change = |status| if status == 201 { ProfileChange::Created } else { ProfileChange::Updated };
        self.caller.call(&request, |reply| Ok(change(reply.status))).await
    }

    async fn write(&self, endpoint: Endpoint, path: &str, body: Bytes) -> Result<(), CallError> {
        let timeout = if endpoint == Endpoint::KlaviyoBulk { self.timeouts.bulk } else { self.timeouts.single };
        let body = Some(body);
        let request = Outgoing { endpoint, what: "events", path: path.to_owned(), body, timeout, most: MOST_OF_ERRORS };
        // A 202 has no body, and if one is there and breaks off, the events are taken all the same.
        self.caller.call(&request, |_| Ok(())).await
    }

    pub(crate) async fn account(&self) -> Result<Account, CallError> {
        let request = self.reading("accounts", "/api/accounts".to_owned());
        self.caller
            .call(&request, |reply| {
                let accounts: Accounts = json(reply.whole()?)?;
                let account = accounts.data.into_iter().next().ok_or_else(|| unreadable("without an account"))?;
                Ok(Account {
                    id: account.id,
                    name: account.attributes.contact_information.and_then(|contact| contact.organization_name),
                    test: account.attributes.test_account.unwrap_or(false),
                })
            })
            .await
    }

    pub(crate) async fn metrics(&self) -> Result<Vec<Metric>, CallError> {
        let mut metrics = Vec::new();
        let mut query = String::new();
        for _ in 0..MOST_PAGES {
            let request = self.reading("metrics", format!("/api/metrics{query}"));
            let page: Metrics = self.caller.call(&request, |reply| json(reply.whole()?)).await?;
            metrics.extend(page.data.into_iter().map(|metric| Metric {
                id: metric.id,
                name: metric.attributes.name,
                integration: metric.attributes.integration.and_then(|integration| integration.name),
            }));
            // Only the query of the link is used, so that no answer can send us and our key to another host.
            match page.links.next.as_deref().and_then(|link| link.split_once('?')) {
                Some((_, next)) if format!("?{next}") != query => query = format!("?{next}"),
                _ => break,
            }
        }
        Ok(metrics)
    }

    fn reading(&self, what: &'static str, path: String) -> Outgoing {
        let timeout = self.timeouts.single;
        Outgoing { endpoint: Endpoint::KlaviyoReads, what, path, body: None, timeout, most: MOST_OF_A_LIST }
    }
}

/// Reads JSON. The error says where it went wrong without quoting anything.
pub(crate) fn json<'a, R: Deserialize<'a>>(body: &'a [u8]) -> Result<R, Flaw> {
    if body.is_empty() {
        return Err(unreadable("empty"));
    }
    serde_json::from_slice(body).map_err(|error| Flaw::Unreadable(domain::parse::describe(&error)))
}

pub(crate) fn unreadable(what: &str) -> Flaw {
    Flaw::Unreadable(what.to_owned())
}
