//! Search over conversations, tickets and contacts: filters, order, pages.

use std::cmp::Ordering;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Model,
    cursor::Cursor,
    filter::{self, Field, Query},
    model::{Contact, Fate, Origin, Thread},
    render::{self, Medium},
    rest::{Context, error},
};
use crate::server::{Answer, Request};

const MAX_PER_PAGE: u64 = 150;

#[derive(Deserialize, Default)]
struct Pagination {
    per_page: Option<u64>,
    starting_after: Option<String>,
}

#[derive(Deserialize)]
struct Sort {
    field: String,
    #[serde(default)]
    order: Option<String>,
}

#[derive(Deserialize)]
struct Search {
    query: Value,
    #[serde(default)]
    pagination: Pagination,
    sort: Option<Sort>,
}

/// How the found things are ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Order {
    by_created: bool,
    ascending: bool,
}

struct Asked {
    query: Query,
    order: Order,
    page: Pagination,
}

fn read(request: &Request, date_operators: filter::Dates) -> Result<Asked, Answer> {
    let search: Search =
        request.json().map_err(|message| error(400, "parameter_invalid", &format!("bad search: {message}")))?;
    let query = filter::parse(&search.query, date_operators).map_err(|(code, message)| error(400, code, &message))?;
    let mut order = Order { by_created: false, ascending: false };
    if let Some(sort) = search.sort {
        order.ascending = match sort.order.as_deref() {
            None | Some("descending") => false,
            Some("ascending") => true,
            Some(_) => return Err(error(400, "invalid_sort_order", "Sort order must be ascending or descending")),
        };
        order.by_created = match sort.field.as_str() {
            "created_at" => true,
            "updated_at" => false,
            _ => return Err(error(400, "invalid_field", "Sort field is not supported")),
        };
    }
    Ok(Asked { query, order, page: search.pagination })
}

/// A page of something found: where it is, and what comes around it.
struct Page {
    indices: Vec<usize>,
    around: Value,
}

/// Cuts a page out of `found`, which holds (sort value, id, index).
fn page(
    mut found: Vec<(i64, u64, usize)>,
    asked: &Pagination,
    order: Order,
    default: u64,
    bad_cursor: u16,
) -> Result<Page, Answer> {
    let per_page = asked.per_page.unwrap_or(default);
    if !(1..=MAX_PER_PAGE).contains(&per_page) {
        return Err(error(400, "invalid_per_page", "Per page is too big"));
    }
    let compare = |a: &(i64, u64), b: &(i64, u64)| if order.ascending { a.cmp(b) } else { b.cmp(a) };
    found.sort_unstable_by(|a, b| compare(&(a.0, a.1), &(b.0, b.1)));
    let total = found.len();
    let (start, number) = match asked.starting_after.as_deref() {
        None => (0, 1),
        Some(text) => {
            let cursor = Cursor::parse(text).ok_or_else(|| match bad_cursor {
                500 => error(500, "server_error", "Server Error"),
                status => error(status, "parameter_invalid", "Invalid starting_after"),
            })?;
            let after = (cursor.value, cursor.id);
            (found.partition_point(|item| compare(&(item.0, item.1), &after) != Ordering::Greater), cursor.page)
        }
    };
    let size = usize::try_from(per_page).unwrap_or(usize::MAX);
    let slice: Vec<(i64, u64, usize)> = found.into_iter().skip(start).take(size).collect();
    let mut pages =
        json!({ "type": "pages", "page": number, "per_page": per_page, "total_pages": total.div_ceil(size) });
    if let Some((value, id, _)) = slice.last().filter(|_| start + slice.len() < total) {
        let next = Cursor { value: *value, id: *id, page: number.saturating_add(1) };
        pages["next"] = json!({ "page": next.page, "starting_after": next.to_string() });
    }
    let indices = slice.into_iter().map(|(_, _, index)| index).collect();
    Ok(Page { indices, around: json!({ "pages": pages, "total_count": total }) })
}

fn day_of(at: i64) -> i64 {
    at.div_euclid(86_400) * 86_400
}

/// A page that is too much.
fn too_heavy(context: &Context<'_>, page: &Pagination) -> Option<Answer> {
    let most = context.search.heavy_above;
    (most > 0 && page.per_page.unwrap_or(20) > most).then(|| Answer::with_type(504, "text/html", "<html>504</html>"))
}

