//! One HTTP exchange, without any judgement about it.

use std::error::Error;
use std::future::Future;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use domain::limits::Endpoint;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Method};

use crate::config::{Base, ClientConfig, ClientError, authorization, base};

/// The version of Intercom's REST API that every request pins.
/// <https://developers.intercom.com/docs/build-an-integration/learn-more/rest-apis/api-changelog>
const INTERCOM_VERSION: &str = "2.16";

/// A request to one vendor. Cheap to send several times: the body is shared, not copied.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    pub(crate) endpoint: Endpoint,
    /// For people, in errors: "admins".
    pub(crate) what: &'static str,
    /// After the base address, with its slash, escaped.
    pub(crate) path: String,
    /// `None` is a GET.
    pub(crate) body: Option<Bytes>,
    /// All in all.
    pub(crate) timeout: Duration,
    /// No more than this much of the answer is read.
    pub(crate) most: usize,
}

/// What came back.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    /// As far as it came.
    pub(crate) body: Bytes,
    /// What went wrong while the body was read. The status stands all the same.
    pub(crate) flaw: Option<Flaw>,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The whole body, or what is wrong with it.
    pub(crate) fn whole(&self) -> Result<&[u8], Flaw> {
        self.flaw.clone().map_or(Ok(&self.body), Err)
    }
}

/// Why there is no answer, or not all of it. Texts without addresses, keys or bodies.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Flaw {
    #[error("no answer in time")]
    Timeout,
    #[error("no connection ({0})")]
    Connect(String),
    #[error("the connection was cut")]
    Cut,
    #[error("the answer is too large")]
    TooLarge,
    #[error("the answer is {0}")]
    Unreadable(String),
}

/// Sends a request once.
pub(crate) trait Transport: Send + Sync {
    fn send(&self, request: &Outgoing) -> impl Future<Output = Result<Reply, Flaw>> + Send;
}

/// The real one.
#[derive(Debug)]
pub(crate) struct HttpTransport {
    client: Client,
    base: String,
    headers: HeaderMap,
}

/// One connection pool for both vendors.
pub(crate) fn build(config: &ClientConfig) -> Result<(HttpTransport, HttpTransport), ClientError> {
    let intercom = base("INTERCOM_API_URL", &config.intercom_url)?;
    let klaviyo = base("KLAVIYO_API_URL", &config.klaviyo_url)?;
    let intercom_headers = headers(
        authorization("INTERCOM_ACCESS_TOKEN", "Bearer", &config.intercom_token)?,
        "application/json",
        &[("intercom-version", INTERCOM_VERSION)],
    );
    let klaviyo_headers = headers(
        authorization("KLAVIYO_API_KEY", "Klaviyo-API-Key", &config.klaviyo_key)?,
        "application/vnd.api+json",
        &[("revision", domain::klaviyo::REVISION), ("x-klaviyo-revision-fall-forward-opt-out", "1")],
    );
    let client = client(&[&intercom, &klaviyo], config.timeouts.connect)?;
    Ok((
        HttpTransport { client: client.clone(), base: intercom.text, headers: intercom_headers },
        HttpTransport { client, base: klaviyo.text, headers: klaviyo_headers },
    ))
}

fn client(bases: &[&Base], connect: Duration) -> Result<Client, ClientError> {
    let mut builder = Client::builder()
        .user_agent(concat!("intercom-klaviyo/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .connect_timeout(connect);
    if bases.iter().all(|base| base.local) {
        // The sandbox needs neither a proxy nor the machine's certificates, which may be missing.
        builder = builder.no_proxy().tls_certs_only([]);
    }
    builder.build().map_err(|error| ClientError::Setup { detail: innermost(&error) })
}

fn headers(authorization: HeaderValue, media_type: &'static str, more: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, authorization);
    headers.insert(ACCEPT, HeaderValue::from_static(media_type));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    for (name, value) in more {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers
}

impl Transport for HttpTransport {
    async fn send(&self, request: &Outgoing) -> Result<Reply, Flaw> {
        let url = format!("{}{}", self.base, request.path);
        let method = if request.body.is_some() { Method::POST } else { Method::GET };
        let mut builder = self.client.request(method, url).headers(self.headers.clone()).timeout(request.timeout);
        if let Some(body) = &request.body {
            builder = builder.body(body.clone());
        }
        let mut response = builder.send().await.map_err(|error| flaw(&error))?;
        let mut reply = Reply {
            status: response.status().as_u16(),
            headers: std::mem::take(response.headers_mut()),
            ..Reply::default()
        };
        let mut body = BytesMut::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() <= request.most => body.extend_from_slice(&chunk),
                Ok(Some(_)) => {
                    reply.flaw = Some(Flaw::TooLarge);
                    break;
                }
                Ok(None) => break,
                Err(error) => {
                    reply.flaw = Some(flaw(&error));
                    break;
                }
            }
        }
        reply.body = body.freeze();
        Ok(reply)
    }
}

fn flaw(error: &reqwest::Error) -> Flaw {
    if error.is_connect() {
        Flaw::Connect(if error.is_timeout() { "no answer in time".to_owned() } else { innermost(error) })
    } else if error.is_timeout() {
        Flaw::Timeout
    } else {
        Flaw::Cut
    }
}

/// The first cause: "Connection refused", "invalid peer certificate". The outer ones repeat the address.
fn innermost(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
