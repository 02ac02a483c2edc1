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

impl<C: Clock, J: Jitter, D: Documents> KlaviyoClient<C, J, D> {
    pub(crate) fn new(caller: Arc<Caller<HttpTransport, C, J, D>>, timeouts: Timeouts) -> Self {
        Self(Api { caller, timeouts })
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