fn matching(context: &mut Context<'_>, asked: &Asked, tickets_only: bool) -> Vec<(i64, u64, usize)> {
    let quirks = context.search;
    // Where days are compared, the bounds say nothing about seconds.
    let (from, to) = if quirks.days_only { (i64::MIN, i64::MAX) } else { asked.query.created_bounds() };
    let candidates = context.model.created_between(from, to);
    let lag = quirks.index_lag_seconds;
    let seen_until = if lag > 0 { context.now.saturating_sub(lag) } else { i64::MAX };
    let model = &*context.model;
    let fits = |index: &usize| {
        let thread = &model.threads[*index];
        (!tickets_only || thread.ticket.is_some())
            && thread.updated_at <= seen_until
            && asked.query.fits(&|field| {
                let value =
                    if tickets_only { ticket_field(model, thread, field) } else { thread_field(model, thread, field) };
                match value {
                    Some(Field::Number(at)) if quirks.days_only && field.ends_with("_at") => {
                        Some(Field::Number(day_of(at)))
                    }
                    value => value,
                }
            })
    };
    let key = |index: usize| {
        let thread = &model.threads[index];
        let value = match (quirks.unsorted, asked.order.by_created) {
            // As small as a cursor needs it, which counts in thousandths.
            (true, _) => (thread.id.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 24).cast_signed(),
            (false, true) => thread.created_at,
            (false, false) => thread.updated_at,
        };
        (value, thread.id, index)
    };
    candidates.into_iter().filter(fits).map(key).collect()
}

/// `POST /conversations/search`; tickets are among what it finds, as at the real one.
pub(crate) fn conversations(context: &mut Context<'_>, request: &Request) -> Answer {
    let asked = match read(request, filter::Dates::Any) {
        Ok(asked) => asked,
        Err(answer) => return answer,
    };
    if let Some(answer) = too_heavy(context, &asked.page) {
        return answer;
    }
    let found = matching(context, &asked, false);
    match page(found, &asked.page, asked.order, 20, 400) {
        Ok(page) => conversation_page(context, page),
        Err(answer) => answer,
    }
}

fn conversation_page(context: &Context<'_>, page: Page) -> Answer {
    let render = |index: usize| {
        render::conversation(context.model, &context.model.threads[index], None, context.version, Medium::Rest)
    };
    let mut body = page.around;
    body["type"] = json!("conversation.list");
    body["conversations"] = page.indices.into_iter().map(render).collect();
    Answer::json(200, &body)
}

/// `GET /conversations`: newest change first, no filter.
pub(crate) fn list_conversations(context: &mut Context<'_>, request: &Request) -> Answer {
    let per_page = request.parameter("per_page").map(|text| text.parse().unwrap_or(0));
    let asked = Pagination { per_page, starting_after: request.parameter("starting_after").map(str::to_owned) };
    let order = Order { by_created: false, ascending: false };
    let all = Asked { query: Query::everything(), order, page: asked };
    let found = matching(context, &all, false);
    match page(found, &all.page, order, 20, 400) {
        Ok(page) => conversation_page(context, page),
        Err(answer) => answer,
    }
}

/// `POST /tickets/search`: whole tickets, parts included.
pub(crate) fn tickets(context: &mut Context<'_>, request: &Request) -> Answer {
    let asked = match read(request, filter::Dates::Any) {
        Ok(asked) => asked,
        Err(answer) => return answer,
    };
    if let Some(answer) = too_heavy(context, &asked.page) {
        return answer;
    }
    let found = matching(context, &asked, true);
    match page(found, &asked.page, asked.order, 20, 500) {
        Ok(page) => {
            let render = |index: usize| render::ticket(context.model, &context.model.threads[index], context.version);
            let mut body = page.around;
            body["type"] = json!("ticket.list");
            body["tickets"] = page.indices.into_iter().map(render).collect();
            Answer::json(200, &body)
        }
        Err(answer) => answer,
    }
}

/// `POST /contacts/search`; merged and archived contacts are not found.
pub(crate) fn contacts(context: &mut Context<'_>, request: &Request) -> Answer {
    let asked = match read(request, filter::Dates::Plain) {
        Ok(asked) => asked,
        Err(answer) => return answer,
    };
    let model = &*context.model;
    let now = context.now;
    // Looking ids up beats looking at every contact for every id.
    let candidates: Vec<usize> = match asked.query.wanted_ids() {
        Some(ids) => ids.iter().filter_map(|id| model.contact_by_id.get(id.as_str())).copied().collect(),
        None => (0..model.contacts.len()).collect(),
    };
    let fits = |index: &usize| {
        let contact = &model.contacts[*index];
        contact.fate == Fate::Live && asked.query.fits(&|field| contact_field(contact, field, now))
    };
    let key = |index: usize| {
        let contact = &model.contacts[index];
        (if asked.order.by_created { contact.created_at } else { contact.updated_at }, index as u64, index)
    };
    let mut found: Vec<(i64, u64, usize)> = candidates.into_iter().filter(fits).map(key).collect();
    found.sort_unstable();
    found.dedup();
    match page(found, &asked.page, asked.order, 50, 400) {
        Ok(page) => {
            let render = |index: usize| render::contact(model, index, context.version, Medium::Rest, now);
            let mut body = page.around;
            body["type"] = json!("list");
            body["data"] = page.indices.into_iter().map(render).collect();
            Answer::json(200, &body)
        }
        Err(answer) => answer,
    }
}

