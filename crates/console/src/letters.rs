//! Dead letters and parked messages: looked at, explained, steered one by one or in pieces.

use app::letters::{
    LetterAction, SteeredLetter, explain_letter, letter_groups, steer_letter, steer_some, steered_letters,
};
use app::ports::{Clock, DeadLetters, Documents, Overview, ParkedMessages};
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::response::Response;
use domain::ContactId;
use domain::explain::mask;
use http::{Method, StatusCode};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::answer;
use crate::routes::{Page, PathId, Shared, bad_query, is_id, known_form, no_such_letter, steered};

#[derive(Deserialize)]
struct Bulk {
    action: LetterAction,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    after: Option<String>,
}

#[derive(Serialize)]
struct SteeredLetters {
    items: Vec<SteeredLetter>,
}

#[derive(Deserialize)]
pub(crate) struct Reveal {
    reveal: Option<String>,
}

#[derive(Serialize)]
struct Parked {
    id: String,
    contacts: Vec<String>,
    since: Timestamp,
}

#[derive(Serialize)]
struct ParkedPage {
    items: Vec<Parked>,
    /// Whether there are more than are listed.
    more: bool,
}

#[derive(Deserialize)]
struct Release {
    contact: String,
}

#[derive(Serialize)]
struct Released {
    released: u64,
}

/// `POST /api/dead-letters/{id}/{replay,discard}`.
pub(crate) async fn steer_one<S, V, C>(
    State(console): Shared<S, V, C>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Response
where
    S: DeadLetters + Documents,
    C: Clock,
{
    let Ok(Path((id, action))) = path else { return no_such_letter() };
    let (action, state) = match action.as_str() {
        "replay" => (LetterAction::Replay, "replayed"),
        "discard" => (LetterAction::Discard, "discarded"),
        _ => return answer::no_such_route().await,
    };
    if !is_id(&id) {
        return no_such_letter();
    }
    let context = (&*console.rules, console.clock.now());
    steered(&id, state, steer_letter(&console.store, action, &id, context).await)
}

/// `GET /api/dead-letters/groups`: by cause.
pub(crate) async fn groups<S: DeadLetters, V, C>(State(console): Shared<S, V, C>) -> Response {
    match letter_groups(&console.store).await {
        Ok(groups) => answer::json(StatusCode::OK, &groups),
        Err(error) => answer::store_error(&error),
    }
}

/// `GET /api/dead-letters/steered`: the last ones that were replayed or discarded, and what became of them.
pub(crate) async fn steered_so_far<S: DeadLetters + Documents + Overview, V, C>(
    State(console): Shared<S, V, C>,
) -> Response {
    match steered_letters(&console.store).await {
        Ok(items) => answer::json(StatusCode::OK, &SteeredLetters { items }),
        Err(error) => answer::store_error(&error),
    }
}

/// `POST /api/dead-letters/steer`: a bounded piece of a bulk action; to be called again with its `next`.
pub(crate) async fn steer_many<S, V, C>(
    State(console): Shared<S, V, C>,
    body: Result<Bytes, BytesRejection>,
) -> Response
where
    S: DeadLetters + Documents,
    C: Clock,
{
    let wish = body.ok().and_then(|body| serde_json::from_slice::<Bulk>(&body).ok());
    let Some(wish) = wish.filter(|wish| wish.after.as_deref().is_none_or(is_id)) else {
        let sentence = "a bulk action is {\"action\": \"replay\" or \"discard\", \"reason\": one or null, \"after\": a `next` or null}";
        return answer::error(StatusCode::BAD_REQUEST, sentence);
    };
    let which = (wish.reason.as_deref(), wish.after.as_deref());
    match steer_some(&console.store, wish.action, which, (&console.rules, console.clock.now())).await {
        Ok(piece) => {
            tracing::info!(steered = piece.steered, action = ?wish.action, "dead letters were steered by hand");
            answer::json(StatusCode::OK, &piece)
        }
        Err(error) => answer::store_error(&error),
    }
}

/// `GET /api/dead-letters/{id}/explain`: why, with everything personal hidden; `POST …?reveal=1` shows it and is logged.
pub(crate) async fn explain<S: DeadLetters, V, C: Clock>(
    State(console): Shared<S, V, C>,
    method: Method,
    id: PathId,
    reveal: Result<Query<Reveal>, QueryRejection>,
) -> Response {
    let Some(id) = known_form(id) else { return no_such_letter() };
    let wanted = reveal.ok().and_then(|Query(reveal)| reveal.reveal).is_some_and(|reveal| reveal == "1");
    if wanted && method != Method::POST {
        return answer::error(StatusCode::METHOD_NOT_ALLOWED, "personal data is shown to a POST only");
    }
    let accepted = match console.store.dead_letter_body(&id).await {
        Ok(Some(accepted)) => accepted,
        Ok(None) => return no_such_letter(),
        Err(error) => return answer::store_error(&error),
    };
    let mut explanation = explain_letter(&accepted, &console.rules, console.clock.now());
    if wanted {
        tracing::info!(id, "a dead letter was shown with its personal data");
    } else {
        mask(&mut explanation);
    }
    answer::json(StatusCode::OK, &explanation)
}

/// `GET /api/parked`: the ones that are looked at next, first.
pub(crate) async fn parked<S: ParkedMessages, V, C>(
    State(console): Shared<S, V, C>,
    page: Result<Query<Page>, QueryRejection>,
) -> Response {
    let Ok(Query(page)) = page else { return bad_query() };
    let limit = page.limit();
    let mut found = match console.store.due(Timestamp::MAX, limit + 1).await {
        Ok(found) => found,
        Err(error) => return answer::store_error(&error),
    };
    let more = found.len() > limit;
    found.truncate(limit);
    let items = found
        .into_iter()
        .map(|parked| Parked {
            id: parked.id.as_str().to_owned(),
            contacts: parked.contacts.iter().map(|contact| contact.as_str().to_owned()).collect(),
            since: parked.parked_at,
        })
        .collect();
    answer::json(StatusCode::OK, &ParkedPage { items, more })
}

/// `POST /api/parked/release`: puts everything that waits for a contact back on the queue, which looks the contact up again.
pub(crate) async fn release<S: ParkedMessages, V, C>(
    State(console): Shared<S, V, C>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let wish = body.ok().and_then(|body| serde_json::from_slice::<Release>(&body).ok());
    let Some(Release { contact }) = wish.filter(|wish| (1..=200).contains(&wish.contact.len())) else {
        return answer::error(StatusCode::BAD_REQUEST, "a release is {\"contact\": \"Intercom's contact id\"}");
    };
    match console.store.release(&[ContactId::new(&contact)]).await {
        Ok(released) => {
            tracing::info!(contact, released, "parked messages were released by hand");
            answer::json(StatusCode::OK, &Released { released })
        }
        Err(error) => answer::store_error(&error),
    }
}
