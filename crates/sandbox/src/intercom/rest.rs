//! The REST API: token, version, rate limit, then what was asked for.

use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    IntercomSandbox, Model,
    model::{BOT, Fate, Part},
    perform::since,
    render::{self, Medium},
    search,
    spec::ApiVersion,
};
use crate::{
    clock::SandboxClock,
    faults::Faults,
    server::{Answer, Request, Vendor},
    traffic::Traffic,
};

const WINDOW_MS: i64 = 10_000;
/// Merges that the server follows by itself.
const MAX_HOPS: usize = 3;

/// What is reported of Intercom's search over conversations and tickets, beyond its documentation. All off at first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SearchQuirks {
    /// What changed less than so many seconds ago is not found yet; 0: at once.
    pub index_lag_seconds: i64,
    /// The filter compares the days of moments, in UTC.
    pub days_only: bool,
    /// Items come in an order of their own, whatever was asked for.
    pub unsorted: bool,
    /// Pages of more items than this are answered by the proxy: 504, in HTML. 0: all are answered.
    pub heavy_above: u64,
}

/// Settings and use of the REST side.
#[derive(Debug)]
pub(crate) struct Limits {
    /// Calls in ten seconds; 0 is no limit.
    pub(crate) limit: u32,
    pub(crate) refused: u64,
    pub(crate) search: SearchQuirks,
    window: i64,
    used: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { limit: 1_667, refused: 0, search: SearchQuirks::default(), window: 0, used: 0 }
    }
}

impl Limits {
    /// Counts a call. The headers to add, and whether it is refused.
    fn ask(&mut self, now_ms: i64) -> (Vec<(String, String)>, bool) {
        if self.limit == 0 {
            return (Vec::new(), false);
        }
        let window = now_ms.div_euclid(WINDOW_MS);
        if window != self.window {
            (self.window, self.used) = (window, 0);
        }
        let refused = self.used >= self.limit;
        if refused {
            self.refused += 1;
        } else {
            self.used += 1;
        }
        let reset = (window + 1) * (WINDOW_MS / 1000);
        let header = |name: &str, value: i64| (name.to_owned(), value.to_string());
        let headers = vec![
            header("x-ratelimit-limit", self.limit.into()),
            header("x-ratelimit-remaining", (self.limit - self.used).into()),
            header("x-ratelimit-reset", reset),
        ];
        (headers, refused)
    }
}

/// What a REST call is answered with besides its own arguments.
pub(crate) struct Context<'a> {
    pub(crate) model: &'a mut Model,
    pub(crate) version: ApiVersion,
    pub(crate) now: i64,
    pub(crate) search: SearchQuirks,
}

/// An `error.list` with one error.
pub(crate) fn error(status: u16, code: &str, message: &str) -> Answer {
    let errors = [json!({ "code": code, "message": message })];
    Answer::json(status, &json!({ "type": "error.list", "request_id": "000sandbox0request", "errors": errors }))
}

pub(crate) fn not_found(what: &str) -> Answer {
    error(404, "not_found", &format!("{what} Not Found"))
}

impl IntercomSandbox {
    fn handle(&self, request: &Request) -> Answer {
        let Some(given) = request.header("authorization") else {
            return error(401, "missing_authorization", "Missing authorization header");
        };
        if given.strip_prefix("Bearer ").map(str::trim) != Some(self.shared.token.as_str()) {
            return error(401, "unauthorized", "Access Token Invalid");
        }
        let accepted = |accept: &str| accept.contains("application/json") || accept.contains("*/*");
        if !request.header("accept").is_none_or(accepted) {
            return error(406, "not_acceptable", "The Accept header should be application/json");
        }
        let mut model = self.model();
        let version = match request.header("intercom-version") {
            None => model.version,
            Some("Preview" | "Unstable") => ApiVersion::V2_16,
            Some(text) => match text.parse() {
                Ok(version) => version,
                Err(_) => return error(400, "intercom_version_invalid", "The requested version could not be found"),
            },
        };
        let now_ms = self.shared.clock.now_ms();
        let (headers, refused, limit, search) = {
            let mut limits = self.limits();
            let (headers, refused) = limits.ask(now_ms);
            (headers, refused, limits.limit, limits.search)
        };
        let mut answer = if refused {
            error(429, "rate_limit_exceeded", &format!("Exceeded rate limit of {limit} in 10_seconds"))
        } else {
            let mut context = Context { model: &mut model, version, now: now_ms.div_euclid(1000), search };
            context.route(request)
        };
        answer.headers.extend(headers);
        answer.header("intercom-version", version)
    }
}

