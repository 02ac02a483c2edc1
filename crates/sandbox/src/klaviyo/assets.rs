//! Segments, flows and templates: checked as far as callers err, stored, listed, nothing more.

use serde_json::{Map, Value, json};

use super::{
    State,
    read::{self, rfc3339},
    routes::document,
    validate::ApiError,
};
use crate::server::{Answer, Request};

#[derive(Debug)]
struct Asset {
    kind: String,
    id: String,
    attributes: Map<String, Value>,
}

impl Asset {
    fn json(&self) -> Value {
        json!({
            "type": self.kind, "id": self.id, "attributes": self.attributes,
            "links": { "self": format!("/api/{}s/{}/", self.kind, self.id) },
        })
    }
}

/// All assets of the account.
#[derive(Debug, Default)]
pub(crate) struct Assets(Vec<Asset>);

impl Assets {
    /// Kind and name of each, in order.
    pub(crate) fn list(&self) -> Vec<(String, String)> {
        let name = |asset: &Asset| asset.attributes.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        self.0.iter().map(|asset| (asset.kind.clone(), name(asset))).collect()
    }
}

/// `segments` → `segment`.
fn kind(request: &Request) -> String {
    request.segments().get(1).copied().unwrap_or_default().trim_end_matches('s').to_owned()
}

fn id(request: &Request) -> String {
    request.segments().get(2).copied().unwrap_or_default().to_owned()
}

impl State {
    /// `POST /api/{segments,flows,templates}`.
    pub(crate) fn create_asset(&mut self, request: &Request, now_ms: i64) -> Answer {
        let body = match self.parsed(request) {
            Ok(body) => body,
            Err(answer) => return answer,
        };
        let kind = kind(request);
        let attributes = body.pointer("/data/attributes").and_then(Value::as_object);
        let named = attributes.filter(|attributes| attributes.get("name").is_some_and(Value::is_string));
        let (Some(attributes), Some(true)) =
            (named, body.pointer("/data/type").map(|t| t == &Value::from(kind.as_str())))
        else {
            return self.invalid(&[ApiError::new(
                "/data/attributes/name",
                format!("'name' is a required field for the resource '{kind}'."),
            )]);
        };
        if let Some(problem) = self.asset_problem(&kind, attributes) {
            return self.invalid(&[problem]);
        }
        let mut attributes = attributes.clone();
        let now = rfc3339(now_ms.div_euclid(1000));
        attributes.insert("created".into(), json!(now));
        attributes.insert("updated".into(), json!(now));
        if kind == "flow" {
            attributes.insert("status".into(), json!("draft"));
            attributes.insert("archived".into(), json!(false));
        }
        let id = format!("S{}{:04}", kind.chars().next().unwrap_or('x').to_ascii_uppercase(), self.assets.0.len() + 1);
        let asset = Asset { kind, id, attributes };
        let shown = asset.json();
        self.assets.0.push(asset);
        document(201, &json!({ "data": shown, "links": {} }))
    }

    /// A definition that is absent, or that names a metric or template which does not exist.
    fn asset_problem(&self, kind: &str, attributes: &Map<String, Value>) -> Option<ApiError> {
        let at = "/data/attributes/definition";
        let required = match kind {
            "segment" => "condition_groups",
            "flow" => "triggers",
            _ => {
                let html = attributes.get("html").is_some_and(Value::is_string);
                let missing =
                    || ApiError::new("/data/attributes/html", "'html' is required for the editor type 'CODE'.");
                return (!html).then(missing);
            }
        };
        let Some(definition) = attributes.get("definition").filter(|definition| definition[required].is_array()) else {
            return Some(ApiError::new(at, format!("'{required}' is a required field for the resource '{kind}'.")));
        };
        let mut named = Vec::new();
        names(definition, &mut named);
        let unknown = named.into_iter().find(|(key, id)| match *key {
            "metric_id" => !(0..self.store.metrics.len()).any(|index| read::metric_id(index) == *id),
            _ => !self.assets.0.iter().any(|asset| asset.kind == "template" && asset.id == *id),
        });
        unknown.map(|(key, id)| ApiError::new(at, format!("'{key}': '{id}' does not exist.")))
    }

    /// `GET /api/{segments,flows,templates}`, by name where a filter says so.
    pub(crate) fn list_assets(&mut self, request: &Request, _now_ms: i64) -> Answer {
        let kind = kind(request);
        let filter = request.parameter("filter").unwrap_or_default();
        let conditions = if filter.is_empty() { Some(Vec::new()) } else { read::conditions(filter) };
        let known = |condition: &read::Condition| condition.operator == "equals" && condition.field == "name";
        let Some(conditions) = conditions.filter(|conditions| conditions.iter().all(known)) else {
            return self.invalid(&[ApiError::new("filter", "Only equals(name,…) is understood here.")]);
        };
        let named = |asset: &Asset| {
            let name = asset.attributes.get("name").and_then(Value::as_str).unwrap_or_default();
            conditions.iter().all(|condition| condition.values.first().is_some_and(|wanted| wanted == name))
        };
        let data: Vec<Value> =
            self.assets.0.iter().filter(|asset| asset.kind == kind && named(asset)).map(Asset::json).collect();
        // Templates and segments come ten a page, flows fifty.
        let most = if kind == "flow" { 50 } else { 10 };
        match read::page(request, data, most, most) {
            Ok((data, links)) => document(200, &json!({ "data": data, "links": links })),
            Err(problem) => self.invalid(&[problem]),
        }
    }

    /// `GET /api/{segments,flows}/{id}`.
    pub(crate) fn get_asset(&mut self, request: &Request, _now_ms: i64) -> Answer {
        let (kind, id) = (kind(request), id(request));
        match self.assets.0.iter().find(|asset| asset.kind == kind && asset.id == id) {
            Some(asset) => document(200, &json!({ "data": asset.json(), "links": {} })),
            None => self.error(404, "not_found", "Not found.", "An object with that id does not exist."),
        }
    }

    /// `PATCH /api/flows/{id}`: only the status can change.
    pub(crate) fn patch_asset(&mut self, request: &Request, _now_ms: i64) -> Answer {
        let body = match self.parsed(request) {
            Ok(body) => body,
            Err(answer) => return answer,
        };
        let (kind, id) = (kind(request), id(request));
        let status = body.pointer("/data/attributes/status").cloned().unwrap_or_default();
        match self.assets.0.iter_mut().find(|asset| asset.kind == kind && asset.id == id) {
            Some(asset) => {
                asset.attributes.insert("status".into(), status);
                document(200, &json!({ "data": asset.json(), "links": {} }))
            }
            None => self.error(404, "not_found", "Not found.", "An object with that id does not exist."),
        }
    }
}

/// Every metric and template that a definition names.
fn names<'a>(value: &'a Value, found: &mut Vec<(&'a str, &'a str)>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| names(item, found)),
        Value::Object(members) => {
            for (key, member) in members {
                match (key.as_str(), member) {
                    ("metric_id" | "template_id", Value::String(id)) => found.push((key, id)),
                    _ => names(member, found),
                }
            }
        }
        _ => {}
    }
}
