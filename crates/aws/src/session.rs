//! What all clients of a process share: region, credentials, endpoint, and connections.
//!
//! A client by itself reads the environment, and parses all of the machine's root certificates twice: once when it is made (only
//! to see that it can) and once for its connections. For two clients that is most of what the webhook's start costs beyond the
//! network. Here the roots are parsed once, when the first request goes out.

use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::{Builder, Connector, tls};
use aws_smithy_runtime_api::client::http::{HttpClient, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;

/// Longest wait for a connection. One value for all: connections are shared by those who agree on it.
const CONNECT: Duration = Duration::from_secs(1);

/// Region, credentials and endpoint from the environment (`AWS_REGION`, `AWS_ENDPOINT_URL`, …).
#[derive(Clone, Debug)]
pub struct Session(SdkConfig);

impl Session {
    /// Reads the environment. No network: what is wrong with it shows at the first call.
    pub async fn open() -> Self {
        // The behaviour is pinned: a new SDK must not change retries or time-outs by itself.
        let config = aws_config::defaults(BehaviorVersion::v2026_01_12()).http_client(Connections::new());
        Self(config.load().await)
    }

    /// The same, with time-outs: `attempt` for one try of a request, `operation` for all tries of it together.
    pub(crate) fn within(&self, attempt: Duration, operation: Duration) -> SdkConfig {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT)
            .operation_attempt_timeout(attempt)
            .operation_timeout(operation)
            .build();
        self.0.to_builder().timeout_config(timeouts).build()
    }
}

/// The SDK's own connections, made when the first request needs them and not already when a client is made.
#[derive(Debug)]
struct Connections(SharedHttpClient);

impl Connections {
    fn new() -> Self {
        Self(Builder::new().build_with_connector_fn(connector))
    }
}

impl HttpClient for Connections {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        // The inner client keeps one connector for each kind of settings, and we have one kind.
        self.0.http_connector(settings, components)
    }
}

/// As the SDK makes its own.
fn connector(settings: Option<&HttpConnectorSettings>, components: Option<&RuntimeComponents>) -> Connector {
    let mut connector = Connector::builder()
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc))
        .proxy_config(ProxyConfig::from_env());
    connector.set_connector_settings(settings.cloned());
    connector.set_sleep_impl(components.and_then(RuntimeComponents::sleep_impl));
    connector.build()
}
