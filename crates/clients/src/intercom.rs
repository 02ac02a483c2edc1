//! Intercom's side of the ports.

use std::fmt;
use std::sync::Arc;

use app::ports::{
    CallError, Clock, ContactLookup, ContactSearch, Documents, Intercom, IntercomSearch, Jitter, Names, SearchPage,
    SearchQuery, Vendor, Workspace,
};
use bytes::Bytes;
use domain::contact::{Contact, Tag};
use domain::directory::Person;
use domain::lenient::{List, Maybe, Text};
use domain::limits::Endpoint;
use domain::{ContactId, WorkspaceId};
use serde::Deserialize;

use crate::caller::Caller;
use crate::config::Timeouts;
use crate::klaviyo::{json, unreadable};
use crate::transport::{Flaw, HttpTransport, Outgoing, Reply, Transport};

/// As much of an answer as is read. Pages of tickets are megabytes, everything else is far below. A larger page fails.
pub(crate) const MOST: usize = 8 * 1024 * 1024;

/// How often a merged contact is followed. Intercom resolves up to three merges itself.
const MOST_HOPS: usize = 3;

/// Reads Intercom. Cheap to clone.
pub struct IntercomClient<C, J, D>(Api<HttpTransport, C, J, D>);

impl<C, J, D> Clone for IntercomClient<C, J, D> {
    fn clone(&self) -> Self {
        Self(Api { caller: self.0.caller.clone(), timeouts: self.0.timeouts })
    }
}

/// Says what it is; keys and state stay inside.
impl<C, J, D> fmt::Debug for IntercomClient<C, J, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntercomClient").finish_non_exhaustive()
    }
}

impl<C: Clock, J: Jitter, D: Documents> IntercomClient<C, J, D> {
    pub(crate) fn new(caller: Arc<Caller<HttpTransport, C, J, D>>, timeouts: Timeouts) -> Self {
        Self(Api { caller, timeouts })
    }
}

impl<C: Clock, J: Jitter, D: Documents> Intercom for IntercomClient<C, J, D> {
    async fn workspace(&self) -> Result<Workspace, CallError> {
        self.0.workspace().await
    }

    async fn contact(&self, id: &ContactId) -> Result<ContactLookup, CallError> {
        self.0.contact(id).await
    }

    async fn contacts(&self, ids: &[ContactId]) -> Result<Vec<Contact>, CallError> {
        self.0.contacts(ids).await
    }

    async fn names(&self) -> Result<Names, CallError> {
        self.0.names().await
    }
}

impl<C: Clock, J: Jitter, D: Documents> IntercomSearch for IntercomClient<C, J, D> {
    async fn search(&self, query: &SearchQuery) -> Result<SearchPage, CallError> {
        self.0.search(query).await
    }

    async fn conversation(&self, id: &str) -> Result<Option<Bytes>, CallError> {
        self.0.conversation(id).await
    }
}

impl<C: Clock, J: Jitter, D: Documents> ContactSearch for IntercomClient<C, J, D> {
    async fn contacts_by_email(&self, email: &str) -> Result<Vec<Contact>, CallError> {
        self.0.contacts_by_email(email).await
    }
}

/// The same over any transport.
pub(crate) struct Api<T, C, J, D> {
    pub(crate) caller: Arc<Caller<T, C, J, D>>,
    pub(crate) timeouts: Timeouts,
}

/// What `GET /contacts/{id}` can answer.
enum Found {
    Contact(Box<Contact>),
    MergedInto(String),
    /// Merged, but the answer does not say into whom.
    Merged(u16),
    Nobody,
}

#[derive(Deserialize)]
struct Me<'a> {
    #[serde(borrow)]
    app: App<'a>,
}

#[derive(Deserialize)]
struct App<'a> {
    #[serde(borrow, default)]
    id_code: Text<'a>,
    #[serde(default)]
    name: Text<'a>,
    #[serde(default)]
    region: Text<'a>,
}

/// A teammate, a team or a tag: whatever has a name.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Named<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    name: Text<'a>,
    email: Text<'a>,
}

impl<T: Transport, C: Clock, J: Jitter, D: Documents> Api<T, C, J, D> {
    /// `GET /me`, <https://developers.intercom.com/docs/references/rest-api/api.intercom.io/admins/identifyadmin>.
    pub(crate) async fn workspace(&self) -> Result<Workspace, CallError> {
        let request = self.get(Endpoint::IntercomMe, "/me", "/me".to_owned());
        self.caller
            .call(&request, |reply| {
                let me: Me<'_> = json(reply.whole()?)?;
                let id = me.app.id_code.get().ok_or_else(|| unreadable("without a workspace id"))?;
                Ok(Workspace { id: WorkspaceId::new(id), name: owned(&me.app.name), region: owned(&me.app.region) })
            })
            .await
    }

    /// `GET /contacts/{id}`,
    /// <https://developers.intercom.com/docs/references/rest-api/api.intercom.io/contacts/showcontact>.
    pub(crate) async fn contact(&self, id: &ContactId) -> Result<ContactLookup, CallError> {
        let mut id = id.as_str().to_owned();
        let mut status = 410;
        for _ in 0..=MOST_HOPS {
            let Some(segment) = segment(&id) else { return Ok(ContactLookup::Unknown) };
            let request = self.get(Endpoint::IntercomContacts, "contacts", format!("/contacts/{segment}"));
            match self.caller.call(&request, found).await? {
                Found::Contact(mut contact) => {
                    self.complete_tags(&mut contact).await;
                    return Ok(ContactLookup::Found(contact));
                }
                Found::Nobody => return Ok(ContactLookup::Unknown),
                Found::MergedInto(other) => id = other,
                Found::Merged(told) => {
                    status = told;
                    break;
                }
            }
        }
        // Not "unknown": the person exists, and whoever looks at the dead letter can find them.
        Err(CallError::Refused { vendor: Vendor::Intercom, status, errors: Vec::new() })
    }

