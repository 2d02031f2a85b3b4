//! The HTTP client under all the SDK clients.

use std::sync::OnceLock;

use aws_smithy_http_client::{Builder, tls};
use aws_smithy_runtime_api::client::http::{HttpClient, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;

/// One client for all, made when the first call is sent.
///
/// Each SDK client validates its HTTP client when it is built, and the stock one parses the whole root store for that:
/// with four clients that would be most of a cold start.
#[derive(Debug, Default)]
struct LazyHttpClient(OnceLock<SharedHttpClient>);

pub(super) fn shared_client() -> SharedHttpClient {
    SharedHttpClient::new(LazyHttpClient::default())
}

impl HttpClient for LazyHttpClient {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let provider = tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc);
        self.0.get_or_init(|| Builder::new().tls_provider(provider).build_https()).http_connector(settings, components)
    }
}
