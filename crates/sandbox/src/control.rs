//! The part of the control API that both vendors share: `/_sandbox/faults` and `/_sandbox/clock`.

use std::time::Duration;

use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    faults::Fault,
    server::{Answer, Request, Vendor},
};

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    Many(Vec<T>),
    One(T),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClockMove {
    #[serde(default)]
    advance_seconds: u64,
    #[serde(default)]
    set: Option<i64>,
}

/// One JSON value of type `T`, or a list of them.
pub(crate) fn one_or_many<T: serde::de::DeserializeOwned>(request: &Request) -> Result<Vec<T>, Answer> {
    match request.json() {
        Ok(OneOrMany::Many(items)) => Ok(items),
        Ok(OneOrMany::One(item)) => Ok(vec![item]),
        // An untagged enum hides what is wrong; asking for one item again brings the real sentence.
        Err(_) => request.json::<T>().map(|item| vec![item]).map_err(refuse),
    }
}

/// 400 with a sentence.
pub(crate) fn refuse(message: impl ToString) -> Answer {
    Answer::json(400, &json!({ "error": message.to_string() }))
}

/// 200 with `{}`.
pub(crate) fn done() -> Answer {
    Answer::json(200, &json!({}))
}

/// 404 for a control path that does not exist.
pub(crate) fn unknown() -> Answer {
    Answer::json(404, &json!({ "error": "no such control call" }))
}

/// 200 with a value.
pub(crate) fn shown(value: impl serde::Serialize) -> Answer {
    match serde_json::to_value(value) {
        Ok(value) => Answer::json(200, &value),
        Err(error) => refuse(error),
    }
}

/// Answers the shared calls; `None` when the vendor has to.
pub(crate) fn common(vendor: &dyn Vendor, request: &Request) -> Option<Answer> {
    match (&request.method, request.path.as_str()) {
        (&Method::POST, "/_sandbox/faults") => Some(match one_or_many::<Fault>(request) {
            Ok(faults) => {
                faults.into_iter().for_each(|fault| vendor.faults().push(fault));
                done()
            }
            Err(answer) => answer,
        }),
        (&Method::DELETE, "/_sandbox/faults") => {
            vendor.faults().clear();
            Some(done())
        }
        (&Method::POST, "/_sandbox/clock") => Some(match request.json::<ClockMove>() {
            Ok(moved) => {
                if let Some(to) = moved.set {
                    vendor.clock().set(to);
                }
                vendor.clock().advance(Duration::from_secs(moved.advance_seconds));
                Answer::json(200, &json!({ "now": vendor.clock().now() }))
            }
            Err(message) => refuse(message),
        }),
        _ => None,
    }
}

/// The counters that both vendors show in `/_sandbox/state`.
pub(crate) fn traffic_state(vendor: &dyn Vendor) -> Value {
    json!({
        "now": vendor.clock().now(),
        "faults_struck": vendor.faults().struck(),
        "requests": vendor.traffic().counts(),
    })
}
