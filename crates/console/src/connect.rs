//! Connecting: how far it is, and, where that is allowed, checking keys and writing them down.
//!
//! No answer holds a key. Keys come in bodies only, so that no log of addresses has them.

use app::connect::{Check, Connecting, EnteredKeys, Saved, connect_report};
use app::ports::{Documents, Overview};
use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::response::Response;
use http::StatusCode;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::answer;
use crate::routes::Shared;

/// Longest key or address that is looked at.
const LONGEST: usize = 2_000;

/// What is typed in; what is absent or blank stays as it is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entered {
    intercom_client_secret: Option<String>,
    intercom_access_token: Option<String>,
    klaviyo_api_key: Option<String>,
    intercom_api_url: Option<String>,
    #[serde(default)]
    overwrite: bool,
}

#[derive(Serialize)]
struct Checked {
    checks: Vec<Check>,
}

impl Entered {
    fn read(self) -> (EnteredKeys, bool) {
        let typed = |text: Option<String>| {
            text.map(|text| text.trim().to_owned()).filter(|text| (1..=LONGEST).contains(&text.len()))
        };
        let secret = |text: Option<String>| typed(text).map(SecretString::from);
        let keys = EnteredKeys {
            client_secret: secret(self.intercom_client_secret),
            access_token: secret(self.intercom_access_token),
            klaviyo_key: secret(self.klaviyo_api_key),
            intercom_url: typed(self.intercom_api_url),
        };
        (keys, self.overwrite)
    }
}

/// `GET /api/connect`.
pub(crate) async fn report<S: Documents + Overview, V, C>(State(console): Shared<S, V, C>) -> Response {
    let desk = &console.desk;
    let place = (desk.place.clone(), desk.connecting.is_some());
    match connect_report(&console.store, &console.rules, &console.setup, place).await {
        Ok(report) => answer::json(StatusCode::OK, &report),
        Err(error) => answer::store_error(&error),
    }
}

/// `POST /api/connect/check`: whose keys these are, and what they may do.
pub(crate) async fn check<S, V, C>(
    State(console): Shared<S, V, C>,
    entered: Result<Json<Entered>, JsonRejection>,
) -> Response {
    match taken(console.desk.connecting.as_deref(), entered) {
        Ok((connecting, keys, _)) => {
            let checks = connecting.check(keys).await;
            answer::json(StatusCode::OK, &Checked { checks })
        }
        Err(refusal) => *refusal,
    }
}

/// `POST /api/connect/save`: writes them down. 409 where the file has other values, and `overwrite` is not said.
pub(crate) async fn save<S, V, C>(
    State(console): Shared<S, V, C>,
    entered: Result<Json<Entered>, JsonRejection>,
) -> Response {
    let (connecting, keys, overwrite) = match taken(console.desk.connecting.as_deref(), entered) {
        Ok(taken) => taken,
        Err(refusal) => return *refusal,
    };
    let saved = connecting.save(keys, overwrite).await;
    match &saved {
        Saved::Written { variables, .. } => {
            tracing::info!(?variables, "keys were entered and written down");
            answer::json(StatusCode::OK, &saved)
        }
        Saved::Differs { .. } => answer::json(StatusCode::CONFLICT, &saved),
        Saved::Refused { error } => answer::error(StatusCode::BAD_REQUEST, error),
    }
}

fn taken(
    connecting: Option<&dyn Connecting>,
    entered: Result<Json<Entered>, JsonRejection>,
) -> Result<(&dyn Connecting, EnteredKeys, bool), Box<Response>> {
    let connecting = connecting.ok_or_else(|| {
        let sentence =
            "keys are taken only by a process on one machine that has none yet; elsewhere put them where they are";
        Box::new(answer::error(StatusCode::CONFLICT, sentence))
    })?;
    let Ok(Json(entered)) = entered else {
        let sentence = "wanted: a JSON object with intercom_client_secret, intercom_access_token, klaviyo_api_key, intercom_api_url";
        return Err(Box::new(answer::error(StatusCode::BAD_REQUEST, sentence)));
    };
    let (keys, overwrite) = entered.read();
    Ok((connecting, keys, overwrite))
}