impl Context<'_> {
    fn route(&mut self, request: &Request) -> Answer {
        let segments = request.segments();
        match (&request.method, segments.as_slice()) {
            (&Method::GET, ["me"]) => self.me(),
            (&Method::GET, ["admins"]) => self.admins(),
            (&Method::GET, ["admins", id]) => self.admin(id),
            (&Method::GET, ["teams"]) => self.teams(),
            (&Method::GET, ["tags"]) => {
                let all: Vec<usize> = (0..self.model.tags.len()).collect();
                Answer::json(200, &json!({ "type": "list", "data": render::tags(self.model, &all) }))
            }
            (&Method::GET, ["contacts", id]) => self.contact(id),
            (&Method::GET, ["contacts", id, "tags"]) => self.contact_tags(id),
            (&Method::POST, ["contacts", "search"]) => search::contacts(self, request),
            (&Method::GET, ["conversations"]) => search::list_conversations(self, request),
            (&Method::POST, ["conversations", "search"]) => search::conversations(self, request),
            (&Method::GET, ["conversations", id]) => self.conversation(id),
            (&Method::POST, ["tickets", "search"]) => search::tickets(self, request),
            (&Method::GET, ["tickets", id]) => self.ticket(id),
            (&Method::GET, ["ticket_types"]) => {
                let all: Vec<Value> =
                    (0..self.model.ticket_types.len()).map(|index| render::ticket_type(self.model, index)).collect();
                Answer::json(200, &json!({ "type": "list", "data": all }))
            }
            (&Method::GET, ["ticket_states"]) => self.ticket_states(),
            _ => error(404, "not_found", "The requested resource was not found"),
        }
    }

    fn me(&self) -> Answer {
        let me = self.model.admins.get(1).or(self.model.admins.first());
        let app = json!({
            "type": "app", "id_code": self.model.workspace, "name": "Sandbox Shop", "created_at": 1_734_537_243,
            "secure": false, "identity_verification": false, "timezone": "Europe/Dublin", "region": "US",
        });
        Answer::json(
            200,
            &json!({
                "type": "admin", "id": me.map(|me| me.id.to_string()), "email": me.map(|me| me.email.as_str()),
                "name": me.map(|me| me.name), "email_verified": true, "app": app,
                "avatar": { "type": "avatar", "image_url": "https://static.intercomassets.com/sandbox.png" }, "has_inbox_seat": true,
            }),
        )
    }

    fn admin_json(&self, index: usize) -> Value {
        let admin = &self.model.admins[index];
        let teams: Vec<u64> =
            admin.team.and_then(|team| self.model.teams.get(team)).map(|team| team.id).into_iter().collect();
        json!({
            "type": "admin", "email": admin.email, "id": admin.id.to_string(), "name": admin.name, "away_mode_enabled": false,
            "away_mode_reassign": false, "has_inbox_seat": index != BOT, "team_ids": teams,
        })
    }

    fn admins(&self) -> Answer {
        let all: Vec<Value> = (0..self.model.admins.len()).map(|index| self.admin_json(index)).collect();
        Answer::json(200, &json!({ "type": "admin.list", "admins": all }))
    }

    fn admin(&self, id: &str) -> Answer {
        match self.model.admins.iter().position(|admin| admin.id.to_string() == id) {
            Some(index) => Answer::json(200, &self.admin_json(index)),
            None => not_found("Admin"),
        }
    }

    fn teams(&self) -> Answer {
        let members = |team: usize| -> Vec<u64> {
            self.model.admins.iter().filter(|admin| admin.team == Some(team)).map(|admin| admin.id).collect()
        };
        let one = |(index, team): (usize, &super::model::Team)| json!({ "type": "team", "id": team.id.to_string(), "name": team.name, "admin_ids": members(index) });
        let all: Vec<Value> = self.model.teams.iter().enumerate().map(one).collect();
        Answer::json(200, &json!({ "type": "team.list", "teams": all }))
    }

    fn ticket_states(&self) -> Answer {
        let types: Vec<Value> = (self.model.ticket_types.iter())
            .map(|kind| json!({ "type": "ticket_type", "id": kind.id.to_string(), "name": kind.name, "category": kind.category }))
            .collect();
        let one = |index: usize| {
            let mut state = render::ticket_state(self.model, index);
            state["ticket_types"] = json!({ "type": "list", "data": types });
            state["archived"] = json!(false);
            state
        };
        let all: Vec<Value> = (0..self.model.ticket_states.len()).map(one).collect();
        Answer::json(200, &json!({ "type": "list", "data": all }))
    }

    fn contact(&self, id: &str) -> Answer {
        let Some(&index) = self.model.contact_by_id.get(id) else { return not_found("User") };
        match self.model.contacts[index].fate {
            Fate::Live => Answer::json(200, &render::contact(self.model, index, self.version, Medium::Rest, self.now)),
            Fate::Gone => not_found("User"),
            Fate::Merged(_) if !since(self.version, ApiVersion::V2_16) => not_found("User"),
            Fate::Merged(_) => self.merged(index),
        }
    }

    /// 410 with a link to the survivor, at most three merges away.
    fn merged(&self, mut index: usize) -> Answer {
        for _ in 0..MAX_HOPS {
            let Fate::Merged(next) = self.model.contacts[index].fate else { break };
            index = next;
        }
        let link = format!("</contacts/{}>; rel=\"canonical\"", self.model.contacts[index].id);
        error(410, "contact_merged", "This contact has been merged. See the 'Link' header for the canonical contact.")
            .header("link", link)
    }

    fn contact_tags(&self, id: &str) -> Answer {
        let contact = self.model.contact_by_id.get(id).map(|index| &self.model.contacts[*index]);
        match contact.filter(|contact| contact.fate == Fate::Live) {
            Some(contact) => {
                Answer::json(200, &json!({ "type": "list", "data": render::tags(self.model, &contact.tags) }))
            }
            None => not_found("User"),
        }
    }

    fn conversation(&self, id: &str) -> Answer {
        let Ok(index) = self.model.thread_index(id) else { return not_found("Conversation") };
        let thread = &self.model.threads[index];
        let parts: Vec<&Part> = thread.parts.iter().collect();
        Answer::json(200, &render::conversation(self.model, thread, Some(&parts), self.version, Medium::Rest))
    }

    fn ticket(&self, id: &str) -> Answer {
        match self.model.ticket_index(id) {
            Ok(index) => Answer::json(200, &render::ticket(self.model, &self.model.threads[index], self.version)),
            Err(_) => not_found("Ticket"),
        }
    }
}

impl Vendor for IntercomSandbox {
    fn answer(&self, request: &Request) -> Answer {
        self.handle(request)
    }

    fn control(&self, request: &Request) -> Answer {
        self.controlled(request)
    }

    fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    fn traffic(&self) -> &Traffic {
        &self.shared.traffic
    }

    fn clock(&self) -> &SandboxClock {
        &self.shared.clock
    }

    fn keep_bodies(&self) -> bool {
        true
    }
}
