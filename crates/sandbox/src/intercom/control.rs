//! The Intercom side of the control API.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{ApiVersion, DeliveryOptions, IntercomSandbox, SearchQuirks, action::TimedAction};
use crate::{
    control,
    seed::SeedSpec,
    server::{Answer, Request},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Webhook {
    url: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitsSwitch {
    enabled: bool,
    #[serde(default)]
    calls: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    api_version: Option<ApiVersion>,
    delivery: Option<DeliveryOptions>,
    index_lag_seconds: Option<i64>,
    search: Option<SearchQuirks>,
    topics: Option<Vec<String>>,
}

impl IntercomSandbox {
    pub(crate) fn controlled(&self, request: &Request) -> Answer {
        match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/_sandbox/state") => self.state(),
            ("GET", "/_sandbox/deliveries") => control::shown(self.deliveries()),
            ("POST", "/_sandbox/webhook") => match request.json::<Webhook>() {
                Ok(Webhook { url }) => {
                    self.shared.courier.set_url(url);
                    control::done()
                }
                Err(message) => control::refuse(message),
            },
            ("POST", "/_sandbox/act") => self.act_all(request),
            ("POST", "/_sandbox/seed") => match request.json::<SeedSpec>() {
                Ok(spec) => {
                    self.seed_history(&spec);
                    self.state()
                }
                Err(message) => control::refuse(message),
            },
            ("POST", "/_sandbox/limits") => match request.json::<LimitsSwitch>() {
                Ok(LimitsSwitch { enabled, calls }) => {
                    self.set_rate_limit(if enabled { calls.unwrap_or(1_667) } else { 0 });
                    control::done()
                }
                Err(message) => control::refuse(message),
            },
            ("POST", "/_sandbox/settings") => match request.json::<Settings>() {
                Ok(settings) => {
                    settings.api_version.into_iter().for_each(|version| self.set_api_version(version));
                    settings.delivery.into_iter().for_each(|options| self.set_delivery(options));
                    settings.index_lag_seconds.into_iter().for_each(|lag| self.set_index_lag(lag));
                    settings.search.into_iter().for_each(|quirks| self.set_search_quirks(quirks));
                    settings.topics.into_iter().for_each(|topics| self.subscribe(topics));
                    control::done()
                }
                Err(message) => control::refuse(message),
            },
            _ => control::unknown(),
        }
    }

    fn state(&self) -> Answer {
        let mut shown = control::traffic_state(self);
        let deliveries = self.deliveries();
        let count = |state| deliveries.iter().filter(|delivery| delivery.state == state).count();
        shown["vendor"] = json!("intercom");
        shown["deliveries"] = json!({
            "total": deliveries.len(),
            "waiting": count(super::DeliveryState::Waiting), "delivered": count(super::DeliveryState::Delivered),
            "lost": count(super::DeliveryState::Lost), "dropped": count(super::DeliveryState::Dropped),
        });
        shown["webhook_enabled"] = json!(self.webhook_enabled());
        shown["refused"] = json!(self.refused());
        let model = self.model();
        let live = || model.threads.iter().filter(|thread| !thread.deleted);
        shown["contacts"] = json!(model.contacts.len());
        shown["conversations"] = json!(live().filter(|thread| thread.ticket.is_none()).count());
        shown["tickets"] = json!(live().filter(|thread| thread.ticket.is_some()).count());
        Answer::json(200, &shown)
    }

    /// One action or a list; answers a list. Stops at the first that fails and says which.
    fn act_all(&self, request: &Request) -> Answer {
        let actions = match control::one_or_many::<TimedAction>(request) {
            Ok(actions) => actions,
            Err(answer) => return answer,
        };
        let mut done = Vec::with_capacity(actions.len());
        for (index, timed) in actions.iter().enumerate() {
            let handle = timed.at.map_or_else(|| self.clone(), |at| self.at(at));
            let acted = match handle.act(&timed.action) {
                Ok(acted) => acted,
                Err(error) => {
                    return Answer::json(400, &json!({ "error": error.to_string(), "index": index, "done": done }));
                }
            };
            let notification = |one: &super::Notification| {
                let body: Value = serde_json::from_slice(&one.body).unwrap_or_default();
                json!({ "id": one.id, "topic": one.topic, "body": body })
            };
            let notifications: Vec<Value> = acted.notifications.iter().map(notification).collect();
            done.push(json!({ "id": acted.id, "at": acted.at, "parts": acted.parts, "notifications": notifications }));
        }
        Answer::json(200, &json!(done))
    }
}
