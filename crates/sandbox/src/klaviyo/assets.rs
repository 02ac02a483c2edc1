//! Segments, flows and templates: stored, listed, nothing more.

use serde_json::{Map, Value, json};

use super::{State, read::rfc3339, routes::document};
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
            return self.invalid(&[super::validate::ApiError::new(
                "/data/attributes/name",
                format!("'name' is a required field for the resource '{kind}'."),
            )]);
        };
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

    /// `GET /api/{segments,flows,templates}`, all on one page.
    pub(crate) fn list_assets(&mut self, request: &Request, _now_ms: i64) -> Answer {
        let kind = kind(request);
        let data: Vec<Value> = self.assets.0.iter().filter(|asset| asset.kind == kind).map(Asset::json).collect();
        document(200, &json!({ "data": data, "links": { "self": request.path, "next": null, "prev": null } }))
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
