//! The HTTP client of OTLP over http/protobuf: hyper's, on the process's own runtime.
//!
//! The SDK exports from threads of its own, where no runtime is; so each request runs on ours, and that thread waits for it.

use std::sync::Arc;
use std::time::Duration;

use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use tokio::runtime::Handle;

/// Certificates are checked against the public authorities. Needs the context of a Tokio runtime.
pub(super) fn client(time_out: Duration) -> Result<Arc<dyn HttpClient>, rustls::Error> {
    let connector = HttpsConnectorBuilder::new()
        .with_provider_and_webpki_roots(rustls::crypto::ring::default_provider())?
        .https_or_http()
        .enable_http1()
        .build();
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
