//! Intercom's searches, and reading a conversation with its parts: what the import and reconcile ask for.

use app::ports::{CallError, Clock, Documents, FoundItem, Jitter, SearchBy, SearchPage, SearchQuery};
use bytes::Bytes;
use domain::ContactId;
use domain::contact::Contact;
use domain::history::StreamName;
use domain::lenient::{Maybe, Moment, Number, Text};
use domain::limits::Endpoint;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json as value};

use crate::intercom::{Api, MOST, segment};
use crate::klaviyo::{json, unreadable};
use crate::transport::{Flaw, Outgoing, Reply, Transport};

/// Contacts in one question.
const MOST_CONTACTS: usize = 100;

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow, default)]
    conversations: Option<Vec<&'a RawValue>>,
    #[serde(borrow, default)]
    tickets: Option<Vec<&'a RawValue>>,
    #[serde(borrow, default)]
    data: Option<Vec<&'a RawValue>>,
    #[serde(default)]
    total_count: Number,
    #[serde(borrow, default)]
    pages: Maybe<Pages<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Pages<'a> {
    #[serde(borrow)]
    next: Maybe<Next<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Next<'a> {
    #[serde(borrow)]
    starting_after: Text<'a>,
}

/// As much of an item as the reader's books need.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Head<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    created_at: Moment,
    updated_at: Moment,
}

impl<T: Transport, C: Clock, J: Jitter, D: Documents> Api<T, C, J, D> {
    /// `POST /conversations/search`,
    /// <https://developers.intercom.com/docs/references/rest-api/api.intercom.io/conversations/searchconversations>, or
    /// `POST /tickets/search`.
    pub(crate) async fn search(&self, query: &SearchQuery) -> Result<SearchPage, CallError> {
        let request = self.question(query.stream.as_str(), path(query.stream), &body(query));
        self.caller.call(&request, |reply| page(query, reply)).await
    }

    /// `POST /contacts/search`,
    /// <https://developers.intercom.com/docs/references/rest-api/api.intercom.io/contacts/searchcontacts>. One whose tags are
    /// not all in the answer is left to be asked for singly.
    pub(crate) async fn contacts(&self, ids: &[ContactId]) -> Result<Vec<Contact>, CallError> {
        let mut found = Vec::with_capacity(ids.len());
        for some in ids.chunks(MOST_CONTACTS) {
            let ids: Vec<&str> = some.iter().map(ContactId::as_str).collect();
            let body = value!({
                "query": { "field": "id", "operator": "IN", "value": ids },
                "pagination": { "per_page": 150 },
            });
            let contacts = self.find_contacts(&body).await?;
            found.extend(contacts.into_iter().filter(|contact| contact.tag_count <= contact.tags.len() as u64));
        }
        Ok(found)
    }

    /// The same search by address. Intercom compares addresses whatever their case.
    pub(crate) async fn contacts_by_email(&self, email: &str) -> Result<Vec<Contact>, CallError> {
        let body = value!({
            "query": { "field": "email", "operator": "=", "value": email },
            "pagination": { "per_page": 150 },
        });
        self.find_contacts(&body).await
    }

    async fn find_contacts(&self, body: &Value) -> Result<Vec<Contact>, CallError> {
        let request = self.question("contacts", "/contacts/search", body);
        self.caller
            .call(&request, |reply| {
                let page: Page<'_> = json(reply.whole()?)?;
                let list = page.data.ok_or_else(|| unreadable("a page without contacts"))?;
                Ok(list.into_iter().filter_map(|raw| Contact::parse(raw.get().as_bytes()).ok()).collect())
            })
            .await
    }

    /// `GET /conversations/{id}`,
    /// <https://developers.intercom.com/docs/references/rest-api/api.intercom.io/conversations/retrieveconversation>.
    pub(crate) async fn conversation(&self, id: &str) -> Result<Option<Bytes>, CallError> {
        let Some(segment) = segment(id) else { return Ok(None) };
        let request = Outgoing {
            endpoint: Endpoint::IntercomSearch,
            what: "conversations",
            path: format!("/conversations/{segment}"),
            body: None,
            timeout: self.timeouts.search,
            most: MOST,
        };
        let answer = self.caller.call(&request, |reply| {
            let _: Head<'_> = json(reply.whole()?)?;
            Ok(reply.body.clone())
        });
        match answer.await {
            Ok(body) => Ok(Some(body)),
            Err(CallError::Refused { status: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn question(&self, what: &'static str, path: &str, body: &Value) -> Outgoing {
        Outgoing {
            endpoint: Endpoint::IntercomSearch,
            what,
            path: path.to_owned(),
            body: Some(Bytes::from(body.to_string())),
            timeout: self.timeouts.search,
            most: MOST,
        }
    }
}

fn path(stream: StreamName) -> &'static str {
    match stream {
        StreamName::Conversations => "/conversations/search",
        StreamName::Tickets => "/tickets/search",
    }
}

/// Bounds in the form that every version and endpoint takes: `>` the second before, and `<` the end. Whether they are meant
/// inclusively is the caller's to find out.
fn body(query: &SearchQuery) -> Value {
    let field = match query.by {
        SearchBy::CreatedAt | SearchBy::CreatedAtOfOpen => "created_at",
        SearchBy::UpdatedAt => "updated_at",
    };
    let mut pagination = value!({ "per_page": query.per_page });
    // An empty one is answered with 500.
    if let Some(cursor) = &query.cursor {
        pagination["starting_after"] = value!(cursor);
    }
    let mut filters = vec![
        value!({ "field": field, "operator": ">", "value": query.span.from.saturating_sub(1).max(0) }),
        value!({ "field": field, "operator": "<", "value": query.span.to }),
    ];
    if query.by == SearchBy::CreatedAtOfOpen {
        let state = |state: &str| value!({ "field": "state", "operator": "=", "value": state });
        filters.push(match query.stream {
            StreamName::Conversations => value!({ "operator": "OR", "value": [state("open"), state("snoozed")] }),
            StreamName::Tickets => value!({ "field": "open", "operator": "=", "value": true }),
        });
    }
    value!({
        "query": { "operator": "AND", "value": filters },
        "pagination": pagination,
        "sort": { "field": field, "order": "ascending" },
    })
}

fn page(query: &SearchQuery, reply: &Reply) -> Result<SearchPage, Flaw> {
    let page: Page<'_> = json(reply.whole()?)?;
    let list = match query.stream {
        StreamName::Conversations => page.conversations,
        StreamName::Tickets => page.tickets,
    };
    let list = list.ok_or_else(|| unreadable("a page without its list"))?;
    let total = page.total_count.count().ok_or_else(|| unreadable("a page without a count"))?;
    let mut items = Vec::with_capacity(list.len());
    for raw in list {
        let head: Head<'_> = serde_json::from_str(raw.get()).unwrap_or_default();
        let Some(id) = head.id.id() else { continue };
        // One without a time is taken to be where it was asked for, so that it is seen and counted.
        let created_at = head.created_at.0.map_or(query.span.from, |at| at.as_second());
        let updated_at = head.updated_at.0.map_or(created_at, |at| at.as_second());
        // A raw value is a piece of what it was read from, which keeps a page of megabytes from being copied.
        let json = reply.body.slice_ref(raw.get().as_bytes());
        items.push(FoundItem { id: id.to_owned(), created_at, updated_at, json });
    }
    let next = page.pages.0.and_then(|pages| pages.next.0?.starting_after.get().map(str::to_owned));
    Ok(SearchPage { items, total, next, bytes: reply.body.len() as u64 })
}
