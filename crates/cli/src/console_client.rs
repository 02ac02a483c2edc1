//! Talking to the console of a running pipeline, here or elsewhere.

use http::Method;
use reqwest::{Client, RequestBuilder, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use crate::args::ConsoleArguments;
use crate::environment::{CONSOLE_TOKEN, Environment};
use crate::failure::Failure;
use crate::{token, web};

/// The console's API.
pub(crate) struct ConsoleClient {
    client: Client,
    base: String,
    token: Option<SecretString>,
}

impl ConsoleClient {
    /// With `--url` where it is given, else the process that runs, or ran, on this data directory.
    pub(crate) fn new(environment: &Environment, arguments: &ConsoleArguments) -> Result<Self, Failure> {
        let base = match &arguments.url {
            Some(url) => checked(url)?,
            None => {
                token::console_url(&environment.data_dir).unwrap_or_else(|| format!("http://{}", environment.listen))
            }
        };
        let token = match &environment.console_token {
            Some(token) => Some(token.clone()),
            // The token that `run` made is for this machine; it is not sent anywhere else.
            None if is_here(&base) => token::read(&environment.data_dir).unwrap_or(None),
            None => None,
        };
        let client = web::client().map_err(Failure::Bad)?;
        Ok(Self { client, base, token })
    }

    /// Gives the answer's JSON, or the console's own sentence.
    pub(crate) async fn ask(&self, method: Method, path: &str) -> Result<Value, Failure> {
        self.send(self.client.request(method, format!("{}{path}", self.base))).await
    }

    /// As [`ConsoleClient::ask`], with a JSON body.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        let request = self.client.post(format!("{}{path}", self.base)).header("content-type", "application/json");
        self.send(request.body(body.to_string())).await
    }

    async fn send(&self, mut request: RequestBuilder) -> Result<Value, Failure> {
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.expose_secret());
        }
        let answer = web::fetch(request).await.map_err(|reason| {
            Failure::bad(format!("no console at {}: {reason}; start `run` or give its address with --url", self.base))
        })?;
        let said = answer.json.get("error").and_then(Value::as_str).unwrap_or("no reason given");
        match answer.status {
            200 if !answer.json.is_null() => Ok(answer.json),
            200 => Err(Failure::bad(format!("what answers at {} is not this program's console", self.base))),
            401 => Err(Failure::configuration(format!(
                "the console at {} wants its token: set {CONSOLE_TOKEN} to the one that `run` printed or was given",
                self.base
            ))),
            404 => Err(Failure::bad(said)),
            status => Err(Failure::bad(format!("the console answered {status}: {said}"))),
        }
    }
}

fn checked(url: &str) -> Result<String, Failure> {
    match Url::parse(url) {
        Ok(parsed) if parsed.has_host() && matches!(parsed.scheme(), "http" | "https") => {
            Ok(url.trim_end_matches('/').to_owned())
        }
        _ => Err(Failure::configuration("--url is not a URL such as http://127.0.0.1:8080")),
    }
}

fn is_here(base: &str) -> bool {
    let url = Url::parse(base).ok();
    url.as_ref().and_then(Url::host_str).is_some_and(|host| {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback() || ip.is_unspecified())
    })
}

#[cfg(test)]
mod tests {
    use super::is_here;

    #[test]
    fn the_made_token_stays_on_this_machine() {
        for here in ["http://127.0.0.1:8080", "http://localhost", "http://[::1]:1", "http://0.0.0.0:8080"] {
            assert!(is_here(here), "{here}");
        }
        for elsewhere in ["https://example.com", "http://127.0.0.1.example.com", "http://10.0.0.1:8080", "nonsense"] {
            assert!(!is_here(elsewhere), "{elsewhere}");
        }
    }
}
