//! `send-sample`: a notification of our own making, signed and posted as Intercom would.

mod samples;

use app::ports::Clock as _;
use domain::signature::sign_hub;
use reqwest::Url;
use secrecy::ExposeSecret as _;

use crate::args::SampleArguments;
use crate::environment::{ACCESS_TOKEN, CLIENT_SECRET, Environment};
use crate::failure::Failure;
use crate::output::line;
use crate::server::WEBHOOK_PATH;
use crate::web;
use clients::time::SystemClock;

use samples::{Sample, TOPICS};

/// Posts one sample and says what was answered.
pub(crate) async fn send_sample(environment: &Environment, arguments: &SampleArguments) -> Result<(), Failure> {
    let Some(secrets) = &environment.client_secrets else {
        return Err(Failure::configuration(format!("a sample is signed with {CLIENT_SECRET}: set it")));
    };
    if !TOPICS.contains(&arguments.topic.as_str()) {
        let known = TOPICS.join(", ");
        return Err(Failure::configuration(format!("there is no sample for {}; there are: {known}", arguments.topic)));
    }
    let url = webhook_url(arguments.url.as_deref(), environment)?;
    let workspace = match &arguments.workspace {
        Some(id) => id.clone(),
        None => workspace_of_token(environment).await?,
    };
    let sample = Sample { workspace, contact: arguments.contact.clone(), now: SystemClock.now().as_second() };
    let body = sample.notification(&arguments.topic, &fresh_number()?).to_string().into_bytes();
    let request = web::client()
        .map_err(Failure::Bad)?
        .post(url.clone())
        .header("content-type", "application/json")
        .header("x-hub-signature", sign_hub(secrets, &body))
        .body(body);
    let answer = web::fetch(request).await.map_err(|reason| {
        Failure::bad(format!("nothing answers at {url}: {reason}; start `run` or give its address with --url"))
    })?;
    match answer.status {
        200 => {
            line(format!("{} was accepted by {url}", arguments.topic));
            Ok(())
        }
        401 => Err(Failure::bad(format!("{url} refused the signature: its {CLIENT_SECRET} is another one"))),
        status => Err(Failure::bad(format!("{url} answered {status}"))),
    }
}

fn webhook_url(given: Option<&str>, environment: &Environment) -> Result<Url, Failure> {
    let default = || {
        let address = environment.listen;
        let host = if address.ip().is_unspecified() { "127.0.0.1".to_owned() } else { address.ip().to_string() };
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        format!("http://{host}:{}", address.port())
    };
    let text = given.map_or_else(default, str::to_owned);
    let wrong = || Failure::configuration("--url is not a URL such as http://127.0.0.1:8080");
    let mut url = Url::parse(&text).ok().filter(Url::has_host).ok_or_else(wrong)?;
    if url.path() == "/" {
        url.set_path(WEBHOOK_PATH);
    }
    Ok(url)
}

/// A notification of another workspace would be skipped.
async fn workspace_of_token(environment: &Environment) -> Result<String, Failure> {
    let Some(token) = &environment.access_token else {
        return Err(Failure::configuration(format!(
            "whose workspace is it: give --workspace ID or set {ACCESS_TOKEN}"
        )));
    };
    let client = web::client().map_err(Failure::Bad)?;
    let request = client
        .get(format!("{}/me", environment.intercom_url))
        .bearer_auth(token.expose_secret())
        .header("accept", "application/json")
        .header("intercom-version", "2.16");
    let answer = web::fetch(request).await.map_err(|reason| Failure::bad(format!("Intercom: {reason}")))?;
    match answer.json.pointer("/app/id_code").and_then(serde_json::Value::as_str) {
        Some(id) => Ok(id.to_owned()),
        None => Err(Failure::bad(format!("Intercom answered {} to GET /me: give --workspace ID", answer.status))),
    }
}

/// Ids of the sample begin with it, so that no two samples share one.
fn fresh_number() -> Result<String, Failure> {
    let random = getrandom::u64().map_err(|error| Failure::bad(format!("no randomness: {error}")))?;
    Ok(format!("{:015}", random % 1_000_000_000_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_url(given: Option<&str>, listen: &str, expected: &str) {
        let listen = listen.to_owned();
        let environment = Environment::read(|name| (name == "LISTEN").then(|| listen.clone().into())).expect("is fine");
        assert_eq!(webhook_url(given, &environment).expect("is a URL").as_str(), expected);
    }

    #[test]
    fn the_webhook_is_found() {
        check_url(None, "127.0.0.1:8080", "http://127.0.0.1:8080/webhooks/intercom");
        check_url(None, "0.0.0.0:9000", "http://127.0.0.1:9000/webhooks/intercom");
        check_url(None, "[::1]:9000", "http://[::1]:9000/webhooks/intercom");
        check_url(Some("https://shop.example/"), "127.0.0.1:8080", "https://shop.example/webhooks/intercom");
        check_url(Some("https://x.lambda-url.example/hook"), "127.0.0.1:8080", "https://x.lambda-url.example/hook");
    }
}
