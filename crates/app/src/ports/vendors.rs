//! Intercom and Klaviyo, as the use cases see them.

use std::collections::{HashMap, HashSet};
use std::future::Future;

use domain::contact::Contact;
use domain::directory::Person;
use domain::history::Span;
use domain::klaviyo::{ApiError, PreparedEvent, PreparedProfile, ProfileChange};
use domain::{ContactId, WorkspaceId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Vendor {
    /// Where events come from.
    Intercom,
    /// Where they go.
    Klaviyo,
}

impl Vendor {
    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Intercom => "Intercom",
            Self::Klaviyo => "Klaviyo",
        }
    }
}

/// Why a call did not do what it should. Every case says what the caller may do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// A limit is used up or the vendor told us to wait. Nothing was sent. Does not count as a try.
    #[error("{} asks us to wait until {until}", vendor.name())]
    Wait {
        /// Who.
        vendor: Vendor,
        /// Until when.
        until: Timestamp,
    },
    /// The key is refused: nothing goes to this vendor until a probe succeeds. Does not count as a try.
    #[error("{} refuses our key ({reason}); next probe at {until}", vendor.name())]
    Stopped {
        /// Who.
        vendor: Vendor,
        /// One sentence, no secrets.
        reason: String,
        /// When one probe may go.
        until: Timestamp,
    },
    /// 5xx, timeout or a cut connection, after the short retries. It may have been processed or not.
    #[error("{} failed: {reason}", vendor.name())]
    Unavailable {
        /// Who.
        vendor: Vendor,
        /// What happened, no bodies.
        reason: String,
        /// Whether the vendor answered others lately, so that this try counts against the event.
        counts: bool,
        /// When a further try makes sense.
        until: Timestamp,
    },
    /// A 4xx that a repetition does not change.
    #[error("{} refused the request with status {status}", vendor.name())]
    Refused {
        /// Who.
        vendor: Vendor,
        /// HTTP status.
        status: u16,
        /// What the vendor said. May hold personal data: redact before showing.
        errors: Vec<ApiError>,
    },
    /// 403 on something we can do without (tickets, admins, teams, tags).
    #[error("{} does not allow {what}", vendor.name())]
    Forbidden {
        /// Who.
        vendor: Vendor,
        /// Which part.
        what: String,
    },
}

/// What Intercom knows of a contact id.
#[derive(Clone, Debug, PartialEq)]
pub enum ContactLookup {
    /// The contact; after merges the surviving one, whose id differs from the one asked for.
    Found(Box<Contact>),
    /// 404: deleted, archived, or not visible yet.
    Unknown,
}

/// The workspace that the access token belongs to (`GET /me`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workspace {
    /// `app.id_code`.
    pub id: WorkspaceId,
    /// For people.
    pub name: Option<String>,
    /// `US`, `EU` or `AU`.
    pub region: Option<String>,
}

/// Names behind ids. An empty list when Intercom forbids reading them (403): the properties are then left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names {
    /// `GET /admins`.
    pub admins: Vec<Person>,
    /// `GET /teams`: id and name.
    pub teams: Vec<(String, String)>,
    /// `GET /tags`: id and name.
    pub tags: Vec<(String, String)>,
    /// What could not be read, in words ("admins: 403").
    pub missing: Vec<String>,
}

/// Reading Intercom.
pub trait Intercom: Send + Sync {
    /// Whose token this is. Fails with [`CallError::Forbidden`] where `/me` is not readable at all.
    fn workspace(&self) -> impl Future<Output = Result<Workspace, CallError>> + Send;

    /// The contact, merges followed (410 with a `Link`, at most 3 hops), tags completed where the answer holds a part.
    fn contact(&self, id: &ContactId) -> impl Future<Output = Result<ContactLookup, CallError>> + Send;

    /// Contacts, a hundred in one call (`POST /contacts/search` with `id IN …`), for who reads much at once: like a search it leaves
    /// a part of the quota to others. Those that were merged, archived or deleted are not found; nor are those whose tags would take
    /// another call.
    fn contacts(&self, ids: &[ContactId]) -> impl Future<Output = Result<Vec<Contact>, CallError>> + Send;

    /// All admins, teams and tags.
    fn names(&self) -> impl Future<Output = Result<Names, CallError>> + Send;
}

/// When a request could be sent without waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// How many single events could go right now.
    pub single_now: u32,
    /// How many bulk requests could go right now.
    pub bulk_now: u32,
}

/// Writing to Klaviyo. All of it may be repeated: an event's `unique_id` makes that harmless, and a profile has the same values
/// after the second time as after the first.
pub trait Klaviyo: Send + Sync {
    /// `POST /api/events`.
    fn send_one(&self, event: &PreparedEvent) -> impl Future<Output = Result<(), CallError>> + Send;

    /// `POST /api/event-bulk-create-jobs`; all of them are taken or none. No two may have the same key.
    fn send_bulk(&self, events: &[&PreparedEvent]) -> impl Future<Output = Result<(), CallError>> + Send;

    /// `POST /api/profile-import`: writes a profile without an event. It makes one where there is none, so it is for people who
    /// were sent before. Its limit (75 a second, 750 a minute) is its own; what the vendor tells us to wait holds it as well.
    ///
    /// Two calls for one profile at the same time end in any order: the caller sends the newer one after the older one's answer.
    /// A key that may not write profiles is [`CallError::Forbidden`], which stops nothing else.
    fn import_profile(
        &self,
        profile: &PreparedProfile,
    ) -> impl Future<Output = Result<ProfileChange, CallError>> + Send;

    /// What the limits allow now.
    fn room(&self) -> Room;
}

/// An event as Klaviyo shows it. Its `unique_id` is not among what Klaviyo gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenEvent {
    /// Its time, Unix seconds.
    pub second: i64,
    /// Its property `Conversation ID`, which every event of ours has: the id of the conversation or ticket.
    pub item: Option<String>,
}

/// What a profile is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KnownBy {
    /// E-mail addresses.
    Email,
    /// Phone numbers, E.164.
    Phone,
}

/// Reading Klaviyo, to plan an import and to prove one. Each call needs a scope that delivery does not, and is answered
/// [`CallError::Forbidden`] without it.
pub trait KlaviyoReader: Send + Sync {
    /// Ids of the metrics that came over the API, by their whole name (`GET /api/metrics`, scope metrics:read).
    fn metric_ids(&self) -> impl Future<Output = Result<HashMap<String, String>, CallError>> + Send;

    /// Events of one metric in a span, at most a thousand (`GET /api/events`, scope events:read). What was sent a moment ago may not
    /// show yet: Klaviyo says minutes.
    fn events(&self, metric_id: &str, span: Span) -> impl Future<Output = Result<Vec<SeenEvent>, CallError>> + Send;

    /// Which of these addresses or phone numbers, a hundred at most, have a profile; in lower case (`GET /api/profiles`, scope
    /// profiles:read).
    fn known(&self, by: KnownBy, values: &[String]) -> impl Future<Output = Result<HashSet<String>, CallError>> + Send;
}

/// What holds a vendor back, for the status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Blocked {
    /// Who.
    pub vendor: Vendor,
    /// One sentence.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
}

/// What the status says about the vendors.
pub trait VendorState: Send + Sync {
    /// The end of the longest told wait that has not run out.
    fn throttled_until(&self) -> Option<Timestamp>;

    /// The vendor that refuses our key, if any.
    fn blocked(&self) -> Option<Blocked>;
}
