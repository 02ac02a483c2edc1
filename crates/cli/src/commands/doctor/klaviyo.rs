//! Key and account at Klaviyo.

use domain::klaviyo::REVISION;
use reqwest::{Client, RequestBuilder};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use app::connect::Check;

use super::clock_check;
use crate::environment::{Environment, KLAVIYO_KEY, KLAVIYO_URL};
use crate::web::{self, Answer};

pub(crate) async fn checks(client: &Client, environment: &Environment) -> Vec<Check> {
    let Some(key) = &environment.klaviyo_key else { return Vec::new() };
    let base = &environment.klaviyo_url;
    let accounts = match web::fetch(with_key(client.get(format!("{base}/api/accounts")), key)).await {
        Ok(answer) => answer,
        Err(reason) => {
            let todo = format!("check the network and {KLAVIYO_URL}");
            return vec![Check::bad("Klaviyo", format!("no answer from {base}: {reason}"), todo)];
        }
    };
    let mut checks = vec![key_check(base, &accounts), clock_check("Klaviyo", &accounts)];
    if matches!(accounts.status, 200 | 403) {
        // Klaviyo looks at the scopes first; what it would then say about this body is no matter.
        let request = client.post(format!("{base}/api/events")).header("content-type", "application/vnd.api+json");
        let status = web::fetch(with_key(request.body(r#"{"data":{}}"#), key)).await.map(|answer| answer.status);
        checks.push(scope_check(status));
        for (path, scope, without) in OPTIONAL {
            let status =
                web::fetch(with_key(client.get(format!("{base}{path}")), key)).await.map(|answer| answer.status);
            checks.push(optional_check(scope, without, status));
        }
    }
    checks
}

/// What a key may read beyond what delivery needs. Writing cannot be tried without making something.
const OPTIONAL: &[(&str, &str, &str)] = &[
    ("/api/metrics", "metrics:read", "`recipes` cannot find the metrics"),
    ("/api/segments?page[size]=1", "segments:read", "`recipes` makes no segments; it needs segments:write too"),
    ("/api/flows?page[size]=1", "flows:read", "`recipes` makes no flows; it needs flows:write too"),
    ("/api/templates?page[size]=1", "templates:read", "`recipes` makes no flows; it needs templates:write too"),
];

fn optional_check(scope: &str, without: &str, status: Result<u16, String>) -> Check {
    let name = format!("Klaviyo {scope}");
    match status {
        Ok(200) => Check::good(name, "allowed"),
        Ok(403) => Check::note(name, "not allowed: delivery does not need it", format!("without it {without}")),
        Ok(status) => Check::note(name, format!("the question was answered {status}"), "try again in a minute"),
        Err(reason) => Check::note(name, format!("no answer: {reason}"), "try again in a minute"),
    }
}

fn with_key(request: RequestBuilder, key: &SecretString) -> RequestBuilder {
    request
        .header("authorization", format!("Klaviyo-API-Key {}", key.expose_secret()))
        .header("accept", "application/vnd.api+json")
        .header("revision", REVISION)
}

fn key_check(base: &str, accounts: &Answer) -> Check {
    let name = "Klaviyo key";
    match accounts.status {
        200 => {
            let account = accounts.json.pointer("/data/0/attributes");
            let text = |pointer| account.and_then(|account| account.pointer(pointer)).and_then(Value::as_str);
            let organisation = text("/contact_information/organization_name").unwrap_or("unnamed account");
            let test = account.and_then(|account| account.get("test_account")).and_then(Value::as_bool);
            let kind = if test == Some(true) { " (a test account)" } else { "" };
            Check::good(name, format!("opens {organisation}{kind} at {base}"))
        }
        401 => Check::bad(
            name,
            "refused (401)",
            format!("make a private key (pk_…) with the scopes events:write and profiles:write, and set {KLAVIYO_KEY}"),
        ),
        403 => Check::note(
            name,
            "is valid, but may not read the account's name",
            "add the scope accounts:read to see it here; nothing else needs it",
        ),
        429 => Check::note(name, "Klaviyo's limit is used up (429)", "try again in a minute"),
        status => Check::bad(
            name,
            format!("GET /api/accounts answered {status}"),
            format!("try again later, or check {KLAVIYO_URL}"),
        ),
    }
}

fn scope_check(status: Result<u16, String>) -> Check {
    let name = "Klaviyo events";
    match status {
        Ok(400 | 409 | 422) => Check::good(name, "may be written"),
        Ok(status @ (401 | 403)) => Check::bad(
            name,
            format!("may not be written ({status})"),
            "make a private key with the scopes events:write and profiles:write",
        ),
        Ok(status) => Check::note(name, format!("the probe was answered {status}"), "try again in a minute"),
        Err(reason) => Check::note(name, format!("no answer: {reason}"), "try again in a minute"),
    }
}