    /// A contact holds the ids of its first ten tags or so; names and the rest are a call away. Tags are the one part of a
    /// contact that an event can do without, so that whatever goes wrong here leaves the contact as it is.
    async fn complete_tags(&self, contact: &mut Contact) {
        let complete = contact.tag_count <= contact.tags.len() as u64;
        if complete && contact.tags.iter().all(|tag| tag.name.is_some()) {
            return;
        }
        let Some(segment) = segment(contact.id.as_str()) else { return };
        let path = format!("/contacts/{segment}/tags");
        if let Ok(tags) = self.named("tags of a contact", path).await
            && tags.len() >= contact.tags.len()
        {
            contact.tag_count = contact.tag_count.max(tags.len() as u64);
            contact.tags = tags.into_iter().map(|tag| Tag { id: tag.id, name: tag.name }).collect();
        }
    }

    /// `GET /admins`, `GET /teams`, `GET /tags`, one after the other: they are asked for once in hours.
    pub(crate) async fn names(&self) -> Result<Names, CallError> {
        let mut missing = Vec::new();
        let admins = self.part("admins", &mut missing).await?;
        let teams = self.part("teams", &mut missing).await?;
        let tags = self.part("tags", &mut missing).await?;
        let pairs = |people: Vec<Person>| people.into_iter().filter_map(|it| Some((it.id, it.name?))).collect();
        Ok(Names { admins, teams: pairs(teams), tags: pairs(tags), missing })
    }

    async fn part(&self, what: &'static str, missing: &mut Vec<String>) -> Result<Vec<Person>, CallError> {
        match self.named(what, format!("/{what}")).await {
            Err(CallError::Forbidden { .. }) => missing.push(format!("{what}: 403")),
            Err(CallError::Refused { status, .. }) => missing.push(format!("{what}: {status}")),
            result => return result,
        }
        Ok(Vec::new())
    }

    async fn named(&self, what: &'static str, path: String) -> Result<Vec<Person>, CallError> {
        let request = self.get(Endpoint::IntercomOther, what, path);
        self.caller
            .call(&request, |reply| {
                let list: List<Maybe<Named<'_>>> = json(reply.whole()?)?;
                Ok(list.items.into_iter().filter_map(|item| item.0).filter_map(person).collect())
            })
            .await
    }

    fn get(&self, endpoint: Endpoint, what: &'static str, path: String) -> Outgoing {
        Outgoing { endpoint, what, path, body: None, timeout: self.timeouts.intercom, most: MOST }
    }
}

fn person(item: Named<'_>) -> Option<Person> {
    Some(Person { id: item.id.id()?.to_owned(), name: owned(&item.name), email: owned(&item.email) })
}

fn owned(text: &Text<'_>) -> Option<String> {
    text.get().map(str::to_owned)
}

fn found(reply: &Reply) -> Result<Found, Flaw> {
    match reply.status {
        404 => {
            // A page of some proxy or of a wrong address must not read as "this customer is gone".
            let body = reply.whole()?;
            let about_it = body.is_empty() || serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok();
            if about_it { Ok(Found::Nobody) } else { Err(unreadable("404 and not from Intercom's API")) }
        }
        301 | 308 | 410 => match reply.header("link").and_then(canonical) {
            Some(id) => Ok(Found::MergedInto(id)),
            None if reply.status == 410 => Ok(Found::Merged(410)),
            None => Err(unreadable("a redirect")),
        },
        _ => {
            let contact = Contact::parse(non_empty(reply.whole()?)?);
            contact
                .map(|contact| Found::Contact(Box::new(contact)))
                .map_err(|error| Flaw::Unreadable(error.to_string()))
        }
    }
}

fn non_empty(body: &[u8]) -> Result<&[u8], Flaw> {
    if body.is_empty() { Err(unreadable("empty")) } else { Ok(body) }
}

/// The id in `</contacts/{id}>; rel="canonical"`. The id alone is used, so that no header can send us and our token to
/// another host.
fn canonical(link: &str) -> Option<String> {
    link.split(',').find_map(|link| {
        let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
        let rel = parameters.replace(['"', ' '], "").to_ascii_lowercase();
        let id = target.rsplit_once("/contacts/")?.1;
        let sound =
            !id.is_empty() && id.len() <= 64 && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        (rel.contains("rel=canonical") && sound).then(|| id.to_owned())
    })
}

/// An id as one segment of a path. `None` for one that no escaping makes a segment: nobody has it.
pub(crate) fn segment(id: &str) -> Option<String> {
    use std::fmt::Write as _;
    if id.bytes().all(|byte| byte == b'.') {
        return None;
    }
    let mut segment = String::with_capacity(id.len());
    for byte in id.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            segment.push(char::from(byte));
        } else {
            let _ = write!(segment, "%{byte:02X}");
        }
    }
    Some(segment)
}
