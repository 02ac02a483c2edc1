//! From request to answer: key, revision, media type, route, limit, work.

use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Keep, KlaviyoSandbox, OLDEST_REVISION, Poison, State,
    limits::{self, Gate, Tier},
    validate::ApiError,
};
use crate::{
    clock::SandboxClock,
    control,
    faults::Faults,
    server::{Answer, Request, Vendor},
    traffic::Traffic,
};

/// JSON:API's media type.
pub(crate) const MEDIA_TYPE: &str = "application/vnd.api+json";

/// What a route does once the limits let it pass.
pub(crate) type Work = fn(&mut State, &Request, i64) -> Answer;

/// A JSON:API document.
pub(crate) fn document(status: u16, body: &Value) -> Answer {
    Answer::with_type(status, MEDIA_TYPE, body.to_string())
}

impl State {
    /// An error that is not about one field.
    pub(crate) fn error(&mut self, status: u16, code: &str, title: &str, detail: &str) -> Answer {
        let error = json!({
            "id": self.rng.uuid(), "status": status, "code": code, "title": title, "detail": detail,
            "source": { "pointer": "/data" }, "links": {}, "meta": {},
        });
        document(status, &json!({ "errors": [error] }))
    }

    /// 400 with one entry per problem.
    pub(crate) fn invalid(&mut self, problems: &[ApiError]) -> Answer {
        let errors: Vec<Value> = problems.iter().map(|problem| problem.json(self.rng.uuid())).collect();
        document(400, &json!({ "errors": errors }))
    }

    /// The body's JSON, or the 400 to answer.
    pub(crate) fn parsed(&mut self, request: &Request) -> Result<Value, Answer> {
        let value = request.json::<Value>();
        value.map_err(|_| self.invalid(&[ApiError::new("/data", "Request body is not valid JSON.")]))
    }
}

/// Which routes exist. `None`: no such path; `Some(None)`: not with this method.
fn route(method: &Method, path: &str) -> Option<Option<(Tier, Work)>> {
    let found = match (method.as_str(), path) {
        ("POST", "/api/events") => (limits::EVENTS, State::create_event as Work),
        ("GET", "/api/events") => (limits::EVENTS_READ, State::list_events as Work),
        ("POST", "/api/event-bulk-create-jobs") => (limits::BULK, State::create_events as Work),
        ("POST", "/api/profile-import") => (limits::IMPORT, State::import_profile as Work),
        ("GET", "/api/profiles") => (limits::PROFILES, State::list_profiles as Work),
        ("GET", "/api/accounts") => (limits::ACCOUNTS, State::account as Work),
        ("GET", "/api/metrics") => (limits::METRICS, State::list_metrics as Work),
        ("POST", "/api/data-privacy-deletion-jobs") => (limits::DELETION, State::delete_profile as Work),
        ("POST", "/api/segments") => (limits::SEGMENTS, State::create_asset as Work),
        ("GET", "/api/segments") => (limits::SEGMENTS_READ, State::list_assets as Work),
        ("POST", "/api/flows") => (limits::FLOWS, State::create_asset as Work),
        ("GET", "/api/flows") => (limits::FLOWS_READ, State::list_assets as Work),
        ("POST", "/api/templates") => (limits::TEMPLATES, State::create_asset as Work),
        ("GET", "/api/templates") => (limits::TEMPLATES_READ, State::list_assets as Work),
        ("PATCH", path) if path.starts_with("/api/flows/") => (limits::FLOWS_PATCH, State::patch_asset as Work),
        ("GET", path) if path.starts_with("/api/flows/") => (limits::FLOWS_READ, State::get_asset as Work),
        ("GET", path) if path.starts_with("/api/segments/") => (limits::SEGMENTS_READ, State::get_asset as Work),
        ("GET", path) if path.starts_with("/api/metrics/") => (limits::METRICS, State::get_metric as Work),
        (_, path) => {
            let known = ["GET", "POST"].iter().any(|other| *other != method.as_str() && knows(other, path));
            return known.then_some(None);
        }
    };
    Some(Some(found))
}

fn knows(method: &str, path: &str) -> bool {
    const GET: [&str; 7] = ["events", "profiles", "accounts", "metrics", "segments", "flows", "templates"];
    const POST: [&str; 7] = [
        "events",
        "event-bulk-create-jobs",
        "profile-import",
        "data-privacy-deletion-jobs",
        "segments",
        "flows",
        "templates",
    ];
    let list = if method == "GET" { GET } else { POST };
    path.strip_prefix("/api/").is_some_and(|name| list.contains(&name))
}

