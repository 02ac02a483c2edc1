//! The address under which Intercom reaches the webhook, called as Intercom calls it: HEAD, a call that is signed, and one that is not.

use app::connect::Check;
use domain::ClientSecrets;
use domain::signature::sign_body;
use reqwest::{Client, RequestBuilder, Url};

use crate::environment::CLIENT_SECRET;
use crate::server::WEBHOOK_PATH;
use crate::web;

/// Intercom's own health check carries such a body and the second kind of signature.
const HEALTH_CHECK: &str = r#"{"workspace_id":"doctor"}"#;

/// Looks at the public address. `url` without a path means the webhook's usual one.
pub(super) async fn checks(client: &Client, url: &str, secrets: Option<&ClientSecrets>) -> Vec<Check> {
    let name = "public address";
    let Some(url) = webhook(url) else {
        return vec![Check::bad(name, "it is not a URL", "give one such as https://hooks.example.com")];
    };
    let mut checks = vec![https_check(&url)];
    let head = web::fetch(client.head(url.clone())).await.map(|answer| answer.status);
    let reached = matches!(head, Ok(200));
    checks.push(head_check(&url, head));
    if !reached {
        return checks;
    }
    checks.push(unsigned_check(status(post(client, &url)).await));
    checks.push(match secrets {
        Some(secrets) => {
            let signature = sign_body(secrets, HEALTH_CHECK.as_bytes());
            signed_check(status(post(client, &url).header("x-body-signature", signature)).await)
        }
        None => {
            Check::note("signed call", format!("not tried: {CLIENT_SECRET} is not set here"), "set it and try again")
        }
    });
    checks
}

fn webhook(url: &str) -> Option<Url> {
    let mut url = Url::parse(url).ok().filter(Url::has_host)?;
    if url.path() == "/" {
        url.set_path(WEBHOOK_PATH);
    }
    Some(url)
}

fn post(client: &Client, url: &Url) -> RequestBuilder {
    client.post(url.clone()).header("content-type", "application/json").body(HEALTH_CHECK)
}

async fn status(request: RequestBuilder) -> Result<u16, String> {
    web::fetch(request).await.map(|answer| answer.status)
}

fn https_check(url: &Url) -> Check {
    let name = "public address";
    match url.scheme() {
        "https" => Check::good(name, url.as_str()),
        _ => Check::bad(
            name,
            format!("{url} is not HTTPS, and Intercom takes nothing else"),
            "put a proxy or tunnel with a certificate in front: docs/https.md",
        ),
    }
}

fn head_check(url: &Url, status: Result<u16, String>) -> Check {
    let name = "reached from here";
    match status {
        Ok(200) => Check::good(name, "the webhook answers HEAD, as Intercom asks when the URL is saved"),
        Ok(404) => Check::bad(
            name,
            format!("something else answers at {url} (404)"),
            format!("pass {WEBHOOK_PATH} on to LISTEN in the proxy's configuration"),
        ),
        Ok(502..=504) => Check::bad(
            name,
            "the proxy answers, the webhook behind it does not",
            "start `run`, and see that the proxy names LISTEN",
        ),
        Ok(status @ (301 | 302 | 307 | 308)) => Check::bad(
            name,
            format!("it answers with a redirect ({status})"),
            "use the address that it leads to: Intercom follows no redirect",
        ),
        Ok(status) => {
            Check::bad(name, format!("HEAD was answered {status}"), "see that nothing in front asks for a login")
        }
        Err(reason) => Check::bad(
            name,
            format!("no answer: {reason}"),
            "check the name in DNS, the certificate, and that the port is open from outside",
        ),
    }
}

/// A proxy that answers by itself, or that lets nobody in, shows here.
fn unsigned_check(status: Result<u16, String>) -> Check {
    let name = "call without a signature";
    match status {
        Ok(401) => Check::good(name, "refused, as it should be"),
        Ok(503) => Check::bad(
            name,
            "answered 503: set-up mode, or the queue is not available",
            "run `connect`, then look at the log",
        ),
        Ok(status) => {
            Check::bad(name, format!("answered {status} instead of 401"), "see what else answers at this address")
        }
        Err(reason) => Check::bad(name, format!("no answer: {reason}"), "try again"),
    }
}

fn signed_check(status: Result<u16, String>) -> Check {
    let name = "signed call";
    match status {
        Ok(200) => Check::good(name, "accepted: it is counted as a health check in the status"),
        Ok(401) => Check::bad(
            name,
            "refused: the running process has another client secret, or the proxy changes bodies or drops headers",
            format!(
                "set the same {CLIENT_SECRET} for both, and have the proxy pass X-Hub-Signature and X-Body-Signature"
            ),
        ),
        Ok(status) => Check::bad(name, format!("answered {status}"), "look at the log of the running process"),
        Err(reason) => Check::bad(name, format!("no answer: {reason}"), "try again"),
    }
}
