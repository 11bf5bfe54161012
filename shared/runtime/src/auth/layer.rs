//! The layer that checks every call with the guard, and applies the rate limit of its caller.
//!
//! A call with a valid token counts for its user, any other call for its address: so guessing tokens is limited as
//! well.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tonic::body::Body;
use tower::{Layer, Service};

use super::Guard;
use crate::address::ClientAddress;
use crate::grpc::Rates;
use crate::grpc::marks::NoFault;
use crate::grpc::why::CalledBy;

#[derive(Clone)]
pub(crate) struct AuthLayer {
    guard: Arc<Guard>,
    rates: Arc<Rates>,
}

impl AuthLayer {
    pub(crate) fn new(guard: Guard, rates: Rates) -> Self {
        Self {
            guard: Arc::new(guard),
            rates: Arc::new(rates),
        }
    }
}

impl<S> Layer<S> for AuthLayer {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded {
            inner,
            guard: Arc::clone(&self.guard),
            rates: Arc::clone(&self.rates),
        }
    }
}

#[derive(Clone)]
pub(crate) struct Guarded<S> {
    inner: S,
    guard: Arc<Guard>,
    rates: Arc<Rates>,
}

impl<S> Service<Request<Body>> for Guarded<S>
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
        let (guard, rates) = (Arc::clone(&self.guard), Arc::clone(&self.rates));
        // The clone that was polled ready takes the call; the remaining one is polled again.
        let waiting = self.inner.clone();
        let mut ready = std::mem::replace(&mut self.inner, waiting);
        Box::pin(async move {
            let path = request.uri().path();
            let method = path.strip_prefix('/').unwrap_or(path);
            let admitted = guard.admit(method, request.headers()).await;
            let user = admitted.as_ref().ok().copied().flatten();
            let address = ClientAddress::of_http(&request);
            if let Some(called_by) = request.extensions().get::<CalledBy>() {
                let user = user.map(|user| user.user_id.to_string());
                called_by.is(user.unwrap_or_else(|| address.to_string()));
            }
            if let Err(too_many) = rates.count(method, user.map(|user| user.user_id), address) {
                return Ok(too_many.into_http());
            }
            match admitted {
                Ok(Some(caller)) => {
                    request.extensions_mut().insert(caller);
                }
                Ok(None) => {}
                Err(refused) => {
                    let mut response = refused.status.into_http();
                    if !refused.is_fault {
                        response.extensions_mut().insert(NoFault);
                    }
                    return Ok(response);
                }
            }
            ready.call(request).await
        })
    }
}
