//! The HTTP client of OTLP over http/protobuf: hyper's, on the process's own runtime.
//!
//! The SDK exports from threads without a runtime: each request runs on ours, and that thread waits for it.

use std::sync::Arc;
use std::time::Duration;

use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use tokio::runtime::Handle;

use super::certificates::Tls;

/// Without `tls`, the public authorities are trusted. Needs the context of a Tokio runtime.
pub(super) fn client(
    tls: Option<&Tls>,
    time_out: Duration,
) -> Result<Arc<dyn HttpClient>, rustls::Error> {
    let connector = HttpsConnectorBuilder::new();
    let connector = match tls {
        Some(tls) => connector.with_tls_config(tls.for_http()?),
        None => {
            connector.with_provider_and_webpki_roots(rustls::crypto::ring::default_provider())?
        }
    };
    let connector = connector.https_or_http().enable_http1().build();
    Ok(Arc::new(OnRuntime {
        runtime: Handle::current(),
        client: HyperClient::new(connector, time_out, None),
    }))
}

#[derive(Debug)]
struct OnRuntime {
    runtime: Handle,
    client: HyperClient<HttpsConnector<HttpConnector>>,
}

#[tonic::async_trait]
impl HttpClient for OnRuntime {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let sending = self
            .runtime
            .spawn(async move { client.send_bytes(request).await });
        sending.await?
    }
}
