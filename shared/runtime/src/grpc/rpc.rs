//! The steps around every call, in this order: span and correlation id, client address, deadline, the inner layers with
//! their panics caught, and the outcome. So refused and expired calls are traced and logged like others.

use std::convert::Infallible;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use http::{Request, Response};
use opentelemetry::metrics::Histogram;
use tonic::Code;
use tonic::body::Body;
use tonic::transport::server::TcpConnectInfo;
use tower::{Layer, Service};
use tracing::Instrument;

use super::correlation::{self, CORRELATION_HEADER};
use super::marks::{Admitted, Incomplete, Longest, NoFault};
use super::outcome::{self, Open, Outcome};
use super::rates::EXEMPT;
use super::reflection::PREFIX as REFLECTION;
use super::reply::Watched;
use super::unread::Unread;
use super::{deadline, remap, trace};
use crate::address::ClientAddress;
use crate::auth::{self, Rules};
use crate::config::GrpcConfig;
use crate::status;

/// Between checks for open calls while draining.
const LOOK: Duration = Duration::from_millis(20);

#[derive(Clone)]
pub(super) struct RpcLayer {
    ceiling: Duration,
    /// To it, our proxy appends the client's address.
    address_header: Option<String>,
    open: Arc<AtomicUsize>,
    durations: Histogram<f64>,
    rules: Vec<Rules>,
}

impl RpcLayer {
    /// `rules` name the methods.
    pub(super) fn new(config: &GrpcConfig, rules: Vec<Rules>) -> Self {
        Self {
            ceiling: config.deadline,
            address_header: config.callers.address_header.clone(),
            open: Arc::default(),
            durations: outcome::durations(),
            rules,
        }
    }

    /// Waits until no call is open, except endless ones. It refuses no new calls: those that arrive while the
    /// connections drain still get answers.
    pub(super) async fn quiet(&self) {
        while self.open.load(Ordering::Relaxed) > 0 {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Watches of health and streams of reflection last as long as clients like; they do not count.
    fn open(&self, method: &str) -> Open {
        if method.starts_with(EXEMPT) || method.starts_with(REFLECTION) {
            return Open::default();
        }
        Open::counted_in(&self.open)
    }
}

impl<S> Layer<S> for RpcLayer {
    type Service = Rpc<S>;

    fn layer(&self, inner: S) -> Rpc<S> {
        Rpc {
            inner,
            layer: self.clone(),
        }
    }
}

#[derive(Clone)]
pub(super) struct Rpc<S> {
    inner: S,
    layer: RpcLayer,
}

impl<S> Service<Request<Body>> for Rpc<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let method = trace::method(request.uri().path()).to_owned();
        let known = auth::has_method(&self.layer.rules, &method);
        let name = if known { &method } else { trace::OTHER };
        let span = trace::span(name, request.headers());
        let trace_id = trace::trace_id(&span);
        let id = correlation::choose(request.headers(), trace_id.as_deref());
        span.record("correlation_id", &id.0);
        if let Some(trace_id) = &trace_id {
            span.record("trace_id", trace_id);
        }
        let correlation_header = correlation::header(&id);
        request.extensions_mut().insert(id);
        let peer = request.extensions().get::<TcpConnectInfo>();
        let peer = peer.and_then(TcpConnectInfo::remote_addr);
        let header = self.layer.address_header.as_deref();
        let address = ClientAddress::find(request.headers(), header, peer.map(|addr| addr.ip()));
        request.extensions_mut().insert(address);
        let incomplete = Incomplete::default();
        request.extensions_mut().insert(incomplete.clone());

        let unread = request.extensions().get::<Unread>().cloned();
        let durations = self.layer.durations.clone();
        let open = self.layer.open(&method);
        let mut outcome = Outcome::open(span.clone(), &method, name, durations, open);
        request.extensions_mut().insert(outcome.caller());
        let limit = deadline::limit(request.headers(), self.layer.ceiling);
        // Starts here, not at the first poll, so that it expires before the transport's own timer: the answer of that
        // one has the wrong code.
        let expiry = tokio::time::sleep(limit);
        let waiting = self.inner.clone();
        let mut ready = std::mem::replace(&mut self.inner, waiting);

        let answer = async move {
            let handler = AssertUnwindSafe(async move { ready.call(request).await });
            let response = tokio::select! {
                biased;
                handled = handler.catch_unwind() => {
                    handled.unwrap_or_else(|_| Ok(status::internal().into_http()))?
                }
                () = expiry => {
                    if incomplete.is_waited_for() {
                        outcome.excuse();
                    }
                    status::deadline_exceeded(limit).into_http()
                }
            };
            let mut response = finish(response, outcome, &unread.unwrap_or_default());
            if let Some(value) = correlation_header {
                response.headers_mut().insert(CORRELATION_HEADER, value);
            }
            Ok(response)
        };
        Box::pin(answer.instrument(span))
    }
}

/// Reports a status in the headers; the body reports one in the trailers.
fn finish(mut response: Response<Body>, mut outcome: Outcome, unread: &Unread) -> Response<Body> {
    if response.extensions().get::<NoFault>().is_some() {
        outcome.excuse();
    }
    if let Some(slot) = response.extensions_mut().remove::<Admitted>() {
        outcome.hold(slot);
    }
    let longest = response.extensions_mut().remove::<Longest>();
    match remap::status_in(response.headers_mut()) {
        Some(found) => {
            if found.is_clients {
                outcome.excuse();
            }
            outcome.is_in(found.code, response.headers());
        }
        // Requests that are not gRPC get only an HTTP status.
        None if !response.status().is_success() => outcome.is(Code::InvalidArgument),
        None => {}
    }
    let longest = longest.map(|Longest(longest)| longest);
    response.map(|body| Watched::wrap(body, outcome, unread.reply(), longest))
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tonic::Status;
    use tower::{ServiceExt, service_fn};

    use super::*;

    async fn unanswered(timeout: &str) -> Status {
        let config = GrpcConfig::on(SocketAddr::from(([127, 0, 0, 1], 0)));
        let handler = service_fn(|_: Request<Body>| {
            std::future::pending::<Result<Response<Body>, Infallible>>()
        });
        let request = Request::post("/test.v1.ProbeService/Check")
            .header("grpc-timeout", timeout)
            .body(Body::empty());
        let rpc = RpcLayer::new(&config, Vec::new()).layer(handler);
        let response = rpc.oneshot(request.unwrap()).await.unwrap();
        Status::from_header_map(response.headers()).unwrap()
    }

    #[tokio::test]
    async fn a_clients_deadline_is_answered_with_deadline_exceeded() {
        for timeout in ["20m", "1n"] {
            let status = unanswered(timeout).await;
            assert_eq!(status.code(), Code::DeadlineExceeded, "{timeout}");
        }
    }
}
