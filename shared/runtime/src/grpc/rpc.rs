//! What happens around every call, in this order: span and correlation id, a place among the calls in flight, the
//! deadline, the handler with its panics caught, and the report of how it ended.
//!
//! The order matters: a refused or expired call is traced and logged as any other.

use std::convert::Infallible;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use http::{Request, Response};
use opentelemetry::metrics::Histogram;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};
use tracing::Instrument;

use super::correlation::{self, CORRELATION_HEADER};
use super::outcome::{self, NoFault, Outcome};
use super::rates::EXEMPT;
use super::reply::Watched;
use super::unread::Unread;
use super::{deadline, remap, trace};
use crate::auth::{self, Rules};
use crate::config::GrpcConfig;
use crate::status;

/// When a refused caller may come back.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Between two looks at whether a drained server is quiet.
const LOOK: Duration = Duration::from_millis(20);

#[derive(Clone)]
pub(super) struct RpcLayer {
    ceiling: Duration,
    in_flight: Arc<Semaphore>,
    max_in_flight: usize,
    durations: Histogram<f64>,
    rules: Vec<Rules>,
}

impl RpcLayer {
    /// Of a server that has the methods in `rules`.
    pub(super) fn new(config: &GrpcConfig, rules: Vec<Rules>) -> Self {
        Self {
            ceiling: config.deadline,
            in_flight: Arc::new(Semaphore::new(config.max_in_flight)),
            max_in_flight: config.max_in_flight,
            durations: outcome::durations(),
            rules,
        }
    }

    /// Waits until no call is in flight. It looks now and then rather than taking all places, because a call that still
    /// comes in while the connections drain is to be answered.
    pub(super) async fn quiet(&self) {
        while self.in_flight.available_permits() < self.max_in_flight {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// A place among the calls in flight, at once or not at all: a queue would only make everybody late.
    fn admit(&self, method: &str) -> Result<Option<OwnedSemaphorePermit>, Status> {
        if method.starts_with(EXEMPT) {
            return Ok(None);
        }
        match Arc::clone(&self.in_flight).try_acquire_owned() {
            Ok(permit) => Ok(Some(permit)),
            Err(_) => Err(status::resource_exhausted("TOO_MANY_CALLS", RETRY_AFTER)),
        }
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

        let unread = request.extensions().get::<Unread>().cloned();
        let mut outcome = Outcome::open(span.clone(), &method, name, self.layer.durations.clone());
        request.extensions_mut().insert(outcome.caller());
        let admitted = self.layer.admit(&method);
        let limit = deadline::limit(request.headers(), self.layer.ceiling);
        // Begun here and not at the first poll: so it never expires after the transport's own timer, whose answer
        // has the wrong code.
        let expiry = tokio::time::sleep(limit);
        // The clone that was polled ready takes the call; what stays behind is asked again.
        let waiting = self.inner.clone();
        let mut ready = std::mem::replace(&mut self.inner, waiting);

        let answer = async move {
            let response = match admitted {
                Ok(permit) => {
                    if let Some(permit) = permit {
                        outcome.hold(permit);
                    }
                    let handler = AssertUnwindSafe(async move { ready.call(request).await });
                    tokio::select! {
                        biased;
                        handled = handler.catch_unwind() => {
                            // The panic hook has logged the message and the place.
                            handled.unwrap_or_else(|_| Ok(status::internal().into_http()))?
                        }
                        () = expiry => status::deadline_exceeded(limit).into_http(),
                    }
                }
                Err(refused) => refused.into_http(),
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

/// Reports a status that stands in the headers now, and lets the body report one that comes in the trailers.
fn finish(mut response: Response<Body>, mut outcome: Outcome, unread: &Unread) -> Response<Body> {
    if response.extensions().get::<NoFault>().is_some() {
        outcome.excuse();
    }
    match remap::status_in(response.headers_mut()) {
        Some(code) => outcome.is_in(code, response.headers()),
        // What is no gRPC (a wrong content type) is refused with an HTTP status alone.
        None if !response.status().is_success() => outcome.is(Code::InvalidArgument),
        None => {}
    }
    response.map(|body| Watched::wrap(body, outcome, unread.reply()))
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tower::{ServiceExt, service_fn};

    use super::*;

    /// What the layer makes of a handler that never answers, for a client with this `grpc-timeout`.
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
