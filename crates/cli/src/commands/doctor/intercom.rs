//! Token, region, version and scopes at Intercom.

use reqwest::{Client, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use app::connect::Check;

use super::clock_check;
use crate::environment::{ACCESS_TOKEN, Environment, INTERCOM_URL};
use crate::web::{self, Answer};

/// The version that every request of ours pins.
const VERSION: &str = "2.16";

/// What is read: path, what it is, whether delivery needs it, the scope to tick. Ids that do not exist answer 404 to those who may read.
const READS: &[(&str, &str, bool, &str)] = &[
    ("/contacts/000000000000000000000000", "contacts", true, "Read one user and one company"),
    ("/admins", "admins", false, "Read admins"),
    ("/teams", "teams", false, "Read admins"),
    ("/tags", "tags", false, "Read tags"),
    ("/conversations/0", "conversations", false, "Read conversations"),
    ("/tickets/0", "tickets", false, "Read tickets"),
];

pub(crate) async fn checks(client: &Client, environment: &Environment) -> Vec<Check> {
    let Some(token) = &environment.access_token else { return Vec::new() };
    let base = &environment.intercom_url;
    let me = match get(client, base, "/me", token).await {
        Ok(answer) => answer,
        Err(reason) => {
            let todo = format!("check the network and {INTERCOM_URL}");
            return vec![Check::bad("Intercom", format!("no answer from {base}: {reason}"), todo)];
        }
    };
    let mut checks = vec![token_check(&me)];
    checks.push(clock_check("Intercom", &me));
    if me.status != 200 {
        return checks;
    }
    checks.push(region_check(base, &me));
    checks.push(version_check(&me));
    for (path, what, needed, scope) in READS {
        let status = get(client, base, path, token).await.map(|answer| answer.status);
        checks.push(read_check(what, *needed, scope, status));
    }
    checks
}

async fn get(client: &Client, base: &str, path: &str, token: &SecretString) -> Result<Answer, String> {
    let request = client
        .get(format!("{base}{path}"))
        .bearer_auth(token.expose_secret())
        .header("accept", "application/json")
        .header("intercom-version", VERSION);
    web::fetch(request).await
}

fn token_check(me: &Answer) -> Check {
    let name = "Intercom token";
    match me.status {
        200 => {
            let text = |pointer| me.json.pointer(pointer).and_then(Value::as_str);
            match text("/app/id_code") {
                Some(id) => {
                    Check::good(name, format!("opens workspace {id} ({})", text("/app/name").unwrap_or("unnamed")))
                }
                None => {
                    Check::bad(name, "GET /me names no workspace", format!("check {INTERCOM_URL}: is that Intercom?"))
                }
            }
        }
        401 => Check::bad(
            name,
            "refused (401)",
            format!("copy the app's access token from the Developer Hub into {ACCESS_TOKEN}"),
        ),
        403 => Check::bad(name, "GET /me is forbidden (403)", "give the app the scope Read admins"),
        429 => Check::note(name, "Intercom's limit is used up (429)", "try again in a minute"),
        status => {
            Check::bad(name, format!("GET /me answered {status}"), format!("try again later, or check {INTERCOM_URL}"))
        }
    }
}

fn region_check(base: &str, me: &Answer) -> Check {
    let name = "Intercom region";
    let region = me.json.pointer("/app/region").and_then(Value::as_str).unwrap_or("unknown");
    let url = Url::parse(base).ok();
    let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
    let of_host = match host {
        "api.intercom.io" => "US",
        "api.eu.intercom.io" => "EU",
        "api.au.intercom.io" => "AU",
        other => return Check::good(name, format!("{region}, asked for through {other}")),
    };
    let home = match region {
        "US" => "https://api.intercom.io",
        "EU" => "https://api.eu.intercom.io",
        "AU" => "https://api.au.intercom.io",
        _ => return Check::good(name, format!("not told; {host} answers")),
    };
    match (region == of_host, of_host) {
        (true, _) => Check::good(name, format!("{region}, as {host}")),
        // The main host finds every workspace, by way of the United States.
        (false, "US") => {
            let todo = format!("set {INTERCOM_URL}={home} to keep data in the region");
            Check::note(name, format!("the workspace is in {region}, the host is {host}"), todo)
        }
        (false, _) => {
            let todo = format!("set {INTERCOM_URL}={home}");
            Check::bad(name, format!("the workspace is in {region}, the host is {host}"), todo)
        }
    }
}

fn version_check(me: &Answer) -> Check {
    let name = "Intercom API version";
    match me.header("intercom-version") {
        Some(VERSION) => Check::good(name, VERSION),
        Some(other) => {
            let found = format!("asked for {VERSION}, answered {other}");
            Check::note(name, found, "2.11 to 2.16 are understood; see that no proxy drops the header Intercom-Version")
        }
        None => Check::good(name, format!("{VERSION} was asked for; the answer names none")),
    }
}

fn read_check(what: &str, needed: bool, scope: &str, status: Result<u16, String>) -> Check {
    let name = format!("Intercom {what}");
    let lost = match what {
        "tickets" => "the plan has no tickets, or the app may not read them: there will be no history of them",
        "conversations" => "there will be no history of them",
        "contacts" => "nothing can be delivered without them",
        _ => "their names are left out of the events",
    };
    match status {
        Ok(200 | 404 | 410) => Check::good(name, "can be read"),
        Ok(status @ (401 | 403)) => {
            let (found, todo) = (
                format!("cannot be read ({status}): {lost}"),
                format!("tick the scope \"{scope}\" in the Developer Hub"),
            );
            if needed { Check::bad(name, found, todo) } else { Check::note(name, found, todo) }
        }
        Ok(status) => Check::note(name, format!("answered {status}"), "try again in a minute"),
        Err(reason) => Check::note(name, format!("no answer: {reason}"), "try again in a minute"),
    }
}