impl KlaviyoSandbox {
    /// Key, revision and media type; the refusal, if one of them is wrong.
    fn guard(&self, state: &mut State, request: &Request) -> Option<Answer> {
        let authorised = request.header("authorization").and_then(|value| value.strip_prefix("Klaviyo-API-Key "));
        match authorised {
            None => {
                return Some(state.error(
                    401,
                    "not_authenticated",
                    "Authentication credentials were not provided.",
                    "Missing key.",
                ));
            }
            Some(key) if key.trim() != &*self.key => {
                return Some(state.error(
                    401,
                    "authentication_failed",
                    "Incorrect authentication credentials.",
                    "Invalid API key.",
                ));
            }
            Some(_) => {}
        }
        match request.header("revision") {
            None => return Some(state.error(400, "invalid", "Invalid input.", "Missing revision header.")),
            Some(revision) if !is_date(revision) || revision < OLDEST_REVISION => {
                return Some(state.error(400, "invalid", "Invalid input.", "Invalid or unsupported API revision."));
            }
            Some(_) => {}
        }
        let typed = |name| request.header(name).map(|value| value.split(';').next().unwrap_or_default().trim());
        let accepts = typed("accept").is_none_or(|accept| accept == MEDIA_TYPE || accept == "*/*");
        if !accepts || (request.method != Method::GET && typed("content-type") != Some(MEDIA_TYPE)) {
            return Some(state.error(
                415,
                "unsupported_media_type",
                "Unsupported media type.",
                "Use application/vnd.api+json.",
            ));
        }
        None
    }

    fn handle(&self, request: &Request) -> Answer {
        let mut state = self.lock();
        if let Some(refusal) = self.guard(&mut state, request) {
            return refusal;
        }
        let path = request.path.trim_end_matches('/');
        let (tier, work) = match route(&request.method, path) {
            Some(Some(route)) => route,
            Some(None) => return state.error(405, "method_not_allowed", "Method not allowed.", "Method not allowed."),
            None => {
                return state.error(404, "not_found", "Not found.", "A resource with that path could not be found.");
            }
        };
        let now_ms = self.clock.now_ms();
        match state.limiter.ask(tier, now_ms) {
            Gate::Off => work(&mut state, request, now_ms),
            Gate::Pass { limit, remaining, reset_seconds } => work(&mut state, request, now_ms)
                .header("ratelimit-limit", limit)
                .header("ratelimit-remaining", remaining)
                .header("ratelimit-reset", reset_seconds),
            Gate::Refused { retry_after_seconds: wait } => {
                let unit = if wait == 1 { "second" } else { "seconds" };
                let detail = format!("Request was throttled. Expected available in {wait} {unit}.");
                state.error(429, "throttled", "Request was throttled.", &detail).header("retry-after", wait)
            }
        }
    }
}

fn is_date(text: &str) -> bool {
    text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitsSwitch {
    enabled: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    keep: Option<Keep>,
    discard_test_addresses: Option<bool>,
}

impl Vendor for KlaviyoSandbox {
    fn answer(&self, request: &Request) -> Answer {
        self.handle(request)
    }

    fn control(&self, request: &Request) -> Answer {
        match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/_sandbox/state") => {
                let mut shown = control::traffic_state(self);
                shown["vendor"] = json!("klaviyo");
                shown["events"] = json!(self.event_count());
                shown["accepted"] = json!(self.accepted());
                shown["profiles"] = json!(self.lock().store.profiles.iter().count());
                shown["discards"] = json!(self.discards());
                shown["refused"] = json!(self.refused());
                shown["early_requests"] = json!(self.early_requests());
                Answer::json(200, &shown)
            }
            ("GET", "/_sandbox/events") => control::shown(self.events()),
            ("GET", "/_sandbox/profiles") => control::shown(self.profiles()),
            ("POST", "/_sandbox/limits") => match request.json::<LimitsSwitch>() {
                Ok(LimitsSwitch { enabled }) => {
                    self.set_limits_enabled(enabled);
                    control::done()
                }
                Err(message) => control::refuse(message),
            },
            ("POST", "/_sandbox/settings") => match request.json::<Settings>() {
                Ok(settings) => {
                    settings.keep.into_iter().for_each(|keep| self.set_keep(keep));
                    settings.discard_test_addresses.into_iter().for_each(|on| self.set_discard_test_addresses(on));
                    control::done()
                }
                Err(message) => control::refuse(message),
            },
            ("POST", "/_sandbox/refuse") => match control::one_or_many::<Poison>(request) {
                Ok(rules) => {
                    self.lock().poison.extend(rules);
                    control::done()
                }
                Err(answer) => answer,
            },
            ("DELETE", "/_sandbox/refuse") => {
                self.refuse_nothing();
                control::done()
            }
            ("POST", "/_sandbox/clear") => {
                self.clear();
                control::done()
            }
            _ => control::unknown(),
        }
    }

    fn faults(&self) -> &Faults {
        &self.faults
    }

    fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    fn clock(&self) -> &SandboxClock {
        &self.clock
    }

    fn keep_bodies(&self) -> bool {
        self.lock().store.keep == Keep::Everything
    }
}
