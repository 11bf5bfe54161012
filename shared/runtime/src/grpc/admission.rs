//! Admits a call when its request is complete: it takes a slot, and keeps it until the last byte of its answer.
//!
//! A client that does not complete its calls takes no slot and few bytes ([`Arrivals`]). Health and reflection need no
//! login, so they have their own slots and a time limit.

use std::collections::HashSet;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};
use tonic::body::Body;
use tower::{Layer, Service};

use super::arrivals::{Arrival, Arrivals};
use super::conflicts;
use super::intake::{Limit, Taken, take_in};
use super::marks::{Admitted, Longest};
use super::rates::EXEMPT;
use super::reflection::PREFIX as REFLECTION;
use super::trace;
use crate::address::ClientAddress;
use crate::auth::Caller;
use crate::config::GrpcConfig;
use crate::slots::{Full as NoSlot, Limits, Slot, Slots};
use crate::status;

const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Health asks for a name.
const LARGEST_PROBE: usize = 16 << 10;
const PROBE_BYTES: usize = 4 << 20;
const PROBE_BYTES_OF_ADDRESS: usize = 1 << 20;
/// Watchers use one call per connection.
const WATCHES: Limits = Limits {
    all: 512,
    of_address: Some(128),
    of_user: None,
};
/// People and their tools.
const REFLECTIONS: Limits = Limits {
    all: 64,
    of_address: Some(16),
    of_user: None,
};

#[derive(Clone)]
pub(super) struct AdmissionLayer {
    largest: usize,
    longest_watch: Duration,
    longest_reflection: Duration,
    streams: Arc<HashSet<String>>,
    arrivals: Arrivals,
    calls: Slots,
    probes: Arrivals,
    watches: Slots,
    reflections: Slots,
}

impl AdmissionLayer {
    /// `streams` are the methods with client streaming.
    pub(super) fn new(config: &GrpcConfig, streams: HashSet<String>) -> Self {
        let callers = &config.callers;
        Self {
            largest: config.max_request_bytes,
            longest_watch: callers.longest_health_watch,
            longest_reflection: callers.longest_reflection,
            streams: Arc::new(streams),
            arrivals: Arrivals::new(
                callers.max_request_memory,
                callers.max_request_memory_per_address,
            ),
            calls: Slots::new(Limits {
                all: config.max_in_flight,
                of_address: callers.max_in_flight_per_address,
                of_user: callers.max_in_flight_per_user,
            }),
            probes: Arrivals::new(PROBE_BYTES, Some(PROBE_BYTES_OF_ADDRESS)),
            watches: Slots::new(WATCHES),
            reflections: Slots::new(REFLECTIONS),
        }
    }

    async fn admit(&self, request: Request<Body>) -> Result<Admission, Response<Body>> {
        let method = trace::method(request.uri().path()).to_owned();
        let address = ClientAddress::of_http(&request);
        if method.starts_with(REFLECTION) {
            let slot = self.reflections.take(address, None).map_err(refused)?;
            let longest = Some(self.longest_reflection);
            return Ok(Admission::of(request, slot, longest));
        }
        if method.starts_with(EXEMPT) {
            return self.admit_probe(request, &method, address).await;
        }
        let user_id = request.extensions().get::<Caller>().map(|c| c.user_id);
        if self.streams.contains(&method) {
            let slot = self.calls.take(address, user_id).map_err(refused)?;
            return Ok(Admission::of(request, slot, None));
        }
        let limit = Limit {
            arrivals: &self.arrivals,
            largest: self.largest,
        };
        let taken = take_in(request, address, limit).await?;
        let slot = self.calls.take(address, user_id).map_err(refused)?;
        Ok(Admission::complete(taken, Some(slot), None))
    }

    /// A check is answered immediately, so it needs no slot and is never refused.
    async fn admit_probe(
        &self,
        request: Request<Body>,
        method: &str,
        address: ClientAddress,
    ) -> Result<Admission, Response<Body>> {
        let limit = Limit {
            arrivals: &self.probes,
            largest: LARGEST_PROBE,
        };
        let taken = take_in(request, address, limit).await?;
        if !method.ends_with("/Watch") {
            return Ok(Admission::complete(taken, None, None));
        }
        let slot = self.watches.take(address, None).map_err(refused)?;
        let longest = Some(self.longest_watch);
        Ok(Admission::complete(taken, Some(slot), longest))
    }
}

struct Admission {
    parts: Parts,
    payload: Payload,
    slot: Option<Slot>,
    longest: Option<Duration>,
    arrival: Option<Arrival>,
}

enum Payload {
    Message(Bytes),
    Stream(Body),
}

impl Admission {
    fn of(request: Request<Body>, slot: Slot, longest: Option<Duration>) -> Self {
        let (parts, body) = request.into_parts();
        Self {
            parts,
            payload: Payload::Stream(body),
            slot: Some(slot),
            longest,
            arrival: None,
        }
    }

    fn complete(taken: Taken, slot: Option<Slot>, longest: Option<Duration>) -> Self {
        Self {
            parts: taken.parts,
            payload: Payload::Message(taken.message),
            slot,
            longest,
            arrival: taken.arrival,
        }
    }
}

fn refused(full: NoSlot) -> Response<Body> {
    let of_one = |subject: String, most: usize| {
        let quota = format!("{most} calls at a time");
        status::quota_exceeded("TOO_MANY_CALLS_OF_CALLER", &subject, &quota, RETRY_AFTER)
    };
    let status = match full {
        NoSlot::All => status::resource_exhausted("TOO_MANY_CALLS", RETRY_AFTER),
        NoSlot::Address(address, most) => of_one(format!("address:{address}"), most),
        NoSlot::User(user_id, most) => of_one(format!("user:{user_id}"), most),
    };
    status.into_http()
}

impl<S> Layer<S> for AdmissionLayer {
    type Service = Admitting<S>;

    fn layer(&self, inner: S) -> Admitting<S> {
        Admitting {
            inner,
            layer: self.clone(),
        }
    }
}

#[derive(Clone)]
pub(super) struct Admitting<S> {
    inner: S,
    layer: AdmissionLayer,
}

impl<S> Service<Request<Body>> for Admitting<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let layer = self.layer.clone();
        // The clone that was polled ready takes the call.
        let waiting = self.inner.clone();
        let mut ready = std::mem::replace(&mut self.inner, waiting);
        Box::pin(async move {
            let Admission {
                parts,
                payload,
                slot,
                longest,
                arrival,
            } = match layer.admit(request).await {
                Ok(admission) => admission,
                Err(refused) => return Ok(refused),
            };
            let mut response = match payload {
                Payload::Message(message) => conflicts::call(ready, parts, message).await?,
                Payload::Stream(body) => ready.call(Request::from_parts(parts, body)).await?,
            };
            drop(arrival);
            if let Some(slot) = slot {
                response.extensions_mut().insert(Admitted::with(slot));
            }
            if let Some(longest) = longest {
                response.extensions_mut().insert(Longest(longest));
            }
            Ok(response)
        })
    }
}
