//! Connecting: from nothing to the first event, step by step, for the page and the terminal.
//!
//! What is asked of people, and how far they are, is put together here from what the deployment knows. Checking keys and writing them
//! down is [`Connecting`]'s, which exists only where that is allowed: in one process on one machine, while keys are missing.

use std::future::Future;
use std::pin::Pin;

use domain::Rules;
use domain::topics::{PING, TOPICS};
use jiff::Timestamp;
use secrecy::SecretString;
use serde::Serialize;

use crate::environment::{ACCESS_TOKEN, CLIENT_SECRET, KLAVIYO_KEY};
use crate::ports::{Documents, Overview, StoreResult};
use crate::topics::topics_seen;

/// How one thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// As it should be.
    Good,
    /// Could not be found out, or works with a drawback. Fails nothing.
    Note,
    /// Has to be mended.
    Bad,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at.
    pub name: String,
    /// How it is.
    pub health: Health,
    /// What was found.
    pub found: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub todo: Option<String>,
}

impl Check {
    /// As it should be.
    pub fn good(name: impl Into<String>, found: impl Into<String>) -> Self {
        Self { name: name.into(), health: Health::Good, found: found.into(), todo: None }
    }

    /// Worth knowing.
    pub fn note(name: impl Into<String>, found: impl Into<String>, todo: impl Into<String>) -> Self {
        Self { name: name.into(), health: Health::Note, found: found.into(), todo: Some(todo.into()) }
    }

    /// To be mended.
    pub fn bad(name: impl Into<String>, found: impl Into<String>, todo: impl Into<String>) -> Self {
        Self { name: name.into(), health: Health::Bad, found: found.into(), todo: Some(todo.into()) }
    }
}

/// Keys as somebody typed them. Absent ones are left as they are.
#[derive(Clone, Debug, Default)]
pub struct EnteredKeys {
    /// `INTERCOM_CLIENT_SECRET`.
    pub client_secret: Option<SecretString>,
    /// `INTERCOM_ACCESS_TOKEN`.
    pub access_token: Option<SecretString>,
    /// `KLAVIYO_API_KEY`.
    pub klaviyo_key: Option<SecretString>,
    /// `INTERCOM_API_URL`.
    pub intercom_url: Option<String>,
}

/// What came of writing keys down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum Saved {
    /// They are in the file; the process starts anew with them.
    Written {
        /// Which file.
        file: String,
        /// Names of the variables that were written.
        variables: Vec<String>,
    },
    /// The file has other values under these names: say that they may be replaced.
    Differs {
        /// The names.
        variables: Vec<String>,
    },
    /// One sentence: why not.
    Refused {
        /// The sentence.
        error: String,
    },
}

/// A result on its way.
type Coming<'a, R> = Pin<Box<dyn Future<Output = R> + Send + 'a>>;

/// Checks keys and writes them down.
pub trait Connecting: Send + Sync {
    /// Asks both vendors whose keys these are and what they may do. Sends nothing that changes anything.
    fn check(&self, keys: EnteredKeys) -> Coming<'_, Vec<Check>>;

    /// Writes them where the next start reads them; `overwrite` says that other values there may be replaced.
    fn save(&self, keys: EnteredKeys, overwrite: bool) -> Coming<'_, Saved>;
}

/// Where the keys are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "place", rename_all = "lowercase")]
pub enum KeyPlace {
    /// One process on one machine: keys come from the environment or a file.
    Machine,
    /// On AWS: keys are in a secret, which nobody but its owner writes.
    Aws {
        /// The secret's ARN or name.
        secret: String,
    },
}

/// What the page and the terminal show.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ConnectReport {
    /// Where the keys are kept.
    #[serde(flatten)]
    pub place: KeyPlace,
    /// Whether keys can be entered here.
    pub can_save: bool,
    /// Variables that are missing.
    pub missing: Vec<String>,
    /// Names of the three keys, as the file or the secret has them.
    pub keys: [&'static str; 3],
    /// What crosses over and why, a sentence each.
    pub shared: &'static [&'static str],
    /// What to allow the Intercom app, in Intercom's words.
    pub permissions: &'static [&'static str],
    /// What to allow the Klaviyo key.
    pub scopes: &'static [&'static str],
    /// Scopes that only recipes and deletions need.
    pub optional_scopes: &'static [&'static str],
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// The topics to tick.
    pub topics: Vec<TopicReport>,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// `keys`, `test`, `topics` or `event`.
    pub name: &'static str,
    /// What is to be done.
    pub title: &'static str,
    /// Whether it is.
    pub done: bool,
}

/// A topic to tick.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TopicReport {
    /// As Intercom calls it.
    pub name: &'static str,
    /// Why.
    pub reason: String,
    /// Whether the settings have a use for it.
    pub wanted: bool,
    /// When it came last, to ten minutes.
    pub last_seen_at: Option<Timestamp>,
}

const SHARED: &[&str] = &[
    "From Intercom to Klaviyo: what customers do in conversations and tickets, their ratings, and who they are (name, e-mail \
     address, phone number, place, tags and attributes), so that marketing can segment and write to them.",
    "Message texts stay in Intercom unless a setting says otherwise; internal notes always do.",
    "Nothing goes from Klaviyo to Intercom, and consent is never touched.",
];

const PERMISSIONS: &[&str] = &[
    "Read conversations",
    "Read tickets",
    "Read one user and one company",
    "Read and list users and companies",
    "Read admins",
    "Read tags",
];

/// What the Klaviyo key must be allowed.
pub const SCOPES: &[&str] = &["events:write", "profiles:write", "accounts:read", "metrics:read"];

/// What recipes and deletions need beyond [`SCOPES`].
pub const OPTIONAL_SCOPES: &[&str] = &[
    "segments:read",
    "segments:write",
    "flows:read",
    "flows:write",
    "templates:read",
    "templates:write",
    "data-privacy:write",
];

/// How far connecting is.
pub async fn connect_report(
    store: &(impl Documents + Overview),
    rules: &Rules,
    missing: &[String],
    (place, can_save): (KeyPlace, bool),
) -> StoreResult<ConnectReport> {
    let seen = topics_seen(store).await?;
    let books = store.books().await?;
    let at = |topic: &str| seen.get(topic).and_then(|second| Timestamp::from_second(*second).ok());
    let topics: Vec<TopicReport> = TOPICS
        .iter()
        .map(|topic| TopicReport {
            name: topic.name,
            reason: topic.reason(rules),
            wanted: topic.is_wanted(rules),
            last_seen_at: at(topic.name),
        })
        .collect();
    let heard = at(PING).is_some() || topics.iter().any(|topic| topic.last_seen_at.is_some());
    let arrived = topics.iter().any(|topic| topic.last_seen_at.is_some());
    let steps = vec![
        Step { name: "keys", title: "Enter the three keys", done: missing.is_empty() },
        Step { name: "test", title: "Let Intercom send a test notification", done: heard },
        Step { name: "topics", title: "Tick the topics, and see the first arrive", done: arrived },
        Step { name: "event", title: "See the first event in Klaviyo", done: books.last_delivery_at.is_some() },
    ];
    Ok(ConnectReport {
        place,
        can_save,
        missing: missing.to_vec(),
        keys: [CLIENT_SECRET, ACCESS_TOKEN, KLAVIYO_KEY],
        shared: SHARED,
        permissions: PERMISSIONS,
        scopes: SCOPES,
        optional_scopes: OPTIONAL_SCOPES,
        steps,
        topics,
    })
}
