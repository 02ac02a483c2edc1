//! Forgetting a person.

use app::forget::{ForgetError, ForgetWish, Who};
use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::response::Response;
use domain::ContactId;
use http::StatusCode;
use serde::Deserialize;

use crate::answer;
use crate::routes::Shared;

/// Longest address or id that is looked at.
const LONGEST: usize = 320;

/// Exactly one of the first two.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wish {
    email: Option<String>,
    contact: Option<String>,
    #[serde(default)]
    klaviyo: bool,
}

impl Wish {
    fn read(self) -> Option<ForgetWish> {
        let fits = |text: &String| (1..=LONGEST).contains(&text.trim().len());
        let who = match (self.email, self.contact) {
            (Some(email), None) if fits(&email) && email.contains('@') => Who::Email(email.trim().to_owned()),
            (None, Some(id)) if fits(&id) => Who::Contact(ContactId::new(id.trim())),
            _ => return None,
        };
        Some(ForgetWish { who, klaviyo: self.klaviyo })
    }
}

/// `POST /api/forget`: answers with what was taken away. The address is in the body, so that no log of addresses has it.
pub(crate) async fn forget<S, V, C>(
    State(console): Shared<S, V, C>,
    wish: Result<Json<Wish>, JsonRejection>,
) -> Response {
    let Some(forgetting) = &console.desk.forgetting else {
        return answer::error(StatusCode::CONFLICT, "nobody can be forgotten before the keys are set");
    };
    let Some(wish) = wish.ok().and_then(|Json(wish)| wish.read()) else {
        let sentence = "wanted: {\"email\": …} or {\"contact\": …}, and \"klaviyo\": true to have Klaviyo delete the person as well";
        return answer::error(StatusCode::BAD_REQUEST, sentence);
    };
    match forgetting.forget(&wish).await {
        Ok(report) => {
            let (parked, letters) = (report.parked, report.dead_letters);
            tracing::info!(parked, letters, klaviyo = wish.klaviyo, "a person was forgotten by hand");
            answer::json(StatusCode::OK, &report)
        }
        Err(ForgetError::Store(error)) => answer::store_error(&error),
        Err(error @ ForgetError::NoIdentifier) => answer::error(StatusCode::CONFLICT, &error.to_string()),
        Err(error @ ForgetError::Klaviyo(_)) => answer::error(StatusCode::BAD_GATEWAY, &error.to_string()),
    }
}