fn text(value: impl Into<String>) -> Field {
    Field::Text(value.into())
}

fn ids(model: &Model, thread: &Thread) -> Field {
    Field::Many(thread.contacts.iter().map(|index| model.contacts[model.survivor(*index)].id.clone()).collect())
}

fn common(model: &Model, thread: &Thread, field: &str) -> Option<Field> {
    Some(match field {
        "id" => text(thread.id.to_string()),
        "created_at" => Field::Number(thread.created_at),
        "updated_at" => Field::Number(thread.updated_at),
        "contact_ids" => ids(model, thread),
        "admin_assignee_id" => Field::Number(thread.admin.map_or(0, |index| model.admins[index].id.cast_signed())),
        "team_assignee_id" => Field::Number(thread.team.map_or(0, |index| model.teams[index].id.cast_signed())),
        _ => return None,
    })
}

fn thread_field(model: &Model, thread: &Thread, field: &str) -> Option<Field> {
    let rating = thread.rating.as_deref();
    let given = rating.filter(|rating| rating.score.is_some());
    let number = |value: Option<i64>| value.map_or(Field::Null, Field::Number);
    Some(match field {
        "state" => text(thread.state.as_str()),
        "open" => Field::Flag(thread.state.as_str() != "closed"),
        "read" => Field::Flag(thread.read),
        "waiting_since" => number((thread.state.as_str() == "open").then_some(thread.updated_at)),
        "snoozed_until" => number(thread.snoozed_until),
        "source.type" => match thread.origin {
            Origin::Ticket => Field::Null,
            _ if thread.by_email => text("email"),
            _ => text("conversation"),
        },
        "source.delivered_as" => text(match thread.origin {
            Origin::Contact(_) => "customer_initiated",
            Origin::Campaign => "automated",
            Origin::Admin(_) | Origin::Ticket => "admin_initiated",
        }),
        "source.author.type" => text(match thread.origin {
            Origin::Contact(_) => "user",
            Origin::Campaign => "bot",
            Origin::Admin(_) | Origin::Ticket => "admin",
        }),
        "conversation_rating.requested_at" => number(rating.map(|rating| rating.asked_at)),
        "conversation_rating.replied_at" => number(given.map(|rating| rating.updated_at)),
        "conversation_rating.score" => number(given.and_then(|rating| rating.score).map(i64::from)),
        "statistics.count_reopens" => {
            number(Some(thread.parts.iter().filter(|part| part.kind.as_str() == "open").count() as i64))
        }
        field => return common(model, thread, field),
    })
}

fn ticket_field(model: &Model, thread: &Thread, field: &str) -> Option<Field> {
    let ticket = thread.ticket.as_deref()?;
    let state = model.ticket_states.get(ticket.state)?;
    Some(match field {
        "state" => text(state.category.as_str()),
        "open" => Field::Flag(state.category != super::Category::Resolved),
        "ticket_type_id" => text(model.ticket_types[ticket.kind].id.to_string()),
        "ticket_id" => text(ticket.display.to_string()),
        "category" => text(match model.ticket_types[ticket.kind].category {
            "Customer" => "request",
            "Back-office" => "task",
            _ => "tracker",
        }),
        field => return common(model, thread, field),
    })
}

fn contact_field(contact: &Contact, field: &str, now: i64) -> Option<Field> {
    let optional = |value: Option<&str>| value.map_or(Field::Null, text);
    Some(match field {
        "id" => text(contact.id.as_str()),
        "email" => optional(contact.email(now)),
        "phone" => optional(contact.spec.phone.as_deref()),
        "external_id" => optional(contact.spec.external_id.as_deref()),
        "role" => text(if contact.spec.role == super::Role::Lead { "lead" } else { "user" }),
        "name" => optional(contact.spec.name.as_deref()),
        // Contacts are searched by day.
        "created_at" => Field::Number(day_of(contact.created_at)),
        "updated_at" => Field::Number(day_of(contact.updated_at)),
        _ => return None,
    })
}
